//! Who has a message at work, as far as a topic must know that drops its oldest ones (G3).
//!
//! A topic evicts only what no group has leased, and what a group has leased only that group's actor knows. So in a
//! topic that evicts, each message has a number that all its groups and the topic share: how many groups have it
//! leased, or that it is evicted. A group that leases adds one; the topic evicts if there are none, and then nobody
//! leases it any more. Whoever comes first has decided, and no words go between them.

use super::bits::Bits;
use crate::base::sync::{AtomicU32, Ordering};
use crate::base::{Bug, planted};

/// The numbers of one batch; none in a topic that does not evict.
#[derive(Debug)]
pub(crate) struct Claims(Box<[AtomicU32]>);

const EVICTED: u32 = 1 << 31;

impl Claims {
    /// For so many messages; 0 where nothing is evicted.
    pub(crate) fn new(messages: usize) -> Claims {
        Claims((0..messages).map(|_| AtomicU32::new(0)).collect())
    }

    /// A group leases these. Answers those that are evicted, which it did not get.
    #[inline]
    pub(crate) fn claim(&self, which: Bits) -> Bits {
        if self.0.is_empty() {
            return Bits::default();
        }
        let claimed = |claims: u32| (claims & EVICTED == 0).then_some(claims + 1);
        self.those(which, |number| number.fetch_update(Ordering::AcqRel, Ordering::Acquire, claimed).is_err())
    }

    /// A group has these no longer leased.
    #[inline]
    pub(crate) fn let_go(&self, which: Bits) {
        if !self.0.is_empty() {
            self.those(which, |number| {
                let before = number.fetch_sub(1, Ordering::AcqRel);
                debug_assert!(before & !EVICTED > 0 || planted(Bug::EvictsLeased), "it was leased");
                false
            });
        }
    }

    /// Whether one could be evicted: no group has it leased. By the time that is tried, one may.
    pub(crate) fn is_free(&self, index: u16) -> bool {
        self.0.get(usize::from(index)).is_some_and(|number| number.load(Ordering::Acquire) == 0)
    }

    /// Evicts one. `false`: a group has it leased, or it is evicted.
    pub(crate) fn evict(&self, index: u16) -> bool {
        let evicted = |number: &AtomicU32| {
            if planted(Bug::EvictsLeased) {
                return number.swap(EVICTED, Ordering::AcqRel) & EVICTED == 0;
            }
            number.compare_exchange(0, EVICTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
        };
        self.0.get(usize::from(index)).is_some_and(evicted)
    }

    /// Those of `which` that are evicted.
    pub(crate) fn evicted(&self, which: Bits) -> Bits {
        if self.0.is_empty() {
            return Bits::default();
        }
        self.those(which, |number| number.load(Ordering::Acquire) & EVICTED != 0)
    }

    fn those(&self, which: Bits, is: impl Fn(&AtomicU32) -> bool) -> Bits {
        let mut those = Bits::default();
        for index in which.iter() {
            if self.0.get(usize::from(index)).is_some_and(&is) {
                those.insert(index);
            }
        }
        those
    }
}

#[cfg(test)]
#[cfg(not(callboard_shuttle))]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_leased_or_evicted_and_never_both() {
        let claims = Claims::new(3);
        let (all, first) = (Bits::range(0, 3), Bits::range(0, 1));
        assert_eq!((claims.claim(first), claims.claim(first)), (Bits::default(), Bits::default()));
        claims.let_go(first);
        assert!(!claims.evict(0), "another group has it");
        claims.let_go(first);
        assert!(claims.evict(0) && !claims.evict(0) && claims.evict(2));
        assert_eq!(claims.claim(all), all.without(Bits::range(1, 2)));
        assert_eq!(claims.evicted(all), all.without(Bits::range(1, 2)));
        assert!(!claims.evict(1), "that one is leased now");
    }

    #[test]
    fn where_nothing_is_evicted_all_can_be_leased() {
        let (claims, all) = (Claims::new(0), Bits::range(0, 256));
        assert_eq!((claims.claim(all), claims.evicted(all)), (Bits::default(), Bits::default()));
        claims.let_go(all);
        assert!(!claims.evict(0));
    }
}
