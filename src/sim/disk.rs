//! A disk that can fail, run full and lose power: what it takes to test that a log keeps what it has confirmed.
//!
//! ```text
//!   process ──▶ what it sees ──▶ changes since the last sync ──▶ what is durable
//!                  │                   │                             │
//!                  │                   │  a seeded choice of them    │
//!                  ▼                   ▼                             ▼
//!               KeepAll              Random                       LoseAll
//! ```
//!
//! # The problem
//! A real disk keeps nearly everything nearly always, so a sync that was forgotten shows up years later, at somebody
//! else's. This one keeps what it must and no more: it knows what is durable and what merely looks so, and a crash
//! leaves one of the states that a power cut may leave, drawn from a seed.
//!
//! # Rules
//! - A file's data is durable after its `sync_data`, its **name** after `sync_dir` of its directory, and that directory's
//!   own name after `sync_dir` of the one above. Nothing else makes anything durable.
//! - A power cut keeps any part of what was not synced: of writes any subset, of each any 512-byte sectors (aligned
//!   in the file), of lengths any subset; a length that was kept without its data reads as zeros.
//! - Of names it keeps any subset, but none without the ones before it that touch the same name; a rename is kept
//!   whole or not at all.
//! - A `sync_data` that fails leaves its writes visible and **clean**: the next one succeeds and makes nothing of them
//!   durable, as Linux does it. So it is with `sync_dir`. A later crash may keep them or not.
//! - A write that fails may have written a prefix. So may one that the process died in.
//! - A killed process ([`CrashKind::KeepAll`]) takes nothing with it, and makes nothing durable: what was not synced can
//!   still be lost by the next power cut.
//! - All chance is drawn from seeds: the same calls on the same seed give the same disk.
//!
//! # What it does not do
//! - It is stricter than a real one in that bytes of one sector which came by two writes can survive apart, and in that a
//!   name can outlive a later write to its file. It is milder in that no sector ever turns to garbage by itself:
//!   [`SimDisk::flip`] and its like do that on order.
//! - It has no links, no permissions and no times; `..` is refused; relative paths start at its root. A path that
//!   was planted as [`EntryKind::Other`](crate::log::EntryKind::Other) can be listed, renamed and removed, not opened.
//! - It takes no time: a slow disk is not among its faults.

mod body;
mod faults;
mod handle;
mod machine;
mod names;
mod space;
mod tamper;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::faults::{DiskCall, DiskFault};
use self::machine::Machine;

/// A disk in memory, for tests, that fails and loses power on order. It is a [`Vfs`](crate::log::Vfs).
///
/// A clone is another handle of the same disk.
///
/// # Examples
/// ```
/// use callboard::log::{OpenMode, Vfs};
/// use callboard::sim::{CrashKind, SimDisk};
/// use std::path::Path;
///
/// let disk = SimDisk::new(7);
/// let file = disk.open(Path::new("/a"), OpenMode::CreateNew)?;
/// file.write_at(b"kept", 0)?;
/// file.sync_data()?;
/// assert!(disk.crash(CrashKind::LoseAll).files().is_empty(), "the file was synced, its name was not");
/// # Ok::<(), std::io::Error>(())
/// ```
// Why a lock of `std` and not of `base::sync`: nobody ever waits for it, and the schedule explorer has nothing to find.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Machine>>);

/// Says what a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrashKind {
    /// The process was killed: all that it wrote is there, and what was not synced still isn't durable.
    KeepAll,
    /// The power went out, and nothing that was not synced had reached the disk.
    LoseAll,
    /// The power went out, and this seed draws what had reached the disk of what was not synced.
    Random(u64),
}

impl SimDisk {
    /// Makes an empty disk; `seed` draws what a failed write has written, and where calls are interrupted.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::of(Machine::new(seed))
    }

    /// Ends the process and answers the disk as the next one finds it: without faults, locks and a count of calls.
    ///
    /// Every file that was opened before, and this disk itself, answer errors from now on. It can crash again, though:
    /// each call draws what may be left of the same moment.
    #[must_use]
    pub fn crash(&self, how: CrashKind) -> SimDisk {
        let mut machine = self.machine();
        machine.kill();
        SimDisk::of(machine.after(how))
    }

    /// Answers another disk with only what is durable on this one, which goes on.
    #[must_use]
    pub fn durable_copy(&self) -> SimDisk {
        SimDisk::of(self.machine().after(CrashKind::LoseAll))
    }

    /// Forgets what is in memory without being about to be written, as the system does at times: what a failed
    /// `sync_data` had lost is no longer seen.
    pub fn drop_caches(&self) {
        self.machine().drop_caches();
    }

    /// Returns how many calls were made that change something, failed ones included; none after the process ended.
    pub fn calls(&self) -> u64 {
        self.machine().calls()
    }

    /// Ends the process in the `nth` call from the disk's first that changes something, counted from 1: it and all
    /// calls after it fail. If it is a write, a prefix may be written.
    ///
    /// A test counts the calls of a run, and for each of them runs again until there, crashes, and looks.
    pub fn stop_at(&self, nth: u64) {
        self.machine().stop_at(nth);
    }

    /// Says whether the process has ended, by [`stop_at`](SimDisk::stop_at) or a crash.
    pub fn is_stopped(&self) -> bool {
        self.machine().is_dead()
    }

    /// Plans a fault. Its calls are counted from now.
    pub fn fail(&self, fault: DiskFault) {
        self.machine().faults.plan(fault);
    }

    /// Takes back all faults that were planned.
    pub fn heal(&self) {
        self.machine().faults.clear();
    }

    /// Interrupts so many of 1,000 reads and writes, which do nothing then. Default: none.
    pub fn interrupts(&self, rate: u16) {
        self.machine().interrupts = rate;
    }

    /// Cuts short so many of 1,000 reads and writes, to at least one byte. Default: none.
    pub fn short_calls(&self, rate: u16) {
        self.machine().shorts = rate;
    }

    /// Leaves so many bytes free. A write that needs more writes what fits; one that finds nothing fails with
    /// `StorageFull`.
    ///
    /// What was written once is overwritten for free; a hole that `set_len` made takes space when it is written. A file
    /// gives its space back when it has no name and nobody has it open. Default: no limit.
    pub fn set_free(&self, bytes: u64) {
        self.machine().set_free(bytes);
    }

    /// Returns how many bytes are free; `None` if there is no limit.
    pub fn free(&self) -> Option<u64> {
        self.machine().room()
    }

    fn of(machine: Machine) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(machine)))
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("files", &self.files()).field("calls", &self.calls()).finish()
    }
}
