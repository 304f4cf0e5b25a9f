//! Settings: plain numbers, checked once, all faults reported together.

use std::path::PathBuf;
use std::time::Duration;

use super::order::Order;
use super::topic_actor::reserve;
use super::weight::MOST_BYTES;
use super::{Breaker, Dedup, Durability, OpenError, RateLimit, Retain, Retry, Start};
use crate::base::Name;
use crate::supervise::{Backoff, Intensity};

/// The answer of a full topic to a fast producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// `publish` waits for room, in line. With a timeout it then fails with
    /// [`PublishError::TimedOut`](super::PublishError::TimedOut) and gives the message back.
    Wait {
        /// The longest wait; `None` (the default) waits for ever.
        timeout: Option<Duration>,
    },
    /// `publish` fails at once with [`PublishError::Full`](super::PublishError::Full) and gives the message back.
    Reject,
    /// The topic makes room: it evicts the oldest message that no consumer of any group holds, and counts it.
    ///
    /// For readers that want the latest and may miss some. What is evicted leaves all groups, as if they had settled it:
    /// their stats say `evicted`, and [`TopicBuilder::on_evicted`](super::TopicBuilder::on_evicted) sees it. While consumers
    /// hold all there is, `publish` fails with [`PublishError::Full`](super::PublishError::Full); a stream holds what it
    /// has prefetched, so let it prefetch less than the topic has room for. What was redriven is not evicted either. A
    /// `try_publish`, which can't wait for the topic's answer, evicts nothing.
    DropOldest,
    /// The message that finds no room is dropped: `publish` answers at once with
    /// [`PublishError::Dropped`](super::PublishError::Dropped), never with an id, and
    /// [`TopicStats::dropped_newest`](super::TopicStats::dropped_newest) counts it.
    ///
    /// Of a `publish_all` all is dropped from the first one on that finds no room.
    ///
    /// For what is worth nothing later, as samples are. [`UnlessDropped`](super::UnlessDropped) lets a publisher go on;
    /// [`Dropped`](super::Dropped) says what becomes of a handler that does not. Sinks wait, and so do dead letters and
    /// redrives, which are never dropped.
    DropNewest,
    /// What finds no room goes to the disk: memory first, then files, in order, up to so many bytes; then `publish` waits for room.
    ///
    /// For bursts that are longer than memory is large. It needs [`TopicBuilder::spill_to`](super::TopicBuilder::spill_to), which
    /// says where, and by which codec. The topic stays one in memory: what is spilled ends with the process, and nothing is left
    /// of its files. Groups get all messages in the order in which they were accepted, whatever lay where.
    /// [`TopicStats::spilled`](super::TopicStats::spilled) counts what is waiting there. Where the disk refuses, the topic waits as one without it.
    ///
    /// Memory: groups have at most the capacity between them, as in any topic. On their way to the disk there may be, while that is slow,
    /// refuses or is at its limit, as many again, and a reserve: another capacity, but at least 64 and at most 8,192 messages. So that
    /// is up to three times the capacity, or for a small one twice and 64; with a limit in bytes up to three times that.
    Spill {
        /// The most bytes on the disk, at least 1; what is on its way there may exceed it a little.
        bytes: u64,
    },
}

impl Default for Overflow {
    fn default() -> Overflow {
        Overflow::Wait { timeout: None }
    }
}

/// The longest time any setting may be: a year. A longer one is a slip of units.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// The shortest ack timeout.
const SHORTEST_DEADLINE: Duration = Duration::from_millis(1);
/// The most messages a capacity or a prefetch may be.
pub(crate) const MOST_MESSAGES: usize = 1 << 24;
/// The most consumers of one group.
pub(crate) const MOST_CONSUMERS: u32 = 4096;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TopicSettings {
    pub(crate) capacity: usize,
    pub(crate) overflow: Overflow,
    pub(crate) delay_capacity: usize,
    pub(crate) publish_timeout: Duration,
    /// Its messages have keys.
    pub(crate) keyed: bool,
    pub(crate) ttl: Option<Duration>,
    pub(crate) dedup: Dedup,
    /// It finds its messages' dedup keys itself.
    pub(crate) dedups: bool,
    pub(crate) capacity_bytes: Option<usize>,
    /// Present if it is on disk.
    pub(crate) durable: Option<Durable>,
    /// Present if what is settled stays.
    pub(crate) retain: Option<Retain>,
    /// Where it spills.
    pub(crate) spill_dir: Option<PathBuf>,
}

