//! Makes a new log of what is whole of a damaged one.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::rebuild::{Rebuilt, rebuild};
use super::report::{GivenUp, Salvaged, SalvagedTopic};
use super::survey::Survey;
use super::walk::{Walked, walk};
use crate::log::change::Marks;
use crate::log::checkpoint::{Checkpoint, unsynced};
use crate::log::error::LogError;
use crate::log::frame::{Frame, Header, Kind, frame_len};
use crate::log::journal::{Journal, Position};
use crate::log::layout::{self, Uuid};
use crate::log::open::{self, Options};
use crate::log::record::{self, Record, Records};
use crate::log::segment::{self, SegmentWriter};
use crate::log::state::{State, TopicState};
use crate::log::vfs::Vfs;
use crate::log::writer::Seeds;

/// The body of a record that stands in for one that is lost.
///
/// For a broker it is a message with the header `callboard.lost` and no payload.
pub const LOST: &[u8] = b"\x02\x01\x0ecallboard.lost\x00";

/// Fillers of one frame, at most.
const FILLERS: u64 = 4096;

/// Makes a new log in the directory `to` of all that is whole of the one in `from`, which is not changed.
///
/// Topics and groups keep their numbers and names, and **each record keeps its offset**, and so its id. Where records are
/// lost in the middle, others stand in for them, with the body [`LOST`]: all groups are done with these, so only who
/// reads the topic's history, or a group that begins there, sees them. Records lost before the first whole one have no
/// stand-in: the topic begins later. What groups have settled is kept as far as it is known: what is not they get again.
///
/// `entropy` is any number that was not used before: the new log is told from others by it.
///
/// If `from` has lost its checkpoint, the topics are put together from their segments and the journal. Then groups of
/// which the journal's files say nothing are lost, and what others had settled before; and what was deleted long ago may be
/// back.
///
/// # Errors
/// [`LogError::Locked`]: a process has `from` open. [`LogError::NotALog`]: `to` is not empty, or `from` is no log.
/// [`LogError::Invalid`]: `to` is in `from`. [`LogError::Io`] and others as the file system fails; then `to` holds
/// no log, and what it holds can be deleted.
pub fn salvage(vfs: &Arc<dyn Vfs>, from: &Path, to: &Path, entropy: u64) -> Result<Salvaged, LogError> {
    if to.starts_with(from) {
        return Err(LogError::Invalid { why: "a log is salvaged into a directory outside of it" });
    }
    let survey = Survey::of(vfs, from)?;
    if survey.locked == Some(true) {
        return Err(LogError::Locked { dir: from.to_path_buf() });
    }
    let Rebuilt { state, given_up } = rebuild(&survey)?;
    open::make_dir(&**vfs, to)?;
    let fail = |call| move |error| LogError::io(call, to, error);
    if let Some(found) = vfs.list(to).map_err(fail("list"))?.into_iter().next() {
        return Err(LogError::NotALog { found });
    }
    let lock = layout::lock(to);
    let _guard = vfs.lock(&lock).map_err(|error| LogError::io("lock", &lock, error))?;
    for made in [layout::journal(to), layout::topics(to)] {
        vfs.create_dir(&made).map_err(|error| LogError::io("create", &made, error))?;
    }
    // As in `open.rs`: the writer must not draw the same again.
    let mut seeds = Seeds(!entropy);
    let uuid = Uuid((u128::from(seeds.next()) << 64 | u128::from(seeds.next())).to_le_bytes());
    let Options { slot_bytes, roll_bytes, .. } = Options::new(entropy);
    let slot_bytes = survey.checkpoint.as_ref().map_or(slot_bytes, |checkpoint| checkpoint.slot_bytes);
    let mut job = Job { vfs, survey: &survey, to, uuid, roll_bytes, state: state.clone() };
    let mut salvaged = Salvaged { given_up, torn: super::torn(&survey), ..Salvaged::default() };
    let mut damage = Vec::new();
    for (number, topic) in &state.topics {
        let walked = job.topic(*number, topic.clone(), &mut salvaged)?;
        damage.extend(walked.damage);
        let bytes = |(file, bytes)| GivenUp::Bytes { file, bytes };
        salvaged.given_up.extend(walked.holes.into_iter().map(bytes));
    }
    salvaged.damage = survey.all_damage(damage);
    let state = State { slots: 1, ..job.state };
    let journal = Journal::create(vfs.clone(), layout::journal(to), uuid, slot_bytes, seeds.seed())?;
    vfs.sync_dir(to).map_err(|error| unsynced(LogError::io("sync", to, error)))?;
    let next = Position { turn: 1, ..journal.position() };
    // The last step: before it the directory holds no log.
    Checkpoint { uuid, slot_bytes, lsn: 0, next, state }.save(vfs, to)?;
    Ok(salvaged)
}

