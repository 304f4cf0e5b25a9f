//! Where each topic's data lies, for those who read it.
//!
//! What is in segments lies in extents; what is only in the journal yet, in pieces: stretches of a slot with frames of the
//! topic, and perhaps of others. A reader looks up a place under the lock and reads without it. By then the slot may have
//! been taken anew: the checksum says so, and the reader looks up again.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use super::error::LogError;
use super::frame::{Frame, Header, Kind};
use super::layout::{self, Uuid};
use super::record::{self, Record};
use super::scan::Scan;
use super::segment;
use super::state::{Extent, State, TopicState};
use super::vfs::{OpenMode, Vfs, VfsFile};
use crate::base::sync::{Mutex, MutexGuard, PoisonError};

/// A piece goes on with a frame that begins at most so far behind it,
const NEAR: u64 = 4 << 10;
/// as long as it is not longer than this.
const LONG: u64 = 256 << 10;
/// An index has an entry for each stretch of so many bytes.
const STRETCH: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Shelf {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    uuid: Uuid,
    volumes: Mutex<BTreeMap<u32, Volume>>,
}

#[derive(Debug, Default)]
struct Volume {
    floor: u64,
    next: u64,
    extents: Vec<Indexed>,
    /// Limit: what the journal has room for.
    pieces: VecDeque<Piece>,
}

#[derive(Clone, Debug)]
struct Indexed {
    extent: Extent,
    /// Offsets, and where their frames begin; in order. Limit: one for each [`STRETCH`] of the file.
    index: Vec<(u64, u64)>,
}

/// A stretch of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) base: u64,
    pub(crate) end: u64,
    pub(crate) file: Arc<dyn VfsFile>,
    pub(crate) path: PathBuf,
    pub(crate) seed: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Some records of a topic, in order.
#[derive(Debug)]
pub(crate) struct Chunk {
    bodies: Vec<u8>,
    frames: Vec<(Header, std::ops::Range<usize>)>,
    from: u64,
    upto: u64,
}

/// What of a place is wanted.
#[derive(Clone, Copy)]
enum Want {
    /// What begins where the chunk does, up to so many bytes.
    From { most: usize },
    /// What ends before an offset, the last so many bytes of it.
    Before { upto: u64, floor: u64, most: usize },
}

impl Want {
    /// Takes a frame in, if it is wanted; `false` if none is behind it.
    fn takes(self, chunk: &mut Chunk, frame: &Frame<'_>) -> bool {
        let Header { offset, count, .. } = frame.header;
        let full =
            |chunk: &Chunk, most| !chunk.frames.is_empty() && chunk.bodies.len() + frame.body.len() > most;
        match self {
            Want::From { most } if offset + u64::from(count) > chunk.from => {
                if full(chunk, most) {
                    return false;
                }
                chunk.push(frame);
            }
            Want::From { .. } => {}
            Want::Before { upto, .. } if offset >= upto => return false,
            Want::Before { upto, floor, most } => {
                if full(chunk, most) {
                    *chunk = Chunk::default();
                }
                (chunk.from, chunk.upto) = (floor, upto);
                chunk.push(frame);
            }
        }
        true
    }
}

/// Where to look.
struct Place {
    /// For this offset.
    offset: u64,
    file: Option<Arc<dyn VfsFile>>,
    path: PathBuf,
    seed: u32,
    from: u64,
    to: u64,
    /// The extent, if it is in a segment.
    base: Option<u64>,
}

impl Default for Chunk {
    fn default() -> Chunk {
        Chunk { bodies: Vec::new(), frames: Vec::new(), from: 0, upto: u64::MAX }
    }
}

impl Chunk {
    /// The records, with their offsets.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, Record<'_>)> {
        let frames = self.frames.iter().flat_map(|(header, range)| {
            let body = self.bodies.get(range.clone()).unwrap_or_default();
            (header.offset..).zip(record::Iter::new(body, header.millis, header.count))
        });
        frames.skip_while(|(offset, _)| *offset < self.from).take_while(|(offset, _)| *offset < self.upto)
    }

    /// One behind the last offset, if there is any.
    pub(crate) fn end(&self) -> Option<u64> {
        self.frames.last().map(|(header, _)| header.offset + u64::from(header.count))
    }

    fn push(&mut self, frame: &Frame<'_>) {
        let start = self.bodies.len();
        self.bodies.extend(frame.body);
        self.frames.push((frame.header, start..self.bodies.len()));
    }
}