/// How a topic is on disk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Durable {
    /// Its codec's name.
    pub(crate) codec: Name,
    pub(crate) durability: Durability,
}

impl Default for TopicSettings {
    fn default() -> TopicSettings {
        TopicSettings {
            capacity: 1024,
            overflow: Overflow::default(),
            delay_capacity: 1024,
            publish_timeout: Duration::from_secs(5),
            keyed: false,
            ttl: None,
            dedup: Dedup::default(),
            dedups: false,
            capacity_bytes: None,
            durable: None,
            retain: None,
            spill_dir: None,
        }
    }
}

impl TopicSettings {
    /// Places for messages: the capacity, and those for what is on its way to the disk.
    pub(crate) fn places(&self) -> usize {
        let reserve = if self.spill_dir.is_some() { reserve(self.capacity) } else { 0 };
        self.capacity.saturating_add(reserve)
    }

    fn check_spill(&self, faults: &mut Faults) {
        match (self.overflow, &self.spill_dir) {
            (Overflow::Spill { bytes: 0 }, _) => faults.add("to spill no bytes is to wait".to_string()),
            (Overflow::Spill { .. }, None) => faults.add("a topic that spills needs `spill_to`".to_string()),
            (Overflow::Spill { .. }, Some(_)) if self.durable.is_some() => {
                faults.add("a durable topic is on the disk as it is, and does not spill".to_string());
            }
            (Overflow::Spill { .. }, Some(_)) => {}
            (_, Some(_)) => faults.add("`spill_to` is for a topic whose overflow is `Spill`".to_string()),
            (_, None) => {}
        }
    }

