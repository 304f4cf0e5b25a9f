//! The state of a log of which parts are missing: what can be said is said, and what can't is told.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::report::GivenUp;
use super::slots::SlotView;
use super::survey::Survey;
use crate::base::varint::Take;
use crate::log::change::{Change, Terms, take_text};
use crate::log::error::LogError;
use crate::log::frame::{self, Header, Kind};
use crate::log::layout;
use crate::log::segment;
use crate::log::state::{GroupState, State, TopicState};
use crate::log::vfs::OpenMode;

#[derive(Debug, Default)]
pub(crate) struct Rebuilt {
    pub(crate) state: State,
    pub(crate) given_up: Vec<GivenUp>,
}

/// What the log holds by all that is whole of it. A log without damage it holds what opening finds.
pub(crate) fn rebuild(survey: &Survey) -> Result<Rebuilt, LogError> {
    if let (Some(replay), true) = (&survey.replay, survey.is_whole()) {
        return Ok(Rebuilt { state: replay.state.clone(), given_up: Vec::new() });
    }
    let mut draft = Draft::new(survey);
    draft.tell_gaps(survey);
    let mut claims: Vec<(u64, Header, u64)> = survey.later_holes().filter_map(claim).collect();
    claims.sort_by_key(|(lsn, ..)| *lsn);
    let mut claims = claims.into_iter().peekable();
    for (slot, found) in survey.later() {
        while let Some((_, header, bytes)) = claims.next_if(|(lsn, ..)| *lsn < found.header.lsn) {
            draft.believe(&header, bytes);
        }
        let Some(slot) = survey.slot(*slot) else { continue };
        let bytes = slot.bytes(found)?;
        if let Some(change) = frame::read(&bytes, slot.seed()).ok().and_then(|frame| Change::of(&frame)) {
            draft.apply(&change);
        }
    }
    Ok(draft.finish(survey))
}

/// A frame that is damaged, if what it says of itself may be so.
fn claim(
    (_, hole, lsns): (&SlotView, super::trawl::Hole, std::ops::Range<u64>),
) -> Option<(u64, Header, u64)> {
    let header = hole.claims.filter(|header| lsns.start == header.lsn && header.kind == Kind::Data)?;
    Some((lsns.start, header, hole.to - hole.from))
}

struct Draft {
    state: State,
    given_up: Vec<GivenUp>,
    /// Below which offset nothing is of use. Why not what groups have settled: one may be missing.
    floors: BTreeMap<u32, u64>,
    /// The next offset of topics whose last frames are damaged, by what these say.
    believed: BTreeMap<u32, u64>,
    /// What is not there was deleted, and did not begin unseen.
    known: Option<State>,
}

impl Draft {
    fn new(survey: &Survey) -> Draft {
        let known = survey.checkpoint.as_ref().map(|checkpoint| checkpoint.state.clone());
        let mut given_up = Vec::new();
        let mut state = known.clone().unwrap_or_default();
        if known.is_none() {
            let known_from = survey.frames.first().map(|(_, found)| found.header.lsn);
            given_up.push(GivenUp::Checkpoint { file: layout::checkpoint(&survey.dir), known_from });
            state = of_segments(survey);
        }
        state.closed = false;
        let floors = state.topics.iter().map(|(number, topic)| (*number, topic.floor)).collect();
        Draft { state, given_up, floors, believed: BTreeMap::new(), known }
    }

    /// Tells which frames are missing.
    fn tell_gaps(&mut self, survey: &Survey) {
        let first = survey.frames.first().map(|(_, found)| found.header.lsn);
        let mut expected = survey.first_lsn().or(first).unwrap_or(0);
        for (_, found) in survey.later() {
            let lsn = found.header.lsn;
            if lsn > expected {
                let mut holes = survey.later_holes().filter(|(.., lsns)| lsns.end == lsn);
                let place = holes.next().map(|(slot, hole, _)| (slot.path.clone(), hole.from..hole.to));
                self.given_up.push(GivenUp::Frames { lsns: expected..lsn, place });
            }
            expected = lsn + 1;
        }
    }

    /// Of a damaged frame with records: these offsets were given away, unless what follows says others.
    fn believe(&mut self, header: &Header, bytes: u64) {
        let Some(topic) = self.state.topics.get(&header.topic) else { return };
        let next = self.believed.entry(header.topic).or_insert(topic.next);
        // The smallest record has three bytes.
        if header.offset == *next && u64::from(header.count) <= bytes / 3 {
            *next += u64::from(header.count);
        }
    }

