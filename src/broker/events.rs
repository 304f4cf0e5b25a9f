//! Who listens to a broker, and how it is told.
//!
//! ```text
//!   actors, drain, deletions ──▶ Teller ──▶ [buffer] ──▶ Events, a stream
//!        tell(event)              log      ├▶ [buffer] ──▶ Events, another one
//! ```
//!
//! # Rules
//! - **Whoever tells never waits.** A buffer is a lock held for a push or a pop; one that is full counts what it leaves
//!   out. Listeners are woken, and events dropped, while nothing is locked, so no code of a user can hold up an actor.
//! - **Nobody there, next to no cost:** the line for the log, and one look at a number.
//! - Events of one topic or group come in the order in which they happened, and so do those of two where one led to
//!   the other.
//!
//! Why no channel: where a gap is, and that it is told once, is decided under the buffer's lock. A channel wakes its
//! receiver while it sends, which would be inside of that lock.

mod buffer;
#[cfg(all(test, callboard_shuttle))]
mod shuttle_tests;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use futures::Stream;
use futures::stream::FusedStream;

use super::{Event, WhyDropped};
use crate::base::Name;
use crate::base::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError};
use buffer::Buffer;

/// Yields what happens in a broker, in order; made by [`Broker::events`](super::Broker::events).
///
/// It hears what happens from its making on, and ends after [`Event::BrokerStopped`]. It never holds the broker up:
/// when its buffer is full, events are left out, and [`Event::Missed`] says at that place how many. It does not keep
/// the broker alive either, and dropping it ends nothing else.
///
/// # Examples
/// ```
/// use callboard::broker::Event;
/// use callboard::prelude::*;
/// use futures::StreamExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start()?;
/// let mut events = broker.events();
/// let orders = broker.topic::<u32>("orders").open().await?;
/// orders.group("billing").retry(Retry::none()).run(async |_| Err(Fault::new("no such customer"))).await?;
/// orders.publish(7).await?;
/// broker.shutdown().await;
///
/// let mut given_up = 0;
/// while let Some(event) = events.next().await {
///     println!("{event}");
///     given_up += u32::from(matches!(event, Event::DeadLetter { .. }));
/// }
/// assert_eq!(given_up, 1);
/// # Ok(()) }
/// ```
pub struct Events {
    listener: Arc<Listener>,
    teller: Weak<Teller>,
}

#[derive(Default)]
struct Inbox {
    buffer: Option<Buffer>,
    waker: Option<Waker>,
    /// Nothing comes any more.
    ended: bool,
}

/// One stream's end of the line.
struct Listener(Mutex<Inbox>);

impl Listener {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, event: Event) {
        let waker = {
            let mut inbox = self.lock();
            if let Some(buffer) = &mut inbox.buffer {
                buffer.push(event);
            }
            inbox.waker.take()
        };
        wake(waker);
    }

    fn end(&self) {
        let waker = {
            let mut inbox = self.lock();
            inbox.ended = true;
            inbox.waker.take()
        };
        wake(waker);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Tells the log, and whoever listens, what happens. One for each broker.
pub(crate) struct Teller {
    /// How many listen. Ordering: who began to listen before something happened is seen by whoever tells of it, since
    /// what led from the one to the other passed a lock.
    listeners: AtomicUsize,
    /// `None` once the broker has stopped. Limit: each is a stream somewhere.
    list: Mutex<Option<Arc<[Arc<Listener>]>>>,
}

impl Teller {
    pub(crate) fn new() -> Arc<Teller> {
        Arc::new(Teller { listeners: AtomicUsize::new(0), list: Mutex::new(Some(Arc::default())) })
    }

    /// Logs `event` and tells it to everyone who listens.
    pub(crate) fn tell(&self, event: Event) {
        event.log();
        if self.listeners.load(Ordering::Relaxed) > 0 {
            self.tell_all(event);
        }
    }

    /// Tells that messages were dropped, if any were: the one place for every cause there is.
    pub(crate) fn dropped(&self, topic: &Name, group: Option<&Name>, why: WhyDropped, messages: u64) {
        // Why looked at first: a topic that drops may do so for each message.
        if messages > 0
            && (self.listeners.load(Ordering::Relaxed) > 0
                || tracing::enabled!(target: "callboard::broker", tracing::Level::DEBUG))
        {
            self.tell(Event::Dropped { topic: topic.clone(), group: group.cloned(), why, messages });
        }
    }

    #[cold]
    fn tell_all(&self, event: Event) {
        let all = self.lock().clone();
        for listener in all.iter().flat_map(|all| all.iter()) {
            listener.hear(event.clone());
        }
    }

    /// Begins a stream with a buffer for so many events; one that has ended if the broker has.
    pub(crate) fn listen(self: &Arc<Teller>, capacity: usize) -> Events {
        let buffer = Some(Buffer::new(capacity));
        let listener = Arc::new(Listener(Mutex::new(Inbox { buffer, ..Inbox::default() })));
        let added = self.change(|all| all.push(listener.clone()));
        if !added {
            listener.end();
        }
        Events { listener, teller: Arc::downgrade(self) }
    }

    /// Ends all streams, once they have yielded what they have.
    pub(crate) fn close(&self) {
        let all = self.lock().take();
        self.listeners.store(0, Ordering::Relaxed);
        for listener in all.iter().flat_map(|all| all.iter()) {
            listener.end();
        }
    }

    /// Changes the list, unless it is closed. Why a new list each time: whoever tells goes through it unlocked.
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Listener>>)) -> bool {
        let mut list = self.lock();
        let Some(all) = &*list else { return false };
        let mut changed = all.to_vec();
        change(&mut changed);
        self.listeners.store(changed.len(), Ordering::Relaxed);
        let before = list.replace(changed.into());
        drop(list);
        drop(before);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<[Arc<Listener>]>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Teller({})", self.listeners.load(Ordering::Relaxed))
    }
}

impl Events {
    /// How many events [`Broker::events`](super::Broker::events) keeps for a stream that is not polled: 1,024.
    pub const CAPACITY: usize = 1024;
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut inbox = self.listener.lock();
        if let Some(event) = inbox.buffer.as_mut().and_then(Buffer::pop) {
            return Poll::Ready(Some(event));
        }
        if inbox.ended {
            return Poll::Ready(None);
        }
        let waker = cx.waker();
        let known = inbox.waker.as_ref().is_some_and(|known| known.will_wake(waker));
        if known {
            return Poll::Pending;
        }
        drop(inbox);
        // A waker's clone, and its drop, may be anybody's code: neither is run under the lock.
        let waker = waker.clone();
        let mut inbox = self.listener.lock();
        let before = inbox.waker.replace(waker);
        let came = inbox.ended || inbox.buffer.as_ref().is_some_and(|buffer| !buffer.is_empty());
        drop(inbox);
        drop(before);
        if came { self.poll_next(cx) } else { Poll::Pending }
    }
}

impl FusedStream for Events {
    fn is_terminated(&self) -> bool {
        let inbox = self.listener.lock();
        inbox.ended && inbox.buffer.as_ref().is_none_or(Buffer::is_empty)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let (buffer, waker) = {
            let mut inbox = self.listener.lock();
            (inbox.buffer.take(), inbox.waker.take())
        };
        drop((buffer, waker));
        if let Some(teller) = self.teller.upgrade() {
            teller.change(|all| all.retain(|listener| !Arc::ptr_eq(listener, &self.listener)));
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
