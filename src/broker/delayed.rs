//! A message that failed and waits for its moment.

use super::ledger::{Past, Slice};
use crate::base::Moment;

/// It is ordered by its moment.
pub(crate) struct Delayed<B> {
    pub(crate) due: Moment,
    pub(crate) slice: Slice<B>,
    pub(crate) past: Past,
}

// Why by hand: the earliest first, ties by offset; the payload has no part in it.
impl<B: Clone> Ord for Delayed<B> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.slice.first()).cmp(&(other.due, other.slice.first()))
    }
}

impl<B: Clone> PartialOrd for Delayed<B> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<B: Clone> PartialEq for Delayed<B> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<B: Clone> Eq for Delayed<B> {}
