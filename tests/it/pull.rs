//! Does whoever pulls deliveries get what a handler gets, and keep the last word on each of them?
//! (G2, G7, G8, G9, G12)

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use callboard::broker::{AckError, DeliveryStream, GroupStats};
use callboard::prelude::*;
use futures::{FutureExt as _, StreamExt as _};

use crate::every;
use crate::seen::{Seen, balanced, give_way, some};

const MS: Duration = Duration::from_millis(1);

async fn open() -> (Broker, Topic<u64>) {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>("numbers").open().await.unwrap();
    (broker, topic)
}

async fn next(stream: &mut DeliveryStream<u64>) -> Delivery<u64> {
    stream.next().await.unwrap()
}

fn value(delivery: &Delivery<u64>) -> (u64, u32) {
    (***delivery, delivery.attempt())
}

/// The last counts of the group, by shutting down.
async fn end(broker: &Broker) -> GroupStats {
    let report = broker.shutdown().await;
    assert!(!report.timed_out, "{report:?}");
    balanced(report.group("numbers", "g").unwrap().stats.clone())
}

#[test]
fn each_verdict_on_a_delivery_does_what_it_says() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let dead = broker.topic::<DeadLetter>("numbers.g.dead").open().await.unwrap();
        let mut letters = dead.group("clerk").stream().await.unwrap();
        let group = topic.group("g").retry(Retry::immediately().max_attempts(3));
        let mut stream = group.stream().await.unwrap();
        topic.publish_all(0..8).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 14 {
            let delivery = next(&mut stream).await;
            seen.push(value(&delivery));
            let settled = match value(&delivery) {
                (0, 1) => delivery.ack(),
                (1, 1) => delivery.nack("not yet"),
                (2, 1) => delivery.nack_after(MS),
                (3, 1) => delivery.settle(Outcome::Retry("not yet".to_string())),
                (4, 1) => delivery.settle(Outcome::Drop),
                (5, 1) => delivery.settle(Outcome::DeadLetter("hopeless".to_string())),
                (6, 1) => delivery.release(),
                (7, 1..=3) => {
                    drop(delivery);
                    Ok(())
                }
                (_, 2) => delivery.ack(),
                other => panic!("{other:?} was not to come"),
            };
            settled.unwrap();
        }
        seen.sort_unstable();
        let twice = [1, 2, 3, 6].map(|n| [(n, 1), (n, 2)]);
        let mut expected: Vec<(u64, u32)> = twice.concat();
        expected.extend([(0, 1), (4, 1), (5, 1), (7, 1), (7, 2), (7, 3)]);
        expected.sort_unstable();
        assert_eq!(seen, expected);
        let mut dead = Vec::new();
        for _ in 0..2 {
            let delivery = letters.next().await.unwrap();
            let letter: &DeadLetter = &delivery;
            dead.push((
                *letter.message::<u64>().unwrap(),
                letter.attempts(),
                letter.error().map(str::to_string),
            ));
            delivery.ack().unwrap();
        }
        dead.sort();
        assert_eq!(dead, [(5, 1, None), (7, 3, Some("dropped without an ack".to_string()))]);
        topic.settled().await.unwrap();
        let stats = end(&broker).await;
        assert_eq!((stats.acked, stats.dropped, stats.dead_lettered), (5, 1, 2));
        assert_eq!((stats.failures, stats.redeliveries, stats.refused), (6, 6, 0));
    });
}

#[test]
fn a_dropped_delivery_waits_out_the_backoff_and_a_released_one_comes_at_once_and_never_fails() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = open().await;
        let group = topic.group("g").retry(Retry::fixed(MS * 100).max_attempts(3));
        let mut stream = group.stream().await.unwrap();
        topic.publish(7).await.unwrap();
        let mut attempt = 0;
        for _ in 0..100 {
            attempt += 1;
            let delivery = next(&mut stream).await;
            assert_eq!((value(&delivery), sim.now().as_nanos()), ((7, attempt), 0));
            delivery.release().unwrap();
        }
        for failures in 0..3_u64 {
            attempt += 1;
            let delivery = next(&mut stream).await;
            assert_eq!(value(&delivery), (7, attempt));
            assert_eq!(u128::from(sim.now().as_nanos()), (MS * 100 * failures as u32).as_nanos());
            drop(delivery);
        }
        topic.settled().await.unwrap();
        assert!(stream.next().now_or_never().is_none(), "three failures were the last");
    });
}

#[test]
fn nack_after_says_when_it_comes_again() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = open().await;
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish(7).await.unwrap();
        next(&mut stream).await.nack_after(MS * 1234).unwrap();
        let again = next(&mut stream).await;
        assert_eq!((value(&again), sim.now().as_nanos()), ((7, 2), 1_234_000_000));
        again.ack().unwrap();
    });
}

#[test]
fn a_stream_holds_no_more_than_its_prefetch() {
    for prefetch in [1, 3, 100] {
        every::runtime(move || async move {
            let (broker, topic) = open().await;
            let mut stream = topic.group("g").prefetch(prefetch).stream().await.unwrap();
            topic.publish_all(0..300).await.unwrap();
            let mut held = Vec::new();
            for n in 0..u64::from(prefetch) {
                let delivery = next(&mut stream).await;
                assert_eq!(value(&delivery), (n, 1));
                held.push(delivery);
            }
            // Whatever could come would come by now.
            for _ in 0..100 {
                give_way().await;
                assert!(stream.next().now_or_never().is_none(), "{prefetch} are held already");
            }
            for n in u64::from(prefetch)..300 {
                held.remove(0).ack().unwrap();
                let delivery = next(&mut stream).await;
                assert_eq!(value(&delivery), (n, 1));
                held.push(delivery);
            }
            for delivery in held {
                delivery.ack().unwrap();
            }
            assert_eq!(end(&broker).await.acked, 300);
        });
    }
}

