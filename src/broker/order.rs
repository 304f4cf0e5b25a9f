//! In which order a group hands out: as it comes, by key, or one after the other.

use super::KeyHash;
use super::bits::Bits;
use crate::base::Moment;

/// Which messages of a group wait for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// None do.
    #[default]
    Shared,
    /// Those of one key.
    Keyed,
    /// All, and one consumer handles them.
    Exclusive,
}

/// A batch's handle, as the ledger sees it.
pub(crate) trait BatchHandle {
    fn key(&self, index: u16) -> KeyHash;

    /// Whether some of its messages may have to be claimed, or be past their time.
    fn may_be_unwanted(&self) -> bool {
        false
    }

    /// The group leases these. Answers those that it does not get, since the topic has evicted them.
    fn claim(&self, _which: Bits) -> Bits {
        Bits::default()
    }

    /// The group has these no longer leased.
    fn let_go(&self, _which: Bits) {}

    /// The group has settled these, and is about to tell. What is leased it lets go after this.
    fn settle(&self, _which: Bits) {}

    /// When its messages are past their topic's time, if ever.
    fn expires(&self) -> Option<Moment> {
        None
    }

    /// Whether some message has a time of its own, and not only its topic's.
    fn has_own_times(&self) -> bool {
        false
    }

    /// When a message's own time is over, if it has one.
    fn own_time(&self, _index: u16) -> Option<Moment> {
        None
    }

    /// Those of `which` that are past their time.
    fn expired(&self, _which: Bits, _now: Moment) -> Bits {
        Bits::default()
    }
}

impl Order {
    /// The lane of a message: those of one lane wait for each other.
    pub(crate) fn lane(self, batch: &impl BatchHandle, index: u16) -> KeyHash {
        match self {
            Order::Keyed => batch.key(index),
            Order::Shared | Order::Exclusive => KeyHash::default(),
        }
    }

    /// Which of `rest` must not start before the message at `index`, which is to be tried again.
    ///
    /// Why in one place: the consumer skips these and the ledger takes them back, each by itself, so that no word has to
    /// go between them.
    pub(crate) fn behind(self, batch: &impl BatchHandle, index: u16, rest: Bits) -> Bits {
        let rest = rest.and(Bits::range(index + 1, u16::MAX));
        match self {
            Order::Shared => Bits::default(),
            Order::Exclusive => rest,
            Order::Keyed => {
                let mut behind = Bits::default();
                let key = batch.key(index);
                rest.iter().filter(|at| batch.key(*at) == key).for_each(|at| behind.insert(at));
                behind
            }
        }
    }
}
