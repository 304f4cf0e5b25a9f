//! Is a group that is moved handed just what lies at its new place? (G5)

use std::sync::Arc;
use std::time::Duration;

use callboard::broker::{Raw, Retain, SeekError, Start};
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::disk;
use crate::durable::{TempDir, retains};
use crate::every;
use crate::kit::{Seen, Valve, reads, until, valved};

fn take(seen: &Seen) -> Vec<u64> {
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Back, forth, and to the end, while messages come.
#[test]
fn a_group_goes_back_and_forth_in_what_is_kept() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(16).retain(Retain::all()).open().await.unwrap();
        let (group, seen) = reads(&topic, "all", Start::Earliest).await;
        let (_other, others) = reads(&topic, "other", Start::Earliest).await;
        let ids = topic.publish_all(0..200).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(take(&seen), (0..200).collect::<Vec<_>>());

        group.seek(Start::Offset(150)).await.unwrap();
        topic.publish_all(200..210).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(take(&seen), (150..210).collect::<Vec<_>>());

        group.seek(Start::After(ids[99])).await.unwrap();
        group.seek(Start::Earliest).await.unwrap();
        group.seek(Start::Offset(205)).await.unwrap();
        topic.settled().await.unwrap();
        // What it had begun of the places in between it may have done.
        assert!(take(&seen).ends_with(&(205..210).collect::<Vec<_>>()));

        group.seek(Start::Offset(1000)).await.unwrap();
        topic.publish_all(210..220).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(take(&seen), [0; 0], "it waits for what is not there yet");
        group.seek(Start::Latest).await.unwrap();
        topic.publish(220).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(take(&seen), [220]);
        assert_eq!(take(&others), (0..221).collect::<Vec<_>>(), "nobody else notices");
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.lag, topic.stats().await.unwrap().unsettled), (0, 0), "{stats:?}");
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

/// What consumers are at goes on to its end, and counts; what they have not begun is skipped, with retries and the rest.
#[test]
fn a_seek_waits_for_what_consumers_are_at_and_skips_the_rest() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(100).retain(Retain::all()).open().await.unwrap();
        let valve = Valve::shut();
        let group = valved(&topic, "slow", &valve).await;
        topic.publish_all(0..50).await.unwrap();
        assert_eq!(valve.next().await, 0);
        let seek = crate::kit::begun(group.seek(Start::Offset(40))).await;
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.in_flight), (0, 1), "one is at work, and the rest was taken back");
        valve.let_through(1);
        seek.await.unwrap();
        assert_eq!(valve.next().await, 40);
        valve.open();
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.skipped, stats.lag), (11, 49, 0), "{stats:?}");
    });
}

/// Without history a group may go back to what others have still to settle, and ahead of all.
#[test]
fn without_history_a_group_goes_to_what_others_keep() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(100).open().await.unwrap();
        let (group, seen) = reads(&topic, "quick", Start::Earliest).await;
        let slow = topic.group("slow").run(async |_| std::future::pending().await).await.unwrap();
        topic.publish_all(0..50).await.unwrap();
        until(&group, |stats| stats.acked == 50).await;
        take(&seen);
        group.seek(Start::Offset(45)).await.unwrap();
        until(&group, |stats| stats.acked == 55).await;
        assert_eq!(take(&seen), [45, 46, 47, 48, 49]);
        slow.pause().await.unwrap();
        slow.delete().await.unwrap();
        group.seek(Start::Earliest).await.unwrap();
        topic.publish(50).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(take(&seen), [50], "nobody kept what was before");
        let stats = topic.stats().await.unwrap();
        assert_eq!(stats.unsettled, 0);
    });
}

/// Dead letters, redriven ones and retries that wait are let go of; their topic is in order afterwards.
#[test]
fn a_seek_lets_go_of_retries_and_of_what_was_redriven() {
    every::seed(20, |_| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(64).retain(Retain::all()).open().await.unwrap();
        let retry = Retry::fixed(Duration::from_millis(200)).max_attempts(2);
        let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let group = topic.group("all").consumers(3).retry(retry).with(works.clone());
        let group = group
            .run(async |n, works| {
                let works = works.load(std::sync::atomic::Ordering::Relaxed);
                if works || *n % 2 == 0 { Ok(()) } else { Err(Fault::new("not yet")) }
            })
            .await
            .unwrap();
        topic.publish_all(0..20).await.unwrap();
        until(&group, |stats| stats.dead_lettered == 10).await;
        assert_eq!(group.redrive().await.unwrap(), 10);
        until(&group, |stats| stats.delayed == 10).await;
        works.store(true, std::sync::atomic::Ordering::Relaxed);
        group.seek(Start::Offset(10)).await.unwrap();
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.skipped, stats.delayed, stats.lag), (20, 10, 0, 0), "{stats:?}");
        let topic = topic.stats().await.unwrap();
        assert_eq!((topic.unsettled, topic.pinned), (0, 0), "{topic:?}");
    });
}

