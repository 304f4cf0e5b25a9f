//! What happens to everybody around a topic that is deleted? (G16, G17, G19)

use std::sync::Arc;
use std::sync::OnceLock;

use callboard::broker::{AckError, Closed, DeleteError, OpenError, PublishError};
use callboard::prelude::*;
use futures::{SinkExt as _, StreamExt as _};

use crate::every;
use crate::kit::{Valve, assert_balance, begun, millis, poll_once, stays_pending, until, valved, yield_now};
use crate::redrive::{dead, give_up, handle, open};

#[test]
fn publishers_get_their_messages_back_streams_end_and_acks_are_refused() {
    every::runtime(|| async {
        let (broker, topic, mut stream) = open(4).await;
        let valve = Valve::shut();
        let group = valved(&topic, "handlers", &valve).await;
        topic.publish_all(0..4).await.unwrap();
        let (acked, held) = (stream.next().await.unwrap(), stream.next().await.unwrap());
        acked.ack().unwrap();
        valve.next().await;
        let (other, mut sink) = (topic.clone(), topic.sink());
        let mut waiting = Box::pin(other.publish(4));
        let mut all = Box::pin(other.publish_all([5, 6]));
        let mut feed = Box::pin(sink.send(7));
        assert!(stays_pending(&mut waiting, 5).await && stays_pending(&mut all, 5).await);
        assert!(stays_pending(&mut feed, 5).await);
        let report = topic.delete().await.unwrap();
        let groups = report.groups.iter().map(|group| (group.group.as_str(), group.settled, group.lost));
        assert_eq!(groups.collect::<Vec<_>>(), [("handlers", 0, 4), ("g", 1, 3)]);
        assert_eq!((report.topic.as_str(), report.unread, report.lost()), ("t", 0, 7));
        assert!(matches!(waiting.await, Err(PublishError::Closed(4))));
        assert_eq!(all.await.unwrap_err().rest, [5, 6]);
        assert!(matches!(feed.await, Err(PublishError::Closed(_))));
        assert_eq!(held.ack(), Err(AckError::Closed));
        assert!(stream.next().await.is_none());
        assert!(matches!(topic.try_publish(8), Err(PublishError::Closed(8))));
        assert_eq!((topic.stats().await, topic.settled().await), (Err(Closed), Err(Closed)));
        assert_eq!((group.stats().await, group.delete().await), (Err(Closed), Err(DeleteError::Closed)));
        assert!(matches!(topic.group("late").run_fn(|_| Ok(())).await, Err(OpenError::Closed)));
        assert!(matches!(topic.group("late").stream().await, Err(OpenError::Closed)));
        broker.idle().await.unwrap();
        let end = broker.shutdown().await;
        assert_balance(&end);
        assert_eq!((end.lost(), end.timed_out), (0, false));
    });
}

#[test]
fn whoever_deletes_it_gets_the_one_report_and_what_nobody_read_is_in_it() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        drop(begun(topic.delete()).await);
        let (one, two) = futures::future::join(topic.delete(), topic.clone().delete()).await;
        let report = one.unwrap();
        assert_eq!((two, report.unread, report.lost()), (Ok(report.clone()), 3, 3));
        assert_eq!(broker.shutdown().await.topics, []);
        assert_eq!(topic.delete().await, Ok(report));
    });
}

#[test]
fn a_held_topic_tells_what_it_withheld() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").hold().open().await.unwrap();
        topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        let report = topic.delete().await.unwrap();
        assert_eq!((report.groups[0].lost, report.unread), (3, 0));
    });
}

#[test]
fn the_name_is_free_at_once_for_another_type_and_other_settings() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let old = crate::disk::topic(&broker, "t").capacity(3).open().await.unwrap();
        valved(&old, "g", &Valve::shut()).await;
        old.publish(1).await.unwrap();
        let delete = begun(old.delete()).await;
        assert!(matches!(broker.find_topic::<u64>("t"), Err(OpenError::NotFound(_))));
        let new = broker.topic::<String>("t").capacity(2).open().await.unwrap();
        let group = new.group("g").run_fn(|_| Ok(())).await.unwrap();
        assert_eq!(new.publish("first".into()).await.unwrap().offset(), 0);
        assert_eq!(delete.await.unwrap().lost(), 1);
        new.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 1);
        assert!(matches!(old.publish(2).await, Err(PublishError::Closed(2))));
        assert_eq!(broker.topics().len(), 2, "it, and the dead letters of both groups g");
    });
}

