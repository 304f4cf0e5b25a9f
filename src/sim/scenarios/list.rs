//! All scenarios, and a test of each.

use super::many::{Scenario, many};
use super::{
    actors, cancels, chain, clocks, competing, delayed, deleted, drain, failing, fair, holding, isolated,
    keys, killed, limited, lingering, listening, mixed, named, parked, payloads, pulled, redriven, removed,
    repeated, restarted, retained, spilled, stages, steered, tripped, weighed,
};

/// Makes a test of each scenario, and the list of them.
macro_rules! scenarios {
    ($($name:ident => $run:path,)*) => {
        $(
            #[test]
            fn $name() {
                many(stringify!($name), |stage| Box::pin($run(stage)));
            }
        )*

        const ALL: &[(&str, Scenario)] = &[$((stringify!($name), |stage| Box::pin($run(stage))),)*];
    };
}

scenarios! {
    competing_consumers_and_groups => competing::run,
    pulled_deliveries => pulled::run,
    futures_that_are_dropped => cancels::run,
    handlers_that_publish => chain::run,
    a_shutdown_at_any_time => drain::run,
    the_last_handle_dropped_at_any_time => drain::abandoned,
    consumers_that_cannot_be_built => failing::run,
    groups_that_keep_an_order => keys::run,
    messages_that_limits_remove => removed::run,
    limits_that_come_together => mixed::run,
    topics_that_are_held => holding::run,
    dead_letters_without_room => parked::run,
    a_group_that_stands_still => isolated::run,
    consumers_of_equal_speed => fair::run,
    clocks_that_jump => clocks::run,
    payloads_that_panic => payloads::run,
    dead_letters_that_go_back => redriven::run,
    groups_and_topics_that_are_deleted => deleted::run,
    messages_that_linger => lingering::run,
    stages_that_forward => stages::run,
    messages_that_are_delayed => delayed::run,
    delayed_messages_and_a_shutdown_at_any_time => delayed::drained,
    tasks_that_are_killed => killed::run,
    groups_that_are_steered => steered::run,
    groups_with_limits => limited::run,
    groups_with_a_breaker => tripped::run,
    publishers_that_repeat_themselves => repeated::run,
    a_topic_with_a_limit_in_bytes => weighed::run,
    actors_under_a_supervisor => actors::run,
    topics_that_keep_their_history => retained::run,
    topics_that_spill => spilled::run,
    processes_that_are_killed_and_restarted => restarted::run,
    processes_with_a_disk_that_fails => restarted::faults,
    processes_with_a_disk_that_is_damaged => restarted::damaged,
    processes_that_keep_their_history => restarted::history,
    publishers_that_give_ids => named::run,
    listeners_that_are_slow => listening::run,
}

/// The scenario of that name.
pub(super) fn named(name: &str) -> Scenario {
    match ALL.iter().find(|(known, _)| *known == name) {
        Some((_, scenario)) => *scenario,
        None => panic!("no scenario is called {name}"),
    }
}
