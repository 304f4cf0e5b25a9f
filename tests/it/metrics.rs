//! Do the metrics say what the stats and the report say, and end with the broker? (G18, G25)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use callboard::broker::ExportError;
use callboard::prelude::*;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, SharedString, Unit};

use crate::every;
use crate::kit::{Valve, millis, secs, until, valved, yield_now};

/// Keeps what it is given. Counters as numbers, gauges as the bits of one.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Kept {
    /// The recorder of this process.
    fn global() -> &'static Kept {
        static KEPT: LazyLock<Kept> = LazyLock::new(|| {
            let kept = Kept::default();
            metrics::set_global_recorder(kept.clone()).unwrap();
            kept
        });
        &KEPT
    }

    fn of(&self, name: &str, labels: &[&str]) -> Arc<AtomicU64> {
        self.0.lock().unwrap().entry(format!("{name} {}", labels.join(" "))).or_default().clone()
    }

    fn of_key(&self, key: &Key) -> Arc<AtomicU64> {
        self.of(key.name(), &key.labels().map(Label::value).collect::<Vec<_>>())
    }

    fn counter(&self, name: &str, labels: &[&str]) -> u64 {
        self.of(&format!("callboard_{name}_total"), labels).load(Ordering::Relaxed)
    }

    fn gauge(&self, name: &str, labels: &[&str]) -> f64 {
        f64::from_bits(self.of(&format!("callboard_{name}"), labels).load(Ordering::Relaxed))
    }
}

impl metrics::Recorder for Kept {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        assert!(name.as_str().ends_with("_total") && !text.is_empty());
    }
    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        assert_eq!(name.as_str().ends_with("_seconds"), unit == Some(Unit::Seconds));
        assert!(!text.is_empty());
    }
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of_key(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of_key(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// A name that no other run has: all of them share the recorder.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("metered-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until something is so.
async fn comes(true_now: impl Fn() -> bool) {
    while !true_now() {
        match callboard::sim::Sim::current() {
            Some(sim) => sim.sleep(millis(1)).await,
            None => yield_now().await,
        }
    }
}

#[test]
fn the_metrics_are_the_stats_and_in_the_end_the_report() {
    every::runtime(|| async {
        let (kept, name) = (Kept::global(), unique());
        let broker = Broker::start().unwrap();
        broker.export_metrics(millis(20)).unwrap();
        let topic = broker.topic::<u64>(&name).capacity(64).open().await.unwrap();
        let valve = Valve::shut();
        let slow = valved(&topic, "slow", &valve).await;
        let group = topic.group("g").consumers(2).retry(Retry::immediately().max_attempts(2));
        let group = group.run_outcome(async |n: Message<u64>| match *n % 4 {
            0 => panic!("on purpose"),
            1 => Outcome::Drop,
            2 if n.attempt() == 1 => Outcome::RetryAfter(millis(1)),
            _ => Outcome::Ack,
        });
        let group = group.await.unwrap();
        topic.publish_all(0..40).await.unwrap();
        let stats = until(&group, |stats| stats.settled() == 40).await;
        let labels = [name.as_str(), "g"];
        comes(|| kept.counter("group_acked", &labels) == stats.acked).await;
        assert_eq!((stats.acked, stats.dropped, stats.dead_lettered), (20, 10, 10));
        comes(|| kept.gauge("group_lag", &[&name, "slow"]) == 40.0).await;
        assert_eq!(kept.gauge("topic_capacity", &[&name]), 64.0);
        assert_eq!(kept.gauge("topic_unsettled", &[&name]), 40.0);
        assert_eq!(kept.gauge("group_consumers", &labels), 2.0);
        assert!(kept.gauge("group_in_flight", &[&name, "slow"]) >= 1.0);
        assert_eq!(slow.stats().await.unwrap().lag, 40);

        valve.let_through(7);
        until(&slow, |stats| stats.acked == 7).await;
        topic.publish(3).await.unwrap();
        let report = broker.shutdown_within(millis(1)).await;
        // At once, and not at the next interval.
        let of = report.topics.iter().find(|report| report.topic.as_str() == name).unwrap();
        assert_eq!((of.accepted, kept.counter("topic_accepted", &[&name])), (41, 41));
        for of in &of.groups {
            let labels = [name.as_str(), of.group.as_str()];
            let counter = |metric: &str| kept.counter(metric, &labels);
            assert_eq!(counter("group_entered"), of.stats.entered);
            assert_eq!(counter("group_acked"), of.stats.acked);
            assert_eq!(counter("group_dropped"), of.stats.dropped);
            assert_eq!(counter("group_dead_lettered"), of.stats.dead_lettered);
            assert_eq!(counter("group_failures"), of.stats.failures);
            assert_eq!(counter("group_redeliveries"), of.stats.redeliveries);
            assert_eq!(counter("group_restarts"), of.stats.restarts);
            assert_eq!(kept.gauge("group_lag", &labels), 0.0, "nothing is there any more");
        }
        assert_eq!(kept.gauge("topic_capacity", &[&name]), 0.0);
        assert_eq!(broker.export_metrics(secs(1)), Err(ExportError::Closed));
    });
}

#[test]
fn what_is_counted_under_a_name_goes_on_when_its_topic_is_another_one() {
    every::seed(20, |sim| async move {
        let (kept, name) = (Kept::global(), unique());
        let broker = Broker::start().unwrap();
        broker.export_metrics(secs(10)).unwrap();
        for round in 1..=3 {
            let topic = broker.topic::<u64>(&name).open().await.unwrap();
            topic.group("g").run_fn(|_| Ok(())).await.unwrap();
            topic.publish_all(0..5).await.unwrap();
            topic.settled().await.unwrap();
            sim.sleep(secs(11)).await;
            assert_eq!(kept.counter("topic_accepted", &[&name]), 5 * round);
            assert_eq!(kept.counter("group_acked", &[&name, "g"]), 5 * round);
            assert_eq!(kept.gauge("group_consumers", &[&name, "g"]), 1.0);
            topic.delete().await.unwrap();
            sim.sleep(secs(11)).await;
            assert_eq!(kept.gauge("group_consumers", &[&name, "g"]), 0.0);
        }
    });
}

#[test]
fn an_interval_that_can_not_be_and_a_second_export_are_refused() {
    every::runtime(|| async {
        Kept::global();
        let broker = Broker::start().unwrap();
        for bad in [millis(0), millis(9), secs(400 * 24 * 3600)] {
            assert_eq!(broker.export_metrics(bad), Err(ExportError::Interval(bad)));
        }
        broker.export_metrics(secs(3600)).unwrap();
        assert_eq!(broker.export_metrics(secs(1)), Err(ExportError::Exporting));
        // It waits for no interval, and does not keep the broker alive.
        let events = broker.events();
        drop(broker);
        assert!(futures::StreamExt::count(events).await >= 3);
    });
}

#[test]
fn a_recorder_that_panics_ends_the_export_and_nothing_else() {
    struct Panics;
    impl metrics::Recorder for Panics {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            panic!("no counter")
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            panic!("no gauge")
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }
    // In the simulator, whose tasks are all on this thread.
    metrics::with_local_recorder(&Panics, || {
        let sim = callboard::sim::Sim::new(1);
        sim.clone().block_on(async move {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").open().await.unwrap();
            broker.export_metrics(secs(1)).unwrap();
            sim.sleep(secs(5)).await;
            topic.publish(1).await.unwrap();
            assert_eq!(broker.shutdown().await.lost(), 1);
        });
    });
}
