//! Does what was begun on one thread or runtime go on when that is gone, and does one end end everything?
//! (G13, G16, G18, G19, G23)

use callboard::broker::{AckError, Closed, PublishError};
use callboard::prelude::*;
use callboard::runtime::{BoxFuture, Smol, Tokio};
use futures::stream::FusedStream as _;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::runtime::Builder;

use super::kit::{elsewhere, next, open, value};
use crate::every;
use crate::kit::{assert_balance, millis, poll_once, secs};
use crate::seen::Seen;

#[test]
fn what_was_opened_and_first_published_on_a_runtime_that_ended_goes_on() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let seen = Seen::default();
        let (there, log) = (broker.clone(), seen.clone());
        // Everything is opened there: a topic, handlers that fail at first, and a stream that waited there.
        let (topic, mut stream) = elsewhere(async move {
            let topic = crate::disk::topic(&there, "numbers").open().await.unwrap();
            let handle = async |n: Message<u64>, seen: Seen| {
                seen.note(&n);
                if n.attempt() < 3 { Err(Fault::new("on purpose")) } else { Ok(()) }
            };
            topic.group("handled").retry(Retry::fixed(millis(2))).with(log).run(handle).await.unwrap();
            let mut stream = topic.group("pulled").stream().await.unwrap();
            assert!(stream.next().now_or_never().is_none());
            topic.publish(0).await.unwrap();
            let first = stream.next().await.unwrap();
            assert_eq!(value(&first), (0, 1));
            first.ack().unwrap();
            assert!(poll_once(&mut stream.next()).await.is_pending());
            (topic, stream)
        })
        .await;
        for n in 1..20 {
            let there = topic.clone();
            if n % 2 == 0 {
                elsewhere(async move { there.publish(n).await }).await
            } else {
                topic.publish(n).await
            }
            .unwrap();
            let delivery = next(&mut stream).await;
            assert_eq!(value(&delivery), (n, 1));
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        (0..20).for_each(|n| assert_eq!(seen.attempts(n), [1, 2, 3], "of {n}"));
        // The end may be called for from there too.
        let there = broker.clone();
        let report = elsewhere(async move { there.shutdown().await }).await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
    });
}

#[test]
fn each_word_on_a_delivery_counts_though_the_runtime_it_was_said_on_has_ended() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let retry = Retry::fixed(millis(3)).max_attempts(2);
        let mut stream = topic.group("g").retry(retry).stream().await.unwrap();
        for n in 0..7 {
            topic.publish(n).await.unwrap();
            let delivery = next(&mut stream).await;
            let said = elsewhere(async move {
                delivery.extend().unwrap();
                match n {
                    0 => delivery.ack(),
                    1 => delivery.settle(Outcome::Drop),
                    2 => delivery.settle(Outcome::DeadLetter("hopeless".to_string())),
                    3 => delivery.nack("on purpose"),
                    4 => delivery.nack_after(millis(20)),
                    5 => delivery.release(),
                    _ => {
                        drop(delivery);
                        Ok(())
                    }
                }
            });
            said.await.unwrap();
            if n >= 3 {
                let again = next(&mut stream).await;
                assert_eq!(value(&again), (n, 2));
                elsewhere(async move { again.ack() }).await.unwrap();
            }
        }
        topic.settled().await.unwrap();
        let report = broker.shutdown().await;
        let stats = &report.group("numbers", "g").unwrap().stats;
        assert_eq!((stats.acked, stats.dropped, stats.dead_lettered, stats.failures), (5, 1, 1, 3));
        assert_eq!(stats.refused, 0);
    });
}

