//! The alarms that are set.

use std::collections::BTreeMap;

use crate::base::Moment;

/// Numbers a timer, in the order of making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimerId(pub(super) u64);

/// Holds the timers that somebody waits for, the earliest first, each with what to wake (`W`).
///
/// Why a tree and not a binary heap: a timer that is dropped or reset must leave at once. A heap keeps the
/// stale entry until it comes up, and until then a deadlock looks like waiting.
#[derive(Debug)]
pub(super) struct Timers<W>(BTreeMap<(Moment, TimerId), W>);

impl<W> Timers<W> {
    pub(super) fn new() -> Timers<W> {
        Timers(BTreeMap::new())
    }

    /// Sets `timer` to wake `waker`. Answers the waker that it replaces, to be dropped outside of any lock.
    pub(super) fn set(&mut self, at: Moment, timer: TimerId, waker: W) -> Option<W> {
        self.0.insert((at, timer), waker)
    }

    /// Forgets the timer, if it is set, and answers its waker, to be dropped outside of any lock.
    pub(super) fn unset(&mut self, at: Moment, timer: TimerId) -> Option<W> {
        self.0.remove(&(at, timer))
    }

    /// Answers when the earliest timer is due.
    pub(super) fn next(&self) -> Option<Moment> {
        self.0.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out every timer that is due at `now`, the earliest first.
    pub(super) fn take_due(&mut self, now: Moment) -> Vec<W> {
        let mut due = Vec::new();
        while let Some(first) = self.0.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn timers_due_at_one_instant_come_out_together_and_later_ones_stay() {
        let mut timers = Timers::new();
        for (id, due) in [5, 3, 9, 5].into_iter().enumerate() {
            timers.set(at(due), TimerId(id as u64), id);
        }
        assert_eq!(timers.next(), Some(at(3)));
        assert!(timers.take_due(at(2)).is_empty());
        assert_eq!(timers.take_due(at(5)), [1, 0, 3]);
        assert_eq!(timers.next(), Some(at(9)));
    }

    #[test]
    fn an_unset_timer_leaves_nothing_behind() {
        let mut timers = Timers::new();
        timers.set(at(3), TimerId(0), "first");
        assert_eq!(timers.set(at(3), TimerId(0), "second"), Some("first"));
        assert_eq!(timers.unset(at(3), TimerId(0)), Some("second"));
        assert_eq!(timers.unset(at(3), TimerId(0)), None);
        assert_eq!(timers.next(), None);
    }

    proptest! {
        #[test]
        fn timers_agree_with_a_list_that_is_searched(dues in prop::collection::vec(0_u64..20, 0..30), now in 0_u64..20) {
            let mut timers = Timers::new();
            for (id, due) in dues.iter().enumerate() {
                timers.set(at(*due), TimerId(id as u64), (*due, id));
            }
            let mut expected: Vec<_> = dues.iter().copied().zip(0..).filter(|(due, _)| *due <= now).collect();
            expected.sort_unstable();
            prop_assert_eq!(timers.take_due(at(now)), expected);
            prop_assert_eq!(timers.next(), dues.iter().copied().filter(|due| *due > now).min().map(at));
        }
    }
}
