//! Is what was refused for want of space refused, whatever of it was written? (G22)
//!
//! A file system that copies on write may lack space for bytes that were there before, so any write may end in its middle.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::crash::seeds;
use crate::log::hand::{DIR, Hand, done, records, small};
use crate::log::request::{Done, Request};
use crate::log::{LogError, Terms};
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

fn open(disk: &SimDisk) -> Hand {
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(9)).unwrap()
}

/// Appends until one is refused, and then, if so, something that has room where the first had none. Answers whether one
/// was, and what was confirmed.
fn until_refused(disk: &SimDisk, (call, nth): (DiskCall, u64), goes_on: bool) -> (bool, Vec<Vec<u8>>) {
    let mut log = open(disk);
    let topic = log.topic_with("kept", Terms { keeps: true, ..Terms::default() }).unwrap();
    disk.fail(DiskFault::nth(nth).of(call).with(ErrorKind::StorageFull));
    let mut bodies = Vec::new();
    for at in 0..100_u32 {
        // Zeros at the end: a slot that is new has them where the commit is to be.
        let body = [at.to_le_bytes().to_vec(), vec![0; 900]].concat();
        let turned = if at % 9 == 8 { log.turn() } else { Ok(()) };
        assert!(turned.as_ref().err().is_none_or(LogError::is_full), "{call:?} {nth}: {turned:?}");
        if let Err(error) = log.append(topic, &[&body], true) {
            assert!(error.is_full(), "{call:?} {nth}: {error:?}");
            if goes_on {
                log.append(topic, &[b"small"], true).unwrap();
                bodies.push(b"small".to_vec());
            }
            return (true, bodies);
        }
        bodies.push(body);
    }
    (false, bodies)
}

#[test]
fn nothing_is_found_of_a_commit_that_was_refused() {
    let (mut refused, calls) =
        (0, [(DiskCall::Write, 60), (DiskCall::Create, 12), (DiskCall::CreateDir, 8), (DiskCall::Rename, 8)]);
    let nth = |(call, most)| (1..=most).map(move |nth| (call, nth));
    for (call, seed) in
        calls.into_iter().flat_map(nth).flat_map(|call| (0..2 * seeds(1)).map(move |seed| (call, seed)))
    {
        for goes_on in [false, true] {
            let disk = SimDisk::new(seed);
            let (was_refused, bodies) = until_refused(&disk, call, goes_on);
            refused += u64::from(was_refused);
            disk.heal();
            for kind in [CrashKind::KeepAll, CrashKind::LoseAll, CrashKind::Random(call.1)] {
                let what = format!("seed {seed}, {call:?}, {kind:?}, goes on: {goes_on}");
                let disk = disk.crash(kind);
                let log = Hand::open(Arc::new(disk), Path::new(DIR), small(10));
                let log = log.unwrap_or_else(|error| panic!("{what}: {error}"));
                let read: Vec<_> = log.read(0).unwrap().into_values().collect();
                assert!(read == bodies, "{what}: {} found, {} confirmed", read.len(), bodies.len());
            }
        }
    }
    assert!(refused > 130, "{refused}");
}

/// What comes in the place of a commit that was refused may be shorter, and end where another of its frames begins.
#[test]
fn nothing_of_a_commit_that_was_refused_follows_the_next_one() {
    for seed in 0..30 * seeds(1) {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        let topics = ["one", "two"].map(|name| log.topic(name).unwrap());
        disk.fail(DiskFault::nth(1).of(DiskCall::Write).with(ErrorKind::StorageFull));
        let append = |topic, body: &[u8]| {
            let (records, done) = (records(&[body]), Done::unheard());
            Request::Append { topic, records, sync: true, settles: None, done }
        };
        log.writer.work_off([append(topics[0], &[1; 100]), append(topics[1], &[0; 900])].into());
        assert!(log.writer.poisoned.is_none(), "seed {seed}");
        assert_eq!(
            log.append(topics[0], &[&[1; 100]], true).unwrap(),
            0,
            "seed {seed}: the first was refused"
        );
        drop(log);
        let log = open(&disk.crash(CrashKind::KeepAll));
        let next = topics.map(|topic| log.writer.state.topics[&topic].next);
        assert_eq!(next, [1, 0], "seed {seed}");
    }
}

