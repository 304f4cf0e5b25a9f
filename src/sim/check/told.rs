//! Does a broker tell what it does? Its events, held against what it was seen to do.

use std::collections::{BTreeMap, BTreeSet};

use super::{Event, Finds, GroupFacts, GroupKey, History, What};
use crate::base::Name;
use crate::broker::Event as Told;

/// Counts of one group, by its names: a group that is deleted and another one of its name count together, as they do for
/// whoever listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    opened: u64,
    rebuilt: u64,
    broken: u64,
    failed: u64,
    dead: u64,
    redriven: u64,
    dropped: u64,
}

type Tallies = BTreeMap<(Name, Name), Tally>;

/// P25: what was seen is told, each thing once, and stats and reports count what is told.
pub(super) fn what_is_done(history: &History, finds: &mut Finds<'_>) {
    let Some(told) = &history.told else { return };
    // Some did not fit into the buffer of the kit.
    if told.iter().any(|event| matches!(event, Told::Missed { .. })) {
        return;
    }
    // A task that was killed told nothing more, and a runtime that ends kills all.
    if history.whats().any(|what| *what == What::Killed) {
        return;
    }
    let (told_of, seen_of) = (tally_told(told), tally_seen(history));
    for names in told_of.keys().chain(seen_of.keys()).collect::<BTreeSet<_>>() {
        let of = |tallies: &Tallies| tallies.get(names).copied().unwrap_or_default();
        // What the witness is not shown is counted by the report below.
        let (told, mut seen) = (of(&told_of), of(&seen_of));
        seen.dropped = told.dropped;
        // A stuck handler that yields after its group has ended is seen, by nobody who could tell.
        if told.rebuilt < seen.rebuilt && was_stuck(history, names) {
            seen.rebuilt = told.rebuilt;
        }
        if told != seen {
            finds.say(format_args!("{}.{}: told {told:?}, seen {seen:?}", names.0, names.1));
        }
    }
    dead_letters_are_told_in_order(history, told, finds);
    the_report_agrees(history, told, &told_of, finds);
}

fn was_stuck(history: &History, (topic, group): &(Name, Name)) -> bool {
    let stuck = |event: &Told| matches!(event, Told::HandlerStuck { topic: t, group: g, .. } if t == topic && g == group);
    history.told.iter().flatten().any(stuck)
}

fn tally_told(told: &[Told]) -> Tallies {
    let mut tallies = Tallies::new();
    let mut add = |topic: &Name, group: &Name, count: fn(&mut Tally) -> &mut u64, times: u64| {
        *count(tallies.entry((topic.clone(), group.clone())).or_default()) += times;
    };
    for event in told {
        match event {
            Told::GroupOpened { topic, group } => add(topic, group, |of| &mut of.opened, 1),
            Told::ConsumerRestarted { topic, group, .. } => add(topic, group, |of| &mut of.rebuilt, 1),
            Told::ConsumerBroken { topic, group, .. } => add(topic, group, |of| &mut of.broken, 1),
            Told::GroupFailed { topic, group, .. } => add(topic, group, |of| &mut of.failed, 1),
            Told::DeadLetter { topic, group, .. } => add(topic, group, |of| &mut of.dead, 1),
            Told::Redriven { topic, group, .. } => add(topic, group, |of| &mut of.redriven, 1),
            Told::Dropped { topic, group: Some(group), messages, .. } => {
                add(topic, group, |of| &mut of.dropped, *messages);
            }
            _ => {}
        }
    }
    tallies
}

fn tally_seen(history: &History) -> Tallies {
    let mut tallies = Tallies::new();
    let mut add = |key: &GroupKey, count: fn(&mut Tally) -> &mut u64| {
        if let Some(GroupFacts { topic, group, .. }) = history.groups.get(key.0) {
            *count(tallies.entry((topic.clone(), group.clone())).or_default()) += 1;
        }
    };
    for what in history.whats() {
        match what {
            What::Opened(group) => add(group, |of| &mut of.opened),
            What::Rebuilt { group, .. } => add(group, |of| &mut of.rebuilt),
            What::Broken { group, failed: false } => add(group, |of| &mut of.broken),
            What::Broken { group, failed: true } => add(group, |of| &mut of.failed),
            What::Dead { group, .. } => add(group, |of| &mut of.dead),
            What::Redriven { group, .. } => add(group, |of| &mut of.redriven),
            _ => {}
        }
    }
    tallies
}

/// All of them, in the order in which they were given up.
fn dead_letters_are_told_in_order(history: &History, told: &[Told], finds: &mut Finds<'_>) {
    let told = told.iter().filter_map(|event| match event {
        Told::DeadLetter { topic, group, id, attempts, .. } => Some((topic, group, *id, *attempts)),
        _ => None,
    });
    let seen = history.events.iter().filter_map(|Event { what, .. }| match what {
        What::Dead { group, id, attempts, .. } => {
            history.groups.get(group.0).map(|facts| (&facts.topic, &facts.group, *id, *attempts))
        }
        _ => None,
    });
    if let Some((told, seen)) = told.zip(seen).find(|(told, seen)| told != seen) {
        finds.say(format_args!("the dead letter {seen:?} is told as {told:?}"));
    }
}

