//! What a broker tells of itself: the events, each with its line in the log.
//!
//! One type is both, so that what is logged and what is told can't come apart.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::{Blocked, DeadReason, MessageId};
use crate::base::Name;

/// Tells one thing that happened in a broker; yielded by [`Events`](super::Events).
///
/// Each is in the log too, under the name and at the level that the [module](crate::broker#logs) lists; its `Display` is
/// one line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "event", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Event {
    /// This stream's buffer was full, and so many events were left out here. All others are in their order.
    Missed {
        /// How many.
        events: u64,
    },
    /// A topic was opened, dead-letter topics included.
    TopicOpened {
        /// The topic.
        topic: Name,
        /// How many messages it has places for.
        capacity: usize,
        /// The type of its messages, for people.
        payload: &'static str,
    },
    /// A topic was deleted, with its groups; nothing of it is left.
    TopicDeleted {
        /// The topic.
        topic: Name,
        /// Messages that some group, or nobody, was left with.
        lost: u64,
    },
    /// A group was opened.
    GroupOpened {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
    },
    /// A group was deleted, alone, or ended with its last consumer; nothing of it is left.
    GroupDeleted {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
        /// Messages that it had and did not settle.
        lost: u64,
    },
    /// A consumer lost its handler, by a panic or at its deadline, and makes another one.
    ConsumerRestarted {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
        /// The consumer's number in the group.
        consumer: u32,
    },
    /// No handler could be made for a consumer: it is tried again after a wait.
    ConsumerBroken {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
        /// The consumer's number in the group.
        consumer: u32,
        /// What the factory or the `started` hook failed with.
        error: Arc<str>,
        /// How long it waits; in JSON `wait_ms`, milliseconds.
        #[cfg_attr(feature = "serde", serde(rename = "wait_ms", serialize_with = "crate::base::millis"))]
        wait: Duration,
    },
    /// No handler could be made for a consumer, more often than the group's intensity allows: its messages are kept,
    /// and nobody handles them.
    GroupFailed {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
        /// The consumer's number in the group.
        consumer: u32,
        /// What the factory or the `started` hook failed with.
        error: Arc<str>,
    },
    /// A handler was cancelled and never yielded: past its deadline, or when its group was stopped. It keeps its message,
    /// or what it had when the group ended was counted without it.
    HandlerStuck {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
        /// The consumer's number in the group.
        consumer: u32,
    },
    /// A group was paused: it hands out nothing until it is told to go on.
    GroupPaused {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
    },
    /// A group that was paused goes on.
    GroupResumed {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
    },
    /// A group's breaker opened: all its attempts failed, and nothing is handed out for a while.
    BreakerOpened {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
        /// For how long, until one message is let through; in JSON `pause_ms`, milliseconds.
        #[cfg_attr(feature = "serde", serde(rename = "pause_ms", serialize_with = "crate::base::millis"))]
        pause: Duration,
    },
    /// A group's breaker closed: an attempt succeeded, and everything goes on.
    BreakerClosed {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
    },
    /// A message moved to the dead-letter topic.
    DeadLetter {
        /// The topic.
        topic: Name,
        /// The group that gave it up.
        group: Name,
        /// The message.
        id: MessageId,
        /// Why.
        reason: DeadReason,
        /// How often its handling began.
        attempts: u32,
    },
    /// The dead-letter topic is full: what a group gives up stays parked, and holds its place in the topic. Told once
    /// until there is room.
    Parked {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
    },
    /// What a group is to read of its topic's history can't be read: the disk refuses, or what is there is damaged. The group stands
    /// still before that place, and tries again each second; nothing else does. Told once until it goes on. See
    /// [`GroupStats::history_error`](super::GroupStats::history_error).
    HistoryUnreadable {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
        /// Why, and of damage in which file and where.
        error: Arc<str>,
    },
    /// A message came back to its group from the dead letters.
    Redriven {
        /// The topic.
        topic: Name,
        /// The group.
        group: Name,
        /// The message.
        id: MessageId,
        /// How often it came back, this time included.
        redrives: u16,
    },
    /// Messages were dropped, by a handler's word or a stated policy.
    Dropped {
        /// The topic.
        topic: Name,
        /// The group that they were dropped for; `None` if for all that had them, or for want of any.
        group: Option<Name>,
        /// Why.
        why: WhyDropped,
        /// How many.
        messages: u64,
    },
    /// Publishers have waited for more than 5 seconds without a place coming free.
    PublishersBlocked {
        /// The topic.
        topic: Name,
        /// What they wait for.
        by: Blocked,
    },
    /// A place came free in a topic where publishers were blocked.
    PublishersUnblocked {
        /// The topic.
        topic: Name,
    },
    /// The broker shuts down: it refuses publishes from outside, and drains.
    DrainBegan {
        /// How long the drain may take; in JSON `limit_ms`, milliseconds.
        #[cfg_attr(feature = "serde", serde(rename = "limit_ms", serialize_with = "crate::base::millis"))]
        limit: Duration,
    },
    /// Every running group was done with what it had, at one moment: the drain is over.
    TopicsQuiet,
    /// The time for the drain was up before that: what is not settled is released, never acked.
    DrainTimedOut,
    /// A shutdown stopped a topic, with its groups.
    TopicStopped {
        /// The topic.
        topic: Name,
        /// Messages that some group, or nobody, was left with.
        lost: u64,
    },
    /// Everything has stopped. The last event.
    BrokerStopped {
        /// Messages that some group, or nobody, was left with.
        lost: u64,
        /// Whether the time was up before all running groups were done.
        timed_out: bool,
        /// How long the shutdown took; in JSON `took_ms`, milliseconds.
        #[cfg_attr(feature = "serde", serde(rename = "took_ms", serialize_with = "crate::base::millis"))]
        took: Duration,
    },
}

