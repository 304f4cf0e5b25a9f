//! Which delayed message is next: those of one topic, in the order of their moments. Pure; time is an argument.
//!
//! Why a tree and no heap: whoever cancels names a message, and it is found as fast as the next one.

use std::collections::BTreeMap;

use crate::base::{Moment, drop_each};

/// What waits, each for its moment; of one moment, the one that came first goes first.
pub(crate) struct Agenda<M> {
    /// Limit: the places of the mailbox that they came through, which each of them keeps.
    waiting: BTreeMap<(Moment, u64), M>,
    /// The number of the next message that comes in.
    next: u64,
}

impl<M> Agenda<M> {
    pub(crate) fn new() -> Agenda<M> {
        Agenda { waiting: BTreeMap::new(), next: 0 }
    }

    /// Takes in the message with this number. Numbers have no gaps.
    pub(crate) fn on_message(&mut self, at: Moment, number: u64, message: M) {
        debug_assert_eq!(self.next, number, "numbers are given in the order of the mailbox");
        self.next = number + 1;
        self.waiting.insert((at, number), message);
    }

    /// The message with this number does not come in, after all.
    pub(crate) fn on_refused(&mut self, number: u64) {
        debug_assert_eq!(self.next, number, "numbers are given in the order of the mailbox");
        self.next = number + 1;
    }

    /// A message that waits.
    pub(crate) fn get_mut(&mut self, key: (Moment, u64)) -> Option<&mut M> {
        self.waiting.get_mut(&key)
    }

    /// Whether the message with this number came in, whatever became of it.
    pub(crate) fn has_seen(&self, number: u64) -> bool {
        number < self.next
    }

    /// Takes out a message that was cancelled; `None` if it is not here any more.
    pub(crate) fn on_cancel(&mut self, at: Moment, number: u64) -> Option<M> {
        self.waiting.remove(&(at, number))
    }

    /// The moment of the first message, and its number.
    pub(crate) fn first(&self) -> Option<(Moment, u64)> {
        self.waiting.first_key_value().map(|(key, _)| *key)
    }

    /// The first message's moment and number, if it is due.
    pub(crate) fn due(&self, now: Moment) -> Option<(Moment, u64)> {
        self.first().filter(|(at, _)| *at <= now)
    }

    /// The first message, due or not.
    pub(crate) fn peek(&self) -> Option<&M> {
        self.waiting.first_key_value().map(|(_, message)| message)
    }

    /// Takes out the first message, due or not.
    pub(crate) fn pop(&mut self) -> Option<M> {
        self.waiting.pop_first().map(|(_, message)| message)
    }

    /// Puts back what [`Agenda::pop`] gave.
    pub(crate) fn put_back(&mut self, (at, number): (Moment, u64), message: M) {
        self.waiting.insert((at, number), message);
    }

    pub(crate) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }
}

impl<M> Drop for Agenda<M> {
    /// Drops the payloads one by one, so that one that panics takes no other with it (G15).
    fn drop(&mut self) {
        if let Err(text) = drop_each(std::mem::take(&mut self.waiting).into_values()) {
            tracing::error!(target: "callboard::broker", panic = %text, "a payload's drop panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Message(u64),
        Cancel(usize),
        Pop(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..20_u64).prop_map(Step::Message),
            1 => (0..64_usize).prop_map(Step::Cancel),
            3 => (0..25_u64).prop_map(Step::Pop),
        ];
        prop::collection::vec(step, 0..64)
    }

    proptest! {
        /// The model: a list that is sorted at each step.
        #[test]
        fn messages_leave_in_the_order_of_their_moments_and_none_before_its_own(steps in steps()) {
            let (mut agenda, mut model, mut all) = (Agenda::new(), Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Message(at) => {
                        let key = (Moment::from_nanos(at), all.len() as u64);
                        prop_assert!(!agenda.has_seen(key.1));
                        agenda.on_message(key.0, key.1, key);
                        prop_assert!(agenda.has_seen(key.1));
                        model.push(key);
                        all.push(key);
                        model.sort();
                    }
                    Step::Cancel(which) => {
                        let Some(key) = all.get(which).copied() else { continue };
                        let there = model.iter().position(|other| *other == key).map(|at| model.remove(at));
                        prop_assert_eq!(agenda.on_cancel(key.0, key.1), there);
                    }
                    Step::Pop(now) => {
                        let now = Moment::from_nanos(now);
                        let due = model.first().copied().filter(|(at, _)| *at <= now);
                        prop_assert_eq!(agenda.due(now), due);
                        if let Some(key) = due {
                            prop_assert_eq!(agenda.pop(), Some(key));
                            model.remove(0);
                        }
                    }
                }
                prop_assert_eq!((agenda.first(), agenda.len()), (model.first().copied(), model.len() as u64));
            }
        }
    }

    #[test]
    fn what_is_put_back_is_first_again() {
        let mut agenda = Agenda::new();
        agenda.on_message(Moment::from_nanos(5), 0, 'a');
        agenda.on_message(Moment::from_nanos(5), 1, 'b');
        let key = agenda.due(Moment::from_nanos(5)).unwrap();
        assert_eq!(agenda.pop(), Some('a'));
        agenda.put_back(key, 'a');
        assert_eq!([agenda.pop(), agenda.pop(), agenda.pop()], [Some('a'), Some('b'), None]);
    }
}
