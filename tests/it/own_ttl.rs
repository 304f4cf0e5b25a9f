//! Messages that have a time of their own: are they gone at its end and not before, wherever they wait, and nothing
//! else with them? (G3, G5, G25)

use std::time::{Duration, SystemTime};

use callboard::broker::{DeadReason, InvalidMessage, PublishError};
use callboard::prelude::*;
use callboard::runtime::Runtime as _;
use futures::StreamExt as _;

use crate::every;
use crate::kit::secs;
use crate::seen::{Gate, Seen, balanced};

/// Publishes these, each with a ttl of so many seconds; 0: none.
async fn publish(topic: &Topic<u64>, messages: &[(u64, u64)]) {
    for (value, ttl) in messages {
        let message = topic.message(*value);
        let message = if *ttl > 0 { message.ttl(secs(*ttl)) } else { message };
        message.publish().await.unwrap();
    }
}

#[test]
fn those_behind_older_ones_go_at_their_moment_in_every_order_of_a_group() {
    every::seed(60, |sim| async move {
        for order in ["shared", "key_ordered", "exclusive"] {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").capacity(8).key_by(|n| n % 2).open().await.unwrap();
            let (seen, gate) = (Seen::default(), Gate::new());
            let group = topic.group("g").ack_timeout(secs(3600)).prefetch(1);
            let group = match order {
                "key_ordered" => group.key_ordered(),
                "exclusive" => group.exclusive(),
                _ => group,
            };
            let group = group.with((seen.clone(), gate.clone()));
            let group = group.run(async |message, (seen, gate): (Seen, Gate)| {
                seen.note(&message);
                gate.pass().await;
                Ok(())
            });
            let group = group.await.unwrap();
            publish(&topic, &[(0, 0), (1, 30), (2, 0), (3, 10), (4, 20), (5, 0)]).await;
            seen.reaches(1).await;
            let mut expired = Vec::new();
            // At 7 s, 12 s, and so on.
            sim.sleep(secs(2)).await;
            for _ in 0..7 {
                sim.sleep(secs(5)).await;
                expired.push(balanced(group.stats().await.unwrap()).expired);
            }
            assert_eq!(expired, [0, 1, 1, 2, 2, 3, 3], "{order}");
            assert_eq!(topic.stats().await.unwrap().unsettled, 3, "their places are free");
            gate.open();
            topic.settled().await.unwrap();
            assert_eq!(seen.sorted(), [0, 2, 5], "{order}");
            broker.shutdown().await;
        }
    });
}

#[test]
fn the_shorter_of_the_topics_time_and_its_own_counts() {
    every::seed(60, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").ttl(secs(10)).open().await.unwrap();
        publish(&topic, &[(0, 0), (1, 5), (2, 20)]).await;
        let mut expired = Vec::new();
        for _ in 0..3 {
            sim.sleep(secs(6)).await;
            expired.push(topic.stats().await.unwrap().expired);
        }
        assert_eq!(expired, [1, 3, 3]);
    });
}

#[test]
fn one_that_waits_for_its_next_attempt_goes_too_and_its_key_goes_on() {
    every::seed(60, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").key_by(|_| 7_u64).open().await.unwrap();
        let seen = Seen::default();
        let group = topic.group("g").key_ordered().dead_letter_expired().retry(Retry::fixed(secs(60)));
        let group = group.with(seen.clone()).run(async |message, seen: Seen| {
            seen.note(&message);
            if *message == 0 { Err(Fault::new("not today")) } else { Ok(()) }
        });
        let group = group.await.unwrap();
        let dead = broker.find_topic::<DeadLetter>("t.g.dead").unwrap();
        let mut letters = dead.group("clerk").stream().await.unwrap();
        publish(&topic, &[(0, 10), (1, 0)]).await;
        sim.sleep(secs(9)).await;
        assert_eq!((seen.values(), group.stats().await.unwrap().delayed), (vec![0], 1));
        sim.sleep(secs(2)).await;
        assert_eq!(seen.values(), [0, 1]);
        let letter = letters.next().await.unwrap();
        assert_eq!((letter.reason(), letter.attempts()), (&DeadReason::Expired, 1));
    });
}

