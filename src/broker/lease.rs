//! What a consumer is handed, and how the group sees how far it is.

use std::sync::Arc;

use super::bits::Bits;
use super::ledger::Past;
use super::message::Batch;
use crate::base::sync::{AtomicU64, Ordering};
use crate::base::{Bug, planted};

/// Names one lease of a group; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeaseId(u64);

impl LeaseId {
    pub(crate) fn new(number: u64) -> LeaseId {
        LeaseId(number)
    }

    /// Its number.
    #[cfg(feature = "sim")]
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Messages on loan to one consumer.
pub(crate) struct Lease<T> {
    pub(crate) id: LeaseId,
    pub(crate) batch: Arc<Batch<T>>,
    pub(crate) from: u16,
    pub(crate) to: u16,
    /// Present if there are gaps: only these.
    pub(crate) picked: Option<Box<Bits>>,
    pub(crate) past: Past,
    /// Where its progress is kept, if it goes to a handler.
    pub(crate) slot: Slot,
    /// Present if the lease goes to a pulled stream: it is then one message.
    pub(crate) held: Option<Arc<Held>>,
}

/// How far a handler is with the leases it has. The consumer moves on in them, the group looks now and then.
///
/// A handler has two leases at most: the one it works on, and one that waits. Each has a slot, one number:
///
/// ```text
///   63        33   32     31     16 15      0
///   which lease   busy     next       end
/// ```
///
/// - Messages before `next` were started, and `busy` says that the last of them still goes on. The group that sees
///   the same message busy in two looks, one deadline apart, knows that its handling took longer than that. So a
///   deadline costs no clock per message.
/// - Messages from `next` to `end` are free to be taken back: whoever lowers `end` has them, the group for another
///   consumer or the consumer for the group. A message is started by raising `next`, so it can't be both.
///
/// Ordering: each number is its own message, so the order among them says nothing; what a lease is travels through
/// a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Progress([AtomicU64; SLOTS]);

/// A handler's leases at a time.
pub(crate) const SLOTS: usize = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot(bool);

/// Names one handling of one message by one consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handling(u64);

const END: u64 = 0xffff;
const NEXT: u32 = 16;
const BUSY: u64 = 1 << 32;
const LEASE: u32 = 33;

impl Slot {
    pub(crate) fn other(self) -> Slot {
        Slot(!self.0)
    }

    pub(crate) fn both() -> [Slot; SLOTS] {
        [Slot(false), Slot(true)]
    }

    pub(crate) fn of<T>(self, both: &[T; SLOTS]) -> &T {
        let [first, second] = both;
        if self.0 { second } else { first }
    }

    pub(crate) fn of_mut<T>(self, both: &mut [T; SLOTS]) -> &mut T {
        let [first, second] = both;
        if self.0 { second } else { first }
    }
}

impl Handling {
    /// Which message of its batch it is.
    #[inline]
    pub(crate) fn index(self) -> u16 {
        u16::try_from((self.0 >> NEXT & END) - 1).unwrap_or(u16::MAX)
    }
}

impl Progress {
    /// A new lease has the slot; what it belonged to before is over.
    pub(crate) fn put(&self, slot: Slot, lease: LeaseId, from: u16, to: u16) {
        let new = tag(lease) | u64::from(from) << NEXT | u64::from(to);
        slot.of(&self.0).store(new, Ordering::Release);
    }

    /// Starts the lease's next message, one of those that are `picked` if there are such. `None`: there is none left, or
    /// it was taken back.
    #[inline]
    pub(crate) fn begin(&self, slot: Slot, lease: LeaseId, picked: Option<&Bits>) -> Option<Handling> {
        let mut started = None;
        let start = |now: u64| {
            let next = free(now, lease)?;
            let index = picked.map_or(Some(next), |picked| picked.first(next, 0))?;
            let then = now + (u64::from(index - next + 1) << NEXT);
            started = (u64::from(index) < now & END).then_some(then | BUSY);
            started
        };
        slot.of(&self.0).fetch_update(Ordering::AcqRel, Ordering::Acquire, start).ok()?;
        started.map(|started| Handling(started & !END))
    }

    /// The lease ends before `end`, or sooner: what it had from there on is not its any more. Answers whether it had something: else
    /// that was taken back before.
    pub(crate) fn cut(&self, slot: Slot, lease: LeaseId, end: u16) -> bool {
        let cut = |now| free(now, lease).map(|next| now & !END | (now & END).min(u64::from(end.max(next))));
        slot.of(&self.0).fetch_update(Ordering::AcqRel, Ordering::Acquire, cut).is_ok()
    }

