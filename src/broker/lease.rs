//! What a consumer is handed, and how the group sees how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ledger::{LeaseId, Past};
use super::message::Batch;

/// Messages on loan to one consumer.
pub(crate) struct Lease<T> {
    pub(crate) id: LeaseId,
    pub(crate) batch: Arc<Batch<T>>,
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) past: Past,
    /// Present if the lease goes to a pulled stream: it is then one message.
    pub(crate) held: Option<Arc<Held>>,
}

/// What a handler is at. The consumer writes it, the group looks at it now and then.
///
/// One number counts the messages whose handling began, times two, plus one while it goes on. The group that sees
/// the same odd number in two looks, one deadline apart, knows that this handling took longer than the deadline.
/// So a deadline costs a plain store per message and no clock is read.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    /// A handling begins. Ordering: one writer, and the number alone is the message.
    pub(crate) fn begin(&self) -> u64 {
        let now = (self.0.load(Ordering::Relaxed) | 1) + 2;
        self.0.store(now, Ordering::Release);
        now
    }

    /// The handling ended.
    pub(crate) fn rest(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) & !1, Ordering::Release);
    }

    /// The number, if a handling goes on.
    pub(crate) fn busy(&self) -> Option<u64> {
        let now = self.0.load(Ordering::Acquire);
        (now & 1 == 1).then_some(now)
    }
}

/// The state of one pulled delivery, shared by the delivery and the group. Whoever moves it out of `held` first
/// has decided: an ack that comes after the deadline finds the door closed.
///
/// | from | to | by |
/// |---|---|---|
/// | waiting | held (1, 3, 5..) | the stream that hands it out |
/// | held | held, two higher | `extend` |
/// | held | settled | ack, retry, release, drop.. |
/// | held | expired | the group, past the deadline |
/// | waiting | expired | the group or the stream, giving it back |
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicU64);

const WAITING: u64 = 0;
const SETTLED: u64 = 2;
const EXPIRED: u64 = 4;

impl Held {
    /// The stream hands the delivery out. `false`: it was taken back meanwhile.
    pub(crate) fn hold(&self) -> bool {
        self.change(WAITING, 1)
    }

    /// The deadline begins anew. `false`: it had passed.
    pub(crate) fn extend(&self) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                (state & 1 == 1).then(|| state.wrapping_add(2))
            })
            .is_ok()
    }

    /// The consumer decided. `false`: the deadline had passed.
    pub(crate) fn settle(&self) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| (state & 1 == 1).then_some(SETTLED))
            .is_ok()
    }

    /// What a look sees: a number that stays the same while nothing is heard of a held delivery.
    pub(crate) fn look(&self) -> Option<u64> {
        let state = self.0.load(Ordering::Acquire);
        (state & 1 == 1).then_some(state)
    }

    /// Takes a held delivery away, if it is still as it was `seen`.
    pub(crate) fn expire(&self, seen: u64) -> bool {
        self.change(seen, EXPIRED)
    }

    /// Takes a delivery back that was not handed out.
    pub(crate) fn take_back(&self) -> bool {
        self.change(WAITING, EXPIRED)
    }

    fn change(&self, from: u64, to: u64) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_handling_shows_the_same_number_and_the_next_another() {
        let progress = Progress::default();
        assert_eq!(progress.busy(), None);
        let first = progress.begin();
        assert_eq!(progress.busy(), Some(first));
        progress.rest();
        assert_eq!(progress.busy(), None);
        let second = progress.begin();
        let third = progress.begin();
        assert!(first < second && second < third && progress.busy() == Some(third));
    }

    #[test]
    fn of_an_ack_and_a_deadline_only_the_first_counts() {
        let held = Held::default();
        assert!(!held.settle(), "not handed out yet");
        assert!(held.hold() && !held.take_back());
        let seen = held.look().unwrap();
        assert!(held.extend() && !held.expire(seen));
        assert!(held.expire(held.look().unwrap()));
        assert!(!held.settle() && !held.extend() && held.look().is_none());
        let acked = Held::default();
        assert!(acked.hold() && acked.settle() && !acked.settle() && acked.look().is_none());
    }
}
