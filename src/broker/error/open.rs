//! Why a topic or a group was not opened.

use std::error::Error;
use std::fmt;

use super::{Closed, ErrorKind, StorageError};
use crate::base::{InvalidName, Name};
use crate::broker::Durability;
use crate::runtime::NoRuntime;

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
    /// The disk refused, or what is on it is damaged: the text says which file.
    Storage(StorageError),
    /// A topic that is to be durable was opened on a broker without a data directory.
    NoDataDir(Name),
    /// The messages of that topic on disk were written by another [`Codec`](crate::broker::Codec). Open it with that one, or
    /// publish what it holds to another topic.
    OtherCodec {
        /// The topic.
        name: Name,
        /// The name of the codec that it has.
        is: String,
        /// The name of the codec that was asked for.
        asked: String,
    },
    /// There is a topic of that name with another [`Durability`]; `None` is in memory alone.
    OtherDurability {
        /// The topic.
        name: Name,
        /// What it has.
        is: Option<Durability>,
        /// What was asked for.
        asked: Option<Durability>,
    },
}

impl OpenError {
    /// Tells what to do: [`ErrorKind::Closed`], [`ErrorKind::Storage`] or [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            OpenError::Closed => ErrorKind::Closed,
            OpenError::Storage(_) => ErrorKind::Storage,
            _ => ErrorKind::Invalid,
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
            OpenError::Storage(error) => write!(f, "not opened: {error}"),
            OpenError::NoDataDir(name) => {
                write!(
                    f,
                    "not opened: {name} is to be durable, and the broker was started without a data directory"
                )
            }
            OpenError::OtherCodec { name, is, asked } => {
                write!(
                    f,
                    "not opened: the messages of topic {name} were written by the codec {is}, not {asked}"
                )
            }
            OpenError::OtherDurability { name, is, asked } => {
                write!(f, "not opened: topic {name} is {}, not {}", how_durable(is), how_durable(asked))
            }
        }
    }
}

fn how_durable(durability: &Option<Durability>) -> String {
    durability.map_or("in memory".to_string(), |durability| durability.to_string())
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            OpenError::Name(error) => Some(error),
            OpenError::NoRuntime(error) => Some(error),
            // Its text is in ours already.
            OpenError::Storage(error) => error.source(),
            _ => None,
        }
    }
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> OpenError {
        OpenError::Storage(error)
    }
}
