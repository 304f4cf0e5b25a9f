//! Does a group that only fails stop for a while, instead of giving up all its messages? (G11, G17, G18)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::broker::{Blocked, Breaker, BreakerState, OpenError, WhyBlocked};
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::every;
use crate::kit::{fill, millis, poll_once, secs, until, yield_now};
use crate::seen::{Seen, balanced};
use crate::steer::topic;

const BAD: u64 = 1_000;

/// Fails while `bad` is not 0, and counts it down.
async fn moody(topic: &Topic<u64>, breaker: Breaker, retry: Retry, bad: &Arc<AtomicU64>) -> Group {
    let open = topic.group("g").consumers(2).breaker(breaker).retry(retry).with(bad.clone());
    let handle = async |_, bad: Arc<AtomicU64>| {
        let left = bad.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() { Err(Fault::new("the database is gone")) } else { Ok(()) }
    };
    open.run(handle).await.unwrap()
}

fn state(stats: &callboard::broker::GroupStats) -> BreakerState {
    stats.breaker.unwrap().state
}

#[test]
fn bad_code_gives_up_a_few_messages_and_not_all() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = topic(1000).await;
        let bad = Arc::new(AtomicU64::new(BAD));
        let breaker = Breaker::after(5).pause(secs(10));
        let group = moody(&topic, breaker, Retry::none(), &bad).await;
        topic.publish_all(0..500).await.unwrap();
        // Probes after 10, 30, 70 and 130 s.
        sim.sleep(secs(100)).await;
        let stats = group.stats().await.unwrap();
        assert_eq!((state(&stats), stats.breaker.unwrap().opened), (BreakerState::Open, 4));
        let given_up = stats.dead_lettered + stats.parked;
        assert!((8..=23).contains(&given_up), "2 runs of 5 for each of 2 at most, and 3 probes: {given_up}");
        assert_eq!(stats.in_flight, 0);
        balanced(stats.clone());
        bad.store(0, Ordering::Relaxed);
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((state(&stats), stats.acked + stats.dead_lettered), (BreakerState::Closed, 500));
        assert_eq!(stats.dead_lettered, given_up);
    });
}

#[test]
fn it_closes_with_the_first_success_and_all_is_settled_on_every_runtime() {
    every::runtime(|| async {
        let (broker, topic) = topic(100).await;
        let bad = Arc::new(AtomicU64::new(BAD));
        let breaker = Breaker::after(4).pause(millis(2));
        let group = moody(&topic, breaker, Retry::immediately().max_attempts(5000), &bad).await;
        topic.publish_all(0..50).await.unwrap();
        until(&group, |stats| stats.breaker.unwrap().opened > 1).await;
        bad.store(0, Ordering::Relaxed);
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((state(&stats), stats.acked, stats.dead_lettered), (BreakerState::Closed, 50, 0));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn a_group_that_succeeds_now_and_then_is_never_stopped() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let open = topic.group("g").retry(Retry::none()).breaker(Breaker::after(2));
        let group =
            open.run_fn(|n| if **n % 2 == 0 { Ok(()) } else { Err(Fault::new("odd")) }).await.unwrap();
        topic.publish_all(0..60).await.unwrap();
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.dead_lettered), (30, 30));
        assert_eq!(stats.breaker.unwrap().opened, 0);
    });
}

#[test]
fn rejections_are_failures_and_no_room_is_neither() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let open = topic.group("rejects").breaker(Breaker::after(3).pause(secs(3600)));
        let rejects = open.run_outcome(async |_| Outcome::DeadLetter("unwanted".into())).await.unwrap();
        let open = topic.group("full").breaker(Breaker::after(3).pause(secs(3600)));
        let handle = async |m: Message<u64>| {
            if m.attempt() < 6 { Outcome::NoRoom("full".into()) } else { Outcome::Ack }
        };
        let full = open.run_outcome(handle).await.unwrap();
        topic.publish_all(0..10).await.unwrap();
        let stats = until(&rejects, |stats| state(stats) == BreakerState::Open && stats.parked == 0).await;
        assert!((3..=6).contains(&stats.dead_lettered) && stats.backlog >= 4, "one run or two: {stats:?}");
        let stats = until(&full, |stats| stats.no_room >= 30).await;
        assert_eq!(stats.breaker.unwrap().opened, 0);
        rejects.delete().await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(full.stats().await.unwrap().acked, 10);
    });
}

