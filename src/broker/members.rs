//! The consumers of a group as its actor sees them: where to send leases, and what each is at.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::consumer::ConsumerWord;
use super::lease::{Handling, Held, Lease, LeaseId, Progress, SLOTS, Slot};
use super::ledger::{Past, Slice};
use super::message::Batch;
use super::workers::{ConsumerId, WorkerCounts};
use super::{ConsumerKind, ConsumerState, ConsumerStats};
use crate::base::{Bug, Moment, planted};
use crate::mailbox::{Receiver, Sender, mailbox};

/// A handler's mailbox counts leases: those it has, and those that were taken back from it there.
const LEASES: usize = 2 * SLOTS;

pub(crate) struct Members<T> {
    list: BTreeMap<ConsumerId, Member<T>>,
    next: u32,
    /// Pulled deliveries in flight. Limit: the streams' prefetch.
    pulled: BTreeMap<LeaseId, Pulled>,
}

struct Pulled {
    by: ConsumerId,
    held: Arc<Held>,
    /// What the last look saw.
    seen: Option<u64>,
}

struct Member<T> {
    mailbox: Sender<Lease<T>, ConsumerWord>,
    /// Present for handlers, not for streams.
    handler: Option<Handler>,
}

#[derive(Default)]
struct Handler {
    progress: Arc<Progress>,
    /// The last leases it was handed. Those that are not over are among them, since it works them off in order and
    /// is handed none after one was taken back, before it has seen that.
    leases: [Option<LeaseId>; SLOTS],
    next_slot: Slot,
    /// What the last look saw.
    seen: Option<Handling>,
    /// What was cancelled last.
    cancelled: Option<Handling>,
    stuck: bool,
    rebuild_at: Option<Moment>,
    /// It was not to be rebuilt any more.
    given_up: bool,
    /// It was told to end, for there are to be fewer.
    leaving: bool,
    /// How often it was made anew, or was to be.
    rebuilt: u64,
}

/// What the task of a new handler needs.
type Seat<T> = (ConsumerId, Receiver<Lease<T>, ConsumerWord>, Arc<Progress>);

impl<T> Default for Members<T> {
    fn default() -> Members<T> {
        Members { list: BTreeMap::new(), next: 0, pulled: BTreeMap::new() }
    }
}

impl<T> Members<T> {
    pub(crate) fn add_handler(&mut self) -> Seat<T> {
        let (sender, receiver) = mailbox(LEASES, ());
        let handler = Handler::default();
        let progress = handler.progress.clone();
        (self.add(Member { mailbox: sender, handler: Some(handler) }), receiver, progress)
    }

    pub(crate) fn add_stream(&mut self, mailbox: Sender<Lease<T>, ConsumerWord>) -> ConsumerId {
        self.add(Member { mailbox, handler: None })
    }

    fn add(&mut self, member: Member<T>) -> ConsumerId {
        self.next += 1;
        let id = ConsumerId(self.next);
        self.list.insert(id, member);
        id
    }

    pub(crate) fn remove(&mut self, id: ConsumerId) {
        self.list.remove(&id);
    }

    /// Sends a lease to a consumer; `false` if it has ended.
    pub(crate) fn hand(
        &mut self,
        to: ConsumerId,
        id: LeaseId,
        slice: Slice<Arc<Batch<T>>>,
        past: Past,
    ) -> bool {
        let Some(member) = self.list.get_mut(&to) else { return false };
        let held = member.handler.is_none().then(Arc::<Held>::default);
        let slot = match &mut member.handler {
            Some(handler) => handler.put(id, slice.from, slice.to),
            None => Slot::default(),
        };
        let Slice { batch, from, to: end, picked, .. } = slice;
        let lease = Lease { id, batch, from, to: end, picked, past, slot, held: held.clone() };
        if member.mailbox.try_send(lease).is_err() {
            // It has ended, or not yet seen that messages were taken back from it; then it will say so.
            if let Some(handler) = &mut member.handler {
                handler.next_slot = slot;
            }
            return false;
        }
        if let Some(held) = held {
            self.pulled.insert(id, Pulled { by: to, held, seen: None });
        }
        true
    }

    /// Takes from a consumer what it has not started. Answers the leases, and from which message on they are cut.
    pub(crate) fn take_back(&mut self, from: ConsumerId) -> Vec<(LeaseId, u16)> {
        if let Some(handler) = self.list.get(&from).and_then(|member| member.handler.as_ref()) {
            let leases = Slot::both().into_iter().zip(handler.leases);
            let cut = |(slot, id): (Slot, Option<LeaseId>)| {
                let id = id?;
                handler.progress.take_back(slot, id).map(|at| (id, at))
            };
            return leases.filter_map(cut).collect();
        }
        let mut taken = Vec::new();
        self.pulled.retain(|lease, pulled| {
            let back = pulled.by == from && pulled.held.take_back();
            if back {
                taken.push((*lease, 0));
            }
            !back
        });
        taken
    }