#[test]
fn a_topic_that_takes_dead_letters_stays_as_long_as_they_come() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(4).await;
        let group = handle(&topic).await;
        topic.publish(1).await.unwrap();
        give_up(&mut stream).await;
        topic.settled().await.unwrap();
        let dead = dead(&broker).await;
        let in_use = DeleteError::InUse { topic: topic.name().clone(), group: group.name().clone() };
        assert_eq!(dead.delete().await, Err(in_use));
        assert_eq!(dead.stats().await.unwrap().unsettled, 1, "nothing was done");
        dead.publish_all([]).await.unwrap();
        topic.delete().await.unwrap();
        assert_eq!(dead.stats().await.unwrap().unsettled, 1, "it outlives where its letters came from");
        assert_eq!(dead.delete().await.unwrap().unread, 1);
        assert!(broker.topics().is_empty());
    });
}

#[test]
fn where_a_deleted_group_sent_its_dead_letters_is_forgotten() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let letters = async |name: &str| broker.topic::<DeadLetter>(name).open().await.unwrap();
        let (a, b) = (letters("a").await, letters("b").await);
        let to_b = a.group("g").dead_letter_topic("b").run_fn(|_| Ok(())).await.unwrap();
        let back = async || b.group("g").dead_letter_topic("a").run_fn(|_| Ok(())).await;
        assert!(matches!(back().await, Err(OpenError::DeadLetterCycle { .. })));
        to_b.delete().await.unwrap();
        let to_a = back().await.unwrap();
        let in_use = DeleteError::InUse { topic: b.name().clone(), group: to_a.name().clone() };
        assert_eq!(a.delete().await, Err(in_use));
        b.delete().await.unwrap();
        a.delete().await.unwrap();
    });
}

#[test]
fn a_handler_can_not_wait_for_the_end_of_its_own_topic() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let other = crate::disk::topic(&broker, "other").open().await.unwrap();
        let state = Arc::new(OnceLock::new());
        state.set((topic.clone(), other)).unwrap_or_else(|_| panic!("once"));
        type State = Arc<OnceLock<(Topic<u64>, Topic<u64>)>>;
        let group = topic.group("g").with(state).run(async |_, topics: State| {
            let (own, other) = topics.get().unwrap();
            assert_eq!(own.delete().await, Err(DeleteError::FromItsHandler));
            other.delete().await?;
            Ok(())
        });
        let group = group.await.unwrap();
        topic.publish(1).await.unwrap();
        let stats = until(&group, |stats| stats.acked == 1).await;
        assert_eq!(stats.failures, 0);
        assert!(matches!(broker.find_topic::<u64>("other"), Err(OpenError::NotFound(_))));
    });
}

/// G18: the drain does not take the topic's silence for its own end.
#[test]
fn a_broker_that_waits_to_be_idle_goes_on_when_a_topic_is_deleted() {
    every::seed(50, |_| async {
        let broker = crate::disk::broker().await;
        let (topic, other) = (
            crate::disk::topic(&broker, "t").open().await.unwrap(),
            crate::disk::topic(&broker, "other").open().await.unwrap(),
        );
        let (valve, kept) = (Valve::shut(), Valve::shut());
        valved(&topic, "g", &valve).await;
        let group = valved(&other, "g", &kept).await;
        topic.publish(1).await.unwrap();
        other.publish(1).await.unwrap();
        valve.next().await;
        kept.next().await;
        let (mut delete, mut shutdown) = (Box::pin(topic.delete()), Box::pin(broker.shutdown()));
        let mut idle = Box::pin(broker.idle());
        assert!(stays_pending(&mut idle, 3).await);
        assert!(poll_once(&mut delete).await.is_pending() && poll_once(&mut shutdown).await.is_pending());
        assert!(stays_pending(&mut idle, 30).await, "the other topic has something left to do");
        kept.open();
        while group.stats().await.is_ok_and(|stats| stats.acked == 0) {
            yield_now().await;
        }
        let report = shutdown.await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
        assert_eq!(delete.await.unwrap().lost(), 1);
    });
}

#[test]
fn once_the_broker_is_shut_down_there_is_nothing_to_delete() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        broker.shutdown_within(millis(1)).await;
        assert_eq!(topic.delete().await, Err(DeleteError::Closed));
        assert_eq!(group.delete().await, Err(DeleteError::Closed));
    });
}
