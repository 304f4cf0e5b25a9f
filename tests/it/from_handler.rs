//! Does a handler that publishes to a full topic go on in time, and at no cost to its message? (G8, G11, G17)

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::{GroupStats, NoRoom, PublishAllError, PublishError};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::{SinkExt as _, StreamExt as _, stream};

use crate::every;
use crate::kit::{millis, secs, until};

/// What a handler noted: the attempt, when it began, and how long its publish took to err.
type Notes = Arc<Mutex<Vec<(u32, Duration, Duration)>>>;

/// One topic of one place, whose handler publishes into it, twice in vain, and acks on the third attempt.
async fn stuck_on_itself(sim: Sim, publish: Duration, ack: Duration, retry: Retry) -> (Notes, GroupStats) {
    let (broker, notes) = (Broker::start().unwrap(), Notes::default());
    let topic = broker.topic::<u64>("loop").capacity(1).publish_timeout(publish).open().await.unwrap();
    let group = topic.group("g").ack_timeout(ack).retry(retry).with((topic.clone(), sim, notes.clone()));
    let handle = async |n: Message<u64>, (topic, sim, notes): (Topic<u64>, Sim, Notes)| {
        if n.attempt() > 2 {
            return Ok(());
        }
        let began = sim.now();
        let error = topic.publish(*n).await.unwrap_err();
        assert!(matches!(error, PublishError::TimedOut(_)), "{error}");
        notes.lock().unwrap().push((n.attempt(), began.since(Default::default()), sim.now().since(began)));
        Err(error.into())
    };
    let group = group.run(handle).await.unwrap();
    topic.publish(7).await.unwrap();
    topic.settled().await.unwrap();
    let stats = group.stats().await.unwrap();
    assert_eq!(broker.shutdown().await.lost(), 0);
    (notes, stats)
}

#[test]
fn a_publish_that_waits_for_its_own_place_gives_up_in_time_and_the_input_is_tried_again() {
    // Whatever the retry says: it is no failure.
    for retry in [Retry::none(), Retry::immediately(), Retry::fixed(secs(3600)), Retry::default()] {
        for (publish, ack, limit) in
            [(5000, 30_000, 5000), (5000, 4000, 2000), (1, 30_000, 1), (60_000, 30_000, 15_000)]
        {
            every::seed(3, move |sim| async move {
                let sim = sim.without_slips();
                let (notes, stats) = stuck_on_itself(sim, millis(publish), millis(ack), retry).await;
                let notes = notes.lock().unwrap().clone();
                let attempts: Vec<u32> = notes.iter().map(|(attempt, ..)| *attempt).collect();
                assert_eq!(attempts, [1, 2]);
                assert!(notes.iter().all(|(.., took)| *took == millis(limit)), "{notes:?}");
                let pause = notes[1].1 - notes[0].1 - notes[0].2;
                assert!(pause >= millis(8) && pause <= millis(10), "after a short wait, not hot: {pause:?}");
                assert_eq!((stats.acked, stats.failures, stats.no_room, stats.dead_lettered), (1, 0, 2, 0));
                assert_eq!((stats.redeliveries, stats.restarts), (2, 0));
            });
        }
    }
}

#[test]
fn a_handler_that_finds_no_room_at_once_does_not_spin() {
    every::seed(5, |sim| async move {
        let broker = Broker::start().unwrap();
        let full = broker.topic::<u64>("full").capacity(1).overflow(Overflow::Reject).open().await.unwrap();
        full.publish(0).await.unwrap();
        let topic = broker.topic::<u64>("in").open().await.unwrap();
        let group = topic.group("g").retry(Retry::none()).with(full.clone());
        let handle = async |n: Message<u64>, full: Topic<u64>| {
            full.publish(*n).await?;
            Ok(())
        };
        let group = group.run(handle).await.unwrap();
        topic.publish(1).await.unwrap();
        sim.sleep(secs(60)).await;
        let stats = group.stats().await.unwrap();
        // 10, 20, .. 640 ms, then one second each; a fifth shorter at most.
        assert!((60..=90).contains(&stats.no_room), "{stats:?}");
        assert_eq!((stats.failures, stats.unsettled()), (0, 1));
        // Room comes, and it goes on within a second.
        let mut reader = full.group("reader").stream().await.unwrap();
        reader.next().await.unwrap().ack().unwrap();
        let freed = sim.now();
        assert_eq!(**reader.next().await.unwrap(), 1);
        assert!(sim.now().since(freed) <= secs(1) + millis(50));
        topic.settled().await.unwrap();
    });
}