#[test]
fn a_wait_for_room_has_its_limit_on_whatever_runtime_it_is_waited() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let overflow = Overflow::Wait { timeout: Some(millis(5)) };
        let topic = crate::disk::topic(&broker, "full").capacity(1).overflow(overflow).open().await.unwrap();
        topic.publish(0).await.unwrap();
        let there = topic.clone();
        let rt = every::current();
        let began = rt.now();
        let error = elsewhere(async move { there.publish(1).await.unwrap_err() }).await;
        assert!(matches!(error, PublishError::TimedOut(1)), "{error}");
        assert!(rt.now().since(began) >= millis(5));
        let mut stream = topic.group("g").stream().await.unwrap();
        next(&mut stream).await.ack().unwrap();
        topic.settled().await.unwrap();
        let there = topic.clone();
        elsewhere(async move { there.publish(2).await }).await.unwrap();
        assert_eq!(value(&next(&mut stream).await), (2, 1), "who gave up has left nothing behind");
    });
}

#[test]
fn a_shutdown_through_one_handle_is_the_end_of_every_other() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let unused = (broker.clone(), topic.clone());
        let group = topic.group("handled").run_fn(|_| Ok(())).await.unwrap();
        let (mut sink, mut idle) = (topic.sink(), topic.group("idle").stream().await.unwrap());
        let mut waiting = topic.group("waiting").stream().await.unwrap();
        let waiting = every::spawn("waiting", async move {
            let first = waiting.next().await.unwrap();
            first.ack().unwrap();
            let last = waiting.next().await.is_none();
            (last, waiting.is_terminated())
        });
        let there = topic.clone();
        elsewhere(async move { there.publish(1).await }).await.unwrap();
        next(&mut idle).await.ack().unwrap();
        topic.settled().await.unwrap();
        let report = broker.clone().shutdown().await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
        assert_eq!(waiting.await, (true, true), "whoever waits is told");
        assert!(idle.next().await.is_none() && idle.is_terminated());
        for topic in [topic.clone(), unused.1] {
            assert!(matches!(topic.publish(2).await, Err(PublishError::Closed(2))));
            let error = elsewhere(async move { topic.publish(3).await.unwrap_err() }).await;
            assert!(matches!(error, PublishError::Closed(3)), "{error}");
        }
        assert!(matches!(sink.send(4).await, Err(PublishError::Closed(_))));
        assert_eq!((unused.0.idle().await, group.clone().stats().await), (Err(Closed), Err(Closed)));
        assert!(unused.0.find_topic::<u64>("numbers").is_err());
        assert_eq!(unused.0.shutdown().await, report);
    });
}

#[test]
fn an_ack_and_a_publish_made_right_before_the_shutdown_both_hold() {
    every::runtime(|| async {
        for _ in 0..20 {
            let (broker, pulled) = open().await;
            let handled = crate::disk::topic(&broker, "handled").open().await.unwrap();
            let seen = Seen::default();
            let log = seen.clone();
            let handle = move |n: &Message<u64>| {
                log.note(n);
                Ok(())
            };
            handled.group("g").run_fn(handle).await.unwrap();
            let mut stream = pulled.group("g").stream().await.unwrap();
            pulled.publish(1).await.unwrap();
            next(&mut stream).await.ack().unwrap();
            handled.try_publish(2).unwrap();
            let report = broker.shutdown().await;
            assert_eq!((report.lost(), report.timed_out), (0, false));
            assert_balance(&report);
            let acked = |topic| report.group(topic, "g").unwrap().stats.acked;
            assert_eq!((acked("numbers"), acked("handled"), seen.all()), (1, 1, vec![(2, 1)]));
        }
    });
}

#[test]
fn a_broker_is_started_used_and_ended_on_a_thread_that_has_no_runtime() {
    let tokio = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let home = Tokio::new(tokio.handle().clone());
    let run = |broker: Broker| {
        smol::block_on(async {
            let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
            let group = topic.group("g").retry(Retry::fixed(millis(1)));
            let fails = |n: &Message<u64>| if n.attempt() < 3 { Err(Fault::new("no")) } else { Ok(()) };
            group.run_fn(fails).await.unwrap();
            let mut stream = topic.group("pulled").stream().await.unwrap();
            topic.publish(1).await.unwrap();
            next(&mut stream).await.nack_after(millis(1)).unwrap();
            next(&mut stream).await.ack().unwrap();
            assert_eq!(broker.shutdown().await.lost(), 0);
        });
    };
    let end = every::watched(secs(10), move || {
        run(Broker::builder().runtime(home).start().unwrap());
        run(Broker::builder().runtime(Smol::global()).start().unwrap());
    });
    assert_eq!(end, Ok(()));
}

