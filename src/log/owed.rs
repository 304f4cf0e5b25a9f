//! What found no room and nobody waits for: it goes into the next commit. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::change::{Change, Marks};
use super::plan::Step;
use super::request::Request;

/// What nobody waits for, of commits that found no room: it goes into the next one.
///
/// Limit: what the state keeps of groups, once more.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    pub(super) marks: BTreeMap<(u32, u32), Marks>,
    pub(super) trims: BTreeMap<u32, u64>,
    /// There was no room for it just now. Until it is tried again, what nobody waits for joins it, and all else goes before it.
    pub(crate) tried: bool,
}

impl Owed {
    pub(super) fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.trims.is_empty()
    }

    /// Answers a request that has something to come to, though there was no room just now.
    pub(super) fn unless_owed(&mut self, request: Request) -> Option<Request> {
        match request {
            Request::Mark { topic, group, marks, done } if self.tried && !done.is_heard() => {
                self.marks.entry((topic, group)).or_default().append(marks);
                None
            }
            Request::Trim { topic, floor } if self.tried => {
                raise(&mut self.trims, topic, floor);
                None
            }
            request => Some(request),
        }
    }

    /// Takes a run and a note of a group. Why not all of them: they may be more than a commit has room for.
    pub(super) fn some_marks(&mut self) -> Option<((u32, u32), Marks)> {
        let mut first = self.marks.first_entry()?;
        let (group, some) = (*first.key(), first.get_mut().take_one());
        if first.get().is_empty() {
            first.remove();
        }
        Some((group, some))
    }

    /// All of it.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        let marks = self.marks.iter();
        let marks = marks.map(|((topic, group), marks)| (*topic, *group, Cow::Borrowed(marks)));
        let marks = marks.map(|(topic, group, marks)| Change::Marks { topic, group, marks });
        let trims = self.trims.iter();
        marks.chain(trims.map(|(topic, floor)| Change::Trim { topic: *topic, floor: *floor }))
    }

    /// Keeps of a commit that found no room what nobody will ask for again.
    pub(crate) fn keep(&mut self, steps: Vec<Step>) {
        self.tried = true;
        for step in steps {
            match step {
                Step::Other(Change::Marks { topic, group, marks }) => {
                    self.marks.entry((topic, group)).or_default().append(marks.into_owned());
                }
                Step::Other(Change::Trim { topic, floor }) => raise(&mut self.trims, topic, floor),
                Step::Data { .. } | Step::Exact(_) | Step::Other(_) => {}
            }
        }
    }
}

/// A floor only rises.
pub(super) fn raise(trims: &mut BTreeMap<u32, u64>, topic: u32, floor: u64) {
    let at = trims.entry(topic).or_default();
    *at = floor.max(*at);
}
