//! Does a message that no longer decodes become a dead letter of every group that it is for, and none twice? (G11, G21, G25)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard::broker::{Codec, DeadReason, Event, Events, GroupStats, Retain, Start};
use callboard::prelude::*;
use callboard::sim::{CrashKind, SimDisk};
use futures::{FutureExt as _, StreamExt as _};

use crate::durable::TempDir;
use crate::every;
use crate::kit::{reads, secs, until};
use crate::seen::balanced;

/// Numbers, of which it can't read those that are divisible by one.
pub(crate) struct Numbers(pub(crate) u64);

/// All of them can be read.
pub(crate) const ALL: u64 = u64::MAX;

impl Codec<u64> for Numbers {
    fn name(&self) -> &str {
        "numbers/1"
    }
    fn encode(&self, number: &u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        into.extend(number.to_le_bytes());
        Ok(())
    }
    fn decode(&self, bytes: &[u8], _: u32) -> Result<u64, Fault> {
        let number = u64::from_le_bytes(bytes.try_into()?);
        if number.is_multiple_of(self.0) { Err(Fault::new("no number any more")) } else { Ok(number) }
    }
}

async fn kept(dir: &TempDir, unreadable: u64) -> (Broker, Topic<u64>) {
    let broker = dir.builder().open().await.unwrap();
    let topic = broker.topic::<u64>("t").durable(Numbers(unreadable)).capacity(8).retain(Retain::all());
    (broker, topic.open().await.unwrap())
}

async fn letters(broker: &Broker, group: &str) -> Topic<DeadLetter> {
    broker.topic::<DeadLetter>(&format!("t.{group}.dead")).open().await.unwrap()
}

/// The letters that are there, as bytes and by offset.
async fn there(dead: &Topic<DeadLetter>) -> Vec<(Vec<u8>, u64)> {
    let letters = dead.browse(Start::Earliest).map(|letter| {
        let letter = letter.unwrap();
        assert!(matches!(letter.reason(), DeadReason::Undecodable(why) if why.contains("no number")));
        assert_eq!((letter.attempts(), letter.error()), (0, None));
        (letter.stored_payload().unwrap().to_vec(), letter.original_id().offset())
    });
    letters.collect().await
}

fn told(events: &mut Events) -> Vec<u64> {
    let heard = std::iter::from_fn(|| events.next().now_or_never().flatten());
    let offset = |event| match event {
        Event::DeadLetter { id, reason: DeadReason::Undecodable(_), attempts: 0, .. } => Some(id.offset()),
        _ => None,
    };
    heard.filter_map(offset).collect()
}

fn bytes(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// G21: also of a history that a late group reads, and once; redriven it comes to the group once it can be read.
#[test]
fn a_late_group_has_what_no_longer_decodes_among_its_dead_letters() {
    every::runtime(|| async {
        let dir = TempDir::new("late");
        let (broker, topic) = kept(&dir, ALL).await;
        topic.publish_all(1..=40).await.unwrap();
        broker.shutdown().await;

        let (broker, topic) = kept(&dir, 10).await;
        let mut events = broker.events();
        let (late, seen) = reads(&topic, "late", Start::Offset(5)).await;
        topic.settled().await.unwrap();
        let stats = balanced(until(&late, |stats| stats.lag == 0).await);
        assert_eq!((stats.acked, stats.dead_lettered, stats.skipped), (31, 4, 0), "{stats:?}");
        assert_eq!(*seen.lock().unwrap(), (6..=40).filter(|n| n % 10 != 0).collect::<Vec<_>>());
        let dead = letters(&broker, "late").await;
        let wanted: Vec<_> = [10, 20, 30, 40].map(|n| (bytes(n), n - 1)).into();
        assert_eq!(there(&dead).await, wanted);
        assert_eq!(told(&mut events), [9, 19, 29, 39]);
        broker.shutdown().await;

        // Neither they nor the others come again.
        let (broker, topic) = kept(&dir, ALL).await;
        let (late, seen) = reads(&topic, "late", Start::Earliest).await;
        topic.settled().await.unwrap();
        assert_eq!((late.stats().await.unwrap().entered, seen.lock().unwrap().len()), (0, 0));
        let dead = letters(&broker, "late").await;
        assert_eq!(dead.stats().await.unwrap().unsettled, 4);
        assert_eq!(late.redrive().await.unwrap(), 4);
        topic.settled().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [10, 20, 30, 40]);
        broker.shutdown().await;
    });
}

