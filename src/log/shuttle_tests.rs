//! Is there a schedule of threads in which a request is lost, answered twice or never, or what is confirmed not there to read?
//!
//! How to run it, and what it cannot show: `mailbox/shuttle_tests.rs`.
#![cfg(callboard_shuttle)]

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::path::Path;

use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::sync::mpsc::{Receiver, Sender, channel};
use shuttle::thread;

#[cfg(feature = "server")]
use super::Chain;
use super::hand::{DIR, records, small};
use super::request::{Queue, Request};
use super::{Done, Log, LogError, Terms};
use crate::base::sync::explore;
use crate::base::{Bug, plant};
use crate::sim::SimDisk;

/// Who asked, for the how manieth time, and what was answered.
type Said = (usize, usize, Result<(), LogError>);

/// Puts so many requests in; what becomes of each is heard.
fn put(queue: &Queue, who: usize, many: usize, said: &Sender<Said>) {
    for nth in 0..many {
        let said = said.clone();
        let done = Done::new(move |result| said.send((who, nth, result)).unwrap());
        drop(queue.put(Request::Sync { done }));
    }
}

fn put_close(queue: &Queue) {
    drop(queue.put(Request::Close { clean: false, done: Done::unheard() }));
}

/// Answers all that comes, as the log's driver does: in order, until one closes it, after which what waits is dropped.
fn work_off(queue: &Queue) {
    loop {
        block_on(poll_fn(|cx| queue.poll_some(cx)));
        let requests: VecDeque<Request> = queue.take();
        assert!(!requests.is_empty(), "nobody is woken for nothing");
        let last = requests.len() - 1;
        for (at, request) in requests.into_iter().enumerate() {
            match request {
                Request::Sync { done } => done.tell(Ok(())),
                Request::Close { .. } => {
                    assert_eq!(at, last, "nothing gets in behind the last one");
                    drop(queue.close());
                    return;
                }
                other => panic!("who asked for {other:?}?"),
            }
        }
    }
}

/// Each of so many requests was answered once. Answers how many of each asker were answered well: its first ones, in turn.
fn each_once(heard: Receiver<Said>, askers: usize, many: usize) -> Vec<usize> {
    let mut all = vec![(BTreeSet::new(), 0); askers];
    for (who, nth, result) in heard {
        let (answered, well) = &mut all[who];
        assert!(answered.insert(nth), "asker {who} is answered twice");
        match result {
            Ok(()) => {
                assert_eq!(nth, *well, "asker {who} is answered in turn");
                *well += 1;
            }
            Err(LogError::Closed) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(all.iter().all(|(answered, _)| answered.len() == many), "one is never answered: {all:?}");
    all.into_iter().map(|(_, well)| well).collect()
}

fn every_request_is_answered() {
    explore(|| {
        let (queue, (said, heard)) = (Arc::new(Queue::default()), channel());
        let writer = {
            let queue = queue.clone();
            thread::spawn(move || work_off(&queue))
        };
        let askers = [0, 1, 2].map(|who| {
            let (queue, said) = (queue.clone(), said.clone());
            thread::spawn(move || put(&queue, who, 2, &said))
        });
        drop(said);
        askers.into_iter().for_each(|asker| asker.join().unwrap());
        put_close(&queue);
        writer.join().unwrap();
        assert_eq!(each_once(heard, 3, 2), [2; 3], "all were there before it was closed");
    });
}

#[test]
fn every_request_is_answered_and_the_writer_is_woken_for_each() {
    every_request_is_answered();
}

/// The explorer sees what it is here for.
#[test]
#[should_panic(expected = "deadlock")]
fn a_writer_that_may_miss_its_waking_is_found() {
    let _planted = plant(Bug::LateWaker);
    every_request_is_answered();
}

#[test]
fn what_comes_while_it_closes_is_answered_or_handed_back() {
    explore(|| {
        let (queue, (said, heard)) = (Arc::new(Queue::default()), channel());
        let askers = [0, 1].map(|who| {
            let (queue, said) = (queue.clone(), said.clone());
            thread::spawn(move || put(&queue, who, 2, &said))
        });
        let closers = [(); 2].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || put_close(&queue))
        });
        drop(said);
        work_off(&queue);
        askers.into_iter().chain(closers).for_each(|thread| thread.join().unwrap());
        each_once(heard, 2, 2);
        assert!(queue.close().is_empty(), "nothing stays behind");
    });
}

