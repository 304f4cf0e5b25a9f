//! What becomes of what a topic finds on the disk and can't read any more, of repeats, and of what is spilled? (G1, G2, G4, G8, G11, G17, G21)

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};

use crate::base::Fault;
use crate::broker::{
    Broker, BrowseError, Codec, DeadLetter, DeadReason, Event, Group, GroupStats, InvalidMessage, MessageId,
    Overflow, PublishError, Raw, Retain, Retry, Start, Topic, WhyBlocked,
};
use crate::sim::{Sim, SimDisk};

/// Numbers, of which it can't read those that are divisible by one.
struct Numbers(u64);

const ALL: u64 = u64::MAX;

impl Codec<u64> for Numbers {
    fn name(&self) -> &'static str {
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

/// Runs it on some seeds; a wait that does not end is a failure.
fn seeds(body: impl AsyncFn(Sim, SimDisk)) {
    for seed in 0..8 {
        let sim = Sim::new(seed);
        sim.block_on(async {
            let late = sim.sleep(Duration::from_secs(3600));
            let body = std::pin::pin!(body(sim.clone(), SimDisk::new(seed)));
            let ended = futures::future::select(body, late).await;
            assert!(matches!(ended, futures::future::Either::Left(_)), "seed {seed}: it hangs");
        });
    }
}

async fn open(disk: &SimDisk, unreadable: u64) -> (Broker, Topic<u64>) {
    let broker = Broker::builder().data_dir("/data").journal_file_bytes(64 << 10).on(disk.clone());
    let broker = broker.open().await.unwrap();
    let topic = broker.topic::<u64>("t").durable(Numbers(unreadable)).capacity(4).open().await.unwrap();
    (broker, topic)
}

async fn until(group: &Group, wanted: impl Fn(&GroupStats) -> bool) -> GroupStats {
    loop {
        let stats = group.stats().await.unwrap();
        if wanted(&stats) {
            assert_eq!(stats.entered, stats.settled() + stats.unsettled(), "{stats:?}");
            return stats;
        }
        Sim::current().unwrap().sleep(Duration::from_millis(1)).await;
    }
}

/// G11, G17: a group begins also if its dead letters have no room for what can't be read: that is parked, and seen.
#[test]
fn what_cannot_be_read_is_parked_and_holds_up_no_opening() {
    seeds(async |_, disk| {
        let (broker, topic) = open(&disk, ALL).await;
        drop(topic.group("g").stream().await.unwrap());
        topic.publish_all(1..=4).await.unwrap();
        broker.shutdown().await;

        let run = async |topic: &Topic<u64>| {
            topic.group("g").dead_letter_capacity(1).run(async |_| Ok(())).await.unwrap()
        };
        let (broker, topic) = open(&disk, 1).await;
        let mut events = broker.events();
        let group = run(&topic).await;
        let stats = until(&group, |stats| stats.dead_lettered == 1 && stats.parked == 3).await;
        assert_eq!((stats.entered, stats.lag), (4, 3), "{stats:?}");
        let told: Vec<Event> = std::iter::from_fn(|| events.next().now_or_never().flatten()).collect();
        assert!(told.iter().any(|event| matches!(event, Event::Parked { .. })), "{told:?}");
        // Nobody waits for what is parked; it holds its places.
        topic.settled().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().unsettled, 3);
        topic.publish(7).await.unwrap();
        topic.settled().await.unwrap();
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.unsettled, group.stats().await.unwrap().acked), (3, 1), "{stats:?}");
        broker.shutdown().await;

        // The same in the next process, until there is room.
        let (broker, topic) = open(&disk, 1).await;
        let group = run(&topic).await;
        let stats = until(&group, |stats| stats.parked == 3).await;
        assert_eq!((stats.entered, stats.lag), (3, 3), "{stats:?}");
        let dead = broker.topic::<DeadLetter>("t.g.dead").open().await.unwrap();
        let mut clerk = dead.group("clerk").stream().await.unwrap();
        for offset in 0..4 {
            let letter = clerk.next().await.unwrap();
            assert!(matches!(letter.reason(), DeadReason::Undecodable(_)));
            assert_eq!((letter.original_id().offset(), letter.attempts()), (offset, 0));
            letter.ack().unwrap();
        }
        until(&group, |stats| stats.parked == 0 && stats.dead_lettered == 3).await;
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
        drop(clerk);
        broker.shutdown().await;

