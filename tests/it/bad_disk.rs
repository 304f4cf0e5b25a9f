//! What does a broker answer when its disk is full, fails, or is not as it was left?

use std::time::Duration;

use callboard::broker::{DataDirBuilder, ErrorKind, InvalidMessage, PublishError, Raw, StartError};
use callboard::prelude::*;
use callboard::sim::{CrashKind, DiskCall, DiskFault, SimDisk};
use futures::StreamExt as _;
use futures::future::join3;

use crate::every;

fn builder(disk: &SimDisk) -> DataDirBuilder {
    Broker::builder().data_dir("/data").journal_file_bytes(64 << 10).on(disk.clone())
}

async fn open(disk: &SimDisk) -> (Broker, Topic<String>) {
    let broker = builder(disk).open().await.unwrap();
    let topic = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
    (broker, topic)
}

async fn next(orders: &Topic<String>) -> String {
    let order = orders.group("billing").stream().await.unwrap().next().await.unwrap();
    let text = order.to_string();
    order.ack_durable().await.unwrap();
    text
}

/// G22: a disk that failed to sync once is not asked again; what was confirmed before is there for the next broker.
#[test]
fn nothing_is_confirmed_after_a_failed_sync() {
    every::seed(20, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(&disk).await;
        drop(orders.group("billing").stream().await.unwrap());
        orders.publish("one".into()).await.unwrap();
        disk.fail(DiskFault::nth(1).of(DiskCall::Sync));
        let unknown = orders.publish("two".into()).await.unwrap_err();
        assert!(matches!(&unknown, PublishError::Unknown(text, _) if text == "two"), "{unknown}");
        disk.heal();
        let refused = orders.publish("three".into()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Storage, "{refused}");
        assert_eq!(refused.into_inner(), "three");
        let after = disk.crash(CrashKind::Random(sim.seed()));
        drop((orders, broker));

        let (broker, orders) = open(&after).await;
        assert_eq!(next(&orders).await, "one");
        orders.publish("four".into()).await.unwrap();
        let second = next(&orders).await;
        assert!(
            ["two", "four"].contains(&second.as_str()),
            "unknown is there or not, and three is not: {second}"
        );
        broker.shutdown().await;
    });
}

/// G22: want of space refuses what is new. What was confirmed is handled, and once there is space it goes on.
#[test]
fn a_full_disk_refuses_what_is_new_and_nothing_else() {
    every::seed(20, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(&disk).await;
        let mut pulled = orders.group("billing").stream().await.unwrap();
        disk.set_free(100 << 10);
        let mut confirmed = Vec::new();
        let refused = loop {
            let text = format!("{:0>2000}", confirmed.len());
            match orders.publish(text.clone()).await {
                Ok(_) => confirmed.push(text),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::Storage, "{refused}");
        assert!(matches!(refused, PublishError::NotStored(..)), "{refused}");
        for text in &confirmed {
            let order = pulled.next().await.unwrap();
            assert_eq!(order.as_str(), text);
            order.ack().unwrap();
        }
        disk.set_free(10 << 20);
        orders.publish("after".into()).await.unwrap();
        let after = pulled.next().await.unwrap();
        assert_eq!(after.as_str(), "after");
        after.ack().unwrap();
        drop(pulled);
        broker.shutdown().await;
    });
}

/// What no commit has room for is refused alone, with its message, and says why; what came with it is stored.
#[test]
fn a_record_above_the_limit_is_refused_and_what_is_beside_it_is_not() {
    every::seed(20, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(&disk).await;
        let mut pulled = orders.group("billing").stream().await.unwrap();
        let large = "x".repeat(70_000);
        let (before, refused, after) = join3(
            orders.publish("before".into()),
            orders.publish(large.clone()),
            orders.publish("after".into()),
        )
        .await;
        before.unwrap();
        after.unwrap();
        let Err(PublishError::Invalid(back, why)) = refused else { panic!("{refused:?}") };
        let InvalidMessage::TooLarge { bytes, limit } = why else { panic!("{why}") };
        assert!(back == large && bytes > 70_000 && limit < 70_000, "{bytes} bytes, of at most {limit}");
        for text in ["before", "after"] {
            let order = pulled.next().await.unwrap();
            assert_eq!(order.as_str(), text);
            order.ack().unwrap();
        }
        orders.settled().await.unwrap();
        assert_eq!(orders.stats().await.unwrap().unsettled, 0, "it holds no place");
        drop(pulled);
        broker.shutdown().await;
    });
}

