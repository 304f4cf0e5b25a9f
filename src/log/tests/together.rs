//! Are appends to several topics all there, or none of them; and is what stands on one that was refused refused, too?

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::log::hand::{DIR, Hand, records, small};
use crate::log::request::{Chain, Done, Request};
use crate::log::{LogError, Terms};
use crate::sim::{CrashKind, SimDisk};

type Heard = Arc<Mutex<Vec<Result<(), LogError>>>>;

fn open(disk: &SimDisk) -> Hand {
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(3)).unwrap()
}

fn all(parts: &[(u32, &[u8])], chain: &Chain, heard: &Heard) -> Request {
    let parts = parts.iter().map(|(topic, body)| (*topic, records(&[body]))).collect();
    let heard = heard.clone();
    let done = Done::new(move |result| heard.lock().unwrap().push(result));
    Request::AppendAll { parts, sync: true, chain: chain.clone(), done }
}

fn create(topic: u32) -> Request {
    let (name, terms) = (format!("topic {topic}"), Terms { keeps: true, ..Terms::default() });
    Request::CreateTopic { topic: Some(topic), name, terms, done: Done::unheard() }
}

fn delete(topic: u32) -> Request {
    Request::DeleteTopic { topic, done: Done::unheard() }
}

fn oks(heard: &Heard) -> Vec<bool> {
    heard.lock().unwrap().iter().map(Result::is_ok).collect()
}

/// A power cut in each call that it makes, once for each.
#[test]
fn all_of_them_are_there_or_none() {
    let mut cuts = 0;
    for call in 1.. {
        let disk = SimDisk::new(7);
        let mut log = open(&disk);
        let topics = ["one", "two", "three"]
            .map(|name| log.topic_with(name, Terms { keeps: true, ..Terms::default() }).unwrap());
        let (chain, heard) = (Chain::default(), Heard::default());
        disk.stop_at(disk.calls() + call);
        for round in 0..40_u8 {
            // So large that the ring comes round.
            let body = vec![round; 700];
            let parts = topics.map(|topic| (topic, body.as_slice()));
            log.writer.work_off([all(&parts, &chain, &heard)].into());
        }
        let is_cut = disk.is_stopped();
        let confirmed = oks(&heard).iter().filter(|ok| **ok).count();
        drop(log);
        for kind in [CrashKind::LoseAll, CrashKind::KeepAll] {
            let log = open(&disk.crash(kind));
            let found = topics.map(|topic| log.read(topic).unwrap().len());
            assert!(found.iter().all(|many| *many == found[0]), "{found:?} after call {call}");
            assert!(found[0] >= confirmed, "{found:?}, and {confirmed} were confirmed, after call {call}");
        }
        if !is_cut {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 40, "{cuts}");
}

#[test]
fn what_stands_on_one_that_was_refused_is_refused() {
    let mut log = open(&SimDisk::new(7));
    let topic = log.topic_with("one", Terms { keeps: true, ..Terms::default() }).unwrap();
    let (chain, other, heard) = (Chain::default(), Chain::default(), Heard::default());
    let requests: VecDeque<Request> = [
        all(&[(topic, b"a")], &chain, &heard),
        // There is no such topic, so nothing of it is done.
        all(&[(topic, b"b"), (9, b"b")], &chain, &heard),
        all(&[(topic, b"c")], &chain, &heard),
        all(&[(topic, b"d")], &other, &heard),
    ]
    .into();
    log.writer.work_off(requests);
    // Also in the next commit.
    log.writer
        .work_off([all(&[(topic, b"e")], &chain, &heard), all(&[(topic, b"f")], &other, &heard)].into());
    // In the order in which it was known: what is refused is so at once.
    assert_eq!(oks(&heard), [false, false, true, true, false, true]);
    assert!(chain.is_broken() && !other.is_broken());
    let bodies: Vec<Vec<u8>> = log.read(topic).unwrap().into_values().collect();
    assert_eq!(bodies, [b"a", b"d", b"f"]);
}

#[test]
fn one_that_is_too_large_is_refused_in_its_turn() {
    let mut log = open(&SimDisk::new(7));
    let topic = log.topic_with("one", Terms { keeps: true, ..Terms::default() }).unwrap();
    let (chain, heard) = (Chain::default(), Heard::default());
    let large = vec![1; 20 << 10];
    let requests = [&b"a"[..], large.as_slice(), b"c"].map(|body| all(&[(topic, body)], &chain, &heard));
    log.writer.work_off(requests.into());
    assert_eq!(oks(&heard), [true, false, false]);
    assert_eq!(log.read(topic).unwrap().len(), 1);
}

/// All in one commit: whoever gives numbers need not wait for any.
#[test]
fn a_topic_is_made_written_to_and_deleted_together() {
    let disk = SimDisk::new(7);
    let mut log = open(&disk);
    let (chain, heard) = (Chain::default(), Heard::default());
    let requests: VecDeque<Request> = [
        create(3),
        all(&[(3, b"a")], &chain, &heard),
        create(5),
        all(&[(5, b"a"), (3, b"b")], &chain, &heard),
        delete(3),
        delete(3),
    ]
    .into();
    let before = disk.calls();
    log.writer.work_off(requests);
    assert_eq!((oks(&heard), disk.calls() - before), (vec![true, true], 2), "a write and a sync");
    drop(log);
    let mut log = open(&disk.crash(CrashKind::LoseAll));
    assert_eq!(log.writer.state.topics.keys().collect::<Vec<_>>(), [&5]);
    assert_eq!(log.read(5).unwrap()[&0], b"a");
    // One that was there before, or whose number is not above all.
    log.writer.work_off([create(5), create(4), create(7)].into());
    assert_eq!(log.writer.state.topics.keys().collect::<Vec<_>>(), [&5, &7]);
    assert_eq!(log.topic("after").unwrap(), 8);
}

#[test]
fn topics_that_go_go_together_and_nobody_waits() {
    let disk = SimDisk::new(7);
    let mut log = open(&disk);
    let before = disk.calls();
    log.writer.work_off((0..20).map(create).collect());
    assert_eq!((log.writer.state.topics.len(), disk.calls() - before), (20, 1), "one write");
    let before = disk.calls();
    log.writer.work_off((0..20).map(delete).collect());
    assert_eq!((log.writer.state.topics.len(), disk.calls() - before), (0, 1), "one write");
}

/// Not only once the log is opened again.
#[test]
fn the_files_of_a_topic_that_is_deleted_go() {
    let disk = SimDisk::new(7);
    let mut log = open(&disk);
    let topic = log.topic_with("one", Terms { keeps: true, ..Terms::default() }).unwrap();
    let other = log.topic_with("two", Terms { keeps: true, ..Terms::default() }).unwrap();
    for round in 0..3 {
        for topic in [topic, other] {
            log.append(topic, &[&[round; 900]], true).unwrap();
        }
        log.turn().unwrap();
    }
    let segments = |disk: &SimDisk| {
        disk.files().into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "seg")).count()
    };
    assert_eq!(segments(&disk), 2);
    log.delete_topic(topic).unwrap();
    log.turn().unwrap();
    assert_eq!(segments(&disk), 1);
    assert_eq!(log.read(other).unwrap().len(), 3);
}
