//! What a frame of the journal says, and how that is written. Pure.
//!
//! | kind | header: topic, count, offset, millis | body |
//! |---|---|---|
//! | Data | topic; records; offset of the first; its millis | records, see `record.rs` |
//! | Topic, About | topic | name, about, keeps 0 or 1, dedup keys at most, for how many millis |
//! | TopicGone | topic | |
//! | Group | topic; group; where it starts | name, about |
//! | GroupGone | topic; group | |
//! | Marks | topic; group | runs: how many, then of each the gap to the one before and the length; notes, see [`Note`] |
//! | Seek | topic; group; the offset | what about it, if that is another one |
//! | Trim | topic; -; the offset | |
//! | Slot | -; slots there are now | |
//! | Idle, Close | | |

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::frame::{Frame, Header, Kind};
use crate::base::varint::{Take, put_bytes, put_u64};

/// One step of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Data { topic: u32, offset: u64, count: u32, millis: u64, keys: bool, records: &'a [u8] },
    Topic { topic: u32, name: Cow<'a, str>, terms: Cow<'a, Terms> },
    About { topic: u32, terms: Cow<'a, Terms> },
    TopicGone { topic: u32 },
    Group { topic: u32, group: u32, start: u64, name: Cow<'a, str>, about: Cow<'a, [u8]> },
    GroupGone { topic: u32, group: u32 },
    Marks { topic: u32, group: u32, marks: Cow<'a, Marks> },
    Seek { topic: u32, group: u32, to: u64, about: Cow<'a, [u8]> },
    Trim { topic: u32, floor: u64 },
    Slot { slots: u32 },
    Idle,
    Close,
}

/// What a topic is opened with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The caller's own, which the log does not read.
    pub(crate) about: Vec<u8>,
    /// What all groups have settled stays until it is trimmed.
    pub(crate) keeps: bool,
    /// So many dedup keys are remembered,
    pub(crate) most_keys: u64,
    /// for so long, by the milliseconds of the records.
    pub(crate) key_millis: u64,
}

/// What a group says of its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// It is done with these: from the first to one behind the last. In any order.
    pub(crate) done: Vec<(u64, u64)>,
    /// And not with these, of which the last word counts.
    pub(crate) notes: Vec<(u64, Note)>,
}

/// What is to be known of a message that a group is not done with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// Handlings that began.
    pub(crate) attempts: u32,
    /// Not before these milliseconds since 1970.
    pub(crate) due: u64,
    /// The caller's own.
    pub(crate) more: Vec<u8>,
}

impl Marks {
    pub(crate) fn append(&mut self, other: Marks) {
        self.done.extend(other.done);
        self.notes.extend(other.notes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.done.is_empty() && self.notes.is_empty()
    }

    /// Takes the last of each away.
    pub(crate) fn take_one(&mut self) -> Marks {
        Marks { done: self.done.pop().into_iter().collect(), notes: self.notes.pop().into_iter().collect() }
    }

    /// Runs in order, neighbours joined; of each message the last note, if the group is not done with it.
    pub(crate) fn tidy(&mut self) {
        self.tidy_runs();
        let notes: BTreeMap<u64, Note> = self.notes.drain(..).collect();
        let done = |at| {
            let behind = self.done.partition_point(|(from, _)| *from <= at);
            behind.checked_sub(1).and_then(|before| self.done.get(before)).is_some_and(|(_, to)| at < *to)
        };
        self.notes = notes.into_iter().filter(|(at, _)| !done(*at)).collect();
    }

    fn tidy_runs(&mut self) {
        self.done.retain(|(from, to)| from < to);
        self.done.sort_unstable();
        self.done.dedup_by(|next, before| {
            let joins = next.0 <= before.1;
            if joins {
                before.1 = before.1.max(next.1);
            }
            joins
        });
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_runs(out, 0, self.done.iter().copied());
        put_notes(out, self.notes.iter().map(|(at, note)| (*at, note)));
    }

    fn take(take: &mut Take<'_>) -> Option<Marks> {
        Some(Marks { done: take_runs(take, 0)?, notes: take_notes(take)? })
    }
}

/// Runs, in order and apart, each from the first to one behind the last.
pub(crate) fn put_runs(out: &mut Vec<u8>, floor: u64, runs: impl Iterator<Item = (u64, u64)>) {
    let (mut many, mut before, mut body) = (0, floor, Vec::new());
    for (from, to) in runs {
        put_u64(&mut body, from.saturating_sub(before));
        put_u64(&mut body, to.saturating_sub(from));
        (before, many) = (to, many + 1);
    }
    put_u64(out, many);
    out.extend(body);
}

pub(crate) fn take_runs(take: &mut Take<'_>, floor: u64) -> Option<Vec<(u64, u64)>> {
    let (many, mut before, mut runs) = (take.u64()?, floor, Vec::new());
    for _ in 0..many {
        let from = before.checked_add(take.u64()?)?;
        before = from.checked_add(take.u64()?)?;
        runs.push((from, before));
    }
    Some(runs)
}

pub(crate) fn put_notes<'a>(out: &mut Vec<u8>, notes: impl ExactSizeIterator<Item = (u64, &'a Note)>) {
    put_u64(out, notes.len() as u64);
    for (at, note) in notes {
        put_u64(out, at);
        put_u64(out, note.attempts.into());
        put_u64(out, note.due);
        put_bytes(out, &note.more);
    }
}

