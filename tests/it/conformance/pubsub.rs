//! What Watermill's universal suite asks: do all messages arrive, whoever subscribes, nacks, gives up or closes, and
//! whenever? (G1, G4, G6, G8, G9, G12, G19)

use std::collections::{BTreeMap, BTreeSet};

use callboard::broker::DeliveryStream;
use callboard::prelude::*;
use callboard::sim::Sim;
use callboard::supervise::Backoff;
use futures::StreamExt as _;
use futures::future::join_all;

use super::kit::{next, open, value};
use crate::every;
use crate::kit::stays_pending;
use crate::seen::some;

/// A group that gives back at once what is nacked, and never gives up on it.
async fn patient(topic: &Topic<u64>, name: &str) -> DeliveryStream<u64> {
    let retry = Retry::new(Backoff::none()).max_attempts(10_000);
    topic.group(name).retry(retry).prefetch(16).stream().await.unwrap()
}

/// Acks the next `count`; answers each payload with its attempt.
async fn take(stream: &mut DeliveryStream<u64>, count: u64) -> Vec<(u64, u32)> {
    let mut taken = Vec::new();
    for _ in 0..count {
        let delivery = next(stream).await;
        taken.push(value(&delivery));
        delivery.ack().unwrap();
    }
    taken
}

fn firsts(values: impl IntoIterator<Item = u64>) -> Vec<(u64, u32)> {
    values.into_iter().map(|value| (value, 1)).collect()
}

/// Nothing is left, and nothing comes.
async fn is_empty(topic: &Topic<u64>) {
    topic.settled().await.unwrap();
    assert_eq!(topic.stats().await.unwrap().unsettled, 0);
}

#[test]
fn what_was_published_before_the_first_reader_arrives_once_in_order_and_then_the_stream_ends() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let ids = topic.publish_all(0..100).await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        for (n, id) in (0..100).zip(ids) {
            let delivery = next(&mut stream).await;
            assert_eq!((value(&delivery), delivery.id()), ((n, 1), id));
            delivery.ack().unwrap();
        }
        is_empty(&topic).await;
        assert_eq!(broker.shutdown().await.lost(), 0);
        assert!(stream.next().await.is_none());
    });
}

#[test]
fn many_publishers_and_many_subscribers_of_one_group_share_every_message_once() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        let (publishers, each) = (50, some(100));
        let streams = join_all((0..50).map(|_| topic.group("g").prefetch(4).stream())).await;
        let (tell, told) = async_channel::bounded(64);
        for stream in streams {
            let (mut stream, tell) = (stream.unwrap(), tell.clone());
            drop(every::spawn("subscriber", async move {
                while let Some(delivery) = stream.next().await {
                    tell.send(value(&delivery)).await.unwrap();
                    delivery.ack().unwrap();
                }
            }));
        }
        for publisher in 0..publishers {
            let topic = topic.clone();
            drop(every::spawn("publisher", async move {
                for n in 0..each {
                    topic.publish(publisher * each + n).await.unwrap();
                }
            }));
        }
        let mut seen = Vec::new();
        for _ in 0..publishers * each {
            seen.push(told.recv().await.unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, firsts(0..publishers * each));
        is_empty(&topic).await;
        assert!(told.is_empty(), "nobody got one more");
    });
}

#[test]
fn twenty_topics_at_once_each_get_their_own_messages_and_no_others() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let each = some(100);
        let topics = (0..20).map(|number| {
            let broker = broker.clone();
            every::spawn("topic", async move {
                let topic = crate::disk::topic(&broker, &format!("t{number}")).open().await.unwrap();
                topic.publish_all(number * each..(number + 1) * each).await.unwrap();
                let mut stream = topic.group("g").stream().await.unwrap();
                let taken = take(&mut stream, each).await;
                assert_eq!(taken, firsts(number * each..(number + 1) * each));
                is_empty(&topic).await;
            })
        });
        join_all(topics.collect::<Vec<_>>()).await;
    });
}

#[test]
fn after_two_nacks_all_of_a_hundred_arrive_and_only_those_two_twice() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        topic.publish_all(0..100).await.unwrap();
        let mut stream = patient(&topic, "g").await;
        let mut nacked = BTreeSet::new();
        for _ in 0..2 {
            let delivery = next(&mut stream).await;
            nacked.insert(value(&delivery).0);
            delivery.nack("not yet").unwrap();
        }
        let mut taken = take(&mut stream, 100).await;
        taken.sort_unstable();
        let attempt = |n| (n, if nacked.contains(&n) { 2 } else { 1 });
        assert_eq!((nacked.len(), taken), (2, (0..100).map(attempt).collect::<Vec<_>>()));
        is_empty(&topic).await;
    });
}

