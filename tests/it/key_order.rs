//! Does a group by key start each key's messages in order, and keep no other key waiting? (G10)

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::base::Moment;
use callboard::broker::{DeadReason, Key as _};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::StreamExt as _;

use crate::every;
use crate::seen::{Gate, Seen, balanced, some};

const KEYS: u64 = 7;
const HOUR: Duration = Duration::from_secs(3600);

async fn open(capacity: usize) -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, "numbers").capacity(capacity).key_by(|n| n % KEYS);
    let topic = topic.open().await.unwrap();
    (broker, topic)
}

/// What each key's messages looked like to handlers, in order.
fn by_key(seen: &Seen) -> BTreeMap<u64, Vec<(u64, u32)>> {
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    seen.all()
        .into_iter()
        .for_each(|(value, attempt)| keys.entry(value % KEYS).or_default().push((value, attempt)));
    keys
}

#[test]
fn each_key_is_in_order_through_errors_and_panics() {
    every::memory_and_disk(|| async {
        let messages = some(4000);
        let (broker, topic) = open(300).await;
        let seen = Seen::default();
        let group = topic.group("g").consumers(4).key_ordered().retry(Retry::immediately());
        let group = group.with(seen.clone()).run(async |message, seen: Seen| {
            seen.note(&message);
            match (*message % 31, message.attempt()) {
                (0, 1) => panic!("a crash"),
                (1, 1 | 2) => Err(Fault::new("not yet")),
                _ => Ok(()),
            }
        });
        let group = group.await.unwrap();
        topic.publish_all(0..messages).await.unwrap();
        topic.settled().await.unwrap();
        for (key, seen) in by_key(&seen) {
            let attempts = |n| {
                if n % 31 == 0 {
                    2
                } else if n % 31 == 1 {
                    3
                } else {
                    1
                }
            };
            let of_key = (0..messages).filter(|n| n % KEYS == key);
            let expected: Vec<_> =
                of_key.flat_map(|n| (1..=attempts(n)).map(move |attempt| (n, attempt))).collect();
            assert_eq!(seen, expected, "key {key}");
        }
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.keys, stats.failed_keys), (messages, 0, 0));
        broker.shutdown().await;
    });
}

#[test]
fn a_slow_key_and_a_failing_key_keep_no_other_waiting() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open(100).await;
        let (seen, gate) = (Seen::default(), Gate::new());
        let retry = Retry::fixed(Duration::from_secs(3600)).max_attempts(3);
        let group =
            topic.group("g").consumers(3).key_ordered().retry(retry).ack_timeout(Duration::from_secs(3600));
        let group =
            group.with((seen.clone(), gate.clone())).run(async |message, (seen, gate): (Seen, Gate)| {
                seen.note(&message);
                match *message {
                    0 => gate.pass().await,
                    1 => return Err(Fault::new("not for an hour")),
                    _ => {}
                }
                Ok(())
            });
        let group = group.await.unwrap();
        topic.publish_all(0..70).await.unwrap();
        // Five keys of ten messages each, and the first message of the other two.
        seen.reaches(52).await;
        let stats = loop {
            let stats = balanced(group.stats().await.unwrap());
            if stats.acked == 50 {
                break stats;
            }
        };
        assert_eq!((stats.keys, stats.failed_keys), (2, 1));
        // The one at the gate may have others of its key behind it in its lease.
        assert_eq!((stats.backlog + stats.in_flight, stats.delayed), (19, 1));
        assert_eq!(seen.values().iter().filter(|n| **n % KEYS < 2).count(), 2);
        gate.open();
        seen.reaches(61).await;
        let first: Vec<u64> = seen.values().into_iter().filter(|n| n % KEYS == 0).collect();
        assert_eq!(first, (0..10).map(|n| n * KEYS).collect::<Vec<_>>());
    });
}

#[test]
fn of_pulled_deliveries_one_of_each_key_is_out_and_a_nack_keeps_its_place() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open(100).await;
        let group = || topic.group("g").key_ordered().retry(Retry::immediately());
        let (mut one, mut two) = (group().stream().await.unwrap(), group().stream().await.unwrap());
        topic.publish_all([0, 7, 14, 1]).await.unwrap();
        let (first, other) = match (one.next().await.unwrap(), two.next().await.unwrap()) {
            (a, b) if **a == 0 => (a, b),
            (a, b) => (b, a),
        };
        assert_eq!((**first, **other), (0, 1));
        assert_eq!(other.key(), Some(1_u64.key_hash()));
        other.ack().unwrap();
        first.nack("again").unwrap();
        for expected in [(0, 2), (7, 1), (14, 1)] {
            let delivery = futures::stream::select(&mut one, &mut two).next().await.unwrap();
            assert_eq!((**delivery, delivery.attempt()), expected);
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
    });
}

