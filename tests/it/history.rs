//! Does what is settled stay as long as it should, and is it there for those who come later? (G5)

use std::time::Duration;

use callboard::broker::{BrowseError, Delivery, OpenError, Overflow, Raw, Retain, Start};
use callboard::prelude::*;
use callboard::sim::CrashKind;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::disk;
use crate::durable::{TempDir, retains};
use crate::every;
use crate::kit::{Seen, reads, until};

pub(crate) async fn browsed(topic: &Topic<u64>, from: Start) -> Vec<u64> {
    topic.browse(from).map_ok(|n| *n).try_collect().await.unwrap()
}

async fn browsed_back(topic: &Topic<u64>, before: Start) -> Vec<u64> {
    topic.browse_backwards(before).map_ok(|n| *n).try_collect().await.unwrap()
}

/// A group that comes late reads what was settled before, from where it wants on, and then goes on with what is new. A topic of
/// eight places takes a thousand messages, with no group and with one.
#[test]
fn a_late_group_reads_history_and_goes_on_with_what_is_new() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(8).retain(Retain::all()).open().await.unwrap();
        let ids = topic.publish_all(0..300).await.unwrap();
        let (_, early) = reads(&topic, "early", Start::Earliest).await;
        topic.publish_all(300..600).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(*early.lock().unwrap(), (0..600).collect::<Vec<_>>());
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled), (600, 0), "history takes no place");

        let (_, offset) = reads(&topic, "offset", Start::Offset(550)).await;
        let (_, after) = reads(&topic, "after", Start::After(ids[299])).await;
        let (_, latest) = reads(&topic, "latest", Start::Latest).await;
        let (_, beyond) = reads(&topic, "beyond", Start::Offset(605)).await;
        topic.publish_all(600..610).await.unwrap();
        topic.settled().await.unwrap();
        for (seen, first) in [(offset, 550), (after, 300), (latest, 600), (beyond, 605)] {
            assert_eq!(*seen.lock().unwrap(), (first..610).collect::<Vec<_>>());
        }
        let report = broker.shutdown().await;
        assert_eq!(report.lost(), 0);
    });
}

/// While one group replays, others and publishers go on, as far as there are places; nothing is doubled or out of order where the
/// history ends.
#[test]
fn messages_that_come_during_a_replay_follow_it() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(64).retain(Retain::all()).open().await.unwrap();
        topic.publish_all(0..500).await.unwrap();
        topic.settled().await.unwrap();
        let mut late = topic.group("late").prefetch(4).stream().await.unwrap();
        for n in 0..100 {
            let delivery = late.next().await.unwrap();
            assert_eq!((**delivery, delivery.attempt()), (n, 1));
            delivery.ack().unwrap();
        }
        // These hold places for it, 64 there are.
        let ids = topic.publish_all(500..564).await.unwrap();
        assert_eq!(ids[63].offset(), 563);
        let stats = topic.find_group("late").unwrap().stats().await.unwrap();
        assert_eq!(stats.lag, 464, "{stats:?}");
        assert!(topic.try_publish(564).is_err(), "what it is registered for waits for it");
        for n in 100..564 {
            let delivery = late.next().await.unwrap();
            assert_eq!(**delivery, n);
            delivery.ack().unwrap();
        }
        topic.publish(564).await.unwrap();
        assert_eq!(**late.next().await.unwrap(), 564);
    });
}

/// Deliveries of history are tried again, and given up, as all others.
#[test]
fn what_is_replayed_is_delivered_until_it_is_settled() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(32).retain(Retain::all()).open().await.unwrap();
        topic.publish_all(0..200).await.unwrap();
        let seen = Seen::default();
        let late =
            topic.group("late").consumers(3).retry(Retry::immediately().max_attempts(2)).with(seen.clone());
        let late = late
            .run(async |n, seen| {
                assert!(*n % 7 != 3 || n.attempt() > 1, "the first attempt");
                if *n % 50 == 10 {
                    return Err(Fault::new("never"));
                }
                seen.lock().unwrap().push(*n);
                Ok(())
            })
            .await
            .unwrap();
        topic.settled().await.unwrap();
        let stats = late.stats().await.unwrap();
        assert_eq!((stats.acked, stats.dead_lettered, stats.lag), (196, 4, 0));
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.sort_unstable();
        assert_eq!(seen, (0..200).filter(|n| n % 50 != 10).collect::<Vec<_>>());
    });
}

