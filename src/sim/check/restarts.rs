//! Does a group give up on its consumers exactly when it should?

use std::collections::{BTreeMap, VecDeque};

use super::{Event, Finds, History, What};
#[cfg(test)]
use crate::supervise::Strategy;

/// P13: more than `restarts` consumers that could not be built, within the span, and only that, fail a group.
pub(super) fn intensity_is_kept(history: &History, finds: &mut Finds<'_>) {
    let mut recent: BTreeMap<_, VecDeque<_>> = BTreeMap::new();
    for Event { at, what } in &history.events {
        let What::Broken { group, failed } = what else { continue };
        let Some(facts) = history.groups.get(group.0) else { continue };
        let (most, within) = facts.restarts;
        let recent = recent.entry(*group).or_default();
        recent.push_back(*at);
        recent.retain(|before| at.since(*before) <= within);
        let too_many = recent.len() > most as usize;
        if too_many != *failed {
            let name = history.name(*group);
            finds
                .say(format_args!("{name} failed: {failed}, after {} of {most} in {within:?}", recent.len()));
        }
        if *failed {
            // It begins anew once consumers are added.
            recent.clear();
        }
    }
}

/// What happened to one child of a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(test)]
pub(in crate::sim) enum Step {
    Started(usize),
    Gone(usize),
}

/// P14: after `failed` of `children` failed alone, those that the strategy names were ended, the later ones first, and
/// then started again, the earlier ones first; nobody else was touched.
#[cfg(test)]
pub(in crate::sim) fn strategy_is_kept(
    strategy: Strategy,
    children: usize,
    failed: usize,
    steps: &[Step],
) -> Result<(), String> {
    let touched = match strategy {
        Strategy::OneForOne => failed..failed + 1,
        Strategy::RestForOne => failed..children,
        Strategy::OneForAll => 0..children,
    };
    let others = touched.clone().rev().filter(|child| *child != failed).map(Step::Gone);
    let ends = std::iter::once(Step::Gone(failed)).chain(others);
    let expected: Vec<Step> = ends.chain(touched.map(Step::Started)).collect();
    if steps == expected {
        Ok(())
    } else {
        Err(format!("{strategy:?}, {failed} failed: {steps:?}, not {expected:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::apply;
    use super::super::made_up::Story;
    use super::*;

    /// The made-up groups allow one in a second.
    #[test]
    fn a_group_that_fails_too_early_or_too_late_is_found() {
        let second = Duration::from_secs(1);
        let broken = |failed| Story::of(&["g"]).broken("g", false).wait(second).broken("g", failed);
        assert_eq!(apply(intensity_is_kept, &broken(true).end()), [""; 0]);
        assert_eq!(apply(intensity_is_kept, &broken(false).end()).len(), 1);
        let later = |failed| {
            let story = Story::of(&["g"]).broken("g", false).wait(second + Duration::from_nanos(1));
            story.broken("g", failed).end()
        };
        assert_eq!(apply(intensity_is_kept, &later(false)), [""; 0]);
        assert_eq!(apply(intensity_is_kept, &later(true)).len(), 1);
        let anew = broken(true).broken("g", false);
        assert_eq!(apply(intensity_is_kept, &anew.end()), [""; 0]);
    }

    #[test]
    fn a_strategy_that_touches_others_or_in_another_order_is_found() {
        use Step::{Gone, Started};
        let rest = [Gone(1), Gone(2), Started(1), Started(2)];
        assert_eq!(strategy_is_kept(Strategy::RestForOne, 3, 1, &rest), Ok(()));
        assert!(strategy_is_kept(Strategy::OneForOne, 3, 1, &rest).is_err());
        assert!(strategy_is_kept(Strategy::OneForAll, 3, 1, &rest).is_err());
        let early = [Gone(1), Started(1), Gone(2), Started(2)];
        assert!(strategy_is_kept(Strategy::RestForOne, 3, 1, &early).is_err());
    }
}
