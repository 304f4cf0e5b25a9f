//! Topics: where messages are published, and groups opened.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};

use super::blocked::{Waits, Watch};
use super::core::BrokerCore;
use super::delete::Groups;
use super::disk::Keeper;
use super::door::Components;
use super::drain::{Ending, quiet_at_once};
use super::message::{IdStamp, Item};
use super::pages::PageReader;
use super::record::Kept;
use super::registry::Registry;
use super::room::Lacks;
use super::schedule::Schedule;
use super::settings::TopicSettings;
use super::tally::Tally;
use super::topic_actor::{Quiet, TopicActor, TopicWord};
use super::{
    Closed, DeleteError, Event, Group, GroupBuilder, MessageBuilder, MessageId, OpenError, PublishAllError,
    PublishError, TopicReport, TopicSink, TopicStats,
};
use crate::base::sync::{AtomicU32, Mutex, MutexGuard, PoisonError};
use crate::base::{Name, whole_millis};
use crate::mailbox::{Sender, reply, weighed_mailbox};

/// Publishes to one topic and opens its groups. Cloning is cheap and shares the topic.
///
/// The topic lives until it is deleted or its broker is shut down; dropping handles ends nothing.
pub struct Topic<T: Send + Sync + 'static> {
    pub(crate) shared: Arc<TopicShared<T>>,
}

pub(crate) struct TopicShared<T> {
    pub(crate) name: Name,
    pub(crate) core: Arc<BrokerCore>,
    pub(crate) settings: TopicSettings,
    pub(crate) components: Components<T>,
    pub(crate) sender: Sender<Item<T>, TopicWord<T>, IdStamp>,
    pub(crate) registry: Weak<Registry>,
    pub(crate) waits: Arc<Waits>,
    pub(crate) lacks: Arc<Lacks>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) next_group: AtomicU32,
    /// Present if it is durable.
    pub(crate) keeper: Option<Keeper>,
    pub(crate) pages: Option<Arc<PageReader<T>>>,
    pub(super) schedule: Schedule<T>,
    groups: Mutex<Groups<T>>,
    pub(super) ending: Mutex<Option<Ending<TopicReport>>>,
}

