//! Is nothing lost, and nobody left waiting, when a stream, a delivery, a future or the broker goes?
//! (G6, G8, G12, G16, G18, G19)

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use callboard::broker::{AckError, DeliveryStream, GroupStats};
use callboard::prelude::*;
use futures::stream::FusedStream as _;
use futures::{FutureExt as _, StreamExt as _};

use crate::every;
use crate::seen::{balanced, give_way, some};

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
fn a_dropped_stream_returns_what_it_had_not_yielded_and_what_it_had_can_still_be_acked() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let mut first = topic.group("g").retry(Retry::none()).prefetch(10).stream().await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        let held = [next(&mut first).await, next(&mut first).await, next(&mut first).await];
        drop(first);
        let mut second = topic.group("g").stream().await.unwrap();
        for n in 3..20 {
            let delivery = next(&mut second).await;
            assert_eq!(value(&delivery), (n, 1), "what was not yielded comes again at no cost");
            delivery.ack().unwrap();
        }
        for (n, delivery) in held.into_iter().enumerate() {
            assert_eq!(value(&delivery), (n as u64, 1));
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        let stats = end(&broker).await;
        assert_eq!((stats.acked, stats.failures, stats.redeliveries, stats.refused), (20, 0, 0, 0));
    });
}

#[test]
fn a_next_that_is_dropped_a_thousand_times_loses_nothing_and_doubles_nothing() {
    every::runtime(|| async {
        let messages = some(3000);
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").prefetch(3).stream().await.unwrap();
        let publisher = topic.clone();
        drop(every::spawn("publisher", async move {
            for n in 0..messages {
                publisher.publish(n).await.unwrap();
                give_way().await;
            }
        }));
        let (mut seen, mut dropped) = (Vec::new(), 0);
        while (seen.len() as u64) < messages {
            // Each is polled once, then dropped.
            match stream.next().now_or_never() {
                Some(delivery) => {
                    let delivery = delivery.unwrap();
                    seen.push(**delivery);
                    delivery.ack().unwrap();
                }
                None if dropped < 1000 => {
                    dropped += 1;
                    give_way().await;
                }
                // Enough of them; this one waits, so that nobody spins.
                None => {
                    let delivery = next(&mut stream).await;
                    seen.push(**delivery);
                    delivery.ack().unwrap();
                }
            }
        }
        assert_eq!(seen, (0..messages).collect::<Vec<_>>());
        topic.settled().await.unwrap();
        assert_eq!(end(&broker).await.acked, messages);
    });
}

#[test]
fn a_stream_ends_at_the_shutdown_and_stays_ended() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").stream().await.unwrap();
        let other = broker.topic::<u64>("other").open().await.unwrap();
        let mut waiting = other.group("g").stream().await.unwrap();
        let waits = every::spawn("waits", async move { waiting.next().await.is_none() });
        topic.publish_all(0..3).await.unwrap();
        let held = next(&mut stream).await;
        let report = broker.shutdown_within(Duration::ZERO).await;
        assert!(waits.await, "whoever waits is told");
        assert!(stream.next().await.is_none());
        assert!(stream.is_terminated());
        assert!(stream.next().await.is_none());
        let group = report.group("numbers", "g").unwrap();
        assert_eq!((group.settled, group.lost, group.stuck), (0, 3, 0));
        assert_eq!(held.extend(), Err(AckError::Closed));
        assert_eq!(held.ack(), Err(AckError::Closed));
        assert!(topic.group("g").stream().await.is_err());
    });
}

#[test]
fn a_shutdown_waits_for_deliveries_that_are_held_and_then_acked() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish_all(0..50).await.unwrap();
        let held = [next(&mut stream).await, next(&mut stream).await];
        let pulling = async {
            for _ in 0..20 {
                give_way().await;
            }
            // What waits in the stream is still yielded during the drain.
            for _ in 2..50 {
                next(&mut stream).await.ack().unwrap();
            }
            for delivery in held {
                delivery.ack().unwrap();
            }
        };
        let (report, ()) = futures::future::join(broker.shutdown(), pulling).await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
        assert_eq!(report.group("numbers", "g").unwrap().settled, 50);
    });
}

