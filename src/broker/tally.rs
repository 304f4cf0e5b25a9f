//! What a topic's publishers count beside its books.

use crate::base::sync::{AtomicU64, Ordering};

/// Counts what was published and did not come in. Ordering: numbers for people; each is there before its publisher is
/// answered, who may then ask the topic, over a lock.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    repeated: AtomicU64,
    dropped_newest: AtomicU64,
}

impl Tally {
    pub(crate) fn on_repeat(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn on_dropped_newest(&self, messages: usize) {
        self.dropped_newest.fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped_newest(&self) -> u64 {
        self.dropped_newest.load(Ordering::Relaxed)
    }
}
