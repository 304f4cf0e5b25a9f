//! Does a message that was not handled well come again, as often as it should, when it should, and marked so?
//! (G6, G7, G8, G11, G12)

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::GroupState;
use callboard::prelude::*;
use callboard::supervise::Backoff;
use futures::StreamExt as _;

use crate::every;
use crate::seen::{Gate, Seen, balanced, give_way};

const MS: Duration = Duration::from_millis(1);

async fn open(name: &str) -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, name).open().await.unwrap();
    (broker, topic)
}

/// How a handler fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Error,
    PanicAtOnce,
    PanicAfterAnAwait,
    Outcome,
}

/// Fails in its own way as long as the attempt is below `until`.
async fn handle(message: Message<u64>, seen: Seen, how: Failure, until: u32) -> Outcome {
    seen.note(&message);
    if message.attempt() >= until {
        return Outcome::Ack;
    }
    match how {
        Failure::Error => Err(Fault::new("on purpose")).into(),
        Failure::PanicAtOnce => panic!("on purpose"),
        Failure::PanicAfterAnAwait => {
            give_way().await;
            panic!("on purpose")
        }
        Failure::Outcome => Outcome::Retry("on purpose".to_string()),
    }
}

#[test]
fn each_way_to_fail_brings_the_message_again_with_the_next_attempt_number() {
    for how in [Failure::Error, Failure::PanicAtOnce, Failure::PanicAfterAnAwait, Failure::Outcome] {
        every::memory_and_disk(move || async move {
            let (broker, topic) = open("numbers").await;
            let seen = Seen::default();
            let group = topic.group("g").retry(Retry::immediately()).with((seen.clone(), how));
            let group = group
                .run_outcome(async |message, (seen, how): (Seen, Failure)| {
                    let until = if *message % 5 == 0 { 4 } else { 1 };
                    handle(message, seen, how, until).await
                })
                .await
                .unwrap();
            topic.publish_all(0..50).await.unwrap();
            topic.settled().await.unwrap();
            for n in 0..50 {
                let expected: &[u32] = if n % 5 == 0 { &[1, 2, 3, 4] } else { &[1] };
                assert_eq!(seen.attempts(n), expected, "of {n}, {how:?}");
            }
            let stats = balanced(group.stats().await.unwrap());
            let rebuilt = if matches!(how, Failure::Error | Failure::Outcome) { 0 } else { 30 };
            assert_eq!((stats.acked, stats.failures, stats.redeliveries), (50, 30, 30));
            assert_eq!((stats.restarts, stats.stuck, stats.state), (rebuilt, 0, GroupState::Running));
            assert_eq!(broker.shutdown().await.lost(), 0);
        });
    }
}

#[test]
fn a_sync_handler_that_panics_or_errs_costs_its_message_one_attempt_and_its_neighbours_none() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open("numbers").await;
        let seen = Seen::default();
        let log = seen.clone();
        let group = topic.group("g").retry(Retry::immediately());
        let group = group
            .run_fn(move |message| {
                log.note(message);
                assert!(**message % 7 != 0 || message.attempt() > 1, "on purpose");
                if **message % 7 == 1 && message.attempt() == 1 {
                    return Err(Fault::new("on purpose"));
                }
                Ok(())
            })
            .await
            .unwrap();
        topic.publish_all(0..700).await.unwrap();
        topic.settled().await.unwrap();
        for n in 0..700 {
            let expected: &[u32] = if n % 7 < 2 { &[1, 2] } else { &[1] };
            assert_eq!(seen.attempts(n), expected, "of {n}");
        }
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.restarts), (700, 200, 100));
    });
}

#[test]
fn a_retry_comes_when_the_backoff_says_and_retry_after_when_it_says() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = open("numbers").await;
        let times: Arc<Mutex<Vec<(u64, Duration)>>> = Arc::default();
        let retry = Retry::new(Backoff::exponential(MS * 100, MS * 400)).max_attempts(6);
        let group = topic.group("g").retry(retry).with((sim.clone(), times.clone()));
        let began = sim.now();
        let handle = async |message: Message<u64>,
                            (sim, times): (callboard::sim::Sim, Arc<Mutex<Vec<_>>>)| {
            times.lock().unwrap().push((*message, sim.now().since(callboard::base::Moment::ZERO)));
            match (*message, message.attempt()) {
                (_, 6) => Outcome::Ack,
                (0, _) => Outcome::Retry("again".to_string()),
                (1, attempt) => Outcome::RetryAfter(MS * 7 * attempt),
                _ => Outcome::Ack,
            }
        };
        group.run_outcome(handle).await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(began, callboard::base::Moment::ZERO);
        let times = times.lock().unwrap().clone();
        let of = |n| times.iter().filter(|(m, _)| *m == n).map(|(_, at)| at.as_millis()).collect::<Vec<_>>();
        assert_eq!(of(0), [0, 100, 300, 700, 1100, 1500]);
        assert_eq!(of(1), [0, 7, 21, 42, 70, 105]);
        assert_eq!(of(2), [0]);
    });
}

