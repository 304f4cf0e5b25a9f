//! Groups: how one is opened.

mod letters;
mod opening;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::consumer::ConsumerSeat;
use super::group_word::GroupWord;
use super::handler::{Async, Blocking, Consumer, Handle, WithState};
use super::order::Order;
use super::settings::GroupSettings;
use super::weight::Weigher;
use super::{DeliveryStream, Group, GroupWith, Message, OpenError, Outcome, Retry, Start, Topic};
use crate::base::{Fault, Name};
use crate::mailbox::reply;
use crate::supervise::{Backoff, Intensity};
use opening::Opened;

/// Opens a group of a topic, with settings of its own; made by [`Topic::group`].
///
/// Opening a group that is open adds consumers to it; settings named here must then be those it has.
#[must_use = "nothing is opened before `run` or `stream`"]
pub struct GroupBuilder<T: Send + Sync + 'static> {
    topic: Topic<T>,
    pub(super) name: String,
    settings: GroupSettings,
    /// None of the settings was named, so that an open group is taken as it is.
    unset: bool,
    /// The topic that its handlers publish to, as far as the broker knows.
    pub(super) forwards_to: Option<Name>,
    pub(super) weigher: Option<Weigher<T>>,
    /// Where it begins, if that had to be looked up.
    pub(super) found: Option<Start>,
}

