//! The group's ledger: which message is where. Pure; time and chance are arguments, effects are the result.
//!
//! ```text
//!                  on_batch            dispatch                report: ack, drop
//!   (not yet) ────────────▶ backlog ─────────────▶ in flight ───────────────────▶ settled
//!                              ▲  ▲                  │ │  │                          ▲
//!                              │  └── give back ─────┘ │  │ dead letter,             │
//!                            ready ◀── release ────────┘  │ or failed too often      │ on_dead_lettered
//!                              ▲                          ▼                          │
//!                   on_alarm   └──── delayed ◀─ failed   parked ─────────────────────┘
//! ```
//!
//! | a message is | it leaves by | to |
//! |---|---|---|
//! | backlog: never started; in offset order | `dispatch` | in flight, in a lease with its neighbours |
//! | ready: started before, or redriven; in offset order, mostly before the backlog | `dispatch` | in flight, alone |
//! | in flight: in one lease of one consumer | `on_report`, `on_give_back` | settled, delayed, ready, parked, backlog |
//! | delayed: failed, waits for its moment | `on_alarm` | ready |
//! | parked: on its way to the dead-letter topic | `on_dead_lettered` | settled |
//!
//! Backlog and ready are one queue, or, in an ordered group, lanes (`keys.rs`): the messages of a lane wait for each other,
//! and a message in flight or delayed keeps its lane from going out.
//!
//! A message that was dead-lettered is settled; redriven, it enters once more, as ready (`on_redriven`).
//!
//! Books: entered = acked + dropped + dead + backlog + ready + in flight + delayed + parked, after every call.
//! A lease's id is never used twice, so a report for one that is over changes nothing (G7).

use std::collections::{BTreeMap, BTreeSet};

use super::delayed::Delayed;
use super::gate::Room;
use super::lease::LeaseId;
use super::order::{BatchHandle, Order};
use super::outcome::Verdict;
use super::stats::Counts;
use super::ttls::Ttls;
use super::workers::{ConsumerId, Credit, WorkerCounts, Workers};
use super::{DeadReason, GroupSettings, Retry};
use crate::base::{Bug, Moment, planted};

use memory::Memory;
pub(crate) use memory::Remembered;
use queue::Queue;
pub(crate) use words::{Effect, Past, Report, Slice};

/// So many leases in a row are of messages started before; then one is from the backlog, if there is one.
///
/// Why: a message that is tried again at once, as often as it likes, must not be all that a group does.
const RETRIES_IN_A_ROW: u32 = 16;

pub(crate) struct Ledger<B> {
    retry: Retry,
    order: Order,
    queue: Queue<B>,
    delayed: Delayed<B>,
    /// Of the messages in the queue and among the delayed, those that are to be past their time.
    ttls: Ttls<B>,
    max_lag: Option<u64>,
    dead_letter_expired: bool,
    leases: BTreeMap<LeaseId, Lease<B>>,
    next_lease: u64,
    workers: Workers,
    counts: Counts,
    /// Part of the backlog that is not here, but with the topic.
    withheld: u64,
    /// Messages came back from consumers since it was asked, and are not settled.
    let_go: bool,
    /// Present in a durable topic: what is to be known of messages that were begun before the process was.
    memory: Option<Memory>,
}

struct Lease<B> {
    consumer: ConsumerId,
    slice: Slice<B>,
    /// Everything before this index was reported.
    reported: u16,
    past: Past,
    /// When it was handed out.
    since: Moment,
}

