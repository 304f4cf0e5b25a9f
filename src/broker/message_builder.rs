//! A message with something beside its payload, on its way in.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::follow::Following;
use super::topic::TopicShared;
use super::{Headers, Message, MessageId, Outgoing, PublishError, Scheduled};

/// Publishes a message with headers and the like; made by [`Topic::message`](super::Topic::message).
///
/// # Examples
/// ```
/// use callboard::prelude::*;
/// use futures::StreamExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start()?;
/// let orders = broker.topic::<String>("orders").open().await?;
/// let mut billing = orders.group("billing").stream().await?;
/// orders.message("one anvil".to_string()).header("tenant", "acme").publish().await?;
///
/// let order = billing.next().await.unwrap();
/// assert_eq!(order.headers().text("Tenant"), Some("acme"));
/// order.ack()?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is published before `publish`"]
pub struct MessageBuilder<'a, T: Send + Sync + 'static> {
    topic: &'a TopicShared<T>,
    message: Outgoing<T>,
}

/// Answers a publish: the topic has the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The message's id; of a repeat, that of the message that was accepted first.
    pub id: MessageId,
    /// Whether the topic had accepted a message with this dedup key before, and dropped this one: see
    /// [`Dedup`](super::Dedup).
    pub repeated: bool,
}

impl From<Published> for MessageId {
    #[inline]
    fn from(published: Published) -> MessageId {
        published.id
    }
}

