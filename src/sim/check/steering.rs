//! Does a group begin no more than it may: in flight, in a time, while it is paused or its breaker is open?

use std::collections::{BTreeMap, BTreeSet};

use super::{Event, Finds, GroupKey, History, What};
use crate::base::Moment;
use crate::broker::RateLimit;

/// P7, of groups: all consumers together hold no more than `max_in_flight`, as far as it was begun.
pub(super) fn max_in_flight_is_kept(history: &History, finds: &mut Finds<'_>) {
    let mut open: BTreeMap<GroupKey, BTreeSet<(u32, u64)>> = BTreeMap::new();
    for what in history.whats() {
        match what {
            What::Began { group, consumer, id, .. } => {
                let of = open.entry(*group).or_default();
                of.insert((*consumer, id.offset()));
                let most = history.groups.get(group.0).and_then(|facts| facts.max_in_flight);
                if most.is_some_and(|most| of.len() > most as usize) {
                    finds.say(format_args!("{} is at {} messages", history.name(*group), of.len()));
                }
            }
            What::Ended { group, consumer, id, .. } => {
                open.entry(*group).or_default().remove(&(*consumer, id.offset()));
            }
            What::Gone { group, consumer } => {
                open.entry(*group).or_default().retain(|(by, _)| by != consumer);
            }
            _ => {}
        }
    }
}

/// P7: since a group last said how many may begin, no more have: none while it is paused or its breaker is open, one
/// while that is half open.
pub(super) fn nothing_begins_unasked(history: &History, finds: &mut Finds<'_>) {
    let mut allowed: BTreeMap<GroupKey, u64> = BTreeMap::new();
    for what in history.whats() {
        match what {
            What::MayBegin { group, most } => drop(allowed.insert(*group, *most)),
            What::Began { group, consumer, id, .. } => {
                let left = allowed.entry(*group).or_insert(u64::MAX);
                if *left == 0 {
                    let name = history.name(*group);
                    finds.say(format_args!("consumer {consumer} of {name} began {id}, and none may begin"));
                } else if *left < u64::MAX {
                    *left -= 1;
                }
            }
            _ => {}
        }
    }
}

/// P7: in any window, no more messages were handed out, without those that came back unbegun, than the group's rate limit
/// allows in a time of that length.
///
/// Why not by when they began: whoever has a message may be slow to begin.
pub(super) fn rates_are_kept(history: &History, finds: &mut Finds<'_>) {
    let mut returned: BTreeSet<(GroupKey, u64)> = BTreeSet::new();
    for what in history.whats() {
        if let What::Returned { group, lease } = what {
            returned.insert((*group, *lease));
        }
    }
    let mut limits: BTreeMap<GroupKey, RateLimit> = BTreeMap::new();
    let mut handed: BTreeMap<GroupKey, Vec<(Moment, u64)>> = BTreeMap::new();
    for Event { at, what } in &history.events {
        match what {
            What::Opened(group) => {
                let limit = history.groups.get(group.0).and_then(|facts| facts.rate_limit);
                limit.map(|limit| limits.insert(*group, limit));
            }
            What::Limited { group, limit } => {
                handed.remove(group);
                match limit {
                    Some(limit) => drop(limits.insert(*group, *limit)),
                    None => drop(limits.remove(group)),
                }
            }
            What::Handed { group, lease, weight } if !returned.contains(&(*group, *lease)) => {
                let Some(limit) = limits.get(group) else { continue };
                let handed = handed.entry(*group).or_default();
                handed.push((*at, *weight));
                if let Some((count, since)) = too_many(limit, handed) {
                    let (name, took) = (history.name(*group), at.since(since));
                    finds.say(format_args!("{name} handed out {count} within {took:?}, under {limit:?}"));
                }
            }
            _ => {}
        }
    }
}

/// The window that ends with the last of these, and has too many.
///
/// The last one goes if there is one token, whatever it weighs.
fn too_many(limit: &RateLimit, handed: &[(Moment, u64)]) -> Option<(u64, Moment)> {
    let ((end, weight), before) = handed.split_last()?;
    let mut sum = (*weight).min(1);
    let mut windows = std::iter::once((sum, *end)).chain(before.iter().rev().map(|(since, weight)| {
        sum += weight;
        (sum, *since)
    }));
    windows.find(|(sum, since)| {
        let (took, interval) = (end.since(*since).as_nanos(), limit.interval().as_nanos());
        let over = sum.saturating_sub(u64::from(limit.burst_size()));
        u128::from(over) * interval > took * u128::from(limit.messages())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::made_up::Story;
    use super::super::{End, apply};
    use super::*;

    fn story() -> Story {
        Story::of(&["g"]).accepted(0, 9).offered("g", 0, 9)
    }

    #[test]
    fn a_group_at_too_many_messages_is_found() {
        let two = story().at_most("g", 2).began("g", 1, 0, 1).began("g", 2, 1, 1);
        let next = |story: Story| story.began("g", 1, 2, 1).end();
        assert_eq!(apply(max_in_flight_is_kept, &next(two.clone().ended("g", 2, 1, 1, End::Acked))), [""; 0]);
        assert_eq!(apply(max_in_flight_is_kept, &next(two.clone().gone("g", 2))), [""; 0]);
        assert_eq!(apply(max_in_flight_is_kept, &next(two)).len(), 1);
    }

    #[test]
    fn what_begins_in_a_pause_or_beside_a_probe_is_found() {
        let begun = |most, times: u64| {
            let story = story().may_begin("g", most);
            (0..times).fold(story, |story, at| story.began("g", 1, at, 1))
        };
        assert_eq!(apply(nothing_begins_unasked, &begun(u64::MAX, 9).end()), [""; 0]);
        assert_eq!(apply(nothing_begins_unasked, &begun(0, 1).end()).len(), 1);
        assert_eq!(apply(nothing_begins_unasked, &begun(1, 1).end()), [""; 0]);
        assert_eq!(apply(nothing_begins_unasked, &begun(1, 2).end()).len(), 1);
        let resumed = begun(0, 0).may_begin("g", u64::MAX).began("g", 1, 0, 1);
        assert_eq!(apply(nothing_begins_unasked, &resumed.end()), [""; 0]);
    }

    #[test]
    fn a_window_with_too_many_messages_is_found() {
        let limit = RateLimit::per_second(10).burst(2);
        let third = |after: u64| {
            let two = story().limited("g", limit).handed("g", 0).handed("g", 1);
            two.wait(Duration::from_millis(after)).handed("g", 2)
        };
        assert_eq!(apply(rates_are_kept, &third(100).end()), [""; 0]);
        assert_eq!(apply(rates_are_kept, &third(99).end()).len(), 1);
        assert_eq!(apply(rates_are_kept, &third(99).returned("g", 1).end()), [""; 0], "it was not begun");
    }

    #[test]
    fn a_window_with_too_much_weight_is_found_and_the_last_may_weigh_what_it_does() {
        let limit = RateLimit::per_second(10).burst(2);
        let second = |after: u64| {
            let heavy = story().limited("g", limit).handed_heavy("g", 0, 5);
            heavy.wait(Duration::from_millis(after)).handed_heavy("g", 1, 50)
        };
        assert_eq!(apply(rates_are_kept, &second(400).end()), [""; 0]);
        assert_eq!(apply(rates_are_kept, &second(399).end()).len(), 1);
        let weightless = second(400).handed_heavy("g", 2, 0);
        assert_eq!(apply(rates_are_kept, &weightless.end()).len(), 1, "it waits for a token all the same");
    }
}
