//! An incarnation's own sources of messages: timers and attached streams.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use futures::stream::{SelectAll, Stream, StreamExt as _};

use crate::base::{Moment, PanicText, drop_each};
use crate::runtime::{Clock, Rt};

/// The most timers, and the most streams, that one actor may have at a time.
pub(super) const MOST: usize = 65_536;

/// Names one timer of an actor, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(u64);

/// Says why a timer or a stream was not added to an actor. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceError {
    /// The actor has 65,536 timers, or streams, already. Cancel some, or use one for several purposes.
    TooMany,
    /// The period is zero: the timer would be due without pause. Name a real period.
    ZeroPeriod,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::TooMany => {
                write!(f, "not added: an actor has at most {MOST} timers and {MOST} streams")
            }
            SourceError::ZeroPeriod => f.write_str("not added: a timer's period can't be zero"),
        }
    }
}

impl Error for SourceError {}

pub(super) type BoxStream<M> = Pin<Box<dyn Stream<Item = M> + Send>>;

/// Why boxed and made on first use: most actors have no sources, and an idle one should be small.
pub(super) struct Sources<M>(Option<Box<Inside<M>>>);

struct Inside<M> {
    rt: Rt,
    clock: Clock,
    alarms: BinaryHeap<Reverse<Alarm<M>>>,
    next: u64,
    streams: SelectAll<BoxStream<M>>,
    /// Whose turn it is when both a timer and a stream have something.
    streams_first: bool,
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
    pub(super) fn none() -> Sources<M> {
        Sources(None)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|inside| inside.alarms.is_empty() && inside.streams.is_empty())
    }

    pub(super) fn once(&mut self, rt: &Rt, delay: Duration, message: M) -> Result<TimerId, SourceError> {
        self.inside(rt).add(delay, What::Once(message))
    }

    pub(super) fn every(
        &mut self,
        rt: &Rt,
        period: Duration,
        message: impl FnMut() -> M + Send + 'static,
    ) -> Result<TimerId, SourceError> {
        if period.is_zero() {
            return Err(SourceError::ZeroPeriod);
        }
        self.inside(rt).add(period, What::Every(period, Box::new(message)))
    }

    pub(super) fn cancel(&mut self, id: TimerId) -> bool {
        let Some(inside) = &mut self.0 else { return false };
        let before = inside.alarms.len();
        inside.alarms.retain(|Reverse(alarm)| alarm.id != id);
        if inside.alarms.is_empty() {
            // Why: nobody polls an empty heap, and an armed timer would wake the actor for nothing.
            inside.clock = inside.rt.clock();
        }
        inside.alarms.len() < before
    }

    pub(super) fn attach(&mut self, rt: &Rt, stream: BoxStream<M>) -> Result<(), SourceError> {
        let streams = &mut self.inside(rt).streams;
        if streams.len() >= MOST {
            return Err(SourceError::TooMany);
        }
        streams.push(stream);
        Ok(())
    }

    /// Hands out the next message of a timer or a stream, in turn when both have one.
    pub(super) fn poll_next(&mut self, cx: &mut Task<'_>) -> Poll<M> {
        let Some(inside) = &mut self.0 else { return Poll::Pending };
        inside.streams_first = !inside.streams_first;
        if inside.streams_first {
            inside.poll_streams(cx).or_else(|| inside.poll_alarms(cx))
        } else {
            inside.poll_alarms(cx).or_else(|| inside.poll_streams(cx))
        }
        .map_or(Poll::Pending, Poll::Ready)
    }

    /// Drops all timers and streams, with what they hold.
    pub(super) fn clear(&mut self) -> Result<(), PanicText> {
        self.0.take().map_or(Ok(()), |mut inside| inside.clear())
    }

    fn inside(&mut self, rt: &Rt) -> &mut Inside<M> {
        self.0.get_or_insert_with(|| {
            Box::new(Inside {
                rt: rt.clone(),
                clock: rt.clock(),
                alarms: BinaryHeap::new(),
                next: 0,
                streams: SelectAll::new(),
                streams_first: false,
            })
        })
    }
}

impl<M> Inside<M> {
    fn poll_streams(&mut self, cx: &mut Task<'_>) -> Option<M> {
        match self.streams.poll_next_unpin(cx) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        }
    }

    fn poll_alarms(&mut self, cx: &mut Task<'_>) -> Option<M> {
        let next = self.alarms.peek().map(|Reverse(alarm)| alarm.at);
        let Poll::Ready(now) = self.clock.poll_alarm(next, cx) else { return None };
        let Reverse(alarm) = self.alarms.pop()?;
        match alarm.what {
            What::Once(message) => Some(message),
            What::Every(period, mut make) => {
                let message = make();
                // Ticks that were missed are skipped: the next one is a whole number of periods after the last.
                let late = now.since(alarm.at).as_nanos() / period.as_nanos();
                let skipped = u64::try_from(late.saturating_mul(period.as_nanos())).unwrap_or(u64::MAX);
                let at = alarm.at + Duration::from_nanos(skipped) + period;
                self.alarms.push(Reverse(Alarm { at, id: alarm.id, what: What::Every(period, make) }));
                Some(message)
            }
        }
    }

    fn clear(&mut self) -> Result<(), PanicText> {
        let (alarms, streams) = (std::mem::take(&mut self.alarms), std::mem::take(&mut self.streams));
        drop_each(alarms).and(drop_each(streams))
    }

    fn add(&mut self, delay: Duration, what: What<M>) -> Result<TimerId, SourceError> {
        if self.alarms.len() >= MOST {
            return Err(SourceError::TooMany);
        }
        let id = TimerId(self.next);
        self.next += 1;
        self.alarms.push(Reverse(Alarm { at: self.rt.now() + delay, id, what }));
        Ok(id)
    }
}

impl<M> Drop for Inside<M> {
    fn drop(&mut self) {
        drop(self.clear());
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