        let (broker, topic) = open(&disk, ALL).await;
        let group = run(&topic).await;
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().entered, 0, "none of them comes again");
        broker.shutdown().await;
    });
}

/// G17: publishers that wait for such places are told for what.
#[test]
fn a_topic_that_is_full_of_what_cannot_be_read_says_so() {
    seeds(async |sim, disk| {
        let (broker, topic) = open(&disk, ALL).await;
        drop(topic.group("g").stream().await.unwrap());
        topic.publish_all(1..=4).await.unwrap();
        broker.shutdown().await;

        let (broker, topic) = open(&disk, 1).await;
        let group = topic.group("g").dead_letter_capacity(1).retry(Retry::none());
        let group = group.run(async |_| Err(Fault::new("bad"))).await.unwrap();
        let stats = until(&group, |stats| stats.parked == 3).await;
        assert!(stats.oldest.is_some(), "{stats:?}");
        topic.publish(5).await.unwrap();
        let mut waits = Box::pin(topic.publish(6));
        assert!((&mut waits).now_or_never().is_none());
        sim.sleep(Duration::from_secs(11)).await;
        let by = topic.stats().await.unwrap().blocked_by.unwrap();
        assert_eq!((by.group.as_ref(), by.why), (Some(group.name()), WhyBlocked::DeadLettersFull));
        let dead = broker.topic::<DeadLetter>("t.g.dead").open().await.unwrap();
        let mut clerk = dead.group("clerk").stream().await.unwrap();
        clerk.next().await.unwrap().ack().unwrap();
        waits.await.unwrap();
        drop(clerk);
        broker.shutdown().await;
    });
}

/// G8, G11: what its handling came to before is in the letter.
#[test]
fn a_letter_of_what_cannot_be_read_says_how_often_it_was_tried() {
    seeds(async |_, disk| {
        let (broker, topic) = open(&disk, ALL).await;
        let retry = Retry::fixed(Duration::from_secs(1000));
        let group = topic.group("g").retry(retry);
        let group = group.run(async |_| Err(Fault::new("no paper"))).await.unwrap();
        topic.publish(1).await.unwrap();
        until(&group, |stats| stats.delayed == 1).await;
        group.pause().await.unwrap();
        topic.publish(2).await.unwrap();
        broker.shutdown_within(Duration::ZERO).await;

        let (broker, topic) = open(&disk, 1).await;
        let mut events = broker.events();
        let group = topic.group("g").retry(retry).run(async |_| Ok(())).await.unwrap();
        until(&group, |stats| stats.dead_lettered == 2).await;
        let dead = broker.topic::<DeadLetter>("t.g.dead").open().await.unwrap();
        let mut letters = dead.browse(Start::Earliest);
        for (attempts, error) in [(1, Some("no paper")), (0, None)] {
            let letter = letters.next().await.unwrap().unwrap();
            assert_eq!((letter.attempts(), letter.error()), (attempts, error));
        }
        let told = std::iter::from_fn(|| events.next().now_or_never().flatten());
        let attempts = told.filter_map(|event| match event {
            Event::DeadLetter { attempts, .. } => Some(attempts),
            _ => None,
        });
        assert_eq!(attempts.collect::<Vec<_>>(), [1, 0]);
        broker.shutdown().await;
    });
}

