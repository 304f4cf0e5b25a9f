//! Reads the frames of a file, one behind the other.

use std::io;

use super::frame::{self, ALIGN, Frame, HEADER, MAGIC, NoFrame};
use super::vfs::VfsFile;

/// So much is read at a time.
const CHUNK: usize = 1 << 20;

/// Reads a file's frames, from some position to some end.
pub(crate) struct Scan<'a> {
    file: &'a dyn VfsFile,
    /// What was read, and where in the file its first byte is.
    buffer: Vec<u8>,
    start: u64,
    filled: usize,
    /// How far into the buffer it is.
    at: usize,
    /// What is from here on stays in the buffer.
    kept: usize,
    end: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(file: &'a dyn VfsFile, from: u64, end: u64) -> Scan<'a> {
        Scan { file, buffer: Vec::new(), start: from, filled: 0, at: 0, kept: 0, end: end.max(from) }
    }

    /// Where in the file it is.
    pub(crate) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The frame that begins here, or why there is none. It stays here.
    pub(crate) fn frame(&mut self, seed: u32) -> io::Result<Result<Frame<'_>, NoFrame>> {
        self.want(HEADER)?;
        if let Err(NoFrame::Short(len)) = frame::read(self.rest(), seed)
            && len as u64 <= self.end - self.position()
        {
            self.want(len)?;
        }
        Ok(frame::read(self.rest(), seed))
    }

    /// Goes so many bytes on.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.filled);
    }

    /// Lets go of what is before this.
    pub(crate) fn keep(&mut self) {
        self.kept = self.at;
    }

    /// Goes back to where [`Scan::keep`] was called last.
    pub(crate) fn rewind(&mut self) {
        self.at = self.kept;
    }

    /// Goes on, from here, to where a frame may begin; answers whether there is such a place before the end.
    pub(crate) fn find(&mut self) -> io::Result<bool> {
        loop {
            self.want(HEADER)?;
            let rest = self.rest();
            if rest.len() < HEADER {
                return Ok(false);
            }
            // As far as a whole header may begin.
            let begins = rest.get(..rest.len() - HEADER + MAGIC.len()).unwrap_or(rest);
            if let Some(found) = begins.chunks(ALIGN).position(frame::may_begin) {
                self.at += found * ALIGN;
                return Ok(true);
            }
            let whole = (rest.len() - HEADER) / ALIGN * ALIGN + ALIGN;
            self.at += whole.min(rest.len());
            self.keep();
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..self.filled).unwrap_or_default()
    }

    /// Sees to it that `bytes` are in the buffer, if the file has them.
    fn want(&mut self, bytes: usize) -> io::Result<()> {
        if self.filled - self.at >= bytes {
            return Ok(());
        }
        self.buffer.copy_within(self.kept..self.filled, 0);
        self.start += self.kept as u64;
        (self.filled, self.at) = (self.filled - self.kept, self.at - self.kept);
        self.kept = 0;
        let left = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        let size = (self.at + bytes).max(CHUNK).min(left).max(self.filled);
        if self.buffer.is_empty() {
            // Why apart: the system gives these zeros, where `resize` writes them.
            self.buffer = vec![0; size];
        } else if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        let into = self.buffer.get_mut(self.filled..size).unwrap_or_default();
        self.filled += self.file.read_up_to(into, self.start + self.filled as u64)?;
        Ok(())
    }
}
