//! Does every accepted message reach every group, once it is handled well? (G1, G6, G8, G9)

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use callboard::prelude::*;

use crate::every;

#[test]
fn every_group_sees_every_message() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("numbers").capacity(16).open().await.unwrap();
        let sums = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
        for (name, sum) in ["a", "b"].into_iter().zip(&sums) {
            let group = topic.group(name).consumers(3).with(sum.clone());
            group
                .run(async |n, sum: Arc<AtomicU64>| {
                    sum.fetch_add(*n, Ordering::Relaxed);
                    Ok(())
                })
                .await
                .unwrap();
        }
        for n in 1..=1000 {
            topic.publish(n).await.unwrap();
        }
        broker.idle().await.unwrap();
        for sum in &sums {
            assert_eq!(sum.load(Ordering::Relaxed), 500_500);
        }
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.timed_out), (0, false), "{report:?}");
        assert_eq!(report.group("numbers", "a").unwrap().settled, 1000);
    });
}

#[test]
fn a_handler_that_panics_is_rebuilt_and_its_message_delivered_again() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("numbers").open().await.unwrap();
        let seen: Arc<Mutex<Vec<(u64, u32)>>> = Arc::default();
        let group = topic.group("a").retry(Retry::immediately()).with(seen.clone());
        let group = group
            .run(async |n, seen: Arc<Mutex<Vec<(u64, u32)>>>| {
                seen.lock().unwrap().push((*n, n.attempt()));
                assert!(*n % 10 != 3 || n.attempt() > 1, "on purpose");
                Ok(())
            })
            .await
            .unwrap();
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        let seen = seen.lock().unwrap().clone();
        for n in 0..100 {
            let attempts: Vec<u32> =
                seen.iter().filter(|(m, _)| *m == n).map(|(_, attempt)| *attempt).collect();
            assert_eq!(attempts, if n % 10 == 3 { vec![1, 2] } else { vec![1] }, "of {n}");
        }
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.failures, stats.redeliveries, stats.restarts), (100, 10, 10, 10));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}
