//! The checkpoint: the state as of one lsn, in one frame, in a file that is replaced by renaming.
//!
//! Its body, numbers as varints but for the version: version u32, uuid, bytes of a slot, turn and position of the next frame,
//! slots, next topic, closed; then how many topics, and each: number, name, terms, next offset, floor, millis, seq (0, or
//! 1 and it, or 2 and then 0, or 1 and it), next group; groups: number, name, about, floor, runs, notes; keys: millis, offset,
//! behind a 2 its seq (0, or 1 and it), key; segments: base, end, bytes.

use std::path::Path;
use std::sync::Arc;

use super::change::{Terms, put_notes, put_runs, take_notes, take_runs, take_text};
use super::error::LogError;
use super::frame::{self, Header, Kind, NoFrame};
use super::journal::{Position, SLOT_START, is_slot_size};
use super::layout::{self, Uuid};
use super::ranges::Ranges;
use super::state::{Extent, GroupState, KnownKey, State, TopicState};
use super::vfs::{OpenMode, Vfs};
use super::writer::SLOTS;
use crate::base::sync::{Mutex, MutexGuard, PoisonError};
use crate::base::varint::{Take, put_bytes, put_u64};
use crate::base::{Bug, planted};

/// The next checkpoint has room if it is so many times as large as this one, and so many bytes more.
const GROWTH: usize = 2;
const SPARE: usize = 4096;
/// No log comes so far; and what comes behind it has room in a number.
const MOST: u64 = 1 << 62;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) uuid: Uuid,
    pub(crate) slot_bytes: u64,
    /// The number of the first frame that is not in the state, and where in the journal it is to be.
    pub(crate) lsn: u64,
    pub(crate) next: Position,
    pub(crate) state: State,
}

impl Checkpoint {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut body = layout::FORMAT.to_le_bytes().to_vec();
        body.extend(self.uuid.0);
        let state = &self.state;
        let numbers =
            [self.slot_bytes, self.next.turn, self.next.at, state.slots.into(), state.next_topic.into()];
        numbers.into_iter().for_each(|number| put_u64(&mut body, number));
        put_u64(&mut body, state.closed.into());
        put_u64(&mut body, state.topics.len() as u64);
        for (number, topic) in &state.topics {
            put_u64(&mut body, (*number).into());
            put_topic(&mut body, topic);
        }
        let mut out = Vec::new();
        frame::push(&mut out, &Header { lsn: self.lsn, ..Header::new(Kind::Checkpoint) }, &body, 0);
        out
    }

    /// Reads what `file` holds.
    pub(crate) fn of(bytes: &[u8], file: &Path) -> Result<Checkpoint, LogError> {
        let damaged = |what| LogError::corrupt(file, 0, None, what);
        let frame = match frame::read(bytes, 0) {
            Ok(frame) if frame.header.kind == Kind::Checkpoint && frame.len == bytes.len() => frame,
            Ok(_) | Err(NoFrame::Unknown) => return Err(damaged("it is no checkpoint")),
            Err(_) => return Err(damaged("the checkpoint is not what was written")),
        };
        let mut take = Take::new(frame.body);
        let version = take.array().map(u32::from_le_bytes).ok_or_else(|| damaged("it is no checkpoint"))?;
        match version {
            layout::FORMAT => {}
            0 => return Err(damaged("it is of no version")),
            version => return Err(LogError::Newer { file: file.to_path_buf(), version }),
        }
        let read = take_checkpoint(&mut take, frame.header.lsn).filter(|_| take.is_empty());
        read.ok_or_else(|| damaged("the checkpoint says what none can say"))
    }

    /// Puts it in the place of the one that is there, on the disk.
    pub(crate) fn save(&self, vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<(), LogError> {
        let (new, place) = (layout::checkpoint_new(dir), layout::checkpoint(dir));
        let file = vfs.open_anew(&new).map_err(|error| LogError::io("create", &new, error))?;
        file.write_all_at(&self.to_bytes(), 0).map_err(|error| LogError::io("write", &new, error))?;
        file.sync_data().map_err(|error| unsynced(LogError::io("sync", &new, error)))?;
        vfs.rename(&new, &place).map_err(|error| LogError::io("rename", &new, error))?;
        if planted(Bug::NamelessCheckpoint) {
            return Ok(());
        }
        vfs.sync_dir(dir).map_err(|error| unsynced(LogError::io("sync", dir, error)))
    }
}