impl<B: Clone + BatchHandle> Ledger<B> {
    pub(crate) fn new(settings: &GroupSettings) -> Ledger<B> {
        Ledger {
            retry: settings.retry,
            order: settings.order,
            queue: Queue::new(settings),
            delayed: Delayed::default(),
            ttls: Ttls::default(),
            max_lag: settings.max_lag.map(u64::from),
            dead_letter_expired: settings.dead_letter_expired,
            leases: BTreeMap::new(),
            next_lease: 0,
            workers: Workers::new(settings.order == Order::Exclusive),
            counts: Counts::default(),
            withheld: 0,
            let_go: false,
            memory: None,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// What a consumer has, and has done.
    pub(crate) fn worker(&self, id: ConsumerId) -> Option<WorkerCounts> {
        self.workers.counts(id)
    }

    /// The leases and messages that a consumer holds.
    #[cfg(test)]
    pub(crate) fn held(&self, id: ConsumerId) -> Option<(u32, u32)> {
        self.workers.counts(id).map(|counts| (counts.leases, counts.messages))
    }

    /// New messages, with higher offsets than all before.
    pub(crate) fn on_batch(&mut self, slice: Slice<B>) {
        let messages = u64::from(slice.len());
        if messages > 0 {
            self.counts.entered += messages;
            self.counts.backlog += messages;
            self.ttls.add(&slice);
            self.queue.push(slice);
        }
    }

    /// A message that was given up is back, as if it were new but for its past.
    pub(crate) fn on_redriven(&mut self, slice: Slice<B>, redrives: u16) {
        self.counts.entered += 1;
        self.counts.redriven += 1;
        self.counts.ready += 1;
        self.queue.push_redriven(slice, Past { redrives, ..Past::default() });
    }

    /// Messages that stay with the topic for good, since the group ends.
    pub(crate) fn on_withheld(&mut self, messages: u64) {
        self.withheld += messages;
        self.counts.entered += messages;
        self.counts.backlog += messages;
    }

    /// A consumer joins; it gets nothing before it says that it is ready.
    pub(crate) fn on_consumer(&mut self, id: ConsumerId, credit: Credit) {
        self.workers.add(id, credit);
    }

    /// A consumer can, or can't, take messages.
    pub(crate) fn on_ready(&mut self, id: ConsumerId, ready: bool) {
        self.workers.set_ready(id, ready);
    }

    /// A consumer may hold so many from now on.
    pub(crate) fn on_credit(&mut self, id: ConsumerId, credit: Credit) {
        self.workers.set_credit(id, credit);
    }

    /// A consumer left. Leases that it still has stay valid: a pulled delivery may outlive its stream.
    pub(crate) fn on_gone(&mut self, id: ConsumerId) {
        self.workers.remove(id);
    }

    /// A consumer tells how far it is with a lease. Answers `false` if that lease is over.
    pub(crate) fn on_report(
        &mut self,
        report: Report,
        now: Moment,
        random: u64,
        effects: &mut Vec<Effect<B>>,
    ) -> bool {
        let Some(mut lease) = self.leases.remove(&report.lease) else {
            self.counts.refused_reports += 1;
            return false;
        };
        let upto = report.upto.clamp(lease.reported, lease.slice.to);
        let (mut through, mut withdrawn, mut acked_from) = (0, 0, lease.reported);
        for (index, verdict) in report.exceptions {
            debug_assert!((acked_from..upto).contains(&index), "an exception lies in what is reported");
            through += self.ack(&lease, acked_from, index, effects) + 1;
            if let Verdict::Retry { .. } = verdict {
                self.workers.on_failure(lease.consumer);
            }
            let again = verdict.comes_again();
            let slice = lease.slice.part(index, index + 1);
            self.except(slice, lease.past.clone(), verdict, now, random, effects);
            withdrawn += if again { self.withdraw_behind(&mut lease.slice, index) } else { 0 };
            acked_from = index + 1;
        }
        through += self.ack(&lease, acked_from, upto, effects);
        let over = upto >= lease.slice.to;
        // Why here, where attempts end: a message that was leased and given back was not delivered.
        self.counts.redeliveries += if lease.past.attempts > 0 { u64::from(through) } else { 0 };
        self.counts.in_flight -= u64::from(through + withdrawn);
        self.workers.on_report(lease.consumer, through, over, lease.since, now);
        self.workers.on_give_back(lease.consumer, withdrawn, false);
        if !over {
            lease.reported = upto;
            self.leases.insert(report.lease, lease);
        }
        true
    }

    /// Takes those messages out of a lease that must not start before the one at `index`, and puts them back.
    fn withdraw_behind(&mut self, slice: &mut Slice<B>, index: u16) -> u16 {
        let behind = self.order.behind(&slice.batch, index, slice.bits());
        if behind.is_empty() {
            return 0;
        }
        let back = Slice::of(slice.batch.clone(), slice.base, behind);
        *slice = Slice::of(slice.batch.clone(), slice.base, slice.bits().without(behind));
        let messages = back.len();
        Self::let_go(&back, &Past::default());
        // Invariant: a lease of several messages has none that was started before.
        self.put_back(back, Past::default());
        messages
    }

    /// The verdict on a lease that is a single message.
    pub(crate) fn on_sole(
        &mut self,
        id: LeaseId,
        verdict: Verdict,
        now: Moment,
        random: u64,
        effects: &mut Vec<Effect<B>>,
    ) -> bool {
        let Some(slice) = self.leases.get(&id).map(|lease| lease.slice.clone()) else { return false };
        let exceptions = if verdict == Verdict::Ack { Vec::new() } else { vec![(slice.from, verdict)] };
        self.on_report(Report { lease: id, upto: slice.to, exceptions }, now, random, effects)
    }

    /// A consumer gives back what it has not started of a lease. It costs those messages nothing.
    pub(crate) fn on_give_back(&mut self, id: LeaseId) -> bool {
        let known = self.on_taken_back(id, 0);
        self.counts.refused_reports += u64::from(!known);
        known
    }

    /// What a lease has from `end` on is not its consumer's any more. It costs those messages nothing.
    pub(crate) fn on_taken_back(&mut self, id: LeaseId, end: u16) -> bool {
        let Some(lease) = self.leases.remove(&id) else { return false };
        let end = end.clamp(lease.reported, lease.slice.to);
        let rest = lease.slice.part(end, lease.slice.to);
        let kept = lease.slice.part(lease.reported, end);
        self.workers.on_give_back(lease.consumer, rest.len(), kept.len() == 0);
        self.counts.in_flight -= u64::from(rest.len());
        Self::let_go(&rest, &lease.past);
        if rest.len() > 0 && !planted(Bug::ForgottenInFlight) {
            self.put_back(rest, lease.past.clone());
        }
        if kept.len() > 0 {
            self.leases.insert(id, Lease { slice: kept, ..lease });
        }
        true
    }

    /// Whether a consumer has nothing to do while others have something; `kept` says that there is no room for more.
    pub(crate) fn is_uneven(&self, kept: bool) -> bool {
        (kept || !self.has_some()) && self.counts.in_flight > 0 && self.workers.any_idle()
    }

    /// The consumers that have had messages since `moment` or before; and whether some have had theirs for less.
    pub(crate) fn holders(&self, moment: Moment) -> (BTreeSet<ConsumerId>, bool) {
        let old = self.leases.values().filter(|lease| lease.since <= moment);
        let young = self.leases.values().any(|lease| lease.since > moment);
        (old.map(|lease| lease.consumer).collect(), young)
    }

    /// The dead-letter topic took the message.
    pub(crate) fn on_dead_lettered(&mut self, slice: &Slice<B>, past: &Past, effects: &mut Vec<Effect<B>>) {
        self.counts.parked -= 1;
        self.counts.dead += 1;
        effects.push(settled(slice, past));
    }

    /// When the next delayed message is due, or the next one past its time.
    pub(crate) fn next_alarm(&self) -> Option<Moment> {
        [self.delayed.next(), self.ttls.first()].into_iter().flatten().min()
    }

    /// Delayed messages whose moment has come are ready, and those past their time are gone.
    pub(crate) fn on_alarm(&mut self, now: Moment, effects: &mut Vec<Effect<B>>) {
        while let Some((slice, past)) = self.delayed.take_due(now) {
            self.counts.delayed -= 1;
            self.put_back(slice, past);
        }
        self.expire(now, effects);
    }

    /// Hands out as much as the consumers have credit for and there is room for.
    pub(crate) fn dispatch_up_to(&mut self, mut room: Room, now: Moment, effects: &mut Vec<Effect<B>>) {
        while room.all > 0
            && self.has_some()
            && let Some((consumer, size)) = self.workers.next(self.share_of().min(room.all).min(room.each))
            && let Some((slice, past)) = self.queue.take(size, self.workers.ready())
        {
            self.count_out(&slice, &past);
            let Some((slice, past)) = self.recall(slice, past, now, effects) else { continue };
            let slice = self.still_wanted(slice, &past, now, effects);
            if slice.len() == 0 {
                continue;
            }
            let messages = u64::from(slice.len());
            room.all -= messages;
            self.workers.on_lease(consumer, slice.len());
            let id = LeaseId::new(if planted(Bug::NoFence) { slice.first() } else { self.next_lease });
            self.next_lease += 1;
            self.counts.in_flight += messages;
            let (reported, kept) = (slice.from, slice.clone());
            let lease = Lease { consumer, slice: kept, reported, past: past.clone(), since: now };
            self.leases.insert(id, lease);
            effects.push(Effect::Lease { consumer, id, slice, past });
        }
    }

    /// What the consumers share.
    fn share_of(&self) -> u64 {
        match self.order {
            Order::Shared => self.counts.backlog,
            Order::Keyed | Order::Exclusive => self.queue.available(),
        }
    }

    /// What waited does not any more.
    fn count_out(&mut self, slice: &Slice<B>, past: &Past) {
        let waiting = if past.is_blank() { &mut self.counts.backlog } else { &mut self.counts.ready };
        *waiting -= u64::from(slice.len());
        self.ttls.remove(slice);
    }

    /// Nobody has these leased any more.
    fn let_go(slice: &Slice<B>, past: &Past) {
        if past.redrives == 0 && slice.batch.may_be_unwanted() {
            slice.batch.let_go(slice.bits());
        }
    }

    /// Lets go of all that is leased: the group is over.
    pub(crate) fn let_all_go(&self) {
        for lease in self.leases.values() {
            Self::let_go(&lease.slice.part(lease.reported, lease.slice.to), &lease.past);
        }
    }

    /// Gives up what waits behind a message that failed, as far as there is too much of it.
    pub(crate) fn give_up_surplus(&mut self, effects: &mut Vec<Effect<B>>) {
        while let Some(slice) = self.queue.take_surplus() {
            self.count_out(&slice, &Past::default());
            self.counts.parked += 1;
            effects.push(Effect::Dead { slice, past: Past::default(), reason: DeadReason::KeyFull });
        }
    }

    /// Acks what a lease has in `from..to`; answers how many messages these are.
    fn ack(&mut self, lease: &Lease<B>, from: u16, to: u16, effects: &mut Vec<Effect<B>>) -> u16 {
        // Why: what is behind may have been withdrawn by an exception before.
        let to = to.min(lease.slice.to);
        if from >= to {
            return 0;
        }
        // Why not always a part: it is one more handle of the batch, for each lease.
        let all = (from, to) == (lease.slice.from, lease.slice.to);
        let part = (!all).then(|| lease.slice.part(from, to));
        let acked = part.as_ref().unwrap_or(&lease.slice);
        if acked.len() > 0 {
            self.counts.acked += u64::from(acked.len());
            self.queue.on_done(acked);
            effects.push(settled(acked, &lease.past));
            Self::let_go(acked, &lease.past);
        }
        acked.len()
    }

    /// Whether messages came back from consumers since this was last asked, and nobody is done with them.
    pub(crate) fn has_let_go(&mut self) -> bool {
        std::mem::take(&mut self.let_go)
    }

    /// What was handed out waits again.
    fn put_back(&mut self, slice: Slice<B>, past: Past) {
        self.let_go = true;
        *(if past.is_blank() { &mut self.counts.backlog } else { &mut self.counts.ready }) +=
            u64::from(slice.len());
        self.wait(&slice, &past);
        self.queue.put_back(slice, past);
    }
}

/// The group is done with these messages. Which account the place belongs to depends on how they came.
fn settled<B: Clone + BatchHandle>(slice: &Slice<B>, past: &Past) -> Effect<B> {
    mark_settled(slice, past);
    match past.redrives {
        0 => Effect::Settled { base: slice.base, which: slice.bits() },
        // Invariant: what was redriven comes alone, and is never joined with others.
        _ => Effect::SettledAgain { base: slice.base, at: slice.from },
    }
}

/// What was redriven holds a place of its own, which nobody evicts.
fn mark_settled<B: Clone + BatchHandle>(slice: &Slice<B>, past: &Past) {
    if past.redrives == 0 && slice.batch.may_be_unwanted() {
        slice.batch.settle(slice.bits());
    }
}

mod keys;
#[cfg(test)]
mod limits;
mod look;
mod memory;
#[cfg(test)]
mod properties;
mod queue;
mod remove;
#[cfg(test)]
mod tests;
mod unread;
mod verdict;
mod waiting;
mod words;