    /// Whether an open topic is on disk, or not, as was asked.
    pub(crate) fn check_same_disk(&self, open: &TopicSettings, name: &Name) -> Result<(), OpenError> {
        let name = name.clone();
        match (&self.durable, &open.durable) {
            (Some(asked), Some(is)) if asked.codec != is.codec => {
                let (is, asked) = (is.codec.to_string(), asked.codec.to_string());
                Err(OpenError::OtherCodec { name, is, asked })
            }
            (asked, is)
                if asked.as_ref().map(|asked| asked.durability) != is.as_ref().map(|is| is.durability) =>
            {
                // A topic that is taken as it is asks for nothing.
                let Some(asked) = asked else { return Ok(()) };
                let is = is.as_ref().map(|is| is.durability);
                Err(OpenError::OtherDurability { name, is, asked: Some(asked.durability) })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check(&self, name: &Name) -> Result<(), OpenError> {
        let mut faults = Faults::default();
        faults.messages("the capacity", self.capacity);
        faults.messages("the delay capacity", self.delay_capacity);
        faults.time("the publish timeout", self.publish_timeout);
        if let Some(ttl) = self.ttl {
            faults.time("the ttl", ttl);
        }
        if let Overflow::Wait { timeout: Some(timeout) } = self.overflow {
            faults.time("the timeout of the wait", timeout);
        }
        faults.time("the dedup window", self.dedup.time());
        faults.messages("the dedup window", self.dedup.keys());
        if let Some(bytes) = self.capacity_bytes.filter(|bytes| *bytes == 0 || *bytes > MOST_BYTES) {
            faults.0.push(format!("the capacity of {bytes} bytes is not within 1 and {MOST_BYTES}"));
        }
        if let Some(durable) = &self.durable {
            durable.durability.check(&mut faults);
        }
        self.check_spill(&mut faults);
        if let Some(retain) = &self.retain {
            retain.check(&mut faults);
            if self.overflow == Overflow::DropOldest {
                faults.add("a topic that drops its oldest has no history to retain".to_string());
            }
            if retain.bytes.is_some() && self.durable.is_none() && self.capacity_bytes.is_none() {
                faults.add(
                    "a history in bytes needs `capacity_bytes`, which says what a message weighs".to_string(),
                );
            }
        }
        faults.result(name.to_string())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupSettings {
    pub(crate) consumers: u32,
    pub(crate) prefetch: u32,
    pub(crate) retry: Retry,
    pub(crate) ack_timeout: Duration,
    pub(crate) start: Start,
    pub(crate) dead_letter_topic: Option<String>,
    pub(crate) dead_letter_capacity: usize,
    pub(crate) intensity: Intensity,
    pub(crate) backoff: Backoff,
    pub(crate) ephemeral: bool,
    pub(crate) order: Order,
    pub(crate) max_parked_per_key: Option<u32>,
    pub(crate) max_lag: Option<u32>,
    pub(crate) dead_letter_expired: bool,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) rate_limit: Option<RateLimit>,
    /// It finds out itself what its messages take of that.
    pub(crate) weighed: bool,
    pub(crate) breaker: Option<Breaker>,
}

impl Default for GroupSettings {
    fn default() -> GroupSettings {
        GroupSettings {
            consumers: 1,
            prefetch: 512,
            retry: Retry::default(),
            ack_timeout: Duration::from_secs(30),
            start: Start::Earliest,
            dead_letter_topic: None,
            dead_letter_capacity: 1024,
            intensity: Intensity::default(),
            backoff: Backoff::default(),
            ephemeral: false,
            order: Order::Shared,
            max_parked_per_key: None,
            max_lag: None,
            dead_letter_expired: false,
            max_in_flight: None,
            rate_limit: None,
            weighed: false,
            breaker: None,
        }
    }
}

impl GroupSettings {
    /// `keyed`: the messages of the topic have keys.
    pub(crate) fn check(&self, name: String, keyed: bool) -> Result<(), OpenError> {
        let mut faults = Faults::default();
        if self.order == Order::Keyed && !keyed {
            faults.0.push("the group is key_ordered, and its topic was opened without a key".to_string());
        }
        if let Some(most) = self.max_lag {
            faults.messages("max_lag", most as usize);
        }
        if let Some(most) = self.max_parked_per_key {
            faults.messages("max_parked_per_key", most as usize);
            if self.order != Order::Keyed {
                faults.0.push("max_parked_per_key is for a group that is key_ordered".to_string());
            }
        }
        if self.consumers == 0 || self.consumers > MOST_CONSUMERS {
            faults.0.push(format!("{} consumers are not within 1 and {MOST_CONSUMERS}", self.consumers));
        }
        faults.messages("the prefetch", self.prefetch as usize);
        faults.messages("the dead-letter capacity", self.dead_letter_capacity);
        faults.time("the ack timeout", self.ack_timeout);
        // Why: timers are no finer, and a group would do nothing but look at its deadlines.
        if !self.ack_timeout.is_zero() && self.ack_timeout < SHORTEST_DEADLINE {
            faults
                .0
                .push(format!("the ack timeout of {:?} is below {SHORTEST_DEADLINE:?}", self.ack_timeout));
        }
        if self.retry.attempts() == 0 {
            faults.0.push("max_attempts is 0, so that no message could be handled".to_string());
        }
        if let Some(messages) = self.max_in_flight {
            faults.messages("max_in_flight", messages as usize);
        }
        if let Some(limit) = &self.rate_limit {
            limit.check(&mut faults);
        }
        if let Some(breaker) = &self.breaker {
            breaker.check(&mut faults);
        }
        // Why named: two of them are backoffs.
        let (retry, restart) = (self.retry.check(), self.backoff.check());
        for (whose, checked) in [("retry: ", retry), ("", self.intensity.check()), ("restart: ", restart)] {
            if let Err(invalid) = checked {
                faults.0.extend(invalid.faults().map(|fault| format!("{whose}{fault}")));
            }
        }
        faults.result(name)
    }
}

/// Whether a time is one that can be set.
pub(super) fn is_time(time: Duration) -> bool {
    !time.is_zero() && time <= LONGEST
}

#[derive(Default)]
pub(super) struct Faults(pub(super) Vec<String>);

impl Faults {
    pub(super) fn add(&mut self, fault: String) {
        self.0.push(fault);
    }

    pub(super) fn messages(&mut self, what: &str, messages: usize) {
        if messages == 0 || messages > MOST_MESSAGES {
            self.0.push(format!("{what} of {messages} messages is not within 1 and {MOST_MESSAGES}"));
        }
    }

    pub(super) fn time(&mut self, what: &str, time: Duration) {
        if !is_time(time) {
            self.0.push(format!("{what} of {time:?} is not above zero and at most a year"));
        }
    }

    fn result(self, name: String) -> Result<(), OpenError> {
        if self.0.is_empty() { Ok(()) } else { Err(OpenError::Settings { name, faults: self.0 }) }
    }
}

#[cfg(test)]
mod tests;
