//! Are attempts numbered, counted, ended once, apart from each other, and not cut short?

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Event, Finds, GroupKey, History, What};
use crate::base::Moment;

/// One message of one group.
type Of = (GroupKey, u64);

/// P4.
pub(super) fn are_numbered(history: &History, finds: &mut Finds<'_>) {
    let (mut begun, is_old): (BTreeMap<Of, u32>, _) = (BTreeMap::new(), history.is_old());
    for what in history.whats() {
        match what {
            What::Began { group, id, attempt, .. } => {
                let before = begun.entry((*group, id.offset())).or_default();
                *before += 1;
                // P22 looks at what was begun by others.
                if *before == 1 && is_old(*group, id.offset()) {
                    *before = *attempt;
                }
                if attempt != before {
                    let name = history.name(*group);
                    finds.say(format_args!("attempt {before} of {id} in {name} calls itself {attempt}"));
                }
            }
            What::Redriven { group, offset } => {
                begun.remove(&(*group, *offset));
            }
            What::Placed { group, .. } => begun.retain(|(other, _), _| other != group),
            _ => {}
        }
    }
}

/// P5.
pub(super) fn are_counted_in_dead_letters(history: &History, finds: &mut Finds<'_>) {
    let (mut begun, is_old): (BTreeMap<Of, u32>, _) = (BTreeMap::new(), history.is_old());
    for what in history.whats() {
        match what {
            What::Began { group, id, attempt, .. } if is_old(*group, id.offset()) => {
                begun.insert((*group, id.offset()), *attempt);
            }
            What::Began { group, id, .. } => *begun.entry((*group, id.offset())).or_default() += 1,
            What::Redriven { group, offset } => {
                begun.remove(&(*group, *offset));
            }
            What::Placed { group, .. } => begun.retain(|(other, _), _| other != group),
            What::Dead { group, id, attempts, .. } => {
                let really = begun.get(&(*group, id.offset())).copied().unwrap_or(0);
                if *attempts != really && !(is_old(*group, id.offset()) && really == 0) {
                    let name = history.name(*group);
                    finds
                        .say(format_args!("the dead letter of {id} in {name} says {attempts}, not {really}"));
                }
            }
            _ => {}
        }
    }
}

/// P11.
pub(super) fn end_once(history: &History, finds: &mut Finds<'_>) {
    let mut open: BTreeSet<(GroupKey, u64, u32)> = BTreeSet::new();
    for what in history.whats() {
        match what {
            What::Began { group, id, attempt, .. } => {
                open.insert((*group, id.offset(), *attempt));
            }
            What::Ended { group, id, attempt, how, .. } if !open.remove(&(*group, id.offset(), *attempt)) => {
                let name = history.name(*group);
                finds.say(format_args!("attempt {attempt} of {id} in {name} was over, and ended as {how:?}"));
            }
            _ => {}
        }
    }
}

/// P21.
pub(super) fn never_overlap(history: &History, finds: &mut Finds<'_>) {
    let mut open: BTreeMap<Of, (u32, u32)> = BTreeMap::new();
    for what in history.whats() {
        match what {
            What::Began { group, consumer, id, attempt } => {
                if let Some((other, earlier)) = open.insert((*group, id.offset()), (*consumer, *attempt)) {
                    finds.say(format_args!(
                        "{} has {id} twice: attempt {earlier} at consumer {other}, attempt {attempt} at {consumer}",
                        history.name(*group)
                    ));
                }
            }
            What::Ended { group, id, attempt, .. } => {
                let of = (*group, id.offset());
                if open.get(&of).is_some_and(|(_, open)| open == attempt) {
                    open.remove(&of);
                }
            }
            What::Gone { group, consumer } => {
                open.retain(|(of, _), (by, _)| of != group || by != consumer);
            }
            _ => {}
        }
    }
}

