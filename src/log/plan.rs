//! Which of the waiting requests become the next commit, as which frames. Pure, but that it answers what can't be.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::change::{Change, Marks};
use super::error::LogError;
use super::frame::frame_len;
use super::owed::{Owed, raise};
use super::record::Records;
use super::request::{Chain, Done, Request, Settles};
use super::state::State;
use crate::base::{Bug, planted};

/// A commit is full when it has so many bytes, or half of what a slot has room for, and what has no room in it any more
/// waits for the next one,
const FULL_BYTES: usize = 1 << 20;
/// or so many records.
const FULL_RECORDS: u64 = 8192;

/// What the numbers of a run, of a note, or before a text, have at most.
const MOST_NUMBERS: usize = 32;

/// Answers a request once it is known how its commit went.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// One commit.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) answers: Vec<Answer>,
    /// It is to be on the disk before it is answered.
    pub(crate) sync: bool,
    /// And what is before it, before it is written.
    pub(crate) seals: bool,
    /// What is of use is to move on, behind it.
    pub(crate) turns: bool,
    /// It is the last.
    pub(crate) closes: bool,
}

/// A frame to be.
#[derive(Debug)]
pub(crate) enum Step {
    Data {
        topic: u32,
        offset: u64,
        records: Records,
    },
    /// Marks that are so if the commit is, and only then.
    Exact(Change<'static>),
    Other(Change<'static>),
}

impl Step {
    pub(crate) fn change(&self) -> Change<'_> {
        match self {
            Step::Data { topic, offset, records } => Change::Data {
                topic: *topic,
                offset: *offset,
                count: records.count(),
                millis: records.first_millis(),
                keys: records.has_keys(),
                records: records.bytes(),
            },
            Step::Exact(change) | Step::Other(change) => change.clone(),
        }
    }
}

/// What a topic gets: frames to be, each with the offset of its first record.
struct Joined {
    frames: Vec<(u64, Records)>,
    next: u64,
}

/// What is collected, by topic and by group, before it becomes frames.
#[derive(Default)]
struct Draft {
    plan: Plan,
    data: BTreeMap<u32, Joined>,
    marks: BTreeMap<(u32, u32), Marks>,
    exact: BTreeMap<(u32, u32), Marks>,
    trims: BTreeMap<u32, u64>,
    /// Topics and groups that begin.
    new: Vec<Change<'static>>,
    next_topic: u32,
    new_topics: BTreeSet<u32>,
    next_groups: BTreeMap<u32, u32>,
    new_groups: BTreeSet<(u32, u32)>,
    names: BTreeSet<(Option<u32>, String)>,
    /// Something that was told before is not in the log.
    owes: bool,
    bytes: usize,
    records: u64,
}

/// Takes from the queue what goes into one commit: all of it, until that is full, or there is something that must be the last.
pub(crate) fn plan(queue: &mut VecDeque<Request>, state: &State, owed: &mut Owed, room: usize) -> Plan {
    let room = if planted(Bug::OneCommit) { usize::MAX } else { room };
    let full = FULL_BYTES.min(room / 2);
    let mut draft = Draft { next_topic: state.next_topic, ..Draft::default() };
    if owed.tried {
        draft.owes = !owed.is_empty();
    } else {
        draft.take_owed(owed, state, full);
    }
    let mut last = Vec::new();
    while goes_on(&last, queue.front())
        && draft.bytes < full
        && draft.records < FULL_RECORDS
        && queue.front().is_some_and(|request| draft.has_place_for(request, room))
        && let Some(request) = queue.pop_front()
    {
        draft.bytes += draft.most_bytes(&request);
        if let Request::Seek { topic, group, .. } = &request {
            // What the group was done with counts no more where it goes; behind this it would.
            owed.marks.remove(&(*topic, *group));
        }
        if let Some(request) = owed.unless_owed(request) {
            draft.take(request, state, &mut last);
        }
    }
    draft.finish(last)
}

/// Whether more may join what must come last: topics that go are all that may go together.
fn goes_on(last: &[Change<'_>], next: Option<&Request>) -> bool {
    let goes = |change: &Change<'_>| matches!(change, Change::TopicGone { .. });
    last.is_empty() || last.iter().all(goes) && matches!(next, Some(Request::DeleteTopic { .. }))
}

impl Draft {
    fn is_empty(&self) -> bool {
        let steps = self.data.is_empty() && self.marks.is_empty() && self.trims.is_empty();
        steps && self.exact.is_empty() && self.new.is_empty() && self.plan.answers.is_empty()
    }

    /// Whether a request may join: together they have room in a slot, and it comes behind nothing that is said before it.
    fn has_place_for(&self, request: &Request, room: usize) -> bool {
        let is_in_order = match request {
            // Why: what all groups are done with is of no more use, and this one may not be.
            Request::CreateGroup { topic, .. } => {
                let of_topic = (*topic, 0)..=(*topic, u32::MAX);
                [&self.marks, &self.exact].iter().all(|said| said.range(of_topic.clone()).next().is_none())
            }
            request => !request.is_alone(),
        };
        let fits = self.bytes + self.most_bytes(request) <= room;
        self.is_empty() || (is_in_order && fits)
    }

    /// What a request adds to the commit at most.
    fn most_bytes(&self, request: &Request) -> usize {
        match request {
            Request::Append { topic, records, settles, .. } => {
                self.data_bytes(*topic, records) + settles.as_ref().map_or(0, settles_bytes)
            }
            Request::AppendAll { parts, .. } => {
                parts.iter().map(|(topic, records)| self.data_bytes(*topic, records)).sum()
            }
            Request::Settle { settles, .. } => settles_bytes(settles),
            Request::Mark { marks, .. } => marks_bytes(marks),
            Request::CreateTopic { name, terms, .. } => {
                frame_len(name.len() + terms.about.len() + 2 * MOST_NUMBERS)
            }
            Request::SetTerms { terms, .. } => frame_len(terms.about.len() + 2 * MOST_NUMBERS),
            Request::CreateGroup { name, about, .. } => frame_len(name.len() + about.len() + MOST_NUMBERS),
            Request::Seek { about, .. } => frame_len(about.len()),
            Request::Trim { .. }
            | Request::DeleteTopic { .. }
            | Request::DeleteGroup { .. }
            | Request::Seal { .. }
            | Request::Turn { .. }
            | Request::Close { .. } => frame_len(0),
            Request::Describe { .. } | Request::Sync { .. } => 0,
        }
    }

    /// What records add, behind those that their topic gets already.
    fn data_bytes(&self, topic: u32, records: &Records) -> usize {
        let last = self.data.get(&topic).and_then(|joined| joined.frames.last());
        frame_len(records.bytes().len()) + last.map_or(0, |(_, last)| last.growth(records))
    }

    fn take_owed(&mut self, owed: &mut Owed, state: &State, full: usize) {
        owed.marks.values_mut().for_each(Marks::tidy);
        while self.bytes < full
            && let Some(((topic, group), marks)) = owed.some_marks()
        {
            self.bytes += marks_bytes(&marks);
            self.mark(state, topic, group, marks, Done::unheard());
        }
        while self.bytes < full
            && let Some((topic, floor)) = owed.trims.pop_first()
        {
            self.bytes += frame_len(0);
            self.trim(state, topic, floor);
        }
    }

    /// Takes in a request. What of it must come behind all else goes into `last`.
    fn take(&mut self, request: Request, state: &State, last: &mut Vec<Change<'static>>) {
        match request {
            Request::Append { topic, records, sync, settles, done } => {
                if settles.as_ref().is_none_or(|settles| self.has_group(state, settles.topic, settles.group))
                {
                    // Why only then: what is not appended settles nothing.
                    let settles = settles.filter(|_| records.count() > 0 && self.has_topic(state, topic));
                    settles.into_iter().for_each(|settles| self.settle(settles));
                    self.append(state, topic, records, sync, done);
                } else {
                    done.tell(Err(LogError::Missing));
                }
            }
            Request::Settle { settles, done } => match self.has_group(state, settles.topic, settles.group) {
                true => {
                    self.settle(settles);
                    self.answer(done, ());
                }
                false => done.tell(Err(LogError::Missing)),
            },
            Request::Mark { topic, group, marks, done } => self.mark(state, topic, group, marks, done),
            Request::Trim { topic, floor } => self.trim(state, topic, floor),
            Request::AppendAll { parts, sync, chain, done } => {
                self.append_all(state, parts, sync, chain, done)
            }
            Request::CreateTopic { topic, name, terms, done } => {
                let topic = topic.unwrap_or(self.next_topic);
                let is_new = topic >= self.next_topic && state.topic_named(&name).is_none();
                if !is_new || !self.names.insert((None, name.clone())) {
                    return done.tell(Err(LogError::Exists));
                }
                self.next_topic = topic.saturating_add(1);
                self.new_topics.insert(topic);
                self.new.push(Change::Topic { topic, name: name.into(), terms: Cow::Owned(terms) });
                self.answer(done, topic);
            }
            Request::CreateGroup { topic, group, name, about, start, done } => {
                self.create_group(state, (topic, group, start), name, about, done);
            }
            Request::SetTerms { topic, terms, done } => {
                let change = Change::About { topic, terms: Cow::Owned(terms) };
                last.extend(self.last(done, self.has_topic(state, topic), change));
            }
            Request::DeleteTopic { topic, done } => {
                let goes = |change: &Change<'_>| change.topic() == Some(topic);
                let there = self.has_topic(state, topic) && !last.iter().any(goes);
                last.extend(self.last(done, there, Change::TopicGone { topic }));
            }
            Request::DeleteGroup { topic, group, done } => {
                let there = self.has_group(state, topic, group);
                last.extend(self.last(done, there, Change::GroupGone { topic, group }));
            }
            Request::Seek { topic, group, to, about, done } => {
                let there = self.has_group(state, topic, group);
                let seek = self.last(done, there, Change::Seek { topic, group, to, about: about.into() });
                match planted(Bug::SeekFirst) {
                    true => self.new.extend(seek),
                    false => last.extend(seek),
                }
            }
            Request::Describe { done } => done.tell(Ok(Box::new(state.clone()))),
            Request::Sync { done } => {
                self.plan.sync = true;
                self.answer(done, ());
            }
            Request::Seal { done } => {
                self.plan.seals = true;
                last.extend(self.last(done, true, Change::Idle));
            }
            Request::Turn { done } => {
                self.plan.turns = true;
                last.extend(self.last(done, true, Change::Idle));
            }
            Request::Close { clean, done } => {
                (self.plan.seals, self.plan.closes) = (true, true);
                let change = if clean && !self.owes { Change::Close } else { Change::Idle };
                last.extend(self.last(done, true, change));
            }
        }
    }

    fn create_group(
        &mut self,
        state: &State,
        (topic, group, start): (u32, u32, u64),
        name: String,
        about: Vec<u8>,
        done: Done<()>,
    ) {
        let Some(there) = state.topics.get(&topic) else { return done.tell(Err(LogError::Missing)) };
        let next = self.next_groups.entry(topic).or_insert(there.next_group);
        let is_new = group >= *next && there.group_named(&name).is_none();
        if !is_new || !self.names.insert((Some(topic), name.clone())) {
            return done.tell(Err(LogError::Exists));
        }
        *next = group + 1;
        self.new_groups.insert((topic, group));
        self.new.push(Change::Group { topic, group, start, name: name.into(), about: about.into() });
        self.answer(done, ());
    }

    fn has_topic(&self, state: &State, topic: u32) -> bool {
        state.topics.contains_key(&topic) || self.new_topics.contains(&topic)
    }

    fn has_group(&self, state: &State, topic: u32, group: u32) -> bool {
        let there = state.topics.get(&topic).is_some_and(|topic| topic.groups.contains_key(&group));
        there || self.new_groups.contains(&(topic, group))
    }

    fn append(&mut self, state: &State, topic: u32, records: Records, sync: bool, done: Done<u64>) {
        if !self.has_topic(state, topic) {
            return done.tell(Err(LogError::Missing));
        }
        if records.count() == 0 {
            return done.tell(Err(LogError::Invalid { why: "an append without records" }));
        }
        self.plan.sync |= sync;
        let first = self.join(state, topic, records);
        self.plan.answers.push(Box::new(move |result| done.tell(result.map(|()| first))));
    }

    /// Puts records behind those that a topic has, and gets; answers the first one's offset.
    fn join(&mut self, state: &State, topic: u32, records: Records) -> u64 {
        self.records += u64::from(records.count());
        let next = state.topics.get(&topic).map_or(0, |there| there.next);
        let joined = self.data.entry(topic).or_insert_with(|| Joined { frames: Vec::new(), next });
        let first = if planted(Bug::OffsetOfCommit) { next } else { joined.next };
        let offset = joined.next;
        joined.next += u64::from(records.count());
        match joined.frames.last_mut() {
            Some((_, last)) if last.joins(&records) => last.append(records),
            _ => joined.frames.push((offset, records)),
        }
        first
    }

    fn append_all(
        &mut self,
        state: &State,
        parts: Vec<(u32, Records)>,
        sync: bool,
        chain: Chain,
        done: Done<()>,
    ) {
        let there = |(topic, records): &(u32, Records)| records.count() > 0 && self.has_topic(state, *topic);
        if chain.is_broken() || !parts.iter().all(there) {
            chain.snap();
            return done.tell(Err(LogError::Missing));
        }
        self.plan.sync |= sync;
        for (topic, records) in parts {
            self.join(state, topic, records);
        }
        self.plan.answers.push(Box::new(move |result| {
            if result.is_err() {
                chain.snap();
            }
            done.tell(result);
        }));
    }

    fn mark(&mut self, state: &State, topic: u32, group: u32, marks: Marks, done: Done<()>) {
        if !self.has_group(state, topic, group) {
            return done.tell(Err(LogError::Missing));
        }
        self.marks.entry((topic, group)).or_default().append(marks);
        if done.is_heard() {
            self.answer(done, ());
        }
    }

    fn settle(&mut self, settles: Settles) {
        let Settles { topic, group, done } = settles;
        let marks = Marks { done, notes: Vec::new() };
        self.exact.entry((topic, group)).or_default().append(marks);
    }

    fn trim(&mut self, state: &State, topic: u32, floor: u64) {
        if self.has_topic(state, topic) {
            raise(&mut self.trims, topic, floor);
        }
    }

    fn last<T>(&mut self, done: Done<()>, there: bool, change: T) -> Option<T> {
        if !there {
            done.tell(Err(LogError::Missing));
            return None;
        }
        if done.is_heard() {
            self.answer(done, ());
        }
        Some(change)
    }

    /// Once the commit is on the disk, if anybody waits for that.
    fn answer<T: Send + 'static>(&mut self, done: Done<T>, value: T) {
        self.plan.sync |= done.is_heard();
        self.plan.answers.push(Box::new(move |result| done.tell(result.map(|()| value))));
    }

    fn finish(mut self, last: Vec<Change<'static>>) -> Plan {
        // Why these first: marks may be of a group that is new.
        self.plan.steps.extend(self.new.into_iter().map(Step::Other));
        for (topic, Joined { frames, .. }) in self.data {
            let data = |(offset, records)| Step::Data { topic, offset, records };
            self.plan.steps.extend(frames.into_iter().map(data));
        }
        let as_change = |((topic, group), mut marks): ((u32, u32), Marks)| {
            marks.tidy();
            Change::Marks { topic, group, marks: Cow::Owned(marks) }
        };
        self.plan.steps.extend(self.marks.into_iter().map(as_change).map(Step::Other));
        self.plan.steps.extend(self.exact.into_iter().map(as_change).map(Step::Exact));
        let trims = self.trims.into_iter();
        self.plan.steps.extend(trims.map(|(topic, floor)| Step::Other(Change::Trim { topic, floor })));
        self.plan.steps.extend(last.into_iter().map(Step::Other));
        self.plan
    }
}

fn marks_bytes(marks: &Marks) -> usize {
    let notes = marks.notes.iter().map(|(_, note)| note.more.len() + MOST_NUMBERS).sum::<usize>();
    frame_len((1 + marks.done.len()) * MOST_NUMBERS + notes)
}

fn settles_bytes(settles: &Settles) -> usize {
    frame_len((1 + settles.done.len()) * MOST_NUMBERS)
}
