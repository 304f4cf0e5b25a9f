//! What becomes of a durable topic's delayed messages when the disk refuses, when their futures are dropped, and when
//! the topic is opened anew in odd ways? (G1, G5, G18, G20, G22)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard::base::Moment;
use callboard::broker::{CancelError, Codec, Overflow, Raw};
use callboard::prelude::*;

use callboard::sim::SimDisk;
use futures::StreamExt as _;

use crate::delayed_disk::{HOUR, builder, later, open, scheduled};
use crate::every;
use crate::kit::{millis, poll_once, secs, yield_now};

/// Takes all the room that the disk has.
async fn fill(broker: &Broker, disk: &SimDisk) {
    let filler = broker.topic::<String>("filler").durable(Raw).capacity(10_000).open().await.unwrap();
    disk.set_free(0);
    for len in [2000, 100, 1, 0] {
        while filler.publish("x".repeat(len)).await.is_ok() {}
    }
}

/// G22: it is tried again with what comes next, and not for ever.
#[test]
fn what_lags_behind_and_is_refused_lets_others_run() {
    every::seed(4, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let broker = builder(&disk).open().await.unwrap();
        let orders = broker.topic::<String>("orders").durable(Raw).delay_capacity(300).open().await.unwrap();
        orders.group("billing").run(async |_| Ok(())).await.unwrap();
        later(&orders, HOUR, "far").await;
        futures::future::join_all((0..260).map(|_| later(&orders, secs(1000), "near"))).await;
        for _ in 0..20 {
            futures::future::join_all((0..39).map(|_| later(&orders, millis(1), "nearer"))).await;
            sim.sleep(secs(1)).await;
        }
        // As they leave, the one that stays lags too far behind; it is noticed with the next one.
        sim.sleep(secs(1000)).await;
        assert_eq!(scheduled(&orders).await, 1);
        fill(&broker, &disk).await;
        orders.publish_after(HOUR, "new".into()).await.unwrap_err();
        sim.sleep(secs(5)).await;
        broker.shutdown().await;
    });
}

/// G5: what was due meanwhile comes in the order in which it was due.
#[test]
fn what_was_due_while_no_broker_ran_comes_in_order() {
    every::seed(4, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(builder(&disk)).await;
        for (delay, text) in [(30, "c"), (10, "a"), (20, "b"), (3600, "d")] {
            later(&orders, secs(delay), text).await;
        }
        broker.shutdown().await;
        sim.sleep(secs(60)).await;
        let (broker, orders) = open(builder(&disk)).await;
        let stream = orders.group("billing").stream().await.unwrap();
        let texts: Vec<_> = stream.take(3).map(|order| order.to_string()).collect().await;
        assert_eq!(texts, ["a", "b", "c"]);
        broker.shutdown().await;
    });
}

#[test]
fn a_message_comes_no_part_of_a_millisecond_early_after_a_restart() {
    every::seed(2, |sim| async move {
        let sim = sim.without_slips();
        let part = |at: Moment| {
            std::time::Duration::from_nanos(at.since(Moment::ZERO).as_nanos() as u64 % 1_000_000)
        };
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(builder(&disk)).await;
        sim.sleep(millis(2) - part(sim.now()) - std::time::Duration::from_micros(100)).await;
        let due = sim.now() + secs(10) + std::time::Duration::from_micros(900);
        later(&orders, secs(10) + std::time::Duration::from_micros(900), "one").await;
        broker.shutdown().await;
        sim.sleep(millis(2) - part(sim.now())).await;
        let (broker, orders) = open(builder(&disk)).await;
        let one = orders.group("billing").stream().await.unwrap().next().await.unwrap();
        assert!(sim.now() >= due, "{:?} early", due.since(sim.now()));
        drop(one);
        broker.shutdown().await;
    });
}

/// Reads no "odd" ones, once it is told so.
#[derive(Clone)]
struct Narrow(Arc<AtomicBool>);

impl Codec<String> for Narrow {
    fn name(&self) -> &str {
        Codec::<String>::name(&Raw)
    }

    fn encode(&self, text: &String, into: &mut Vec<u8>) -> Result<(), Fault> {
        Raw.encode(text, into)
    }

    fn decode(&self, bytes: &[u8], version: u32) -> Result<String, Fault> {
        let text: String = Raw.decode(bytes, version)?;
        let odd = self.0.load(Ordering::SeqCst) && text.starts_with("odd");
        if odd { Err(Fault::new("it is odd")) } else { Ok(text) }
    }
}

/// G1: also if whoever opens it goes away, or another one does so too.
#[test]
fn what_cannot_be_read_moves_once_however_often_the_topic_is_opened() {
    every::seed(60, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(builder(&disk)).await;
        drop(orders.group("billing").stream().await.unwrap());
        for n in 0..3 {
            later(&orders, HOUR, &format!("odd {n}")).await;
        }
        broker.shutdown().await;
        let broker = builder(&disk).open().await.unwrap();
        let narrow = Narrow(Arc::new(AtomicBool::new(true)));
        let open = || broker.topic::<String>("orders").durable(narrow.clone()).open();
        {
            let mut first = Box::pin(open());
            for _ in 0..sim.seed() % 20 {
                if poll_once(&mut first).await.is_ready() {
                    break;
                }
                yield_now().await;
                if sim.seed() % 3 == 0 {
                    sim.sleep(millis(1)).await;
                }
            }
        }
        let (orders, other) = futures::future::join(open(), open()).await;
        let (orders, _) = (orders.unwrap(), other.unwrap());
        drop(orders.group("billing").stream().await.unwrap());
        assert_eq!(orders.publish("even".into()).await.unwrap().offset(), 3);
        let dead = broker.topic::<DeadLetter>("orders.billing.dead").open().await.unwrap();
        assert_eq!(dead.stats().await.unwrap().accepted, 3);
        broker.shutdown().await;
    });
}