impl<T: Send + Sync + 'static> GroupBuilder<T> {
    pub(crate) fn new(topic: Topic<T>, name: &str) -> GroupBuilder<T> {
        let (name, settings) = (name.to_string(), GroupSettings::default());
        let (forwards_to, weigher, found) = (None, None, None);
        GroupBuilder { topic, name, settings, unset: true, forwards_to, weigher, found }
    }

    pub(super) fn set(mut self, change: impl FnOnce(&mut GroupSettings)) -> GroupBuilder<T> {
        change(&mut self.settings);
        self.unset = false;
        self
    }

    /// Sets how many consumers share the group's messages. Default: 1; at most 4,096.
    ///
    /// Each message goes to one of them, to the one that holds the fewest. With more than one the group promises
    /// no order.
    pub fn consumers(mut self, consumers: u32) -> GroupBuilder<T> {
        self.settings.consumers = consumers;
        self
    }

    /// Sets how many messages one consumer may hold, the one being handled included. Default: 512.
    ///
    /// Fast handlers are handed up to 256 at a time; slow ones get one, whatever this says. For all consumers together
    /// there is [`GroupBuilder::max_in_flight`].
    pub fn prefetch(self, messages: u32) -> GroupBuilder<T> {
        self.set(|settings| settings.prefetch = messages)
    }

    /// Sets how failed messages are tried again, and when they are given up. Default: [`Retry::default`].
    pub fn retry(self, retry: Retry) -> GroupBuilder<T> {
        self.set(|settings| settings.retry = retry)
    }

    /// Sets how long the handling of one message may take. Default: 30 s; at least 1 ms.
    ///
    /// It is enforced within once and twice this time: a handler past it is cancelled at its next await and the
    /// message is tried again; a pulled delivery past it goes back to the group.
    pub fn ack_timeout(self, timeout: Duration) -> GroupBuilder<T> {
        self.set(|settings| settings.ack_timeout = timeout)
    }

    /// Sets where the group begins. Default: [`Start::Earliest`].
    pub fn start_at(self, start: Start) -> GroupBuilder<T> {
        self.set(|settings| settings.start = start)
    }

    /// Sets which topic takes the group's dead letters. Default: `<topic>.<group>.dead`.
    ///
    /// Several groups may share one. It is opened with the group.
    pub fn dead_letter_topic(self, name: &str) -> GroupBuilder<T> {
        self.set(|settings| settings.dead_letter_topic = Some(name.to_string()))
    }

    /// Sets the capacity of the dead-letter topic, if it is opened by this group. Default: 1,024.
    ///
    /// Once it is full, messages that are given up stay parked in the group, and hold their place in the topic. So
    /// somebody must read it, or it must drop what nobody reads: `docs/recipes.md` shows the ways.
    pub fn dead_letter_capacity(self, messages: usize) -> GroupBuilder<T> {
        self.set(|settings| settings.dead_letter_capacity = messages)
    }

    /// Sets how many times consumers may fail to start within a time before the group is `Failed`.
    /// Default: [`Intensity::default`].
    pub fn intensity(self, intensity: Intensity) -> GroupBuilder<T> {
        self.set(|settings| settings.intensity = intensity)
    }

    /// Sets how long to wait before a consumer that failed to start is built again. Default: [`Backoff::default`].
    pub fn restart_backoff(self, backoff: Backoff) -> GroupBuilder<T> {
        self.set(|settings| settings.backoff = backoff)
    }

    /// Lets the group be so many messages behind, and no more: then it skips ahead instead of holding the topic.
    /// Default: it skips nothing.
    ///
    /// Once more messages are unsettled, the oldest that no consumer holds are settled for this group and counted as
    /// `skipped`, those that wait for their next attempt too. What is parked before a full dead-letter topic counts, and
    /// is not skipped. For readers that want what is new, beside others that want all. It should be well below the topic's
    /// capacity.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let prices = broker.topic::<u32>("prices").capacity(100).open().await?;
    /// let screen = prices.group("screen").max_lag(10).run(async |_| std::future::pending().await).await?;
    /// // A group that stands still, and does not hold the topic.
    /// prices.publish_all(0..1_000).await?;
    /// assert!(screen.stats().await?.skipped >= 890);
    /// # Ok(()) }
    /// ```
    pub fn max_lag(self, messages: u32) -> GroupBuilder<T> {
        self.set(|settings| settings.max_lag = Some(messages))
    }

    /// Moves messages that are past the [`ttl`](super::TopicBuilder::ttl) of their topic, or their
    /// [own](super::MessageBuilder::ttl), to the dead letters, for the reason
    /// [`DeadReason::Expired`](super::DeadReason::Expired). Default: they are counted only.
    pub fn dead_letter_expired(self) -> GroupBuilder<T> {
        self.set(|settings| settings.dead_letter_expired = true)
    }

    /// Handles the messages of each key in the order in which they were published, one at a time; different keys beside
    /// each other. The topic needs a key: [`TopicBuilder::key`](super::TopicBuilder::key).
    ///
    /// It holds through crashes, retries and delays. A message that failed waits for its next attempt, and what came
    /// behind it with the same key waits with it; all other keys go on, until those that wait fill the topic's capacity,
    /// see [`GroupBuilder::max_parked_per_key`]. A message that is given up is out of the order: once it is on its way
    /// to the dead letters its key goes on, and redriven it is handled beside no other of its key, later than in turn.
    /// A consumer is handed several messages of a key together, and of several keys. Of pulled deliveries one of each
    /// key is out at a time.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<(&str, u32)>("orders").key(|(customer, _)| *customer).open().await?;
    /// let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    /// let billing = orders.group("billing").consumers(4).key_ordered();
    /// billing.with(seen.clone()).run(async |order, seen| {
    ///     if order.attempt() == 1 && *order == ("coyote", 1) {
    ///         return Err(Fault::new("no money, for now"));
    ///     }
    ///     seen.lock().unwrap().push(*order);
    ///     Ok(())
    /// }).await?;
    /// orders.publish_all([("coyote", 1), ("coyote", 2), ("runner", 1)]).await?;
    /// broker.shutdown().await;
    /// // The other customer did not wait, and the coyote's orders kept their order.
    /// assert_eq!(*seen.lock().unwrap(), [("runner", 1), ("coyote", 1), ("coyote", 2)]);
    /// # Ok(()) }
    /// ```
    pub fn key_ordered(self) -> GroupBuilder<T> {
        self.set(|settings| settings.order = Order::Keyed)
    }

    /// Sets how many messages may wait behind one that failed, in a [`key_ordered`](GroupBuilder::key_ordered) group.
    /// Default: as many as the topic has room for.
    ///
    /// What is more, the youngest first, goes to the dead letters at once, for the reason
    /// [`DeadReason::KeyFull`](super::DeadReason::KeyFull), so that one bad key can't fill the topic.
    pub fn max_parked_per_key(self, messages: u32) -> GroupBuilder<T> {
        self.set(|settings| settings.max_parked_per_key = Some(messages))
    }

    /// Handles all messages one after the other, strictly in order: one consumer works, the others stand by.
    ///
    /// The consumer that was handed messages last is handed the next ones, as long as it is there and can take them; then
    /// the one that joined first takes over. A message that failed holds up all that follow until it succeeds or is given
    /// up. Of pulled deliveries one is out at a time.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let steps = broker.topic::<u32>("steps").open().await?;
    /// let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    /// steps.group("leader").consumers(2).exclusive().with(seen.clone()).run(async |step, seen| {
    ///     assert!(*step != 2 || step.attempt() > 1, "the second step fails once");
    ///     seen.lock().unwrap().push(*step);
    ///     Ok(())
    /// }).await?;
    /// steps.publish_all(1..=4).await?;
    /// broker.shutdown().await;
    /// assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4]);
    /// # Ok(()) }
    /// ```
    pub fn exclusive(self) -> GroupBuilder<T> {
        self.set(|settings| settings.order = Order::Exclusive)
    }

    /// Lets the group end with its last consumer: with its last stream, since handlers stay until it is deleted.
    /// Default: it lives until it is deleted.
    ///
    /// It ends as by [`Group::delete`]: what it has not settled goes, the deliveries that are still out are refused,
    /// and the name is free. Opened again, it is another group and begins where its settings say. For somebody who
    /// looks on for a while.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use futures::StreamExt as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let prices = broker.topic::<u32>("prices").capacity(2).open().await?;
    /// let mut onlooker = prices.group("onlooker").ephemeral().stream().await?;
    /// prices.publish_all([1, 2]).await?;
    /// assert_eq!(**onlooker.next().await.unwrap(), 1);
    /// drop(onlooker);
    /// // Nobody is there for these any more, so that there is room again.
    /// prices.publish_all([3, 4]).await?;
    /// # Ok(()) }
    /// ```
    pub fn ephemeral(self) -> GroupBuilder<T> {
        self.set(|settings| settings.ephemeral = true)
    }

    /// Gives the handler a state, cloned for each call.
    ///
    /// For what an async closure can't capture: one that captures does not implement `Fn`, and the compiler says
    /// so at `run`.
    ///
    /// ```compile_fail
    /// # async fn f(orders: callboard::broker::Topic<u32>, seen: std::sync::Arc<std::sync::Mutex<u32>>) {
    /// orders.group("sum").run(async move |n| { *seen.lock().unwrap() += *n; Ok(()) }).await;
    /// # }
    /// ```
    /// ```
    /// # async fn f(orders: callboard::broker::Topic<u32>, seen: std::sync::Arc<std::sync::Mutex<u32>>) {
    /// # let _ =
    /// orders.group("sum").with(seen).run(async |n, seen| { *seen.lock().unwrap() += *n; Ok(()) }).await;
    /// # }
    /// ```
    pub fn with<S: Clone + Send + Sync + 'static>(self, state: S) -> GroupWith<T, S> {
        GroupWith { builder: self, state }
    }

    /// Opens the group and handles its messages with an async closure: `Ok` acks, `Err` retries.
    ///
    /// The closure gets a [`Message`], which dereferences to the payload.
    ///
    /// # Errors
    /// [`OpenError`]: bad names or settings, or the group is open with others.
    ///
    /// # Cancel safety
    /// Once polled, the group is opened with its consumers, even if the future is dropped.
    pub async fn run<F, Fut>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.start(move || Async(handler.clone())).await
    }

    /// Opens the group as [`GroupBuilder::run`] does, with a closure that answers an [`Outcome`].
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run_outcome<F, Fut>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.start(move || Async(handler.clone())).await
    }

    /// Opens the group and handles its messages with a closure that does not await: `Ok` acks, `Err` retries.
    ///
    /// The fastest form. The closure must not block: it runs on the runtime's threads.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run_fn<F>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(&Message<T>) -> Result<(), Fault> + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        self.start(move || Blocking(handler.clone())).await
    }

    /// Opens the group and handles its messages with [`Consumer`]s that `make` builds, one for each consumer and
    /// again after each panic.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run_with<C: Consumer<T>>(
        self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Result<Group, OpenError> {
        self.start(move || WithState(make())).await
    }

    /// Opens the group and yields its messages as a stream, to be acked by hand.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// Once polled, the group is opened even if the future is dropped; it then has no consumer of this call.
    pub async fn stream(mut self) -> Result<DeliveryStream<T>, OpenError> {
        self.prepare().await?;
        loop {
            let Opened { shared, linked } = self.open()?;
            let (port, stream) = reply();
            drop(shared.sender.control(GroupWord::AddStream(port)));
            let stream = stream.await;
            linked.wait().await?;
            match stream {
                Ok(stream) => return Ok(stream),
                // It was found at its end, and is off the list by now.
                Err(_) if shared.is_leaving() => {}
                Err(_) => return Err(OpenError::Closed),
            }
        }
    }

    pub(super) async fn start<H: Handle<T>>(
        mut self,
        make: impl Fn() -> H + Send + Sync + 'static,
    ) -> Result<Group, OpenError> {
        let count = self.settings.consumers;
        let (core, make) = (self.topic.shared.core.clone(), Arc::new(make));
        let task = format!("consumer of {}.{}", self.topic.name(), self.name);
        let spawn: Arc<dyn Fn(ConsumerSeat<T>) + Send + Sync> = Arc::new(move |seat| {
            let make = make.clone();
            core.rt.spawn(&task, seat.run(move || make()));
        });
        self.prepare().await?;
        loop {
            let Opened { shared, linked } = self.open()?;
            let (port, done) = reply();
            drop(shared.sender.control(GroupWord::AddHandlers { count, spawn: spawn.clone(), done: port }));
            let done = done.await;
            linked.wait().await?;
            match done {
                Ok(()) => return Ok(Group { name: shared.name.clone(), port: shared }),
                // It was found at its end, and is off the list by now.
                Err(_) if shared.is_leaving() => {}
                Err(_) => return Err(OpenError::Closed),
            }
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for GroupBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBuilder").field("name", &self.name).field("settings", &self.settings).finish()
    }
}