impl Checkpoint {
    /// Sees to it that the next one has room, however full the disk is by then: its file is there, full of zeros.
    ///
    /// Why: what is settled makes room only behind a checkpoint that says so. Why unheard: without it nothing is lost but that.
    pub(crate) fn hold_room(&self, vfs: &Arc<dyn Vfs>, dir: &Path) {
        let zeros = vec![0; self.to_bytes().len() * GROWTH + SPARE];
        // One that is there holds it, or is not ours.
        if let Ok(file) = vfs.open(&layout::checkpoint_new(dir), OpenMode::CreateNew) {
            drop(file.write_all_at(&zeros, 0));
        }
    }
}

/// Whoever writes a checkpoint, and then holds room for the next, has the disk's last room to himself: who makes a slot meanwhile waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Arc<Mutex<()>>);

impl Room {
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn is_taken(&self) -> bool {
        self.0.try_lock().is_err()
    }
}

/// A sync that failed is never a mere want of space: what it was to keep may be lost.
pub(crate) fn unsynced(error: LogError) -> LogError {
    LogError::Unknown { why: error.to_string().into() }
}

/// Says that the dedup keys of a topic have the seqs of their records.
const NAMED_KEYS: u64 = 2;

fn put_option(body: &mut Vec<u8>, number: Option<u64>) {
    put_u64(body, number.is_some().into());
    number.into_iter().for_each(|number| put_u64(body, number));
}

fn take_option(take: &mut Take<'_>) -> Option<Option<u64>> {
    Some(if flag(take)? { Some(take.u64()?) } else { None })
}

fn put_topic(body: &mut Vec<u8>, topic: &TopicState) {
    put_bytes(body, topic.name.as_bytes());
    topic.terms.put(body);
    [topic.next, topic.floor, topic.millis].into_iter().for_each(|number| put_u64(body, number));
    // Why by the keys: what has none is written as it always was.
    let named = topic.keys.iter().any(|known| known.seq.is_some());
    put_u64(body, if named { NAMED_KEYS } else { topic.seq.is_some().into() });
    match named {
        true => put_option(body, topic.seq),
        false => topic.seq.into_iter().for_each(|seq| put_u64(body, seq)),
    }
    put_u64(body, topic.next_group.into());
    put_u64(body, topic.groups.len() as u64);
    for (number, group) in &topic.groups {
        put_u64(body, (*number).into());
        put_bytes(body, group.name.as_bytes());
        put_bytes(body, &group.about);
        put_u64(body, group.done.floor());
        put_runs(body, group.done.floor(), group.done.runs());
        put_notes(body, group.notes.iter().map(|(at, note)| (*at, note)));
    }
    put_u64(body, topic.keys.len() as u64);
    for known in &topic.keys {
        put_u64(body, known.millis);
        put_u64(body, known.offset);
        if named {
            put_option(body, known.seq);
        }
        put_bytes(body, &known.key);
    }
    put_u64(body, topic.segments.len() as u64);
    for extent in &topic.segments {
        [extent.base, extent.end, extent.bytes].into_iter().for_each(|number| put_u64(body, number));
    }
}

