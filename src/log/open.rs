//! Opening a directory: making it a log, or finding what it holds, and mending its torn end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aside::Aside;
use super::checkpoint::{Checkpoint, unsynced};
use super::error::LogError;
use super::frame;
use super::journal::{Journal, SLOT_START, is_slot_size};
use super::layout::{self, Uuid};
use super::owed::Owed;
use super::replay::{Replay, Torn, replay};
use super::shelf::Shelf;
use super::state::State;
use super::turnover::Lock;
use super::vfs::{EntryKind, OpenMode, Vfs};
use super::writer::{Seeds, Writer};
use crate::base::{Bug, planted};

/// How a log is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The size of a slot of the journal, for a log that is made. Of one that is there it stays.
    pub(crate) slot_bytes: u64,
    /// A segment that is so large is not continued.
    pub(crate) roll_bytes: u64,
    /// Chance, for what must be like nothing before it.
    pub(crate) entropy: u64,
}

impl Options {
    pub(crate) fn new(entropy: u64) -> Options {
        Options { slot_bytes: 64 << 20, roll_bytes: 64 << 20, entropy }
    }

    fn check(&self) -> Result<(), LogError> {
        match is_slot_size(self.slot_bytes) {
            true => Ok(()),
            false => {
                Err(LogError::Invalid { why: "a journal's files have 16 KiB to 2 GiB, in pages of 4 KiB" })
            }
        }
    }
}

/// What was found in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// There was no log, and one was made.
    pub(crate) created: bool,
    /// It was closed in order, or is new.
    pub(crate) clean: bool,
    /// What was being written when it ended, and was cut: the file, where, and how many bytes.
    pub(crate) torn: Option<(PathBuf, u64, u64)>,
    /// What is in the directory, and is not of the log. It stays.
    pub(crate) strangers: Vec<PathBuf>,
}

/// Opens the log in a directory, or makes one there.
pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: &Path, options: Options) -> Result<(Writer, Found), LogError> {
    options.check()?;
    make_dir(&*vfs, dir)?;
    let lock = layout::lock(dir);
    let guard = vfs.lock(&lock).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => LogError::Locked { dir: dir.to_path_buf() },
        _ => LogError::io("lock", &lock, error),
    })?;
    let checkpoint = layout::checkpoint(dir);
    let kind = |path: &Path| vfs.kind(path).map_err(|error| LogError::io("stat", path, error));
    let created = match kind(&checkpoint)? {
        Some(EntryKind::File) => false,
        Some(_) => return Err(LogError::NotALog { found: checkpoint }),
        None => {
            check_empty(&vfs, dir)?;
            sync_names(&*vfs, dir)?;
            create(&vfs, dir, options)?;
            true
        }
    };
    let replay = replay(&vfs, dir, OpenMode::Write)?;
    let torn = mend(&vfs, dir, &replay)?;
    replay.checkpoint.hold_room(&vfs, dir);
    let strangers = strangers(&vfs, dir, &replay.state)?;
    let clean = created || (replay.state.closed && torn.is_none());
    let writer = writer(vfs, dir, options, replay, guard.into());
    Ok((writer, Found { created, clean, torn, strangers }))
}

fn writer(vfs: Arc<dyn Vfs>, dir: &Path, options: Options, replay: Replay, guard: Lock) -> Writer {
    let Replay { checkpoint, state, journal, lsn, pieces, .. } = replay;
    let shelf = Arc::new(Shelf::new(vfs.clone(), dir.to_path_buf(), checkpoint.uuid));
    for (topic, piece) in pieces {
        shelf.add(topic, piece);
    }
    shelf.follow(&state, 0..state.next_topic);
    Writer {
        vfs,
        dir: dir.to_path_buf(),
        uuid: checkpoint.uuid,
        roll_bytes: options.roll_bytes,
        journal,
        // Why: what is opened is in use, and the first one who asks for it gets that written down.
        sealed: false,
        state,
        shelf,
        lsn,
        durable: lsn,
        needed: checkpoint.next,
        seeds: Seeds(options.entropy),
        poisoned: None,
        scratch: Vec::new(),
        owed: Owed::default(),
        unswept: true,
        lock: Some(guard),
        aside: Aside::default(),
    }
}

