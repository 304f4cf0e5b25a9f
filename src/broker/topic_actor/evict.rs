//! What leaves a topic before it was settled, by a limit: the oldest for want of room, and what no group was there for in
//! time.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Life;
use crate::base::{Moment, catch};
use crate::broker::bits::Bits;
use crate::broker::claims::Claims;
use crate::broker::ledger::Slice;
use crate::broker::message::Batch;
use crate::broker::room::Room;
use crate::broker::ttls::Timed;
use crate::broker::weight::Weighed as _;
use crate::broker::witness::Sight;
use crate::broker::{Message, Overflow, WhyDropped};

/// Places, and the bytes that they bear.
#[derive(Clone, Copy, Default)]
struct Sum {
    places: u64,
    bytes: u64,
}

impl Sum {
    fn with<T>(self, message: &Message<T>) -> Sum {
        let bytes = message.batch.weight(Bits::range(message.index, message.index + 1));
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
        if !self.evicts() || self.actor.mailbox.waiting() > 0 {
            return;
        }
        let lacking = self.actor.mailbox.lacking();
        let mut made = Sum::default();
        let mut short = !made.reaches(lacking);
        while short {
            // Anew each time: what was seen on the way to the message before is seen again.
            let sum = Cell::new(made);
            let evicted = self.evict_oldest(|claims, message, open| {
                if sum.get().reaches(lacking) {
                    return ControlFlow::Break(false);
                }
                let evicts = claims.evict(message.index, open);
                // What all have settled comes free by itself.
                if evicts || claims.is_over(message.index, open) {
                    sum.set(sum.get().with(message));
                }
                if evicts { ControlFlow::Break(true) } else { ControlFlow::Continue(()) }
            });
            short = !sum.get().reaches(lacking);
            let Some(message) = evicted else { break };
            made = made.with(&message);
            self.call_hook(message);
        }
        let (room, made) = (if short { Room::None } else { Room::Made }, made.places);
        for asker in self.askers.drain(..) {
            // Whoever went away needs none.
            let _ = asker.send(room);
        }
        self.actor.teller.dropped(&self.actor.name, None, WhyDropped::Evicted, made);
        // Why last: whoever comes in by it has its answer.
        self.free(made);
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
        evict: impl Fn(&Claims, &Message<T>, u32) -> ControlFlow<bool>,
    ) -> Option<Message<T>> {
        let message =
            |batch: &Arc<Batch<T>>, index| Message { batch: batch.clone(), index, redrives: 0, attempt: 0 };
        let found =
            self.books.evict_oldest(|batch, at, open| evict(batch.claims(), &message(batch, at), open));
        let (batch, index, groups) = found?;
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
        Some(message(&batch, index))
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
        self.books.let_go(base, which)
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
            from = batch.base() + 1;
            self.ttls.add(&Slice::of(batch, from - 1, kept));
        }
    }

    /// Moves handouts on that a group's mailbox had no place for: what was evicted is in it until the group looks.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) {
        self.links.iter_mut().for_each(|link| link.poll_late(cx));
    }
}
