//! Publishing: waiting for room, or not, and for how long.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::door::Checked;
use super::extra::Extra;
use super::message::{IdStamp, Item};
use super::record::NotStored;
use super::room;
use super::scope::Scope;
use super::topic::TopicShared;
use super::topic_actor::TopicWord;
use super::{InvalidMessage, MessageId, Overflow, PublishError, Published, WhyDropped};
use crate::base::{Bug, planted};
use crate::mailbox::{self, Answer, SendError, TrySendError, reply};

/// How long a publish may wait.
pub(super) enum Wait {
    Not,
    AtMost(Duration),
    ForEver,
}

impl Wait {
    pub(super) fn limit(self) -> Option<Duration> {
        match self {
            Wait::AtMost(limit) => Some(limit),
            Wait::ForEver | Wait::Not => None,
        }
    }
}

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// Refuses whoever publishes from outside while the broker drains, and everybody after that.
    pub(super) fn may_publish(&self) -> bool {
        self.core.is_open() || (self.core.is_draining() && Scope::of(self.core.id).is_some())
    }

    /// The longest that a handler may wait here, if it is one who asks.
    pub(super) fn limit_inside(&self) -> Option<Duration> {
        Scope::current().map(|scope| scope.limit.min(self.settings.publish_timeout))
    }

    pub(super) fn wait(&self) -> Wait {
        let timeout = match self.settings.overflow {
            Overflow::Reject | Overflow::DropNewest => return Wait::Not,
            Overflow::Wait { timeout } => timeout,
            Overflow::DropOldest | Overflow::Spill { .. } => None,
        };
        match timeout.into_iter().chain(self.limit_inside()).min() {
            Some(limit) => Wait::AtMost(limit),
            None => Wait::ForEver,
        }
    }

    pub(crate) fn try_publish(&self, value: T) -> Result<MessageId, PublishError<T>> {
        self.try_publish_checked(self.item(value)).map(MessageId::from)
    }

    pub(super) fn try_publish_checked(&self, item: Checked<T>) -> Result<Published, PublishError<T>> {
        if self.settings.durable.is_some() {
            let value = item.map_or_else(|(value, _)| value, Item::into_value);
            return Err(PublishError::Invalid(value, InvalidMessage::MustWait));
        }
        self.try_publish_item(item.map_err(|(value, why)| PublishError::Invalid(value, why))?)
    }

    /// Counts, and tells, what was not accepted for want of room.
    #[cold]
    pub(super) fn drop_newest(&self, messages: usize) {
        self.tally.on_dropped_newest(messages);
        self.core.teller.dropped(&self.name, None, WhyDropped::Newest, messages as u64);
    }

    pub(super) fn try_publish_item(&self, item: Item<T>) -> Result<Published, PublishError<T>> {
        if !self.may_publish() {
            return Err(PublishError::Closed(item.into_value()));
        }
        self.sender.try_send(item).map_err(|error| match error {
            TrySendError::Full(item) if self.settings.overflow == Overflow::DropNewest => {
                self.drop_newest(1);
                PublishError::Dropped(item.into_value())
            }
            TrySendError::Full(item) => PublishError::Full(item.into_value()),
            TrySendError::Closed(item) => kept_out(item),
        })
    }

    #[inline]
    pub(crate) fn publish(&self, value: T) -> Publish<'_, T, MessageId> {
        // Why not only the other way: what is checked has been moved once more.
        if self.takes_as_is() {
            return self.publishing(Item::new(value), None);
        }
        self.publish_checked(self.item_with(value, Extra::default()))
    }

    #[inline]
    pub(super) fn publish_checked<A>(&self, item: Checked<T>) -> Publish<'_, T, A> {
        match item {
            Ok(item) => self.publishing(item, None),
            Err((value, why)) => self.publishing(Item::new(value), Some(Box::new(why))),
        }
    }

    #[inline]
    fn publishing<A>(&self, item: Item<T>, invalid: Option<Box<InvalidMessage>>) -> Publish<'_, T, A> {
        let (item, stored) =
            if self.settings.durable.is_some() { self.to_be_stored(item) } else { (item, None) };
        Publish {
            topic: self,
            send: self.sender.send(item),
            wait: None,
            invalid,
            stored,
            answer: PhantomData,
        }
    }

    #[cold]
    fn to_be_stored(&self, mut item: Item<T>) -> (Item<T>, Option<Box<Stored>>) {
        let (confirm, answer) = reply();
        item.set_confirm(confirm);
        (item, Some(Box::new(Stored { answer, sent: false })))
    }
}

