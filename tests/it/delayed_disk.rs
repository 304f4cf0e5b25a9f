//! Are delayed messages of a topic on disk there after a restart, once, and at their time? (G1, G5, G20, G21, G22)

use std::sync::Arc;
use std::time::Duration;

use callboard::broker::{
    CancelError, Codec, DataDirBuilder, DeadReason, ErrorKind, PublishError, Raw, Scheduled,
};
use callboard::log::Vfs;
use callboard::log::inspect::inspect;
use callboard::prelude::*;
use callboard::sim::{CrashKind, SimDisk};
use futures::StreamExt as _;

use crate::durable::TempDir;
use crate::every;
use crate::kit::{millis, secs};

pub(crate) const HOUR: Duration = secs(3600);

pub(crate) fn builder(disk: &SimDisk) -> DataDirBuilder {
    Broker::builder().data_dir("/data").journal_file_bytes(64 << 10).on(disk.clone())
}

pub(crate) async fn open(builder: DataDirBuilder) -> (Broker, Topic<String>) {
    let broker = builder.open().await.unwrap();
    let topic = broker.topic::<String>("orders").durable(Raw).delay_capacity(64).open().await.unwrap();
    (broker, topic)
}

pub(crate) async fn scheduled(topic: &Topic<String>) -> u64 {
    topic.stats().await.unwrap().scheduled
}

pub(crate) async fn later(topic: &Topic<String>, delay: Duration, text: &str) -> Scheduled {
    topic.publish_after(delay, text.to_owned()).await.unwrap()
}

/// From the first offset of the schedule that is of use to one behind the last.
fn span(disk: &SimDisk) -> (u64, u64) {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let found = inspect(&vfs, "/data".as_ref()).unwrap();
    let schedule = found.topics.iter().find(|topic| topic.name == "orders schedule").unwrap();
    (schedule.floor, schedule.next)
}

/// Reads so many, acks them, and says what they were.
async fn read(topic: &Topic<String>, many: usize) -> Vec<String> {
    let stream = topic.group("billing").stream().await.unwrap();
    let texts = stream.take(many).then(async |order| {
        let text = order.to_string();
        order.ack_durable().await.unwrap();
        text
    });
    texts.collect().await
}

#[test]
fn a_delayed_message_comes_when_it_is_due_and_leaves_the_schedule() {
    every::runtime(|| async {
        let dir = TempDir::new("delayed");
        let (broker, orders) = open(dir.builder()).await;
        for (delay, text) in [(450, "c"), (150, "a"), (300, "b")] {
            later(&orders, millis(delay), text).await;
        }
        assert_eq!(read(&orders, 3).await, ["a", "b", "c"]);
        orders.settled().await.unwrap();
        assert_eq!(scheduled(&orders).await, 0);
        assert_eq!(orders.stats().await.unwrap().accepted, 3);
        broker.shutdown().await;
        let (broker, orders) = open(dir.builder()).await;
        assert_eq!((scheduled(&orders).await, orders.stats().await.unwrap().unsettled), (0, 0));
        broker.shutdown().await;
    });
}

#[test]
fn what_was_delayed_comes_after_a_restart_when_it_is_due_and_not_before() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(builder(&disk)).await;
        let began = sim.now();
        later(&orders, HOUR, "far").await;
        later(&orders, secs(2), "soon").await;
        later(&orders, secs(10), "later").await;
        let report = broker.shutdown().await;
        assert_eq!((report.topics[0].scheduled, report.lost()), (3, 0));
        sim.sleep(secs(5)).await;

        let (broker, orders) = open(builder(&disk)).await;
        let mut stream = orders.group("billing").stream().await.unwrap();
        for (text, due) in [("soon", secs(5)), ("later", secs(10)), ("far", HOUR)] {
            let order = stream.next().await.unwrap();
            let after = sim.now().since(began);
            assert_eq!(order.as_str(), text);
            assert!(after >= due && after < due + millis(100), "{text} after {after:?}");
            order.ack().unwrap();
        }
        broker.shutdown().await;
    });
}

