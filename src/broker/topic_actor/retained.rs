//! What a topic keeps as history: taken in with each batch, trimmed as the limits say, and looked at from outside.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::replay::Replay;
use super::{Life, TopicActor};
use crate::base::{Bug, Moment, planted};
use crate::broker::bits::Bits;
use crate::broker::history::{History, Page, Retention, end, within};
use crate::broker::message::{BATCH, Batch};
use crate::broker::record::Clocks;
use crate::broker::topic_word::{Look, Seen};
use crate::broker::weight::Weighed as _;
use crate::broker::{Retain, Start};
use crate::runtime::Clock;

/// A topic's history.
pub(super) struct Retained<T> {
    pub(super) retention: Retention,
    /// Of a topic in memory.
    pub(super) pages: History<Arc<Batch<T>>>,
    clock: Clock,
    /// The clock is set for what will be too old.
    clock_set: bool,
    /// The log was told of this floor.
    told: u64,
    /// When what could not be read is tried again.
    again_at: Option<Moment>,
}

/// So long after a read that failed it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The log is told of a floor when it rose by so many messages, or a 256th of the limit.
const STEP: u64 = 64;

impl<T> Page for Arc<Batch<T>> {
    fn base(&self) -> u64 {
        Batch::base(self)
    }

    fn len(&self) -> u16 {
        Batch::len(self)
    }

    fn millis(&self, at: u16) -> u64 {
        self.id(at).unix_millis()
    }
}