/// Cancelled as it moves: it has not moved if that is refused.
#[test]
fn what_is_cancelled_as_it_moves_and_is_refused_has_not_moved() {
    every::seed(60, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(builder(&disk)).await;
        let one = later(&orders, secs(10), "one").await;
        let due = one.due();
        fill(&broker, &disk).await;
        sim.sleep(due.since(sim.now())).await;
        for _ in 0..sim.seed() % 6 {
            yield_now().await;
        }
        let error = orders.cancel_scheduled(one).await.unwrap_err();
        assert!(matches!(error, CancelError::NotStored(..)), "{error}");
        assert_eq!(scheduled(&orders).await, 1);
        broker.shutdown().await;
    });
}

/// G22: nobody waits for what the disk refuses, however little room the topic has.
#[test]
fn a_full_disk_and_several_that_are_due_leave_a_topic_quiet() {
    every::seed(20, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let broker = builder(&disk).open().await.unwrap();
        let orders = broker.topic::<String>("orders").durable(Raw).capacity(1).open().await.unwrap();
        let mut stream = orders.group("billing").stream().await.unwrap();
        for n in 0..3 {
            later(&orders, secs(1), &n.to_string()).await;
        }
        fill(&broker, &disk).await;
        sim.sleep(secs(2)).await;
        orders.settled().await.unwrap();
        assert_eq!(scheduled(&orders).await, 3);
        // The place is nobody's while it waits.
        let before = sim.now();
        orders.publish("new".into()).await.unwrap_err();
        assert!(sim.now().since(before) < millis(500), "{:?}", sim.now().since(before));
        disk.set_free(1 << 30);
        for n in 0..3 {
            let order = stream.next().await.unwrap();
            assert_eq!(order.as_str(), n.to_string());
            order.ack().unwrap();
        }
        broker.shutdown().await;
    });
}

/// G2: it asks once more for a place if it could not use the first.
#[test]
fn what_was_refused_evicts_the_oldest_again() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let broker = builder(&disk).open().await.unwrap();
        let orders = broker.topic::<String>("orders").durable(Raw).capacity(2).overflow(Overflow::DropOldest);
        let orders = orders.open().await.unwrap();
        let group = orders.group("billing").run(async |_| Ok(())).await.unwrap();
        group.pause().await.unwrap();
        later(&orders, secs(10), "due").await;
        orders.publish("a".into()).await.unwrap();
        orders.publish("b".into()).await.unwrap();
        fill(&broker, &disk).await;
        sim.sleep(millis(10_500)).await;
        assert_eq!(scheduled(&orders).await, 1);
        disk.set_free(1 << 30);
        orders.publish("c".into()).await.unwrap();
        sim.sleep(secs(5)).await;
        assert_eq!(scheduled(&orders).await, 0);
        broker.shutdown().await;
    });
}

/// G18: a future that is dropped at any time leaves a message that comes, or none, and no place taken.
#[test]
fn a_delayed_publish_that_is_dropped_keeps_no_place() {
    every::seed(100, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let broker = builder(&disk).open().await.unwrap();
        let orders = broker.topic::<String>("orders").durable(Raw).delay_capacity(1).open().await.unwrap();
        let group = orders.group("billing").run(async |_| Ok(())).await.unwrap();
        for _ in 0..3 {
            {
                let mut dropped = Box::pin(orders.publish_after(millis(1), "dropped".into()));
                for _ in 0..sim.seed() % 25 {
                    if poll_once(&mut dropped).await.is_ready() {
                        break;
                    }
                    yield_now().await;
                }
            }
            later(&orders, millis(1), "kept").await;
        }
        sim.sleep(secs(1)).await;
        orders.settled().await.unwrap();
        assert_eq!(scheduled(&orders).await, 0);
        assert!(group.stats().await.unwrap().acked >= 3);
        broker.shutdown().await;
    });
}

/// G2: those of an earlier process are there, and nobody else comes in before they are fewer than there are places.
#[test]
fn a_schedule_that_is_opened_with_fewer_places_takes_nothing_before_it_has_one() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(builder(&disk)).await;
        for n in 0..8 {
            later(&orders, secs(10 + n), "old").await;
        }
        broker.shutdown().await;
        let broker = builder(&disk).open().await.unwrap();
        let orders = broker.topic::<String>("orders").durable(Raw).delay_capacity(3).open().await.unwrap();
        orders.group("billing").run(async |_| Ok(())).await.unwrap();
        let began = sim.now();
        assert_eq!(scheduled(&orders).await, 8);
        later(&orders, HOUR, "new").await;
        let after = sim.now().since(began);
        assert!(after > secs(14) && after < secs(17), "{after:?}");
        assert_eq!(scheduled(&orders).await, 3);
        broker.shutdown().await;
    });
}
