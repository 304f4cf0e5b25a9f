//! Pulled deliveries: a group's messages as a `futures::Stream`, acked by hand.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{FusedStream, Stream};

use super::consumer::{ConsumerNews, ConsumerWord, FromConsumer};
use super::group_word::{GroupWord, Handout};
use super::lease::{Held, Lease, LeaseId};
use super::ledger::Report;
use super::outcome::Verdict;
use super::witness::{Sight, Window};
use super::{AckError, Message, Outcome};
use crate::mailbox::{Event, Receiver, WeakSender, reply};

type Group<T> = WeakSender<Handout<T>, GroupWord<T>>;

/// Yields a group's messages, each to be acked by hand; made by [`GroupBuilder::stream`](super::GroupBuilder::stream).
///
/// It is one consumer of its group: several streams, and streams beside handlers, share the messages. It holds at
/// most `prefetch` deliveries, those it has yielded and that are not settled included. It is woken when a message
/// comes, it never polls, and ends when the broker shuts down.
///
/// Dropping it removes this consumer only: what it had not yielded goes back to the group at no cost, and what it
/// had yielded can still be acked.
///
/// # Cancel safety
/// Dropping a `next()` future loses nothing: a message leaves the stream only when `next` returns it.
pub struct DeliveryStream<T> {
    window: Arc<Window>,
    mailbox: Receiver<Lease<T>, ConsumerWord>,
    group: Group<T>,
    /// The group took back what was not yielded, and waits to hear that this was seen.
    taken_back: bool,
    over: bool,
}

/// Hands a pulled message to whoever acks it: `*delivery` is the [`Message`], `**delivery` its payload.
///
/// A delivery is settled once, by value, so that acking twice does not compile. Dropping it unsettled counts as a
/// failed attempt: the message comes again after the group's backoff. Past the group's `ack_timeout` (and at the
/// latest after twice that) it goes back to the group, and a late ack is refused with
/// [`AckError::LeaseExpired`].
///
/// # Examples
/// ```compile_fail,E0382
/// fn twice(delivery: callboard::broker::Delivery<u32>) {
///     let _ = delivery.ack();
///     let _ = delivery.nack("on second thoughts");
/// }
/// ```
pub struct Delivery<T> {
    message: Message<T>,
    lease: LeaseId,
    held: Arc<Held>,
    group: Group<T>,
    window: Arc<Window>,
}

impl<T: Send + Sync + 'static> DeliveryStream<T> {
    pub(crate) fn new(
        mailbox: Receiver<Lease<T>, ConsumerWord>,
        group: Group<T>,
        window: Arc<Window>,
    ) -> DeliveryStream<T> {
        DeliveryStream { window, mailbox, group, taken_back: false, over: false }
    }

    fn say(&self, news: ConsumerNews) {
        drop(self.group.control(GroupWord::From(FromConsumer::News(self.window.consumer, news))));
    }

    fn hand_out(&self, lease: Lease<T>) -> Option<Delivery<T>> {
        let held = lease.held?;
        let message = Message::on_loan(lease.batch, lease.from, &lease.past);
        if !held.hold() {
            return None;
        }
        self.window.watched.show(|| Sight::Began(self.window.at(&message)));
        let (group, window) = (self.group.clone(), self.window.clone());
        Some(Delivery { message, lease: lease.id, held, group, window })
    }
}

impl<T: Send + Sync + 'static> Stream for DeliveryStream<T> {
    type Item = Delivery<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery<T>>> {
        while !self.over {
            let Poll::Ready(event) = self.mailbox.poll_next(cx) else {
                if std::mem::take(&mut self.taken_back) {
                    self.say(ConsumerNews::Here);
                }
                return Poll::Pending;
            };
            match event {
                Event::Message(lease) => {
                    self.mailbox.settle(1);
                    match self.hand_out(lease) {
                        Some(delivery) => return Poll::Ready(Some(delivery)),
                        None => self.taken_back = true,
                    }
                }
                Event::Control(ConsumerWord::Stop { .. }) | Event::Closed => self.over = true,
                Event::Control(_) => {}
            }
        }
        Poll::Ready(None)
    }
}

impl<T: Send + Sync + 'static> FusedStream for DeliveryStream<T> {
    fn is_terminated(&self) -> bool {
        self.over
    }
}

