//! Messages that failed and wait for their moments.

use std::collections::BTreeMap;

use super::ledger::{Past, Slice};
use crate::base::Moment;

/// Limit: the topic's capacity, of which each holds a place.
pub(crate) struct Delayed<B> {
    by_moment: BTreeMap<(Moment, u64), (Slice<B>, Past)>,
    by_offset: BTreeMap<u64, Moment>,
}

impl<B> Default for Delayed<B> {
    fn default() -> Delayed<B> {
        Delayed { by_moment: BTreeMap::new(), by_offset: BTreeMap::new() }
    }
}

impl<B: Clone> Delayed<B> {
    pub(crate) fn len(&self) -> usize {
        self.by_moment.len()
    }

    pub(crate) fn insert(&mut self, due: Moment, slice: Slice<B>, past: Past) {
        self.by_offset.insert(slice.first(), due);
        self.by_moment.insert((due, slice.first()), (slice, past));
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.by_moment.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes one that is due.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<(Slice<B>, Past)> {
        let first = self.by_moment.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, offset), waiting) = first.remove_entry();
        self.by_offset.remove(&offset);
        Some(waiting)
    }

    /// The oldest one.
    pub(crate) fn oldest(&self) -> Option<u64> {
        Some(*self.by_offset.first_key_value()?.0)
    }

    /// Takes the one with this offset.
    pub(crate) fn take(&mut self, offset: u64) -> Option<(Slice<B>, Past)> {
        let due = self.by_offset.remove(&offset)?;
        self.by_moment.remove(&(due, offset))
    }
}
