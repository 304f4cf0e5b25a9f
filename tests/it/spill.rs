//! Does a topic that spills keep all, in order, and leave nothing behind? (G3)

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::{OpenError, Raw};
use callboard::prelude::*;
use callboard::sim::{DiskCall, DiskFault, Sim, SimDisk};

use crate::disk::Number;
use crate::every;
use crate::kit::{Seen, Valve, until, valved};

/// A broker with a topic that spills: on the machine's disk, or a simulated one.
async fn spills(capacity: usize, bytes: u64) -> (Broker, Topic<u64>, SimDisk) {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>("t").capacity(capacity).overflow(Overflow::Spill { bytes });
    let disk = SimDisk::new(Sim::current().map_or(1, |sim| sim.seed()));
    let topic = match Sim::current() {
        Some(_) => topic.spill_on("/", Number, disk.clone()),
        None => topic.spill_to(std::env::temp_dir(), Number),
    };
    (broker, topic.open().await.unwrap(), disk)
}

async fn reads(topic: &Topic<u64>, name: &str) -> (Group, Seen) {
    let seen = Seen::default();
    let group = topic.group(name).with(seen.clone());
    let group = group
        .run(async |n, seen| {
            assert_eq!(n.id().offset(), *n, "offsets are as they were told");
            seen.lock().unwrap().push(*n);
            Ok(())
        })
        .await
        .unwrap();
    (group, seen)
}

/// Ten thousand messages in a topic of a hundred, with no reader, then with two: all of them, in order, for both.
#[test]
fn what_memory_has_no_room_for_comes_back_in_order() {
    every::runtime(|| async {
        let (broker, topic, disk) = spills(100, 1 << 30).await;
        for n in 0..3000 {
            assert_eq!(topic.publish(n).await.unwrap().offset(), n);
        }
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled, stats.capacity), (3000, 3000, 100));
        // What is on its way to the disk is as much again as fits, at most.
        assert!(stats.spilled >= 3000 - 2 * 100, "{stats:?}");
        topic.hold();
        let (one, first) = reads(&topic, "one").await;
        let (_, second) = reads(&topic, "two").await;
        topic.release();
        topic.publish_all(3000..6000).await.unwrap();
        topic.settled().await.unwrap();
        let all: Vec<u64> = (0..6000).collect();
        assert_eq!(*first.lock().unwrap(), all);
        assert_eq!(*second.lock().unwrap(), all);
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.unsettled, stats.spilled, stats.spilled_bytes, stats.spill_lost), (0, 0, 0, 0));
        assert_eq!(one.stats().await.unwrap().acked, 6000);
        assert_eq!(broker.shutdown().await.lost(), 0);
        assert_eq!(disk.files(), [], "no file has a name");
    });
}

/// A slow reader, and a quick publisher: memory stays small, and what comes while the line is there stays behind it.
#[test]
fn a_line_that_grows_and_shrinks_keeps_its_order() {
    every::seed(30, |sim| async move {
        let (_broker, topic, _disk) = spills(16, 1 << 20).await;
        let seen = Seen::default();
        let group = topic.group("slow").consumers(1).prefetch(4).with((seen.clone(), sim.clone()));
        let group = group
            .run(async |n, (seen, sim)| {
                if *n % 50 == 0 {
                    sim.sleep(Duration::from_millis(2)).await;
                }
                seen.lock().unwrap().push(*n);
                Ok(())
            })
            .await
            .unwrap();
        for n in 0..1500 {
            topic.publish(n).await.unwrap();
            if n % 97 == 0 {
                sim.sleep(Duration::from_millis(n % 5)).await;
            }
            if n % 500 == 499 {
                group.drain().await.unwrap();
            }
        }
        topic.settled().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), (0..1500).collect::<Vec<_>>());
    });
}

/// At its limit of bytes a topic waits, and goes on once there is room.
#[test]
fn a_topic_at_its_limit_of_bytes_waits() {
    every::runtime(|| async {
        let (_broker, topic, _) = spills(8, 500).await;
        let valve = Valve::shut();
        let _group = valved(&topic, "g", &valve).await;
        let publishing = {
            let topic = topic.clone();
            every::spawn("publisher", async move {
                for n in 0..400 {
                    topic.publish(n).await.unwrap();
                }
            })
        };
        valve.next().await;
        loop {
            let stats = topic.stats().await.unwrap();
            if stats.waiting_publishers > 0 && stats.spilled_bytes >= 500 {
                assert!(stats.accepted < 250, "{stats:?}");
                break;
            }
            crate::kit::yield_now().await;
        }
        valve.open();
        publishing.await;
        topic.settled().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
    });
}