impl<'a, T: Send + Sync + 'static> MessageBuilder<'a, T> {
    pub(super) fn new(topic: &'a TopicShared<T>, value: T) -> MessageBuilder<'a, T> {
        MessageBuilder { topic, message: Outgoing::new(value) }
    }

    /// Adds a header, behind those that there are. The value is text or any bytes.
    ///
    /// Headers stay with the message through every attempt, into the dead letters and back. What can't be one makes
    /// the publish fail, with [`InvalidMessage::Header`](super::InvalidMessage::Header) and the message.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> MessageBuilder<'a, T> {
        MessageBuilder { message: self.message.header(name, value), ..self }
    }

    /// Gives it these headers, in place of those that there are.
    pub fn headers(self, headers: Headers) -> MessageBuilder<'a, T> {
        MessageBuilder { message: self.message.headers(headers), ..self }
    }

    /// Continues the trace of `message`, if that has one, as what its handler publishes does by itself; for whoever pulls
    /// deliveries, or publishes from a task of its own. See [`TraceContext`](super::TraceContext).
    pub fn follow<U>(mut self, message: &Message<U>) -> MessageBuilder<'a, T> {
        if let Some(following) = Following::begin(message.headers(), &self.topic.core.rt) {
            following.continue_in(&mut self.message.extra.headers);
        }
        self
    }

    /// Gives it a key by which the topic takes it once: see [`Dedup`](super::Dedup). Text or any bytes.
    ///
    /// It goes before the one that the topic's [`dedup_by`](super::TopicBuilder::dedup_by) would find. An empty key, or one
    /// of more than [`Dedup::MOST_KEY`](super::Dedup::MOST_KEY) bytes, makes the publish fail, with
    /// [`InvalidMessage::DedupKey`](super::InvalidMessage::DedupKey) and the message.
    pub fn dedup_key(self, key: impl AsRef<[u8]>) -> MessageBuilder<'a, T> {
        MessageBuilder { message: self.message.dedup_key(key), ..self }
    }

    /// Gives the message this id, which must be above all ids of the topic; for what has an id already where it comes from,
    /// and is to be found by it here.
    ///
    /// Ids and messages are in one order, so the topic gives those of all that follow from this one on: the next sequence
    /// while its clock has not passed the id's milliseconds, and `0` in each later one. The milliseconds count as the time it
    /// came in, for whoever begins at a time and for how long history is kept; not for how long it is of use, or its dedup key
    /// known. Offsets count on as ever. A topic that gave ids itself takes those of a later millisecond.
    ///
    /// An id that is not above all others, or is of the last millisecond that there is, makes the publish fail, with
    /// [`InvalidMessage::Id`](super::InvalidMessage::Id) or [`LastId`](super::InvalidMessage::LastId), and the message; unless it is
    /// a repeat by its [dedup key](MessageBuilder::dedup_key), which is answered as one, and uses no id up. A delayed message can't
    /// have one. On disk, an id of a message that was [refused](PublishError::NotStored) may be given again, unless others came in
    /// behind it meanwhile.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::MessageId;
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let copies = broker.topic::<String>("copies").open().await?;
    /// let id: MessageId = "1700000000000-5".parse()?;
    /// copies.message("from elsewhere".to_string()).id(id).publish().await?;
    ///
    /// // Once more, since the first answer was lost: it is known, and refused.
    /// let again = copies.message("from elsewhere".to_string()).id(id).publish().await;
    /// assert!(matches!(again, Err(PublishError::Invalid(_, InvalidMessage::Id { above })) if above == id));
    /// # use callboard::broker::{InvalidMessage, PublishError};
    /// # Ok(()) }
    /// ```
    pub fn id(self, id: MessageId) -> MessageBuilder<'a, T> {
        MessageBuilder { message: self.message.id(id), ..self }
    }

    /// Lets the message be of use for so long once the topic has it: then it is not delivered any more, as if the whole
    /// topic had this [`ttl`](super::TopicBuilder::ttl). Default: as long as the topic's, if that has one; the shorter of both
    /// counts. At most a year.
    ///
    /// A delayed message is in its topic when it is due, and its time begins then. One that comes back from the dead
    /// letters has no such time any more. A time of zero, or over a year, makes the publish fail, with
    /// [`InvalidMessage::Ttl`](super::InvalidMessage::Ttl) and the message.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let codes = broker.topic::<u32>("codes").open().await?;
    /// codes.publish(1111).await?;
    /// codes.message(2222).ttl(Duration::from_millis(5)).publish().await?;
    /// while codes.stats().await?.expired == 0 {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    /// }
    /// assert_eq!(codes.stats().await?.unsettled, 1, "the other one stays");
    /// # Ok(()) }
    /// ```
    pub fn ttl(self, ttl: Duration) -> MessageBuilder<'a, T> {
        MessageBuilder { message: self.message.ttl(ttl), ..self }
    }

    /// Publishes the message as [`Topic::publish`](super::Topic::publish) does, and answers once the topic has it.
    ///
    /// # Errors
    /// [`PublishError`] says why it was not accepted, and gives the message back.
    ///
    /// # Cancel safety
    /// As of [`Topic::publish`](super::Topic::publish): dropped before it is ready, it was not accepted.
    pub fn publish(self) -> impl Future<Output = Result<Published, PublishError<T>>> + Send + 'a {
        let topic = self.topic;
        topic.publish_checked(self.message.check(topic))
    }

    /// Publishes the message if there is room and nobody waits for it.
    ///
    /// # Errors
    /// [`PublishError`] gives the message back.
    pub fn try_publish(self) -> Result<Published, PublishError<T>> {
        let topic = self.topic;
        topic.try_publish_checked(self.message.check(topic))
    }

    /// Publishes the message once `delay` has passed, as [`Topic::publish_after`](super::Topic::publish_after) does.
    ///
    /// Its dedup key is looked at when it is due, and so is that of any other message with the same: the one that comes
    /// into the topic first is the message, and the other one a repeat.
    ///
    /// # Errors
    /// As of [`Topic::publish_after`](super::Topic::publish_after).
    ///
    /// # Cancel safety
    /// As of [`Topic::publish_after`](super::Topic::publish_after).
    pub fn publish_after(
        self,
        delay: Duration,
    ) -> impl Future<Output = Result<Scheduled, PublishError<T>>> + Send + 'a {
        let topic = self.topic;
        let (due, millis) = topic.due_in(delay);
        topic.schedule_checked(due, self.message.check_due(topic, millis))
    }

    /// Publishes the message at a time of the wall clock, in milliseconds since 1970, as
    /// [`Topic::publish_at`](super::Topic::publish_at) does.
    ///
    /// # Errors
    /// As of [`Topic::publish_after`](super::Topic::publish_after).
    ///
    /// # Cancel safety
    /// As of [`Topic::publish_after`](super::Topic::publish_after).
    pub fn publish_at(
        self,
        unix_millis: u64,
    ) -> impl Future<Output = Result<Scheduled, PublishError<T>>> + Send + 'a {
        let delay = self.topic.until(unix_millis);
        self.publish_after(delay)
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for MessageBuilder<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBuilder")
            .field("topic", &self.topic.name)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