    /// The messages of the lease before this one were started. `None`: the slot belongs to another lease by now.
    pub(crate) fn started(&self, slot: Slot, lease: LeaseId) -> Option<u16> {
        let now = slot.of(&self.0).load(Ordering::Acquire);
        let same = now >> LEASE == tag(lease) >> LEASE;
        if same { u16::try_from(now >> NEXT & END).ok() } else { None }
    }

    /// Nothing is being handled.
    pub(crate) fn rest(&self) {
        for slot in &self.0 {
            slot.fetch_and(!BUSY, Ordering::AcqRel);
        }
    }

    /// Takes what is not started of the lease; answers where that begins, or `None` if there is nothing.
    pub(crate) fn take_back(&self, slot: Slot, lease: LeaseId) -> Option<u16> {
        let cut = |now| free(now, lease).map(|next| now & !END | u64::from(next));
        let before = slot.of(&self.0).fetch_update(Ordering::AcqRel, Ordering::Acquire, cut).ok()?;
        free(before, lease)
    }

    /// What is being handled.
    pub(crate) fn busy(&self) -> Option<Handling> {
        let looks = self.0.iter().map(|slot| slot.load(Ordering::Acquire));
        looks.filter(|now| now & BUSY != 0).map(|now| Handling(now & !END)).next()
    }
}

/// What tells a lease from those that had the slot before. It comes again after 2^31 leases, which no stale one
/// outlives.
#[inline]
fn tag(lease: LeaseId) -> u64 {
    lease.0 << LEASE
}

/// The first message of the lease that is not started, if there is one.
#[inline]
fn free(now: u64, lease: LeaseId) -> Option<u16> {
    let next = now >> NEXT & END;
    let free = now >> LEASE == tag(lease) >> LEASE && next < now & END;
    if free { u16::try_from(next).ok() } else { None }
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
        if planted(Bug::NoFence) {
            return self.0.swap(SETTLED, Ordering::AcqRel) != SETTLED;
        }
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
        let ([first, second], progress) = (Slot::both(), Progress::default());
        let (a, b) = (LeaseId::new(7), LeaseId::new(8));
        progress.put(first, a, 3, 5);
        progress.put(second, b, 0, 1);
        assert_eq!(progress.busy(), None);
        let at_3 = progress.begin(first, a, None);
        assert!(at_3.is_some() && progress.busy() == at_3);
        progress.rest();
        assert_eq!(progress.busy(), None);
        let at_4 = progress.begin(first, a, None);
        assert!(at_4.is_some() && at_4 != at_3 && progress.busy() == at_4);
        assert_eq!(progress.begin(first, a, None), None, "it ends before 5");
        assert_eq!(progress.busy(), at_4, "and 4 goes on");
        progress.rest();
        assert!(progress.begin(second, b, None).is_some());
    }

    #[test]
    fn a_message_is_started_or_taken_back_and_never_both() {
        let ([slot, _], progress, lease) = (Slot::both(), Progress::default(), LeaseId::new(1 << 40));
        progress.put(slot, lease, 0, 256);
        let started = progress.begin(slot, lease, None);
        assert_eq!(progress.take_back(slot, lease), Some(1));
        assert_eq!(progress.busy(), started, "what is started goes on, under the same number");
        assert_eq!((progress.begin(slot, lease, None), progress.take_back(slot, lease)), (None, None));
        let next = LeaseId::new((1 << 40) + 1);
        progress.put(slot, next, 4, 5);
        assert_eq!(
            (progress.begin(slot, lease, None), progress.take_back(slot, lease)),
            (None, None),
            "it is over"
        );
        assert_eq!(progress.take_back(slot, next), Some(4));
    }

    #[test]
    fn of_a_lease_with_gaps_only_what_is_picked_is_started() {
        let ([slot, _], progress, lease) = (Slot::both(), Progress::default(), LeaseId::new(3));
        let mut picked = Bits::range(2, 3);
        [5, 6, 9].into_iter().for_each(|at| picked.insert(at));
        progress.put(slot, lease, 2, 10);
        let next = |picked: &Bits| progress.begin(slot, lease, Some(picked)).map(Handling::index);
        assert_eq!((next(&picked), next(&picked)), (Some(2), Some(5)));
        assert_eq!(progress.started(slot, lease), Some(6));
        // Two are withdrawn, the last one among them.
        picked = picked.without(Bits::range(6, 7)).without(Bits::range(9, 10));
        progress.cut(slot, lease, picked.end());
        assert_eq!((next(&picked), progress.take_back(slot, lease)), (None, None));
        let other = LeaseId::new(4);
        progress.put(slot, other, 2, 10);
        assert_eq!(progress.begin(slot, other, Some(&picked)).map(Handling::index), Some(2));
        assert_eq!(progress.take_back(slot, other), Some(3));
        assert_eq!(progress.begin(slot, other, Some(&picked)), None, "the group has taken it back");
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
