//! The journal's slots, each by itself: what of them can be read, whatever else is damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::trawl::{Catch, Hole, Trawl, right_seed};
use crate::log::error::{Damage, LogError};
use crate::log::frame::{self, HEADER, Header, Kind, MAGIC, frame_len};
use crate::log::journal::{SLOT_START, TURN_BYTES, Turn, read_turn};
use crate::log::layout::{self, Uuid};
use crate::log::vfs::{OpenMode, Vfs, VfsFile};
use crate::log::writer::SLOTS;

/// A slot, and the frames of its turn.
#[derive(Debug)]
pub(crate) struct SlotView {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn VfsFile>,
    pub(crate) len: u64,
    /// `None`: its beginning is damaged, and nothing tells what it was.
    pub(crate) turn: Option<Turn>,
    /// In order. Limit: what a slot has room for.
    pub(crate) frames: Vec<Found>,
    /// What lies between frames, or between the beginning and the first one.
    pub(crate) holes: Vec<Hole>,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) at: u64,
    pub(crate) len: usize,
    pub(crate) header: Header,
    pub(crate) mended: bool,
}

/// Reads the slots that are there. What is damaged of their beginnings is added to `damage`; but one that was made and
/// not `announced` holds nothing.
pub(crate) fn read(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    uuid: Option<Uuid>,
    announced: usize,
    damage: &mut Vec<Damage>,
) -> Result<Vec<SlotView>, LogError> {
    let journal = layout::journal(dir);
    let mut views = Vec::new();
    for slot in 0..SLOTS {
        let path = layout::slot_path(&journal, slot);
        let file: Arc<dyn VfsFile> = match vfs.open(&path, OpenMode::Read) {
            Ok(file) => file.into(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(LogError::io("open", &path, error)),
        };
        let mut found = Vec::new();
        views.push(view(file, path, slot, uuid, &mut found)?);
        damage.extend(found.into_iter().filter(|_| slot < announced));
    }
    Ok(views)
}

/// Which log the slots are of, if the first page of one is whole.
pub(crate) fn uuid(vfs: &Arc<dyn Vfs>, dir: &Path) -> Option<Uuid> {
    let journal = layout::journal(dir);
    (0..SLOTS).find_map(|slot| {
        let file = vfs.open(&layout::slot_path(&journal, slot), OpenMode::Read).ok()?;
        let head = file.read_vec(0, TURN_BYTES).ok()?;
        let frame = frame::read(&head, 0).ok().filter(|frame| frame.header.kind == Kind::Turn)?;
        Some(Uuid(*frame.body.get(4..)?.first_chunk()?))
    })
}

fn view(
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    slot: usize,
    uuid: Option<Uuid>,
    damage: &mut Vec<Damage>,
) -> Result<SlotView, LogError> {
    let len = file.len().map_err(|error| LogError::io("stat", &path, error))?;
    let turn = match uuid.map(|uuid| read_turn(&*file, &path, slot, uuid)) {
        Some(Ok(turn)) => Some(turn),
        Some(Err(LogError::Corrupt(found))) => {
            damage.push(found);
            guess_turn(&*file, len).map_err(|error| LogError::io("read", &path, error))?
        }
        Some(Err(error)) => return Err(error),
        None => guess_turn(&*file, len).map_err(|error| LogError::io("read", &path, error))?,
    };
    let (frames, holes) = (Vec::new(), Vec::new());
    let mut view = SlotView { path, file, len, turn, frames, holes };
    if let Some(turn) = view.turn.filter(|turn| turn.number > 0 || turn.seed != 0) {
        view.fill(turn.seed).map_err(|error| LogError::io("read", &view.path, error))?;
    }
    Ok(view)
}

impl SlotView {
    fn fill(&mut self, seed: u32) -> std::io::Result<()> {
        let file = self.file.clone();
        let mut trawl = Trawl::new(&*file, seed, SLOT_START, self.len);
        loop {
            match trawl.next()? {
                Catch::Frame { at, frame, mended } => {
                    let (len, header) = (frame.len, frame.header);
                    // Why: what is left of another turn may have drawn the same seed, if it is an old log.
                    if self.frames.last().is_some_and(|before| before.header.lsn >= header.lsn) {
                        break;
                    }
                    self.frames.push(Found { at, len, header, mended });
                }
                Catch::Hole(hole) => self.holes.push(hole),
                Catch::End => break,
            }
        }
        // Why: what lies behind the last frame is empty, or of another turn.
        let end = self.end();
        self.holes.retain(|hole| hole.from < end);
        Ok(())
    }

    /// Where its last frame ends.
    pub(crate) fn end(&self) -> u64 {
        self.frames.last().map_or(SLOT_START, |last| last.at + last.len as u64)
    }

    /// A frame's bytes, as they were written.
    pub(crate) fn bytes(&self, found: &Found) -> Result<Vec<u8>, LogError> {
        let read = self.file.read_vec(found.at, found.len);
        let mut bytes = read.map_err(|error| LogError::io("read", &self.path, error))?;
        if let Some(magic) = bytes.first_chunk_mut() {
            *magic = MAGIC;
        }
        Ok(bytes)
    }

    pub(crate) fn seed(&self) -> u32 {
        self.turn.map_or(0, |turn| turn.seed)
    }
}

/// What a slot's turn was whose first page is damaged: if one bit of it is, or if its first two frames agree on the seed.
fn guess_turn(file: &dyn VfsFile, len: u64) -> std::io::Result<Option<Turn>> {
    let mut head = file.read_vec(0, TURN_BYTES)?;
    for bit in 0..=head.len() * 8 {
        if let Ok(frame) = frame::read(&head, 0)
            && frame.header.kind == Kind::Turn
        {
            let Header { offset, lsn, millis, .. } = frame.header;
            let seed = u32::try_from(millis).unwrap_or_default();
            return Ok(Some(Turn { number: offset, first_lsn: lsn, seed }));
        }
        // Puts the bit before back, and turns over this one.
        for bit in bit.checked_sub(1).into_iter().chain([bit]) {
            if let Some(byte) = head.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }
    let head = file.read_vec(SLOT_START, HEADER)?;
    let body = head.get(8..12).and_then(|bytes| bytes.first_chunk()).map(|len| u32::from_le_bytes(*len));
    let Some(first) = body.map(|body| frame_len(body as usize)) else { return Ok(None) };
    let fits = |end: u64| end <= len;
    if !head.starts_with(&MAGIC) || !fits(SLOT_START + first as u64) {
        return Ok(None);
    }
    let bytes = file.read_vec(SLOT_START, first)?;
    let Some(seed) = right_seed(&bytes) else { return Ok(None) };
    let mut next = Trawl::new(file, seed, SLOT_START + first as u64, len);
    let agree = matches!(next.next()?, Catch::Frame { mended: false, .. });
    let first_lsn = frame::read(&bytes, seed).map(|frame| frame.header.lsn).unwrap_or_default();
    // Its number is not known, and not needed: frames have numbers of their own.
    Ok(agree.then_some(Turn { number: 0, first_lsn, seed }))
}
