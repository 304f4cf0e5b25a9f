//! What a witness is shown of the ledger.

use std::fmt;

#[cfg(test)]
use super::super::gate::Room;
use super::super::lease::LeaseId;
use super::super::order::BatchHandle;
use super::super::stats::Counts;
use super::super::witness::Counted;
#[cfg(test)]
use super::Effect;
use super::{Lease, Ledger, Past, Slice};
#[cfg(test)]
use crate::base::Moment;

impl<B: Clone + BatchHandle> Ledger<B> {
    /// Hands out as much as the consumers have credit for.
    #[cfg(test)]
    pub(crate) fn dispatch(&mut self, now: Moment, effects: &mut Vec<Effect<B>>) {
        self.dispatch_up_to(Room::UNLIMITED, now, effects);
    }

    /// Whether there is something to hand out.
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        self.queue.available() > 0
    }

    /// Whether there is something to do with a message before this offset; parked ones are done with.
    pub(crate) fn has_before(&self, upto: u64) -> bool {
        // Why in this order: in a group by key the queue has to look at each key, and most often one of these says it.
        self.is_at_before(upto)
            || self.delayed.oldest().is_some_and(|first| first < upto)
            || self.queue.has_before(upto)
    }

    /// Whether consumers hold a message before this offset.
    pub(crate) fn is_at_before(&self, upto: u64) -> bool {
        let first = |lease: &Lease<B>| lease.slice.part(lease.reported, lease.slice.to).first();
        self.leases.values().any(|lease| first(lease) < upto)
    }

    /// Counts anew what is where, message by message; but for what is parked, which others keep.
    pub(crate) fn counted(&self) -> Counted {
        let left = |lease: &Lease<B>| u64::from(lease.slice.part(lease.reported, lease.slice.to).len());
        let leased = self.leases.values().map(left);
        Counted {
            backlog: self.queue.counted() + self.withheld,
            in_flight: leased.sum(),
            delayed: self.delayed.len() as u64,
            parked: 0,
        }
    }

    /// Keys that have messages here, and how many of these keys wait for one that failed.
    pub(crate) fn keys(&self) -> (usize, usize) {
        self.queue.count_keys()
    }

    /// The message of a lease that is a single one, and its past.
    pub(crate) fn sole(&self, id: LeaseId) -> Option<(&Slice<B>, &Past)> {
        self.leases.get(&id).map(|lease| (&lease.slice, &lease.past))
    }
}

impl<B> fmt::Display for Ledger<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { backlog, ready, in_flight, delayed, parked, .. } = self.counts;
        write!(
            f,
            "{} to hand out, {in_flight} in flight, {delayed} delayed, {parked} parked",
            backlog + ready
        )
    }
}
