//! What a topic and a group count.

use std::sync::Arc;
use std::time::Duration;

use super::{Blocked, BreakerStats, RateLimit};

/// Counts one group's messages at one instant.
///
/// The books balance: `entered` is the sum of `acked`, `dropped`, `dead_lettered`, `evicted`, `skipped`, `expired`,
/// `backlog`, `in_flight`, `delayed` and `parked`, in every snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GroupStats {
    /// Whether it takes messages from the topic to its consumers.
    pub state: GroupState,
    /// Messages that came in for it since it was opened, those that were redriven counted again.
    pub entered: u64,
    /// Messages that came back from its dead letters. Part of `entered`.
    pub redriven: u64,
    /// Messages settled by an ack.
    pub acked: u64,
    /// Messages settled by an explicit [`Outcome::Drop`](super::Outcome::Drop).
    pub dropped: u64,
    /// Messages that moved to the dead-letter topic.
    pub dead_lettered: u64,
    /// Messages that the topic evicted, to make room, before this group had settled them; see
    /// [`Overflow::DropOldest`](super::Overflow::DropOldest).
    pub evicted: u64,
    /// Messages that were skipped: since the group was too far behind, see [`GroupBuilder::max_lag`](super::GroupBuilder::max_lag), or
    /// was [moved](super::Group::seek); and what was gone of the history before the group had read it.
    pub skipped: u64,
    /// Messages that were too old when a consumer could have had them; see
    /// [`TopicBuilder::ttl`](super::TopicBuilder::ttl).
    pub expired: u64,
    /// Messages that wait for a consumer, first tries and due retries alike.
    pub backlog: u64,
    /// Messages that consumers hold, those not started included.
    pub in_flight: u64,
    /// Messages that failed and wait for their backoff.
    pub delayed: u64,
    /// Messages that wait for room in the dead-letter topic.
    pub parked: u64,
    /// Messages that the topic has for it to settle: those above that are not settled, and those that it was not
    /// handed yet. Never less than [`GroupStats::unsettled`].
    pub lag: u64,
    /// How long ago the oldest message came in that it has to settle: by the wall clock, and as exactly as ids are. What
    /// was redriven is left out. `None` if there is none. In JSON `oldest_ms`, milliseconds.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "oldest_ms", serialize_with = "crate::base::millis_if_any")
    )]
    pub oldest: Option<Duration>,
    /// Why the group does not go on reading its topic's history: the disk refuses, or what is there is damaged, and then this says in
    /// which file and where. It is tried again each second, and nothing is passed over. `None` if it can be read. What to do:
    /// `docs/durability.md`.
    pub history_error: Option<Arc<str>>,
    /// Attempts that failed: errors, panics, deadlines, dropped deliveries.
    pub failures: u64,
    /// Attempts that could not go on since something further down was full, which is no failure.
    pub no_room: u64,
    /// Attempts that were not a message's first.
    pub redeliveries: u64,
    /// Acks and reports refused because their lease was over.
    pub refused: u64,
    /// Consumers: handlers and open streams.
    pub consumers: usize,
    /// How often a handler was made anew, after a panic, a deadline, or a failed start.
    pub restarts: u64,
    /// Handlers that are past their deadline, were cancelled, and never yielded.
    pub stuck: usize,
    /// Keys of the messages that it has not settled, in a [`key_ordered`](super::GroupBuilder::key_ordered) group; else 0.
    pub keys: usize,
    /// Keys of these that wait for a message that failed.
    pub failed_keys: usize,
    /// What the group's breaker is at; `None` if it has none.
    pub breaker: Option<BreakerStats>,
    /// The limit on its rate, as set last.
    pub rate_limit: Option<RateLimit>,
}

/// Tells whether a group works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum GroupState {
    /// It has consumers, or waits for one: messages flow, or wait in it.
    Running,
    /// Its consumers could not be built, more often than its intensity allows. Its messages are kept, and it works
    /// again once other consumers are added to it, without those that could not be built; or once it is
    /// [restarted](super::Group::restart), with them.
    Failed,
    /// It was paused: it hands out nothing until it is resumed. What its consumers were at goes on to its end, and
    /// dead letters move.
    Paused,
    /// It is being stopped.
    Stopping,
}

/// Counts what one consumer of a group has and did, at one instant; by [`Group::consumer_stats`](super::Group::consumer_stats).
///
/// In one snapshot the `messages` of all consumers are what the group has in flight, but for deliveries whose stream
/// was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConsumerStats {
    /// Its number in the group, never used again. Logs name it.
    pub consumer: u32,
    /// What it is.
    pub kind: ConsumerKind,
    /// What it is at.
    pub state: ConsumerState,
    /// Runs of messages that it was handed and is not through with.
    pub leases: u32,
    /// Messages that it holds: those not started, and for a stream those not settled.
    pub messages: u32,
    /// Messages that it was through with, failures included.
    pub handled: u64,
    /// Attempts that failed: errors, panics, deadlines, dropped deliveries.
    pub failures: u64,
    /// How often its handler was made anew, or was to be.
    pub rebuilt: u64,
}

/// Tells a group's own handlers from streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ConsumerKind {
    /// A handler that the group runs.
    Handler,
    /// A stream that somebody pulls.
    Stream,
}

