//! What others say to a topic.

use std::sync::Arc;

use super::bits::Bits;
use super::books::GroupId;
use super::dead_letter::WayBack;
use super::group_word::{GroupWord, Handout};
use super::message::Batch;
use super::record::ComesBack;
use super::room::Room;
use super::spill::Written;
use super::start::Begin;
use super::topic_actor::{BlockRead, GroupNews, PagesRead, Redriven};
use super::{GroupStats, TopicStats};
use crate::base::Name;
use crate::log::LogError;
use crate::mailbox::{Reply, Sender};

/// What others say to a topic.
pub(crate) enum TopicWord<T> {
    /// A group is done with these messages.
    Settled {
        group: GroupId,
        base: u64,
        which: Bits,
    },
    /// A group is done with a message of this batch that had come back.
    SettledAgain {
        group: GroupId,
        base: u64,
        at: u16,
    },
    /// How a group is.
    GroupNews {
        group: GroupId,
        news: GroupNews,
    },
    AddGroup {
        group: GroupId,
        name: Name,
        to: Sender<Handout<T>, GroupWord<T>>,
        start: Begin,
        /// Answered once the group is there, and the log has it.
        done: Reply<Result<(), LogError>>,
    },
    /// Forget this group; answer how many of its messages were withheld.
    RemoveGroup {
        group: GroupId,
        done: Reply<u64>,
    },
    /// Let this group answer when nothing is left to do of what lies before this offset. All that is in the books.
    Drain {
        group: GroupId,
        upto: u64,
        reply: Reply<()>,
    },
    /// Hear this word once everything before the offset `upto` is in the books.
    Once {
        upto: u64,
        word: Box<TopicWord<T>>,
    },
    Hold(bool),
    /// Somebody waits for room.
    Waits,
    /// Answer when no running group has anything left to do.
    WhenQuiet(Reply<Quiet>),
    Stats(Reply<TopicStats>),
    /// Add to a group's counts what the topic knows, and answer.
    GroupStats {
        group: GroupId,
        stats: Box<GroupStats>,
        reply: Reply<GroupStats>,
    },
    /// A message comes back from the dead letters, with a place that was got for it.
    Redrive {
        group: GroupId,
        message: WayBack<T>,
        answer: Reply<Redriven>,
    },
    /// A message comes back to a durable topic, with a place that was got for it.
    ComesBack(Box<ComesBack<T>>),
    /// Answer when a message of this batch may come back.
    WhenRedrivable {
        base: u64,
        len: u16,
        answer: Reply<()>,
    },
    /// Show what is kept of the first batch that begins at the offset `from` or later.
    Peek {
        from: u64,
        answer: Reply<Option<(Arc<Batch<T>>, Bits)>>,
    },
    /// Hand nothing more to this group, and tell it so: it is to be moved.
    Halt {
        group: GroupId,
    },
    /// The group that was halted begins anew here. Answered once the log has it.
    Seek {
        group: GroupId,
        start: Begin,
        done: Reply<Result<(), LogError>>,
    },
    /// Show what is kept next to an offset.
    Look(Look<T>),
    /// What a group is to replay was read.
    PagesRead(PagesRead<T>),
    /// This message went elsewhere: it need not be kept for groups to come.
    Moved {
        base: u64,
        index: u16,
    },
    /// Somebody waits for room in a topic that evicts.
    MakeRoom(Reply<Room>),
    /// The log has answered for the oldest append that is on its way.
    Stored(Result<u64, LogError>),
    /// What was to be spilled is on the disk, or was refused.
    BlockWritten(Written<T>),
    /// What was spilled is here again, or can't be read.
    BlockRead(BlockRead<T>),
    /// Try to read it once more.
    ReadAgain,
    /// End.
    Stop(Reply<Unread>),
}

/// Asks for the batch nearest to an offset: that offset and what follows, or what is before it.
pub(crate) struct Look<T> {
    pub(crate) at: u64,
    pub(crate) back: bool,
    pub(crate) answer: Reply<Option<Seen<T>>>,
}

/// Some of a batch.
pub(crate) struct Seen<T> {
    pub(crate) batch: Arc<Batch<T>>,
    pub(crate) which: Bits,
}

/// What a topic says when it is quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// Counts what may have ended an earlier quiet. If it is the same in two answers, the topic was quiet in between.
    pub(crate) changes: u64,
    /// Messages that wait for a dead-letter topic.
    pub(crate) parked: u64,
    /// The first of the delayed messages that are due and wait for room. The topic does not know, but its schedule.
    pub(crate) due: Option<u64>,
}

/// What a topic was left with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Messages ever accepted, evicted to make room, and too old before there was a group.
    pub(crate) counted: [u64; 3],
    /// Messages that no group was there for.
    pub(crate) nobodys: u64,
    /// Messages that each group was not handed.
    pub(crate) withheld: Vec<(GroupId, u64)>,
}
