//! Does a topic's sink wait if and only if the topic is full, and end without closing it? (G3, G16)

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use callboard::broker::{PublishError, TopicSink};
use callboard::prelude::*;
use futures::{Sink, SinkExt as _, StreamExt as _, stream};

use crate::every;
use crate::kit::{Woken, fill, until, yield_now};

type Ready = Poll<Result<(), PublishError<Option<u64>>>>;

fn poll_ready(sink: &mut TopicSink<u64>, waker: &Waker) -> Ready {
    Pin::new(sink).poll_ready(&mut Context::from_waker(waker))
}

/// Polls until it sleeps for good: a first look at a full topic is followed by a second one.
async fn sleeps(sink: &mut TopicSink<u64>, woken: &Woken, waker: &Waker) -> bool {
    loop {
        let before = woken.times();
        if poll_ready(sink, waker).is_ready() {
            return false;
        }
        yield_now().await;
        if woken.times() == before {
            return true;
        }
    }
}

async fn topic_of(capacity: usize) -> (Broker, Topic<u64>) {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>("t").capacity(capacity).open().await.unwrap();
    (broker, topic)
}

#[test]
fn a_sink_is_ready_while_there_is_room_and_is_woken_when_there_is_again() {
    every::runtime(|| async {
        for capacity in [1, 2, 7] {
            let (_broker, topic) = topic_of(capacity).await;
            let (woken, waker) = Woken::waker();
            let mut sink = topic.sink();
            for n in 0..capacity as u64 {
                assert!(matches!(poll_ready(&mut sink, &waker), Poll::Ready(Ok(()))));
                Pin::new(&mut sink).start_send(n).unwrap();
            }
            assert!(sleeps(&mut sink, &woken, &waker).await);
            let before = woken.times();
            let mut stream = topic.group("g").stream().await.unwrap();
            stream.next().await.unwrap().ack().unwrap();
            while woken.times() == before {
                yield_now().await;
            }
            assert!(matches!(poll_ready(&mut sink, &waker), Poll::Ready(Ok(()))));
        }
    });
}

#[test]
fn a_ready_sink_keeps_its_place_until_it_is_filled_closed_or_dropped() {
    every::runtime(|| async {
        let (_broker, topic) = topic_of(2).await;
        let waker = Waker::noop();
        let mut sink = topic.sink();
        assert!(poll_ready(&mut sink, waker).is_ready() && poll_ready(&mut sink, waker).is_ready());
        topic.publish(0).await.unwrap();
        assert_eq!(fill(&topic), 0, "one place is kept, once");
        assert_eq!(topic.stats().await.unwrap().unsettled, 1, "and holds no message");
        Pin::new(&mut sink).start_send(1).unwrap();
        assert!(Pin::new(&mut sink).poll_flush(&mut Context::from_waker(waker)).is_ready());

        let mut stream = topic.group("g").stream().await.unwrap();
        for expected in [0, 1] {
            let delivery = stream.next().await.unwrap();
            assert_eq!(**delivery, expected);
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert!(poll_ready(&mut sink, waker).is_ready());
        sink.close().await.unwrap();
        assert_eq!(fill(&topic), 2, "closing gives the place back, and leaves the topic open");
    });
}

#[test]
fn a_sink_that_is_dropped_in_line_or_ready_lets_the_next_one_in() {
    every::runtime(|| async {
        let (_broker, topic) = topic_of(1).await;
        let waker = Waker::noop();
        let (mut one, mut two, mut three) = (topic.sink(), topic.sink(), topic.sink());
        assert!(poll_ready(&mut one, waker).is_ready());
        for sink in [&mut two, &mut three] {
            assert!(poll_ready(sink, waker).is_pending() && poll_ready(sink, waker).is_pending());
        }
        drop(two);
        drop(one);
        three.send(7).await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        assert_eq!(**stream.next().await.unwrap(), 7);
    });
}

#[test]
fn a_stream_is_forwarded_through_a_small_topic_which_stays_open() {
    every::runtime(|| async {
        let (broker, topic) = topic_of(4).await;
        let group = topic.group("g").consumers(2).run_fn(|_| Ok(())).await.unwrap();
        for round in 1..=3 {
            stream::iter(0..100).map(Ok).forward(topic.sink()).await.unwrap();
            until(&group, |stats| stats.acked == round * 100).await;
        }
        let length =
            |text: &'static str| std::future::ready(Ok::<u64, PublishError<Option<u64>>>(text.len() as u64));
        let mut sink = topic.sink().with(length);
        sink.send("five!").await.unwrap();
        assert_eq!(broker.shutdown().await.group("t", "g").unwrap().settled, 301);
        assert!(matches!(sink.send("late").await, Err(PublishError::Closed(None))));
    });
}

#[test]
fn a_sink_waits_though_the_topic_rejects() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(1).overflow(Overflow::Reject).open().await.unwrap();
        let mut sink = topic.sink();
        sink.send(0).await.unwrap();
        let (woken, waker) = Woken::waker();
        assert!(sleeps(&mut sink, &woken, &waker).await);
    });
}

#[test]
fn a_send_that_was_not_ready_is_refused_and_gives_the_message_back() {
    every::runtime(|| async {
        let (broker, topic) = topic_of(1).await;
        let mut sink = topic.sink();
        assert!(matches!(Pin::new(&mut sink).start_send(1), Err(PublishError::Full(Some(1)))));
        assert!(poll_ready(&mut sink, Waker::noop()).is_ready());
        broker.shutdown().await;
        assert!(matches!(Pin::new(&mut sink).start_send(2), Err(PublishError::Closed(Some(2)))));
        assert!(matches!(Pin::new(&mut sink).start_send(3), Err(PublishError::Closed(Some(3)))));
        sink.close().await.unwrap();
    });
}
