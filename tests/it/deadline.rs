//! Does a handling that takes too long end in time, once, and with nothing lost? (G6, G7, G8, G13)

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::{AckError, DeadReason, Event, Events};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::StreamExt as _;

use crate::every;
use crate::seen::{Seen, balanced, give_way};

const MS: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_millis(100);

async fn open() -> (Broker, Topic<u64>) {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>("numbers").open().await.unwrap();
    (broker, topic)
}

/// Says that a handling of some message goes on, until it is dropped.
struct Going(Arc<AtomicBool>);

impl Going {
    #[track_caller]
    fn on(flag: &Arc<AtomicBool>) -> Going {
        assert!(!flag.swap(true, Ordering::SeqCst), "two handlings at once");
        Going(flag.clone())
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Times {
    sim: Sim,
    seen: Seen,
    /// When each handling began and was dropped.
    spans: Arc<Mutex<Vec<(Duration, Duration)>>>,
    going: Arc<AtomicBool>,
}

impl Times {
    fn new(sim: &Sim) -> Times {
        Times { sim: sim.clone(), seen: Seen::default(), spans: Arc::default(), going: Arc::default() }
    }

    fn now(&self) -> Duration {
        self.sim.now().since(callboard::base::Moment::ZERO)
    }
}

struct Span(Times, Duration);

impl Drop for Span {
    fn drop(&mut self) {
        self.0.spans.lock().unwrap().push((self.1, self.0.now()));
    }
}

#[test]
fn a_handler_past_its_deadline_is_cancelled_within_twice_the_time_and_its_message_tried_again() {
    // Where between two looks of the group the handling begins.
    for offset in [0, 1, 20, 50, 99, 100, 101, 150] {
        every::seed(5, move |sim| async move {
            let sim = sim.without_slips();
            let (broker, topic) = open().await;
            let times = Times::new(&sim);
            let group = topic.group("g").consumers(2).ack_timeout(LIMIT).retry(Retry::immediately());
            let handle = async |message: Message<u64>, times: Times| {
                if *message == 0 {
                    // Keeps the group looking, so that the next one begins between two looks.
                    for _ in 0..3 {
                        times.sim.sleep(MS * 33).await;
                    }
                    return Ok(());
                }
                let _going = Going::on(&times.going);
                let _span = Span(times.clone(), times.now());
                times.seen.note(&message);
                if message.attempt() < 3 {
                    std::future::pending::<()>().await;
                }
                Ok(())
            };
            let group = group.with(times.clone()).run(handle).await.unwrap();
            topic.publish(0).await.unwrap();
            sim.sleep(MS * offset).await;
            topic.publish(1).await.unwrap();
            topic.settled().await.unwrap();
            assert_eq!(times.seen.attempts(1), [1, 2, 3]);
            let spans = times.spans.lock().unwrap().clone();
            for (began, ended) in &spans[..2] {
                assert!((LIMIT..=LIMIT * 2).contains(&(*ended - *began)), "{spans:?}, offset {offset}");
            }
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.acked, stats.failures, stats.restarts, stats.stuck), (2, 2, 2, 0));
            assert_eq!(broker.shutdown().await.lost(), 0);
        });
    }
}

#[test]
fn a_handler_that_always_hangs_makes_a_dead_letter_that_says_so() {
    every::seed(10, |_| async move {
        let (broker, topic) = open().await;
        let dead = broker.topic::<DeadLetter>("numbers.g.dead").open().await.unwrap();
        let mut letters = dead.group("clerk").stream().await.unwrap();
        let group = topic.group("g").ack_timeout(LIMIT).retry(Retry::immediately().max_attempts(3));
        group.run(async |_| std::future::pending().await).await.unwrap();
        topic.publish(1).await.unwrap();
        let letter = letters.next().await.unwrap();
        assert_eq!((letter.attempts(), letter.reason()), (3, &DeadReason::TooManyAttempts));
        assert_eq!(letter.error(), Some("not handled within the ack timeout"));
        letter.ack().unwrap();
    });
}

#[test]
fn a_state_that_hung_is_dropped_before_the_next_attempt_begins() {
    struct Owner {
        _going: Going,
        seen: Seen,
    }
    impl Consumer<u64> for Owner {
        async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
            self.seen.note(message);
            if message.attempt() < 4 {
                std::future::pending::<()>().await;
            }
            Ok(Outcome::Ack)
        }
    }
    every::seed(20, |_| async move {
        let (_broker, topic) = open().await;
        let (seen, going) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let log = seen.clone();
        let make = move || Owner { _going: Going::on(&going), seen: log.clone() };
        let group =
            topic.group("g").ack_timeout(LIMIT).retry(Retry::immediately()).run_with(make).await.unwrap();
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(seen.attempts(1), [1, 2, 3, 4]);
        assert_eq!(group.stats().await.unwrap().restarts, 3);
    });
}