/// A user's own error around what happened.
#[derive(Debug)]
struct Wrapped(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "order not passed on: {}", self.0)
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// An error that is its own source.
#[derive(Debug)]
struct Circle;

impl std::fmt::Display for Circle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("round")
    }
}

impl std::error::Error for Circle {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self)
    }
}

#[test]
fn want_of_room_is_recognised_through_errors_around_it_and_nothing_else_is() {
    let outcome = |error: Fault| Outcome::from(Err(error));
    let busy = |outcome| matches!(outcome, Outcome::NoRoom(_));
    assert!(busy(outcome(PublishError::Full(1).into())));
    assert!(busy(outcome(PublishError::TimedOut(Some("text")).into())));
    assert!(busy(outcome(Wrapped(Box::new(Wrapped(Box::new(PublishError::Full(1))))).into())));
    assert!(busy(outcome(NoRoom.into())));
    let text = outcome(Wrapped(Box::new(PublishError::Full(1))).into());
    assert_eq!(text, Outcome::NoRoom("order not passed on: not published: the topic is full".into()));
    assert!(!busy(outcome(PublishError::Closed(1).into())));
    assert!(!busy(outcome(Wrapped(Box::new(PublishError::Closed(1))).into())));
    assert!(!busy(outcome(Circle.into())));
    assert!(!busy(outcome(Fault::new(PublishError::Full(1).to_string()))));
}

#[test]
fn only_failures_count_towards_the_dead_letter() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("in").open().await.unwrap();
        let retry = Retry::immediately().max_attempts(2);
        let group = topic.group("g").retry(retry);
        let group = group
            .run(async |n| match n.attempt() {
                2 | 5 => Err(Fault::new("failed")),
                _ => Err(NoRoom.into()),
            })
            .await
            .unwrap();
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.dead_lettered, stats.failures, stats.no_room), (1, 2, 3));
        let dead = broker.find_topic::<DeadLetter>("in.g.dead").unwrap();
        let letter = dead.group("clerk").stream().await.unwrap().next().await.unwrap();
        assert_eq!((letter.attempts(), letter.error()), (5, Some("failed")));
    });
}

struct Passes(Topic<u64>);

impl Consumer<u64> for Passes {
    async fn handle(&mut self, n: &Message<u64>) -> Result<Outcome, Fault> {
        self.0.try_publish(**n)?;
        Ok(Outcome::Ack)
    }
}

/// Publishes `messages` to a group that `open` opens; it finds `full` full until each message had an attempt.
async fn passes_on<F: Future<Output = Group>>(open: impl Fn(Topic<u64>, Topic<u64>) -> F, messages: u64) {
    let broker = Broker::start().unwrap();
    let full = broker.topic::<u64>("full").capacity(1).publish_timeout(millis(5)).open().await.unwrap();
    full.publish(0).await.unwrap();
    let topic = broker.topic::<u64>("in").open().await.unwrap();
    let group = open(topic.clone(), full.clone()).await;
    topic.publish_all(1..=messages).await.unwrap();
    until(&group, |stats| stats.no_room >= messages).await;
    let mut reader = full.group("reader").stream().await.unwrap();
    let mut got = Vec::new();
    for _ in 0..=messages {
        let delivery = reader.next().await.unwrap();
        got.push(**delivery);
        delivery.ack().unwrap();
    }
    got.sort();
    assert_eq!(got, (0..=messages).collect::<Vec<_>>());
    topic.settled().await.unwrap();
    let stats = group.stats().await.unwrap();
    assert_eq!((stats.acked, stats.failures, stats.dead_lettered), (messages, 0, 0));
    assert_eq!(broker.shutdown().await.lost(), 0);
}