/// The report counts what was told of those groups that were there to the end, and whose names nobody had before.
fn the_report_agrees(history: &History, told: &[Told], told_of: &Tallies, finds: &mut Finds<'_>) {
    let Some(report) = &history.report else { return };
    for of in report.topics.iter().flat_map(|topic| &topic.groups) {
        let told = told_of.get(&(of.topic.clone(), of.group.clone())).copied().unwrap_or_default();
        if told.opened != 1 {
            continue;
        }
        // What the topic evicts it tells itself.
        let dropped = of.stats.dropped + of.stats.skipped + of.stats.expired;
        let restarts = told.rebuilt + told.broken + told.failed;
        let (told, counted) = (
            (restarts, told.dead, told.redriven, told.dropped),
            (of.stats.restarts, of.stats.dead_lettered, of.stats.redriven, dropped),
        );
        if told != counted {
            finds.say(format_args!(
                "{}.{}: restarts, dead letters, redriven and dropped are told as {told:?}, reported as {counted:?}",
                of.topic, of.group
            ));
        }
    }
    for of in &report.topics {
        let dropped = |event: &Told| match event {
            Told::Dropped { topic, group: None, messages, .. } if *topic == of.topic => *messages,
            _ => 0,
        };
        let opened = |event: &&Told| matches!(event, Told::TopicOpened { topic, .. } if *topic == of.topic);
        let told_dropped: u64 = told.iter().map(dropped).sum();
        if told.iter().filter(opened).count() == 1
            && told_dropped != of.evicted + of.expired + of.dropped_newest
        {
            finds.say(format_args!(
                "{}: {told_dropped} told as dropped; reported as evicted, expired and not accepted {}, {} and {}",
                of.topic, of.evicted, of.expired, of.dropped_newest
            ));
        }
    }
    let last = Told::BrokerStopped { lost: report.lost(), timed_out: report.timed_out, took: report.took };
    if told.last() != Some(&last) {
        finds.say(format_args!("the last event is {:?}, not {last:?}", told.last()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::super::made_up::Story;
    use super::*;
    use crate::broker::{DeadReason, MessageId};

    fn names() -> (Name, Name) {
        (Name::new("t").unwrap(), Name::new("g").unwrap())
    }

    fn opened() -> Told {
        let (topic, group) = names();
        Told::GroupOpened { topic, group }
    }

    fn dead(offset: u64) -> Told {
        let (topic, group) = names();
        let (id, reason) = (MessageId::new(0, offset), DeadReason::TooManyAttempts);
        Told::DeadLetter { topic, group, id, reason, attempts: 2 }
    }

    fn broken() -> Told {
        let (topic, group) = names();
        Told::ConsumerBroken { topic, group, consumer: 1, error: "no".into(), wait: Default::default() }
    }

    fn stopped() -> Told {
        Told::BrokerStopped { lost: 0, timed_out: false, took: Default::default() }
    }

    fn found(story: Story, told: Vec<Told>) -> usize {
        let (mut groups, mut dead, mut restarts) = (story.report(&[("g", 0, 0)]), 0, 0);
        for what in groups.events.iter().map(|event| &event.what) {
            dead += u64::from(matches!(what, What::Dead { .. }));
            restarts += u64::from(matches!(what, What::Broken { .. }));
        }
        let stats = &mut groups.report.as_mut().unwrap().topics[0].groups[0].stats;
        (stats.dead_lettered, stats.restarts) = (dead, restarts);
        apply(what_is_done, &History { told: Some(told), ..groups }).len()
    }

    #[test]
    fn what_is_told_as_it_was_seen_passes_and_what_is_not_is_found() {
        let story = || Story::of(&["g"]).dead("g", 0, 2).broken("g", false).dead("g", 1, 2);
        assert_eq!(found(story(), vec![opened(), dead(0), broken(), dead(1), stopped()]), 0);
        let untold = vec![opened(), dead(0), broken(), stopped()];
        assert_eq!(found(story(), untold), 2, "against what was seen, and against the report");
        let twice = vec![opened(), dead(0), dead(0), broken(), dead(1), stopped()];
        assert_eq!(found(story(), twice), 3);
        let other = vec![opened(), dead(1), broken(), dead(0), stopped()];
        assert_eq!(found(story(), other), 1, "in another order");
        let no_restart = vec![opened(), dead(0), dead(1), stopped()];
        assert_eq!(found(story(), no_restart), 2);
        let late = vec![opened(), dead(0), broken(), dead(1), stopped(), broken()];
        assert_eq!(found(story(), late), 3);
        let gap = vec![opened(), Told::Missed { events: 3 }, stopped()];
        assert_eq!(found(story(), gap), 0, "nothing can be said of it");
    }
}
