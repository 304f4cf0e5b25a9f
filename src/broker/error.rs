//! What can go wrong at the broker's door, and what happened to the message.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{Dedup, Dropped, InvalidHeader, MessageId, NoRoom};
use crate::base::{InvalidName, Name};
use crate::runtime::NoRuntime;

/// Says why a message was not accepted, and gives it back. It is in no topic.
pub enum PublishError<T> {
    /// The topic is full, and answers that with [`Overflow::Reject`](super::Overflow::Reject); or this was a
    /// `try_publish`. Publish it later, or drop it knowingly.
    Full(T),
    /// There was no room within the time that the topic's `Wait`, or a handler's publish, may take.
    ///
    /// In a handler, return it as the error it is: the input is tried again, without a failure ([`NoRoom`]).
    TimedOut(T),
    /// The topic was full, and drops what comes then: [`Overflow::DropNewest`](super::Overflow::DropNewest). The topic
    /// has counted it. Go on without it: [`UnlessDropped`](super::UnlessDropped) makes that one word.
    ///
    /// A handler that returns it as the error it is has its input dropped as well: see [`Dropped`].
    Dropped(T),
    /// The topic was deleted, or the broker is shut down, or is draining and this came from outside of its handlers.
    Closed(T),
    /// The message can't be one of this topic's, for this reason: change it.
    Invalid(T, InvalidMessage),
}

/// Says why a message can't be published as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// The topic's [`key`](super::TopicBuilder::key) function panicked. The log has its words.
    KeyPanicked,
    /// A header can't be one.
    Header(InvalidHeader),
    /// The topic's [`dedup_by`](super::TopicBuilder::dedup_by) function panicked. The log has its words.
    DedupKeyPanicked,
    /// A dedup key is empty, or has more than [`Dedup::MOST_KEY`](super::Dedup::MOST_KEY) bytes.
    DedupKey {
        /// So many bytes it has.
        bytes: usize,
    },
    /// The size function of the topic's [`capacity_bytes`](super::TopicBuilder::capacity_bytes) panicked. The log has its
    /// words.
    WeigherPanicked,
    /// It has more bytes than the topic may hold at all.
    TooLarge {
        /// Its bytes, those of its headers included.
        bytes: usize,
        /// What the topic may hold.
        limit: usize,
    },
    /// Its [`ttl`](super::MessageBuilder::ttl) is zero or over a year.
    Ttl(Duration),
}

impl<T> PublishError<T> {
    /// Takes the message out.
    pub fn into_inner(self) -> T {
        match self {
            PublishError::Full(value)
            | PublishError::TimedOut(value)
            | PublishError::Dropped(value)
            | PublishError::Closed(value)
            | PublishError::Invalid(value, _) => value,
        }
    }

    /// Tells what to do: [`ErrorKind::Full`], [`ErrorKind::Dropped`], [`ErrorKind::Closed`] or [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            PublishError::Full(_) | PublishError::TimedOut(_) => ErrorKind::Full,
            PublishError::Dropped(_) => ErrorKind::Dropped,
            PublishError::Closed(_) => ErrorKind::Closed,
            PublishError::Invalid(..) => ErrorKind::Invalid,
        }
    }
}

/// Says how far a `publish_all` came before it ended, and gives the rest back.
pub struct PublishAllError<T> {
    /// The ids of the messages that were accepted, in order. They stay accepted.
    pub accepted: Vec<MessageId>,
    /// The messages that were not accepted, in order.
    pub rest: Vec<T>,
    /// What to do about the rest.
    pub kind: ErrorKind,
}

/// Tells what to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No room: try again later, slow down, or give up the message knowingly.
    Full,
    /// No room, and what finds none is not wanted: the topic dropped it and counted it. Go on without it.
    Dropped,
    /// It is over: nothing will be accepted any more.
    Closed,
    /// The request can't be right: change it. Nothing was done.
    Invalid,
}

