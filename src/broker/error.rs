//! What can go wrong at the broker's door, and what happened to the message.

use std::error::Error;
use std::fmt;

use super::{Dropped, NoRoom};
use crate::base::Name;

mod open;
mod publish;
mod storage;

pub use open::OpenError;
pub use publish::{InvalidMessage, PublishAllError, PublishError};
pub use storage::StorageError;

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
    /// The disk refused: it is full, it failed, or what is on it is damaged. Nothing was done; mend that, and try again.
    Storage,
    /// The disk failed in the middle: nobody knows whether it was done. Start the broker anew to see.
    Unknown,
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
    /// The message is settled in this process, and the disk refused to keep that, or failed: the next process may deliver it again.
    /// Only of [`Delivery::ack_durable`](crate::broker::Delivery::ack_durable).
    NotStored,
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
    /// The topic is durable, and the disk refused the message. The letter can be redriven again; the log says what the disk said.
    NotStored,
    /// The topic is durable, and its codec can't read the message, or can't write it.
    Undecodable,
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
    /// Tells what to do; any [`ErrorKind`] but `Dropped` and `Unknown`.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RedriveError::Full => ErrorKind::Full,
            RedriveError::GroupGone | RedriveError::Closed => ErrorKind::Closed,
            RedriveError::NotStored => ErrorKind::Storage,
            RedriveError::Undecodable => ErrorKind::Invalid,
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
    /// The topic is open: [`Topic::delete`](crate::broker::Topic::delete) deletes it. Only of
    /// [`Broker::delete_stored_topic`](crate::broker::Broker::delete_stored_topic).
    Open {
        /// The topic.
        topic: Name,
    },
    /// The disk refused. Only of [`Broker::delete_stored_topic`](crate::broker::Broker::delete_stored_topic).
    NotDeleted {
        /// What it said.
        error: StorageError,
    },
}

impl DeleteError {
    /// Tells what to do: [`ErrorKind::Closed`], [`ErrorKind::Storage`] or [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            DeleteError::Closed => ErrorKind::Closed,
            DeleteError::NotDeleted { .. } => ErrorKind::Storage,
            DeleteError::FromItsHandler | DeleteError::InUse { .. } | DeleteError::Open { .. } => {
                ErrorKind::Invalid
            }
        }
    }
}

impl ErrorKind {
    fn source(self) -> Option<&'static (dyn Error + 'static)> {
        match self {
            ErrorKind::Full => Some(&NoRoom),
            ErrorKind::Dropped => Some(&Dropped),
            ErrorKind::Closed | ErrorKind::Invalid | ErrorKind::Storage | ErrorKind::Unknown => None,
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
            RedriveError::NotStored => "not redriven: the disk refused the message",
            RedriveError::Undecodable => "not redriven: the topic's codec can't read or write the message",
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
            DeleteError::Open { topic } => write!(f, "not deleted: {topic} is open"),
            DeleteError::NotDeleted { error } => write!(f, "not deleted: {error}"),
        }
    }
}

impl Error for DeleteError {}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AckError::LeaseExpired => "not acked: the ack timeout had passed, the message is delivered again",
            AckError::Closed => "not acked: its group is closed",
            AckError::NotStored => "acked, and not kept on the disk: the next process may deliver it again",
        })
    }
}

impl Error for AckError {}
