//! Who gets the next lease, and how large it is. Pure.
//!
//! A consumer gets work by free credit, not by turn: the one that holds the fewest messages comes first, so a
//! slow one gets less. A lease's size follows the consumer's pace, from 1 on, so that fast handlers amortise the
//! way to the group and back, and slow ones share (G9).

use std::time::Duration;

use super::message::BATCH;
use crate::base::Moment;

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
/// A handler slower than this per message gets no second lease while it works on the first.
const SLOW: Duration = Duration::from_millis(1);

/// The consumers of one group.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    list: Vec<Worker>,
    /// Where the search for the next one begins, so that equals take turns.
    turn: usize,
}

#[derive(Debug)]
struct Worker {
    id: ConsumerId,
    credit: Credit,
    ready: bool,
    leases: u32,
    messages: u32,
    /// A moving average of the time a message takes; `None` until the first report.
    pace: Option<Duration>,
    last_report: Moment,
}

impl Workers {
    pub(crate) fn add(&mut self, id: ConsumerId, credit: Credit) {
        let (ready, leases, messages, pace, last_report) = (false, 0, 0, None, Moment::ZERO);
        self.list.push(Worker { id, credit, ready, leases, messages, pace, last_report });
    }

    pub(crate) fn set_ready(&mut self, id: ConsumerId, ready: bool) {
        if let Some(worker) = self.find(id) {
            worker.ready = ready;
        }
    }

    pub(crate) fn remove(&mut self, id: ConsumerId) {
        self.list.retain(|worker| worker.id != id);
    }

    /// The consumer that is served next, and the most messages of a backlog of `backlog` that it is given.
    pub(crate) fn next(&self, backlog: u64) -> Option<(ConsumerId, u16)> {
        let count = self.list.len();
        let worker = (0..count)
            .filter_map(|step| self.list.get((self.turn + step) % count))
            .filter(|worker| worker.has_credit())
            .min_by_key(|worker| worker.messages)?;
        let sharers = self.list.iter().filter(|worker| worker.ready).count() as u64;
        let share = u16::try_from(backlog.div_ceil(sharers.max(1))).unwrap_or(u16::MAX);
        Some((worker.id, worker.lease_size().min(share.max(1))))
    }

    /// A consumer was given a lease of so many messages.
    pub(crate) fn on_lease(&mut self, id: ConsumerId, messages: u16) {
        self.turn = self.list.iter().position(|worker| worker.id == id).map_or(0, |at| at + 1);
        if let Some(worker) = self.find(id) {
            worker.leases += 1;
            worker.messages += u32::from(messages);
        }
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
        let Some(worker) = self.find(id) else { return };
        worker.leases -= u32::from(over);
        worker.messages -= u32::from(messages);
        if messages > 0 {
            let took = now.since(since.max(worker.last_report)) / u32::from(messages);
            worker.pace = Some(worker.pace.map_or(took, |pace| (pace * 3 + took) / 4));
            worker.last_report = now;
        }
    }

    /// A consumer gave back a lease with so many messages left.
    pub(crate) fn on_give_back(&mut self, id: ConsumerId, messages: u16) {
        if let Some(worker) = self.find(id) {
            worker.leases -= 1;
            worker.messages -= u32::from(messages);
        }
    }

    /// The leases and messages that a consumer holds.
    #[cfg(test)]
    pub(crate) fn held(&self, id: ConsumerId) -> Option<(u32, u32)> {
        self.list.iter().find(|worker| worker.id == id).map(|worker| (worker.leases, worker.messages))
    }

    fn find(&mut self, id: ConsumerId) -> Option<&mut Worker> {
        self.list.iter_mut().find(|worker| worker.id == id)
    }
}

impl Worker {
    fn has_credit(&self) -> bool {
        let (prefetch, leases) = match self.credit {
            Credit::Pull { prefetch } => (prefetch, prefetch),
            Credit::Handler { prefetch } => {
                (prefetch, if self.pace.is_some_and(|pace| pace < SLOW) { 2 } else { 1 })
            }
        };
        self.ready && self.messages < prefetch && self.leases < leases
    }

    fn lease_size(&self) -> u16 {
        match self.credit {
            Credit::Pull { .. } => 1,
            Credit::Handler { prefetch } => {
                let by_pace = self.pace.map_or(1, |pace| LEASE_TIME.as_nanos() / pace.as_nanos().max(1));
                // Why half: a second lease can wait at the consumer while it works on the first.
                let most = u128::from((prefetch / 2).max(1).min(prefetch - self.messages));
                u16::try_from(by_pace.clamp(1, BATCH as u128).min(most)).unwrap_or(1)
            }
        }
    }
}