/// It panicked, say.
#[test]
fn what_comes_while_the_writer_goes_away_is_answered_or_handed_back() {
    explore(|| {
        let (queue, (said, heard)) = (Arc::new(Queue::default()), channel());
        let askers = [0, 1].map(|who| {
            let (queue, said) = (queue.clone(), said.clone());
            thread::spawn(move || put(&queue, who, 2, &said))
        });
        drop(said);
        block_on(poll_fn(|cx| queue.poll_some(cx)));
        let taken = queue.take();
        let waits = queue.close();
        drop(taken);
        drop(waits);
        askers.into_iter().for_each(|asker| asker.join().unwrap());
        assert_eq!(each_once(heard, 2, 2), [0; 2], "nobody answered well");
        assert!(queue.close().is_empty(), "nothing stays behind");
    });
}

/// A whole log: whoever hears that something is there can read it, in whatever thread; and the last handle that goes closes it.
#[test]
fn what_is_confirmed_can_be_read_at_once_and_the_last_handle_closes() {
    let asked = |log: &Log, ask: &dyn Fn(&Log, Done<u64>)| {
        let (say, hear) = channel();
        ask(log, Done::new(move |result: Result<u64, LogError>| say.send(result).unwrap()));
        hear.recv().unwrap()
    };
    explore(move || {
        let (log, driver, ..) =
            Log::open(std::sync::Arc::new(SimDisk::new(1)), Path::new(DIR), small(1)).unwrap();
        let driver = thread::spawn(move || block_on(driver.run()));
        let named = |log: &Log, done: Done<u64>| {
            let done = Done::new(|result: Result<u32, LogError>| done.tell(result.map(u64::from)));
            log.create_topic("one".into(), Terms { keeps: true, ..Terms::default() }, done);
        };
        let topic = asked(&log, &named).unwrap() as u32;
        let askers = [true, false].map(|sync| {
            let log = log.clone();
            thread::spawn(move || {
                for body in [b"a", b"b"] {
                    let append = |log: &Log, done| log.append((topic, records(&[body])), None, sync, done);
                    let offset = asked(&log, &append).unwrap();
                    assert!(log.bounds(topic).unwrap().1 > offset, "{offset} is there");
                    let chunk = log.read(topic, offset, 1).unwrap();
                    let first = chunk.records().next().map(|(at, record)| (at, record.body.to_vec()));
                    assert_eq!(first, Some((offset, body.to_vec())));
                }
            })
        });
        askers.into_iter().for_each(|asker| asker.join().unwrap());
        assert_eq!(log.bounds(topic), Some((0, 4)));
        drop(log);
        driver.join().unwrap();
    });
}

/// Whoever leaves something, and helps then, is answered: whether it was the driver who wrote that, or another who helped. And what
/// each asked for is there in turn.
#[cfg(feature = "server")]
#[test]
fn whoever_helps_beside_the_driver_is_answered_in_turn() {
    explore(|| {
        let (log, driver, ..) =
            Log::open(std::sync::Arc::new(SimDisk::new(1)), Path::new(DIR), small(1)).unwrap();
        let driver = thread::spawn(move || block_on(driver.run()));
        let (say, hear) = channel();
        let keeps = Terms { keeps: true, ..Terms::default() };
        log.create_topic("one".into(), keeps, Done::new(move |topic| say.send(topic).unwrap()));
        let topic = hear.recv().unwrap().unwrap();
        // One waits for the disk, which is the driver's to do; the others do not.
        let askers = [true, false, false].into_iter().zip(0..).map(|(syncs, who): (bool, u8)| {
            let log = log.clone();
            thread::spawn(move || {
                let (say, hear) = channel();
                for nth in 0..2 {
                    let say = say.clone();
                    let done = Done::new(move |result| say.send((nth, result)).unwrap());
                    let parts = vec![(topic, records(&[&[who, nth]]))];
                    log.append_all(parts, syncs && nth == 0, Chain::default(), done);
                }
                log.help();
                for nth in 0..2 {
                    assert!(matches!(hear.recv(), Ok((said, Ok(()))) if said == nth));
                }
            })
        });
        askers.collect::<Vec<_>>().into_iter().for_each(|asker| asker.join().unwrap());
        let chunk = log.read(topic, 0, 1 << 16).unwrap();
        let all: Vec<_> = chunk.records().map(|(_, record)| record.body.to_vec()).collect();
        for who in 0..3 {
            assert!(all.iter().filter(|body| body[0] == who).map(|body| body[1]).eq(0..2), "{all:?}");
        }
        drop(log);
        driver.join().unwrap();
    });
}
