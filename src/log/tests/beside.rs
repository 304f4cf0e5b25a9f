//! Do commits go on while what is of use moves to segments? Does nobody else get the directory before that is through?

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use super::hooked::Hooked;
use crate::log::checkpoint::Room;
use crate::log::hand::{DIR, Hand, records, small};
use crate::log::layout;
use crate::log::request::Done;
use crate::log::{Log, LogError, OpenMode, Terms, Vfs};
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

/// A disk on which whoever begins a segment says so, and waits for a word to go on. Without anybody to give it, nobody waits.
fn gated(disk: &SimDisk, says: Sender<()>, waits: Receiver<()>) -> Hooked {
    let waits = Mutex::new(waits);
    Hooked::new(disk, move |disk, path, how| {
        if path.extension().is_some_and(|end| end == "seg") && how != OpenMode::Read {
            // A test that has seen enough hears of nothing more, and gives no word.
            let _ = says.send(());
            let _ = waits.lock().unwrap().recv();
        }
        disk.open(path, how)
    })
}

struct Opened {
    log: Log,
    disk: SimDisk,
    topic: u32,
    begun: Receiver<()>,
    go_on: Option<Sender<()>>,
}

/// Asks a log that has a thread of its own, and waits for its answer.
fn ask<T: Send + 'static>(request: impl FnOnce(Done<T>)) -> Result<T, LogError> {
    let (tell, hear) = channel();
    request(Done::new(move |result| tell.send(result).unwrap()));
    hear.recv().expect("each request is answered")
}

impl Opened {
    fn new() -> Opened {
        let (disk, (says, begun), (go_on, waits)) = (SimDisk::new(1), channel(), channel());
        let gated = gated(&disk, says, waits);
        let (log, driver, ..) = Log::open(Arc::new(gated), Path::new(DIR), small(1)).unwrap();
        driver.spawn().unwrap();
        let keeps = Terms { keeps: true, ..Terms::default() };
        let topic = ask(|done| log.create_topic("kept".into(), keeps, done)).unwrap();
        Opened { log, disk, topic, begun, go_on: Some(go_on) }
    }

    /// Appends until a segment is begun: that is when the third of four slots is begun, of which each has room for eleven records.
    fn until_one_begins(&self) -> u64 {
        let many = 24;
        (0..many).for_each(|nth| self.append(nth).unwrap());
        self.begun.recv().unwrap();
        many
    }

    /// From now on nobody waits.
    fn goes_on(&mut self) {
        self.go_on = None;
    }

    fn append(&self, nth: u64) -> Result<(), LogError> {
        let body = [&nth.to_le_bytes()[..], &[7; 1000]].concat();
        let offset = ask(|done| self.log.append((self.topic, records(&[&body])), None, true, done))?;
        assert_eq!(offset, nth);
        Ok(())
    }
}

#[test]
fn commits_go_on_while_what_is_of_use_moves() {
    let opened = Opened::new();
    let many = opened.until_one_begins();
    // Nothing moves while these are confirmed: whoever moves waits for us.
    for nth in many..many + 10 {
        opened.append(nth).unwrap();
    }
    let found =
        Hand::open(Arc::new(opened.disk.crash(CrashKind::LoseAll)), Path::new(DIR), small(2)).unwrap();
    assert_eq!(found.read(opened.topic).unwrap().len() as u64, many + 10, "confirmed is confirmed");
}

#[test]
fn what_moves_beside_commits_is_there_once() {
    let mut opened = Opened::new();
    let many = opened.until_one_begins();
    opened.append(many).unwrap();
    opened.goes_on();
    (many + 1..200).for_each(|nth| opened.append(nth).unwrap());
    ask(|done| opened.log.close(true, done)).unwrap();
    let found = Hand::open(Arc::new(opened.disk), Path::new(DIR), small(3)).unwrap();
    let read = found.read(opened.topic).unwrap();
    assert!(
        read.iter()
            .map(|(at, body)| (*at, body[..8].to_vec()))
            .eq((0..200).map(|nth: u64| (nth, nth.to_le_bytes().to_vec())))
    );
}

