//! Publishing: waiting for room, or not, and for how long.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::door::Checked;
use super::extra::Extra;
use super::message::{IdStamp, Item};
use super::room;
use super::scope::Scope;
use super::topic::TopicShared;
use super::topic_actor::TopicWord;
use super::{
    ErrorKind, InvalidMessage, MessageId, Overflow, PublishAllError, PublishError, Published, WhyDropped,
};
use crate::base::{Bug, planted};
use crate::mailbox::{self, SendAll, SendAllError, SendError, TrySendError};

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
        match (self.settings.overflow, self.limit_inside()) {
            (Overflow::Reject | Overflow::DropNewest, _) => Wait::Not,
            (Overflow::Wait { timeout: None } | Overflow::DropOldest, None) => Wait::ForEver,
            (Overflow::Wait { timeout: None } | Overflow::DropOldest, Some(limit)) => Wait::AtMost(limit),
            (Overflow::Wait { timeout: Some(timeout) }, None) => Wait::AtMost(timeout),
            (Overflow::Wait { timeout: Some(timeout) }, Some(limit)) => Wait::AtMost(timeout.min(limit)),
        }
    }

    pub(crate) fn try_publish(&self, value: T) -> Result<MessageId, PublishError<T>> {
        self.try_publish_checked(self.item(value)).map(MessageId::from)
    }

    pub(super) fn try_publish_checked(&self, item: Checked<T>) -> Result<Published, PublishError<T>> {
        self.try_publish_item(item.map_err(|(value, why)| PublishError::Invalid(value, why))?)
    }

    /// Counts, and tells, what was not accepted for want of room.
    #[cold]
    pub(super) fn drop_newest(&self, messages: usize) {
        self.tally.on_dropped_newest(messages);
        self.core.teller.dropped(&self.name, None, WhyDropped::Newest, messages as u64);
    }

    fn try_publish_item(&self, item: Item<T>) -> Result<Published, PublishError<T>> {
        if !self.may_publish() {
            return Err(PublishError::Closed(item.into_value()));
        }
        self.sender.try_send(item).map_err(|error| match error {
            TrySendError::Full(item) if self.settings.overflow == Overflow::DropNewest => {
                self.drop_newest(1);
                PublishError::Dropped(item.into_value())
            }
            TrySendError::Full(item) => PublishError::Full(item.into_value()),
            TrySendError::Closed(item) => PublishError::Closed(item.into_value()),
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
        Publish { topic: self, send: self.sender.send(item), wait: None, invalid, answer: PhantomData }
    }

    pub(crate) async fn publish_all(&self, values: Vec<T>) -> Result<Vec<MessageId>, PublishAllError<T>> {
        let wait = match self.wait() {
            Wait::Not => return self.try_publish_all(values),
            wait => wait.limit(),
        };
        let (items, refused) = self.items(values);
        let mut send = self.sender.send_all(items);
        let sent = self.poll_send_all(&mut send, wait).await;
        let (invalid, refused) = (!refused.is_empty(), refused.into_iter());
        let values = |rest: Vec<Item<T>>| rest.into_iter().map(Item::into_value).chain(refused).collect();
        let ids = |accepted: Vec<Published>| accepted.into_iter().map(MessageId::from).collect();
        match sent {
            Some(Ok(accepted)) if invalid => {
                let accepted = ids(accepted);
                Err(PublishAllError { accepted, rest: values(Vec::new()), kind: ErrorKind::Invalid })
            }
            Some(Ok(accepted)) => Ok(ids(accepted)),
            Some(Err(error)) => {
                let kind = ErrorKind::Closed;
                Err(PublishAllError { accepted: ids(error.accepted), rest: values(error.rest), kind })
            }
            None => {
                let kind = if self.may_publish() { ErrorKind::Full } else { ErrorKind::Closed };
                let (accepted, rest) = send.take_back();
                Err(PublishAllError { accepted: ids(accepted), rest: values(rest), kind })
            }
        }
    }

    /// Sends as many as get in; `None`: the limit for one of them has passed, or a drain began.
    pub(super) async fn poll_send_all(
        &self,
        send: &mut SendAll<'_, Item<T>, TopicWord<T>, IdStamp>,
        limit: Option<Duration>,
    ) -> Option<Result<Vec<Published>, SendAllError<Item<T>, Published>>> {
        let (mut patience, mut accepted) = (room::Wait::default(), 0);
        std::future::poll_fn(|cx| {
            if !self.may_publish() {
                return Poll::Ready(None);
            }
            match Pin::new(&mut *send).poll(cx) {
                Poll::Ready(sent) => {
                    patience.end();
                    Poll::Ready(Some(sent))
                }
                Poll::Pending => {
                    // The limit is for one message: each that gets in begins it anew.
                    if std::mem::replace(&mut accepted, send.accepted()) != send.accepted() {
                        patience.end();
                    }
                    patience.poll(limit, self, cx).map(|()| None)
                }
            }
        })
        .await
    }

    /// Makes messages of values, up to the first one that can't be; that one and all behind it come back.
    fn items(&self, values: Vec<T>) -> (Vec<Item<T>>, Vec<T>) {
        let mut items = Vec::with_capacity(values.len());
        let mut values = values.into_iter();
        while let Some(value) = values.next() {
            match self.item(value) {
                Ok(item) => items.push(item),
                Err((value, _)) => return (items, std::iter::once(value).chain(values).collect()),
            }
        }
        (items, Vec::new())
    }

    fn try_publish_all(&self, values: Vec<T>) -> Result<Vec<MessageId>, PublishAllError<T>> {
        let mut accepted = Vec::with_capacity(values.len());
        let mut values = values.into_iter();
        while let Some(value) = values.next() {
            match self.try_publish(value) {
                Ok(id) => accepted.push(id),
                Err(error) => {
                    let kind = error.kind();
                    let rest: Vec<T> = std::iter::once(error.into_inner()).chain(values).collect();
                    if kind == ErrorKind::Dropped {
                        self.drop_newest(rest.len() - 1);
                    }
                    return Err(PublishAllError { accepted, rest, kind });
                }
            }
        }
        Ok(accepted)
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
    /// An id, or more.
    answer: PhantomData<fn() -> A>,
}

impl<T: Send + Sync + 'static, A: From<Published>> Future for Publish<'_, T, A> {
    type Output = Result<A, PublishError<T>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Why at each poll: a drain that begins while this waits sends it away.
        if !self.topic.may_publish()
            || matches!(self.topic.settings.overflow, Overflow::Reject | Overflow::DropNewest)
            || self.invalid.is_some()
        {
            return self.poll_at_once();
        }
        match Pin::new(&mut self.send).poll(cx) {
            Poll::Ready(Ok(published)) => Poll::Ready(Ok(published.into())),
            Poll::Ready(Err(SendError(item))) => Poll::Ready(Err(PublishError::Closed(item.into_value()))),
            Poll::Pending if planted(Bug::EarlyConfirm) => {
                drop(self.send.take_back());
                let id = MessageId::new(u64::MAX, self.topic.sender.accepted());
                Poll::Ready(Ok(Published { id, repeated: false }.into()))
            }
            Poll::Pending => self.poll_limit(cx),
        }
    }
}

impl<T: Send + Sync + 'static, A: From<Published>> Publish<'_, T, A> {
    /// Where nobody may wait.
    #[cold]
    fn poll_at_once(&mut self) -> Poll<Result<A, PublishError<T>>> {
        match (self.send.take_back(), self.invalid.take()) {
            (Some(item), None) => Poll::Ready(self.topic.try_publish_item(item).map(A::from)),
            (Some(item), Some(why)) => Poll::Ready(Err(PublishError::Invalid(item.into_value(), *why))),
            // Polled again after it was ready.
            (None, _) => Poll::Pending,
        }
    }

    #[cold]
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Result<A, PublishError<T>>> {
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
