//! What leaves a topic or a group by a limit: is it the right one, is it counted, and does nobody wait in vain?
//! (G3, G5, G9, G25)

use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::{DeadReason, PublishError};
use callboard::prelude::*;
use futures::{SinkExt as _, StreamExt as _, future};

use crate::every;
use crate::seen::{Gate, Seen, balanced};

const HOUR: Duration = Duration::from_secs(3600);

async fn evicting(capacity: usize) -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, "t")
        .capacity(capacity)
        .overflow(Overflow::DropOldest)
        .open()
        .await
        .unwrap();
    (broker, topic)
}

/// G3.
#[test]
fn a_topic_that_drops_its_oldest_keeps_the_latest_and_never_keeps_a_publisher_waiting() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = evicting(4).await;
        for n in 0..10 {
            assert_eq!(topic.publish(n).await.unwrap().offset(), n);
        }
        topic.publish_all(10..20).await.unwrap();
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled, stats.evicted), (20, 4, 16));
        let seen = Seen::default();
        let group = topic.group("g").with(seen.clone());
        let group = group.run(async |message, seen: Seen| {
            seen.note(&message);
            Ok(())
        });
        let group = group.await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(seen.values(), [16, 17, 18, 19]);
        assert_eq!(balanced(group.stats().await.unwrap()).evicted, 0, "they were gone before it came");
    });
}

/// G3: what a consumer of any group holds stays; what goes is counted in each group that had it.
#[test]
fn what_a_consumer_holds_is_not_evicted_and_when_all_is_held_the_topic_is_full() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = evicting(3).await;
        let mut pulled = topic.group("pulled").prefetch(2).stream().await.unwrap();
        let gate = Gate::new();
        let still = topic.group("still").ack_timeout(HOUR).with(gate.clone());
        let still = still.run(async |_, gate: Gate| {
            gate.pass().await;
            Ok(())
        });
        let still = still.await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        let (first, second) = (pulled.next().await.unwrap(), pulled.next().await.unwrap());
        assert_eq!((**first, **second), (0, 1));
        // 0 is held by both groups, 1 by one of them, 2 by none.
        topic.publish(3).await.unwrap();
        assert_eq!(topic.stats().await.unwrap().evicted, 1);
        topic.publish(4).await.unwrap();
        // The group counts them as it takes them in.
        while balanced(still.stats().await.unwrap()).evicted < 2 {}
        second.ack().unwrap();
        let third = pulled.next().await.unwrap();
        assert_eq!(**third, 4);
        // One group has 1 still to settle, and nobody holds it.
        topic.publish(5).await.unwrap();
        while balanced(still.stats().await.unwrap()).evicted < 3 {}
        // Its consumer may have begun late.
        while still.stats().await.unwrap().in_flight < 1 {}
        third.ack().unwrap();
        let last = pulled.next().await.unwrap();
        assert_eq!(**last, 5);
        // 0 and 5 are held, and 4 by nobody any more.
        topic.publish(6).await.unwrap();
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled, stats.evicted), (7, 3, 4));
        gate.open();
    });
}

#[test]
fn while_consumers_hold_all_there_is_a_publish_is_refused_as_full() {
    every::runtime(|| async {
        let (_broker, topic) = evicting(2).await;
        let mut pulled = topic.group("g").prefetch(8).stream().await.unwrap();
        topic.publish_all(0..2).await.unwrap();
        let held = [pulled.next().await.unwrap(), pulled.next().await.unwrap()];
        let refused = topic.publish(2).await.unwrap_err();
        assert!(matches!(refused, PublishError::Full(2)), "{refused}");
        assert!(matches!(topic.try_publish(2).unwrap_err(), PublishError::Full(2)));
        let refused = topic.publish_all(2..4).await.unwrap_err();
        assert_eq!((refused.accepted.len(), refused.rest, refused.kind), (0, vec![2, 3], ErrorKind::Full));
        let [first, second] = held;
        drop(first);
        second.ack().unwrap();
        while topic.stats().await.unwrap().unsettled > 1 {}
        topic.publish(2).await.unwrap();
        assert_eq!(topic.stats().await.unwrap().evicted, 0);
    });
}

