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
mod delayed;
mod deleted;
mod drain;
mod failing;
mod fair;
mod holding;
mod isolated;
mod keys;
mod killed;
mod limited;
mod lingering;
mod list;
mod listening;
mod lives;
mod many;
mod mixed;
mod moves;
mod named;
mod parked;
mod payloads;
mod planted;
mod removed;

mod pulled;
mod redriven;
mod repeated;
mod restarted;
mod retained;
mod spilled;
mod stage;
mod stages;
mod steered;
mod tripped;
mod weighed;
mod worker;