/// G1: a repeat takes no id, whether or not it was given one, on disk as in memory.
#[test]
fn a_repeat_uses_no_id_up() {
    for durable in [false, true] {
        seeds(async |_, disk| {
            let broker = Broker::builder().data_dir("/data").on(disk).open().await.unwrap();
            let topic = broker.topic::<u64>("t");
            let topic = if durable { topic.durable(Numbers(ALL)) } else { topic }.open().await.unwrap();
            let id = |n| MessageId::from_parts(1 << 60, n);
            let first = topic.message(1).id(id(5)).dedup_key("k").publish().await.unwrap();
            assert_eq!((first.id, first.repeated), (id(5), false));
            for given in [id(9), id(3), id(9)] {
                let again = topic.message(1).id(given).dedup_key("k").publish().await.unwrap();
                assert_eq!((again.id, again.repeated), (id(5), true));
            }
            assert!(topic.message(1).dedup_key("k").publish().await.unwrap().repeated);
            assert_eq!(topic.publish(2).await.unwrap(), id(6), "on disk: {durable}");
            topic.message(1).id(id(20)).dedup_key("k").publish().await.unwrap();
            assert_eq!(topic.message(3).id(id(7)).publish().await.unwrap().id, id(7));
            // Beside others, that are on their way.
            let (one, two, three, four) = futures::future::join4(
                topic.message(4).id(id(30)).dedup_key("l").publish(),
                topic.message(4).id(id(40)).dedup_key("l").publish(),
                topic.message(4).id(id(50)).dedup_key("k").publish(),
                topic.publish(5),
            )
            .await;
            let three = three.unwrap();
            let repeated = [one.as_ref(), two.as_ref(), Ok(&three)].map(|one| one.unwrap().repeated);
            assert_eq!((repeated, three.id), ([false, true, true], id(5)), "on disk: {durable}");
            assert_eq!(four.unwrap(), id(31), "on disk: {durable}");
            let error = topic.message(6).id(id(31)).publish().await.unwrap_err();
            assert!(
                matches!(error, PublishError::Invalid(6, InvalidMessage::Id { above }) if above == id(31))
            );
            broker.shutdown().await;
        });
    }
}

/// G4: wherever a group begins in what is spilled, it is handed nothing before that.
#[test]
fn a_group_begins_within_what_is_spilled_where_it_was_told() {
    for named in [false, true] {
        seeds(async |sim, disk| {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").capacity(8).overflow(Overflow::Spill { bytes: 1 << 20 });
            let topic = topic.spill_on("/", Numbers(ALL), disk).open().await.unwrap();
            let mut ids = Vec::new();
            for n in 1..=120 {
                sim.sleep(Duration::from_millis(1)).await;
                let message = topic.message(n);
                let message =
                    if named { message.id(MessageId::from_parts(n / 7, 1000 + n)) } else { message };
                ids.push(message.publish().await.unwrap().id);
            }
            assert!(topic.stats().await.unwrap().spilled > 80);
            topic.hold();
            let id = ids[79];
            let from_text: MessageId = id.to_string().parse().unwrap();
            let starts = [
                ("offset", Start::Offset(80), 81),
                ("after", Start::After(id), 81),
                ("text", Start::After(from_text), 81),
                ("time", Start::UnixMillis(id.unix_millis()), if named { 77 } else { 80 }),
            ];
            let mut groups = Vec::new();
            for (name, start, first) in starts {
                let seen = Arc::<Mutex<Vec<u64>>>::default();
                let group = topic.group(name).start_at(start).with(seen.clone());
                let group = group.run(async |n, seen| {
                    seen.lock().unwrap().push(*n);
                    Ok(())
                });
                groups.push((group.await.unwrap(), seen, first));
            }
            topic.release();
            topic.settled().await.unwrap();
            assert!(topic.browse(Start::After(from_text)).next().await.is_none(), "all of it has left");
            for (group, seen, first) in groups {
                let stats = until(&group, |stats| stats.lag == 0).await;
                let name = group.name();
                assert_eq!(*seen.lock().unwrap(), (first..=120).collect::<Vec<_>>(), "{name}, ids: {named}");
                assert_eq!((stats.entered, stats.skipped), (121 - first, 0), "{name}: {stats:?}");
            }
            broker.shutdown().await;
        });
    }
}

