//! Does a group begin no more at a time, and no more in a time, than it was told? (G2, G9, G17)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callboard::broker::{ErrorKind, OpenError, RateLimit, SteerError};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::{FutureExt as _, StreamExt as _};

use crate::every;
use crate::kit::{Valve, millis, secs, stays_pending, until, yield_now};
use crate::steer::topic;

#[test]
fn all_consumers_together_hold_no_more_than_max_in_flight() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let valve = Valve::shut();
        let handle = async |n: Message<u64>, valve: Valve| {
            valve.pass(*n).await;
            Ok(())
        };
        let open = topic.group("g").consumers(4).max_in_flight(2).with(valve.clone());
        let group = open.run(handle).await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        let stats = until(&group, |stats| stats.in_flight == 2).await;
        assert_eq!(stats.backlog, 18);
        // However they are shared, every one that ends lets one begin.
        valve.open();
        let mut acked = 0;
        while acked + group.stats().await.unwrap().acked < 20 && acked < 20 {
            assert!(group.stats().await.unwrap().in_flight <= 2);
            if let Some(delivery) = stream.next().now_or_never() {
                delivery.unwrap().ack().unwrap();
                acked += 1;
            }
            yield_now().await;
        }
        until(&group, |stats| stats.acked == 20).await;
    });
}

#[test]
fn with_a_limit_of_one_a_group_of_many_keeps_the_order() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let valve = Valve::shut();
        valve.open();
        let handle = async |n: Message<u64>, valve: Valve| {
            valve.pass(*n).await;
            Ok(())
        };
        let open = topic.group("g").consumers(3).max_in_flight(1).with(valve.clone());
        open.run(handle).await.unwrap();
        topic.publish_all(0..50).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(valve.heard(), (0..50).collect::<Vec<_>>());
    });
}

#[test]
fn what_one_consumer_has_not_begun_goes_to_another_that_has_nothing_to_do() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = topic(100).await;
        let valve = Valve::shut();
        // The first is alone, quick, and so is handed both; then it stands.
        let handle = async |n: Message<u64>, (valve, sim): (Valve, Sim)| {
            if *n < 50 {
                sim.sleep(Duration::from_micros(1)).await;
                Ok(())
            } else {
                valve.pass(*n).await;
                Ok(())
            }
        };
        let open = topic.group("g").max_in_flight(2).with((valve.clone(), sim.clone()));
        let group = open.run(handle).await.unwrap();
        topic.publish_all(0..50).await.unwrap();
        topic.settled().await.unwrap();
        topic.publish_all(50..60).await.unwrap();
        valve.next().await;
        group.set_consumers(2).await.unwrap();
        valve.next().await;
        assert_eq!(group.stats().await.unwrap().in_flight, 2, "both are at one");
        valve.open();
        topic.settled().await.unwrap();
    });
}

/// The simulator's clock may slip so far between a hand-out and a handler's start.
const SLACK: u64 = 99;

/// When each message began.
#[derive(Clone, Default)]
struct Starts(Arc<std::sync::Mutex<Vec<Duration>>>);

impl Starts {
    fn note(&self, sim: &Sim) {
        self.0.lock().unwrap().push(sim.now().since(callboard::base::Moment::ZERO));
    }

    fn gaps(&self) -> Vec<u128> {
        let starts = self.0.lock().unwrap();
        starts.iter().zip(starts.iter().skip(1)).map(|(one, next)| (*next - *one).as_millis()).collect()
    }
}

async fn noted(topic: &Topic<u64>, starts: &Starts, sim: &Sim, limit: RateLimit) -> Group {
    let open = topic.group("g").consumers(3).rate_limit(limit).with((starts.clone(), sim.clone()));
    let note = async |_, (starts, sim): (Starts, Sim)| {
        starts.note(&sim);
        Ok(())
    };
    open.run(note).await.unwrap()
}

#[test]
fn a_rate_limited_group_begins_a_burst_and_then_one_in_each_interval() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = topic(100).await;
        let starts = Starts::default();
        let group = noted(&topic, &starts, &sim, RateLimit::per_second(10).burst(3)).await;
        topic.publish_all(0..8).await.unwrap();
        group.drain().await.unwrap();
        let took = |from: usize, to: usize| starts.gaps().iter().take(to).skip(from).sum::<u128>();
        assert!(took(0, 2) < 90, "a burst of three at once: {:?}", starts.gaps());
        assert!(took(0, 7) >= 500 - u128::from(SLACK), "then one in 100 ms: {:?}", starts.gaps());
        assert!(took(0, 7) < 900, "and no slower: {:?}", starts.gaps());
        assert_eq!(group.stats().await.unwrap().rate_limit, Some(RateLimit::per_second(10).burst(3)));
        // What was saved up meanwhile.
        sim.sleep(secs(5)).await;
        topic.publish_all(8..12).await.unwrap();
        topic.settled().await.unwrap();
        assert!(took(8, 10) < 90 && took(8, 11) > 0, "{:?}", starts.gaps());
    });
}

