//! The end of a broker: drain, stop, report.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::Shared;
use tracing::{info, warn};

use super::registry::Registry;
use super::{Closed, GroupStats};
use crate::base::Name;

/// Tells what became of the messages when a broker was shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// One for each topic, the last opened first.
    pub topics: Vec<TopicReport>,
    /// Whether the time was up before all running groups were done.
    pub timed_out: bool,
    /// How long it took.
    pub took: Duration,
}

/// What became of one topic's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicReport {
    /// The topic.
    pub topic: Name,
    /// Messages that were accepted and never handed to a group. A topic in memory loses them.
    pub unread: u64,
    /// One for each group, the last opened first.
    pub groups: Vec<GroupReport>,
}

/// What became of one group's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupReport {
    /// The topic.
    pub topic: Name,
    /// The group.
    pub group: Name,
    /// Messages that it settled: acked, dropped or dead-lettered.
    pub settled: u64,
    /// Messages that it had and did not settle. A topic in memory loses them; none of them was acked.
    pub lost: u64,
    /// Handlers that did not yield to their end, and go on outside of the broker.
    pub stuck: usize,
    /// The last counts.
    pub stats: GroupStats,
}

impl GroupReport {
    pub(crate) fn new(topic: Name, group: Name, stats: GroupStats) -> GroupReport {
        let (settled, lost, stuck) = (stats.settled(), stats.unsettled(), stats.stuck);
        GroupReport { topic, group, settled, lost, stuck, stats }
    }
}

impl Report {
    /// Counts the messages that some group, or nobody, was left with.
    pub fn lost(&self) -> u64 {
        self.topics
            .iter()
            .map(|topic| topic.unread + topic.groups.iter().map(|group| group.lost).sum::<u64>())
            .sum()
    }

    /// Finds a group's report.
    pub fn group(&self, topic: &str, group: &str) -> Option<&GroupReport> {
        let of_topic = self.topics.iter().find(|report| report.topic.as_str() == topic)?;
        of_topic.groups.iter().find(|report| report.group.as_str() == group)
    }
}

/// The shutdown that goes on; everybody who asks for one waits for the same.
pub(super) type Ending = Shared<oneshot::Receiver<Report>>;

impl Registry {
    /// Drains within `limit` and stops, in a task of its own. A second call joins the first.
    pub(super) fn shut_down(self: &Arc<Registry>, limit: Duration) -> Ending {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending
            .get_or_insert_with(|| {
                self.core.drain();
                self.ports().iter().for_each(|port| port.rouse());
                let (tell, told) = oneshot::channel();
                let registry = self.clone();
                self.core.rt.spawn("shutdown", async move {
                    let report = registry.drain_and_stop(limit).await;
                    drop(tell.send(report));
                });
                told.shared()
            })
            .clone()
    }

    async fn drain_and_stop(&self, limit: Duration) -> Report {
        let rt = &self.core.rt;
        let began = rt.now();
        let mut timeout = rt.sleep_until(began + limit);
        let mut idle = std::pin::pin!(self.idle());
        let drained = std::future::poll_fn(|cx| {
            if idle.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            Pin::new(&mut timeout).poll(cx).map(|()| false)
        })
        .await;
        self.core.close();
        let ports = self.ports();
        ports.iter().for_each(|port| port.rouse());
        let mut topics = Vec::with_capacity(ports.len());
        for port in ports.into_iter().rev() {
            topics.push(port.stop().await);
        }
        self.clear();
        let report = Report { topics, timed_out: !drained, took: rt.now().since(began) };
        let (lost, timed_out) = (report.lost(), report.timed_out);
        match lost {
            0 => info!(target: "callboard::broker", timed_out, took = ?report.took, "broker stopped"),
            _ => {
                warn!(target: "callboard::broker", lost, timed_out, took = ?report.took, "broker stopped with messages left")
            }
        }
        report
    }

    /// Waits until all topics are quiet at once.
    ///
    /// One after the other tells that it is quiet, and how much it had accepted by then. If afterwards none has
    /// accepted more, all were quiet at the moment when the last one said so.
    pub(super) async fn idle(&self) -> Result<(), Closed> {
        loop {
            let ports = self.ports();
            let mut accepted = Vec::with_capacity(ports.len());
            for port in &ports {
                accepted.push(port.quiet().await?);
            }
            let unchanged = ports.iter().zip(&accepted).all(|(port, before)| port.accepted() == *before);
            if unchanged && self.ports().len() == ports.len() {
                return Ok(());
            }
        }
    }
}
