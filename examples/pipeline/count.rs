//! What a word is, and the two ways to count: many hands in shards, and one hand without haste.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::line::Step;

/// Splits a line into words: runs of letters and digits, in lower case.
pub(crate) fn words(line: &str) -> impl Iterator<Item = String> {
    line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Counts that many consumers change at once. They live outside of the consumers, and so outlive their crashes.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) audited: AtomicU64,
    pub(crate) ordered: AtomicU64,
    words: [Mutex<BTreeMap<Box<str>, u64>>; 16],
}

impl Counts {
    /// Adds what a step does with a line, or with a word.
    pub(crate) fn add(&self, step: Step, text: &str) {
        match step {
            Step::Parse => words(text).for_each(|word| self.add_word(&word)),
            Step::Count => self.add_word(text),
            Step::Order => drop(self.ordered.fetch_add(1, Ordering::Relaxed)),
            Step::Audit => drop(self.audited.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn add_word(&self, word: &str) {
        let mut shard = self.shard(word);
        match shard.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(shard.insert(word.into(), 1)),
        }
    }

    pub(crate) fn word(&self, word: &str) -> u64 {
        self.shard(word).get(word).copied().unwrap_or(0)
    }

    /// All words with their counts, in no useful order.
    pub(crate) fn words(&self) -> Vec<(Box<str>, u64)> {
        let mut words = Vec::new();
        for shard in &self.words {
            words.extend(lock(shard).iter().map(|(word, count)| (word.clone(), *count)));
        }
        words
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words().is_empty() && get(&self.audited) + get(&self.ordered) == 0
    }

    fn shard(&self, word: &str) -> MutexGuard<'_, BTreeMap<Box<str>, u64>> {
        let mixed =
            word.bytes().fold(0_usize, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(byte.into()));
        let [first, rest @ ..] = &self.words;
        lock(rest.get(mixed % 16).unwrap_or(first))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words().iter().map(|(_, count)| count).sum();
        let [words, audited, ordered] = [words, get(&self.audited), get(&self.ordered)].map(grouped);
        write!(f, "{words} words, {audited} lines of audit, {ordered} of order")
    }
}

/// The count that needs no broker: one thread, one map. What the pipeline counts is checked against it.
#[derive(Default)]
pub(crate) struct Plain {
    pub(crate) lines: u64,
    pub(crate) words: BTreeMap<String, u64>,
}

impl Plain {
    pub(crate) fn line(&mut self, words: impl Iterator<Item = String>) {
        self.lines += 1;
        for word in words {
            *self.words.entry(word).or_default() += 1;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.words.values().sum()
    }
}

/// Reads a count. Ordering: it is exact once those who counted have ended.
pub(crate) fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// Locks, whether or not somebody panicked with the lock in hand: every change under these locks is one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a number in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = {
        let (first, rest) = digits.split_at(digits.len() % 3);
        let rest = (0..rest.len()).step_by(3).filter_map(|at| rest.get(at..at + 3));
        std::iter::once(first).filter(|first| !first.is_empty()).chain(rest).collect()
    };
    groups.join(",")
}
