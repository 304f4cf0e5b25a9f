//! Who watches a broker from inside, and may play it a trick: the test kit of the simulator, which lies above.
//!
//! Every broker has a place for a witness, and outside of the kit it is empty. What is shown there is what the broker
//! does, told where it does it, so that a checker need not believe what the broker says of itself afterwards.
//! Cost: one look at an empty place per message, and per poll of a topic or a group.

use std::fmt;
use std::sync::Arc;

use super::bits::Bits;
use super::lease::LeaseId;
use super::order::Order;
use super::outcome::Verdict;
use super::workers::ConsumerId;
use super::{DeadReason, GroupSettings, GroupStats, KeyHash, Message, MessageId, RateLimit, Retain, Start};
use crate::base::{Moment, Name};
use crate::runtime::{BoxFuture, Rt};

/// Watches, and answers what a consumer is to await around its handler: it may panic, sleep, or never end.
pub(crate) trait Witness: Send + Sync {
    /// Something happened, or is so.
    fn see(&self, sight: Sight<'_>);
    /// Runs before the handler, as if it were the handler's beginning.
    fn before(&self, at: &At<'_>) -> Option<BoxFuture>;
    /// Runs after the handler, as if it were the handler's end.
    fn after(&self, at: &At<'_>, verdict: &Verdict) -> Option<BoxFuture>;
}

/// One attempt of one message.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "read by the simulator's test kit"))]
pub(crate) struct At<'a> {
    pub(crate) topic: &'a Name,
    pub(crate) group: &'a Name,
    pub(crate) consumer: ConsumerId,
    pub(crate) id: MessageId,
    pub(crate) attempt: u32,
}

/// What there is to see.
#[derive(Debug)]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "read by the simulator's test kit"))]
pub(crate) enum Sight<'a> {
    /// A group was opened.
    Opened { topic: &'a Name, group: &'a Name, settings: &'a GroupSettings },
    /// A topic took a group in: what it accepts from now on is offered to it, if its start says so.
    Joined { topic: &'a Name, group: &'a Name },
    /// A durable topic goes on where an earlier process left it.
    Recovered { topic: &'a Name, next: u64, held: u64 },
    /// A topic froze what it had accepted into a batch.
    Accepted { topic: &'a Name, base: u64, len: u16, keys: Vec<KeyHash> },
    /// A delayed message waits for its moment.
    Scheduled { topic: &'a Name, number: u64, due: Moment },
    /// Its moment has come: it is in the topic.
    Due { topic: &'a Name, number: u64, due: Moment, id: MessageId },
    /// It was cancelled, and given back.
    Unscheduled { topic: &'a Name, number: u64 },
    /// A topic gave these messages to a group, to be settled by it.
    Offered { topic: &'a Name, group: &'a Name, base: u64, open: Bits },
    /// An attempt began: a handler is about to be called, or a delivery was pulled.
    Began(At<'a>),
    /// An attempt ended: nothing of it runs any more, or its delivery's door is closed.
    Ended(At<'a>, &'a Verdict),
    /// A group has a new consumer: a handler or a stream.
    Hired { topic: &'a Name, group: &'a Name, consumer: ConsumerId },
    /// A consumer lost its handler and makes another.
    Rebuilt { topic: &'a Name, group: &'a Name, consumer: ConsumerId },
    /// No handler could be made for a consumer; with that, the group may have failed.
    Broken { topic: &'a Name, group: &'a Name, failed: bool },
    /// A consumer's task is over, and with it what it was at; what was pulled goes on.
    Gone { topic: &'a Name, group: &'a Name, consumer: ConsumerId },
    /// A group is done with these messages.
    Settled { topic: &'a Name, group: &'a Name, base: u64, which: Bits },
    /// A topic evicted a message.
    Evicted { topic: &'a Name, base: u64, at: u16 },
    /// A limit settles these messages for a group: evicted, skipped or expired.
    Removed { topic: &'a Name, group: &'a Name, base: u64, which: Bits },
    /// A message came back to a group from its dead letters, to be settled by it once more, as if it were new.
    Redriven { topic: &'a Name, group: &'a Name, base: u64, at: u16 },
    /// A group is done with a message that had come back.
    SettledAgain { topic: &'a Name, group: &'a Name, base: u64, at: u16 },
    /// The dead-letter topic took a message.
    Dead { topic: &'a Name, group: &'a Name, id: MessageId, attempts: u32, reason: &'a DeadReason },
    /// From now on so many messages of a group may begin, until it says otherwise.
    MayBegin { topic: &'a Name, group: &'a Name, most: u64 },
    /// A group with a limit on its rate handed out a message.
    Handed { topic: &'a Name, group: &'a Name, lease: LeaseId, weight: u64 },
    /// And it came back, or was taken back, and had not begun.
    Returned { topic: &'a Name, group: &'a Name, lease: LeaseId },
    /// From now on this limit on its rate holds for a group.
    Limited { topic: &'a Name, group: &'a Name, limit: Option<RateLimit> },
    /// A group's books, when it has nothing to do.
    GroupBooks { topic: &'a Name, group: &'a Name, stats: &'a GroupStats, counted: Counted },
    /// A topic's books, when it has nothing to do.
    TopicBooks { topic: &'a Name, books: TopicCounts, counted: TopicCounts },
    /// A group begins here, new or moved: it is offered what lies from its start on, and from the floor if its topic has
    /// a history.
    Placed { topic: &'a Name, group: &'a Name, start: Start, latest: bool, floor: Option<u64>, moved: bool },
    /// A group that was there before goes on; of what is accepted it is offered what lies from here on.
    Resumed { topic: &'a Name, group: &'a Name, ahead: u64 },
    /// A group that is moved does without all that it has.
    LetsGo { topic: &'a Name, group: &'a Name },
    /// What a group was offered, and not handed, is not for it any more; or it is offered anew.
    Revoked { topic: &'a Name, group: &'a Name, base: u64, which: Bits },
    /// So many of these, all that a group had not settled, were gone before it was offered them.
    PassedBy { topic: &'a Name, group: &'a Name, from: u64, to: u64, messages: u64 },
    /// A topic keeps what lies from the floor on, and of it so many messages in memory.
    Kept { topic: &'a Name, floor: u64, held: u64, limits: Retain },
    /// A topic that spills has ended with these in its line, from the next offset on.
    InLine { topic: &'a Name, base: u64, messages: u64 },
    /// What a topic spilled can't be read any more: this message is lost.
    Lost { topic: &'a Name, offset: u64 },
    /// A topic forgot a group that is deleted: it offers it nothing more.
    Left { topic: &'a Name, group: &'a Name },
    /// A group is over.
    Over { topic: &'a Name, group: &'a Name },
}

/// What a group's ledger really holds, message by message, beside what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) backlog: u64,
    pub(crate) in_flight: u64,
    pub(crate) delayed: u64,
    pub(crate) parked: u64,
}

/// What a topic says that it holds; and what it really holds, batch by batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicCounts {
    pub(crate) capacity: u64,
    /// Places that are taken.
    pub(crate) held: u64,
    /// Messages in the mailbox.
    pub(crate) waiting: u64,
    /// Messages that some group has not settled, without those in the mailbox.
    pub(crate) unsettled: u64,
    /// Payloads that are kept by neighbours only.
    pub(crate) pinned: u64,
    pub(crate) bytes: Bytes,
}

/// What a topic's messages weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) limit: u64,
    /// What the taken places bear.
    pub(crate) load: u64,
    /// What the messages in the mailbox weigh.
    pub(crate) waiting: u64,
    /// What those weigh that some group has not settled, without those in the mailbox.
    pub(crate) unsettled: u64,
}

/// The place for a witness.
#[derive(Clone, Default)]
pub(crate) struct Watched(Option<Arc<dyn Witness>>);

impl Watched {
    #[cfg(feature = "sim")]
    pub(crate) fn by(witness: Arc<dyn Witness>) -> Watched {
        Watched(Some(witness))
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.0.is_some()
    }

    /// The witness, if there is one.
    #[inline]
    pub(crate) fn witness(&self) -> Option<&dyn Witness> {
        self.0.as_deref()
    }

    /// Shows what `sight` makes, if anybody watches.
    #[inline]
    pub(crate) fn show<'a>(&self, sight: impl FnOnce() -> Sight<'a>) {
        if let Some(witness) = &self.0 {
            witness.see(sight());
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_watched() { "Watched" } else { "Unwatched" })
    }
}

/// Where a consumer's attempts are seen.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) watched: Watched,
    pub(crate) rt: Rt,
    pub(crate) topic: Name,
    pub(crate) group: Name,
    pub(crate) consumer: ConsumerId,
    pub(crate) order: Order,
}

impl Window {
    pub(crate) fn at<T>(&self, message: &Message<T>) -> At<'_> {
        let Window { topic, group, consumer, .. } = self;
        At { topic, group, consumer: *consumer, id: message.id(), attempt: message.attempt() }
    }

    /// The attempt on this message is over.
    pub(crate) fn show_end<T>(&self, message: &Message<T>, verdict: &Verdict) {
        self.watched.show(|| Sight::Ended(self.at(message), verdict));
    }

    /// A consumer lost its handler.
    pub(crate) fn show_rebuilt(&self) {
        let Window { topic, group, consumer, .. } = self;
        self.watched.show(|| Sight::Rebuilt { topic, group, consumer: *consumer });
    }

    /// A consumer is no more.
    pub(crate) fn show_gone(&self) {
        let Window { topic, group, consumer, .. } = self;
        self.watched.show(|| Sight::Gone { topic, group, consumer: *consumer });
    }
}
