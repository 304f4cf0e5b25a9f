//! The runtime of the schedule explorer: each task is one of its threads, and time does not pass.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use super::{BoxFuture, Runtime, Timer};
use crate::base::Moment;

#[derive(Debug)]
pub(crate) struct Explored {
    /// Every timer is due when it is looked at. Else none ever is, but those that were set for now.
    leaps: bool,
}

impl Explored {
    /// Nothing that takes time ever ends.
    pub(crate) fn still() -> Explored {
        Explored { leaps: false }
    }

    /// Nothing takes time.
    pub(crate) fn leaping() -> Explored {
        Explored { leaps: true }
    }
}

impl Runtime for Explored {
    fn name(&self) -> &'static str {
        "explored"
    }

    fn spawn(&self, _name: &str, task: BoxFuture) {
        // Why not dropped: a task whose handle is dropped may be left over at the end of a schedule. One that is not
        // ends by itself, or the schedule fails as a deadlock.
        std::mem::forget(shuttle::future::spawn(task));
    }

    fn spawn_blocking(&self, _name: &str, work: Box<dyn FnOnce() + Send + 'static>) {
        std::mem::forget(shuttle::thread::spawn(work));
    }

    fn timer(&self, at: Moment) -> Pin<Box<dyn Timer>> {
        Box::pin(Due { is_due: self.leaps || at <= self.now(), leaps: self.leaps })
    }

    fn now(&self) -> Moment {
        Moment::from_nanos(1)
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1)
    }

    fn random(&self) -> u64 {
        7
    }
}

#[derive(Debug)]
struct Due {
    is_due: bool,
    leaps: bool,
}

impl Timer for Due {
    fn reset(mut self: Pin<&mut Self>, at: Moment) {
        self.is_due = self.leaps || at <= Moment::from_nanos(1);
    }

    fn poll_expired(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if self.is_due { Poll::Ready(()) } else { Poll::Pending }
    }
}
