//! What a witness is shown of the ledger.

use std::fmt;

use super::super::lease::LeaseId;
use super::super::order::BatchHandle;
use super::super::stats::Counts;
use super::super::witness::Counted;
use super::{Lease, Ledger, Past, Slice};

impl<B: Clone + BatchHandle> Ledger<B> {
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