#[test]
fn a_retry_in_the_far_future_stays_delayed_and_holds_nobody_up() {
    every::seed(20, |sim| async move {
        let (broker, topic) = open("numbers").await;
        let seen = Seen::default();
        let group = topic.group("g").with(seen.clone());
        let handle = async |message: Message<u64>, seen: Seen| {
            seen.note(&message);
            if *message == 3 { Outcome::RetryAfter(Duration::MAX) } else { Outcome::Ack }
        };
        let group = group.run_outcome(handle).await.unwrap();
        topic.publish_all(0..10).await.unwrap();
        sim.sleep(MS * 1000 * 3600).await;
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.delayed), (9, 1));
        let report = broker.shutdown().await;
        // A running group still has it to do, so the drain takes all its time.
        assert_eq!((report.lost(), report.timed_out, report.took), (1, true, Broker::DRAIN));
        assert_eq!(seen.attempts(3), [1]);
    });
}

#[test]
fn a_jitter_spreads_retries_out_and_never_makes_one_later() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let (_broker, topic) = open("numbers").await;
        let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let retry = Retry::new(Backoff::fixed(MS * 1000).jitter(0.5));
        let group = topic.group("g").retry(retry).with((sim.clone(), times.clone()));
        let handle = async |message: Message<u64>,
                            (sim, times): (callboard::sim::Sim, Arc<Mutex<Vec<_>>>)| {
            if message.attempt() == 1 {
                return Err(Fault::new("again"));
            }
            times.lock().unwrap().push(sim.now().since(callboard::base::Moment::ZERO));
            Ok(())
        };
        group.run(handle).await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        let times = times.lock().unwrap().clone();
        assert!(times.iter().all(|at| (MS * 500..=MS * 1000).contains(at)), "{times:?}");
        let mut different = times.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 20, "only {} different delays of 100", different.len());
    });
}

#[test]
fn the_attempts_of_one_group_are_no_business_of_another() {
    every::memory_and_disk(|| async {
        let (_broker, topic) = open("numbers").await;
        let (bad, good) = (Seen::default(), Seen::default());
        let failing = topic.group("failing").retry(Retry::immediately()).with(bad.clone());
        let handle = async |message: Message<u64>, seen: Seen| {
            seen.note(&message);
            if message.attempt() < 3 { Err(Fault::new("on purpose")) } else { Ok(()) }
        };
        failing.run(handle).await.unwrap();
        let log = good.clone();
        let fine = topic.group("fine").run_fn(move |message| {
            log.note(message);
            Ok(())
        });
        fine.await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        for n in 0..100 {
            assert_eq!((bad.attempts(n), good.attempts(n)), (vec![1, 2, 3], vec![1]), "of {n}");
        }
    });
}

#[test]
fn a_handling_cut_off_by_the_shutdown_is_released_and_no_restart() {
    every::runtime(|| async {
        let (broker, topic) = open("numbers").await;
        let (began, mut begun) = futures::channel::mpsc::channel::<()>(1);
        let gate = Gate::new();
        let group = topic.group("g").with((began, gate.clone()));
        let handle = async |_, (mut began, gate): (futures::channel::mpsc::Sender<()>, Gate)| {
            began.try_send(()).unwrap();
            gate.pass().await;
            Ok(())
        };
        group.run(handle).await.unwrap();
        topic.publish(1).await.unwrap();
        begun.next().await.unwrap();
        let report = broker.shutdown_within(Duration::ZERO).await;
        let group = report.group("numbers", "g").unwrap();
        assert_eq!((group.settled, group.lost, group.stuck), (0, 1, 0));
        assert_eq!((group.stats.failures, group.stats.restarts, group.stats.in_flight), (0, 0, 0));
        gate.open();
    });
}

/// A consumer that fails, and whose state is slow to go: until it is gone, it has the message.
struct Clinging {
    holders: Arc<AtomicU32>,
    holds: bool,
}

impl Consumer<u64> for Clinging {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        let others = self.holders.fetch_add(1, Ordering::SeqCst);
        self.holds = true;
        match (others, message.attempt()) {
            (1.., _) => Ok(Outcome::DeadLetter("somebody still has it".into())),
            (0, 20..) => Ok(Outcome::Ack),
            (0, _) => panic!("again"),
        }
    }
}

impl Drop for Clinging {
    fn drop(&mut self) {
        // Gives other threads the time to begin too early.
        (0..50).for_each(|_| std::thread::yield_now());
        self.holders.fetch_sub(u32::from(self.holds), Ordering::SeqCst);
    }
}

/// G7: not the future alone, but the state too, which may have what the message is about open, or locked.
#[test]
fn a_message_is_handed_on_once_the_state_of_whoever_lost_it_was_dropped() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open("t").await;
        let holders = Arc::new(AtomicU32::new(0));
        let group = topic.group("g").consumers(3).retry(Retry::immediately().max_attempts(100));
        let make = move || Clinging { holders: holders.clone(), holds: false };
        let group = group.run_with(make).await.unwrap();
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.dead_lettered, stats.failures), (1, 0, 19));
        broker.shutdown().await;
    });
}
