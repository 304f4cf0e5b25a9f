//! Does a topic on disk go on where it was left?

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use callboard::broker::{DataDirBuilder, Durability, ErrorKind, OpenError, Raw};
use callboard::prelude::*;
use callboard::sim::{Sim, SimDisk};
use futures::{FutureExt as _, StreamExt as _};

use crate::every;
use crate::kit::until;

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
        let builder = Broker::builder().data_dir(&self.path);
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

async fn open(dir: &TempDir) -> (Broker, Topic<String>) {
    let broker = dir.builder().journal_file_bytes(64 << 10).open().await.unwrap();
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
        broker.shutdown().await;
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
