//! tokio, multi-thread or current-thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

use super::epoch::{from_instant, to_instant};
use super::{BoxFuture, NoRuntime, Runtime, Timer};
use crate::base::Moment;

/// Runs everything on a tokio runtime, multi-thread or current-thread.
///
/// The runtime must have its timer enabled (`enable_time` or `enable_all`). Timers round up to the next
/// millisecond. Under `tokio::time::pause` callboard's time is tokio's paused time.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use callboard::runtime::{Runtime, Tokio};
///
/// let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// let runtime = Tokio::new(tokio.handle().clone());
/// assert_eq!(runtime.name(), "tokio");
/// assert!(Tokio::current().is_err());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
}

impl Tokio {
    /// Uses the runtime that `handle` belongs to. Code outside of it may use what is built on it.
    pub fn new(handle: Handle) -> Tokio {
        Tokio { handle }
    }

    /// Uses the tokio runtime that the calling code runs in.
    ///
    /// # Errors
    /// [`NoRuntime`] outside of tokio.
    pub fn current() -> Result<Tokio, NoRuntime> {
        Handle::try_current().map(Tokio::new).map_err(|_| NoRuntime::default())
    }
}

impl Runtime for Tokio {
    fn name(&self) -> &'static str {
        "tokio"
    }

    fn spawn(&self, _name: &str, task: BoxFuture) {
        drop(self.handle.spawn(task));
    }

    fn spawn_blocking(&self, _name: &str, work: Box<dyn FnOnce() + Send + 'static>) {
        drop(self.handle.spawn_blocking(work));
    }

    fn timer(&self, at: Moment) -> Pin<Box<dyn Timer>> {
        // Why: `Sleep` finds the timer wheel through the thread's context, which other threads don't have.
        let _context = self.handle.enter();
        Box::pin(TokioTimer {
            sleep: Box::pin(tokio::time::sleep_until(instant(at))),
            never: at == Moment::MAX,
        })
    }

    fn now(&self) -> Moment {
        // Why tokio's clock: it honours `tokio::time::pause`, but only inside the context.
        let _context = self.handle.enter();
        from_instant(Instant::now().into_std())
    }

    #[expect(clippy::disallowed_methods, reason = "the runtime is where the wall clock is read")]
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

fn instant(at: Moment) -> Instant {
    Instant::from_std(to_instant(at))
}

#[derive(Debug)]
struct TokioTimer {
    sleep: Pin<Box<Sleep>>,
    never: bool,
}

impl Timer for TokioTimer {
    fn reset(mut self: Pin<&mut Self>, at: Moment) {
        self.never = at == Moment::MAX;
        self.sleep.as_mut().reset(instant(at));
    }

    fn poll_expired(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.never {
            return Poll::Pending;
        }
        self.sleep.as_mut().poll(cx)
    }
}
