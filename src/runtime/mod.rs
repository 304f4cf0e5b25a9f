//! The one place that knows tokio from smol, and the only one that reads a clock.
//!
//! ```text
//!   actors, mailboxes, broker         know only `Rt`: spawn, timer, now, wall clock, random, blocking work
//!            │
//!       Arc<dyn Runtime>              handed in once, by the system's or the broker's builder
//!      ┌─────┼──────┬────────┐
//!    Tokio  Smol   Sim   your own     see examples/bring_your_own_runtime
//! ```
//!
//! # Rules
//! - A runtime is an object, not a type parameter: nothing that a user writes names it, except where a system
//!   or a broker is built. Measured: boxing a spawned future costs nothing (it is moved once instead of twice),
//!   a timer behind a pointer costs 40 ns, and each actor has at most one.
//! - Unless told otherwise, the runtime is the one that the code runs in: inside a simulation the simulator;
//!   inside tokio tokio; else smol, if the feature `smol` is on; else an error ([`NoRuntime`]). The features add
//!   up, they never exclude.
//! - There is no `join` and no `abort` here. A task tells its own end through a channel, and is ended by a
//!   message; so dropping a handle never means two things (smol cancels a dropped task, tokio detaches it).
//! - A spawned task is detached. Its panic is its own matter: the layers above catch it before the runtime does.
//! - Time is a [`Moment`](crate::base::Moment), monotonic; the wall clock only stamps message ids.
//! - Timers may be late (tokio rounds up to the next millisecond), never early.

mod current;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod epoch;
#[cfg(all(test, callboard_shuttle))]
mod explored;
#[cfg(feature = "server")]
mod net;
#[cfg(feature = "smol")]
mod smol;
mod timer;
#[cfg(feature = "tokio")]
mod tokio;
mod traits;

#[cfg(test)]
#[cfg(all(feature = "tokio", feature = "smol", feature = "sim"))]
mod tests;

pub use self::current::NoRuntime;
pub(crate) use self::current::Rt;
#[cfg(feature = "sim")]
pub(crate) use self::current::{Entered, enter};
#[cfg(all(test, callboard_shuttle))]
pub(crate) use self::explored::Explored;
#[cfg(feature = "server")]
pub(crate) use self::net::Listener;
#[cfg(feature = "smol")]
pub use self::smol::Smol;
pub(crate) use self::timer::{Clock, Sleep};
#[cfg(feature = "tokio")]
pub use self::tokio::Tokio;
pub use self::traits::{BoxFuture, Runtime, Timer};
