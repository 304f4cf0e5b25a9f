//! May every future of the broker be dropped at any await, without a message, a place or a wake-up lost? (G1, G16)

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::Poll;

use callboard::prelude::*;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};

use crate::every;
use crate::kit::{Valve, fill, poll_once, stays_pending, until, valved, yield_now};

/// After how many polls a future is dropped.
const POLLS: std::ops::RangeInclusive<usize> = 0..=5;

/// A publish of some kind; answers whether its messages were accepted.
type Publish = Pin<Box<dyn Future<Output = bool> + Send>>;

/// One way to publish the messages from 10 on.
type Way = fn(Topic<u64>) -> Publish;

/// Ways to publish, and how many messages each of them does.
const WAYS: [(Way, u64); 4] = [
    (|topic| Box::pin(async move { topic.publish(10).await.is_ok() }), 1),
    (|topic| Box::pin(async move { topic.publish_all([10, 11, 12]).await.is_ok() }), 3),
    (|topic| Box::pin(async move { topic.sink().send(10).await.is_ok() }), 1),
    (
        |topic| {
            let mut sink = topic.sink();
            let mut messages = futures::stream::iter([10, 11].map(Ok));
            Box::pin(async move { sink.send_all(&mut messages).await.is_ok() })
        },
        2,
    ),
];

/// Polls `future` up to `times` times; `Some` if it ended.
async fn some_polls<F: Future + Unpin>(future: &mut F, times: usize) -> Option<F::Output> {
    for _ in 0..times {
        if let Poll::Ready(output) = poll_once(future).await {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

#[test]
fn a_publish_that_is_dropped_was_not_accepted_and_lets_the_next_one_in() {
    every::runtime(|| async {
        for ((publish, messages), before) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
            for polls in POLLS {
                let broker = Broker::start().unwrap();
                let overflow = Overflow::Wait { timeout: Some(std::time::Duration::from_secs(600)) };
                let topic = broker.topic::<u64>("t").capacity(2).overflow(overflow).open().await.unwrap();
                let valve = Valve::shut();
                let group = valved(&topic, "g", &valve).await;
                topic.publish_all([0, 1]).await.unwrap();
                let mut dropped = publish(topic.clone());
                assert_eq!(some_polls(&mut dropped, polls).await, None);
                let mut behind = Box::pin(topic.publish(20));
                assert!(stays_pending(&mut behind, 2).await);
                // The place becomes free before, or after, the one in front leaves the line.
                if before {
                    valve.let_through(1);
                    until(&group, |stats| stats.acked == 1).await;
                    topic.stats().await.unwrap();
                }
                drop(dropped);
                valve.open();
                behind.await.unwrap();
                topic.settled().await.unwrap();
                assert_eq!(valve.heard(), [0, 1, 20], "{messages} after {polls} polls");
                topic.hold();
                assert_eq!(fill(&topic), 2);
            }
        }
    });
}

#[test]
fn a_publish_dropped_while_places_come_free_is_accepted_in_part_and_in_order_or_not_at_all() {
    every::seed(25, |_| async {
        for (publish, messages) in WAYS {
            for polls in POLLS {
                let broker = Broker::start().unwrap();
                let topic = broker.topic::<u64>("t").capacity(2).open().await.unwrap();
                let valve = Valve::shut();
                let group = valved(&topic, "g", &valve).await;
                topic.publish_all([0, 1]).await.unwrap();
                let mut dropped = publish(topic.clone());
                let _ = some_polls(&mut dropped, 1).await;
                let mut behind = every::spawn("behind", {
                    let topic = topic.clone();
                    async move { topic.publish(20).await }
                })
                .boxed();
                valve.open();
                let ended = some_polls(&mut dropped, polls).await;
                drop(dropped);
                assert!((&mut behind).await.is_ok());
                topic.settled().await.unwrap();
                let mut seen = valve.heard();
                seen.retain(|n| *n != 20);
                let all: Vec<u64> = (0..2).chain(10..10 + messages).collect();
                assert!(all.starts_with(&seen), "{seen:?}");
                assert!(seen.len() == all.len() || ended != Some(true), "accepted is kept: {seen:?}");
                assert!(
                    messages > 1 || ended == Some(true) || seen.len() == 2,
                    "what did not say so was not"
                );
                let stats = group.stats().await.unwrap();
                assert_eq!(stats.acked, seen.len() as u64 + 1);
                topic.hold();
                assert_eq!(fill(&topic), 2);
            }
        }
    });
}

#[test]
fn questions_that_are_dropped_leave_nothing_behind() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(2).open().await.unwrap();
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        topic.publish_all([0, 1]).await.unwrap();
        for polls in POLLS {
            some_polls(&mut topic.settled().boxed(), polls).await;
            some_polls(&mut topic.stats().boxed(), polls).await;
            some_polls(&mut group.stats().boxed(), polls).await;
            some_polls(&mut broker.idle().boxed(), polls).await;
            some_polls(&mut broker.topic::<u64>("t").open().boxed(), polls).await;
            some_polls(&mut broker.topic::<u64>("u").open().boxed(), polls).await;
        }
        valve.open();
        topic.settled().await.unwrap();
        broker.idle().await.unwrap();
        assert_eq!((group.stats().await.unwrap().acked, topic.stats().await.unwrap().unsettled), (2, 0));
        assert_eq!(broker.topics().len(), 3);
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn a_group_whose_opening_is_dropped_is_there_with_its_consumers_or_not_at_all() {
    every::runtime(|| async {
        for polls in POLLS {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").open().await.unwrap();
            let mut run = topic.group("g").consumers(2).run_fn(|_| Ok(())).boxed();
            some_polls(&mut run, polls).await;
            drop(run);
            assert_eq!(broker.topics().len(), 1 + usize::from(polls > 0));
            topic.publish(7).await.unwrap();
            // Not by `settled`: the group may not have its consumers yet.
            while polls > 0 && topic.stats().await.unwrap().unsettled > 0 {}
            let stats = topic.stats().await.unwrap();
            let opened = u64::from(polls > 0);
            assert_eq!((stats.groups as u64, stats.unsettled), (opened, 1 - opened), "after {polls} polls");
            assert_eq!(broker.shutdown().await.lost(), 1 - opened);
        }
    });
}

#[test]
fn a_stream_whose_opening_is_dropped_leaves_no_consumer() {
    every::runtime(|| async {
        for polls in POLLS {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").open().await.unwrap();
            let mut open = topic.group("g").stream().boxed();
            let opened = some_polls(&mut open, polls).await.is_some();
            drop(open);
            topic.publish(7).await.unwrap();
            // Nobody is there to settle it, so nobody waits for it.
            topic.settled().await.unwrap();
            let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
            topic.settled().await.unwrap();
            let stats = until(&group, |stats| stats.consumers == 1).await;
            assert_eq!((stats.acked, stats.failures), (1, 0), "after {polls} polls, {opened}");
        }
    });
}

#[test]
fn a_next_that_is_dropped_loses_no_message() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(3).open().await.unwrap();
        let mut stream = topic.group("g").prefetch(2).stream().await.unwrap();
        let publisher = topic.clone();
        let all = every::spawn("publisher", async move { publisher.publish_all(0..100).await });
        let (mut seen, mut polls) = (BTreeSet::new(), 0);
        while seen.len() < 100 {
            polls = (polls + 1) % 4;
            if let Some(delivery) = some_polls(&mut stream.next(), polls).await {
                let delivery = delivery.unwrap();
                assert_eq!(delivery.attempt(), 1);
                assert!(seen.insert(**delivery), "twice: {}", **delivery);
                delivery.ack().unwrap();
            }
            yield_now().await;
        }
        all.await.unwrap();
        topic.settled().await.unwrap();
    });
}

