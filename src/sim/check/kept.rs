//! Is what a topic keeps there for whoever reads it: groups that begin in the past or are moved, and those who browse?

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Finds, GroupKey, History, What};
use crate::base::Name;
use crate::broker::Start;

/// So many more may be in memory than are kept: the rest of the oldest batch.
const SLACK: u64 = 255;

#[derive(Default)]
struct Topic {
    next: u64,
    floor: u64,
    /// Whoever watches is told of its floor.
    tells: bool,
    /// The highest offset that was confirmed, and one more.
    confirmed: u64,
    /// By value: where it was tried first.
    tried: BTreeMap<u64, usize>,
    /// Of what was begun or confirmed, as far as ids tell it.
    millis: BTreeMap<u64, u64>,
}

/// Where a group is in its topic.
struct Seat<'a> {
    topic: &'a Name,
    start: Start,
    /// It began at the end; what was confirmed by then lies before this.
    latest: Option<u64>,
    placed: usize,
    /// What was accepted from here on it was there for.
    live: u64,
    /// From here up to that it reads history, which nobody keeps for its sake.
    floor: u64,
    /// Its topic has a history, or it was moved: all of it can be asked for.
    is_held: bool,
    /// To be offered still; and offered, since it began here.
    to_come: BTreeSet<u64>,
    offered: BTreeSet<u64>,
    unsettled: BTreeSet<u64>,
}

struct Browse<'a> {
    topic: &'a Name,
    back: bool,
    /// Accepted when it began.
    next: u64,
    /// The next one, or one behind it.
    at: u64,
    begun: bool,
}

/// P27: a group is offered what lies from where it begins on, each message once, but for what was trimmed before, which is
/// counted; what it was there for is not trimmed. What is kept is within the limits, and a browse shows it without a hole.
pub(super) fn is_there_for_all(history: &History, finds: &mut Finds<'_>) {
    if history.whats().any(|what| *what == What::Killed) {
        return;
    }
    let mut reader =
        Reader { history, topics: BTreeMap::new(), asked: BTreeMap::new(), seats: BTreeMap::new() };
    let mut browses: BTreeMap<u64, Browse<'_>> = BTreeMap::new();
    reader.read_times();
    for (place, what) in history.whats().enumerate() {
        match what {
            What::Browses { topic, browse, at, back } => {
                let (topic, back, next) = (topic, *back, reader.topic(topic).next);
                browses.insert(*browse, Browse { topic, back, next, at: *at, begun: false });
            }
            What::Browsed { browse, offset } => {
                let Some(browse) = browses.get_mut(browse) else { continue };
                let floor = reader.topic(browse.topic).floor;
                browse.on_shown(*offset, floor, finds);
            }
            _ => reader.read(place, what, finds),
        }
    }
}

struct Reader<'a> {
    history: &'a History,
    topics: BTreeMap<&'a Name, Topic>,
    /// What was confirmed before a group was opened; and before it was to be moved, each time.
    asked: BTreeMap<GroupKey, VecDeque<u64>>,
    seats: BTreeMap<GroupKey, Seat<'a>>,
}

impl<'a> Reader<'a> {
    fn topic(&mut self, topic: &'a Name) -> &mut Topic {
        self.topics.entry(topic).or_default()
    }