#[test]
fn streams_and_handlers_of_one_group_share_its_messages() {
    every::runtime(|| async {
        let messages = some(4000);
        let (broker, topic) = open().await;
        let seen = Seen::default();
        let handlers = topic.group("g").consumers(2).with(seen.clone());
        let group = handlers
            .run(async |message, seen: Seen| {
                give_way().await;
                seen.note(&message);
                Ok(())
            })
            .await
            .unwrap();
        let counts: Vec<Arc<AtomicU32>> = vec![Arc::default(), Arc::default()];
        for count in &counts {
            let mut stream = topic.group("g").stream().await.unwrap();
            let (seen, count) = (seen.clone(), count.clone());
            drop(every::spawn("puller", async move {
                while let Some(delivery) = stream.next().await {
                    give_way().await;
                    seen.note(&delivery.to_message());
                    count.fetch_add(1, Ordering::Relaxed);
                    delivery.ack().unwrap();
                }
            }));
        }
        for n in 0..messages {
            topic.publish(n).await.unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(seen.sorted(), (0..messages).collect::<Vec<_>>());
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.redeliveries, stats.consumers), (messages, 0, 4));
        let shares: Vec<u32> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn a_stream_that_nobody_polls_keeps_nothing_from_one_that_is_polled() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let idle = topic.group("g").stream().await.unwrap();
        let mut polled = topic.group("g").stream().await.unwrap();
        topic.publish_all(0..300).await.unwrap();
        let mut seen = BTreeSet::new();
        while seen.len() < 300 {
            let delivery = next(&mut polled).await;
            assert_eq!(delivery.attempt(), 1);
            assert!(seen.insert(**delivery));
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        drop(idle);
        let stats = end(&broker).await;
        assert_eq!((stats.acked, stats.refused), (300, 0));
    });
}

#[test]
fn a_stream_that_was_passed_over_takes_part_again_once_it_is_polled() {
    every::seed(20, |sim| async move {
        let (broker, topic) = open().await;
        let mut lazy = topic.group("g").prefetch(8).stream().await.unwrap();
        let mut eager = topic.group("g").stream().await.unwrap();
        topic.publish_all(0..16).await.unwrap();
        for _ in 0..16 {
            next(&mut eager).await.ack().unwrap();
        }
        topic.settled().await.unwrap();
        for round in 0..20 {
            assert!(lazy.next().now_or_never().is_none());
            sim.settle().await;
            topic.publish_all(0..16).await.unwrap();
            sim.settle().await;
            let mut mine = 0;
            while let Some(Some(delivery)) = lazy.next().now_or_never() {
                delivery.ack().unwrap();
                mine += 1;
            }
            assert!(mine > 0, "nothing for it in round {round}");
            sim.settle().await;
            while let Some(Some(delivery)) = eager.next().now_or_never() {
                delivery.ack().unwrap();
                sim.settle().await;
            }
            while let Some(Some(delivery)) = lazy.next().now_or_never() {
                delivery.ack().unwrap();
                sim.settle().await;
            }
            topic.settled().await.unwrap();
            // Meanwhile the lazy one gets some and does not look.
            topic.publish_all(0..16).await.unwrap();
            for _ in 0..16 {
                next(&mut eager).await.ack().unwrap();
            }
            topic.settled().await.unwrap();
        }
        assert_eq!(end(&broker).await.acked, 16 * 41);
    });
}

#[test]
fn an_old_delivery_that_is_acked_after_another_has_the_message_is_refused() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let (broker, topic) = open().await;
        let limit = MS * 50;
        let group = || topic.group("g").retry(Retry::immediately()).ack_timeout(limit);
        let mut first = group().prefetch(1).stream().await.unwrap();
        let mut second = group().prefetch(1).stream().await.unwrap();
        topic.publish(7).await.unwrap();
        let (old, new) = {
            let (a, b) = (pin!(first.next()), pin!(second.next()));
            match futures::future::select(a, b).await {
                futures::future::Either::Left((old, b)) => {
                    let old = old.unwrap();
                    // The one who lost it may get it back, or the other.
                    sim.sleep(limit * 3).await;
                    (old, b.now_or_never().flatten())
                }
                futures::future::Either::Right((old, a)) => {
                    let old = old.unwrap();
                    sim.sleep(limit * 3).await;
                    (old, a.now_or_never().flatten())
                }
            }
        };
        let new = match new {
            Some(new) => new,
            None => match first.next().now_or_never() {
                Some(new) => new.unwrap(),
                None => next(&mut second).await,
            },
        };
        assert_eq!((value(&old), value(&new)), ((7, 1), (7, 2)));
        assert_eq!(old.settle(Outcome::Drop), Err(AckError::LeaseExpired));
        sim.settle().await;
        assert_eq!(topic.stats().await.unwrap().unsettled, 1, "the late word changed nothing");
        new.ack().unwrap();
        topic.settled().await.unwrap();
        let stats = end(&broker).await;
        assert_eq!((stats.acked, stats.dropped), (1, 0));
    });
}
