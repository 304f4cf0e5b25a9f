//! Recovery: what a directory holds. It only reads; what is to be mended it says.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::change::Change;
use super::checkpoint::Checkpoint;
use super::error::LogError;
use super::frame::{self, ALIGN, HEADER, Kind, NoFrame};
use super::journal::{Journal, Position, SLOT_START, Slot};
use super::layout;
use super::scan::Scan;
use super::shelf::Piece;
use super::state::State;
use super::vfs::{EntryKind, OpenMode, Vfs};
use crate::base::{Bug, planted};

/// What was found.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) checkpoint: Checkpoint,
    /// The checkpoint's, and what came after.
    pub(crate) state: State,
    pub(crate) journal: Journal,
    /// The number of the next frame, and where it goes.
    pub(crate) lsn: u64,
    pub(crate) next: Position,
    /// Where the topics' frames are, in order.
    pub(crate) pieces: Vec<(u32, Piece)>,
    pub(crate) torn: Option<Torn>,
    /// Commits that no later one says were on the disk: the first lsn, and where. In order. Limit: what the journal has room for.
    pub(crate) doubtful: VecDeque<(u64, Position)>,
    /// All frames with a lower number than this were on the disk once.
    durable: u64,
}

/// The end of the journal, which was being written when the lights went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) slot: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Reads the checkpoint, and each frame behind it.
pub(crate) fn replay(vfs: &Arc<dyn Vfs>, dir: &Path, mode: OpenMode) -> Result<Replay, LogError> {
    let mut replay = Replay::of(read_checkpoint(vfs, dir)?, vfs, dir);
    replay.go_through(mode)?;
    replay.check_segments(vfs, dir)?;
    Ok(replay)
}

