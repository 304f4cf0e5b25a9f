//! What a test does to a disk behind the process's back.
//!
//! Nothing here is a call of the process: nothing is counted, nothing fails on order, and it works on a disk whose
//! process has ended. Whatever is tampered with is durable at once as the process sees it.

use std::io;
use std::path::{Path, PathBuf};

use super::SimDisk;
use super::machine::Machine;

impl SimDisk {
    /// Lists all files with their lengths, by full path from the root (`/`), in their order.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let machine = self.machine();
        let all = machine.names.walk_all().into_iter();
        all.filter_map(|(path, ino)| Some((path, machine.bodies.get(&ino)?.bytes().len() as u64))).collect()
    }

    /// Returns a file's bytes.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`.
    pub fn read_file(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        self.tamper(path, |machine, path| {
            let ino = machine.names.find(path)?;
            Ok(machine.file(ino)?.bytes().to_vec())
        })
    }

    /// Puts a file in place, over another one if it is there; the directories on its way are made.
    ///
    /// # Errors
    /// `IsADirectory`; `NotADirectory`: a file is in the way.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> io::Result<()> {
        self.tamper(path, |machine, path| {
            make_dirs(machine, path.parent())?;
            let ino = match machine.names.look(path)? {
                Some(ino) => ino,
                None => machine.make(path)?,
            };
            machine.file(ino)?.edit(|old| {
                *old = bytes.into();
                Ok::<_, io::Error>(())
            })?;
            settle(machine, path)
        })
    }

    /// Turns over the bits of `mask` in one byte of a file.
    ///
    /// # Errors
    /// `InvalidInput`: the file has no such byte. `NotFound`, `IsADirectory`.
    pub fn flip(&self, path: impl AsRef<Path>, byte: u64, mask: u8) -> io::Result<()> {
        self.edit(path, |bytes| {
            let byte = usize::try_from(byte).ok().and_then(|byte| bytes.get_mut(byte));
            *byte.ok_or(io::ErrorKind::InvalidInput)? ^= mask;
            Ok(())
        })
    }

    /// Cuts a file, or lets it grow with zeros.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`.
    pub fn truncate(&self, path: impl AsRef<Path>, len: usize) -> io::Result<()> {
        self.edit(path, |bytes| {
            bytes.resize(len, 0);
            Ok(())
        })
    }

    /// Removes a file's name, or whatever was planted.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`.
    pub fn remove(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.tamper(path, |machine, path| {
            if machine.names.is_dir(machine.names.find(path)?) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            let slot = machine.names.slot(path)?;
            machine.names.set(vec![(slot, None)]);
            settle(machine, path)
        })
    }

    /// Makes a directory, and those on its way.
    ///
    /// # Errors
    /// `NotADirectory`: a file is in the way.
    pub fn make_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.tamper(path, |machine, path| make_dirs(machine, Some(path)))
    }

    /// Plants something that is neither a file nor a directory, as a symbolic link that leads nowhere.
    ///
    /// # Errors
    /// `AlreadyExists`; `NotADirectory`: a file is in the way.
    pub fn plant_other(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.tamper(path, |machine, path| {
            make_dirs(machine, path.parent())?;
            if machine.names.look(path)?.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let (slot, ino) = (machine.names.slot(path)?, machine.number());
            machine.names.set(vec![(slot, Some(ino))]);
            settle(machine, path)
        })
    }

    fn edit(
        &self,
        path: impl AsRef<Path>,
        change: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.tamper(path, |machine, path| {
            let ino = machine.names.find(path)?;
            machine.file(ino)?.edit(change)?;
            settle(machine, path)
        })
    }

    fn tamper<T>(
        &self,
        path: impl AsRef<Path>,
        how: impl FnOnce(&mut Machine, &Path) -> io::Result<T>,
    ) -> io::Result<T> {
        how(&mut self.machine(), path.as_ref())
    }
}

/// Makes a path's name durable, and those of the directories on its way.
fn settle(machine: &mut Machine, path: &Path) -> io::Result<()> {
    for path in path.ancestors().filter(|path| path.file_name().is_some()) {
        let slot = machine.names.slot(path)?;
        machine.names.settle(&slot);
    }
    machine.reap();
    Ok(())
}

fn make_dirs(machine: &mut Machine, path: Option<&Path>) -> io::Result<()> {
    let Some(path) = path.filter(|path| path.file_name().is_some()) else { return Ok(()) };
    make_dirs(machine, path.parent())?;
    match machine.names.look(path)? {
        Some(ino) if machine.names.is_dir(ino) => {}
        Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
        None => {
            let (slot, ino) = (machine.names.slot(path)?, machine.number());
            machine.names.add_dir(ino);
            machine.names.set(vec![(slot, Some(ino))]);
        }
    }
    settle(machine, path)
}
