//! Does an ephemeral group end with its last consumer, and never under the feet of a new one? (G6, G19)

use callboard::broker::{AckError, OpenError};
use callboard::prelude::*;
use callboard::runtime::Runtime as _;
use futures::StreamExt as _;

use crate::every;
use crate::kit::{millis, until, yield_now};

async fn until_groups(topic: &Topic<u64>, groups: usize) {
    while topic.stats().await.unwrap().groups != groups {
        yield_now().await;
    }
}

#[test]
fn it_ends_with_its_last_stream_and_its_messages_hold_no_place() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").capacity(3).open().await.unwrap();
        let open = || topic.group("onlooker").ephemeral().stream();
        let mut one = open().await.unwrap();
        let two = open().await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        let held = one.next().await.unwrap();
        drop(two);
        let mut again = open().await.unwrap();
        drop(one);
        assert_eq!(topic.stats().await.unwrap().groups, 1, "somebody is there");
        let other = again.next().await.unwrap();
        drop(again);
        until_groups(&topic, 0).await;
        topic.publish_all(3..6).await.unwrap();
        while held.extend().is_ok() {
            yield_now().await;
        }
        assert_eq!((held.ack(), other.ack()), (Err(AckError::Closed), Err(AckError::Closed)));
        let mut next = open().await.unwrap();
        assert_eq!(**next.next().await.unwrap(), 3, "it is another group");
        assert_eq!(broker.topics().len(), 2);
    });
}

#[test]
fn handlers_stay_and_a_lasting_group_does_not_become_one() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let group = topic.group("g").ephemeral().run_fn(|_| Ok(())).await.unwrap();
        drop(topic.group("g").ephemeral().stream().await.unwrap());
        topic.publish(1).await.unwrap();
        until(&group, |stats| stats.acked == 1 && stats.consumers == 1).await;
        let lasting = topic.group("lasting").stream().await.unwrap();
        let other = topic.group("lasting").ephemeral().stream().await;
        assert!(matches!(other, Err(OpenError::OtherSettings { .. })));
        drop(lasting);
        topic.publish(2).await.unwrap();
        until(&group, |stats| stats.acked == 2).await;
        assert_eq!(topic.stats().await.unwrap().groups, 2);
        assert_eq!(group.delete().await.unwrap().settled, 2);
    });
}

#[test]
fn a_shutdown_finds_it_gone_or_stops_it() {
    every::seed(100, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let stream = topic.group("g").ephemeral().stream().await.unwrap();
        topic.publish(1).await.unwrap();
        let drops = every::spawn("drop", async move { drop(stream) });
        for _ in 0..sim.random() % 4 {
            yield_now().await;
        }
        let report = broker.shutdown_within(millis(5)).await;
        drops.await;
        assert!(report.lost() <= 1 && report.topics.len() == 2, "{report:?}");
        assert_eq!(broker.shutdown().await, report);
    });
}

/// Streams come and go by chance. Whoever opened one is handed what is published from then on: the group neither ends
/// while it is there, nor is found in the middle of its end.
#[test]
fn whoever_opens_it_gets_a_group_that_lives() {
    every::seed(150, |_| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").capacity(64).open().await.unwrap();
        let mut onlookers = Vec::new();
        for _ in 0..4 {
            let topic = topic.clone();
            onlookers.push(every::spawn("onlooker", async move {
                for n in 0..6 {
                    let mut stream = topic.group("g").ephemeral().stream().await.unwrap();
                    topic.publish(n).await.unwrap();
                    // Its own message may be another onlooker's, who publishes too: somebody hands on what he leaves.
                    if n % 3 != 0 {
                        let got = futures::FutureExt::now_or_never(stream.next());
                        assert!(!matches!(got, Some(None)), "the stream has ended");
                    }
                    yield_now().await;
                }
            }));
        }
        for onlooker in onlookers {
            onlooker.await;
        }
        until_groups(&topic, 0).await;
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}