impl Shelf {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: PathBuf, uuid: Uuid) -> Shelf {
        Shelf { vfs, dir, uuid, volumes: Mutex::default() }
    }

    /// A frame of a topic is in the journal.
    pub(crate) fn add(&self, topic: u32, piece: Piece) {
        let mut volumes = self.lock();
        let volume = volumes.entry(topic).or_default();
        volume.next = piece.end;
        match volume.pieces.back_mut() {
            Some(last) if last.goes_on_with(&piece) => (last.end, last.to) = (piece.end, piece.to),
            _ => volume.pieces.push_back(piece),
        }
    }

    /// What the state says by now of these topics: what of them is of use, and what lies in segments.
    pub(crate) fn follow(&self, state: &State, topics: impl IntoIterator<Item = u32>) {
        let mut volumes = self.lock();
        for number in topics {
            match state.topics.get(&number) {
                Some(topic) => volumes.entry(number).or_default().follow(topic),
                None => drop(volumes.remove(&number)),
            }
        }
    }

    /// Nothing is to be read any more, and no file is held.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// What of a topic is of use, from which offset to one behind the last.
    pub(crate) fn bounds(&self, topic: u32) -> Option<(u64, u64)> {
        self.lock().get(&topic).map(|volume| (volume.floor, volume.next))
    }

    /// The records from an offset on, or from the first that is there: at least one, and as many whole frames as fit into
    /// `most` bytes. Empty at the end of the topic.
    pub(crate) fn read(&self, topic: u32, from: u64, most: usize) -> Result<Chunk, LogError> {
        let from = self.bounds(topic).map_or(from, |(floor, _)| from.max(floor));
        let mut tries = 0;
        loop {
            let Some(place) = self.place(topic, from)? else { return Ok(Chunk { from, ..Chunk::default() }) };
            match self.read_place(topic, Want::From { most }, &place) {
                Err(LogError::Corrupt(_)) if tries < 3 && self.moved(topic, from, &place) => tries += 1,
                done => return done,
            }
        }
    }

    /// The last records before an offset, in order: at least one, and no more bytes than `most` but for that. Empty if there are none.
    pub(crate) fn read_back(&self, topic: u32, upto: u64, most: usize) -> Result<Chunk, LogError> {
        let mut tries = 0;
        loop {
            let (floor, next) = self.bounds(topic).ok_or(LogError::Missing)?;
            let upto = upto.min(next);
            if upto <= floor {
                return Ok(Chunk::default());
            }
            let Some(place) = self.place(topic, upto - 1)? else { return Ok(Chunk::default()) };
            if place.offset >= upto {
                // It was trimmed meanwhile, and the bounds say so by now.
                continue;
            }
            match self.read_place(topic, Want::Before { upto, floor, most }, &place) {
                Err(LogError::Corrupt(_)) if tries < 3 && self.moved(topic, upto - 1, &place) => tries += 1,
                done => return done,
            }
        }
    }

    /// The first offset whose record has this id or a later one; the next one of the topic if none has.
    pub(crate) fn find(&self, topic: u32, id: (u64, u64)) -> Result<u64, LogError> {
        let (mut low, mut high) = self.bounds(topic).ok_or(LogError::Missing)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let chunk = self.read(topic, middle, 1)?;
            // What was trimmed meanwhile is before it.
            let Some((offset, record)) = chunk.records().next() else { return Ok(high) };
            let seq = record.seq.unwrap_or(offset);
            if (record.millis, seq) < id { low = offset + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// Where the topic's data lies: offsets from the first to one behind the last, and bytes; in order.
    pub(crate) fn outline(&self, topic: u32) -> Vec<(u64, u64, u64)> {
        let volumes = self.lock();
        let Some(volume) = volumes.get(&topic) else { return Vec::new() };
        let extents =
            volume.extents.iter().map(|Indexed { extent, .. }| (extent.base, extent.end, extent.bytes));
        let pieces = volume.pieces.iter().map(|piece| (piece.base, piece.end, piece.to - piece.from));
        extents.chain(pieces).filter(|(_, end, _)| *end > volume.floor).collect()
    }

    /// Whether something else than before is to be read there by now.
    fn moved(&self, topic: u32, from: u64, place: &Place) -> bool {
        match self.place(topic, from) {
            Ok(Some(now)) => now.path != place.path || now.seed != place.seed || now.base != place.base,
            _ => true,
        }
    }

    fn place(&self, topic: u32, from: u64) -> Result<Option<Place>, LogError> {
        let volumes = self.lock();
        let volume = volumes.get(&topic).ok_or(LogError::Missing)?;
        let from = from.max(volume.floor);
        let at = volume.extents.partition_point(|indexed| indexed.extent.end <= from);
        if let Some(Indexed { extent, index }) = volume.extents.get(at) {
            let near = index.partition_point(|(offset, _)| *offset <= from);
            let start = near.checked_sub(1).and_then(|at| index.get(at)).map_or(0, |(_, at)| *at);
            let path = layout::segment(&self.dir, topic, extent.base);
            let seed = segment::seed(self.uuid);
            return Ok(Some(Place {
                offset: from,
                file: None,
                path,
                seed,
                from: start,
                to: extent.bytes,
                base: Some(extent.base),
            }));
        }
        let at = volume.pieces.partition_point(|piece| piece.end <= from);
        Ok(volume.pieces.get(at).map(|piece| Place {
            offset: from,
            file: Some(piece.file.clone()),
            path: piece.path.clone(),
            seed: piece.seed,
            from: piece.from,
            to: piece.to,
            base: None,
        }))
    }

    fn read_place(&self, topic: u32, want: Want, place: &Place) -> Result<Chunk, LogError> {
        let opened;
        let file = match &place.file {
            Some(file) => &**file,
            None => match self.vfs.open(&place.path, OpenMode::Read) {
                Ok(file) => {
                    opened = file;
                    &*opened
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(LogError::corrupt(&place.path, 0, None, "a segment is missing"));
                }
                Err(error) => return Err(LogError::io("open", &place.path, error)),
            },
        };
        let mut chunk = Chunk { from: place.offset, ..Chunk::default() };
        let mut follows = place.offset;
        let mut index: Vec<(u64, u64)> = Vec::new();
        let mut scan = Scan::new(file, place.from, place.to);
        while scan.position() < place.to {
            let at = scan.position();
            let read = scan.frame(place.seed).map_err(|error| LogError::io("read", &place.path, error))?;
            let Ok(frame) = read else {
                return Err(LogError::corrupt(&place.path, at, None, "a frame is not what was written"));
            };
            let (len, header) = (frame.len, frame.header);
            // Why: the seed is that of all segments, so the checksum does not tell whether a file is another's.
            if header.topic != topic && place.base.is_some() {
                return Err(LogError::corrupt(&place.path, at, None, "a segment is that of another topic"));
            }
            if header.kind == Kind::Data && header.topic == topic {
                let is_far = index.last().is_none_or(|(_, last)| at - last >= STRETCH);
                index.extend(is_far.then_some((header.offset, at)));
                // Each goes on where the one before ends, and the first has what is looked for, or is before it.
                if header.offset > follows {
                    return Err(LogError::corrupt(&place.path, at, None, "frames are missing"));
                }
                follows = header.offset + u64::from(header.count);
                if !want.takes(&mut chunk, &frame) {
                    break;
                }
            }
            scan.skip(len);
            scan.keep();
        }
        if chunk.end().is_none_or(|end| end <= place.offset) {
            return Err(LogError::corrupt(&place.path, place.to, None, "frames are missing"));
        }
        if let Some(base) = place.base {
            self.note(topic, base, &index);
        }
        Ok(chunk)
    }

    /// Keeps for those who come later where frames are.
    fn note(&self, topic: u32, base: u64, seen: &[(u64, u64)]) {
        let mut volumes = self.lock();
        let Some(volume) = volumes.get_mut(&topic) else { return };
        let Some(indexed) = volume.extents.iter_mut().find(|indexed| indexed.extent.base == base) else {
            return;
        };
        let last = indexed.index.last().map_or(0, |(_, at)| *at);
        let new = seen.iter().filter(|(_, at)| indexed.index.is_empty() || *at >= last + STRETCH);
        indexed.index.extend(new.copied().collect::<Vec<_>>());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Volume>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Volume {
    fn follow(&mut self, topic: &TopicState) {
        (self.floor, self.next) = (topic.floor, topic.next);
        if !self.extents.iter().map(|indexed| indexed.extent).eq(topic.segments.iter().copied()) {
            let mut before = std::mem::take(&mut self.extents).into_iter().peekable();
            for extent in &topic.segments {
                while before.next_if(|old| old.extent.base < extent.base).is_some() {}
                let same = before.next_if(|old| old.extent.base == extent.base);
                let index = same.map(|old| old.index).unwrap_or_default();
                self.extents.push(Indexed { extent: *extent, index });
            }
        }
        let end = topic.segments.last().map_or(topic.floor, |extent| extent.end.max(topic.floor));
        while self.pieces.front().is_some_and(|piece| piece.end <= end) {
            self.pieces.pop_front();
        }
    }
}

impl Piece {
    fn goes_on_with(&self, next: &Piece) -> bool {
        let near = next.from >= self.to && next.from - self.to <= NEAR && next.to - self.from <= LONG;
        near && self.seed == next.seed && self.path == next.path && self.end == next.base
    }
}