/// G17, G21: a group that comes to damage in the history stands still before it, says where it is, and disturbs nobody.
#[test]
fn damage_in_the_history_is_seen_and_holds_up_the_group_that_reads_it_alone() {
    seeds(async |sim, disk| {
        let broker = Broker::builder().data_dir("/data").journal_file_bytes(64 << 10).on(disk.clone());
        let broker = broker.open().await.unwrap();
        let topic = broker.topic::<String>("t").durable(Raw).retain(Retain::all()).capacity(8);
        let topic = topic.open().await.unwrap();
        for n in 0..600 {
            topic.publish(format!("{n:0>1000}")).await.unwrap();
        }
        let is_segment = |path: &std::path::Path| path.extension().is_some_and(|end| end == "seg");
        let (path, bytes) = disk.files().into_iter().find(|(path, _)| is_segment(path)).unwrap();
        disk.flip(&path, bytes / 2, 1).unwrap();
        let names_it = |text: &str| text.contains(&format!("{} is damaged at byte ", path.display()));

        let mut events = broker.events();
        let other = topic.group("other").start_at(Start::Latest).run(async |_| Ok(())).await.unwrap();
        let seen = Arc::<Mutex<Vec<u64>>>::default();
        let late = topic.group("late").with(seen.clone());
        let late = late.run(async |text, seen| {
            seen.lock().unwrap().push(text.parse()?);
            Ok(())
        });
        let late = late.await.unwrap();
        let stats = until(&late, |stats| stats.history_error.is_some()).await;
        assert!(names_it(stats.history_error.as_ref().unwrap()), "{stats:?}");
        sim.sleep(Duration::from_secs(5)).await;
        topic.settled().await.unwrap();
        let so_far = seen.lock().unwrap().len() as u64;
        assert!(so_far < 600 && seen.lock().unwrap().iter().copied().eq(0..so_far), "{so_far}");
        let told: Vec<Event> = std::iter::from_fn(|| events.next().now_or_never().flatten()).collect();
        let told = told.iter().filter(|event| {
            matches!(event, Event::HistoryUnreadable { group, error, .. } if group == late.name() && names_it(error))
        });
        assert_eq!(told.count(), 1, "once, however often it is tried");
        let shown: Vec<_> = topic.browse(Start::Earliest).collect().await;
        let (last, whole) = shown.split_last().unwrap();
        assert!(whole.iter().all(Result::is_ok) && whole.len() as u64 == so_far);
        let error = last.as_ref().err().unwrap();
        assert!(matches!(error, BrowseError::Storage(_)) && names_it(&error.to_string()), "{error}");

        // Until the capacity is used up nobody else notices; and then it is told why.
        for n in 600..608 {
            topic.publish(n.to_string()).await.unwrap();
        }
        other.drain().await.unwrap();
        assert_eq!(other.stats().await.unwrap().acked, 8);
        let mut waits = Box::pin(topic.publish("608".to_string()));
        assert!((&mut waits).now_or_never().is_none());
        sim.sleep(Duration::from_secs(11)).await;
        let by = topic.stats().await.unwrap().blocked_by.unwrap();
        assert_eq!((by.group.as_ref(), by.why), (Some(late.name()), WhyBlocked::HistoryUnreadable));

        // Who does without what can't be read says so.
        let behind = topic.group("behind").run(async |_| Ok(())).await.unwrap();
        until(&behind, |stats| stats.history_error.is_some()).await;
        behind.seek(Start::Offset(599)).await.unwrap();
        let stats = until(&behind, |stats| stats.lag == 0).await;
        assert!(stats.history_error.is_none() && stats.acked >= 9, "{stats:?}");

        // Nothing was passed over: once it can be read, it goes on where it was.
        disk.flip(&path, bytes / 2, 1).unwrap();
        waits.await.unwrap();
        let stats = until(&late, |stats| stats.lag == 0).await;
        assert!(stats.history_error.is_none() && seen.lock().unwrap().iter().copied().eq(0..609));
        broker.shutdown().await;
    });
}

