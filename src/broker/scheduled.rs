//! Publishing for later: at the door of a topic's schedule.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::disk::Keeper;
use super::door::Checked;
use super::extra::Extra;
use super::message::Item;
use super::publish::Wait;
use super::schedule::{Due, FoundDelayed, OnDisk, ScheduleWord};
use super::topic::TopicShared;
use super::{ErrorKind, Overflow, PublishError, StorageError, Topic};
use crate::base::{Moment, whole_millis};
use crate::log::LogError;
use crate::mailbox::{SendError, TrySendError, reply};

/// Stands for a delayed message, to cancel it by: [`Topic::cancel_scheduled`]. Dropping it changes nothing.
///
/// There is one for each message, so that cancelling twice does not compile. It ends with the process: what a durable
/// topic had delayed is delayed after a restart too, and can't be cancelled any more.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scheduled {
    /// Which schedule, among all there ever were.
    pub(super) of: u64,
    pub(super) number: u64,
    pub(super) due: Moment,
}

impl Scheduled {
    /// Returns the message's number among those that were delayed in its topic. It is no offset: that comes later.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns when it is due, on the monotonic clock of the broker's runtime.
    pub fn due(&self) -> Moment {
        self.due
    }
}

/// Says why a delayed message was not cancelled.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelError {
    /// It was due and is in the topic, where groups have it or will have it.
    Moved,
    /// The topic is durable, and the disk refused to take note of it: the message is still in the schedule, and comes when it
    /// is due. Cancel it again once the disk has room; if the log is closed by an error, nothing moves before the broker was
    /// started anew.
    NotStored(Scheduled, StorageError),
    /// This topic never had it: it was delayed in another one.
    OtherTopic,
    /// The topic was deleted or the broker shut down. If the message had not moved by then it was lost, or of a durable topic
    /// kept, and is counted in the report.
    Closed,
}

impl CancelError {
    /// Tells what to do: [`ErrorKind::Closed`], [`ErrorKind::Storage`] or [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            CancelError::Closed => ErrorKind::Closed,
            CancelError::NotStored(..) => ErrorKind::Storage,
            CancelError::Moved | CancelError::OtherTopic => ErrorKind::Invalid,
        }
    }
}

impl fmt::Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CancelError::Moved => "not cancelled: the message was due and is in the topic",
            CancelError::NotStored(_, error) => {
                return write!(f, "not cancelled, so it comes when it is due: the disk refused: {error}");
            }
            CancelError::OtherTopic => "not cancelled: the message was delayed in another topic",
            CancelError::Closed => "not cancelled: the topic is closed",
        })
    }
}

impl Error for CancelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CancelError::NotStored(_, error) => error.source(),
            CancelError::Moved | CancelError::OtherTopic | CancelError::Closed => None,
        }
    }
}

