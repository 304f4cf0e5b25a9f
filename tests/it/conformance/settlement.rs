//! Is each word on a delivery final, whoever says it, from where, and whatever happens next?
//! (G6, G7, G8, G12, G13, G18, G25)

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use callboard::broker::{AckError, GroupStats};
use callboard::prelude::*;
use callboard::runtime::Runtime as _;
use callboard::sim::Sim;
use futures::{FutureExt as _, StreamExt as _};
use tokio::runtime::Builder;

use super::kit::{next, open, value};
use crate::every;
use crate::kit::{Valve, millis, secs};
use crate::seen::balanced;

/// A word on a delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Ack,
    Drop,
    Dead,
    Nack,
    NackAfter,
    Release,
    Let,
}

impl Word {
    const ALL: [Word; 7] =
        [Word::Ack, Word::Drop, Word::Dead, Word::Nack, Word::NackAfter, Word::Release, Word::Let];

    fn say(self, delivery: Delivery<u64>) -> Result<(), AckError> {
        match self {
            Word::Ack => delivery.ack(),
            Word::Drop => delivery.settle(Outcome::Drop),
            Word::Dead => delivery.settle(Outcome::DeadLetter("hopeless".to_string())),
            Word::Nack => delivery.nack("on purpose"),
            Word::NackAfter => delivery.nack_after(Duration::ZERO),
            Word::Release => delivery.release(),
            Word::Let => {
                drop(delivery);
                Ok(())
            }
        }
    }

    /// The message is done with, in one way or another.
    fn settles(self) -> bool {
        matches!(self, Word::Ack | Word::Drop | Word::Dead)
    }

    fn is_failure(self) -> bool {
        matches!(self, Word::Nack | Word::NackAfter | Word::Let)
    }
}

/// The last counts of the group, by shutting down.
async fn end(broker: &Broker) -> GroupStats {
    let report = broker.shutdown().await;
    assert!(!report.timed_out, "{report:?}");
    balanced(report.group("numbers", "g").unwrap().stats.clone())
}

#[test]
fn after_a_message_is_settled_the_next_thing_to_come_is_the_next_message() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let group = topic.group("g").retry(Retry::immediately());
        let mut stream = group.stream().await.unwrap();
        for n in 0..60 {
            topic.publish(n).await.unwrap();
            let delivery = next(&mut stream).await;
            assert_eq!(value(&delivery), (n, 1), "nothing came in between");
            Word::ALL[n as usize % 3].say(delivery).unwrap();
        }
        let stats = end(&broker).await;
        assert_eq!((stats.acked, stats.dropped, stats.dead_lettered), (20, 20, 20));
        assert_eq!((stats.redeliveries, stats.failures, stats.refused), (0, 0, 0));
    });
}

#[test]
fn what_is_settled_stays_so_past_every_timeout_and_for_whoever_comes_later() {
    for word in Word::ALL.into_iter().filter(|word| word.settles()) {
        every::seed(10, move |sim| async move {
            let (broker, topic) = open().await;
            let open = || topic.group("g").retry(Retry::immediately()).ack_timeout(secs(1));
            let mut stream = open().stream().await.unwrap();
            topic.publish(7).await.unwrap();
            let delivery = next(&mut stream).await;
            let copy = delivery.to_message();
            word.say(delivery).unwrap();
            sim.sleep(secs(60)).await;
            let mut later = open().stream().await.unwrap();
            sim.settle().await;
            assert!(stream.next().now_or_never().is_none() && later.next().now_or_never().is_none());
            topic.publish(8).await.unwrap();
            let first = futures::future::select(stream.next(), later.next()).await.factor_first().0.unwrap();
            assert_eq!(value(&first), (8, 1));
            first.ack().unwrap();
            assert_eq!((*copy, copy.attempt()), (7, 1), "a copy of the message changes nothing");
            assert_eq!(end(&broker).await.settled(), 2);
        });
    }
}

#[test]
fn of_three_in_flight_the_last_is_acked_and_the_two_that_are_not_come_back() {
    for word in Word::ALL.into_iter().filter(|word| !word.settles()) {
        every::memory_and_disk(move || async move {
            let (broker, topic) = open().await;
            let mut stream = topic.group("g").retry(Retry::immediately()).stream().await.unwrap();
            topic.publish_all(0..3).await.unwrap();
            let [first, second, third] =
                [next(&mut stream).await, next(&mut stream).await, next(&mut stream).await];
            word.say(first).unwrap();
            third.ack().unwrap();
            word.say(second).unwrap();
            let mut back = [next(&mut stream).await, next(&mut stream).await];
            back.sort_by_key(|delivery| ***delivery);
            assert_eq!(back.each_ref().map(value), [(0, 2), (1, 2)], "{word:?}");
            back.into_iter().for_each(|delivery| delivery.ack().unwrap());
            topic.settled().await.unwrap();
            let stats = end(&broker).await;
            let failures = if word.is_failure() { 2 } else { 0 };
            assert_eq!((stats.acked, stats.redeliveries, stats.failures), (3, 2, failures), "{word:?}");
        });
    }
}