#[test]
fn what_expired_and_is_redriven_has_no_time_any_more() {
    every::seed(60, |sim| async move {
        for topics_own in [false, true] {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t");
            let topic = if topics_own { topic.ttl(secs(10)) } else { topic };
            let topic = topic.open().await.unwrap();
            let (seen, gate) = (Seen::default(), Gate::new());
            let group = topic.group("g").dead_letter_expired().prefetch(1).ack_timeout(secs(3600));
            let group = group.with((seen.clone(), gate.clone()));
            let group = group.run(async |message, (seen, gate): (Seen, Gate)| {
                seen.note(&message);
                gate.pass().await;
                Ok(())
            });
            let group = group.await.unwrap();
            publish(&topic, &[(0, 0), (1, 10)]).await;
            sim.sleep(secs(11)).await;
            assert_eq!(group.stats().await.unwrap().dead_lettered, 1);
            assert_eq!(group.redrive().await.unwrap(), 1);
            sim.sleep(secs(11)).await;
            assert_eq!(balanced(group.stats().await.unwrap()).dead_lettered, 1);
            gate.open();
            topic.settled().await.unwrap();
            assert_eq!(seen.values(), [0, 1]);
            broker.shutdown().await;
        }
    });
}

/// Found by reading: as long as a redriven message was the oldest, none behind it went.
#[test]
fn what_waits_behind_one_that_was_redriven_goes_at_its_moment() {
    every::seed(40, |sim| async move {
        for by_key in [false, true] {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").capacity(4).ttl(secs(10)).key_by(|n| n % 2);
            let topic = topic.open().await.unwrap();
            let group = topic.group("g").dead_letter_expired();
            let group = if by_key { group.key_ordered() } else { group };
            let group = group.run(async |_| Ok(())).await.unwrap();
            group.pause().await.unwrap();
            topic.publish(0).await.unwrap();
            sim.sleep(secs(11)).await;
            assert_eq!(group.redrive().await.unwrap(), 1);
            topic.publish_all(1..4).await.unwrap();
            sim.sleep(secs(9)).await;
            assert_eq!(balanced(group.stats().await.unwrap()).backlog, 4);
            sim.sleep(secs(2)).await;
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.dead_lettered, stats.backlog), (4, 1), "by key: {by_key}");
            assert_eq!(topic.stats().await.unwrap().unsettled, 1, "their places are free");
            broker.shutdown_within(Duration::ZERO).await;
        }
    });
}

#[test]
fn letters_that_went_back_before_their_time_was_over_keep_no_payload() {
    every::seed(20, |sim| async move {
        let broker = Broker::start().unwrap();
        let dead = broker.topic::<DeadLetter>("t.g.dead").ttl(secs(3600)).open().await.unwrap();
        let topic = broker.topic::<std::sync::Arc<()>>("t").open().await.unwrap();
        let group = topic.group("g").retry(Retry::none());
        let group = group.run(async |n| if n.redrives() == 0 { Err(Fault::new("no")) } else { Ok(()) });
        let (group, payload) = (group.await.unwrap(), std::sync::Arc::new(()));
        topic.publish_all([payload.clone(), payload.clone()]).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.redrive().await.unwrap(), 2);
        topic.settled().await.unwrap();
        assert_eq!(dead.stats().await.unwrap().unsettled, 0);
        sim.sleep(secs(1)).await;
        assert_eq!(std::sync::Arc::strong_count(&payload), 1);
    });
}

#[test]
fn without_a_group_they_go_too_before_there_was_one_and_after_the_last() {
    every::seed(60, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(3).open().await.unwrap();
        publish(&topic, &[(0, 0), (1, 10), (2, 20)]).await;
        let began = sim.now();
        topic.publish(3).await.unwrap();
        assert!(sim.now().since(began) >= secs(9), "it waited for room");
        assert_eq!(topic.stats().await.unwrap().expired, 1);

        topic.hold();
        let group = topic.group("g").run(async |_| Ok(())).await.unwrap();
        sim.sleep(secs(15)).await;
        assert_eq!(topic.stats().await.unwrap().unsettled, 3, "while it is held nothing goes");
        group.delete().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().expired, 2, "the group left what it was not handed");
        topic.release();
        let mut pulled = topic.group("late").stream().await.unwrap();
        let values = [**pulled.next().await.unwrap(), **pulled.next().await.unwrap()];
        assert_eq!(values, [0, 3]);
    });
}

#[test]
fn one_that_is_evicted_is_not_past_its_time_as_well() {
    every::seed(60, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(2).overflow(Overflow::DropOldest).open().await.unwrap();
        publish(&topic, &[(0, 10), (1, 0), (2, 10), (3, 0)]).await;
        sim.sleep(secs(11)).await;
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.evicted, stats.expired, stats.unsettled), (2, 1, 1));
    });
}

