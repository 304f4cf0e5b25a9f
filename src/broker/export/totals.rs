//! Counts that never fall, whatever becomes of those who count. Pure.

use std::collections::BTreeMap;

use crate::base::Name;

/// Whose counts they are: a topic's, or a group's of it.
pub(super) type Whose = (Name, Option<Name>);

/// What was counted under each name.
///
/// A topic or group of a name may be deleted and another one opened, whose counts begin at zero; what is counted under
/// the name goes on.
#[derive(Default)]
pub(super) struct Totals {
    /// Limit: those that are there, and [`GONE`] that are not.
    of: BTreeMap<Whose, Total>,
    round: u64,
}

/// How many names are remembered whose topic or group is gone.
const GONE: usize = 4096;

struct Total {
    /// The one that counts now, or did last; see `TopicNode::number`.
    number: (u64, u64),
    /// What those before it counted.
    before: Vec<u64>,
    counts: Vec<u64>,
    round: u64,
    /// It was told that it is gone.
    gone: bool,
}

impl Totals {
    /// Takes in the counts of one; answers what was counted under its name.
    pub(super) fn add(&mut self, whose: Whose, number: (u64, u64), counts: Vec<u64>) -> Vec<u64> {
        let round = self.round;
        let fresh =
            || Total { number, before: vec![0; counts.len()], counts: Vec::new(), round, gone: false };
        let total = self.of.entry(whose).or_insert_with(fresh);
        // What one counts only grows: less is another one's, which was not told apart.
        let less = total.counts.iter().zip(&counts).any(|(before, now)| now < before);
        if total.number != number || less {
            total.number = number;
            total.before.iter_mut().zip(&total.counts).for_each(|(before, count)| *before += count);
        }
        (total.counts, total.round, total.gone) = (counts, round, false);
        total.before.iter().zip(&total.counts).map(|(before, count)| before + count).collect()
    }

    /// The one that counts under this name, if it is there.
    pub(super) fn number(&self, whose: &Whose) -> Option<(u64, u64)> {
        self.of.get(whose).filter(|total| !total.gone).map(|total| total.number)
    }

    /// Ends a round: answers who was in the one before and is not in this one.
    pub(super) fn end_round(&mut self) -> Vec<Whose> {
        let round = self.round;
        self.round += 1;
        let missing = self.of.iter_mut().filter(|(_, total)| total.round != round && !total.gone);
        let gone: Vec<Whose> = missing
            .map(|(whose, total)| {
                total.gone = true;
                whose.clone()
            })
            .collect();
        let mut most = GONE;
        self.of.retain(|_, total| !total.gone || most.checked_sub(1).map(|left| most = left).is_some());
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(topic: &str) -> Whose {
        (Name::new(topic).unwrap(), None)
    }

    #[test]
    fn what_is_counted_under_a_name_never_falls() {
        let mut totals = Totals::default();
        let mut add = |number, counts: [u64; 2]| totals.add(whose("t"), (number, 0), counts.to_vec());
        assert_eq!(add(1, [3, 0]), [3, 0]);
        assert_eq!(add(1, [5, 1]), [5, 1]);
        assert_eq!(add(2, [0, 0]), [5, 1], "another one of its name begins where it ended");
        assert_eq!(add(2, [9, 0]), [14, 1]);
        assert_eq!(add(3, [20, 0]), [34, 1], "also if it is ahead by now");
        assert_eq!(add(3, [1, 0]), [35, 1], "and if it can't be told apart but by that");
    }

    #[test]
    fn who_is_gone_is_said_once_and_its_counts_are_kept() {
        let mut totals = Totals::default();
        totals.add(whose("a"), (1, 0), vec![7]);
        totals.add(whose("b"), (2, 0), vec![1]);
        assert!(totals.end_round().is_empty());
        totals.add(whose("b"), (2, 0), vec![1]);
        assert_eq!(totals.end_round(), [whose("a")]);
        assert_eq!((totals.number(&whose("a")), totals.number(&whose("b"))), (None, Some((2, 0))));
        totals.add(whose("b"), (2, 0), vec![1]);
        assert!(totals.end_round().is_empty());
        assert_eq!(totals.add(whose("a"), (3, 0), vec![1]), [8]);
    }

    #[test]
    fn so_many_names_and_no_more_are_remembered() {
        let mut totals = Totals::default();
        for name in 0..2 * GONE {
            totals.add(whose(&format!("t{name}")), (name as u64, 0), vec![1]);
            totals.end_round();
        }
        assert!(totals.of.len() <= GONE + 1, "{}", totals.of.len());
    }
}
