//! Do the tests see a log that does not keep what it confirms? Each bug that a log of this kind can have is planted, and the check
//! that is there for it must find it. (G1, G20, G21)
//!
//! The checks are those of `crash.rs`, `faults.rs`, `stale.rs` and `flips.rs`, as they are: there each of them is a test, over these
//! seeds and more, that finds nothing where no bug is planted.

use super::crash::{Verdict, ends_again_and_again, ends_in_any_call, ends_while_it_recovers};
use super::faults::fails_in_any_call;
use super::flips::flips_of_a_journal;
use super::stale::{tails, turns};
use crate::base::{Bug, plant};
use crate::sim::DiskCall;

type Check = fn(u64) -> Verdict;

const ANY_CALL: Check = |seed| ends_in_any_call(seed, 45);
const AGAIN: Check = ends_again_and_again;
const RECOVERING: Check = |seed| ends_while_it_recovers(seed, 45);
const SYNCS: Check = |seed| fails_in_any_call(seed, DiskCall::Sync).map(drop);
const STALE: Check = turns;
const TAILS: Check = tails;
const FLIPS: Check = flips_of_a_journal;

/// A bug, the check that finds it, and within how many seeds.
const TABLE: [(Bug, Check, u64); 15] = [
    (Bug::UnsyncedJournal, ANY_CALL, 1),
    (Bug::UnsyncedJournal, AGAIN, 2),
    (Bug::NamelessSlot, AGAIN, 2),
    (Bug::NamelessSegment, AGAIN, 2),
    (Bug::NamelessCheckpoint, AGAIN, 2),
    (Bug::AnsweredUnsynced, ANY_CALL, 1),
    (Bug::AnsweredUnsynced, RECOVERING, 1),
    (Bug::AnsweredUnsynced, AGAIN, 5),
    (Bug::CheckpointFirst, AGAIN, 2),
    (Bug::UnsyncedSlot, AGAIN, 5),
    (Bug::OldSeed, STALE, 1),
    (Bug::TailStays, TAILS, 100),
    (Bug::AsksAgain, SYNCS, 1),
    (Bug::DamageIsTail, FLIPS, 1),
    (Bug::UnsyncedJournal, TAILS, 4),
];

#[test]
fn each_planted_bug_is_found() {
    let mut missed = Vec::new();
    for (bug, check, seeds) in TABLE {
        let _planted = plant(bug);
        match (0..seeds).find_map(|seed| Some((seed, check(seed).err()?))) {
            Some((seed, what)) => println!("{bug:?}: seed {seed}: {what:.200}"),
            None => missed.push(format!("{bug:?} within {seeds} seeds")),
        }
    }
    assert!(missed.is_empty(), "the tests are too weak: {missed:#?}");
}
