//! Do delayed messages come at their time, beside those of now and not before them, and is none lost in silence?
//! (G1, G2, G3, G15, G16, G17, G18, G23)

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use callboard::broker::{CancelError, InvalidMessage, OpenError, PublishError, Scheduled};
use callboard::prelude::*;
use callboard::runtime::Runtime as _;
use callboard::sim::Sim;
use futures::StreamExt as _;

use crate::every;
use crate::kit::{Valve, millis, poll_once, secs, stays_pending, valved, yield_now};

pub(crate) const HOUR: Duration = secs(3600);

pub(crate) async fn open(capacity: usize, delays: usize) -> (Broker, Topic<u64>) {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>("t").capacity(capacity).delay_capacity(delays).open().await.unwrap();
    (broker, topic)
}

pub(crate) async fn scheduled(topic: &Topic<u64>) -> u64 {
    topic.stats().await.unwrap().scheduled
}

/// Notes when each message was handled.
async fn note(sim: Sim, topic: &Topic<u64>) -> Arc<Mutex<Vec<(u64, Duration)>>> {
    type State = (Sim, callboard::base::Moment, Arc<Mutex<Vec<(u64, Duration)>>>);
    let (notes, began) = (Arc::new(Mutex::new(Vec::new())), sim.now());
    let handle = async |n: Message<u64>, (sim, began, notes): State| {
        notes.lock().unwrap().push((*n, sim.now().since(began)));
        Ok(())
    };
    topic.group("g").with((sim, began, notes.clone())).run(handle).await.unwrap();
    notes
}

#[test]
fn a_delayed_message_comes_when_it_is_due_and_what_comes_first_goes_first() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let (broker, topic) = open(8, 8).await;
        let notes = note(sim.clone(), &topic).await;
        for (delay, value) in [(30, 3), (10, 1), (20, 2), (10, 11), (0, 0)] {
            topic.publish_after(millis(delay), value).await.unwrap();
        }
        topic.publish(100).await.unwrap();
        sim.sleep(millis(40)).await;
        let mut notes = notes.lock().unwrap().clone();
        notes.sort_by_key(|(_, at)| *at);
        let at = |value| notes.iter().find(|(other, _)| *other == value).unwrap().1;
        assert!(at(100) < millis(1) && at(0) < millis(1), "{notes:?}");
        let late: Vec<_> = notes.iter().filter(|(value, _)| (1..100).contains(value)).copied().collect();
        assert_eq!(late, [(1, millis(10)), (11, millis(10)), (2, millis(20)), (3, millis(30))]);
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn delayed_messages_come_in_order_on_every_runtime() {
    every::runtime(|| async {
        let (broker, topic) = open(4, 64).await;
        let mut stream = topic.group("g").stream().await.unwrap();
        for value in (0..20).rev() {
            topic.publish_after(millis(20 + value), value).await.unwrap();
        }
        for value in 0..20 {
            let delivery = stream.next().await.unwrap();
            assert_eq!((**delivery, delivery.id().offset()), (value, value));
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(scheduled(&topic).await, 0);
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

/// G2
#[test]
fn what_is_far_ahead_takes_no_place_of_what_is_due_now() {
    every::runtime(|| async {
        let (_broker, topic) = open(1, 3).await;
        for value in 0..3 {
            topic.publish_after(HOUR, value).await.unwrap();
        }
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.scheduled, stats.delay_capacity, stats.unsettled, stats.accepted), (3, 3, 0, 0));
        topic.try_publish(7).unwrap();
        topic.try_publish(8).unwrap_err();
    });
}

/// G3
#[test]
fn a_full_schedule_answers_as_the_topic_does() {
    every::runtime(|| async {
        let (broker, topic) = open(1, 1).await;
        let first = topic.publish_after(HOUR, 1).await.unwrap();
        let mut second = Box::pin(topic.publish_after(HOUR, 2));
        assert!(stays_pending(&mut second, 5).await);
        assert_eq!(topic.cancel_scheduled(first).await, Ok(1));
        second.await.unwrap();
        let rejects = broker.topic::<u64>("rejects").delay_capacity(1).overflow(Overflow::Reject).open();
        let rejects = rejects.await.unwrap();
        rejects.publish_after(HOUR, 1).await.unwrap();
        let error = rejects.publish_after(HOUR, 2).await.unwrap_err();
        assert!(matches!(error, PublishError::Full(2)), "{error}");
        let limit = Overflow::Wait { timeout: Some(millis(5)) };
        let limited = broker.topic::<u64>("limited").delay_capacity(1).overflow(limit).open().await.unwrap();
        limited.publish_after(HOUR, 1).await.unwrap();
        let error = limited.publish_after(HOUR, 2).await.unwrap_err();
        assert!(matches!(error, PublishError::TimedOut(2)), "{error}");
    });
}

/// G17
#[test]
fn a_handler_waits_for_a_full_schedule_no_longer_than_for_a_full_topic() {
    every::seed(5, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic =
            broker.topic::<u64>("t").delay_capacity(1).publish_timeout(millis(40)).open().await.unwrap();
        let first = topic.publish_after(HOUR, 1).await.unwrap();
        let group = topic.group("g").retry(Retry::none()).with(topic.clone());
        let again = async |n: Message<u64>, topic: Topic<u64>| {
            topic.publish_after(HOUR, *n).await?;
            Ok(())
        };
        let group = group.run(again).await.unwrap();
        topic.publish(2).await.unwrap();
        sim.sleep(millis(60)).await;
        assert_eq!(group.stats().await.unwrap().no_room, 1);
        assert_eq!(topic.cancel_scheduled(first).await, Ok(1));
        sim.sleep(secs(2)).await;
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.failures, scheduled(&topic).await), (1, 0, 1));
    });
}

