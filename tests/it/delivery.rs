//! Does every accepted message reach every group, once it is handled well, and do consumers share the work while
//! groups leave each other alone? (G1, G4, G6, G8, G9)

#![expect(clippy::indexing_slicing, reason = "an index out of bounds fails the test, as it should")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::{DeliveryStream, GroupState, PublishError};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::{FutureExt as _, StreamExt as _};

use crate::every;
use crate::seen::{Gate, Seen, balanced, give_way};

#[test]
fn every_group_sees_every_message() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").capacity(16).open().await.unwrap();
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
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
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

/// Counts in `counts` which consumer handled how many: a consumer takes its number when it is made.
struct Counting {
    number: usize,
    counts: Arc<Mutex<Vec<u64>>>,
    pace: Pace,
}

#[derive(Clone, Copy)]
enum Pace {
    /// Each handling gives way once.
    Even,
    /// And the first consumer gives way fifty times.
    OneSlow,
}

impl Consumer<u64> for Counting {
    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        let times = if self.number == 0 && matches!(self.pace, Pace::OneSlow) { 50 } else { 1 };
        for _ in 0..times {
            give_way().await;
        }
        self.counts.lock().unwrap()[self.number] += 1;
        Ok(Outcome::Ack)
    }
}

fn counting(
    count: usize,
    pace: Pace,
) -> (Arc<Mutex<Vec<u64>>>, impl Fn() -> Counting + Send + Sync + 'static) {
    let counts = Arc::new(Mutex::new(vec![0; count]));
    let (made, kept) = (AtomicU64::new(0), counts.clone());
    let make = move || {
        let number = made.fetch_add(1, Ordering::Relaxed) as usize;
        Counting { number, counts: kept.clone(), pace }
    };
    (counts, make)
}

#[test]
fn consumers_of_equal_speed_get_between_half_and_twice_the_mean() {
    every::memory_and_disk(|| async {
        // Promised for a thousand each, at equal speed. Real threads have that only where the machine does nothing else: there
        // each has a share, and how large it is was promised to nobody.
        let least = if Sim::current().is_some() { 2 } else { 100 };
        let messages = 4000;
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
        let (counts, make) = counting(4, Pace::Even);
        topic.group("g").consumers(4).run_with(make).await.unwrap();
        for n in 0..messages {
            topic.publish(n).await.unwrap();
        }
        topic.settled().await.unwrap();
        let counts = counts.lock().unwrap().clone();
        assert_eq!(counts.iter().sum::<u64>(), messages);
        let mean = messages / 4;
        let most = if least == 2 { 2 * mean } else { messages };
        assert!(counts.iter().all(|count| (mean / least..=most).contains(count)), "{counts:?}");
    });
}

#[test]
fn a_slow_consumer_gets_less_and_holds_nobody_up() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
        let (fast, slow) = (Seen::default(), Seen::default());
        let made = AtomicU64::new(0);
        let (logs, clock) = ([slow.clone(), fast.clone()], sim.clone());
        let make = move || {
            let slow = made.fetch_add(1, Ordering::Relaxed) == 0;
            let pace = Duration::from_millis(if slow { 50 } else { 1 });
            Paced { sim: clock.clone(), pace, seen: logs[usize::from(!slow)].clone() }
        };
        topic.group("g").consumers(2).run_with(make).await.unwrap();
        let began = sim.now();
        topic.publish_all(0..1000).await.unwrap();
        topic.settled().await.unwrap();
        let took = sim.now().since(began);
        let (slow, fast) = (slow.all().len(), fast.all().len());
        assert_eq!(slow + fast, 1000);
        assert!(slow < fast / 10, "{slow} and {fast}");
        assert!(took < Duration::from_millis(1500), "{took:?}, with {slow} and {fast}");
    });
}

struct Paced {
    sim: Sim,
    pace: Duration,
    seen: Seen,
}

impl Consumer<u64> for Paced {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        self.sim.sleep(self.pace).await;
        self.seen.note(message);
        Ok(Outcome::Ack)
    }
}

#[test]
fn all_consumers_have_work_where_there_is_enough() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").hold().open().await.unwrap();
        let (counts, make) = counting(8, Pace::OneSlow);
        topic.group("g").consumers(8).run_with(make).await.unwrap();
        topic.publish_all(0..800).await.unwrap();
        topic.release();
        topic.settled().await.unwrap();
        let counts = counts.lock().unwrap().clone();
        assert_eq!(counts.iter().sum::<u64>(), 800);
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    });
}

