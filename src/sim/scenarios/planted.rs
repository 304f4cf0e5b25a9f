//! Is every bug caught that a checker is there for? A checker that never failed is none.

use super::list::named;
use super::many::one;
use crate::base::{Bug, plant};

/// So many seeds a bug has to show itself in. Most need fewer than ten.
const SEEDS: u64 = 400;

/// The bug, a scenario that meets it, and the rules that find it.
const PLANTED: &[(Bug, &str, &[&str])] = &[
    (Bug::Zombie, "competing_consumers_and_groups", &["P21"]),
    (Bug::NoFence, "pulled_deliveries", &["P11"]),
    (Bug::RequeueAtTail, "competing_consumers_and_groups", &["P6"]),
    (Bug::ForgottenInFlight, "competing_consumers_and_groups", &["P23"]),
    (Bug::SettledUnhandled, "competing_consumers_and_groups", &["P2"]),
    (Bug::EarlyConfirm, "competing_consumers_and_groups", &["P1", "P3"]),
    (Bug::LeakedPlace, "competing_consumers_and_groups", &["P16"]),
    (Bug::DriftingStats, "competing_consumers_and_groups", &["P23"]),
    (Bug::UnboundedRetry, "competing_consumers_and_groups", &["P12"]),
    (Bug::LostWakeUp, "competing_consumers_and_groups", &["P9"]),
    (Bug::PinnedBatches, "messages_that_linger", &["P7"]),
    (Bug::Starvation, "a_group_that_stands_still", &["P18"]),
    (Bug::UnmarkedDuplicate, "competing_consumers_and_groups", &["P4"]),
    (Bug::ForgottenSettled, "competing_consumers_and_groups", &["P10"]),
    (Bug::EndlessRestarts, "consumers_that_cannot_be_built", &["P13"]),
    (Bug::HastyDrain, "a_shutdown_at_any_time", &["P15"]),
    (Bug::StaysInLine, "futures_that_are_dropped", &["P9", "P10", "P16"]),
    (Bug::Unfair, "consumers_of_equal_speed", &["P19"]),
    (Bug::EarlyDeadline, "competing_consumers_and_groups", &["P20"]),
    (Bug::PanicEscapes, "competing_consumers_and_groups", &["P17"]),
    (Bug::TooMuchAtOnce, "pulled_deliveries", &["P7"]),
    (Bug::WrongStrategy, "actors_under_a_supervisor", &["P14"]),
    (Bug::DeafPause, "groups_that_are_steered", &["P7"]),
    (Bug::DoubleTokens, "groups_with_limits", &["P7"]),
    (Bug::Weightless, "groups_with_limits", &["P7"]),
    (Bug::OneTooMany, "groups_with_limits", &["P7"]),
    (Bug::WideProbe, "groups_with_a_breaker", &["P7"]),
    (Bug::UntoldDeadLetter, "competing_consumers_and_groups", &["P25"]),
    (Bug::LeakedWeight, "a_topic_with_a_limit_in_bytes", &["P16"]),
    (Bug::LateDedup, "publishers_that_repeat_themselves", &["P3"]),
    (Bug::KeyOfRefused, "publishers_that_repeat_themselves", &["P1"]),
    (Bug::WrongMessage, "competing_consumers_and_groups", &["P3"]),
    (Bug::Overtakes, "groups_that_keep_an_order", &["P6"]),
    (Bug::EvictsLeased, "messages_that_limits_remove", &["P2"]),
    (Bug::EarlyMessage, "messages_that_are_delayed", &["P26"]),
    (Bug::ForgottenDelayed, "messages_that_are_delayed", &["P1"]),
    (Bug::UnstoredConfirm, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::MovedTwice, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::ForgottenSchedule, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::ComesAnyway, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::SettledUnburied, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::ForgottenNotes, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::DoneTooFar, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::ForgottenDormant, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::UnmarkedRedelivery, "processes_that_are_killed_and_restarted", &["P22"]),
    (Bug::SkippedPage, "topics_that_keep_their_history", &["P27"]),
    (Bug::PageTwice, "topics_that_keep_their_history", &["P27"]),
    (Bug::UncountedTrim, "topics_that_keep_their_history", &["P1"]),
    (Bug::HastySeek, "topics_that_keep_their_history", &["P2", "P11", "P21", "P27"]),
    (Bug::BlindBrowse, "topics_that_keep_their_history", &["P27"]),
    (Bug::TrimsUnsettled, "processes_that_keep_their_history", &["P22"]),
    (Bug::UnwrittenSeek, "processes_that_keep_their_history", &["P22"]),
    (Bug::BackAtItsStart, "processes_that_keep_their_history", &["P22"]),
    (Bug::StaleId, "publishers_that_give_ids", &["P28"]),
    (Bug::BackAtItsTime, "publishers_that_give_ids", &["P28"]),
    (Bug::BlockTwice, "topics_that_spill", &["P3"]),
    (Bug::ForgottenBlock, "topics_that_spill", &["P3"]),
    (Bug::SwappedBlocks, "topics_that_spill", &["P3"]),
    (Bug::KeyTwice, "groups_that_keep_an_order", &["P6"]),
];

#[test]
fn every_planted_bug_is_caught_by_the_rule_that_is_meant_for_it() {
    let mut missed = Vec::new();
    // Without optimization all of them take minutes, and CI has them optimized as well.
    let step = 1;
    for (bug, scenario, rules) in PLANTED.iter().step_by(step) {
        let run = named(scenario);
        let _planted = plant(*bug);
        let caught = |text: String| rules.iter().find(|rule| text.contains(&format!("{rule}: "))).copied();
        let first = (0..SEEDS).find_map(|seed| Some((seed, one(seed, run).err().and_then(caught)?)));
        match first {
            Some((seed, rule)) => println!("{bug:?}: caught by {rule} at seed {seed}"),
            None => missed.push(format!("{bug:?} in {scenario} by {rules:?}")),
        }
    }
    assert!(missed.is_empty(), "not caught within {SEEDS} seeds: {missed:#?}");
}
