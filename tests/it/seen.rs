//! What the tests of consumers share: a record of what handlers saw, gates to hold them at, and books to check.

use std::sync::{Arc, Mutex};

use callboard::broker::GroupStats;
use callboard::prelude::*;

/// Notes, in order, each handling that began: the payload and the attempt.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    all: Arc<Mutex<Vec<(u64, u32)>>>,
    more: (async_channel::Sender<()>, async_channel::Receiver<()>),
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { all: Arc::default(), more: async_channel::bounded(1) }
    }
}

impl Seen {
    pub(crate) fn note(&self, message: &Message<u64>) {
        self.all.lock().unwrap().push((**message, message.attempt()));
        // A full channel says it already.
        let _ = self.more.0.try_send(());
    }

    /// Waits until this many were noted. One task may.
    pub(crate) async fn reaches(&self, count: usize) {
        while self.all().len() < count {
            self.more.1.recv().await.unwrap();
        }
    }

    /// Everything, in order.
    pub(crate) fn all(&self) -> Vec<(u64, u32)> {
        self.all.lock().unwrap().clone()
    }

    /// The payloads, in the order in which their handling began.
    pub(crate) fn values(&self) -> Vec<u64> {
        self.all().into_iter().map(|(value, _)| value).collect()
    }

    /// The payloads, sorted.
    pub(crate) fn sorted(&self) -> Vec<u64> {
        let mut values = self.values();
        values.sort_unstable();
        values
    }

    /// The attempts at one payload, in order.
    pub(crate) fn attempts(&self, of: u64) -> Vec<u32> {
        self.all().into_iter().filter(|(value, _)| *value == of).map(|(_, attempt)| attempt).collect()
    }
}

/// Holds whoever passes until it is opened, for good.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    open: async_channel::Sender<()>,
    wait: async_channel::Receiver<()>,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        let (open, wait) = async_channel::bounded(1);
        Gate { open, wait }
    }

    pub(crate) fn open(&self) {
        self.open.close();
    }

    pub(crate) async fn pass(&self) {
        // Nothing is ever sent: it ends when the gate is opened.
        self.wait.recv().await.unwrap_err();
    }
}

/// A number of messages: so many on real runtimes, and a tenth on each of the simulator's seeds.
pub(crate) fn some(messages: u64) -> u64 {
    if callboard::sim::Sim::current().is_some() { messages / 10 } else { messages }
}

/// Lets other tasks run once.
pub(crate) async fn give_way() {
    let mut gave = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Checks that every message is in one place (G25), and answers the counts.
#[track_caller]
pub(crate) fn balanced(stats: GroupStats) -> GroupStats {
    let sum = stats.acked
        + stats.dropped
        + stats.dead_lettered
        + stats.evicted
        + stats.skipped
        + stats.expired
        + stats.backlog
        + stats.in_flight
        + stats.delayed
        + stats.parked;
    assert_eq!(stats.entered, sum, "{stats:?}");
    assert!(stats.lag >= stats.unsettled(), "{stats:?}");
    stats
}