#[test]
fn the_deadline_is_each_messages_own_and_short_handlings_in_a_long_lease_never_expire() {
    every::seed(10, |sim| async move {
        let (_broker, topic) = open().await;
        let seen = Seen::default();
        let group = topic.group("g").ack_timeout(LIMIT).with((sim.clone(), seen.clone()));
        let handle = async |message: Message<u64>, (sim, seen): (Sim, Seen)| {
            seen.note(&message);
            // The first ones take no time, so that leases grow; then each is close to its deadline.
            if *message >= 600 {
                sim.sleep(MS * 40).await;
            }
            Ok(())
        };
        let group = group.run(handle).await.unwrap();
        topic.publish_all(0..700).await.unwrap();
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.redeliveries), (700, 0, 0));
        assert_eq!(seen.values(), (0..700).collect::<Vec<_>>());
    });
}

#[test]
fn what_waits_behind_a_handler_that_hangs_goes_to_another_consumer() {
    every::seed(20, |sim| async move {
        let (_broker, topic) = open().await;
        let seen = Seen::default();
        let group = topic.group("g").consumers(2).ack_timeout(MS * 3_600_000).with(seen.clone());
        let handle = async |message: Message<u64>, seen: Seen| {
            if *message == 700 {
                std::future::pending::<()>().await;
            }
            seen.note(&message);
            Ok(())
        };
        let group = group.run(handle).await.unwrap();
        // Fast ones first, so that leases are large by the time that one hangs.
        topic.publish_all(0..1000).await.unwrap();
        sim.sleep(MS * 1000).await;
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.in_flight, stats.redeliveries), (999, 1, 0));
        assert_eq!(seen.sorted(), (0..1000).filter(|n| *n != 700).collect::<Vec<_>>());
        assert!(seen.all().iter().all(|(_, attempt)| *attempt == 1));
    });
}

/// Blocks the thread it is called on until it is released, as a handler must not.
#[derive(Clone)]
struct Block {
    blocked: Arc<Mutex<Option<std::sync::mpsc::SyncSender<()>>>>,
    until: Arc<Mutex<std::sync::mpsc::Receiver<()>>>,
}

impl Block {
    fn new() -> (Block, std::sync::mpsc::Receiver<()>, std::sync::mpsc::SyncSender<()>) {
        let (blocked, is_blocked) = std::sync::mpsc::sync_channel(1);
        let (release, until) = std::sync::mpsc::sync_channel(1);
        let block =
            Block { blocked: Arc::new(Mutex::new(Some(blocked))), until: Arc::new(Mutex::new(until)) };
        (block, is_blocked, release)
    }

    /// Blocks, the first time.
    fn here(&self) {
        if let Some(blocked) = self.blocked.lock().unwrap().take() {
            blocked.send(()).unwrap();
            let _ = self.until.lock().unwrap().recv();
        }
    }
}

async fn times_told_stuck(events: &mut Events) -> usize {
    events.filter(|event| std::future::ready(matches!(event, Event::HandlerStuck { .. }))).count().await
}

#[test]
fn a_handler_that_never_yields_keeps_its_message_and_is_reported_stuck_until_it_does() {
    // Only a runtime with threads to spare goes on while one is blocked.
    every::threads(async {
        let (broker, topic) = open().await;
        let mut events = broker.events();
        let (block, is_blocked, release) = Block::new();
        let seen = Seen::default();
        let group = topic.group("g").consumers(2).ack_timeout(MS * 10).with((block, seen.clone()));
        let handle = async |message: Message<u64>, (block, seen): (Block, Seen)| {
            seen.note(&message);
            if *message == 0 {
                block.here();
            }
            Ok(())
        };
        let group = group.run(handle).await.unwrap();
        topic.publish(0).await.unwrap();
        is_blocked.recv().unwrap();
        topic.publish_all(1..100).await.unwrap();
        while group.stats().await.unwrap().stuck == 0 {
            give_way().await;
        }
        while group.stats().await.unwrap().acked < 99 {
            give_way().await;
        }
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.in_flight, stats.failures, stats.stuck, stats.redeliveries), (1, 0, 1, 0));
        release.send(()).unwrap();
        topic.settled().await.unwrap();
        assert_eq!(seen.attempts(0), [1], "it was late, but it was handled");
        while group.stats().await.unwrap().stuck > 0 {
            give_way().await;
        }
        assert_eq!(group.stats().await.unwrap().acked, 100);
        assert_eq!(broker.shutdown().await.lost(), 0);
        assert_eq!(times_told_stuck(&mut events).await, 1, "for however many looks");
    });
}

