//! What the directories hold: now, durably, and in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

/// A file, a directory or something else, whatever its name.
pub(super) type Ino = u64;

/// The directory that all paths start at.
pub(super) const ROOT: Ino = 0;

/// A name in a directory.
pub(super) type Slot = (Ino, OsString);

/// All names.
///
/// Invariant: what is pending, applied in order to what is durable, gives what is there now.
#[derive(Clone, Debug)]
pub(super) struct Names {
    dirs: BTreeMap<Ino, Dir>,
    pending: Vec<Step>,
    linked: BTreeSet<Ino>,
}

#[derive(Clone, Debug, Default)]
struct Dir {
    now: BTreeMap<OsString, Ino>,
    durable: BTreeMap<OsString, Ino>,
}

/// Names that change in one go, two of them in a rename.
#[derive(Clone, Debug)]
struct Step {
    sets: Vec<(Slot, Option<Ino>)>,
    /// A sync of it has failed: none that comes after makes it durable.
    doubtful: bool,
}

impl Step {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.sets.iter().map(|(slot, _)| slot)
    }

    fn touches(&self, dir: Ino) -> bool {
        self.slots().any(|(touched, _)| *touched == dir)
    }
}

impl Names {
    pub(super) fn new() -> Names {
        Names {
            dirs: BTreeMap::from([(ROOT, Dir::default())]),
            pending: Vec::new(),
            linked: BTreeSet::from([ROOT]),
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Ino> {
        if path.as_os_str().is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.walk(&parts(path)?)
    }

    /// As `find`, but that there is nothing is no error.
    pub(super) fn look(&self, path: &Path) -> io::Result<Option<Ino>> {
        match self.find(path) {
            Ok(ino) => Ok(Some(ino)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the directory that a path's last name is in, or would be.
    pub(super) fn slot(&self, path: &Path) -> io::Result<Slot> {
        let mut above = parts(path)?;
        let name = above.pop().ok_or(if path.as_os_str().is_empty() {
            io::ErrorKind::NotFound
        } else {
            io::ErrorKind::InvalidInput
        })?;
        let dir = self.walk(&above)?;
        self.dir(dir)?;
        Ok((dir, name.to_owned()))
    }

    pub(super) fn at(&self, (dir, name): &Slot) -> Option<Ino> {
        self.dirs.get(dir)?.now.get(name).copied()
    }

    pub(super) fn is_dir(&self, ino: Ino) -> bool {
        self.dirs.contains_key(&ino)
    }

    pub(super) fn must_be_dir(&self, ino: Ino) -> io::Result<()> {
        self.dir(ino).map(drop)
    }

    /// Says whether something has a name now.
    pub(super) fn is_linked(&self, ino: Ino) -> bool {
        self.linked.contains(&ino)
    }

    pub(super) fn list(&self, dir: Ino) -> io::Result<impl Iterator<Item = (&OsString, Ino)>> {
        Ok(self.dir(dir)?.now.iter().map(|(name, ino)| (name, *ino)))
    }

    pub(super) fn add_dir(&mut self, ino: Ino) {
        self.dirs.insert(ino, Dir::default());
    }

    /// Sets names in one go.
    pub(super) fn set(&mut self, sets: Vec<(Slot, Option<Ino>)>) {
        for (slot, _) in &sets {
            if let Some(ino) = self.at(slot) {
                self.linked.remove(&ino);
            }
        }
        self.linked.extend(sets.iter().filter_map(|(_, ino)| *ino));
        apply(&mut self.dirs, |dir| &mut dir.now, &sets);
        self.pending.push(Step { sets, doubtful: false });
    }

    pub(super) fn sync(&mut self, dir: Ino) {
        self.persist(|step| step.touches(dir) && !step.doubtful);
    }

    pub(super) fn fail_sync(&mut self, dir: Ino) {
        self.pending.iter_mut().filter(|step| step.touches(dir)).for_each(|step| step.doubtful = true);
    }

    /// Makes one name durable as it is now.
    pub(super) fn settle(&mut self, slot: &Slot) {
        self.persist(|step| step.slots().any(|touched| touched == slot));
    }

    /// Answers the names after a power cut that kept what `keep` says, and what that builds on.
    pub(super) fn cut(&self, mut keep: impl FnMut() -> bool) -> Names {
        let mut names = self.clone();
        names.persist(|_| keep());
        names.pending.clear();
        names.dirs.values_mut().for_each(|dir| dir.now.clone_from(&dir.durable));
        names.linked = names.reachable();
        names
    }

    /// Lists everything that has a name now, or may have one after a crash.
    pub(super) fn mentioned(&self) -> BTreeSet<Ino> {
        let durable = self.dirs.values().flat_map(|dir| dir.durable.values().copied());
        let pending = self.pending.iter().flat_map(|step| step.sets.iter().filter_map(|(_, ino)| *ino));
        durable.chain(pending).chain(self.linked.iter().copied()).collect()
    }

    /// Forgets directories that are not among `of_use`.
    pub(super) fn retain_dirs(&mut self, of_use: &BTreeSet<Ino>) {
        self.dirs.retain(|ino, _| of_use.contains(ino));
    }

    /// Lists what has a name now and is no directory, with full paths.
    pub(super) fn walk_all(&self) -> Vec<(PathBuf, Ino)> {
        let mut found = Vec::new();
        let mut ahead = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, ino)) = ahead.pop() {
            match self.dirs.get(&ino) {
                Some(dir) => ahead.extend(dir.now.iter().map(|(name, ino)| (path.join(name), *ino))),
                None => found.push((path, ino)),
            }
        }
        found.sort();
        found
    }

    /// Makes durable which steps are wanted, and, so that no name sees its changes out of order, those before them that
    /// touch the same names.
    fn persist(&mut self, mut wanted: impl FnMut(&Step) -> bool) {
        let mut needed = BTreeSet::new();
        let backward = self.pending.iter().rev().map(|step| {
            let keep = wanted(step) || step.slots().any(|slot| needed.contains(slot));
            if keep {
                needed.extend(step.slots());
            }
            keep
        });
        let backward: Vec<bool> = backward.collect();
        let mut keep = backward.into_iter().rev();
        let dirs = &mut self.dirs;
        self.pending.retain(|step| {
            let keep = keep.next().unwrap_or(false);
            if keep {
                apply(dirs, |dir| &mut dir.durable, &step.sets);
            }
            !keep
        });
    }

    fn walk(&self, names: &[&OsStr]) -> io::Result<Ino> {
        names.iter().try_fold(ROOT, |at, name| {
            self.dir(at)?.now.get(*name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn dir(&self, ino: Ino) -> io::Result<&Dir> {
        self.dirs.get(&ino).ok_or_else(|| io::ErrorKind::NotADirectory.into())
    }

    fn reachable(&self) -> BTreeSet<Ino> {
        let mut reached = BTreeSet::from([ROOT]);
        let mut ahead = vec![ROOT];
        while let Some(dir) = ahead.pop().and_then(|ino| self.dirs.get(&ino)) {
            ahead.extend(
                dir.now.values().copied().filter(|ino| reached.insert(*ino)).filter(|ino| self.is_dir(*ino)),
            );
        }
        reached
    }
}

fn apply(
    dirs: &mut BTreeMap<Ino, Dir>,
    view: fn(&mut Dir) -> &mut BTreeMap<OsString, Ino>,
    sets: &[(Slot, Option<Ino>)],
) {
    for ((dir, name), ino) in sets {
        // Why not an error: the directory was removed, durably too, and its names are of no more interest.
        let Some(dir) = dirs.get_mut(dir) else { continue };
        match ino {
            Some(ino) => view(dir).insert(name.clone(), *ino),
            None => view(dir).remove(name),
        };
    }
}

fn parts(path: &Path) -> io::Result<Vec<&OsStr>> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a simulated disk takes no `..`"));
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    Ok(names)
}
