//! An incarnation's own sources of messages: timers and attached streams.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use futures::stream::{SelectAll, Stream};

use crate::base::Moment;
use crate::runtime::{Clock, Rt};

/// The most timers, and the most streams, that one actor may have at a time.
pub(super) const MOST: usize = 65_536;

/// Names one timer of an actor, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(u64);

/// Says that an actor has as many timers, or streams, as it may have (65,536), and that this one was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySources;

impl fmt::Display for TooManySources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not added: an actor has at most {MOST} timers and {MOST} streams")
    }
}

impl Error for TooManySources {}

type BoxStream<M> = Pin<Box<dyn Stream<Item = M> + Send>>;

pub(super) struct Sources<M> {
    rt: Rt,
    clock: Clock,
    alarms: BinaryHeap<Reverse<Alarm<M>>>,
    next: u64,
    streams: SelectAll<BoxStream<M>>,
    /// Messages handed out in a row; see [`crate::mailbox::BUDGET`].
    in_a_row: u32,
}

struct Alarm<M> {
    at: Moment,
    id: TimerId,
    what: What<M>,
}

enum What<M> {
    Once(M),
    Every(Duration, Box<dyn FnMut() -> M + Send>),
}

impl<M> Sources<M> {
    pub(super) fn new(rt: Rt) -> Sources<M> {
        let (clock, streams) = (rt.clock(), SelectAll::new());
        Sources { rt, clock, alarms: BinaryHeap::new(), next: 0, streams, in_a_row: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alarms.is_empty() && self.streams.is_empty()
    }

    pub(super) fn once(&mut self, delay: Duration, message: M) -> Result<TimerId, TooManySources> {
        self.add(delay, What::Once(message))
    }

    pub(super) fn every(
        &mut self,
        period: Duration,
        message: impl FnMut() -> M + Send + 'static,
    ) -> Result<TimerId, TooManySources> {
        // Why at least a nanosecond: a period of zero would be due for ever.
        let period = period.max(Duration::from_nanos(1));
        self.add(period, What::Every(period, Box::new(message)))
    }

    pub(super) fn cancel(&mut self, id: TimerId) -> bool {
        let before = self.alarms.len();
        self.alarms.retain(|Reverse(alarm)| alarm.id != id);
        self.alarms.len() < before
    }

    pub(super) fn attach(&mut self, stream: BoxStream<M>) -> Result<(), TooManySources> {
        if self.streams.len() >= MOST {
            return Err(TooManySources);
        }
        self.streams.push(stream);
        Ok(())
    }

    pub(super) fn poll_next(&mut self, cx: &mut Task<'_>) -> Poll<M> {
        if self.in_a_row >= crate::mailbox::BUDGET {
            self.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let found = match self.poll_alarms(cx) {
            Poll::Ready(message) => Some(message),
            Poll::Pending => match Pin::new(&mut self.streams).poll_next(cx) {
                Poll::Ready(item) => item,
                Poll::Pending => None,
            },
        };
        self.in_a_row = if found.is_some() { self.in_a_row + 1 } else { 0 };
        found.map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_alarms(&mut self, cx: &mut Task<'_>) -> Poll<M> {
        let next = self.alarms.peek().map(|Reverse(alarm)| alarm.at);
        let now = std::task::ready!(self.clock.poll_alarm(next, cx));
        let Some(Reverse(alarm)) = self.alarms.pop() else { return Poll::Pending };
        match alarm.what {
            What::Once(message) => Poll::Ready(message),
            What::Every(period, mut make) => {
                let message = make();
                // Ticks that were missed are skipped: the next one is a whole number of periods after the last.
                let late = now.since(alarm.at).as_nanos() / period.as_nanos();
                let skipped = u64::try_from(late.saturating_mul(period.as_nanos())).unwrap_or(u64::MAX);
                let at = alarm.at + Duration::from_nanos(skipped) + period;
                self.alarms.push(Reverse(Alarm { at, id: alarm.id, what: What::Every(period, make) }));
                Poll::Ready(message)
            }
        }
    }

    fn add(&mut self, delay: Duration, what: What<M>) -> Result<TimerId, TooManySources> {
        if self.alarms.len() >= MOST {
            return Err(TooManySources);
        }
        let id = TimerId(self.next);
        self.next += 1;
        self.alarms.push(Reverse(Alarm { at: self.rt.now() + delay, id, what }));
        Ok(id)
    }
}

// Why by hand: the earliest first, ties in the order they were set; the message has no part in it.
impl<M> Ord for Alarm<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.id).cmp(&(other.at, other.id))
    }
}

impl<M> PartialOrd for Alarm<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> PartialEq for Alarm<M> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<M> Eq for Alarm<M> {}
