//! Where does a message end that no attempt handled well, and what is known of it there? (G11, G12, G17)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callboard::broker::{DeadReason, DeliveryStream};
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::every;
use crate::seen::{Seen, balanced, give_way};

const MS: Duration = Duration::from_millis(1);

async fn open(name: &str) -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, name).open().await.unwrap();
    (broker, topic)
}

async fn dead_letters(broker: &Broker, topic: &str) -> DeliveryStream<DeadLetter> {
    let dead = broker.topic::<DeadLetter>(topic).open().await.unwrap();
    dead.group("clerk").stream().await.unwrap()
}

#[test]
fn each_outcome_does_what_it_says() {
    every::runtime(|| async {
        let (broker, topic) = open("numbers").await;
        let mut letters = dead_letters(&broker, "numbers.g.dead").await;
        let seen = Seen::default();
        let group = topic.group("g").retry(Retry::immediately().max_attempts(3)).with(seen.clone());
        let group = group
            .run_outcome(async |message, seen: Seen| {
                seen.note(&message);
                match (*message, message.attempt()) {
                    (0, _) => Outcome::Ack,
                    (1, _) => Outcome::Drop,
                    (2, _) => Outcome::DeadLetter("hopeless".to_string()),
                    (3, 1) => Outcome::Retry("not yet".to_string()),
                    (4, 1) => Outcome::RetryAfter(MS),
                    (5, 1) => Outcome::RetryAfter(Duration::ZERO),
                    (6, _) => Outcome::RetryAfter(MS),
                    (7, 1) => Outcome::Retry("not yet".to_string()),
                    (7, _) => Outcome::DeadLetter("hopeless now".to_string()),
                    _ => Outcome::Ack,
                }
            })
            .await
            .unwrap();
        let ids = topic.publish_all(0..8).await.unwrap();
        topic.settled().await.unwrap();
        let attempts: Vec<usize> = (0..8).map(|n| seen.attempts(n).len()).collect();
        assert_eq!(attempts, [1, 1, 1, 2, 2, 2, 3, 2]);
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.dropped, stats.dead_lettered), (4, 1, 3));
        assert_eq!((stats.failures, stats.restarts), (7, 0));

        let mut dead = Vec::new();
        for _ in 0..3 {
            let delivery = letters.next().await.unwrap();
            let letter: &DeadLetter = &delivery;
            let message = letter.message::<u64>().unwrap();
            let value = *message;
            assert_eq!((letter.original_id(), message.id()), (ids[value as usize], ids[value as usize]));
            assert_eq!(message.attempt(), letter.attempts());
            assert_eq!((letter.original_topic().as_str(), letter.group().as_str()), ("numbers", "g"));
            assert!(letter.message::<String>().is_none(), "it is no String");
            dead.push((
                value,
                letter.attempts(),
                letter.reason().clone(),
                letter.error().map(str::to_string),
            ));
            delivery.ack().unwrap();
        }
        dead.sort_by_key(|(value, ..)| *value);
        let rejected = |reason: &str| DeadReason::Rejected(reason.into());
        assert_eq!(dead[0], (2, 1, rejected("hopeless"), None));
        assert_eq!(dead[1], (6, 3, DeadReason::TooManyAttempts, Some("retried later".to_string())));
        assert_eq!(dead[2], (7, 2, rejected("hopeless now"), Some("not yet".to_string())));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn a_message_that_always_fails_is_dead_after_max_attempts_with_what_was_said_last() {
    for most in [1, 2, 5] {
        every::runtime(move || async move {
            let (broker, topic) = open("numbers").await;
            let mut letters = dead_letters(&broker, "numbers.g.dead").await;
            let seen = Seen::default();
            let group =
                topic.group("g").retry(Retry::immediately().max_attempts(most)).with((seen.clone(), most));
            let group = group
                .run(async |message, (seen, most): (Seen, u32)| {
                    seen.note(&message);
                    assert!(message.attempt() != most, "panic number {}", message.attempt());
                    Err(Fault::new(format!("error number {}", message.attempt())))
                })
                .await
                .unwrap();
            topic.publish_all(0..10).await.unwrap();
            for _ in 0..10 {
                let letter = letters.next().await.unwrap();
                assert_eq!((letter.attempts(), letter.reason()), (most, &DeadReason::TooManyAttempts));
                assert_eq!(letter.error(), Some(&*format!("panicked: panic number {most}")));
                let value = *letter.message::<u64>().unwrap();
                assert_eq!(seen.attempts(value), (1..=most).collect::<Vec<_>>());
                letter.ack().unwrap();
            }
            topic.settled().await.unwrap();
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.dead_lettered, stats.failures), (10, 10 * u64::from(most)));
            assert_eq!(topic.stats().await.unwrap().unsettled, 0);
        });
    }
}