/// A disk that refuses makes the topic wait, loses nothing, and is asked again when what is there was read.
#[test]
fn a_disk_that_refuses_loses_nothing() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for call in [DiskCall::Write, DiskCall::Create, DiskCall::Read] {
            every::seed(6, move |sim| async move {
                let (broker, topic, disk) = spills(16, 1 << 20).await;
                for nth in [1, 2, 5] {
                    disk.fail(DiskFault::nth(nth + sim.seed()).of(call).with(kind));
                }
                let publishing = {
                    let topic = topic.clone();
                    every::spawn("publisher", async move {
                        for n in 0..2000 {
                            topic.publish(n).await.unwrap();
                        }
                    })
                };
                sim.sleep(Duration::from_millis(1)).await;
                let (_, seen) = reads(&topic, "g").await;
                publishing.await;
                topic.settled().await.unwrap();
                assert_eq!(*seen.lock().unwrap(), (0..2000).collect::<Vec<_>>());
                assert_eq!(broker.shutdown().await.lost(), 0);
            });
        }
    }
}

/// Headers, keys, times and weights come back with the messages.
#[test]
fn what_a_message_carries_is_spilled_with_it() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let disk = SimDisk::new(sim.seed());
        let topic = broker.topic::<String>("t").capacity(8).capacity_bytes(400, String::len);
        let topic = topic.key(|text: &String| text.as_str()).overflow(Overflow::Spill { bytes: 1 << 20 });
        let topic = topic.spill_on("/", Raw, disk).open().await.unwrap();
        for n in 0..100 {
            let message = topic.message(format!("message {n} {}", "x".repeat(n % 40)));
            let message = message.header("n", n.to_string());
            let message = if n % 10 == 9 { message.ttl(Duration::from_millis(50)) } else { message };
            message.publish().await.unwrap();
        }
        sim.sleep(Duration::from_millis(60)).await;
        let seen = Arc::<Mutex<Vec<usize>>>::default();
        let group = topic.group("g").key_ordered().with(seen.clone());
        let group = group
            .run(async |message, seen| {
                let n: usize = message.headers().text("n").unwrap().parse().unwrap();
                assert_eq!(*message, format!("message {n} {}", "x".repeat(n % 40)));
                assert!(message.key().is_some());
                seen.lock().unwrap().push(n);
                Ok(())
            })
            .await
            .unwrap();
        let stats = until(&group, |stats| stats.lag == 0).await;
        assert_eq!((stats.acked, stats.expired), (90, 10), "{stats:?}");
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.sort_unstable();
        assert_eq!(seen, (0..100).filter(|n| n % 10 != 9).collect::<Vec<_>>());
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.bytes, stats.unsettled), (0, 0));
    });
}

/// What is in the line at the end is in the report.
#[test]
fn what_is_spilled_at_the_end_is_reported() {
    every::runtime(|| async {
        let (broker, topic, _) = spills(10, 1 << 20).await;
        let _group = topic.group("g").run(async |_| std::future::pending().await).await.unwrap();
        topic.publish_all(0..500).await.unwrap();
        let report = broker.shutdown_within(Duration::ZERO).await;
        assert_eq!(report.lost(), 500, "{report:?}");
        crate::kit::assert_balance(&report);
        let (broker, topic, _) = spills(10, 1 << 20).await;
        topic.publish_all(0..500).await.unwrap();
        assert_eq!(broker.shutdown_within(Duration::ZERO).await.lost(), 500);
        drop(topic);
    });
}

#[test]
fn what_cannot_spill_is_refused_when_it_is_opened() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = || broker.topic::<String>("t");
        let spill = Overflow::Spill { bytes: 1000 };
        for (topic, why) in [
            (topic().overflow(spill), "needs `spill_to`"),
            (topic().spill_to("/", Raw), "for a topic whose overflow"),
            (topic().overflow(Overflow::Spill { bytes: 0 }).spill_to("/", Raw), "no bytes"),
        ] {
            let error = topic.open().await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let nowhere = std::env::temp_dir().join("callboard-it-no-such-directory");
        let error = topic().overflow(spill).spill_to(&nowhere, Raw).open().await.unwrap_err();
        let says = error.to_string().contains("callboard-it-no-such-directory");
        assert!(matches!(error, OpenError::Storage(_)) && says, "{error}");
    });
}
