//! Does a stage of many outputs get all of them through a slow reader, and is each that is to be taken once told apart from
//! others? (G1, G17)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::prelude::*;
use callboard::sim::Sim;

use crate::every;
use crate::kit::millis;

async fn topic(broker: &Broker, name: &str, capacity: usize) -> Topic<u64> {
    broker.topic::<u64>(name).capacity(capacity).open().await.unwrap()
}

/// G17: each output finds its place in time, and all of them together take longer than a handling may.
#[test]
fn a_stage_of_many_outputs_before_a_slow_reader_is_no_failure() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let (a, b) = (topic(&broker, "a", 4).await, topic(&broker, "b", 1).await);
        let calls = Arc::new(AtomicU64::new(0));
        let slow = async |_: Message<u64>, sim: Sim| {
            sim.sleep(millis(20)).await;
            Ok(())
        };
        b.group("slow").with(sim.clone()).run(slow).await.unwrap();
        let group = a.group("g").ack_timeout(millis(100)).forward_to(&b).with(calls.clone());
        let many = async |_, calls: Arc<AtomicU64>| {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(0..200)
        };
        let group = group.run(many).await.unwrap();
        a.publish(0).await.unwrap();
        broker.idle().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.dead_lettered), (1, 0), "{stats:?}");
        assert_eq!((b.stats().await.unwrap().accepted, calls.load(Ordering::Relaxed)), (200, 1));
    });
}

/// G1: a message of another topic, or of one that was opened anew, is not taken for one that was before.
#[test]
fn what_is_taken_once_is_told_apart_from_what_has_its_id() {
    every::seed(5, |_| async move {
        let (broker, other) = (Broker::start().unwrap(), Broker::start().unwrap());
        let b = topic(&broker, "b", 9).await;
        for from in [&broker, &broker, &other] {
            let a = topic(from, "a", 4).await;
            a.group("g").forward_to(&b).exactly_once_per_input().run(async |n| Ok([*n])).await.unwrap();
            a.publish(1).await.unwrap();
            a.settled().await.unwrap();
            a.delete().await.unwrap();
        }
        let stats = b.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.repeated), (3, 0));
    });
}
