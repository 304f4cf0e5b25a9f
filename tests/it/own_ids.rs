//! Can messages keep the ids that they have elsewhere, in order, on disk and back? (G5, G8, G11)

use callboard::broker::{InvalidMessage, MessageId, Overflow, PublishError, Raw, Retain, Start};
use callboard::prelude::*;
use callboard::sim::{Sim, SimDisk};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use crate::delayed_disk::builder;
use crate::disk::{self, Number};
use crate::durable::TempDir;
use crate::every;
use crate::kit::{begun, poll_once, secs, until};

pub(crate) fn id(millis: u64, sequence: u64) -> MessageId {
    MessageId::from_parts(millis, sequence)
}

/// Ahead of all clocks, in tests as in life.
pub(crate) const FAR: u64 = 1 << 60;

async fn publish(topic: &Topic<u64>, id: MessageId, value: u64) -> MessageId {
    topic.message(value).id(id).publish().await.unwrap().id
}

#[test]
fn ids_that_are_given_are_kept_and_the_topic_goes_on_from_them() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").open().await.unwrap();
        let mut reader = topic.group("reader").stream().await.unwrap();
        let mut ids = Vec::new();
        for given in [id(0, 1), id(0, 7), id(5, 0), id(FAR, 3)] {
            let answered = publish(&topic, given, ids.len() as u64).await;
            assert_eq!((answered, answered.offset()), (given, ids.len() as u64));
            ids.push(answered);
        }
        ids.extend(topic.publish_all([4, 5]).await.unwrap());
        assert_eq!(ids[4..], [id(FAR, 4), id(FAR, 5)], "the clock is behind the last one's milliseconds");
        ids.push(publish(&topic, id(FAR, u64::MAX), 6).await);
        ids.push(topic.publish(7).await.unwrap());
        assert_eq!(ids[7], id(FAR + 1, 0));
        assert!(ids.is_sorted_by(|a, b| a < b));
        for (value, id) in ids.into_iter().enumerate() {
            let message = reader.next().await.unwrap();
            assert_eq!((**message, message.id(), message.id().offset()), (value as u64, id, value as u64));
            message.ack().unwrap();
        }
        drop(reader);
        broker.shutdown().await;
    });
}

/// Where its clock has passed the last id that was given, a topic counts from 0 in each millisecond.
#[test]
fn ids_of_the_topic_follow_its_clock_again() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").open().await.unwrap();
        publish(&topic, id(0, 9), 0).await;
        let next = topic.publish(1).await.unwrap();
        assert!(next.unix_millis() > 0 && next.sequence() == 0 && next.offset() == 1, "{next}");
        broker.shutdown().await;
    });
}

#[test]
fn an_id_that_is_not_above_all_others_is_refused_with_its_message() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").open().await.unwrap();
        let last = publish(&topic, id(50, 5), 1).await;
        for given in [id(50, 5), id(50, 4), id(49, 9), id(0, 0)] {
            match topic.message(2).id(given).publish().await {
                Err(PublishError::Invalid(2, InvalidMessage::Id { above })) => assert_eq!(above, last),
                other => panic!("{given}: {other:?}"),
            }
        }
        let error = topic.message(2).id(id(u64::MAX, 0)).publish().await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(2, InvalidMessage::LastId)), "{error}");
        let error = topic.message(2).id(id(60, 0)).publish_after(secs(1)).await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(2, InvalidMessage::IdOfDelayed)), "{error}");
        assert_eq!(topic.stats().await.unwrap().accepted, 1);
        publish(&topic, id(50, 6), 2).await;
        broker.shutdown().await;
    });
}

#[test]
fn a_topic_that_gave_ids_takes_those_of_a_later_millisecond() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").open().await.unwrap();
        let own = topic.publish(0).await.unwrap();
        let error = topic.message(1).id(id(own.unix_millis(), 1 << 40)).publish().await.unwrap_err();
        let PublishError::Invalid(1, InvalidMessage::Id { above }) = error else { panic!("{error}") };
        assert!(above.unix_millis() == own.unix_millis() && above >= own);
        let next = id(own.unix_millis() + 1, 0);
        assert_eq!(publish(&topic, next, 1).await, next);
        broker.shutdown().await;
    });
}

