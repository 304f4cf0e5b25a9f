//! Opening a topic.

mod keeping;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::codec::codec_name;
use super::dead_letter::Letters;
use super::dedup::dedup_key;
use super::door::Components;
use super::keep::{About, Opening};
use super::key::{Key, KeyFn};
use super::record::Kept;
use super::registry::Registry;
use super::settings::{Durable, TopicSettings};
use super::topic::TopicShared;
use super::{Codec, DeadLetter, Dedup, Durability, Message, OpenError, Overflow, Topic};
use crate::base::Name;

/// Opens a topic, with settings of its own; made by [`Broker::topic`](super::Broker::topic).
#[must_use = "nothing is opened before `open`"]
pub struct TopicBuilder<T> {
    registry: Arc<Registry>,
    name: String,
    settings: TopicSettings,
    /// None of the numbers was named, so that an open topic is taken as it is.
    unset: bool,
    hold: bool,
    durability: Durability,
    components: Components<T>,
}

impl<T: Send + Sync + 'static> TopicBuilder<T> {
    pub(crate) fn new(registry: Arc<Registry>, name: &str) -> TopicBuilder<T> {
        let name = name.to_string();
        let settings = TopicSettings::default();
        let (components, durability) = (Components::default(), Durability::default());
        TopicBuilder { registry, name, settings, unset: true, hold: false, durability, components }
    }

    /// Sets how many messages may be unsettled at a time. Default: 1,024; at most 16,777,216.
    ///
    /// A message holds its place from its publish until every group has settled it. Memory is taken as messages
    /// come.
    pub fn capacity(mut self, messages: usize) -> TopicBuilder<T> {
        self.settings.capacity = messages;
        self.unset = false;
        self
    }

    /// Sets what a full topic answers to a publish. Default: [`Overflow::Wait`] without a timeout.
    pub fn overflow(mut self, overflow: Overflow) -> TopicBuilder<T> {
        self.settings.overflow = overflow;
        self.unset = false;
        self
    }

    /// Sets how many delayed messages may wait for their moment at a time. Default: 1,024; at most 16,777,216.
    ///
    /// These places are apart from the topic's `capacity`, so that what is far ahead never stops what is due now; a limit
    /// in bytes is for what is in the topic. Once they are taken, [`Topic::publish_after`] waits or is refused, as the
    /// topic's [`Overflow`] says.
    pub fn delay_capacity(mut self, messages: usize) -> TopicBuilder<T> {
        self.settings.delay_capacity = messages;
        self.unset = false;
        self
    }

    /// Sets how long a publish from inside a handler may wait. Default: 5 s.
    ///
    /// It waits at most half of the handler's `ack_timeout` too: the place it waits for may hang on this handler.
    pub fn publish_timeout(mut self, timeout: Duration) -> TopicBuilder<T> {
        self.settings.publish_timeout = timeout;
        self.unset = false;
        self
    }

    /// Gives each message a key, the part of it that `key` borrows. Default: messages have no key.
    ///
    /// It runs in the publisher's task, once for each message. If it panics the message is not accepted:
    /// [`InvalidMessage::KeyPanicked`](super::InvalidMessage::KeyPanicked). Of a topic that is open the keys stay as they are.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// struct Order {
    ///     customer: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<Order>("orders").key(|order| &order.customer).open().await?;
    /// orders.group("billing").consumers(4).run(async |order| {
    ///     println!("an order of {}, whose key is {}", order.customer, order.key().unwrap());
    ///     Ok(())
    /// }).await?;
    /// orders.publish(Order { customer: "coyote".into() }).await?;
    /// # Ok(()) }
    /// ```
    pub fn key<K: Key + ?Sized>(self, key: impl Fn(&T) -> &K + Send + Sync + 'static) -> TopicBuilder<T> {
        self.with_key(Arc::new(move |value| key(value).key_hash()))
    }

    /// Gives each message a key, as [`TopicBuilder::key`] does, that `key` makes.
    pub fn key_by<K: Key>(self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> TopicBuilder<T> {
        self.with_key(Arc::new(move |value| key(value).key_hash()))
    }

    fn with_key(mut self, key: KeyFn<T>) -> TopicBuilder<T> {
        self.components.key = Some(key);
        self.settings.keyed = true;
        self.unset = false;
        self
    }

    /// Calls `hook` with each message that a topic which [drops its oldest](Overflow::DropOldest) evicts. Default: they are
    /// counted only.
    ///
    /// It is called in the topic's own task, once for each of them and in their order, before what came in their place is
    /// accepted. While it runs the topic stands still, so it must not block: hand the message on, as to a channel that is
    /// not full. A panic in it is logged. Of a topic that is open the hook stays as it is.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let prices = broker.topic::<u32>("prices").capacity(2).overflow(Overflow::DropOldest);
    /// let (gone, evicted) = async_channel::bounded(10);
    /// let prices = prices.on_evicted(move |price| drop(gone.try_send(*price))).open().await?;
    /// for price in 1..=5 {
    ///     prices.publish(price).await?;
    /// }
    /// assert_eq!([evicted.recv().await?, evicted.recv().await?, evicted.recv().await?], [1, 2, 3]);
    /// # Ok(()) }
    /// ```
    pub fn on_evicted(mut self, hook: impl Fn(Message<T>) + Send + Sync + 'static) -> TopicBuilder<T> {
        self.components.on_evicted = Some(Arc::new(hook));
        self
    }

    /// Lets messages be of use for so long: what is older is not delivered any more. Default: for ever; at most a year.
    ///
    /// The time begins when the topic takes a message in, at the latest when it leaves the mailbox. What is past it is
    /// settled for its group and counted as `expired`, or becomes a dead letter if the group wants that, see
    /// [`GroupBuilder::dead_letter_expired`](super::GroupBuilder::dead_letter_expired). An attempt that goes on is not cut short; one
    /// that fails is the last. What a consumer was handed and has not begun, up to its prefetch, it still handles. What is
    /// redriven has no such time any more. While the topic is held, what its groups were not handed stays until they are.
    /// [`MessageBuilder::ttl`](super::MessageBuilder::ttl) sets one for a single message.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let prices = broker.topic::<u32>("prices").ttl(Duration::from_millis(5)).open().await?;
    /// prices.publish(1).await?;
    /// while prices.stats().await?.expired == 0 {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn ttl(mut self, ttl: Duration) -> TopicBuilder<T> {
        self.settings.ttl = Some(ttl);
        self.unset = false;
        self
    }

    /// Sets how long, and how many, dedup keys are remembered. Default: 2 minutes and 65,536 keys; see [`Dedup`].
    ///
    /// It holds for the keys that messages name and for those that [`TopicBuilder::dedup_by`] finds; alone it finds none.
    pub fn dedup(mut self, dedup: Dedup) -> TopicBuilder<T> {
        self.settings.dedup = dedup;
        self.unset = false;
        self
    }

    /// Takes each message once, by a key that `key` makes of it: text or bytes. Default: only messages that name a key.
    ///
    /// A plain publish of a repeat answers with the first one's id; [`TopicStats::repeated`](super::TopicStats::repeated) counts it. The function runs
    /// in the publisher's task, once for each message. If it panics, or the key is empty or too long, the message is not
    /// accepted: [`PublishError::Invalid`](super::PublishError::Invalid). Dead letters that come in are not held against it. Of a topic that is open the
    /// keys stay as they are. [`Dedup`] has an example.
    pub fn dedup_by<K: AsRef<[u8]>>(
        mut self,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
    ) -> TopicBuilder<T> {
        self.components.dedup = Some(Arc::new(move |value| dedup_key(key(value).as_ref())));
        self.settings.dedups = true;
        self.unset = false;
        self
    }

    /// Limits the bytes of what is unsettled, beside the count: what `size` says of each message, and the headers that it
    /// was given. Default: no limit; at most 1 TiB.
    ///
    /// A message holds its bytes as it holds its place, and those who publish wait for both in one line: a small message
    /// does not overtake a large one. One with more bytes than the limit is refused, as is one at which `size`
    /// panics: [`PublishError::Invalid`](super::PublishError::Invalid). It runs in the publisher's task, once for each message. For a topic that takes
    /// in dead letters it runs in the group that gives them up; there what is too large, or can't be weighed, counts as the
    /// whole limit, so that no dead letter is refused. Of a topic that is open the sizes stay as they are.
    ///
    /// A [`TopicSink`](super::TopicSink) of such a topic can't know how many bytes to keep a place for: it takes one message, and is ready
    /// for the next one once that one is in the topic.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let images = broker.topic::<Vec<u8>>("images").capacity_bytes(1 << 20, Vec::len).open().await?;
    /// images.publish(vec![0; 1 << 19]).await?;
    /// assert_eq!(images.stats().await?.bytes, 1 << 19);
    /// let too_large = images.publish(vec![0; 1 << 21]).await.unwrap_err();
    /// assert_eq!(too_large.kind(), ErrorKind::Invalid);
    /// # Ok(()) }
    /// ```
    pub fn capacity_bytes(
        mut self,
        limit: usize,
        size: impl Fn(&T) -> usize + Send + Sync + 'static,
    ) -> TopicBuilder<T> {
        self.components.weigher = Some(Arc::new(size));
        self.settings.capacity_bytes = Some(limit);
        self.unset = false;
        self
    }

    /// Keeps the topic on disk, in the broker's [data directory](super::BrokerBuilder::data_dir): its messages, its groups and what
    /// these have settled outlive the process. Default: in memory.
    ///
    /// A publish answers once the disk has the message, see [`TopicBuilder::durability`]. What is opened again under its name goes on
    /// where it was left: each group gets what it had not settled, with its attempts and delays, and a group that is not
    /// opened again keeps its messages until it is. The codec turns messages into bytes; each is held in memory too until it
    /// is settled, within the capacity.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::Raw;
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = std::env::temp_dir().join(format!("callboard-doc-durable-{}", std::process::id()));
    /// let broker = Broker::builder().data_dir(&dir).open().await?;
    /// let orders = broker.topic::<String>("orders").durable(Raw).open().await?;
    /// orders.publish("one anvil".to_string()).await?;
    /// broker.shutdown().await;
    ///
    /// // Another process, another day.
    /// let broker = Broker::builder().data_dir(&dir).open().await?;
    /// let orders = broker.topic::<String>("orders").durable(Raw).open().await?;
    /// let billing = orders.group("billing").run(async |order| {
    ///     assert_eq!(*order, "one anvil");
    ///     Ok(())
    /// }).await?;
    /// orders.settled().await?;
    /// assert_eq!(billing.stats().await?.acked, 1);
    /// # broker.shutdown().await;
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok(()) }
    /// ```
    pub fn durable(mut self, codec: impl Codec<T>) -> TopicBuilder<T> {
        self.components.codec = Some(Arc::new(codec));
        self
    }

    /// Sets when a publish to a [durable](TopicBuilder::durable) topic answers. Default: [`Durability::EveryPublish`].
    pub fn durability(mut self, durability: Durability) -> TopicBuilder<T> {
        self.durability = durability;
        self
    }

    /// Opens the topic held: it accepts messages and hands out none until [`Topic::release`].
    ///
    /// For opening several groups before the first message moves, or leaves since the first group begins after it.
    /// Without effect on a topic that is open.
    pub fn hold(mut self) -> TopicBuilder<T> {
        self.hold = true;
        self
    }

    /// Opens the topic, or finds it if it is open already.
    ///
    /// # Errors
    /// [`OpenError`]: a bad name or setting, or the topic is open with another message type or, if any was named
    /// here, other settings. Of a durable topic also: there is no data directory, the disk refuses, or what is there was
    /// written by another codec.
    ///
    /// # Cancel safety
    /// A topic in memory is opened at once; dropping the future has no effect on it. A durable one may have been created by
    /// then: it is there, and empty, when it is opened again.
    pub async fn open(mut self) -> Result<Topic<T>, OpenError> {
        let name = Name::new(&self.name)?;
        self.find_letters();
        if let Some(codec) = &self.components.codec {
            let codec = codec_name(&**codec);
            let codec =
                codec.map_err(|why| OpenError::Settings { name: self.name.clone(), faults: vec![why] })?;
            self.settings.durable = Some(Durable { codec, durability: self.durability });
        }
        self.settings.check(&name)?;
        let kept = self.keep(&name).await?;
        self.try_spill(&name).await?;
        let mut new = false;
        let shared = self.registry.open(&name, (!self.unset).then_some(&self.settings), || {
            new = true;
            TopicShared::start(
                name.clone(),
                self.settings.clone(),
                self.components,
                self.hold,
                &self.registry,
                kept,
            )
        })?;
        self.settings.check_same_disk(&shared.settings, &name)?;
        if new {
            shared.core.teller.tell(shared.opened());
        }
        Ok(Topic { shared })
    }

    /// What the log has of the topic, unless it is in memory or open.
    async fn keep(&mut self, name: &Name) -> Result<Option<Kept<T>>, OpenError> {
        if self.registry.has(name) {
            return Ok(None);
        }
        let disk = self.registry.core.disk.clone();
        let Some(codec) = self.components.codec.clone() else {
            return match disk.and_then(|disk| disk.find(name.as_str())) {
                Some(_) => Err(self.other_durability(name, None)),
                None => Ok(None),
            };
        };
        let Some(durable) = &self.settings.durable else { return Ok(None) };
        let disk = disk.ok_or_else(|| OpenError::NoDataDir(name.clone()))?;
        let weigher = self.components.weigher.clone();
        let opening = Opening { codec, durable, settings: &self.settings, weigher };
        Ok(Some(opening.keep(&disk, &self.registry.core.rt, name).await?))
    }

    /// Dead letters that are on the disk are opened as such, without being told how they are written.
    fn find_letters(&mut self) {
        let about = self.stored().map(|(about, _)| about);
        let Some(about) = about.filter(|about| about.codec == Letters::NAME) else { return };
        let codec: Box<dyn Any> = Box::new(self.registry.letters());
        if let (None, Ok(codec)) = (&self.components.codec, codec.downcast::<Arc<dyn Codec<T>>>()) {
            (self.components.codec, self.durability) = (Some(*codec), about.durability);
        }
    }

    /// What the disk has of it, and its codec's name.
    pub(super) fn stored(&self) -> Option<(About, Name)> {
        let disk = self.registry.core.disk.as_ref()?;
        let about = About::of(&disk.find(&self.name)?.state.terms.about)?;
        let codec = Name::new(&about.codec).ok()?;
        Some((about, codec))
    }

    /// Takes it as it is there.
    pub(super) fn set_stored(&mut self, about: About, codec: impl Codec<T>) {
        self.components.codec = Some(Arc::new(codec));
        (self.settings.keyed, self.durability) = (about.keyed, about.durability);
    }

    fn other_durability(&self, name: &Name, asked: Option<Durability>) -> OpenError {
        let is = Some(Durability::default());
        OpenError::OtherDurability { name: name.clone(), is, asked }
    }
}

impl TopicBuilder<DeadLetter> {
    /// Keeps the dead letters of this topic on disk, as [`TopicBuilder::durable`] does with other messages. Default: in memory.
    ///
    /// The dead-letter topic of a group of a durable topic is so by itself. This is for one that is opened before that, to be given
    /// settings of its own. A dead letter of a topic in memory can't be written: it stays parked in its group.
    pub fn durable_letters(mut self) -> TopicBuilder<DeadLetter> {
        self.components.codec = Some(self.registry.letters());
        self
    }
}

impl<T> fmt::Debug for TopicBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicBuilder").field("name", &self.name).field("settings", &self.settings).finish()
    }
}
