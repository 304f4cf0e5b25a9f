//! The lock and the atomics, from `std`, or from the schedule explorer when it looks for races.
//!
//! Whatever two threads may touch at once takes them from here, except a static: one of the explorer's belongs to one
//! run of it. The simulator has one thread, and its world a lock of `std` that nobody ever waits for.

#[cfg(callboard_shuttle)]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence},
};
#[cfg(not(callboard_shuttle))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence},
};
pub(crate) use std::sync::{PoisonError, atomic::Ordering};

/// Runs a test under some thousands of schedules: random ones, and ones with few but adverse preemptions. One in which
/// everyone sleeps fails as a deadlock.
#[cfg(all(test, callboard_shuttle))]
pub(crate) fn explore(test: impl Fn() + Send + Sync + Clone + 'static) {
    const SCHEDULES: usize = 1500;
    shuttle::check_random(test.clone(), SCHEDULES);
    shuttle::check_pct(test, SCHEDULES, 3);
}