impl<T> Drop for DeliveryStream<T> {
    fn drop(&mut self) {
        // Closed first: what the group sends from now on bounces, and stays with the group.
        self.mailbox.close();
        for lease in self.mailbox.take_rest() {
            if lease.held.is_some_and(|held| held.take_back()) {
                drop(self.group.control(GroupWord::From(FromConsumer::GiveBack(lease.id))));
            }
        }
        drop(
            self.group
                .control(GroupWord::From(FromConsumer::News(self.window.consumer, ConsumerNews::Ended))),
        );
    }
}

impl<T> Delivery<T> {
    /// Acks: the group is done with the message.
    ///
    /// # Errors
    /// [`AckError`] says that it came too late and changed nothing.
    pub fn ack(self) -> Result<(), AckError> {
        self.decide(Verdict::Ack)
    }

    /// Acks, and waits until the disk has that: in a durable topic the message will not come again, whatever happens.
    ///
    /// A plain ack goes to the disk with the next commit, and nobody waits for it: a process that is killed before may have the
    /// message delivered once more. In a topic in memory this is a plain ack.
    ///
    /// # Errors
    /// [`AckError`] says that it came too late and changed nothing; or, [`AckError::NotStored`], that it is acked as far as
    /// this process goes, and the disk refused to keep that.
    ///
    /// # Cancel safety
    /// Dropped before it was polled it drops the delivery; after that the message is acked, and whether the disk has it is not
    /// known.
    pub async fn ack_durable(self) -> Result<(), AckError> {
        let group = self.group.clone();
        self.decide(Verdict::Ack)?;
        let (port, kept) = reply();
        group.control(GroupWord::WhenKept(port)).map_err(|_| AckError::Closed)?;
        match kept.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(AckError::NotStored),
            Err(_) => Err(AckError::Closed),
        }
    }

    /// Says what is to become of the message, as a handler's return value does.
    ///
    /// # Errors
    /// [`AckError`] says that it came too late and changed nothing.
    pub fn settle(self, outcome: Outcome) -> Result<(), AckError> {
        self.decide(outcome.into())
    }

    /// Says that handling failed: the message comes again after the group's backoff, or is dead-lettered.
    ///
    /// # Errors
    /// [`AckError`] says that it came too late and changed nothing.
    pub fn nack(self, error: impl Into<String>) -> Result<(), AckError> {
        self.decide(Verdict::failed(error.into()))
    }

    /// Says that handling failed and when to try again.
    ///
    /// # Errors
    /// [`AckError`] says that it came too late and changed nothing.
    pub fn nack_after(self, delay: Duration) -> Result<(), AckError> {
        self.settle(Outcome::RetryAfter(delay))
    }

    /// Gives the message back to the group at no cost: it comes again at once, perhaps to another consumer.
    ///
    /// Its attempt number grows, its failures don't.
    ///
    /// # Errors
    /// [`AckError`] says that it came too late and changed nothing.
    pub fn release(self) -> Result<(), AckError> {
        self.decide(Verdict::Release)
    }

    /// Begins the deadline anew: the delivery stays valid for at least another `ack_timeout`.
    ///
    /// # Errors
    /// [`AckError`] says that the deadline had passed, or that the broker is shut down.
    pub fn extend(&self) -> Result<(), AckError> {
        // Why ask twice: where the runtime went away, nobody was left to close the door.
        if self.held.extend() && !self.group.is_gone() { Ok(()) } else { Err(self.too_late()) }
    }

    /// Returns the message; it can be kept after the delivery is settled.
    pub fn to_message(&self) -> Message<T> {
        self.message.clone()
    }

    fn decide(self, verdict: Verdict) -> Result<(), AckError> {
        if !self.held.settle() {
            return Err(self.too_late());
        }
        self.tell(verdict)
    }

    fn tell(&self, verdict: Verdict) -> Result<(), AckError> {
        self.window.show_end(&self.message, &verdict);
        let index = self.message.index;
        let exceptions = if verdict == Verdict::Ack { Vec::new() } else { vec![(index, verdict)] };
        let report = Report { lease: self.lease, upto: index + 1, exceptions };
        self.group.control(GroupWord::From(FromConsumer::Report(report))).map_err(|_| AckError::Closed)
    }

    fn too_late(&self) -> AckError {
        if self.group.is_gone() { AckError::Closed } else { AckError::LeaseExpired }
    }
}

impl<T> Deref for Delivery<T> {
    type Target = Message<T>;
    fn deref(&self) -> &Message<T> {
        &self.message
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        if self.held.settle() {
            let _ = self.tell(Verdict::failed("dropped without an ack"));
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.message).finish()
    }
}

impl<T> fmt::Debug for DeliveryStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryStream").field("over", &self.over).finish_non_exhaustive()
    }
}