impl<T: Send + Sync + 'static> Topic<T> {
    /// Publishes `value` once `delay` has passed: answers as soon as it waits in the topic's schedule.
    ///
    /// Until then it is not in the topic: it has no id, holds no place of the topic's capacity, and no group sees it. The
    /// delay runs from this call, on the monotonic clock: a wall clock that is set changes nothing. The message never
    /// comes early. When it is due it gets a place in the topic by the line in which publishers wait; while the topic is
    /// full, what is due waits in the order of the moments, and what was delayed for the same moment in the order in
    /// which it was accepted.
    ///
    /// The schedule has [`delay_capacity`](super::TopicBuilder::delay_capacity) places. While all are taken this waits, or
    /// not, as [`Topic::publish`] does while a topic is full; a topic that drops its oldest drops nothing of its
    /// schedule, and this waits.
    ///
    /// [`Topic::settled`] and a shutdown wait for what is due and has room, and for nothing that is not due; in the
    /// report that is [`scheduled`](super::TopicReport::scheduled). A topic in memory loses it.
    ///
    /// A [durable](super::TopicBuilder::durable) topic answers once the disk has the message, and has it at any instant either as a delayed one or
    /// in the topic. After a restart what was delayed comes when it is due by the wall clock, and what was due meanwhile at
    /// once. While the disk refuses, what is due waits. Its bytes are held in memory beside the message until it is due.
    ///
    /// # Errors
    /// [`PublishError`] says why it was not accepted, and gives the message back. What is invalid is refused here.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves the line; the message was not accepted and goes with it. In a durable
    /// topic it may be on its way to the disk by then, and come when it is due.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use futures::StreamExt as _;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let mails = broker.topic::<&str>("mails").delay_capacity(10_000).open().await?;
    /// let mut outbox = mails.group("outbox").stream().await?;
    /// mails.publish_after(Duration::from_millis(20), "how was it?").await?;
    /// mails.publish("thank you").await?;
    /// assert_eq!(**outbox.next().await.unwrap(), "thank you");
    /// assert_eq!(**outbox.next().await.unwrap(), "how was it?");
    /// # Ok(()) }
    /// ```
    pub fn publish_after(
        &self,
        delay: Duration,
        value: T,
    ) -> impl Future<Output = Result<Scheduled, PublishError<T>>> + Send + '_ {
        let (due, millis) = self.shared.due_in(delay);
        self.shared.schedule_checked(due, self.shared.item_due(value, Extra::default(), millis))
    }

    /// Publishes `value` at a time of the wall clock, in milliseconds since 1970: as by [`Topic::publish_after`], at once
    /// if that is past.
    ///
    /// The delay is computed once, in this call. If the wall clock is set afterwards, the message comes when it would
    /// have come, and not at the time that the clock then shows.
    ///
    /// # Errors
    /// As [`Topic::publish_after`].
    ///
    /// # Cancel safety
    /// As [`Topic::publish_after`].
    pub fn publish_at(
        &self,
        unix_millis: u64,
        value: T,
    ) -> impl Future<Output = Result<Scheduled, PublishError<T>>> + Send + '_ {
        self.publish_after(self.shared.until(unix_millis), value)
    }

    /// Takes a delayed message back that is not in the topic yet.
    ///
    /// # Errors
    /// [`CancelError`]: it has moved, was delayed in another topic, or the topic is closed.
    ///
    /// # Cancel safety
    /// Once polled, the message is cancelled if it can be, even if the future is dropped; then it goes with that.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let reminders = broker.topic::<&str>("reminders").open().await?;
    /// let reminder = reminders.publish_after(Duration::from_secs(3600), "pay the anvil").await?;
    /// assert_eq!(reminders.cancel_scheduled(reminder).await, Ok("pay the anvil"));
    /// # Ok(()) }
    /// ```
    pub async fn cancel_scheduled(&self, scheduled: Scheduled) -> Result<T, CancelError> {
        self.shared.cancel_scheduled(scheduled).await
    }
}

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// How long it is until this time of the wall clock.
    pub(super) fn until(&self, unix_millis: u64) -> Duration {
        Duration::from_millis(unix_millis.saturating_sub(self.core.rt.wall_millis()))
    }

    /// The moment that is so far ahead, and about when that is, in milliseconds since 1970.
    pub(super) fn due_in(&self, delay: Duration) -> (Moment, u64) {
        let due = self.core.rt.now() + delay;
        // Why the next one: after a restart this is all that is known, and it must not come early.
        (due, self.core.rt.wall_millis().saturating_add(whole_millis(delay)).saturating_add(1))
    }

    /// Puts a message into the schedule.
    pub(super) async fn schedule_checked(
        &self,
        due: Moment,
        item: Checked<T>,
    ) -> Result<Scheduled, PublishError<T>> {
        match item {
            Ok(item) => match &self.keeper {
                None => self.schedule_item(due, item).await,
                Some(keeper) => self.schedule_on_disk(keeper, due, item).await,
            },
            Err((value, why)) => Err(PublishError::Invalid(value, why)),
        }
    }

    /// Puts a message into the schedule of a durable topic, and waits until the disk has it.
    async fn schedule_on_disk(
        &self,
        keeper: &Keeper,
        due: Moment,
        mut item: Item<T>,
    ) -> Result<Scheduled, PublishError<T>> {
        if self.schedule.is_unused() && self.may_publish() {
            match keeper.disk.claim_schedule(&self.name).await {
                Ok(keeper) => {
                    let next = keeper.disk.log.bounds(keeper.number).map_or(0, |(_, next)| next);
                    drop(self.schedule_door(|| (Some(self.on_disk(keeper, next)), Vec::new())));
                }
                Err(LogError::Closed) => return Err(PublishError::Closed(item.into_value())),
                Err(error) => return Err(PublishError::NotStored(item.into_value(), error.into())),
            }
        }
        let (confirm, stored) = reply();
        item.set_confirm(confirm);
        let scheduled = self.schedule_item(due, item).await?;
        match self.core.rt.awaiting("for the disk, in topic", &self.name, stored).await {
            Ok(Ok(_)) => Ok(scheduled),
            Ok(Err(refused)) => match refused.into_error() {
                Some(error) => Err(error),
                None => std::future::pending().await,
            },
            // Its task was taken away by its runtime before it ever ran, and the message with it.
            Err(_) => std::future::pending().await,
        }
    }

    /// Goes on with what was delayed when the topic was opened before.
    pub(super) fn resume_schedule(&self, FoundDelayed { keeper, next, waiting }: FoundDelayed<T>) {
        if waiting.iter().any(|(_, item)| item.expires().is_some()) {
            self.tally.on_own_time();
        }
        if !waiting.is_empty() {
            drop(self.schedule_door(|| (Some(self.on_disk(keeper, next)), waiting)));
        }
    }

    /// What its schedule has on the disk, of which the next offset is this one.
    fn on_disk(&self, keeper: Keeper, next: u64) -> OnDisk<T> {
        let durability = self.settings.durable.as_ref().map(|durable| durable.durability);
        OnDisk::new(keeper, durability.unwrap_or_default(), next)
    }

    /// Puts a message that is valid into the schedule.
    async fn schedule_item(&self, due: Moment, item: Item<T>) -> Result<Scheduled, PublishError<T>> {
        let door = if self.may_publish() { self.schedule_door(Default::default) } else { None };
        let Some((door, of)) = door else { return Err(PublishError::Closed(item.into_value())) };
        let scheduled = |number| Scheduled { of, number, due };
        let item = Due::new(due, item);
        let limit = match self.wait() {
            Wait::Not => {
                return door.try_send(item).map(scheduled).map_err(|error| match error {
                    TrySendError::Full(due) if self.settings.overflow == Overflow::DropNewest => {
                        self.drop_newest(1);
                        PublishError::Dropped(due.into_value())
                    }
                    TrySendError::Full(due) => PublishError::Full(due.into_value()),
                    TrySendError::Closed(due) => PublishError::Closed(due.into_value()),
                });
            }
            wait => wait.limit(),
        };
        let (mut send, mut timer) = (door.send(item), None);
        let sent = std::future::poll_fn(|cx| {
            // Why at each poll, and once more: as in a publish, where a drain begins while this waits.
            if !self.may_publish() {
                return Poll::Ready(None);
            }
            match Pin::new(&mut send).poll(cx) {
                Poll::Ready(sent) => Poll::Ready(Some(sent)),
                Poll::Pending if !self.may_publish() => Poll::Ready(None),
                Poll::Pending => {
                    self.core.rt.waits(format_args!("for room in the schedule of topic {}", self.name));
                    let (rt, Some(limit)) = (&self.core.rt, limit) else { return Poll::Pending };
                    let timer = timer.get_or_insert_with(|| rt.sleep_until(rt.now() + limit));
                    Pin::new(timer).poll(cx).map(|()| None)
                }
            }
        })
        .await;
        match (sent, send.take_back()) {
            (Some(Ok(number)), _) => Ok(scheduled(number)),
            (Some(Err(SendError(due))), _) => Err(PublishError::Closed(due.into_value())),
            (None, Some(due)) if self.may_publish() => Err(PublishError::TimedOut(due.into_value())),
            (None, Some(due)) => Err(PublishError::Closed(due.into_value())),
            (None, None) => unreachable!("callboard bug: a message that was not sent is gone"),
        }
    }

    async fn cancel_scheduled(&self, scheduled: Scheduled) -> Result<T, CancelError> {
        let Scheduled { of, number, due } = scheduled;
        let Some((door, id)) = self.schedule.open() else {
            let closed = self.sender.is_closed();
            return Err(if closed { CancelError::Closed } else { CancelError::OtherTopic });
        };
        if id != of {
            return Err(CancelError::OtherTopic);
        }
        let (answer, cancelled) = reply();
        drop(door.control(ScheduleWord::Cancel { at: due, number, answer }));
        match self.core.rt.awaiting("for the schedule of topic", &self.name, cancelled).await {
            Ok(result) => result,
            Err(_) => Err(CancelError::Closed),
        }
    }
}
