//! Reads the frames of a file, and goes on behind what is none.

use std::io;

use super::unseed::seed_of;
use crate::log::frame::{self, ALIGN, Frame, HEADER, Header, MAGIC, frame_len};
use crate::log::record;
use crate::log::scan::Scan;
use crate::log::vfs::VfsFile;

/// What lies at a place in a file.
pub(crate) enum Catch<'a> {
    Frame {
        at: u64,
        frame: Frame<'a>,
        /// All of it is proven but for its first four bytes, which were others.
        mended: bool,
    },
    Hole(Hole),
    End,
}

/// A stretch without a whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// What the frame that begins it claims to be, which nothing proves.
    pub(crate) claims: Option<Header>,
}

pub(crate) struct Trawl<'a> {
    file: &'a dyn VfsFile,
    scan: Scan<'a>,
    seed: u32,
    end: u64,
    /// The length of what was caught last.
    pending: usize,
    mended: Vec<u8>,
}

impl<'a> Trawl<'a> {
    pub(crate) fn new(file: &'a dyn VfsFile, seed: u32, from: u64, end: u64) -> Trawl<'a> {
        let end = end.max(from);
        Trawl { file, scan: Scan::new(file, from, end), seed, end, pending: 0, mended: Vec::new() }
    }

    pub(crate) fn next(&mut self) -> io::Result<Catch<'_>> {
        self.scan.skip(std::mem::take(&mut self.pending));
        self.scan.keep();
        let at = self.scan.position();
        if at >= self.end {
            return Ok(Catch::End);
        }
        // Why twice: a frame borrows from the scan, and what follows if there is none needs that.
        if let Ok(len) = self.scan.frame(self.seed)?.map(|frame| frame.len) {
            self.pending = len;
            return Ok(match self.scan.frame(self.seed)? {
                Ok(frame) => Catch::Frame { at, frame, mended: false },
                Err(_) => Catch::End,
            });
        }
        let claimed = self.claimed(at)?;
        if let Some(bytes) = claimed {
            let len = bytes.len();
            self.mended = bytes;
            if frame::read(&self.mended, self.seed).is_ok() {
                self.scan = Scan::new(self.file, at + len as u64, self.end);
                return Ok(match frame::read(&self.mended, self.seed) {
                    Ok(frame) => Catch::Frame { at, frame, mended: true },
                    Err(_) => Catch::End,
                });
            }
            return self.hole(at, Some(len));
        }
        self.hole(at, None)
    }

    /// The bytes of the frame that seems to lie here, with the beginning that it should have.
    fn claimed(&self, at: u64) -> io::Result<Option<Vec<u8>>> {
        let head = self.file.read_vec(at, HEADER)?;
        let body = head.get(8..12).and_then(|bytes| bytes.first_chunk()).map(|len| u32::from_le_bytes(*len));
        let len = body.filter(|_| head.len() == HEADER).map(|body| frame_len(body as usize));
        let Some(len) = len.filter(|len| *len as u64 <= self.end - at) else { return Ok(None) };
        let mut bytes = self.file.read_vec(at, len)?;
        if let Some(magic) = bytes.first_chunk_mut() {
            *magic = MAGIC;
        }
        Ok(Some(bytes).filter(|bytes| bytes.len() == len))
    }

    /// Where the hole ends that begins here. If its frame is as long as it says, behind that.
    fn hole(&mut self, from: u64, len: Option<usize>) -> io::Result<Catch<'_>> {
        let mut claims = None;
        if let Some(len) = len {
            let to = from + len as u64;
            let goes_on = Scan::new(self.file, to, self.end).frame(self.seed)?.is_ok();
            if goes_on || to == self.end {
                claims = claims_of(&self.mended);
                self.scan = Scan::new(self.file, to, self.end);
                return Ok(Catch::Hole(Hole { from, to, claims }));
            }
        }
        let mut scan = Scan::new(self.file, from + ALIGN as u64, self.end);
        while scan.find()? {
            if scan.frame(self.seed)?.is_ok() {
                let to = scan.position();
                self.scan = Scan::new(self.file, to, self.end);
                return Ok(Catch::Hole(Hole { from, to, claims }));
            }
            scan.skip(ALIGN);
            scan.keep();
        }
        self.scan = Scan::new(self.file, self.end, self.end);
        Ok(Catch::Hole(Hole { from, to: self.end, claims }))
    }
}

/// What a frame says of itself whose checksum is wrong.
fn claims_of(bytes: &[u8]) -> Option<Header> {
    let frame = frame::read(bytes, right_seed(bytes)?).ok()?;
    let (mut header, mut records) = (frame.header, 0);
    // Which of both is damaged, its count or its records? If these go up to the end, they are not.
    let mut iter = record::Iter::new(frame.body, 0, u32::MAX);
    while !iter.is_at_end() && iter.next().is_some() {
        records += 1;
    }
    if iter.is_at_end() && records > 0 {
        header.count = records;
    }
    Some(header)
}

/// The seed that makes a frame's checksum right.
pub(crate) fn right_seed(bytes: &[u8]) -> Option<u32> {
    let sum = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?);
    Some(seed_of(bytes.get(8..)?, sum))
}
