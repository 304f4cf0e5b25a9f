//! What does the log make of what is whole and yet wrong: files in each other's place, a slot that is damaged while it is open, a
//! checkpoint that nobody would write, a writer that panics? (G21)

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use crate::log::change::Change;
use crate::log::checkpoint::Checkpoint;
use crate::log::hand::{DIR, Hand, small};
use crate::log::journal::Position;
use crate::log::request::Done;
use crate::log::{Log, LogError, Terms, layout};
use crate::sim::{CrashKind, SimDisk};

fn open(disk: &SimDisk) -> Result<Hand, LogError> {
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(9))
}

fn keeps() -> Terms {
    Terms { keeps: true, ..Terms::default() }
}

/// A log whose topics have segments of the same length.
fn with_segments(disk: &SimDisk) -> Hand {
    let mut log = open(disk).unwrap();
    for name in ["one", "two"] {
        let topic = log.topic_with(name, keeps()).unwrap();
        for at in 0..40_u32 {
            let body = [name.as_bytes(), &at.to_le_bytes(), &[7; 500]].concat();
            log.append(topic, &[&body], false).unwrap();
        }
    }
    log.turn().unwrap();
    log.close().unwrap();
    open(disk).unwrap()
}

#[test]
fn a_segment_in_the_place_of_another_is_not_read() {
    let disk = SimDisk::new(1);
    let log = with_segments(&disk);
    let files = |topic: u32| -> Vec<PathBuf> {
        let extents = &log.writer.state.topics[&topic].segments;
        extents.iter().map(|extent| layout::segment(Path::new(DIR), topic, extent.base)).collect()
    };
    let (one, two) = (files(0), files(1));
    assert!(one.len() > 1 && two.len() > 1);
    for other in [&one[1], &two[0]] {
        let disk = disk.durable_copy();
        disk.write_file(&one[0], disk.read_file(other).unwrap()).unwrap();
        let log = open(&disk).unwrap();
        let back = log.writer.shelf.read_back(0, 5, 1 << 16).map(drop);
        assert!(
            matches!(&back, Err(LogError::Corrupt(damage)) if damage.file == one[0]),
            "{other:?}: {back:?}"
        );
        let read = log.read(0).map(|read| read.len());
        assert!(
            matches!(&read, Err(LogError::Corrupt(damage)) if damage.file == one[0]),
            "{other:?}: {read:?}"
        );
        assert_eq!(log.read(1).unwrap().len(), 40, "what is whole is read");
    }
}

/// What is damaged in the middle of a slot is missed when it moves on: before a checkpoint counts on it.
#[test]
fn a_slot_that_is_damaged_while_it_is_open_does_not_move_on() {
    let disk = SimDisk::new(2);
    let mut log = open(&disk).unwrap();
    let topic = log.topic_with("kept", keeps()).unwrap();
    while log.writer.journal.position().turn < 2 || log.writer.journal.position().at < 12_000 {
        log.append(topic, &[&[5; 300]], true).unwrap();
    }
    let first = Path::new(DIR).join("journal/0.j");
    for at in [5000, 9000, 14_000] {
        let disk = disk.durable_copy();
        let mut log = open(&disk).unwrap();
        disk.flip(&first, at, 1).unwrap();
        let turned = log.turn();
        assert!(matches!(turned, Err(LogError::Unknown { .. })), "byte {at}: {turned:?}");
        drop(log);
        let opened = open(&disk.crash(CrashKind::KeepAll)).map(drop);
        let told =
            matches!(&opened, Err(LogError::Corrupt(damage)) if damage.file == first && damage.at <= at);
        assert!(told, "byte {at}: {opened:?}");
    }
}

#[test]
fn a_checkpoint_that_nobody_would_write_is_refused() {
    let disk = SimDisk::new(3);
    with_segments(&disk).close().unwrap();
    let path = layout::checkpoint(Path::new(DIR));
    let whole = Checkpoint::of(&disk.read_file(&path).unwrap(), &path).unwrap();
    let with = |change: &dyn Fn(&mut Checkpoint)| {
        let mut odd = whole.clone();
        change(&mut odd);
        odd
    };
    let of_turn = |turn, at| with(&move |odd: &mut Checkpoint| odd.next = Position { turn, at });
    let odd = [
        with(&|odd| odd.slot_bytes = 0),
        with(&|odd| odd.slot_bytes = 4096),
        with(&|odd| odd.slot_bytes = u64::MAX),
        with(&|odd| odd.slot_bytes += 1),
        with(&|odd| odd.lsn = u64::MAX),
        with(&|odd| odd.state.slots = 0),
        with(&|odd| odd.state.slots = u32::MAX),
        with(&|odd| odd.state.topics.get_mut(&0).unwrap().next = u64::MAX),
        with(&|odd| odd.state.topics.get_mut(&0).unwrap().floor = u64::MAX),
        with(&|odd| odd.state.topics.get_mut(&0).unwrap().segments[0].bytes = u64::MAX),
        of_turn(0, 4096),
        of_turn(u64::MAX, 4096),
        of_turn(whole.next.turn, 0),
        of_turn(whole.next.turn, u64::MAX),
    ];
    for (at, odd) in odd.iter().enumerate() {
        disk.write_file(&path, odd.to_bytes()).unwrap();
        let opened = open(&disk).map(drop);
        assert!(matches!(opened, Err(LogError::Corrupt(_))), "{at}: {opened:?}");
    }
    let mut old = Vec::new();
    let frame = crate::log::frame::read(&disk.read_file(&path).unwrap(), 0).unwrap().body.to_vec();
    let body = [&[0; 4], &frame[4..]].concat();
    let header = crate::log::frame::Header::new(crate::log::frame::Kind::Checkpoint);
    crate::log::frame::push(&mut old, &header, &body, 0);
    disk.write_file(&path, old).unwrap();
    let opened = open(&disk).map(drop);
    assert!(matches!(opened, Err(LogError::Corrupt(_))), "version 0: {opened:?}");
}

#[test]
fn a_step_behind_the_last_one_does_not_fit() {
    let disk = SimDisk::new(5);
    let state = with_segments(&disk).writer.state.clone();
    let group = |group, name: &'static str| Change::Group {
        topic: 0,
        group,
        start: 0,
        name: name.into(),
        about: [][..].into(),
    };
    let odd = [
        Change::Topic { topic: u32::MAX, name: "last".into(), terms: Cow::Owned(keeps()) },
        group(u32::MAX, "last"),
        Change::Slot { slots: 0 },
        Change::Slot { slots: 5 },
    ];
    for change in odd {
        assert!(state.clone().apply(&change).is_err(), "{change:?}");
    }
    let mut state = state;
    state.apply(&group(u32::MAX - 1, "almost the last")).unwrap();
}

/// Whoever asks a log whose writer has panicked hears of it: nobody waits for ever.
#[test]
fn a_writer_that_panics_closes_the_log() {
    let disk = SimDisk::new(4);
    let (log, driver, ..) = Log::open(Arc::new(disk), Path::new(DIR), small(1)).unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let ask = |name: &'static str| {
        let said = said.clone();
        log.sync(Done::new(move |result| said.lock().unwrap().push((name, result.is_ok()))));
    };
    log.sync(Done::new(|_| panic!("a planned one")));
    let mut run = Box::pin(driver.run());
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = run.as_mut().poll(&mut cx);
    }));
    assert!(polled.is_err());
    drop(run);
    ask("later");
    assert_eq!(*said.lock().unwrap(), [("later", false)]);
}
