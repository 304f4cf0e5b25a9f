//! Why a message was not accepted, and what became of it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{ErrorKind, StorageError};
use crate::broker::{Dedup, InvalidHeader, MessageId};

/// Says why a message was not accepted, and gives it back. It is in no topic, but for [`PublishError::Unknown`], where
/// nobody can know.
pub enum PublishError<T> {
    /// The topic is full, and answers that with [`Overflow::Reject`](crate::broker::Overflow::Reject); or this was a
    /// `try_publish`. Publish it later, or drop it knowingly.
    Full(T),
    /// There was no room within the time that the topic's `Wait`, or a handler's publish, may take.
    ///
    /// In a handler, return it as the error it is: the input is tried again, without a failure
    /// ([`NoRoom`](crate::broker::NoRoom)).
    TimedOut(T),
    /// The topic was full, and drops what comes then: [`Overflow::DropNewest`](crate::broker::Overflow::DropNewest).
    /// The topic has counted it. Go on without it: [`UnlessDropped`](crate::broker::UnlessDropped) makes that one word.
    ///
    /// A handler that returns it as the error it is has its input dropped as well: see [`Dropped`](crate::broker::Dropped).
    Dropped(T),
    /// The topic was deleted, or the broker is shut down, or is draining and this came from outside of its handlers.
    Closed(T),
    /// The message can't be one of this topic's, for this reason: change it.
    Invalid(T, InvalidMessage),
    /// The topic is durable, and the disk refused the message: it is full, or failed before anything was written.
    ///
    /// On a full disk the topic goes on as soon as there is room: publish it again then. If the log is closed by an error, as
    /// the text says, nothing is accepted before the broker was started anew.
    NotStored(T, StorageError),
    /// The topic is durable, and the disk failed while it was writing: **the message may be there or not**, and only
    /// starting the broker anew tells. Until then nothing more is accepted.
    ///
    /// Publish it again after that if its handling twice does less harm than its loss; with a
    /// [`dedup key`](crate::broker::MessageBuilder::dedup_key) it is then accepted once.
    Unknown(T, StorageError),
}

/// Says why a message can't be published as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// The topic's [`key`](crate::broker::TopicBuilder::key) function panicked. The log has its words.
    KeyPanicked,
    /// A header can't be one.
    Header(InvalidHeader),
    /// The topic's [`dedup_by`](crate::broker::TopicBuilder::dedup_by) function panicked. The log has its words.
    DedupKeyPanicked,
    /// A dedup key is empty, or has more than [`Dedup::MOST_KEY`](crate::broker::Dedup::MOST_KEY) bytes.
    DedupKey {
        /// So many bytes it has.
        bytes: usize,
    },
    /// The size function of the topic's [`capacity_bytes`](crate::broker::TopicBuilder::capacity_bytes) panicked. The log has its
    /// words.
    WeigherPanicked,
    /// It has more bytes than the topic may hold at all.
    TooLarge {
        /// Its bytes, those of its headers included.
        bytes: usize,
        /// What the topic may hold.
        limit: usize,
    },
    /// Its [`ttl`](crate::broker::MessageBuilder::ttl) is zero or over a year.
    Ttl(Duration),
    /// The [id](crate::broker::MessageBuilder::id) that it was given is not above this one, which the topic has, or which is the
    /// greatest of the millisecond that it last gave an id in. Publish it with a greater one, or with none.
    Id {
        /// Ids must be above it.
        above: MessageId,
    },
    /// It was given an id of the last millisecond that there is: none could come after it.
    LastId,
    /// A delayed message was given an id: others come in before it, whose ids are not known yet. Publish it with none.
    IdOfDelayed,
    /// The topic is durable, and this was a `try_publish`, which can't wait for the disk. Await
    /// [`Topic::publish`](crate::broker::Topic::publish); where the topic's overflow is not to wait, it waits for nothing else.
    MustWait,
    /// The codec of the topic, which is durable, refused it or panicked.
    NotEncoded {
        /// What the codec said.
        error: Arc<str>,
    },
}