#[test]
fn a_word_at_the_deadline_counts_or_is_refused_and_the_message_comes_again_once_or_never() {
    const LIMIT: Duration = millis(100);
    for word in Word::ALL {
        every::seed(60, move |sim| async move {
            let (broker, topic) = open().await;
            let group = topic.group("g").retry(Retry::immediately()).ack_timeout(LIMIT);
            let mut stream = group.stream().await.unwrap();
            topic.publish(7).await.unwrap();
            let delivery = next(&mut stream).await;
            // The deadline lies somewhere in between, and often exactly here.
            let late = [LIMIT, LIMIT * 2, LIMIT + millis(sim.random() % 100)][sim.random() as usize % 3];
            sim.sleep(late).await;
            let said = word.say(delivery);
            assert!(said.is_ok() || said == Err(AckError::LeaseExpired), "{said:?}");
            let counted = said.is_ok() && word != Word::Let;
            if !(counted && word.settles()) {
                let again = next(&mut stream).await;
                assert_eq!(value(&again), (7, 2), "{word:?}");
                again.ack().unwrap();
            }
            topic.settled().await.unwrap();
            sim.sleep(LIMIT * 10).await;
            assert!(stream.next().now_or_never().is_none(), "{word:?}");
            let stats = end(&broker).await;
            let gone = u64::from(counted && word.settles());
            let failures = if counted && !word.is_failure() { 0 } else { 1 };
            assert_eq!((stats.redeliveries, stats.failures), (1 - gone, failures), "{word:?}");
            assert_eq!(stats.settled(), 1);
        });
    }
}

#[test]
fn a_deadline_is_never_early_and_what_passed_it_comes_again() {
    const LIMIT: Duration = millis(3);
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let rt = every::current();
        let open =
            |group| topic.group(group).retry(Retry::immediately().max_attempts(100)).ack_timeout(LIMIT);
        let (begin, began) = async_channel::bounded(8);
        let handle = async |n: Message<u64>, begin: async_channel::Sender<(u64, u32)>| {
            begin.send((*n, n.attempt())).await?;
            if n.attempt() < 3 { std::future::pending().await } else { Ok(()) }
        };
        let handled = open("handled").with(begin).run(handle).await.unwrap();
        let mut stream = open("g").stream().await.unwrap();
        for n in 0..10 {
            let since = rt.now();
            topic.publish(n).await.unwrap();
            let late = next(&mut stream).await;
            let mut again = next(&mut stream).await;
            assert!(rt.now().since(since) >= LIMIT, "after {:?}", rt.now().since(since));
            assert_eq!((value(&late), value(&again)), ((n, 1), (n, 2)));
            // A thread that was kept waiting meanwhile is late again.
            while again.settle(Outcome::Drop).is_err() {
                again = next(&mut stream).await;
            }
            assert_eq!(late.ack(), Err(AckError::LeaseExpired));
            while began.recv().await.unwrap() != (n, 3) {}
            assert!(rt.now().since(since) >= LIMIT * 2, "after {:?}", rt.now().since(since));
        }
        topic.settled().await.unwrap();
        let stats = balanced(handled.stats().await.unwrap());
        assert!(stats.acked == 10 && stats.failures >= 20, "{stats:?}");
        let stats = end(&broker).await;
        assert!(stats.dropped == 10 && stats.failures >= 10, "{stats:?}");
    });
}

#[test]
fn a_nack_right_before_the_shutdown_is_kept_to_as_at_any_time() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").retry(Retry::fixed(millis(2))).stream().await.unwrap();
        topic.publish(7).await.unwrap();
        next(&mut stream).await.nack("on purpose").unwrap();
        let pull = async {
            let again = next(&mut stream).await;
            assert_eq!(value(&again), (7, 2));
            again.ack().unwrap();
        };
        let (report, ()) = futures::future::join(broker.shutdown(), pull).await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
        assert_eq!(report.group("numbers", "g").unwrap().settled, 1);
    });
}

#[test]
fn a_nack_that_the_shutdown_gives_no_time_for_is_reported_lost_and_never_acked() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").retry(Retry::fixed(secs(60))).stream().await.unwrap();
        topic.publish(7).await.unwrap();
        next(&mut stream).await.nack("on purpose").unwrap();
        let report = broker.shutdown_within(Duration::ZERO).await;
        let group = report.group("numbers", "g").unwrap();
        assert_eq!((group.lost, group.settled, group.stats.delayed), (1, 0, 1));
        assert!(stream.next().await.is_none());
    });
}