#[test]
fn a_shutdown_reports_a_handler_that_never_yields_and_does_not_wait_for_it() {
    every::threads(async {
        let (broker, topic) = open().await;
        let mut events = broker.events();
        let (block, is_blocked, release) = Block::new();
        let group = topic.group("g").with(block);
        let handle = async |_, block: Block| {
            block.here();
            Ok(())
        };
        group.run(handle).await.unwrap();
        topic.publish(0).await.unwrap();
        is_blocked.recv().unwrap();
        let report = broker.shutdown_within(Duration::ZERO).await;
        let group = report.group("numbers", "g").unwrap();
        assert_eq!((group.stuck, group.lost, group.settled, report.timed_out), (1, 1, 0, true));
        assert_eq!(times_told_stuck(&mut events).await, 1);
        release.send(()).unwrap();
    });
}

#[test]
fn a_start_that_takes_long_is_no_handling_and_has_no_deadline() {
    struct Slow {
        sim: Sim,
        seen: Seen,
    }
    impl Consumer<u64> for Slow {
        async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
            self.seen.note(message);
            assert!(message.attempt() > 1, "on purpose");
            Ok(Outcome::Ack)
        }
        async fn started(&mut self) -> Result<(), Fault> {
            self.sim.sleep(LIMIT * 10).await;
            Ok(())
        }
    }
    every::seed(10, |sim| async move {
        let (_broker, topic) = open().await;
        let (seen, stuck) = (Seen::default(), Arc::new(AtomicU32::new(0)));
        let (log, clock) = (seen.clone(), sim.clone());
        let make = move || Slow { sim: clock.clone(), seen: log.clone() };
        let group =
            topic.group("g").ack_timeout(LIMIT).retry(Retry::immediately()).run_with(make).await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        for _ in 0..60 {
            sim.sleep(LIMIT).await;
            stuck.fetch_max(group.stats().await.unwrap().stuck as u32, Ordering::Relaxed);
        }
        assert_eq!(stuck.load(Ordering::Relaxed), 0);
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.restarts), (3, 3, 3));
    });
}

#[test]
fn a_pulled_delivery_past_its_deadline_goes_back_and_a_late_ack_changes_nothing() {
    for delay in [201, 250, 1000] {
        every::seed(10, move |sim| async move {
            let sim = sim.without_slips();
            let (broker, topic) = open().await;
            let group = topic.group("g").ack_timeout(LIMIT).retry(Retry::immediately());
            let mut stream = group.stream().await.unwrap();
            topic.publish(7).await.unwrap();
            let late = stream.next().await.unwrap();
            sim.sleep(MS * delay).await;
            // By now it is surely over.
            assert_eq!(late.extend(), Err(AckError::LeaseExpired));
            assert_eq!(late.ack(), Err(AckError::LeaseExpired));
            let again = stream.next().await.unwrap();
            assert_eq!((**again, again.attempt()), (7, 2));
            assert_eq!(topic.stats().await.unwrap().unsettled, 1);
            again.ack().unwrap();
            topic.settled().await.unwrap();
            let report = broker.shutdown().await;
            let stats = balanced(report.group("numbers", "g").unwrap().stats.clone());
            assert_eq!((stats.acked, stats.failures, stats.redeliveries), (1, 1, 1));
        });
    }
}

#[test]
fn a_pulled_delivery_is_good_for_its_whole_deadline() {
    for offset in [0, 30, 60, 99] {
        every::seed(5, move |sim| async move {
            let sim = sim.without_slips();
            let (_broker, topic) = open().await;
            let mut stream = topic.group("g").ack_timeout(LIMIT).stream().await.unwrap();
            topic.publish_all(0..2).await.unwrap();
            // The group looks from the first hand-out on; the second is taken in the middle.
            let first = stream.next().await.unwrap();
            sim.sleep(MS * offset).await;
            first.ack().unwrap();
            let second = stream.next().await.unwrap();
            sim.sleep(LIMIT - Duration::from_nanos(1)).await;
            assert_eq!(second.ack(), Ok(()));
        });
    }
}

#[test]
fn extend_begins_the_deadline_anew_as_often_as_it_is_called() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = open().await;
        let group = topic.group("g").ack_timeout(LIMIT).retry(Retry::immediately());
        let mut stream = group.stream().await.unwrap();
        topic.publish(7).await.unwrap();
        let delivery = stream.next().await.unwrap();
        for _ in 0..50 {
            sim.sleep(LIMIT - MS).await;
            assert_eq!(delivery.extend(), Ok(()));
        }
        sim.sleep(LIMIT - MS).await;
        assert_eq!(delivery.ack(), Ok(()));
    });
}

#[test]
fn a_delivery_that_waits_unseen_in_a_stream_has_no_deadline() {
    every::seed(10, |sim| async move {
        let (_broker, topic) = open().await;
        let group = topic.group("g").ack_timeout(LIMIT).retry(Retry::none());
        let mut stream = group.stream().await.unwrap();
        topic.publish_all(0..10).await.unwrap();
        sim.sleep(LIMIT * 20).await;
        for n in 0..10 {
            let delivery = stream.next().await.unwrap();
            assert_eq!((**delivery, delivery.attempt()), (n, 1));
            delivery.ack().unwrap();
        }
    });
}
