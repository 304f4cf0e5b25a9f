//! Is what was confirmed there for the next process, and is what is done with done? P22, over several processes.
//!
//! Each process has a history of its own, to which the other rules are held. This one reads all of them in turn, and keeps
//! of each topic what was confirmed, and of each group what it began and settled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{End, Event, GroupFacts, GroupKey, History, Violation, What};
use crate::base::{Moment, Name};
use crate::broker::{KeyHash, Order};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Ended {
    /// What it had written is there.
    Killed,
    /// And the machine with it: what was not synced may be gone.
    PowerCut,
    ShutDown,
}

/// One process.
pub(in crate::sim) struct Life {
    pub(in crate::sim) history: History,
    pub(in crate::sim) ended: Ended,
    pub(in crate::sim) at: Moment,
}

/// All processes that had one data directory.
pub(in crate::sim) struct Saga {
    pub(in crate::sim) lives: Vec<Life>,
    /// Topics of which a power cut may take what was confirmed so shortly before.
    pub(in crate::sim) intervals: BTreeMap<Name, Duration>,
    /// The last process had all groups, and nothing left to do in the end.
    pub(in crate::sim) drained: bool,
}

/// P22.
pub(in crate::sim) fn what_was_confirmed_is_there(saga: &Saga) -> Vec<Violation> {
    let mut reader =
        Reader { saga, life: 0, topics: BTreeMap::new(), groups: BTreeMap::new(), found: Vec::new() };
    for (number, life) in saga.lives.iter().enumerate() {
        reader.life = number;
        reader.read(&life.history);
        reader.end(life.ended);
    }
    if saga.drained {
        reader.all_is_settled();
    }
    reader.found
}

/// In so much more time than was asked for a machine that is busy syncs.
const SLACK: Duration = Duration::from_millis(200);

#[derive(Default)]
struct TopicNotes {
    /// By offset: the value, when it was confirmed, and who was there before it was published.
    confirmed: BTreeMap<u64, (u64, Moment, BTreeSet<Name>)>,
    /// By offset, of all that was seen.
    values: BTreeMap<u64, u64>,
    keys: BTreeMap<u64, KeyHash>,
    next: u64,
    tried: BTreeSet<u64>,
    /// How often it was tried, less how often it was said to be refused, or was cancelled. None left: nobody may see it.
    hopes: BTreeMap<u64, i64>,
    /// Groups that are there; of those that this process brought, where.
    joined: BTreeMap<Name, usize>,
    /// By value: who was there when it was tried first.
    there_first: BTreeMap<u64, BTreeSet<Name>>,
    /// The last process that had it.
    life: usize,
    /// Of this process: where its publishes begin in the history, and its acceptances.
    tried_at: BTreeMap<u64, (usize, BTreeSet<Name>)>,
    accepted_at: BTreeMap<u64, usize>,
    /// Of what was delayed, by value: when that was confirmed.
    delayed: BTreeMap<u64, Moment>,
    /// Where what was delayed came to be.
    moved: BTreeSet<u64>,
    /// By the number of this process's schedule: the value.
    numbers: BTreeMap<u64, u64>,
}

#[derive(Clone, Default)]
struct GroupNotes {
    begun: BTreeMap<u64, u32>,
    failures: BTreeMap<u64, u32>,
    done: BTreeSet<u64>,
    settled: BTreeSet<u64>,
    /// Settled, and the log has it.
    sure: BTreeSet<u64>,
    /// At least so many attempts are known to the log.
    noted: BTreeMap<u64, u32>,
    dead: BTreeMap<u64, bool>,
    /// What lies before this is not for it.
    from: u64,
    /// What was there before it began, or was moved, and is for it: of what lies before this.
    owed: BTreeSet<u64>,
    placed: u64,
    /// Dead letters from before it was moved that nobody has read.
    letters: BTreeSet<u64>,
    /// What was known before it was moved, each time, and where in the history that was; while the log may not have that.
    before: Vec<(Option<usize>, GroupNotes)>,
    /// Of this process: begun by it, and what the log may not have yet, with the place in the history.
    own: BTreeSet<u64>,
    unsure: Vec<(usize, u64, Told)>,
}

#[derive(Clone, Copy, Debug)]
enum Told {
    Settled,
    Attempts(u32),
}