#[test]
fn a_delivery_is_acked_from_any_thread_and_outside_of_any_runtime() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(next(&mut stream).await);
        }
        std::thread::scope(|scope| {
            for delivery in held {
                scope.spawn(move || delivery.ack().unwrap());
            }
        });
        topic.settled().await.unwrap();
        assert_eq!(end(&broker).await.acked, 20);
    });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_pending_stream_wakes_its_task_when_a_message_comes_and_not_before() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = open().await;
        let mut stream = topic.group("g").stream().await.unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let count = || woken.0.load(Ordering::SeqCst);
        for n in 0..10 {
            assert!(stream.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
            sim.sleep(MS * 1000).await;
            assert_eq!(count(), n, "nothing came");
            topic.publish(n as u64).await.unwrap();
            sim.settle().await;
            assert_eq!(count(), n + 1, "one came");
            let delivery = match stream.poll_next_unpin(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(delivery)) => delivery,
                _ => panic!("it was woken for nothing"),
            };
            delivery.ack().unwrap();
            sim.settle().await;
        }
    });
}

#[test]
fn a_stream_can_be_polled_from_a_runtime_that_the_broker_does_not_run_on() {
    every::threads(async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish_all(0..10).await.unwrap();
        let (done, ended) = futures::channel::oneshot::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                smol::block_on(async {
                    for n in 0..10 {
                        let delivery = next(&mut stream).await;
                        assert_eq!(value(&delivery), (n, 1));
                        delivery.ack().unwrap();
                    }
                    done.send(()).unwrap();
                });
            });
        });
        ended.await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(end(&broker).await.acked, 10);
    });
}

#[test]
fn what_a_task_held_when_it_was_dropped_comes_to_another() {
    every::seed(20, |sim| async move {
        let (broker, topic) = open().await;
        let group = topic.group("g").retry(Retry::immediately()).prefetch(5);
        let mut stream = group.stream().await.unwrap();
        let held: Arc<Mutex<Vec<u64>>> = Arc::default();
        topic.publish_all(0..20).await.unwrap();
        let log = held.clone();
        let mut task = Box::pin(async move {
            let mut deliveries = Vec::new();
            while deliveries.len() < 3 {
                let delivery = next(&mut stream).await;
                log.lock().unwrap().push(**delivery);
                deliveries.push(delivery);
            }
            std::future::pending::<()>().await;
        });
        while held.lock().unwrap().len() < 3 {
            assert!(task.as_mut().now_or_never().is_none());
            sim.settle().await;
        }
        drop(task);
        let held = held.lock().unwrap().clone();
        let mut second = topic.group("g").stream().await.unwrap();
        let mut seen = BTreeSet::new();
        for _ in 0..20 {
            let delivery = next(&mut second).await;
            let expected = if held.contains(&**delivery) { 2 } else { 1 };
            assert_eq!(delivery.attempt(), expected, "of {}", **delivery);
            assert!(seen.insert(**delivery));
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(end(&broker).await.acked, 20);
    });
}

#[test]
fn a_delivery_that_outlives_its_runtime_says_closed_and_so_does_its_topic() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (topic, mut stream, delivery) = tokio.block_on(async {
        let (broker, topic) = open().await;
        // Never ends, and is dropped in the middle of it.
        topic.group("h").run(async |_| std::future::pending().await).await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish(7).await.unwrap();
        let delivery = next(&mut stream).await;
        // The broker's end must not be what ends them.
        std::mem::forget(broker);
        (topic, stream, delivery)
    });
    tokio.shutdown_timeout(Duration::from_secs(1));
    assert_eq!(delivery.extend(), Err(AckError::Closed));
    assert_eq!(delivery.ack(), Err(AckError::Closed));
    assert!(smol::block_on(stream.next()).is_none());
    assert!(smol::block_on(topic.publish(8)).is_err());
    assert!(smol::block_on(topic.settled()).is_err());
}
