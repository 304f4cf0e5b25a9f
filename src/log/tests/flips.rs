//! Is any flipped bit unseen? One in each byte of a journal of three slots, of a checkpoint and of a segment, one at a time: what
//! was confirmed reads back exactly, or the log says which file is damaged, and where. (G21)

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::crash::{Verdict, seeds};
use super::model::{Model, held};
use crate::log::hand::{DIR, Hand, small};
use crate::log::state::Extent;
use crate::log::{Damage, LogError, Marks, Note, Terms, layout};
use crate::sim::{DiskCall, DiskFault, SimDisk};

/// Each byte's turn comes once in so many runs; `CB_SEEDS` asks for as many.
const STRIDE: u64 = if cfg!(debug_assertions) { 16 } else { 1 };

fn open(disk: &SimDisk) -> Result<Hand, LogError> {
    // Chance is never the same twice, or slots would get seeds again that they had.
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(disk.calls()))
}

/// Some of everything, until the journal is far into a turn.
pub(crate) fn fill(disk: &SimDisk, turn: u64) {
    let mut log = open(disk).unwrap();
    let keeps = Terms { keeps: true, ..Terms::default() };
    let names = [("kept", keeps), ("passing", Terms::default())];
    let topics = names.map(|(name, terms)| match log.writer.state.topic_named(name) {
        Some(topic) => (topic, 0),
        None => {
            let topic = log.topic_with(name, terms).unwrap();
            (topic, log.group(topic, "all", 0).unwrap())
        }
    });
    for at in log.writer.state.topics[&0].next / 2.. {
        let now = log.writer.journal.position();
        if now.turn == turn && now.at > 12_000 {
            break;
        }
        for (topic, group) in topics {
            let len = [3, 200, 900][at as usize % 3];
            log.append(topic, &[&vec![at as u8; len], b"more"], at % 2 == 0).unwrap();
            let note = Note { attempts: 2, due: at, more: vec![4; 20] };
            let marks = Marks { done: vec![(at * 2, at * 2 + 1)], notes: vec![(at * 2 + 1, note)] };
            log.mark_unheard(topic, group, marks);
        }
    }
    log.close().unwrap();
}

/// Lets no checkpoint take the place of another, for want of space, once so many did: so all slots are needed.
pub(crate) fn nothing_moves(disk: &SimDisk, saved: u64) {
    disk.fail(DiskFault::nth(saved + 1).of(DiskCall::Rename).with(ErrorKind::StorageFull).lasting());
}

/// What became of the flips.
#[derive(Debug, Default)]
struct Told {
    refused: u64,
    harmless: u64,
}

/// Flips a bit of each byte of a file, and looks.
fn flip(disk: &SimDisk, file: &Path, held_before: &Model) -> Result<Told, String> {
    let (mut told, len) = (Told::default(), disk.read_file(file).unwrap().len() as u64);
    for at in (0..seeds(1).min(STRIDE)).flat_map(|from| (from..len).step_by(STRIDE as usize)) {
        let disk = disk.durable_copy();
        let mask = 1 << ((at / STRIDE) % 8);
        disk.flip(file, at, mask).unwrap();
        let what = format!("{}, byte {at}, mask {mask:#x}", file.display());
        match open(&disk).and_then(|log| held(&log)) {
            Ok(found) if found == *held_before => told.harmless += 1,
            Ok(found) => return Err(format!("{what}: lost unseen: {}", found.brief())),
            Err(LogError::Corrupt(Damage { file: named, at: place, .. })) if named == file && place <= at => {
                told.refused += 1;
            }
            Err(error) => return Err(format!("{what}: {error}")),
        }
    }
    Ok(told)
}

/// Flips of a journal of three slots that are all needed, and of its checkpoint.
pub(crate) fn flips_of_a_journal(seed: u64) -> Verdict {
    let disk = SimDisk::new(seed);
    nothing_moves(&disk, 2);
    fill(&disk, 3);
    disk.heal();
    let disk = disk.durable_copy();
    let log = open(&disk.durable_copy()).unwrap();
    assert_eq!((log.writer.journal.slots.len(), log.writer.needed.turn), (3, 1), "three slots are needed");
    assert!(log.found.clean);
    let before = held(&log).unwrap();
    let journal = layout::journal(Path::new(DIR));
    for slot in 0..3 {
        let told = flip(&disk, &layout::slot_path(&journal, slot), &before)?;
        assert!(told.refused > 8000 / STRIDE && told.harmless > 2000 / STRIDE, "slot {slot}: {told:?}");
    }
    let told = flip(&disk, &layout::checkpoint(Path::new(DIR)), &before)?;
    assert!(told.refused > 0 && told.harmless == 0, "checkpoint: {told:?}");
    Ok(())
}

#[test]
fn no_flipped_bit_of_a_journal_or_a_checkpoint_is_unseen() {
    flips_of_a_journal(0).unwrap_or_else(|what| panic!("{what}"));
}

#[test]
fn no_flipped_bit_of_a_segment_is_unseen() {
    let disk = SimDisk::new(2);
    fill(&disk, 3);
    let mut log = open(&disk).unwrap();
    log.turn().unwrap();
    let before = held(&log).unwrap();
    let segment = |extent: &Extent| layout::segment(Path::new(DIR), 0, extent.base);
    let segments: Vec<PathBuf> = log.writer.state.topics[&0].segments.iter().map(segment).collect();
    log.close().unwrap();
    let disk = disk.durable_copy();
    for segment in &segments {
        let told = flip(&disk, segment, &before).unwrap_or_else(|what| panic!("{what}"));
        assert!(told.refused > 2000 / STRIDE && told.harmless == 0, "{}: {told:?}", segment.display());
    }
    assert!(segments.len() > 1);
}
