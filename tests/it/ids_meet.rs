//! Do ids that were given stay in order, and lead to their place, among all else that a topic has? (G5, G8, G11, G20)

use std::sync::Arc;

use callboard::broker::{Dedup, InvalidMessage, MessageId, Overflow, PublishError, Raw, Retain, Start};
use callboard::log::Vfs;
use callboard::log::inspect::salvage;
use callboard::prelude::*;
use callboard::sim::{Sim, SimDisk};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use crate::delayed_disk::builder;
use crate::disk::{self, Number};
use crate::durable::TempDir;
use crate::every;
use crate::kit::{millis, reads, secs, until};
use crate::own_ids::{FAR, all as from, id, kept};

/// As whoever has it from elsewhere: it tells of no offset.
fn after(id: MessageId) -> Start {
    Start::After(id.to_string().parse().unwrap())
}

async fn publish(topic: &Topic<u64>, id: MessageId, value: u64) {
    assert_eq!(topic.message(value).id(id).publish().await.unwrap().id, id);
}

async fn values(topic: &Topic<u64>, start: Start) -> Vec<u64> {
    from(topic, start).await.into_iter().map(|(value, _)| value).collect()
}

/// A group that gives up what is below 10 when it comes first.
async fn gives_up(topic: &Topic<u64>) -> Group {
    let group = topic.group("g").retry(Retry::none());
    group
        .run(async |n| if *n < 10 && n.redrives() == 0 { Err(Fault::new("not yet")) } else { Ok(()) })
        .await
        .unwrap()
}

async fn bring_back(group: &Group, many: u64) {
    until(group, |stats| stats.dead_lettered == many).await;
    assert_eq!(group.redrive().await.unwrap(), many);
    until(group, |stats| stats.lag == 0).await;
}

/// What comes back is stored anew, behind the last id and before the next: whatever the clock says by then.
#[test]
fn what_comes_back_between_ids_that_are_given_moves_none_of_them() {
    every::runtime(|| async {
        let dir = TempDir::new("between");
        let (broker, topic) = kept(&dir).await;
        let group = gives_up(&topic).await;
        publish(&topic, id(5, 5), 1).await;
        bring_back(&group, 1).await;
        publish(&topic, id(5, 6), 10).await;
        publish(&topic, id(7, 0), 11).await;
        for start in [id(5, 5), id(5, 6)] {
            assert!(values(&topic, after(start)).await.ends_with(&[11]), "{start}");
        }
        assert_eq!(values(&topic, after(id(5, 6))).await, [11]);
        assert_eq!(values(&topic, after(id(7, 0))).await, [0; 0]);
        let before = from(&topic, Start::Earliest).await;
        broker.shutdown().await;

        let (broker, topic) = kept(&dir).await;
        assert_eq!(from(&topic, Start::Earliest).await, before);
        assert_eq!(values(&topic, after(id(5, 6))).await, [11]);
        publish(&topic, id(7, 1), 12).await;
        assert_eq!(values(&topic, after(id(7, 0))).await, [12]);
        broker.shutdown().await;
    });
}

/// Also if it is the last that there is when the process ends.
#[test]
fn what_comes_back_last_hides_no_id() {
    every::runtime(|| async {
        let dir = TempDir::new("last");
        let (broker, topic) = kept(&dir).await;
        let group = gives_up(&topic).await;
        publish(&topic, id(5, 50), 10).await;
        publish(&topic, id(5, 60), 1).await;
        bring_back(&group, 1).await;
        broker.shutdown().await;

        let (broker, topic) = kept(&dir).await;
        assert_eq!(values(&topic, after(id(5, 50))).await, [1, 1], "and that again, for its group");
        let (late, seen) = reads(&topic, "late", after(id(5, 49))).await;
        until(&late, |stats| stats.lag == 0).await;
        assert_eq!(*seen.lock().unwrap(), [10, 1]);
        let error = topic.message(2).id(id(5, 60)).publish().await.unwrap_err();
        assert!(
            matches!(error, PublishError::Invalid(2, InvalidMessage::Id { above }) if above == id(5, 60)),
            "{error}"
        );
        publish(&topic, id(5, 61), 11).await;
        broker.shutdown().await;
    });
}

