//! A simulated disk on which a test has a say in how files are opened.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::log::{EntryKind, OpenMode, Vfs, VfsFile};
use crate::sim::SimDisk;

type Open = dyn Fn(&SimDisk, &Path, OpenMode) -> io::Result<Box<dyn VfsFile>> + Send + Sync;

pub(super) struct Hooked {
    disk: SimDisk,
    open: Box<Open>,
}

impl Hooked {
    /// All but opening is the disk's own.
    pub(super) fn new(
        disk: &SimDisk,
        open: impl Fn(&SimDisk, &Path, OpenMode) -> io::Result<Box<dyn VfsFile>> + Send + Sync + 'static,
    ) -> Hooked {
        Hooked { disk: disk.clone(), open: Box::new(open) }
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl Vfs for Hooked {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn VfsFile>> {
        (self.open)(&self.disk, path, how)
    }
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.disk.kind(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn fmt::Debug + Send + Sync>> {
        self.disk.lock(path)
    }
}
