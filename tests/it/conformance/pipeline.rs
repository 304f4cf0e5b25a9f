//! Do stages that pass work on through topics fail, restart and end each for itself? (G6, G8, G14, G18)

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use callboard::actor::{Actor, Context, System};
use callboard::prelude::*;
use callboard::supervise::{Backoff, Intensity};

use super::kit::{next, value};
use crate::every;
use crate::seen::{Seen, balanced};

/// Where a stage fails at a message, if it does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fails {
    Never,
    BeforeItPassesOn,
    AfterItPassedOn,
}

/// One incarnation of a stage: it passes on what it gets, and fails at every fifth message's first attempt.
struct Stage {
    fails: Fails,
    to: Option<Topic<u64>>,
    seen: Seen,
}

impl Consumer<u64> for Stage {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        self.seen.note(message);
        let fails =
            if (**message).is_multiple_of(5) && message.attempt() == 1 { self.fails } else { Fails::Never };
        assert!(fails != Fails::BeforeItPassesOn, "on purpose");
        if let Some(to) = &self.to {
            to.publish(**message).await?;
        }
        assert!(fails != Fails::AfterItPassedOn, "on purpose");
        Ok(Outcome::Ack)
    }
}

/// Opens a stage that reads the topic `name`; answers the topic, the group, and how many incarnations there were.
async fn stage(
    broker: &Broker,
    name: &str,
    fails: Fails,
    to: Option<Topic<u64>>,
    seen: &Seen,
) -> (Topic<u64>, Group, Arc<AtomicU32>) {
    let topic = crate::disk::topic(broker, name).capacity(16).open().await.unwrap();
    let (made, seen) = (Arc::new(AtomicU32::new(0)), seen.clone());
    let count = made.clone();
    let make = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Stage { fails, to: to.clone(), seen: seen.clone() }
    };
    let group = topic.group("stage").retry(Retry::immediately()).run_with(make).await.unwrap();
    (topic, group, made)
}

#[test]
fn a_crash_in_one_stage_restarts_neither_the_one_before_nor_the_one_after_it() {
    for fails in [Fails::BeforeItPassesOn, Fails::AfterItPassedOn] {
        every::memory_and_disk(move || async move {
            let broker = crate::disk::broker().await;
            let seen = [Seen::default(), Seen::default(), Seen::default()];
            let (last, ends, made_ends) = stage(&broker, "last", Fails::Never, None, &seen[2]).await;
            let (middle, crashes, made_crashes) = stage(&broker, "middle", fails, Some(last), &seen[1]).await;
            let (first, begins, made_begins) =
                stage(&broker, "first", Fails::Never, Some(middle), &seen[0]).await;
            for n in 0..50 {
                first.publish(n).await.unwrap();
            }
            broker.idle().await.unwrap();
            let made = [&made_begins, &made_crashes, &made_ends].map(|made| made.load(Ordering::Relaxed));
            assert_eq!(made, [1, 11, 1], "{fails:?}");
            let twice = u64::from(fails == Fails::AfterItPassedOn);
            for n in 0..50 {
                let fifth = n % 5 == 0;
                assert_eq!(seen[0].attempts(n), [1], "of {n}");
                assert_eq!(seen[1].attempts(n), if fifth { vec![1, 2] } else { vec![1] }, "of {n}");
                // What was passed on before the crash is passed on once more, as a message of its own.
                let copies = if fifth && twice == 1 { vec![1, 1] } else { vec![1] };
                assert_eq!(seen[2].attempts(n), copies, "of {n}, {fails:?}");
            }
            for (group, messages, failures) in
                [(begins, 50, 0), (crashes, 50, 10), (ends, 50 + 10 * twice, 0)]
            {
                let stats = balanced(group.stats().await.unwrap());
                assert_eq!((stats.acked, stats.failures, stats.restarts), (messages, failures, failures));
            }
            assert_eq!(broker.shutdown().await.lost(), 0);
        });
    }
}

