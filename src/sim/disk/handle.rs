//! The disk as the code under test sees it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::SimDisk;
use super::names::Ino;
use crate::log::{EntryKind, OpenMode, Vfs, VfsFile};

struct OpenFile {
    disk: SimDisk,
    ino: Ino,
    writes: bool,
}

struct Lock {
    disk: SimDisk,
    ino: Ino,
}

impl Vfs for SimDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn VfsFile>> {
        let ino = self.machine().open(path, how)?;
        Ok(Box::new(OpenFile { disk: self.clone(), ino, writes: how != OpenMode::Read }))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.machine().kind(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.machine().list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.machine().create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.machine().rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.machine().remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.machine().remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.machine().sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn fmt::Debug + Send + Sync>> {
        let ino = self.machine().lock(path)?;
        Ok(Box::new(Lock { disk: self.clone(), ino }))
    }
}

impl VfsFile for OpenFile {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.machine().read(self.ino, into, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.must_write(io::ErrorKind::PermissionDenied)?;
        self.disk.machine().write(self.ino, bytes, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.machine().sync_data(self.ino)
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.machine().len(self.ino)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.must_write(io::ErrorKind::InvalidInput)?;
        self.disk.machine().set_len(self.ino, len)
    }
}

impl OpenFile {
    fn must_write(&self, error: io::ErrorKind) -> io::Result<()> {
        if self.writes { Ok(()) } else { Err(error.into()) }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.disk.machine().close(self.ino);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.machine().unlock(self.ino);
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFile").field("ino", &self.ino).finish_non_exhaustive()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("ino", &self.ino).finish_non_exhaustive()
    }
}
