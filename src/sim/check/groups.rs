//! Do groups leave each other alone, and share fairly inside?

use std::collections::{BTreeMap, BTreeSet};

use super::{Finds, History, What};

/// P7, of consumers: none has begun more messages at a time than its prefetch.
pub(super) fn prefetch_is_kept(history: &History, finds: &mut Finds<'_>) {
    let mut open: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    for what in history.whats() {
        match what {
            What::Began { group, consumer, id, .. } => {
                let of = open.entry((*group, *consumer)).or_default();
                of.insert(id.offset());
                let most = history.groups.get(group.0).map_or(u32::MAX, |facts| facts.prefetch);
                if of.len() > most as usize {
                    let name = history.name(*group);
                    finds.say(format_args!("consumer {consumer} of {name} is at {} messages", of.len()));
                }
            }
            What::Ended { group, consumer, id, .. } => {
                open.entry((*group, *consumer)).or_default().remove(&id.offset());
            }
            What::Gone { group, consumer } => {
                open.remove(&(*group, *consumer));
            }
            _ => {}
        }
    }
}

/// P18: while one group stood still, the others of its topic have settled all they were offered.
pub(super) fn are_isolated(history: &History, finds: &mut Finds<'_>) {
    let mut unsettled: BTreeSet<_> = BTreeSet::new();
    for what in history.whats() {
        match what {
            What::Offered { group, base, runs } => {
                for (from, to) in runs {
                    unsettled.extend((*from..*to).map(|at| (*group, base + u64::from(at))));
                }
            }
            What::Redriven { group, offset } => {
                unsettled.insert((*group, *offset));
            }
            What::Settled { group, from, to } => {
                for offset in *from..*to {
                    unsettled.remove(&(*group, offset));
                }
            }
            What::Stalled(still) => {
                let topic = history.groups.get(still.0).map(|facts| &facts.topic);
                for (key, facts) in history.facts().filter(|(key, _)| key != still) {
                    let left = unsettled.range((key, 0)..(key, u64::MAX)).count();
                    if Some(&facts.topic) == topic && left > 0 {
                        let (name, still) = (history.name(key), history.name(*still));
                        finds.say(format_args!("{name} has {left} messages left while {still} stands still"));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The fewest messages for each consumer of which shares say something (G9).
const ENOUGH: usize = 1000;

/// P19, of groups that are marked as fair.
pub(super) fn are_fair(history: &History, finds: &mut Finds<'_>) {
    let mut shares: BTreeMap<_, BTreeMap<u32, usize>> = BTreeMap::new();
    for what in history.whats() {
        if let What::Began { group, consumer, attempt: 1, .. } = what {
            *shares.entry(*group).or_default().entry(*consumer).or_default() += 1;
        }
    }
    for (key, facts) in history.facts().filter(|(_, facts)| facts.fair) {
        let (name, consumers) = (history.name(key), facts.consumers as usize);
        let shares = shares.remove(&key).unwrap_or_default();
        let mean = shares.values().sum::<usize>() / consumers.max(1);
        if mean < ENOUGH {
            finds.say(format_args!("{name} handled too few messages to call it fair"));
        }
        if shares.len() < consumers || shares.values().any(|share| share * 2 < mean || *share > mean * 2) {
            finds.say(format_args!("{name} shares unevenly among {consumers}: {shares:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::Story;
    use super::super::{End, apply};
    use super::*;

    /// The made-up groups have a prefetch of 3.
    #[test]
    fn a_consumer_at_too_many_messages_is_found() {
        let story = Story::of(&["g"]).accepted(0, 9).offered("g", 0, 9);
        let three = (0..3).fold(story, |story, at| story.began("g", 1, at, 1));
        let ended = three.clone().ended("g", 1, 0, 1, End::Acked).began("g", 1, 3, 1);
        assert_eq!(apply(prefetch_is_kept, &ended.end()), [""; 0]);
        assert_eq!(apply(prefetch_is_kept, &three.clone().gone("g", 1).began("g", 2, 3, 1).end()), [""; 0]);
        assert_eq!(apply(prefetch_is_kept, &three.began("g", 1, 3, 1).end()).len(), 1);
    }

    #[test]
    fn a_group_that_waits_for_one_that_stands_still_is_found() {
        let story = Story::of(&["g", "h"]).accepted(0, 3).offered("g", 0, 3).offered("h", 0, 3);
        let most = story.settled("h", 0, 2);
        assert_eq!(apply(are_isolated, &most.clone().settled("h", 2, 3).stalled("g").end()), [""; 0]);
        assert_eq!(apply(are_isolated, &most.stalled("g").settled("h", 2, 3).end()).len(), 1);
    }

    #[test]
    fn shares_that_are_far_from_the_mean_are_found() {
        let shares = |first: u64, second: u64| {
            let mut story = Story::of(&["g"]).fair("g", 2);
            for at in 0..first + second {
                story = story.began("g", u32::from(at < first), at, 1);
            }
            story.end()
        };
        assert_eq!(apply(are_fair, &shares(1000, 1000)), [""; 0]);
        assert_eq!(apply(are_fair, &shares(1400, 700)), [""; 0]);
        assert_eq!(apply(are_fair, &shares(1700, 400)).len(), 1);
        assert_eq!(apply(are_fair, &shares(2100, 0)).len(), 1);
        assert_eq!(apply(are_fair, &shares(500, 500)).len(), 1);
    }
}
