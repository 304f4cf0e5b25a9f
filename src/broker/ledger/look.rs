//! What a witness is shown of the ledger.

use std::fmt;

use super::super::lease::LeaseId;
use super::super::stats::Counts;
use super::super::witness::Counted;
use super::{Ledger, Past, Slice};

impl<B: Clone> Ledger<B> {
    /// Counts anew what is where, message by message; but for what is parked, which others keep.
    pub(crate) fn counted(&self) -> Counted {
        let backlog: u64 = self.backlog.iter().map(|slice| u64::from(slice.len())).sum();
        let leased = self.leases.values().map(|lease| u64::from(lease.slice.to - lease.reported));
        Counted {
            backlog: backlog + self.ready.len() as u64 + self.withheld,
            in_flight: leased.sum(),
            delayed: self.delayed.len() as u64,
            parked: 0,
        }
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
