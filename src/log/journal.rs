//! The journal: a ring of slots, files of fixed size that are written over and over.
//!
//! ```text
//!  0.j  [turn 5][frames ............]      a slot is taken anew when nothing in it is needed, and then
//!  1.j  [turn 6][frames ....|old ...]      draws a new seed, so that what is left of its last turn
//!  2.j  [turn 4][old ...............]      is no frame any more
//!  3.j  [turn 3][old ...............]
//! ```
//!
//! A slot is on the disk before the next one begins, so at most one has something that may be lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{Room, unsynced};
use super::error::LogError;
use super::frame::{self, Frame, HEADER, Header, Kind, NoFrame, frame_len};
use super::gather::Gather;
use super::layout::{self, Uuid};
use super::shelf::Piece;
use super::vfs::{OpenMode, Vfs, VfsFile};
use super::writer::SLOTS;
use crate::base::varint::Take;
use crate::base::{Bug, planted};

/// Where a slot's frames begin: behind its turn, in a page of their own.
pub(crate) const SLOT_START: u64 = 4096;
/// The smallest slot: a little more than its turn, and a commit.
const LEAST_SLOT: u64 = 16 << 10;
/// The largest: what one frame may hold.
const MOST_SLOT: u64 = 1 << 31;
/// What a slot is filled with at first is written in such pieces.
const ZEROS: usize = 1 << 20;

/// Whether a slot may have so many bytes.
pub(crate) fn is_slot_size(bytes: u64) -> bool {
    (LEAST_SLOT..=MOST_SLOT).contains(&bytes) && bytes.is_multiple_of(4096)
}

/// A place in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Which turn: each has a number that no other has, one more than the one before.
    pub(crate) turn: u64,
    /// Bytes into the slot.
    pub(crate) at: u64,
}

/// A slot's turn, as it stands at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Zero: none yet.
    pub(crate) number: u64,
    /// The lsn of its first frame.
    pub(crate) first_lsn: u64,
    pub(crate) seed: u32,
}

/// A file of the ring.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) file: Arc<dyn VfsFile>,
    pub(crate) path: PathBuf,
    pub(crate) turn: Turn,
}

#[derive(Debug)]
pub(crate) struct Journal {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    uuid: Uuid,
    slot_bytes: u64,
    pub(crate) slots: Vec<Slot>,
    /// The one that is written.
    current: usize,
    at: u64,
    /// Something was written and not synced.
    dirty: bool,
    /// The next turn was begun, or a part of it, and then there was no room. Nothing more is written in this one.
    half_begun: bool,
    pub(crate) room: Room,
}

impl Slot {
    /// Where a frame of a topic is that lies in it: from here, so many bytes.
    pub(crate) fn piece(&self, header: &Header, (from, len): (u64, usize)) -> Piece {
        let (base, end) = (header.offset, header.offset + u64::from(header.count));
        let (file, path, seed) = (self.file.clone(), self.path.clone(), self.turn.seed);
        Piece { base, end, file, path, seed, from, to: from + len as u64 }
    }

    /// Takes back what was written of a commit that is refused. All of it may be there but for zeros at its end, that were there before:
    /// it would be found if the process ended now, and what is shorter and comes in its place would be followed by the rest.
    fn take_back(&self, bytes: &[u8], at: u64) -> Result<(), LogError> {
        let fail = |call| move |error| unsynced(LogError::io(call, &self.path, error));
        let there = self.file.read_vec(at, bytes.len()).map_err(fail("read"))?;
        let written = there.iter().zip(bytes).take_while(|(there, byte)| there == byte).count();
        // Why no more than that: what lacks space for the rest of it may lack it for zeros too.
        if written >= HEADER {
            // Nor zeros for zeros, which nobody wrote: beyond what there was room for they would be refused as the rest was.
            let zeros = there.iter().take(written).rev().take_while(|byte| **byte == 0).count();
            let written = written - zeros;
            self.file.write_all_at(&vec![0; written], at).map_err(fail("write"))?;
            self.file.sync_data().map_err(fail("sync"))?;
        }
        Ok(())
    }
}

impl Turn {
    const NONE: Turn = Turn { number: 0, first_lsn: 0, seed: 0 };