#[test]
fn the_directory_is_free_once_what_moves_is_through() {
    let mut opened = Opened::new();
    opened.until_one_begins();
    let (tell, closed) = channel();
    opened.log.close(true, Done::new(move |result| tell.send(result).unwrap()));
    let disk = opened.disk.clone();
    let again = || Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(2));
    assert!(matches!(again(), Err(LogError::Locked { .. })), "somebody is at work in it");
    assert!(closed.try_recv().is_err(), "and so it is not closed");
    opened.goes_on();
    closed.recv().unwrap().unwrap();
    assert!(again().unwrap().found.clean);
}

/// Whatever moves, is trimmed, and is unlinked while they read.
#[test]
fn readers_find_what_was_written_wherever_it_is_by_now() {
    let mut opened = Opened::new();
    opened.goes_on();
    let (log, topic, alive) = (opened.log.clone(), opened.topic, Arc::new(()));
    thread::scope(|threads| {
        for behind in [1, 300] {
            let (log, writes) = (&log, Arc::downgrade(&alive));
            threads.spawn(move || {
                while writes.strong_count() > 0 {
                    let (floor, next) = log.bounds(topic).unwrap();
                    let from = next.saturating_sub(behind).max(floor);
                    let chunks = [log.read(topic, from, 3000), log.read_back(topic, next, 3000)];
                    for (at, record) in chunks.iter().flat_map(|chunk| chunk.as_ref().unwrap().records()) {
                        assert_eq!(record.body[..8], at.to_le_bytes());
                    }
                }
            });
        }
        // However this ends, they do.
        let _alive = alive;
        for nth in 0..1500 {
            opened.append(nth).unwrap();
            if nth % 40 == 39 {
                opened.log.trim(topic, nth.saturating_sub(100));
            }
        }
    });
}

/// As on a disk that the log fills while nothing moves (`space.rs`): whoever moves, and whoever makes a slot, want the same room.
#[test]
fn what_is_settled_makes_room_for_a_log_with_threads() {
    for room in (0..24).map(|at| (20 << 10) + at * 4111) {
        let disk = SimDisk::new(room);
        let (log, driver, ..) = Log::open(Arc::new(disk.clone()), Path::new(DIR), small(1)).unwrap();
        driver.spawn().unwrap();
        let topic = ask(|done| log.create_topic("orders".into(), Terms::default(), done)).unwrap();
        ask(|done| log.create_group(topic, (0, "audit".into()), (0, Vec::new()), done)).unwrap();
        disk.set_free(room);
        let append = |len: usize| {
            let body = vec![7; len];
            ask(|done| log.append((topic, records(&[&body])), None, true, done))
        };
        for again in 0..4 {
            while append(900).is_ok() {}
            while append(1).is_ok() {}
            let next = log.bounds(topic).unwrap().1;
            log.mark(topic, 0, crate::log::hand::done(&[(0, next)]), Done::unheard());
            let appended = append(900);
            assert!(appended.is_ok(), "{room} bytes, {again}: all was settled, and {appended:?}");
        }
        ask(|done| log.close(true, done)).unwrap();
    }
}

/// Else a slot takes what was held for the checkpoint while that is written anew, and what is settled makes no room any more.
#[test]
fn whoever_writes_a_checkpoint_or_makes_a_slot_has_the_last_room_to_himself() {
    let (room, opened) = (Arc::new(OnceLock::<Room>::new()), Arc::new(Mutex::new(Vec::new())));
    let disk = SimDisk::new(1);
    let hook = {
        let (room, opened) = (room.clone(), opened.clone());
        move |disk: &SimDisk, path: &Path, how| {
            // How a slot and a checkpoint begin, and how room is held for the next one.
            if let (Some(room), OpenMode::Replace | OpenMode::CreateNew) = (room.get(), how) {
                opened.lock().unwrap().push((path.to_path_buf(), room.is_taken()));
            }
            disk.open(path, how)
        }
    };
    let mut log = Hand::open(Arc::new(Hooked::new(&disk, hook)), Path::new(DIR), small(1)).unwrap();
    room.set(log.writer.journal.room.clone()).unwrap();
    let topic = log.topic_with("kept", Terms { keeps: true, ..Terms::default() }).unwrap();
    (0..60).for_each(|_| assert!(log.append(topic, &[&[7; 1000]], true).is_ok()));
    let opened = opened.lock().unwrap();
    let alone = |path: &Path| -> Vec<bool> {
        opened.iter().filter(|(opened, _)| opened == path).map(|(_, alone)| *alone).collect()
    };
    assert_eq!(alone(&layout::slot_path(&layout::journal(Path::new(DIR)), 2)), [true]);
    let checkpoints = alone(&layout::checkpoint_new(Path::new(DIR)));
    // Each is written, and then its room is held.
    assert!(checkpoints.len() >= 4 && checkpoints.iter().all(|alone| *alone), "{checkpoints:?}");
}