/// Makes the directory and those above it that are not there, on the disk.
pub(crate) fn make_dir(vfs: &dyn Vfs, dir: &Path) -> Result<(), LogError> {
    let fail = |call| move |error| LogError::io(call, dir, error);
    match vfs.kind(dir).map_err(fail("stat"))? {
        Some(EntryKind::Dir) => return Ok(()),
        Some(EntryKind::File) => return Err(LogError::NotALog { found: dir.to_path_buf() }),
        // A link may lead to a directory: then listing it works.
        Some(EntryKind::Other) => return vfs.list(dir).map(drop).map_err(fail("list")),
        None => {}
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_dir(vfs, parent)?;
    }
    vfs.create_dir(dir).map_err(fail("create"))?;
    vfs.sync_dir(parent.unwrap_or(Path::new("."))).map_err(fail("sync"))
}

/// Sees to it that the directory's name, and those of the directories above it, are on the disk. Why also if it was there: it may
/// have been made by a process that was killed before it did this, and be nowhere but in memory.
fn sync_names(vfs: &dyn Vfs, dir: &Path) -> Result<(), LogError> {
    let parents = dir.ancestors().skip(1);
    let parents = parents.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    for parent in parents {
        match vfs.sync_dir(parent) {
            // A directory that may be gone through and not be read was not made by one who could not.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(|error| LogError::io("sync", parent, error))?,
        }
    }
    Ok(())
}

/// Whether a log can be made here: nothing is there, or what an earlier try left that made none.
fn check_empty(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<(), LogError> {
    let list = |dir: &Path| match vfs.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| LogError::io("list", dir, error)),
    };
    let (journal, topics) = (layout::journal(dir), layout::topics(dir));
    let ours = [layout::lock(dir), layout::checkpoint_new(dir), journal.clone(), topics.clone()];
    let slot = layout::slot_path(&journal, 0);
    let strange = list(dir)?.into_iter().filter(|path| !ours.contains(path)).chain(list(&topics)?);
    let mut strange = strange.chain(list(&journal)?.into_iter().filter(|path| *path != slot));
    if let Some(found) = strange.next() {
        return Err(LogError::NotALog { found });
    }
    // A slot without frames is the first step of a try. With some, the checkpoint is what is missing.
    match vfs.open(&slot, OpenMode::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(LogError::io("open", &slot, error)),
        Ok(file) => {
            let start = file.read_vec(SLOT_START, 8).map_err(|error| LogError::io("read", &slot, error))?;
            if frame::may_begin(&start) {
                return Err(LogError::corrupt(
                    &layout::checkpoint(dir),
                    0,
                    None,
                    "the checkpoint is missing",
                ));
            }
            Ok(())
        }
    }
}

fn create(vfs: &Arc<dyn Vfs>, dir: &Path, options: Options) -> Result<(), LogError> {
    // Why not the number itself: the writer draws from that, and a later turn would get the first one's seed again.
    let mut seeds = Seeds(!options.entropy);
    let uuid = u128::from(seeds.next()) << 64 | u128::from(seeds.next());
    let uuid = Uuid(uuid.to_le_bytes());
    for made in [layout::journal(dir), layout::topics(dir)] {
        // What an earlier try left is made anew, see `Vfs::open_anew`.
        drop(vfs.remove_file(&layout::slot_path(&made, 0)));
        drop(vfs.remove_dir(&made));
        vfs.create_dir(&made).map_err(|error| LogError::io("create", &made, error))?;
    }
    let journal = layout::journal(dir);
    let journal = Journal::create(vfs.clone(), journal, uuid, options.slot_bytes, seeds.seed())?;
    vfs.sync_dir(dir).map_err(|error| LogError::io("sync", dir, error))?;
    let (slot_bytes, next) = (options.slot_bytes, journal.position());
    let state = State { slots: 1, ..State::default() };
    Checkpoint { uuid, slot_bytes, lsn: 0, next, state }.save(vfs, dir)
}

