//! A runtime made of one thread, one seed and a clock of its own: what it runs can be run again, exactly.
//!
//! Concurrent code fails for one order of events in thousands. A test on a real runtime meets that order by luck,
//! cannot show it again, and waits for every timer. The simulator draws the order from a seed: each seed is
//! another order, the same seed is always the same one, and an hour of timers passes in microseconds. It needs
//! nothing from the code under test but that it takes time, tasks and chance from its
//! [`Runtime`](crate::runtime::Runtime), as everything in this crate does.
//!
//! ```text
//!            wake                      ┌─ a task can run: a seeded pick of one, poll it
//!  tasks ───────────▶ ready list ──────┤      (or, now and then, slip: let the clock pass while it waits)
//!    ▲                    ▲            ├─ none, but somebody settles: wake him, time stands still
//!    │ poll               │ all due    ├─ none, but a timer is set: jump to it
//!    └──────────          └── timers ──┤
//!                                      └─ none at all: a deadlock, and the report names who waits
//! ```
//!
//! # Rules
//! - One thread polls everything, so the only freedom is which ready task comes next, and when the clock moves.
//!   Both are drawn from the seed; so is [`random`](crate::runtime::Runtime::random), from a stream of its own,
//!   so that one more number drawn by the code under test does not shuffle the schedule.
//! - The clock moves when nothing can run, to the next timer. All timers due by then fire together: which of
//!   their tasks runs first is the seed's choice. One timer at a time, fired only at rest, would never let a
//!   time-out meet the handler it is meant for, and bugs that live there would never be seen.
//! - For the same reason the clock may *slip* while tasks are ready, as on a machine that is busy: to the next
//!   timer, if it is at most 50 ms away. How often is drawn per seed: never, or at one step in 128, 32 or 8.
//!   A far deadline, such as a test's own time-out, is never slipped to.
//! - A timer that is dropped or reset leaves nothing behind, so a forgotten alarm can't pass for progress.
//! - A panic of a spawned task ends that task alone. It is recorded ([`Sim::panics`]) and not printed, since a
//!   test may cause thousands; the main future's panic is printed as ever, with the seed below it.
//! - When the main future ends, the tasks left are dropped, each by itself, so that a panic in one `Drop` hides
//!   nothing of the others.
//!
//! # What it does not do
//! - It sees awaits only: two threads inside one lock-free structure are for a schedule explorer and real threads.
//! - It runs no real thread and waits for none: a task that only a thread outside can wake counts as stuck.
//!   Blocking work goes through [`spawn_blocking`](crate::runtime::Runtime::spawn_blocking), here a plain task.
//! - It does not police the code under test: whoever reads the machine's clock or iterates a `HashMap` breaks the
//!   replay. [`Sim::trace_hash`], compared over two runs of a seed, shows it.

mod check;
mod disk;
mod drive;
mod handle;
mod kit;
mod ready;
mod replay;
mod ring;
mod rng;
mod scene;
mod schedule;
mod stuck;
mod timer;
mod timers;
mod trace;
mod world;

#[cfg(test)]
mod replay_tests;
// Why not under the explorer: there they are not run, and take most of its time to build.
#[cfg(test)]
#[cfg(not(callboard_shuttle))]
mod scenarios;
#[cfg(test)]
mod stuck_tests;
#[cfg(test)]
mod tests;

pub use self::check::{End, Violation};
pub use self::disk::{CrashKind, DiskCall, DiskFault, SimDisk};
pub use self::handle::Sim;
pub use self::kit::{Attempt, Faults, Point, Probe, TestBroker, cut, run, seeds};
pub use self::ready::Scheduler;
pub use self::replay::assert_deterministic;
pub use self::stuck::{Panicked, Stuck, Why};