/// Limits hold: of count exactly in memory, on disk by files. What a group was to read and is gone is counted.
#[test]
fn what_is_beyond_the_limits_goes() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let on_disk = topic_is_on_disk(&broker).await;
        let keeps = Retain::all().messages(100);
        let topic = disk::topic(&broker, "t").capacity(16).retain(keeps).open().await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        let mut late = topic.group("late").prefetch(1).stream().await.unwrap();
        assert_eq!(**late.next().await.unwrap(), 0);
        let _other = topic.group("other").start_at(Start::Latest).run(async |_| Ok(())).await.unwrap();
        drop(late);
        let late = topic.find_group("late").unwrap();
        late.delete().await.unwrap();
        topic.publish_all(100..1000).await.unwrap();
        topic.settled().await.unwrap();
        let kept = browsed(&topic, Start::Earliest).await;
        assert_eq!(*kept.last().unwrap(), 999);
        assert!(on_disk || kept.len() == 100, "{} are kept", kept.len());
        assert!(kept.len() >= 100 && kept[0] <= 900 && kept[0] >= 800, "from {} on", kept[0]);
        let (_, all) = reads(&topic, "all", Start::Offset(3)).await;
        topic.settled().await.unwrap();
        // On disk a little more may have gone meanwhile.
        let all = all.lock().unwrap();
        assert!(kept.ends_with(&all) && all.len() >= 100, "it begins with what there is: {}", all[0]);
    });
}

async fn topic_is_on_disk(broker: &Broker) -> bool {
    let topic = disk::topic(broker, "probe").open().await.unwrap();
    topic.publish(1).await.unwrap();
    !broker.stored_topics().await.unwrap().is_empty()
}

/// Trimmed under a group that replays: it is told by its count, and goes on with what is left.
#[test]
fn history_that_is_trimmed_before_it_was_read_is_counted_as_skipped() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic =
            broker.topic::<u64>("t").capacity(16).retain(Retain::all().messages(50)).open().await.unwrap();
        topic.publish_all(0..50).await.unwrap();
        topic.settled().await.unwrap();
        let mut late = topic.group("late").prefetch(1).stream().await.unwrap();
        let first = late.next().await.unwrap();
        topic.publish_all(50..66).await.unwrap();
        let mut seen = vec![**first];
        first.ack().unwrap();
        while seen.last() != Some(&65) {
            let delivery = late.next().await.unwrap();
            seen.push(**delivery);
            delivery.ack().unwrap();
        }
        assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
        let group = topic.find_group("late").unwrap();
        let stats = until(&group, |stats| stats.lag == 0).await;
        assert_eq!(stats.skipped + stats.acked, 66, "{stats:?}");
        assert_eq!(seen.len() as u64, stats.acked);
        assert!(seen.ends_with(&(50..66).collect::<Vec<_>>()), "none that it was registered for: {seen:?}");
    });
}

/// By age, also when nothing comes; in virtual time.
#[test]
fn what_is_too_old_goes_by_itself() {
    every::seed(5, |sim| async move {
        let second = Duration::from_secs(1);
        let broker = Broker::start().unwrap();
        let keeps = Retain::all().age(10 * second);
        let topic = broker.topic::<u64>("t").retain(keeps).open().await.unwrap();
        topic.publish(1).await.unwrap();
        sim.sleep(5 * second).await;
        topic.publish(2).await.unwrap();
        assert_eq!(browsed(&topic, Start::Earliest).await, [1, 2]);
        sim.sleep(5 * second + second / 10).await;
        assert_eq!(browsed(&topic, Start::Earliest).await, [2]);
        sim.sleep(5 * second).await;
        assert_eq!(browsed(&topic, Start::Earliest).await, [0; 0]);
    });
}

/// By bytes, as the topic weighs them.
#[test]
fn what_weighs_too_much_goes() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity_bytes(1000, |_| 10).retain(Retain::all().bytes(200));
        let topic = topic.open().await.unwrap();
        let (_, seen) = reads(&topic, "all", Start::Earliest).await;
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(browsed(&topic, Start::Earliest).await, (80..100).collect::<Vec<_>>());
        assert_eq!(seen.lock().unwrap().len(), 100);
    });
}

