//! What a topic's publishers count, and tell, beside its books.

use crate::base::sync::{AtomicBool, AtomicU64, Ordering};

/// Counts what was published and did not come in. Ordering: numbers for people; each is there before its publisher is
/// answered, who may then ask the topic, over a lock.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    repeated: AtomicU64,
    dropped_newest: AtomicU64,
    /// Some message has a trace context. Ordering: set before that goes through the mailbox's lock, so whoever handles
    /// it knows.
    traced: AtomicBool,
    /// Some message has a time of its own. Ordering: as that of `traced`.
    own_times: AtomicBool,
    named: AtomicBool,
}

impl Tally {
    pub(crate) fn on_repeat(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn on_dropped_newest(&self, messages: usize) {
        self.dropped_newest.fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn on_traced(&self) {
        if !self.is_traced() {
            self.traced.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_traced(&self) -> bool {
        self.traced.load(Ordering::Relaxed)
    }

    pub(crate) fn on_named(&self) {
        self.named.store(true, Ordering::Relaxed);
    }

    /// Whether publishers have given messages their ids.
    pub(crate) fn is_named(&self) -> bool {
        self.named.load(Ordering::Relaxed)
    }

    pub(crate) fn on_own_time(&self) {
        if !self.has_own_times() {
            self.own_times.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn has_own_times(&self) -> bool {
        self.own_times.load(Ordering::Relaxed)
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped_newest(&self) -> u64 {
        self.dropped_newest.load(Ordering::Relaxed)
    }
}