#[test]
fn a_group_that_stands_still_holds_nobody_up_until_it_holds_the_whole_capacity() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").capacity(64).open().await.unwrap();
        let (gate, seen, stuck) = (Gate::new(), Seen::default(), Seen::default());
        let slow = topic.group("slow").prefetch(1).with((gate.clone(), stuck.clone()));
        slow.run(async |message, (gate, seen): (Gate, Seen)| {
            gate.pass().await;
            seen.note(&message);
            Ok(())
        })
        .await
        .unwrap();
        let log = seen.clone();
        let quick = topic.group("quick").run_fn(move |message| {
            log.note(message);
            Ok(())
        });
        quick.await.unwrap();
        for n in 0..64 {
            topic.publish(n).await.unwrap();
        }
        seen.reaches(64).await;
        assert_eq!(seen.values(), (0..64).collect::<Vec<_>>());
        assert!(matches!(topic.try_publish(64), Err(PublishError::Full(64))));
        // And then nobody gets more, until it moves.
        let mut next = Box::pin(topic.publish(64));
        for _ in 0..50 {
            assert!((&mut next).now_or_never().is_none());
            give_way().await;
        }
        gate.open();
        next.await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!((seen.sorted(), stuck.sorted()), ((0..65).collect(), (0..65).collect()));
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
    });
}

#[test]
fn a_group_that_fails_or_retries_late_is_no_business_of_another() {
    every::seed(20, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
        let seen = Seen::default();
        let late = topic.group("late").retry(Retry::fixed(Duration::from_secs(3600)));
        late.run(async |message| if message.attempt() < 2 { Err(Fault::new("later")) } else { Ok(()) })
            .await
            .unwrap();
        struct Never;
        impl Consumer<u64> for Never {
            async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
                unreachable!()
            }
            async fn started(&mut self) -> Result<(), Fault> {
                Err(Fault::new("on purpose"))
            }
        }
        let failed = topic.group("failed").run_with(|| Never).await.unwrap();
        let log = seen.clone();
        let good = topic.group("good").run_fn(move |message| {
            log.note(message);
            Ok(())
        });
        let good = good.await.unwrap();
        topic.publish_all(0..500).await.unwrap();
        sim.sleep(Duration::from_secs(60)).await;
        assert_eq!(good.stats().await.unwrap().acked, 500);
        assert_eq!(seen.values(), (0..500).collect::<Vec<_>>());
        assert_eq!(failed.stats().await.unwrap().state, GroupState::Failed);
    });
}

async fn pulled(stream: &mut DeliveryStream<u64>, count: usize) -> Vec<u64> {
    let mut values = Vec::new();
    for _ in 0..count {
        let delivery = stream.next().await.unwrap();
        values.push(**delivery);
        delivery.ack().unwrap();
    }
    values
}

#[test]
fn messages_wait_for_the_first_group_and_then_for_each_that_comes_while_they_are_kept() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").capacity(100).open().await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        assert!(matches!(topic.try_publish(100), Err(PublishError::Full(100))));
        let mut first = topic.group("first").stream().await.unwrap();
        let mut second = topic.group("second").stream().await.unwrap();
        assert_eq!(pulled(&mut first, 50).await, (0..50).collect::<Vec<_>>());
        // Those that the first has settled are still there for the second, and for who comes now.
        let mut third = topic.group("third").stream().await.unwrap();
        assert_eq!(pulled(&mut second, 100).await, (0..100).collect::<Vec<_>>());
        assert_eq!(pulled(&mut third, 100).await, (0..100).collect::<Vec<_>>());
        assert_eq!(pulled(&mut first, 50).await, (50..100).collect::<Vec<_>>());
        topic.settled().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
        let mut fourth = topic.group("fourth").stream().await.unwrap();
        topic.publish(100).await.unwrap();
        assert_eq!(pulled(&mut fourth, 1).await, [100], "what all had settled is gone");
    });
}

#[test]
fn a_group_begins_where_it_says_whether_that_is_behind_or_ahead() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
        // Keeps everything.
        let _keeper = topic.group("keeper").stream().await.unwrap();
        let ids = topic.publish_all(0..10).await.unwrap();
        let starts = [
            ("earliest", Start::Earliest, 0),
            ("latest", Start::Latest, 10),
            ("offset 0", Start::Offset(0), 0),
            ("offset 4", Start::Offset(4), 4),
            ("offset 10", Start::Offset(10), 10),
            ("offset 15", Start::Offset(15), 15),
            ("after the first", Start::After(ids[0]), 1),
            ("after the last", Start::After(ids[9]), 10),
            ("at the epoch", Start::UnixMillis(0), 0),
            ("at the end of time", Start::UnixMillis(u64::MAX), 20),
        ];
        let mut streams = Vec::new();
        for (name, start, first) in starts {
            // Opened at once, as a user would, whatever the topic has got round to.
            let name = name.replace(' ', "-");
            streams.push((topic.group(&name).start_at(start).stream().await.unwrap(), first, name));
        }
        topic.publish_all(10..20).await.unwrap();
        for (mut stream, first, name) in streams {
            assert_eq!(
                pulled(&mut stream, 20 - first).await,
                (first as u64..20).collect::<Vec<_>>(),
                "{name}"
            );
            assert!(stream.next().now_or_never().is_none(), "{name}");
        }
    });
}

