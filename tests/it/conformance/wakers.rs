//! What the Rust side of Reactive Streams asks: has each `Pending` registered the waker that it was given, also where
//! it is another one than before, as when a future moves from one task to another? (G16, G17, G23)

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use callboard::broker::{Closed, DeliveryStream, PublishError};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::{Sink, StreamExt as _};

use super::kit::{next, value};
use crate::every;
use crate::kit::{Woken, yield_now};

/// Lets happen what can; under a seed, all of it.
async fn settle() {
    match Sim::current() {
        Some(sim) => sim.settle().await,
        None => yield_now().await,
    }
}

/// Waits until this waker was woken.
async fn wakes(woken: &Woken, what: &str) {
    settle().await;
    while woken.times() == 0 {
        // There is nothing else that could happen.
        assert!(Sim::current().is_none(), "{what}: the waker of the last poll is not woken");
        yield_now().await;
    }
}

/// Polls `future` with a new waker each time, and only once the last one was woken. Until `cause` it sleeps.
async fn wakes_at<F: Future>(what: &str, future: F, cause: impl Future<Output = ()>) -> F::Output {
    let mut future = pin!(future);
    let mut poll = || {
        let (woken, waker) = Woken::waker();
        (future.as_mut().poll(&mut Context::from_waker(&waker)), woken)
    };
    // Why three: the first of them may ask for a second look, and the last one replaces a waker that is not woken.
    let mut last = Arc::default();
    for _ in 0..3 {
        let (polled, woken) = poll();
        assert!(polled.is_pending(), "{what}: nothing has happened");
        settle().await;
        last = woken;
    }
    assert!(Sim::current().is_none() || last.times() == 0, "{what}: it is woken for nothing");
    cause.await;
    loop {
        wakes(&last, what).await;
        match poll() {
            (Poll::Ready(output), _) => return output,
            (Poll::Pending, woken) => last = woken,
        }
    }
}

/// The same of a future whose cause is on its way: whoever it asked answers.
async fn is_answered<F: Future>(what: &str, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let (woken, waker) = Woken::waker();
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        wakes(&woken, what).await;
    }
}

/// A topic that is full, and a reader who holds one message and may hold no other.
struct Scene {
    broker: Broker,
    topic: Topic<u64>,
    stream: DeliveryStream<u64>,
    held: Delivery<u64>,
}

async fn scene() -> Scene {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, "numbers").capacity(2).open().await.unwrap();
    let mut stream = topic.group("g").prefetch(1).stream().await.unwrap();
    topic.publish_all([0, 1]).await.unwrap();
    let held = next(&mut stream).await;
    Scene { broker, topic, stream, held }
}

async fn ack(delivery: Delivery<u64>) {
    delivery.ack().unwrap();
}

async fn ack_both(held: Delivery<u64>, stream: &mut DeliveryStream<u64>) {
    held.ack().unwrap();
    next(stream).await.ack().unwrap();
}

async fn end(broker: &Broker) {
    assert_eq!(broker.shutdown_within(Duration::ZERO).await.lost(), 2);
}

/// Waits for room, as `feed` does first.
async fn ready(topic: &Topic<u64>) -> Result<(), PublishError<Option<u64>>> {
    let mut sink = topic.sink();
    poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx)).await
}

#[test]
fn whoever_waits_for_room_a_message_or_quiet_is_woken_by_the_waker_of_the_last_poll() {
    every::memory_and_disk(|| async {
        let Scene { broker: _broker, topic, held, .. } = scene().await;
        wakes_at("a publish", topic.publish(2), ack(held)).await.unwrap();
        let Scene { broker: _broker, topic, held, .. } = scene().await;
        wakes_at("a publish of many", topic.publish_all([2]), ack(held)).await.unwrap();
        let Scene { broker: _broker, topic, held, .. } = scene().await;
        wakes_at("a sink", ready(&topic), ack(held)).await.unwrap();
        let Scene { broker: _broker, mut stream, held, .. } = scene().await;
        let second = wakes_at("a stream", stream.next(), ack(held)).await;
        assert_eq!(value(&second.unwrap()), (1, 1));
        let Scene { broker: _broker, topic, mut stream, held } = scene().await;
        wakes_at("a topic's quiet", topic.settled(), ack_both(held, &mut stream)).await.unwrap();
        let Scene { broker, mut stream, held, .. } = scene().await;
        wakes_at("a broker's quiet", broker.idle(), ack_both(held, &mut stream)).await.unwrap();
        let Scene { broker, mut stream, held, .. } = scene().await;
        let report = wakes_at("a shutdown", broker.shutdown(), ack_both(held, &mut stream)).await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
    });
}

