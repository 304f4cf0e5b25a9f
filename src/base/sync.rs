//! The lock and the atomics, from `std`, or from the schedule explorer when it looks for races.
//!
//! Everything below `sim` that two threads may touch at once takes them from here. A static counter does not: the
//! explorer's atomics belong to one run of it.

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
