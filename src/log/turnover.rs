//! A turnover: what is still of use in the journal moves to segments, the checkpoint is replaced, and the slots are free.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint::{Checkpoint, Room};
use super::error::LogError;
use super::frame::Kind;
use super::journal::{Position, SLOT_START, Slot};
use super::layout;
use super::scan::Scan;
use super::segment::{self, SegmentWriter};
use super::state::Extent;
use super::vfs::{EntryKind, Vfs};

/// Nobody else has the directory while one of these is here.
pub(crate) type Lock = Arc<dyn std::fmt::Debug + Send + Sync>;

/// Everything it needs, as of one moment between two commits: the writer goes on meanwhile.
#[derive(Debug)]
pub(crate) struct Turnover {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) roll_bytes: u64,
    /// What it will say, but for the segments.
    pub(crate) checkpoint: Checkpoint,
    /// From here to [`Checkpoint::next`] is what moves.
    pub(crate) from: Position,
    /// The slots with that, in the order of their turns.
    pub(crate) slots: Vec<Slot>,
    pub(crate) room: Room,
    /// Look for files that nobody names any more.
    pub(crate) sweep: bool,
    /// The directory is its log's until it is through.
    #[expect(dead_code, reason = "it is held")]
    pub(crate) lock: Option<Lock>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Turned {
    /// Where each topic's data lies by now.
    pub(crate) segments: BTreeMap<u32, Vec<Extent>>,
    pub(crate) next: Position,
}

impl Turnover {
    pub(crate) fn run(mut self) -> Result<Turned, LogError> {
        let segments = self.move_on().inspect_err(|error| {
            // What was begun takes the room that the next try needs.
            if error.is_full() {
                drop(self.sweep());
            }
        })?;
        let mut unlink = Vec::new();
        for (number, topic) in &mut self.checkpoint.state.topics {
            let extents = segments.get(number).cloned().unwrap_or_default();
            let gone = topic.segments.iter().filter(|old| !extents.iter().any(|new| new.base == old.base));
            unlink.extend(gone.map(|extent| layout::segment(&self.dir, *number, extent.base)));
            topic.segments = extents;
        }
        let _room = self.room.lock();
        self.checkpoint.save(&self.vfs, &self.dir)?;
        // Why unheard: what stays is swept later, and does no harm but for its space.
        for path in unlink {
            drop(self.vfs.remove_file(&path));
        }
        if self.sweep {
            drop(self.sweep());
        }
        self.checkpoint.hold_room(&self.vfs, &self.dir);
        Ok(Turned { segments, next: self.checkpoint.next })
    }

    /// Copies the frames that are of use, and waits until they are on the disk.
    fn move_on(&self) -> Result<BTreeMap<u32, Vec<Extent>>, LogError> {
        let (state, uuid) = (&self.checkpoint.state, self.checkpoint.uuid);
        let writer = |(number, topic)| {
            (number, SegmentWriter::new(&self.vfs, &self.dir, uuid, (number, topic), self.roll_bytes))
        };
        let mut writers: BTreeMap<u32, SegmentWriter<'_>> =
            state.topics.iter().map(|(number, topic)| writer((*number, topic))).collect();
        let firsts = self.slots.iter().skip(1).map(|slot| Some(slot.turn.first_lsn)).chain([None]);
        for (slot, next_first) in self.slots.iter().zip(firsts) {
            let from = if slot.turn.number == self.from.turn { self.from.at } else { SLOT_START };
            let mut lsn = (from == SLOT_START).then_some(slot.turn.first_lsn);
            let whole = slot.turn.number < self.checkpoint.next.turn;
            let to = if whole { self.checkpoint.slot_bytes } else { self.checkpoint.next.at };
            let mut scan = Scan::new(&*slot.file, from, to);
            while scan.position() < to {
                let at = scan.position();
                let frame = match scan.frame(slot.turn.seed) {
                    Err(error) => return Err(LogError::io("read", &slot.path, error)),
                    Ok(Ok(frame)) if lsn.is_none_or(|lsn| lsn == frame.header.lsn) => frame,
                    // The end of a slot that is full, if it is where the next one goes on.
                    Ok(_) if whole && (lsn.is_none() || lsn == next_first) => break,
                    Ok(_) => return Err(LogError::corrupt(&slot.path, at, lsn, CHANGED)),
                };
                let (header, len) = (frame.header, frame.len);
                lsn = Some(header.lsn + 1);
                if header.kind == Kind::Data
                    && let Some(writer) = writers.get_mut(&header.topic)
                    && let Some(topic) = state.topics.get(&header.topic)
                    && header.offset + u64::from(header.count) > topic.floor
                {
                    writer.push(&frame)?;
                }
                scan.skip(len);
                scan.keep();
            }
        }
        let (mut new_dirs, mut segments) = (false, BTreeMap::new());
        for (number, writer) in writers {
            segments.insert(number, writer.finish(&mut new_dirs)?);
        }
        if new_dirs {
            segment::sync_dir(&*self.vfs, &layout::topics(&self.dir))?;
        }
        for (number, topic) in &state.topics {
            let (end, start) = segments
                .get(number)
                .and_then(|all| Some((all.last()?.end, all.first()?.base)))
                .unwrap_or((topic.floor, topic.floor));
            let gaps = segments.get(number).is_some_and(|all| !Extent::lie_close(all));
            // Why also this: where no frame is left of a slot, nothing tells how many there were.
            if end.max(topic.floor) < topic.next || start > topic.floor || gaps {
                let path = self.slots.first().map(|slot| slot.path.clone()).unwrap_or_default();
                return Err(LogError::corrupt(&path, 0, None, CHANGED));
            }
        }
        Ok(segments)
    }

    /// Removes the files of topics that are gone, and segments that no checkpoint names.
    fn sweep(&self) -> std::io::Result<()> {
        let state = &self.checkpoint.state;
        for dir in self.vfs.list(&layout::topics(&self.dir))? {
            let Some(number) = layout::topic_of(&dir).filter(|number| *number < state.next_topic) else {
                continue;
            };
            if self.vfs.kind(&dir)? != Some(EntryKind::Dir) {
                continue;
            }
            let topic = state.topics.get(&number);
            for file in self.vfs.list(&dir)? {
                let Some(base) = layout::base_of(&file) else { continue };
                if topic.is_none_or(|topic| !topic.segments.iter().any(|extent| extent.base == base)) {
                    self.vfs.remove_file(&file)?;
                }
            }
            if topic.is_none() {
                self.vfs.remove_dir(&dir)?;
            }
        }
        Ok(())
    }
}

/// Bytes that were good when they were written, or read before, are not any more.
const CHANGED: &str = "the journal is not what was written";
