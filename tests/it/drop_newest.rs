//! Does a topic that drops what comes when it is full say so at once, count it, and stop nobody by it? (G3, G11)

use std::task::Poll;

use callboard::broker::{PublishError, RedriveError};
use callboard::prelude::*;
use futures::{SinkExt as _, StreamExt as _};

use crate::every;
use crate::kit::{poll_once, stays_pending, until, yield_now};

async fn lossy(broker: &Broker, name: &str, capacity: usize) -> Topic<u64> {
    broker.topic::<u64>(name).capacity(capacity).overflow(Overflow::DropNewest).open().await.unwrap()
}

#[test]
fn what_finds_no_room_is_dropped_at_once_given_back_and_counted() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = lossy(&broker, "t", 2).await;
        topic.publish_all([0, 1]).await.unwrap();
        let mut publish = Box::pin(topic.publish(2));
        let Poll::Ready(Err(error)) = poll_once(&mut publish).await else { panic!("it waits") };
        assert_eq!(error.to_string(), "dropped: the topic is full");
        assert_eq!((error.kind(), error.into_inner()), (ErrorKind::Dropped, 2));
        assert!(matches!(topic.try_publish(3), Err(PublishError::Dropped(3))));
        assert!(matches!(topic.message(4).header("a", "b").publish().await, Err(PublishError::Dropped(4))));
        assert_eq!(topic.publish(5).await.unless_dropped().unwrap(), None);
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled, stats.dropped_newest), (2, 2, 4));

        let mut stream = topic.group("g").stream().await.unwrap();
        stream.next().await.unwrap().ack().unwrap();
        while topic.stats().await.unwrap().unsettled > 1 {
            yield_now().await;
        }
        let error = topic.publish_all([6, 7, 8]).await.unwrap_err();
        assert_eq!((error.accepted.len(), &*error.rest, error.kind), (1, &[7, 8][..], ErrorKind::Dropped));
        assert_eq!(topic.stats().await.unwrap().dropped_newest, 6, "all that came back is counted");
        broker.shutdown_within(std::time::Duration::ZERO).await;
        assert!(matches!(topic.publish(9).await, Err(PublishError::Closed(9))));
    });
}

#[test]
fn a_handler_that_says_unless_dropped_goes_on_and_one_that_does_not_drops_its_input() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let samples = lossy(&broker, "samples", 1).await;
        let orders = broker.topic::<u64>("orders").open().await.unwrap();
        let careful = async |n: Message<u64>, samples: Topic<u64>| {
            samples.publish(*n).await.unless_dropped()?;
            Ok(())
        };
        let careful = orders.group("careful").with(samples.clone()).run(careful).await.unwrap();
        let hasty = async |n: Message<u64>, samples: Topic<u64>| {
            samples.publish(*n).await?;
            Ok(())
        };
        samples.publish(0).await.unwrap();
        let hasty = orders.group("hasty").with(samples.clone()).run(hasty).await.unwrap();
        orders.publish_all(1..=3).await.unwrap();
        orders.settled().await.unwrap();
        let stats = careful.stats().await.unwrap();
        assert_eq!((stats.acked, stats.dropped, stats.failures), (3, 0, 0));
        let stats = hasty.stats().await.unwrap();
        assert_eq!((stats.acked, stats.dropped, stats.failures, stats.redeliveries), (0, 3, 0, 0));
        assert_eq!((stats.dead_lettered, stats.no_room), (0, 0), "neither given up nor tried for ever");
        assert_eq!(samples.stats().await.unwrap().dropped_newest, 6);
    });
}

#[test]
fn a_sink_waits_since_it_asked_for_room() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = lossy(&broker, "t", 1).await;
        let mut sink = topic.sink();
        sink.send(0).await.unwrap();
        let mut send = Box::pin(sink.send(1));
        assert!(stays_pending(&mut send, 3).await);
        let mut stream = topic.group("g").stream().await.unwrap();
        stream.next().await.unwrap().ack().unwrap();
        send.await.unwrap();
        assert_eq!(topic.stats().await.unwrap().dropped_newest, 0);
    });
}

/// G11.
#[test]
fn dead_letters_and_redrives_are_never_dropped() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let dead = broker.topic::<DeadLetter>("t.g.dead").capacity(1).overflow(Overflow::DropNewest);
        let dead = dead.open().await.unwrap();
        let topic = lossy(&broker, "t", 2).await;
        let handle = |n: &Message<u64>| match **n > 0 && n.redrives() == 0 {
            true => Err(Fault::new("not today")),
            false => Ok(()),
        };
        let group = topic.group("g").retry(Retry::none()).run_fn(handle);
        let group = group.await.unwrap();
        topic.publish_all([1, 2]).await.unwrap();
        until(&group, |stats| (stats.dead_lettered, stats.parked) == (1, 1)).await;
        let mut letters = dead.group("clerk").stream().await.unwrap();
        let letter = letters.next().await.unwrap();
        topic.hold();
        while topic.publish(0).await.unless_dropped().unwrap().is_some() {}
        assert_eq!(letter.redrive().await, Err(RedriveError::Full), "and it can be tried again");
        topic.release();
        letter.ack().unwrap();
        letters.next().await.unwrap().ack().unwrap();
        until(&group, |stats| (stats.parked, stats.dead_lettered) == (0, 2)).await;
        assert_eq!(dead.stats().await.unwrap().dropped_newest, 0);
    });
}
