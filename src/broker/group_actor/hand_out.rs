//! What a group hands out, and what it takes back so that others have something to do.

use std::sync::Arc;
use std::time::Duration;

use super::{GroupActor, Life, PATIENCE};
use crate::base::{Moment, catch};
use crate::broker::RateLimit;
use crate::broker::breaker::Tally;
use crate::broker::lease::LeaseId;
use crate::broker::ledger::{Effect, Slice};
use crate::broker::message::Batch;
use crate::broker::witness::Sight;
use crate::broker::workers::Credit;

impl<T: Send + Sync + 'static> Life<T> {
    /// Hands out what there is, as far as consumers and limits have room.
    pub(super) fn hand_out(&mut self, now: Moment) {
        loop {
            let (before, first) = (self.ledger.counts().in_flight, self.effects.len());
            let room = self.gate.room(before, now);
            if room.all > 0 {
                self.ledger.dispatch_up_to(room, now, &mut self.effects);
            }
            let handed = self.ledger.counts().in_flight - before;
            self.gate.on_handed(room, handed);
            if self.gate.hears_leases() {
                self.note_leases(first);
            }
            if handed == 0 || !self.gate.is_weighed() {
                return;
            }
        }
    }

    /// Leases go out: the effects from the one at `first` on.
    fn note_leases(&mut self, first: usize) {
        for effect in self.effects.iter().skip(first) {
            let Effect::Lease { id, slice, .. } = effect else { continue };
            let weight = self.actor.weight(slice, self.gate.rate_limit());
            self.gate.on_lease(*id, weight);
            if self.gate.rate_limit().is_some() {
                let (topic, group, lease) = (&self.actor.topic_name, &self.actor.name, *id);
                self.actor.watched.show(|| Sight::Handed { topic, group, lease, weight });
            }
        }
    }

    /// When there may be more room for what waits, or a breaker's pause is over.
    pub(super) fn next_room(&self) -> Option<Moment> {
        self.gate.next_alarm(self.hands_out() && self.ledger.has_some())
    }

    /// What a handler may hold: all that it has begins at once where a rate counts beginnings.
    pub(super) fn handler_credit(&self) -> Credit {
        let limited = self.gate.rate_limit().is_some();
        Credit::Handler { prefetch: if limited { 1 } else { self.actor.settings.prefetch } }
    }

    /// Whether a consumer has nothing to do while others hold what they may not have begun.
    pub(super) fn is_uneven(&self) -> bool {
        self.hands_out() && self.ledger.is_uneven(self.gate.is_shut())
    }

    /// Takes back what is not started from those who have had it for a while, if others have nothing to do.
    pub(super) fn share(&mut self, now: Moment) {
        self.share_at = None;
        if !self.is_uneven() {
            return;
        }
        let (holders, more_later) = self.ledger.holders(now - PATIENCE);
        self.shared = !more_later;
        holders.into_iter().for_each(|consumer| self.take_back_from(consumer));
    }

    /// A consumer gave back what it had not started of a lease.
    pub(super) fn on_give_back(&mut self, lease: LeaseId) {
        let before = self.ledger.counts().in_flight;
        self.ledger.on_give_back(lease);
        self.note_back(lease, before);
    }

    /// Of a lease something may have come back unbegun; so many were in flight before.
    pub(super) fn note_back(&mut self, lease: LeaseId, before: u64) {
        let back = before - self.ledger.counts().in_flight;
        self.gate.on_given_back(lease, back);
        if back > 0 && self.gate.rate_limit().is_some() {
            let (topic, group) = (&self.actor.topic_name, &self.actor.name);
            self.actor.watched.show(|| Sight::Returned { topic, group, lease });
        }
    }

    /// Attempts of this lease have ended, with so many failures; the books had `well` good ends before them.
    pub(super) fn on_ends(&mut self, lease: LeaseId, tally: Tally, well: u64, now: Moment) {
        let success = self.good_ends() > well;
        let random = if tally.any() { self.actor.rt.random() } else { 0 };
        let Some(fuse) = self.gate.fuse() else { return };
        let before = fuse.room();
        let opened = fuse.on_ends(lease, tally.ends(success), now, random);
        if opened {
            let pause = fuse.next_alarm().map_or(Duration::ZERO, |until| until.since(now));
            self.actor.tell_opened(pause);
            self.take_back_all();
        }
        if before != u64::MAX && self.gate.fuse().is_some_and(|fuse| fuse.room() == u64::MAX) {
            self.actor.tell_closed();
        }
        if opened || before != self.gate.fuse().map_or(before, |fuse| fuse.room()) {
            self.show_allowance();
        }
    }

    /// Attempts that ended well.
    pub(super) fn good_ends(&self) -> u64 {
        let counts = self.ledger.counts();
        counts.acked + counts.dropped
    }

    /// Shows how many messages may begin from now on.
    pub(super) fn show_allowance(&mut self) {
        let room = self.gate.fuse().map_or(u64::MAX, |fuse| fuse.room());
        let most = if self.paused { 0 } else { room };
        let (topic, group) = (&self.actor.topic_name, &self.actor.name);
        self.actor.watched.show(|| Sight::MayBegin { topic, group, most });
    }
}

impl<T> GroupActor<T> {
    /// What these take of a rate limit. One at which the function for that panics takes the whole burst.
    fn weight(&self, slice: &Slice<Arc<Batch<T>>>, limit: Option<RateLimit>) -> u64 {
        let (Some(weigher), Some(limit)) = (&self.weigher, limit) else { return slice.len().into() };
        let weight = |at| {
            catch(|| weigher(slice.batch.value(at)) as u64).unwrap_or_else(|text| {
                let (topic, group) = (&self.topic_name, &self.name);
                tracing::error!(target: "callboard::broker", %topic, %group, panic = %text, "a rate's weigher panicked");
                limit.burst_size().into()
            })
        };
        slice.bits().iter().map(weight).fold(0, u64::saturating_add)
    }
}