/// G2
#[test]
fn what_is_due_waits_for_room_in_order_and_holds_up_no_other_delay() {
    every::seed(10, |sim| async move {
        let (broker, topic) = open(1, 8).await;
        let valve = Valve::shut();
        valved(&topic, "g", &valve).await;
        topic.publish(0).await.unwrap();
        assert_eq!(valve.next().await, 0);
        for (delay, value) in [(30, 3), (10, 1), (20, 2), (3_600_000, 9)] {
            topic.publish_after(millis(delay), value).await.unwrap();
        }
        sim.sleep(millis(50)).await;
        // Later to come and earlier due than those that wait.
        let soon = topic.publish_after(millis(5), 4).await.unwrap();
        sim.sleep(millis(10)).await;
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.scheduled, stats.waiting_publishers), (5, 1));
        assert_eq!(topic.cancel_scheduled(soon).await, Ok(4));
        for value in 1..=3 {
            valve.let_through(1);
            assert_eq!(valve.next().await, value);
        }
        valve.open();
        topic.settled().await.unwrap();
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.topics.last().unwrap().scheduled), (1, 1));
    });
}

/// G3
#[test]
fn what_is_due_evicts_the_oldest_where_a_topic_does_so_and_its_hook_hears_of_that() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let (said, evicted) = async_channel::bounded(8);
        let topic = broker.topic::<u64>("t").capacity(2).overflow(Overflow::DropOldest);
        let topic = topic.on_evicted(move |n| said.try_send(*n).unwrap()).open().await.unwrap();
        topic.publish_all([0, 1]).await.unwrap();
        for value in 2..7 {
            topic.publish_after(millis(value), value).await.unwrap();
        }
        let mut gone = Vec::new();
        while gone.len() < 5 {
            gone.push(evicted.recv().await.unwrap());
        }
        assert_eq!(gone, [0, 1, 2, 3, 4]);
        let mut stream = topic.group("g").stream().await.unwrap();
        for value in [5, 6] {
            assert_eq!(**stream.next().await.unwrap(), value);
        }
    });
}

