//! Does a full topic hold back whoever publishes, by exactly as much as it must? (G1, G2, G3, G5, G17)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::broker::{ErrorKind, PublishError};
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::every;
use crate::kit::{Valve, fill, millis, poll_once, secs, stays_pending, until, valved};

const CAPACITIES: [usize; 4] = [1, 2, 7, 64];

async fn topic_of(capacity: usize) -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, "t").capacity(capacity).open().await.unwrap();
    (broker, topic)
}

#[test]
fn exactly_the_capacity_fits_however_far_the_messages_have_come() {
    every::runtime(|| async {
        for capacity in CAPACITIES {
            let room = capacity as u64;
            let (_broker, topic) = topic_of(capacity).await;
            assert_eq!(fill(&topic), room, "waiting in the topic");

            let (_broker, topic) = topic_of(capacity).await;
            let valve = Valve::shut();
            let group = topic.group("g").consumers(3).with(valve.clone());
            let pass = async |n: Message<u64>, valve: Valve| {
                valve.pass(*n).await;
                Ok(())
            };
            let group = group.run(pass).await.unwrap();
            assert_eq!(fill(&topic), room);
            valve.next().await;
            until(&group, |stats| stats.entered == room).await;
            assert_eq!(fill(&topic), 0, "with a handler, or waiting for one");

            let (_broker, topic) = topic_of(capacity).await;
            let group = topic.group("g").retry(Retry::fixed(secs(600)));
            let group = group.run_fn(|_| Err(Fault::new("no"))).await.unwrap();
            assert_eq!(fill(&topic), room);
            until(&group, |stats| stats.delayed == room).await;
            assert_eq!(fill(&topic), 0, "waiting for a retry");

            let (_broker, topic) = topic_of(capacity).await;
            let group = topic.group("g").retry(Retry::none()).dead_letter_capacity(1);
            let group = group.run_fn(|_| Err(Fault::new("no"))).await.unwrap();
            // The one that becomes a dead letter must not make room for one more meanwhile.
            topic.hold();
            topic.hold();
            assert_eq!(fill(&topic), room);
            topic.release();
            topic.release();
            until(&group, |stats| stats.parked == room - 1).await;
            while topic.stats().await.unwrap().unsettled == room {}
            assert_eq!(fill(&topic), 1, "parked, but for the one dead letter that fits");

            let (_broker, topic) = topic_of(capacity).await;
            let mut stream = topic.group("g").stream().await.unwrap();
            assert_eq!(fill(&topic), room);
            let held = stream.next().await.unwrap();
            assert_eq!(fill(&topic), 0, "pulled and not acked");
            held.ack().unwrap();
            topic.publish(0).await.unwrap();
            assert_eq!(fill(&topic), 0);
        }
    });
}

#[test]
fn under_load_there_are_never_more_unsettled_than_the_capacity() {
    every::runtime(|| async {
        for capacity in [1, 7] {
            let (broker, topic) = topic_of(capacity).await;
            // Counts fewer than there are: a message when its publish is through, less those that both groups have
            // nearly settled.
            let unsettled = Arc::new(AtomicU64::new(0));
            let by_one = Arc::new((0..120).map(|_| AtomicU64::new(0)).collect::<Vec<_>>());
            for name in ["a", "b"] {
                let group = topic.group(name).consumers(2).retry(Retry::immediately());
                let state = (unsettled.clone(), by_one.clone());
                type State = (Arc<AtomicU64>, Arc<Vec<AtomicU64>>);
                let handle = async |n: Message<u64>, (unsettled, by_one): State| {
                    if *n % 10 == 3 && n.attempt() == 1 {
                        return Err(Fault::new("once more"));
                    }
                    if by_one[*n as usize].fetch_add(1, Ordering::SeqCst) == 1 {
                        unsettled.fetch_sub(1, Ordering::SeqCst);
                    }
                    Ok(())
                };
                group.with(state).run(handle).await.unwrap();
            }
            let publishers = (0..4u64).map(|publisher| {
                let (topic, unsettled) = (topic.clone(), unsettled.clone());
                every::spawn("publisher", async move {
                    for n in 0..30 {
                        topic.publish(publisher * 30 + n).await.unwrap();
                        // May be below zero for a moment: the groups can be faster than this line.
                        let now = unsettled.fetch_add(1, Ordering::SeqCst).cast_signed() + 1;
                        assert!(now <= capacity as i64, "{now} of {capacity}");
                        if n % 8 == 0 {
                            assert!(topic.stats().await.unwrap().unsettled <= capacity as u64);
                        }
                    }
                })
            });
            futures::future::join_all(publishers).await;
            topic.settled().await.unwrap();
            assert_eq!(unsettled.load(Ordering::SeqCst), 0);
            topic.hold();
            assert_eq!(fill(&topic), capacity as u64);
            broker.shutdown().await;
        }
    });
}

