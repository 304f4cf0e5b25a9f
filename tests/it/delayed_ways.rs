//! Whatever happens to a broker, does each delayed message of a durable topic come once, or come back? (G1, G5, G20)

use std::collections::BTreeMap;

use callboard::broker::{CancelError, Durability, Raw};
use callboard::prelude::*;
use callboard::sim::{CrashKind, SimDisk};
use futures::StreamExt as _;

use crate::delayed_disk::{builder, later, scheduled};
use crate::every;
use crate::kit::{millis, poll_once, secs, yield_now};

async fn open(disk: &SimDisk, durability: Durability) -> (Broker, Topic<String>) {
    let broker = builder(disk).open().await.unwrap();
    let orders = broker.topic::<String>("orders").durable(Raw).durability(durability);
    let orders = orders.capacity(3).delay_capacity(64).open().await.unwrap();
    (broker, orders)
}

/// Draws numbers.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Lives of a broker that end in order, by a kill or by a power cut, on a disk that is full now and then.
#[test]
fn each_comes_once_or_comes_back_whatever_happens() {
    every::seed(80, |sim| async move {
        let mut disk = SimDisk::new(sim.seed());
        let mut state = sim.seed() ^ 0x5eed;
        // What became of each that was confirmed: how often it came, and whether it was given back.
        let mut told: BTreeMap<String, (u32, bool)> = BTreeMap::new();
        let mut unsure = Vec::new();
        let mut number = 0;
        for life in 0..5 {
            let (broker, orders) = open(&disk, Durability::EveryPublish).await;
            let mut stream = orders.group("billing").stream().await.unwrap();
            let mut handles = Vec::new();
            for _ in 0..30 {
                match draw(&mut state, 10) {
                    0..=3 => {
                        let text = number.to_string();
                        number += 1;
                        let mut begun =
                            Box::pin(orders.publish_after(millis(draw(&mut state, 3000)), text.clone()));
                        let mut done = None;
                        for _ in 0..200 {
                            if let std::task::Poll::Ready(result) = poll_once(&mut begun).await {
                                done = Some(result);
                                break;
                            }
                            yield_now().await;
                        }
                        match done {
                            Some(Ok(handle)) => {
                                told.insert(text, (0, false));
                                handles.push((number - 1, handle));
                            }
                            Some(Err(_)) => {}
                            None => unsure.push(text),
                        }
                    }
                    4 if !handles.is_empty() => {
                        let at = draw(&mut state, handles.len() as u64) as usize;
                        let (_, handle) = handles.swap_remove(at);
                        match orders.cancel_scheduled(handle).await {
                            Ok(text) => {
                                let one = told.get_mut(&text).unwrap();
                                assert!(!one.1 && one.0 == 0, "{text} came and comes back");
                                one.1 = true;
                            }
                            Err(CancelError::Moved | CancelError::NotStored(..)) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                    5 => sim.sleep(millis(draw(&mut state, 700))).await,
                    6 => disk.set_free(0),
                    7 => disk.set_free(1 << 30),
                    _ => {
                        if let std::task::Poll::Ready(Some(order)) = poll_once(&mut stream.next()).await {
                            let text = order.to_string();
                            if order.ack_durable().await.is_ok()
                                && let Some(one) = told.get_mut(&text)
                            {
                                assert!(!one.1, "{text} came though it came back");
                                one.0 += 1;
                            }
                        }
                    }
                }
            }
            drop(stream);
            match draw(&mut state, 3) {
                0 => {
                    disk.set_free(1 << 30);
                    broker.shutdown_within(millis(10)).await;
                    disk = disk.crash(CrashKind::Random(sim.seed() + life));
                }
                1 => {
                    let after = disk.crash(CrashKind::Random(sim.seed() + life));
                    drop((orders, broker));
                    disk = after;
                }
                _ => {
                    broker.shutdown_within(millis(10)).await;
                }
            }
            disk.set_free(1 << 30);
        }
        let (broker, orders) = open(&disk, Durability::EveryPublish).await;
        let mut stream = orders.group("billing").stream().await.unwrap();
        sim.sleep(secs(10)).await;
        loop {
            sim.sleep(secs(2)).await;
            let mut some = false;
            while let std::task::Poll::Ready(Some(order)) = poll_once(&mut stream.next()).await {
                some = true;
                let text = order.to_string();
                order.ack_durable().await.unwrap();
                if let Some(one) = told.get_mut(&text) {
                    assert!(!one.1, "{text} came though it came back");
                    one.0 += 1;
                }
                yield_now().await;
            }
            if !some && scheduled(&orders).await == 0 && orders.stats().await.unwrap().unsettled == 0 {
                break;
            }
        }
        for (text, (came, back)) in &told {
            assert!(*back || *came >= 1, "{text} is lost: {told:?}");
            assert!(*came <= 1, "{text} came {came} times");
        }
        broker.shutdown().await;
    });
}

/// A wall clock that was set back, or on, between two lives.
#[test]
fn a_wall_clock_that_was_set_across_a_restart_loses_nothing() {
    every::seed(20, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let mut state = sim.seed();
        for _ in 0..5 {
            let (broker, orders) = open(&disk, Durability::Interval(millis(50))).await;
            drop(orders.group("billing").stream().await.unwrap());
            for _ in 0..5 {
                let text = "x".to_owned();
                let message = orders.message(text).dedup_key(draw(&mut state, 1 << 40).to_string());
                message.publish_after(secs(draw(&mut state, 7200))).await.unwrap();
            }
            sim.sleep(secs(draw(&mut state, 10))).await;
            if draw(&mut state, 2) == 0 {
                sim.set_wall_clock(std::time::UNIX_EPOCH + secs(draw(&mut state, 2_000_000_000)));
            }
            broker.shutdown_within(millis(10)).await;
        }
        let (broker, orders) = open(&disk, Durability::Interval(millis(50))).await;
        assert!(scheduled(&orders).await + orders.stats().await.unwrap().unsettled as u64 >= 25);
        let mut stream = orders.group("billing").stream().await.unwrap();
        sim.set_wall_clock(std::time::UNIX_EPOCH + secs(4_000_000_000));
        broker.shutdown_within(millis(10)).await;
        drop((stream, orders));
        let (broker, orders) = open(&disk, Durability::Interval(millis(50))).await;
        stream = orders.group("billing").stream().await.unwrap();
        for _ in 0..25 {
            let order = stream.next().await.unwrap();
            order.ack().unwrap();
        }
        orders.settled().await.unwrap();
        assert_eq!((scheduled(&orders).await, orders.stats().await.unwrap().unsettled), (0, 0));
        broker.shutdown().await;
    });
}

/// Deleted while the first one is on its way: nothing of it is found by the next topic of that name.
#[test]
fn a_topic_deleted_as_its_schedule_is_made_leaves_nothing() {
    every::seed(60, |sim| async move {
        let disk = SimDisk::new(sim.seed());
        let (broker, orders) = open(&disk, Durability::EveryPublish).await;
        let mut first = Box::pin(orders.publish_after(secs(60), "gone".into()));
        let mut ended = false;
        for _ in 0..sim.seed() % 20 {
            ended = poll_once(&mut first).await.is_ready();
            if ended {
                break;
            }
            yield_now().await;
        }
        let deleted = orders.delete();
        if ended {
            deleted.await.unwrap();
        } else {
            let (deleted, first) = futures::future::join(deleted, first).await;
            deleted.unwrap();
            let _ = first;
        }
        let again = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
        assert_eq!(scheduled(&again).await, 0);
        later(&again, secs(1), "new").await;
        assert_eq!(again.group("billing").stream().await.unwrap().next().await.unwrap().as_str(), "new");
        again.settled().await.unwrap_or(());
        broker.shutdown().await;
        let (broker, orders) = open(&disk, Durability::EveryPublish).await;
        assert_eq!(scheduled(&orders).await, 0);
        broker.shutdown().await;
    });
}
