//! What the Reactive Streams rules ask of a stream of deliveries, and of handlers that are always ready. (G2, G9, G16)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::prelude::*;
use futures::StreamExt as _;
use futures::stream::FusedStream as _;

use super::kit::{next, open, value};
use crate::every;

#[test]
fn groups_that_read_one_by_one_and_in_bulk_see_the_same_sequence() {
    every::runtime(|| async {
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
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
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

/// On one thread, where only giving way lets others run at all.
#[test]
fn a_handler_that_is_always_ready_and_publishes_on_lets_other_tasks_run() {
    let run = || {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let longest = tokio.block_on(async {
            let (broker, topic) = open().await;
            let onward = broker.topic::<u64>("onward").capacity(20_000).open().await.unwrap();
            let handled = Arc::new(AtomicU64::new(0));
            let group = topic.group("g").with((handled.clone(), onward));
            group
                .run(async |n: Message<u64>, (handled, onward): (Arc<AtomicU64>, Topic<u64>)| {
                    handled.fetch_add(1, Ordering::Relaxed);
                    onward.publish(*n).await?;
                    Ok(())
                })
                .await
                .unwrap();
            let publisher = topic.clone();
            drop(every::spawn("publisher", async move { publisher.publish_all(0..10_000).await.unwrap() }));
            // A task, since the future that tokio blocks on is asked less often than its turn.
            let watching = async move {
                let (mut longest, mut before) = (0, 0);
                while before < 10_000 {
                    crate::seen::give_way().await;
                    let now = handled.load(Ordering::Relaxed);
                    longest = longest.max(now - before);
                    before = now;
                }
                longest
            };
            every::spawn("watching", watching).await
        });
        assert!(longest <= 256, "{longest} messages were handled while another task was ready");
    };
    assert_eq!(every::watched(std::time::Duration::from_secs(60), run), Ok(()));
}
