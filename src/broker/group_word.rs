//! What others say to a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bits::Bits;
use super::consumer::{ConsumerNews, ConsumerSeat, FromConsumer};
use super::ledger::Remembered;
use super::message::Batch;
use super::start::Begin;
use super::unread::Unread;
use super::{ConsumerStats, DeliveryStream, GroupReport, GroupStats, RateLimit, SteerError};
use crate::log::LogError;
use crate::mailbox::Reply;

/// A batch on its way to a group.
pub(crate) struct Handout<T> {
    pub(crate) batch: Arc<Batch<T>>,
    pub(crate) open: Bits,
    /// If it is not 0: this is one message that came back from the dead letters.
    pub(crate) redrives: u16,
}

/// What others say to a group.
pub(crate) enum GroupWord<T> {
    From(FromConsumer),
    /// Add handlers; the closure spawns the task of one.
    AddHandlers {
        count: u32,
        spawn: Arc<dyn Fn(ConsumerSeat<T>) + Send + Sync>,
        done: Reply<()>,
    },
    /// Add a pulled stream, whose end of the mailbox somebody else reads.
    AddStream(Reply<DeliveryStream<T>>),
    /// The topic evicted these.
    Evicted {
        batch: Arc<Batch<T>>,
        which: Bits,
    },
    /// The topic evicted these before the group was handed them.
    EvictedBefore {
        base: u64,
        which: Bits,
    },
    /// So many messages are gone that the topic had for the group, and did not hand it.
    Skipped(u64),
    /// A message can't be read: it is to give it up.
    Unread(Arc<Unread>),
    /// The topic is durable; this is known of messages that it is about to hand out.
    Remember(BTreeMap<u64, Remembered>),
    /// Be steered.
    Steer(Steer),
    /// Answer when nothing is left to do of what was handed to the group and lies before this offset.
    Drain {
        upto: u64,
        reply: Reply<()>,
    },
    /// The topic hands out nothing more, as the group has asked it.
    Halted,
    /// Answer when the disk has all that the group has settled by now; at once if the topic is in memory.
    WhenKept(Reply<Result<(), LogError>>),
    /// Answer after another try to move what is parked.
    Nudge(Reply<()>),
    Stats(Reply<GroupStats>),
    ConsumerStats(Reply<Vec<ConsumerStats>>),
    Stop {
        kill: bool,
        /// Messages for it that stayed with the topic.
        withheld: u64,
        report: Reply<GroupReport>,
    },
}

/// How a group is steered; answered when it is so.
pub(crate) enum Steer {
    Pause(Reply<()>),
    Resume(Reply<()>),
    /// So many handlers from now on.
    Consumers(u32, Reply<Result<(), SteerError>>),
    /// If it has failed, begin anew.
    Restart(Reply<()>),
    Rate(Option<RateLimit>, Reply<()>),
    /// To another place; answered once the log has it.
    Seek(Begin, Reply<Result<(), LogError>>),
}

impl<T> GroupWord<T> {
    /// Something is to be tried again, and not at once.
    pub(crate) fn begins_a_wait(&self) -> bool {
        match self {
            GroupWord::From(FromConsumer::Report(report)) => !report.exceptions.is_empty(),
            GroupWord::From(FromConsumer::News(_, news)) => matches!(news, ConsumerNews::Broken(_)),
            _ => false,
        }
    }
}