#[test]
fn the_time_of_a_delayed_message_begins_when_it_is_due() {
    every::seed(60, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let builder = || topic.message(1).ttl(secs(10)).header("a", "b");
        builder().publish_after(secs(100)).await.unwrap();
        sim.sleep(secs(109)).await;
        assert_eq!(topic.stats().await.unwrap().expired, 0);
        sim.sleep(secs(2)).await;
        assert_eq!(topic.stats().await.unwrap().expired, 1);
        let wall = sim.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let scheduled = builder().publish_at(wall.as_millis() as u64 + 5_000).await.unwrap();
        let ahead = scheduled.due().since(sim.now());
        assert!((secs(4)..=secs(5)).contains(&ahead), "{ahead:?}");
        let mut pulled = topic.group("g").stream().await.unwrap();
        let message = pulled.next().await.unwrap();
        assert_eq!((message.headers().text("a"), **message), (Some("b"), 1));
    });
}

#[test]
fn of_two_with_the_same_dedup_key_the_one_that_is_due_first_is_the_message() {
    every::seed(60, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        topic.message(1).dedup_key("k").publish_after(secs(10)).await.unwrap();
        topic.message(2).dedup_key("k").publish_after(secs(5)).await.unwrap();
        let first = topic.message(3).dedup_key("other").publish().await.unwrap();
        sim.sleep(secs(11)).await;
        let stats = topic.stats().await.unwrap();
        assert_eq!((first.repeated, stats.accepted, stats.repeated, stats.scheduled), (false, 2, 1, 0));
        let repeated = topic.message(4).dedup_key("k").publish().await.unwrap();
        assert!(repeated.repeated && repeated.id.offset() == 1);
        let mut pulled = topic.group("g").stream().await.unwrap();
        assert_eq!([**pulled.next().await.unwrap(), **pulled.next().await.unwrap()], [3, 2]);
    });
}

/// Found by reading: what was handed out around one that was past its time was put back as one run with a gap, and what
/// was then taken from it in pieces was handed out again after its ack.
#[test]
fn what_is_taken_back_around_one_that_expired_is_handed_out_once() {
    every::seed(100, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let (seen, gate) = (Seen::default(), Gate::new());
        let group = topic.group("g").ack_timeout(secs(3600)).with((seen.clone(), gate.clone()));
        let group = group.run(async |message, (seen, gate): (Seen, Gate)| {
            seen.note(&message);
            if *message == 100 {
                gate.pass().await;
            }
            Ok(())
        });
        let group = group.await.unwrap();
        // So that it is known to be quick, and is handed many at a time.
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        group.pause().await.unwrap();
        publish(&topic, &[(100, 0), (101, 0), (102, 0), (103, 10), (104, 0), (105, 0), (106, 0)]).await;
        // On some seeds it goes on at that very moment, before the alarm rings.
        sim.sleep(secs(10)).await;
        group.resume().await.unwrap();
        seen.reaches(101).await;
        group.pause().await.unwrap();
        balanced(group.stats().await.unwrap());
        // The other one is not known to be quick, and is handed one at a time.
        group.set_consumers(2).await.unwrap();
        group.resume().await.unwrap();
        sim.sleep(secs(1)).await;
        topic.publish_all(107..120).await.unwrap();
        gate.open();
        topic.settled().await.unwrap();
        let expected: Vec<u64> = (0..120).filter(|n| *n != 103).collect();
        assert_eq!(seen.sorted(), expected);
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.expired, stats.backlog), (119, 1, 0));
    });
}

#[test]
fn a_time_of_zero_or_over_a_year_is_refused_with_the_message() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        for ttl in [Duration::ZERO, Duration::MAX] {
            let refused = topic.message(7).ttl(ttl).publish().await.unwrap_err();
            assert!(matches!(refused, PublishError::Invalid(7, InvalidMessage::Ttl(found)) if found == ttl));
            assert!(refused.to_string().contains("is not above zero and at most a year"), "{refused}");
            let refused = topic.message(7).ttl(ttl).publish_after(secs(1)).await.unwrap_err();
            assert_eq!(refused.into_inner(), 7);
        }
        let longest = secs(365 * 24 * 3600);
        topic.message(7).ttl(longest).publish().await.unwrap();
    });
}

/// On real clocks, beside messages without.
#[test]
fn they_go_by_themselves_on_every_runtime() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let group = topic.group("g").run(async |_| std::future::pending().await).await.unwrap();
        topic.publish(0).await.unwrap();
        while group.stats().await.unwrap().in_flight == 0 {}
        let events = broker.events();
        for value in 1..=20 {
            topic.message(value).ttl(Duration::from_millis(value)).publish().await.unwrap();
        }
        topic.publish(21).await.unwrap();
        let mut events = Box::pin(events);
        while group.stats().await.unwrap().expired < 20 {
            // Told as they go; woken by nothing else.
            let _ = events.next().await;
        }
        assert_eq!(topic.stats().await.unwrap().unsettled, 2);
    });
}