#[test]
fn a_sink_of_a_topic_that_evicts_does_not_wait() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = evicting(2).await;
        let mut sink = topic.sink();
        for n in 0..6 {
            sink.send(n).await.unwrap();
        }
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.evicted), (6, 4));
    });
}

#[test]
fn the_hook_sees_each_message_that_is_evicted_and_may_panic() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let gone = Arc::new(Mutex::new(Vec::new()));
        let log = gone.clone();
        let topic = crate::disk::topic(&broker, "t").capacity(3).overflow(Overflow::DropOldest);
        let topic = topic.on_evicted(move |message| {
            log.lock().unwrap().push((*message, message.id().offset()));
            assert!(*message != 1, "the hook fails at 1");
        });
        let topic = topic.open().await.unwrap();
        for n in 0..6 {
            topic.publish(n).await.unwrap();
        }
        topic.publish_all(6..8).await.unwrap();
        let gone = gone.lock().unwrap().clone();
        assert_eq!(gone, [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
    });
}

/// Found by the test above, on threads: the topic evicted for a publisher in its line that had not asked yet, and nobody
/// heard of the message.
#[test]
fn the_hook_sees_what_was_evicted_for_a_publisher_that_went_away() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let (gone, evicted) = async_channel::bounded(8);
        let topic = crate::disk::topic(&broker, "t").capacity(1).overflow(Overflow::DropOldest);
        let topic = topic.on_evicted(move |message| gone.try_send(*message).unwrap()).open().await.unwrap();
        topic.publish(0).await.unwrap();
        let mut publish = Box::pin(topic.publish(1));
        assert!(future::poll_immediate(&mut publish).await.is_none());
        while topic.stats().await.unwrap().evicted == 0 {}
        drop(publish);
        assert_eq!(evicted.recv().await, Ok(0));
    });
}

#[test]
fn the_hook_sees_the_dead_letters_that_are_evicted() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let (gone, evicted) = async_channel::bounded(8);
        let dead = broker.topic::<DeadLetter>("t.g.dead").capacity(1).overflow(Overflow::DropOldest);
        let dead = dead.on_evicted(move |letter| gone.try_send(letter.original_id().offset()).unwrap());
        let _dead = dead.open().await.unwrap();
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let group = topic.group("g").retry(Retry::immediately().max_attempts(1));
        group.run(async |_| Err(Fault::new("never"))).await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        assert_eq!((evicted.recv().await, evicted.recv().await), (Ok(0), Ok(1)));
    });
}

/// A group has acked it, and the topic has not heard of that: it is not evicted, and its place is waited for.
#[test]
fn what_was_handled_is_not_evicted_as_well() {
    every::memory_and_disk(|| async {
        for _ in 0..4 {
            let (broker, topic) = evicting(4).await;
            let group = topic.group("g").consumers(2).prefetch(1).run_fn(|_| Ok(())).await.unwrap();
            let publisher = topic.clone();
            every::spawn("publisher", async move {
                for n in 0..500 {
                    // All four may be at work just then.
                    while let Err(refused) = publisher.publish(n).await {
                        assert_eq!(refused.kind(), ErrorKind::Full);
                    }
                }
            })
            .await;
            topic.settled().await.unwrap();
            let (of_group, stats) = (balanced(group.stats().await.unwrap()), topic.stats().await.unwrap());
            assert_eq!((of_group.evicted, stats.accepted), (stats.evicted, 500), "{of_group:?}");
            broker.shutdown().await;
        }
    });
}

/// What was evicted while the topic is held, or while a group works, was in no group's way.
#[test]
fn what_is_evicted_while_the_topic_is_held_counts_for_its_groups() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = evicting(2).await;
        topic.hold();
        let seen = Seen::default();
        let group = topic.group("g").with(seen.clone());
        let group = group.run(async |message, seen: Seen| {
            seen.note(&message);
            Ok(())
        });
        let group = group.await.unwrap();
        topic.publish_all(0..5).await.unwrap();
        topic.release();
        topic.settled().await.unwrap();
        assert_eq!(seen.values(), [3, 4]);
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.entered, stats.evicted, stats.acked), (5, 3, 2));
    });
}

