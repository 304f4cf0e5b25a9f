//! Who gets the next lease, and how large it is. Pure.
//!
//! A consumer gets work by free credit, not by turn: the one that holds the fewest messages comes first, so a
//! slow one gets less. A lease's size follows the consumer's pace, from 1 on, so that fast handlers amortise the
//! way to the group and back, and slow ones share (G9).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::message::BATCH;
use crate::base::{Bug, Moment, planted};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConsumerId(pub(crate) u32);

/// How many messages a consumer may hold, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credit {
    /// A handler: leases sized by its pace, `prefetch` messages in all.
    Handler { prefetch: u32 },
    /// A pulled stream: each message is a lease of its own.
    Pull { prefetch: u32 },
}

/// The time that one lease of a handler should take. Short enough to share, long enough to amortise.
const LEASE_TIME: Duration = Duration::from_micros(250);
/// A backlog is not split into leases that take less than this: what they cost would be more than they save.
const SHARE_TIME: Duration = Duration::from_micros(20);
/// And however quick they are, it is split into leases of this many: consumers of equal speed get equal shares.
const SHARE_MOST: u16 = 64;
/// A handler slower than this per message gets no second lease while it works on the first.
const SLOW: Duration = Duration::from_millis(1);

/// The consumers of one group.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// Limit: the settings' for handlers; streams, each of which somebody holds.
    list: BTreeMap<ConsumerId, Worker>,
    /// Those that can be given a lease, the next one first.
    free: BTreeSet<Place>,
    ready: u64,
    turns: u64,
    /// One of them works, the others stand by.
    exclusive: bool,
    /// Who was given the last lease.
    last: Option<ConsumerId>,
}

/// The fewest messages first; among equals, the one whose last lease is the longest ago.
type Place = (u32, u64, ConsumerId);

#[derive(Debug)]
struct Worker {
    credit: Credit,
    ready: bool,
    leases: u32,
    messages: u32,
    /// A moving average of the time a message takes; `None` until the first report.
    pace: Option<Duration>,
    last_report: Moment,
    turn: u64,
    /// Messages that it was through with, however that ended.
    handled: u64,
    failures: u64,
}

/// What a worker has, and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerCounts {
    pub(crate) ready: bool,
    pub(crate) leases: u32,
    pub(crate) messages: u32,
    pub(crate) handled: u64,
    pub(crate) failures: u64,
}

impl Workers {
    pub(crate) fn new(exclusive: bool) -> Workers {
        Workers { exclusive, ..Workers::default() }
    }

    /// So many could be given messages, or have some.
    pub(crate) fn ready(&self) -> u64 {
        self.ready
    }

    /// A new consumer, under an id that none had before: leases of one that is gone may still be reported.
    pub(crate) fn add(&mut self, id: ConsumerId, credit: Credit) {
        let worker = Worker {
            credit,
            ready: false,
            leases: 0,
            messages: 0,
            pace: None,
            last_report: Moment::ZERO,
            turn: 0,
            handled: 0,
            failures: 0,
        };
        debug_assert!(self.list.keys().next_back().is_none_or(|last| *last < id), "an id is not used twice");
        self.list.insert(id, worker);
    }

    pub(crate) fn set_ready(&mut self, id: ConsumerId, ready: bool) {
        self.change(id, |worker| worker.ready = ready);
    }

    /// A consumer may hold so many from now on; what it has it keeps.
    pub(crate) fn set_credit(&mut self, id: ConsumerId, credit: Credit) {
        self.change(id, |worker| worker.credit = credit);
    }

    pub(crate) fn remove(&mut self, id: ConsumerId) {
        self.set_ready(id, false);
        self.list.remove(&id);
    }

    /// The consumer that is served next, and the most messages of a backlog of `backlog` that it is given.
    pub(crate) fn next(&self, backlog: u64) -> Option<(ConsumerId, u16)> {
        let unfair = || self.free.iter().min_by_key(|(_, _, id)| *id);
        let (_, _, id) = match () {
            () if self.exclusive => self.active()?,
            () if planted(Bug::Unfair) => unfair()?,
            () => self.free.first()?,
        };
        let worker = self.list.get(id)?;
        let share = backlog.div_ceil(self.ready).max(u64::from(worker.worth_a_lease())).min(backlog.max(1));
        Some((*id, worker.lease_size().min(u16::try_from(share).unwrap_or(u16::MAX))))
    }

