//! What leaves a topic before it was settled, by a limit: the oldest for want of room, and what no group was there for in
//! time.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Life;
use crate::base::{Moment, catch};
use crate::broker::bits::Bits;
use crate::broker::ledger::Slice;
use crate::broker::message::Batch;
use crate::broker::room::Room;
use crate::broker::ttls::Timed;
use crate::broker::weight::Weighed as _;
use crate::broker::witness::Sight;
use crate::broker::{Message, Overflow, WhyDropped};
use crate::mailbox::Reply;

/// So many who ask are looked through for those who went away.
pub(super) const MANY_ASKERS: usize = 64;

/// Places, and the bytes that they bear.
#[derive(Clone, Copy, Default)]
struct Sum {
    places: u64,
    bytes: u64,
}

impl Sum {
    fn with<T>(self, batch: &Arc<Batch<T>>, index: u16) -> Sum {
        let bytes = batch.weight(Bits::range(index, index + 1));
        Sum { places: self.places + 1, bytes: self.bytes + bytes }
    }

    fn reaches(self, (places, bytes): (u64, u64)) -> bool {
        self.places >= places && self.bytes >= bytes
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    /// Evicts as many as stand in line without a place, and answers those who asked.
    ///
    /// Why for everybody in line, and not for those who asked: who asked is not always at the front, and a place that
    /// comes free is the front's.
    pub(super) fn make_room(&mut self) {
        // What waits in the mailbox is younger than all that could be evicted, or must be frozen first.
        if !self.evicts() || self.waiting() > 0 {
            return;
        }
        let all = self.actor.mailbox.lacking();
        // Why before the look: a group that lets go of a message after that finds it set.
        self.actor.lacks.set(all != (0, 0));
        if all == (0, 0) {
            return self.answer_askers(Room::Made);
        }
        let (can, from) = self.books.evictable(all, |batch, at, open| batch.claims().comes_free(at, open));
        // Why for no more than can come in by it: nothing is to be evicted in vain.
        let (made, coming) = self.evict(from, self.actor.mailbox.lacking_within(can));
        self.actor.teller.dropped(&self.actor.name, None, WhyDropped::Evicted, made.places);
        self.free(made.places);
        match () {
            () if coming.reaches(all) => self.answer_askers(Room::Made),
            () if coming.places == made.places && self.actor.mailbox.is_stuck() => {
                self.answer_askers(Room::None)
            }
            // Some come in, or did just now, and can then be evicted for those behind them, who wait for their answers.
            () => {}
        }
    }

    /// Evicts what is needed beside what comes free by itself; answers what that is, and what both are.
    fn evict(&mut self, from: u64, needed: (u64, u64)) -> (Sum, Sum) {
        let mut made = Sum::default();
        loop {
            // Anew each time: what was seen on the way to the message before is seen again.
            let sum = Cell::new(made);
            let evicted = self.evict_oldest(from, |batch, index, open| {
                if sum.get().reaches(needed) {
                    return ControlFlow::Break(false);
                }
                let evicts = batch.claims().evict(index, open);
                if evicts || batch.claims().is_over(index, open) {
                    sum.set(sum.get().with(batch, index));
                }
                if evicts { ControlFlow::Break(true) } else { ControlFlow::Continue(()) }
            });
            let Some(message) = evicted else { return (made, sum.get()) };
            made = made.with(&message.batch, message.index);
            self.call_hook(message);
        }
    }

    fn answer_askers(&mut self, room: Room) {
        for asker in self.askers.drain(..) {
            // Whoever went away needs none.
            let _ = asker.send(room);
        }
    }

    /// Somebody asks for room.
    pub(super) fn on_asker(&mut self, asker: Reply<Room>) {
        // Why not each time: while some come in there may be many who wait for an answer.
        if self.askers.len() >= self.many_askers {
            self.askers.retain(|asker| !asker.is_abandoned());
            self.many_askers = (2 * self.askers.len()).max(MANY_ASKERS);
        }
        self.askers.push(asker);
    }

    fn call_hook(&self, evicted: Message<T>) {
        let Some(hook) = &self.actor.on_evicted else { return };
        if let Err(text) = catch(|| hook(evicted)) {
            let topic = &self.actor.name;
            tracing::error!(target: "callboard::broker", %topic, panic = %text, "an eviction hook panicked");
        }
    }

    pub(super) fn evicts(&self) -> bool {
        self.actor.settings.overflow == Overflow::DropOldest
    }

    /// Evicts the oldest message of which `evict` says that it has; `false`: no more are needed.
    fn evict_oldest(
        &mut self,
        from: u64,
        evict: impl Fn(&Arc<Batch<T>>, u16, u32) -> ControlFlow<bool>,
    ) -> Option<Message<T>> {
        let (batch, index, groups) = self.books.evict_oldest(from, evict)?;
        self.evicted += 1;
        self.changes += 1;
        let (topic, base) = (&self.actor.name, batch.base());
        self.actor.watched.show(|| Sight::Evicted { topic, base, at: index });
        self.ttls.remove(&Slice::new(batch.clone(), base, index, index + 1));
        for link in &mut self.links {
            if groups.contains(&link.group) {
                link.evict(&batch, index);
            }
        }
        for group in groups {
            self.note_done(group, base, Bits::range(index, index + 1));
        }
        self.note_gone();
        Some(Message { batch, index, redrives: 0, attempt: 0 })
    }

    /// A group has settled these, and the books are about to know.
    pub(super) fn hear_claims(&self, base: u64, which: Bits) {
        if self.evicts()
            && let Some(batch) = self.books.batch(base)
        {
            batch.claims().hear(which);
        }
    }

    /// Lets go of what is past its time, while no group is there to do it.
    pub(super) fn poll_expiry(&mut self, cx: &mut Context<'_>) {
        loop {
            let next = self.ttls.first().filter(|_| self.links.is_empty());
            if next.is_none() && !self.expiry_set {
                return;
            }
            self.expiry_set = next.is_some();
            let Poll::Ready(now) = self.clock.poll_alarm(next, cx) else { return };
            if next.is_some_and(|at: Moment| at <= now) {
                self.expire(now);
            }
        }
    }

    fn expire(&mut self, now: Moment) {
        let mut gone = 0;
        while let Some(Timed { batch, base, which }) = self.ttls.take_due(now) {
            let topic = &self.actor.name;
            if self.actor.watched.is_watched() {
                which.iter().for_each(|at| self.actor.watched.show(|| Sight::Evicted { topic, base, at }));
            }
            gone += self.let_go(&batch, base, which);
        }
        self.expired += gone;
        self.actor.teller.dropped(&self.actor.name, None, WhyDropped::Expired, gone);
        self.free(gone);
    }

    /// Keeps these no longer for groups to come.
    fn let_go(&mut self, batch: &Arc<Batch<T>>, base: u64, which: Bits) -> u64 {
        self.ttls.remove(&Slice::of(batch.clone(), base, which));
        let freed = self.books.let_go(base, which);
        self.note_gone();
        freed
    }

    /// This one went elsewhere.
    pub(super) fn on_moved(&mut self, base: u64, index: u16) {
        if let Some((batch, _)) = self.books.first_kept(base).filter(|(batch, _)| batch.base() == base) {
            let freed = self.let_go(&batch, base, Bits::range(index, index + 1));
            self.free(freed);
        }
    }

    /// The last group is gone: what is kept is past its time by itself from now on.
    pub(super) fn begin_expiry(&mut self) {
        let mut from = 0;
        while let Some((batch, kept)) = self.books.first_kept(from) {
            let base = batch.base();
            self.ttls.add(&Slice::of(batch, base, kept));
            from = base + 1;
        }
    }

    /// Moves handouts on that a group's mailbox had no place for: what was evicted is in it until the group looks.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) {
        self.links.iter_mut().for_each(|link| link.poll_late(cx));
    }
}
