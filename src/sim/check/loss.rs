//! Is anything lost, made up, or settled without having been handled?

use std::collections::{BTreeMap, BTreeSet};

use super::history::Offers;
use super::{End, Finds, GroupKey, History, What};
use crate::base::Name;
use crate::broker::{MessageId, Start};

/// P1.
pub(super) fn nothing_is_lost(history: &History, finds: &mut Finds<'_>) {
    if history.whats().any(|what| *what == What::Killed) {
        return;
    }
    let mut accepted: BTreeMap<&Name, u64> = BTreeMap::new();
    for what in history.whats() {
        match what {
            What::Accepted { topic, base, len, .. } => drop(accepted.insert(topic, base + u64::from(*len))),
            What::Recovered { topic, next } => drop(accepted.insert(topic, *next)),
            What::Lost { topic, offset } => drop(accepted.insert(topic, offset + 1)),
            What::InLine { topic, base, messages } => drop(accepted.insert(topic, base + messages)),
            _ => {}
        }
    }
    confirmed_is_accepted(history, &accepted, finds);
    let offered = history.offered();
    all_is_offered(history, &offered, finds);
    left_is_reported(history, &offered, finds);
}

fn confirmed_is_accepted(history: &History, accepted: &BTreeMap<&Name, u64>, finds: &mut Finds<'_>) {
    for what in history.whats() {
        let (topic, id, value) = match what {
            What::Confirmed { topic, value, id } => (topic, id, value),
            What::Moved { topic, number, id, .. } => (topic, id, number),
            _ => continue,
        };
        if history.report.is_some() && accepted.get(topic).is_none_or(|end| id.offset() >= *end) {
            finds.say(format_args!("{value} was confirmed as {id} of {topic}, which never took it in"));
        }
    }
}