/// A topic that gave ids itself takes those of a later millisecond, also of one that was over when something came back.
#[test]
fn the_first_id_that_is_given_may_be_older_than_what_came_back() {
    every::seed(10, |sim| async move {
        let dir = TempDir::new("first");
        let (broker, topic) = kept(&dir).await;
        let group = gives_up(&topic).await;
        let own = topic.publish(1).await.unwrap();
        sim.sleep(secs(5)).await;
        bring_back(&group, 1).await;
        let given = id(own.unix_millis() + 1, 3);
        publish(&topic, given, 10).await;
        publish(&topic, id(own.unix_millis() + 1, 9), 11).await;
        assert_eq!(values(&topic, after(given)).await, [11]);
        let before = from(&topic, Start::Earliest).await;
        broker.shutdown().await;
        let (broker, topic) = kept(&dir).await;
        assert_eq!(from(&topic, Start::Earliest).await, before);
        assert_eq!(values(&topic, after(given)).await, [11]);
        broker.shutdown().await;
    });
}

/// A message is of use for so long from when it came in, whatever its id says, also over a restart.
#[test]
fn an_id_says_nothing_of_how_long_a_message_is_of_use() {
    every::seed(10, |sim| async move {
        let dir = TempDir::new("ttl");
        let open = async || {
            let broker = dir.builder().open().await.unwrap();
            let topic = broker.topic::<u64>("t").durable(Number).ttl(secs(100)).open().await.unwrap();
            (broker, topic)
        };
        let (broker, topic) = open().await;
        drop(topic.group("g").stream().await.unwrap());
        publish(&topic, id(5, 5), 1).await;
        topic.message(2).id(id(5, 6)).ttl(secs(10)).publish().await.unwrap();
        publish(&topic, id(FAR, 0), 3).await;
        topic.publish(4).await.unwrap();
        broker.shutdown_within(secs(0)).await;
        sim.sleep(secs(50)).await;

        let (broker, topic) = open().await;
        let mut stream = topic.group("g").stream().await.unwrap();
        for value in [1, 3, 4] {
            let message = stream.next().await.unwrap();
            assert_eq!(**message, value);
            message.release().unwrap();
        }
        drop(stream);
        assert_eq!(topic.find_group("g").unwrap().stats().await.unwrap().expired, 1);
        broker.shutdown_within(secs(0)).await;
        sim.sleep(secs(60)).await;

        let (broker, topic) = open().await;
        let mut stream = topic.group("g").stream().await.unwrap();
        let group = topic.find_group("g").unwrap();
        let stats = until(&group, |stats| stats.lag == 0).await;
        assert_eq!(stats.expired, 3, "{stats:?}");
        assert!(stream.next().now_or_never().is_none());
        drop(stream);
        broker.shutdown().await;
    });
}

/// An id that is far ahead makes no key older.
#[test]
fn dedup_keys_outlive_the_process_whatever_ids_were_given() {
    every::runtime(|| async {
        let dir = TempDir::new("keys");
        let open = async || {
            let broker = dir.builder().open().await.unwrap();
            let topic = broker.topic::<u64>("t").durable(Number).dedup(Dedup::within(secs(3600)));
            (broker, topic.open().await.unwrap())
        };
        let (broker, topic) = open().await;
        let own = topic.message(1).dedup_key("own").publish().await.unwrap();
        let far = topic.message(2).id(id(FAR, 0)).dedup_key("far").publish().await.unwrap();
        topic.publish(3).await.unwrap();
        broker.shutdown().await;
        for _ in 0..2 {
            let (broker, topic) = open().await;
            for (key, first) in [("own", own), ("far", far)] {
                let again = topic.message(4).dedup_key(key).publish().await.unwrap();
                assert_eq!(
                    (again.repeated, again.id, again.id.offset()),
                    (true, first.id, first.id.offset()),
                    "{key}"
                );
            }
            assert_eq!(topic.stats().await.unwrap().accepted, 3);
            broker.shutdown().await;
        }
    });
}

/// Whoever sends again what has a key and an id is told that it is there, on disk as in memory.
#[test]
fn a_repeat_with_its_id_is_answered_as_a_repeat() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").open().await.unwrap();
        let send = |n: u64, key: &str| topic.message(n).id(id(5, n)).dedup_key(key).publish();
        let first = send(1, "a").await.unwrap();
        // Both on their way.
        let (second, again) = futures::future::join(send(2, "b"), send(2, "b")).await;
        assert_eq!((second.unwrap().repeated, again.unwrap().repeated), (false, true));
        for (n, key, there) in [(1, "a", first.id), (2, "b", id(5, 2)), (1, "b", id(5, 2))] {
            let again = send(n, key).await.unwrap();
            assert_eq!((again.repeated, again.id), (true, there));
        }
        let error = send(2, "c").await.unwrap_err();
        assert!(
            matches!(error, PublishError::Invalid(2, InvalidMessage::Id { above }) if above == id(5, 2)),
            "{error}"
        );
        let error = topic.message(9).id(id(5, 2)).publish().await.unwrap_err();
        assert!(
            matches!(error, PublishError::Invalid(9, InvalidMessage::Id { above }) if above == id(5, 2)),
            "{error}"
        );
        assert_eq!((topic.publish(3).await.unwrap().offset(), topic.stats().await.unwrap().accepted), (2, 3));
        broker.shutdown().await;
    });
}