struct Job<'a> {
    vfs: &'a Arc<dyn Vfs>,
    survey: &'a Survey,
    to: &'a Path,
    uuid: Uuid,
    roll_bytes: u64,
    /// What the new log will hold.
    state: State,
}

/// A topic on its way.
struct Copying<'a> {
    writer: SegmentWriter<'a>,
    /// The first offset that is there, and the one that is wanted next.
    first: Option<u64>,
    next: u64,
    millis: u64,
    seq: Option<u64>,
    records: u64,
    lost: Vec<(u64, u64)>,
}

impl Job<'_> {
    fn topic(
        &mut self,
        number: u32,
        mut topic: TopicState,
        salvaged: &mut Salvaged,
    ) -> Result<Walked, LogError> {
        topic.segments.clear();
        let writer = SegmentWriter::new(self.vfs, self.to, self.uuid, (number, &topic), self.roll_bytes);
        let (next, lost) = (topic.floor, Vec::new());
        let mut copying = Copying { writer, first: None, next, millis: 0, seq: None, records: 0, lost };
        let source = (number, &self.state);
        let walked = walk(self.survey, source, topic.floor, &mut |frame| {
            copying.copy(frame)?;
            Ok(ControlFlow::Continue(()))
        })?;
        if copying.next < topic.next {
            let (from, millis) = (copying.next, copying.millis);
            match copying.first {
                Some(_) => copying.fill(number, topic.next, millis)?,
                None => copying.next = topic.next,
            }
            copying.lost.push((from, topic.next));
        }
        let Copying { writer, first, next, millis, seq, records, lost } = copying;
        let mut new_dir = false;
        let segments = writer.finish(&mut new_dir)?;
        if new_dir {
            segment::sync_dir(&**self.vfs, &layout::topics(self.to))?;
        }
        let floor = first.map_or(next, |first| first.max(topic.floor));
        let offsets =
            |(from, to): &(u64, u64)| GivenUp::Records { topic: topic.name.clone(), offsets: *from..*to };
        salvaged.given_up.extend(lost.iter().map(offsets));
        let inner = |(from, to): &(u64, u64)| (*from >= floor).then_some((*from, *to));
        let done: Vec<(u64, u64)> = lost.iter().filter_map(inner).collect();
        let (name, fillers) = (topic.name.clone(), done.iter().map(|(from, to)| to - from).sum());
        salvaged.topics.push(SalvagedTopic { number, name, floor, next, records, fillers });
        let marks = Marks { done, notes: Vec::new() };
        topic.groups.values_mut().for_each(|group| group.mark(&marks));
        if millis > topic.millis {
            (topic.millis, topic.seq) = (millis, seq);
        }
        (topic.floor, topic.next, topic.segments) = (floor, next, segments);
        self.state.topics.insert(number, topic);
        Ok(walked)
    }
}

impl Copying<'_> {
    fn copy(&mut self, frame: &Frame<'_>) -> Result<(), LogError> {
        let Header { offset, count, millis, topic, .. } = frame.header;
        if offset > self.next {
            let from = self.next;
            if self.first.is_some() {
                self.fill(topic, offset, self.millis.min(millis))?;
            }
            self.lost.push((from, offset));
        }
        // The first may begin before what is of use.
        let skipped = self.next.saturating_sub(offset);
        self.first.get_or_insert(offset);
        self.writer.push(frame)?;
        if let Some(last) = record::Iter::new(frame.body, millis, count).last() {
            (self.millis, self.seq) = (last.millis, last.seq);
        }
        self.next = offset + u64::from(count);
        self.records += u64::from(count).saturating_sub(skipped);
        Ok(())
    }

    /// Puts fillers in, up to this offset.
    fn fill(&mut self, topic: u32, to: u64, millis: u64) -> Result<(), LogError> {
        let mut at = self.next;
        // With the id of the last before them, if that was given: what follows is above that.
        let seq = self.seq;
        while at < to {
            let mut records = Records::default();
            for _ in at..to.min(at + FILLERS) {
                records.push(&Record { millis, seq, key: None, body: LOST });
            }
            let (count, body) = (records.count(), records.bytes());
            let header = Header { topic, count, offset: at, millis, ..Header::new(Kind::Data) };
            self.writer.push(&Frame { header, body, len: frame_len(body.len()) })?;
            at += u64::from(count);
        }
        self.next = to;
        Ok(())
    }
}
