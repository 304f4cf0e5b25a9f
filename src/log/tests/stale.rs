//! Is a frame of an old turn of its slot ever taken for one of the new? (G20)

use std::path::Path;
use std::sync::Arc;

use super::crash::{Verdict, seeds};
use crate::log::hand::{DIR, Hand, done, small};
use crate::log::journal::SLOT_START;
use crate::log::{LogError, Terms};
use crate::sim::{CrashKind, SimDisk};

/// Turns of the ring, of four slots each.
const TURNS: u64 = 20 * 4;

fn open(disk: &SimDisk, entropy: u64) -> Result<Hand, String> {
    let opened = Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(entropy));
    opened.map_err(words)
}

fn body(at: u64) -> Vec<u8> {
    // All of one size, so that old frames lie where new ones end.
    format!("{at:0>400}").into_bytes()
}

/// Turns the ring and ends at each boundary of a slot: before the first commit of one, and behind it. All that was written is
/// confirmed, so each end finds all of it, and nothing torn.
pub(crate) fn turns(seed: u64) -> Verdict {
    let mut disk = SimDisk::new(seed);
    let mut log = open(&disk, seed)?;
    let keeps = Terms { keeps: true, ..Terms::default() };
    let kept = log.topic_with("kept", keeps).map_err(words)?;
    let passing = log.topic("passing").map_err(words)?;
    let group = log.group(passing, "all", 0).map_err(words)?;
    let (mut next, mut turn) = (0, 1);
    while turn <= TURNS {
        let before = (disk.durable_copy(), next);
        for topic in [passing, kept] {
            log.append(topic, &[&body(next)], true).map_err(words)?;
        }
        log.mark(passing, group, done(&[(next, next + 1)])).map_err(words)?;
        // What is kept need not be all there was: else each look at it takes longer than the one before.
        log.trim(kept, next.saturating_sub(60));
        log.seal().map_err(words)?;
        next += 1;
        let now = log.writer.journal.position().turn;
        if now > turn {
            turn = now;
            finds(&before.0, before.1, &format!("before turn {turn}"))?;
            let kind = match turn % 3 {
                0 => CrashKind::LoseAll,
                1 => CrashKind::KeepAll,
                _ => CrashKind::Random(turn),
            };
            drop(log);
            disk = disk.crash(kind);
            finds(&disk, next, &format!("in turn {turn}, {kind:?}"))?;
            log = open(&disk, seed + turn)?;
        }
    }
    Ok(())
}

/// A torn tail, of commits of one size, and a commit of that size in the place of its first: none of the others follows it.
pub(crate) fn tails(seed: u64) -> Verdict {
    let disk = SimDisk::new(seed);
    let mut log = open(&disk, seed)?;
    let topic = log.topic("t").map_err(words)?;
    for at in 0..10 {
        log.append(topic, &[&body(at)], at < 3).map_err(words)?;
    }
    drop(log);
    let disk = disk.crash(CrashKind::Random(seed));
    let mut log = open(&disk, seed + 1)?;
    let found = log.writer.state.topics.get(&topic).map_or(0, |topic| topic.next);
    if !(3..=10).contains(&found) {
        return Err(format!("{found} found of 3 that were confirmed and 10 that were written"));
    }
    log.append(topic, &[&body(found)], true).map_err(words)?;
    drop(log);
    finds(&disk.crash(CrashKind::KeepAll), found + 1, "behind what was torn")
}

#[test]
fn what_was_torn_is_never_replayed() {
    for seed in 0..seeds(200) {
        tails(seed).unwrap_or_else(|what| panic!("seed {seed}, {what}"));
    }
}

fn words(error: LogError) -> String {
    error.to_string()
}

fn finds(disk: &SimDisk, next: u64, what: &str) -> Verdict {
    let log = open(disk, next).map_err(|error| format!("{what}: {error}"))?;
    if let Some(torn) = &log.found.torn {
        return Err(format!("{what}: all of it was on the disk, and something is torn: {torn:?}"));
    }
    for (number, topic) in &log.writer.state.topics {
        let read = log.read(*number).map_err(|error| format!("{what}: {error}"))?;
        let wanted = (topic.floor..next).map(|at| (at, body(at)));
        if topic.next != next || !read.into_iter().filter(|(at, _)| *at >= topic.floor).eq(wanted) {
            return Err(format!("{what}: topic {number} has {} messages, not {next}", topic.next));
        }
    }
    match log.writer.journal.position().at > SLOT_START {
        true => Ok(()),
        false => Err(format!("{what}: the journal goes on nowhere")),
    }
}

#[test]
fn a_frame_of_an_old_turn_is_never_replayed() {
    for seed in 0..2 {
        turns(seed).unwrap_or_else(|what| panic!("seed {seed}, {what}"));
    }
}