    fn topic_of(&self, group: GroupKey) -> Option<&'a Name> {
        self.history.groups.get(group.0).map(|facts| &facts.topic)
    }

    /// What was confirmed so far of a group's topic.
    fn confirmed(&mut self, group: GroupKey) -> u64 {
        self.topic_of(group).map_or(0, |topic| self.topic(topic).confirmed)
    }

    /// When messages came in that somebody began, or heard of.
    fn read_times(&mut self) {
        for what in self.history.whats() {
            let (topic, id) = match what {
                What::Began { group, id, .. } => (self.topic_of(*group), id),
                What::Confirmed { topic, id, .. } => (Some(topic), id),
                _ => continue,
            };
            if let Some(topic) = topic {
                self.topic(topic).millis.insert(id.offset(), id.unix_millis());
            }
        }
    }

    fn read(&mut self, place: usize, what: &'a What, finds: &mut Finds<'_>) {
        match what {
            What::Recovered { topic, next } => self.topic(topic).next = *next,
            What::Tried { topic, value } => drop(self.topic(topic).tried.entry(*value).or_insert(place)),
            What::Confirmed { topic, value, id } => self.on_confirmed(topic, *value, id.offset()),
            What::Accepted { topic, base, len, .. } => {
                self.on_accepted(topic, *base, base + u64::from(*len));
            }
            What::Opened(group) => {
                let confirmed = self.confirmed(*group);
                self.asked.insert(*group, VecDeque::from([confirmed]));
            }
            What::Seeks(group) => {
                let confirmed = self.confirmed(*group);
                self.asked.entry(*group).or_default().push_back(confirmed);
            }
            What::Placed { group, start, latest, floor, moved } => {
                self.on_placed((place, *group), (*start, *latest), *floor, *moved, finds);
            }
            What::Offered { group, base, runs } => {
                let offsets = runs.iter().flat_map(|(from, to)| *from..*to).map(|at| base + u64::from(at));
                self.on_offered(*group, offsets, finds);
            }
            What::Revoked { group, from, to } => {
                let Some(seat) = self.seats.get_mut(group) else { return };
                for offset in *from..*to {
                    seat.offered.remove(&offset);
                    seat.unsettled.remove(&offset);
                }
            }
            What::Settled { group, from, to } => {
                let Some(seat) = self.seats.get_mut(group) else { return };
                seat.unsettled.retain(|offset| !(*from..*to).contains(offset));
            }
            What::Evicted { topic, offset } => {
                for seat in self.seats.values_mut().filter(|seat| seat.topic == topic) {
                    seat.unsettled.remove(offset);
                }
            }
            What::PassedBy { group, from, to, messages } => {
                self.on_passed_by(*group, (*from, *to), *messages, finds);
            }
            What::Kept { topic, floor, held, limits } => {
                self.on_kept(topic, (*floor, *held), limits.messages, finds);
            }
            What::Left(group) | What::Over(group) => drop(self.seats.remove(group)),
            What::Quiet => self.on_quiet(finds),
            _ => {}
        }
    }

    /// Whoever begins with what comes next is given what is published from then on.
    fn on_confirmed(&mut self, topic: &'a Name, value: u64, offset: u64) {
        let notes = self.topic(topic);
        notes.confirmed = notes.confirmed.max(offset.saturating_add(1));
        let Some(tried) = notes.tried.get(&value).copied() else { return };
        for seat in self.seats.values_mut().filter(|seat| seat.topic == topic) {
            let later = seat.placed < tried && offset >= seat.live;
            if seat.latest.is_some() && later && !seat.offered.contains(&offset) {
                seat.to_come.insert(offset);
            }
        }
    }

    fn on_accepted(&mut self, topic: &'a Name, base: u64, end: u64) {
        self.topic(topic).next = end;
        let millis = self.topics.get(topic).map(|topic| &topic.millis);
        for seat in self.seats.values_mut().filter(|seat| seat.topic == topic) {
            let wanted = (base..end).filter(|offset| seat.wants(*offset, millis) == Some(true));
            let wanted: Vec<u64> = wanted.collect();
            seat.to_come.extend(wanted);
        }
    }

    fn on_placed(
        &mut self,
        (placed, group): (usize, GroupKey),
        (start, latest): (Start, bool),
        floor: Option<u64>,
        moved: bool,
        finds: &mut Finds<'_>,
    ) {
        let Some(topic) = self.topic_of(group) else { return };
        let asked = self.asked.get_mut(&group).and_then(|asked| {
            // The first one is that of the opening.
            if moved { asked.remove(1) } else { asked.front().copied() }
        });
        let asked = asked.unwrap_or(0);
        let mut seat = Seat {
            topic,
            start,
            latest: latest.then_some(asked),
            placed,
            live: self.topic(topic).next,
            floor: floor.unwrap_or(u64::MAX),
            is_held: floor.is_some() || moved,
            to_come: BTreeSet::new(),
            offered: BTreeSet::new(),
            unsettled: BTreeSet::new(),
        };
        // What others have still to settle is kept, wherever the floor is.
        let others = self.seats.iter().filter(|(other, seat)| **other != group && seat.topic == topic);
        let mut kept: BTreeSet<u64> = others.flat_map(|(_, seat)| seat.keeps()).collect();
        let known = self.topics.get(topic);
        if let (Some(floor), Some(known)) = (floor, known) {
            if known.tells && floor != known.floor {
                finds.say(format_args!("{topic} has its floor at {floor}, and trimmed to {}", known.floor));
            }
            kept.extend(floor..known.next);
        }
        let millis = known.map(|topic| &topic.millis);
        kept.retain(|offset| seat.wants(*offset, millis) == Some(true));
        seat.to_come = kept;
        self.seats.insert(group, seat);
    }

    fn on_offered(&mut self, group: GroupKey, offsets: impl Iterator<Item = u64>, finds: &mut Finds<'_>) {
        let (name, topics) = (self.history.name(group), &self.topics);
        let Some(seat) = self.seats.get_mut(&group) else { return };
        let millis = topics.get(seat.topic).map(|topic| &topic.millis);
        for offset in offsets {
            if seat.wants(offset, millis) == Some(false) {
                finds.say(format_args!("{name} was offered {offset}, and begins at {:?}", seat.start));
            }
            if !seat.offered.insert(offset) {
                finds.say(format_args!("{name} was offered {offset} twice"));
            }
            seat.to_come.remove(&offset);
            seat.unsettled.insert(offset);
        }
    }

    fn on_passed_by(
        &mut self,
        group: GroupKey,
        (from, to): (u64, u64),
        messages: u64,
        finds: &mut Finds<'_>,
    ) {
        let (name, topics) = (self.history.name(group), &self.topics);
        let Some(seat) = self.seats.get_mut(&group) else { return };
        let trimmed =
            topics.get(seat.topic).filter(|topic| topic.tells).map_or(u64::MAX, |topic| topic.floor);
        let left: Vec<u64> = (from..to).filter(|offset| !seat.offered.contains(offset)).collect();
        if to > seat.live {
            finds.say(format_args!("{name} passed by {from}..{to}, and was there for {}", seat.live));
        }
        if to > trimmed {
            finds.say(format_args!("{name} passed by {from}..{to}, and {trimmed} is kept"));
        }
        if messages != left.len() as u64 {
            finds.say(format_args!("{name} passed by {from}..{to}, and counts {messages}"));
        }
        seat.to_come.retain(|offset| !left.contains(offset));
    }

    fn on_kept(
        &mut self,
        topic: &'a Name,
        (floor, held): (u64, u64),
        most: Option<u64>,
        finds: &mut Finds<'_>,
    ) {
        let known = self.topic(topic);
        let kept = known.next.saturating_sub(floor);
        if floor < known.floor || floor > known.next {
            finds.say(format_args!("{topic} trims to {floor}, from {} of {}", known.floor, known.next));
        }
        if most.is_some_and(|most| kept > most) {
            finds.say(format_args!("{topic} keeps {kept} messages of {most:?}"));
        }
        if held > kept + SLACK || held < kept {
            finds.say(format_args!("{topic} has {held} messages of its history, and keeps {kept}"));
        }
        (known.floor, known.tells) = (floor, true);
    }

    fn on_quiet(&mut self, finds: &mut Finds<'_>) {
        for (group, seat) in self.seats.iter().filter(|(_, seat)| seat.is_held) {
            let name = self.history.name(*group);
            if let Some(first) = seat.to_come.first() {
                let many = seat.to_come.len();
                finds.say(format_args!("{first} is kept, and was never offered to {name}; {many} are"));
            }
            if let Some(first) = seat.unsettled.first() {
                finds.say(format_args!("{first} was offered to {name}, and is not settled"));
            }
        }
    }
}

