//! Does a shutdown settle what can be settled, wait for nothing else, and count the rest? (G1, G6, G18, G25)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callboard::broker::{OpenError, PublishError};
use callboard::prelude::*;
use futures::{FutureExt as _, SinkExt as _};

use crate::every;
use crate::kit::{Valve, assert_balance, chain, poll_once, secs, stays_pending, until, valved};

#[test]
fn a_shutdown_drains_the_backlog_and_refuses_everybody_else_at_once() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").capacity(10).open().await.unwrap();
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        topic.publish_all(0..10).await.unwrap();
        let mut in_line = Box::pin(topic.publish(10));
        let mut sink_in_line = topic.sink();
        assert!(stays_pending(&mut in_line, 3).await);
        let mut ready = Box::pin(std::future::poll_fn(|cx| {
            futures::Sink::poll_ready(std::pin::Pin::new(&mut sink_in_line), cx)
        }));
        assert!(stays_pending(&mut ready, 3).await);

        let mut shutdown = Box::pin(broker.shutdown());
        assert!(poll_once(&mut shutdown).await.is_pending());
        assert!(matches!(in_line.await, Err(PublishError::Closed(10))), "sent away from the line");
        assert!(matches!(ready.await, Err(PublishError::Closed(None))));
        assert!(matches!(topic.publish(11).await, Err(PublishError::Closed(11))));
        assert!(matches!(topic.try_publish(11), Err(PublishError::Closed(11))));
        assert_eq!(topic.publish_all([1, 2]).await.unwrap_err().rest, [1, 2]);
        assert!(matches!(crate::disk::topic(&broker, "numbers").open().await, Err(OpenError::Closed)));
        assert!(matches!(crate::disk::topic(&broker, "new").open().await, Err(OpenError::Closed)));
        assert!(matches!(topic.group("new").run_fn(|_| Ok(())).await, Err(OpenError::Closed)));
        assert!(group.stats().await.is_ok(), "while it drains, it answers");
        valve.open();
        let report = shutdown.await;
        assert_eq!((report.lost(), report.timed_out), (0, false), "{report:?}");
        assert_eq!(report.group("numbers", "g").unwrap().settled, 10);
        assert_balance(&report);
    });
}

#[test]
fn whoever_stands_in_line_is_woken_and_sent_away_at_once() {
    every::seed(20, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "full").capacity(1).open().await.unwrap();
        valved(&topic, "g", &Valve::shut()).await;
        topic.publish(0).await.unwrap();
        let (one, many, sink) = (topic.clone(), topic.clone(), topic.sink());
        let waiting = [
            every::spawn("one", async move { one.publish(1).await.is_err() }).boxed(),
            every::spawn("many", async move { many.publish_all([2, 3]).await.is_err() }).boxed(),
            every::spawn("sink", async move { { sink }.send(4).await.is_err() }).boxed(),
        ];
        sim.settle().await;
        let mut shutdown = Box::pin(broker.shutdown());
        assert!(poll_once(&mut shutdown).await.is_pending());
        let began = sim.now();
        assert_eq!(futures::future::join_all(waiting).await, [true; 3]);
        assert_eq!(sim.now(), began, "not when the drain is over");
        let report = shutdown.await;
        assert_eq!((report.lost(), report.timed_out), (1, true));
    });
}

#[test]
fn handlers_publish_on_until_nothing_is_left_to_do() {
    every::memory_and_disk(|| async {
        for capacity in [1, 8, 1000] {
            let broker = crate::disk::broker().await;
            let (first, sum) = chain(&broker, capacity).await;
            for n in 1..=20 {
                first.publish(n).await.unwrap();
            }
            let report = broker.shutdown().await;
            assert_eq!((report.lost(), report.timed_out), (0, false), "{report:?}");
            assert_eq!(sum.load(Ordering::Relaxed), 4 * 210);
            assert_eq!(report.group("c", "add").unwrap().settled, 80);
            assert_balance(&report);
        }
    });
}

