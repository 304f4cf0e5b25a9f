//! Do the tests see a log that does not keep what it confirms? Each bug that a log of this kind can have is planted, and one
//! of the checks must find it. (G1, G20)
//!
//! The checks are those of `crash.rs`, `faults.rs` and `stale.rs`, as they are.

use super::crash::{Verdict, ends_again_and_again, ends_in_any_call};
use super::faults::fails_in_any_call;
use super::stale::turns;
use crate::base::{Bug, plant};
use crate::sim::DiskCall;

/// So many seeds are tried with each bug.
const SEEDS: u64 = 6;

type Check = fn(u64) -> Verdict;

const ANY_CALL: Check = |seed| ends_in_any_call(seed, 45);
const AGAIN: Check = ends_again_and_again;
const SYNCS: Check = |seed| fails_in_any_call(seed, DiskCall::Sync).map(drop);
const STALE: Check = turns;

const TABLE: [(Bug, Check); 7] = [
    (Bug::UnsyncedJournal, ANY_CALL),
    (Bug::NamelessSlot, AGAIN),
    (Bug::NamelessSegment, AGAIN),
    (Bug::AnsweredUnsynced, ANY_CALL),
    (Bug::CheckpointFirst, AGAIN),
    (Bug::OldSeed, STALE),
    (Bug::AsksAgain, SYNCS),
];

#[test]
fn each_planted_bug_is_found() {
    for (bug, check) in TABLE {
        let _planted = plant(bug);
        let found = (0..SEEDS).find_map(|seed| Some((seed, check(seed).err()?)));
        match found {
            Some((seed, what)) => {
                eprintln!("{bug:?}: seed {seed}: {}", what.lines().next().unwrap_or_default())
            }
            None => panic!("{bug:?} is not found by {SEEDS} seeds: the tests are too weak"),
        }
    }
}

#[test]
fn without_a_bug_nothing_is_found() {
    for seed in 0..2 {
        for check in [ANY_CALL, AGAIN, SYNCS, STALE] {
            check(seed).unwrap_or_else(|what| panic!("{what}"));
        }
    }
}
