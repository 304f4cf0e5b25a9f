//! Is there a schedule of threads in which a broker, a topic or a group ends twice, or leaves something behind?
//!
//! How to run it, and what it cannot show: `mailbox/shuttle_tests.rs`. Streams only: a handler marks its thread
//! (`scope.rs`), and all threads of the explorer are one.
#![cfg(callboard_shuttle)]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use super::group_handle::GroupShared;
use super::{Broker, DeleteError, DeliveryStream, GroupReport, OpenError, Topic};
use crate::base::sync::explore;
use crate::runtime::Explored;

fn broker() -> Broker {
    Broker::builder().runtime(Explored::still()).start().unwrap()
}

fn open(broker: &Broker) -> Topic<u8> {
    block_on(broker.topic("t").capacity(4).open()).unwrap()
}

fn stream(topic: &Topic<u8>) -> (Arc<GroupShared<u8>>, DeliveryStream<u8>) {
    let stream = block_on(topic.group("g").stream()).unwrap();
    let group = topic.shared.groups().open.values().next().unwrap().clone();
    (group, stream)
}

fn delete_group(group: &Arc<GroupShared<u8>>) -> Result<GroupReport, DeleteError> {
    block_on(group.delete()?).map_err(|_| DeleteError::Closed)
}

/// Runs `f` twice at the same time.
fn twice<T: Send + 'static, R: Send + 'static>(on: &T, f: fn(&T) -> R) -> [JoinHandle<R>; 2]
where
    T: Clone,
{
    [(); 2].map(|()| {
        let on = on.clone();
        thread::spawn(move || f(&on))
    })
}

#[test]
fn a_topic_opened_while_the_broker_shuts_down_is_refused_or_stopped() {
    explore(|| {
        let broker = broker();
        let opening = {
            let broker = broker.clone();
            thread::spawn(move || {
                let topic = match block_on(broker.topic::<u8>("t").open()) {
                    Ok(topic) => topic,
                    Err(refused) => {
                        assert!(matches!(refused, OpenError::Closed));
                        return None;
                    }
                };
                let accepted = u64::from(topic.try_publish(1).is_ok());
                Some((topic, accepted))
            })
        };
        let report = block_on(broker.shutdown());
        match opening.join().unwrap() {
            None => assert!(report.topics.is_empty()),
            Some((topic, accepted)) => {
                assert_eq!(report.topics.len(), 1, "it goes on, and its broker is shut down");
                assert_eq!(report.lost(), accepted, "accepted, and not in the report");
                assert!(topic.try_publish(2).is_err());
                assert!(block_on(topic.stats()).is_err());
            }
        }
        assert!(broker.topics().is_empty());
    });
}

#[test]
fn two_shutdowns_get_one_report() {
    explore(|| {
        let broker = broker();
        open(&broker).try_publish(1).unwrap();
        let reports = twice(&broker, |broker| block_on(broker.shutdown_within(Duration::ZERO)));
        let [first, second] = reports.map(|report| report.join().unwrap());
        assert_eq!(first, second);
        assert_eq!((first.topics.len(), first.lost()), (1, 1));
    });
}

#[test]
fn two_deletes_of_a_topic_get_one_report_and_its_name_is_free() {
    explore(|| {
        let broker = broker();
        let topic = open(&broker);
        topic.try_publish(1).unwrap();
        let reports = twice(&topic, |topic| block_on(topic.delete()).unwrap());
        let [first, second] = reports.map(|report| report.join().unwrap());
        assert_eq!(first, second);
        assert_eq!(first.lost(), 1);
        let again = block_on(broker.topic::<u16>("t").open()).unwrap();
        assert_eq!(again.try_publish(1).unwrap().offset(), 0);
    });
}

#[test]
fn two_deletes_of_a_group_get_one_report() {
    explore(|| {
        let broker = broker();
        let topic = open(&broker);
        let (group, _stream) = stream(&topic);
        topic.try_publish(1).unwrap();
        let [first, second] = twice(&group, delete_group).map(|report| report.join().unwrap().unwrap());
        assert_eq!(first, second);
        assert_eq!(first.lost, 1);
        assert!(topic.shared.groups().open.is_empty());
    });
}