#[test]
fn what_waits_behind_a_failing_key_beyond_its_limit_is_dead_lettered() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open(100).await;
        let gate = Gate::new();
        let group = topic.group("g").key_ordered().max_parked_per_key(2);
        let group = group.retry(Retry::fixed(Duration::from_secs(3600))).with(gate.clone());
        let group = group.run(async |message, gate: Gate| {
            if *message == 0 {
                gate.pass().await;
                return Err(Fault::new("not for an hour"));
            }
            Ok(())
        });
        let group = group.await.unwrap();
        let dead = broker.topic::<DeadLetter>("numbers.g.dead").open().await.unwrap();
        let mut letters = dead.group("clerk").stream().await.unwrap();
        topic.publish_all([0, 7, 14, 21, 28]).await.unwrap();
        gate.open();
        let mut found = Vec::new();
        for _ in 0..2 {
            let letter = letters.next().await.unwrap();
            assert_eq!((letter.reason(), letter.attempts(), letter.error()), (&DeadReason::KeyFull, 0, None));
            found.push(*letter.message::<u64>().unwrap().clone());
            letter.ack().unwrap();
        }
        assert_eq!(found, [28, 21], "the youngest first");
        topic.publish(35).await.unwrap();
        assert_eq!(*letters.next().await.unwrap().message::<u64>().unwrap(), 35);
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.dead_lettered, stats.backlog, stats.delayed), (3, 2, 1));
    });
}

/// Found by reading: of several keys with too many, only the last one's were given up.
#[test]
fn the_limit_behind_a_failing_key_holds_for_each_of_them() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = open(100).await;
        let group = topic.group("g").key_ordered().max_parked_per_key(2).retry(Retry::fixed(HOUR));
        let group = group.run(async |n| if *n < KEYS { Err(Fault::new("no")) } else { Ok(()) });
        let group = group.await.unwrap();
        topic.publish_all(0..KEYS).await.unwrap();
        sim.sleep(Duration::from_secs(1)).await;
        topic.publish_all(KEYS..10 * KEYS).await.unwrap();
        sim.sleep(Duration::from_secs(1)).await;
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.delayed, stats.backlog, stats.dead_lettered), (KEYS, 2 * KEYS, 7 * KEYS));
    });
}

/// Found by reading: what a consumer had been handed together with the one that failed was not counted.
#[test]
fn the_limit_behind_a_failing_key_counts_what_was_handed_out_with_it() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = open(300).await;
        let group = topic.group("g").key_ordered().max_parked_per_key(2).retry(Retry::fixed(HOUR));
        let group = group.run(async |n| if *n == 700 { Err(Fault::new("no")) } else { Ok(()) });
        let group = group.await.unwrap();
        // So that it is known to be quick, and is handed several at a time.
        topic.publish_all(0..200).await.unwrap();
        topic.settled().await.unwrap();
        topic.publish_all((0..10).map(|n| 700 + n * KEYS)).await.unwrap();
        sim.sleep(Duration::from_secs(1)).await;
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.delayed, stats.backlog, stats.dead_lettered), (1, 2, 7));
    });
}

/// Found by reading: once it was due, the one that failed counted as one that waits behind it.
#[test]
fn the_one_that_failed_does_not_wait_behind_itself() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = open(100).await;
        let retry = Retry::fixed(Duration::from_secs(1));
        let group = topic.group("g").key_ordered().max_parked_per_key(2).retry(retry);
        let group = group.run(async |_| Err(Fault::new("no"))).await.unwrap();
        topic.publish_all([0, 7]).await.unwrap();
        sim.sleep(Duration::from_millis(1)).await;
        group.pause().await.unwrap();
        sim.sleep(Duration::from_secs(2)).await;
        topic.publish_all([14]).await.unwrap();
        sim.sleep(Duration::from_secs(1)).await;
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.delayed, stats.backlog, stats.dead_lettered), (0, 3, 0));
    });
}

