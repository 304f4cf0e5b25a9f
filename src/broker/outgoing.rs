//! A message on its way into a topic that it need not know yet.

use std::fmt;
use std::time::Duration;

use super::dedup::dedup_key;
use super::door::Checked;
use super::extra::Extra;
use super::settings::is_time;
use super::topic::TopicShared;
use super::{Headers, InvalidMessage, MessageId};

/// Carries a payload with headers and the like from a stage's handler to the next topic: see
/// [`Forward::run_messages`](super::Forward::run_messages).
///
/// It takes what a [`MessageBuilder`](super::MessageBuilder) takes, with the same rules. What can't be a message makes the
/// attempt fail that made it.
///
/// # Examples
/// ```
/// use callboard::broker::Outgoing;
/// use callboard::prelude::*;
/// use futures::StreamExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start()?;
/// let orders = broker.topic::<u32>("orders").open().await?;
/// let parcels = broker.topic::<u32>("parcels").open().await?;
/// let mut read = parcels.group("reader").stream().await?;
/// orders.group("pack").forward_to(&parcels).run_messages(async |order| {
///     // What the order's headers say, its parcel's say too.
///     Ok([Outgoing::new(*order * 10).headers(order.headers().clone()).header("packed-by", "coyote")])
/// }).await?;
/// orders.message(7).header("tenant", "acme").publish().await?;
///
/// let parcel = read.next().await.unwrap();
/// assert_eq!(**parcel, 70);
/// assert_eq!(parcel.headers().text("tenant"), Some("acme"));
/// assert_eq!(parcel.headers().text("packed-by"), Some("coyote"));
/// # Ok(()) }
/// ```
#[must_use = "it is published by what it is answered to"]
pub struct Outgoing<T> {
    value: T,
    pub(super) extra: Extra,
    /// The first thing that was wrong.
    fault: Option<InvalidMessage>,
}

impl<T> Outgoing<T> {
    /// Makes a message of a payload, with nothing beside it.
    pub fn new(value: T) -> Outgoing<T> {
        Outgoing { value, extra: Extra::default(), fault: None }
    }

    /// Adds a header: see [`MessageBuilder::header`](super::MessageBuilder::header).
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Outgoing<T> {
        if let Err(invalid) = self.extra.headers.append(name, value) {
            self.fault.get_or_insert(InvalidMessage::Header(invalid));
        }
        self
    }

    /// Gives it these headers, in place of those that there are; those of another message, for example.
    pub fn headers(mut self, headers: Headers) -> Outgoing<T> {
        self.extra.headers = headers;
        self
    }

    /// Gives it a key by which the topic takes it once: see
    /// [`MessageBuilder::dedup_key`](super::MessageBuilder::dedup_key). It goes before that of
    /// [`Forward::exactly_once_per_input`](super::Forward::exactly_once_per_input).
    pub fn dedup_key(mut self, key: impl AsRef<[u8]>) -> Outgoing<T> {
        match dedup_key(key.as_ref()) {
            Ok(key) => self.extra.dedup = Some(key),
            Err(fault) => _ = self.fault.get_or_insert(fault),
        }
        self
    }

    /// Lets it be of use for so long once the topic has it: see [`MessageBuilder::ttl`](super::MessageBuilder::ttl).
    pub fn ttl(mut self, ttl: Duration) -> Outgoing<T> {
        match is_time(ttl) {
            true => self.extra.ttl = Some(ttl),
            false => _ = self.fault.get_or_insert(InvalidMessage::Ttl(ttl)),
        }
        self
    }
}

impl<T: Send + Sync + 'static> Outgoing<T> {
    /// Gives it this id: see [`MessageBuilder::id`](super::MessageBuilder::id).
    pub(super) fn id(mut self, id: MessageId) -> Outgoing<T> {
        match id.unix_millis() < u64::MAX {
            true => self.extra.id = Some(id.parts()),
            false => _ = self.fault.get_or_insert(InvalidMessage::LastId),
        }
        self
    }

    /// What may come in at this topic, or why it may not.
    pub(super) fn check(self, topic: &TopicShared<T>) -> Checked<T> {
        match self.fault {
            Some(fault) => Err((self.value, fault)),
            // Why ask: what has nothing beside it takes the short way.
            None if self.extra.is_empty() => topic.item(self.value),
            None => topic.item_with(self.value, self.extra),
        }
    }

    /// As [`Outgoing::check`], of a message that is to come in at that time, in milliseconds since 1970.
    pub(super) fn check_due(self, topic: &TopicShared<T>, due: u64) -> Checked<T> {
        match self.fault {
            Some(fault) => Err((self.value, fault)),
            None if self.extra.id.is_some() => Err((self.value, InvalidMessage::IdOfDelayed)),
            None => topic.item_due(self.value, self.extra, due),
        }
    }
}

impl<T> From<T> for Outgoing<T> {
    fn from(value: T) -> Outgoing<T> {
        Outgoing::new(value)
    }
}

impl<T> fmt::Debug for Outgoing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("headers", &self.extra.headers).finish_non_exhaustive()
    }
}