/// Says why a topic or a group was not opened. Nothing was created.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// A name can't be one, or one made from it (a dead-letter topic's) can't.
    Name(InvalidName),
    /// Settings that can't work, all of them listed.
    Settings {
        /// What was opened.
        name: String,
        /// One sentence for each wrong setting.
        faults: Vec<String>,
    },
    /// There is a topic of that name with another message type.
    WrongType {
        /// The topic.
        name: Name,
        /// The type of its messages.
        is: &'static str,
        /// The type that was asked for.
        asked: &'static str,
    },
    /// There is a topic or a group of that name with other settings.
    OtherSettings {
        /// The topic, or `topic.group`.
        name: String,
    },
    /// There is no topic of that name.
    NotFound(Name),
    /// The topic has no group of that name.
    GroupNotFound {
        /// The topic.
        topic: Name,
        /// The name that was asked for.
        group: Name,
    },
    /// The group's dead letters would come back to the topic they left.
    DeadLetterCycle {
        /// The topics along the cycle.
        path: Vec<Name>,
    },
    /// The broker has as many topics as it may have.
    TooManyTopics(usize),
    /// The broker is shut down or draining, or the topic was deleted.
    Closed,
    /// There is no runtime.
    NoRuntime(NoRuntime),
}

impl OpenError {
    /// Tells what to do: [`ErrorKind::Closed`] or [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            OpenError::Closed => ErrorKind::Closed,
            _ => ErrorKind::Invalid,
        }
    }
}

/// Says that the broker has been shut down, or the topic or the group deleted, so that nobody is there to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Says why an ack, or another verdict on a pulled delivery, changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// The ack timeout had passed, and the message went back to the group: it is, or will be, delivered again.
    LeaseExpired,
    /// The broker is shut down, or the topic or the group deleted; the message was not settled.
    Closed,
}

/// Says why a dead letter's message did not come back. The letter is as it was, and can be redriven again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedriveError {
    /// The topic had no room within the time that a publish may wait there, or would have kept too many settled
    /// payloads. In a handler, return it as the error it is: the letter is tried again, without a failure
    /// ([`NoRoom`]).
    Full,
    /// The group that gave the message up is gone; one of the same name that was opened since is another.
    GroupGone,
    /// The broker is shut down, or is draining and this came from outside of its handlers.
    Closed,
}

/// Says how many dead letters were brought back before one was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedriveAllError {
    /// So many were brought back.
    pub redriven: u64,
    /// Why the next one was not.
    pub error: RedriveError,
}

impl RedriveError {
    /// Tells what to do: [`ErrorKind::Full`] or [`ErrorKind::Closed`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            RedriveError::Full => ErrorKind::Full,
            RedriveError::GroupGone | RedriveError::Closed => ErrorKind::Closed,
        }
    }
}

/// Says why a topic or a group was not deleted. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeleteError {
    /// It was asked for in a handler of the group, or of one of the topic's groups, which would have waited for its
    /// own end. Ask in a task of its own; the handler is then cancelled at its next await, as all others are.
    FromItsHandler,
    /// A group sends its dead letters to this topic, and would have nowhere to move them: delete that first.
    InUse {
        /// The group's topic.
        topic: Name,
        /// The group.
        group: Name,
    },
    /// The broker is shut down or draining, or the group went with its topic.
    Closed,
}

impl DeleteError {
    /// Tells what to do: [`ErrorKind::Closed`] or [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            DeleteError::Closed => ErrorKind::Closed,
            DeleteError::FromItsHandler | DeleteError::InUse { .. } => ErrorKind::Invalid,
        }
    }
}

impl From<InvalidName> for OpenError {
    fn from(error: InvalidName) -> OpenError {
        OpenError::Name(error)
    }
}

impl From<NoRuntime> for OpenError {
    fn from(error: NoRuntime) -> OpenError {
        OpenError::NoRuntime(error)
    }
}

impl From<Closed> for OpenError {
    fn from(_: Closed) -> OpenError {
        OpenError::Closed
    }
}

// Why by hand: errors are shown and passed on without asking anything of the message.
impl<T> fmt::Debug for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublishError::Full(_) => "Full(..)",
            PublishError::TimedOut(_) => "TimedOut(..)",
            PublishError::Dropped(_) => "Dropped(..)",
            PublishError::Closed(_) => "Closed(..)",
            PublishError::Invalid(_, why) => return write!(f, "Invalid(.., {why:?})"),
        })
    }
}

impl<T> fmt::Display for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublishError::Full(_) => "not published: the topic is full",
            PublishError::TimedOut(_) => "not published: the topic stayed full for as long as this may wait",
            PublishError::Dropped(_) => "dropped: the topic is full",
            PublishError::Closed(_) => "not published: the topic is closed",
            PublishError::Invalid(_, why) => return write!(f, "not published: {why}"),
        })
    }
}