fn take_checkpoint(take: &mut Take<'_>, lsn: u64) -> Option<Checkpoint> {
    let (uuid, slot_bytes) = (Uuid(take.array()?), take.u64()?);
    let next = Position { turn: take.u64()?, at: take.u64()? };
    let mut state = State { slots: small(take)?, next_topic: small(take)?, ..State::default() };
    state.closed = flag(take)?;
    for _ in 0..take.u64()? {
        let number = small(take).filter(|number| *number < state.next_topic)?;
        state.topics.insert(number, take_topic(take)?);
    }
    let sound = is_slot_size(slot_bytes)
        && (1..=SLOTS).contains(&(state.slots as usize))
        && (SLOT_START..=slot_bytes).contains(&next.at)
        && (1..MOST).contains(&next.turn)
        && lsn < MOST;
    sound.then_some(Checkpoint { uuid, slot_bytes, lsn, next, state })
}

fn take_topic(take: &mut Take<'_>) -> Option<TopicState> {
    let (name, terms) = (take_text(take)?.to_string(), Terms::take(take)?);
    let (next, floor, millis) = (take.u64()?, take.u64()?, take.u64()?);
    let (seq, named) = match take.u64()? {
        0 => (None, false),
        1 => (Some(take.u64()?), false),
        NAMED_KEYS => (take_option(take)?, true),
        _ => return None,
    };
    let next_group = small(take)?;
    let mut topic = TopicState { name, terms, next, floor, millis, seq, next_group, ..TopicState::default() };
    for _ in 0..take.u64()? {
        let number = small(take).filter(|number| *number < next_group)?;
        topic.groups.insert(number, take_group(take)?);
    }
    for _ in 0..take.u64()? {
        let (millis, offset) = (take.u64()?, take.u64()?);
        let seq = if named { take_option(take)? } else { None };
        topic.keys.push_back(KnownKey { key: take.sized()?.into(), millis, offset, seq });
    }
    for _ in 0..take.u64()? {
        topic.segments.push(Extent { base: take.u64()?, end: take.u64()?, bytes: take.u64()? });
    }
    let extents = topic.segments.iter();
    let mut extents = extents.map(|one| one.base < one.end && one.end <= next && one.bytes < MOST);
    let sound = floor <= next && next < MOST && extents.all(|sound| sound);
    (sound && Extent::lie_close(&topic.segments)).then_some(topic)
}

fn take_group(take: &mut Take<'_>) -> Option<GroupState> {
    let (name, about) = (take_text(take)?.to_string(), take.sized()?.to_vec());
    let mut done = Ranges::below(take.u64()?);
    for (from, to) in take_runs(take, done.floor())? {
        done.insert(from, to);
    }
    let notes = take_notes(take)?.into_iter().collect();
    Some(GroupState { name, about, done, notes })
}

fn small(take: &mut Take<'_>) -> Option<u32> {
    u32::try_from(take.u64()?).ok()
}

fn flag(take: &mut Take<'_>) -> Option<bool> {
    take.u64().filter(|flag| *flag < 2).map(|flag| flag == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids that were given are kept, of keys too; a topic without any is written as before there were such.
    #[test]
    fn a_topic_reads_back_as_it_was_with_ids_of_its_own_or_without() {
        let key = |seq| KnownKey { key: (*b"k").into(), millis: 4, offset: 6, seq };
        let of = |seq, keys: &[KnownKey]| {
            let keys = keys.iter().cloned().collect();
            TopicState { name: "t".into(), next: 7, millis: 5, seq, keys, ..TopicState::default() }
        };
        let mut all = Vec::new();
        for seq in [None, Some(0), Some(u64::MAX)] {
            for keys in [&[][..], &[key(None)], &[key(Some(3)), key(None)]] {
                let (mut bytes, topic) = (Vec::new(), of(seq, keys));
                put_topic(&mut bytes, &topic);
                let mut take = Take::new(&bytes);
                assert_eq!(take_topic(&mut take), Some(topic));
                assert!(take.is_empty());
                all.push(bytes);
            }
        }
        // The flag of the seq lies behind the name, the terms, and three numbers: no other byte is more for ids.
        assert_eq!((all[1].len() - all[0].len(), all[2].len() - all[1].len()), (4, 4 + 4));
    }
}