/// G21: a bit that has turned over in the middle is an error that says where, and nothing is changed.
#[test]
fn a_flipped_bit_is_refused_with_its_place() {
    every::seed(50, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(&disk).await;
        for text in ["one", "two", "three"] {
            orders.publish(text.into()).await.unwrap();
        }
        broker.shutdown().await;
        let bytes = disk.read_file("/data/journal/0.j").unwrap();
        let at = bytes.windows(3).position(|window| window == b"two").unwrap() as u64;
        disk.flip("/data/journal/0.j", at, 1 << (sim.seed() % 8)).unwrap();
        let before = disk.files();
        let damaged = builder(&disk).open().await.unwrap_err();
        assert!(matches!(damaged, StartError::Storage(_)), "{damaged}");
        let text = damaged.to_string();
        assert!(text.contains("/data/journal/0.j is damaged at byte ") && text.contains("lsn "), "{text}");
        assert_eq!(disk.files(), before);
        disk.flip("/data/journal/0.j", at, 1 << (sim.seed() % 8)).unwrap();
        let (broker, orders) = open(&disk).await;
        assert_eq!(next(&orders).await, "one");
        broker.shutdown().await;
    });
}

/// G20, G21: a torn end is cut, and to open again changes nothing more.
#[test]
fn a_power_cut_takes_nothing_that_was_confirmed_and_recovering_twice_is_recovering_once() {
    every::seed(50, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(&disk).await;
        drop(orders.group("billing").stream().await.unwrap());
        let publisher = orders.clone();
        disk.stop_at(disk.calls() + 2 + sim.seed());
        let mut confirmed = Vec::new();
        while !disk.is_stopped() && confirmed.len() < 100 {
            let text = format!("order {}", confirmed.len());
            match publisher.publish(text.clone()).await {
                Ok(_) => confirmed.push(text),
                Err(_) => break,
            }
        }
        let after = disk.crash(CrashKind::Random(sim.seed()));
        drop((publisher, orders, broker));
        let mut found = Vec::new();
        for _ in 0..2 {
            let (broker, orders) = open(&after).await;
            let unsettled = usize::try_from(orders.stats().await.unwrap().unsettled).unwrap();
            let pulled = orders.group("billing").stream().await.unwrap();
            let orders: Vec<Delivery<String>> = pulled.take(unsettled).collect().await;
            let texts: Vec<String> = orders.iter().map(|order| order.to_string()).collect();
            orders.into_iter().for_each(|order| order.release().unwrap());
            assert!(texts.starts_with(&confirmed) && texts.len() <= confirmed.len() + 1, "{texts:?}");
            found.push(texts);
            broker.shutdown().await;
        }
        assert_eq!(found[0], found[1]);
    });
}

/// G8: what was handed out before a crash stays marked, though a process in between was closed in order.
#[test]
fn what_an_earlier_process_handed_out_stays_marked_until_it_is_settled() {
    every::seed(5, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(&disk).await;
        orders.publish("one".into()).await.unwrap();
        let mut pulled = orders.group("billing").stream().await.unwrap();
        let order = pulled.next().await.unwrap();
        assert!(!order.maybe_redelivered());
        let after = disk.crash(CrashKind::Random(sim.seed()));
        drop((order, pulled, orders, broker));

        // This one hands out nothing.
        let (broker, _) = open(&after).await;
        broker.shutdown().await;

        let (broker, orders) = open(&after).await;
        let order = orders.group("billing").stream().await.unwrap().next().await.unwrap();
        assert!(order.maybe_redelivered() || order.attempt() > 1, "a second delivery, not marked");
        order.ack().unwrap();
        broker.shutdown().await;
    });
}

/// G8: what was begun and not settled says so in the next process, in whichever way this one ended.
#[test]
fn what_was_begun_is_marked_however_the_process_ended() {
    for end in ["shutdown", "dropped", "pulled"] {
        every::seed(20, move |sim| async move {
            let disk = SimDisk::new(sim.seed());
            let (broker, orders) = open(&disk).await;
            orders.publish("one".into()).await.unwrap();
            let (begun, begins) = async_channel::bounded(1);
            if end == "pulled" {
                let mut pulled = orders.group("billing").stream().await.unwrap();
                let order = pulled.next().await.unwrap();
                broker.shutdown_within(Duration::ZERO).await;
                drop((order, pulled));
            } else {
                let billing = orders.group("billing").with(begun);
                let billing = billing.run(async |_, begun: async_channel::Sender<()>| {
                    begun.send(()).await?;
                    std::future::pending().await
                });
                billing.await.unwrap();
                begins.recv().await.unwrap();
                if end == "shutdown" {
                    broker.shutdown_within(Duration::ZERO).await;
                }
            }
            drop((orders, broker));
            sim.settle().await;

            let (broker, orders) = open(&disk).await;
            let order = orders.group("billing").stream().await.unwrap().next().await.unwrap();
            assert!(order.maybe_redelivered() || order.attempt() > 1, "{end}: a second delivery, not marked");
            order.ack().unwrap();
            broker.shutdown().await;
        });
    }
}
