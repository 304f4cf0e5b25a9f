//! A file system that only reads, and reads on where the disk fails.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::log::error::Damage;
use crate::log::vfs::{EntryKind, OpenMode, Vfs, VfsFile};

/// What can't be read is given up in such pieces.
const PAGE: usize = 4096;

pub(crate) const UNREADABLE: &str = "the disk can't read it";

/// Another file system, but that nothing can be changed, and what can't be read is zeros, and told.
#[derive(Clone, Debug)]
pub(crate) struct ReadOnly {
    vfs: Arc<dyn Vfs>,
    unreadable: Unreadable,
}

/// Where each file first failed.
type Unreadable = Arc<Mutex<BTreeMap<PathBuf, u64>>>;

#[derive(Debug)]
struct Patient {
    file: Box<dyn VfsFile>,
    path: PathBuf,
    unreadable: Unreadable,
}

impl ReadOnly {
    pub(crate) fn new(vfs: Arc<dyn Vfs>) -> ReadOnly {
        ReadOnly { vfs, unreadable: Unreadable::default() }
    }

    /// What could not be read.
    pub(crate) fn damage(&self) -> Vec<Damage> {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let damage = |(file, at): (&PathBuf, &u64)| Damage {
            file: file.clone(),
            at: *at,
            lsn: None,
            what: UNREADABLE,
        };
        unreadable.iter().map(damage).collect()
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Vfs for ReadOnly {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn VfsFile>> {
        if how != OpenMode::Read {
            return refused();
        }
        let (file, unreadable) = (self.vfs.open(path, how)?, self.unreadable.clone());
        Ok(Box::new(Patient { file, path: path.to_path_buf(), unreadable }))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.vfs.kind(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.vfs.list(dir)
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_dir(&self, _dir: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        refused()
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn fmt::Debug + Send + Sync>> {
        refused()
    }
}

impl VfsFile for Patient {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let is_disk = |error: &io::Error| error.kind() != io::ErrorKind::Interrupted;
        match self.file.read_at(into, at) {
            Err(error) if is_disk(&error) => {}
            done => return done,
        }
        let left = PAGE - usize::try_from(at % PAGE as u64).unwrap_or(0);
        let len = left.min(into.len());
        let page = into.get_mut(..len).unwrap_or_default();
        match self.file.read_at(page, at) {
            Err(error) if is_disk(&error) => {}
            done => return done,
        }
        let rest = self.file.len()?.saturating_sub(at);
        let len = usize::try_from(rest).unwrap_or(len).min(len);
        page.get_mut(..len).unwrap_or_default().fill(0);
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let first = unreadable.entry(self.path.clone()).or_insert(at);
        *first = at.min(*first);
        Ok(len)
    }

    fn write_at(&self, _bytes: &[u8], _at: u64) -> io::Result<usize> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        refused()
    }
}
