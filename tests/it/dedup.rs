//! Is a message with a dedup key accepted once, however it is published and whatever happens on the way? (G1, G2, G16)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use callboard::broker::{Dedup, InvalidMessage, OpenError, PublishError};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::{SinkExt as _, StreamExt as _};

use crate::every;
use crate::kit::{millis, poll_once, secs, stays_pending};

async fn topic_of(capacity: usize) -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, "t").capacity(capacity).open().await.unwrap();
    (broker, topic)
}

#[test]
fn a_repeat_answers_with_the_first_id_whichever_way_it_is_published() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").dedup_by(|n| (n % 10).to_string()).open().await.unwrap();
        let first = topic.message(7).publish().await.unwrap();
        assert!(!first.repeated);
        let again = topic.message(17).header("a", "b").publish().await.unwrap();
        assert!(again.repeated && again.id == first.id);
        assert_eq!(topic.publish(27).await.unwrap(), first.id);
        assert_eq!(topic.try_publish(37).unwrap(), first.id);
        let named = topic.message(47).dedup_key("another").publish().await.unwrap();
        assert!(!named.repeated, "what the publisher names goes before what the topic finds");
        let ids = topic.publish_all([57, 8, 18]).await.unwrap();
        assert_eq!((ids[0], ids[1] == ids[2]), (first.id, true));
        let mut sink = topic.sink();
        sink.send(67).await.unwrap();
        sink.send(9).await.unwrap();
        sink.close().await.unwrap();
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled, stats.repeated), (4, 4, 6));
        let mut stream = topic.group("g").stream().await.unwrap();
        for expected in [7, 47, 8, 9] {
            let delivery = stream.next().await.unwrap();
            assert_eq!(**delivery, expected);
            delivery.ack().unwrap();
        }
        assert!(topic.message(77).try_publish().unwrap().repeated, "settled or not");
    });
}

#[test]
fn of_many_that_race_exactly_one_is_accepted() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = topic_of(3).await;
        let counted = topic.group("g").run(async |_| Ok(())).await.unwrap();
        let publishers: Vec<_> = (0..8)
            .map(|publisher| {
                let topic = topic.clone();
                every::spawn("publisher", async move {
                    let mut answers = Vec::new();
                    for key in 0_u64..20 {
                        let message = topic.message(publisher).dedup_key(key.to_be_bytes());
                        answers.push(message.publish().await.unwrap());
                    }
                    answers
                })
            })
            .collect();
        let answers = futures::future::join_all(publishers).await;
        for key in 0..20 {
            let of_key: Vec<_> = answers.iter().map(|answers| answers[key]).collect();
            assert_eq!(of_key.iter().filter(|answer| !answer.repeated).count(), 1);
            assert!(of_key.iter().all(|answer| answer.id == of_key[0].id));
        }
        topic.settled().await.unwrap();
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.repeated, counted.stats().await.unwrap().acked), (20, 140, 20));
    });
}

/// G16.
#[test]
fn a_repeat_that_waits_in_line_is_answered_and_a_first_one_that_gives_up_leaves_nothing() {
    every::runtime(|| async {
        let (_broker, topic) = topic_of(1).await;
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish(0).await.unwrap();
        let keyed = |n| Box::pin(topic.message(n).dedup_key("k").publish());
        let (mut gives_up, mut second, mut third) = (keyed(1), keyed(2), keyed(3));
        for waiting in [&mut gives_up, &mut second, &mut third] {
            assert!(stays_pending(waiting, 2).await);
        }
        drop(gives_up);
        stream.next().await.unwrap().ack().unwrap();
        let second = second.await.unwrap();
        assert!(!second.repeated, "what was dropped was not accepted");
        let third = third.await.unwrap();
        assert!(third.repeated && third.id == second.id, "it needs no place");
        let Poll::Ready(Ok(fourth)) = poll_once(&mut keyed(4)).await else {
            panic!("a repeat does not wait")
        };
        assert_eq!(fourth, third);
        assert_eq!(**stream.next().await.unwrap(), 2);
    });
}

#[test]
fn a_publish_that_is_refused_leaves_nothing_behind() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic =
            crate::disk::topic(&broker, "t").capacity(1).overflow(Overflow::Reject).open().await.unwrap();
        topic.publish(0).await.unwrap();
        let keyed = |n| topic.message(n).dedup_key("k");
        assert!(matches!(keyed(1).publish().await, Err(PublishError::Full(1))));
        assert!(matches!(keyed(2).try_publish(), Err(PublishError::Full(2))));
        let mut stream = topic.group("g").stream().await.unwrap();
        stream.next().await.unwrap().ack().unwrap();
        topic.settled().await.unwrap();
        assert!(!keyed(3).publish().await.unwrap().repeated);
        assert!(keyed(4).publish().await.unwrap().repeated, "of a full topic too");
        broker.shutdown_within(millis(0)).await;
        assert!(matches!(keyed(5).publish().await, Err(PublishError::Closed(5))));
    });
}