impl<T: Send + Sync + 'static> TopicActor<T> {
    pub(super) fn retained(&self, retain: Retain) -> Retained<T> {
        let (floor, next) = match &self.store {
            Some(store) => store.keeper.disk.log.bounds(store.keeper.number).unwrap_or_default(),
            None => (0, 0),
        };
        let mut retention = Retention::new(retain, floor, next);
        let there = self.recovered.as_ref().map(|recovered| recovered.outline.as_slice());
        let mut from = floor;
        for (end, bytes, millis) in there.unwrap_or_default() {
            retention.push_all(from..*end, *bytes, *millis);
            from = *end;
        }
        let (pages, clock) = (History::default(), self.watch.rt().clock());
        Retained { retention, pages, clock, clock_set: false, told: floor, again_at: None }
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    /// The most messages of the next batch: one that keeps nobody else, while too much is kept that way.
    ///
    /// Why not by what the books say is pinned: they know nothing of dead letters, and of messages that users keep.
    pub(super) fn burst(&self) -> usize {
        let known = match (&self.history, &self.actor.store) {
            (None, _) => self.books.unsettled(),
            (Some(history), None) => self.books.unsettled().max(history.pages.messages()),
            (Some(_), Some(_)) => {
                let replays = self.links.iter().filter_map(|link| link.replay.as_ref());
                self.books.unsettled() + replays.map(Replay::out).sum::<u64>()
            }
        };
        let mut pinned = self.origin.alive().saturating_sub(known);
        if self.history.is_some() {
            // What history keeps and a batch pins is known, and still is too much of one batch.
            pinned = pinned.max(self.books.pinned());
        }
        let few = pinned < self.actor.settings.capacity as u64;
        if few || planted(Bug::PinnedBatches) { BATCH } else { 1 }
    }

    /// A batch was accepted, and its groups have it.
    pub(super) fn keep_as_history(&mut self, batch: &Arc<Batch<T>>) {
        let Some(history) = &mut self.history else { return };
        if self.actor.store.is_none() {
            // Of count alone the last one says all.
            let from = if history.retention.is_by_count() { batch.len().saturating_sub(1) } else { 0 };
            for at in from..batch.len() {
                let weight = batch.weight(Bits::range(at, at + 1));
                history.retention.push(batch.base() + u64::from(at) + 1, weight, batch.millis(at));
            }
            history.pages.push(batch.clone());
        }
        self.let_go_of_nobodys(batch.base());
        self.trim_history();
    }

    /// Of a topic on disk: a message up to `end` is stored, and has so many bytes.
    pub(super) fn note_stored(&mut self, end: u64, bytes: usize, millis: u64) {
        if let Some(history) = &mut self.history {
            history.retention.push(end, bytes as u64, millis);
        }
    }

    /// What is kept as history needs no place in the topic while there is no group.
    pub(super) fn let_go_of_nobodys(&mut self, mut from: u64) {
        if self.history.is_none() || self.actor.held || !self.links.is_empty() || !self.dormant.is_empty() {
            return;
        }
        self.ttls.clear();
        while let Some((batch, kept)) = self.books.first_kept(from) {
            from = batch.base() + 1;
            let freed = self.books.let_go(batch.base(), kept);
            self.free(freed);
        }
    }

    pub(super) fn trim_history(&mut self) {
        let now = self.actor.watch.rt().wall_millis();
        let Some(history) = &mut self.history else { return };
        let floor = history.retention.trim(now);
        history.pages.trim(floor);
        let Some(store) = &self.actor.store else { return self.show_kept() };
        // What a group has still to settle stays, however old.
        let oldest = self.books.oldest().map(|(batch, at)| batch.base() + u64::from(at));
        let oldest = oldest.into_iter().chain(self.unread.first()).min();
        let oldest = oldest.filter(|_| !planted(Bug::TrimsUnsettled));
        let floor = floor.min(oldest.unwrap_or(u64::MAX));
        let step = self
            .actor
            .settings
            .retain
            .and_then(|retain| retain.messages)
            .map_or(STEP, |most| STEP.min(most / 256));
        if floor > history.told + step || floor > history.told && history.clock_set {
            history.told = floor;
            store.keeper.disk.log.trim(store.keeper.number, floor);
        }
    }

    /// Something of the history could not be read.
    pub(super) fn try_later(&mut self) {
        let at = self.actor.watch.rt().now() + TRY_AGAIN;
        if let Some(history) = &mut self.history {
            history.again_at.get_or_insert(at);
        }
    }

    /// Trims what becomes too old while nothing comes, and reads again what could not be read.
    pub(super) fn poll_history(&mut self, cx: &mut Context<'_>) {
        loop {
            let Some(history) = &mut self.history else { return };
            let due = history.retention.due();
            if due.is_none() && history.again_at.is_none() && !history.clock_set {
                return;
            }
            let clocks = Clocks::of(self.actor.watch.rt());
            let due: Option<Moment> = due.map(|due| clocks.moment(due));
            let at = due.into_iter().chain(history.again_at).min();
            history.clock_set = at.is_some();
            let Poll::Ready(now) = history.clock.poll_alarm(at, cx) else { return };
            let floor = history.retention.floor();
            let again = history.again_at.take_if(|at| *at <= now).is_some();
            self.trim_history();
            if again {
                self.feed_failed();
            }
            let Some(history) = &mut self.history else { return };
            if history.retention.floor() == floor && !again {
                return;
            }
        }
    }

    /// Where a new group begins that reads history, if it does not begin with what comes next.
    pub(super) fn begins_at(&self, start: Start) -> u64 {
        let next = self.books.next_offset();
        let Some(history) = &self.history else { return next };
        let floor = self.floor();
        let from = match start {
            Start::Earliest => floor,
            Start::Latest => next,
            Start::Offset(offset) => offset,
            // Elsewhere it was looked up before, see `TopicShared::look_up`.
            Start::After(id) if self.actor.spiller.is_some() && self.actor.tally.is_named() => {
                history.pages.find(|page, at| page.own_id(at) > id).unwrap_or(next)
            }
            Start::After(id) => id.offset().saturating_add(1),
            // On disk it was looked up before.
            Start::UnixMillis(millis) => {
                history.pages.find(|page, at| Page::millis(page, at) >= millis).unwrap_or(next)
            }
        };
        from.clamp(floor, next.max(floor))
    }

    /// Shows what is kept on one side of an offset: the nearest batch.
    pub(super) fn look(&self, Look { at, back, answer }: Look<T>) {
        let found = match (&self.history, back) {
            (Some(history), false) => {
                let at = at + u64::from(at > 0 && planted(Bug::BlindBrowse));
                history.pages.at(at).map(|page| (page.clone(), self.above_floor(&page)))
            }
            (Some(history), true) => {
                history.pages.before(at).map(|page| (page.clone(), self.above_floor(&page)))
            }
            (None, false) => self.books.kept_at(at),
            (None, true) => self.books.kept_before(at),
        };
        let seen = found.map(|(batch, kept)| {
            let which = if back { within(&batch, 0, at) } else { within(&batch, at, end(&batch)) };
            Seen { which: kept.and(which), batch }
        });
        drop(answer.send(seen));
    }

    fn above_floor(&self, page: &Arc<Batch<T>>) -> Bits {
        within(page, self.floor(), end(page))
    }
}
