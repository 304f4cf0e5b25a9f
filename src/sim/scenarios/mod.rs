//! The broker under the checkers: scenarios with everything drawn from the seed, each in two phases.
//!
//! In the first phase faults strike: panics before, inside and after handlers, hangs, pauses, errors, dropped futures,
//! broken factories, killed tasks. In the second they are off, and everything that was accepted must settle within a
//! virtual time. Then the rules of `sim/check` read what was seen.
//!
//! `CB_SEEDS=2000 cargo test --release --lib sim::scenarios` runs so many seeds of each scenario, `CB_SEED=7` that one
//! alone. Seeds that failed once are in `regress.txt` and run first, always. Every 50th seed runs twice, and must
//! leave the same trace (P24).

mod actors;
mod cancels;
mod chain;
mod clocks;
mod competing;
mod drain;
mod failing;
mod fair;
mod holding;
mod isolated;
mod killed;
mod many;
mod parked;
mod payloads;

mod pulled;
mod stage;
mod worker;

use self::many::{Scenario, many};
use self::stage::Stage;

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
    topics_that_are_held => holding::run,
    dead_letters_without_room => parked::run,
    a_group_that_stands_still => isolated::run,
    consumers_of_equal_speed => fair::run,
    clocks_that_jump => clocks::run,
    payloads_that_panic => payloads::run,
    tasks_that_are_killed => killed::run,
    actors_under_a_supervisor => actors::run,
}

/// The scenario of that name.
fn named(name: &str) -> Scenario {
    match ALL.iter().find(|(known, _)| *known == name) {
        Some((_, scenario)) => *scenario,
        None => panic!("no scenario is called {name}"),
    }
}