/// Whoever waits for room has no id yet: others may come in with a greater one meanwhile.
#[test]
fn who_waited_too_long_is_refused_and_the_line_goes_on() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(1).open().await.unwrap();
        let mut reader = topic.group("reader").stream().await.unwrap();
        publish(&topic, id(1, 0), 0).await;
        let error = topic.message(9).id(id(2, 0)).try_publish().unwrap_err();
        assert!(matches!(error, PublishError::Full(9)), "{error}");
        let (late, early) =
            (topic.message(1).id(id(9, 0)).publish(), topic.message(2).id(id(8, 0)).publish());
        let (late, early) = (begun(late).await, begun(early).await);
        let third = begun(topic.publish(3)).await;
        reader.next().await.unwrap().ack().unwrap();
        assert_eq!(late.await.unwrap().id, id(9, 0));
        let mut early = Box::pin(early);
        // It is known to be too late even while there is no room.
        let error = early.as_mut().await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(2, InvalidMessage::Id { .. })), "{error}");
        reader.next().await.unwrap().ack().unwrap();
        let third = third.await.unwrap();
        assert_eq!((third.offset(), third > id(9, 0)), (2, true));
        let error = topic.message(9).id(id(9, 0)).try_publish().unwrap_err();
        assert!(matches!(error, PublishError::Invalid(9, InvalidMessage::Id { .. })), "{error}");
        drop(reader);
        broker.shutdown().await;
    });
}

/// Many at a time, with ids in an order of their own: those that came in are in order, all others went back.
#[test]
fn publishers_beside_each_other_leave_ids_that_only_grow() {
    every::memory_and_disk(|| async {
        let broker = disk::broker().await;
        let topic = disk::topic(&broker, "t").capacity(8).open().await.unwrap();
        let mut reader = topic.group("reader").stream().await.unwrap();
        let publishes = (0..200_u64).map(|n| {
            let topic = topic.clone();
            async move {
                match n % 5 {
                    0 => topic.publish(n).await.map(|_| true),
                    _ => match topic.message(n).id(id(FAR, n * 7 % 200)).publish().await {
                        Ok(_) => Ok(true),
                        Err(PublishError::Invalid(value, InvalidMessage::Id { .. })) if value == n => {
                            Ok(false)
                        }
                        Err(other) => Err(other),
                    },
                }
            }
        });
        let reading = async {
            let mut ids = Vec::new();
            while let Some(message) = reader.next().await {
                ids.push(message.id());
                if **message == 1000 {
                    message.ack().unwrap();
                    break;
                }
                message.ack().unwrap();
            }
            ids
        };
        let publishing = async {
            let accepted = futures::future::try_join_all(publishes).await.unwrap();
            topic.publish(1000).await.unwrap();
            accepted.into_iter().filter(|accepted| *accepted).count()
        };
        let (ids, accepted) = futures::future::join(reading, publishing).await;
        assert_eq!(ids.len(), accepted + 1);
        assert!(ids.is_sorted_by(|a, b| a < b));
        drop(reader);
        broker.shutdown().await;
    });
}

pub(crate) async fn kept(dir: &TempDir) -> (Broker, Topic<u64>) {
    let broker = dir.builder().open().await.unwrap();
    let topic = broker.topic::<u64>("t").durable(Number).retain(Retain::all()).open().await.unwrap();
    (broker, topic)
}

pub(crate) async fn all(topic: &Topic<u64>, start: Start) -> Vec<(u64, MessageId)> {
    topic.browse(start).map_ok(|message| (*message, message.id())).try_collect().await.unwrap()
}