/// Sees to it that what was found is on the disk, and what was torn is nothing any more.
fn mend(vfs: &Arc<dyn Vfs>, dir: &Path, replay: &Replay) -> Result<Option<(PathBuf, u64, u64)>, LogError> {
    let mut cut = None;
    if let Some(Torn { slot, from, to }) = replay.torn
        && let Some(slot) = replay.journal.slots.get(slot)
    {
        let zeros = vec![0; usize::try_from(to - from).unwrap_or_default()];
        let zeros = if planted(Bug::TailStays) { Vec::new() } else { zeros };
        let written = slot.file.write_all_at(&zeros, from);
        written.map_err(|error| LogError::io("write", &slot.path, error))?;
        cut = Some((slot.path.clone(), from, to - from));
    }
    write_again(replay)?;
    // A log that could not write its checkpoint is not closed.
    if !replay.state.closed {
        save_again(vfs, dir, &replay.checkpoint)?;
    }
    // Why: after a kill what was read may be nowhere but in the memory of the machine.
    for slot in replay.journal.slots.iter().filter(|slot| slot.turn.number >= replay.checkpoint.next.turn) {
        slot.file.sync_data().map_err(|error| unsynced(LogError::io("sync", &slot.path, error)))?;
    }
    for made in [dir.to_path_buf(), layout::journal(dir), layout::topics(dir)] {
        vfs.sync_dir(&made).map_err(|error| unsynced(LogError::io("sync", &made, error)))?;
    }
    Ok(cut)
}

/// Writes the checkpoint once more: anew, or where there is no room for that over itself, with the bytes that are there.
fn save_again(vfs: &Arc<dyn Vfs>, dir: &Path, checkpoint: &Checkpoint) -> Result<(), LogError> {
    let full = match checkpoint.save(vfs, dir) {
        Err(error) if error.is_full() => error,
        saved => return saved,
    };
    let (path, new) = (layout::checkpoint(dir), layout::checkpoint_new(dir));
    vfs.give_up(&new);
    let fail = |call| {
        let path = &path;
        move |error| LogError::io(call, path, error)
    };
    let file = vfs.open(&path, OpenMode::Write).map_err(fail("open"))?;
    let bytes = checkpoint.to_bytes();
    if file.len().map_err(fail("stat"))? != bytes.len() as u64 {
        return Err(full);
    }
    file.write_all_at(&bytes, 0).map_err(fail("write"))?;
    file.sync_data().map_err(|error| unsynced(LogError::io("sync", &path, error)))
}

/// Writes once more what nothing says was on the disk: the last commits, of which one may say that the log was closed.
///
/// Why not merely synced: a sync of the process before may have failed, and then the system takes for written what it has lost. What
/// is read comes from its memory, a sync confirms it, and the next power cut takes it from under all that followed.
fn write_again(replay: &Replay) -> Result<(), LogError> {
    let current = replay.journal.slot_of(replay.next.turn).and_then(|at| replay.journal.slots.get(at));
    if let (Some(slot), Some((_, first))) = (current, replay.doubtful.front()) {
        let from = if first.turn == replay.next.turn { first.at } else { SLOT_START };
        // The slot's turn was written with its first commit.
        let from = if from == SLOT_START { 0 } else { from };
        let fail = |call| move |error| LogError::io(call, &slot.path, error);
        let len = usize::try_from(replay.next.at - from).unwrap_or_default();
        let bytes = slot.file.read_vec(from, len).map_err(fail("read"))?;
        slot.file.write_all_at(&bytes, from).map_err(fail("write"))?;
    }
    Ok(())
}

/// What is in the directory and is not of the log.
pub(crate) fn strangers(vfs: &Arc<dyn Vfs>, dir: &Path, state: &State) -> Result<Vec<PathBuf>, LogError> {
    let list = |dir: &Path| vfs.list(dir).map_err(|error| LogError::io("list", dir, error));
    let (journal, topics) = (layout::journal(dir), layout::topics(dir));
    let own = [
        layout::lock(dir),
        layout::checkpoint(dir),
        layout::checkpoint_new(dir),
        journal.clone(),
        topics.clone(),
    ];
    let mut found = list(dir)?;
    found.retain(|path| !own.contains(path));
    let slots: Vec<PathBuf> =
        (0..super::writer::SLOTS).map(|slot| layout::slot_path(&journal, slot)).collect();
    found.extend(list(&journal)?.into_iter().filter(|path| !slots.contains(path)));
    let known = |path: &PathBuf| layout::topic_of(path).is_some_and(|number| number < state.next_topic);
    found.extend(list(&topics)?.into_iter().filter(|path| !known(path)));
    Ok(found)
}