pub(crate) fn read_checkpoint(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Checkpoint, LogError> {
    let path = layout::checkpoint(dir);
    let fail = |call| {
        let path = path.clone();
        move |error| LogError::io(call, &path, error)
    };
    let file = vfs.open(&path, OpenMode::Read).map_err(fail("open"))?;
    let len = file.len().map_err(fail("stat"))?;
    let mut bytes = file.read_vec(0, HEADER).map_err(fail("read"))?;
    // Why: no more is read than its own header asks for, whatever was done to the file's length.
    if let Err(NoFrame::Short(whole)) = frame::read(&bytes, 0)
        && whole as u64 == len
    {
        bytes = file.read_vec(0, whole).map_err(fail("read"))?;
    }
    Checkpoint::of(&bytes, &path)
}

/// How a slot ended.
enum End {
    /// At the beginning of a commit, with nothing that follows.
    Here,
    /// With something that is no frame, or not the one that follows.
    Bad(&'static str),
}

impl Replay {
    /// What the checkpoint says.
    pub(crate) fn of(checkpoint: Checkpoint, vfs: &Arc<dyn Vfs>, dir: &Path) -> Replay {
        let (uuid, slot_bytes) = (checkpoint.uuid, checkpoint.slot_bytes);
        let journal = Journal::at(vfs.clone(), layout::journal(dir), uuid, slot_bytes);
        let (state, lsn, next) = (checkpoint.state.clone(), checkpoint.lsn, checkpoint.next);
        Replay {
            checkpoint,
            state,
            journal,
            lsn,
            next,
            pieces: Vec::new(),
            torn: None,
            doubtful: VecDeque::new(),
            durable: 0,
        }
    }

    /// And what is behind it. If that fails, what was applied before stays.
    pub(crate) fn go_through(&mut self, mode: OpenMode) -> Result<(), LogError> {
        self.journal.open_slots(self.state.slots, mode)?;
        self.follow(mode)
    }

    /// Follows the journal from turn to turn.
    fn follow(&mut self, mode: OpenMode) -> Result<(), LogError> {
        let Some(mut at) = self.journal.slot_of(self.next.turn) else {
            let what = "none of its slots is the one that the checkpoint goes on in";
            return Err(LogError::corrupt(self.journal.dir(), 0, Some(self.lsn), what));
        };
        loop {
            let Some(slot) = self.journal.slots.get(at).cloned() else { return Ok(()) };
            let end = self.read_slot(&slot)?;
            self.journal.open_slots(self.state.slots, mode)?;
            let following = self.journal.slot_of(self.next.turn + 1);
            let first = following.and_then(|at| self.journal.slots.get(at)).map(|slot| slot.turn.first_lsn);
            match (following, first) {
                // The slot before is on the disk before the next one begins.
                (Some(_), Some(first)) if first != self.lsn => {
                    let what = if let End::Bad(what) = end { what } else { "frames are missing" };
                    return Err(LogError::corrupt(&slot.path, self.next.at, Some(self.lsn), what));
                }
                (Some(following), _) => {
                    at = following;
                    self.next = Position { turn: self.next.turn + 1, at: SLOT_START };
                }
                // A slot is on the disk before the next one begins, so what leads to that is missing.
                _ if self.journal.last_turn() > self.next.turn => {
                    let what = if let End::Bad(what) = end { what } else { "frames are missing" };
                    return Err(LogError::corrupt(&slot.path, self.next.at, Some(self.lsn), what));
                }
                _ => {
                    self.torn = self.look_on(at, &slot, end)?;
                    self.journal.go_on(at, self.next.at);
                    return Ok(());
                }
            }
        }
    }

    /// Applies the commits of a slot, as far as they are whole.
    fn read_slot(&mut self, slot: &Slot) -> Result<End, LogError> {
        let mut scan = Scan::new(&*slot.file, self.next.at, self.journal.slot_bytes());
        loop {
            // Why twice: none of a commit's frames counts before its last one was seen.
            let to = match commit_end(&mut scan, slot, self.lsn)? {
                Ok(to) => to,
                Err(end) => return Ok(end),
            };
            self.doubtful.push_back((self.lsn, Position { turn: slot.turn.number, at: self.next.at }));
            scan.rewind();
            while scan.position() < to {
                let len = self.apply(&mut scan, slot)?;
                scan.skip(len);
                self.lsn += 1;
            }
            scan.keep();
            self.next.at = to;
            // One is in doubt as long as the next one is, of which this is the number of the first frame.
            while self.doubtful.get(1).is_some_and(|(next, _)| *next <= self.durable) {
                self.doubtful.pop_front();
            }
        }
    }

    /// Applies a frame; answers how long it is.
    fn apply(&mut self, scan: &mut Scan<'_>, slot: &Slot) -> Result<usize, LogError> {
        let place = scan.position();
        let damaged = |what| LogError::corrupt(&slot.path, place, Some(self.lsn), what);
        let frame = scan.frame(slot.turn.seed).map_err(|error| LogError::io("read", &slot.path, error))?;
        let frame = frame.map_err(|_| damaged("a frame changed while it was read"))?;
        let change = Change::of(&frame).ok_or_else(|| damaged("a frame says what none can say"))?;
        self.state.apply(&change).map_err(|misfit| damaged(misfit.0))?;
        let (header, len) = (frame.header, frame.len);
        self.durable = self.durable.max(header.durable);
        if header.kind == Kind::Data {
            self.pieces.push((header.topic, slot.piece(&header, (place, len))));
        }
        Ok(len)
    }

    /// Decides between a torn tail and damage, where no slot follows: looks for a frame that says what was on the disk.
    fn look_on(&self, at: usize, slot: &Slot, end: End) -> Result<Option<Torn>, LogError> {
        let fail = |error| LogError::io("read", &slot.path, error);
        let mut scan = Scan::new(&*slot.file, self.next.at, self.journal.slot_bytes());
        let mut to = None;
        while scan.find().map_err(fail)? {
            let place = scan.position();
            match scan.frame(slot.turn.seed).map_err(fail)? {
                Ok(frame) => {
                    if frame.header.durable > self.lsn && !planted(Bug::DamageIsTail) {
                        let what = if let End::Bad(what) = end { what } else { "a frame is missing" };
                        return Err(LogError::corrupt(&slot.path, self.next.at, Some(self.lsn), what));
                    }
                    to = to.max(Some(place + frame.len as u64));
                }
                // What is left of a frame of this turn. If it stayed, a later commit could end where it begins, and would
                // seem to be followed by something.
                Err(NoFrame::Checksum { lsn }) if lsn >= self.lsn => to = to.max(Some(place + HEADER as u64)),
                Err(_) => {}
            }
            scan.skip(ALIGN);
            scan.keep();
        }
        // A frame that is broken may be so long; and there is always a little to be made empty.
        let least = self.next.at + TAIL;
        let to = match (end, to) {
            (End::Here, None) => return Ok(None),
            (_, to) => to.unwrap_or(least).max(least).min(self.journal.slot_bytes()),
        };
        Ok(Some(Torn { slot: at, from: self.next.at, to }))
    }

    /// Whether the files are there that the state counts on.
    fn check_segments(&self, vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<(), LogError> {
        for (number, topic) in &self.state.topics {
            for extent in &topic.segments {
                let path = layout::segment(dir, *number, extent.base);
                let needed = extent.end > topic.floor;
                match vfs.kind(&path).map_err(|error| LogError::io("stat", &path, error))? {
                    Some(EntryKind::File) => {}
                    _ if !needed => continue,
                    Some(_) => return Err(LogError::corrupt(&path, 0, None, "a segment is not a file")),
                    None => return Err(LogError::corrupt(&path, 0, None, "a segment is missing")),
                }
                let file =
                    vfs.open(&path, OpenMode::Read).map_err(|error| LogError::io("open", &path, error))?;
                let len = file.len().map_err(|error| LogError::io("stat", &path, error))?;
                if len < extent.bytes && needed {
                    return Err(LogError::corrupt(&path, len, None, "a segment is cut short"));
                }
            }
        }
        Ok(())
    }
}

/// So much is made empty behind the last commit, at least.
const TAIL: u64 = 4 << 10;

/// Where the commit ends that begins here with this lsn; it stays behind it. Or why there is none.
fn commit_end(scan: &mut Scan<'_>, slot: &Slot, mut lsn: u64) -> Result<Result<u64, End>, LogError> {
    let mut first = true;
    loop {
        let read = scan.frame(slot.turn.seed).map_err(|error| LogError::io("read", &slot.path, error))?;
        let (header, len) = match read {
            Ok(frame) => (frame.header, frame.len),
            // It is whole, so it was written: by a version that knows more.
            Err(NoFrame::Unknown) => {
                return Err(LogError::Newer { file: slot.path.clone(), version: layout::FORMAT + 1 });
            }
            Err(NoFrame::NoMagic) if first => return Ok(Err(End::Here)),
            // What is left of the turn before.
            Err(NoFrame::Checksum { lsn: old }) if first && old < lsn => return Ok(Err(End::Here)),
            Err(_) => return Ok(Err(End::Bad("a frame is not what was written"))),
        };
        if header.lsn != lsn {
            return Ok(Err(End::Bad("a frame is not the one that follows")));
        }
        scan.skip(len);
        (lsn, first) = (lsn + 1, false);
        if header.last {
            return Ok(Ok(scan.position()));
        }
    }
}