#[test]
fn two_groups_share_one_dead_letter_topic_and_each_letter_names_its_group() {
    every::runtime(|| async {
        let (broker, topic) = open("numbers").await;
        let mut letters = dead_letters(&broker, "graveyard").await;
        for (name, odd) in [("odd", true), ("even", false)] {
            let group = topic.group(name).retry(Retry::none()).dead_letter_topic("graveyard").with(odd);
            let handle = async |message: Message<u64>, odd: bool| match (*message % 2 == 1) == odd {
                true => Err(Fault::new("mine")),
                false => Ok(()),
            };
            group.run(handle).await.unwrap();
        }
        topic.publish_all(0..20).await.unwrap();
        let mut dead = Vec::new();
        for _ in 0..20 {
            let letter = letters.next().await.unwrap();
            dead.push((*letter.message::<u64>().unwrap(), letter.group().to_string()));
            letter.ack().unwrap();
        }
        dead.sort();
        let name = |n| if n % 2 == 1 { "odd" } else { "even" };
        assert_eq!(dead, (0..20).map(|n| (n, name(n).to_string())).collect::<Vec<_>>());
        let names: Vec<String> = broker.topics().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["graveyard", "graveyard.clerk.dead", "numbers"], "and no other graveyard");
    });
}

#[test]
fn messages_park_before_a_full_dead_letter_topic_and_move_on_as_it_is_read() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").capacity(16).open().await.unwrap();
        let group = topic.group("g").retry(Retry::none()).dead_letter_capacity(4);
        let group = group.run(async |_| Err(Fault::new("on purpose"))).await.unwrap();
        topic.publish_all(0..12).await.unwrap();
        // Ends, although nobody reads the dead letters.
        topic.settled().await.unwrap();
        broker.idle().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.dead_lettered, stats.parked, stats.in_flight, stats.backlog), (4, 8, 0, 0));
        assert_eq!(topic.stats().await.unwrap().unsettled, 8, "what is parked holds its place");

        let mut letters = dead_letters(&broker, "numbers.g.dead").await;
        let mut dead = Vec::new();
        for _ in 0..12 {
            let letter = letters.next().await.unwrap();
            dead.push(*letter.message::<u64>().unwrap());
            letter.ack().unwrap();
        }
        dead.sort_unstable();
        assert_eq!(dead, (0..12).collect::<Vec<_>>());
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.dead_lettered, stats.parked), (12, 0));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn the_broker_is_not_idle_while_dead_letters_move_on_to_one_who_reads_them() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
        let group = topic.group("g").retry(Retry::none()).dead_letter_capacity(1);
        group.run(async |_| Err(Fault::new("on purpose"))).await.unwrap();
        let dead = broker.topic::<DeadLetter>("numbers.g.dead").open().await.unwrap();
        let read = Arc::new(AtomicU64::new(0));
        let reader = dead.group("clerk").with(read.clone());
        let handle = async |_, read: Arc<AtomicU64>| {
            give_way().await;
            read.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        reader.run(handle).await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        broker.idle().await.unwrap();
        assert_eq!(read.load(Ordering::Relaxed), 20);
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn what_is_parked_at_the_end_is_reported_lost() {
    every::runtime(|| async {
        let (broker, topic) = open("numbers").await;
        let group = topic.group("g").retry(Retry::none()).dead_letter_capacity(2);
        group.run(async |_| Err(Fault::new("on purpose"))).await.unwrap();
        topic.publish_all(0..5).await.unwrap();
        let report = broker.shutdown().await;
        let group = report.group("numbers", "g").unwrap();
        assert_eq!((group.settled, group.lost, group.stats.parked), (2, 3, 3));
        assert!(!report.timed_out);
    });
}