fn by_hand(disk: &SimDisk, entropy: u64) -> Result<Hand, LogError> {
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(entropy))
}

/// A log in which something is about to move, but has not yet; and how many records it has.
fn about_to_move(disk: &SimDisk) -> (Hand, u64) {
    let mut log = by_hand(disk, 1).unwrap();
    let topic = log.topic_with("kept", Terms { keeps: true, ..Terms::default() }).unwrap();
    let mut many = 0;
    while !log.writer.aside.is_running() {
        log.append(topic, &[&[7; 1000]], true).unwrap();
        many += 1;
    }
    (log, many)
}

/// So many records are there, and those that the next process adds stay too, whatever it takes anew of the journal.
fn stays(disk: &SimDisk, many: u64, what: &str) {
    for (kind, more) in [CrashKind::KeepAll, CrashKind::LoseAll]
        .into_iter()
        .flat_map(|kind| [16, 40].map(|more| (kind, more)))
    {
        let disk = disk.crash(kind);
        let mut log = by_hand(&disk, 2).unwrap_or_else(|error| panic!("{what}, {kind:?}: {error}"));
        let found = log.read(0).unwrap().len() as u64;
        assert!((many..=many + 1).contains(&found), "{what}, {kind:?}: {found} of {many}");
        (0..more).for_each(|_| assert!(log.append(0, &[&[8; 1000]], true).is_ok()));
        drop(log);
        let log = by_hand(&disk.crash(CrashKind::LoseAll), 3);
        let log = log.unwrap_or_else(|error| panic!("{what}, {kind:?}, {more} more: {error}"));
        assert_eq!(log.read(0).unwrap().len() as u64, found + more, "{what}, {kind:?}");
    }
}

/// Calls of each kind, of which one fails: so many of these are made while something moves twice.
fn calls() -> impl Iterator<Item = (DiskCall, u64)> {
    let most = [
        (DiskCall::Write, 40),
        (DiskCall::Sync, 35),
        (DiskCall::SyncDir, 8),
        (DiskCall::Create, 6),
        (DiskCall::CreateDir, 2),
        (DiskCall::Rename, 3),
    ];
    most.into_iter().flat_map(|(call, most)| (1..=most).map(move |nth| (call, nth)))
}

/// A log that says it was closed in order is opened without its checkpoint being written again: so that must have been.
#[test]
fn a_log_closes_only_behind_what_moves() {
    for (call, nth) in calls().filter(|(_, nth)| *nth <= 8) {
        let disk = SimDisk::new(nth);
        let (log, many) = about_to_move(&disk);
        disk.fail(DiskFault::nth(nth).of(call));
        let closed = log.close();
        disk.heal();
        stays(&disk, many, &format!("{call:?} {nth}, {closed:?}"));
    }
}

#[test]
fn whatever_fails_beside_commits_nothing_is_lost() {
    for (call, nth) in calls() {
        let disk = SimDisk::new(nth);
        let (mut log, mut many) = about_to_move(&disk);
        disk.fail(DiskFault::nth(nth).of(call));
        let what = format!("{call:?} {nth}");
        for _ in 0..26 {
            match log.append(0, &[&[7; 1000]], true) {
                Ok(_) => many += 1,
                Err(LogError::Unknown { .. } | LogError::Poisoned { .. }) => break,
                Err(error) => panic!("{what}: {error:?}"),
            }
        }
        if log.writer.poisoned.is_some() {
            let calls = disk.calls();
            assert!(matches!(log.append(0, &[b"late"], true), Err(LogError::Poisoned { .. })), "{what}");
            assert_eq!(disk.calls(), calls, "{what}: nobody asks a disk again that has failed");
        }
        drop(log);
        disk.heal();
        stays(&disk, many, &what);
    }
}