#[test]
fn retries_count_and_what_came_back_unbegun_does_not() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = topic(100).await;
        let starts = Starts::default();
        let open =
            topic.group("g").retry(Retry::immediately()).rate_limit(RateLimit::per_second(10).burst(1));
        let handle = async |m: Message<u64>, (starts, sim): (Starts, Sim)| {
            starts.note(&sim);
            if m.attempt() < 3 { Err(Fault::new("no")) } else { Ok(()) }
        };
        open.with((starts.clone(), sim.clone())).run(handle).await.unwrap();
        topic.publish_all(0..2).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(starts.gaps().len(), 5);
        assert!(starts.gaps().iter().sum::<u128>() >= 500 - u128::from(SLACK), "{:?}", starts.gaps());
        // A stream that is handed what it does not read, and gives it back.
        let mut unread =
            topic.group("h").rate_limit(RateLimit::new(3, secs(3600)).burst(3)).stream().await.unwrap();
        let group = topic.find_group("h").unwrap();
        topic.publish_all(2..5).await.unwrap();
        until(&group, |stats| stats.in_flight == 3).await;
        assert_eq!(**unread.next().await.unwrap(), 2);
        drop(unread);
        until(&group, |stats| stats.in_flight == 0).await;
        let mut stream = topic.group("h").stream().await.unwrap();
        for _ in 0..2 {
            stream.next().await.unwrap().ack().unwrap();
        }
        assert!(stream.next().now_or_never().is_none(), "two tokens came back");
    });
}

#[test]
fn the_limit_is_changed_while_the_group_runs() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = topic(100).await;
        let starts = Starts::default();
        let group = noted(&topic, &starts, &sim, RateLimit::per_second(1).burst(1)).await;
        topic.publish_all(0..12).await.unwrap();
        sim.sleep(millis(2500)).await;
        let before = group.stats().await.unwrap().acked;
        assert!(before <= 3, "{before} in 2.5 s");
        let changed = sim.now();
        group.set_rate_limit(Some(RateLimit::per_second(100).burst(1))).await.unwrap();
        until(&group, |stats| stats.acked >= before + 5).await;
        assert!((millis(40)..secs(1)).contains(&sim.now().since(changed)), "one in 10 ms");
        let changed = sim.now();
        group.set_rate_limit(None).await.unwrap();
        topic.settled().await.unwrap();
        assert!(sim.now().since(changed) < millis(300), "the rest at once");
        assert_eq!(group.stats().await.unwrap().rate_limit, None);
        let bad = group.set_rate_limit(Some(RateLimit::new(0, Duration::ZERO))).await.unwrap_err();
        assert!(matches!(&bad, SteerError::Settings { faults } if faults.len() == 2), "{bad}");
        group.set_rate_limit(Some(RateLimit::new(1, secs(3600)))).await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        until(&group, |stats| stats.acked == 13).await;
        // Setting it anew brings no new burst.
        for _ in 0..5 {
            group.set_rate_limit(Some(RateLimit::new(1, secs(3600)).burst(9))).await.unwrap();
        }
        sim.sleep(secs(60)).await;
        assert_eq!(group.stats().await.unwrap().backlog, 2);
    });
}

#[test]
fn a_limited_group_settles_all_and_no_faster_on_every_runtime() {
    every::runtime(|| async {
        let (_broker, topic) = topic(1000).await;
        let count = Arc::new(AtomicU64::new(0));
        let open = topic.group("g").consumers(4).rate_limit(RateLimit::per_second(1000).burst(5));
        let handle = async |_, count: Arc<AtomicU64>| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let group = open.with(count.clone()).run(handle).await.unwrap();
        let before = every::current().now();
        topic.publish_all(0..30).await.unwrap();
        topic.settled().await.unwrap();
        let took = every::current().now().since(before);
        assert!(took >= millis(24), "25 after the burst take 25 ms, and they took {took:?}");
        assert_eq!((count.load(Ordering::Relaxed), group.stats().await.unwrap().acked), (30, 30));
        group.pause().await.unwrap();
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
        group.resume().await.unwrap();
        group.drain().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 31);
    });
}

