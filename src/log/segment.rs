//! Segments: a topic's frames, in files of their own, in the order of their offsets.
//!
//! ```text
//!  topics/<number>/<offset>.seg   [whose it is][frame][frame][frame] | what a crash left, and does not count
//!                                                                    ^ the checkpoint says where
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32c::crc32c;

use super::error::LogError;
use super::frame::{self, Frame, Header, Kind};
use super::gather::Gather;
use super::layout::{self, Uuid};
use super::state::{Extent, TopicState};
use super::vfs::{OpenMode, Vfs, VfsFile};
use crate::base::varint::put_bytes;
use crate::base::{Bug, planted};

/// So much is collected before it is written.
const PIECE: usize = 256 << 10;

/// The seed of all segments of a log.
pub(crate) fn seed(uuid: Uuid) -> u32 {
    crc32c(&uuid.0)
}

/// Waits until the names in a directory are on the disk.
pub(crate) fn sync_dir(vfs: &dyn Vfs, dir: &Path) -> Result<(), LogError> {
    vfs.sync_dir(dir).map_err(|error| super::checkpoint::unsynced(LogError::io("sync", dir, error)))
}

/// Adds frames to a topic's segments, and says where they lie then.
pub(crate) struct SegmentWriter<'a> {
    vfs: &'a Arc<dyn Vfs>,
    dir: &'a Path,
    uuid: Uuid,
    number: u32,
    topic: &'a TopicState,
    roll_bytes: u64,
    extents: Vec<Extent>,
    /// The last of the extents, if it was opened.
    open: Option<(Box<dyn VfsFile>, PathBuf)>,
    buffer: Vec<u8>,
    /// Files that are full, and not synced yet. Limit: what one checkpoint moves, in files of `roll_bytes`.
    full: Vec<(Box<dyn VfsFile>, PathBuf)>,
    new_names: bool,
    /// The file of the last extent is to be made.
    fresh: bool,
}

impl<'a> SegmentWriter<'a> {
    pub(crate) fn new(
        vfs: &'a Arc<dyn Vfs>,
        dir: &'a Path,
        uuid: Uuid,
        (number, topic): (u32, &'a TopicState),
        roll_bytes: u64,
    ) -> SegmentWriter<'a> {
        // What nobody needs is not continued: so its file can go.
        let needed = |extent: &&Extent| extent.end > topic.floor;
        let extents = topic.segments.iter().filter(needed).copied().collect();
        let (open, buffer, full) = (None, Vec::new(), Vec::new());
        let (new_names, fresh) = (false, false);
        SegmentWriter {
            vfs,
            dir,
            uuid,
            number,
            topic,
            roll_bytes,
            extents,
            open,
            buffer,
            full,
            new_names,
            fresh,
        }
    }

    /// Adds a frame of the journal.
    pub(crate) fn push(&mut self, frame: &Frame<'_>) -> Result<(), LogError> {
        let Header { offset, count, .. } = frame.header;
        let end = offset + u64::from(count);
        let goes_on =
            self.extents.last().is_some_and(|last| last.end == offset && last.bytes < self.roll_bytes);
        if !goes_on {
            self.roll(offset)?;
        }
        let header = Header { last: false, durable: 0, ..frame.header };
        if frame.len >= PIECE {
            // It is written from where it is.
            self.flush()?;
            self.write_large(&header, frame.body)?;
        } else {
            frame::push(&mut self.buffer, &header, frame.body, seed(self.uuid));
        }
        if let Some(last) = self.extents.last_mut() {
            last.end = end;
            last.bytes += frame.len as u64;
        }
        if self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// Writes what was collected, waits until all of it is on the disk, and says where the topic's data lies. The name of the topic's
    /// directory is the caller's to sync, once for all of them: `new_dirs` is set then.
    pub(crate) fn finish(mut self, new_dirs: &mut bool) -> Result<Vec<Extent>, LogError> {
        self.flush()?;
        let files = self.full.iter().chain(&self.open);
        for (file, path) in files.filter(|_| !planted(Bug::CheckpointFirst)) {
            file.sync_data()
                .map_err(|error| super::checkpoint::unsynced(LogError::io("sync", path, error)))?;
        }
        if self.new_names && !planted(Bug::NamelessSegment) {
            sync_dir(&**self.vfs, &layout::topic(self.dir, self.number))?;
            *new_dirs |= self.topic.segments.is_empty();
        }
        Ok(self.extents)
    }

    /// Begins a new file, which is made once there is something to write.
    fn roll(&mut self, base: u64) -> Result<(), LogError> {
        self.flush()?;
        self.full.extend(self.open.take());
        self.fresh = true;
        let mut body = layout::FORMAT.to_le_bytes().to_vec();
        body.extend(self.uuid.0);
        put_bytes(&mut body, self.topic.name.as_bytes());
        self.topic.terms.put(&mut body);
        let header = Header { topic: self.number, offset: base, ..Header::new(Kind::Segment) };
        frame::push(&mut self.buffer, &header, &body, seed(self.uuid));
        self.extents.push(Extent { base, end: base, bytes: self.buffer.len() as u64 });
        Ok(())
    }

    /// Writes a frame behind all that was flushed.
    fn write_large(&mut self, header: &Header, body: &[u8]) -> Result<(), LogError> {
        let Some(mut at) = self.extents.last().map(|last| last.bytes) else { return Ok(()) };
        let mut frame = Gather::new(Vec::new());
        frame.push_lent(header, body, seed(self.uuid));
        for piece in frame.pieces() {
            self.write(piece, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let Some(last) = self.extents.last().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        let (at, mut bytes) = (last.bytes - self.buffer.len() as u64, std::mem::take(&mut self.buffer));
        self.write(&bytes, at)?;
        bytes.clear();
        self.buffer = bytes;
        Ok(())
    }

    /// Writes into the file of the last extent.
    fn write(&mut self, bytes: &[u8], at: u64) -> Result<(), LogError> {
        if let (None, Some(last)) = (&self.open, self.extents.last()) {
            self.open = Some(self.open(last.base)?);
        }
        match &self.open {
            Some((file, path)) => {
                file.write_all_at(bytes, at).map_err(|error| LogError::io("write", path, error))
            }
            None => Ok(()),
        }
    }

    fn open(&mut self, base: u64) -> Result<(Box<dyn VfsFile>, PathBuf), LogError> {
        let path = layout::segment(self.dir, self.number, base);
        if !std::mem::take(&mut self.fresh) {
            let file = self.vfs.open(&path, OpenMode::Write);
            return Ok((file.map_err(|error| LogError::io("open", &path, error))?, path));
        }
        self.new_names = true;
        let topic_dir = layout::topic(self.dir, self.number);
        if self.topic.segments.is_empty() && self.extents.len() == 1 {
            self.clear(&topic_dir);
        }
        self.vfs.create_dir(&topic_dir).map_err(|error| LogError::io("create", &topic_dir, error))?;
        let file = self.vfs.open_anew(&path);
        Ok((file.map_err(|error| LogError::io("create", &path, error))?, path))
    }

    /// Removes the directory of a topic of which no segment counts yet, so that its name is a new one, as that of a file is: see
    /// [`open_anew`](Vfs::open_anew). Unheard: what stays there does no harm.
    fn clear(&self, topic_dir: &Path) {
        let files = self.vfs.list(topic_dir).unwrap_or_default();
        for file in files.iter().filter(|file| layout::base_of(file).is_some()) {
            drop(self.vfs.remove_file(file));
        }
        drop(self.vfs.remove_dir(topic_dir));
    }
}