/// A dead-letter topic that nobody reads, and that evicts, holds up nobody.
#[test]
fn a_dead_letter_topic_that_evicts_keeps_no_message_parked() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let dead = broker.topic::<DeadLetter>("t.g.dead").capacity(2).overflow(Overflow::DropOldest);
        let dead = dead.open().await.unwrap();
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let group = topic.group("g").retry(Retry::none()).run(async |_| Err(Fault::new("no")));
        let group = group.await.unwrap();
        topic.publish_all(0..10).await.unwrap();
        broker.idle().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.dead_lettered, stats.parked), (10, 0));
        assert_eq!(dead.stats().await.unwrap().evicted, 8);
    });
}

/// G9.
#[test]
fn a_group_with_a_limit_to_its_lag_skips_ahead_and_holds_up_nobody() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").capacity(20).open().await.unwrap();
        let (all, some, gate) = (Seen::default(), Seen::default(), Gate::new());
        let lazy = topic.group("lazy").max_lag(5).ack_timeout(HOUR).with((some.clone(), gate.clone()));
        let lazy = lazy.run(async |message, (seen, gate): (Seen, Gate)| {
            seen.note(&message);
            gate.pass().await;
            Ok(())
        });
        let lazy = lazy.await.unwrap();
        let eager = topic.group("eager").with(all.clone()).run(async |message, seen: Seen| {
            seen.note(&message);
            Ok(())
        });
        eager.await.unwrap();
        topic.publish(0).await.unwrap();
        some.reaches(1).await;
        topic.publish_all(1..100).await.unwrap();
        all.reaches(100).await;
        while lazy.stats().await.unwrap().entered < 100 {}
        gate.open();
        topic.settled().await.unwrap();
        assert_eq!(some.values(), [0, 96, 97, 98, 99], "the one it was at, and the last four");
        let stats = balanced(lazy.stats().await.unwrap());
        assert_eq!((stats.acked, stats.skipped, stats.settled()), (5, 95, 100));
        assert_eq!(all.sorted(), (0..100).collect::<Vec<_>>());
    });
}

/// Found by reading: those that wait for their next attempt counted as lag and were not skipped, so that all that was new
/// was skipped for their sake, while the consumer had nothing to do.
#[test]
fn a_group_with_a_limit_to_its_lag_skips_what_failed_rather_than_what_is_new() {
    every::seed(20, |sim| async move {
        for by_key in [false, true] {
            let broker = crate::disk::broker().await;
            let topic = crate::disk::topic(&broker, "t").key_by(|n| *n).open().await.unwrap();
            let seen = Seen::default();
            let group = topic.group("g").max_lag(5).retry(Retry::fixed(HOUR));
            let group = if by_key { group.key_ordered() } else { group };
            let group = group.with(seen.clone()).run(async |message, seen: Seen| {
                seen.note(&message);
                if *message < 5 { Err(Fault::new("not for an hour")) } else { Ok(()) }
            });
            let group = group.await.unwrap();
            for n in 0..10 {
                topic.publish(n).await.unwrap();
                sim.sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(seen.values(), (0..10).collect::<Vec<_>>());
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.acked, stats.skipped, stats.delayed), (5, 1, 4));
            broker.shutdown_within(Duration::ZERO).await;
        }
    });
}

#[test]
fn a_group_by_key_skips_the_oldest_of_all_keys() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").capacity(100).key_by(|n| n % 3).open().await.unwrap();
        topic.publish_all(0..30).await.unwrap();
        let seen = Seen::default();
        let group = topic.group("g").key_ordered().max_lag(6).with(seen.clone());
        group
            .run(async |message, seen: Seen| {
                seen.note(&message);
                Ok(())
            })
            .await
            .unwrap();
        topic.settled().await.unwrap();
        // A consumer may have been handed the first ones before the last came in.
        let mut last: Vec<u64> = seen.values();
        last.retain(|n| *n >= 24);
        last.sort_unstable();
        assert_eq!(last, [24, 25, 26, 27, 28, 29]);
    });
}

