//! Which file is where, and the version of the format.
//!
//! ```text
//!  <dir>/LOCK  checkpoint  checkpoint.new  journal/<slot>.j  topics/<number>/<offset>.seg
//! ```

use std::path::{Path, PathBuf};

/// The version of everything that is written.
pub(crate) const FORMAT: u32 = 1;

/// Tells logs apart: drawn when one is created, and in each of its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uuid(pub(crate) [u8; 16]);

pub(crate) fn lock(dir: &Path) -> PathBuf {
    dir.join("LOCK")
}

pub(crate) fn checkpoint(dir: &Path) -> PathBuf {
    dir.join("checkpoint")
}

/// A checkpoint that is being written.
pub(crate) fn checkpoint_new(dir: &Path) -> PathBuf {
    dir.join("checkpoint.new")
}

pub(crate) fn journal(dir: &Path) -> PathBuf {
    dir.join("journal")
}

pub(crate) fn slot_path(journal: &Path, slot: usize) -> PathBuf {
    journal.join(format!("{slot}.j"))
}

pub(crate) fn topics(dir: &Path) -> PathBuf {
    dir.join("topics")
}

pub(crate) fn topic(dir: &Path, topic: u32) -> PathBuf {
    topics(dir).join(format!("{topic:08x}"))
}

pub(crate) fn segment(dir: &Path, topic_number: u32, base: u64) -> PathBuf {
    topic(dir, topic_number).join(format!("{base:020}.seg"))
}

/// The topic whose directory this is.
pub(crate) fn topic_of(dir: &Path) -> Option<u32> {
    let name = dir.file_name()?.to_str()?;
    let number = u32::from_str_radix(name, 16).ok()?;
    (format!("{number:08x}") == name).then_some(number)
}

/// The first offset of the segment whose file this is.
pub(crate) fn base_of(file: &Path) -> Option<u64> {
    let digits = file.file_name()?.to_str()?.strip_suffix(".seg")?;
    let base = digits.parse().ok()?;
    (format!("{base:020}") == digits).then_some(base)
}
