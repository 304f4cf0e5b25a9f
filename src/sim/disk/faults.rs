//! Which calls fail.

use std::io;

/// Names a kind of call on a [`SimDisk`](super::SimDisk).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskCall {
    /// A file is opened to be made or emptied, or a lock's file is made.
    Create,
    /// A file is written.
    Write,
    /// A file's data is synced.
    Sync,
    /// A file's length is set.
    SetLen,
    /// A name is changed.
    Rename,
    /// A name is removed, a file's or a directory's.
    Remove,
    /// A directory's names are synced.
    SyncDir,
    /// A directory is made, or found to be there.
    CreateDir,
    /// A file that must be there is opened, or locked. Changes nothing, so it isn't counted as a call.
    Open,
    /// A file is read. Changes nothing, so it isn't counted as a call.
    Read,
    /// A directory is listed, or a kind or a length asked for. Changes nothing, so it isn't counted as a call.
    Look,
}

impl DiskCall {
    pub(super) fn changes(self) -> bool {
        !matches!(self, DiskCall::Open | DiskCall::Read | DiskCall::Look)
    }
}

/// A call that fails, for [`SimDisk::fail`](super::SimDisk::fail).
///
/// # Examples
/// ```
/// use callboard::sim::{DiskCall, DiskFault, SimDisk};
///
/// let disk = SimDisk::new(1);
/// disk.fail(DiskFault::nth(3).of(DiskCall::Sync));
/// disk.fail(DiskFault::nth(10).with(std::io::ErrorKind::StorageFull).lasting());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskFault {
    call: Option<DiskCall>,
    nth: u64,
    error: io::ErrorKind,
    lasting: bool,
}

impl DiskFault {
    /// Fails the `nth` call that changes something, counted from 1, once, as a broken disk does (`Other`).
    pub fn nth(nth: u64) -> DiskFault {
        DiskFault { call: None, nth, error: io::ErrorKind::Other, lasting: false }
    }

    /// Counts, and fails, calls of one kind only.
    #[must_use]
    pub fn of(mut self, call: DiskCall) -> DiskFault {
        self.call = Some(call);
        self
    }

    /// Fails with this error.
    ///
    /// An `Interrupted` call has done nothing; it is the one error of a sync after which syncing again is of use.
    #[must_use]
    pub fn with(mut self, error: io::ErrorKind) -> DiskFault {
        self.error = error;
        self
    }

    /// Fails all calls after it too.
    #[must_use]
    pub fn lasting(mut self) -> DiskFault {
        self.lasting = true;
        self
    }

    fn is_about(&self, call: DiskCall) -> bool {
        self.call.map_or(call.changes(), |only| only == call)
    }
}

/// The faults that are planned, each with how many of its calls it has seen.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<(DiskFault, u64)>);

impl Plan {
    pub(super) fn plan(&mut self, fault: DiskFault) {
        self.0.push((fault, 0));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts a call, and says how it fails, if it does.
    pub(super) fn strike(&mut self, call: DiskCall) -> Option<io::Error> {
        let mut strikes = None;
        for (fault, seen) in self.0.iter_mut().filter(|(fault, _)| fault.is_about(call)) {
            *seen += 1;
            if *seen == fault.nth || (fault.lasting && *seen > fault.nth) {
                strikes = strikes.or(Some((fault.error, *seen)));
            }
        }
        self.0.retain(|(fault, seen)| fault.lasting || *seen < fault.nth);
        let (error, seen) = strikes?;
        Some(io::Error::new(error, format!("a planned fault: {call:?}, call {seen} of those it counts")))
    }
}