/// Says by whose word, or by which policy, messages were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WhyDropped {
    /// A handler, or whoever pulled the delivery, settled them with [`Outcome::Drop`](super::Outcome::Drop).
    ByHandler,
    /// The topic was full and did not accept them: told to their publishers too. See
    /// [`Overflow::DropNewest`](super::Overflow::DropNewest).
    Newest,
    /// The topic was full and evicted them, from all groups that had them: told once, by the topic. See
    /// [`Overflow::DropOldest`](super::Overflow::DropOldest).
    Evicted,
    /// The group was further behind than its [`max_lag`](super::GroupBuilder::max_lag).
    Skipped,
    /// They were past the topic's [`ttl`](super::TopicBuilder::ttl): in a group, or in a topic that has none.
    Expired,
}

impl Event {
    /// Writes the event's line in the log.
    pub(super) fn log(&self) {
        match self {
            // It happened to one stream, and not to the broker.
            Event::Missed { .. } => {}
            Event::TopicOpened { topic, capacity, payload } => {
                info!(target: "callboard::broker", %topic, capacity, payload, "topic opened");
            }
            Event::TopicDeleted { topic, lost } => {
                info!(target: "callboard::broker", %topic, lost, "topic deleted");
            }
            Event::GroupOpened { topic, group } => {
                info!(target: "callboard::broker", %topic, %group, "group opened");
            }
            Event::GroupDeleted { topic, group, lost } => {
                info!(target: "callboard::broker", %topic, %group, lost, "group deleted");
            }
            Event::ConsumerRestarted { topic, group, consumer } => {
                debug!(target: "callboard::broker", %topic, %group, consumer, "consumer restarted");
            }
            Event::ConsumerBroken { topic, group, consumer, error, wait } => {
                warn!(target: "callboard::broker", %topic, %group, consumer, %error, ?wait, "consumer could not be built");
            }
            Event::GroupFailed { topic, group, consumer, error } => {
                error!(target: "callboard::broker", %topic, %group, consumer, %error, "group failed: its consumers can't be built");
            }
            Event::HandlerStuck { topic, group, consumer } => {
                error!(target: "callboard::broker", %topic, %group, consumer, "handler stuck: it was cancelled, and never yields");
            }
            Event::GroupPaused { topic, group } => {
                info!(target: "callboard::broker", %topic, %group, "group paused");
            }
            Event::GroupResumed { topic, group } => {
                info!(target: "callboard::broker", %topic, %group, "group resumed");
            }
            Event::BreakerOpened { topic, group, pause } => {
                warn!(target: "callboard::broker", %topic, %group, ?pause, "breaker opened: all attempts fail");
            }
            Event::BreakerClosed { topic, group } => {
                info!(target: "callboard::broker", %topic, %group, "breaker closed");
            }
            Event::DeadLetter { topic, group, id, reason, attempts } => {
                info!(target: "callboard::broker", %topic, %group, %id, %reason, attempts, "dead letter");
            }
            Event::Parked { topic, group } => {
                warn!(target: "callboard::broker", %topic, %group, "parked: the dead-letter topic is full");
            }
            Event::HistoryUnreadable { topic, group, error } => {
                error!(target: "callboard::broker", %topic, %group, %error, "history unreadable: the group stands still");
            }
            Event::Redriven { topic, group, id, redrives } => {
                info!(target: "callboard::broker", %topic, %group, %id, redrives, "redriven");
            }
            Event::Dropped { topic, group, why, messages } => {
                let group = group.as_ref().map(tracing::field::display);
                debug!(target: "callboard::broker", %topic, group, %why, messages, "messages dropped");
            }
            Event::PublishersBlocked { topic, by: Blocked { group, why } } => {
                let group = group.as_ref().map(tracing::field::display);
                warn!(target: "callboard::broker", %topic, group, %why, "publishers blocked");
            }
            Event::PublishersUnblocked { topic } => {
                info!(target: "callboard::broker", %topic, "publishers unblocked");
            }
            Event::DrainBegan { limit } => info!(target: "callboard::broker", ?limit, "drain began"),
            Event::TopicsQuiet => debug!(target: "callboard::broker", "topics quiet"),
            Event::DrainTimedOut => warn!(target: "callboard::broker", "drain timed out"),
            Event::TopicStopped { topic, lost } => {
                debug!(target: "callboard::broker", %topic, lost, "topic stopped");
            }
            Event::BrokerStopped { lost: 0, timed_out, took } => {
                info!(target: "callboard::broker", timed_out, ?took, "broker stopped");
            }
            Event::BrokerStopped { lost, timed_out, took } => {
                warn!(target: "callboard::broker", lost, timed_out, ?took, "broker stopped with messages left");
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Missed { events } => write!(f, "{events} events missed"),
            Event::TopicOpened { topic, capacity, payload } => {
                write!(f, "topic {topic} opened, for {capacity} of {payload}")
            }
            Event::TopicDeleted { topic, lost } => write!(f, "topic {topic} deleted, {lost} lost"),
            Event::GroupOpened { topic, group } => write!(f, "group {topic}.{group} opened"),
            Event::GroupDeleted { topic, group, lost } => {
                write!(f, "group {topic}.{group} deleted, {lost} lost")
            }
            Event::ConsumerRestarted { topic, group, consumer } => {
                write!(f, "consumer {consumer} of {topic}.{group} restarted")
            }
            Event::ConsumerBroken { topic, group, consumer, error, wait } => {
                write!(
                    f,
                    "consumer {consumer} of {topic}.{group} could not be built: {error}; again in {wait:?}"
                )
            }
            Event::GroupFailed { topic, group, error, .. } => {
                write!(f, "group {topic}.{group} failed, its consumers can't be built: {error}")
            }
            Event::HandlerStuck { topic, group, consumer } => {
                write!(
                    f,
                    "consumer {consumer} of {topic}.{group} is stuck: it was cancelled, and never yields"
                )
            }
            Event::GroupPaused { topic, group } => write!(f, "group {topic}.{group} paused"),
            Event::GroupResumed { topic, group } => write!(f, "group {topic}.{group} resumed"),
            Event::BreakerOpened { topic, group, pause } => {
                write!(f, "the breaker of {topic}.{group} opened for {pause:?}: all attempts fail")
            }
            Event::BreakerClosed { topic, group } => write!(f, "the breaker of {topic}.{group} closed"),
            Event::DeadLetter { topic, group, id, reason, attempts } => {
                write!(f, "{topic}.{group} gave up {id} after {attempts} attempts: {reason}")
            }
            Event::Parked { topic, group } => {
                write!(f, "{topic}.{group} parks what it gives up: its dead-letter topic is full")
            }
            Event::HistoryUnreadable { topic, group, error } => {
                write!(f, "{topic}.{group} stands still, as it can't read its history: {error}")
            }
            Event::Redriven { topic, group, id, redrives } => {
                write!(f, "{id} came back to {topic}.{group}, redrive {redrives}")
            }
            Event::Dropped { topic, group: None, why, messages } => {
                write!(f, "{topic} dropped {messages}: {why}")
            }
            Event::Dropped { topic, group: Some(group), why, messages } => {
                write!(f, "{topic}.{group} dropped {messages}: {why}")
            }
            Event::PublishersBlocked { topic, by: Blocked { group: None, why } } => {
                write!(f, "publishers to {topic} are blocked: {why}")
            }
            Event::PublishersBlocked { topic, by: Blocked { group: Some(group), why } } => {
                write!(f, "publishers to {topic} are blocked by {group}: {why}")
            }
            Event::PublishersUnblocked { topic } => {
                write!(f, "publishers to {topic} are not blocked any more")
            }
            Event::DrainBegan { limit } => write!(f, "drain began, for at most {limit:?}"),
            Event::TopicsQuiet => f.write_str("all topics are quiet"),
            Event::DrainTimedOut => f.write_str("drain timed out"),
            Event::TopicStopped { topic, lost } => write!(f, "topic {topic} stopped, {lost} lost"),
            Event::BrokerStopped { lost, timed_out, took } => {
                let late = if *timed_out { ", timed out" } else { "" };
                write!(f, "broker stopped after {took:.1?}{late}, {lost} lost")
            }
        }
    }
}

impl fmt::Display for WhyDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WhyDropped::ByHandler => "a handler said so",
            WhyDropped::Newest => "the topic was full",
            WhyDropped::Evicted => "they were the oldest, and there was no room",
            WhyDropped::Skipped => "the group was too far behind",
            WhyDropped::Expired => "past their time",
        })
    }
}