/// Ids, those that repeats and dead letters have among them, are as they were in the next process.
#[test]
fn ids_that_were_given_outlive_the_process() {
    every::runtime(|| async {
        let dir = TempDir::new("ids");
        let (broker, topic) = kept(&dir).await;
        let group = topic.group("g").retry(Retry::none());
        let group = group.run(async |n| if *n == 1 { Err(Fault::new("bad")) } else { Ok(()) }).await.unwrap();
        publish(&topic, id(5, 5), 0).await;
        publish(&topic, id(FAR, 0), 1).await;
        let keyed = topic.message(2).id(id(FAR, 8)).dedup_key("k").publish().await.unwrap();
        let last = topic.publish(3).await.unwrap();
        assert_eq!(last, id(FAR, 9));
        until(&group, |stats| stats.acked == 3 && stats.dead_lettered == 1).await;
        let before = all(&topic, Start::Earliest).await;
        broker.shutdown().await;

        let (broker, topic) = kept(&dir).await;
        assert_eq!(all(&topic, Start::Earliest).await, before);
        let error = topic.message(4).id(last).publish().await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(4, InvalidMessage::Id { above }) if above == last));
        let again = topic.message(4).dedup_key("k").publish().await.unwrap();
        assert_eq!((again.id, again.id.offset(), again.repeated), (keyed.id, 2, true));
        // The repeat took none.
        assert_eq!(topic.publish(4).await.unwrap(), id(FAR, 10));

        let dead = broker.topic::<DeadLetter>("t.g.dead").open().await.unwrap();
        let mut clerk = dead.group("clerk").stream().await.unwrap();
        let letter = clerk.next().await.unwrap();
        assert_eq!((letter.original_id(), letter.original_id().offset()), (id(FAR, 0), 1));
        assert_eq!(letter.message::<u64>().unwrap().id(), id(FAR, 0));
        let mut back = topic.group("g").stream().await.unwrap();
        back.next().await.unwrap().ack().unwrap();
        letter.redrive().await.unwrap();
        letter.ack_durable().await.unwrap();
        let message = back.next().await.unwrap();
        assert_eq!((**message, message.id(), message.redrives()), (1, id(FAR, 0), 1));
        message.release().unwrap();
        drop((back, clerk));
        broker.shutdown().await;

        // What came back has its first id for its group; the topic's own go on from where they were.
        let (broker, topic) = kept(&dir).await;
        let mut back = topic.group("g").stream().await.unwrap();
        let message = back.next().await.unwrap();
        assert_eq!((**message, message.id(), message.redrives()), (1, id(FAR, 0), 1));
        message.ack().unwrap();
        assert_eq!(topic.publish(5).await.unwrap(), id(FAR, 11));
        drop(back);
        broker.shutdown().await;
    });
}

/// G22: what was refused did not happen, so its id is free again.
#[test]
fn what_a_full_disk_refused_can_be_published_with_its_id_again() {
    every::seed(8, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let broker = builder(&disk).open().await.unwrap();
        let topic = broker.topic::<String>("t").durable(Raw).open().await.unwrap();
        let give = |n: u64, len: usize| topic.message("x".repeat(len)).id(id(n, 0)).publish();
        give(1, 10).await.unwrap();
        disk.set_free(0);
        let mut n = 2;
        let error = loop {
            match give(n, 2000).await {
                Ok(_) => n += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, PublishError::NotStored(..)), "{error}");
        disk.set_free(1 << 30);
        let answered = give(n, 2000).await.unwrap();
        assert_eq!((answered.id, answered.id.offset()), (id(n, 0), n - 1));
        broker.shutdown().await;
    });
}

/// G22: while the disk refuses now and then, ids only grow, those of repeats that take the place of what was refused among them.
#[test]
fn ids_grow_also_where_some_are_refused_and_repeats_take_their_place() {
    every::seed(60, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let broker = builder(&disk).open().await.unwrap();
        let topic =
            broker.topic::<String>("t").durable(Raw).retain(Retain::all()).capacity(64).open().await.unwrap();
        let mut accepted = Vec::new();
        for round in 0..30_u64 {
            let publishes = (0..12_u64).map(|n| {
                let message = topic.message(format!("{round} {}", "x".repeat(1500)));
                let message = if n % 3 == 0 { message } else { message.id(id(FAR + round, n)) };
                // Two of the same key, in one burst.
                if n % 4 < 2 { message.dedup_key(format!("{round} {}", n / 4)) } else { message }.publish()
            });
            // All of them are on their way when the disk begins to refuse, or has room again.
            let publishes = begun(futures::future::join_all(publishes)).await;
            disk.set_free(if round % 3 == 1 { 0 } else { 1 << 30 });
            let freed = async {
                sim.sleep(secs(1)).await;
                disk.set_free(1 << 30);
            };
            let (answers, ()) = futures::future::join(publishes, freed).await;
            let new = answers.into_iter().flatten().filter(|published| !published.repeated);
            accepted.extend(new.map(|published| published.id));
        }
        accepted.sort_by_key(|id| id.offset());
        let kept: Vec<MessageId> =
            topic.browse(Start::Earliest).map_ok(|one| one.id()).try_collect().await.unwrap();
        assert!(kept.is_sorted_by(|a, b| a < b), "{kept:?}");
        assert!(kept.iter().map(|id| id.offset()).eq(0..kept.len() as u64));
        assert_eq!(accepted, kept);
        broker.shutdown().await;
    });
}

