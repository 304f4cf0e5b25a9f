//! Are large records, that are written from where they are, there as a whole or not at all? (G1, G22)
//!
//! Their commits are several writes, of which any may be the last.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::log::hand::{DIR, Hand, records};
use crate::log::open::Options;
use crate::log::request::{Done, Request};
use crate::log::{LogError, Terms};
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

const KINDS: [CrashKind; 3] = [CrashKind::KeepAll, CrashKind::LoseAll, CrashKind::Random(7)];

fn open(disk: &SimDisk, slot_bytes: u64) -> Result<Hand, LogError> {
    let options = Options { slot_bytes, roll_bytes: slot_bytes, entropy: 5 };
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), options)
}

/// Two large records with a small one between them, that look like nobody else's.
fn bodies(nth: u8) -> [Vec<u8>; 3] {
    [vec![nth; 12_000], vec![nth; 10], vec![nth; 9_000]]
}

/// Appends bodies in one commit each, as of several callers; answers how many commits were confirmed, and whether one was refused.
fn append(log: &mut Hand, commits: u8) -> (u8, bool) {
    for nth in 0..commits {
        let confirmed = Arc::new(std::sync::atomic::AtomicU8::new(0));
        let append = |body: Vec<u8>| {
            let confirmed = confirmed.clone();
            let done = Done::new(move |result: Result<u64, LogError>| {
                confirmed.fetch_add(u8::from(result.is_ok()), std::sync::atomic::Ordering::Relaxed);
            });
            Request::Append { topic: 0, records: records(&[&body]), sync: true, settles: None, done }
        };
        log.writer.work_off(bodies(nth).map(append).into());
        match confirmed.load(std::sync::atomic::Ordering::Relaxed) {
            3 => {}
            0 => return (nth, true),
            some => panic!("{some} of three that are one commit"),
        }
    }
    (commits, false)
}

fn keeps(log: &mut Hand) -> Result<u32, LogError> {
    log.topic_with("kept", Terms { keeps: true, ..Terms::default() })
}

/// What is found are whole commits, in order: so many.
fn found(disk: &SimDisk, what: &str) -> u8 {
    let log = open(disk, 64 << 10).unwrap_or_else(|error| panic!("{what}: {error}"));
    let Ok(read) = log.read(0) else { return 0 };
    let read: Vec<Vec<u8>> = read.into_values().collect();
    let commits = u8::try_from(read.len() / 3).unwrap();
    assert!((0..commits).flat_map(bodies).eq(read), "{what}: a commit is there in part");
    commits
}

#[test]
fn large_records_that_were_confirmed_outlive_an_end_in_any_call() {
    let whole = SimDisk::new(3);
    let mut log = open(&whole, 64 << 10).unwrap();
    keeps(&mut log).unwrap();
    assert_eq!(append(&mut log, 14), (14, false));
    for call in 1..=whole.calls() {
        let disk = SimDisk::new(3);
        disk.stop_at(call);
        let opened = open(&disk, 64 << 10).and_then(|mut log| keeps(&mut log).map(|_| log));
        let confirmed = opened.map_or(0, |mut log| append(&mut log, 14).0);
        for kind in KINDS {
            let what = format!("call {call}, {kind:?}");
            let found = found(&disk.crash(kind), &what);
            assert!((confirmed..=confirmed + 1).contains(&found), "{what}: {found} of {confirmed}");
        }
    }
}

#[test]
fn nothing_is_found_of_large_records_that_were_refused() {
    let mut refused = 0;
    for nth in 1..80 {
        for kind in KINDS {
            let disk = SimDisk::new(nth);
            let mut log = open(&disk, 64 << 10).unwrap();
            keeps(&mut log).unwrap();
            disk.fail(DiskFault::nth(nth).of(DiskCall::Write).with(ErrorKind::StorageFull));
            let (confirmed, full) = append(&mut log, 14);
            refused += u32::from(full);
            assert_eq!(found(&disk.crash(kind), &format!("write {nth}, {kind:?}")), confirmed);
        }
    }
    assert!(refused > 60, "{refused}");
}

/// Frames that are larger than what is collected before it is written, behind and before small ones.
#[test]
fn large_records_move_to_segments_and_are_read_there() {
    let (disk, slot) = (SimDisk::new(1), 4 << 20);
    let mut log = open(&disk, slot).unwrap();
    let topic = keeps(&mut log).unwrap();
    let many: Vec<Vec<u8>> =
        (0..24_u8).map(|nth| vec![nth; if nth % 3 == 0 { 700_000 } else { 900 }]).collect();
    for (nth, body) in (0..).zip(&many) {
        log.append(topic, &[body], true).unwrap();
        if nth == 5 {
            log.turn().unwrap();
        }
    }
    log.turn().unwrap();
    drop(log);
    let log = open(&disk.crash(CrashKind::LoseAll), slot).unwrap();
    assert!(log.read(topic).unwrap().into_values().eq(many));
}
