//! Do delayed messages come, once, at their time?

use std::collections::{BTreeMap, BTreeSet};

use super::{Finds, History, What};
use crate::base::{Moment, Name};

/// P1, of delayed messages: one that was confirmed has moved, was given back, or is in the report.
pub(super) fn is_moved_or_reported(history: &History, finds: &mut Finds<'_>) {
    let Some(report) = &history.report else { return };
    if history.whats().any(|what| *what == What::Killed) {
        return;
    }
    let mut left: BTreeMap<&Name, BTreeSet<u64>> = BTreeMap::new();
    for what in history.whats() {
        match what {
            What::Delayed { topic, number, .. } | What::Scheduled { topic, number, .. } => {
                left.entry(topic).or_default().insert(*number);
            }
            _ => {}
        }
    }
    for what in history.whats() {
        if let What::Moved { topic, number, .. } | What::Unscheduled { topic, number } = what
            && !left.get_mut(topic).is_some_and(|left| left.remove(number))
        {
            finds.say(format_args!("delayed {number} of {topic} left its schedule twice"));
        }
    }
    for said in &report.topics {
        let left = left.get(&said.topic).map_or(0, BTreeSet::len) as u64;
        if left != said.scheduled {
            finds.say(format_args!(
                "{left} delayed messages of {} were left; its report: {said:?}",
                said.topic
            ));
        }
    }
}

/// P26: none moves before its moment, and none while one waits that is due before it.
///
/// On disk one is seen to have moved, or to be gone, once that is written: what came into the schedule after its moment, it did
/// not see, and what was cancelled had gone before.
pub(super) fn keeps_its_time(history: &History, finds: &mut Finds<'_>) {
    let mut waiting: BTreeMap<&Name, BTreeSet<(Moment, u64)>> = BTreeMap::new();
    let mut came: BTreeMap<(&Name, u64), Moment> = BTreeMap::new();
    let mut on_disk: BTreeSet<&Name> = BTreeSet::new();
    let cancelled: BTreeSet<(&Name, u64)> = history
        .whats()
        .filter_map(|what| match what {
            What::Unscheduled { topic, number } => Some((topic, *number)),
            _ => None,
        })
        .collect();
    for event in &history.events {
        match &event.what {
            What::Recovered { topic, .. } => drop(on_disk.insert(topic)),
            What::Scheduled { topic, number, due } => {
                came.insert((topic, *number), event.at);
                waiting.entry(topic).or_default().insert((*due, *number));
            }
            What::Unscheduled { topic, number } => {
                waiting.entry(topic).or_default().retain(|(_, other)| other != number);
            }
            What::Moved { topic, number, due, .. } => {
                let waiting = waiting.entry(topic).or_default();
                if event.at < *due {
                    let early = due.since(event.at);
                    finds.say(format_args!("delayed {number} of {topic} moved {early:?} before its moment"));
                }
                let late = |other: &u64| {
                    let key = (topic, *other);
                    cancelled.contains(&key) || came.get(&key).is_some_and(|at| *at >= *due)
                };
                let mut before =
                    waiting.iter().filter(|(_, other)| !(on_disk.contains(topic) && late(other)));
                if let Some(first) = before.next().filter(|first| **first < (*due, *number)) {
                    finds.say(format_args!("delayed {number} of {topic} moved before {first:?}"));
                }
                waiting.remove(&(*due, *number));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
impl History {
    /// Delayed messages that were due by `now` and never left their schedule.
    pub(in crate::sim) fn scheduled_before(&self, now: Moment) -> usize {
        let mut left = BTreeSet::new();
        for what in self.whats() {
            match what {
                What::Scheduled { topic, number, due } if *due <= now => drop(left.insert((topic, *number))),
                What::Moved { topic, number, .. } | What::Unscheduled { topic, number } => {
                    left.remove(&(topic, *number));
                }
                _ => {}
            }
        }
        left.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::apply;
    use super::super::made_up::Story;
    use super::*;

    const AT: [Moment; 2] = [Moment::from_nanos(5), Moment::from_nanos(9)];

    fn story() -> Story {
        Story::of(&["g"]).delayed(7, 0).scheduled(0, AT[0]).delayed(8, 1).scheduled(1, AT[1])
    }

    #[test]
    fn a_delayed_message_that_is_early_or_out_of_order_is_found() {
        let late = || story().wait(Duration::from_nanos(9));
        let early = story().wait(Duration::from_nanos(4)).moved_in(0, AT[0], 0);
        assert_eq!(apply(keeps_its_time, &late().moved_in(0, AT[0], 0).moved_in(1, AT[1], 1).end()), [""; 0]);
        assert_eq!(apply(keeps_its_time, &late().unscheduled(0).moved_in(1, AT[1], 0).end()), [""; 0]);
        assert_eq!(apply(keeps_its_time, &early.end()).len(), 1);
        assert_eq!(apply(keeps_its_time, &late().moved_in(1, AT[1], 0).moved_in(0, AT[0], 1).end()).len(), 1);
    }

    #[test]
    fn a_delayed_message_that_is_nowhere_or_moves_twice_is_found() {
        let both = || story().moved_in(0, AT[0], 0).unscheduled(1);
        assert_eq!(apply(is_moved_or_reported, &both().report(&[])), [""; 0]);
        assert_eq!(apply(is_moved_or_reported, &story().moved_in(0, AT[0], 0).report(&[])).len(), 1);
        assert_eq!(apply(is_moved_or_reported, &both().moved_in(0, AT[0], 1).report(&[])).len(), 1);
        assert_eq!(apply(is_moved_or_reported, &story().end()), [""; 0], "the run was not ended");
        let mut left = story().moved_in(0, AT[0], 0).report(&[]);
        left.report.as_mut().unwrap().topics[0].scheduled = 1;
        assert_eq!(apply(is_moved_or_reported, &left), [""; 0]);
    }
}
