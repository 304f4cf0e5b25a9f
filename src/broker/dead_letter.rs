//! Dead letters: messages that a group gave up.

use std::fmt;
use std::sync::Arc;

use super::bits::Bits;
use super::ledger::Past;
use super::message::Batch;
use super::redrive::Home;
use super::weight::Weighed as _;
use super::{Headers, KeyHash, Message, MessageId, RedriveError};
use crate::base::Name;
use crate::base::sync::{AtomicBool, Ordering};
use payload::Payload;

mod codec;
mod letter;
mod payload;

pub(crate) use codec::{AnyCodec, Homes, Letters};
pub(crate) use payload::Stored;

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
    past: Past,
    reason: DeadReason,
    home: Arc<dyn Home>,
    /// Set when it comes in at its topic again, there and only there.
    redriven: Arc<AtomicBool>,
}

/// Says why a group gave a message up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DeadReason {
    /// It failed as often as the group's [`Retry`](super::Retry) allows.
    TooManyAttempts,
    /// Its handler said so, for this reason.
    Rejected(Arc<str>),
    /// It was never tried: as many messages waited behind one of its key that failed as
    /// [`max_parked_per_key`](super::GroupBuilder::max_parked_per_key) allows.
    KeyFull,
    /// It was on the disk, and its topic's [`Codec`](super::Codec) could not read it, for this reason. The letter has its
    /// bytes ([`DeadLetter::stored_payload`]), and no message. Redrive it once a program runs that can read it.
    Undecodable(Arc<str>),
    /// It was past its topic's [`ttl`](super::TopicBuilder::ttl) or [its own](super::MessageBuilder::ttl), and its group wants to see such messages.
    Expired,
}

/// One message, as it comes back to its topic.
pub(crate) struct WayBack<T> {
    pub(crate) batch: Arc<Batch<T>>,
    pub(crate) index: u16,
    pub(crate) redrives: u16,
    /// To be set as it comes in. Why not by whoever redrives: only the topic knows whether it did.
    pub(crate) redriven: Arc<AtomicBool>,
}

impl<T> WayBack<T> {
    /// What it weighs, as when it was published.
    pub(crate) fn weight(&self) -> u64 {
        self.batch.weight(Bits::range(self.index, self.index + 1))
    }
}

