//! Is what callers write themselves written in order, beside the log's own thread, and answered once? Is nobody forgotten?

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::log::hand::{DIR, Hand, records, small};
use crate::log::request::{Chain, Done};
use crate::log::store::Driver;
use crate::log::{Log, LogError, Terms};
use crate::sim::SimDisk;

/// Whoever waits for so long waits for ever.
const LONG: Duration = Duration::from_secs(60);

/// A log with a topic, and its driver, which does not run yet.
fn open() -> (Log, Driver, SimDisk) {
    let disk = SimDisk::new(1);
    let mut log = Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(1)).unwrap();
    log.topic_with("kept", Terms { keeps: true, ..Terms::default() }).unwrap();
    log.close().unwrap();
    let (log, driver, ..) = Log::open(Arc::new(disk.clone()), Path::new(DIR), small(2)).unwrap();
    (log, driver, disk)
}

fn leave(log: &Log, body: &[u8], sync: bool) -> Receiver<Result<(), LogError>> {
    let (tell, hear) = channel();
    // A test that has ended hears nothing.
    let done = Done::new(move |result| drop(tell.send(result)));
    log.append_all(vec![(0, records(&[body]))], sync, Chain::default(), done);
    hear
}

fn read(log: &Log) -> Vec<Vec<u8>> {
    let (mut all, end) = (Vec::new(), log.bounds(0).unwrap());
    let take = |_, record: &crate::log::Record<'_>| {
        all.push(record.body.to_vec());
        Ok::<_, LogError>(())
    };
    log.each_record(0, end, take).unwrap();
    all
}

#[test]
fn a_caller_writes_what_is_little_and_leaves_all_else_to_the_driver() {
    let (log, driver, _) = open();
    let heard = [leave(&log, b"one", false), leave(&log, b"two", false)];
    log.trim(0, 1);
    assert!(heard.iter().all(|hear| hear.try_recv().is_err()), "it waits for somebody");
    log.help();
    assert!(
        heard.iter().all(|hear| matches!(hear.try_recv(), Ok(Ok(())))),
        "all that waits is written together"
    );
    assert_eq!(read(&log), [b"two"]);
    // Nobody but the driver waits for the disk, or writes much; and what comes behind that waits with it.
    let heard = [leave(&log, b"three", true), leave(&log, b"four", false)];
    log.help();
    assert!(heard.iter().all(|hear| hear.try_recv().is_err()));
    driver.spawn().unwrap();
    assert!(heard.iter().all(|hear| matches!(hear.recv_timeout(LONG), Ok(Ok(())))));
    assert_eq!(read(&log), [&b"two"[..], b"three", b"four"]);
}

/// The ring comes round meanwhile, and what is of use moves.
#[test]
fn each_is_answered_in_turn_whoever_writes_it() {
    let (log, driver, disk) = open();
    driver.spawn().unwrap();
    thread::scope(|threads| {
        for who in 0..3_u8 {
            let log = &log;
            threads.spawn(move || {
                for nth in 0..400_u16 {
                    let body = [&[who][..], &nth.to_le_bytes(), &[9; 60]].concat();
                    let heard = [leave(log, &body, nth % 50 == 49), leave(log, &[who, 255], false)];
                    log.help();
                    for hear in heard {
                        hear.recv_timeout(LONG).expect("each is answered").unwrap();
                    }
                }
            });
        }
    });
    let check = |all: Vec<Vec<u8>>| {
        for who in 0..3 {
            let own = all.iter().filter(|body| body[0] == who).collect::<Vec<_>>();
            let nth = |pair: &[&Vec<u8>]| (u16::from_le_bytes([pair[0][1], pair[0][2]]), pair[1].len());
            assert!(own.chunks(2).map(nth).eq((0..400).map(|nth| (nth, 2))), "{who}");
        }
    };
    check(read(&log));
    let (tell, closed) = channel();
    log.close(true, Done::new(move |result| tell.send(result).unwrap()));
    closed.recv_timeout(LONG).unwrap().unwrap();
    let found = Hand::open(Arc::new(disk), Path::new(DIR), small(3)).unwrap();
    check(found.read(0).unwrap().into_values().collect());
}

#[test]
fn one_who_panics_while_it_helps_ends_the_log_and_nobody_waits() {
    let (log, driver, disk) = open();
    driver.spawn().unwrap();
    let done = Done::new(|_| panic!("a caller panics"));
    log.append_all(vec![(0, records(&[b"one"]))], false, Chain::default(), done);
    let other = leave(&log, b"two", false);
    let helped = thread::scope(|threads| threads.spawn(|| log.help()).join());
    if helped.is_err() {
        assert!(other.recv_timeout(LONG).is_ok(), "it is answered, in whatever way");
        let late = leave(&log, b"three", false);
        log.help();
        assert!(matches!(late.recv_timeout(LONG), Ok(Err(LogError::Closed))));
    }
    drop(log);
    // What was told is there, and the directory is free, once the driver has gone.
    let again = || Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(3));
    let found = std::iter::repeat_with(again).find(|again| !matches!(again, Err(LogError::Locked { .. })));
    assert!(!found.unwrap().unwrap().read(0).unwrap().is_empty());
}