#[test]
fn each_shape_of_a_handler_can_wait_for_room_without_a_failure() {
    every::runtime(|| async {
        let once = || Retry::none();
        let closure = |topic: Topic<u64>, full: Topic<u64>| async move {
            let handle = async |n: Message<u64>, full: Topic<u64>| {
                full.publish(*n).await?;
                Ok(())
            };
            topic.group("g").retry(once()).with(full).run(handle).await.unwrap()
        };
        passes_on(closure, 3).await;
        let all = |topic: Topic<u64>, full: Topic<u64>| async move {
            let handle = async |n: Message<u64>, full: Topic<u64>| {
                full.publish_all([*n]).await?;
                Ok(())
            };
            topic.group("g").retry(once()).with(full).run(handle).await.unwrap()
        };
        passes_on(all, 3).await;
        let sink = |topic: Topic<u64>, full: Topic<u64>| async move {
            let handle = async |n: Message<u64>, full: Topic<u64>| {
                full.sink().send(*n).await?;
                Ok(())
            };
            topic.group("g").retry(once()).with(full).run(handle).await.unwrap()
        };
        passes_on(sink, 3).await;
        let sync = |topic: Topic<u64>, full: Topic<u64>| async move {
            let handle = move |n: &Message<u64>| {
                full.try_publish(**n)?;
                Ok(())
            };
            topic.group("g").retry(once()).run_fn(handle).await.unwrap()
        };
        passes_on(sync, 3).await;
        let consumer = |topic: Topic<u64>, full: Topic<u64>| async move {
            topic.group("g").retry(once()).run_with(move || Passes(full.clone())).await.unwrap()
        };
        passes_on(consumer, 3).await;
        let outcome = |topic: Topic<u64>, full: Topic<u64>| async move {
            let handle = async |n: Message<u64>, full: Topic<u64>| match full.try_publish(*n) {
                Ok(_) => Outcome::Ack,
                Err(error) => Outcome::NoRoom(error.to_string()),
            };
            topic.group("g").retry(once()).with(full).run_outcome(handle).await.unwrap()
        };
        passes_on(outcome, 3).await;
    });
}

#[test]
fn every_way_to_publish_from_a_handler_has_the_limit() {
    every::seed(3, |sim| async move {
        let sim = sim.without_slips();
        let broker = Broker::start().unwrap();
        let full = broker.topic::<u64>("full").capacity(2).publish_timeout(secs(2)).open().await.unwrap();
        full.publish(0).await.unwrap();
        let topic = broker.topic::<u64>("in").open().await.unwrap();
        let notes: Arc<Mutex<Vec<(u64, Duration)>>> = Arc::default();
        let group = topic.group("g").retry(Retry::none()).with((full.clone(), notes.clone(), sim.clone()));
        type State = (Topic<u64>, Arc<Mutex<Vec<(u64, Duration)>>>, Sim);
        let handle = async |n: Message<u64>, (full, notes, sim): State| {
            let began = sim.now();
            match *n {
                0 => {
                    let error: PublishAllError<u64> = full.publish_all([10, 11, 12]).await.unwrap_err();
                    assert_eq!((error.accepted.len(), error.rest.as_slice()), (1, &[11, 12][..]));
                }
                1 => assert!(matches!(full.sink().send(10).await, Err(PublishError::TimedOut(None)))),
                _ => {
                    let sink = full.sink();
                    let error = stream::iter([10, 11]).map(Ok).forward(sink).await.unwrap_err();
                    assert!(matches!(error, PublishError::TimedOut(None)), "{error}");
                }
            }
            notes.lock().unwrap().push((*n, sim.now().since(began)));
            Ok(())
        };
        group.run(handle).await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(*notes.lock().unwrap(), [(0, secs(2)), (1, secs(2)), (2, secs(2))]);
        // None of them left anything behind in the line.
        let mut reader = full.group("reader").stream().await.unwrap();
        for _ in 0..2 {
            reader.next().await.unwrap().ack().unwrap();
        }
        full.settled().await.unwrap();
        full.try_publish(1).unwrap();
        full.try_publish(2).unwrap();
    });
}