/// A group that reads from the start is offered all that comes after it joined; the first group of a topic also all that
/// came before, since without a group nothing leaves.
fn all_is_offered(history: &History, offered: &BTreeMap<(GroupKey, u64), Offers>, finds: &mut Finds<'_>) {
    let mut ends: BTreeMap<&Name, u64> = BTreeMap::new();
    let mut evicted: BTreeSet<(&Name, u64)> = BTreeSet::new();
    let mut readers: BTreeMap<&Name, Vec<(GroupKey, u64)>> = BTreeMap::new();
    for what in history.whats() {
        match what {
            // What a group has still to see of it is for P22 to say.
            What::Recovered { topic, next } => {
                ends.insert(topic, *next);
                if *next > 0 {
                    readers.entry(topic).or_default().push((GroupKey(usize::MAX), u64::MAX));
                }
            }
            What::Accepted { topic, base, len, .. } => {
                ends.insert(topic, base + u64::from(*len));
            }
            What::Joined(group) => {
                let Some(facts) = history.groups.get(group.0) else { continue };
                let of_topic = readers.entry(&facts.topic).or_default();
                let end = ends.get(&facts.topic).copied().unwrap_or(0);
                of_topic.push((*group, if of_topic.is_empty() { 0 } else { end }));
            }
            // What of its history a group has to see, and where one is moved to, is for P27 to say.
            What::Kept { topic, .. } => {
                let of_topic = readers.entry(topic).or_default();
                if of_topic.is_empty() {
                    of_topic.push((GroupKey(usize::MAX), u64::MAX));
                }
            }
            What::Placed { group, moved: true, .. } => {
                let facts = history.groups.get(group.0);
                let readers = facts.and_then(|facts| readers.get_mut(&facts.topic));
                readers.and_then(|readers| take_start(readers, *group));
            }
            What::Resumed { group, ahead } => {
                let topic = history.groups.get(group.0).map(|facts| &facts.topic);
                let readers = topic.and_then(|topic| readers.get_mut(topic)).into_iter().flatten();
                readers.filter(|(reader, _)| reader == group).for_each(|(_, at)| *at = (*at).max(*ahead));
            }
            What::Evicted { topic, offset } | What::Lost { topic, offset } => {
                evicted.insert((topic, *offset));
            }
            What::Over(group) | What::Left(group) => {
                let Some(facts) = history.groups.get(group.0) else { continue };
                let end = ends.get(&facts.topic).copied().unwrap_or(0);
                // Once: what comes after a group has left is not for it.
                let from = readers.get_mut(&facts.topic).and_then(|readers| take_start(readers, *group));
                if facts.start == Start::Earliest {
                    let of_topic = |at: &u64| !evicted.contains(&(&facts.topic, *at));
                    let not_offered = |at: &u64| !offered.contains_key(&(*group, *at)) && of_topic(at);
                    for offset in (from.unwrap_or(end)..end).filter(not_offered) {
                        let name = history.name(*group);
                        finds.say(format_args!("{offset} was accepted and never offered to {name}"));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where a group began to read; not again.
fn take_start(readers: &mut [(GroupKey, u64)], group: GroupKey) -> Option<u64> {
    let (_, from) = readers.iter_mut().find(|(reader, _)| *reader == group)?;
    Some(std::mem::replace(from, u64::MAX))
}

/// What a group has not settled in the end is what its report says.
fn left_is_reported(history: &History, offered: &BTreeMap<(GroupKey, u64), Offers>, finds: &mut Finds<'_>) {
    let Some(report) = &history.report else { return };
    let (redriven, passed_by, in_line) = (history.redriven(), history.passed_by(), history.in_line());
    for (key, facts) in history.facts() {
        let Some(said) = report.group(facts.topic.as_str(), facts.group.as_str()) else { continue };
        if history.key(facts.topic.as_str(), facts.group.as_str()) != Some(key) {
            continue;
        }
        let of_group = || offered.range((key, 0)..(key, u64::MAX)).map(|(_, offers)| *offers);
        let passed_by = passed_by.get(&key).copied().unwrap_or(0);
        let again =
            redriven.range((key, 0)..(key, u64::MAX)).map(|(_, times)| u64::from(*times)).sum::<u64>();
        let all = of_group().map(|offers| u64::from(offers.offered)).sum::<u64>() + again + passed_by;
        let all = all + in_line.get(&facts.topic).copied().unwrap_or(0);
        let settled = of_group().map(|offers| u64::from(offers.settled)).sum::<u64>() + passed_by;
        if said.settled != settled || said.settled + said.lost + said.kept != all {
            let name = history.name(key);
            finds.say(format_args!("{all} were offered to {name}, {settled} settled; its report: {said:?}"));
        }
    }
}

/// P2.
pub(super) fn settled_is_handled(history: &History, finds: &mut Finds<'_>) {
    let mut well: BTreeMap<(GroupKey, u64), u32> = BTreeMap::new();
    let (mut at_work, mut removed, mut again) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for what in history.whats() {
        match what {
            What::Began { group, id, .. } => {
                at_work.insert((*group, id.offset()));
                if removed.contains(&(*group, id.offset())) {
                    finds.say(format_args!("{} began {id}, which a limit had settled", history.name(*group)));
                }
            }
            What::Evicted { topic, offset } => {
                for (group, _) in history.facts().filter(|(_, facts)| facts.topic == *topic) {
                    // What came back holds a place of its own: the first one may be evicted for other groups.
                    if at_work.contains(&(group, *offset)) && !again.contains(&(group, *offset)) {
                        let name = history.name(group);
                        finds.say(format_args!("{topic} evicted {offset}, which {name} was handling"));
                    }
                }
            }
            What::Removed { group, from, to } => {
                for offset in *from..*to {
                    if at_work.contains(&(*group, offset)) {
                        let name = history.name(*group);
                        finds
                            .say(format_args!("a limit settled {offset} in {name}, which was being handled"));
                    }
                    removed.insert((*group, offset));
                    *well.entry((*group, offset)).or_default() += 1;
                }
            }
            What::Redriven { group, offset } => {
                removed.remove(&(*group, *offset));
                again.insert((*group, *offset));
            }
            What::Placed { group, .. } => {
                removed.retain(|(other, _)| other != group);
                again.retain(|(other, _)| other != group);
            }
            What::Gone { .. } | What::Killed => at_work.clear(),
            What::Ended { group, id, how, .. } => {
                at_work.remove(&(*group, id.offset()));
                let done = matches!(how, End::Acked | End::Dropped);
                *well.entry((*group, id.offset())).or_default() += u32::from(done);
            }
            What::Dead { group, id, .. } => *well.entry((*group, id.offset())).or_default() += 1,
            What::Settled { group, from, to } => {
                for offset in *from..*to {
                    let left = well.get_mut(&(*group, offset)).filter(|left| **left > 0);
                    match left {
                        Some(left) => *left -= 1,
                        None => finds.say(format_args!(
                            "{} settled {offset}, and no attempt had ended well",
                            history.name(*group)
                        )),
                    }
                }
            }
            _ => {}
        }
    }
    let redriven = history.redriven();
    for (of, Offers { offered, settled }) in history.offered() {
        // What came back to a topic on disk is not offered once more, but a message of its own.
        if settled > offered.max(1) + redriven.get(&of).copied().unwrap_or(0) {
            finds.say(format_args!("{} settled {} {settled} times", history.name(of.0), of.1));
        }
    }
}

/// P3.
pub(super) fn nothing_is_unexpected(history: &History, finds: &mut Finds<'_>) {
    let mut next: BTreeMap<&Name, u64> = BTreeMap::new();
    let mut offered: BTreeSet<(GroupKey, u64)> = BTreeSet::new();
    let mut values: BTreeMap<(&Name, MessageId), u64> = BTreeMap::new();
    let mut delayed: BTreeMap<(&Name, u64), u64> = BTreeMap::new();
    for what in history.whats() {
        match what {
            What::Accepted { topic, base, len, .. } => {
                let next = next.entry(topic).or_insert(0);
                if *base != *next {
                    finds.say(format_args!("{topic} went on at {base}, and was at {next}"));
                }
                *next = base + u64::from(*len);
            }
            What::Recovered { topic, next: first } => drop(next.insert(topic, *first)),
            What::Lost { topic, offset } => drop(next.insert(topic, offset + 1)),
            What::Offered { group, base, runs } => {
                for (from, to) in runs {
                    offered.extend((*from..*to).map(|at| (*group, base + u64::from(at))));
                }
            }
            What::Began { group, id, .. } if !offered.contains(&(*group, id.offset())) => {
                finds.say(format_args!(
                    "{} was delivered {id}, which it was never offered",
                    history.name(*group)
                ));
            }
            What::Confirmed { topic, value, id } => same_value(&mut values, (topic, *id), *value, finds),
            What::Delayed { topic, value, number } => drop(delayed.insert((topic, *number), *value)),
            What::Moved { topic, number, id, .. } => {
                if let Some(value) = delayed.get(&(topic, *number)) {
                    same_value(&mut values, (topic, *id), *value, finds);
                }
            }
            What::Handled { group, value, id, .. } => {
                if let Some(facts) = history.groups.get(group.0) {
                    same_value(&mut values, (&facts.topic, *id), *value, finds);
                }
            }
            _ => {}
        }
    }
}

fn same_value<'a>(
    values: &mut BTreeMap<(&'a Name, MessageId), u64>,
    of: (&'a Name, MessageId),
    value: u64,
    finds: &mut Finds<'_>,
) {
    let first = *values.entry(of).or_insert(value);
    if first != value {
        let (topic, id) = of;
        finds.say(format_args!("{id} of {topic} is {first} to one and {value} to another"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::super::made_up::{Story, group};
    use super::*;

    #[test]
    fn what_a_limit_settles_while_or_before_it_is_handled_is_found() {
        let story = || Story::of(&["g"]).accepted(0, 2).offered("g", 0, 2);
        let good = story().attempt("g", 0, 1, End::Failed).removed("g", 0, 1).settled("g", 0, 1);
        assert_eq!(apply(settled_is_handled, &good.clone().end()), [""; 0]);
        assert_eq!(apply(settled_is_handled, &good.began("g", 1, 0, 2).end()).len(), 1);
        let begun = || story().began("g", 1, 0, 1);
        assert_eq!(apply(settled_is_handled, &begun().removed("g", 0, 1).end()).len(), 1);
        assert_eq!(apply(settled_is_handled, &begun().evicted(0).end()).len(), 1);
        assert_eq!(apply(settled_is_handled, &begun().evicted(1).end()), [""; 0]);
    }

    #[test]
    fn a_message_confirmed_and_not_taken_in_or_not_offered_is_found() {
        let good = || Story::of(&["g"]).accepted(0, 3).offered("g", 0, 3).confirmed(2, 2);
        assert_eq!(apply(nothing_is_lost, &good().settled("g", 0, 3).report(&[("g", 3, 0)])), [""; 0]);
        let unsettled = good().settled("g", 0, 2);
        assert_eq!(apply(nothing_is_lost, &unsettled.clone().report(&[("g", 2, 1)])), [""; 0]);
        assert_eq!(apply(nothing_is_lost, &unsettled.report(&[("g", 2, 0)])).len(), 1);
        assert_eq!(apply(nothing_is_lost, &good().confirmed(9, 3).report(&[("g", 0, 3)])).len(), 1);
        let skipped = Story::of(&["g"]).accepted(0, 3).offered("g", 0, 2).over("g");
        assert_eq!(apply(nothing_is_lost, &skipped.report(&[("g", 0, 2)])).len(), 1);
        let left =
            |offered| Story::of(&["g"]).accepted(0, 3).offered("g", 0, offered).left("g").accepted(3, 1);
        let lost =
            |offered| apply(nothing_is_lost, &left(offered).over("g").report(&[("g", 0, offered)])).len();
        assert_eq!((lost(3), lost(2)), (0, 1), "what comes after it has left is not for it");
    }

    #[test]
    fn a_group_that_was_opened_late_may_miss_what_was_before() {
        let late = |from| {
            let story = Story::of(&["h"]).accepted(0, 3).offered("h", 0, 3).open("g").offered("g", 2, 3);
            let story = story.accepted(3, 2).offered("h", 3, 5).offered("g", from, 5);
            story.over("g").report(&[("g", 0, 6 - from), ("h", 0, 5)])
        };
        assert_eq!(apply(nothing_is_lost, &late(3)), [""; 0]);
        assert_eq!(apply(nothing_is_lost, &late(4)).len(), 1);
        let first = Story::of(&[]).accepted(0, 3).open("g").offered("g", 1, 3).over("g");
        assert_eq!(apply(nothing_is_lost, &first.report(&[("g", 0, 2)])).len(), 1);
    }

    #[test]
    fn what_is_settled_unhandled_or_twice_is_found() {
        let good = Story::of(&["g"]).accepted(0, 1).offered("g", 0, 1).attempt("g", 0, 1, End::Acked);
        assert_eq!(apply(settled_is_handled, &good.clone().settled("g", 0, 1).end()), [""; 0]);
        assert_eq!(
            apply(settled_is_handled, &good.clone().settled("g", 0, 1).settled("g", 0, 1).end()).len(),
            2
        );
        let back = good.settled("g", 0, 1).redriven("g", 0).attempt("g", 0, 1, End::Acked).settled("g", 0, 1);
        assert_eq!(apply(settled_is_handled, &back.clone().end()), [""; 0]);
        assert_eq!(apply(nothing_is_lost, &back.clone().report(&[("g", 2, 0)])), [""; 0]);
        assert_eq!(apply(nothing_is_lost, &back.clone().report(&[("g", 1, 0)])).len(), 1);
        assert_eq!(apply(settled_is_handled, &back.settled("g", 0, 1).end()).len(), 2);
        let failed = Story::of(&["g"]).accepted(0, 1).offered("g", 0, 1).attempt("g", 0, 1, End::Failed);
        assert_eq!(apply(settled_is_handled, &failed.settled("g", 0, 1).end()).len(), 1);
    }

    #[test]
    fn a_gap_a_delivery_unoffered_and_an_id_of_two_values_are_found() {
        let good = || Story::of(&["g"]).accepted(0, 2).offered("g", 0, 1);
        let begun = good().attempt("g", 0, 1, End::Acked).handled("g", 0, 7).confirmed(7, 0);
        assert_eq!(apply(nothing_is_unexpected, &begun.end()), [""; 0]);
        assert_eq!(apply(nothing_is_unexpected, &good().accepted(3, 1).end()).len(), 1);
        assert_eq!(apply(nothing_is_unexpected, &good().attempt("g", 1, 1, End::Acked).end()).len(), 1);
        let other = good().handled("g", 0, 7).confirmed(8, 0);
        assert_eq!(apply(nothing_is_unexpected, &other.end()).len(), 1);
        assert_eq!(group(0), GroupKey(0));
    }
}