#[test]
fn idle_is_not_said_before_the_last_handler_of_a_chain_is_through() {
    every::seed(100, |_| async {
        let broker = crate::disk::broker().await;
        let (first, sum) = chain(&broker, 4).await;
        for n in 1..=5 {
            first.publish(n).await.unwrap();
            broker.idle().await.unwrap();
            assert_eq!(sum.load(Ordering::Relaxed), 4 * n * (n + 1) / 2);
        }
    });
}

#[test]
fn a_delayed_retry_ends_within_the_drain() {
    every::seed(20, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let group = topic.group("g").retry(Retry::fixed(secs(9)).max_attempts(3));
        let fails_twice =
            async |n: Message<u64>| if n.attempt() < 3 { Err(Fault::new("not yet")) } else { Ok(()) };
        group.run(fails_twice).await.unwrap();
        topic.publish(1).await.unwrap();
        let began = sim.now();
        let report = broker.shutdown().await;
        let took = sim.now().since(began);
        assert!(took >= secs(18) && took < secs(19), "{took:?}");
        assert_eq!((report.lost(), report.timed_out), (0, false));
        assert!(report.took >= secs(18) && report.took <= took);
    });
}

#[test]
fn at_the_timeout_the_rest_is_released_and_counted_and_never_acked() {
    every::seed(50, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").capacity(64).open().await.unwrap();
        let valve = Valve::shut();
        valved(&topic, "slow", &valve).await;
        topic.group("fast").run_fn(|_| Ok(())).await.unwrap();
        let group = topic.group("bad").retry(Retry::fixed(secs(100)));
        group.run_fn(|_| Err(Fault::new("no"))).await.unwrap();
        topic.publish_all(0..50).await.unwrap();
        valve.let_through(7);
        for _ in 0..8 {
            valve.next().await;
        }
        let began = sim.now();
        let report = broker.shutdown_within(secs(3)).await;
        assert!(report.timed_out);
        assert!((secs(3)..secs(5)).contains(&sim.now().since(began)));
        assert_balance(&report);
        let numbers = |group| {
            let group = report.group("t", group).unwrap();
            (group.settled, group.lost, group.stuck, group.stats.acked)
        };
        assert_eq!(numbers("slow"), (7, 43, 0, 7));
        assert_eq!(numbers("fast"), (50, 0, 0, 50));
        assert_eq!(numbers("bad"), (0, 50, 0, 0));
        assert_eq!(report.lost(), 93);
        let released = |group| report.group("t", group).unwrap().released;
        let held = report.group("t", "slow").unwrap().released;
        assert!(
            (1..=43).contains(&held),
            "one was being handled, some may have waited at the consumer: {held}"
        );
        assert_eq!((released("fast"), released("bad")), (0, 0), "what waits for a retry is with nobody");
    });
}

#[test]
fn what_was_never_handed_out_is_counted_for_each_group() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "held").open().await.unwrap();
        let seen = Arc::new(AtomicU64::new(0));
        for name in ["a", "b"] {
            let count = async |_, seen: Arc<AtomicU64>| {
                seen.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            topic.group(name).with(seen.clone()).run(count).await.unwrap();
        }
        topic.publish_all(0..3).await.unwrap();
        topic.settled().await.unwrap();
        topic.hold();
        topic.publish_all(0..5).await.unwrap();
        let alone = crate::disk::topic(&broker, "without groups").open().await;
        assert!(alone.is_err(), "a name has no white space");
        let alone = crate::disk::topic(&broker, "without-groups").open().await.unwrap();
        alone.publish_all(0..4).await.unwrap();
        let report = broker.shutdown().await;
        assert!(!report.timed_out, "what nobody can settle is not waited for");
        assert_eq!(seen.load(Ordering::Relaxed), 6, "held is held, to the end");
        assert_balance(&report);
        for name in ["a", "b"] {
            let group = report.group("held", name).unwrap();
            assert_eq!((group.settled, group.lost), (3, 5), "{group:?}");
        }
        assert_eq!(report.lost(), 14);
    });
}

