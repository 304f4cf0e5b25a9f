//! What goes with a group that is deleted, and what stays? (G7, G16, G19, G25)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::broker::{AckError, Closed, DeleteError, RedriveError};
use callboard::prelude::*;
use callboard::runtime::Runtime as _;
use futures::StreamExt as _;

use crate::every;
use crate::kit::{Valve, begun, millis, secs, stays_pending, valved, yield_now};
use crate::redrive::{dead, give_up, handle, open};
use crate::seen::{Seen, balanced};

async fn acking(topic: &Topic<u64>, name: &str, seen: &Seen) -> Group {
    let group = topic.group(name).with(seen.clone());
    let ack = async |message, seen: Seen| {
        seen.note(&message);
        Ok(())
    };
    group.run(ack).await.unwrap()
}

#[test]
fn its_places_are_free_and_other_groups_notice_nothing() {
    every::memory_and_disk(|| async {
        let (_broker, topic, mut slow) = open(4).await;
        let group = handle(&topic).await;
        let seen = Seen::default();
        let other = acking(&topic, "other", &seen).await;
        topic.publish_all(0..4).await.unwrap();
        slow.next().await.unwrap().ack().unwrap();
        topic.publish(4).await.unwrap();
        seen.reaches(5).await;
        let mut waiting = Box::pin(topic.publish(5));
        assert!(stays_pending(&mut waiting, 10).await);
        let report = group.delete().await.unwrap();
        assert_eq!((report.group.as_str(), report.settled, report.lost, report.stuck), ("g", 1, 4, 0));
        assert_eq!(report.settled + report.lost, balanced(report.stats).entered);
        waiting.await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(seen.values(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(balanced(other.stats().await.unwrap()).acked, 6);
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.unsettled, stats.groups), (0, 1));
        assert!(slow.next().await.is_none());
    });
}

#[test]
fn the_last_group_takes_its_messages_along_and_what_comes_then_is_kept_for_the_next() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").capacity(4).open().await.unwrap();
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        topic.publish_all(0..4).await.unwrap();
        let report = group.delete().await.unwrap();
        assert_eq!((report.lost, report.stats.entered), (4, 4), "all that was accepted for it is told");
        topic.publish_all(4..8).await.unwrap();
        topic.try_publish(8).unwrap_err();
        let seen = Seen::default();
        let next = acking(&topic, "g", &seen).await;
        topic.settled().await.unwrap();
        assert_eq!(seen.values(), [4, 5, 6, 7]);
        assert_eq!(balanced(next.stats().await.unwrap()).entered, 4, "it is another group");
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

/// Says so when it is dropped.
struct Tell(Arc<AtomicU64>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn handlers_are_cancelled_and_gone_when_it_returns() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let (valve, dropped) = (Valve::shut(), Arc::new(AtomicU64::new(0)));
        let group = topic.group("g").consumers(3).prefetch(2).with((valve.clone(), dropped.clone()));
        let wait = async |n: Message<u64>, (valve, dropped): (Valve, Arc<AtomicU64>)| {
            let _tell = Tell(dropped);
            valve.pass(*n).await;
            Ok(())
        };
        let group = group.run(wait).await.unwrap();
        topic.publish_all(0..12).await.unwrap();
        for _ in 0..3 {
            valve.next().await;
        }
        let report = group.delete().await.unwrap();
        assert_eq!(dropped.load(Ordering::SeqCst), 3);
        assert_eq!((report.settled, report.lost, report.stuck), (0, 12, 0));
        assert!(report.released >= 3);
        assert_eq!(valve.heard(), [0; 0], "nothing was handed out later");
    });
}

#[test]
fn streams_end_and_late_acks_are_refused() {
    every::memory_and_disk(|| async {
        let (_broker, topic, mut stream) = open(8).await;
        let group = handle(&topic).await;
        topic.publish_all(0..5).await.unwrap();
        let acked = stream.next().await.unwrap();
        let held = [stream.next().await.unwrap(), stream.next().await.unwrap(), stream.next().await.unwrap()];
        acked.ack().unwrap();
        let report = group.delete().await.unwrap();
        assert_eq!((report.settled, report.lost), (1, 4));
        let [one, two, three] = held;
        assert_eq!(one.extend(), Err(AckError::Closed));
        assert_eq!((one.ack(), two.release()), (Err(AckError::Closed), Err(AckError::Closed)));
        drop(three);
        assert!(stream.next().await.is_none());
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
    });
}

/// An ack that was answered well is in the report, wherever the end of the group falls.
#[test]
fn what_was_acked_before_the_end_is_settled() {
    every::seed(300, |sim| async move {
        let (_broker, topic, mut stream) = open(8).await;
        let group = handle(&topic).await;
        topic.publish_all(0..6).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(stream.next().await.unwrap());
        }
        let deleted = group.clone();
        let delete = every::spawn("delete", async move { deleted.delete().await.unwrap() });
        let mut acked = 0;
        for delivery in held {
            for _ in 0..sim.random() % 3 {
                yield_now().await;
            }
            acked += u64::from(delivery.ack().is_ok());
        }
        let report = delete.await;
        assert_eq!((report.settled, report.lost), (acked, 6 - acked));
    });
}

#[test]
fn whoever_deletes_it_gets_the_one_report_and_then_nobody_answers() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(8).await;
        let group = handle(&topic).await;
        topic.publish_all(0..3).await.unwrap();
        stream.next().await.unwrap().ack().unwrap();
        // Begun, and dropped: it goes on.
        drop(begun(group.delete()).await);
        let clone = group.clone();
        let (one, two) = futures::future::join(clone.delete(), group.delete()).await;
        let report = one.unwrap();
        assert_eq!((two.as_ref(), report.lost), (Ok(&report), 2));
        assert_eq!((group.stats().await, group.delete().await.as_ref()), (Err(Closed), Ok(&report)));
        assert_eq!(group.redrive().await, Ok(0));
        let end = broker.shutdown().await;
        assert!(end.group("t", "g").is_none(), "it is no part of the broker any more");
        assert_eq!((end.lost(), group.delete().await), (0, Ok(report)));
    });
}