    fn to_bytes(self, slot: usize, uuid: Uuid) -> Vec<u8> {
        let (count, offset) = (u32::try_from(slot).unwrap_or(u32::MAX), self.number);
        let (lsn, millis) = (self.first_lsn, u64::from(self.seed));
        let header = Header { lsn, count, offset, millis, ..Header::new(Kind::Turn) };
        let mut body = layout::FORMAT.to_le_bytes().to_vec();
        body.extend(uuid.0);
        let mut out = Vec::new();
        frame::push(&mut out, &header, &body, 0);
        out.resize(SECOND_TURN, 0);
        frame::push(&mut out, &header, &body, 0);
        out
    }
}

/// What is at the beginning of a slot's file: the later one of the two that are there.
///
/// Why two: a process may end while it writes them, and then one of them is whole: the new one, or that of the turn
/// before. So if neither is, the slot is damaged, and nobody takes it for one that was not begun.
pub(crate) fn read_turn(file: &dyn VfsFile, path: &Path, slot: usize, uuid: Uuid) -> Result<Turn, LogError> {
    let head =
        file.read_vec(0, SECOND_TURN + TURN_BYTES).map_err(|error| LogError::io("read", path, error))?;
    let one = |at: usize| {
        let bytes = head.get(at..at + TURN_BYTES).unwrap_or_default();
        read_one_turn(bytes, path, slot, uuid)
    };
    match (one(0), one(SECOND_TURN)) {
        (Ok(first), Ok(second)) => Ok(if first.number < second.number { second } else { first }),
        (newer @ Err(LogError::Newer { .. }), _) | (_, newer @ Err(LogError::Newer { .. })) => newer,
        // An empty one beside one that is none: the first turn that was ever begun in it.
        (Ok(turn), Err(_)) | (Err(_), Ok(turn)) => Ok(turn),
        (Err(error), Err(_)) => Err(error),
    }
}

fn read_one_turn(head: &[u8], path: &Path, slot: usize, uuid: Uuid) -> Result<Turn, LogError> {
    if head.len() == TURN_BYTES && head.iter().all(|byte| *byte == 0) {
        return Ok(Turn::NONE);
    }
    let damaged = |what| Err(LogError::corrupt(path, 0, None, what));
    let Frame { header, body, .. } = match frame::read(head, 0) {
        Ok(frame) if frame.header.kind == Kind::Turn => frame,
        Ok(_) | Err(NoFrame::Unknown) => return damaged("it does not begin as a slot of the journal does"),
        Err(_) => return damaged("the beginning of a slot is not what was written"),
    };
    let mut take = Take::new(body);
    let version = take.array().map(u32::from_le_bytes);
    if let Some(version) = version.filter(|version| *version > layout::FORMAT) {
        return Err(LogError::Newer { file: path.to_path_buf(), version });
    }
    if version != Some(layout::FORMAT) || take.array() != Some(uuid.0) || header.count as usize != slot {
        return damaged("it is a slot of another journal");
    }
    let seed = u32::try_from(header.millis).unwrap_or_default();
    Ok(Turn { number: header.offset, first_lsn: header.lsn, seed })
}

/// The bytes of a slot's turn.
pub(crate) const TURN_BYTES: usize = 80;
/// Where it is a second time, in another sector.
const SECOND_TURN: usize = 2048;

impl Journal {
    /// A new one, with one slot, on the disk, and the first turn begun in it.
    pub(crate) fn create(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        uuid: Uuid,
        slot_bytes: u64,
        seed: u32,
    ) -> Result<Journal, LogError> {
        let mut journal = Journal::at(vfs, dir, uuid, slot_bytes);
        journal.add_slot()?;
        journal.begin(0, Turn { number: 1, first_lsn: 0, seed })?;
        journal.sync()?;
        Ok(journal)
    }

    /// One that is there, none of whose slots is open yet.
    pub(crate) fn at(vfs: Arc<dyn Vfs>, dir: PathBuf, uuid: Uuid, slot_bytes: u64) -> Journal {
        let (slots, current, at) = (Vec::new(), 0, SLOT_START);
        let (dirty, half_begun, room) = (false, false, Room::default());
        Journal { vfs, dir, uuid, slot_bytes, slots, current, at, dirty, half_begun, room }
    }