#[test]
fn who_may_hold_one_message_gets_the_second_once_the_first_is_acked_and_not_before() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        let mut stream = topic.group("g").prefetch(1).stream().await.unwrap();
        let mut sentinel = topic.group("sentinel").stream().await.unwrap();
        topic.publish_all([1, 2]).await.unwrap();
        let first = next(&mut stream).await;
        assert_eq!(value(&first), (1, 1));
        let mut second = Box::pin(stream.next());
        // By then it would be here: another group has it.
        assert_eq!(take(&mut sentinel, 2).await, firsts([1, 2]));
        assert!(stays_pending(&mut second, 10).await, "it is held back");
        if let Some(sim) = Sim::current() {
            sim.settle().await;
            assert!(stays_pending(&mut second, 1).await, "whatever happens");
        }
        first.ack().unwrap();
        let second = second.await.unwrap();
        assert_eq!(value(&second), (2, 1));
        second.ack().unwrap();
        topic.settled().await.unwrap();
        topic.publish(3).await.unwrap();
        assert_eq!(take(&mut stream, 1).await, firsts([3]), "nothing came in between");
    });
}

#[test]
fn readers_that_come_and_go_have_read_all_of_it_together_and_nothing_twice() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        let messages = some(1000);
        topic.group("g").stream().await.map(drop).unwrap();
        let publisher = topic.clone();
        drop(every::spawn("publisher", async move {
            for n in 0..messages {
                publisher.publish(n).await.unwrap();
            }
        }));
        let mut seen = Vec::new();
        while (seen.len() as u64) < messages {
            let share = (messages / 5).min(messages - seen.len() as u64);
            let mut stream = topic.group("g").stream().await.unwrap();
            seen.extend(take(&mut stream, share).await);
        }
        assert_eq!(seen, firsts(0..messages));
        is_empty(&topic).await;
    });
}

#[test]
fn readers_that_close_at_once_without_reading_take_nothing_with_them() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        let readers = (0..10).map(|_| {
            let topic = topic.clone();
            every::spawn("reader", async move { topic.group("g").stream().await.map(drop).unwrap() })
        });
        join_all(readers.collect::<Vec<_>>()).await;
        topic.publish_all(0..50).await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        assert_eq!(take(&mut stream, 50).await, firsts(0..50));
        is_empty(&topic).await;
    });
}

#[test]
fn three_readers_that_nack_a_hundred_times_each_get_a_next_one_and_a_fourth_gets_all() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        let (messages, nacks) = (50, some(100));
        topic.publish_all(0..messages).await.unwrap();
        let mut attempts: BTreeMap<u64, u32> = BTreeMap::new();
        for _ in 0..3 {
            let mut stream = patient(&topic, "g").await;
            for _ in 0..nacks {
                let delivery = next(&mut stream).await;
                let (n, attempt) = value(&delivery);
                let before = attempts.insert(n, attempt).unwrap_or(0);
                assert_eq!(attempt, before + 1, "each attempt is marked");
                delivery.nack("no").unwrap();
            }
        }
        let mut stream = patient(&topic, "g").await;
        let taken = take(&mut stream, messages).await;
        for (n, attempt) in &taken {
            assert_eq!(*attempt, attempts.get(n).copied().unwrap_or(0) + 1);
        }
        assert_eq!(taken.into_iter().map(|(n, _)| n).collect::<BTreeSet<_>>().len() as u64, messages);
        assert_eq!(attempts.values().map(|attempt| u64::from(*attempt)).sum::<u64>(), 3 * nacks);
        is_empty(&topic).await;
    });
}

#[test]
fn groups_whose_readers_left_before_the_first_message_get_all_of_it_when_they_return() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        for group in ["a", "b"] {
            topic.group(group).stream().await.map(drop).unwrap();
        }
        topic.publish_all(0..50).await.unwrap();
        for group in ["a", "b"] {
            let mut stream = topic.group(group).stream().await.unwrap();
            assert_eq!(take(&mut stream, 50).await, firsts(0..50));
        }
        is_empty(&topic).await;
    });
}
