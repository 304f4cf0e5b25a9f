//! How many payloads does a topic keep alive, at most? (G2)

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use callboard::prelude::*;

use crate::every;
use crate::kit::{secs, until};

/// A payload that counts how many of it are alive.
struct Counted {
    number: u64,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    fn new(number: u64, alive: &Arc<AtomicUsize>) -> Counted {
        alive.fetch_add(1, Ordering::SeqCst);
        Counted { number, alive: alive.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Messages travel in shared batches, and one that is put off for an hour keeps its whole batch. So the topic stops
/// making large batches once that much is kept.
#[test]
fn messages_put_off_for_long_keep_no_more_than_twice_the_capacity_beside_what_is_unsettled() {
    const CAPACITY: usize = 1024;
    const MESSAGES: usize = 12_000;
    every::seed(2, |_| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<Counted>("t").capacity(CAPACITY).open().await.unwrap();
        let handle = async |message: Message<Counted>| match message.number % 100 {
            0 => Outcome::RetryAfter(secs(3600)),
            _ => Outcome::Ack,
        };
        let group = topic.group("g").consumers(2).run_outcome(handle).await.unwrap();
        let (alive, mut most) = (Arc::new(AtomicUsize::new(0)), 0);
        for first in (0..MESSAGES as u64).step_by(500) {
            topic.publish_all((first..first + 500).map(|n| Counted::new(n, &alive))).await.unwrap();
            // What `publish_all` holds outside of the topic is over.
            most = most.max(alive.load(Ordering::SeqCst));
        }
        let stats = until(&group, |stats| stats.backlog + stats.in_flight == 0).await;
        assert_eq!(stats.delayed, MESSAGES as u64 / 100);
        assert!(most <= 3 * CAPACITY, "{most} payloads are alive, of a capacity of {CAPACITY}");
        // What waits in one place of a batch of its own keeps nobody.
        assert!(alive.load(Ordering::SeqCst) <= 3 * CAPACITY);
        drop(broker);
    });
}

/// A dead letter shares its payload with the batch it came in, long after the rest of that is settled; and so does a
/// message that a handler keeps. G2 counts these too.
#[test]
fn dead_letters_and_messages_that_somebody_keeps_hold_no_more_than_twice_the_capacity_beside_themselves() {
    const CAPACITY: usize = 256;
    const MESSAGES: usize = 12 * CAPACITY;
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<Counted>("t").capacity(CAPACITY).open().await.unwrap();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keeps = kept.clone();
        let group = topic.group("g").retry(Retry::none());
        let handle = move |message: &Message<Counted>| match message.number % 100 {
            0 => Err(Fault::new("hopeless")),
            50 => {
                keeps.lock().unwrap().push(message.clone());
                Ok(())
            }
            _ => Ok(()),
        };
        let group = group.run_fn(handle).await.unwrap();
        let alive = Arc::new(AtomicUsize::new(0));
        for first in (0..MESSAGES).step_by(CAPACITY) {
            topic
                .publish_all((first..first + CAPACITY).map(|n| Counted::new(n as u64, &alive)))
                .await
                .unwrap();
            topic.settled().await.unwrap();
            let own = group.stats().await.unwrap().dead_lettered as usize + kept.lock().unwrap().len();
            let alive = alive.load(Ordering::SeqCst);
            assert!(
                alive <= own + 2 * CAPACITY,
                "{alive} payloads are alive, with {own} kept for themselves"
            );
        }
        assert_eq!(group.stats().await.unwrap().dead_lettered, MESSAGES.div_ceil(100) as u64);
        broker.shutdown().await;
        kept.lock().unwrap().clear();
        drop((broker, topic, group));
    });
}