#[test]
fn a_shutdown_that_is_dropped_goes_on() {
    every::runtime(|| async {
        for polls in 1..=5 {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").open().await.unwrap();
            let valve = Valve::shut();
            valved(&topic, "g", &valve).await;
            topic.publish(1).await.unwrap();
            let mut shutdown = broker.shutdown().boxed();
            assert!(some_polls(&mut shutdown, polls).await.is_none());
            drop(shutdown);
            valve.open();
            while topic.stats().await.is_ok() {}
            let report = broker.shutdown().await;
            assert_eq!((report.lost(), report.timed_out), (0, false));
        }
    });
}

#[test]
fn a_handler_whose_publish_was_dropped_by_its_deadline_leaves_the_line() {
    every::seed(20, |sim| async move {
        let broker = Broker::start().unwrap();
        let full = broker.topic::<u64>("full").capacity(1).open().await.unwrap();
        full.publish(0).await.unwrap();
        let topic = broker.topic::<u64>("in").open().await.unwrap();
        let group = topic.group("g").ack_timeout(std::time::Duration::from_secs(2)).retry(Retry::none());
        // Each publish has a limit of its own; together they are too long.
        let handle = async |n: Message<u64>, full: Topic<u64>| {
            for _ in 0..10 {
                let _ = full.publish(*n).await;
            }
            Ok(())
        };
        let group = group.with(full.clone()).run(handle).await.unwrap();
        topic.publish(1).await.unwrap();
        let began = sim.now();
        topic.settled().await.unwrap();
        assert!(sim.now().since(began) <= std::time::Duration::from_millis(4100));
        assert_eq!(group.stats().await.unwrap().dead_lettered, 1);
        let mut stream = full.group("g").stream().await.unwrap();
        stream.next().await.unwrap().ack().unwrap();
        full.settled().await.unwrap();
        assert_eq!(fill(&full), 1);
        assert_eq!(full.stats().await.unwrap().accepted, 2);
    });
}
