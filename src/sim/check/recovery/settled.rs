//! What is to be done with in the end.

use std::collections::BTreeSet;

use super::Reader;

impl Reader<'_> {
    /// In the end each group has settled what was confirmed, and the clerks have read what it gave up.
    pub(super) fn all_is_settled(&mut self) {
        let (topics, groups) = (std::mem::take(&mut self.topics), std::mem::take(&mut self.groups));
        for (topic, notes) in &topics {
            // What was given up before a handler saw it has moved all the same.
            let unseen = notes.moved.iter().filter(|offset| !notes.values.contains_key(offset)).count();
            let seen: BTreeSet<u64> = notes.values.values().copied().collect();
            let missing: Vec<_> = notes.delayed.iter().filter(|(value, _)| !seen.contains(value)).collect();
            if missing.len() > unseen {
                let many = missing.len() - unseen;
                self.say(format_args!("{many} of what was delayed by {topic} never came: {missing:?}"));
            }
            for (offset, (value, _, joined)) in &notes.confirmed {
                for group in joined {
                    let of = groups.get(&(topic.clone(), group.clone()));
                    if !of.is_some_and(|of| of.settled.contains(offset) || *offset < of.from) {
                        self.say(format_args!(
                            "{value}, confirmed as {offset}, was never settled by {topic}.{group}"
                        ));
                    }
                }
            }
        }
        for ((topic, group), notes) in &groups {
            for offset in notes.owed.difference(&notes.settled) {
                self.say(format_args!("{offset} was kept for {topic}.{group}, and was never settled by it"));
            }
            // Nobody reads what a clerk gives up.
            let dead = notes.dead.iter().filter(|(_, read)| !**read && group.as_str() != "clerk");
            for offset in dead.map(|(offset, _)| offset).chain(&notes.letters) {
                self.say(format_args!("the dead letter of {offset} of {topic}.{group} is gone"));
            }
        }
    }
}