/// An id that was written down tells where to go on, in memory and on disk, for groups, seeks and whoever looks.
#[test]
fn an_id_from_text_is_a_place_to_begin() {
    every::runtime(|| async {
        let dir = TempDir::new("begin");
        let (on_disk, topic) = kept(&dir).await;
        let in_memory = Broker::start().unwrap();
        let other = in_memory.topic::<u64>("t").retain(Retain::all()).open().await.unwrap();
        for topic in [topic, other] {
            for n in 0..600 {
                publish(&topic, id(n / 100, 2 * (n % 100) + 1), n).await;
            }
            // Ids between two, of one, in front of the first, behind the last.
            let cases = [
                (id(3, 0), 300),
                (id(3, 1), 301),
                (id(3, 2), 301),
                (id(0, 0), 0),
                (id(2, u64::MAX), 300),
                (id(9, 9), 600),
            ];
            for (after, first) in cases {
                let after = Start::After(after.to_string().parse().unwrap());
                let seen = all(&topic, after).await;
                assert_eq!(seen.first().map_or(600, |(n, _)| *n), first, "{after:?}");
                let back =
                    topic.browse_backwards(after).next().await.map_or(0, |message| *message.unwrap() + 1);
                assert_eq!(back, first, "{after:?}");
                let name = format!("g{}", topic.stats().await.unwrap().groups);
                let mut stream = topic.group(&name).start_at(after).stream().await.unwrap();
                if first < 600 {
                    let message = stream.next().await.unwrap();
                    assert_eq!(**message, first, "{after:?}");
                    message.ack().unwrap();
                } else {
                    assert!(stream.next().now_or_never().is_none());
                }
            }
            let group = topic.group("sought").stream().await.unwrap();
            drop(group);
            let (group, seen) = crate::kit::reads(&topic, "seeks", Start::Latest).await;
            group.seek(Start::After(id(5, 197))).await.unwrap();
            until(&group, |stats| stats.acked == 1).await;
            assert_eq!(*seen.lock().unwrap(), [599]);
        }
        on_disk.shutdown().await;
        in_memory.shutdown().await;
    });
}

#[test]
fn ids_are_spilled_with_their_messages() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(10).overflow(Overflow::Spill { bytes: 1 << 20 });
        let topic = match Sim::current() {
            Some(sim) => topic.spill_on("/", Number, SimDisk::new(sim.seed())),
            None => topic.spill_to(std::env::temp_dir(), Number),
        };
        let topic = topic.open().await.unwrap();
        for n in 0..300 {
            publish(&topic, id(7, n * n), n).await;
        }
        let mut reader = topic.group("reader").stream().await.unwrap();
        for n in 0..300 {
            let message = reader.next().await.unwrap();
            assert_eq!((**message, message.id(), message.id().offset()), (n, id(7, n * n), n));
            message.ack().unwrap();
        }
        drop(reader);
        broker.shutdown().await;
    });
}

/// A publish that is dropped while it waits takes its id along: it was never given.
#[test]
fn a_publish_that_is_dropped_gave_no_id() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(1).open().await.unwrap();
        let mut reader = topic.group("reader").stream().await.unwrap();
        publish(&topic, id(1, 0), 0).await;
        let mut waits = Box::pin(topic.message(1).id(id(2, 0)).publish());
        assert!(poll_once(&mut waits).await.is_pending());
        drop(waits);
        reader.next().await.unwrap().ack().unwrap();
        assert_eq!(publish(&topic, id(2, 0), 2).await, id(2, 0));
        drop(reader);
        broker.shutdown().await;
    });
}