    fn apply(&mut self, change: &Change<'_>) {
        if let Change::Topic { topic, name, terms } = change
            && let Some(there) = self.state.topics.get_mut(topic)
        {
            (there.name, there.terms) = (name.to_string(), terms.as_ref().clone());
            return;
        }
        if let Change::Topic { topic, name, .. } = change
            && let Some(before) = self.state.topic_named(name).filter(|before| before < topic)
        {
            self.state.topics.remove(&before);
        }
        if let Change::TopicGone { topic } = change {
            self.state.topics.remove(topic);
            self.state.next_topic = self.state.next_topic.max(topic.saturating_add(1));
            return;
        }
        let topic = change.topic().filter(|_| !matches!(change, Change::Topic { .. }));
        if let Some(number) = topic
            && !self.has_topic(number)
        {
            return;
        }
        match change {
            Change::Data { topic, offset, .. } => {
                let Some(there) = self.state.topics.get_mut(topic) else { return };
                if *offset < there.next {
                    return;
                }
                there.next = *offset;
                self.believed.remove(topic);
            }
            Change::Group { topic, group, name, .. } => {
                let Some(there) = self.state.topics.get_mut(topic) else { return };
                // Names are unique: so the one before ended in a frame that is missing.
                if let Some(before) = there.group_named(name).filter(|before| before < group) {
                    there.groups.remove(&before);
                }
            }
            Change::Marks { topic, group, marks } => {
                if !self.has_group(*topic, *group) {
                    return;
                }
                let end = marks.done.iter().map(|(_, end)| *end).max().unwrap_or(0);
                if let Some(there) = self.state.topics.get_mut(topic) {
                    there.next = there.next.max(end);
                }
            }
            Change::Seek { topic, group, .. } if !self.has_group(*topic, *group) => return,
            Change::Trim { topic, floor } => {
                let at = self.floors.entry(*topic).or_default();
                *at = floor.max(at).to_owned();
            }
            _ => {}
        }
        // What does not fit follows from what is missing.
        let _ = self.state.apply(change);
    }

    /// Whether frames of this topic count: it is there, or it began in a frame that is missing.
    fn has_topic(&mut self, number: u32) -> bool {
        if self.state.topics.contains_key(&number) {
            return true;
        }
        if self.known.is_some() && number < self.state.next_topic {
            return false;
        }
        let name =
            free_name(format!("salvaged-topic-{number}"), |name| self.state.topic_named(name).is_some());
        self.given_up.push(GivenUp::TopicName { number, now: name.clone() });
        self.state.topics.insert(number, TopicState { name, ..TopicState::default() });
        self.state.next_topic = self.state.next_topic.max(number.saturating_add(1));
        true
    }

    fn has_group(&mut self, topic: u32, number: u32) -> bool {
        let Some(there) = self.state.topics.get_mut(&topic) else { return false };
        if there.groups.contains_key(&number) {
            return true;
        }
        if self.known.is_some() && number < there.next_group {
            return false;
        }
        let name = free_name(format!("salvaged-group-{number}"), |name| there.group_named(name).is_some());
        let told = GivenUp::GroupName { topic: there.name.clone(), number, now: name.clone() };
        self.given_up.push(told);
        there.groups.insert(number, GroupState { name, ..GroupState::default() });
        there.next_group = there.next_group.max(number.saturating_add(1));
        true
    }

    fn finish(mut self, survey: &Survey) -> Rebuilt {
        for (number, topic) in &mut self.state.topics {
            topic.floor = self.floors.get(number).copied().unwrap_or(0);
            if self.known.is_none() {
                let frames = survey.frames.iter().map(|(_, found)| found.header);
                let data = frames.filter(|header| header.kind == Kind::Data && header.topic == *number);
                let journal = data.map(|header| header.offset).min();
                let segment = survey.extents(*number, &State::default()).first().map(|extent| extent.base);
                let first = journal.into_iter().chain(segment).min().unwrap_or(0);
                topic.floor = topic.floor.max(first);
            }
            let believed = self.believed.get(number).copied().unwrap_or(0);
            topic.next = topic.next.max(topic.floor).max(believed);
        }
        let next = self.state.topics.keys().next_back().map_or(0, |last| last.saturating_add(1));
        self.state.next_topic = self.state.next_topic.max(next);
        self.state.closed = false;
        Rebuilt { state: self.state, given_up: self.given_up }
    }
}

fn free_name(mut name: String, taken: impl Fn(&str) -> bool) -> String {
    while taken(&name) {
        name.push('~');
    }
    name
}

/// The topics that have segments, by what these say.
fn of_segments(survey: &Survey) -> State {
    let mut state = State::default();
    let dirs = survey.vfs.list(&layout::topics(&survey.dir)).unwrap_or_default();
    let mut numbers: Vec<u32> = dirs.iter().filter_map(|dir| layout::topic_of(dir)).collect();
    // The newest first: names are unique, so of two with the same the older one was deleted.
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    for number in numbers {
        let mut extents = survey.extents(number, &state);
        extents.reverse();
        let found = extents.iter().find_map(|extent| segment_head(survey, number, extent.base));
        let Some((name, terms)) = found else { continue };
        if state.topic_named(&name).is_none() {
            state.topics.insert(number, TopicState { name, terms, ..TopicState::default() });
        }
        state.next_topic = state.next_topic.max(number.saturating_add(1));
    }
    state
}

/// A topic's name and terms, as they were when the segment was begun.
fn segment_head(survey: &Survey, number: u32, base: u64) -> Option<(String, Terms)> {
    let file = survey.vfs.open(&layout::segment(&survey.dir, number, base), OpenMode::Read).ok()?;
    let bytes = file.read_vec(0, 1 << 20).ok()?;
    let frame = frame::read(&bytes, segment::seed(survey.uuid?)).ok()?;
    let Header { kind, topic, offset, .. } = frame.header;
    if kind != Kind::Segment || topic != number || offset != base {
        return None;
    }
    let mut take = Take::new(frame.body);
    take.bytes(4 + 16)?;
    let name: Cow<'_, str> = take_text(&mut take)?.into();
    Some((name.into_owned(), Terms::take(&mut take)?))
}
