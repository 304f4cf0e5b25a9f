//! Stages whose acks chain: a group that publishes what it makes of each message, then acks the message.
//!
//! ```text
//!   orders ──▶ group enrich: handler ──▶ outputs ──▶ topic enriched      acked once all outputs are accepted
//! ```
//!
//! What a handler made is published in the handler's own scope: as the broker's own during a drain, and for as long as
//! a handler may wait. What found no room is kept for the message's next attempt, which needs no handler: so a topic that is
//! full repeats no handling and makes no duplicates.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::dedup::dedup_key;
use super::door::Checked;
use super::extra::Extra;
use super::handler::Handle;
use super::message::{IdStamp, Item};
use super::outcome::Verdict;
use super::publish::Wait;
use super::topic_actor::TopicWord;
use super::{
    Group, GroupBuilder, InvalidMessage, Message, OpenError, Outcome, Overflow, PublishError, Topic,
};
use crate::base::sync::{Mutex, MutexGuard, PoisonError};
use crate::base::{Fault, drop_each};
use crate::mailbox::{SendAll, TrySendError};

/// The most outputs that one group keeps for the next attempts of their messages.
const MOST_KEPT: usize = 1024;

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
    /// there before the first one is published, so they must come to an end. While `next` is full this waits as
    /// long as a publish in a handler may; then the message is tried again, without a failure
    /// ([`NoRoom`](super::NoRoom)). What was not accepted by then is published on the next attempt, for which the
    /// handler is not called again, as long as no more than 1,024 outputs of the group are kept like that. A
    /// topic that drops the newest drops what it has no room for, and counts it. If `next` is closed, or an output is [`Invalid`](super::InvalidMessage), the attempt has failed; of invalid outputs
    /// none is published.
    ///
    /// It is at least once, as everything here: an attempt that crashes after the outputs were accepted, and before
    /// the ack is, publishes them again, unless [`Forward::exactly_once_per_input`] is asked for.
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
        let kept = Mutex::new(Kept { rests: BTreeMap::new(), outputs: 0 });
        let once = self.once.then(|| self.builder.name.clone());
        Arc::new(Onward { topic: self.next.clone(), once, kept })
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
    O: IntoIterator<Item = U>,
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
    O: IntoIterator<Item = U>,
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

/// The way to the next topic, of all consumers of a group.
struct Onward<U: Send + Sync + 'static> {
    topic: Topic<U>,
    /// The group's name, if each output is to be taken once.
    once: Option<String>,
    /// By the offsets of their messages: the outputs that found no room. Limit: `MOST_KEPT` outputs.
    kept: Mutex<Kept<U>>,
}

struct Kept<U> {
    rests: BTreeMap<u64, Vec<Item<U>>>,
    outputs: usize,
}

impl<U: Send + Sync + 'static> Onward<U> {
    /// Makes messages of all outputs, or of none.
    fn items<T>(
        &self,
        message: &Message<T>,
        outputs: impl IntoIterator<Item = U>,
    ) -> Result<Vec<Item<U>>, Fault> {
        let item = |(number, value)| self.item(message, number, value).map_err(|(_, why)| why);
        let items: Result<Vec<_>, InvalidMessage> = (0..).zip(outputs).map(item).collect();
        Ok(items.map_err(|why| PublishError::Invalid((), why))?)
    }

    fn item<T>(&self, message: &Message<T>, number: u64, value: U) -> Checked<U> {
        let Some(group) = &self.once else { return self.topic.shared.item(value) };
        // Why an id and no offset: that of a topic which was deleted and opened again has another time.
        let key = format!("{}\0{group}\0{}\0{number}", message.topic(), message.id());
        match dedup_key(key.as_bytes()) {
            Ok(key) => self.topic.shared.item_with(value, Extra { dedup: Some(key), ..Extra::default() }),
            Err(why) => Err((value, why)),
        }
    }

    async fn publish(&self, offset: u64, outputs: Result<Vec<Item<U>>, Fault>) -> Verdict {
        let items = match outputs {
            Ok(items) => items,
            Err(fault) => return Outcome::from(fault).into(),
        };
        if items.is_empty() {
            return Verdict::Ack;
        }
        let shared = &self.topic.shared;
        let limit = match shared.wait() {
            Wait::Not => return self.try_publish(offset, items),
            wait => wait.limit(),
        };
        let send = shared.sender.send_all(items);
        let mut sending = Sending { onward: self, offset, send, done: false };
        let error = match shared.poll_send_all(&mut sending.send, limit).await {
            Some(Ok(_)) => {
                sending.done = true;
                return Verdict::Ack;
            }
            Some(Err(_)) => PublishError::Closed(()),
            None if shared.may_publish() => PublishError::TimedOut(()),
            None => PublishError::Closed(()),
        };
        failed(error)
    }

    /// Where nobody waits.
    fn try_publish(&self, offset: u64, items: Vec<Item<U>>) -> Verdict {
        let shared = &self.topic.shared;
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            let tried = match shared.may_publish() {
                true => shared.sender.try_send(item),
                false => Err(TrySendError::Closed(item)),
            };
            match tried {
                Ok(_) => {}
                // Dropped, as the topic says, and counted there.
                Err(TrySendError::Full(item)) if shared.settings.overflow == Overflow::DropNewest => {
                    shared.tally.on_dropped_newest(1);
                    drop(drop_each([item]));
                }
                Err(TrySendError::Full(item)) => {
                    self.keep(offset, std::iter::once(item).chain(items).collect());
                    return failed(PublishError::Full(()));
                }
                Err(TrySendError::Closed(_)) => return failed(PublishError::Closed(())),
            }
        }
        Verdict::Ack
    }

    /// What is left of an earlier attempt.
    fn kept(&self, offset: u64) -> Option<Vec<Item<U>>> {
        let mut kept = self.lock();
        let rest = kept.rests.remove(&offset)?;
        kept.outputs -= rest.len();
        Some(rest)
    }

    /// Keeps what is left for the next attempt. What would be too much goes, of the oldest message first: that one's
    /// handler is called again.
    fn keep(&self, offset: u64, rest: Vec<Item<U>>) {
        let mut gone = Vec::new();
        let mut kept = self.lock();
        kept.outputs += rest.len();
        gone.extend(kept.rests.insert(offset, rest));
        while kept.outputs > MOST_KEPT
            && let Some((_, oldest)) = kept.rests.pop_first()
        {
            kept.outputs -= oldest.len();
            gone.push(oldest);
        }
        drop(kept);
        drop(drop_each(gone.into_iter().flatten()));
    }

    fn lock(&self) -> MutexGuard<'_, Kept<U>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: PublishError<()>) -> Verdict {
    Outcome::from(Fault::from(error)).into()
}

/// Outputs on their way. Dropped in the middle, by a deadline or for want of room, it keeps what was not accepted.
struct Sending<'a, U: Send + Sync + 'static> {
    onward: &'a Onward<U>,
    offset: u64,
    send: SendAll<'a, Item<U>, TopicWord<U>, IdStamp>,
    done: bool,
}

impl<U: Send + Sync + 'static> Drop for Sending<'_, U> {
    fn drop(&mut self) {
        if !self.done {
            let (_, rest) = self.send.take_back();
            if !rest.is_empty() {
                self.onward.keep(self.offset, rest);
            }
        }
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
