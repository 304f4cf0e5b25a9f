//! Is what was settled before handed on whole, and what is live behind it, and does nobody wait for what can't go on? (G5, G18, G25)

use std::sync::Arc;
use std::time::Duration;

use callboard::broker::{Raw, Retain, Start};
use callboard::prelude::*;
use callboard::sim::{DiskCall, DiskFault};
use futures::StreamExt as _;

use crate::disk;
use crate::durable::{TempDir, retains};
use crate::every;
use crate::kit::{reads, until};

/// What a slow group keeps comes to a late one too, also where the history has its floor within a batch.
#[test]
fn a_late_group_is_handed_all_that_others_keep_and_the_history() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let keeps = Retain::all().messages(10);
        let topic = disk::topic(&broker, "t").capacity(100).retain(keeps).open().await.unwrap();
        let mut slow = topic.group("slow").prefetch(100).stream().await.unwrap();
        topic.publish_all(0..50).await.unwrap();
        let mut kept = Vec::new();
        for n in 0..50 {
            let delivery = slow.next().await.unwrap();
            if n % 2 == 0 { kept.push(delivery) } else { delivery.ack().unwrap() }
        }
        until(&topic.find_group("slow").unwrap(), |stats| stats.acked == 25).await;
        let (late, seen) = reads(&topic, "late", Start::Earliest).await;
        until(&late, |stats| stats.lag == 0).await;
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        let wanted: Vec<u64> = (0..50).filter(|n| n % 2 == 0 || *n >= 40).collect();
        assert!(wanted.iter().all(|n| seen.contains(n)), "{seen:?}");
        assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
        // There and back again.
        late.seek(Start::Offset(30)).await.unwrap();
        until(&late, |stats| stats.lag == 0).await;
        kept.into_iter().for_each(|delivery| delivery.ack().unwrap());
        topic.settled().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
    });
}

/// What another group has to settle and what this one has to replay may lie in one run on the disk.
#[test]
fn a_replay_and_what_is_live_may_share_a_run_after_a_restart() {
    every::runtime(|| async {
        let dir = TempDir::new("shared");
        let open = || retains(&dir, 100, Retain::all());
        let texts = |range: std::ops::Range<u32>| range.map(|n| n.to_string());
        let (broker, topic) = open().await;
        topic.publish_all(texts(0..50)).await.unwrap();
        let first = topic.group("first").start_at(Start::Latest).stream().await.unwrap();
        topic.publish_all(texts(50..70)).await.unwrap();
        let second = topic.group("second").start_at(Start::Offset(50)).stream().await.unwrap();
        topic.publish_all(texts(70..80)).await.unwrap();
        drop((first, second, broker.shutdown_within(Duration::ZERO).await, topic));

        let (broker, topic) = open().await;
        let mut second = topic.group("second").prefetch(50).stream().await.unwrap();
        let mut all = Vec::new();
        for n in 50..80 {
            let delivery = second.next().await.unwrap();
            assert_eq!(**delivery, n.to_string());
            all.push(delivery);
        }
        all.into_iter().rev().for_each(|delivery| delivery.ack().unwrap());
        let group = topic.find_group("second").unwrap();
        until(&group, |stats| stats.acked == 30).await;
        assert_eq!(group.stats().await.unwrap().lag, 0);
        let _first = topic.group("first").run(async |_| Ok(())).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
        drop((second, broker.shutdown().await));
    });
}

/// Both wait in the group while its consumer is slow, and each is found in its own run.
#[test]
fn what_is_live_waits_beside_a_replay_that_shares_its_run() {
    every::runtime(|| async {
        let dir = TempDir::new("beside");
        let open = || retains(&dir, 100, Retain::all());
        let texts = |range: std::ops::Range<u32>| range.map(|n| n.to_string());
        let (broker, topic) = open().await;
        let first = topic.group("first").stream().await.unwrap();
        topic.publish_all(texts(0..20)).await.unwrap();
        let second = topic.group("second").stream().await.unwrap();
        topic.publish_all(texts(20..30)).await.unwrap();
        drop((first, second, broker.shutdown_within(Duration::ZERO).await, topic));

        let (broker, topic) = open().await;
        let mut second = topic.group("second").prefetch(1).stream().await.unwrap();
        let group = topic.find_group("second").unwrap();
        until(&group, |stats| stats.backlog + stats.in_flight == 30).await;
        for n in 0..30 {
            let delivery = second.next().await.unwrap();
            assert_eq!(**delivery, n.to_string());
            delivery.ack().unwrap();
        }
        until(&group, |stats| stats.lag == 0).await;
        drop((second, broker.shutdown_within(Duration::ZERO).await));
    });
}

