//! What the Reactive Streams rules ask of a stream of deliveries, and of whoever is always ready. (G2, G8, G9, G12, G16, G17)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callboard::prelude::*;
use callboard::runtime::{Runtime, Smol, Tokio};
use callboard::supervise::Backoff;
use fastrand::Rng;
use futures::channel::oneshot;
use futures::stream::FusedStream as _;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};

use super::kit::{next, open, value};
use crate::every;
use crate::seen::{give_way, some};

#[test]
fn groups_that_read_one_by_one_and_in_bulk_see_the_same_sequence() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        topic.hold();
        let mut singly = topic.group("singly").stream().await.unwrap();
        let bulk = topic.group("bulk").stream().await.unwrap();
        let ids = topic.publish_all(0..200).await.unwrap();
        topic.release();
        let mut chunks = bulk.ready_chunks(16);
        let (mut one_by_one, mut in_bulk) = (Vec::new(), Vec::new());
        while in_bulk.len() < ids.len() {
            let chunk = chunks.next().await.unwrap();
            assert!(!chunk.is_empty() && chunk.len() <= 16);
            for delivery in chunk {
                in_bulk.push((delivery.id(), value(&delivery)));
                delivery.ack().unwrap();
            }
        }
        for _ in 0..ids.len() {
            let delivery = next(&mut singly).await;
            one_by_one.push((delivery.id(), value(&delivery)));
            delivery.ack().unwrap();
        }
        let expected: Vec<_> = ids.into_iter().zip((0..200).map(|n| (n, 1))).collect();
        assert_eq!((&one_by_one, &in_bulk), (&expected, &expected));
        topic.settled().await.unwrap();
    });
}

#[test]
fn a_stream_that_ended_or_was_dropped_keeps_no_payload_alive_and_stays_ended() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = broker.topic::<Arc<u64>>("payloads").open().await.unwrap();
        let payload = Arc::new(7);
        let mut kept = topic.group("kept").stream().await.unwrap();
        let mut dropped = topic.group("dropped").stream().await.unwrap();
        topic.publish(payload.clone()).await.unwrap();
        assert!(Arc::ptr_eq(&**dropped.next().await.unwrap(), &payload), "it goes back unsettled");
        drop(dropped);
        kept.next().await.unwrap().ack().unwrap();
        assert!(Arc::strong_count(&payload) > 1, "the group whose stream was dropped has it still to settle");
        assert_eq!(broker.shutdown().await.lost(), 1);
        assert_eq!(Arc::strong_count(&payload), 1, "nothing is kept beyond the end");
        for _ in 0..3 {
            assert!(kept.next().await.is_none());
        }
        assert!(kept.is_terminated());
    });
}

#[test]
fn whatever_becomes_of_its_deliveries_a_stream_holds_no_more_than_its_prefetch_and_none_twice() {
    every::memory_and_disk(|| async {
        for prefetch in [1, 3, 8] {
            let (broker, topic) = open().await;
            let retry = Retry::new(Backoff::none()).max_attempts(10_000);
            let mut stream = topic.group("g").retry(retry).prefetch(prefetch).stream().await.unwrap();
            let messages = some(600);
            topic.publish_all(0..messages).await.unwrap();
            let mut rng = Rng::with_seed(u64::from(prefetch));
            let (mut held, mut attempts, mut acked) = (BTreeMap::new(), BTreeMap::new(), 0);
            while acked < messages {
                // Filled up to the limit or not: both are seen.
                while held.len() < prefetch as usize && (held.len() as u64) < messages - acked {
                    let delivery = next(&mut stream).await;
                    let (n, attempt) = value(&delivery);
                    let before = attempts.insert(n, attempt).unwrap_or(0);
                    assert_eq!(attempt, before + 1, "each attempt at {n} is marked");
                    assert!(held.insert(n, delivery).is_none(), "{n} is held already");
                    if rng.u8(0..4) == 0 {
                        break;
                    }
                }
                if held.len() == prefetch as usize {
                    give_way().await;
                    assert!(stream.next().now_or_never().is_none(), "{prefetch} are held already");
                }
                let n = *held.keys().nth(rng.usize(0..held.len())).unwrap();
                let delivery = held.remove(&n).unwrap();
                match rng.u8(0..6) {
                    0 => delivery.nack("not yet").unwrap(),
                    1 => delivery.release().unwrap(),
                    2 => drop(delivery),
                    _ => {
                        delivery.ack().unwrap();
                        acked += 1;
                    }
                }
            }
            let report = broker.shutdown().await;
            let stats = &report.group("numbers", "g").unwrap().stats;
            assert_eq!((stats.acked, stats.refused, report.lost()), (messages, 0, 0));
            let again = attempts.values().map(|last| u64::from(last - 1)).sum::<u64>();
            assert_eq!(stats.redeliveries, again, "each redelivery was seen, and marked");
        }
    });
}