/// G11: what its dead-letter topic has no room for is parked, holds up nothing else, and is there again after a restart.
#[test]
fn what_no_longer_decodes_is_parked_while_the_dead_letters_are_full() {
    every::runtime(|| async {
        let dir = TempDir::new("full");
        let (broker, topic) = kept(&dir, ALL).await;
        topic.publish_all(1..=7).await.unwrap();
        broker.shutdown().await;

        let open = |topic: &Topic<u64>| {
            topic.group("late").dead_letter_capacity(1).start_at(Start::Earliest).run(async |_| Ok(()))
        };
        let (broker, topic) = kept(&dir, 2).await;
        let late = open(&topic).await.unwrap();
        let full = |stats: &GroupStats| stats.acked == 4 && stats.dead_lettered == 1 && stats.parked == 2;
        let stats = balanced(until(&late, full).await);
        assert_eq!((stats.lag, stats.skipped), (2, 0), "{stats:?}");
        // Nobody waits for what is parked, and what comes goes on.
        topic.settled().await.unwrap();
        late.drain().await.unwrap();
        topic.publish_all([9, 11]).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().unsettled, 0, "history holds no place");
        broker.shutdown_within(secs(0)).await;

        let (broker, topic) = kept(&dir, 2).await;
        let late = open(&topic).await.unwrap();
        let stats = balanced(until(&late, |stats| stats.parked == 2).await);
        assert_eq!((stats.entered, stats.lag), (2, 2), "{stats:?}");
        let dead = letters(&broker, "late").await;
        let mut clerk = dead.group("clerk").stream().await.unwrap();
        for number in [2, 4, 6] {
            let letter = clerk.next().await.unwrap();
            assert_eq!(letter.stored_payload(), Some(&*bytes(number)));
            letter.ack().unwrap();
        }
        let stats = balanced(until(&late, |stats| stats.lag == 0).await);
        assert_eq!((stats.dead_lettered, stats.parked), (2, 0), "{stats:?}");
        assert!(clerk.next().now_or_never().is_none());
        drop(clerk);
        broker.shutdown().await;
    });
}

/// A group that is moved back has them as a new one has; it is moved when what is parked has found room.
#[test]
fn a_group_that_is_moved_back_has_them_once_for_each_time() {
    every::runtime(|| async {
        let dir = TempDir::new("back");
        let (broker, topic) = kept(&dir, ALL).await;
        let (_, seen) = reads(&topic, "all", Start::Earliest).await;
        topic.publish_all(1..=5).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(seen.lock().unwrap().len(), 5);
        broker.shutdown().await;

        let (broker, topic) = kept(&dir, 5).await;
        let group = topic.group("all").dead_letter_capacity(1).run(async |_| Ok(())).await.unwrap();
        group.seek(Start::Offset(3)).await.unwrap();
        let stats = balanced(until(&group, |stats| stats.lag == 0).await);
        assert_eq!((stats.acked, stats.dead_lettered), (1, 1), "{stats:?}");
        group.seek(Start::Offset(4)).await.unwrap();
        until(&group, |stats| stats.parked == 1).await;
        let again = crate::kit::begun(group.seek(Start::Offset(2))).await;
        let dead = letters(&broker, "all").await;
        let mut clerk = dead.group("clerk").stream().await.unwrap();
        for _ in 0..3 {
            let letter = clerk.next().await.unwrap();
            assert_eq!((letter.stored_payload(), letter.original_id().offset()), (Some(&*bytes(5)), 4));
            letter.ack().unwrap();
        }
        again.await.unwrap();
        let stats = balanced(until(&group, |stats| stats.lag == 0).await);
        assert_eq!((stats.acked, stats.dead_lettered, stats.skipped), (3, 3, 0), "{stats:?}");
        drop(clerk);
        broker.shutdown().await;
    });
}

/// What came back to one group is none of the others', whether or not it can be read; in its group it is what it was.
#[test]
fn what_came_back_to_one_group_is_a_dead_letter_of_that_one_alone() {
    every::runtime(|| async {
        let dir = TempDir::new("again");
        let (broker, topic) = kept(&dir, ALL).await;
        let works = Arc::new(AtomicBool::new(false));
        let group = topic.group("one").retry(Retry::none()).with(works.clone());
        let handle = async |_: Message<u64>, works: Arc<AtomicBool>| match works.load(Ordering::Relaxed) {
            true => std::future::pending().await,
            false => Err(Fault::new("not yet")),
        };
        let group = group.run(handle).await.unwrap();
        let (_, _) = reads(&topic, "other", Start::Earliest).await;
        topic.publish(3).await.unwrap();
        until(&group, |stats| stats.dead_lettered == 1).await;
        works.store(true, Ordering::Relaxed);
        assert_eq!(group.redrive().await.unwrap(), 1);
        until(&group, |stats| stats.in_flight == 1).await;
        broker.shutdown_within(secs(0)).await;

        let (broker, topic) = kept(&dir, 3).await;
        let (other, _) = reads(&topic, "other", Start::Earliest).await;
        let (late, _) = reads(&topic, "late", Start::Offset(1)).await;
        let (_one, _) = reads(&topic, "one", Start::Earliest).await;
        topic.settled().await.unwrap();
        for group in [&other, &late] {
            let stats = balanced(until(group, |stats| stats.lag == 0).await);
            assert_eq!((stats.entered, stats.dead_lettered), (0, 0), "{}: {stats:?}", group.name());
        }
        let mut dead = letters(&broker, "one").await.browse(Start::Earliest);
        let letter = dead.next().await.unwrap().unwrap();
        assert_eq!((letter.original_id().offset(), letter.original_redrives()), (0, 1));
        assert_eq!(letter.stored_payload(), Some(&*bytes(3)));
        assert!(dead.next().await.is_none());
        broker.shutdown().await;
    });
}