/// G2: bytes are for what is in the topic.
#[test]
fn what_is_due_waits_for_the_bytes_that_it_needs() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity_bytes(10, |n| *n as usize).open().await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        assert!(matches!(topic.publish_after(millis(1), 11).await, Err(PublishError::Invalid(11, _))));
        topic.publish(6).await.unwrap();
        let heavy = topic.publish_after(millis(10), 8).await.unwrap();
        for (delay, bytes) in [(20, 3), (30, 1), (40, 9)] {
            topic.publish_after(millis(delay), bytes).await.unwrap();
        }
        sim.sleep(millis(50)).await;
        assert_eq!(scheduled(&topic).await, 4);
        // What comes then needs less, and finds it.
        assert_eq!(topic.cancel_scheduled(heavy).await, Ok(8));
        sim.sleep(millis(5)).await;
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.scheduled, stats.bytes), (1, 10));
        for bytes in [6, 3, 1, 9] {
            let delivery = stream.next().await.unwrap();
            assert_eq!(**delivery, bytes);
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

/// G16
#[test]
fn what_is_cancelled_comes_back_and_what_has_moved_is_said_to_have() {
    every::runtime(|| async {
        let (broker, topic) = open(4, 1).await;
        let other = broker.topic::<u64>("other").open().await.unwrap();
        let moved = topic.publish_after(Duration::ZERO, 1).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(topic.cancel_scheduled(moved).await, Err(CancelError::Moved));
        for value in 2..10 {
            // There is room for one, so that each must give its place back.
            let one = topic.publish_after(HOUR, value).await.unwrap();
            assert_eq!(topic.cancel_scheduled(one).await, Ok(value));
        }
        let one = topic.publish_after(HOUR, 10).await.unwrap();
        assert_eq!(other.cancel_scheduled(one).await, Err(CancelError::OtherTopic));
        assert_eq!(scheduled(&topic).await, 1);
        other.publish_after(HOUR, 1).await.unwrap();
        let one = other.publish_after(HOUR, 2).await.unwrap();
        assert_eq!(topic.cancel_scheduled(one).await, Err(CancelError::OtherTopic));
        let one = other.publish_after(HOUR, 3).await.unwrap();
        assert_eq!(broker.shutdown().await.lost(), 5);
        assert_eq!(other.cancel_scheduled(one).await, Err(CancelError::Closed));
        let error = topic.publish_after(HOUR, 4).await.unwrap_err();
        assert!(matches!(error, PublishError::Closed(4)), "{error}");
    });
}

/// G16: it is cancelled, or in the schedule; never half.
#[test]
fn a_cancel_that_is_dropped_after_any_number_of_polls_leaves_the_place_free_or_taken() {
    every::seed(20, |sim| async move {
        for polls in 0..3 {
            let (_broker, topic) = open(4, 1).await;
            let one = topic.publish_after(HOUR, 1).await.unwrap();
            let mut cancel = Box::pin(topic.cancel_scheduled(one));
            for _ in 0..polls {
                if poll_once(&mut cancel).await.is_ready() {
                    break;
                }
                yield_now().await;
            }
            drop(cancel);
            sim.settle().await;
            assert_eq!(scheduled(&topic).await, u64::from(polls == 0));
        }
    });
}

/// G18
#[test]
fn quiet_waits_for_what_is_due_and_for_nothing_that_is_not() {
    every::seed(20, |sim| async move {
        let (broker, topic) = open(2, 64).await;
        let notes = note(sim.clone(), &topic).await;
        topic.publish_after(HOUR, 99).await.unwrap();
        topic.settled().await.unwrap();
        for value in 0..20 {
            topic.publish_after(Duration::ZERO, value).await.unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(notes.lock().unwrap().len(), 20);
        for value in 20..40 {
            topic.publish_after(millis(7), value).await.unwrap();
        }
        // They are due now, whether or not any timer has run.
        sim.sleep(millis(7)).await;
        let report = broker.shutdown().await;
        assert_eq!((notes.lock().unwrap().len(), report.lost(), report.timed_out), (40, 1, false));
        assert_eq!(report.topics.last().unwrap().scheduled, 1);
    });
}

/// G18
#[test]
fn what_is_due_and_can_find_no_room_is_not_waited_for() {
    every::seed(10, |sim| async move {
        let (broker, topic) = open(1, 8).await;
        // Nobody reads it.
        topic.publish(0).await.unwrap();
        topic.publish_after(millis(1), 1).await.unwrap();
        sim.sleep(millis(5)).await;
        topic.settled().await.unwrap();
        let group = note(sim.clone(), &topic).await;
        topic.settled().await.unwrap();
        assert_eq!(group.lock().unwrap().len(), 2);
        topic.hold();
        topic.publish(2).await.unwrap();
        topic.publish_after(millis(1), 3).await.unwrap();
        sim.sleep(millis(5)).await;
        broker.idle().await.unwrap();
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.timed_out), (2, false));
    });
}

