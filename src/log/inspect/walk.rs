//! A topic's whole frames, in order, wherever they lie.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use super::slots::Found;
use super::survey::Survey;
use super::trawl::{Catch, Trawl};
use crate::log::error::{Damage, LogError};
use crate::log::frame::{self, Frame, Header, Kind};
use crate::log::layout;
use crate::log::record;
use crate::log::segment;
use crate::log::state::{Extent, State};
use crate::log::vfs::OpenMode;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) damage: Vec<Damage>,
    /// Stretches of segments without a whole frame.
    pub(crate) holes: Vec<(PathBuf, Range<u64>)>,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// Is handed each frame, and may stop.
pub(crate) type Visit<'v> = dyn FnMut(&Frame<'_>) -> Result<ControlFlow<()>, LogError> + 'v;

/// Visits the frames with records of a topic from an offset on. None overlaps with the one before.
pub(crate) fn walk(
    survey: &Survey,
    (number, state): (u32, &State),
    from: u64,
    visit: &mut Visit<'_>,
) -> Result<Walked, LogError> {
    let data = |at: &&(usize, Found)| at.1.header.kind == Kind::Data && at.1.header.topic == number;
    // Of two with the same offset the one that came later counts.
    let journal = survey.frames.iter().filter(data).map(|at| (at.1.header.offset, *at)).collect();
    let end = state.topics.get(&number).filter(|_| survey.checkpoint.is_some()).map(|topic| topic.next);
    let (walked, end) = (Walked::default(), end.unwrap_or(u64::MAX));
    let mut walk = Walk { survey, number, journal, next: from, begun: false, end, walked, visit };
    let mut done = ControlFlow::Continue(());
    for extent in survey.extents(number, state) {
        if extent.end > walk.next && done.is_continue() {
            done = walk.segment(extent)?;
        }
    }
    if done.is_continue() {
        let _ = walk.journal_up_to(u64::MAX)?;
    }
    Ok(walk.walked)
}

struct Walk<'s, 'v, 'c> {
    survey: &'s Survey,
    number: u32,
    journal: BTreeMap<u64, (usize, Found)>,
    /// The offset that is wanted next.
    next: u64,
    begun: bool,
    /// One behind the last.
    end: u64,
    walked: Walked,
    visit: &'v mut Visit<'c>,
}

impl Walk<'_, '_, '_> {
    fn segment(&mut self, extent: Extent) -> Result<ControlFlow<()>, LogError> {
        let path = layout::segment(&self.survey.dir, self.number, extent.base);
        let file = match self.survey.vfs.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.damaged(&path, 0, "a segment is missing");
                return Ok(ControlFlow::Continue(()));
            }
            Err(error) => return Err(LogError::io("open", &path, error)),
        };
        let fail = |error| LogError::io("read", &path, error);
        let len = file.len().map_err(fail)?;
        if len < extent.bytes {
            self.damaged(&path, len, "a segment is cut short");
        }
        let Some(uuid) = self.survey.uuid else { return Ok(ControlFlow::Continue(())) };
        let mut trawl = Trawl::new(&*file, segment::seed(uuid), 0, len.min(extent.bytes));
        // Where the next frame is to go on; `None` behind a hole.
        let mut expected = Some(extent.base);
        loop {
            match trawl.next().map_err(fail)? {
                Catch::End => break,
                Catch::Hole(hole) => {
                    // Without a checkpoint nothing says how much of it counts.
                    let counts = self.survey.checkpoint.is_some() || hole.to < len;
                    expected = None;
                    if counts {
                        self.damaged(&path, hole.from, "a frame is not what was written");
                        self.walked.holes.push((path.clone(), hole.from..hole.to));
                    }
                }
                Catch::Frame { at, frame, mended } => {
                    if mended {
                        self.damaged(&path, at, "the first bytes of a frame are not what was written");
                    }
                    self.walked.frames += 1;
                    self.walked.bytes += frame.len as u64;
                    let Header { kind, topic, count, .. } = frame.header;
                    if (at == 0) != (kind == Kind::Segment) || topic != self.number {
                        self.damaged(&path, at, "a frame is of another topic, or of none");
                    } else if kind == Kind::Data {
                        if expected.is_some_and(|offset| offset != frame.header.offset) {
                            self.damaged(&path, at, "offsets are missing before a frame");
                        }
                        expected = frame.header.offset.checked_add(count.into());
                        if self.take(&path, at, &frame)?.is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
            }
        }
        if self.survey.checkpoint.is_some() && expected.is_some_and(|offset| offset != extent.end) {
            self.damaged(&path, extent.bytes, "offsets are missing at its end");
        }
        Ok(ControlFlow::Continue(()))
    }

    /// A frame of a segment.
    fn take(&mut self, path: &Path, at: u64, frame: &Frame<'_>) -> Result<ControlFlow<()>, LogError> {
        let offset = frame.header.offset;
        // Why: what the journal has was synced there. What a segment has may be of a commit that never was, if no
        // checkpoint says how much of it counts.
        let up_to = if self.survey.checkpoint.is_none() { offset.saturating_add(1) } else { offset };
        if self.journal_up_to(up_to)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.hand(path, at, frame)
    }

    /// Hands on what the journal has of the offsets before `up_to`.
    fn journal_up_to(&mut self, up_to: u64) -> Result<ControlFlow<()>, LogError> {
        while let Some((offset, (slot, found))) = self.journal.pop_first() {
            if offset >= up_to {
                self.journal.insert(offset, (slot, found));
                break;
            }
            let Some(slot) = self.survey.slot(slot) else { continue };
            if offset + u64::from(found.header.count) <= self.next {
                continue;
            }
            let (bytes, path) = (slot.bytes(&found)?, slot.path.clone());
            let handed = match frame::read(&bytes, slot.seed()) {
                Ok(frame) => self.hand(&path, found.at, &frame)?,
                Err(_) => {
                    self.damaged(&path, found.at, "a frame changed while it was read");
                    ControlFlow::Continue(())
                }
            };
            if handed.is_break() {
                return Ok(handed);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn hand(&mut self, path: &Path, at: u64, frame: &Frame<'_>) -> Result<ControlFlow<()>, LogError> {
        let Header { offset, count, millis, .. } = frame.header;
        let Some(end) = offset.checked_add(count.into()) else { return Ok(ControlFlow::Continue(())) };
        if end <= self.next || end > self.end || (self.begun && offset < self.next) {
            return Ok(ControlFlow::Continue(()));
        }
        let mut records = record::Iter::new(frame.body, millis, count);
        records.by_ref().for_each(drop);
        if !records.is_whole() {
            self.damaged(path, at, "its records are not what its header says");
            return Ok(ControlFlow::Continue(()));
        }
        (self.next, self.begun) = (end, true);
        (self.visit)(frame)
    }

    fn damaged(&mut self, file: &Path, at: u64, what: &'static str) {
        self.walked.damage.push(Damage { file: file.to_path_buf(), at, lsn: None, what });
    }
}