/// Of what was kept while nobody read it, the first group that comes has them; and a new one has what an old one has still to settle.
#[test]
fn what_nobody_has_read_is_a_dead_letter_of_whoever_comes() {
    every::runtime(|| async {
        let dir = TempDir::new("nobody");
        let open = async |unreadable| {
            let broker = dir.builder().open().await.unwrap();
            let topic = broker.topic::<u64>("t").durable(Numbers(unreadable)).open().await.unwrap();
            (broker, topic)
        };
        let (broker, topic) = open(ALL).await;
        topic.publish_all(1..=4).await.unwrap();
        broker.shutdown().await;

        let (broker, topic) = open(2).await;
        let mut events = broker.events();
        let (first, seen) = reads(&topic, "first", Start::Offset(2)).await;
        topic.settled().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [3]);
        let stats = balanced(first.stats().await.unwrap());
        assert_eq!((stats.entered, stats.dead_lettered, stats.lag), (2, 1, 0), "{stats:?}");
        assert_eq!(told(&mut events), [3]);
        assert_eq!(there(&letters(&broker, "first").await).await, [(bytes(4), 3)]);
        first.pause().await.unwrap();
        topic.publish_all([5, 6]).await.unwrap();
        broker.shutdown().await;

        let (broker, topic) = open(3).await;
        let (second, _) = reads(&topic, "second", Start::Earliest).await;
        let (first, _) = reads(&topic, "first", Start::Earliest).await;
        topic.settled().await.unwrap();
        for group in [&first, &second] {
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.acked, stats.dead_lettered), (1, 1), "{}: {stats:?}", group.name());
            let there = there(&letters(&broker, group.name().as_str()).await).await;
            assert_eq!(there.last(), Some(&(bytes(6), 5)), "{}", group.name());
        }
        broker.shutdown().await;
    });
}

/// G20, G21: wherever a power cut falls, each is a dead letter in the end, and what was settled does not come again.
#[test]
fn no_power_cut_loses_what_no_longer_decodes() {
    every::seed(60, |sim| async move {
        let open = async |disk: &SimDisk, unreadable| {
            let builder = Broker::builder().data_dir("/data").journal_file_bytes(64 << 10).on(disk.clone());
            let broker = builder.open().await.unwrap();
            let topic =
                broker.topic::<u64>("t").durable(Numbers(unreadable)).capacity(8).retain(Retain::all());
            (broker, topic.open().await.unwrap())
        };
        let mut disk = SimDisk::new(sim.seed());
        let (broker, topic) = open(&disk, ALL).await;
        topic.publish_all(1..=30).await.unwrap();
        broker.shutdown().await;
        for _ in 0..3 {
            let (broker, topic) = open(&disk, 3).await;
            drop(reads(&topic, "late", Start::Earliest).await);
            for _ in 0..sim.seed() * 7 % 60 {
                crate::kit::yield_now().await;
            }
            sim.sleep(crate::kit::millis(sim.seed() % 3)).await;
            disk = disk.crash(CrashKind::Random(sim.seed()));
            drop((broker, topic));
        }
        let (broker, topic) = open(&disk, 3).await;
        let (late, _) = reads(&topic, "late", Start::Earliest).await;
        topic.settled().await.unwrap();
        balanced(until(&late, |stats| stats.lag == 0).await);
        let mut there: Vec<u64> =
            there(&letters(&broker, "late").await).await.into_iter().map(|(_, offset)| offset + 1).collect();
        there.sort_unstable();
        there.dedup();
        assert_eq!(there, (1..=10).map(|n| 3 * n).collect::<Vec<_>>());
        broker.shutdown().await;

        let (broker, topic) = open(&disk, 3).await;
        let (late, seen) = reads(&topic, "late", Start::Earliest).await;
        topic.settled().await.unwrap();
        assert_eq!((late.stats().await.unwrap().entered, seen.lock().unwrap().len()), (0, 0));
        broker.shutdown().await;
    });
}