/// Tells what a consumer is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ConsumerState {
    /// It handles messages, or would.
    Ready,
    /// It takes none for now: it is starting, or has not looked since some were taken back from it.
    Away,
    /// It could not be made, and will be tried again.
    Broken,
    /// It could not be made, more often than the group's intensity allows.
    GivenUp,
    /// It is past its deadline, was cancelled, and never yielded.
    Stuck,
    /// It is one too many: it ends when it is through with the message it is at.
    Leaving,
}

/// Counts one topic's messages at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TopicStats {
    /// Messages ever accepted; the next one gets this offset.
    pub accepted: u64,
    /// Messages that hold a place in the capacity: not settled by every group.
    pub unsettled: u64,
    /// The capacity.
    pub capacity: usize,
    /// What the messages weigh that hold a place, and the places that sinks keep; 0 without a limit in bytes.
    pub bytes: u64,
    /// The limit in bytes, if there is one.
    pub capacity_bytes: Option<usize>,
    /// Messages that were published and not accepted since there was no room: [`Overflow::DropNewest`](super::Overflow::DropNewest).
    pub dropped_newest: u64,
    /// Messages that were published and not accepted since one with their dedup key had been: [`Dedup`](super::Dedup).
    pub repeated: u64,
    /// Payloads of settled messages that are kept in memory by others of their batches.
    pub pinned: u64,
    /// Messages that were evicted to make room, before every group had settled them; see
    /// [`Overflow::DropOldest`](super::Overflow::DropOldest).
    pub evicted: u64,
    /// Messages that wait for room on the disk, or on their way there; see [`Overflow::Spill`](super::Overflow::Spill).
    pub spilled: u64,
    /// The bytes that they take there.
    pub spilled_bytes: u64,
    /// Messages that were spilled and are lost, since the topic's codec could not read what it had written.
    pub spill_lost: u64,
    /// Messages that were too old before there was a group; see [`TopicBuilder::ttl`](super::TopicBuilder::ttl). What
    /// groups had is counted by these.
    pub expired: u64,
    /// How long ago the oldest message came in that holds a place: by the wall clock, and as exactly as ids are. What was
    /// redriven is left out. `None` if there is none, or it was not looked at yet. In JSON `oldest_ms`, milliseconds.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "oldest_ms", serialize_with = "crate::base::millis_if_any")
    )]
    pub oldest: Option<Duration>,
    /// Those who wait in line for a place: publishers, sinks, and what moves or comes back as a dead letter; and one for all
    /// delayed messages that are due.
    pub waiting_publishers: usize,
    /// Delayed messages that have not moved into the topic yet. One that moves just then may be in `accepted` too.
    pub scheduled: u64,
    /// How many delayed messages there may be.
    pub delay_capacity: usize,
    /// Groups.
    pub groups: usize,
    /// Whether the topic hands out nothing until it is released.
    pub held: bool,
    /// What publishers wait for, if they have waited for more than 5 s without a place coming free.
    pub blocked_by: Option<Blocked>,
}

impl GroupStats {
    pub(crate) fn new(
        state: GroupState,
        counts: Counts,
        consumers: usize,
        restarts: u64,
        stuck: usize,
        (keys, failed_keys): (usize, usize),
    ) -> GroupStats {
        GroupStats {
            state,
            entered: counts.entered,
            redriven: counts.redriven,
            acked: counts.acked,
            dropped: counts.dropped,
            dead_lettered: counts.dead,
            evicted: counts.evicted,
            skipped: counts.skipped,
            expired: counts.expired,
            backlog: counts.backlog + counts.ready,
            in_flight: counts.in_flight,
            delayed: counts.delayed,
            parked: counts.parked,
            // Until the topic has looked at it, which knows more.
            lag: counts.backlog + counts.ready + counts.in_flight + counts.delayed + counts.parked,
            oldest: None,
            history_error: None,
            failures: counts.failures,
            no_room: counts.no_room,
            redeliveries: counts.redeliveries,
            refused: counts.refused_reports,
            consumers,
            restarts,
            stuck,
            keys,
            failed_keys,
            breaker: None,
            rate_limit: None,
        }
    }

    /// Messages settled in any way: by an outcome, as dead letters, or removed by a limit.
    pub fn settled(&self) -> u64 {
        self.acked + self.dropped + self.dead_lettered + self.evicted + self.skipped + self.expired
    }

    /// Messages that entered and are not settled.
    pub fn unsettled(&self) -> u64 {
        self.backlog + self.in_flight + self.delayed + self.parked
    }
}

/// What a group's ledger counts. The first block only grows; the second is the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) entered: u64,
    pub(crate) redriven: u64,
    pub(crate) acked: u64,
    pub(crate) dropped: u64,
    pub(crate) dead: u64,
    pub(crate) evicted: u64,
    pub(crate) skipped: u64,
    pub(crate) expired: u64,
    pub(crate) failures: u64,
    pub(crate) no_room: u64,
    pub(crate) redeliveries: u64,
    pub(crate) refused_reports: u64,

    pub(crate) backlog: u64,
    pub(crate) ready: u64,
    pub(crate) in_flight: u64,
    pub(crate) delayed: u64,
    pub(crate) parked: u64,
}
