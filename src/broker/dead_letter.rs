//! Dead letters: messages that a group gave up.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::message::Batch;
use super::{Message, MessageId};
use crate::base::Name;

/// Carries a message that a group gave up, and why. It is the payload of every dead-letter topic.
///
/// The payload is shared with the topic it came from, not cloned; [`DeadLetter::message`] gives it back in its
/// type. A dead letter keeps the payload's whole batch, at most 256 payloads, in memory.
///
/// A letter comes as the payload of a message of its own, with an id and a topic of its own: `letter.id()` on a
/// [`Message`] or a delivery is that one. [`DeadLetter::original_id`] is that of the message that was given up.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start()?;
/// let orders = broker.topic::<String>("orders").open().await?;
/// orders.group("billing").retry(Retry::none()).run(async |_| Err(Fault::new("no such customer"))).await?;
///
/// use futures::StreamExt as _;
/// let dead = broker.topic::<DeadLetter>("orders.billing.dead").open().await?;
/// let mut letters = dead.group("clerk").stream().await?;
/// orders.publish("one anvil".to_string()).await?;
///
/// let letter = letters.next().await.unwrap();
/// assert_eq!(*letter.message::<String>().unwrap(), "one anvil");
/// assert_eq!(letter.error(), Some("no such customer"));
/// assert_eq!(letter.original_topic().as_str(), "orders");
/// letter.ack()?;
/// # Ok(()) }
/// ```
pub struct DeadLetter {
    payload: Arc<dyn Payload>,
    index: u16,
    group: Name,
    attempts: u32,
    reason: DeadReason,
    error: Option<Arc<str>>,
}

/// Says why a group gave a message up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadReason {
    /// It failed as often as the group's [`Retry`](super::Retry) allows.
    TooManyAttempts,
    /// Its handler said so, for this reason.
    Rejected(Arc<str>),
}

/// A batch whose payload type is forgotten.
trait Payload: Send + Sync {
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn id(&self, index: u16) -> MessageId;
    fn topic(&self) -> &Name;
}

impl<T: Send + Sync + 'static> Payload for Batch<T> {
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn id(&self, index: u16) -> MessageId {
        Batch::id(self, index)
    }

    fn topic(&self) -> &Name {
        Batch::topic(self)
    }
}

impl DeadLetter {
    pub(crate) fn new<T: Send + Sync + 'static>(
        batch: Arc<Batch<T>>,
        index: u16,
        group: Name,
        attempts: u32,
        reason: DeadReason,
        error: Option<Arc<str>>,
    ) -> DeadLetter {
        DeadLetter { payload: batch, index, group, attempts, reason, error }
    }

    /// Returns the message, or `None` if its payload is not a `T`.
    pub fn message<T: Send + Sync + 'static>(&self) -> Option<Message<T>> {
        let batch = self.payload.clone().any().downcast::<Batch<T>>().ok()?;
        Some(Message { batch, index: self.index, attempt: self.attempts })
    }

    /// Returns the id that the message had in the topic it was published to.
    pub fn original_id(&self) -> MessageId {
        self.payload.id(self.index)
    }

    /// Returns the topic it was published to.
    pub fn original_topic(&self) -> &Name {
        self.payload.topic()
    }

    /// Returns the group that gave it up.
    pub fn group(&self) -> &Name {
        &self.group
    }

    /// Returns how often its handling began.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns why it was given up.
    pub fn reason(&self) -> &DeadReason {
        &self.reason
    }

    /// Returns the last error or panic text, if an attempt failed.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &format_args!("{}", self.original_id()))
            .field("topic", self.original_topic())
            .field("group", &self.group)
            .field("attempts", &self.attempts)
            .field("reason", &self.reason)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadReason::TooManyAttempts => f.write_str("failed too often"),
            DeadReason::Rejected(reason) => write!(f, "rejected: {reason}"),
        }
    }
}
