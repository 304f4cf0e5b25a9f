//! Does a topic that drops its oldest make room for all who wait, as long as it can, and evict nothing in vain? (G3, G16,
//! G17)

use std::time::Duration;

use callboard::broker::{PublishError, TopicBuilder};
use callboard::prelude::*;
use futures::{SinkExt as _, StreamExt as _, future};

use crate::every;
use crate::kit::{begun, poll_once, secs, until};
use crate::seen::{Gate, balanced};

const HOUR: Duration = Duration::from_secs(3600);

async fn open(change: impl FnOnce(TopicBuilder<u64>) -> TopicBuilder<u64>) -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = change(crate::disk::topic(&broker, "t").overflow(Overflow::DropOldest));
    let topic = topic.open().await.unwrap();
    (broker, topic)
}

/// A topic of so many bytes, where a message's number is its size.
async fn weighing(bytes: usize) -> (Broker, Topic<u64>) {
    open(|topic| topic.capacity_bytes(bytes, |n| *n as usize)).await
}

/// Found by reading: with fewer places than publishers, most were refused, though nobody held anything.
#[test]
fn publishers_that_are_more_than_places_are_all_let_in_one_after_the_other() {
    every::memory_and_disk(|| async {
        for (capacity, publishers) in [(1, 10), (3, 200)] {
            let (_broker, topic) = open(|topic| topic.capacity(capacity)).await;
            let said = future::join_all((0..publishers).map(|n| topic.publish(n))).await;
            let refused: Vec<_> = said.iter().filter_map(|said| said.as_ref().err()).collect();
            assert!(refused.is_empty(), "{refused:?}");
            let stats = topic.stats().await.unwrap();
            let evicted = publishers - capacity as u64;
            assert_eq!((stats.accepted, stats.evicted), (publishers, evicted));
            assert_eq!(stats.unsettled, capacity as u64);
        }
    });
}

#[test]
fn publishers_in_tasks_of_their_own_are_all_let_in_too() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open(|topic| topic.capacity(2)).await;
        let publishers = (0..8).map(|number| {
            let topic = topic.clone();
            every::spawn("publisher", async move {
                for n in 0..50 {
                    topic.publish(number * 50 + n).await.unwrap();
                }
            })
        });
        future::join_all(publishers.collect::<Vec<_>>()).await;
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.evicted, stats.unsettled), (400, 398, 2));
    });
}

/// Found by reading: it evicted all that it could, and then refused the message that this was for.
#[test]
fn for_a_message_that_finds_no_room_all_the_same_nothing_is_evicted() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = weighing(100).await;
        let mut pulled = topic.group("g").prefetch(1).stream().await.unwrap();
        topic.publish(50).await.unwrap();
        let held = pulled.next().await.unwrap();
        topic.publish_all([10, 10, 10, 10, 10]).await.unwrap();
        let refused = topic.publish(60).await.unwrap_err();
        assert!(matches!(refused, PublishError::Full(60)), "{refused}");
        assert_eq!(topic.stats().await.unwrap().evicted, 0);
        topic.publish(15).await.unwrap();
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.evicted, stats.bytes), (2, 95));
        held.ack().unwrap();
    });
}

/// The first of them leaves or comes in, and the next one needs more than there is.
#[test]
fn who_comes_to_the_front_of_the_line_is_made_room_for_or_refused() {
    every::memory_and_disk(|| async {
        for leaves in [true, false] {
            let (_broker, topic) = weighing(100).await;
            let mut pulled = topic.group("g").prefetch(1).stream().await.unwrap();
            topic.publish(50).await.unwrap();
            let held = pulled.next().await.unwrap();
            topic.publish_all([30, 20]).await.unwrap();
            let mut light = Box::pin(topic.publish(10));
            assert!(poll_once(&mut light).await.is_pending());
            let heavy = begun(topic.publish(60)).await;
            // Time for the topic to make room for the light one.
            while topic.stats().await.unwrap().evicted == 0 {}
            match leaves {
                true => drop(light),
                false => drop(light.await.unwrap()),
            }
            let refused = heavy.await.unwrap_err();
            assert!(matches!(refused, PublishError::Full(60)), "{refused}");
            assert_eq!(topic.stats().await.unwrap().evicted, 1);
            held.ack().unwrap();
        }
    });
}