/// G15
#[test]
fn a_message_that_cannot_be_one_is_refused_when_it_is_delayed() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").key_by(|n| 10 / *n).open().await.unwrap();
        let error = topic.publish_after(HOUR, 0).await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(0, InvalidMessage::KeyPanicked)), "{error}");
        topic.publish_after(HOUR, 1).await.unwrap();
    });
}

#[test]
fn a_schedule_of_no_places_is_refused_at_the_door() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let error = broker.topic::<u64>("t").delay_capacity(0).capacity(0).open().await.unwrap_err();
        let OpenError::Settings { faults, .. } = &error else { panic!("{error}") };
        assert!(faults.len() == 2 && faults[1].contains("delay capacity"), "{error}");
    });
}

/// G23
#[test]
fn a_wall_clock_that_jumps_changes_no_delay() {
    every::seed(5, |sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = open(8, 8).await;
        let notes = note(sim.clone(), &topic).await;
        let wall = sim.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
        topic.publish_after(millis(50), 1).await.unwrap();
        topic.publish_at(wall + 70, 2).await.unwrap();
        topic.publish_at(wall.saturating_sub(1000), 0).await.unwrap();
        for jump in [HOUR, Duration::ZERO] {
            sim.set_wall_clock(SystemTime::UNIX_EPOCH + jump);
            sim.sleep(millis(20)).await;
        }
        sim.sleep(millis(60)).await;
        let notes = notes.lock().unwrap().clone();
        assert_eq!(notes[1..], [(1, millis(50)), (2, millis(70))]);
        assert!(notes[0].0 == 0 && notes[0].1 < millis(2), "{notes:?}");
    });
}

#[test]
fn a_hundred_thousand_delayed_messages_come_each_once_and_as_many_can_be_cancelled() {
    const MESSAGES: u64 = 100_000;
    every::seed(1, |sim| async move {
        let (broker, topic) = open(1024, 2 * MESSAGES as usize).await;
        let notes = note(sim.clone(), &topic).await;
        let mut cancelled: Vec<Scheduled> = Vec::new();
        for n in 0..MESSAGES {
            topic.publish_after(millis(1 + n * 7919 % 5000), n).await.unwrap();
            cancelled
                .push(topic.publish_after(secs(1000) + millis(n * 31 % 977), MESSAGES + n).await.unwrap());
        }
        let numbers: BTreeSet<_> = cancelled.iter().map(Scheduled::number).collect();
        assert_eq!(numbers.len() as u64, MESSAGES);
        sim.sleep(secs(100)).await;
        topic.settled().await.unwrap();
        assert_eq!(scheduled(&topic).await, MESSAGES);
        for (n, one) in cancelled.into_iter().enumerate() {
            assert_eq!(topic.cancel_scheduled(one).await, Ok(MESSAGES + n as u64));
        }
        let came: BTreeSet<u64> = notes.lock().unwrap().iter().map(|(n, _)| *n).collect();
        assert!(came.len() as u64 == MESSAGES && notes.lock().unwrap().len() as u64 == MESSAGES);
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}
