//! What a runtime must offer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use crate::base::Moment;

/// A future in a box, as [`Runtime::spawn`] takes it.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Runs tasks, keeps time and draws random numbers for everything in this crate.
///
/// Implemented by [`Tokio`](super::Tokio), [`Smol`](super::Smol) and the simulator. Implement it yourself to run
/// on another executor: see `examples/bring_your_own_runtime`.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Names the runtime, for logs.
    fn name(&self) -> &'static str;

    /// Starts `task` and lets it go: it ends when it is done, not when something is dropped.
    ///
    /// `name` is for logs and for the simulator's report of stuck tasks.
    fn spawn(&self, name: &str, task: BoxFuture);

    /// Runs `work`, which may block, where it stops no task.
    fn spawn_blocking(&self, name: &str, work: Box<dyn FnOnce() + Send + 'static>);

    /// Makes a timer that expires at `at`, or at once if that is past.
    fn timer(&self, at: Moment) -> Pin<Box<dyn Timer>>;

    /// Reads the monotonic clock. It never goes back, and all runtimes of a process share its start.
    fn now(&self) -> Moment;

    /// Reads the wall clock. It may jump either way; only message ids are made of it.
    fn wall_clock(&self) -> SystemTime;

    /// Draws a random number, for jitter. The simulator draws it from the seed.
    fn random(&self) -> u64;

    /// Hears what the task that is being polled is about to wait for. Does nothing, unless told otherwise.
    ///
    /// Called where a future of this crate is not ready, never on the way of a message that is. The simulator keeps
    /// it for its report of a deadlock.
    fn waits(&self, what: &dyn fmt::Display) {
        let _ = what;
    }
}

/// A timer that one task owns and sets again and again.
///
/// A timer set to [`Moment::MAX`] never expires.
pub trait Timer: fmt::Debug + Send + 'static {
    /// Sets the timer to expire at `at`, whatever it was set to before.
    fn reset(self: Pin<&mut Self>, at: Moment);

    /// Answers `Ready` once the timer's moment has come, and again on each later poll until it is reset.
    ///
    /// On `Pending`, the task of `cx` is woken when the moment comes.
    fn poll_expired(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}