#[test]
fn after_a_power_cut_all_that_was_confirmed_is_there_once() {
    every::seed(60, |sim| async move {
        let mut disk = SimDisk::new(sim.seed());
        let (mut seen, mut number) = (Vec::new(), 0);
        for round in 0..4 {
            let (broker, orders) = open(builder(&disk)).await;
            drop(orders.group("billing").stream().await.unwrap());
            for _ in 0..10 {
                later(&orders, millis((number * 7) % 40), &number.to_string()).await;
                number += 1;
            }
            sim.sleep(millis(sim.seed() * 3 % 45)).await;
            disk = disk.crash(CrashKind::Random(sim.seed() + round));
            drop((broker, orders));
        }
        let (broker, orders) = open(builder(&disk)).await;
        let mut stream = orders.group("billing").stream().await.unwrap();
        while seen.len() < 40 {
            let order = stream.next().await.unwrap();
            seen.push(order.parse::<u64>().unwrap());
            order.ack().unwrap();
        }
        orders.settled().await.unwrap();
        assert_eq!(orders.stats().await.unwrap().accepted, 40, "none came twice");
        seen.sort_unstable();
        assert_eq!(seen, (0..40).collect::<Vec<_>>());
        broker.shutdown().await;
    });
}

#[test]
fn what_was_cancelled_does_not_come_after_a_restart() {
    every::runtime(|| async {
        let dir = TempDir::new("cancelled");
        let (broker, orders) = open(dir.builder()).await;
        let one = later(&orders, HOUR, "one").await;
        later(&orders, millis(20), "two").await;
        assert_eq!(orders.cancel_scheduled(one).await, Ok("one".into()));
        broker.shutdown().await;
        let (broker, orders) = open(dir.builder()).await;
        assert_eq!(read(&orders, 1).await, ["two"]);
        orders.settled().await.unwrap();
        assert_eq!((scheduled(&orders).await, orders.stats().await.unwrap().accepted), (0, 1), "one is gone");
        broker.shutdown().await;
    });
}

#[test]
fn what_a_message_has_beside_its_payload_is_there_after_a_restart() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let open = || async {
            let broker = builder(&disk).open().await.unwrap();
            let orders = broker.topic::<String>("orders").durable(Raw).key(|text| text.as_str());
            (broker, orders.open().await.unwrap())
        };
        let (broker, orders) = open().await;
        let message = orders.message("one".into()).header("from", "coyote").dedup_key("1").ttl(secs(3));
        message.publish_after(secs(60)).await.unwrap();
        orders.message("stale".into()).ttl(secs(1)).publish_after(secs(60)).await.unwrap();
        broker.shutdown().await;

        let (broker, orders) = open().await;
        let group = orders.group("billing").run(async |_| Ok(())).await.unwrap();
        group.pause().await.unwrap();
        sim.sleep(secs(62)).await;
        // Its time began when it came in, and is over for the other one.
        assert!(orders.message("again".into()).dedup_key("1").publish().await.unwrap().repeated);
        assert_eq!(group.stats().await.unwrap().expired, 1);
        group.resume().await.unwrap();
        orders.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 1);
        let mut browsed = orders.group("late").stream().await.unwrap();
        orders.publish("next".into()).await.unwrap();
        assert_eq!(browsed.next().await.unwrap().as_str(), "next");
        broker.shutdown().await;
    });
}

/// G22.
#[test]
fn a_full_disk_refuses_what_is_delayed_and_lets_what_is_due_wait() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(builder(&disk)).await;
        let mut stream = orders.group("billing").stream().await.unwrap();
        later(&orders, secs(1), "due").await;
        let cancelled = later(&orders, HOUR, "far").await;
        let filler = broker.topic::<String>("filler").durable(Raw).capacity(10_000).open().await.unwrap();
        disk.set_free(0);
        for len in [2000, 100, 1, 0] {
            while filler.publish("x".repeat(len)).await.is_ok() {}
        }
        let refused = orders.publish_after(HOUR, "new".into()).await.unwrap_err();
        assert!(matches!(&refused, PublishError::NotStored(text, _) if text == "new"), "{refused}");
        assert_eq!(refused.kind(), ErrorKind::Storage);
        let refused = orders.cancel_scheduled(cancelled).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Storage, "{refused}");
        let CancelError::NotStored(cancelled, _) = refused else { panic!("{refused}") };
        sim.sleep(secs(5)).await;
        assert_eq!(scheduled(&orders).await, 2, "what is due waits for the disk");
        // Nobody waits for what can't move.
        orders.settled().await.unwrap();
        disk.set_free(1 << 30);
        assert_eq!(stream.next().await.unwrap().as_str(), "due");
        assert_eq!(orders.cancel_scheduled(cancelled).await, Ok("far".into()));
        assert_eq!(scheduled(&orders).await, 0);
        broker.shutdown().await;
    });
}

