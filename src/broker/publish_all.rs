//! Publishing many messages in one go.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::message::{IdStamp, Item};
use super::publish::Wait;
use super::record::NotStored;
use super::room;
use super::topic::TopicShared;
use super::topic_actor::TopicWord;
use super::{ErrorKind, MessageId, Overflow, PublishAllError, Published};
use crate::mailbox::{Answer, SendAll, SendAllError, TrySendError, reply};

impl<T: Send + Sync + 'static> TopicShared<T> {
    pub(crate) async fn publish_all(&self, values: Vec<T>) -> Result<Vec<MessageId>, PublishAllError<T>> {
        if self.settings.durable.is_some() {
            return self.store_all(values).await;
        }
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

    /// Publishes to a durable topic: the disk is waited for once all that has room is in the topic.
    async fn store_all(&self, values: Vec<T>) -> Result<Vec<MessageId>, PublishAllError<T>> {
        let (items, refused) = self.items(values);
        let invalid = !refused.is_empty();
        let (mut answers, mut to_send) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for mut item in items {
            let (confirm, answer) = reply();
            item.set_confirm(confirm);
            answers.push(answer);
            to_send.push(item);
        }
        let (unsent, kind) = self.send_all_stored(to_send).await;
        answers.truncate(answers.len() - unsent.len());
        let (accepted, mut rest, failed) = self.hear_all(answers).await;
        let kind = failed.or(kind).or(invalid.then_some(ErrorKind::Invalid));
        rest.extend(unsent.into_iter().map(Item::into_value).chain(refused));
        match kind {
            None => Ok(accepted),
            Some(kind) => Err(PublishAllError { accepted, rest, kind }),
        }
    }

    /// Sends as many as get in; answers the others, and why they did not.
    async fn send_all_stored(&self, items: Vec<Item<T>>) -> (Vec<Item<T>>, Option<ErrorKind>) {
        let limit = match self.wait() {
            Wait::Not => return self.try_send_all(items),
            wait => wait.limit(),
        };
        let mut send = self.sender.send_all(items);
        match self.poll_send_all(&mut send, limit).await {
            Some(Ok(_)) => (Vec::new(), None),
            Some(Err(error)) => (error.rest, Some(ErrorKind::Closed)),
            None => {
                let kind = if self.may_publish() { ErrorKind::Full } else { ErrorKind::Closed };
                (send.take_back().1, Some(kind))
            }
        }
    }

    fn try_send_all(&self, items: Vec<Item<T>>) -> (Vec<Item<T>>, Option<ErrorKind>) {
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            if let Err(refused) = self.enter(item) {
                let (item, kind) = *refused;
                let rest: Vec<Item<T>> = std::iter::once(item).chain(items).collect();
                if kind == ErrorKind::Dropped {
                    self.drop_newest(rest.len() - 1);
                }
                return (rest, Some(kind));
            }
        }
        (Vec::new(), None)
    }

    fn enter(&self, item: Item<T>) -> Result<(), Box<(Item<T>, ErrorKind)>> {
        if !self.may_publish() {
            return Err(Box::new((item, ErrorKind::Closed)));
        }
        match self.sender.try_send(item) {
            Ok(_) => Ok(()),
            Err(TrySendError::Closed(item)) => Err(Box::new((item, ErrorKind::Closed))),
            Err(TrySendError::Full(item)) if self.settings.overflow == Overflow::DropNewest => {
                self.drop_newest(1);
                Err(Box::new((item, ErrorKind::Dropped)))
            }
            Err(TrySendError::Full(item)) => Err(Box::new((item, ErrorKind::Full))),
        }
    }

    /// Hears what became of each: ids, payloads that came back, and why the first of those did.
    async fn hear_all(
        &self,
        answers: Vec<Answer<Result<Published, NotStored>>>,
    ) -> (Vec<MessageId>, Vec<T>, Option<ErrorKind>) {
        let (mut accepted, mut rest, mut kind) = (Vec::with_capacity(answers.len()), Vec::new(), None);
        for answer in answers {
            match answer.await {
                Ok(Ok(published)) => accepted.push(published.id),
                Ok(Err(refused)) => {
                    let Some(error) = refused.into_error::<T>() else { continue };
                    kind = kind.or(Some(error.kind()));
                    rest.push(error.into_inner());
                }
                Err(_) => kind = kind.or(Some(ErrorKind::Unknown)),
            }
        }
        (accepted, rest, kind)
    }
}