#[test]
fn whoever_waits_when_the_end_comes_is_woken_by_the_waker_of_the_last_poll() {
    every::runtime(|| async {
        let Scene { broker, topic, .. } = &scene().await;
        let refused = wakes_at("a publish", topic.publish(2), end(broker)).await;
        assert!(matches!(refused, Err(PublishError::Closed(2))));
        let Scene { broker, topic, .. } = &scene().await;
        let refused = wakes_at("a publish of many", topic.publish_all([2, 3]), end(broker)).await;
        assert_eq!(refused.unwrap_err().rest, [2, 3]);
        let Scene { broker, topic, .. } = &scene().await;
        let refused = wakes_at("a sink", ready(topic), end(broker)).await;
        assert!(matches!(refused, Err(PublishError::Closed(None))));
        let Scene { broker, mut stream, held: _held, .. } = scene().await;
        assert!(wakes_at("a stream", stream.next(), end(&broker)).await.is_none());
        let Scene { broker, topic, .. } = &scene().await;
        assert_eq!(wakes_at("a topic's quiet", topic.settled(), end(broker)).await, Err(Closed));
        let Scene { broker, .. } = &scene().await;
        assert_eq!(wakes_at("a broker's quiet", broker.idle(), end(broker)).await, Err(Closed));
    });
}

#[test]
fn whoever_asks_the_broker_is_woken_by_the_waker_of_the_last_poll() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = is_answered("a topic", crate::disk::topic(&broker, "numbers").open()).await.unwrap();
        let group = is_answered("a group", topic.group("g").run_fn(|_| Ok(()))).await.unwrap();
        let stream = is_answered("a stream", topic.group("s").stream()).await.unwrap();
        is_answered("a publish", topic.publish(0)).await.unwrap();
        is_answered("a topic's counts", topic.stats()).await.unwrap();
        is_answered("a group's counts", group.stats()).await.unwrap();
        is_answered("its consumers' counts", group.consumer_stats()).await.unwrap();
        assert_eq!(is_answered("a redrive", group.redrive()).await.unwrap(), 0);
        drop(stream);
        is_answered("a topic's quiet", topic.settled()).await.unwrap();
        let report = is_answered("a group's end", group.delete()).await.unwrap();
        assert_eq!((report.settled, report.lost), (1, 0));
        let report = is_answered("a topic's end", topic.delete()).await.unwrap();
        assert_eq!(report.groups.iter().map(|group| group.lost).sum::<u64>(), 1, "the dropped stream's");
        assert_eq!(is_answered("a shutdown", broker.shutdown()).await.lost(), 0);
    });
}

#[test]
fn whoever_gives_up_waiting_is_woken_by_the_waker_of_the_last_poll() {
    every::seed(20, |sim| async move {
        let broker = crate::disk::broker().await;
        let limit = Duration::from_secs(2);
        let overflow = Overflow::Wait { timeout: Some(limit) };
        let topic = crate::disk::topic(&broker, "t").capacity(1).overflow(overflow).open().await.unwrap();
        topic.publish(0).await.unwrap();
        let late = wakes_at("a publish", topic.publish(1), sim.sleep(limit * 2)).await;
        assert!(matches!(late, Err(PublishError::TimedOut(1))));
        let late = wakes_at("a publish of many", topic.publish_all([1, 2]), sim.sleep(limit * 2)).await;
        assert_eq!((late.unwrap_err().kind), ErrorKind::Full);
        // Also the one who is next in line, and has waited behind the other.
        let mut first = Box::pin(topic.publish(1));
        assert!(crate::kit::poll_once(&mut first).await.is_pending());
        let mut stream = topic.group("g").prefetch(1).stream().await.unwrap();
        let held = next(&mut stream).await;
        let give_up = async {
            drop(first);
            held.ack().unwrap();
        };
        wakes_at("the one behind", topic.publish(2), give_up).await.unwrap();
    });
}