#[test]
fn a_delivery_held_over_the_end_is_refused_whatever_is_said_of_it() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").retry(Retry::none()).stream().await.unwrap();
        topic.publish_all(0..7).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..7 {
            held.push(next(&mut stream).await);
        }
        let report = broker.shutdown_within(Duration::ZERO).await;
        let group = report.group("numbers", "g").unwrap();
        assert_eq!((group.lost, group.released, group.settled), (7, 7, 0));
        for (word, delivery) in Word::ALL.into_iter().zip(held) {
            assert_eq!(delivery.extend(), Err(AckError::Closed));
            let expected = if word == Word::Let { Ok(()) } else { Err(AckError::Closed) };
            assert_eq!(word.say(delivery), expected, "{word:?}");
        }
        assert!(stream.next().await.is_none());
        assert_eq!(broker.shutdown().await, report, "nothing is counted after the end");
    });
}

/// Moves `held` into a task of a runtime that ends before the task does.
fn die_with(held: impl Send + 'static) {
    let task = async move {
        let _held = held;
        std::future::pending::<()>().await;
    };
    let die = || {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        drop(tokio.spawn(task));
        tokio.block_on(tokio::task::yield_now());
        drop(tokio);
    };
    std::thread::scope(|scope| scope.spawn(die).join().unwrap());
}

#[test]
fn what_a_runtime_held_when_it_died_comes_back() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let open = || topic.group("g").retry(Retry::immediately()).prefetch(4);
        let mut stream = open().stream().await.unwrap();
        topic.publish_all(0..6).await.unwrap();
        let acked = next(&mut stream).await;
        let held = [next(&mut stream).await, next(&mut stream).await];
        acked.ack().unwrap();
        // And the stream, with what it had not yielded.
        die_with((held, stream));
        let mut other = open().stream().await.unwrap();
        let mut back = Vec::new();
        for _ in 0..5 {
            let delivery = next(&mut other).await;
            back.push(value(&delivery));
            delivery.ack().unwrap();
        }
        back.sort_unstable();
        assert_eq!(back, [(1, 2), (2, 2), (3, 1), (4, 1), (5, 1)]);
        topic.settled().await.unwrap();
        let stats = end(&broker).await;
        assert_eq!((stats.acked, stats.failures), (6, 2));
    });
}

#[test]
fn a_task_that_panics_gives_back_what_it_held_and_what_it_acked_stays_acked() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").retry(Retry::immediately()).stream().await.unwrap();
        topic.publish_all(0..2).await.unwrap();
        let (acked, held) = (next(&mut stream).await, next(&mut stream).await);
        let task = async move {
            let _held = held;
            acked.ack().unwrap();
            panic!("on purpose");
        };
        assert!(AssertUnwindSafe(task).catch_unwind().await.is_err());
        let again = next(&mut stream).await;
        assert_eq!(value(&again), (1, 2));
        again.ack().unwrap();
        topic.settled().await.unwrap();
        let stats = end(&broker).await;
        assert_eq!((stats.acked, stats.failures, stats.redeliveries), (2, 1, 1));
    });
}

/// Waits until nothing is to do, then answers how many places are taken, and what the group counts: its backlog, what
/// is in flight, delayed, and settled.
async fn counts(sim: &Sim, topic: &Topic<u64>, group: &Group) -> (u64, [u64; 4]) {
    sim.settle().await;
    let stats = balanced(group.stats().await.unwrap());
    let unsettled = topic.stats().await.unwrap().unsettled;
    (unsettled, [stats.backlog, stats.in_flight, stats.delayed, stats.settled()])
}

#[test]
fn a_message_is_counted_in_one_place_at_a_time_and_a_delayed_one_in_flight_only_when_due() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = open().await;
        topic.publish(7).await.unwrap();
        assert_eq!(topic.stats().await.unwrap().unsettled, 1, "it counts before anybody reads it");
        let valve = Valve::shut();
        let handle = async |n: Message<u64>, valve: Valve| {
            valve.pass(*n).await;
            if n.attempt() == 1 { Outcome::RetryAfter(secs(10)) } else { Outcome::Ack }
        };
        let group = topic.group("g").prefetch(1).with(valve.clone()).run_outcome(handle).await.unwrap();
        assert_eq!(counts(&sim, &topic, &group).await, (1, [0, 1, 0, 0]));
        topic.publish(8).await.unwrap();
        assert_eq!(counts(&sim, &topic, &group).await, (2, [1, 1, 0, 0]), "the prefetch is used up");
        valve.let_through(1);
        assert_eq!(counts(&sim, &topic, &group).await, (2, [0, 1, 1, 0]));
        valve.let_through(1);
        assert_eq!(counts(&sim, &topic, &group).await, (2, [0, 0, 2, 0]));
        sim.sleep(secs(5)).await;
        assert_eq!(counts(&sim, &topic, &group).await, (2, [0, 0, 2, 0]), "half of the time is over");
        sim.sleep(secs(5)).await;
        assert_eq!(counts(&sim, &topic, &group).await, (2, [1, 1, 0, 0]), "both are due, one has room");
        valve.let_through(1);
        assert_eq!(counts(&sim, &topic, &group).await, (1, [0, 1, 0, 1]));
        valve.open();
        assert_eq!(counts(&sim, &topic, &group).await, (0, [0, 0, 0, 2]));
    });
}
