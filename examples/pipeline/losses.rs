//! What does not come to be counted, and why: the account that has to be made up for a check that is exact.
//!
//! A group that is done with a line has closed it. An evicted line leaves the groups that had not, and the topic's
//! hook, which is not told which ones these are, finds them by that. A group may also have given the line up, and its
//! dead letter be still on its way: then the hook takes the line for evicted there, and the letter puts that right.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::prelude::*;

use crate::count::{Counts, get, lock};
use crate::faults::Faults;
use crate::line::{Line, PerStep, Step};

/// How many dead letters, differences and top words are listed; the rest is only counted.
pub(crate) const LISTED: usize = 10;

#[derive(Default)]
pub(crate) struct Losses {
    /// Effects that did not happen.
    pub(crate) missing: Counts,
    pub(crate) letters: AtomicU64,
    first: Mutex<Vec<String>>,
    /// What the topic evicted, lines that all groups had just been done with among them.
    pub(crate) evicted: AtomicU64,
    /// The groups that these were evicted from.
    from: PerStep,
    /// Lines that the topic did not take.
    pub(crate) dropped: AtomicU64,
}

impl Losses {
    /// Notes that nobody gets to see these lines.
    pub(crate) fn drop_newest(&self, lines: &[Line]) {
        self.dropped.fetch_add(lines.len() as u64, Ordering::Relaxed);
        for line in lines {
            Step::OF_LINES.iter().for_each(|step| self.missing.add(*step, line.text()));
        }
    }

    /// Notes that the groups which are not done with a line get to see no more of it.
    pub(crate) fn evict(&self, line: &Message<Line>, faults: &Faults) {
        self.evicted.fetch_add(1, Ordering::Relaxed);
        for step in Step::OF_LINES {
            if line.close(step) {
                self.from.of(step).fetch_add(1, Ordering::Relaxed);
                if !faults.evicted(step, line) {
                    self.missing.add(step, line.text());
                }
            }
        }
    }

    /// Notes a dead letter.
    pub(crate) fn bury(&self, step: Step, letter: &DeadLetter, faults: &Faults) -> Result<(), Fault> {
        if let Some(word) = letter.message::<String>() {
            self.write(step, letter, &word, faults.buried(step, letter));
        } else if let Some(line) = letter.message::<Line>() {
            let evicted = !line.close(step);
            if evicted {
                self.from.of(step).fetch_sub(1, Ordering::Relaxed);
            }
            self.write(step, letter, line.text(), evicted || faults.buried(step, letter));
        } else {
            return Err(Fault::new("a dead letter that is neither a word nor a line"));
        }
        Ok(())
    }

    /// Evicted lines that this group was not done with.
    pub(crate) fn evicted_from(&self, step: Step) -> u64 {
        get(self.from.of(step))
    }

    /// The first dead letters.
    pub(crate) fn first(&self) -> Vec<String> {
        lock(&self.first).clone()
    }

    /// `known`: its effect happened, or is missed already.
    fn write(&self, step: Step, letter: &DeadLetter, text: &str, known: bool) {
        self.letters.fetch_add(1, Ordering::Relaxed);
        if !known {
            self.missing.add(step, text);
        }
        let mut first = lock(&self.first);
        if first.len() < LISTED {
            let start: String = text.chars().take(40).collect();
            let (topic, group, id) = (letter.original_topic(), letter.group(), letter.original_id());
            let error = letter.error().unwrap_or("no error");
            first.push(format!("{topic}.{group} {id}: {}: {error}: {start:?}", letter.reason()));
        }
    }
}
