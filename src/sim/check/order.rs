//! Does a group of one consumer begin its messages in order?

use std::collections::{BTreeMap, BTreeSet};

use super::{Finds, GroupKey, History, What};
use crate::broker::Order;

/// P6: first attempts come in the order of publishing, whatever fails in between; a retry may come later than others,
/// and so may what was redriven. By key, other keys go on.
pub(super) fn of_a_single_consumer(history: &History, finds: &mut Finds<'_>) {
    let mut consumers: BTreeMap<GroupKey, BTreeSet<u32>> = BTreeMap::new();
    for what in history.whats() {
        if let What::Began { group, consumer, .. } | What::Hired { group, consumer } = what {
            consumers.entry(*group).or_default().insert(*consumer);
        }
    }
    let (mut last, redriven): (BTreeMap<GroupKey, u64>, _) = (BTreeMap::new(), history.redriven());
    for what in history.whats() {
        if let What::Placed { group, .. } = what {
            last.remove(group);
        }
        if let What::Began { group, id, attempt: 1, .. } = what
            && consumers.get(group).is_some_and(|consumers| consumers.len() == 1)
            && history.groups.get(group.0).is_some_and(|facts| facts.order != Order::Keyed)
            && !redriven.contains_key(&(*group, id.offset()))
        {
            let before = last.insert(*group, id.offset()).unwrap_or(0);
            if before > id.offset() {
                finds.say(format_args!("{} began {id} after {before}", history.name(*group)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::Story;
    use super::super::{End, apply};
    use super::*;

    #[test]
    fn a_first_attempt_out_of_order_is_found_and_a_retry_is_not() {
        let story = || Story::of(&["g"]).accepted(0, 9).offered("g", 0, 9).attempt("g", 0, 1, End::Failed);
        let good = story().attempt("g", 1, 1, End::Acked).attempt("g", 0, 2, End::Acked);
        assert_eq!(apply(of_a_single_consumer, &good.end()), [""; 0]);
        let bad = story().attempt("g", 2, 1, End::Acked).attempt("g", 1, 1, End::Acked);
        assert_eq!(apply(of_a_single_consumer, &bad.clone().end()).len(), 1);
        assert_eq!(apply(of_a_single_consumer, &bad.clone().redriven("g", 1).end()), [""; 0]);
        let two = bad.began("g", 2, 5, 1);
        assert_eq!(apply(of_a_single_consumer, &two.end()), [""; 0], "two consumers have no order");
    }
}