type Names = (Name, Name);

struct Reader<'a> {
    saga: &'a Saga,
    life: usize,
    topics: BTreeMap<Name, TopicNotes>,
    groups: BTreeMap<Names, GroupNotes>,
    found: Vec<Violation>,
}

impl Reader<'_> {
    fn say(&mut self, text: impl std::fmt::Display) {
        let text = format!("process {}: {text}", self.life);
        self.found.push(Violation { rule: "P22", text });
    }

    fn topic(&mut self, topic: &Name) -> &mut TopicNotes {
        self.topics.entry(topic.clone()).or_default()
    }

    fn group(&mut self, of: &GroupFacts) -> &mut GroupNotes {
        self.groups.entry((of.topic.clone(), of.group.clone())).or_default()
    }

    fn read(&mut self, history: &History) {
        let facts = |key: &GroupKey| history.groups.get(key.0);
        for (place, Event { at, what }) in history.events.iter().enumerate() {
            match what {
                What::Recovered { topic, next } => self.on_recovered(topic, *next),
                What::Joined(group) => {
                    if let Some(of) = facts(group) {
                        self.topic(&of.topic).joined.entry(of.group.clone()).or_insert(place + 1);
                    }
                }
                What::Accepted { topic, base, len, keys } => {
                    let notes = self.topic(topic);
                    notes.keys.extend((*base..).zip(keys.iter().copied()));
                    notes.next = base + u64::from(*len);
                    notes.accepted_at.extend((*base..base + u64::from(*len)).map(|offset| (offset, place)));
                }
                What::Tried { topic, value } => {
                    let notes = self.topic(topic);
                    notes.tried.insert(*value);
                    *notes.hopes.entry(*value).or_default() += 1;
                    // What is tried again may have been stored at the first time, when not all were there.
                    let there: BTreeSet<Name> = notes.joined.keys().cloned().collect();
                    let first = notes.there_first.entry(*value).or_insert_with(|| there.clone());
                    let joined = there.intersection(first).cloned().collect();
                    notes.tried_at.entry(*value).or_insert((place, joined));
                }
                What::Refused { topic, value } => self.on_refused(topic, *value),
                What::Confirmed { topic, value, id } => self.on_confirmed(topic, *value, id.offset(), *at),
                What::Delayed { topic, value, number } => {
                    let notes = self.topic(topic);
                    notes.delayed.insert(*value, *at);
                    notes.numbers.insert(*number, *value);
                }
                What::Unscheduled { topic, number } => {
                    let notes = self.topic(topic);
                    if let Some(value) = notes.numbers.get(number) {
                        *notes.hopes.entry(*value).or_default() -= 1;
                    }
                }
                What::Withdrawn { topic, value } => drop(self.topic(topic).delayed.remove(value)),
                What::Moved { topic, id, .. } => drop(self.topic(topic).moved.insert(id.offset())),
                What::Began { group, id, attempt, .. } => {
                    if let Some(of) = facts(group) {
                        self.on_began(of, id.offset(), *attempt, place);
                    }
                }
                What::Handled { group, id, value, attempt, unsure } => {
                    if let Some(of) = facts(group) {
                        self.on_handled(of, id.offset(), *value, (*attempt, *unsure));
                    }
                }
                What::Ended { group, id, how, .. } => {
                    if let Some(of) = facts(group) {
                        self.on_ended(of, id.offset(), *how);
                    }
                }
                What::Removed { group, from, to } => {
                    if let Some(of) = facts(group) {
                        self.group(of).done.extend(*from..*to);
                    }
                }
                What::Settled { group, from, to } => {
                    if let Some(of) = facts(group) {
                        let notes = self.group(of);
                        for offset in *from..*to {
                            notes.done.insert(offset);
                            notes.settled.insert(offset);
                            notes.unsure.push((place, offset, Told::Settled));
                        }
                    }
                }
                What::Dead { group, id, .. } => {
                    if let Some(of) = facts(group) {
                        let notes = self.group(of);
                        notes.done.insert(id.offset());
                        // It may have been read before its group hears that it is stored.
                        notes.dead.entry(id.offset()).or_insert(false);
                    }
                }
                What::Letter { topic, group, id } => {
                    let notes = self.groups.entry((topic.clone(), group.clone())).or_default();
                    notes.dead.insert(id.offset(), true);
                    notes.letters.remove(&id.offset());
                }
                _ => self.read_moved(history, place, what),
            }
        }
    }

    /// What was confirmed is before where a topic goes on; what is not there any more never was.
    fn on_recovered(&mut self, topic: &Name, next: u64) {
        let saga = self.saga;
        let since = self.topic(topic).life;
        let cuts = saga.lives.iter().take(self.life).skip(since);
        let cut = cuts.filter(|life| life.ended == Ended::PowerCut).map(|life| life.at).next();
        let excused = cut.zip(saga.intervals.get(topic));
        let number = self.life;
        let notes = self.topic(topic);
        (notes.life, notes.next) = (number, next);
        let lost = notes.confirmed.split_off(&next);
        if let Some((cut, interval)) = excused {
            notes.delayed.retain(|_, at| cut.since(*at) >= *interval + SLACK);
        }
        drop((notes.values.split_off(&next), notes.keys.split_off(&next), notes.moved.split_off(&next)));
        for (names, notes) in &mut self.groups {
            if names.0 == *topic {
                drop((notes.begun.split_off(&next), notes.failures.split_off(&next)));
                drop((notes.done.split_off(&next), notes.settled.split_off(&next)));
                drop((notes.sure.split_off(&next), notes.noted.split_off(&next)));
                drop((notes.dead.split_off(&next), notes.letters.split_off(&next)));
                drop(notes.owed.split_off(&next));
            }
        }
        for (offset, (value, at, _)) in lost {
            if excused.is_none_or(|(cut, interval)| cut.since(at) >= *interval + SLACK) {
                self.say(format_args!(
                    "{topic} goes on at {next}; {value} had been confirmed as {offset} at {at:?}"
                ));
            }
        }
    }

    fn on_confirmed(&mut self, topic: &Name, value: u64, offset: u64, at: Moment) {
        self.same_value(topic, offset, value);
        let synced = !self.saga.intervals.contains_key(topic);
        let notes = self.topic(topic);
        let Some((tried, joined)) = notes.tried_at.get(&value).cloned() else { return };
        let own = notes.accepted_at.get(&offset).is_some_and(|accepted| *accepted > tried);
        notes.confirmed.entry(offset).or_insert((value, at, joined));
        if own && synced {
            self.log_has_all_before(tried);
        }
    }

    fn on_refused(&mut self, topic: &Name, value: u64) {
        let notes = self.topic(topic);
        let hopes = notes.hopes.entry(value).or_default();
        *hopes -= 1;
        if *hopes <= 0 && notes.values.values().any(|seen| *seen == value) {
            self.say(format_args!("{value} was refused by {topic}, and seen"));
        }
    }

    /// The log takes in turn what it is told: what it was told before something that is on the disk is there too.
    fn log_has_all_before(&mut self, place: usize) {
        for notes in self.topics.values_mut() {
            notes.joined.values_mut().filter(|at| **at <= place).for_each(|at| *at = 0);
        }
        for notes in self.groups.values_mut() {
            notes.is_placed_for_sure(place);
            let GroupNotes { unsure, sure, noted, .. } = notes;
            unsure.retain(|(at, offset, told)| {
                if *at < place {
                    match told {
                        Told::Settled => drop(sure.insert(*offset)),
                        Told::Attempts(known) => {
                            let most = noted.entry(*offset).or_default();
                            *most = (*known).max(*most);
                        }
                    }
                }
                *at >= place
            });
        }
    }

    fn on_began(&mut self, of: &GroupFacts, offset: u64, attempt: u32, place: usize) {
        let (topic, group) = (&of.topic, &of.group);
        self.in_turn(of, offset);
        let notes = self.group(of);
        let (begun, known) =
            (notes.begun.get(&offset).copied().unwrap_or(0), notes.noted.get(&offset).copied());
        let sure = notes.sure.contains(&offset);
        // The letter was lost with what was settled, and it comes again.
        if notes.dead.get(&offset) == Some(&false) {
            notes.dead.remove(&offset);
        }
        if attempt >= 2 {
            notes.unsure.push((place, offset, Told::Attempts(attempt)));
        }
        *notes.begun.entry(offset).or_default() += 1;
        if sure {
            self.say(format_args!("{topic}.{group} began {offset}, which the log knows to be settled"));
        }
        if attempt > begun + 1 {
            self.say(format_args!(
                "{topic}.{group} began {offset} as attempt {attempt}, and {begun} were before"
            ));
        }
        if known.is_some_and(|known| attempt < known) {
            self.say(format_args!(
                "{topic}.{group} began {offset} as attempt {attempt}; the log knows of {known:?}"
            ));
        }
    }

    /// G8: whatever an earlier process began is marked.
    fn on_handled(&mut self, of: &GroupFacts, offset: u64, value: u64, (attempt, unsure): (u32, bool)) {
        self.same_value(&of.topic, offset, value);
        let notes = self.topic(&of.topic);
        let (tried, hopes) = (notes.tried.contains(&value), notes.hopes.get(&value).copied().unwrap_or(0));
        let (topic, group) = (&of.topic, &of.group);
        if !tried {
            self.say(format_args!("{topic}.{group} saw {value}, which nobody published"));
        } else if hopes <= 0 {
            self.say(format_args!("{topic}.{group} saw {value}, which was refused or cancelled"));
        }
        let notes = self.group(of);
        let before = notes.begun.get(&offset).copied().unwrap_or(0) > 1;
        if notes.own.insert(offset) && before && attempt == 1 && !unsure {
            self.say(format_args!("{topic}.{group} saw {offset} again, and it was not marked"));
        }
    }

    fn on_ended(&mut self, of: &GroupFacts, offset: u64, how: End) {
        let most = of.max_attempts;
        let notes = self.group(of);
        let done = match how {
            End::Acked | End::Dropped | End::Rejected => true,
            End::Failed | End::TimedOut => {
                let failed = notes.failures.entry(offset).or_default();
                *failed += 1;
                *failed >= most
            }
            _ => false,
        };
        if done {
            notes.done.insert(offset);
        }
    }

    /// A message of a keyed group begins once all of its key before it are done with, by whichever process.
    fn in_turn(&mut self, of: &GroupFacts, offset: u64) {
        if of.order != Order::Keyed {
            return;
        }
        let Some(topic) = self.topics.get(&of.topic) else { return };
        let Some(notes) = self.groups.get(&(of.topic.clone(), of.group.clone())) else { return };
        let Some(key) = topic.keys.get(&offset) else { return };
        // One that came later may have been given what was there, and need not be given it again.
        let was_there = |at: &u64| topic.confirmed.get(at).is_some_and(|(_, _, all)| all.contains(&of.group));
        let is_its = |at: &u64| *at >= notes.from && (*at >= notes.placed || notes.owed.contains(at));
        let is_open = |at: &u64| was_there(at) && is_its(at) && !notes.done.contains(at);
        let mut before = topic.keys.range(..offset).filter(|(_, other)| *other == key).map(|(at, _)| *at);
        if let Some(open) = before.find(is_open) {
            let (topic, group) = (&of.topic, &of.group);
            self.say(format_args!("{topic}.{group} began {offset} before {open}, of its key, was done with"));
        }
    }

    fn same_value(&mut self, topic: &Name, offset: u64, value: u64) {
        let notes = self.topic(topic);
        let first = *notes.values.entry(offset).or_insert(value);
        let other = notes.values.iter().find(|(at, its)| **at != offset && **its == value).map(|(at, _)| *at);
        if first != value {
            self.say(format_args!("{offset} of {topic} is {first} to one and {value} to another"));
        }
        // Each is published once, but for what can't be accepted twice.
        if let Some(other) = other {
            self.say(format_args!("{value} was accepted twice by {topic}, as {other} and {offset}"));
        }
    }

    fn end(&mut self, ended: Ended) {
        if ended == Ended::ShutDown {
            self.log_has_all_before(usize::MAX);
        }
        for topic in self.topics.values_mut() {
            // One whose creation the log may not have is perhaps not there any more.
            topic.joined.retain(|_, at| *at == 0);
            topic.tried_at.clear();
            topic.accepted_at.clear();
            topic.numbers.clear();
        }
        for group in self.groups.values_mut() {
            group.end();
            group.own.clear();
            group.unsure.clear();
        }
    }
}

mod moved;
mod settled;

#[cfg(test)]
mod tests;