/// Found by reading: a key whose failed message went by a limit was taken for a failing one for good.
#[test]
fn a_key_whose_failed_message_is_gone_does_not_fail_any_more() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = open(100).await;
        let retry = Retry::fixed(Duration::from_secs(1));
        let group = topic.group("g").key_ordered().max_parked_per_key(1).retry(retry);
        let group = group.run(async |_| Err(Fault::new("no"))).await.unwrap();
        topic.message(0).ttl(Duration::from_secs(10)).publish().await.unwrap();
        sim.sleep(Duration::from_millis(1)).await;
        group.pause().await.unwrap();
        topic.publish(7).await.unwrap();
        // It was due, and nobody could have it.
        sim.sleep(Duration::from_secs(11)).await;
        topic.publish_all([1, 14, 21]).await.unwrap();
        sim.sleep(Duration::from_secs(1)).await;
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.expired, stats.keys, stats.failed_keys), (1, 2, 0));
        assert_eq!((stats.backlog, stats.dead_lettered), (4, 0), "nothing failed that they would wait for");
    });
}

#[test]
fn a_group_by_key_is_refused_where_there_is_no_key() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let refused = topic.group("g").key_ordered().run(async |_| Ok(())).await.unwrap_err();
        let text = "t.g not opened: the group is key_ordered, and its topic was opened without a key";
        assert_eq!(refused.to_string(), text);
        let refused = topic.group("g").max_parked_per_key(1).run(async |_| Ok(())).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "t.g not opened: max_parked_per_key is for a group that is key_ordered"
        );
        assert!(
            crate::disk::topic(&broker, "t").key_by(|n| *n).open().await.is_err(),
            "it was opened without"
        );
    });
}

#[test]
fn an_exclusive_group_is_strictly_in_order_and_retries_block() {
    every::memory_and_disk(|| async {
        let messages = some(2000);
        let (_broker, topic) = open(300).await;
        let seen = Seen::default();
        let group = topic.group("g").consumers(3).exclusive().retry(Retry::fixed(Duration::from_millis(2)));
        let group = group.with(seen.clone()).run(async |message, seen: Seen| {
            seen.note(&message);
            match (*message % 97, message.attempt()) {
                (5, 1) => panic!("a crash"),
                (6, 1) => Err(Fault::new("not yet")),
                _ => Ok(()),
            }
        });
        let group = group.await.unwrap();
        topic.publish_all(0..messages).await.unwrap();
        topic.settled().await.unwrap();
        let again = |n: u64| if matches!(n % 97, 5 | 6) { 2 } else { 1 };
        let expected: Vec<_> =
            (0..messages).flat_map(|n| (1..=again(n)).map(move |attempt| (n, attempt))).collect();
        assert_eq!(seen.all(), expected);
        let consumers = group.consumer_stats().await.unwrap();
        let worked = consumers.iter().filter(|consumer| consumer.handled > 0).count();
        assert_eq!(worked, 1, "the others stood by: {consumers:?}");
    });
}

/// A consumer that pulls, and one that takes over when that is gone.
#[test]
fn of_an_exclusive_group_the_standby_takes_over_in_order() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open(100).await;
        let group = || topic.group("g").exclusive().prefetch(4);
        let (mut one, two) = (group().stream().await.unwrap(), group().stream().await.unwrap());
        topic.publish_all(0..6).await.unwrap();
        for expected in 0..3 {
            let delivery = one.next().await.unwrap();
            assert_eq!(**delivery, expected);
            delivery.ack().unwrap();
        }
        let held = one.next().await.unwrap();
        drop(one);
        // What the first one holds still holds up the rest.
        let rest = Arc::new(Mutex::new(Vec::new()));
        let log = rest.clone();
        let standby = every::spawn("standby", async move {
            let mut two = two.take(3);
            while let Some(delivery) = two.next().await {
                log.lock().unwrap().push(**delivery);
                delivery.ack().unwrap();
            }
        });
        assert_eq!(*rest.lock().unwrap(), [0_u64; 0]);
        held.release().unwrap();
        standby.await;
        assert_eq!(*rest.lock().unwrap(), [3, 4, 5]);
    });
}

/// Notes, in order, each handling that began, and when by the virtual clock.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<(u64, u32, Duration)>>>);