    /// A pulled delivery was settled or given back.
    pub(crate) fn forget(&mut self, lease: LeaseId) {
        self.pulled.remove(&lease);
    }

    /// Looks at what is in flight. What has not moved since the last look is past its deadline (G13): a handler is
    /// told to drop it; a pulled delivery's door is closed, and its lease returned from here.
    /// `stuck` hears of handlers that were told to at the last look, and did not.
    pub(crate) fn look(&mut self, mut stuck: impl FnMut(ConsumerId)) -> Vec<(LeaseId, ConsumerId)> {
        for (id, member) in &mut self.list {
            let Some(handler) = &mut member.handler else { continue };
            let busy = handler.progress.busy();
            let overdue = busy.filter(|_| busy == handler.seen || planted(Bug::EarlyDeadline));
            let was_stuck = handler.stuck;
            handler.stuck = overdue.is_some() && overdue == handler.cancelled;
            handler.seen = busy;
            if handler.stuck {
                if !was_stuck {
                    stuck(*id);
                }
            } else if let Some(number) = overdue {
                handler.cancelled = overdue;
                drop(member.mailbox.control(ConsumerWord::Cancel(number)));
            }
        }
        let mut expired = Vec::new();
        self.pulled.retain(|lease, pulled| {
            let state = pulled.held.look();
            let over = state.is_some_and(|now| state == pulled.seen && pulled.held.expire(now));
            if over {
                expired.push((*lease, pulled.by));
            }
            pulled.seen = state;
            !over
        });
        expired
    }

    /// Tells a handler that it was heard to be away.
    pub(crate) fn note(&self, id: ConsumerId) {
        if let Some(member) = self.list.get(&id) {
            drop(member.mailbox.control(ConsumerWord::Noted));
        }
    }

    pub(crate) fn rebuild_at(&mut self, id: ConsumerId, at: Moment) {
        if let Some(handler) = self.list.get_mut(&id).and_then(|member| member.handler.as_mut()) {
            handler.rebuild_at = Some(at);
        }
    }

    pub(crate) fn next_rebuild(&self) -> Option<Moment> {
        self.handlers().filter_map(|handler| handler.rebuild_at).min()
    }

    /// Lets those build a handler whose moment has come.
    pub(crate) fn rebuild(&mut self, now: Moment) {
        for member in self.list.values_mut() {
            let Some(handler) = &mut member.handler else { continue };
            if handler.rebuild_at.is_some_and(|at| at <= now) {
                handler.rebuild_at = None;
                drop(member.mailbox.control(ConsumerWord::Build));
            }
        }
    }

    /// This one, and whoever waits to be rebuilt, is not rebuilt any more.
    pub(crate) fn give_up(&mut self, id: ConsumerId) {
        for (member, handler) in self.list.iter_mut().filter_map(|(id, m)| Some((id, m.handler.as_mut()?))) {
            handler.given_up |= handler.rebuild_at.take().is_some() || *member == id;
        }
    }

    /// Sends those away that were given up: they have no handler, and hold nothing.
    pub(crate) fn dismiss(&mut self) -> Vec<ConsumerId> {
        let given_up = |member: &Member<T>| member.handler.as_ref().is_some_and(|handler| handler.given_up);
        let ids: Vec<_> =
            self.list.iter().filter(|(_, member)| given_up(member)).map(|(id, _)| *id).collect();
        for member in ids.iter().filter_map(|id| self.list.remove(id)) {
            drop(member.mailbox.control(ConsumerWord::Stop { kill: true }));
        }
        ids
    }

    /// Lets those who were given up try again.
    pub(crate) fn build_given_up(&mut self) {
        for member in self.list.values_mut() {
            let Some(handler) = &mut member.handler else { continue };
            if std::mem::take(&mut handler.given_up) {
                drop(member.mailbox.control(ConsumerWord::Build));
            }
        }
    }

    /// How many handlers there are without those that are leaving, and which of them are more than `count`: first those
    /// that could not be made, then those that hold the fewest `messages`, the youngest first.
    pub(crate) fn surplus(
        &self,
        count: usize,
        messages: impl Fn(ConsumerId) -> u32,
    ) -> (usize, Vec<ConsumerId>) {
        let stays = |(id, member): (&ConsumerId, &Member<T>)| {
            let handler = member.handler.as_ref().filter(|handler| !handler.leaving)?;
            let works = handler.rebuild_at.is_none() && !handler.given_up;
            Some((works, messages(*id), std::cmp::Reverse(*id)))
        };
        let mut all: Vec<_> = self.list.iter().filter_map(stays).collect();
        all.sort_unstable();
        let surplus = all.iter().take(all.len().saturating_sub(count));
        (all.len(), surplus.map(|(.., std::cmp::Reverse(id))| *id).collect())
    }

