//! What a group is done with: everything below a floor, and some runs above it. Pure.

use std::collections::BTreeMap;

/// A set of offsets that fills up from below.
///
/// Limit: the runs above the floor are at most as many as there are unsettled messages, which the topic's capacity bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    floor: u64,
    /// From the first to one behind the last; above the floor, apart from it and from each other.
    runs: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Everything below `floor`.
    pub(crate) fn below(floor: u64) -> Ranges {
        Ranges { floor, runs: BTreeMap::new() }
    }

    /// The first offset that is not in it.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn contains(&self, offset: u64) -> bool {
        offset < self.floor || self.runs.range(..=offset).next_back().is_some_and(|(_, end)| offset < *end)
    }

    /// Whether all from `from` to one before `to` are in it.
    #[cfg_attr(not(feature = "server"), expect(dead_code, reason = "only the server asks"))]
    pub(crate) fn covers(&self, from: u64, to: u64) -> bool {
        let from = from.max(self.floor);
        from >= to || self.runs.range(..=from).next_back().is_some_and(|(_, end)| to <= *end)
    }

    /// Adds all from `from` to one before `to`.
    pub(crate) fn insert(&mut self, from: u64, to: u64) {
        let (mut from, mut to) = (from.max(self.floor), to);
        if from >= to {
            return;
        }
        while let Some((start, end)) = self.runs.range(..=to).next_back().map(|(start, end)| (*start, *end))
            && end >= from
        {
            self.runs.remove(&start);
            (from, to) = (from.min(start), to.max(end));
        }
        if from == self.floor {
            self.floor = to;
        } else {
            self.runs.insert(from, to);
        }
    }

    /// The runs above the floor, from the first to one behind the last of each.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs.iter().map(|(from, to)| (*from, *to))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_put_in(start in 0u64..5, steps in proptest::collection::vec((0u64..60, 0u64..9), 0..40)) {
            let (mut ranges, mut toy) = (Ranges::below(start), (0..start).collect::<BTreeSet<_>>());
            for (from, len) in steps {
                ranges.insert(from, from + len);
                toy.extend(from..from + len);
                prop_assert!((0..80).all(|at| ranges.contains(at) == toy.contains(&at)));
                prop_assert_eq!(ranges.covers(from, from + 3), (from..from + 3).all(|at| toy.contains(&at)));
                prop_assert_eq!(ranges.floor(), (0..).find(|at| !toy.contains(at)).unwrap());
                let mut before = ranges.floor();
                for (from, to) in ranges.runs() {
                    prop_assert!(before < from && from < to, "runs lie apart");
                    before = to;
                }
            }
        }
    }
}