#[test]
fn what_fails_in_one_stage_never_reaches_the_next_and_is_settled_all_the_same() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let seen = Seen::default();
        let (second, _, _) = stage(&broker, "second", Fails::Never, None, &seen).await;
        let first = crate::disk::topic(&broker, "first").open().await.unwrap();
        let sort = async |n: Message<u64>, second: Topic<u64>| match *n % 5 {
            0 => Outcome::Drop,
            1 => Outcome::DeadLetter("not for us".to_string()),
            2 => Outcome::Retry("on purpose".to_string()),
            3 => panic!("on purpose"),
            _ => second.publish(*n).await.map(drop).map_err(Fault::from).into(),
        };
        let group = first.group("sort").retry(Retry::immediately().max_attempts(2)).with(second);
        let group = group.run_outcome(sort).await.unwrap();
        for n in 0..50 {
            first.publish(n).await.unwrap();
        }
        broker.idle().await.unwrap();
        assert_eq!(seen.values(), (0..50).filter(|n| n % 5 == 4).collect::<Vec<_>>());
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.dropped, stats.dead_lettered), (10, 10, 30));
        let report = broker.shutdown().await;
        assert_eq!(report.group("second", "stage").unwrap().settled, 10);
    });
}

/// Publishes the next number at each tick, and crashes at some of them once.
struct Source {
    to: Topic<u64>,
    next: Arc<AtomicU64>,
    fresh: bool,
}

impl Actor for Source {
    type Message = ();

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Result<(), Fault> {
        let n = self.next.load(Ordering::Relaxed);
        assert!(n % 10 != 7 || self.fresh, "on purpose");
        self.fresh = false;
        self.to.publish(n).await?;
        self.next.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn a_source_that_crashes_is_restarted_alone_and_its_readers_go_on_where_they_were() {
    const TICKS: u64 = 66;
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let seen = Seen::default();
        let (topic, group, made) = stage(&broker, "numbers", Fails::Never, None, &seen).await;
        let mut stream = topic.group("pulled").stream().await.unwrap();
        let (sources, to) = (Arc::new(AtomicU32::new(0)), topic.clone());
        let (count, cursor) = (sources.clone(), Arc::new(AtomicU64::new(0)));
        let make = move || {
            count.fetch_add(1, Ordering::Relaxed);
            Source { to: to.clone(), next: cursor.clone(), fresh: true }
        };
        let mut tree = Supervisor::one_for_one(&System::start().unwrap());
        tree = tree.intensity(Intensity::new(100, Duration::from_secs(1)));
        let source = tree.child(ChildSpec::new("source", make).backoff(Backoff::none())).unwrap();
        let tree = tree.start().await.unwrap();
        for _ in 0..TICKS {
            source.send(()).await.unwrap();
        }
        // Six of the ticks went into crashes.
        for n in 0..TICKS - 6 {
            let delivery = next(&mut stream).await;
            assert_eq!(value(&delivery), (n, 1));
            delivery.ack().unwrap();
        }
        assert_eq!(tree.stop().await.unhandled, 0);
        topic.settled().await.unwrap();
        assert_eq!(seen.values(), (0..TICKS - 6).collect::<Vec<_>>());
        assert_eq!((sources.load(Ordering::Relaxed), made.load(Ordering::Relaxed)), (7, 1));
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.redeliveries, stats.restarts), (TICKS - 6, 0, 0));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn the_shape_of_a_broker_is_read_from_its_handles_and_from_its_report() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let b = crate::disk::topic(&broker, "b").open().await.unwrap();
        let a = crate::disk::topic(&broker, "a").capacity(7).open().await.unwrap();
        let two = b.group("two").consumers(3).run_fn(|_| Ok(())).await.unwrap();
        b.group("one").dead_letter_topic("graveyard").run_fn(|_| Ok(())).await.unwrap();
        let mut stream = a.group("pulled").stream().await.unwrap();
        a.publish(1).await.unwrap();
        next(&mut stream).await.ack().unwrap();
        b.publish_all(0..3).await.unwrap();
        broker.idle().await.unwrap();
        let names = ["a", "a.pulled.dead", "b", "b.two.dead", "graveyard"];
        assert_eq!(broker.topics().iter().map(ToString::to_string).collect::<Vec<_>>(), names);
        let (stats, groups) = (a.stats().await.unwrap(), b.stats().await.unwrap().groups);
        assert_eq!((stats.capacity, stats.groups, groups), (7, 1, 2));
        assert_eq!((two.name().as_str(), two.stats().await.unwrap().consumers), ("two", 3));
        let report = broker.shutdown().await;
        let mut shape: Vec<(String, String, u64)> = Vec::new();
        for topic in &report.topics {
            for group in &topic.groups {
                assert_eq!(group.topic, topic.topic);
                shape.push((topic.topic.to_string(), group.group.to_string(), group.settled));
            }
        }
        shape.sort();
        let expected = [("a", "pulled", 1), ("b", "one", 3), ("b", "two", 3)];
        assert_eq!(shape, expected.map(|(topic, group, n)| (topic.to_string(), group.to_string(), n)));
        assert_eq!(report.topics.len(), names.len());
    });
}
