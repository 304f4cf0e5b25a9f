//! The state: what comes of applying all frames in turn. Pure.
//!
//! It is the catalogue of topics and groups, what each group is done with, and where the topics' data lies that is not in
//! the journal any more. Recovery begins with one that was written down, and applies the frames behind it.

use std::collections::{BTreeMap, VecDeque};

use super::change::{Change, Marks, Note, Terms};
use super::ranges::Ranges;
use super::record;
use super::writer::SLOTS;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) topics: BTreeMap<u32, TopicState>,
    /// The number of the next topic. None is used twice.
    pub(crate) next_topic: u32,
    /// Slots that the journal has.
    pub(crate) slots: u32,
    /// The log was closed in order, and nothing was written since.
    pub(crate) closed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicState {
    pub(crate) name: String,
    pub(crate) terms: Terms,
    /// The offset of the next record.
    pub(crate) next: u64,
    /// Nothing below is of use.
    pub(crate) floor: u64,
    /// Those of the last record, or of one before that has more.
    pub(crate) millis: u64,
    /// The second part of that record's id, if that was given by name.
    pub(crate) seq: Option<u64>,
    pub(crate) groups: BTreeMap<u32, GroupState>,
    pub(crate) next_group: u32,
    /// The oldest first. Limit: [`Terms::most_keys`].
    pub(crate) keys: VecDeque<KnownKey>,
    /// Where its data lies that is not only in the journal; the oldest first, each going on where the one before ends.
    pub(crate) segments: Vec<Extent>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupState {
    pub(crate) name: String,
    /// The caller's own.
    pub(crate) about: Vec<u8>,
    pub(crate) done: Ranges,
    /// Of messages that it is not done with. Limit: those that began and are not settled.
    pub(crate) notes: BTreeMap<u64, Note>,
}

/// A dedup key, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownKey {
    pub(crate) key: Box<[u8]>,
    pub(crate) millis: u64,
    pub(crate) offset: u64,
    /// The second part of the record's id, if that was given by name.
    pub(crate) seq: Option<u64>,
}

/// The part of a segment that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The offset it begins with; its file is named by it.
    pub(crate) base: u64,
    /// One behind its last offset.
    pub(crate) end: u64,
    /// So much of the file is valid.
    pub(crate) bytes: u64,
}

impl Extent {
    /// Whether each goes on where the one before ends.
    pub(crate) fn lie_close(extents: &[Extent]) -> bool {
        extents.iter().zip(extents.iter().skip(1)).all(|(one, next)| one.end == next.base)
    }
}

/// A frame does not follow from what is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) &'static str);

impl State {
    pub(crate) fn topic_named(&self, name: &str) -> Option<u32> {
        self.topics.iter().find(|(_, topic)| topic.name == name).map(|(id, _)| *id)
    }

    pub(crate) fn apply(&mut self, change: &Change<'_>) -> Result<(), Misfit> {
        self.closed = false;
        match change {
            Change::Topic { topic, name, terms } => {
                if *topic < self.next_topic || self.topic_named(name).is_some() {
                    return Err(Misfit("a topic that is there begins again"));
                }
                let new = TopicState {
                    name: name.to_string(),
                    terms: terms.as_ref().clone(),
                    ..TopicState::default()
                };
                self.topics.insert(*topic, new);
                self.next_topic = topic.checked_add(1).ok_or(Misfit("there is no topic behind it"))?;
            }
            Change::TopicGone { topic } => {
                self.topics.remove(topic).ok_or(UNKNOWN_TOPIC)?;
            }
            Change::Slot { slots } if *slots < self.slots || *slots as usize > SLOTS => {
                return Err(Misfit("the journal has fewer slots than it had, or more than it may have"));
            }
            Change::Slot { slots } => self.slots = *slots,
            Change::Idle => {}
            Change::Close => self.closed = true,
            _ => {
                let topic = change.topic().and_then(|topic| self.topics.get_mut(&topic));
                topic.ok_or(UNKNOWN_TOPIC)?.apply(change)?;
            }
        }
        Ok(())
    }
}

const UNKNOWN_TOPIC: Misfit = Misfit("it names a topic that is not there");
const UNKNOWN_GROUP: Misfit = Misfit("it names a group that is not there");

