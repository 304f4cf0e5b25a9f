//! smol, on its global executor or on one that is given.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::SystemTime;

use futures::FutureExt as _;

use super::epoch::{now, to_instant};
use super::{BoxFuture, Runtime, Timer};
use crate::base::Moment;

/// Runs everything on smol: on its global executor, or on an executor of yours.
///
/// smol's global executor starts its threads on first use (one, or as many as `SMOL_THREADS` says).
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use callboard::runtime::{Runtime, Smol};
///
/// let executor = Arc::new(smol::Executor::new());
/// let runtime = Smol::with(executor.clone());
/// let (done, ended) = futures::channel::oneshot::channel();
/// runtime.spawn("hello", Box::pin(async move { done.send("ran").unwrap() }));
/// assert_eq!(smol::block_on(executor.run(ended)).unwrap(), "ran");
/// ```
#[derive(Clone, Debug)]
pub struct Smol {
    /// Why weak: the tasks hold their runtime, so a strong one would keep an executor that nobody runs any more
    /// alive, and all its tasks with it.
    executor: Option<Weak<smol::Executor<'static>>>,
}

impl Smol {
    /// Uses smol's global executor, the one of `smol::spawn`.
    pub fn global() -> Smol {
        Smol { executor: None }
    }

    /// Uses `executor`; somebody must run it (`executor.run(..)`), on as many threads as wanted.
    ///
    /// Whoever runs it owns it: when the last `Arc` outside is dropped, its tasks are dropped with it, and later
    /// ones at once.
    pub fn with(executor: Arc<smol::Executor<'static>>) -> Smol {
        Smol { executor: Some(Arc::downgrade(&executor)) }
    }
}

impl Runtime for Smol {
    fn name(&self) -> &'static str {
        "smol"
    }

    fn spawn(&self, _name: &str, task: BoxFuture) {
        // Why catch: what a detached task's panic does is up to the executor's version; here it ends the task.
        let task = std::panic::AssertUnwindSafe(task).catch_unwind().map(drop);
        match &self.executor {
            Some(executor) => {
                if let Some(executor) = executor.upgrade() {
                    executor.spawn(task).detach();
                }
            }
            #[expect(clippy::disallowed_methods, reason = "the runtime is where tasks are spawned")]
            None => smol::spawn(task).detach(),
        }
    }

    fn spawn_blocking(&self, _name: &str, work: Box<dyn FnOnce() + Send + 'static>) {
        smol::unblock(work).detach();
    }

    fn timer(&self, at: Moment) -> Pin<Box<dyn Timer>> {
        Box::pin(SmolTimer { timer: timer(at), expired: false })
    }

    fn now(&self) -> Moment {
        now()
    }

    #[expect(clippy::disallowed_methods, reason = "the runtime is where the wall clock is read")]
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

fn timer(at: Moment) -> smol::Timer {
    if at == Moment::MAX { smol::Timer::never() } else { smol::Timer::at(to_instant(at)) }
}

#[derive(Debug)]
struct SmolTimer {
    timer: smol::Timer,
    /// Why remembered: smol's timer, polled again after it fired, would wait for ever.
    expired: bool,
}

impl Timer for SmolTimer {
    fn reset(mut self: Pin<&mut Self>, at: Moment) {
        self.timer = timer(at);
        self.expired = false;
    }

    fn poll_expired(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.expired {
            std::task::ready!(self.timer.poll_unpin(cx));
            self.expired = true;
        }
        Poll::Ready(())
    }
}