/// A place that a sink keeps is not to be evicted.
#[test]
fn while_a_sink_keeps_the_only_place_a_publish_is_refused_as_full() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open(|topic| topic.capacity(1)).await;
        topic.publish(0).await.unwrap();
        let mut sink = topic.sink();
        let mut ready = Box::pin(future::poll_fn(|cx| sink.poll_ready_unpin(cx)));
        assert!(poll_once(&mut ready).await.is_pending());
        let publish = begun(topic.publish(1)).await;
        ready.await.unwrap();
        let refused = publish.await.unwrap_err();
        assert!(matches!(refused, PublishError::Full(1)), "{refused}");
        sink.start_send_unpin(2).unwrap();
        topic.publish(3).await.unwrap();
        assert_eq!(topic.stats().await.unwrap().evicted, 2);
    });
}

/// Found by reading: who waits in line without an answer, as a sink does, was not told that a message had come back to its
/// group.
#[test]
fn a_sink_comes_in_once_what_a_consumer_held_can_be_evicted() {
    every::seed(40, |sim| async move {
        for says in [Outcome::Retry("no".into()), Outcome::RetryAfter(HOUR), Outcome::NoRoom("full".into())] {
            let (broker, topic) = open(|topic| topic.capacity(1)).await;
            let gate = Gate::new();
            let group = topic.group("g").retry(Retry::fixed(HOUR)).ack_timeout(HOUR);
            let group = group.with((gate.clone(), says.clone()));
            let group = group.run_outcome(async |n, (gate, says): (Gate, Outcome)| {
                gate.pass().await;
                if *n == 0 { says } else { Outcome::Ack }
            });
            let group = group.await.unwrap();
            topic.publish(0).await.unwrap();
            until(&group, |stats| stats.in_flight == 1).await;
            let began = sim.now();
            let mut sink = topic.sink();
            let sent = begun(sink.send(1)).await;
            sim.sleep(secs(1)).await;
            gate.open();
            sent.await.unwrap();
            assert!(sim.now().since(began) < secs(2), "{says:?}");
            topic.settled().await.unwrap();
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.evicted, stats.acked), (1, 1), "{says:?}");
            broker.shutdown().await;
        }
    });
}

#[test]
fn what_is_due_comes_in_once_what_a_stream_held_can_be_evicted() {
    every::seed(40, |sim| async move {
        for deleted in [false, true] {
            let (broker, topic) = open(|topic| topic.capacity(1)).await;
            // This one has it still to settle, and does not hold it.
            let idle = topic.group("idle").run(async |_| Ok(())).await.unwrap();
            idle.pause().await.unwrap();
            let mut pulled = topic.group("g").retry(Retry::fixed(HOUR)).stream().await.unwrap();
            topic.publish(0).await.unwrap();
            let held = pulled.next().await.unwrap();
            topic.message(1).publish_after(secs(1)).await.unwrap();
            sim.sleep(secs(5)).await;
            assert_eq!(topic.stats().await.unwrap().accepted, 1);
            match deleted {
                false => held.nack("no").unwrap(),
                true => drop(topic.find_group("g").unwrap().delete().await.unwrap()),
            }
            sim.sleep(secs(1)).await;
            let stats = topic.stats().await.unwrap();
            assert_eq!((stats.accepted, stats.evicted, stats.scheduled), (2, 1, 0), "deleted: {deleted}");
            broker.shutdown_within(Duration::ZERO).await;
        }
    });
}

#[test]
fn what_is_parked_is_evicted_and_the_rest_moves_in_order() {
    every::runtime(|| async {
        for bytes in [false, true] {
            let (broker, topic) = open(|topic| topic.capacity(6)).await;
            let dead = broker.topic::<DeadLetter>("t.g.dead").capacity(1);
            let dead = if bytes { dead.capacity_bytes(9, |letter| letter.attempts() as usize) } else { dead };
            let dead = dead.open().await.unwrap();
            let group = topic.group("g").retry(Retry::none());
            let group = group.run(async |_| Err(Fault::new("no"))).await.unwrap();
            for n in 0..10 {
                topic.publish(n).await.unwrap();
                until(&group, |stats| stats.parked + stats.dead_lettered + stats.evicted == n + 1).await;
            }
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.dead_lettered, stats.evicted, stats.parked), (1, 3, 6));
            let mut letters = dead.group("clerk").stream().await.unwrap();
            for expected in [0, 4, 5, 6, 7, 8, 9] {
                let letter = letters.next().await.unwrap();
                assert_eq!(*letter.message::<u64>().unwrap(), expected);
                letter.ack().unwrap();
            }
            topic.settled().await.unwrap();
            assert_eq!(topic.stats().await.unwrap().unsettled, 0);
        }
    });
}
