//! The file system, as far as the log needs one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Files and directories, as the log uses them: the machine's own ([`RealFs`](super::RealFs)), or a simulated one for tests.
///
/// Calls may block. Paths are taken as they are.
pub trait Vfs: fmt::Debug + Send + Sync + 'static {
    /// Opens a file.
    ///
    /// # Errors
    /// As the file system says; `NotFound` and `AlreadyExists` as `how` asks.
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn VfsFile>>;

    /// Says what is at a path, without following a symbolic link; `None` if nothing is.
    ///
    /// # Errors
    /// If that can't be told.
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// Lists what is in a directory, full paths in their order.
    ///
    /// # Errors
    /// As the file system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates a directory, not its parents. One that is there is fine.
    ///
    /// # Errors
    /// As the file system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file, over another one if that is there. Durable once its directory was synced.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Durable once its directory was synced.
    ///
    /// # Errors
    /// As the file system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the file system says.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Waits until the names in a directory are on the disk.
    ///
    /// # Errors
    /// As the file system says; then they may be or not, and asking again proves nothing.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes a lock on a file, made if need be, that no other process and no other caller in this one can take. It is
    /// freed when the answer is dropped, or when the process ends.
    ///
    /// # Errors
    /// `WouldBlock`: somebody has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn fmt::Debug + Send + Sync>>;
}

/// An open file.
#[expect(
    clippy::len_without_is_empty,
    reason = "the length of a file is a question to the disk, that may fail"
)]
pub trait VfsFile: fmt::Debug + Send + Sync {
    /// Reads at a position; answers how much, 0 at the end.
    ///
    /// # Errors
    /// As the file system says.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes at a position; answers how much, at least one byte. The file grows if need be.
    ///
    /// # Errors
    /// As the file system says.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Waits until what was written, and the file's length, are on the disk (fdatasync).
    ///
    /// # Errors
    /// As the file system says; then what was written may be lost, and asking again proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Returns the file's length in bytes.
    ///
    /// # Errors
    /// As the file system says.
    fn len(&self) -> io::Result<u64>;

    /// Cuts the file, or lets it grow with zeros.
    ///
    /// # Errors
    /// As the file system says.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To be read; it must be there.
    Read,
    /// To be read and written; it must be there.
    Write,
    /// To be read and written; it must not be there.
    CreateNew,
    /// To be read and written; made if need be, emptied if not.
    Replace,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, a device, or what else there is.
    Other,
}

impl dyn Vfs + '_ {
    /// Opens a file whose name is a new one.
    ///
    /// Why not merely emptied if it is there: a sync of its directory may have failed, in the process before this one. Then the name
    /// is nowhere but in memory, and, as the system takes it for written, stays there. A link is not ours, and is followed.
    pub(crate) fn open_anew(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        if self.kind(path)? == Some(EntryKind::Other) {
            return self.open(path, OpenMode::Replace);
        }
        match self.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.open(path, OpenMode::Replace),
        }
    }

    /// Removes what there was room for of a file that is of no use so, as far as that can be done.
    pub(crate) fn give_up(&self, path: &Path) {
        if self.kind(path).is_ok_and(|kind| kind == Some(EntryKind::File)) {
            drop(self.remove_file(path));
        }
    }
}

impl dyn VfsFile + '_ {
    /// Writes all of `bytes`, in several calls if need be.
    pub(crate) fn write_all_at(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    at += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until `into` is full or the file ends; answers how much.
    pub(crate) fn read_up_to(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Reads `len` bytes, or fewer if the file ends before.
    pub(crate) fn read_vec(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let read = self.read_up_to(&mut bytes, at)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}
