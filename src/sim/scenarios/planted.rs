//! Is every bug caught that a checker is there for? A checker that never failed is none.

use super::list::named;
use super::many::one;
use crate::base::{Bug, plant};

/// So many seeds a bug has to show itself in. Most need fewer than ten.
const SEEDS: u64 = 400;

/// The bug, a scenario that meets it, the rules that find it, and a seed that found it, which is tried first: so that this takes seconds
/// while the seeds are right, and minutes once they are not.
const PLANTED: &[(Bug, &str, &[&str], u64)] = &[
    (Bug::Zombie, "competing_consumers_and_groups", &["P21"], 1),
    (Bug::NoFence, "pulled_deliveries", &["P11"], 0),
    (Bug::RequeueAtTail, "competing_consumers_and_groups", &["P6"], 8),
    (Bug::ForgottenInFlight, "competing_consumers_and_groups", &["P23"], 0),
    (Bug::SettledUnhandled, "competing_consumers_and_groups", &["P2"], 0),
    (Bug::EarlyConfirm, "competing_consumers_and_groups", &["P1", "P3"], 0),
    (Bug::LeakedPlace, "competing_consumers_and_groups", &["P16"], 0),
    (Bug::DriftingStats, "competing_consumers_and_groups", &["P23"], 0),
    (Bug::UnboundedRetry, "competing_consumers_and_groups", &["P12"], 0),
    (Bug::LostWakeUp, "competing_consumers_and_groups", &["P9"], 0),
    (Bug::PinnedBatches, "messages_that_linger", &["P7"], 0),
    (Bug::Starvation, "a_group_that_stands_still", &["P18"], 0),
    (Bug::UnmarkedDuplicate, "competing_consumers_and_groups", &["P4"], 0),
    (Bug::ForgottenSettled, "competing_consumers_and_groups", &["P10"], 11),
    (Bug::EndlessRestarts, "consumers_that_cannot_be_built", &["P13"], 0),
    (Bug::HastyDrain, "a_shutdown_at_any_time", &["P15"], 0),
    (Bug::StaysInLine, "futures_that_are_dropped", &["P9", "P10", "P16"], 0),
    (Bug::Unfair, "consumers_of_equal_speed", &["P19"], 1),
    (Bug::EarlyDeadline, "competing_consumers_and_groups", &["P20"], 0),
    (Bug::PanicEscapes, "competing_consumers_and_groups", &["P17"], 2),
    (Bug::TooMuchAtOnce, "pulled_deliveries", &["P7"], 38),
    (Bug::WrongStrategy, "actors_under_a_supervisor", &["P14"], 0),
    (Bug::DeafPause, "groups_that_are_steered", &["P7"], 1),
    (Bug::DoubleTokens, "groups_with_limits", &["P7"], 0),
    (Bug::Weightless, "groups_with_limits", &["P7"], 0),
    (Bug::OneTooMany, "groups_with_limits", &["P7"], 0),
    (Bug::WideProbe, "groups_with_a_breaker", &["P7"], 0),
    (Bug::UntoldDeadLetter, "competing_consumers_and_groups", &["P25"], 0),
    (Bug::LeakedWeight, "a_topic_with_a_limit_in_bytes", &["P16"], 0),
    (Bug::LateDedup, "publishers_that_repeat_themselves", &["P3"], 0),
    (Bug::KeyOfRefused, "publishers_that_repeat_themselves", &["P1"], 0),
    (Bug::WrongMessage, "competing_consumers_and_groups", &["P3"], 0),
    (Bug::Overtakes, "groups_that_keep_an_order", &["P6"], 10),
    (Bug::EvictsLeased, "messages_that_limits_remove", &["P2"], 15),
    (Bug::EarlyMessage, "messages_that_are_delayed", &["P26"], 1),
    (Bug::ForgottenDelayed, "messages_that_are_delayed", &["P1"], 0),
    (Bug::UnstoredConfirm, "processes_that_are_killed_and_restarted", &["P22"], 0),
    (Bug::MovedTwice, "processes_that_are_killed_and_restarted", &["P22"], 5),
    (Bug::ForgottenSchedule, "processes_that_are_killed_and_restarted", &["P22"], 0),
    (Bug::ComesAnyway, "processes_that_are_killed_and_restarted", &["P22"], 0),
    (Bug::SettledUnburied, "processes_that_are_killed_and_restarted", &["P22"], 5),
    (Bug::ForgottenNotes, "processes_that_are_killed_and_restarted", &["P22"], 34),
    (Bug::DoneTooFar, "processes_that_are_killed_and_restarted", &["P22"], 0),
    (Bug::ForgottenDormant, "processes_that_are_killed_and_restarted", &["P22"], 0),
    (Bug::UnmarkedRedelivery, "processes_that_are_killed_and_restarted", &["P22"], 0),
    (Bug::SkippedPage, "topics_that_keep_their_history", &["P27"], 2),
    (Bug::PageTwice, "topics_that_keep_their_history", &["P27"], 0),
    (Bug::UncountedTrim, "topics_that_keep_their_history", &["P1"], 3),
    (Bug::HastySeek, "topics_that_keep_their_history", &["P2", "P11", "P21", "P27"], 1),
    (Bug::BlindBrowse, "topics_that_keep_their_history", &["P27"], 2),
    (Bug::TrimsUnsettled, "processes_that_keep_their_history", &["P22"], 12),
    (Bug::UnwrittenSeek, "processes_that_keep_their_history", &["P22"], 0),
    (Bug::BackAtItsStart, "processes_that_keep_their_history", &["P22"], 389),
    (Bug::StaleId, "publishers_that_give_ids", &["P28"], 0),
    (Bug::BackAtItsTime, "publishers_that_give_ids", &["P28"], 0),
    (Bug::BlockTwice, "topics_that_spill", &["P3"], 3),
    (Bug::ForgottenBlock, "topics_that_spill", &["P3"], 4),
    (Bug::SwappedBlocks, "topics_that_spill", &["P3"], 3),
    (Bug::KeyTwice, "groups_that_keep_an_order", &["P6"], 0),
];

#[test]
fn every_planted_bug_is_caught_by_the_rule_that_is_meant_for_it() {
    let mut missed = Vec::new();
    for (bug, scenario, rules, hint) in PLANTED {
        let run = named(scenario);
        let _planted = plant(*bug);
        let caught = |text: String| rules.iter().find(|rule| text.contains(&format!("{rule}: "))).copied();
        let first = [*hint]
            .into_iter()
            .chain(0..SEEDS)
            .find_map(|seed| Some((seed, one(seed, run).err().and_then(caught)?)));
        match first {
            Some((seed, rule)) => println!("{bug:?}: caught by {rule} at seed {seed}"),
            None => missed.push(format!("{bug:?} in {scenario} by {rules:?}")),
        }
    }
    assert!(missed.is_empty(), "not caught within {SEEDS} seeds: {missed:#?}");
}