#[test]
fn a_time_is_a_position() {
    every::seed(20, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
        let _keeper = topic.group("keeper").stream().await.unwrap();
        let mut ids = Vec::new();
        for n in 0..10 {
            ids.push(topic.publish(n).await.unwrap());
            sim.sleep(Duration::from_secs(1)).await;
        }
        for (first, at) in
            [(0, 0), (3, ids[3].unix_millis()), (4, ids[3].unix_millis() + 1), (9, ids[9].unix_millis())]
        {
            let group = topic.group(&format!("from-{first}")).start_at(Start::UnixMillis(at));
            let mut stream = group.stream().await.unwrap();
            assert_eq!(pulled(&mut stream, 10 - first).await, (first as u64..10).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_held_topic_hands_out_nothing_and_then_everything_to_every_group() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").hold().open().await.unwrap();
        let mut early = topic.group("early").stream().await.unwrap();
        topic.publish_all(0..50).await.unwrap();
        let mut late = topic.group("late").stream().await.unwrap();
        // Nobody is busy with what is held.
        topic.settled().await.unwrap();
        broker.idle().await.unwrap();
        for _ in 0..50 {
            give_way().await;
        }
        assert!(early.next().now_or_never().is_none() && late.next().now_or_never().is_none());
        assert!(topic.stats().await.unwrap().held);
        topic.release();
        assert_eq!(pulled(&mut early, 50).await, (0..50).collect::<Vec<_>>());
        assert_eq!(pulled(&mut late, 50).await, (0..50).collect::<Vec<_>>());
        topic.settled().await.unwrap();
        // Held again, in the middle of its life.
        topic.hold();
        topic.publish_all(50..60).await.unwrap();
        topic.settled().await.unwrap();
        for _ in 0..50 {
            give_way().await;
        }
        assert!(early.next().now_or_never().is_none());
        topic.release();
        assert_eq!(pulled(&mut early, 10).await, (50..60).collect::<Vec<_>>());
        assert_eq!(pulled(&mut late, 10).await, (50..60).collect::<Vec<_>>());
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn consumers_that_are_added_later_take_their_share() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
        let (gate, seen) = (Gate::new(), Seen::default());
        let handle = async |message: Message<u64>, (gate, seen): (Gate, Seen)| {
            if *message == 0 {
                gate.pass().await;
            }
            seen.note(&message);
            Ok(())
        };
        topic.group("g").with((gate.clone(), seen.clone())).run(handle).await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        let more =
            topic.group("g").consumers(2).with((gate.clone(), seen.clone())).run(handle).await.unwrap();
        seen.reaches(99).await;
        assert_eq!(seen.sorted(), (1..100).collect::<Vec<_>>());
        gate.open();
        topic.settled().await.unwrap();
        let stats = balanced(more.stats().await.unwrap());
        assert_eq!((stats.acked, stats.consumers), (100, 3));
    });
}

#[test]
fn consumers_hold_no_more_than_their_prefetch() {
    for prefetch in [1, 3, 10] {
        every::seed(10, move |sim| async move {
            let broker = crate::disk::broker().await;
            let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
            let (gate, seen) = (Gate::new(), Seen::default());
            let group = topic.group("g").consumers(2).prefetch(prefetch).with((gate.clone(), seen.clone()));
            let handle = async |message: Message<u64>, (gate, seen): (Gate, Seen)| {
                seen.note(&message);
                // Quick ones first, so that the consumers are trusted with as much as they may have.
                if *message >= 200 {
                    gate.pass().await;
                }
                Ok(())
            };
            let group = group.run(handle).await.unwrap();
            topic.publish_all(0..400).await.unwrap();
            sim.settle().await;
            let stats = balanced(group.stats().await.unwrap());
            assert!((2..=2 * u64::from(prefetch)).contains(&stats.in_flight), "{stats:?}");
            assert_eq!(seen.all().len() as u64, stats.acked + 2, "two are being handled, the others wait");
            gate.open();
            topic.settled().await.unwrap();
            assert_eq!(seen.sorted(), (0..400).collect::<Vec<_>>());
        });
    }
}
