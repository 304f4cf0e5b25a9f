//! Stages whose acks chain: a group that publishes what it makes of each message, then acks the message.
//!
//! ```text
//!   orders ──▶ group enrich: handler ──▶ outputs ──▶ topic enriched      acked once all outputs are accepted
//! ```
//!
//! What a handler made is published in the handler's own scope: as the broker's own during a drain, and for as long as
//! a handler may wait. What found no room is kept for the message's next attempt, which needs no handler: so a topic that is
//! full repeats no handling and makes no duplicates.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::handler::Handle;
use super::outcome::Verdict;
use super::{Group, GroupBuilder, Message, OpenError, Outgoing, Topic};
use crate::base::Fault;
use onward::Onward;

/// Opens a group that publishes what its handler makes to another topic; made by [`GroupBuilder::forward_to`].
#[must_use = "nothing is opened before `run`"]
pub struct Forward<T: Send + Sync + 'static, U: Send + Sync + 'static> {
    builder: GroupBuilder<T>,
    next: Topic<U>,
    once: bool,
}

/// Opens such a group with a state for its handler; made by [`Forward::with`].
#[must_use = "nothing is opened before `run`"]
pub struct ForwardWith<T: Send + Sync + 'static, U: Send + Sync + 'static, S> {
    forward: Forward<T, U>,
    state: S,
}

impl<T: Send + Sync + 'static> GroupBuilder<T> {
    /// Publishes what the handler makes of each message to `next`, and acks the message once all of that is accepted.
    ///
    /// The handler answers what can be iterated over: `None::<U>` or `Some(output)`, an array, a `Vec`. All outputs must be
    /// there before the first one is published, so they must come to an end. While `next` is full this waits for
    /// each as long as a publish in a handler may, and for all together half of the group's `ack_timeout`; then the message
    /// is tried again, without a failure ([`NoRoom`](super::NoRoom)). What was not accepted by then is published on the next attempt, for which the
    /// handler is not called again, as long as no more than 1,024 outputs of the group are kept like that. A
    /// topic that drops the newest drops what it has no room for, and counts it. If `next` is closed, or an output is [`Invalid`](super::InvalidMessage), the attempt has failed; of invalid outputs
    /// none is published.
    ///
    /// It is at least once, as everything here: an attempt that crashes after the outputs were accepted, and before
    /// the ack is, publishes them again, unless [`Forward::exactly_once_per_input`] is asked for.
    ///
    /// Outputs have no headers but those of the trace, unless the handler gives them some: [`Forward::run_messages`].
    ///
    /// Stages may form lines, meet, part, and run in a circle. One that makes more messages than it takes ends in
    /// messages that are tried again and again for want of room, never in a standstill of everything else.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use futures::StreamExt as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let lines = broker.topic::<String>("lines").open().await?;
    /// let words = broker.topic::<String>("words").open().await?;
    /// let mut read = words.group("reader").stream().await?;
    /// lines.group("split").forward_to(&words).run(async |line| {
    ///     Ok(line.split(' ').map(str::to_string).collect::<Vec<_>>())
    /// }).await?;
    /// lines.publish("meep meep".to_string()).await?;
    /// assert_eq!(**read.next().await.unwrap(), "meep");
    /// assert_eq!(**read.next().await.unwrap(), "meep");
    /// # Ok(()) }
    /// ```
    pub fn forward_to<U: Send + Sync + 'static>(mut self, next: &Topic<U>) -> Forward<T, U> {
        self.forwards_to = Some(next.name().clone());
        Forward { builder: self, next: next.clone(), once: false }
    }
}

impl<T: Send + Sync + 'static, U: Send + Sync + 'static> Forward<T, U> {
    /// Lets the next topic take each output of a message once, however often the message is handled: an attempt that
    /// crashes after its outputs were accepted repeats none of them. Default: it repeats them.
    ///
    /// It is by dedup keys, made of the message's topic, group and id and of the output's number, so it holds as long and for
    /// as many as the next topic remembers them: see [`Dedup`](super::Dedup), which may need to be longer than retries take.
    /// The output with a number must be the same in each attempt; one that is not gives way to the first.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// let parcels = broker.topic::<u32>("parcels").open().await?;
    /// let pack = orders.group("pack").forward_to(&parcels).exactly_once_per_input();
    /// pack.run(async |order| Ok([*order, *order + 1])).await?;
    /// orders.publish(1).await?;
    /// broker.idle().await?;
    /// assert_eq!(parcels.stats().await?.accepted, 2);
    /// # Ok(()) }
    /// ```
    pub fn exactly_once_per_input(mut self) -> Forward<T, U> {
        self.once = true;
        self
    }

