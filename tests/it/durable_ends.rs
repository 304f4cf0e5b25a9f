//! What does a process leave behind that is killed, or loses its power? (G1, G8, G18, G20)

use std::path::Path;

use callboard::broker::{Durability, Raw};
use callboard::prelude::*;
use callboard::sim::{CrashKind, Sim, SimDisk};
use futures::{FutureExt as _, StreamExt as _};

use crate::every;
use crate::kit::{begun, millis};

const SEEDS: u64 = 100;

async fn open(disk: &SimDisk, durability: Durability, capacity: usize) -> (Broker, Topic<String>) {
    let builder = Broker::builder().data_dir(Path::new("/data")).journal_file_bytes(64 << 10);
    let broker = builder.on(disk.clone()).open().await.unwrap();
    let topic = broker.topic::<String>("orders").capacity(capacity).durable(Raw).durability(durability);
    let topic = topic.open().await.unwrap();
    (broker, topic)
}

async fn open_safe(disk: &SimDisk) -> (Broker, Topic<String>) {
    open(disk, Durability::EveryPublish, 1024).await
}

/// A process takes a message, and is killed.
async fn killed_with_one(disk: &SimDisk) -> SimDisk {
    let (broker, orders) = open_safe(disk).await;
    let mut pulled = orders.group("billing").stream().await.unwrap();
    let order = pulled.next().await.unwrap();
    assert_eq!(order.attempt(), 1);
    let left = disk.crash(CrashKind::KeepAll);
    drop((order, pulled, orders, broker));
    left
}

async fn with_one(sim: &Sim) -> SimDisk {
    let disk = SimDisk::new(sim.seed());
    let (broker, orders) = open_safe(&disk).await;
    drop(orders.group("billing").stream().await.unwrap());
    orders.publish("one".into()).await.unwrap();
    broker.shutdown().await;
    disk
}

async fn is_marked(disk: &SimDisk) {
    let (broker, orders) = open_safe(disk).await;
    let mut pulled = orders.group("billing").stream().await.unwrap();
    let order = pulled.next().await.unwrap();
    assert!(order.maybe_redelivered());
    order.ack().unwrap();
    let second = orders.publish("two".into()).await.unwrap();
    let order = pulled.next().await.unwrap();
    assert_eq!((order.id(), order.maybe_redelivered()), (second, false));
    drop((order, pulled));
    broker.shutdown().await;
}

/// It wrote nothing, since all was written before: yet it did not end in order.
#[test]
fn what_a_killed_process_took_is_marked_though_it_never_wrote() {
    every::seed(SEEDS, |sim| async move {
        let disk = killed_with_one(&with_one(&sim).await).await;
        is_marked(&disk).await;
    });
}

#[test]
fn what_a_killed_process_took_is_marked_though_another_one_ended_in_order_since() {
    every::seed(SEEDS, |sim| async move {
        let disk = killed_with_one(&with_one(&sim).await).await;
        let (broker, _) = open_safe(&disk).await;
        broker.shutdown().await;
        is_marked(&disk).await;
    });
}

#[test]
fn what_is_to_be_synced_within_a_time_is_so_whatever_was_written_before() {
    every::seed(SEEDS, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let soon = Durability::Interval(millis(20));
        let (broker, orders) = open(&disk, soon, 1024).await;
        // The log hears of a group, which has no hurry.
        orders.group("billing").run(async |_| Ok(())).await.unwrap();
        sim.sleep(millis(5)).await;
        orders.publish("one".into()).await.unwrap();
        sim.sleep(millis(100)).await;
        let left = disk.crash(CrashKind::LoseAll);
        drop((broker, orders));
        let (broker, orders) = open(&left, soon, 1024).await;
        assert_eq!(orders.stats().await.unwrap().accepted, 1);
        broker.shutdown().await;
    });
}

#[test]
fn a_topic_that_is_full_when_it_is_opened_again_takes_nobody_in() {
    every::seed(SEEDS, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(&disk, Durability::EveryPublish, 1).await;
        orders.publish("one".into()).await.unwrap();
        broker.shutdown().await;
        let (broker, orders) = open(&disk, Durability::EveryPublish, 1).await;
        let second = begun(orders.publish("two".into())).await;
        sim.settle().await;
        let stats = orders.stats().await.unwrap();
        assert_eq!((stats.unsettled, stats.waiting_publishers), (1, 1));
        drop(second);
        broker.shutdown().await;
    });
}

/// It is answered, and as it is.
#[test]
fn a_publish_on_its_way_to_the_disk_hears_what_became_of_it_though_the_broker_ends() {
    every::seed(SEEDS, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open_safe(&disk).await;
        let publishers: Vec<_> = (0..3)
            .map(|n| {
                let orders = orders.clone();
                every::spawn("publisher", async move { orders.publish(n.to_string()).await })
            })
            .collect();
        sim.sleep(millis(sim.seed() % 2)).await;
        broker.shutdown_within(millis(0)).await;
        sim.settle().await;
        let answers = futures::future::join_all(publishers).now_or_never().expect("each is answered");
        let accepted = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        let (broker, orders) = open_safe(&disk).await;
        assert_eq!(orders.stats().await.unwrap().accepted, accepted, "{answers:?}");
        broker.shutdown().await;
    });
}
