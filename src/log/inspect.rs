//! Looking at a log from outside: what is in a directory, whether it is whole, and what of it can be saved.
//!
//! ```text
//!                 ┌─▶ inspect: topics, groups, files, sizes; what is damaged of journal and checkpoint
//!  directory ─────┼─▶ verify:  the same, and every byte of the segments
//!  (only read)    ├─▶ dump:    the records of a topic
//!                 └─▶ salvage: all that is whole ──▶ a new log, in another directory
//! ```
//!
//! # The problem
//! A log that is damaged is not opened, so that nobody goes on without what is lost. Then somebody must see what there is,
//! all of it and not only the first fault, and must be able to go on without the rest, knowing what the rest was.
//!
//! # The rules
//! - Nothing here changes the log that it looks at: it goes through a file system that refuses to. The lock is not
//!   needed. Who has it is found out by trying to take it, and that for a moment: a broker that is opened in that moment is
//!   told that the log is locked.
//! - **Replaying is the writer's own**, so what is told of a log that is whole is what opening finds. Only where that
//!   has to stop, other means begin: each slot is read by itself, each whole frame counts, wherever it lies, and what lies
//!   between them is a hole with two ends.
//! - What the disk can't read is read as zeros, in pages, and is damage like any other.
//! - **A guess is told as one.** A frame whose checksum is wrong says nothing but, at best, which offsets are missing.
//!   What is missing is told by file and byte, and by topic and offset if anything tells that.
//! - A first page of a slot that is damaged costs nothing: its seed follows from the frames behind it. So does a frame
//!   whose first four bytes are damaged, which its checksum does not need.
//!
//! # What it does not do
//! It repairs nothing in place. It does not go behind a lock: with a process writing, what is seen moves, and damage is looked at
//! three times before it is told. It looks into no record: what a message has beside its payload is the broker's,
//! see [`StoredMessage`](crate::broker::StoredMessage). It reads the journal's frames into a list, some 80 bytes
//! for each.

mod dump;
mod read_only;
mod rebuild;
mod report;
mod salvage;
mod slots;
mod survey;
mod trawl;
mod unseed;
mod verify;
mod walk;

// The schedule explorer runs none of these, which are most of what it would build.
#[cfg(test)]
#[cfg(not(callboard_shuttle))]
mod tests;

pub use dump::dump;
pub use report::{
    DumpedRecord, GivenUp, GroupInfo, Inspection, Salvaged, SalvagedTopic, SegmentInfo, SlotInfo, TopicInfo,
    TornTail, Verified,
};
pub use salvage::{LOST, salvage};
pub use verify::verify;

use std::path::Path;
use std::sync::Arc;

use self::rebuild::{Rebuilt, rebuild};
use self::survey::Survey;
use super::error::{Damage, LogError};
use super::frame::Kind;
use super::layout;
use super::open;
use super::state::{GroupState, State, TopicState};
use super::vfs::{EntryKind, OpenMode, Vfs};

/// A log that is open moves: what seems to be damaged may be so no more.
const LOOKS: usize = 3;

