//! Do retries end where they should?

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Finds, History, What};

/// P12.
pub(super) fn is_bounded(history: &History, finds: &mut Finds<'_>) {
    let most =
        |group: &super::GroupKey| history.groups.get(group.0).map_or(u32::MAX, |facts| facts.max_attempts);
    let (mut failures, is_old): (BTreeMap<_, u32>, _) = (BTreeMap::new(), history.is_old());
    let mut dead = BTreeSet::new();
    for what in history.whats() {
        match what {
            What::Ended { group, id, how: End::Failed | End::TimedOut, .. } => {
                let failed = failures.entry((*group, id.offset())).or_default();
                *failed += 1;
                if *failed > most(group) {
                    let name = history.name(*group);
                    finds.say(format_args!(
                        "{id} in {name} failed for the {failed}th time, of {}",
                        most(group)
                    ));
                }
            }
            What::Dead { group, id, too_many, .. } => {
                let (of, name) = ((*group, id.offset()), history.name(*group));
                if !dead.insert(of) {
                    finds.say(format_args!("{id} in {name} was dead-lettered twice"));
                }
                let failed = failures.get(&of).copied().unwrap_or(0);
                if *too_many && failed != most(group) && !is_old(*group, id.offset()) {
                    finds.say(format_args!("{id} in {name} was given up after {failed} failures"));
                }
            }
            What::Redriven { group, offset } => {
                failures.remove(&(*group, *offset));
                dead.remove(&(*group, *offset));
            }
            What::Placed { group, .. } => {
                failures.retain(|(other, _), _| other != group);
                dead.retain(|(other, _)| other != group);
            }
            What::Began { group, id, .. } if dead.contains(&(*group, id.offset())) => {
                finds.say(format_args!("{id} in {} began after its dead letter", history.name(*group)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::super::made_up::Story;
    use super::*;

    /// The made-up groups have two attempts.
    #[test]
    fn too_many_failures_and_dead_letters_early_twice_or_alive_are_found() {
        let story = |failures: u32| {
            let story = Story::of(&["g"]).accepted(0, 1).offered("g", 0, 1);
            (1..=failures).fold(story, |story, attempt| story.attempt("g", 0, attempt, End::Failed))
        };
        assert_eq!(apply(is_bounded, &story(2).dead("g", 0, 2).end()), [""; 0]);
        assert_eq!(apply(is_bounded, &story(3).end()).len(), 1);
        assert_eq!(apply(is_bounded, &story(1).dead("g", 0, 1).end()).len(), 1);
        assert_eq!(apply(is_bounded, &story(2).dead("g", 0, 2).dead("g", 0, 2).end()).len(), 1);
        let back = story(2).dead("g", 0, 2).redriven("g", 0).attempt("g", 0, 1, End::Failed);
        assert_eq!(
            apply(is_bounded, &back.clone().attempt("g", 0, 2, End::Failed).dead("g", 0, 2).end()),
            [""; 0]
        );
        assert_eq!(apply(is_bounded, &back.dead("g", 0, 1).end()).len(), 1);
        assert_eq!(apply(is_bounded, &story(2).dead("g", 0, 2).began("g", 1, 0, 3).end()).len(), 1);
    }
}
