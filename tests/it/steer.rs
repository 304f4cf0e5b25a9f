//! Does a group that is paused begin nothing, finish what it is at, and go on where it was? What is a drain? (G6, G8,
//! G9, G17, G18, G25)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard::broker::{Blocked, Closed, GroupState, OpenError, WhyBlocked};
use callboard::prelude::*;
use callboard::supervise::{Backoff, Intensity};
use futures::{FutureExt as _, StreamExt as _};

use crate::every;
use crate::kit::{
    Valve, assert_balance, begun, fill, millis, poll_once, secs, stays_pending, until, valved, yield_now,
};
use crate::seen::{Seen, balanced};

pub(crate) async fn topic(capacity: usize) -> (Broker, Topic<u64>) {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>("t").capacity(capacity).open().await.unwrap();
    (broker, topic)
}

#[test]
fn a_paused_group_finishes_what_it_is_at_and_begins_nothing_until_it_is_resumed() {
    every::runtime(|| async {
        let (broker, topic) = topic(100).await;
        let (valve, seen) = (Valve::shut(), Seen::default());
        let group = valved(&topic, "g", &valve).await;
        topic
            .group("other")
            .with(seen.clone())
            .run(async |m, seen: Seen| {
                seen.note(&m);
                Ok(())
            })
            .await
            .unwrap();
        topic.publish_all(0..10).await.unwrap();
        assert_eq!(valve.next().await, 0);
        group.pause().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.state, stats.in_flight, stats.lag), (GroupState::Paused, 1, 10));
        seen.reaches(10).await;
        valve.let_through(5);
        let stats = until(&group, |stats| stats.acked == 1 && stats.in_flight == 0).await;
        assert_eq!((stats.state, stats.unsettled()), (GroupState::Paused, 9));
        assert_eq!(valve.heard(), [0_u64; 0], "the other group went on, this one stands");
        topic.publish_all(10..12).await.unwrap();
        for _ in 0..20 {
            yield_now().await;
        }
        assert_eq!(valve.heard(), [0_u64; 0]);
        group.resume().await.unwrap();
        valve.open();
        group.drain().await.unwrap();
        assert_eq!(valve.heard(), (1..12).collect::<Vec<_>>(), "in order: what was taken back cost nothing");
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.state, stats.acked, stats.redeliveries), (GroupState::Running, 12, 0));
        balanced(stats);
        assert_balance(&broker.shutdown().await);
    });
}

#[test]
fn pausing_and_resuming_twice_is_doing_it_once() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        group.resume().await.unwrap();
        group.pause().await.unwrap();
        group.pause().await.unwrap();
        topic.publish(1).await.unwrap();
        group.resume().await.unwrap();
        group.resume().await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 1);
    });
}

#[test]
fn what_lies_unread_in_a_stream_is_taken_back_and_what_was_read_can_be_acked() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let mut stream = topic.group("g").prefetch(4).stream().await.unwrap();
        let group = topic.find_group("g").unwrap();
        topic.publish_all(0..6).await.unwrap();
        let first = stream.next().await.unwrap();
        until(&group, |stats| stats.in_flight == 4).await;
        group.pause().await.unwrap();
        assert_eq!(group.stats().await.unwrap().in_flight, 1);
        assert!(stream.next().now_or_never().is_none());
        first.ack().unwrap();
        until(&group, |stats| stats.acked == 1 && stats.in_flight == 0).await;
        let mut next = Box::pin(stream.next());
        assert!(stays_pending(&mut next, 5).await);
        group.resume().await.unwrap();
        let second = next.await.unwrap();
        assert_eq!((**second, second.attempt()), (1, 1));
        second.ack().unwrap();
        for n in 2..6 {
            let delivery = stream.next().await.unwrap();
            assert_eq!(**delivery, n);
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().redeliveries, 0);
    });
}

#[test]
fn nobody_waits_for_a_paused_group_once_nothing_of_it_runs() {
    every::runtime(|| async {
        let (broker, topic) = topic(10).await;
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        topic.publish_all(0..3).await.unwrap();
        assert_eq!(valve.next().await, 0);
        group.pause().await.unwrap();
        let mut waits = vec![
            Box::pin(topic.settled()) as std::pin::Pin<Box<dyn Future<Output = Result<(), Closed>> + Send>>,
            Box::pin(group.drain()),
            Box::pin(broker.idle()),
        ];
        for wait in &mut waits {
            assert!(stays_pending(wait, 3).await, "its handler is at a message");
        }
        valve.open();
        for wait in waits {
            wait.await.unwrap();
        }
        let report = broker.shutdown().await;
        let group = report.group("t", "g").unwrap();
        assert_eq!((report.timed_out, group.settled, group.lost, group.released), (false, 1, 2, 0));
    });
}