/// P20.
pub(super) fn are_not_timed_out_early(history: &History, finds: &mut Finds<'_>) {
    let mut begun: BTreeMap<Of, Moment> = BTreeMap::new();
    for Event { at, what } in &history.events {
        match what {
            What::Began { group, id, .. } => {
                begun.insert((*group, id.offset()), *at);
            }
            What::Ended { group, id, attempt, how: End::TimedOut, .. } => {
                let since = begun.get(&(*group, id.offset())).copied().unwrap_or(Moment::ZERO);
                let (took, limit) =
                    (at.since(since), history.groups.get(group.0).map(|facts| facts.ack_timeout));
                if limit.is_some_and(|limit| took < limit) {
                    let name = history.name(*group);
                    finds.say(format_args!("attempt {attempt} of {id} in {name} timed out after {took:?}"));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::apply;
    use super::super::made_up::Story;
    use super::*;

    fn story() -> Story {
        Story::of(&["g"]).accepted(0, 9).offered("g", 0, 9)
    }

    #[test]
    fn an_attempt_that_is_misnumbered_is_found() {
        let good = story().attempt("g", 0, 1, End::Failed).attempt("g", 0, 2, End::Acked);
        assert_eq!(apply(are_numbered, &good.end()), [""; 0]);
        let unmarked = story().attempt("g", 0, 1, End::Failed).attempt("g", 0, 1, End::Acked);
        assert_eq!(apply(are_numbered, &unmarked.end()).len(), 1);
        assert_eq!(apply(are_numbered, &story().attempt("g", 0, 2, End::Acked).end()).len(), 1);
        let back = |attempt| {
            story().attempt("g", 0, 1, End::Failed).redriven("g", 0).began("g", 1, 0, attempt).end()
        };
        assert_eq!((apply(are_numbered, &back(1)).len(), apply(are_numbered, &back(2)).len()), (0, 1));
    }

    #[test]
    fn a_dead_letter_that_miscounts_is_found() {
        let died = |attempts| story().attempt("g", 0, 1, End::Failed).dead("g", 0, attempts).end();
        assert_eq!(apply(are_counted_in_dead_letters, &died(1)), [""; 0]);
        assert_eq!(apply(are_counted_in_dead_letters, &died(2)).len(), 1);
        let again = |attempts| {
            let back = story().attempt("g", 0, 1, End::Failed).dead("g", 0, 1).redriven("g", 0);
            back.attempt("g", 0, 1, End::Failed).dead("g", 0, attempts).end()
        };
        assert_eq!(apply(are_counted_in_dead_letters, &again(1)), [""; 0]);
        assert_eq!(apply(are_counted_in_dead_letters, &again(2)).len(), 1);
    }

    #[test]
    fn an_attempt_that_ends_twice_or_never_began_is_found() {
        let ended = |times: usize| {
            let story = story().began("g", 1, 0, 1);
            (0..times).fold(story, |story, _| story.ended("g", 1, 0, 1, End::Acked)).end()
        };
        assert_eq!(apply(end_once, &ended(1)), [""; 0]);
        assert_eq!(apply(end_once, &ended(2)).len(), 1);
        assert_eq!(apply(end_once, &story().ended("g", 1, 0, 1, End::Acked).end()).len(), 1);
    }

    #[test]
    fn two_attempts_at_once_are_found() {
        let first = || story().began("g", 1, 0, 1);
        let after = first().ended("g", 1, 0, 1, End::Failed).began("g", 2, 0, 2);
        assert_eq!(apply(never_overlap, &after.end()), [""; 0]);
        assert_eq!(apply(never_overlap, &first().gone("g", 1).began("g", 2, 0, 2).end()), [""; 0]);
        assert_eq!(apply(never_overlap, &first().began("g", 2, 0, 2).end()).len(), 1);
        assert_eq!(apply(never_overlap, &first().gone("g", 2).began("g", 2, 0, 2).end()).len(), 1);
    }

    #[test]
    fn a_deadline_that_comes_early_is_found() {
        let timed_out = |after| {
            let begun = story().began("g", 1, 0, 1);
            begun.wait(Duration::from_millis(after)).ended("g", 1, 0, 1, End::TimedOut).end()
        };
        assert_eq!(apply(are_not_timed_out_early, &timed_out(30_000)), [""; 0]);
        assert_eq!(apply(are_not_timed_out_early, &timed_out(29_999)).len(), 1);
    }
}
