//! What a data directory has, whether or not it is open.

use std::fmt;

use super::codec::Codec;
use super::disk::answered;
use super::keep::About;
use super::{Broker, Closed, DeleteError, Durability, MessageId, TopicBuilder};
use crate::base::{Fault, Name};
use crate::log::TopicState;

/// A topic of the data directory, as it is on the disk.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StoredTopic {
    /// Its name.
    pub name: String,
    /// The name of its codec.
    pub codec: String,
    /// Its messages have keys.
    pub keyed: bool,
    /// When its publishes answer.
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_text"))]
    pub durability: Durability,
    /// The offset of the oldest message that is still of use, and the one that the next message gets.
    pub first: u64,
    /// See `first`.
    pub next: u64,
    /// The id of the last message, if there was one: its time, and its offset.
    pub last: Option<MessageId>,
    /// Its groups, those included that nobody has opened since the broker was started.
    pub groups: Vec<StoredGroup>,
}

/// A group of a topic of the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StoredGroup {
    /// Its name.
    pub name: String,
    /// Everything before this offset is settled.
    pub floor: u64,
    /// Messages that it has still to settle.
    pub lag: u64,
}

#[cfg(feature = "serde")]
fn as_text<S: serde::Serializer>(durability: &Durability, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(durability)
}

impl StoredTopic {
    fn of(topic: &TopicState) -> Option<StoredTopic> {
        let About { codec, keyed, durability, .. } = About::of(&topic.terms.about)?;
        // A schedule is part of its topic.
        Name::new(&topic.name).ok()?;
        let groups = topic.groups.values().map(|group| {
            let settled: u64 =
                group.done.runs().map(|(from, to)| to.min(topic.next) - from.min(topic.next)).sum();
            let (name, floor) = (group.name.clone(), group.done.floor());
            StoredGroup { name, floor, lag: topic.next.saturating_sub(floor).saturating_sub(settled) }
        });
        Some(StoredTopic {
            name: topic.name.clone(),
            codec,
            keyed,
            durability,
            first: topic.floor,
            next: topic.next,
            last: (topic.next > 0).then(|| MessageId::at(topic.next - 1, topic.millis, topic.seq)),
            groups: groups.collect(),
        })
    }
}

impl Broker {
    /// Lists what the data directory has, open or not, in the order in which it was made. Empty without one.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::Raw;
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = std::env::temp_dir().join(format!("callboard-doc-stored-{}", std::process::id()));
    /// let broker = Broker::builder().data_dir(&dir).open().await?;
    /// let orders = broker.topic::<String>("orders").durable(Raw).open().await?;
    /// orders.publish("one anvil".to_string()).await?;
    /// let stored = broker.stored_topics().await?;
    /// assert_eq!((stored[0].name.as_str(), stored[0].codec.as_str(), stored[0].next), ("orders", "raw/1", 1));
    /// # broker.shutdown().await;
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok(()) }
    /// ```
    pub async fn stored_topics(&self) -> Result<Vec<StoredTopic>, Closed> {
        let Some(disk) = self.disk() else { return Ok(Vec::new()) };
        let (done, state) = answered();
        disk.log.describe(done);
        let state = state.await.map_err(|_| Closed)?.map_err(|_| Closed)?;
        Ok(state.topics.values().filter_map(StoredTopic::of).collect())
    }

    /// Deletes a topic that is on the disk and not open, with its groups and all its messages. Answers whether there was one.
    ///
    /// # Errors
    /// [`DeleteError`]; nothing was deleted: it is open ([`Topic::delete`](super::Topic::delete) deletes it then), the broker is shut down, or the disk
    /// refused.
    ///
    /// # Cancel safety
    /// Once polled, the topic is deleted even if the future is dropped.
    pub async fn delete_stored_topic(&self, name: &str) -> Result<bool, DeleteError> {
        let Some(disk) = self.disk() else { return Ok(false) };
        let Ok(name) = Name::new(name) else { return Ok(false) };
        if self.is_topic_open(&name) {
            return Err(DeleteError::Open { topic: name });
        }
        if disk.find(name.as_str()).is_none() {
            return Ok(false);
        }
        match disk.delete(&name).await {
            Ok(()) => Ok(true),
            Err(crate::log::LogError::Closed) => Err(DeleteError::Closed),
            Err(error) => Err(DeleteError::NotDeleted { error: error.into() }),
        }
    }
}

/// Reads whatever codec's payloads as they are.
struct Bytes(Name);

impl Codec<Vec<u8>> for Bytes {
    fn name(&self) -> &str {
        self.0.as_str()
    }

    fn encode(&self, _: &Vec<u8>, _: &mut Vec<u8>) -> Result<(), Fault> {
        Err(Fault::new("the topic was opened as bytes, to be read: what is published needs its codec"))
    }

    fn decode(&self, bytes: &[u8], _: u32) -> Result<Vec<u8>, Fault> {
        Ok(bytes.to_vec())
    }
}

impl TopicBuilder<Vec<u8>> {
    /// Opens a topic that is on the disk as what it is there, whatever its codec: its payloads are bytes. For tools, and for what
    /// has no program any more.
    ///
    /// Its groups can be read and settled; publishing is refused. What is not on the disk is opened in memory.
    pub fn as_bytes(mut self) -> TopicBuilder<Vec<u8>> {
        if let Some((about, codec)) = self.stored() {
            self.set_stored(about, Bytes(codec));
        }
        self
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bytes").field(&self.0).finish()
    }
}