#[test]
fn a_tokio_runtime_without_timers_is_refused_before_anything_is_accepted() {
    let tokio = Builder::new_current_thread().build().unwrap();
    let named = Broker::builder().runtime(Tokio::new(tokio.handle().clone())).start().unwrap_err();
    let found = tokio.block_on(async { Broker::start().unwrap_err() });
    assert_eq!(named, found);
    assert!(found.to_string().contains("no timers") && found.to_string().contains("enable_time"), "{found}");
}

/// Futures that wait, on no runtime, for what a broker on a runtime that ends will never do.
fn waiters(broker: &Broker, full: &Topic<u64>, patient: &Topic<u64>) -> Vec<(&'static str, BoxFuture)> {
    let (one, all, limited, mut sink) = (full.clone(), full.clone(), patient.clone(), full.sink());
    let (settled, idle, ending) = (full.clone(), broker.clone(), broker.clone());
    vec![
        (
            "publish",
            async move { assert!(matches!(one.publish(1).await, Err(PublishError::Closed(1)))) }.boxed(),
        ),
        (
            "publish with a limit",
            async move { assert!(matches!(limited.publish(1).await, Err(PublishError::Closed(1)))) }.boxed(),
        ),
        (
            "publish all",
            async move { assert_eq!(all.publish_all([1, 2]).await.unwrap_err().rest, [1, 2]) }.boxed(),
        ),
        ("sink", async move { assert!(matches!(sink.send(1).await, Err(PublishError::Closed(_)))) }.boxed()),
        ("settled", async move { assert_eq!(settled.settled().await, Err(Closed)) }.boxed()),
        ("idle", async move { assert_eq!(idle.idle().await, Err(Closed)) }.boxed()),
        ("shutdown", async move { assert!(ending.shutdown().await.timed_out) }.boxed()),
    ]
}

#[test]
fn whoever_waits_elsewhere_when_the_runtime_of_the_broker_goes_is_told() {
    for threads in [0, 2] {
        let end = every::watched(secs(20), move || {
            let mut builder =
                if threads > 0 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
            let tokio = builder.worker_threads(threads.max(1)).enable_all().build().unwrap();
            let (broker, full, patient, mut stream, held) = tokio.block_on(async {
                let broker = crate::disk::broker().await;
                let full = crate::disk::topic(&broker, "full").capacity(1).open().await.unwrap();
                let limit = Overflow::Wait { timeout: Some(secs(3600)) };
                let patient =
                    crate::disk::topic(&broker, "patient").capacity(1).overflow(limit).open().await.unwrap();
                let mut stream = full.group("g").stream().await.unwrap();
                patient.publish(0).await.unwrap();
                full.publish(0).await.unwrap();
                let held = next(&mut stream).await;
                (broker, full, patient, stream, held)
            });
            let mut waiters = waiters(&broker, &full, &patient);
            waiters.push(("next", async move { assert!(stream.next().await.is_none()) }.boxed()));
            for (name, waiter) in &mut waiters {
                // Twice: a first look at a full topic may be followed by a second one.
                assert!(waiter.now_or_never().is_none() && waiter.now_or_never().is_none(), "{name}");
            }
            drop(tokio);
            for (name, waiter) in waiters {
                let end = every::watched(secs(5), move || smol::block_on(waiter));
                assert_eq!(end, Ok(()), "{name}");
            }
            assert_eq!(held.nack("late"), Err(AckError::Closed));
        });
        assert_eq!(end, Ok(()), "with {threads} threads");
    }
}