/// What is large is written by itself: whichever of these writes lacks space, all that was written before it goes too.
#[test]
fn nothing_stays_of_a_commit_that_was_written_in_pieces() {
    let mut refused = 0;
    for (seed, nth) in (0..20 * seeds(1)).flat_map(|seed| (1..=4).map(move |nth| (seed, nth))) {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        let topics = ["one", "two", "three"].map(|name| log.topic(name).unwrap());
        disk.fail(DiskFault::nth(nth).of(DiskCall::Write).with(ErrorKind::StorageFull));
        let append = |at: usize, body: &[u8]| {
            let (records, done) = (records(&[body]), Done::unheard());
            Request::Append { topic: topics[at], records, sync: true, settles: None, done }
        };
        // Of which the large one, of the second topic, lies between the others.
        let large = [append(0, &[1; 100]), append(2, &[0; 900]), append(1, &vec![seed as u8 % 2; 8203])];
        log.writer.work_off(large.into());
        assert!(log.writer.poisoned.is_none(), "seed {seed}");
        let was_refused = log.writer.state.topics[&topics[0]].next == 0;
        refused += u64::from(was_refused);
        disk.heal();
        // It ends where the large one began.
        log.append(topics[0], &[&[1; 100]], true).unwrap();
        drop(log);
        for kind in [CrashKind::KeepAll, CrashKind::LoseAll, CrashKind::Random(nth)] {
            let log = open(&disk.crash(kind));
            let next = topics.map(|topic| log.writer.state.topics[&topic].next);
            let wanted = if was_refused { [1, 0, 0] } else { [2, 1, 1] };
            assert_eq!(next, wanted, "seed {seed}, write {nth}, {kind:?}");
        }
    }
    assert!(refused >= 60, "{refused}");
}

fn used(disk: &SimDisk) -> u64 {
    disk.files().into_iter().map(|(_, len)| len).sum()
}

/// Whatever the size of the disk, as long as it has room for two files of the journal: what the log fills is emptied by settling.
#[test]
fn what_is_settled_makes_room_on_a_disk_that_the_log_has_filled() {
    let mut moved = 0;
    for room in (22..200).map(|kib| (kib << 10) + kib * 7) {
        let mut disk = SimDisk::new(room);
        let mut log = open(&disk);
        let topic = log.topic("orders").unwrap();
        let group = log.group(topic, "audit", 0).unwrap();
        disk.set_free(room);
        let (mut next, mut settled) = (0, 0);
        for life in 0..3 {
            for again in 0..3 {
                // To the last byte: not even marks have room then.
                for body in [&[7; 900][..], &[7]] {
                    while let Ok(offset) = log.append(topic, &[body], true) {
                        assert_eq!(offset, next);
                        next += 1;
                    }
                }
                moved += u64::from(!log.writer.state.topics[&topic].segments.is_empty());
                // One by one, which is more than one commit has room for, and together with what needs the room.
                let marks = (settled..next).map(|at| {
                    let marks = done(&[(at, at + 1)]);
                    Request::Mark { topic, group, marks, done: Done::unheard() }
                });
                let (heard, records) = (Arc::new(Mutex::new(None)), records(&[&[7; 900]]));
                let hear = heard.clone();
                let append = Request::Append {
                    topic,
                    records,
                    sync: true,
                    settles: None,
                    done: Done::new(move |result| *hear.lock().unwrap() = Some(result)),
                };
                log.writer.work_off(marks.chain([append]).collect());
                let heard = heard.lock().unwrap().take().unwrap();
                assert!(heard.is_ok(), "{room} bytes, {life}, {again}: all was settled, and {heard:?}");
                (settled, next) = (next, next + 1);
            }
            let after = disk.crash([CrashKind::LoseAll, CrashKind::KeepAll][life % 2]);
            // What was not synced is gone, and takes no room.
            after.set_free(disk.free().unwrap() + used(&disk) - used(&after));
            drop(log);
            // Chance is another one in each life: what is left of the one before must be no frame.
            log = Hand::open(Arc::new(after.clone()), Path::new(DIR), small(20 + life as u64)).unwrap();
            let found = &log.writer.state.topics[&topic];
            assert_eq!((found.next, found.floor), (next, settled), "{room} bytes, {life}");
            let rest = log.read(topic).unwrap();
            assert_eq!(rest.into_keys().filter(|at| *at >= settled).collect::<Vec<_>>(), [settled]);
            disk = after;
        }
    }
    assert!(moved > 500, "{moved}");
}