#[test]
fn a_shutdown_without_time_counts_everything_wherever_it_was_on_its_way() {
    every::runtime(|| async {
        for messages in [1, 10, 1000] {
            let broker = crate::disk::broker().await;
            let topic = crate::disk::topic(&broker, "t").capacity(1000).open().await.unwrap();
            for name in ["a", "b"] {
                topic.group(name).consumers(2).run_fn(|_| Ok(())).await.unwrap();
            }
            topic.publish_all(0..messages).await.unwrap();
            let report = broker.shutdown_within(Duration::ZERO).await;
            assert_balance(&report);
            for name in ["a", "b"] {
                let group = report.group("t", name).unwrap();
                assert_eq!(group.settled + group.lost, messages, "{report:?}");
            }
            assert_eq!(report.topics.iter().map(|topic| topic.unread).sum::<u64>(), 0);
        }
    });
}

#[test]
fn a_group_nobody_works_for_is_not_waited_for_and_reported_lost() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        drop(topic.group("deserted").stream().await.unwrap());
        topic.group("works").run_fn(|_| Ok(())).await.unwrap();
        topic.publish_all(0..9).await.unwrap();
        topic.settled().await.unwrap();
        broker.idle().await.unwrap();
        let report = broker.shutdown().await;
        assert_balance(&report);
        let lost = |group| report.group("t", group).unwrap().lost;
        assert_eq!((lost("deserted"), lost("works"), report.timed_out), (9, 0, false));
    });
}

#[test]
fn a_failed_group_is_not_waited_for() {
    every::seed(20, |_| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        struct Never;
        impl Consumer<u64> for Never {
            async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
                Ok(Outcome::Ack)
            }
            async fn started(&mut self) -> Result<(), Fault> {
                Err(Fault::new("no connection"))
            }
        }
        topic.group("g").run_with(|| Never).await.unwrap();
        topic.publish_all(0..9).await.unwrap();
        let report = broker.shutdown_within(secs(3600)).await;
        assert!(!report.timed_out);
        assert_eq!(report.group("t", "g").unwrap().lost, 9);
    });
}

#[test]
fn parked_messages_go_on_as_long_as_their_dead_letters_are_read() {
    every::seed(200, |_| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let dead = broker.topic::<DeadLetter>("t.g.dead").capacity(1).open().await.unwrap();
        let read = Arc::new(AtomicU64::new(0));
        let clerk = async |_, read: Arc<AtomicU64>| {
            read.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        dead.group("clerk").with(read.clone()).run(clerk).await.unwrap();
        topic.group("g").retry(Retry::none()).run_fn(|_| Err(Fault::new("no"))).await.unwrap();
        topic.publish_all(0..5).await.unwrap();
        broker.idle().await.unwrap();
        assert_eq!(read.load(Ordering::Relaxed), 5);
        topic.publish_all(0..5).await.unwrap();
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.timed_out), (0, false), "{report:?}");
        assert_eq!(read.load(Ordering::Relaxed), 10);
    });
}

#[test]
fn parked_messages_that_nobody_makes_room_for_are_not_waited_for() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let group = topic.group("g").retry(Retry::none()).dead_letter_capacity(2);
        let group = group.run_fn(|_| Err(Fault::new("no"))).await.unwrap();
        topic.publish_all(0..5).await.unwrap();
        let stats = until(&group, |stats| stats.parked == 3).await;
        assert_eq!(stats.dead_lettered, 2);
        topic.settled().await.unwrap();
        broker.idle().await.unwrap();
        let report = broker.shutdown().await;
        assert_balance(&report);
        let (settled, lost) = report.group("t", "g").map(|group| (group.settled, group.lost)).unwrap();
        assert_eq!((settled, lost, report.lost(), report.timed_out), (2, 3, 5, false));
    });
}
