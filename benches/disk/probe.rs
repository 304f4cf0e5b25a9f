//! What the disk does when nothing is in between: the other side of each ratio.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clock::{Samples, timed};

const BYTES: u64 = 128 << 20;
const PAGE: usize = 4096;

/// A file of fixed size that was written once in full, as a slot of the journal is.
pub struct Probe {
    file: File,
    path: PathBuf,
    at: u64,
}

impl Probe {
    pub fn new(dir: &Path) -> Probe {
        let path = dir.join("probe");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let mut probe = Probe { file, path, at: 0 };
        probe.write();
        probe
    }

    /// So many commits: one page each, written and waited for.
    pub fn commits(&mut self, many: usize) -> Samples {
        let page = [7; PAGE];
        let one = |_| {
            self.at = (self.at + PAGE as u64) % BYTES;
            timed(|| {
                self.file.write_all_at(&page, self.at).unwrap();
                self.file.sync_data().unwrap();
            })
        };
        Samples::of((0..many).map(one))
    }

    /// Writes it over, in pieces of 1 MiB, and waits once at the end: bytes in a second.
    pub fn write(&mut self) -> f64 {
        let piece = vec![9; 1 << 20];
        let took = timed(|| {
            (0..BYTES >> 20).for_each(|at| self.file.write_all_at(&piece, at << 20).unwrap());
            self.file.sync_data().unwrap();
        });
        BYTES as f64 / took.as_secs_f64()
    }

    /// Reads it from end to end: bytes in a second.
    pub fn read(&self) -> f64 {
        let mut piece = vec![0; 1 << 20];
        let took =
            timed(|| (0..BYTES >> 20).for_each(|at| self.file.read_exact_at(&mut piece, at << 20).unwrap()));
        BYTES as f64 / took.as_secs_f64()
    }

    /// As [`Probe::read`], from the disk; `None` if the cache can't be emptied here.
    pub fn read_cold(&self) -> Option<f64> {
        forget(&self.path).then(|| self.read())
    }
}

/// Asks the system to forget what it has cached of a file, or of the files in a directory.
///
/// Why a program: `posix_fadvise` is in no safe library that is here, and this one does nothing else.
pub fn forget(path: &Path) -> bool {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().all(|entry| forget(&entry.unwrap().path()));
    }
    let file = format!("if={}", path.display());
    let dd = Command::new("dd").args([&file, "iflag=nocache", "count=0", "status=none"]).status();
    dd.is_ok_and(|status| status.success())
}

/// Bytes that the kernel says this process has sent to the disk.
pub fn written() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}

/// Bytes that the files below a directory take.
pub fn space(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let of = |path: PathBuf| match path.symlink_metadata().unwrap() {
        meta if meta.is_dir() => space(&path),
        meta => meta.blocks() * 512,
    };
    std::fs::read_dir(dir).unwrap().map(|entry| of(entry.unwrap().path())).sum()
}
