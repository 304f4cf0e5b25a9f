//! Who has a message at work, as far as a topic must know that drops its oldest ones (G3).
//!
//! A topic evicts only what no group has leased and some group has still to settle, and that only the groups' actors know.
//! So in a topic that evicts, each message has a number that all its groups and the topic share: how many groups have it
//! leased, how many have settled it and were not heard yet, or that it is evicted. A group that leases adds one; the topic
//! evicts if there are none, and then nobody leases it any more. Whoever comes first has decided, and no words go between
//! them.

use super::bits::Bits;
use crate::base::sync::{AtomicU32, Ordering};
use crate::base::{Bug, planted};

/// The numbers of one batch; none in a topic that does not evict.
#[derive(Debug)]
pub(crate) struct Claims(Box<[AtomicU32]>);

const EVICTED: u32 = 1 << 31;
/// One group that has settled it. Below are the groups that have it leased.
const SETTLED: u32 = 1 << 16;
const LEASED: u32 = SETTLED - 1;

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
        self.those(which, |number| !change(number, |claims| Some(claims + 1)))
    }

    /// A group has these no longer leased.
    #[inline]
    pub(crate) fn let_go(&self, which: Bits) {
        if !self.0.is_empty() {
            self.those(which, |number| {
                let before = number.fetch_sub(1, Ordering::AcqRel);
                debug_assert!(before & LEASED > 0 || planted(Bug::EvictsLeased), "it was leased");
                false
            });
        }
    }

    /// A group has settled these, and tells the topic. What is leased it lets go after this.
    pub(crate) fn settle(&self, which: Bits) {
        self.those(which, |number| change(number, |claims| Some(claims + SETTLED)));
    }

    /// The topic has heard so.
    pub(crate) fn hear(&self, which: Bits) {
        self.those(which, |number| change(number, |claims| claims.checked_sub(SETTLED)));
    }

    /// Evicts one that so many groups have to settle, as far as the topic has heard. `false`: a group has it leased, all
    /// have settled it, or it is evicted.
    pub(crate) fn evict(&self, index: u16, open: u32) -> bool {
        let is_wanted = |claims| claims & LEASED == 0 && !is_over(claims, open);
        let evicts = |claims| (is_wanted(claims) || planted(Bug::EvictsLeased)).then_some(EVICTED);
        self.0.get(usize::from(index)).is_some_and(|number| change(number, evicts))
    }

    /// Whether all groups have settled it, of so many that had it to settle as far as the topic has heard.
    pub(crate) fn is_over(&self, index: u16, open: u32) -> bool {
        self.of(index).is_some_and(|claims| is_over(claims, open))
    }

    /// Whether its place comes free: it is over, or can be evicted, since no group has it leased. By the time that is tried,
    /// one may.
    pub(crate) fn comes_free(&self, index: u16, open: u32) -> bool {
        self.of(index).is_some_and(|claims| is_over(claims, open) || claims & LEASED == 0)
    }

    /// The number of one that is not evicted.
    fn of(&self, index: u16) -> Option<u32> {
        let claims = self.0.get(usize::from(index))?.load(Ordering::Acquire);
        (claims & EVICTED == 0).then_some(claims)
    }

    /// Those of `which` that are evicted.
    pub(crate) fn evicted(&self, which: Bits) -> Bits {
        if self.0.is_empty() {
            return Bits::default();
        }
        self.those(which, |number| number.load(Ordering::Acquire) & EVICTED != 0)
    }

    /// Those for which `is` says so.
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

/// Whether that many groups have settled it, where there are some.
fn is_over(claims: u32, open: u32) -> bool {
    open > 0 && claims / SETTLED >= open
}

/// Changes a number, unless its message is evicted. `false`: it is as it was.
fn change(number: &AtomicU32, to: impl Fn(u32) -> Option<u32>) -> bool {
    let to = |claims: u32| if claims & EVICTED == 0 { to(claims) } else { None };
    number.fetch_update(Ordering::AcqRel, Ordering::Acquire, to).is_ok()
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
        assert!(!claims.evict(0, 2), "another group has it");
        claims.let_go(first);
        assert!(claims.evict(0, 2) && !claims.evict(0, 2) && claims.evict(2, 0));
        assert_eq!(claims.claim(all), all.without(Bits::range(1, 2)));
        assert_eq!(claims.evicted(all), all.without(Bits::range(1, 2)));
        assert!(!claims.evict(1, 2), "that one is leased now");
    }

    #[test]
    fn what_all_groups_have_settled_is_not_evicted_while_the_topic_has_not_heard() {
        let (claims, one) = (Claims::new(1), Bits::range(0, 1));
        claims.claim(one);
        claims.settle(one);
        claims.let_go(one);
        assert!(!claims.evict(0, 1), "there was only this group");
        claims.hear(one);
        claims.hear(one);
        claims.claim(one);
        claims.settle(one);
        claims.let_go(one);
        assert!(claims.evict(0, 2), "another one has to settle it");
        claims.settle(one);
        claims.hear(one);
        assert_eq!((claims.claim(one), claims.evicted(one)), (one, one));
    }

    #[test]
    fn where_nothing_is_evicted_all_can_be_leased() {
        let (claims, all) = (Claims::new(0), Bits::range(0, 256));
        assert_eq!((claims.claim(all), claims.evicted(all)), (Bits::default(), Bits::default()));
        claims.let_go(all);
        assert!(!claims.evict(0, 0));
    }
}