    /// Lets a handler go: it ends after the message it is at.
    pub(crate) fn let_go(&mut self, id: ConsumerId) {
        let Some(member) = self.list.get_mut(&id) else { return };
        if let Some(handler) = &mut member.handler {
            (handler.leaving, handler.rebuild_at) = (true, None);
            drop(member.mailbox.control(ConsumerWord::Stop { kill: false }));
        }
    }

    /// Whether it was let go.
    pub(crate) fn is_leaving(&self, id: ConsumerId) -> bool {
        self.list.get(&id).and_then(|member| member.handler.as_ref()).is_some_and(|handler| handler.leaving)
    }

    pub(crate) fn stop(&mut self, kill: bool) {
        for member in self.list.values() {
            drop(member.mailbox.control(ConsumerWord::Stop { kill }));
        }
    }

    /// The time for stopping is up: handlers that are still there don't yield.
    pub(crate) fn call_stuck(&mut self, mut stuck: impl FnMut(ConsumerId)) {
        for (id, handler) in self.list.iter_mut().filter_map(|(id, m)| Some((id, m.handler.as_mut()?))) {
            if !std::mem::replace(&mut handler.stuck, true) {
                stuck(*id);
            }
        }
    }

    /// Closes the doors of all pulled deliveries: the group is over, and a late ack is told so.
    pub(crate) fn close_all(&mut self) {
        for Pulled { held, .. } in self.pulled.values() {
            let _ = held.take_back() || held.look().is_some_and(|seen| held.expire(seen));
        }
    }

    /// A handler was lost, or could not be made, and is to be made anew.
    pub(crate) fn on_rebuilt(&mut self, id: ConsumerId) {
        if let Some(handler) = self.list.get_mut(&id).and_then(|member| member.handler.as_mut()) {
            handler.rebuilt += 1;
        }
    }

    /// The consumers as users see them; `counts` tells what each has.
    pub(crate) fn stats(&self, counts: impl Fn(ConsumerId) -> WorkerCounts) -> Vec<ConsumerStats> {
        let stats = |(id, member): (&ConsumerId, &Member<T>)| {
            let (counts, handler) = (counts(*id), member.handler.as_ref());
            let kind = if handler.is_some() { ConsumerKind::Handler } else { ConsumerKind::Stream };
            let state = match handler {
                Some(handler) if handler.stuck => ConsumerState::Stuck,
                Some(handler) if handler.leaving => ConsumerState::Leaving,
                Some(handler) if handler.given_up => ConsumerState::GivenUp,
                Some(handler) if handler.rebuild_at.is_some() => ConsumerState::Broken,
                _ if counts.ready => ConsumerState::Ready,
                _ => ConsumerState::Away,
            };
            ConsumerStats {
                consumer: id.0,
                kind,
                state,
                leases: counts.leases,
                messages: counts.messages,
                handled: counts.handled,
                failures: counts.failures,
                rebuilt: handler.map_or(0, |handler| handler.rebuilt),
            }
        };
        self.list.iter().map(stats).collect()
    }

    pub(crate) fn is_handler(&self, id: ConsumerId) -> bool {
        self.list.get(&id).is_some_and(|member| member.handler.is_some())
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = ConsumerId> {
        self.list.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn stuck(&self) -> usize {
        self.handlers().filter(|handler| handler.stuck).count()
    }

    /// Whether a handler is there that may still yield.
    pub(crate) fn any_works(&self) -> bool {
        self.handlers().any(|handler| !handler.stuck)
    }

    fn handlers(&self) -> impl Iterator<Item = &Handler> {
        self.list.values().filter_map(|member| member.handler.as_ref())
    }
}

impl<T> Drop for Members<T> {
    /// Where the group's task vanishes before its consumers do (with its runtime), nobody is left to end a handler that
    /// hangs. Does nothing to those that have ended.
    fn drop(&mut self) {
        self.stop(true);
    }
}

impl Handler {
    /// Notes a new lease; answers the slot it has.
    fn put(&mut self, id: LeaseId, from: u16, to: u16) -> Slot {
        let slot = self.next_slot;
        self.next_slot = slot.other();
        self.progress.put(slot, id, from, to);
        *slot.of_mut(&mut self.leases) = Some(id);
        slot
    }
}
