//! Does a limit in bytes hold at every instant, in one line with the places, whatever becomes of a message? (G2, G15, G16)

use callboard::broker::{InvalidMessage, OpenError, PublishError, TopicStats};
use callboard::prelude::*;
use futures::{SinkExt as _, StreamExt as _};

use crate::every;
use crate::kit::{poll_once, stays_pending, until, yield_now};

/// Each message is as large as it says.
async fn topic_of(broker: &Broker, limit: usize) -> Topic<u64> {
    broker.topic::<u64>("t").capacity(64).capacity_bytes(limit, |n| *n as usize).open().await.unwrap()
}

async fn bytes(topic: &Topic<u64>) -> u64 {
    topic.stats().await.unwrap().bytes
}

async fn until_topic<T: Send + Sync + 'static>(topic: &Topic<T>, wanted: impl Fn(&TopicStats) -> bool) {
    while !wanted(&topic.stats().await.unwrap()) {
        yield_now().await;
    }
}

#[test]
fn publishers_wait_for_bytes_in_turn_and_a_small_message_overtakes_no_large_one() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = topic_of(&broker, 100).await;
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish_all([60, 30]).await.unwrap();
        let mut large = Box::pin(topic.publish(50));
        assert!(stays_pending(&mut large, 3).await);
        let mut small = Box::pin(topic.publish(1));
        assert!(stays_pending(&mut small, 3).await, "it would fit, and comes after one that does not");
        assert!(matches!(topic.try_publish(0), Err(PublishError::Full(0))));
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.bytes, stats.capacity_bytes, stats.waiting_publishers), (90, Some(100), 2));
        // Whatever else there is, 30 bytes are not enough.
        let (first, second) = (stream.next().await.unwrap(), stream.next().await.unwrap());
        second.ack().unwrap();
        until_topic(&topic, |stats| stats.bytes == 60).await;
        assert!(stays_pending(&mut large, 3).await);
        first.ack().unwrap();
        let ids = (large.await.unwrap(), small.await.unwrap());
        assert!(ids.0 < ids.1);
        assert_eq!(bytes(&topic).await, 51);
    });
}

#[test]
fn many_publishers_never_exceed_the_limit_and_all_of_it_is_free_in_the_end() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = topic_of(&broker, 20).await;
        let group = topic.group("g").consumers(2).run(async |_| Ok(())).await.unwrap();
        let publishers: Vec<_> = (0..4_u64)
            .map(|publisher| {
                let topic = topic.clone();
                every::spawn("publisher", async move {
                    for n in 0..25 {
                        topic.publish((publisher * 7 + n * 5) % 21).await.unwrap();
                    }
                })
            })
            .collect();
        let all = futures::future::join_all(publishers);
        let mut all = Box::pin(all);
        while poll_once(&mut all).await.is_pending() {
            let stats = topic.stats().await.unwrap();
            assert!(stats.bytes <= 20, "{stats:?}");
            yield_now().await;
        }
        topic.settled().await.unwrap();
        assert_eq!((bytes(&topic).await, group.stats().await.unwrap().acked), (0, 100));
        topic.try_publish(20).unwrap();
    });
}

/// G15.
#[test]
fn what_is_larger_than_the_limit_or_cannot_be_weighed_is_refused_at_the_door() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let size = |n: &u64| {
            assert_ne!(*n, 13, "thirteen has no size");
            *n as usize
        };
        let topic = broker.topic::<u64>("t").capacity_bytes(100, size).open().await.unwrap();
        let error = topic.publish(101).await.unwrap_err();
        assert_eq!(error.to_string(), "not published: it has 101 bytes, and the topic may hold 100");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let headed = topic.message(97).header("ab", "cd").try_publish().unwrap_err();
        let too_large = InvalidMessage::TooLarge { bytes: 101, limit: 100 };
        assert!(matches!(headed, PublishError::Invalid(97, why) if why == too_large), "headers count");
        let error = topic.try_publish(13).unwrap_err();
        assert!(matches!(error, PublishError::Invalid(13, InvalidMessage::WeigherPanicked)));
        let error = topic.sink().send(200).await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(Some(200), _)));
        let error = topic.publish_all([50, 101, 1]).await.unwrap_err();
        assert_eq!((error.accepted.len(), error.rest, error.kind), (1, vec![101, 1], ErrorKind::Invalid));
        topic.message(46).header("ab", "cd").publish().await.unwrap();
        assert_eq!(bytes(&topic).await, 100);

        for limit in [0, usize::MAX] {
            let bad = broker.topic::<u64>("bad").capacity_bytes(limit, size).open().await.unwrap_err();
            assert!(matches!(bad, OpenError::Settings { .. }), "{bad}");
        }
    });
}