#[test]
fn consumers_that_join_a_paused_group_wait_too() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let seen = Seen::default();
        let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        group.pause().await.unwrap();
        let open = topic.group("g").consumers(2).with(seen.clone());
        open.run(async |m, seen: Seen| {
            seen.note(&m);
            Ok(())
        })
        .await
        .unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
        assert!(stream.next().now_or_never().is_none());
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.state, stats.consumers, stats.acked), (GroupState::Paused, 4, 0));
        assert!(seen.all().is_empty());
        drop(stream);
        group.resume().await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 1);
    });
}

#[test]
fn a_message_that_fails_while_the_group_is_paused_is_tried_again_after_it() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let valve = Valve::shut();
        let handle = async |m: Message<u64>, valve: Valve| {
            valve.pass(*m).await;
            if m.attempt() == 1 { Err(Fault::new("once")) } else { Ok(()) }
        };
        let group = topic.group("g").retry(Retry::immediately()).with(valve.clone()).run(handle);
        let group = group.await.unwrap();
        topic.publish(7).await.unwrap();
        valve.next().await;
        group.pause().await.unwrap();
        valve.open();
        group.drain().await.unwrap();
        let stats = until(&group, |stats| stats.failures == 1).await;
        assert_eq!((stats.backlog, stats.in_flight), (1, 0));
        group.resume().await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 1);
    });
}

#[test]
fn a_paused_group_that_holds_up_publishers_is_named_with_the_reason() {
    every::seed(5, |sim| async move {
        let (_broker, topic) = topic(2).await;
        let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        group.pause().await.unwrap();
        fill(&topic);
        let mut waiting = Box::pin(topic.publish(3));
        assert!(poll_once(&mut waiting).await.is_pending());
        sim.sleep(secs(6)).await;
        let Some(Blocked { group: Some(name), why, .. }) = topic.stats().await.unwrap().blocked_by else {
            panic!("blocked by a group")
        };
        assert_eq!((name.as_str(), why), ("g", WhyBlocked::Paused));
        group.resume().await.unwrap();
        waiting.await.unwrap();
    });
}

#[test]
fn a_paused_group_can_be_deleted_and_steering_it_then_says_closed() {
    every::runtime(|| async {
        let (broker, topic) = topic(10).await;
        let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        group.pause().await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        let report = group.delete().await.unwrap();
        assert_eq!((report.settled, report.lost), (0, 3));
        assert_eq!(group.pause().await, Err(Closed));
        assert_eq!(group.resume().await, Err(Closed));
        assert_eq!(group.restart().await, Err(Closed));
        assert_eq!(group.drain().await, Err(Closed));
        assert!(matches!(topic.find_group("g"), Err(OpenError::GroupNotFound { .. })));
        let again = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        assert_eq!(again.stats().await.unwrap().state, GroupState::Running, "it is another group");
        again.pause().await.unwrap();
        topic.publish(9).await.unwrap();
        let report = broker.shutdown().await;
        assert_eq!((report.timed_out, report.group("t", "g").unwrap().lost), (false, 1));
        assert!(matches!(topic.find_group("g"), Err(OpenError::Closed)));
    });
}

#[test]
fn a_drain_waits_for_what_came_before_it_and_for_nothing_else() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let (valve, other) = (Valve::shut(), Valve::shut());
        let group = valved(&topic, "g", &valve).await;
        valved(&topic, "other", &other).await;
        topic.publish_all(0..3).await.unwrap();
        let mut drain = Box::pin(begun(group.drain()).await);
        topic.publish_all(3..6).await.unwrap();
        valve.let_through(2);
        until(&group, |stats| stats.acked == 2).await;
        assert!(stays_pending(&mut drain, 5).await);
        valve.let_through(1);
        drain.await.unwrap();
        assert_eq!(
            group.stats().await.unwrap().acked,
            3,
            "the other group and the later ones are not waited for"
        );
        valve.open();
        other.open();
        topic.settled().await.unwrap();
    });
}