/// Tells what is in a directory with a log. It reads the checkpoint and the journal, and of segments whether they are there.
///
/// It changes nothing. Damage is no error: it is in the answer.
///
/// # Errors
/// [`LogError::Io`]: the directory can't be listed, or a file can't be opened. [`LogError::NotALog`]: there is no log.
/// [`LogError::Newer`]: a newer version wrote it.
pub fn inspect(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Inspection, LogError> {
    let mut looks = 1;
    loop {
        let survey = Survey::of(vfs, dir)?;
        let rebuilt = rebuild(&survey)?;
        let inspection = tell(&survey, &rebuilt, Vec::new())?;
        if inspection.damage.is_empty() || inspection.locked != Some(true) || looks == LOOKS {
            return Ok(inspection);
        }
        looks += 1;
    }
}

fn tell(survey: &Survey, rebuilt: &Rebuilt, more: Vec<Damage>) -> Result<Inspection, LogError> {
    let replay = survey.replay.as_ref();
    let state = replay.map_or(&rebuilt.state, |replay| &replay.state);
    let mut damage = more;
    let topics = state.topics.iter();
    let topics = topics.map(|(number, topic)| tell_topic(survey, state, *number, topic, &mut damage));
    let topics = topics.collect::<Result<Vec<_>, _>>()?;
    let last = survey.frames.last().map(|(_, found)| found.header);
    let lsn = replay.map_or_else(|| last.map_or(0, |header| header.lsn + 1), |replay| replay.lsn);
    let durable = survey.frames.iter().map(|(_, found)| found.header.durable).max().unwrap_or(0);
    Ok(Inspection {
        format: layout::FORMAT,
        uuid: survey.uuid.map(|uuid| uuid.0),
        locked: survey.locked,
        checkpoint_lsn: survey.first_lsn(),
        slots: tell_slots(survey),
        lsn,
        durable: durable.max(survey.first_lsn().unwrap_or(0)),
        closed: replay.is_some_and(|replay| replay.state.closed),
        torn: torn(survey),
        strangers: open::strangers(&survey.vfs, &survey.dir, state).unwrap_or_default(),
        topics,
        stopped: survey.stopped.clone(),
        damage: survey.all_damage(damage),
    })
}

/// The end that was being written, if nothing before it is damaged.
fn torn(survey: &Survey) -> Option<TornTail> {
    let replay = survey.replay.as_ref().filter(|_| survey.stopped.is_none())?;
    let torn = replay.torn?;
    let file = replay.journal.slots.get(torn.slot)?.path.clone();
    Some(TornTail { file, at: torn.from, bytes: torn.to - torn.from })
}

fn tell_slots(survey: &Survey) -> Vec<SlotInfo> {
    let first = survey.first_lsn().unwrap_or(0);
    let next = survey.replay.as_ref().map(|replay| replay.next.turn);
    let info = |slot: &slots::SlotView| SlotInfo {
        file: slot.path.clone(),
        bytes: slot.len,
        turn: slot.turn.map(|turn| turn.number),
        first_lsn: slot.turn.map_or(0, |turn| turn.first_lsn),
        frames: slot.frames.len() as u64,
        used: slot.end(),
        needed: slot.frames.last().is_some_and(|found| found.header.lsn >= first),
        current: slot.turn.is_some_and(|turn| Some(turn.number) == next),
    };
    survey.slots.iter().map(info).collect()
}

fn tell_topic(
    survey: &Survey,
    state: &State,
    number: u32,
    topic: &TopicState,
    damage: &mut Vec<Damage>,
) -> Result<TopicInfo, LogError> {
    let mut segments = Vec::new();
    for extent in survey.extents(number, state) {
        let file = layout::segment(&survey.dir, number, extent.base);
        let needed = extent.end > topic.floor;
        if needed && let Some((at, what)) = look_at_file(&*survey.vfs, &file, extent.bytes)? {
            damage.push(Damage { file: file.clone(), at, lsn: None, what });
        }
        let end = extent.end.min(topic.next.max(extent.base));
        segments.push(SegmentInfo { file, base: extent.base, end, bytes: extent.bytes, needed });
    }
    let moved = segments.last().map_or(topic.floor, |segment| segment.end.max(topic.floor));
    let data = survey.later().map(|(_, found)| found.header);
    let data = data.filter(|header| header.kind == Kind::Data && header.topic == number);
    let journal = data.map(|header| {
        let end = (header.offset + u64::from(header.count)).min(topic.next);
        end.saturating_sub(header.offset.max(moved))
    });
    let group = |(number, group): (&u32, &GroupState)| GroupInfo {
        number: *number,
        name: group.name.clone(),
        floor: group.done.floor(),
        lag: lag(topic, group),
        notes: group.notes.len() as u64,
    };
    Ok(TopicInfo {
        number,
        name: topic.name.clone(),
        about: topic.terms.about.clone(),
        keeps: topic.terms.keeps,
        floor: topic.floor,
        next: topic.next,
        last_millis: topic.millis,
        keys: topic.keys.len() as u64,
        journal_records: journal.sum(),
        segments,
        groups: topic.groups.iter().map(group).collect(),
    })
}

fn look_at_file(vfs: &dyn Vfs, file: &Path, bytes: u64) -> Result<Option<(u64, &'static str)>, LogError> {
    match vfs.kind(file).map_err(|error| LogError::io("stat", file, error))? {
        Some(EntryKind::File) => {}
        Some(_) => return Ok(Some((0, "a segment is not a file"))),
        None => return Ok(Some((0, "a segment is missing"))),
    }
    let open = vfs.open(file, OpenMode::Read).map_err(|error| LogError::io("open", file, error))?;
    let len = open.len().map_err(|error| LogError::io("stat", file, error))?;
    Ok((len < bytes).then_some((len, "a segment is cut short")))
}

/// What a group has still to settle.
fn lag(topic: &TopicState, group: &GroupState) -> u64 {
    let from = group.done.floor().max(topic.floor);
    let done = group.done.runs().map(|(start, end)| end.min(topic.next).saturating_sub(start.max(from)));
    topic.next.saturating_sub(from).saturating_sub(done.sum())
}
