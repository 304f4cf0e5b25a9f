//! Groups that begin in the past, or are moved, and where the next process is to find them.
//!
//! What a group lets go of to be moved is not noted: that it is placed anew says it. So a process that ends before the log has that
//! leaves the group where it was, with all that it had; and one that ends before that is known leaves it here or there.

use super::{GroupNotes, Reader};
use crate::broker::Start;
use crate::sim::check::{GroupFacts, GroupKey, History, What};

impl Reader<'_> {
    pub(super) fn read_moved(&mut self, history: &History, place: usize, what: &What) {
        let facts = |key: &GroupKey| history.groups.get(key.0);
        match what {
            What::Placed { group, start, floor, moved, .. } => {
                if let Some(of) = facts(group) {
                    self.on_placed(of, place, *start, *floor, *moved);
                }
            }
            What::LetsGo(group) => {
                if let Some(of) = facts(group) {
                    self.group(of).lets_go();
                }
            }
            What::Sought(group) => {
                if let Some(of) = facts(group) {
                    self.group(of).is_placed_for_sure(usize::MAX);
                }
            }
            What::PassedBy { group, from, to, .. } => {
                if let Some(of) = facts(group) {
                    self.group(of).passes_by(*from, *to);
                }
            }
            _ => {}
        }
    }

    /// A group begins here. What is kept from there on is to be settled by it, once more if it had been.
    pub(super) fn on_placed(
        &mut self,
        of: &GroupFacts,
        place: usize,
        start: Start,
        floor: Option<u64>,
        moved: bool,
    ) {
        let topic = self.topic(&of.topic);
        let from = match start {
            Start::Earliest => 0,
            Start::Offset(offset) => offset,
            Start::After(id) => id.offset() + 1,
            // A time that was not found.
            Start::Latest | Start::UnixMillis(_) => topic.next,
        };
        // What is trimmed is for nobody.
        let from = floor.map_or(from, |floor| floor.max(from));
        let there = floor.map_or(u64::MAX, |_| from)..topic.next;
        let kept = topic.confirmed.keys().copied().filter(|offset| there.contains(offset));
        let (owed, placed) = (kept.collect(), topic.next);
        let confirmed: Vec<u64> = topic.confirmed.keys().copied().collect();
        let notes = self.group(of);
        if moved {
            notes.begin_anew(place);
            // What was not for it before is for it now only if it is kept.
            notes.settled.extend(confirmed.into_iter().filter(|offset| *offset < notes.from));
        } else {
            // Of one that was lost with its creation nothing is left.
            *notes = GroupNotes::default();
        }
        notes.settled.retain(|offset| !there.contains(offset));
        notes.done.retain(|offset| !there.contains(offset));
        (notes.from, notes.owed, notes.placed) = (from, owed, placed);
    }
}

impl GroupNotes {
    /// It is to be moved.
    pub(super) fn lets_go(&mut self) {
        let now = GroupNotes { before: Vec::new(), ..self.clone() };
        self.before.push((None, now));
    }

    /// These were trimmed before it read them.
    pub(super) fn passes_by(&mut self, from: u64, to: u64) {
        self.done.extend(from..to);
        self.settled.extend(from..to);
        // A letter that was lost with what was settled, so that its message was to come again.
        self.dead.retain(|offset, read| *read || !(from..to).contains(offset));
    }

    fn begin_anew(&mut self, place: usize) {
        if let Some((at, _)) = self.before.last_mut() {
            *at = Some(place);
        }
        let dead = std::mem::take(&mut self.dead);
        let (read, unread): (Vec<_>, Vec<_>) = dead.into_iter().partition(|(_, read)| *read);
        self.dead.extend(read);
        self.letters.extend(unread.into_iter().map(|(offset, _)| offset));
        self.begun.clear();
        self.failures.clear();
        self.sure.clear();
        self.noted.clear();
        self.own.clear();
        self.unsure.clear();
    }

    /// The log has all before this place of the history.
    pub(super) fn is_placed_for_sure(&mut self, place: usize) {
        let last = self.before.iter().rposition(|(at, _)| at.is_some_and(|at| at < place));
        if let Some(last) = last {
            self.before.drain(..=last);
        }
    }

    /// The process has ended.
    pub(super) fn end(&mut self) {
        let mut before = std::mem::take(&mut self.before);
        // It was on its way, and is where it was.
        if let Some((_, notes)) = before.pop_if(|(at, _)| at.is_none()) {
            *self = notes;
        }
        before.into_iter().for_each(|(_, notes)| self.or(notes));
    }

    /// This is true, or the other.
    fn or(&mut self, other: GroupNotes) {
        for (offset, begun) in other.begun {
            let most = self.begun.entry(offset).or_default();
            *most = begun.max(*most);
        }
        for (offset, failures) in other.failures {
            let most = self.failures.entry(offset).or_default();
            *most = failures.max(*most);
        }
        self.done.extend(other.done);
        self.settled.extend(other.settled);
        self.sure.retain(|offset| other.sure.contains(offset));
        self.owed.retain(|offset| other.owed.contains(offset));
        self.noted.retain(|offset, least| {
            let others = other.noted.get(offset);
            *least = others.map_or(*least, |others| *others.min(least));
            others.is_some()
        });
        let known = &other.dead;
        self.dead.retain(|offset, read| *read || known.get(offset) == Some(&false));
        self.dead.extend(other.dead.iter().filter(|(_, read)| **read));
        self.letters.clear();
        self.from = self.from.max(other.from);
    }
}
