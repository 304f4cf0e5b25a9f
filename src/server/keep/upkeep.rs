//! When a stream is written whole, so that what it came from can go. Pure.
//!
//! ```text
//!   notes:  ..│ a whole │ b whole │ a │ a │ b │ a │ b │ a │       total bytes, of which `live` would be enough
//!             └ the floor: the oldest place where some stream is whole
//! ```
//! Where there is much more than would be enough, the stream that was whole longest ago is written once more, and then the next:
//! the floor rises to the oldest one that is left. So all that is written twice is at most a third of what is written
//! once: cleaning in turn, as log-structured file systems do (Rosenblum and Ousterhout 1991).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// So much is kept in any case, in bytes.
const SLACK: u64 = 1 << 20;
/// So many times what would be enough may be kept.
const TIMES: u64 = 4;
/// Sizes are added up over so many bytes.
const GRAIN: u64 = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Where notes lie: from an offset on, so many bytes; in order. Limit: one for each [`GRAIN`].
    written: VecDeque<(u64, u64)>,
    total: u64,
    /// Since when each stream is whole, and how many bytes that took.
    whole: BTreeMap<u64, (u64, u64)>,
    by_age: BTreeSet<(u64, u64)>,
    live: u64,
}

impl Upkeep {
    /// Notes were written: so many bytes at an offset.
    pub(super) fn wrote(&mut self, offset: u64, bytes: u64) {
        self.total += bytes;
        match self.written.back_mut() {
            Some((_, some)) if *some < GRAIN => *some += bytes,
            _ => self.written.push_back((offset, bytes)),
        }
    }

    /// A stream is whole from an offset on.
    pub(super) fn is_whole(&mut self, number: u64, offset: u64, bytes: u64) {
        self.is_gone(number);
        self.whole.insert(number, (offset, bytes));
        self.by_age.insert((offset, number));
        self.live += bytes;
    }

    pub(super) fn is_gone(&mut self, number: u64) {
        if let Some((offset, bytes)) = self.whole.remove(&number) {
            self.by_age.remove(&(offset, number));
            self.live -= bytes;
        }
    }

    /// The stream that is to be written whole now, if one is: what is written at `next` was so already.
    pub(super) fn due(&self, next: u64) -> Option<u64> {
        let (offset, number) = self.oldest()?;
        (self.total > TIMES * self.live + SLACK && offset < next).then_some(number)
    }

    /// The stream that was whole longest ago, and since when.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        self.by_age.first().copied()
    }

    /// Nothing below this is of use; `next` is the offset of what is written next.
    pub(super) fn floor(&self, next: u64) -> u64 {
        self.oldest().map_or(next, |(offset, _)| offset)
    }

    #[cfg(test)]
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// What is below is not counted any more. Answers whether there was something.
    pub(super) fn trim(&mut self, floor: u64) -> bool {
        let before = self.written.len();
        // One counts as long as something of it is there: where the next one begins.
        while let (Some((_, bytes)), Some((next, _))) = (self.written.front(), self.written.get(1))
            && *next <= floor
        {
            self.total -= bytes;
            self.written.pop_front();
        }
        self.written.len() < before
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_oldest_is_written_once_there_is_much_more_than_enough() {
        let mut upkeep = Upkeep::default();
        upkeep.is_whole(1, 0, 100);
        upkeep.is_whole(2, 1, 100);
        upkeep.wrote(0, 200);
        assert_eq!((upkeep.due(2), upkeep.floor(2)), (None, 0));
        upkeep.wrote(2, SLACK + 601);
        assert_eq!(upkeep.due(3), Some(1));
        upkeep.is_whole(1, 3, 100);
        assert_eq!((upkeep.due(4), upkeep.floor(4)), (Some(2), 1));
        upkeep.is_gone(2);
        assert_eq!((upkeep.due(3), upkeep.floor(4)), (None, 3));
        upkeep.is_gone(1);
        assert_eq!((upkeep.due(4), upkeep.floor(4), upkeep.live), (None, 4, 0));
    }

    proptest! {
        /// Whatever is written: no more is kept than was said, and what is written twice is bounded by what is written once.
        #[test]
        fn what_is_kept_and_written_twice_is_bounded(sizes in prop::collection::vec((1..20_u64, 1..40_000_u64), 100..600)) {
            let (mut upkeep, mut next, mut once, mut twice) = (Upkeep::default(), 0, 0, 0);
            let mut live = BTreeMap::new();
            for (number, bytes) in sizes {
                if let std::collections::btree_map::Entry::Vacant(new) = live.entry(number) {
                    // As large as it ever gets, at once.
                    new.insert(1_000 * number);
                    upkeep.is_whole(number, next, 1_000 * number);
                }
                upkeep.wrote(next, bytes);
                once += bytes;
                while let Some(number) = upkeep.due(next) {
                    upkeep.is_whole(number, next, live[&number]);
                    upkeep.wrote(next, live[&number]);
                    twice += live[&number];
                }
                next += 1;
                let floor = upkeep.floor(next);
                upkeep.trim(floor);
                let live: u64 = live.values().sum();
                prop_assert!(upkeep.total <= TIMES * live + SLACK + 2 * (GRAIN + 40_000), "{} of {live}", upkeep.total);
                prop_assert!(floor <= next);
            }
            prop_assert!(twice <= once / 2 + live.values().sum::<u64>(), "{twice} of {once}");
        }
    }
}