#[test]
fn a_publisher_waits_until_one_message_is_settled_by_every_group() {
    every::runtime(|| async {
        let (_broker, topic) = topic_of(3).await;
        let valves = [Valve::shut(), Valve::shut(), Valve::shut()];
        let mut groups = Vec::new();
        for (name, valve) in ["a", "b", "c"].into_iter().zip(&valves) {
            groups.push(valved(&topic, name, valve).await);
        }
        topic.publish_all(0..3).await.unwrap();
        for round in 1..=4 {
            let mut waiting = Box::pin(topic.publish(100 + round));
            for (group, valve) in groups.iter().zip(&valves) {
                assert!(stays_pending(&mut waiting, 3).await);
                valve.let_through(1);
                until(group, |stats| stats.acked == round).await;
                topic.stats().await.unwrap();
            }
            waiting.await.unwrap();
            assert_eq!(fill(&topic), 0, "one place for one message");
        }
    });
}

#[test]
fn while_publishers_wait_each_settled_message_lets_one_in() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = topic_of(8).await;
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        topic.publish_all(0..8).await.unwrap();
        let mut waiting: Vec<_> = (8..12).map(|n| Box::pin(topic.publish(n))).collect();
        for publish in &mut waiting {
            assert!(stays_pending(publish, 2).await);
        }
        for settled in 1..=4 {
            valve.let_through(1);
            until(&group, |stats| stats.acked == settled).await;
            topic.stats().await.unwrap();
            waiting.remove(0).await.unwrap();
            for publish in &mut waiting {
                assert!(stays_pending(publish, 2).await, "after {settled}");
            }
        }
    });
}

#[test]
fn those_who_wait_are_let_in_in_the_order_they_came() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = topic_of(1).await;
        topic.publish(0).await.unwrap();
        let mut line = Vec::new();
        for n in 1..=20 {
            let topic = topic.clone();
            let mut publish = Box::pin(async move { topic.publish(n).await });
            assert!(poll_once(&mut publish).await.is_pending());
            line.push(every::spawn("in line", publish));
        }
        let mut stream = topic.group("g").stream().await.unwrap();
        for expected in 0..=20 {
            let delivery = stream.next().await.unwrap();
            assert_eq!(**delivery, expected);
            delivery.ack().unwrap();
        }
        let ids = futures::future::join_all(line).await;
        let offsets: Vec<u64> = ids.into_iter().map(|id| id.unwrap().offset()).collect();
        assert_eq!(offsets, (1..=20).collect::<Vec<_>>());
    });
}

#[test]
fn a_try_never_overtakes_those_who_wait() {
    every::runtime(|| async {
        let (_broker, topic) = topic_of(1).await;
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish(0).await.unwrap();
        let mut waiting = Box::pin(topic.publish(1));
        assert!(stays_pending(&mut waiting, 3).await);
        assert!(matches!(topic.try_publish(2), Err(PublishError::Full(2))));
        stream.next().await.unwrap().ack().unwrap();
        // The place is free, or about to be, and it is not for whoever comes now.
        topic.stats().await.unwrap();
        assert!(matches!(topic.try_publish(2), Err(PublishError::Full(2))));
        waiting.await.unwrap();
        assert_eq!(**stream.next().await.unwrap(), 1);
    });
}

#[test]
fn a_topic_that_rejects_says_so_at_once_and_gives_the_message_back() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic =
            crate::disk::topic(&broker, "t").capacity(2).overflow(Overflow::Reject).open().await.unwrap();
        topic.publish(0).await.unwrap();
        let error = topic.publish_all([1, 2, 3]).await.unwrap_err();
        assert_eq!((error.accepted.len(), &*error.rest, error.kind), (1, &[2, 3][..], ErrorKind::Full));
        let mut publish = Box::pin(topic.publish(4));
        let std::task::Poll::Ready(Err(error)) = poll_once(&mut publish).await else { panic!("it waits") };
        assert_eq!((error.kind(), error.into_inner()), (ErrorKind::Full, 4));
        let mut stream = topic.group("g").stream().await.unwrap();
        for expected in [0, 1] {
            let delivery = stream.next().await.unwrap();
            assert_eq!(**delivery, expected);
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(topic.publish_all([2, 3]).await.unwrap().len(), 2);
    });
}

#[test]
fn a_wait_with_a_timeout_ends_on_time_and_leaves_nothing_behind() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let broker = crate::disk::broker().await;
        let overflow = Overflow::Wait { timeout: Some(secs(2)) };
        let topic = crate::disk::topic(&broker, "t").capacity(2).overflow(overflow).open().await.unwrap();
        topic.publish_all([0, 1]).await.unwrap();
        let began = sim.now();
        assert!(matches!(topic.publish(2).await, Err(PublishError::TimedOut(2))));
        assert_eq!(sim.now().since(began), secs(2));
        // Whoever is behind one who gives up moves up.
        let mut first = Box::pin(topic.publish(3));
        assert!(poll_once(&mut first).await.is_pending());
        sim.sleep(secs(1)).await;
        let mut second = Box::pin(topic.publish(4));
        assert!(stays_pending(&mut second, 2).await);
        assert!(matches!(first.await, Err(PublishError::TimedOut(3))));
        let mut stream = topic.group("g").stream().await.unwrap();
        stream.next().await.unwrap().ack().unwrap();
        second.await.unwrap();
        let mut got = Vec::new();
        for _ in 0..2 {
            let delivery = stream.next().await.unwrap();
            got.push(**delivery);
            delivery.ack().unwrap();
        }
        assert_eq!(got, [1, 4], "what timed out is in no topic");
        topic.settled().await.unwrap();
        assert_eq!(fill(&topic), 2);
    });
}

