//! Which bytes of a file take space.

use std::collections::BTreeMap;

/// Ranges of bytes, from start to end, that neither touch nor overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct Extents(BTreeMap<u64, u64>);

impl Extents {
    /// How much of a write at `at` fits, if `room` bytes are free.
    pub(super) fn fit(&self, at: u64, len: u64, mut room: u64) -> u64 {
        let end = at.saturating_add(len);
        let mut upto = at;
        while upto < end {
            if let Some((_, covered)) = self.0.range(..=upto).next_back().filter(|(_, to)| **to > upto) {
                upto = end.min(*covered);
                continue;
            }
            let gap_end = self.0.range(upto..).next().map_or(end, |(from, _)| end.min(*from));
            let gap = gap_end - upto;
            if gap > room {
                upto += room;
                break;
            }
            room -= gap;
            upto = gap_end;
        }
        upto - at
    }

    pub(super) fn add(&mut self, mut from: u64, mut to: u64) {
        if from >= to {
            return;
        }
        while let Some((start, end)) = self.0.range(..=to).next_back().map(|(start, end)| (*start, *end)) {
            if end < from {
                break;
            }
            self.0.remove(&start);
            (from, to) = (from.min(start), to.max(end));
        }
        self.0.insert(from, to);
    }

    /// Gives back what lies behind `len`.
    pub(super) fn cut(&mut self, len: u64) {
        self.0.split_off(&len);
        if let Some((_, end)) = self.0.range_mut(..len).next_back() {
            *end = len.min(*end);
        }
    }

    pub(super) fn held(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_only_gaps_cost() {
        let mut extents = Extents::default();
        extents.add(10, 20);
        extents.add(30, 40);
        assert_eq!(extents.fit(0, 50, 30), 50);
        assert_eq!(extents.fit(0, 50, 12), 22);
        assert_eq!(extents.fit(12, 5, 0), 5);
        assert_eq!(extents.fit(20, 5, 0), 0);
        extents.add(20, 30);
        assert_eq!((extents.held(), extents.0.len()), (30, 1));
        extents.cut(15);
        assert_eq!((extents.held(), extents.fit(15, 1, 0)), (5, 0));
        extents.add(0, 100);
        extents.cut(0);
        assert_eq!(extents.held(), 0);
    }

    #[test]
    fn a_set_of_bytes_agrees() {
        use super::super::super::rng::Rng;
        let mut rng = Rng::new(3, 0);
        let mut extents = Extents::default();
        let mut model = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            let (from, len, room) = (rng.below(64) as u64, rng.below(9) as u64, rng.below(9));
            if rng.below(20) == 0 {
                extents.cut(from);
                model.retain(|byte| *byte < from);
            }
            let fits = (0..=len)
                .rev()
                .find(|fits| (from..from + fits).filter(|byte| !model.contains(byte)).count() <= room);
            assert_eq!(Some(extents.fit(from, len, room as u64)), fits);
            extents.add(from, from + len);
            model.extend(from..from + len);
            assert_eq!(extents.held(), model.len() as u64);
        }
    }
}