/// G21: what no longer decodes becomes a dead letter as it is, at once.
#[test]
fn a_delayed_message_that_cannot_be_read_any_more_becomes_a_dead_letter() {
    struct Narrow;

    impl Codec<String> for Narrow {
        fn name(&self) -> &str {
            Codec::<String>::name(&Raw)
        }

        fn encode(&self, text: &String, into: &mut Vec<u8>) -> Result<(), Fault> {
            Raw.encode(text, into)
        }

        fn decode(&self, bytes: &[u8], version: u32) -> Result<String, Fault> {
            let text: String = Raw.decode(bytes, version)?;
            if text == "odd" { Err(Fault::new("it is odd")) } else { Ok(text) }
        }
    }

    every::runtime(|| async {
        let dir = TempDir::new("odd");
        let (broker, orders) = open(dir.builder()).await;
        drop(orders.group("billing").stream().await.unwrap());
        later(&orders, HOUR, "odd").await;
        later(&orders, millis(20), "even").await;
        broker.shutdown().await;

        for _ in 0..2 {
            let broker = dir.builder().open().await.unwrap();
            let orders = broker.topic::<String>("orders").durable(Narrow).open().await.unwrap();
            let mut stream = orders.group("billing").stream().await.unwrap();
            let dead = broker.topic::<DeadLetter>("orders.billing.dead").open().await.unwrap();
            let letter = dead.group("clerk").stream().await.unwrap().next().await.unwrap();
            assert!(matches!(letter.reason(), DeadReason::Undecodable(_)), "{:?}", letter.reason());
            assert_eq!(letter.stored_payload(), Some(&b"odd"[..]));
            drop(letter);
            let stats = dead.stats().await.unwrap();
            assert_eq!((stats.accepted, stats.unsettled), (1, 1), "once");
            let even = stream.next().await.unwrap();
            assert_eq!(even.as_str(), "even");
            drop((even, stream));
            orders.settled().await.unwrap();
            assert_eq!(scheduled(&orders).await, 0);
            broker.shutdown().await;
        }
    });
}

#[test]
fn a_topic_that_is_deleted_takes_along_what_it_had_delayed() {
    every::runtime(|| async {
        let dir = TempDir::new("deleted");
        let (broker, orders) = open(dir.builder()).await;
        later(&orders, millis(1), "one").await;
        later(&orders, HOUR, "two").await;
        let names: Vec<_> =
            broker.stored_topics().await.unwrap().iter().map(|t| t.name.to_string()).collect();
        assert_eq!(names, ["orders"], "its schedule is no topic");
        let report = orders.delete().await.unwrap();
        assert!(report.scheduled >= 1 && report.lost() >= 1, "{report:?}");
        let orders = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
        assert_eq!(scheduled(&orders).await, 0);
        later(&orders, HOUR, "three").await;
        broker.shutdown().await;
        let broker = dir.builder().open().await.unwrap();
        assert_eq!(broker.delete_stored_topic("orders").await, Ok(true));
        broker.shutdown().await;
        let (broker, orders) = open(dir.builder()).await;
        assert_eq!(scheduled(&orders).await, 0);
        broker.shutdown().await;
    });
}

/// G2: one that waits long keeps nothing of what comes and goes.
#[test]
fn what_lags_behind_is_written_anew_so_that_the_schedule_stays_short() {
    every::seed(4, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(builder(&disk)).await;
        orders.group("billing").run(async |_| Ok(())).await.unwrap();
        later(&orders, HOUR, "far").await;
        for _ in 0..100 {
            futures::future::join_all((0..50).map(|_| later(&orders, millis(5), "near"))).await;
            sim.sleep(millis(10)).await;
        }
        orders.settled().await.unwrap();
        broker.shutdown().await;
        let (floor, next) = span(&disk);
        assert!(next >= 5_000 && next - floor <= 1_100, "{floor} to {next}");
        let (broker, orders) = open(builder(&disk)).await;
        assert_eq!(scheduled(&orders).await, 1, "far is there still");
        broker.shutdown().await;
    });
}