impl<T: Send + Sync + 'static> TopicShared<T> {
    pub(super) fn start(
        name: Name,
        settings: TopicSettings,
        components: Components<T>,
        hold: bool,
        registry: &Arc<Registry>,
        mut kept: Option<Kept<T>>,
    ) -> Arc<Self> {
        let core = registry.core.clone();
        let tally = Arc::<Tally>::default();
        let stamp = IdStamp::new(core.rt.clone(), settings.dedup.clone(), tally.clone());
        let stamp = match &kept {
            Some(kept) => stamp.stored(kept.recovered.last, kept.recovered.named),
            None => stamp,
        };
        let known = kept.as_ref().map(|kept| kept.groups()).unwrap_or_default();
        let next_group = kept.as_ref().map_or(0, |kept| kept.next_group);
        let keeper = kept.as_ref().map(|kept| kept.store.keeper.clone());
        let delayed = kept.as_mut().and_then(|kept| kept.delayed.take());
        let (store, recovered) = kept.map(Kept::split).unzip();
        let pages = keeper.as_ref().zip(components.codec.as_ref()).map(|(keeper, codec)| {
            let ttl = settings.ttl.map(whole_millis);
            let (keeper, codec, rt) = (keeper.clone(), codec.clone(), core.rt.clone());
            Arc::new(PageReader { keeper, codec, rt, ttl })
        });
        // What is on its way to the disk weighs too.
        let times = if settings.spill_dir.is_some() { 2 } else { 1 };
        let limit = settings.capacity_bytes.map_or(u64::MAX, |bytes| times * bytes as u64);
        let (sender, receiver) = weighed_mailbox(settings.places(), limit, stamp);
        let (waits, lacks) = (Arc::<Waits>::default(), Arc::<Lacks>::default());
        let watch = Watch::new(core.rt.clone(), waits.clone());
        let actor = TopicActor {
            name: name.clone(),
            settings: settings.clone(),
            tally: tally.clone(),
            held: hold,
            watch,
            lacks: lacks.clone(),
            watched: core.watched.clone(),
            teller: core.teller.clone(),
            on_evicted: components.on_evicted.clone(),
            mailbox: receiver,
            store,
            recovered,
            pages: pages.clone(),
            spiller: components.spiller(&name, &settings, &core.rt),
        };
        core.rt.spawn(&format!("topic {name}"), actor.run());
        let registry = Arc::downgrade(registry);
        let (next_group, ending) = (AtomicU32::new(next_group), Mutex::default());
        let groups = Mutex::new(Groups::with_known(known));
        let topic = Arc::new(TopicShared {
            name,
            core,
            settings,
            components,
            sender,
            registry,
            waits,
            lacks,
            tally,
            next_group,
            keeper,
            pages,
            schedule: Schedule::default(),
            groups,
            ending,
        });
        if let Some(delayed) = delayed {
            topic.resume_schedule(delayed);
        }
        topic
    }

    /// What is to be told of its opening. Not by `start`, which runs while the registry is locked.
    pub(super) fn opened(&self) -> Event {
        let (topic, capacity) = (self.name.clone(), self.settings.capacity);
        Event::TopicOpened { topic, capacity, payload: type_name::<T>() }
    }

    pub(crate) fn groups(&self) -> MutexGuard<'_, Groups<T>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static> Topic<T> {
    /// Returns the topic's name.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// Publishes `value`: answers with its id once the topic has it.
    ///
    /// While the topic is full this waits, or not, as its [`Overflow`](super::Overflow) says. From inside a handler, of this broker or
    /// another one, it waits at most the topic's `publish_timeout` and half of the handler's `ack_timeout`; a handler
    /// that then returns the error is tried again, without a failure ([`NoRoom`](super::NoRoom)).
    ///
    /// # Errors
    /// [`PublishError`] says why it was not accepted, and gives the message back.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves the line; the message was not accepted and goes with it. One that is
    /// kept and not polled keeps its turn, and with it everyone behind: poll it on, or drop it.
    #[inline]
    pub fn publish(&self, value: T) -> impl Future<Output = Result<MessageId, PublishError<T>>> + Send + '_ {
        self.shared.publish(value)
    }

    /// Publishes `value` if there is room and nobody waits for it.
    ///
    /// # Errors
    /// [`PublishError`] gives the message back.
    pub fn try_publish(&self, value: T) -> Result<MessageId, PublishError<T>> {
        self.shared.try_publish(value)
    }

    /// Begins a message that has more than a payload: headers, for one.
    pub fn message(&self, value: T) -> MessageBuilder<'_, T> {
        MessageBuilder::new(&self.shared, value)
    }

    /// Publishes `values` in order, as many at a time as there is room for, and answers with their ids.
    ///
    /// A limit on the wait holds for each message, not for all together. The values are collected first, so they must come
    /// to an end: where they need not, use [`Topic::sink`].
    ///
    /// # Errors
    /// [`PublishAllError`] lists what was accepted, which stays so, and gives the rest back.
    ///
    /// # Cancel safety
    /// Dropping the future keeps what was accepted so far in the topic; the rest goes with it.
    pub async fn publish_all(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Vec<MessageId>, PublishAllError<T>> {
        self.shared.publish_all(values.into_iter().collect()).await
    }

    /// Makes a `futures::Sink` that publishes here.
    pub fn sink(&self) -> TopicSink<T> {
        TopicSink::new(self.clone())
    }

    /// Begins to open a group: a named reader of this topic. Every group sees every message.
    pub fn group(&self, name: &str) -> GroupBuilder<T> {
        GroupBuilder::new(self.clone(), name)
    }

    /// Finds a group that is open: for one that has only streams, or was opened elsewhere.
    ///
    /// # Errors
    /// [`OpenError::GroupNotFound`] if there is none of that name, [`OpenError::Closed`] if the topic is closed, and
    /// [`OpenError::Name`] for what can't be a name.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// let pulled = orders.group("report").stream().await?;
    /// orders.find_group("report")?.pause().await?;
    /// assert!(orders.find_group("rapport").is_err());
    /// # drop(pulled);
    /// # Ok(()) }
    /// ```
    pub fn find_group(&self, name: &str) -> Result<Group, OpenError> {
        let name = Name::new(name)?;
        let groups = self.shared.groups();
        if !self.shared.core.is_open() || groups.closed {
            return Err(OpenError::Closed);
        }
        match groups.open.get(&name) {
            Some(found) => Ok(Group { name, port: found.clone() }),
            None => Err(OpenError::GroupNotFound { topic: self.shared.name.clone(), group: name }),
        }
    }

    /// Keeps messages from the groups until [`Topic::release`]. What was handed out is not called back.
    pub fn hold(&self) {
        drop(self.shared.sender.control(TopicWord::Hold(true)));
    }

    /// Hands out what was held back, and everything that comes.
    pub fn release(&self) {
        drop(self.shared.sender.control(TopicWord::Hold(false)));
    }

    /// Waits until no running group has anything left to do with what this topic accepted.
    ///
    /// What no running group can settle is not waited for: messages of a failed group or of one without
    /// consumers, messages parked before a full dead-letter topic, and everything while the topic is held. Of a paused
    /// group only what its consumers are at is waited for. What waits for a backoff, a rate limit or a breaker is.
    ///
    /// A handler of this topic that awaits it waits for itself, until its `ack_timeout`, and is then cancelled.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn settled(&self) -> Result<(), Closed> {
        quiet_at_once(&[&*self.shared]).await
    }

    /// Deletes the topic with its groups and all its messages, and reports what was lost.
    ///
    /// At once it accepts nothing more: publishers that wait get their messages back as
    /// [`PublishError::Closed`]. Handlers are cancelled at their next await, streams end, and later acks are refused
    /// with [`AckError::Closed`](super::AckError::Closed). The name is free as soon as this was polled: a topic of
    /// that name that is opened afterwards is another one, of any type, with offsets from 0. Dead-letter topics of its
    /// groups stay, with what is in them.
    ///
    /// A second call, on any handle of this topic, gets the first one's report.
    ///
    /// # Errors
    /// [`DeleteError`]; nothing was deleted: groups of other topics send their dead letters here, this was called in
    /// a handler of one of its groups, or the broker is shut down or draining.
    ///
    /// # Cancel safety
    /// Once polled, the deletion goes on even if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// orders.publish_all([1, 2, 3]).await?;
    /// assert_eq!(orders.delete().await?.lost(), 3);
    /// let orders = broker.topic::<String>("orders").open().await?;
    /// assert_eq!(orders.stats().await?.accepted, 0);
    /// # Ok(()) }
    /// ```
    pub async fn delete(&self) -> Result<TopicReport, DeleteError> {
        self.shared.delete()?.await.map_err(|_| DeleteError::Closed)
    }

    /// Takes a snapshot of the topic's counts.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn stats(&self) -> Result<TopicStats, Closed> {
        // Why first: what moves meanwhile is then counted twice and not missed.
        let scheduled = self.shared.scheduled();
        let (port, stats) = reply();
        drop(self.shared.sender.control(TopicWord::Stats(port)));
        let stats = stats.await.map_err(|_| Closed)?;
        Ok(TopicStats { scheduled, delay_capacity: self.shared.settings.delay_capacity, ..stats })
    }
}

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// Waits for quiet, once what is due was given a chance to move.
    pub(crate) async fn quiet(&self) -> Result<Quiet, Closed> {
        let due = self.when_moved().await;
        let (port, quiet) = reply();
        drop(self.sender.control(TopicWord::WhenQuiet(port)));
        let quiet = self.core.rt.awaiting("for the quiet of topic", &self.name, quiet);
        Ok(Quiet { due, ..quiet.await.map_err(|_| Closed)? })
    }
}

impl<T: Send + Sync + 'static> Clone for Topic<T> {
    fn clone(&self) -> Topic<T> {
        Topic { shared: self.shared.clone() }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("name", self.name()).field("message", &type_name::<T>()).finish()
    }
}