#[test]
fn a_message_past_its_time_is_not_delivered_and_counted() {
    every::seed(100, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic =
            crate::disk::topic(&broker, "t").capacity(4).ttl(Duration::from_secs(10)).open().await.unwrap();
        let (seen, gate) = (Seen::default(), Gate::new());
        let group = topic.group("g").ack_timeout(HOUR).prefetch(1).with((seen.clone(), gate.clone()));
        let group = group.run(async |message, (seen, gate): (Seen, Gate)| {
            seen.note(&message);
            gate.pass().await;
            Ok(())
        });
        let group = group.await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        seen.reaches(1).await;
        sim.sleep(Duration::from_secs(9)).await;
        assert_eq!(balanced(group.stats().await.unwrap()).expired, 0);
        topic.publish(3).await.unwrap();
        sim.sleep(Duration::from_secs(2)).await;
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.expired, stats.in_flight, stats.backlog), (2, 1, 1));
        gate.open();
        topic.settled().await.unwrap();
        assert_eq!(seen.values(), [0, 3], "the attempt that went on was not cut short");
    });
}

#[test]
fn a_retry_past_its_time_is_not_tried_again() {
    every::seed(100, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t")
            .ttl(Duration::from_secs(10))
            .key_by(|n| *n)
            .open()
            .await
            .unwrap();
        let keyed = topic.group("keyed").key_ordered().retry(Retry::fixed(Duration::from_secs(4)));
        let keyed = keyed.run(async |_| Err(Fault::new("no"))).await.unwrap();
        let dead = topic.group("dead").dead_letter_expired().retry(Retry::fixed(Duration::from_secs(6)));
        let dead = dead.run(async |_| Err(Fault::new("no"))).await.unwrap();
        let letters = broker.topic::<DeadLetter>("t.dead.dead").open().await.unwrap();
        let mut letters = letters.group("clerk").stream().await.unwrap();
        topic.publish(7).await.unwrap();
        sim.sleep(Duration::from_secs(11)).await;
        let stats = balanced(keyed.stats().await.unwrap());
        assert_eq!((stats.expired, stats.failures, stats.keys), (1, 3, 0));
        let letter = letters.next().await.unwrap();
        assert_eq!((letter.reason(), letter.attempts()), (&DeadReason::Expired, 2));
        letter.ack().unwrap();
        let stats = balanced(dead.stats().await.unwrap());
        assert_eq!((stats.expired, stats.dead_lettered), (0, 1));
    });
}

#[test]
fn messages_expire_without_a_group_and_free_their_places() {
    every::seed(100, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic =
            crate::disk::topic(&broker, "t").capacity(2).ttl(Duration::from_secs(10)).open().await.unwrap();
        topic.publish_all(0..2).await.unwrap();
        let began = sim.now();
        topic.publish(2).await.unwrap();
        assert!(sim.now().since(began) >= Duration::from_secs(9), "it waited for room");
        assert_eq!(topic.stats().await.unwrap().expired, 2);
        let mut pulled = topic.group("g").stream().await.unwrap();
        assert_eq!(**pulled.next().await.unwrap(), 2);
    });
}

#[test]
fn limits_out_of_range_are_refused_at_the_door() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let refused = crate::disk::topic(&broker, "t").ttl(Duration::ZERO).open().await.unwrap_err();
        assert_eq!(refused.to_string(), "t not opened: the ttl of 0ns is not above zero and at most a year");
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let refused = topic.group("g").max_lag(0).run(async |_| Ok(())).await.unwrap_err();
        let text = "t.g not opened: max_lag of 0 messages is not within 1 and 16777216";
        assert_eq!(refused.to_string(), text);
    });
}