impl Times {
    fn note(&self, message: &Message<u64>) {
        let now = Sim::current().unwrap().now().since(Moment::ZERO);
        self.0.lock().unwrap().push((**message, message.attempt(), now));
    }

    fn of_key(&self, key: u64) -> Vec<(u64, u32, Duration)> {
        self.0.lock().unwrap().iter().copied().filter(|(value, ..)| value % KEYS == key).collect()
    }
}

/// G10, G12: to the instant, also where one lease had the whole run of its key.
#[test]
fn retry_after_holds_up_its_key_for_just_so_long_and_no_other() {
    // And how many messages some consumer is handed together, at least.
    for (consumers, prefetch, together) in [(1, 512, 4), (3, 512, 1), (1, 4, 2), (1, 1, 1)] {
        every::seed(20, move |sim| async move {
            let sim = sim.without_slips();
            let (broker, topic) = open(100).await;
            let (times, gate) = (Times::default(), Gate::new());
            let group = topic.group("g").key_ordered().consumers(consumers).prefetch(prefetch);
            let group = group.ack_timeout(HOUR * 24).with((times.clone(), gate.clone()));
            let group = group.run_outcome(async |message, (times, gate): (Times, Gate)| {
                if *message % KEYS < 3 {
                    gate.pass().await;
                }
                times.note(&message);
                match (*message, message.attempt()) {
                    (0, 1) => Outcome::RetryAfter(HOUR),
                    (0, 2) | (7, 1) => Outcome::RetryAfter(Duration::from_millis(90)),
                    (14, 1) => Outcome::RetryAfter(Duration::ZERO),
                    _ => Outcome::Ack,
                }
            });
            let group = group.await.unwrap();
            // Handlers that are known to be fast are handed several messages at once.
            topic.publish_all((0..20).map(|n| n * KEYS + 3)).await.unwrap();
            topic.settled().await.unwrap();
            topic.hold();
            topic.publish_all([0, 7, 1, 8, 14, 15, 21, 2]).await.unwrap();
            topic.release();
            sim.settle().await;
            let consumers = group.consumer_stats().await.unwrap();
            let most = consumers.iter().map(|consumer| consumer.messages).max();
            assert!(most >= Some(together), "handed out: {consumers:?}");
            gate.open();
            sim.settle().await;
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.acked, stats.delayed, stats.backlog, stats.in_flight), (24, 1, 3, 0));
            assert_eq!((stats.keys, stats.failed_keys), (1, 1));
            topic.settled().await.unwrap();

            let second = HOUR;
            let third = second + Duration::from_millis(90);
            let last = third + Duration::from_millis(90);
            let expected = [
                (0, 1, Duration::ZERO),
                (0, 2, second),
                (0, 3, third),
                (7, 1, third),
                (7, 2, last),
                (14, 1, last),
                (14, 2, last),
                (21, 1, last),
            ];
            assert_eq!(times.of_key(0), expected);
            let at_once = |value| (value, 1, Duration::ZERO);
            assert_eq!(times.of_key(1), [1, 8, 15].map(at_once));
            assert_eq!(times.of_key(2), [at_once(2)]);
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.acked, stats.failures, stats.redeliveries, stats.keys), (28, 4, 4, 0));
            broker.shutdown().await;
        });
    }
}

/// G10, G12
#[test]
fn of_pulled_deliveries_nack_after_holds_up_its_key_for_just_so_long() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = open(100).await;
        let mut pulled = topic.group("g").key_ordered().stream().await.unwrap();
        topic.publish_all([0, 7, 1, 8]).await.unwrap();
        let mut came = Vec::new();
        for _ in 0..5 {
            let delivery = pulled.next().await.unwrap();
            came.push((**delivery, delivery.attempt(), sim.now().since(Moment::ZERO)));
            match (**delivery, delivery.attempt()) {
                (0, 1) => delivery.nack_after(HOUR).unwrap(),
                _ => delivery.ack().unwrap(),
            }
        }
        let of =
            |key| came.iter().copied().filter(move |(value, ..)| value % KEYS == key).collect::<Vec<_>>();
        assert_eq!(of(0), [(0, 1, Duration::ZERO), (0, 2, HOUR), (7, 1, HOUR)]);
        assert_eq!(of(1), [(1, 1, Duration::ZERO), (8, 1, Duration::ZERO)]);
    });
}