/// The topic is closed, or its id was not above those that are there.
#[cold]
fn kept_out<T>(mut item: Item<T>) -> PublishError<T> {
    match item.take_behind() {
        Some(above) => PublishError::Invalid(item.into_value(), InvalidMessage::Id { above }),
        None => PublishError::Closed(item.into_value()),
    }
}

/// Publishes one message.
///
/// Why by hand: the message is moved once, from the caller to the mailbox. An `async fn` would move it from one
/// future to the next on the way.
pub(crate) struct Publish<'a, T: Send + Sync + 'static, A> {
    topic: &'a TopicShared<T>,
    send: mailbox::Send<'a, Item<T>, TopicWord<T>, IdStamp>,
    /// Present once it has waited. Boxed, as most don't wait, and nothing is to be dropped then.
    wait: Option<Box<room::Wait>>,
    /// Present if the message is not to be sent. Boxed, as few are not.
    invalid: Option<Box<InvalidMessage>>,
    /// Present in a durable topic.
    stored: Option<Box<Stored>>,
    /// An id, or more.
    answer: PhantomData<fn() -> A>,
}

/// What a message waits for once it is in a durable topic.
struct Stored {
    answer: Answer<Result<Published, NotStored>>,
    /// It is in the topic.
    sent: bool,
}

impl<T: Send + Sync + 'static, A: From<Published>> Future for Publish<'_, T, A> {
    type Output = Result<A, PublishError<T>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &self.stored {
            None => self.poll_accepted(cx).map_ok(A::from),
            Some(_) => self.poll_stored(cx),
        }
    }
}

impl<T: Send + Sync + 'static, A: From<Published>> Publish<'_, T, A> {
    /// Waits until the message is in the topic, and then until the disk has it.
    #[cold]
    fn poll_stored(&mut self, cx: &mut Context<'_>) -> Poll<Result<A, PublishError<T>>> {
        if !self.stored.as_ref().is_some_and(|stored| stored.sent) {
            // Its id is not known before the log gave it an offset.
            let _position = std::task::ready!(self.poll_accepted(cx))?;
        }
        let Some(stored) = &mut self.stored else { return Poll::Pending };
        stored.sent = true;
        self.topic.core.rt.waits(format_args!("for the disk, in topic {}", self.topic.name));
        match std::task::ready!(Pin::new(&mut stored.answer).poll(cx)) {
            Ok(Ok(published)) => Poll::Ready(Ok(published.into())),
            Ok(Err(refused)) => match refused.into_error() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            // The topic's task was taken away by its runtime before it ever ran, and the message with it.
            Err(_) => Poll::Pending,
        }
    }

    #[inline]
    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<Published, PublishError<T>>> {
        // Why at each poll: a drain that begins while this waits sends it away.
        if !self.topic.may_publish()
            || matches!(self.topic.settings.overflow, Overflow::Reject | Overflow::DropNewest)
            || self.invalid.is_some()
        {
            return self.poll_at_once();
        }
        match Pin::new(&mut self.send).poll(cx) {
            Poll::Ready(Ok(published)) => Poll::Ready(Ok(published)),
            Poll::Ready(Err(SendError(item))) => Poll::Ready(Err(kept_out(item))),
            Poll::Pending if planted(Bug::EarlyConfirm) => {
                drop(self.send.take_back());
                let id = MessageId::new(u64::MAX, self.topic.sender.accepted());
                Poll::Ready(Ok(Published { id, repeated: false }))
            }
            Poll::Pending => self.poll_limit(cx),
        }
    }

    /// Where nobody may wait.
    #[cold]
    fn poll_at_once(&mut self) -> Poll<Result<Published, PublishError<T>>> {
        match (self.send.take_back(), self.invalid.take()) {
            (Some(item), None) => Poll::Ready(self.topic.try_publish_item(item)),
            (Some(item), Some(why)) => Poll::Ready(Err(PublishError::Invalid(item.into_value(), *why))),
            // Polled again after it was ready.
            (None, _) => Poll::Pending,
        }
    }

    #[cold]
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Result<Published, PublishError<T>>> {
        let wait = self.wait.get_or_insert_default();
        std::task::ready!(wait.poll(self.topic.wait().limit(), self.topic, cx));
        match self.send.take_back() {
            Some(item) if self.topic.may_publish() && wait.is_refused() => {
                Poll::Ready(Err(PublishError::Full(item.into_value())))
            }
            Some(item) if self.topic.may_publish() => {
                Poll::Ready(Err(PublishError::TimedOut(item.into_value())))
            }
            Some(item) => Poll::Ready(Err(PublishError::Closed(item.into_value()))),
            None => Poll::Pending,
        }
    }
}