#[test]
fn a_rate_by_weight_waits_for_what_the_messages_before_took() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = topic(100).await;
        let starts = Starts::default();
        let open = topic.group("g").consumers(3).rate_limit(RateLimit::per_second(100).burst(10));
        let open = open.rate_by(|weight| *weight as usize).with((starts.clone(), sim.clone()));
        let note = async |_, (starts, sim): (Starts, Sim)| {
            starts.note(&sim);
            Ok(())
        };
        let group = open.run(note).await.unwrap();
        // The burst is gone after the second, which owes 40; the third owes 20; those of no weight go with the last.
        let began = sim.now().since(callboard::base::Moment::ZERO);
        topic.publish_all([9, 41, 20, 0, 0]).await.unwrap();
        topic.settled().await.unwrap();
        let mut after: Vec<_> = starts.0.lock().unwrap().iter().map(|at| (*at - began).as_millis()).collect();
        after.sort_unstable();
        assert!(after[2] >= 410 && after[3] >= 610 && after[4] < 2_000, "{after:?}");
        // Lifted, and set anew, while it runs.
        group.set_rate_limit(None).await.unwrap();
        topic.publish_all([1_000; 50]).await.unwrap();
        topic.settled().await.unwrap();
        group.set_rate_limit(Some(RateLimit::per_second(1000).burst(1))).await.unwrap();
        let began = sim.now();
        topic.publish_all([500, 1]).await.unwrap();
        topic.settled().await.unwrap();
        assert!(sim.now().since(began) >= Duration::from_millis(500 - SLACK), "{:?}", sim.now().since(began));
    });
}

#[test]
fn a_message_at_which_the_weigher_panics_takes_the_burst_and_is_handled() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let open = topic.group("g").rate_limit(RateLimit::new(1, secs(3600)).burst(3));
        let open = open.rate_by(|n| if *n == 0 { panic!("no scales") } else { 1 });
        let mut pulled = open.stream().await.unwrap();
        topic.publish_all(0..2).await.unwrap();
        let first = pulled.next().await.unwrap();
        assert_eq!(**first, 0);
        first.ack().unwrap();
        assert!(stays_pending(&mut pulled.next(), 8).await, "nothing is left of the burst");
    });
}

/// It is part of the settings, as far as there is something to compare.
#[test]
fn a_group_that_counts_by_weight_is_another_one_than_one_that_does_not() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        topic.group("g").rate_by(|n| *n as usize).run_fn(|_| Ok(())).await.unwrap();
        topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        let other = topic.group("g").prefetch(512).run_fn(|_| Ok(())).await;
        assert!(matches!(other, Err(OpenError::OtherSettings { .. })), "{other:?}");
    });
}

#[test]
fn limits_that_cannot_work_are_refused_at_the_door() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let open = topic.group("g").max_in_flight(0).rate_limit(RateLimit::new(0, Duration::ZERO).burst(0));
        let Err(error) = open.run_fn(|_| Ok(())).await else { panic!("refused") };
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let OpenError::Settings { faults, .. } = error else { panic!("{error}") };
        assert_eq!(faults.len(), 4, "{faults:?}");
    });
}

/// A limit that is set often, as by whatever adapts it, lets through as much as it says.
#[test]
fn a_limit_that_is_set_more_often_than_tokens_come_starves_nobody() {
    every::seed(5, |sim| async move {
        let (_broker, topic) = topic(100).await;
        let limit = RateLimit::per_second(50).burst(1);
        let group = topic.group("g").rate_limit(limit).run_fn(|_| Ok(())).await.unwrap();
        topic.publish_all(0..90).await.unwrap();
        for _ in 0..200 {
            sim.sleep(millis(5)).await;
            group.set_rate_limit(Some(limit)).await.unwrap();
        }
        let acked = group.stats().await.unwrap().acked;
        assert!(acked >= 40, "{acked} in a second, at 50");
    });
}

/// What consumers hold and have not begun was handed out under no limit, and begins under this one.
#[test]
fn a_limit_that_is_set_holds_for_what_was_handed_out_before() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = topic(300).await;
        let starts = Starts::default();
        let note = async |_, (starts, sim): (Starts, Sim)| {
            starts.note(&sim);
            sim.sleep(Duration::from_micros(10)).await;
            Ok(())
        };
        let open = topic.group("g").consumers(2).with((starts.clone(), sim.clone()));
        let group = open.run(note).await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish_all(0..250).await.unwrap();
        until(&group, |stats| stats.acked >= 20 && stats.in_flight > 0).await;
        group.set_rate_limit(Some(RateLimit::per_second(1).burst(1))).await.unwrap();
        let before = starts.0.lock().unwrap().len();
        sim.sleep(millis(900)).await;
        let begun = starts.0.lock().unwrap().len() - before;
        let mut pulled = 0;
        while let Some(delivery) = stream.next().now_or_never().flatten() {
            pulled += 1;
            drop(delivery);
        }
        assert!(begun + pulled <= 5, "{begun} began, {pulled} were pulled");
    });
}