impl fmt::Display for InvalidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidMessage::KeyPanicked => f.write_str("the topic's key function panicked at it"),
            InvalidMessage::Header(invalid) => invalid.fmt(f),
            InvalidMessage::DedupKeyPanicked => f.write_str("the topic's dedup key function panicked at it"),
            InvalidMessage::DedupKey { bytes } => {
                write!(f, "a dedup key has 1 to {} bytes, not {bytes}", Dedup::MOST_KEY)
            }
            InvalidMessage::WeigherPanicked => f.write_str("the topic's size function panicked at it"),
            InvalidMessage::Ttl(ttl) => write!(f, "its ttl of {ttl:?} is not above zero and at most a year"),
            InvalidMessage::TooLarge { bytes, limit } => {
                write!(f, "it has {bytes} bytes, and the topic may hold {limit}")
            }
        }
    }
}

impl<T> Error for PublishError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind().source()
    }
}

impl<T> fmt::Debug for PublishAllError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishAllError")
            .field("accepted", &self.accepted.len())
            .field("rest", &self.rest.len())
            .field("kind", &self.kind)
            .finish()
    }
}

impl<T> fmt::Display for PublishAllError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.kind {
            ErrorKind::Closed => "the topic is closed",
            ErrorKind::Full => "the topic stayed full",
            ErrorKind::Dropped => "the topic is full and drops what comes",
            ErrorKind::Invalid => "the next message can't be one of this topic's",
        };
        write!(f, "{why}: {} messages were published, {} were not", self.accepted.len(), self.rest.len())
    }
}

impl<T> Error for PublishAllError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

impl ErrorKind {
    fn source(self) -> Option<&'static (dyn Error + 'static)> {
        match self {
            ErrorKind::Full => Some(&NoRoom),
            ErrorKind::Dropped => Some(&Dropped),
            ErrorKind::Closed | ErrorKind::Invalid => None,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Name(error) => write!(f, "not opened: {error}"),
            OpenError::Settings { name, faults } => write!(f, "{name} not opened: {}", faults.join("; ")),
            OpenError::WrongType { name, is, asked } => {
                write!(f, "not opened: the messages of topic {name} are {is}, not {asked}")
            }
            OpenError::OtherSettings { name } => write!(f, "not opened: {name} exists, with other settings"),
            OpenError::NotFound(name) => write!(f, "there is no topic {name}"),
            OpenError::GroupNotFound { topic, group } => write!(f, "the topic {topic} has no group {group}"),
            OpenError::DeadLetterCycle { path } => {
                write!(f, "not opened: dead letters would run in a circle")?;
                path.iter().try_for_each(|name| write!(f, " > {name}"))
            }
            OpenError::TooManyTopics(most) => write!(f, "not opened: a broker has at most {most} topics"),
            OpenError::Closed => f.write_str("not opened: the broker or the topic is closed"),
            OpenError::NoRuntime(error) => error.fmt(f),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            OpenError::Name(error) => Some(error),
            OpenError::NoRuntime(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed: nobody is there to answer")
    }
}

impl Error for Closed {}

impl fmt::Display for RedriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RedriveError::Full => "not redriven: the topic has no room",
            RedriveError::GroupGone => "not redriven: the group that gave the message up is gone",
            RedriveError::Closed => "not redriven: the broker is shut down or draining",
        })
    }
}

impl Error for RedriveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind().source()
    }
}

impl fmt::Display for RedriveAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dead letters were redriven, then: {}", self.redriven, self.error)
    }
}

impl Error for RedriveAllError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeleteError::FromItsHandler => f.write_str("not deleted: one of its own handlers asked"),
            DeleteError::InUse { topic, group } => {
                write!(f, "not deleted: dead letters of {topic}.{group} go there")
            }
            DeleteError::Closed => f.write_str("not deleted: it is closed already"),
        }
    }
}

impl Error for DeleteError {}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AckError::LeaseExpired => "not acked: the ack timeout had passed, the message is delivered again",
            AckError::Closed => "not acked: its group is closed",
        })
    }
}

impl Error for AckError {}
