//! A topic as a `futures::Sink`.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Sink;

use super::message::{IdStamp, Item};
use super::record::NotStored;
use super::room::Wait;
use super::topic_actor::TopicWord;
use super::{PublishError, Published, Topic};
use crate::mailbox::{Answer, SendError, SendSink, reply};

/// Publishes to a topic through `futures::Sink`; made by [`Topic::sink`].
///
/// `poll_ready` waits while the topic is full, whatever the topic's overflow answer is, and keeps the place it
/// got. On a topic with a limit in bytes, where a place can't be kept for a message that is not known, the sink takes
/// one message instead and is ready again once that is in the topic; flushing and closing wait for it, and dropping the
/// sink drops it. Inside of a handler it waits as long as a publish may there, then fails with
/// [`PublishError::TimedOut`] and leaves the line. A sink that is kept while it waits and is not polled keeps its turn,
/// and with it everyone behind: poll it on, or drop it. Flushing says that everything sent is accepted
/// and, in a durable topic, on the disk; up to 4,096 messages may be on their way there. Closing flushes,
/// gives a kept place back, and never closes the topic.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
/// use futures::{StreamExt as _, stream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start()?;
/// let numbers = broker.topic::<u32>("numbers").open().await?;
/// stream::iter(0..10).map(Ok).forward(numbers.sink()).await?;
/// assert_eq!(numbers.stats().await?.accepted, 10);
/// # Ok(()) }
/// ```
pub struct TopicSink<T: Send + Sync + 'static> {
    topic: Topic<T>,
    sink: SendSink<Item<T>, TopicWord<T>, IdStamp>,
    /// A message that waits for its bytes.
    held: Option<Item<T>>,
    wait: Wait,
    /// In a durable topic: what is in it and may not be on the disk yet, in order. Limit: [`MOST_UNSTORED`].
    unstored: VecDeque<Answer<Result<Published, NotStored>>>,
}

/// So many messages of one sink may be on their way to the disk: then it is ready again as the oldest are there.
const MOST_UNSTORED: usize = 4096;

// Why: a message is moved through, never pinned.
impl<T: Send + Sync + 'static> Unpin for TopicSink<T> {}

impl<T: Send + Sync + 'static> TopicSink<T> {
    pub(crate) fn new(topic: Topic<T>) -> TopicSink<T> {
        let sink = topic.shared.sender.sink();
        TopicSink { topic, sink, held: None, wait: Wait::default(), unstored: VecDeque::new() }
    }

    fn is_weighed(&self) -> bool {
        self.topic.shared.settings.capacity_bytes.is_some()
    }

    fn give_up(&mut self) {
        self.wait = Wait::default();
        self.sink.give_up();
    }

    /// Gives up; hands back the message that waits, if there is one.
    fn fail(
        &mut self,
        why: impl FnOnce(Option<T>) -> PublishError<Option<T>>,
    ) -> Result<(), PublishError<Option<T>>> {
        self.give_up();
        Err(why(self.held.take().map(Item::into_value)))
    }

    /// Waits for a place that bears so much, as long as it may.
    fn poll_place(&mut self, weight: u64, cx: &mut Context<'_>) -> Poll<Result<(), PublishError<Option<T>>>> {
        let shared = &self.topic.shared;
        if shared.may_publish() {
            match self.sink.poll_reserve(weight, cx) {
                Poll::Ready(Ok(())) => {
                    self.wait.end();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(self.fail(PublishError::Closed)),
                Poll::Pending => {
                    let over = self.wait.poll(shared.limit_inside(), shared, cx);
                    // It waits all the same where there is nothing to evict, and so may wait for long.
                    let refused = self.wait.is_refused() && shared.may_publish();
                    if refused && shared.waits.raise() {
                        drop(shared.sender.control(TopicWord::Waits));
                    }
                    if over.is_pending() || refused {
                        return Poll::Pending;
                    }
                }
            }
        }
        let timed_out = shared.may_publish() && self.wait.is_limited();
        Poll::Ready(self.fail(if timed_out { PublishError::TimedOut } else { PublishError::Closed }))
    }

    /// Waits until the message that waits is in the topic.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PublishError<Option<T>>>> {
        let Some(weight) = self.held.as_ref().map(Item::weight) else { return Poll::Ready(Ok(())) };
        ready!(self.poll_place(weight, cx))?;
        let Some(item) = self.held.take() else { return Poll::Ready(Ok(())) };
        Poll::Ready(self.fill(item))
    }

    /// Hears of what is on the disk by now, and waits until no more than `most` messages are not.
    fn poll_stored(
        &mut self,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), PublishError<Option<T>>>> {
        while let Some(oldest) = self.unstored.front_mut() {
            let Poll::Ready(answer) = Pin::new(oldest).poll(cx) else {
                return if self.unstored.len() <= most { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            self.unstored.pop_front();
            if let Ok(Err(refused)) = answer {
                let error = refused.into_error::<T>().map(|error| error.map(Some));
                return Poll::Ready(Err(error.unwrap_or(PublishError::Closed(None))));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn fill(&mut self, mut item: Item<T>) -> Result<(), PublishError<Option<T>>> {
        let stored = self.topic.shared.settings.durable.is_some().then(|| {
            let (confirm, answer) = reply();
            item.set_confirm(confirm);
            answer
        });
        match self.sink.fill(item) {
            Ok(_) => {
                self.unstored.extend(stored);
                Ok(())
            }
            Err(SendError(item)) if self.topic.shared.sender.is_closed() => {
                Err(PublishError::Closed(Some(item.into_value())))
            }
            // Nobody asked whether it is ready.
            Err(SendError(item)) => Err(PublishError::Full(Some(item.into_value()))),
        }
    }
}

impl<T: Send + Sync + 'static> Sink<T> for TopicSink<T> {
    /// The message, where there was one to give back.
    type Error = PublishError<Option<T>>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.poll_stored(MOST_UNSTORED - 1, cx))?;
        if self.is_weighed() {
            return self.poll_held(cx);
        }
        self.poll_place(0, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<(), Self::Error> {
        if !self.topic.shared.may_publish() {
            self.give_up();
            return Err(PublishError::Closed(Some(value)));
        }
        let item = self.topic.shared.item(value);
        let item = item.map_err(|(value, why)| PublishError::Invalid(Some(value), why))?;
        if !self.is_weighed() {
            return self.fill(item);
        }
        // Nobody asked whether it is ready.
        if self.held.is_some() {
            return Err(PublishError::Full(Some(item.into_value())));
        }
        // At once, if there is room: many users flush only in the end.
        if self.sink.try_reserve(item.weight()).is_ok() {
            return self.fill(item);
        }
        self.held = Some(item);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.poll_held(cx))?;
        self.poll_stored(0, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.poll_held(cx))?;
        self.give_up();
        self.poll_stored(0, cx)
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for TopicSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicSink").field("topic", self.topic.name()).finish_non_exhaustive()
    }
}
