//! The end of a broker: drain, stop, report.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::Shared;

use super::events::Teller;
use super::registry::{Registry, TopicPort};
use super::topic_actor::Quiet;
use super::{Closed, Event, GroupStats};
use crate::base::sync::PoisonError;
use crate::base::{Bug, Name, planted};

/// Tells what became of the messages when a broker was shut down. What was deleted before is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// One for each topic, the last opened first.
    pub topics: Vec<TopicReport>,
    /// Whether the time was up before all running groups were done.
    pub timed_out: bool,
    /// How long it took; in JSON `took_ms`, milliseconds.
    #[cfg_attr(feature = "serde", serde(rename = "took_ms", serialize_with = "crate::base::millis"))]
    pub took: Duration,
}

/// What became of one topic's messages, when the broker was shut down or the topic was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TopicReport {
    /// The topic.
    pub topic: Name,
    /// Messages ever accepted.
    pub accepted: u64,
    /// Messages that were evicted to make room.
    pub evicted: u64,
    /// Messages that were too old before there was a group.
    pub expired: u64,
    /// Messages that were not accepted since there was no room.
    pub dropped_newest: u64,
    /// Messages that were not accepted since one with their dedup key had been.
    pub repeated: u64,
    /// It is on the disk, and so is what was not settled of it.
    pub durable: bool,
    /// Messages that were accepted and that no group was there for, or only one that was just being deleted. A topic in
    /// memory loses them.
    pub unread: u64,
    /// Delayed messages that had not moved into the topic. A topic in memory loses them.
    pub scheduled: u64,
    /// One for each group, the last opened first.
    pub groups: Vec<GroupReport>,
}

/// What became of one group's messages, when the broker was shut down or the group was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GroupReport {
    /// The topic.
    pub topic: Name,
    /// The group.
    pub group: Name,
    /// Messages that it settled: acked, dropped, dead-lettered, or removed by a limit that was asked for.
    pub settled: u64,
    /// Messages that consumers held when the time was up, and that were taken from them unsettled. Part of `lost`, or
    /// of `kept`.
    pub released: u64,
    /// Messages that it had and did not settle, and that went with it; none of them was acked.
    pub lost: u64,
    /// Messages that it had and did not settle, and that are on the disk: of a [durable](super::TopicBuilder::durable) topic, when the
    /// broker is shut down.
    pub kept: u64,
    /// Handlers that did not yield to their end, and go on outside of the broker.
    pub stuck: usize,
    /// The last counts.
    pub stats: GroupStats,
}

impl GroupReport {
    pub(crate) fn new(topic: Name, group: Name, stats: GroupStats, released: u64) -> GroupReport {
        let (settled, lost, stuck) = (stats.settled(), stats.unsettled(), stats.stuck);
        GroupReport { topic, group, settled, released, lost, kept: 0, stuck, stats }
    }
}

impl TopicReport {
    /// Counts the messages that some group, or nobody, was left with, and those that waited for their moment, as far as they
    /// are not on the disk.
    pub fn lost(&self) -> u64 {
        let nobodys = if self.durable { 0 } else { self.unread + self.scheduled };
        nobodys + self.groups.iter().map(|group| group.lost).sum::<u64>()
    }

    /// What is not settled stays on the disk.
    pub(super) fn kept(mut self) -> TopicReport {
        self.durable = true;
        for group in &mut self.groups {
            group.kept = std::mem::take(&mut group.lost);
        }
        self
    }
}

impl Report {
    /// Counts the messages that some group, or nobody, was left with, and those that waited for their moment.
    pub fn lost(&self) -> u64 {
        self.topics.iter().map(TopicReport::lost).sum()
    }

    /// Finds a group's report.
    pub fn group(&self, topic: &str, group: &str) -> Option<&GroupReport> {
        let of_topic = self.topics.iter().find(|report| report.topic.as_str() == topic)?;
        of_topic.groups.iter().find(|report| report.group.as_str() == group)
    }
}

/// An end that is under way, and its report; everybody who asks for one waits for the same.
pub(super) type Ending<R> = Shared<oneshot::Receiver<R>>;

impl Registry {
    /// Drains within `limit` and stops, in a task of its own. A second call joins the first.
    pub(super) fn shut_down(self: &Arc<Registry>, limit: Duration) -> Ending<Report> {
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
        let (rt, teller) = (&self.core.rt, &self.core.teller);
        // However this task ends, by a runtime that goes away too: nothing is told after it.
        let _end = Silence(teller);
        let began = rt.now();
        teller.tell(Event::DrainBegan { limit });
        let mut timeout = rt.sleep_until(began + limit);
        let mut idle = std::pin::pin!(self.idle());
        let drained = std::future::poll_fn(|cx| {
            if idle.as_mut().poll(cx).is_ready() || planted(Bug::HastyDrain) {
                return Poll::Ready(true);
            }
            Pin::new(&mut timeout).poll(cx).map(|()| false)
        })
        .await;
        teller.tell(if drained { Event::TopicsQuiet } else { Event::DrainTimedOut });
        self.core.close();
        let ports = self.ports();
        ports.iter().for_each(|port| port.rouse());
        let mut topics = Vec::with_capacity(ports.len());
        for port in ports.into_iter().rev() {
            let report = port.stop().await;
            teller.tell(Event::TopicStopped { topic: report.topic.clone(), lost: report.lost() });
            topics.push(report);
        }
        for deleted in self.leaving() {
            // An error would mean that the runtime is gone.
            let _ = deleted.await;
        }
        self.clear();
        if let Some(disk) = &self.core.disk {
            let killed = topics.iter().flat_map(|topic| &topic.groups).any(|group| group.released > 0);
            disk.end(drained && !killed).await;
        }
        let report = Report { topics, timed_out: !drained, took: rt.now().since(began) };
        #[cfg(feature = "metrics")]
        self.end_export(&report).await;
        let (timed_out, took) = (report.timed_out, report.took);
        teller.tell(Event::BrokerStopped { lost: report.lost(), timed_out, took });
        report
    }

    /// Waits until all topics are quiet at once.
    pub(super) async fn idle(&self) -> Result<(), Closed> {
        loop {
            if self.core.is_closed() {
                return Err(Closed);
            }
            let changes = self.changes();
            let ports = self.ports();
            let quiet = quiet_at_once(&ports.iter().map(|port| &**port).collect::<Vec<_>>()).await;
            // A topic that was deleted meanwhile answers nothing, and one that was opened was not asked.
            if self.changes() == changes {
                return quiet;
            }
        }
    }
}

/// Ends the streams of events when it is dropped.
struct Silence<'a>(&'a Teller);

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Waits until all of these topics are quiet at once.
///
/// One after the other tells that it is quiet, then again. If nothing changed in between that could end the quiet of
/// any, all were quiet at the moment between the two rounds. What was parked by then, or was due and had no room, gets
/// another try there: the place it waits for may have become free in the first round.
pub(super) async fn quiet_at_once(ports: &[&dyn TopicPort]) -> Result<(), Closed> {
    loop {
        let before = all_quiet(ports).await?;
        if before.iter().any(|quiet| quiet.parked > 0 || quiet.due.is_some()) {
            for port in ports {
                port.nudge().await;
            }
        }
        if all_quiet(ports).await? == before {
            return Ok(());
        }
    }
}

async fn all_quiet(ports: &[&dyn TopicPort]) -> Result<Vec<Quiet>, Closed> {
    let mut quiet = Vec::with_capacity(ports.len());
    for port in ports {
        quiet.push(port.quiet().await?);
    }
    Ok(quiet)
}