/// Times find what came in then or later.
#[test]
fn a_group_and_a_browse_may_begin_at_a_time() {
    every::seed(10, |sim| async move {
        for on_disk in [false, true] {
            let dir = TempDir::new("time");
            let broker = dir.builder().open().await.unwrap();
            let topic = broker.topic::<String>("t").retain(Retain::all());
            let topic = if on_disk { topic.durable(Raw) } else { topic };
            let topic = topic.capacity(4).open().await.unwrap();
            let mut ids = Vec::new();
            for n in 0..40 {
                ids.push(topic.publish(n.to_string()).await.unwrap());
                sim.sleep(Duration::from_millis(n % 3)).await;
            }
            for at in [0, 7, 20, 39] {
                let millis = ids[at].unix_millis();
                let first = ids.iter().position(|id| id.unix_millis() >= millis).unwrap();
                let wanted: Vec<String> = (first..40).map(|n| n.to_string()).collect();
                let start = Start::UnixMillis(millis);
                let all: Vec<String> =
                    topic.browse(start).map_ok(|n| n.to_string()).try_collect().await.unwrap();
                assert_eq!(all, wanted, "on disk: {on_disk}");
                let before: Vec<String> =
                    topic.browse_backwards(start).map_ok(|n| n.to_string()).try_collect().await.unwrap();
                assert_eq!(before, (0..first).rev().map(|n| n.to_string()).collect::<Vec<_>>());
                let group = topic.group(&format!("from-{at}")).start_at(start);
                let mut stream = group.stream().await.unwrap();
                for wanted in wanted {
                    let delivery = stream.next().await.unwrap();
                    assert_eq!(**delivery, wanted);
                    delivery.ack().unwrap();
                }
            }
            let late = topic.group("tomorrow").start_at(Start::UnixMillis(u64::MAX)).stream().await.unwrap();
            assert_eq!(topic.find_group("tomorrow").unwrap().stats().await.unwrap().lag, 0);
            drop(late);
            broker.shutdown().await;
        }
    });
}

#[test]
fn a_browse_shows_what_is_kept_and_settles_nothing() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        for retain in [false, true] {
            let topic = disk::topic(&broker, if retain { "kept" } else { "passing" }).capacity(600);
            let topic = if retain { topic.retain(Retain::all()) } else { topic };
            let topic = topic.open().await.unwrap();
            assert_eq!(browsed(&topic, Start::Earliest).await, [0; 0]);
            topic.publish_all(0..600).await.unwrap();
            let all: Vec<u64> = (0..600).collect();
            assert_eq!(browsed(&topic, Start::Earliest).await, all);
            assert_eq!(browsed(&topic, Start::Offset(590)).await, all[590..]);
            assert_eq!(browsed(&topic, Start::Latest).await, [0; 0]);
            assert_eq!(browsed(&topic, Start::Offset(1 << 40)).await, [0; 0]);
            let back: Vec<u64> = all.iter().rev().copied().collect();
            assert_eq!(browsed_back(&topic, Start::Latest).await, back);
            assert_eq!(browsed_back(&topic, Start::Offset(10)).await, back[590..]);
            assert_eq!(browsed_back(&topic, Start::Earliest).await, [0; 0]);
            let mut newest = topic.browse_backwards(Start::Latest);
            let newest = newest.next().await.unwrap().unwrap();
            assert_eq!((*newest, newest.id().offset(), newest.attempt()), (599, 599, 0));
            // What comes later is not shown.
            let mut begun = topic.browse(Start::Offset(598));
            assert_eq!(*begun.next().await.unwrap().unwrap(), 598);
            let (_, seen) = reads(&topic, "all", Start::Earliest).await;
            topic.publish(600).await.unwrap();
            assert_eq!(begun.map_ok(|n| *n).try_collect::<Vec<_>>().await.unwrap(), [599]);
            topic.settled().await.unwrap();
            assert_eq!(seen.lock().unwrap().len(), 601);
            let there = browsed(&topic, Start::Earliest).await.len();
            assert!(if retain { there == 601 } else { there < 601 }, "{there} are there");
            topic.delete().await.unwrap();
            let gone = topic.browse(Start::Earliest).next().await;
            assert!(matches!(gone, None | Some(Err(BrowseError::Closed))), "{gone:?}");
        }
    });
}

/// A process ends in the middle of a replay: the next one goes on with what was not settled, and with that alone.
#[test]
fn a_replay_goes_on_in_the_next_process() {
    every::runtime(|| async {
        let dir = TempDir::new("replay");
        let open = || retains(&dir, 32, Retain::all());
        let (broker, topic) = open().await;
        topic.publish_all((0..400).map(|n| n.to_string())).await.unwrap();
        let mut late = topic.group("late").stream().await.unwrap();
        let mut kept: Vec<Delivery<String>> = Vec::new();
        for n in 0..100_u32 {
            let delivery = late.next().await.unwrap();
            assert_eq!(**delivery, n.to_string());
            // Out of order, with gaps.
            if n % 10 == 3 { kept.push(delivery) } else { delivery.ack().unwrap() }
        }
        topic.publish_all((400..420).map(|n| n.to_string())).await.unwrap();
        drop((kept, late));
        drop((broker.shutdown_within(Duration::ZERO).await, topic));

        let (broker, topic) = open().await;
        assert_eq!(topic.stats().await.unwrap().unsettled, 20, "what it was registered for");
        let mut late = topic.group("late").stream().await.unwrap();
        let wanted: Vec<u32> = (0..100).filter(|n| n % 10 == 3).chain(100..420).collect();
        assert_eq!(topic.find_group("late").unwrap().stats().await.unwrap().lag, wanted.len() as u64);
        let mut seen = Vec::new();
        for _ in &wanted {
            let delivery = late.next().await.unwrap();
            seen.push(delivery.parse::<u32>().unwrap());
            delivery.ack().unwrap();
        }
        // What had failed waits for its next attempt.
        seen.sort_unstable();
        assert_eq!(seen, wanted);
        let all = topic.browse(Start::Earliest).count().await;
        assert_eq!(all, 420);
        drop(late);
        drop((broker.shutdown().await, topic));
        let (_broker, topic) = open().await;
        assert_eq!(topic.group("late").run(async |_| Ok(())).await.unwrap().stats().await.unwrap().lag, 0);
        assert_eq!(topic.browse(Start::Earliest).count().await, 420);
    });
}