/// A group that was moved is there in the next process too.
#[test]
fn a_group_is_where_it_was_moved_to_in_the_next_process() {
    every::runtime(|| async {
        let dir = TempDir::new("seek");
        let open = || retains(&dir, 8, Retain::all());
        let (broker, topic) = open().await;
        let group = topic.group("all").run(async |_| Ok(())).await.unwrap();
        topic.publish_all((0..100).map(|n| n.to_string())).await.unwrap();
        topic.settled().await.unwrap();
        group.pause().await.unwrap();
        group.seek(Start::Offset(90)).await.unwrap();
        drop((broker.shutdown().await, topic, group));
        let (broker, topic) = open().await;
        assert_eq!(topic.stats().await.unwrap().unsettled, 0, "history holds no place");
        let mut again = topic.group("all").stream().await.unwrap();
        for n in 90..100 {
            let delivery = again.next().await.unwrap();
            assert_eq!((delivery.as_str(), delivery.attempt()), (n.to_string().as_str(), 1));
            delivery.ack().unwrap();
        }
        let group = topic.find_group("all").unwrap();
        until(&group, |stats| stats.lag == 0).await;
        let millis = 1;
        group.seek(Start::UnixMillis(millis)).await.unwrap();
        assert_eq!(**again.next().await.unwrap(), *"0");
        drop(again);
        drop((broker.shutdown_within(Duration::ZERO).await, topic, group));
    });
}

#[test]
fn a_topic_that_drops_its_oldest_has_no_way_back() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").overflow(Overflow::DropOldest).open().await.unwrap();
        let (group, _) = reads(&topic, "all", Start::Earliest).await;
        assert!(matches!(group.seek(Start::Earliest).await, Err(SeekError::DropsOldest)));
        let kept = broker.topic::<u64>("kept").retain(Retain::all()).open().await.unwrap();
        let (group, _) = reads(&kept, "all", Start::Earliest).await;
        kept.delete().await.unwrap();
        assert!(matches!(group.seek(Start::Earliest).await, Err(SeekError::Closed)));
    });
}

/// A group in lanes lets go of all that it has, as all others do.
#[test]
fn a_group_in_lanes_is_moved_as_any_other() {
    every::memory_and_disk(|| async {
        for (name, exclusive) in [("keyed", false), ("exclusive", true)] {
            let broker = disk::broker().await;
            let topic = disk::topic(&broker, name)
                .capacity(100)
                .retain(Retain::all())
                .key(|n: &u64| if n.is_multiple_of(2) { "even" } else { "odd" });
            let topic = topic.open().await.unwrap();
            let seen = Seen::default();
            let fails = Arc::new(std::sync::atomic::AtomicBool::new(true));
            let group = topic.group("all").consumers(2).retry(Retry::fixed(Duration::from_secs(3600)));
            let group = if exclusive { group.exclusive() } else { group.key_ordered() };
            let group = group
                .with((seen.clone(), fails.clone()))
                .run(async |n, (seen, fails)| {
                    if *n == 10 && fails.load(std::sync::atomic::Ordering::Relaxed) {
                        return Err(Fault::new("not yet"));
                    }
                    seen.lock().unwrap().push(*n);
                    Ok(())
                })
                .await
                .unwrap();
            topic.publish_all(0..50).await.unwrap();
            until(&group, |stats| stats.delayed == 1 && stats.in_flight == 0).await;
            fails.store(false, std::sync::atomic::Ordering::Relaxed);
            take(&seen);
            group.seek(Start::Offset(5)).await.unwrap();
            topic.settled().await.unwrap();
            let mut seen = take(&seen);
            for key in 0..2 {
                assert!(seen.iter().filter(|n| **n % 2 == key).is_sorted(), "{name}: {seen:?}");
            }
            seen.sort_unstable();
            assert_eq!(seen, (5..50).collect::<Vec<_>>(), "{name}");
            let stats = group.stats().await.unwrap();
            assert_eq!((stats.lag, stats.backlog, topic.stats().await.unwrap().unsettled), (0, 0, 0));
        }
    });
}

/// What comes back from the dead letters while a group is on its way holds no place for ever.
#[test]
fn a_redrive_beside_a_seek_leaks_no_place() {
    every::seed(100, |sim| async move {
        for on_disk in [false, true] {
            let dir = TempDir::new("redrive");
            let broker = dir.builder().open().await.unwrap();
            let topic = broker.topic::<String>("t").capacity(64).retain(Retain::all());
            let topic = if on_disk { topic.durable(Raw) } else { topic };
            let topic = topic.open().await.unwrap();
            let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let group = topic.group("all").retry(Retry::none()).with(works.clone());
            let group = group
                .run(async |_, works| match works.load(std::sync::atomic::Ordering::Relaxed) {
                    true => Ok(()),
                    false => Err(Fault::new("not yet")),
                })
                .await
                .unwrap();
            topic.publish_all((0..20).map(|n| n.to_string())).await.unwrap();
            until(&group, |stats| stats.dead_lettered == 20).await;
            works.store(true, std::sync::atomic::Ordering::Relaxed);
            let redriven = group.clone();
            let redrive = every::spawn("redrive", async move { redriven.redrive().await });
            for to in [10, 19, 20] {
                group.seek(Start::Offset(to)).await.unwrap();
                sim.sleep(Duration::from_micros(sim.seed() % 7)).await;
            }
            assert_eq!(redrive.await.unwrap(), 20);
            topic.settled().await.unwrap();
            let stats = group.stats().await.unwrap();
            let topic = topic.stats().await.unwrap();
            assert_eq!((stats.lag, topic.unsettled), (0, 0), "on disk: {on_disk}: {stats:?}");
            broker.shutdown().await;
        }
    });
}