/// Who is always ready, and counts what it did.
#[derive(Clone, Copy, Debug)]
enum Ready {
    Handler,
    HandlerThatPublishes,
    Stream,
    Publisher,
    Sink,
}

const MANY: u64 = 10_000;
/// After so many messages in a row each end of a mailbox makes way for other tasks.
const BUDGET: u64 = 128;

/// Fills what `ready` works on, then lets it work, as a task beside the others.
async fn work(ready: Ready, runtime: &impl Runtime, broker: &Broker, done: Arc<AtomicU64>) {
    let input = crate::disk::topic(broker, "input").capacity(2 * MANY as usize).open().await.unwrap();
    let onward = crate::disk::topic(broker, "onward").capacity(2 * MANY as usize).open().await.unwrap();
    match ready {
        Ready::Handler | Ready::HandlerThatPublishes => {
            input.publish_all(0..MANY).await.unwrap();
            let onward = matches!(ready, Ready::HandlerThatPublishes).then_some(onward);
            let group = input.group("g").with((done, onward));
            let handle = async |n: Message<u64>, (done, onward): (Arc<AtomicU64>, Option<Topic<u64>>)| {
                done.fetch_add(1, Ordering::Relaxed);
                if let Some(onward) = onward {
                    onward.publish(*n).await?;
                }
                Ok(())
            };
            group.run(handle).await.unwrap();
        }
        Ready::Stream => {
            input.publish_all(0..MANY).await.unwrap();
            let mut stream = input.group("g").prefetch(MANY as u32).stream().await.unwrap();
            runtime.spawn(
                "stream",
                Box::pin(async move {
                    while let Some(delivery) = stream.next().await {
                        done.fetch_add(1, Ordering::Relaxed);
                        delivery.ack().unwrap();
                    }
                }),
            );
        }
        Ready::Publisher => runtime.spawn(
            "publisher",
            Box::pin(async move {
                for n in 0..MANY {
                    onward.publish(n).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }),
        ),
        Ready::Sink => runtime.spawn(
            "sink",
            Box::pin(async move {
                let mut sink = onward.sink();
                for n in 0..MANY {
                    sink.feed(n).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }),
        ),
    }
}

/// How much `ready` does, at most, while a task beside it waits for its turn.
async fn longest(ready: Ready, runtime: impl Runtime + Clone) -> u64 {
    let broker = Broker::builder().runtime(runtime.clone()).start().unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let (counted, (tell, told)) = (done.clone(), oneshot::channel());
    // A task, since the future that a runtime blocks on is asked less often than its turn.
    let watching = async move {
        let (mut longest, mut before) = (0, 0);
        while before < MANY {
            give_way().await;
            let now = counted.load(Ordering::Relaxed);
            longest = longest.max(now - before);
            before = now;
        }
        tell.send(longest).unwrap();
    };
    runtime.spawn("watching", Box::pin(watching));
    work(ready, &runtime, &broker, done).await;
    let longest = told.await.unwrap();
    // At once: what was published on is for nobody.
    broker.shutdown_within(Duration::ZERO).await;
    longest
}

/// On one thread, where only giving way lets others run at all.
#[test]
fn whoever_is_always_ready_lets_other_tasks_run() {
    for ready in [Ready::Handler, Ready::HandlerThatPublishes, Ready::Stream, Ready::Publisher, Ready::Sink] {
        let on_tokio = move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let most = tokio.block_on(longest(ready, Tokio::new(tokio.handle().clone())));
            assert!(most <= BUDGET, "{most} times was {ready:?} ready while another task was too");
        };
        let on_smol = move || {
            let executor = Arc::new(smol::Executor::new());
            let runtime = Smol::with(executor.clone());
            let most = smol::block_on(executor.run(longest(ready, runtime)));
            assert!(most <= BUDGET, "{most} times was {ready:?} ready while another task was too");
        };
        assert_eq!(every::watched(Duration::from_secs(60), on_tokio), Ok(()), "tokio");
        assert_eq!(every::watched(Duration::from_secs(60), on_smol), Ok(()), "smol");
    }
}