impl<T> PublishError<T> {
    /// The same of another message.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> PublishError<U> {
        match self {
            PublishError::Full(value) => PublishError::Full(change(value)),
            PublishError::TimedOut(value) => PublishError::TimedOut(change(value)),
            PublishError::Dropped(value) => PublishError::Dropped(change(value)),
            PublishError::Closed(value) => PublishError::Closed(change(value)),
            PublishError::Invalid(value, why) => PublishError::Invalid(change(value), why),
            PublishError::NotStored(value, why) => PublishError::NotStored(change(value), why),
            PublishError::Unknown(value, why) => PublishError::Unknown(change(value), why),
        }
    }

    /// Takes the message out.
    pub fn into_inner(self) -> T {
        match self {
            PublishError::Full(value)
            | PublishError::TimedOut(value)
            | PublishError::Dropped(value)
            | PublishError::Closed(value)
            | PublishError::Invalid(value, _)
            | PublishError::NotStored(value, _)
            | PublishError::Unknown(value, _) => value,
        }
    }

    /// Tells what to do; any [`ErrorKind`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            PublishError::Full(_) | PublishError::TimedOut(_) => ErrorKind::Full,
            PublishError::Dropped(_) => ErrorKind::Dropped,
            PublishError::Closed(_) => ErrorKind::Closed,
            PublishError::Invalid(..) => ErrorKind::Invalid,
            PublishError::NotStored(..) => ErrorKind::Storage,
            PublishError::Unknown(..) => ErrorKind::Unknown,
        }
    }
}

/// Says how far a `publish_all` came before it ended, and gives the rest back.
pub struct PublishAllError<T> {
    /// The ids of the messages that were accepted, in order. They stay accepted.
    pub accepted: Vec<MessageId>,
    /// The messages that were not accepted, in order. If the kind is [`ErrorKind::Unknown`], some of them may be there
    /// all the same, from the first one on.
    pub rest: Vec<T>,
    /// What to do about the rest.
    pub kind: ErrorKind,
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
            PublishError::NotStored(_, error) => return write!(f, "NotStored(.., {error:?})"),
            PublishError::Unknown(_, error) => return write!(f, "Unknown(.., {error:?})"),
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
            PublishError::NotStored(_, error) => {
                return write!(
                    f,
                    "not published: the disk refused it: {error}; publish it again when that is mended"
                );
            }
            PublishError::Unknown(_, error) => {
                return write!(
                    f,
                    "unknown whether published: {error}; start the broker anew to see what is there"
                );
            }
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
            InvalidMessage::Id { above } => {
                write!(f, "its id is not above {above}, which the topic has or has passed")
            }
            InvalidMessage::LastId => f.write_str("its id is of the last millisecond there is"),
            InvalidMessage::IdOfDelayed => f.write_str("a delayed message can't have an id given to it"),
            InvalidMessage::MustWait => {
                f.write_str("the topic is durable, and try_publish can't wait for the disk")
            }
            InvalidMessage::NotEncoded { error } => {
                write!(f, "the topic's codec could not write it: {error}")
            }
            InvalidMessage::Ttl(ttl) => write!(f, "its ttl of {ttl:?} is not above zero and at most a year"),
            InvalidMessage::TooLarge { bytes, limit } => {
                write!(f, "it has {bytes} bytes, and the topic may hold {limit}")
            }
        }
    }
}

impl<T> Error for PublishError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Their text is in ours already.
            PublishError::NotStored(_, error) | PublishError::Unknown(_, error) => error.source(),
            _ => self.kind().source(),
        }
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
        let (accepted, rest) = (self.accepted.len(), self.rest.len());
        let why = match self.kind {
            ErrorKind::Unknown => {
                let why = "the disk failed while it was writing";
                return write!(f, "{why}: {accepted} messages were published, of {rest} it is unknown");
            }
            ErrorKind::Storage => "the disk refused the next message",
            ErrorKind::Closed => "the topic is closed",
            ErrorKind::Full => "the topic stayed full",
            ErrorKind::Dropped => "the topic is full and drops what comes",
            ErrorKind::Invalid => "the next message can't be one of this topic's",
        };
        write!(f, "{why}: {accepted} messages were published, {rest} were not")
    }
}

impl<T> Error for PublishAllError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}