    /// Who works, while the others stand by; `None` if it can't be given more.
    fn active(&self) -> Option<&Place> {
        let last = self.last.filter(|id| self.list.get(id).is_some_and(|worker| worker.ready));
        match last {
            Some(last) => self.free.iter().find(|(_, _, id)| *id == last),
            None => self.free.iter().min_by_key(|(_, _, id)| *id),
        }
    }

    /// A consumer was given a lease of so many messages.
    pub(crate) fn on_lease(&mut self, id: ConsumerId, messages: u16) {
        self.turns += 1;
        let turn = self.turns;
        self.last = Some(id);
        self.change(id, |worker| {
            worker.leases += 1;
            worker.messages += u32::from(messages);
            worker.turn = turn;
        });
    }

    /// A consumer is through with so many messages of a lease it has had `since`, and with the lease if `over`.
    pub(crate) fn on_report(
        &mut self,
        id: ConsumerId,
        messages: u16,
        over: bool,
        since: Moment,
        now: Moment,
    ) {
        self.change(id, |worker| {
            worker.leases -= u32::from(over);
            worker.messages -= u32::from(messages);
            worker.handled += u64::from(messages);
            if messages > 0 {
                let took = now.since(since.max(worker.last_report)) / u32::from(messages);
                worker.pace = Some(worker.pace.map_or(took, |pace| (pace * 3 + took) / 4));
                worker.last_report = now;
            }
        });
    }

    /// An attempt of a consumer failed.
    pub(crate) fn on_failure(&mut self, id: ConsumerId) {
        if let Some(worker) = self.list.get_mut(&id) {
            worker.failures += 1;
        }
    }

    /// So many messages of a consumer's lease are not its any more, and the lease is `over` or not.
    pub(crate) fn on_give_back(&mut self, id: ConsumerId, messages: u16, over: bool) {
        self.change(id, |worker| {
            worker.leases -= u32::from(over);
            worker.messages -= u32::from(messages);
        });
    }

    /// Changes a worker, and its place in the line with it. One that is gone is past change.
    fn change(&mut self, id: ConsumerId, change: impl FnOnce(&mut Worker)) {
        let Some(worker) = self.list.get_mut(&id) else { return };
        let before = worker.place(id);
        self.ready -= u64::from(worker.ready);
        change(worker);
        self.ready += u64::from(worker.ready);
        let after = worker.place(id);
        if before != after {
            before.map(|place| self.free.remove(&place));
            after.map(|place| self.free.insert(place));
        }
    }

    pub(crate) fn counts(&self, id: ConsumerId) -> Option<WorkerCounts> {
        let Worker { ready, leases, messages, handled, failures, .. } = *self.list.get(&id)?;
        Some(WorkerCounts { ready, leases, messages, handled, failures })
    }

    /// Whether a consumer that could take messages has none, and does not only stand by.
    pub(crate) fn any_idle(&self) -> bool {
        !self.exclusive && self.free.first().is_some_and(|(messages, ..)| *messages == 0)
    }
}

impl Worker {
    fn place(&self, id: ConsumerId) -> Option<Place> {
        self.has_credit().then_some((self.messages, self.turn, id))
    }

    fn has_credit(&self) -> bool {
        let (prefetch, leases) = match self.credit {
            Credit::Pull { prefetch } => (prefetch, prefetch),
            Credit::Handler { prefetch } => {
                (prefetch, if self.pace.is_some_and(|pace| pace < SLOW) { 2 } else { 1 })
            }
        };
        let pulls = matches!(self.credit, Credit::Pull { .. });
        let greedy = planted(Bug::TooMuchAtOnce) && pulls && self.messages < prefetch + 1;
        self.ready && (self.messages < prefetch || greedy) && (self.leases < leases || greedy)
    }

    /// So many messages take [`SHARE_TIME`]; fewer, if that would leave others without any for long.
    fn worth_a_lease(&self) -> u16 {
        self.messages_in(SHARE_TIME).min(SHARE_MOST)
    }

    /// How many messages it handles within `time`: at least 1, and 1 as long as nothing is known.
    fn messages_in(&self, time: Duration) -> u16 {
        let messages = self.pace.map_or(1, |pace| time.as_nanos() / pace.as_nanos().max(1));
        u16::try_from(messages.clamp(1, BATCH as u128)).unwrap_or(1)
    }

    fn lease_size(&self) -> u16 {
        match self.credit {
            Credit::Pull { .. } => 1,
            Credit::Handler { prefetch } => {
                // Why half: a second lease can wait at the consumer while it works on the first.
                let most = (prefetch / 2).max(1).min(prefetch.saturating_sub(self.messages));
                self.messages_in(LEASE_TIME).min(u16::try_from(most).unwrap_or(u16::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests;