/// The last ids that there are: what is behind them is still in order, and nothing is before its time.
#[test]
fn the_greatest_ids_are_followed_by_others() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").retain(Retain::all().age(secs(3600))).ttl(secs(3600));
        let topic = topic.open().await.unwrap();
        publish(&topic, id(u64::MAX - 1, u64::MAX - 1), 0).await;
        publish(&topic, id(u64::MAX - 1, u64::MAX), 1).await;
        for (sequence, value) in (0..).zip(2..5) {
            assert_eq!(topic.publish(value).await.unwrap(), id(u64::MAX, sequence));
        }
        let error = topic.message(9).id(id(u64::MAX, 9)).publish().await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(9, InvalidMessage::LastId)), "{error}");
        for (start, wanted) in [
            (id(u64::MAX - 1, u64::MAX - 2), &[0, 1, 2, 3, 4][..]),
            (id(u64::MAX - 1, u64::MAX), &[2, 3, 4]),
            (id(u64::MAX, 1), &[4]),
            (id(u64::MAX, u64::MAX), &[]),
        ] {
            assert_eq!(values(&topic, after(start)).await, wanted, "{start}");
            let (group, seen) = reads(&topic, &format!("g{start}"), after(start)).await;
            until(&group, |stats| stats.lag == 0).await;
            topic.settled().await.unwrap();
            assert_eq!(*seen.lock().unwrap(), wanted, "{start}");
        }
        assert_eq!(values(&topic, Start::UnixMillis(u64::MAX)).await, [2, 3, 4]);
        broker.shutdown().await;
    });
}

/// Without a history too: what is kept is found by id, before and between and behind.
#[test]
fn an_id_from_text_leads_to_what_is_kept_without_a_history() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").open().await.unwrap();
        for n in 0..300 {
            publish(&topic, id(n / 100, 10 * (n % 100) + 5), n).await;
        }
        for (start, first) in
            [(id(0, 0), 0), (id(0, 5), 1), (id(1, 14), 101), (id(2, u64::MAX), 300), (id(1, 2000), 200)]
        {
            let group = format!("g{start}");
            let mut stream = topic.group(&group).start_at(after(start)).stream().await.unwrap();
            publish_next(&topic).await;
            let message = stream.next().await.unwrap();
            assert_eq!(**message, first, "{start}");
            message.release().unwrap();
        }
        broker.shutdown_within(secs(0)).await;
    });
}

/// One more, whose value is its offset.
async fn publish_next(topic: &Topic<u64>) {
    let accepted = topic.stats().await.unwrap().accepted;
    assert_eq!(topic.publish(accepted).await.unwrap().offset(), accepted);
}

/// What is spilled is accepted, and has its place among the ids.
#[test]
fn an_id_from_text_leads_to_what_is_spilled() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(10).overflow(Overflow::Spill { bytes: 1 << 20 });
        let topic = match Sim::current() {
            Some(sim) => topic.spill_on("/", Number, SimDisk::new(sim.seed())),
            None => topic.spill_to(std::env::temp_dir(), Number),
        };
        let topic = topic.open().await.unwrap();
        let mut all = topic.group("all").stream().await.unwrap();
        for n in 0..200 {
            publish(&topic, id(7, 2 * n), n).await;
        }
        // Nobody who looks waits for what is spilled.
        assert!(values(&topic, Start::Earliest).await.len() >= 10);
        let mut groups = Vec::new();
        for (start, first) in [(id(7, 7), 4), (id(7, 200), 101), (id(7, 251), 126), (id(9, 0), 200)] {
            let (group, seen) = reads(&topic, &format!("g{first}"), after(start)).await;
            groups.push((group, seen, first));
        }
        publish(&topic, id(9, 5), 200).await;
        for n in 0..201 {
            let message = all.next().await.unwrap();
            assert_eq!(**message, n);
            message.ack().unwrap();
        }
        for (group, seen, first) in groups {
            until(&group, |stats| stats.lag == 0).await;
            topic.settled().await.unwrap();
            let seen = std::mem::take(&mut *seen.lock().unwrap());
            assert_eq!(seen, (first..201).collect::<Vec<_>>());
        }
        drop(all);
        broker.shutdown().await;
    });
}