    fn onward(&self) -> Arc<Onward<U>> {
        let once = self.once.then(|| self.builder.name.clone());
        Arc::new(Onward::new(self.next.clone(), once))
    }

    /// Gives the handler a state, cloned for each call; see [`GroupBuilder::with`].
    pub fn with<S: Clone + Send + Sync + 'static>(self, state: S) -> ForwardWith<T, U, S> {
        ForwardWith { forward: self, state }
    }

    /// Opens the group, and publishes what the async closure answers for each message: none, one or many. See
    /// [`GroupBuilder::forward_to`].
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run<F, Fut, O>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Fault>> + Send + 'static,
        O: IntoIterator<Item = U>,
    {
        self.start(handler).await
    }

    /// Opens the group as [`Forward::run`] does, with a handler whose outputs have headers and the like.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run_messages<F, Fut, O>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Fault>> + Send + 'static,
        O: IntoIterator<Item = Outgoing<U>>,
    {
        self.start(handler).await
    }

    async fn start<F, Fut, O>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Fault>> + Send + 'static,
        O: IntoIterator<Item: Into<Outgoing<U>>>,
    {
        let (handler, onward) = (Arc::new(handler), self.onward());
        self.builder.start(move || ForwardAsync(handler.clone(), onward.clone())).await
    }

    /// Opens the group as [`Forward::run`] does, with a closure that does not await, and must not block.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run_fn<F, O>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(&Message<T>) -> Result<O, Fault> + Send + Sync + 'static,
        O: IntoIterator<Item = U>,
    {
        let (handler, onward) = (Arc::new(handler), self.onward());
        self.builder.start(move || ForwardBlocking(handler.clone(), onward.clone())).await
    }
}

impl<T, U, S> ForwardWith<T, U, S>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    /// Opens the group as [`Forward::run`] does; the closure gets the message and a clone of the state.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run<F, Fut, O>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Fault>> + Send + 'static,
        O: IntoIterator<Item = U>,
    {
        let ForwardWith { forward, state } = self;
        forward.run(move |message| handler(message, state.clone())).await
    }

    /// Opens the group as [`Forward::run_messages`] does; the closure gets the message and a clone of the state.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run_messages<F, Fut, O>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Fault>> + Send + 'static,
        O: IntoIterator<Item = Outgoing<U>>,
    {
        let ForwardWith { forward, state } = self;
        forward.run_messages(move |message| handler(message, state.clone())).await
    }
}

/// An async closure whose outputs go onward, as a consumer's task runs it.
struct ForwardAsync<F, U: Send + Sync + 'static>(Arc<F>, Arc<Onward<U>>);

/// A sync closure whose outputs go onward.
struct ForwardBlocking<F, U: Send + Sync + 'static>(Arc<F>, Arc<Onward<U>>);

impl<T, U, F, Fut, O> Handle<T> for ForwardAsync<F, U>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
    F: Fn(Message<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Fault>> + Send + 'static,
    O: IntoIterator<Item: Into<Outgoing<U>>>,
{
    async fn started(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn handle(&mut self, message: &Message<T>) -> Verdict {
        let offset = message.id().offset();
        let outputs = match self.1.kept(offset) {
            Some(rest) => Ok(rest),
            None => (self.0)(message.clone()).await.and_then(|outputs| self.1.items(message, outputs)),
        };
        self.1.publish(offset, outputs).await
    }
}

impl<T, U, F, O> Handle<T> for ForwardBlocking<F, U>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
    F: Fn(&Message<T>) -> Result<O, Fault> + Send + Sync + 'static,
    O: IntoIterator<Item: Into<Outgoing<U>>>,
{
    async fn started(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn handle(&mut self, message: &Message<T>) -> impl Future<Output = Verdict> + Send {
        let offset = message.id().offset();
        let outputs = match self.1.kept(offset) {
            Some(rest) => Ok(rest),
            None => (self.0)(message).and_then(|outputs| self.1.items(message, outputs)),
        };
        let onward = self.1.clone();
        async move { onward.publish(offset, outputs).await }
    }
}

impl<T: Send + Sync + 'static, U: Send + Sync + 'static> fmt::Debug for Forward<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("group", &self.builder).field("next", self.next.name()).finish()
    }
}

impl<T: Send + Sync + 'static, U: Send + Sync + 'static, S> fmt::Debug for ForwardWith<T, U, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.forward.fmt(f)
    }
}

mod onward;