impl Seat<'_> {
    /// What the topic keeps for its sake.
    fn keeps(&self) -> impl Iterator<Item = u64> {
        self.unsettled.iter().copied().filter(|offset| *offset < self.floor || *offset >= self.live)
    }

    /// Whether a message is behind where it begins, if that is known.
    fn wants(&self, offset: u64, millis: Option<&BTreeMap<u64, u64>>) -> Option<bool> {
        match self.start {
            // Of what was on its way then, some may have been no message after all.
            Start::Offset(from) if offset < from && self.latest.is_some_and(|latest| offset >= latest) => {
                None
            }
            Start::Earliest => Some(true),
            Start::Latest => None,
            Start::Offset(from) => Some(offset >= from),
            Start::After(id) => Some(offset > id.offset()),
            Start::UnixMillis(from) => millis?.get(&offset).map(|millis| *millis >= from),
        }
    }
}

impl Browse<'_> {
    fn on_shown(&mut self, shown: Option<u64>, floor: u64, finds: &mut Finds<'_>) {
        // Backwards from the end, or from beyond: all that there was when it began.
        let first = self.back && !std::mem::replace(&mut self.begun, true) && self.at > self.next;
        let missed = match (self.back, shown) {
            (false, Some(offset)) => self.at..offset,
            (false, None) => self.at..self.next.max(self.at),
            (true, Some(offset)) if first => offset + 1..self.next.max(offset + 1),
            (true, Some(offset)) => offset + 1..self.at,
            (true, None) => 0..self.at.min(self.next),
        };
        if missed.start > missed.end || !self.back && shown.is_some_and(|offset| offset < self.at) {
            finds.say(format_args!("a browse showed {shown:?} at {}, out of order", self.at));
        } else if missed.end > missed.start && missed.end > floor {
            finds.say(format_args!("a browse passed by {missed:?}, and {floor} is kept"));
        }
        if let Some(offset) = shown {
            self.at = if self.back { offset } else { offset + 1 };
        }
    }
}

#[cfg(test)]
mod tests;