    /// Opens the slots that are there, up to this many, and reads their turns.
    pub(crate) fn open_slots(&mut self, slots: u32, mode: OpenMode) -> Result<(), LogError> {
        for slot in self.slots.len()..slots as usize {
            let path = layout::slot_path(&self.dir, slot);
            let file = match self.vfs.open(&path, mode) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(LogError::corrupt(&path, 0, None, "a slot of the journal is missing"));
                }
                Err(error) => return Err(LogError::io("open", &path, error)),
            };
            let len = file.len().map_err(|error| LogError::io("stat", &path, error))?;
            if len < self.slot_bytes {
                return Err(LogError::corrupt(&path, len, None, "a slot of the journal is cut short"));
            }
            let turn = read_turn(&*file, &path, slot, self.uuid)?;
            self.slots.push(Slot { file: file.into(), path, turn });
        }
        Ok(())
    }

    /// The slot in which a turn was, if it is there.
    pub(crate) fn slot_of(&self, turn: u64) -> Option<usize> {
        self.slots.iter().position(|slot| slot.turn.number == turn && turn > 0)
    }

    /// The number of the last turn that any slot's file has, those included that nothing has announced as far as was read.
    ///
    /// What is announced may be behind a frame that is damaged. A file that can't be read, or is none of this journal's, says nothing.
    pub(crate) fn last_turn(&self) -> u64 {
        let unknown = (self.slots.len()..SLOTS).filter_map(|slot| {
            let path = layout::slot_path(&self.dir, slot);
            let file = self.vfs.open(&path, OpenMode::Read).ok()?;
            read_turn(&*file, &path, slot, self.uuid).ok().map(|turn| turn.number)
        });
        self.slots.iter().map(|slot| slot.turn.number).chain(unknown).max().unwrap_or(0)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn slot_bytes(&self) -> u64 {
        self.slot_bytes
    }

    /// The largest commit that a slot has room for.
    pub(crate) fn most_bytes(slot_bytes: u64) -> u64 {
        slot_bytes - SLOT_START - frame_len(0) as u64
    }

    /// Goes on writing at this place.
    pub(crate) fn go_on(&mut self, slot: usize, at: u64) {
        (self.current, self.at) = (slot, at);
    }

    pub(crate) fn position(&self) -> Position {
        let turn = self.slots.get(self.current).map_or(0, |slot| slot.turn.number);
        Position { turn, at: self.at }
    }

    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        !self.half_begun && self.at + bytes as u64 <= self.slot_bytes
    }

    pub(crate) fn current(&self) -> Option<&Slot> {
        self.slots.get(self.current)
    }

    /// Writes a commit, and does not sync it.
    pub(crate) fn write(&mut self, commit: &Gather<'_>) -> Result<(), LogError> {
        let slot = self.slots.get(self.current).ok_or(LogError::Closed)?;
        self.dirty = true;
        let mut at = self.at;
        for piece in commit.pieces() {
            if let Err(error) = slot.file.write_all_at(piece, at) {
                let error = LogError::io("write", &slot.path, error);
                return Err(if error.is_full() {
                    let bytes = commit.pieces().collect::<Vec<_>>().concat();
                    slot.take_back(&bytes, self.at).err().unwrap_or(error)
                } else {
                    error
                });
            }
            at += piece.len() as u64;
        }
        self.at = at;
        Ok(())
    }

    /// Waits for what was written.
    pub(crate) fn sync(&mut self) -> Result<(), LogError> {
        if self.dirty
            && let Some(slot) = self.slots.get(self.current)
        {
            if !planted(Bug::UnsyncedJournal) {
                slot.file.sync_data().map_err(|error| LogError::io("sync", &slot.path, error))?;
            }
            self.dirty = false;
        }
        Ok(())
    }

    /// So many slots have nothing that is needed, if what is needed begins with the turn `needed`.
    pub(crate) fn free(&self, needed: u64) -> usize {
        self.slots.iter().filter(|slot| slot.turn.number < needed).count()
    }

    /// Begins the next turn, in a slot with nothing that is needed. The one before must be synced. `false`: there is none.
    pub(crate) fn next_turn(&mut self, needed: u64, first_lsn: u64, seed: u32) -> Result<bool, LogError> {
        let free = |slot: &Slot| slot.turn.number < needed;
        let Some(slot) = self.slots.iter().position(free) else { return Ok(false) };
        let number = self.position().turn + 1;
        let old = self.slots.get(slot).map_or(0, |slot| slot.turn.seed);
        let seed = if planted(Bug::OldSeed) && old != 0 { old } else { seed };
        self.begin(slot, Turn { number, first_lsn, seed })?;
        Ok(true)
    }

    fn begin(&mut self, at: usize, turn: Turn) -> Result<(), LogError> {
        let bytes = turn.to_bytes(at, self.uuid);
        let slot = self.slots.get_mut(at).ok_or(LogError::Closed)?;
        if let Err(error) = slot.file.write_all_at(&bytes, 0) {
            let error = LogError::io("write", &slot.path, error);
            // Why: the turn may stand there, and it says with which frame it begins, so that one must not come before it.
            self.half_begun = error.is_full();
            return Err(error);
        }
        slot.turn = turn;
        (self.current, self.at, self.dirty, self.half_begun) = (at, SLOT_START, true, false);
        Ok(())
    }

    /// Makes one more slot, full of zeros, on the disk with its name. What there is no room for takes none.
    pub(crate) fn add_slot(&mut self) -> Result<(), LogError> {
        let room = self.room.clone();
        let _room = room.lock();
        self.fill_slot().inspect_err(|error| {
            if error.is_full() {
                self.vfs.give_up(&layout::slot_path(&self.dir, self.slots.len()));
            }
        })
    }

    fn fill_slot(&mut self) -> Result<(), LogError> {
        let path = layout::slot_path(&self.dir, self.slots.len());
        let fail = |call| {
            let path = path.clone();
            move |error| LogError::io(call, &path, error)
        };
        let file = self.vfs.open_anew(&path).map_err(fail("create"))?;
        let zeros = vec![0; ZEROS.min(usize::try_from(self.slot_bytes).unwrap_or(ZEROS))];
        let mut at = 0;
        while at < self.slot_bytes {
            let left = usize::try_from(self.slot_bytes - at).unwrap_or(zeros.len()).min(zeros.len());
            file.write_all_at(zeros.get(..left).unwrap_or_default(), at).map_err(fail("fill"))?;
            at += left as u64;
        }
        file.sync_data().map_err(fail("sync")).map_err(unsynced)?;
        if !planted(Bug::NamelessSlot) {
            let synced = self.vfs.sync_dir(&self.dir);
            synced.map_err(|error| unsynced(LogError::io("sync", &self.dir, error)))?;
        }
        self.slots.push(Slot { file: file.into(), path, turn: Turn::NONE });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::base::sync::Mutex as Locked;

    /// A file of zeros in which nothing is written beyond a place.
    #[derive(Debug)]
    struct Short(Locked<Vec<u8>>, u64);

    impl VfsFile for Short {
        fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
            let (bytes, at) = (self.0.lock().unwrap(), at as usize);
            into.copy_from_slice(&bytes[at..at + into.len()]);
            Ok(into.len())
        }

        fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
            let room = self.1.saturating_sub(at).min(bytes.len() as u64) as usize;
            if room == 0 {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.0.lock().unwrap()[at as usize..][..room].copy_from_slice(&bytes[..room]);
            Ok(room)
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().len() as u64)
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// A commit that ends with zeros seems to be there as a whole, though there was no room for it.
    #[test]
    fn what_is_taken_back_needs_no_room_where_nothing_was_written() {
        let file = Arc::new(Short(Locked::new(vec![0; 9000]), 5000));
        let slot = Slot { file: file.clone(), path: "0.j".into(), turn: Turn::NONE };
        let commit = [vec![7; 100], vec![0; 3000]].concat();
        assert_eq!(slot.file.write_all_at(&commit, 4500).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        slot.take_back(&commit, 4500).unwrap();
        assert_eq!(*file.0.lock().unwrap(), vec![0; 9000]);
    }
}
