//! All that a directory tells, whatever of it is damaged.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read_only::{ReadOnly, UNREADABLE};
use super::slots::{self, Found, SlotView};
use super::trawl::Hole;
use crate::log::checkpoint::Checkpoint;
use crate::log::error::{Damage, LogError};
use crate::log::frame::Kind;
use crate::log::layout::{self, Uuid};
use crate::log::replay::{self, Replay};
use crate::log::segment;
use crate::log::state::{Extent, State};
use crate::log::vfs::{EntryKind, OpenMode, Vfs};

#[derive(Debug)]
pub(crate) struct Survey {
    read_only: ReadOnly,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    /// `None`: that can't be told.
    pub(crate) locked: Option<bool>,
    /// `None`: it is damaged.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// `None`: no file tells it.
    pub(crate) uuid: Option<Uuid>,
    /// As far as it went.
    pub(crate) replay: Option<Replay>,
    /// What it could not go past.
    pub(crate) stopped: Option<Damage>,
    pub(crate) slots: Vec<SlotView>,
    /// Frames of the journal, by their numbers: the slot, and the frame's place in it. What was torn is not among them.
    pub(crate) frames: Vec<(usize, Found)>,
    pub(crate) damage: Vec<Damage>,
}

impl Survey {
    pub(crate) fn of(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Survey, LogError> {
        must_be_a_log(&**vfs, dir)?;
        let locked = is_locked(&**vfs, dir)?;
        let read_only = ReadOnly::new(vfs.clone());
        let vfs: Arc<dyn Vfs> = Arc::new(read_only.clone());
        let mut damage = Vec::new();
        let checkpoint = match replay::read_checkpoint(&vfs, dir) {
            Ok(checkpoint) => Some(checkpoint),
            Err(LogError::Corrupt(found)) => {
                damage.push(found);
                None
            }
            Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let what = "the checkpoint is missing";
                damage.push(Damage { file: layout::checkpoint(dir), at: 0, lsn: None, what });
                None
            }
            Err(error) => return Err(error),
        };
        let uuid = checkpoint.as_ref().map(|checkpoint| checkpoint.uuid);
        let uuid = uuid.or_else(|| slots::uuid(&vfs, dir)).or_else(|| segments_uuid(&vfs, dir));
        let mut stopped = None;
        let mut replay = checkpoint.clone().map(|checkpoint| Replay::of(checkpoint, &vfs, dir));
        match replay.as_mut().map(|replay| replay.go_through(OpenMode::Read)) {
            None | Some(Ok(())) => {}
            Some(Err(LogError::Corrupt(found))) => stopped = Some(found),
            Some(Err(error)) => return Err(error),
        }
        damage.extend(stopped.clone());
        let announced = replay.as_ref().map_or(usize::MAX, |replay| replay.state.slots as usize);
        let slots = slots::read(&vfs, dir, uuid, announced, &mut damage)?;
        let (dir, frames) = (dir.to_path_buf(), Vec::new());
        let mut survey =
            Survey { read_only, vfs, dir, locked, checkpoint, uuid, replay, stopped, slots, frames, damage };
        survey.number_frames();
        survey.look_at_holes();
        Ok(survey)
    }

    /// What is damaged, each once, in the order of files and places.
    pub(crate) fn all_damage(&self, more: Vec<Damage>) -> Vec<Damage> {
        let mut all = self.damage.clone();
        all.extend(more);
        all.extend(self.read_only.damage());
        // Of several words on one place the one that says most.
        let rank = |damage: &Damage| (damage.what != UNREADABLE, damage.lsn.is_none());
        all.sort_by(|one, other| (&one.file, one.at, rank(one)).cmp(&(&other.file, other.at, rank(other))));
        all.dedup_by(|next, before| next.file == before.file && next.at == before.at);
        all
    }

    /// Nothing of the journal or the checkpoint is missing or damaged.
    pub(crate) fn is_whole(&self) -> bool {
        self.replay.is_some() && self.stopped.is_none() && !self.frames.iter().any(|(_, found)| found.mended)
    }

