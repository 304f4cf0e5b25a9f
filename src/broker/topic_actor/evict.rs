//! What leaves a topic before it was settled, by a limit: the oldest for want of room, and what no group was there for in
//! time.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::Life;
use crate::base::{Moment, catch};
use crate::broker::bits::Bits;
use crate::broker::message::Batch;
use crate::broker::room::Room;
use crate::broker::ttls::Timed;
use crate::broker::weight::Weighed as _;
use crate::broker::witness::Sight;
use crate::broker::{Message, Overflow, WhyDropped};
use crate::mailbox::Reply;

/// So many who ask are looked through for those who went away.
pub(super) const MANY_ASKERS: usize = 64;

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
        let all = self.actor.mailbox.lacking();
        // Why before the look: a group that lets go of a message after that finds it set.
        self.actor.lacks.set(all != (0, 0));
        if all == (0, 0) {
            return self.answer_askers(Room::Made);
        }
        let (can, from) = self.books.evictable(all, |batch, at| batch.claims().is_free(at));
        // Why for no more than can come in by it: nothing is to be evicted in vain.
        let (places, weight) = self.actor.mailbox.lacking_within(can);
        let (mut made, mut bytes) = (0, 0);
        while (made < places || bytes < weight)
            && let Some(message) = self.evict_oldest(from)
        {
            bytes += message.batch.weight(Bits::range(message.index, message.index + 1));
            made += 1;
            self.call_hook(message);
        }
        self.actor.teller.dropped(&self.actor.name, None, WhyDropped::Evicted, made);
        self.free(made);
        match () {
            () if made >= all.0 && bytes >= all.1 => self.answer_askers(Room::Made),
            () if self.actor.mailbox.is_stuck() => self.answer_askers(Room::None),
            // Some come in, or did just now, and can then be evicted for those behind them, who wait for their answers.
            () => {}
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

    fn evict_oldest(&mut self, from: u64) -> Option<Message<T>> {
        let can = |batch: &Arc<Batch<T>>, at| batch.claims().evict(at);
        let (batch, index, groups) = self.books.evict_oldest(from, can)?;
        self.evicted += 1;
        self.changes += 1;
        let (topic, base) = (&self.actor.name, batch.base());
        self.actor.watched.show(|| Sight::Evicted { topic, base, at: index });
        self.ttls.remove(&batch, base, Bits::range(index, index + 1));
        for link in &mut self.links {
            if groups.contains(&link.group) {
                link.evict(&batch, index);
            }
        }
        Some(Message { batch, index, redrives: 0, attempt: 0 })
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
        self.ttls.remove(batch, base, which);
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
            self.ttls.add(&batch, batch.base(), kept);
            from = batch.base() + 1;
        }
    }

    /// Moves handouts on that a group's mailbox had no place for: what was evicted is in it until the group looks.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) {
        self.links.iter_mut().for_each(|link| link.poll_late(cx));
    }
}