#[test]
fn half_open_it_sends_one_probe_and_another_if_that_comes_back_unread() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = topic(100).await;
        let open = || topic.group("g").retry(Retry::immediately().max_attempts(9));
        let mut stream = open().breaker(Breaker::after(1).pause(secs(1))).stream().await.unwrap();
        let group = topic.find_group("g").unwrap();
        topic.publish_all(0..9).await.unwrap();
        stream.next().await.unwrap().nack("no").unwrap();
        until(&group, |stats| state(stats) == BreakerState::Open && stats.in_flight == 0).await;
        let mut next = Box::pin(stream.next());
        assert!(poll_once(&mut next).await.is_pending());
        let opened = sim.now();
        drop(next);
        until(&group, |stats| state(stats) == BreakerState::HalfOpen && stats.in_flight == 1).await;
        assert!(sim.now().since(opened) > millis(900));
        // Unread, it goes on to whoever reads.
        let mut other = topic.group("g").stream().await.unwrap();
        let probe = other.next().await.unwrap();
        assert_eq!((**probe, probe.attempt()), (0, 2));
        sim.sleep(secs(1)).await;
        assert_eq!(group.stats().await.unwrap().in_flight, 1, "one at a time");
        probe.release().unwrap();
        let probe = other.next().await.unwrap();
        assert_eq!(probe.attempt(), 3, "a release says nothing: another probe");
        probe.ack().unwrap();
        let stats = until(&group, |stats| stats.in_flight == 8).await;
        assert_eq!(state(&stats), BreakerState::Closed);
    });
}

#[test]
fn what_was_handed_out_and_not_begun_when_it_opens_is_taken_back() {
    every::runtime(|| async {
        let (_broker, topic) = topic(1000).await;
        let (seen, bad) = (Seen::default(), Arc::new(AtomicU64::new(0)));
        // Quick, so that leases are large; then all fails.
        let open = topic.group("g").retry(Retry::none()).breaker(Breaker::after(100).pause(secs(3600)));
        let handle = async |m: Message<u64>, (seen, bad): (Seen, Arc<AtomicU64>)| {
            seen.note(&m);
            if bad.load(Ordering::Relaxed) > 0 { Err(Fault::new("no")) } else { Ok(()) }
        };
        let group = open.with((seen.clone(), bad.clone())).run(handle).await.unwrap();
        topic.publish_all(0..500).await.unwrap();
        topic.settled().await.unwrap();
        bad.store(1, Ordering::Relaxed);
        topic.publish_all(500..1000).await.unwrap();
        let stats = until(&group, |stats| state(stats) == BreakerState::Open && stats.in_flight == 0).await;
        let begun = seen.all().len() as u64;
        assert_eq!(stats.acked + stats.failures, begun);
        assert!((600..=700).contains(&begun) && stats.lag >= 300, "two runs of 100 at most: {stats:?}");
        for _ in 0..20 {
            yield_now().await;
        }
        assert_eq!(seen.all().len() as u64, begun);
    });
}

#[test]
fn an_open_breaker_is_waited_for_and_named_as_what_blocks() {
    every::seed(5, |sim| async move {
        let (broker, topic) = topic(4).await;
        let bad = Arc::new(AtomicU64::new(BAD));
        let breaker = Breaker::after(1).pause(secs(60));
        moody(&topic, breaker, Retry::fixed(millis(1)).max_attempts(100), &bad).await;
        fill(&topic);
        let mut settled = Box::pin(topic.settled());
        let mut waiting = Box::pin(topic.publish(3));
        assert!(poll_once(&mut waiting).await.is_pending() && poll_once(&mut settled).await.is_pending());
        sim.sleep(secs(7)).await;
        let Some(Blocked { why, .. }) = topic.stats().await.unwrap().blocked_by else { panic!("blocked") };
        assert_eq!(why, WhyBlocked::BreakerOpen);
        assert!(poll_once(&mut settled).await.is_pending());
        bad.store(0, Ordering::Relaxed);
        waiting.await.unwrap();
        settled.await.unwrap();
        bad.store(BAD, Ordering::Relaxed);
        topic.publish(5).await.unwrap();
        let report = broker.shutdown().await;
        assert!(report.timed_out, "it has something to do, and no time is enough");
        assert_eq!(report.lost(), 1);
    });
}

#[test]
fn a_breaker_that_cannot_work_is_refused_at_the_door() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let error = topic.group("g").breaker(Breaker::after(0).pause(secs(0))).run_fn(|_| Ok(())).await;
        let Err(OpenError::Settings { faults, .. }) = error else { panic!("refused") };
        assert_eq!(faults.len(), 2, "{faults:?}");
    });
}