#[test]
fn a_drain_waits_for_retries_and_not_for_what_is_held_or_parked() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let seen = Seen::default();
        let handle = async |m: Message<u64>, seen: Seen| {
            seen.note(&m);
            if *m == 13 || m.attempt() < 3 { Err(Fault::new("no")) } else { Ok(()) }
        };
        let open = topic.group("g").retry(Retry::fixed(millis(2)).max_attempts(4)).dead_letter_capacity(1);
        let group = open.with(seen.clone()).run(handle).await.unwrap();
        topic.publish(1).await.unwrap();
        group.drain().await.unwrap();
        assert_eq!(seen.attempts(1), [1, 2, 3]);
        topic.publish_all([13, 13]).await.unwrap();
        group.drain().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.dead_lettered, stats.parked), (1, 1), "there is room for one letter");
        topic.hold();
        topic.publish(2).await.unwrap();
        group.drain().await.unwrap();
        topic.release();
        group.drain().await.unwrap();
        assert_eq!(seen.attempts(2), [1, 2, 3]);
        group.set_consumers(0).await.unwrap();
        until(&group, |stats| stats.consumers == 0).await;
        topic.publish(3).await.unwrap();
        group.drain().await.unwrap();
    });
}

struct Moody(Arc<AtomicBool>);

impl Consumer<u64> for Moody {
    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        Ok(Outcome::Ack)
    }

    async fn started(&mut self) -> Result<(), Fault> {
        if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err(Fault::new("not today")) }
    }
}

#[test]
fn a_failed_group_is_restarted_with_its_consumers_and_its_restarts_begin_anew() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let works = Arc::new(AtomicBool::new(false));
        let kept = works.clone();
        let group = topic.group("g").consumers(2).intensity(Intensity::new(2, secs(3600)));
        let group =
            group.restart_backoff(Backoff::none()).run_with(move || Moody(kept.clone())).await.unwrap();
        topic.publish_all(0..5).await.unwrap();
        let first = until(&group, |stats| stats.state == GroupState::Failed).await;
        assert_eq!(first.consumers, 2);
        group.drain().await.unwrap();
        group.restart().await.unwrap();
        until(&group, |stats| stats.state == GroupState::Failed && stats.restarts >= first.restarts + 3)
            .await;
        works.store(true, Ordering::Relaxed);
        group.pause().await.unwrap();
        group.restart().await.unwrap();
        assert_eq!(group.stats().await.unwrap().state, GroupState::Paused, "restarted, and still paused");
        group.resume().await.unwrap();
        group.drain().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.state, stats.consumers, stats.acked), (GroupState::Running, 2, 5));
        group.restart().await.unwrap();
        assert_eq!(group.stats().await.unwrap().restarts, stats.restarts, "no effect on a group that works");
    });
}

#[test]
fn a_handler_may_pause_its_own_group() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let of = topic.clone();
        let handle = async |m: Message<u64>, of: Topic<u64>| {
            if *m == 2 {
                of.find_group("g")?.pause().await?;
            }
            Ok(())
        };
        let group = topic.group("g").with(of).run(handle).await.unwrap();
        topic.publish_all(0..6).await.unwrap();
        let stats = until(&group, |stats| stats.state == GroupState::Paused && stats.in_flight == 0).await;
        assert_eq!((stats.acked, stats.backlog), (3, 3));
        group.resume().await.unwrap();
        topic.settled().await.unwrap();
    });
}

/// What waits behind a message that fails is withdrawn from its consumer; if the group had taken it back just before, both know of it.
#[test]
fn a_message_that_fails_while_its_ordered_group_is_paused_is_not_the_last() {
    every::runtime(|| async {
        for exclusive in [true, false] {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").key_by(|_| 1).open().await.unwrap();
            let at_work = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let group = topic.group("g").retry(Retry::immediately().max_attempts(2));
            let group = if exclusive { group.exclusive() } else { group.key_ordered() };
            let group = group
                .with(at_work.clone())
                .run(async |n, (begun, fails): (Arc<AtomicBool>, Arc<AtomicBool>)| {
                    begun.store(true, Ordering::Release);
                    while *n == 0 && n.attempt() == 1 && !fails.load(Ordering::Acquire) {
                        yield_now().await;
                    }
                    if *n == 0 && n.attempt() == 1 { Err(Fault::new("not yet")) } else { Ok(()) }
                })
                .await
                .unwrap();
            // All of them in one lease.
            topic.hold();
            topic.publish_all(0..10).await.unwrap();
            topic.release();
            while !at_work.0.load(Ordering::Acquire) {
                yield_now().await;
            }
            group.pause().await.unwrap();
            at_work.1.store(true, Ordering::Release);
            until(&group, |stats| stats.in_flight == 0).await;
            group.resume().await.unwrap();
            group.drain().await.unwrap();
            assert_eq!(group.stats().await.unwrap().acked, 10);
            broker.shutdown().await;
        }
    });
}