    /// The first number that is not in the checkpoint.
    pub(crate) fn first_lsn(&self) -> Option<u64> {
        self.checkpoint.as_ref().map(|checkpoint| checkpoint.lsn)
    }

    /// Frames that are not in the checkpoint.
    pub(crate) fn later(&self) -> impl Iterator<Item = &(usize, Found)> {
        let first = self.first_lsn().unwrap_or(0);
        self.frames.iter().filter(move |(_, found)| found.header.lsn >= first)
    }

    /// Holes among the frames that are not in the checkpoint, with their slots and what they may have held.
    pub(crate) fn later_holes(&self) -> impl Iterator<Item = (&SlotView, Hole, Range<u64>)> {
        let first = self.first_lsn().unwrap_or(0);
        let last = self.frames.last().map_or(0, |(_, found)| found.header.lsn);
        let holes = self
            .slots
            .iter()
            .flat_map(move |slot| slot.holes.iter().map(move |hole| (slot, *hole, slot.lsns_of(hole))));
        holes.filter(move |(_, _, lsns)| lsns.end > first && lsns.start <= last)
    }

    pub(crate) fn slot(&self, at: usize) -> Option<&SlotView> {
        self.slots.get(at)
    }

    /// Where a topic's data lies beside the journal: by the checkpoint, or by what files there are.
    pub(crate) fn extents(&self, number: u32, state: &State) -> Vec<Extent> {
        match (&self.checkpoint, state.topics.get(&number)) {
            (Some(_), Some(topic)) => topic.segments.clone(),
            (Some(_), None) => Vec::new(),
            (None, _) => self.files_of(number),
        }
    }

    fn files_of(&self, number: u32) -> Vec<Extent> {
        let files = self.vfs.list(&layout::topic(&self.dir, number)).unwrap_or_default();
        let extent = |path: &PathBuf| {
            let (base, file) = (layout::base_of(path)?, self.vfs.open(path, OpenMode::Read).ok()?);
            Some(Extent { base, end: u64::MAX, bytes: file.len().ok()? })
        };
        let mut extents: Vec<Extent> = files.iter().filter_map(extent).collect();
        extents.sort_by_key(|extent| extent.base);
        let ends: Vec<u64> = extents.iter().skip(1).map(|extent| extent.base).collect();
        for (extent, end) in extents.iter_mut().zip(ends) {
            extent.end = end;
        }
        extents
    }

    /// Sorts the frames that count.
    fn number_frames(&mut self) {
        let slots = self.slots.iter().enumerate();
        let frames = slots.flat_map(|(at, slot)| slot.frames.iter().map(move |found| (at, *found)));
        let mut frames: Vec<(usize, Found)> = frames.collect();
        frames.sort_by_key(|(at, found)| (found.header.lsn, self.turn(*at)));
        frames.dedup_by(|later, before| {
            let same = later.1.header.lsn == before.1.header.lsn;
            if same {
                *before = *later;
            }
            same
        });
        let mut end = u64::MAX;
        if let (Some(replay), None) = (&self.replay, &self.stopped) {
            end = replay.lsn;
            // A commit of which only the first bytes are wrong is whole for all that.
            let from = frames.partition_point(|(_, found)| found.header.lsn < end);
            for (expected, (_, found)) in (end..).zip(frames.get(from..).unwrap_or_default()) {
                if found.header.lsn != expected {
                    break;
                }
                if found.header.last {
                    end = expected + 1;
                }
            }
        }
        frames.retain(|(_, found)| found.header.lsn < end);
        let whole = frames.iter().rposition(|(_, found)| found.header.last).map_or(0, |last| last + 1);
        frames.truncate(whole);
        self.frames = frames;
    }

    fn turn(&self, slot: usize) -> u64 {
        self.slot(slot).and_then(|slot| slot.turn).map_or(0, |turn| turn.number)
    }

