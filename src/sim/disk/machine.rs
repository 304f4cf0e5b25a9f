//! The disk and the process that uses it, behind one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::super::rng::Rng;
use super::CrashKind;
use super::body::{self, Body};
use super::faults::{DiskCall, Plan};
use super::names::{Ino, Names};
use crate::log::{EntryKind, OpenMode};

/// The streams of a seed: what befalls calls, and what a power cut leaves.
const CHANCE: u64 = 20;
const CUT: u64 = 21;

/// The largest file: a test that writes further has a bug, and the machine under it only so much memory.
const MOST: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) names: Names,
    pub(super) bodies: BTreeMap<Ino, Body>,
    pub(super) faults: Plan,
    /// How many of 1,000 reads and writes are interrupted, or cut short.
    pub(super) interrupts: u16,
    pub(super) shorts: u16,
    next: Ino,
    capacity: Option<u64>,
    handles: BTreeMap<Ino, usize>,
    locks: BTreeSet<Ino>,
    rng: Rng,
    seed: u64,
    calls: u64,
    stop_at: Option<u64>,
    dead: bool,
}

/// Why a call is not made.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The process had ended before.
    Dead,
    /// The process ends in this call.
    Stop,
    /// The disk fails in this call.
    Fault(io::Error),
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        match refusal {
            Refusal::Fault(error) => error,
            Refusal::Dead | Refusal::Stop => io::Error::other("the process that used this disk has ended"),
        }
    }
}

impl Machine {
    pub(super) fn new(seed: u64) -> Machine {
        Machine {
            names: Names::new(),
            bodies: BTreeMap::new(),
            faults: Plan::default(),
            interrupts: 0,
            shorts: 0,
            next: 1,
            capacity: None,
            handles: BTreeMap::new(),
            locks: BTreeSet::new(),
            rng: Rng::new(seed, CHANCE),
            seed,
            calls: 0,
            stop_at: None,
            dead: false,
        }
    }

    /// Answers the machine as the next process finds it.
    pub(super) fn after(&self, how: CrashKind) -> Machine {
        let seed = if let CrashKind::Random(seed) = how { seed } else { self.seed };
        let mut rng = Rng::new(seed, CUT);
        let names = match how {
            CrashKind::KeepAll => self.names.clone(),
            CrashKind::LoseAll => self.names.cut(|| false),
            CrashKind::Random(_) => {
                let chance = body::chance(&mut rng);
                self.names.cut(|| body::survives(chance, &mut rng))
            }
        };
        let of_use = names.mentioned();
        let mut left = |body: &Body| match how {
            CrashKind::KeepAll => body.clone(),
            CrashKind::LoseAll => body.least(),
            CrashKind::Random(_) => body.some(&mut rng),
        };
        let bodies = self.bodies.iter().filter(|(ino, _)| of_use.contains(ino));
        let bodies = bodies.map(|(ino, body)| (*ino, left(body))).collect();
        let mut machine =
            Machine { names, bodies, next: self.next, capacity: self.capacity, ..Machine::new(seed) };
        machine.reap();
        machine
    }

