//! What a word is, and the two ways to count: many hands in shards, and one hand without haste.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Splits a line into words: runs of letters and digits, in lower case.
pub(crate) fn words(line: &str) -> impl Iterator<Item = String> {
    line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Counts that many consumers change at once. They live outside of the consumers, and so outlive their crashes.
#[derive(Default)]
pub(crate) struct Counts {
    lines: AtomicU64,
    words: [Mutex<BTreeMap<Box<str>, u64>>; 16],
}

impl Counts {
    pub(crate) fn add_line(&self) {
        self.lines.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_word(&self, word: &str) {
        let mut shard = self.shard(word);
        match shard.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(shard.insert(word.into(), 1)),
        }
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
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

    fn shard(&self, word: &str) -> MutexGuard<'_, BTreeMap<Box<str>, u64>> {
        let mixed =
            word.bytes().fold(0_usize, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(byte.into()));
        let [first, rest @ ..] = &self.words;
        lock(rest.get(mixed % 16).unwrap_or(first))
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

/// Locks, whether or not somebody panicked with the lock in hand: every change under these locks is one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