/// G2.
#[test]
fn a_key_is_remembered_for_its_time_and_until_enough_others_came() {
    every::seed(10, |sim: Sim| async move {
        let sim = sim.without_slips();
        let broker = crate::disk::broker().await;
        let dedup = Dedup::within(secs(10)).at_most(3);
        let topic = crate::disk::topic(&broker, "t").dedup(dedup.clone()).open().await.unwrap();
        let publish = |key: &str| topic.message(0).dedup_key(key).try_publish().unwrap().repeated;
        assert_eq!([publish("a"), publish("a")], [false, true]);
        sim.sleep(millis(9_999)).await;
        assert!(publish("a"));
        sim.sleep(millis(1)).await;
        assert!(!publish("a"), "the repeats did not prolong it");
        assert_eq!([publish("b"), publish("c"), publish("a")], [false, false, true]);
        assert_eq!([publish("d"), publish("a"), publish("d")], [false, false, true]);

        let other = Dedup::default();
        let error = crate::disk::topic(&broker, "t").dedup(other).open().await.unwrap_err();
        assert!(matches!(error, OpenError::OtherSettings { .. }));
        let bad = crate::disk::topic(&broker, "bad")
            .dedup(Dedup::within(secs(0)).at_most(0))
            .open()
            .await
            .unwrap_err();
        let OpenError::Settings { faults, .. } = bad else { panic!("{bad}") };
        assert_eq!(faults.len(), 2, "{faults:?}");
    });
}

#[test]
fn a_topic_that_was_not_told_remembers_for_two_minutes_and_the_wall_clock_is_no_matter() {
    every::seed(5, |sim: Sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = topic_of(9).await;
        let publish = || topic.message(0).dedup_key([0xff, 0x00]).try_publish().unwrap().repeated;
        assert!(!publish());
        sim.set_wall_clock(std::time::UNIX_EPOCH + secs(1 << 32));
        sim.sleep(secs(119)).await;
        assert!(publish());
        sim.sleep(secs(1)).await;
        assert!(!publish());
    });
}

/// G15.
#[test]
fn a_key_that_cannot_be_one_or_a_function_that_panics_refuses_the_message_and_gives_it_back() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let key = |n: &u64| {
            assert_ne!(*n, 13, "no key for 13");
            vec![b'k'; *n as usize]
        };
        let topic = crate::disk::topic(&broker, "t").dedup_by(key).open().await.unwrap();
        let error = topic.publish(13).await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(13, InvalidMessage::DedupKeyPanicked)), "{error}");
        for bytes in [0, Dedup::MOST_KEY + 1] {
            let expected = InvalidMessage::DedupKey { bytes };
            let error = topic.try_publish(bytes as u64).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("not published: a dedup key has 1 to 1024 bytes, not {bytes}")
            );
            assert!(matches!(error, PublishError::Invalid(_, why) if why == expected));
            let named = topic.message(5).dedup_key(vec![0; bytes]).publish().await.unwrap_err();
            assert!(matches!(named, PublishError::Invalid(5, why) if why == expected));
        }
        topic.publish(Dedup::MOST_KEY as u64).await.unwrap();
        let error = topic.publish_all([1, 13, 2]).await.unwrap_err();
        assert_eq!((error.accepted.len(), error.rest, error.kind), (1, vec![13, 2], ErrorKind::Invalid));
    });
}

/// Counts how many there are.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Alive {
        count.fetch_add(1, Ordering::Relaxed);
        Alive(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn the_payload_of_a_repeat_is_dropped_by_the_time_it_is_answered() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = broker.topic::<Alive>("t").dedup_by(|_| "one").open().await.unwrap();
        let count = Arc::default();
        let mut first = Box::pin(topic.publish(Alive::new(&count)));
        let id = (&mut first).await.unwrap();
        let mut again = Box::pin(topic.publish(Alive::new(&count)));
        assert_eq!((&mut again).await.unwrap(), id);
        assert_eq!(count.load(Ordering::Relaxed), 1, "though the future is kept");
        topic.publish_all([Alive::new(&count), Alive::new(&count)]).await.unwrap();
        topic.sink().send(Alive::new(&count)).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    });
}