/// What others keep is older than the history, and comes before it, also to a group that is opened while its topic is held.
#[test]
fn what_others_keep_comes_before_the_history_when_a_topic_is_released() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").retain(Retain::all().messages(5)).open().await.unwrap();
        let mut slow = topic.group("slow").prefetch(20).stream().await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        let mut kept = Vec::new();
        for n in 0..20 {
            let delivery = slow.next().await.unwrap();
            if n < 3 { kept.push(delivery) } else { delivery.ack().unwrap() }
        }
        until(&topic.find_group("slow").unwrap(), |stats| stats.acked == 17).await;
        topic.hold();
        let (late, seen) = reads(&topic, "late", Start::Earliest).await;
        topic.release();
        until(&late, |stats| stats.lag == 0).await;
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 15, 16, 17, 18, 19]);
        late.seek(Start::Latest).await.unwrap();
        seen.lock().unwrap().clear();
        topic.hold();
        late.seek(Start::Earliest).await.unwrap();
        topic.release();
        until(&late, |stats| stats.lag == 0).await;
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 15, 16, 17, 18, 19]);
        drop(kept);
    });
}

/// A replay that can't go on is not waited for: while the topic is held, and while what was given up finds no room.
#[test]
fn a_replay_that_rests_is_not_waited_for() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(8).retain(Retain::all()).open().await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        topic.hold();
        let (held, seen) = reads(&topic, "held", Start::Earliest).await;
        topic.settled().await.unwrap();
        held.drain().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [0; 0], "nothing is handed out");
        held.seek(Start::Offset(50)).await.unwrap();
        topic.settled().await.unwrap();
        topic.release();
        held.drain().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), (50..100).collect::<Vec<_>>());

        let fails = topic.group("fails").retry(Retry::none()).dead_letter_capacity(3);
        let fails = fails.run(async |_| Err(Fault::new("never"))).await.unwrap();
        topic.settled().await.unwrap();
        let stats = until(&fails, |stats| stats.dead_lettered == 3).await;
        assert_eq!(stats.in_flight, 0, "{stats:?}");
        assert!(stats.parked > 0, "{stats:?}");
        broker.shutdown_within(Duration::from_secs(3600)).await;
    });
}

/// Nothing of a replay is handed out while the topic is held, not even what was being read then.
#[test]
fn a_replay_stands_still_while_its_topic_is_held() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(8).retain(Retain::all()).open().await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        let (late, seen) = reads(&topic, "late", Start::Earliest).await;
        topic.hold();
        // Answered behind it.
        topic.stats().await.unwrap();
        topic.settled().await.unwrap();
        let before = seen.lock().unwrap().len();
        for _ in 0..1000 {
            crate::kit::yield_now().await;
        }
        assert_eq!(seen.lock().unwrap().len(), before);
        topic.release();
        late.drain().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), (0..100).collect::<Vec<_>>());
    });
}

/// What is handed to a group is drained, also what its mailbox has no place for at once.
#[test]
fn a_drain_waits_for_all_of_a_replay_and_what_came_behind_it() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(2).retain(Retain::all()).open().await.unwrap();
        for n in 0..30 {
            topic.publish(n).await.unwrap();
        }
        let (late, seen) = reads(&topic, "late", Start::Earliest).await;
        for n in 30..32 {
            topic.publish(n).await.unwrap();
        }
        late.drain().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), (0..32).collect::<Vec<_>>());
    });
}

