//! Which keys were accepted of late: the memory of a topic that takes each of them once. Pure.
//!
//! A window is bounded in time and in count. A key is in it from its acceptance on for so long, or until so many others
//! came after it. Whole keys are kept and compared, not hashes: two keys of one hash would be taken for one, and the
//! second one's message would be lost.
//!
//! What is too old is not found, whether or not it is still here: each new key removes a few of those that are, so that
//! nobody pays for all of them at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Dedup, MessageId};
use crate::base::Moment;

/// So many that are too old go whenever one comes: more than one, so that it shrinks.
const SWEPT: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Limit: `Dedup::keys`, as of `order`.
    keys: BTreeMap<Arc<[u8]>, Accepted>,
    /// The oldest first. One that is out of date was accepted anew since.
    order: VecDeque<(Arc<[u8]>, Moment)>,
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    id: MessageId,
    at: Moment,
}

impl Window {
    /// The id of the message that was accepted with this key, if that is in the window.
    pub(crate) fn find(&self, limits: &Dedup, key: &[u8], now: Moment) -> Option<MessageId> {
        let accepted = self.keys.get(key)?;
        is_within(limits, accepted.at, now).then_some(accepted.id)
    }

    /// A message was accepted with this key, which is not in the window.
    pub(crate) fn insert(&mut self, limits: &Dedup, key: Arc<[u8]>, id: MessageId, now: Moment) {
        for _ in 0..SWEPT {
            match self.order.front() {
                Some((_, at)) if self.order.len() >= limits.keys() || !is_within(limits, *at, now) => {
                    self.forget_oldest();
                }
                _ => break,
            }
        }
        self.keys.insert(key.clone(), Accepted { id, at: now });
        self.order.push_back((key, now));
    }

    /// How many keys it has memory for at this moment.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.order.len().max(self.keys.len())
    }

    fn forget_oldest(&mut self) {
        let Some((key, at)) = self.order.pop_front() else { return };
        // Not if it was too old, and accepted anew: that one has a place of its own in the order.
        if self.keys.get(&key).is_some_and(|accepted| accepted.at == at) {
            self.keys.remove(&key);
        }
    }
}

fn is_within(limits: &Dedup, at: Moment, now: Moment) -> bool {
    now.since(at) < limits.time()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn id(offset: u64) -> MessageId {
        MessageId::new(0, offset)
    }

    fn key(key: u8) -> Arc<[u8]> {
        Arc::from([key])
    }

    fn at(millis: u64) -> Moment {
        Moment::default() + Duration::from_millis(millis)
    }

    #[test]
    fn a_key_is_found_until_its_time_is_over_or_enough_others_came() {
        let limits = Dedup::within(Duration::from_millis(10)).at_most(2);
        let mut window = Window::default();
        window.insert(&limits, key(1), id(1), at(0));
        assert_eq!(window.find(&limits, &[1], at(9)), Some(id(1)));
        assert_eq!(window.find(&limits, &[1], at(10)), None);
        window.insert(&limits, key(1), id(2), at(10));
        window.insert(&limits, key(2), id(3), at(10));
        assert_eq!(window.find(&limits, &[1], at(11)), Some(id(2)));
        window.insert(&limits, key(3), id(4), at(11));
        let found = [1, 2, 3].map(|key| window.find(&limits, &[key], at(11)));
        assert_eq!(found, [None, Some(id(3)), Some(id(4))]);
    }

    /// The odds that two keys of one hash meet are none, since there are no hashes.
    #[test]
    fn keys_that_differ_in_one_byte_are_two() {
        let limits = Dedup::default();
        let mut window = Window::default();
        window.insert(&limits, Arc::from(&b"order-1"[..]), id(1), at(0));
        for other in [&b"order-2"[..], b"order-", b"order-11", b""] {
            assert_eq!(window.find(&limits, other, at(0)), None);
        }
    }

    proptest! {
        /// The toy keeps everything, and looks through all of it.
        #[test]
        fn the_window_agrees_with_a_list_of_all(
            (time, most) in (1..40_u64, 1..6_usize),
            steps in prop::collection::vec((0..9_u8, 0..6_u64), 0..200),
        ) {
            let limits = Dedup::within(Duration::from_millis(time)).at_most(most);
            let (mut window, mut toy, mut now) = (Window::default(), Vec::<(u8, u64, u64)>::new(), 0);
            for (offset, (wanted, wait)) in steps.into_iter().enumerate() {
                now += wait;
                let kept = toy.len().saturating_sub(most);
                let found = toy.iter().skip(kept).rev().find(|(key, _, _)| *key == wanted);
                let found = found.filter(|(_, _, came)| now - came < time).map(|(_, offset, _)| id(*offset));
                prop_assert_eq!(window.find(&limits, &[wanted], at(now)), found);
                if found.is_none() {
                    window.insert(&limits, key(wanted), id(offset as u64), at(now));
                    toy.push((wanted, offset as u64, now));
                }
                prop_assert!(window.len() <= most, "{} keys", window.len());
            }
        }
    }
}