impl DeadLetter {
    pub(crate) fn new<T: Send + Sync + 'static>(
        batch: Arc<Batch<T>>,
        index: u16,
        group: Name,
        past: Past,
        reason: DeadReason,
        home: Arc<dyn Home>,
    ) -> DeadLetter {
        DeadLetter { payload: batch, index, group, past, reason, home, redriven: Arc::default() }
    }

    /// Of a message that was read from the disk: in a letter, or because it can't be read any further.
    pub(crate) fn stored(
        stored: payload::Stored,
        group: Name,
        past: Past,
        reason: DeadReason,
        home: Arc<dyn Home>,
    ) -> DeadLetter {
        DeadLetter {
            payload: Arc::new(stored),
            index: 0,
            group,
            past,
            reason,
            home,
            redriven: Arc::default(),
        }
    }

    /// Brings the message back to the group that gave it up, and to no other, as if it were new there: its
    /// attempts begin at 1 again, and [`Message::redrives`] is one more.
    ///
    /// It comes in as a message that is published does: while the topic is full it waits or not as the topic's
    /// [`Overflow`](super::Overflow) says, and from inside a handler at most as long as a publish may. It waits, too,
    /// while it would keep so much of its old batch in memory that the topic held more settled payloads than its
    /// capacity. If the topic and the dead-letter topic are both full, each waits for the other: settle a letter.
    ///
    /// The letter stays where it is; whoever was handed it acks it. It brings the message back once: to redrive it
    /// again, here or from another group of the dead-letter topic, does nothing and is no error.
    ///
    /// # Errors
    /// [`RedriveError`]: the message did not come back, and the letter can be redriven again.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line, or leaves the message redriven: [`DeadLetter::is_redriven`] tells, and
    /// it is safe to call this again.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<String>("orders").open().await?;
    /// let billing = orders.group("billing").retry(Retry::none());
    /// let billing = billing.run(async |order| match order.redrives() {
    ///     0 => Err(Fault::new("the printer is out of paper")),
    ///     _ => Ok(()),
    /// }).await?;
    ///
    /// let dead = broker.topic::<DeadLetter>("orders.billing.dead").open().await?;
    /// dead.group("clerk").run(async |letter| Ok(letter.redrive().await?)).await?;
    /// orders.publish("one anvil".to_string()).await?;
    ///
    /// broker.idle().await?;
    /// let stats = billing.stats().await?;
    /// assert_eq!((stats.dead_lettered, stats.redriven, stats.acked), (1, 1, 1));
    /// # Ok(()) }
    /// ```
    pub async fn redrive(&self) -> Result<(), RedriveError> {
        self.redrive_once().await.map(drop)
    }

    /// Answers whether this call brought it back.
    pub(super) async fn redrive_once(&self) -> Result<bool, RedriveError> {
        if self.is_redriven() {
            return Ok(false);
        }
        self.home.bring_back(self).await
    }

    /// Returns whether the message was brought back to its group by this letter.
    pub fn is_redriven(&self) -> bool {
        self.redriven.load(Ordering::Acquire)
    }

    /// Whether the group that lives there gave it up.
    pub(super) fn is_from(&self, home: &Arc<dyn Home>, topic: &Name, group: &Name) -> bool {
        let same = std::ptr::addr_eq(Arc::as_ptr(&self.home), Arc::as_ptr(home));
        same || self.home.is_named(topic, group)
    }

    /// The message as it was read from the disk, if it was.
    pub(super) fn as_stored(&self) -> Option<&Stored> {
        self.payload.stored()
    }

    pub(super) fn original_key(&self) -> Option<KeyHash> {
        self.payload.key(self.index)
    }

    /// Where it is marked that it came in at its topic again.
    pub(super) fn mark(&self) -> Arc<AtomicBool> {
        self.redriven.clone()
    }

    /// What its topic needs to take the message in again.
    pub(super) fn way_back<T: Send + Sync + 'static>(&self) -> Option<WayBack<T>> {
        let (batch, index) = (self.batch()?, self.index);
        let redrives = self.past.redrives.saturating_add(1);
        Some(WayBack { batch, index, redrives, redriven: self.redriven.clone() })
    }

    fn batch<T: Send + Sync + 'static>(&self) -> Option<Arc<Batch<T>>> {
        match self.payload.stored() {
            Some(stored) => stored.batch().map(Arc::new),
            None => self.payload.clone().any().downcast::<Batch<T>>().ok(),
        }
    }

    /// Returns the message, or `None` if its payload is not a `T`.
    ///
    /// Of a letter that was read from the disk the payload is read now, and each time anew, by the codec of the topic that
    /// it was published to. `None` then also says that this topic isn't open, or that its codec can't read it:
    /// [`DeadLetter::stored_payload`] gives the bytes.
    pub fn message<T: Send + Sync + 'static>(&self) -> Option<Message<T>> {
        let (redrives, attempt) = (self.past.redrives, self.past.attempts);
        Some(Message { batch: self.batch()?, index: self.index, redrives, attempt })
    }

    /// Returns the payload's bytes, as the codec of its topic wrote them, if the letter was read from the disk, or
    /// carries what can't be read: [`DeadReason::Undecodable`]. `None`: it is in memory, as a value.
    pub fn stored_payload(&self) -> Option<&[u8]> {
        self.payload.stored().map(|stored| &*stored.payload)
    }

    /// Returns the id that the message had in the topic it was published to.
    pub fn original_id(&self) -> MessageId {
        self.payload.id(self.index)
    }

    /// Returns the topic it was published to.
    pub fn original_topic(&self) -> &Name {
        self.payload.topic()
    }

    /// Returns the headers that it was published with.
    pub fn original_headers(&self) -> &Headers {
        self.payload.headers(self.index)
    }

    /// Returns the group that gave it up.
    pub fn group(&self) -> &Name {
        &self.group
    }

    /// Returns how often its handling began, since the last redrive if there was one.
    pub fn attempts(&self) -> u32 {
        self.past.attempts
    }

    /// Returns how often the message had been redriven when it was given up.
    pub fn original_redrives(&self) -> u32 {
        self.past.redrives.into()
    }

    /// Returns why it was given up.
    pub fn reason(&self) -> &DeadReason {
        &self.reason
    }

    /// Returns the last error or panic text, if an attempt failed.
    pub fn error(&self) -> Option<&str> {
        self.past.error.as_deref()
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &format_args!("{}", self.original_id()))
            .field("topic", self.original_topic())
            .field("group", &self.group)
            .field("attempts", &self.past.attempts)
            .field("redrives", &self.past.redrives)
            .field("reason", &self.reason)
            .field("error", &self.past.error)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadReason::TooManyAttempts => f.write_str("failed too often"),
            DeadReason::Rejected(reason) => write!(f, "rejected: {reason}"),
            DeadReason::Undecodable(error) => write!(f, "could not be read: {error}"),
            DeadReason::Expired => f.write_str("expired"),
            DeadReason::KeyFull => f.write_str("too many waited behind one of its key that failed"),
        }
    }
}

#[cfg(test)]
mod tests;