    pub(super) fn kill(&mut self) {
        self.dead = true;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn stop_at(&mut self, nth: u64) {
        self.stop_at = Some(nth);
    }

    pub(super) fn drop_caches(&mut self) {
        self.bodies.values_mut().for_each(Body::drop_caches);
    }

    pub(super) fn set_free(&mut self, bytes: u64) {
        self.capacity = Some(self.used().saturating_add(bytes));
    }

    pub(super) fn room(&self) -> Option<u64> {
        Some(self.capacity?.saturating_sub(self.used()))
    }

    pub(super) fn open(&mut self, path: &Path, how: OpenMode) -> io::Result<Ino> {
        let makes = matches!(how, OpenMode::CreateNew | OpenMode::Replace);
        self.enter(if makes { DiskCall::Create } else { DiskCall::Open })?;
        let ino = match self.names.look(path)? {
            Some(_) if how == OpenMode::CreateNew => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(ino) => {
                let body = self.file(ino)?;
                if how == OpenMode::Replace {
                    body.set_len(0);
                }
                ino
            }
            None if makes => self.make(path)?,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        self.hold(ino);
        Ok(ino)
    }

    /// One handle fewer.
    pub(super) fn close(&mut self, ino: Ino) {
        if let Some(handles) = self.handles.get_mut(&ino) {
            *handles -= 1;
            if *handles == 0 {
                self.handles.remove(&ino);
                if !self.names.is_linked(ino) {
                    self.reap();
                }
            }
        }
    }

    pub(super) fn kind(&mut self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.enter(DiskCall::Look)?;
        Ok(self.names.look(path)?.map(|ino| match () {
            () if self.names.is_dir(ino) => EntryKind::Dir,
            () if self.bodies.contains_key(&ino) => EntryKind::File,
            () => EntryKind::Other,
        }))
    }

    pub(super) fn list(&mut self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.enter(DiskCall::Look)?;
        Ok(self.names.list(self.names.find(dir)?)?.map(|(name, _)| dir.join(name)).collect())
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.enter(DiskCall::CreateDir)?;
        match self.names.look(path)? {
            Some(ino) if self.names.is_dir(ino) => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => {
                let slot = self.names.slot(path)?;
                let ino = self.number();
                self.names.add_dir(ino);
                self.names.set(vec![(slot, Some(ino))]);
                Ok(())
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter(DiskCall::Rename)?;
        let moved = self.names.find(from)?;
        let (source, target) = (self.names.slot(from)?, self.names.slot(to)?);
        if source == target {
            return Ok(());
        }
        let is_dir = self.names.is_dir(moved);
        if is_dir && to.starts_with(from) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if let Some(over) = self.names.at(&target) {
            match (is_dir, self.names.is_dir(over)) {
                (true, true) => self.empty(over)?,
                (true, false) => return Err(io::ErrorKind::NotADirectory.into()),
                (false, true) => return Err(io::ErrorKind::IsADirectory.into()),
                (false, false) => {}
            }
        }
        self.names.set(vec![(source, None), (target, Some(moved))]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.enter(DiskCall::Remove)?;
        if self.names.is_dir(self.names.find(path)?) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let slot = self.names.slot(path)?;
        self.names.set(vec![(slot, None)]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        self.enter(DiskCall::Remove)?;
        self.empty(self.names.find(path)?)?;
        let slot = self.names.slot(path)?;
        self.names.set(vec![(slot, None)]);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let verdict = self.enter(DiskCall::SyncDir);
        if let Err(Refusal::Dead | Refusal::Stop) = verdict {
            return verdict.map_err(io::Error::from);
        }
        let dir = self.names.find(path)?;
        self.names.must_be_dir(dir)?;
        match verdict {
            Ok(()) => {
                self.names.sync(dir);
                self.reap();
            }
            Err(ref refusal) if refusal.is_interrupt() => {}
            Err(_) => self.names.fail_sync(dir),
        }
        verdict.map_err(io::Error::from)
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<Ino> {
        let ino = match self.names.look(path) {
            Ok(None) => {
                self.enter(DiskCall::Create)?;
                self.make(path)?
            }
            found => {
                self.enter(DiskCall::Open)?;
                let ino = found?.ok_or(io::ErrorKind::NotFound)?;
                self.file(ino)?;
                ino
            }
        };
        if !self.locks.insert(ino) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.hold(ino);
        Ok(ino)
    }

    pub(super) fn unlock(&mut self, ino: Ino) {
        self.locks.remove(&ino);
        self.close(ino);
    }

    pub(super) fn read(&mut self, ino: Ino, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.enter(DiskCall::Read)?;
        let most = self.some_of(into.len())?;
        let bytes = self.file(ino)?.bytes();
        let there = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let len = most.min(there.len());
        if let (Some(into), Some(there)) = (into.get_mut(..len), there.get(..len)) {
            into.copy_from_slice(there);
        }
        Ok(len)
    }

    pub(super) fn write(&mut self, ino: Ino, bytes: &[u8], at: u64) -> io::Result<usize> {
        if let Err(refusal) = self.enter(DiskCall::Write) {
            if !matches!(refusal, Refusal::Dead) && !refusal.is_interrupt() {
                let part = self.rng.below(bytes.len() + 1);
                // Why its answer is of no use: the call fails anyway, and a prefix of a prefix is one too.
                drop(self.put(ino, bytes.get(..part).unwrap_or_default(), at));
            }
            return Err(refusal.into());
        }
        let most = self.some_of(bytes.len())?;
        self.put(ino, bytes.get(..most).unwrap_or_default(), at)
    }

    pub(super) fn sync_data(&mut self, ino: Ino) -> io::Result<()> {
        let verdict = self.enter(DiskCall::Sync);
        match &verdict {
            Ok(()) => self.file(ino)?.sync(),
            Err(Refusal::Dead | Refusal::Stop) => {}
            Err(refusal) if refusal.is_interrupt() => {}
            Err(Refusal::Fault(_)) => self.file(ino)?.fail_sync(),
        }
        verdict.map_err(io::Error::from)
    }

    pub(super) fn len(&mut self, ino: Ino) -> io::Result<u64> {
        self.enter(DiskCall::Look)?;
        Ok(self.file(ino)?.bytes().len() as u64)
    }

    pub(super) fn set_len(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        self.enter(DiskCall::SetLen)?;
        let len = in_memory(len)?;
        self.file(ino)?.set_len(len);
        Ok(())
    }

    /// Answers a number that nothing has had.
    pub(super) fn number(&mut self) -> Ino {
        self.next += 1;
        self.next - 1
    }

    pub(super) fn file(&mut self, ino: Ino) -> io::Result<&mut Body> {
        // Why NotFound for what is neither: it stands for a symbolic link that leads nowhere.
        let error =
            if self.names.is_dir(ino) { io::ErrorKind::IsADirectory } else { io::ErrorKind::NotFound };
        self.bodies.get_mut(&ino).ok_or_else(|| error.into())
    }

    pub(super) fn make(&mut self, path: &Path) -> io::Result<Ino> {
        let slot = self.names.slot(path)?;
        let ino = self.number();
        self.bodies.insert(ino, Body::default());
        self.names.set(vec![(slot, Some(ino))]);
        Ok(ino)
    }

    /// Forgets what has no name, nor may have one after a crash, and is not open.
    pub(super) fn reap(&mut self) {
        let mut of_use = self.names.mentioned();
        of_use.extend(self.handles.keys());
        self.bodies.retain(|ino, _| of_use.contains(ino));
        self.names.retain_dirs(&of_use);
    }

    /// Every call of the process comes through here first.
    fn enter(&mut self, call: DiskCall) -> Result<(), Refusal> {
        if self.dead {
            return Err(Refusal::Dead);
        }
        if call.changes() {
            self.calls += 1;
            if self.stop_at.is_some_and(|stop| self.calls >= stop) {
                self.kill();
                return Err(Refusal::Stop);
            }
        }
        self.faults.strike(call).map_or(Ok(()), |error| Err(Refusal::Fault(error)))
    }

    fn hold(&mut self, ino: Ino) {
        *self.handles.entry(ino).or_default() += 1;
    }

    fn empty(&self, dir: Ino) -> io::Result<()> {
        match self.names.list(dir)?.next() {
            Some(_) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            None => Ok(()),
        }
    }

    /// Draws how much of a read or a write is done.
    fn some_of(&mut self, len: usize) -> io::Result<usize> {
        let (interrupts, shorts) = (self.interrupts, self.shorts);
        let mut strikes = |rate: u16| rate > 0 && self.rng.below(1000) < usize::from(rate);
        if strikes(interrupts) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let short = len > 1 && strikes(shorts);
        Ok(if short { 1 + self.rng.below(len - 1) } else { len })
    }

    fn put(&mut self, ino: Ino, bytes: &[u8], at: u64) -> io::Result<usize> {
        let len = bytes.len() as u64;
        let room = self.room();
        in_memory(at.saturating_add(len))?;
        let body = self.file(ino)?;
        let fits = room.map_or(len, |room| body.extents.fit(at, len, room));
        if fits == 0 && len > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (fits, at) = (in_memory(fits)?, in_memory(at)?);
        if fits > 0 {
            body.write(at, bytes.get(..fits).unwrap_or_default());
        }
        Ok(fits)
    }

    fn used(&self) -> u64 {
        let held = |ino: &Ino| self.names.is_linked(*ino) || self.handles.contains_key(ino);
        self.bodies.iter().filter(|(ino, _)| held(ino)).map(|(_, body)| body.extents.held()).sum()
    }
}

impl Refusal {
    /// The call did nothing, and may be made again.
    fn is_interrupt(&self) -> bool {
        matches!(self, Refusal::Fault(error) if error.kind() == io::ErrorKind::Interrupted)
    }
}

fn in_memory(len: u64) -> io::Result<usize> {
    let fits = usize::try_from(len).ok().filter(|_| len <= MOST);
    fits.ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}