/// A disk that can't be read for a while stops a replay for so long; nobody waits for it meanwhile, and then it goes on.
#[test]
fn a_replay_goes_on_once_the_disk_can_be_read_again() {
    every::seed(5, |sim| async move {
        let disk = callboard::sim::SimDisk::new(sim.seed());
        let builder = Broker::builder().data_dir("/data").journal_file_bytes(64 << 10).on(disk.clone());
        let broker = builder.open().await.unwrap();
        let topic = broker.topic::<String>("t").durable(Raw).retain(Retain::all()).open().await.unwrap();
        topic.publish_all((0..50).map(|n| n.to_string())).await.unwrap();
        disk.fail(DiskFault::nth(1).of(DiskCall::Read).lasting());
        disk.fail(DiskFault::nth(1).of(DiskCall::Open).lasting());
        let late = topic.group("late").run(async |_| Ok(())).await.unwrap();
        let drain = crate::kit::begun(late.drain()).await;
        topic.settled().await.unwrap();
        drain.await.unwrap();
        assert_eq!(late.stats().await.unwrap().acked, 0);
        disk.heal();
        until(&late, |stats| stats.acked == 50 && stats.lag == 0).await;
        broker.shutdown().await;
    });
}

/// The books of a group balance, whatever was trimmed before it was read, and whoever tells of it.
#[test]
fn what_was_trimmed_before_it_was_read_is_in_the_books() {
    every::seed(20, |_| async {
        let dir = TempDir::new("books");
        let open = || retains(&dir, 300, Retain::all().messages(100));
        let (broker, topic) = open().await;
        let text = |n: u32| format!("{n} {}", "x".repeat(1000));
        topic.publish_all((0..100).map(text)).await.unwrap();
        let late = topic.group("late").stream().await.unwrap();
        drop((late, broker.shutdown_within(Duration::ZERO).await, topic));

        // It is not there while its history is trimmed.
        let (broker, topic) = open().await;
        topic.publish_all((100..300).map(text)).await.unwrap();
        until_trimmed(&topic).await;
        let late = topic.group("late").run(async |_| Ok(())).await.unwrap();
        topic.settled().await.unwrap();
        let stats = crate::seen::balanced(late.stats().await.unwrap());
        assert_eq!((stats.acked + stats.skipped, stats.lag), (300, 0), "{stats:?}");
        assert!(stats.skipped > 0 && stats.acked >= 200, "{stats:?}");
        let report = broker.shutdown().await;
        let report = report.group("t", "late").unwrap();
        assert_eq!(report.settled, 300, "{report:?}");
    });
}

async fn until_trimmed(topic: &Topic<String>) {
    let first = async || topic.browse(Start::Earliest).next().await.unwrap().unwrap().id().offset();
    while first().await == 0 {
        let sim = callboard::sim::Sim::current().unwrap();
        sim.sleep(Duration::from_millis(1)).await;
    }
}

/// A message that came back to one group is none of the history that others read, and keeps nothing on the disk.
#[test]
fn a_replay_is_done_with_what_came_back_to_another_group() {
    every::seed(5, |_| async {
        let dir = TempDir::new("again");
        let open = || retains(&dir, 8, Retain::all());
        let (broker, topic) = open().await;
        let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let group = topic.group("all").retry(Retry::none()).with(works.clone());
        let group = group
            .run(async |_, works| match works.load(std::sync::atomic::Ordering::Relaxed) {
                true => Ok(()),
                false => Err(Fault::new("not yet")),
            })
            .await
            .unwrap();
        topic.publish_all(["a", "b"].map(String::from)).await.unwrap();
        until(&group, |stats| stats.dead_lettered == 2).await;
        works.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(group.redrive().await.unwrap(), 2);
        topic.settled().await.unwrap();
        let late = topic.group("late").run(async |_| Ok(())).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(late.stats().await.unwrap().acked, 2);
        drop((broker.shutdown().await, topic, late, group));
        let (broker, topic) = open().await;
        let late = topic.group("late");
        topic.hold();
        let late = late.run(async |_| Ok(())).await.unwrap();
        assert_eq!(late.stats().await.unwrap().lag, 0, "it is done with all");
        topic.release();
        broker.shutdown().await;
    });
}
