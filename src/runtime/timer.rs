//! The two shapes in which the layers above use a timer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::{Rt, Timer};
use crate::base::Moment;

/// A future that ends at one moment.
#[derive(Debug)]
pub(crate) struct Sleep(Pin<Box<dyn Timer>>);

impl Sleep {
    pub(super) fn new(timer: Pin<Box<dyn Timer>>) -> Sleep {
        Sleep(timer)
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll_expired(cx)
    }
}

/// The alarm clock of one actor: it knows the next alarm and keeps one timer for it.
///
/// An actor without alarms has no timer, so that an idle actor stays small and a simulator without timers and
/// without runnable tasks knows that it is stuck.
pub(crate) struct Clock {
    rt: Rt,
    timer: Option<Pin<Box<dyn Timer>>>,
    set: Option<Moment>,
    /// Whom the timer, set as it is, wakes.
    wakes: Option<Waker>,
}

impl Clock {
    pub(super) fn new(rt: Rt) -> Clock {
        Clock { rt, timer: None, set: None, wakes: None }
    }

    /// Waits for `next`, the earliest alarm there is. `None` disarms.
    ///
    /// Answers `Ready` with the time read at expiry; the caller then works off what is due by that time.
    pub(crate) fn poll_alarm(&mut self, next: Option<Moment>, cx: &mut Context<'_>) -> Poll<Moment> {
        self.poll_alarm_at(next, None, cx)
    }

    /// As [`Clock::poll_alarm`], for a caller who may have read the time already: most often that is enough to
    /// know that the alarm is not due, and costs less than to ask the timer.
    pub(crate) fn poll_alarm_at(
        &mut self,
        next: Option<Moment>,
        now: Option<Moment>,
        cx: &mut Context<'_>,
    ) -> Poll<Moment> {
        let Some(next) = next else {
            if self.set.take().is_some() {
                // Why drop: an armed timer that nobody waits for would keep a simulator from seeing a deadlock.
                self.timer = None;
            }
            return Poll::Pending;
        };
        if self.set != Some(next) {
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(next),
                None => self.timer = Some(self.rt.runtime().timer(next)),
            }
            self.set = Some(next);
            self.wakes = None;
        } else if now.is_some_and(|now| now < next)
            && self.wakes.as_ref().is_some_and(|wakes| wakes.will_wake(cx.waker()))
        {
            return Poll::Pending;
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        match timer.as_mut().poll_expired(cx) {
            // Why max: a timer that fires a hair early must still find its alarm due, or its owner would spin.
            Poll::Ready(()) => {
                self.wakes = None;
                Poll::Ready(self.rt.now().max(next))
            }
            Poll::Pending => {
                self.wakes.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("set", &self.set).finish_non_exhaustive()
    }
}
