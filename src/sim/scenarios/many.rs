//! Runs a scenario under many seeds, and tells how to see a failure again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::stage::Stage;
use crate::base::PanicText;
use crate::runtime::BoxFuture;
use crate::sim::kit::{Run, setting};
use crate::sim::{Scheduler, Sim};

pub(super) type Scenario = fn(Stage) -> BoxFuture;

/// How many seeds of each scenario run unless the environment says otherwise.
const SEEDS: u64 = 5;
/// How many polls a run may take: some hundred times what it takes.
const STEPS: u64 = 2_000_000;
/// Each so-manieth seed runs twice.
const TWICE: u64 = 50;

/// Runs `scenario` under the seeds that are asked for, or panics with all that is known of the first that fails.
pub(super) fn many(name: &str, scenario: Scenario) {
    for seed in seeds(name) {
        let first = one(seed, scenario);
        let twice = seed % TWICE == 0 && first.is_ok();
        let end = if twice { first.and_then(|hash| same(hash, seed, scenario)) } else { first.map(drop) };
        if let Err(text) = end {
            panic!(
                "{name}:\n{text}\n  again: CB_SEED={seed} cargo test --lib sim::scenarios::list::{name}\n"
            );
        }
    }
}

fn seeds(name: &str) -> Vec<u64> {
    if let Some(seed) = setting("CB_SEED") {
        return vec![seed];
    }
    let failed =
        include_str!("regress.txt").lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let start = setting("CB_FIRST").unwrap_or(0);
    failed.chain(start..start + setting("CB_SEEDS").unwrap_or(SEEDS)).collect()
}

fn same(hash: u64, seed: u64, scenario: Scenario) -> Result<(), String> {
    match one(seed, scenario)? {
        again if again == hash => Ok(()),
        again => Err(format!("  P24: seed {seed} left the trace {hash:x}, and then {again:x}")),
    }
}

/// Runs one seed; answers the hash of its trace, or what was wrong.
pub(super) fn one(seed: u64, scenario: Scenario) -> Result<u64, String> {
    let run = Run::new(Sim::new(seed).scheduler(Scheduler::drawn(seed)).max_steps(STEPS));
    let stage = Stage::new(&run, seed);
    let kept = stage.clone();
    let played = catch_unwind(AssertUnwindSafe(|| {
        run.play(move |broker| {
            stage.enter(broker);
            scenario(stage)
        })
    }));
    let mut wrong: Vec<String> = match played {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(stuck)) => vec![format!("P9: {stuck}")],
        Err(payload) => vec![format!("a panic: {}", PanicText::of(payload))],
    };
    wrong.extend(kept.wrong());
    wrong.extend(run.check().iter().map(ToString::to_string));
    if wrong.is_empty() {
        return Ok(run.sim.trace_hash());
    }
    Err(format!("{}  drawn: {}", run.tell(&wrong), kept.drawn()))
}