/// Two topics whose handlers publish into the other one; each message hops `hops` times.
async fn ring(
    brokers: [&Broker; 2],
    capacity: usize,
    wait: Duration,
) -> ([Topic<u64>; 2], [Group; 2], Arc<AtomicU64>) {
    let ends = Arc::new(AtomicU64::new(0));
    let [a, b] = ["a", "b"].map(|name| {
        let broker = if name == "a" { brokers[0] } else { brokers[1] };
        broker.topic::<u64>(name).capacity(capacity).publish_timeout(wait).open()
    });
    let topics = [a.await.unwrap(), b.await.unwrap()];
    let open = async |at: &Topic<u64>, next: &Topic<u64>| {
        let handle = async |hops: Message<u64>, (next, ends): (Topic<u64>, Arc<AtomicU64>)| {
            match hops.checked_sub(1) {
                Some(left) => {
                    next.publish(left).await?;
                }
                None => {
                    ends.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        };
        let group = at.group("hop").consumers(2).retry(Retry::none());
        group.with((next.clone(), ends.clone())).run(handle).await.unwrap()
    };
    let groups = [open(&topics[0], &topics[1]).await, open(&topics[1], &topics[0]).await];
    (topics, groups, ends)
}

#[test]
fn a_ring_of_topics_with_one_place_to_spare_runs_to_its_end() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let (topics, groups, ends) = ring([&broker, &broker], 2, millis(20)).await;
        topics[0].publish_all([9, 9]).await.unwrap();
        topics[1].publish(9).await.unwrap();
        broker.idle().await.unwrap();
        assert_eq!(ends.load(Ordering::Relaxed), 3);
        for group in groups {
            let stats = group.stats().await.unwrap();
            assert_eq!((stats.failures, stats.dead_lettered, stats.unsettled()), (0, 0, 0));
        }
    });
}

#[test]
fn a_ring_that_is_full_is_seen_to_stand_and_costs_no_message_and_stops_in_time() {
    every::seed(20, |sim| async move {
        let broker = Broker::start().unwrap();
        let (topics, groups, ends) = ring([&broker, &broker], 2, secs(5)).await;
        topics[0].hold();
        topics[1].hold();
        topics[0].publish_all([9, 9]).await.unwrap();
        topics[1].publish_all([9, 9]).await.unwrap();
        topics[0].release();
        topics[1].release();
        sim.sleep(secs(600)).await;
        assert_eq!(ends.load(Ordering::Relaxed), 0);
        for group in &groups {
            let stats = group.stats().await.unwrap();
            assert!(stats.no_room > 2 * 600 / 7, "it tries on: {stats:?}");
            assert_eq!((stats.failures, stats.dead_lettered, stats.unsettled()), (0, 0, 2));
        }
        let began = sim.now();
        let report = broker.shutdown_within(secs(2)).await;
        assert!(sim.now().since(began) < secs(4));
        assert_eq!((report.lost(), report.timed_out), (4, true));
    });
}

#[test]
fn a_ring_through_two_brokers_is_bounded_too() {
    every::seed(20, |sim| async move {
        let brokers = [Broker::start().unwrap(), Broker::start().unwrap()];
        let (topics, groups, _) = ring([&brokers[0], &brokers[1]], 2, secs(5)).await;
        for topic in &topics {
            topic.hold();
            topic.publish_all([9, 9]).await.unwrap();
        }
        topics.iter().for_each(Topic::release);
        sim.sleep(secs(60)).await;
        for group in &groups {
            let stats = group.stats().await.unwrap();
            assert!(stats.no_room >= 10 && stats.failures == 0, "{stats:?}");
        }
        let began = sim.now();
        for broker in brokers {
            broker.shutdown_within(secs(1)).await;
        }
        assert!(sim.now().since(began) < secs(4));
    });
}