/// A topic that retains is opened without it, and the other way round.
#[test]
fn a_history_may_be_given_up_and_begun() {
    every::runtime(|| async {
        let dir = TempDir::new("terms");
        let open = async |retain: Option<Retain>| {
            let broker = dir.builder().open().await.unwrap();
            let topic = broker.topic::<String>("t").durable(Raw);
            let topic = if let Some(retain) = retain { topic.retain(retain) } else { topic };
            let topic = topic.open().await.unwrap();
            let group = topic.group("all").run(async |_| Ok(())).await.unwrap();
            (broker, topic, group)
        };
        for (round, retain) in [Some(Retain::all()), None, Some(Retain::all()), None].into_iter().enumerate()
        {
            let (broker, topic, _group) = open(retain).await;
            topic.publish_all(["a", "b"].map(String::from)).await.unwrap();
            topic.settled().await.unwrap();
            drop((broker.shutdown().await, topic));
            let (broker, topic, _group) = open(retain).await;
            let there = topic.browse(Start::Earliest).count().await;
            assert_eq!(there, if retain.is_some() { 2 } else { 0 }, "round {round}");
            drop((broker.shutdown().await, topic));
        }
    });
}

/// Files go as a history is trimmed, and what a group has still to settle stays, whatever the limit.
#[test]
fn a_history_on_disk_leaves_it_again() {
    every::seed(3, |sim| async move {
        let disk = callboard::sim::SimDisk::new(sim.seed());
        let builder = Broker::builder().data_dir("/data").journal_file_bytes(64 << 10).on(disk.clone());
        let broker = builder.open().await.unwrap();
        let keeps = Retain::all().bytes(100 << 10);
        let topic = broker.topic::<String>("t").durable(Raw).retain(keeps).open().await.unwrap();
        let mut slow = topic.group("slow").prefetch(1).stream().await.unwrap();
        let quick = topic.group("quick").run(async |_| Ok(())).await.unwrap();
        topic.publish("first".into()).await.unwrap();
        let first = slow.next().await.unwrap();
        topic.find_group("slow").unwrap();
        let used = || disk.files().iter().map(|(_, len)| *len).sum::<u64>();
        for n in 0..600 {
            topic.publish(format!("{n} {}", "x".repeat(1000))).await.unwrap();
        }
        until(&quick, |stats| stats.acked == 601).await;
        let kept: Vec<_> = topic.browse(Start::Earliest).try_collect().await.unwrap();
        assert_eq!(**kept[0], *"first", "one group has not settled it");
        assert_eq!(kept.len(), 601);
        drop((kept, first, slow));
        topic.find_group("slow").unwrap().delete().await.unwrap();
        for n in 0..1200 {
            topic.publish(format!("{n} {}", "y".repeat(1000))).await.unwrap();
        }
        until(&quick, |stats| stats.acked == 1801).await;
        let kept = topic.browse(Start::Earliest).count().await;
        assert!((90..400).contains(&kept), "{kept} are kept");
        assert!(used() < 4 * (64 << 10) + (400 << 10), "{} bytes are used", used());
        drop(broker);
        drop(disk.crash(CrashKind::LoseAll));
    });
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let refused = async |topic: callboard::broker::TopicBuilder<u64>, why: &str| {
            let error = topic.open().await.unwrap_err();
            assert!(
                matches!(error, OpenError::Settings { .. }) && error.to_string().contains(why),
                "{error}"
            );
        };
        let topic = || broker.topic::<u64>("t");
        refused(topic().retain(Retain::all().messages(0)), "a history of nothing").await;
        refused(topic().retain(Retain::all().age(Duration::ZERO)), "the age of the history").await;
        refused(topic().retain(Retain::all().bytes(9)), "needs `capacity_bytes`").await;
        refused(topic().retain(Retain::all()).overflow(Overflow::DropOldest), "drops its oldest").await;
    });
}