/// A payload that counts those of its kind that are alive, and the most that were.
struct Counted(u64, Arc<[AtomicUsize; 2]>);

impl Counted {
    fn new(n: u64, alive: &Arc<[AtomicUsize; 2]>) -> Counted {
        let now = alive[0].fetch_add(1, Ordering::Relaxed) + 1;
        alive[1].fetch_max(now, Ordering::Relaxed);
        Counted(n, alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1[0].fetch_sub(1, Ordering::Relaxed);
    }
}

struct Counts(Arc<[AtomicUsize; 2]>);

impl Codec<Counted> for Counts {
    fn name(&self) -> &'static str {
        "counted/1"
    }
    fn encode(&self, counted: &Counted, into: &mut Vec<u8>) -> Result<(), Fault> {
        into.extend(counted.0.to_le_bytes());
        Ok(())
    }
    fn decode(&self, bytes: &[u8], _: u32) -> Result<Counted, Fault> {
        Ok(Counted::new(u64::from_le_bytes(bytes.try_into()?), &self.0))
    }
}

/// G2: with a disk at its limit, and one message of each batch that is not settled, memory has what is stated and no more.
#[test]
fn a_topic_that_spills_has_no_more_in_memory_than_is_stated() {
    const CAPACITY: usize = 64;
    seeds(async |sim, disk| {
        let alive = Arc::<[AtomicUsize; 2]>::default();
        let broker = Broker::start().unwrap();
        let topic =
            broker.topic::<Counted>("t").capacity(CAPACITY).overflow(Overflow::Spill { bytes: 10_000 });
        let topic = topic.spill_on("/", Counts(alive.clone()), disk).open().await.unwrap();
        let publish = async |numbers: std::ops::Range<u64>| {
            for n in numbers {
                topic.publish(Counted::new(n, &alive)).await.unwrap();
            }
        };
        publish(0..200).await;
        let group = topic.group("g").retry(Retry::fixed(Duration::from_secs(100)));
        let group = group.run(async |counted| match counted.0 % 20 {
            0 if counted.attempt() == 1 => Err(Fault::new("not now")),
            _ => Ok(()),
        });
        let group = group.await.unwrap();
        publish(200..4000).await;
        topic.settled().await.unwrap();
        until(&group, |stats| stats.acked == 4000).await;
        let most = alive[1].load(Ordering::Relaxed);
        // Three times the capacity as in any topic; on the way to the disk once more, and the reserve; and what a publisher holds.
        assert!(most <= 4 * CAPACITY + CAPACITY + 1, "{most} of {CAPACITY}");
        assert_eq!(alive[0].load(Ordering::Relaxed), 0);
        drop(sim);
        broker.shutdown().await;
    });
}

/// A delayed message that can't be read any more comes in at once, to become a dead letter, and takes no id.
#[test]
fn what_was_delayed_and_cannot_be_read_leaves_the_ids_that_are_given_in_order() {
    seeds(async |_, disk| {
        // Of long ago: what comes in behind them has no times of its own.
        let id = |n| MessageId::from_parts(1000, n);
        let (broker, topic) = open(&disk, ALL).await;
        drop(topic.group("g").stream().await.unwrap());
        topic.message(1).id(id(5)).publish().await.unwrap();
        topic.publish_after(Duration::from_secs(3600), 2).await.unwrap();
        broker.shutdown().await;

        let (broker, topic) = open(&disk, 2).await;
        let mut group = topic.group("g").stream().await.unwrap();
        group.next().await.unwrap().ack().unwrap();
        drop(group);
        broker.shutdown().await;

        let (broker, topic) = open(&disk, ALL).await;
        let error = topic.message(3).id(id(5)).publish().await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(3, InvalidMessage::Id { above }) if above == id(5)));
        assert_eq!(topic.message(4).id(id(6)).publish().await.unwrap().id, id(6));
        broker.shutdown().await;
    });
}