#[test]
fn the_timeout_of_a_publish_of_many_holds_for_each_of_them() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let broker = crate::disk::broker().await;
        let overflow = Overflow::Wait { timeout: Some(secs(2)) };
        let topic = crate::disk::topic(&broker, "t").capacity(2).overflow(overflow).open().await.unwrap();
        let began = sim.now();
        let mut all = Box::pin(topic.publish_all(0..6));
        assert!(poll_once(&mut all).await.is_pending());
        let mut stream = topic.group("g").stream().await.unwrap();
        for _ in 0..3 {
            sim.sleep(millis(1500)).await;
            assert!(poll_once(&mut all).await.is_pending());
            stream.next().await.unwrap().ack().unwrap();
            topic.stats().await.unwrap();
            assert!(stays_pending(&mut all, 3).await);
        }
        let error = all.await.unwrap_err();
        assert_eq!(sim.now().since(began), millis(4500) + secs(2));
        let offsets: Vec<u64> = error.accepted.iter().map(|id| id.offset()).collect();
        assert_eq!((&*offsets, &*error.rest, error.kind), (&[0, 1, 2, 3, 4][..], &[5][..], ErrorKind::Full));
    });
}

#[test]
fn many_messages_go_through_a_small_topic_in_order() {
    every::memory_and_disk(|| async {
        for capacity in CAPACITIES {
            let (_broker, topic) = topic_of(capacity).await;
            let mut stream = topic.group("g").stream().await.unwrap();
            let publisher = topic.clone();
            let all = every::spawn("publisher", async move { publisher.publish_all(0..150).await });
            for expected in 0..150 {
                let delivery = stream.next().await.unwrap();
                assert_eq!((**delivery, delivery.id().offset()), (expected, expected));
                delivery.ack().unwrap();
            }
            let ids = all.await.unwrap();
            assert!(ids.windows(2).all(|pair| pair[0] < pair[1]) && ids.len() == 150);
        }
    });
}

#[test]
fn what_a_long_lease_has_settled_frees_its_places_while_its_handler_waits() {
    every::runtime(|| async {
        let (_broker, topic) = topic_of(512).await;
        topic.publish_all(0..512).await.unwrap();
        let mut waiting = Box::pin(topic.publish(512));
        assert!(stays_pending(&mut waiting, 3).await);
        let valve = Valve::shut();
        // Fast for 400 messages, so that leases are long, and then it waits in the middle of one.
        let handle = async |n: Message<u64>, valve: Valve| {
            if *n == 400 {
                valve.pass(*n).await;
            }
            Ok(())
        };
        let group = topic.group("g").with(valve.clone()).run(handle).await.unwrap();
        assert_eq!(valve.next().await, 400);
        until(&group, |stats| stats.acked == 400).await;
        topic.stats().await.unwrap();
        waiting.await.unwrap();
        assert_eq!(fill(&topic), 399);
    });
}

#[test]
fn what_no_group_wants_holds_no_place() {
    every::runtime(|| async {
        let (_broker, topic) = topic_of(4).await;
        assert_eq!(fill(&topic), 4);
        let mut waiting = Box::pin(topic.publish(7));
        assert!(stays_pending(&mut waiting, 3).await, "without a group, everything stays");
        let mut latest = topic.group("latest").start_at(Start::Latest).stream().await.unwrap();
        waiting.await.unwrap();
        topic.publish(8).await.unwrap();
        for expected in [7, 8] {
            let delivery = latest.next().await.unwrap();
            assert_eq!(**delivery, expected);
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(fill(&topic), 4);
    });
}

#[test]
fn while_a_topic_is_held_what_the_first_group_skips_stays_for_the_next() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").capacity(4).hold().open().await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        let mut later = topic.group("later").start_at(Start::Offset(5)).stream().await.unwrap();
        let mut all = topic.group("all").stream().await.unwrap();
        topic.release();
        for expected in 0..3 {
            let delivery = all.next().await.unwrap();
            assert_eq!(**delivery, expected);
            delivery.ack().unwrap();
        }
        for n in 3..6 {
            topic.publish(n).await.unwrap();
        }
        let delivery = later.next().await.unwrap();
        assert_eq!(
            (**delivery, delivery.id().offset()),
            (5, 5),
            "from there on, also what came after it opened"
        );
        delivery.ack().unwrap();
        for expected in 3..6 {
            let delivery = all.next().await.unwrap();
            assert_eq!(**delivery, expected);
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(fill(&topic), 4);
    });
}
