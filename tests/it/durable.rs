//! Does a topic on disk go on where it was left?

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use callboard::broker::{
    AckError, DataDirBuilder, DeadReason, Durability, ErrorKind, OpenError, Raw, Retain,
};
use callboard::prelude::*;
use callboard::sim::{CrashKind, Sim, SimDisk};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};

use crate::every;
use crate::kit::until;
use crate::unread::{ALL, Numbers};

/// A directory that goes when this is dropped; in a simulation, on a disk of its own.
pub(crate) struct TempDir {
    path: PathBuf,
    disk: Option<SimDisk>,
}

impl TempDir {
    pub(crate) fn new(name: &str) -> TempDir {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        if let Some(sim) = Sim::current() {
            return TempDir { path: "/data".into(), disk: Some(SimDisk::new(sim.seed())) };
        }
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("callboard-it-{}-{name}-{number}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        TempDir { path: dir, disk: None }
    }

    pub(crate) fn builder(&self) -> DataDirBuilder {
        let builder = Broker::builder().data_dir(&self.path).journal_file_bytes(64 << 10);
        match &self.disk {
            Some(disk) => builder.on(disk.clone()),
            None => builder,
        }
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if self.disk.is_none() {
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

/// A broker with a topic that keeps its history, in a directory.
pub(crate) async fn retains(dir: &TempDir, capacity: usize, retain: Retain) -> (Broker, Topic<String>) {
    let broker = dir.builder().open().await.unwrap();
    let topic = broker.topic::<String>("t").durable(Raw).capacity(capacity).retain(retain);
    (broker, topic.open().await.unwrap())
}

async fn open(dir: &TempDir) -> (Broker, Topic<String>) {
    let broker = dir.builder().open().await.unwrap();
    let topic = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
    (broker, topic)
}

/// G1, G20.
#[test]
fn what_was_published_is_there_for_the_next_process() {
    every::runtime(|| async {
        let dir = TempDir::new("next");
        let (broker, orders) = open(&dir).await;
        let first = orders.publish("one".into()).await.unwrap();
        let rest = orders.publish_all(["two", "three"].map(String::from)).await.unwrap();
        assert_eq!((first.offset(), rest[0].offset(), rest[1].offset()), (0, 1, 2));
        drop((broker.shutdown().await, orders));

        let (broker, orders) = open(&dir).await;
        let stats = orders.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled), (3, 3));
        let seen = Arc::<Mutex<Vec<(u64, String)>>>::default();
        let billing = orders.group("billing").with(seen.clone());
        let billing = billing
            .run(async |order, seen| {
                seen.lock().unwrap().push((order.id().offset(), order.to_string()));
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(orders.publish("four".into()).await.unwrap().offset(), 3);
        orders.settled().await.unwrap();
        let all = ["one", "two", "three", "four"].map(String::from);
        assert_eq!(*seen.lock().unwrap(), (0..).zip(all).collect::<Vec<_>>());
        assert_eq!(billing.stats().await.unwrap().acked, 4);
        broker.shutdown().await;

        let (broker, orders) = open(&dir).await;
        assert_eq!(orders.stats().await.unwrap().unsettled, 0);
        let billing = orders.group("billing").run(async |_| panic!("nothing is left to do")).await.unwrap();
        orders.settled().await.unwrap();
        assert_eq!(billing.stats().await.unwrap().acked, 0);
        broker.shutdown().await;
    });
}

/// G4, G6, G8: what one group has not settled waits for it, though another one has.
#[test]
fn a_group_that_is_away_keeps_its_messages() {
    every::runtime(|| async {
        let dir = TempDir::new("away");
        let (broker, orders) = open(&dir).await;
        let all = orders.group("audit").run(async |_| Ok(())).await.unwrap();
        let billing = orders.group("billing").retry(Retry::fixed(std::time::Duration::from_secs(3600)));
        let billing = billing.run(async |order| match order.as_str() {
            "bad" => Err(Fault::new("no paper")),
            _ => Ok(()),
        });
        let billing = billing.await.unwrap();
        orders.publish_all(["good", "bad", "good"].map(String::from)).await.unwrap();
        until(&billing, |stats| stats.delayed == 1).await;
        until(&all, |stats| stats.acked == 3).await;
        broker.shutdown_within(std::time::Duration::ZERO).await;

        let (broker, orders) = open(&dir).await;
        assert_eq!(
            orders.stats().await.unwrap().unsettled,
            1,
            "it waits, though nobody has opened the group"
        );
        orders.group("audit").run(async |_| panic!("settled before")).await.unwrap();
        let mut pulled = orders.group("billing").stream().await.unwrap();
        // The delay is remembered.
        until(&orders.find_group("billing").unwrap(), |stats| stats.delayed == 1).await;
        assert!(pulled.next().now_or_never().is_none());
        broker.shutdown_within(std::time::Duration::ZERO).await;
    });
}

#[test]
fn what_is_opened_as_what_it_is_not_is_refused() {
    every::runtime(|| async {
        let dir = TempDir::new("other");
        let (broker, orders) = open(&dir).await;
        let second = dir.builder().open().await.unwrap_err();
        assert!(second.to_string().contains("is open in another process or broker"), "{second}");
        let refused = orders.try_publish("now".into()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        broker.shutdown().await;

        let broker = dir.builder().open().await.unwrap();
        let memory = broker.topic::<String>("orders").open().await.unwrap_err();
        assert!(matches!(memory, OpenError::OtherDurability { .. }), "{memory}");
        let soon = Durability::Interval(std::time::Duration::from_millis(5));
        let soon = broker.topic::<String>("orders").durable(Raw).durability(soon).open().await.unwrap_err();
        assert!(matches!(soon, OpenError::OtherDurability { .. }), "{soon}");
        broker.shutdown().await;
        let broker = Broker::start().unwrap();
        let nowhere = broker.topic::<String>("orders").durable(Raw).open().await.unwrap_err();
        assert!(matches!(nowhere, OpenError::NoDataDir(_)), "{nowhere}");
        broker.shutdown().await;
    });
}

async fn letters(broker: &Broker) -> Topic<DeadLetter> {
    broker.topic::<DeadLetter>("orders.billing.dead").open().await.unwrap()
}

/// G11: what a group gave up, and what came back of it, outlives the process.
#[test]
fn dead_letters_are_on_the_disk_and_come_back() {
    every::runtime(|| async {
        let dir = TempDir::new("dead");
        let (broker, orders) = open(&dir).await;
        let billing = orders.group("billing").retry(Retry::none());
        let billing = billing.run(async |order| match order.as_str() {
            "bad" => Err(Fault::new("no paper")),
            _ => Ok(()),
        });
        let billing = billing.await.unwrap();
        let ids = orders.publish_all(["good", "bad", "good"].map(String::from)).await.unwrap();
        until(&billing, |stats| stats.dead_lettered == 1 && stats.acked == 2).await;
        broker.shutdown().await;

        // The letters can be read before the topic is open that they come from, but for their payload.
        let (broker, dead) = {
            let broker = dir.builder().open().await.unwrap();
            let dead = letters(&broker).await;
            (broker, dead)
        };
        let mut clerk = dead.group("clerk").stream().await.unwrap();
        let letter = clerk.next().await.unwrap();
        assert_eq!((letter.original_id(), letter.error(), letter.attempts()), (ids[1], Some("no paper"), 1));
        assert!(letter.message::<String>().is_none());
        letter.release().unwrap();
        let orders = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
        let letter = clerk.next().await.unwrap();
        assert_eq!(**letter.message::<String>().unwrap(), *"bad");
        // Nobody takes it before its group is there.
        assert!(letter.redrive().await.is_err());
        let mut back = orders.group("billing").stream().await.unwrap();
        letter.redrive().await.unwrap();
        letter.ack().unwrap();
        let order = back.next().await.unwrap();
        assert_eq!((order.as_str(), order.id(), order.redrives(), order.attempt()), ("bad", ids[1], 1, 1));
        order.release().unwrap();
        dead.settled().await.unwrap();
        assert_eq!(dead.stats().await.unwrap().unsettled, 0);
        drop((back, clerk));
        broker.shutdown().await;

        // It is in its topic by now, for its group alone, with what it was.
        let (broker, orders) = open(&dir).await;
        let mut others = orders.group("others").stream().await.unwrap();
        let mut back = orders.group("billing").stream().await.unwrap();
        let order = back.next().await.unwrap();
        assert_eq!((order.as_str(), order.id(), order.redrives()), ("bad", ids[1], 1));
        order.ack().unwrap();
        orders.settled().await.unwrap();
        assert!(others.next().now_or_never().is_none());
        assert_eq!(letters(&broker).await.stats().await.unwrap().unsettled, 0);
        broker.shutdown().await;

        let (broker, orders) = open(&dir).await;
        assert_eq!(orders.stats().await.unwrap().unsettled, 0);
        broker.shutdown().await;
    });
}

/// A sink that was flushed has everything on the disk.
#[test]
fn a_sink_flushes_to_the_disk_and_reports_say_what_is_kept() {
    every::runtime(|| async {
        let dir = TempDir::new("sink");
        let (broker, orders) = open(&dir).await;
        let mut sink = orders.sink();
        let values = (0..300).map(|n| Ok(format!("order {n}")));
        sink.send_all(&mut futures::stream::iter(values)).await.unwrap();
        let stats = orders.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled), (300, 300));
        let report = broker.shutdown().await;
        let kept = &report.topics[0];
        assert!(kept.durable && kept.lost() == 0 && kept.unread == 300, "{kept:?}");

        let (broker, orders) = open(&dir).await;
        let mut pulled = orders.group("report").stream().await.unwrap();
        for n in 0..100 {
            let order = pulled.next().await.unwrap();
            assert_eq!(order.as_str(), format!("order {n}"));
            order.ack().unwrap();
        }
        drop(pulled);
        let report = broker.shutdown().await;
        let group = report.group("orders", "report").unwrap();
        assert_eq!((group.settled, group.kept, group.lost), (100, 200, 0));
    });
}

#[test]
fn a_topic_that_is_deleted_is_gone_from_the_disk_and_its_name_is_free() {
    every::runtime(|| async {
        let dir = TempDir::new("gone");
        let (broker, orders) = open(&dir).await;
        orders.publish_all(["one", "two"].map(String::from)).await.unwrap();
        orders.group("billing").stream().await.unwrap();
        assert_eq!(orders.delete().await.unwrap().lost(), 2);
        let orders = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
        assert_eq!(orders.publish("three".into()).await.unwrap().offset(), 0);
        let group = orders.group("billing").run(async |_| Ok(())).await.unwrap();
        orders.settled().await.unwrap();
        group.delete().await.unwrap();
        orders.publish("four".into()).await.unwrap();
        broker.shutdown().await;

        let (broker, orders) = open(&dir).await;
        assert_eq!(orders.stats().await.unwrap().unsettled, 1);
        let mut pulled = orders.group("billing").stream().await.unwrap();
        let order = pulled.next().await.unwrap();
        assert_eq!(order.as_str(), "four");
        order.ack().unwrap();
        broker.shutdown().await;
    });
}

/// G21: what nobody can read any more goes to the dead letters, as the bytes that it is.
#[test]
fn a_payload_that_no_longer_decodes_is_a_dead_letter() {
    every::runtime(|| async {
        let dir = TempDir::new("undecodable");
        let broker = dir.builder().open().await.unwrap();
        let numbers = broker.topic::<u64>("numbers").durable(Numbers(ALL)).open().await.unwrap();
        drop(numbers.group("sum").stream().await.unwrap());
        numbers.publish_all([1, 2, 3]).await.unwrap();
        broker.shutdown().await;

        let broker = dir.builder().open().await.unwrap();
        let numbers = broker.topic::<u64>("numbers").durable(Numbers(2)).open().await.unwrap();
        let mut sum = numbers.group("sum").stream().await.unwrap();
        for expected in [1, 3] {
            let number = sum.next().await.unwrap();
            assert_eq!(**number, expected);
            number.ack().unwrap();
        }
        let dead = broker.topic::<DeadLetter>("numbers.sum.dead").open().await.unwrap();
        let letter = dead.group("clerk").stream().await.unwrap().next().await.unwrap();
        assert!(matches!(letter.reason(), DeadReason::Undecodable(why) if why.contains("no number")));
        assert_eq!(letter.stored_payload(), Some(2u64.to_le_bytes().as_slice()));
        assert_eq!(letter.original_id().offset(), 1);
        broker.shutdown().await;
    });
}

/// A key is taken once, also by the next process; a repeat waits until the first one is on the disk.
#[test]
fn dedup_keys_outlive_the_process() {
    every::runtime(|| async {
        let dir = TempDir::new("dedup");
        let (broker, orders) = open(&dir).await;
        let publish = || orders.message("one".into()).dedup_key("k").publish();
        let (first, second) = futures::future::try_join(publish(), publish()).await.unwrap();
        assert!(!first.repeated && second.repeated && first.id == second.id);
        orders.group("billing").run(async |_| Ok(())).await.unwrap();
        orders.settled().await.unwrap();
        broker.shutdown().await;

        let (broker, orders) = open(&dir).await;
        let again = orders.message("one".into()).dedup_key("k").publish().await.unwrap();
        assert!(again.repeated && again.id == first.id);
        let other = orders.message("two".into()).dedup_key("l").publish().await.unwrap();
        assert_eq!((other.repeated, other.id.offset()), (false, 1));
        assert_eq!(orders.stats().await.unwrap().accepted, 2);
        broker.shutdown().await;
    });
}

/// G20: an ack that was waited for is not delivered again, whatever the disk loses.
#[test]
fn an_ack_that_was_waited_for_outlives_a_power_cut() {
    every::seed(20, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let open = async |disk: &SimDisk| {
            let builder = Broker::builder().data_dir("/data").journal_file_bytes(64 << 10).on(disk.clone());
            let broker = builder.open().await.unwrap();
            let orders = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
            (broker, orders)
        };
        let (broker, orders) = open(&disk).await;
        let mut pulled = orders.group("billing").stream().await.unwrap();
        orders.publish_all(["one", "two"].map(String::from)).await.unwrap();
        pulled.next().await.unwrap().ack_durable().await.unwrap();
        let second = pulled.next().await.unwrap();
        assert_eq!((second.as_str(), second.maybe_redelivered()), ("two", false));
        let after = disk.crash(CrashKind::LoseAll);
        assert_eq!(second.ack_durable().await, Err(AckError::NotStored));
        drop((pulled, orders, broker));

        let (broker, orders) = open(&after).await;
        let mut pulled = orders.group("billing").stream().await.unwrap();
        let second = pulled.next().await.unwrap();
        assert_eq!((second.as_str(), second.maybe_redelivered()), ("two", true));
        second.ack().unwrap();
        broker.shutdown().await;
    });
}

#[test]
fn what_is_on_the_disk_is_listed_read_as_bytes_and_deleted() {
    every::runtime(|| async {
        let dir = TempDir::new("listed");
        let (broker, orders) = open(&dir).await;
        let mut pulled = orders.group("billing").stream().await.unwrap();
        orders.publish_all(["one", "two", "three"].map(String::from)).await.unwrap();
        pulled.next().await.unwrap().ack_durable().await.unwrap();
        drop(pulled);
        broker.shutdown_within(std::time::Duration::ZERO).await;

        let broker = dir.builder().open().await.unwrap();
        let stored = broker.stored_topics().await.unwrap();
        let names: Vec<&str> = stored.iter().map(|topic| topic.name.as_str()).collect();
        assert_eq!(names, ["orders", "orders.billing.dead"]);
        assert_eq!((stored[0].codec.as_str(), stored[0].next, stored[0].groups[0].lag), ("raw/1", 3, 2));
        let bytes = broker.topic::<Vec<u8>>("orders").as_bytes().open().await.unwrap();
        let mut pulled = bytes.group("billing").stream().await.unwrap();
        let two = pulled.next().await.unwrap();
        assert_eq!(two.as_slice(), b"two");
        assert_eq!(bytes.publish(vec![1]).await.unwrap_err().kind(), ErrorKind::Invalid);
        let error = broker.delete_stored_topic("orders").await.unwrap_err();
        assert_eq!(error.to_string(), "not deleted: orders is open");
        assert!(broker.delete_stored_topic("orders.billing.dead").await.is_err());
        assert_eq!(broker.delete_stored_topic("nothing").await, Ok(false));
        drop((two, pulled));
        broker.shutdown_within(std::time::Duration::ZERO).await;

        let broker = dir.builder().open().await.unwrap();
        assert_eq!(broker.delete_stored_topic("orders").await, Ok(true));
        assert_eq!(broker.stored_topics().await.unwrap().len(), 1);
        let (_, orders) = (broker.clone(), broker.topic::<u64>("orders").open().await.unwrap());
        assert_eq!(orders.stats().await.unwrap().accepted, 0);
        broker.shutdown().await;
    });
}
