//! What is in a log when nothing goes wrong.

use std::sync::Arc;

use crate::log::hand::{Hand, TempDir, done, small};
use crate::log::{LogError, Note, RealFs, Terms};

fn open(dir: &TempDir, entropy: u64) -> Hand {
    Hand::open(Arc::new(RealFs), &dir.0, small(entropy)).unwrap()
}

fn bodies(from: u64, to: u64) -> Vec<Vec<u8>> {
    (from..to).map(|at| format!("message {at} {}", "x".repeat(at as usize % 50)).into_bytes()).collect()
}

#[test]
fn what_was_appended_is_there_after_it_was_opened_again() {
    let dir = TempDir::new("again");
    let mut log = open(&dir, 1);
    assert!(log.found.created && log.found.clean);
    let topic = log.topic("orders").unwrap();
    let group = log.group(topic, "billing", 0).unwrap();
    assert_eq!(log.append(topic, &[b"a", b"b", b"c"], true).unwrap(), 0);
    assert_eq!(log.append(topic, &[b"d"], false).unwrap(), 3);
    let mut marks = done(&[(1, 2)]);
    marks.notes.push((2, Note { attempts: 3, due: 9, more: b"why".to_vec() }));
    log.mark(topic, group, marks).unwrap();
    log.close().unwrap();

    let log = open(&dir, 2);
    assert!(!log.found.created && log.found.clean);
    assert_eq!((log.found.torn.clone(), log.found.strangers.len()), (None, 0));
    let kept = &log.writer.state.topics[&topic];
    assert_eq!((kept.name.as_str(), kept.next, kept.floor), ("orders", 4, 0));
    let billing = &kept.groups[&group];
    assert_eq!((billing.name.as_str(), billing.about.as_slice()), ("billing", b"billing".as_slice()));
    assert!([0, 2, 3].iter().all(|at| !billing.done.contains(*at)) && billing.done.contains(1));
    assert_eq!(billing.notes[&2].attempts, 3);
    let all: Vec<_> = log.read(topic).unwrap().into_iter().collect();
    assert_eq!(all, [(0, b"a".to_vec()), (1, b"b".to_vec()), (2, b"c".to_vec()), (3, b"d".to_vec())]);
}

/// All records of a topic, read from its end.
fn back(log: &Hand, topic: u32, most: usize) -> Vec<Vec<u8>> {
    let shelf = &log.writer.shelf;
    let (floor, next) = shelf.bounds(topic).unwrap();
    let (mut upto, mut all) = (next, Vec::new());
    while upto > floor {
        let chunk = shelf.read_back(topic, upto, most).unwrap();
        let records: Vec<_> = chunk.records().map(|(at, record)| (at, record.body.to_vec())).collect();
        let first = records[0].0;
        assert!(records.iter().map(|(at, _)| *at).eq(first..upto), "no gap, up to what was asked for");
        upto = first;
        all.extend(records.into_iter().rev().map(|(_, body)| body));
    }
    all.reverse();
    let outline = shelf.outline(topic);
    assert!(outline.windows(2).all(|pair| pair[0].1 == pair[1].0), "{outline:?}");
    assert!(outline.first().is_none_or(|(base, ..)| *base <= floor) && outline.last().unwrap().1 == next);
    assert_eq!((shelf.find(topic, (1, 0)).unwrap(), shelf.find(topic, (2, 0)).unwrap()), (floor, next));
    all
}

#[test]
fn slots_are_used_again_and_what_is_kept_moves_to_segments() {
    let dir = TempDir::new("turns");
    let mut log = open(&dir, 3);
    let keeps = Terms { keeps: true, ..Terms::default() };
    let (kept, passing) = (log.topic_with("kept", keeps).unwrap(), log.topic("passing").unwrap());
    let group = log.group(passing, "all", 0).unwrap();
    for round in 0..300 {
        let all = bodies(round * 3, round * 3 + 3);
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        assert_eq!(log.append(kept, &all, round % 2 == 0).unwrap(), round * 3);
        assert_eq!(log.append(passing, &all, false).unwrap(), round * 3);
        log.mark_unheard(passing, group, done(&[(round * 3, round * 3 + 3)]));
    }
    assert!(log.writer.journal.position().turn > 8, "{:?}", log.writer.journal.position());
    let check = |log: &Hand| {
        for most in [1, 1000, 1 << 20] {
            let all: Vec<_> = log.read_by(kept, most).unwrap().into_values().collect();
            assert_eq!(back(log, kept, most), all, "as far backwards as forwards");
            assert_eq!(all, bodies(0, 900), "read by {most}");
        }
        assert_eq!(log.writer.shelf.bounds(passing), Some((900, 900)));
        assert!(
            log.writer.state.topics[&passing].segments.is_empty(),
            "what was settled in time is not moved"
        );
    };
    check(&log);
    drop(log);
    let mut log = open(&dir, 4);
    check(&log);

    log.trim(kept, 500);
    log.turn().unwrap();
    let topics = std::fs::read_dir(dir.0.join("topics")).unwrap().count();
    assert_eq!(topics, 1);
    let oldest = log.writer.state.topics[&kept].segments[0];
    assert!(oldest.base <= 500 && oldest.end > 500, "{oldest:?}");
    let files = std::fs::read_dir(dir.0.join("topics").join(format!("{kept:08x}"))).unwrap().count();
    assert_eq!(files, log.writer.state.topics[&kept].segments.len());
    log.delete_topic(kept).unwrap();
    assert!(matches!(log.append(kept, &[b"x"], true), Err(LogError::Missing)));
    log.close().unwrap();
    let mut log = open(&dir, 5);
    log.turn().unwrap();
    assert_eq!(
        std::fs::read_dir(dir.0.join("topics")).unwrap().count(),
        0,
        "what a deleted topic left is swept"
    );
}

#[test]
fn a_directory_is_opened_by_one_at_a_time() {
    let dir = TempDir::new("lock");
    let log = open(&dir, 1);
    let second = Hand::open(Arc::new(RealFs), &dir.0, small(2)).map(|_| ());
    assert!(matches!(second, Err(LogError::Locked { .. })), "{second:?}");
    log.close().unwrap();
    open(&dir, 3);
}

#[test]
fn what_is_not_a_log_is_left_alone() {
    let dir = TempDir::new("strange");
    std::fs::create_dir_all(&dir.0).unwrap();
    std::fs::write(dir.0.join("notes.txt"), "mine").unwrap();
    let opened = Hand::open(Arc::new(RealFs), &dir.0, small(1)).map(|_| ());
    assert!(matches!(opened, Err(LogError::NotALog { .. })), "{opened:?}");
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 2, "the lock's file, and what was there");
}