/// A process that ends in the middle of a seek leaves the group at one of the two places, with all that it has there.
#[test]
fn a_seek_that_a_shutdown_overtakes_loses_nothing() {
    every::seed(60, |sim| async move {
        let dir = TempDir::new("overtaken");
        let open = || retains(&dir, 64, Retain::all());
        let (broker, topic) = open().await;
        let group = topic.group("all").run(async |_| Ok(())).await.unwrap();
        group.pause().await.unwrap();
        topic.publish_all((0..20).map(|n| n.to_string())).await.unwrap();
        let moved = group.clone();
        let seek = every::spawn("seek", async move { moved.seek(Start::Offset(10)).await });
        for _ in 0..sim.seed() % 12 {
            crate::kit::yield_now().await;
        }
        broker.shutdown_within(Duration::ZERO).await;
        let sought = seek.await;
        drop((broker, topic, group));
        let (broker, topic) = open().await;
        let group = topic.group("all").run(async |_| Ok(())).await.unwrap();
        topic.settled().await.unwrap();
        let acked = group.stats().await.unwrap().acked;
        assert!(acked == 10 || acked == 20 && sought.is_err(), "{acked} after {sought:?}");
        broker.shutdown().await;
    });
}

/// What is accepted after a group was sent to the end is the group's, though what was on its way before repeats another one.
#[test]
fn a_repeat_on_its_way_makes_the_end_no_later() {
    every::seed(20, |_| async {
        let dir = TempDir::new("end");
        let broker = dir.builder().open().await.unwrap();
        for retain in [false, true] {
            let topic = broker.topic::<String>(&format!("t-{retain}")).durable(Raw);
            let topic = if retain { topic.retain(Retain::all()) } else { topic };
            let topic = topic.open().await.unwrap();
            let group = topic.group("old").run(async |_| Ok(())).await.unwrap();
            let keyed = || topic.message("first".to_string()).dedup_key("k").publish();
            keyed().await.unwrap();
            topic.settled().await.unwrap();
            let repeat = crate::kit::begun(keyed()).await;
            let seek = crate::kit::begun(group.seek(Start::Latest)).await;
            let late = topic.group("late").start_at(Start::Latest).run(async |_| Ok(())).await.unwrap();
            repeat.await.unwrap();
            seek.await.unwrap();
            topic.publish("second".into()).await.unwrap();
            topic.settled().await.unwrap();
            assert_eq!(late.stats().await.unwrap().acked, 1, "with a history: {retain}");
            assert_eq!(group.stats().await.unwrap().acked, 2, "with a history: {retain}");
        }
        broker.shutdown().await;
    });
}

/// A group that is there goes on where it is, in the next process too, whatever start it is opened with.
#[test]
fn a_group_that_is_there_begins_nowhere_else_than_it_was_moved_to() {
    every::runtime(|| async {
        for retain in [false, true] {
            let dir = TempDir::new("again");
            let open = async || {
                let broker = dir.builder().open().await.unwrap();
                let topic = broker.topic::<String>("t").durable(Raw);
                let topic = if retain { topic.retain(Retain::all()) } else { topic };
                (broker, topic.open().await.unwrap())
            };
            let texts = |range: std::ops::Range<u32>| range.map(|n| n.to_string());
            let (broker, topic) = open().await;
            let start = |name, start| topic.group(name).start_at(start).run(async |_| Ok(()));
            let back = start("back", Start::Offset(100)).await.unwrap();
            let ahead = start("ahead", Start::Earliest).await.unwrap();
            topic.publish_all(texts(0..5)).await.unwrap();
            topic.settled().await.unwrap();
            back.seek(Start::Earliest).await.unwrap();
            ahead.seek(Start::Offset(12)).await.unwrap();
            topic.settled().await.unwrap();
            drop((broker.shutdown().await, topic, back, ahead));

            let (broker, topic) = open().await;
            let start = |name, start| topic.group(name).start_at(start).run(async |_| Ok(()));
            // These come while nobody is there to say where the groups begin.
            topic.publish_all(texts(5..8)).await.unwrap();
            let back = start("back", Start::Offset(100)).await.unwrap();
            let ahead = start("ahead", Start::Earliest).await.unwrap();
            topic.publish_all(texts(8..15)).await.unwrap();
            topic.settled().await.unwrap();
            assert_eq!(back.stats().await.unwrap().acked, 10, "with a history: {retain}");
            assert_eq!(ahead.stats().await.unwrap().acked, 3, "with a history: {retain}");
            assert_eq!(topic.stats().await.unwrap().unsettled, 0);
            broker.shutdown().await;
        }
    });
}
