//! What goes wrong with a log, and what to do then.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says what went wrong with a log on disk.
///
/// Each kind says what became of what was asked for. Cloning is cheap: one failure may concern many.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The file system failed a call. What was asked for did not happen.
    Io {
        /// What was tried: "open", "write", and so on.
        call: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the file system says.
        source: Arc<io::Error>,
    },
    /// The disk, or a quota, is full. What was asked for did not happen; free some space and try again.
    NoSpace {
        /// The file that can't grow, or the directory.
        path: PathBuf,
        /// What the file system says.
        source: Arc<io::Error>,
    },
    /// The disk failed in the middle: whether what was asked for is kept is not known before the log is opened anew.
    ///
    /// Nothing is confirmed any more until then: a disk that failed to sync once may have lost what it answers for later.
    Unknown {
        /// What failed.
        why: Arc<str>,
    },
    /// The disk failed before, see [`LogError::Unknown`]. What was asked for did not happen; open the log anew.
    Poisoned {
        /// What failed then.
        why: Arc<str>,
    },
    /// What is on the disk is not what was written. Nothing was changed.
    ///
    /// Restore the directory from a copy, or look at it with the inspect tool, which can salvage what is whole.
    Corrupt(Damage),
    /// The directory was written by a newer version of callboard. Nothing was changed: open it with that.
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// Another process, or another broker of this one, has the directory open. Nothing was changed.
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory has something in it that no log puts there, and no log. Nothing was changed: name another one.
    NotALog {
        /// What is in the way.
        found: PathBuf,
    },
    /// A setting that can't be. Nothing was opened.
    Invalid {
        /// Which, and why.
        why: &'static str,
    },
    /// A record with more bytes than a record may have. It was not appended.
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most that it may have.
        most: usize,
    },
    /// There is no such topic or group, or not any more. Nothing happened.
    Missing,
    /// There is a topic or a group of that name. Nothing happened.
    Exists,
    /// The log is closed, or its thread is gone. Nothing happened.
    Closed,
}

/// Where a log is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The damaged, or missing, file.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub at: u64,
    /// The number in the journal of what should be there, if it is known.
    pub lsn: Option<u64>,
    /// What is wrong.
    pub what: &'static str,
}

impl LogError {
    /// A call that failed, sorted by whether space is what it lacked.
    pub(crate) fn io(call: &'static str, path: &Path, source: io::Error) -> LogError {
        let (path, full) = (path.to_path_buf(), lacks_space(&source));
        let source = Arc::new(source);
        if full { LogError::NoSpace { path, source } } else { LogError::Io { call, path, source } }
    }

    pub(crate) fn corrupt(file: &Path, at: u64, lsn: Option<u64>, what: &'static str) -> LogError {
        LogError::Corrupt(Damage { file: file.to_path_buf(), at, lsn, what })
    }

    /// Whether it is want of space, which may come.
    pub fn is_full(&self) -> bool {
        matches!(self, LogError::NoSpace { .. })
    }
}

fn lacks_space(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Io { call, path, source } => write!(f, "{call} of {}: {source}", path.display()),
            LogError::NoSpace { path, source } => write!(f, "no space for {}: {source}", path.display()),
            LogError::Unknown { why } => {
                write!(f, "whether it is kept is not known before the log is opened anew: {why}")
            }
            LogError::Poisoned { why } => write!(f, "the log failed before and must be opened anew: {why}"),
            LogError::Corrupt(damage) => damage.fmt(f),
            LogError::Newer { file, version } => {
                write!(f, "{} is of format {version}, which this version does not know", file.display())
            }
            LogError::Locked { dir } => write!(f, "{} is open in another process or broker", dir.display()),
            LogError::NotALog { found } => {
                write!(f, "{} is in the way: the directory is neither empty nor a log", found.display())
            }
            LogError::Invalid { why } => f.write_str(why),
            LogError::TooLarge { bytes, most } => write!(f, "a record of {bytes} bytes, of at most {most}"),
            LogError::Missing => f.write_str("no such topic or group in the log"),
            LogError::Exists => f.write_str("a topic or group of that name is in the log"),
            LogError::Closed => f.write_str("the log is closed"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at byte {}", self.file.display(), self.at)?;
        if let Some(lsn) = self.lsn {
            write!(f, ", lsn {lsn}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LogError::Io { source, .. } | LogError::NoSpace { source, .. } => Some(&**source),
            _ => None,
        }
    }
}