#[test]
fn bytes_come_back_with_their_places_when_a_group_is_deleted_or_skips_or_settles() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = topic_of(&broker, 100).await;
        let slow =
            topic.group("slow").consumers(1).run(async |_| std::future::pending().await).await.unwrap();
        let fast = topic.group("fast").run(async |_| Ok(())).await.unwrap();
        topic.publish_all([10, 20, 30]).await.unwrap();
        until(&fast, |stats| stats.acked == 3).await;
        assert_eq!(bytes(&topic).await, 60, "one group has settled nothing");
        let mut waiting = Box::pin(topic.publish(90));
        assert!(stays_pending(&mut waiting, 3).await);
        slow.delete().await.unwrap();
        waiting.await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(bytes(&topic).await, 0);
        fast.delete().await.unwrap();
        topic.publish_all([10, 20]).await.unwrap();
        let _latest = topic.group("latest").start_at(Start::Latest).stream().await.unwrap();
        assert_eq!(bytes(&topic).await, 0, "what no group wants weighs nothing");
    });
}

/// G11.
#[test]
fn dead_letters_weigh_in_their_own_topic_and_what_goes_back_weighs_in_the_first_again() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let size = |letter: &DeadLetter| {
            let n = *letter.message::<u64>().unwrap();
            assert_ne!(n, 13, "thirteen has no size");
            n as usize
        };
        let dead = broker.topic::<DeadLetter>("t.g.dead").capacity_bytes(50, size).open().await.unwrap();
        let topic = topic_of(&broker, 100).await;
        let group = topic.group("g").retry(Retry::none());
        let handle = |n: &Message<u64>| match n.redrives() == 0 && **n != 70 {
            true => Err(Fault::new("not today")),
            false => Ok(()),
        };
        let group = group.run_fn(handle).await.unwrap();
        // The third does not fit beside the first two, and the last can't be weighed.
        topic.publish_all([20, 30, 37]).await.unwrap();
        topic.publish(13).await.unwrap();
        until(&group, |stats| (stats.dead_lettered, stats.parked) == (2, 2)).await;
        topic.stats().await.unwrap();
        until_topic(&dead, |stats| stats.bytes == 50).await;
        assert_eq!(bytes(&topic).await, 50, "what is parked holds its bytes");
        let mut letters = dead.group("clerk").stream().await.unwrap();
        let [first, second] = [letters.next().await.unwrap(), letters.next().await.unwrap()];
        first.redrive().await.unwrap();
        first.ack().unwrap();
        second.ack().unwrap();
        let third = letters.next().await.unwrap();
        assert_eq!(*third.message::<u64>().unwrap(), 37);
        until(&group, |stats| stats.acked == 1).await;
        until_topic(&topic, |stats| stats.bytes <= 13).await;
        // Its way back needs 37 bytes, in line with those who publish.
        topic.hold();
        topic.publish(70).await.unwrap();
        let mut back = Box::pin(third.redrive());
        assert!(stays_pending(&mut back, 3).await);
        topic.release();
        back.await.unwrap();
        third.ack().unwrap();
        let last = letters.next().await.unwrap();
        assert_eq!((*last.message::<u64>().unwrap(), dead.stats().await.unwrap().bytes), (13, 50), "alone");
        last.ack().unwrap();
        topic.settled().await.unwrap();
        until_topic(&dead, |stats| stats.bytes == 0).await;
        assert_eq!(bytes(&topic).await, 0);
    });
}

/// G16.
#[test]
fn a_sink_takes_one_message_and_is_ready_again_once_that_is_in_the_topic() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = topic_of(&broker, 100).await;
        let mut stream = topic.group("g").stream().await.unwrap();
        let mut sink = topic.sink();
        sink.feed(60).await.unwrap();
        assert_eq!(bytes(&topic).await, 60, "at once, where there is room");
        sink.feed(50).await.unwrap();
        assert_eq!(bytes(&topic).await, 60, "it waits in the sink");
        let mut flush = Box::pin(sink.flush());
        assert!(stays_pending(&mut flush, 3).await);
        drop(flush);
        let mut next = Box::pin(sink.feed(1));
        assert!(stays_pending(&mut next, 3).await);
        stream.next().await.unwrap().ack().unwrap();
        next.await.unwrap();
        sink.close().await.unwrap();
        assert_eq!(bytes(&topic).await, 51);
        // A sink that is dropped drops what waits in it, and loses no bytes.
        sink.feed(70).await.unwrap();
        assert!(stays_pending(&mut Box::pin(sink.flush()), 3).await);
        drop(sink);
        topic.try_publish(49).unwrap();
        let mut sink = topic.sink();
        sink.feed(5).await.unwrap();
        broker.shutdown_within(std::time::Duration::ZERO).await;
        let error = sink.flush().await.unwrap_err();
        assert!(matches!(error, PublishError::Closed(Some(5))), "it gives back what was not accepted");
    });
}