    /// Adds to the damage what of the journal is needed and not whole.
    fn look_at_holes(&mut self) {
        let torn = self.replay.as_ref().filter(|_| self.stopped.is_none()).and_then(|replay| {
            let torn = replay.torn?;
            Some((replay.journal.slots.get(torn.slot)?.path.clone(), torn.from))
        });
        let is_torn = |slot: &SlotView, at: u64| torn == Some((slot.path.clone(), at));
        let holes = self.later_holes().filter(|(slot, hole, _)| !is_torn(slot, hole.from));
        let mut more: Vec<Damage> = holes
            .map(|(slot, hole, lsns)| {
                let lsn = Some(lsns.start).filter(|lsn| *lsn > 0);
                let what = "a frame is not what was written";
                Damage { file: slot.path.clone(), at: hole.from, lsn, what }
            })
            .collect();
        let mended = self.later().filter(|(_, found)| found.mended);
        more.extend(mended.filter_map(|(slot, found)| {
            let (file, lsn) = (self.slot(*slot)?.path.clone(), Some(found.header.lsn));
            let what = "the first bytes of a frame are not what was written; the rest is whole";
            Some(Damage { file, at: found.at, lsn, what })
        }));
        self.damage.extend(more);
    }
}

impl SlotView {
    /// The numbers that the frames in a hole had, as far as those around it tell.
    fn lsns_of(&self, hole: &Hole) -> Range<u64> {
        let at = self.frames.partition_point(|found| found.at < hole.from);
        let before = at.checked_sub(1).and_then(|at| self.frames.get(at)).map(|found| found.header.lsn + 1);
        let first = before.or(self.turn.map(|turn| turn.first_lsn)).unwrap_or(0);
        first..self.frames.get(at).map_or(u64::MAX, |found| found.header.lsn)
    }
}

fn must_be_a_log(vfs: &dyn Vfs, dir: &Path) -> Result<(), LogError> {
    let list = vfs.list(dir).map_err(|error| LogError::io("list", dir, error))?;
    let own = [layout::checkpoint(dir), layout::journal(dir), layout::topics(dir)];
    if list.iter().any(|path| own.contains(path)) {
        return Ok(());
    }
    Err(LogError::NotALog { found: list.into_iter().next().unwrap_or_else(|| dir.to_path_buf()) })
}

/// Whether somebody has the log open. A lock that is free is taken for a moment: that is the one way to ask.
fn is_locked(vfs: &dyn Vfs, dir: &Path) -> Result<Option<bool>, LogError> {
    let lock = layout::lock(dir);
    // Why first: asking for the lock makes the file.
    match vfs.kind(&lock).map_err(|error| LogError::io("stat", &lock, error))? {
        None => return Ok(Some(false)),
        Some(EntryKind::File) => {}
        Some(_) => return Ok(None),
    }
    Ok(match vfs.lock(&lock) {
        Ok(_) => Some(false),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Some(true),
        Err(_) => None,
    })
}

/// Which log the segments are of, if the beginning of one is whole.
fn segments_uuid(vfs: &Arc<dyn Vfs>, dir: &Path) -> Option<Uuid> {
    let dirs = vfs.list(&layout::topics(dir)).ok()?;
    let files = dirs.iter().flat_map(|dir| vfs.list(dir).unwrap_or_default());
    files.into_iter().find_map(|path| segment_uuid(&**vfs, &path))
}

/// Which log a segment is of: what it says of that seeds its own checksum.
fn segment_uuid(vfs: &dyn Vfs, path: &Path) -> Option<Uuid> {
    let file = vfs.open(path, OpenMode::Read).ok()?;
    let bytes = file.read_vec(0, 1 << 20).ok()?;
    let uuid = Uuid(*bytes.get(crate::log::frame::HEADER + 4..)?.first_chunk()?);
    let frame = crate::log::frame::read(&bytes, segment::seed(uuid)).ok()?;
    (frame.header.kind == Kind::Segment).then_some(uuid)
}
