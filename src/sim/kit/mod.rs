//! Tests of pipelines: a broker in the simulator, faults on order, and a check of every run against the contract.
//!
//! ```text
//!   run(seed, body) ──▶ Sim(seed) ──▶ body(TestBroker) ──▶ faults off, shut down ──▶ rules P1 to P26 ──▶ output
//!                                        │  ▲                                           (`sim/check`)
//!                                 faults │  │ deliveries
//!                                        ▼  │
//!                                     Watcher: sees every attempt, crashes those that are to be crashed
//! ```
//!
//! # The problem
//! A pipeline's tests show that it works when nothing fails. What it does when a consumer dies between an effect and
//! the ack, or a deadline passes while a message is in its last step, is seen in production first. Here a test names
//! the point at which the next delivery crashes, or lets the seed strike everywhere; hours of timers pass in
//! microseconds; and a run that failed is run again from its seed, step by step.
//!
//! # Rules
//! - A crash before the handler happens as if the handler's first line had panicked; one after it as if its last line
//!   had, when every effect is done and nothing is acked. The handler's code is not changed for it.
//! - Faults are drawn from the seed, from a stream of their own.
//! - A run is two phases: in the first faults strike; in the second, at the end, they are off, and what running groups
//!   have must settle within [`Broker::DRAIN`](crate::broker::Broker::DRAIN).
//! - After each run the rules of `sim/check` read what was seen. A user's bug can't break them, so a broken one is
//!   callboard's own, and the run panics.

mod cut;
mod faults;
mod probe;
mod run;
mod test_broker;
mod watcher;

pub use self::cut::cut;
pub use self::faults::{Faults, Point};
pub use self::probe::Probe;
#[cfg(test)]
pub(super) use self::run::{Run, setting};
pub use self::run::{run, seeds};
pub use self::test_broker::{Attempt, TestBroker};
#[cfg(test)]
pub(super) use self::watcher::Watcher;