pub(crate) fn take_notes(take: &mut Take<'_>) -> Option<Vec<(u64, Note)>> {
    let (many, mut notes) = (take.u64()?, Vec::new());
    for _ in 0..many {
        let (at, attempts) = (take.u64()?, u32::try_from(take.u64()?).ok()?);
        notes.push((at, Note { attempts, due: take.u64()?, more: take.sized()?.to_vec() }));
    }
    Some(notes)
}

impl Terms {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.about);
        put_u64(out, self.keeps.into());
        put_u64(out, self.most_keys);
        put_u64(out, self.key_millis);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Option<Terms> {
        let about = take.sized()?.to_vec();
        let keeps = take.u64().filter(|flag| *flag < 2)? == 1;
        Some(Terms { about, keeps, most_keys: take.u64()?, key_millis: take.u64()? })
    }
}

impl<'a> Change<'a> {
    /// The topic that it is about.
    pub(crate) fn topic(&self) -> Option<u32> {
        match self {
            Change::Data { topic, .. }
            | Change::Topic { topic, .. }
            | Change::About { topic, .. }
            | Change::TopicGone { topic }
            | Change::Group { topic, .. }
            | Change::GroupGone { topic, .. }
            | Change::Marks { topic, .. }
            | Change::Seek { topic, .. }
            | Change::Trim { topic, .. } => Some(*topic),
            Change::Slot { .. } | Change::Idle | Change::Close => None,
        }
    }

    /// Its header, but for the numbers that the journal gives, and its body.
    pub(crate) fn to_frame(&self) -> (Header, Cow<'a, [u8]>) {
        let mut body = Vec::new();
        let of = |kind, topic, count, offset| Header { topic, count, offset, ..Header::new(kind) };
        let header = match self {
            Change::Data { topic, offset, count, millis, keys, records } => {
                let header = of(Kind::Data, *topic, *count, *offset);
                return (Header { keys: *keys, millis: *millis, ..header }, Cow::Borrowed(*records));
            }
            Change::Topic { topic, name, terms } => {
                put_bytes(&mut body, name.as_bytes());
                terms.put(&mut body);
                of(Kind::Topic, *topic, 0, 0)
            }
            Change::About { topic, terms } => {
                terms.put(&mut body);
                of(Kind::About, *topic, 0, 0)
            }
            Change::TopicGone { topic } => of(Kind::TopicGone, *topic, 0, 0),
            Change::Group { topic, group, start, name, about } => {
                put_bytes(&mut body, name.as_bytes());
                put_bytes(&mut body, about);
                of(Kind::Group, *topic, *group, *start)
            }
            Change::GroupGone { topic, group } => of(Kind::GroupGone, *topic, *group, 0),
            Change::Marks { topic, group, marks } => {
                marks.put(&mut body);
                of(Kind::Marks, *topic, *group, 0)
            }
            Change::Seek { topic, group, to, about } => {
                body.extend_from_slice(about);
                of(Kind::Seek, *topic, *group, *to)
            }
            Change::Trim { topic, floor } => of(Kind::Trim, *topic, 0, *floor),
            Change::Slot { slots } => of(Kind::Slot, 0, *slots, 0),
            Change::Idle => of(Kind::Idle, 0, 0, 0),
            Change::Close => of(Kind::Close, 0, 0, 0),
        };
        (header, Cow::Owned(body))
    }

    /// What a frame says; `None` if it is none of the journal's, or its body is not what its kind asks for.
    pub(crate) fn of(frame: &Frame<'a>) -> Option<Change<'a>> {
        let Header { kind, keys, topic, count, offset, millis, .. } = frame.header;
        let mut take = Take::new(frame.body);
        let change = match kind {
            Kind::Data => {
                return Some(Change::Data { topic, offset, count, millis, keys, records: frame.body });
            }
            Kind::Topic => {
                let name = take_text(&mut take)?.into();
                Change::Topic { topic, name, terms: Cow::Owned(Terms::take(&mut take)?) }
            }
            Kind::About => Change::About { topic, terms: Cow::Owned(Terms::take(&mut take)?) },
            Kind::TopicGone => Change::TopicGone { topic },
            Kind::Group => {
                let (name, about) = (take_text(&mut take)?.into(), take.sized()?.into());
                Change::Group { topic, group: count, start: offset, name, about }
            }
            Kind::GroupGone => Change::GroupGone { topic, group: count },
            Kind::Marks => Change::Marks { topic, group: count, marks: Cow::Owned(Marks::take(&mut take)?) },
            Kind::Seek => {
                let about = take.rest().into();
                Change::Seek { topic, group: count, to: offset, about }
            }
            Kind::Trim => Change::Trim { topic, floor: offset },
            Kind::Slot => Change::Slot { slots: count },
            Kind::Idle => Change::Idle,
            Kind::Close => Change::Close,
            Kind::Checkpoint | Kind::Segment | Kind::Turn => return None,
        };
        take.is_empty().then_some(change)
    }
}

/// A text, behind its length.
pub(crate) fn take_text<'a>(take: &mut Take<'a>) -> Option<&'a str> {
    std::str::from_utf8(take.sized()?).ok()
}
