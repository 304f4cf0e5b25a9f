//! A file system that counts the pages that are sent to the disk: what write amplification is made of.
//!
//! Why not `write_bytes` of the kernel alone: it charges a whole piece of its cache, up to 1 MiB, for 4 KiB that are written
//! over in a file that is there (measured 1 048 707 B charged, 4338 B sent).

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use callboard::log::{EntryKind, OpenMode, RealFs, Vfs, VfsFile};

#[derive(Clone, Debug, Default)]
pub struct Pages(Arc<AtomicU64>);

impl Pages {
    /// Bytes of pages that were written, each counted once for each time it was synced.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed) * 4096
    }
}

#[derive(Debug)]
struct Counted {
    file: Box<dyn VfsFile>,
    dirty: Mutex<BTreeSet<u64>>,
    pages: Pages,
}

impl Vfs for Pages {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn VfsFile>> {
        let file = RealFs.open(path, how)?;
        Ok(Box::new(Counted { file, dirty: Mutex::default(), pages: self.clone() }))
    }
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        RealFs.kind(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealFs.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealFs.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealFs.remove_file(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        RealFs.remove_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealFs.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn fmt::Debug + Send + Sync>> {
        RealFs.lock(path)
    }
}

impl VfsFile for Counted {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(into, at)
    }
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let written = self.file.write_at(bytes, at)?;
        self.dirty.lock().unwrap().extend(at / 4096..=(at + written as u64 - 1) / 4096);
        Ok(written)
    }
    fn sync_data(&self) -> io::Result<()> {
        let dirty = std::mem::take(&mut *self.dirty.lock().unwrap()).len();
        self.pages.0.fetch_add(dirty as u64, Ordering::Relaxed);
        self.file.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}
