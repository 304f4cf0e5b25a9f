//! Do the books balance when threads publish while the broker is stopped at any moment? (G1, G2, G6, G18, G25)

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use callboard::broker::{PublishError, Report};
use callboard::prelude::*;
use callboard::runtime::{Runtime, Smol, Tokio};
use fastrand::Rng;

use crate::every;
use crate::kit::{assert_balance, millis, secs};

const PUBLISHERS: u64 = 4;
const STORMS: u64 = 25;

/// A payload that shows, when all are gone, that none was kept.
type Payload = (u64, Arc<()>);

/// Publishes in every way until the topic is closed; answers what was accepted.
async fn publish_on(
    topic: Topic<Payload>,
    publisher: u64,
    alive: Arc<()>,
    count: Arc<AtomicU64>,
) -> Vec<u64> {
    let mut rng = Rng::with_seed(publisher);
    let mut accepted = Vec::new();
    let mut next = publisher;
    let mut payloads = std::iter::from_fn(move || {
        next += PUBLISHERS;
        Some((next, alive.clone()))
    });
    loop {
        let before = accepted.len();
        let many: Vec<Payload> = payloads.by_ref().take(rng.usize(1..5)).collect();
        let numbers: Vec<u64> = many.iter().map(|(n, _)| *n).collect();
        let closed = match rng.u8(0..3) {
            0 => {
                let done = topic.publish_all(many).await;
                let ids = done.as_ref().unwrap_or_else(|error| &error.accepted);
                accepted.extend(numbers.iter().take(ids.len()));
                done.is_err()
            }
            1 => {
                let done = topic.try_publish(many.into_iter().next().unwrap());
                accepted.extend(numbers.first().filter(|_| done.is_ok()));
                matches!(done, Err(PublishError::Closed(_)))
            }
            _ => {
                let done = topic.publish(many.into_iter().next().unwrap()).await;
                accepted.extend(numbers.first().filter(|_| done.is_ok()));
                done.is_err()
            }
        };
        count.fetch_add((accepted.len() - before) as u64, Ordering::Relaxed);
        if closed {
            return accepted;
        }
    }
}

/// One broker, from its start to its end; the end comes after `stop_at` messages.
fn storm(runtime: impl Runtime, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let (stop_at, capacity) = (rng.u64(0..300), *rng.choice([1, 2, 7, 64].iter()).unwrap());
    let alive = Arc::new(());
    let broker = Broker::builder().runtime(runtime).start().unwrap();
    let topic = smol::block_on(broker.topic::<Payload>("t").capacity(capacity).open()).unwrap();
    let seen: Vec<Arc<Mutex<BTreeSet<u64>>>> = (0..rng.usize(1..4)).map(|_| Arc::default()).collect();
    for (at, seen) in seen.iter().enumerate() {
        let group = topic.group(&format!("g{at}")).consumers(rng.u32(1..4)).retry(Retry::immediately());
        let handle = async |payload: Message<Payload>, seen: Arc<Mutex<BTreeSet<u64>>>| {
            if payload.0 % 7 == 3 {
                smol::future::yield_now().await;
            }
            assert!(payload.0 % 11 != 3 || payload.attempt() > 1, "on purpose");
            seen.lock().unwrap().insert(payload.0);
            Ok(())
        };
        smol::block_on(group.with(seen.clone()).run(handle)).unwrap();
    }
    let count = Arc::new(AtomicU64::new(0));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let publish = publish_on(topic.clone(), publisher, alive.clone(), count.clone());
            thread::Builder::new().spawn(move || smol::block_on(publish)).unwrap()
        })
        .collect();
    while count.load(Ordering::Relaxed) < stop_at {
        thread::yield_now();
    }
    let limit = *rng.choice([millis(0), millis(1), secs(30)].iter()).unwrap();
    let report = smol::block_on(broker.shutdown_within(limit));
    let accepted: BTreeSet<u64> = publishers.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    check(&report, &accepted, &seen, limit == secs(30));
    drop((topic, broker));
    assert_eq!(Arc::strong_count(&alive), 1, "no payload is kept");
}

fn check(report: &Report, accepted: &BTreeSet<u64>, seen: &[Arc<Mutex<BTreeSet<u64>>>], drained: bool) {
    assert_balance(report);
    for (at, seen) in seen.iter().enumerate() {
        let group = report.group("t", &format!("g{at}")).unwrap();
        assert_eq!(group.settled + group.lost, accepted.len() as u64, "{group:?}");
        let seen = seen.lock().unwrap();
        assert!(seen.is_subset(accepted), "what was refused is not delivered");
        assert!(group.settled <= seen.len() as u64, "what was acked was handled");
        if drained {
            // A publish that saw the door open just before it was shut may come in behind the drain. It is counted.
            assert!(!report.timed_out && group.lost <= PUBLISHERS, "{group:?}");
            assert!(seen.len() as u64 + group.lost >= accepted.len() as u64);
        }
    }
}

#[test]
fn threads_that_publish_into_a_stopping_broker_on_tokio_agree_with_its_report() {
    let end = every::watched(secs(60), || {
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        (0..STORMS).for_each(|seed| storm(Tokio::new(tokio.handle().clone()), seed));
    });
    assert_eq!(end, Ok(()));
}

#[test]
fn threads_that_publish_into_a_stopping_broker_on_smol_agree_with_its_report() {
    let end = every::watched(secs(60), || {
        let executor = Arc::new(smol::Executor::new());
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (executor, stopped) = (executor.clone(), stopped.clone());
                let work = move || smol::block_on(executor.run(stopped.recv())).unwrap_err();
                thread::Builder::new().spawn(work).unwrap()
            })
            .collect();
        (0..STORMS).for_each(|seed| storm(Smol::with(executor.clone()), seed));
        drop(stop);
        workers.into_iter().for_each(|worker| assert_eq!(worker.join().unwrap(), async_channel::RecvError));
    });
    assert_eq!(end, Ok(()));
}