/// A delayed message gets its id as it comes in: one that the disk refused then, when it comes at last.
#[test]
fn what_was_due_and_refused_has_no_id_of_that_time() {
    every::seed(8, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let broker = builder(&disk).open().await.unwrap();
        let topic = broker.topic::<String>("t").durable(Raw).retain(Retain::all()).open().await.unwrap();
        topic.message("first".into()).id(id(FAR, 0)).publish().await.unwrap();
        let late = topic.message("x".repeat(3000)).publish_after(secs(10));
        late.await.unwrap();
        disk.set_free(0);
        for len in [2000, 100, 1, 0] {
            while topic.publish("y".repeat(len)).await.is_ok() {}
        }
        let before = topic.stats().await.unwrap().accepted;
        sim.sleep(secs(12)).await;
        assert_eq!(topic.stats().await.unwrap().scheduled, 1, "it was refused");
        disk.set_free(1 << 30);
        topic.message("meanwhile".into()).id(id(FAR, 1 << 40)).publish().await.unwrap();
        while topic.stats().await.unwrap().scheduled > 0 {
            sim.sleep(millis(100)).await;
        }
        let behind = topic.message("behind".into()).publish().await.unwrap();
        let kept: Vec<MessageId> =
            topic.browse(Start::Earliest).map_ok(|message| message.id()).try_collect().await.unwrap();
        assert!(kept.is_sorted_by(|a, b| a < b), "{kept:?}");
        assert_eq!(kept.len() as u64, before + 3);
        assert_eq!((kept.last(), behind.id), (Some(&behind.id), id(FAR, (1 << 40) + 2)));
        broker.shutdown().await;
    });
}

/// G21: what stands in for a message that is lost stands among the ids of those around it.
#[test]
fn ids_lead_to_their_place_in_what_was_salvaged() {
    every::seed(1, |sim| async move {
        let (disk, mark) = (SimDisk::new(sim.seed()), 0x1122_3344_5566_0000_u64);
        let broker = builder(&disk).open().await.unwrap();
        let topic = broker.topic::<u64>("t").durable(Number).retain(Retain::all()).open().await.unwrap();
        for n in 0..30 {
            publish(&topic, id(5, 10 * n), mark + n).await;
        }
        broker.shutdown().await;
        drop(topic);
        let lost = (mark + 15).to_le_bytes();
        let place = |(path, _)| {
            let bytes: Vec<u8> = disk.read_file(&path).unwrap();
            let at = bytes.windows(8).position(|bytes| bytes == lost)?;
            Some((path, at))
        };
        let (path, at) = disk.files().into_iter().find_map(place).unwrap();
        disk.flip(&path, at as u64, 1).unwrap();
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        salvage(&vfs, "/data".as_ref(), "/saved".as_ref(), 7).unwrap();

        let saved = Broker::builder().data_dir("/saved").journal_file_bytes(64 << 10).on(disk.clone());
        let broker = saved.open().await.unwrap();
        let topic = broker.topic::<u64>("t").durable(Number).retain(Retain::all()).open().await.unwrap();
        for n in 0..30 {
            let found = topic.browse(after(id(5, 10 * n)));
            let found: Vec<u64> =
                found.filter_map(async |message| Some(*message.ok()? - mark)).collect().await;
            assert_eq!(found, (n + 1..30).filter(|n| *n != 15).collect::<Vec<_>>(), "{n}");
        }
        assert_eq!(topic.publish(0).await.unwrap().offset(), 30);
        broker.shutdown().await;
    });
}

/// A clock that is behind, and one that was ahead: ids grow, and the topic's own take up from those that were given.
#[test]
fn ids_grow_while_the_clock_goes_back() {
    every::seed(20, |sim| async move {
        let (sim, dir) = (sim.with_wall_jumps(), TempDir::new("clock"));
        let mut last = None;
        for round in 0..6 {
            let (broker, topic) = kept(&dir).await;
            for n in 0..10 {
                let own = topic.publish(n).await.unwrap();
                assert!(last.is_none_or(|last| last < own), "{last:?} {own}");
                last = Some(own);
                if n % 3 == round % 3 {
                    let given = id(own.unix_millis() + n, own.sequence() + 1);
                    let published = topic.message(n).id(given).publish().await;
                    match published {
                        Ok(published) => last = Some(published.id),
                        Err(PublishError::Invalid(_, InvalidMessage::Id { above })) => {
                            assert!(above >= given)
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            let ids: Vec<MessageId> =
                from(&topic, Start::Earliest).await.into_iter().map(|(_, id)| id).collect();
            assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
            broker.shutdown().await;
            sim.sleep(millis(sim.seed() % 5)).await;
        }
    });
}