#[test]
fn a_topic_deleted_while_its_broker_shuts_down_is_in_one_report() {
    explore(|| {
        let broker = broker();
        let topic = open(&broker);
        topic.try_publish(1).unwrap();
        let deleting = thread::spawn(move || block_on(topic.delete()));
        let report = block_on(broker.shutdown());
        match deleting.join().unwrap() {
            Ok(deleted) => assert_eq!((deleted.lost(), report.topics.len()), (1, 0)),
            Err(refused) => {
                assert_eq!(refused, DeleteError::Closed);
                assert_eq!((report.topics.len(), report.lost()), (1, 1));
            }
        }
    });
}

#[test]
fn a_group_deleted_while_its_topic_is_deleted_is_in_one_report() {
    explore(|| {
        let broker = broker();
        let topic = open(&broker);
        let (group, _stream) = stream(&topic);
        topic.try_publish(1).unwrap();
        let deleting = thread::spawn(move || delete_group(&group));
        let report = block_on(topic.delete()).unwrap();
        match deleting.join().unwrap() {
            Ok(deleted) => {
                assert!(report.groups.is_empty());
                let lost = (deleted.lost, report.lost());
                assert!(lost == (1, 0) || lost == (0, 1), "counted once: {lost:?}");
            }
            Err(refused) => {
                assert_eq!(refused, DeleteError::Closed);
                assert_eq!((report.groups.len(), report.lost()), (1, 1));
            }
        }
    });
}

#[test]
fn a_group_opened_while_its_topic_is_deleted_is_refused_or_stopped() {
    explore(|| {
        let broker = broker();
        let topic = open(&broker);
        let opening = {
            let topic = topic.clone();
            thread::spawn(move || block_on(topic.group("g").stream()))
        };
        let report = block_on(topic.delete()).unwrap();
        match opening.join().unwrap() {
            Ok(mut stream) => {
                assert_eq!(report.groups.len(), 1, "it goes on, and its topic is gone");
                assert!(block_on(stream.next()).is_none());
            }
            Err(refused) => assert!(matches!(refused, OpenError::Closed)),
        }
        assert!(topic.shared.groups().open.is_empty());
    });
}

#[test]
fn a_group_opened_twice_at_once_is_one_group() {
    explore(|| {
        let broker = broker();
        let topic = open(&broker);
        let opened = twice(&topic, |topic| block_on(topic.group("g").stream()).unwrap());
        let streams = opened.map(|stream| stream.join().unwrap());
        topic.try_publish(1).unwrap();
        let stats = block_on(topic.stats()).unwrap();
        assert_eq!(stats.groups, 1);
        assert_eq!(broker.topics().len(), 2, "the topic, and one for dead letters");
        drop(streams);
    });
}

#[test]
fn a_topic_that_is_to_take_dead_letters_is_linked_or_deleted_before() {
    explore(|| {
        let broker = broker();
        let (topic, dead) = (open(&broker), block_on(broker.topic("dead").open()).unwrap());
        let deleting: JoinHandle<_> = {
            let dead: Topic<super::DeadLetter> = dead;
            thread::spawn(move || block_on(dead.delete()).map(drop))
        };
        let _stream = block_on(topic.group("g").dead_letter_topic("dead").stream()).unwrap();
        let deleted = deleting.join().unwrap();
        assert!(matches!(deleted, Ok(()) | Err(DeleteError::InUse { .. })));
        // Either way the group has where to send its letters: that topic, or another one of the name.
        let group = topic.shared.groups().open.values().next().unwrap().clone();
        assert!(block_on(group.dead.stats()).is_ok());
        let found = broker.find_topic("dead").unwrap();
        assert!(Arc::ptr_eq(&found.shared, &group.dead.shared));
    });
}

#[test]
fn an_ack_around_the_end_of_its_group_is_counted_or_refused() {
    explore(|| {
        let broker = broker();
        let topic = open(&broker);
        let (group, mut stream) = stream(&topic);
        block_on(topic.publish_all(0..4)).unwrap();
        let deliveries = [(); 4].map(|()| block_on(stream.next()).unwrap());
        // It acks for as long as the group takes to end.
        let acking = thread::spawn(move || {
            let acks = deliveries.map(|delivery| {
                let _ = delivery.extend();
                delivery.ack().is_ok()
            });
            acks.iter().filter(|acked| **acked).count()
        });
        let report = delete_group(&group).unwrap();
        let acked = acking.join().unwrap() as u64;
        assert_eq!(
            (report.settled, report.lost),
            (acked, 4 - acked),
            "an ack that was taken is not in the report"
        );
    });
}
