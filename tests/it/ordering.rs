//! In which order does a group see what was published? (G10)

use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::prelude::*;
use futures::StreamExt as _;

use crate::every;
use crate::seen::{Gate, Seen, give_way, some};

async fn open() -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, "numbers").capacity(300).open().await.unwrap();
    (broker, topic)
}

#[test]
fn one_consumer_without_retries_sees_the_order_of_publishing() {
    every::memory_and_disk(|| async {
        let messages = some(6000);
        let (_broker, topic) = open().await;
        let (sync, slow) = (Seen::default(), Seen::default());
        let log = sync.clone();
        let group = topic.group("sync").run_fn(move |message| {
            log.note(message);
            Ok(())
        });
        group.await.unwrap();
        let waits = topic.group("async").prefetch(7).with(slow.clone());
        waits
            .run(async |message, seen: Seen| {
                if *message % 3 == 0 {
                    give_way().await;
                }
                seen.note(&message);
                Ok(())
            })
            .await
            .unwrap();
        let mut stream = topic.group("pulled").prefetch(5).stream().await.unwrap();
        let puller = every::spawn("puller", async move {
            let mut values = Vec::new();
            while (values.len() as u64) < messages {
                let delivery = stream.next().await.unwrap();
                values.push(**delivery);
                delivery.ack().unwrap();
            }
            values
        });
        // Alone, in bursts larger than the capacity, and alone again.
        for n in 0..messages / 6 {
            topic.publish(n).await.unwrap();
        }
        topic.publish_all(messages / 6..messages / 3 * 2).await.unwrap();
        for n in messages / 3 * 2..messages {
            topic.publish(n).await.unwrap();
        }
        topic.settled().await.unwrap();
        let expected: Vec<u64> = (0..messages).collect();
        assert_eq!(sync.values(), expected);
        assert_eq!(slow.values(), expected);
        assert_eq!(puller.await, expected);
    });
}

#[test]
fn a_late_group_sees_the_order_of_publishing_too() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        topic.publish_all(0..300).await.unwrap();
        let seen = Seen::default();
        let late = topic.group("late").with(seen.clone());
        let publisher = topic.clone();
        let more = every::spawn("publisher", async move {
            for n in 300..600 {
                publisher.publish(n).await.unwrap();
            }
        });
        late.run(async |message, seen: Seen| {
            seen.note(&message);
            Ok(())
        })
        .await
        .unwrap();
        more.await;
        topic.settled().await.unwrap();
        assert_eq!(seen.values(), (0..600).collect::<Vec<_>>());
    });
}

#[test]
fn each_publisher_is_seen_in_its_own_order() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        let seen = Seen::default();
        let group = topic.group("g").with(seen.clone());
        group
            .run(async |message, seen: Seen| {
                seen.note(&message);
                Ok(())
            })
            .await
            .unwrap();
        let publish = |from: u64| {
            let topic = topic.clone();
            every::spawn("publisher", async move {
                for n in 0..700 {
                    topic.publish(from + n).await.unwrap();
                }
            })
        };
        let all_at_once = topic.clone();
        let (first, second) = (publish(0), publish(10_000));
        let third = every::spawn("publisher of all", async move {
            all_at_once.publish_all(20_000..20_700).await.unwrap();
        });
        futures::future::join3(first, second, third).await;
        topic.settled().await.unwrap();
        for from in [0, 10_000, 20_000] {
            let of = |n: &u64| (from..from + 10_000).contains(n);
            let values: Vec<u64> = seen.values().into_iter().filter(of).collect();
            assert_eq!(values, (from..from + 700).collect::<Vec<_>>());
        }
    });
}

#[test]
fn ids_and_offsets_are_in_the_order_in_which_a_group_sees_them() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        let ids: Arc<Mutex<Vec<MessageId>>> = Arc::default();
        let group = topic.group("g").with(ids.clone());
        group
            .run(async |message, ids: Arc<Mutex<Vec<MessageId>>>| {
                ids.lock().unwrap().push(message.id());
                Ok(())
            })
            .await
            .unwrap();
        let mut published = topic.publish_all(0..400).await.unwrap();
        for n in 400..500 {
            published.push(topic.publish(n).await.unwrap());
        }
        topic.settled().await.unwrap();
        let ids = ids.lock().unwrap().clone();
        assert_eq!(ids, published);
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().map(|id| id.offset()).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    });
}

#[test]
fn a_message_that_failed_comes_after_what_overtook_it() {
    every::seed(20, |_| async move {
        let (_broker, topic) = open().await;
        let seen = Seen::default();
        let group = topic.group("g").retry(Retry::fixed(Duration::from_millis(10))).with(seen.clone());
        group
            .run(async |message, seen: Seen| {
                if *message == 3 && message.attempt() == 1 {
                    return Err(Fault::new("on purpose"));
                }
                seen.note(&message);
                Ok(())
            })
            .await
            .unwrap();
        topic.publish_all(1..=6).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(seen.all(), [(1, 1), (2, 1), (4, 1), (5, 1), (6, 1), (3, 2)]);
    });
}

#[test]
fn a_shared_group_promises_no_order_and_a_slow_message_shows_it() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open().await;
        let (gate, seen) = (Gate::new(), Seen::default());
        let group = topic.group("g").consumers(2).with((gate.clone(), seen.clone()));
        group
            .run(async |message, (gate, seen): (Gate, Seen)| {
                if *message == 0 {
                    gate.pass().await;
                }
                seen.note(&message);
                Ok(())
            })
            .await
            .unwrap();
        topic.publish_all(0..10).await.unwrap();
        seen.reaches(9).await;
        gate.open();
        topic.settled().await.unwrap();
        assert_eq!(seen.values().last(), Some(&0), "the first one ends last");
        assert_eq!(seen.sorted(), (0..10).collect::<Vec<_>>());
    });
}