#[test]
fn a_handler_can_not_wait_for_the_end_of_its_own_group_and_a_task_of_its_own_can() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let own = Arc::new(std::sync::OnceLock::<Group>::new());
        let (said, heard) = async_channel::bounded(4);
        let group = topic.group("g").with((own.clone(), said));
        type State = (Arc<std::sync::OnceLock<Group>>, async_channel::Sender<DeleteError>);
        let delete = async |n: Message<u64>, (own, said): State| {
            let group = own.wait().clone();
            let error = group.delete().await.unwrap_err();
            said.send(error).await.unwrap();
            if *n == 1 {
                let end = every::spawn("delete", async move { group.delete().await });
                end.await.unwrap();
                panic!("it is cancelled before");
            }
            Ok(())
        };
        let group = group.run(delete).await.unwrap();
        own.set(group.clone()).unwrap_or_else(|_| panic!("once"));
        topic.publish(0).await.unwrap();
        assert_eq!(heard.recv().await, Ok(DeleteError::FromItsHandler));
        topic.publish(1).await.unwrap();
        assert_eq!(heard.recv().await, Ok(DeleteError::FromItsHandler));
        while group.stats().await.is_ok() {
            yield_now().await;
        }
        let report = group.delete().await.unwrap();
        assert_eq!((report.settled, report.lost, report.stats.failures), (1, 1, 0));
    });
}

#[test]
fn handlers_of_two_groups_may_delete_each_other() {
    every::seed(50, |_| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let mut groups = Vec::new();
        let other = [Arc::new(std::sync::OnceLock::<Group>::new()), Arc::default()];
        for (name, other) in ["a", "b"].into_iter().zip(&other) {
            let group = topic.group(name).with(other.clone()).run(
                async |_, other: Arc<std::sync::OnceLock<Group>>| {
                    other.wait().delete().await?;
                    Ok(())
                },
            );
            groups.push(group.await.unwrap());
        }
        let [a, b] = &other;
        assert!(a.set(groups[1].clone()).is_ok() && b.set(groups[0].clone()).is_ok());
        topic.publish(1).await.unwrap();
        while topic.stats().await.unwrap().groups == 2 {
            yield_now().await;
        }
        broker.shutdown_within(secs(1)).await;
    });
}

/// The name is free in the poll that begins it, whatever the handlers of the old group are at.
#[test]
fn a_group_of_the_same_name_is_another_one_with_its_own_settings_and_letters() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(8).await;
        let group = handle(&topic).await;
        topic.publish_all(0..3).await.unwrap();
        give_up(&mut stream).await;
        give_up(&mut stream).await;
        let mut clerk = dead(&broker).await.group("clerk").stream().await.unwrap();
        let letters = [clerk.next().await.unwrap(), clerk.next().await.unwrap()];
        letters[0].redrive().await.unwrap();
        let delete = begun(group.delete()).await;
        let mut next = topic.group("g").prefetch(1).retry(Retry::none()).stream().await.unwrap();
        let report = delete.await.unwrap();
        let stats = &report.stats;
        assert_eq!((stats.entered, stats.redriven, report.settled, report.lost), (4, 1, 2, 2));
        assert_eq!(letters[1].redrive().await, Err(RedriveError::GroupGone));
        topic.publish(3).await.unwrap();
        loop {
            // Before the topic has forgotten the old group, it still keeps what that had not settled.
            let delivery = next.next().await.unwrap();
            let n = **delivery;
            delivery.ack().unwrap();
            if n == 3 {
                break;
            }
        }
        let again = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        assert_eq!(again.redrive().await, Ok(0), "the letters of the old group are not its own");
    });
}

#[test]
fn while_the_topic_is_held_what_was_not_handed_out_stays_for_groups_to_come() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").hold().open().await.unwrap();
        let (first, second) = (Seen::default(), Seen::default());
        let group = acking(&topic, "first", &first).await;
        topic.publish_all(0..3).await.unwrap();
        let report = group.delete().await.unwrap();
        assert_eq!((report.settled, report.lost), (0, 3));
        acking(&topic, "second", &second).await;
        topic.release();
        topic.settled().await.unwrap();
        assert_eq!((first.values().len(), second.values()), (0, vec![0, 1, 2]));
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
    });
}

#[test]
fn once_the_broker_drains_nothing_is_deleted_and_what_has_begun_is_waited_for() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let (valve, dropped) = (Valve::shut(), Arc::new(AtomicU64::new(0)));
        let group = topic.group("g").with((valve.clone(), dropped.clone()));
        let wait = async |n: Message<u64>, (valve, dropped): (Valve, Arc<AtomicU64>)| {
            let _tell = Tell(dropped);
            valve.pass(*n).await;
            Ok(())
        };
        let group = group.run(wait).await.unwrap();
        let other = valved(&topic, "other", &Valve::shut()).await;
        topic.publish(1).await.unwrap();
        valve.next().await;
        let delete = begun(group.delete()).await;
        let shutdown = begun(broker.shutdown_within(millis(1))).await;
        assert_eq!(other.delete().await, Err(DeleteError::Closed));
        let report = shutdown.await;
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(delete.await.unwrap().lost, 1);
        assert!(report.group("t", "g").is_none() && report.group("t", "other").unwrap().lost == 1);
        assert_eq!(other.delete().await, Err(DeleteError::Closed));
    });
}
