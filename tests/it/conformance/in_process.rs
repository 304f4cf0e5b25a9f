//! What Watermill asks of its broker in memory, and so of any: what becomes of publishers, readers and buffered
//! messages that meet a slow reader, each other, or the end? (G1, G2, G4, G6, G8, G18, G25)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard::broker::{OpenError, PublishError};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::StreamExt as _;
use futures::future::join_all;

use super::kit::{next, open, value};
use crate::every;
use crate::kit::{assert_balance, poll_once, stays_pending};
use crate::seen::give_way;

#[test]
fn a_publish_behind_the_only_place_waits_through_receipt_and_nack_and_ends_with_the_ack() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").capacity(1).open().await.unwrap();
        let mut stream = topic.group("g").retry(Retry::immediately()).stream().await.unwrap();
        topic.publish(0).await.unwrap();
        let mut behind = Box::pin(topic.publish(1));
        assert!(stays_pending(&mut behind, 20).await, "nobody has looked at the first");
        let first = next(&mut stream).await;
        assert_eq!(value(&first), (0, 1));
        assert!(stays_pending(&mut behind, 20).await, "received is not settled");
        first.nack("not yet").unwrap();
        let again = next(&mut stream).await;
        assert_eq!(value(&again), (0, 2));
        assert!(stays_pending(&mut behind, 20).await, "nacked is not settled");
        again.ack().unwrap();
        behind.await.unwrap();
        let second = next(&mut stream).await;
        assert_eq!(value(&second), (1, 1));
        second.ack().unwrap();
        topic.settled().await.unwrap();
    });
}

const MESSAGES: u64 = 120;

#[test]
fn readers_that_open_while_messages_come_miss_none_and_see_none_twice() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        // Nobody reads there, so that everything stays for whoever comes.
        topic.group("keeper").stream().await.map(drop).unwrap();
        let publisher = topic.clone();
        let published = every::spawn("publisher", async move {
            for n in 0..MESSAGES - 1 {
                publisher.publish(n).await.unwrap();
                give_way().await;
            }
        });
        let (tell, told) = async_channel::bounded(16);
        let readers = (0..16_usize).map(|reader| {
            let (topic, tell) = (topic.clone(), tell.clone());
            every::spawn("reader", async move {
                for _ in 0..reader * 5 {
                    give_way().await;
                }
                let start = if reader % 2 == 0 { Start::Earliest } else { Start::Latest };
                let group = topic.group(&format!("r{reader}")).start_at(start);
                let mut stream = group.prefetch(3).stream().await.unwrap();
                tell.send(()).await.unwrap();
                let mut read = Vec::new();
                while read.last() != Some(&(MESSAGES - 1, 1)) {
                    let delivery = next(&mut stream).await;
                    read.push(value(&delivery));
                    delivery.ack().unwrap();
                }
                (start, read)
            })
        });
        let readers: Vec<_> = readers.collect();
        for _ in 0..readers.len() {
            told.recv().await.unwrap();
        }
        published.await;
        // Comes when all have opened, so that each of them gets to it.
        topic.publish(MESSAGES - 1).await.unwrap();
        for (start, read) in join_all(readers).await {
            let first = if start == Start::Latest { read.first().unwrap().0 } else { 0 };
            assert_eq!(read, (first..MESSAGES).map(|n| (n, 1)).collect::<Vec<_>>(), "from {start:?}");
        }
        let report = broker.shutdown().await;
        assert_eq!(report.lost(), MESSAGES, "the keeper's alone");
        assert_balance(&report);
    });
}

/// How often a race is run on each runtime, a little later each time. The simulator's seeds are many already.
fn races() -> u64 {
    if Sim::current().is_some() { 3 } else { 15 }
}

const KEPT: u64 = 12;

/// What one reader got from one group: whether that was open before the end began, and what it acked.
struct Read {
    group: String,
    opened_before: bool,
    acked: u64,
}

/// Opens one group after the other and reads it, until it is refused.
async fn reads_until_refused(topic: Topic<u64>, reader: u64, ending: Arc<AtomicBool>) -> Vec<Read> {
    let mut all = Vec::new();
    loop {
        let group = format!("r{reader}-{}", all.len());
        let mut stream = match topic.group(&group).stream().await {
            Ok(stream) => stream,
            Err(OpenError::Closed) => return all,
            Err(other) => panic!("{other}"),
        };
        let opened_before = !ending.load(Ordering::SeqCst);
        let mut read = Read { group, opened_before, acked: 0 };
        while read.acked < KEPT {
            let Some(delivery) = stream.next().await else { break };
            assert_eq!(value(&delivery), (read.acked, 1));
            let Ok(()) = delivery.ack() else { break };
            read.acked += 1;
        }
        all.push(read);
    }
}

/// A group that is opened in the very moment in which the last one has nothing left to do may find its end before its
/// first message. It is reported, as any other that ends with messages.
#[test]
fn readers_that_open_while_the_broker_ends_are_refused_or_counted_and_those_from_before_read_it_all() {
    every::runtime(|| async {
        for pause in 0..races() {
            let (broker, topic) = open().await;
            topic.group("keeper").stream().await.map(drop).unwrap();
            topic.publish_all(0..KEPT).await.unwrap();
            let ending = Arc::new(AtomicBool::new(false));
            let read = |reader| reads_until_refused(topic.clone(), reader, ending.clone());
            let readers: Vec<_> = (0..4).map(|reader| every::spawn("reader", read(reader))).collect();
            for _ in 0..pause * 5 {
                give_way().await;
            }
            ending.store(true, Ordering::SeqCst);
            let report = broker.shutdown().await;
            assert_balance(&report);
            assert!(!report.timed_out, "{report:?}");
            for read in join_all(readers).await.into_iter().flatten() {
                let group = report.group("numbers", &read.group).unwrap();
                assert_eq!((group.settled, group.lost), (read.acked, KEPT - read.acked), "{group:?}");
                assert!(read.acked == KEPT || !read.opened_before, "{group:?} was there");
            }
        }
    });
}

#[test]
fn what_is_buffered_when_the_end_begins_is_read_and_acked_while_newcomers_are_refused() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").prefetch(8).stream().await.unwrap();
        topic.publish_all(0..300).await.unwrap();
        let mut shutdown = Box::pin(broker.shutdown());
        assert!(poll_once(&mut shutdown).await.is_pending());
        for n in 0..300 {
            if n % 100 == 0 {
                assert!(
                    matches!(topic.publish(1000 + n).await, Err(PublishError::Closed(m)) if m == 1000 + n)
                );
                assert!(matches!(topic.group("late").stream().await, Err(OpenError::Closed)));
                assert!(matches!(topic.group("g").stream().await, Err(OpenError::Closed)));
            }
            let delivery = next(&mut stream).await;
            assert_eq!(value(&delivery), (n, 1));
            assert!(poll_once(&mut shutdown).await.is_pending(), "it waits for what is unread");
            delivery.ack().unwrap();
        }
        let report = shutdown.await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
        assert_eq!(report.group("numbers", "g").unwrap().settled, 300);
        assert!(report.group("numbers", "late").is_none());
        assert!(stream.next().await.is_none());
    });
}