impl TopicState {
    fn apply(&mut self, change: &Change<'_>) -> Result<(), Misfit> {
        match change {
            Change::Data { offset, count, millis, keys, records, .. } => {
                if *offset != self.next || *count == 0 {
                    return Err(Misfit("its offset is not the next one of its topic"));
                }
                let mut iter = record::Iter::new(records, *millis, *count);
                for (at, record) in iter.by_ref().enumerate() {
                    if let (Some(key), true) = (record.key, *keys) {
                        let (millis, offset) = (record.millis, offset + at as u64);
                        let seq = record.seq;
                        self.keys.push_back(KnownKey { key: key.into(), millis, offset, seq });
                    }
                    // Why after each: what comes of them must not depend on which of them share a frame.
                    self.follow_id(record.millis, record.seq);
                    self.forget_keys();
                }
                if !iter.is_whole() {
                    return Err(Misfit("its records are not what its header says"));
                }
                self.next += u64::from(*count);
            }
            Change::About { terms, .. } => {
                self.terms = terms.as_ref().clone();
                self.forget_keys();
                self.settle();
            }
            Change::Group { group, start, name, about, .. } => {
                if *group < self.next_group || self.group_named(name).is_some() {
                    return Err(Misfit("a group that is there begins again"));
                }
                let done = Ranges::below(*start);
                let (name, about) = (name.to_string(), about.to_vec());
                self.groups.insert(*group, GroupState { name, about, done, notes: BTreeMap::new() });
                self.next_group = group.checked_add(1).ok_or(Misfit("there is no group behind it"))?;
            }
            Change::GroupGone { group, .. } => {
                self.groups.remove(group).ok_or(UNKNOWN_GROUP)?;
                self.settle();
            }
            Change::Marks { group, marks, .. } => {
                self.groups.get_mut(group).ok_or(UNKNOWN_GROUP)?.mark(marks);
                self.settle();
            }
            Change::Seek { group, to, about, .. } => {
                let group = self.groups.get_mut(group).ok_or(UNKNOWN_GROUP)?;
                group.done = Ranges::below(*to);
                group.notes.clear();
                if !about.is_empty() {
                    group.about = about.to_vec();
                }
                self.settle();
            }
            Change::Trim { floor, .. } => self.floor = self.floor.max((*floor).min(self.next)),
            Change::Topic { .. }
            | Change::TopicGone { .. }
            | Change::Slot { .. }
            | Change::Idle
            | Change::Close => {}
        }
        Ok(())
    }

    pub(crate) fn group_named(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|(_, group)| group.name == name).map(|(id, _)| *id)
    }

    /// What all groups are done with is of no more use, unless it is kept.
    fn settle(&mut self) {
        if !self.terms.keeps
            && let Some(floor) = self.groups.values().map(|group| group.done.floor()).min()
        {
            self.floor = self.floor.max(floor.min(self.next));
        }
    }

    fn follow_id(&mut self, millis: u64, seq: Option<u64>) {
        // A record without one may come behind such as have one, with milliseconds that are before theirs.
        if seq.is_some() || self.seq.is_none() || millis > self.millis {
            self.seq = seq;
        }
        self.millis = millis.max(self.millis);
    }

    fn forget_keys(&mut self) {
        // Where ids are given their milliseconds tell no ages.
        let since = if self.seq.is_some() { 0 } else { self.millis.saturating_sub(self.terms.key_millis) };
        let many = |keys: &VecDeque<KnownKey>| keys.len() as u64 > self.terms.most_keys;
        while self.keys.front().is_some_and(|known| known.millis < since) || many(&self.keys) {
            self.keys.pop_front();
        }
    }
}

impl GroupState {
    pub(crate) fn mark(&mut self, marks: &Marks) {
        for (at, note) in &marks.notes {
            if !self.done.contains(*at) {
                self.notes.insert(*at, note.clone());
            }
        }
        for (from, to) in &marks.done {
            self.done.insert(*from, *to);
            while let Some((at, _)) = self.notes.range(from..to).next() {
                let at = *at;
                self.notes.remove(&at);
            }
        }
    }
}
