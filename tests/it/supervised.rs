//! Is a consumer that broke built again, and does what breaks it reach nobody else? (G6, G8, G14, G15)

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::GroupState;
use callboard::prelude::*;
use callboard::supervise::{Backoff, Intensity};
use futures::StreamExt as _;

use crate::every;
use crate::seen::{Seen, balanced, give_way};

const MS: Duration = Duration::from_millis(1);

async fn open(name: &str) -> (Broker, Topic<u64>) {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>(name).open().await.unwrap();
    (broker, topic)
}

/// A consumer that counts its incarnations and what each of them handled.
struct Incarnation {
    number: u32,
    handled: u32,
    log: Arc<Mutex<Vec<(u32, u32, u64)>>>,
}

impl Consumer<u64> for Incarnation {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        self.handled += 1;
        self.log.lock().unwrap().push((self.number, self.handled, **message));
        assert!(**message != 3 || message.attempt() > 2, "on purpose");
        if **message == 4 && message.attempt() == 1 {
            return Err(Fault::new("an error keeps the instance"));
        }
        Ok(Outcome::Ack)
    }
}

#[test]
fn a_panic_costs_a_consumer_its_state_and_an_error_does_not() {
    every::runtime(|| async {
        let (_broker, topic) = open("numbers").await;
        let log: Arc<Mutex<Vec<(u32, u32, u64)>>> = Arc::default();
        let (made, noted) = (AtomicU32::new(0), log.clone());
        let make = move || Incarnation {
            number: made.fetch_add(1, Ordering::Relaxed),
            handled: 0,
            log: noted.clone(),
        };
        let group = topic.group("g").retry(Retry::immediately()).run_with(make).await.unwrap();
        // One at a time, so that what comes next is known.
        for n in 1..=5 {
            topic.publish(n).await.unwrap();
            topic.settled().await.unwrap();
        }
        let log = log.lock().unwrap().clone();
        let expected =
            [(0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 1, 3), (2, 1, 3), (2, 2, 4), (2, 3, 4), (2, 4, 5)];
        assert_eq!(log, expected);
        assert_eq!(group.stats().await.unwrap().restarts, 2);
    });
}

/// Where a [`Fragile`] consumer breaks, and on which of its first incarnations.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Breaks {
    InTheFactory,
    WhereStartedIsCalled,
    WhereStartedIsPolled,
    AfterStartedAwaited,
    ByAnErrorOfStarted,
}

const WAYS_TO_BREAK: [Breaks; 5] = [
    Breaks::InTheFactory,
    Breaks::WhereStartedIsCalled,
    Breaks::WhereStartedIsPolled,
    Breaks::AfterStartedAwaited,
    Breaks::ByAnErrorOfStarted,
];

struct Fragile {
    breaks: Option<Breaks>,
    seen: Seen,
}

impl Consumer<u64> for Fragile {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        self.seen.note(message);
        assert!(**message != 13 || message.attempt() > 1, "on purpose");
        Ok(Outcome::Ack)
    }

    // Not an `async fn`, so that something can happen where it is called.
    fn started(&mut self) -> impl Future<Output = Result<(), Fault>> + Send {
        let breaks = self.breaks;
        assert!(breaks != Some(Breaks::WhereStartedIsCalled), "on purpose");
        async move {
            assert!(breaks != Some(Breaks::WhereStartedIsPolled), "on purpose");
            give_way().await;
            assert!(breaks != Some(Breaks::AfterStartedAwaited), "on purpose");
            if breaks == Some(Breaks::ByAnErrorOfStarted) {
                return Err(Fault::new("on purpose"));
            }
            Ok(())
        }
    }
}

/// Makes consumers of which those break whose number `which` picks.
fn fragile(
    how: Breaks,
    seen: &Seen,
    which: impl Fn(u32) -> bool + Send + Sync + 'static,
) -> impl Fn() -> Fragile + Send + Sync + 'static {
    let (made, seen) = (AtomicU32::new(0), seen.clone());
    move || {
        let breaks = which(made.fetch_add(1, Ordering::Relaxed)).then_some(how);
        assert!(breaks != Some(Breaks::InTheFactory), "on purpose");
        Fragile { breaks, seen: seen.clone() }
    }
}

#[test]
fn a_consumer_that_can_not_start_is_built_again_until_it_can() {
    for how in WAYS_TO_BREAK {
        every::runtime(move || async move {
            let (_broker, topic) = open("numbers").await;
            let seen = Seen::default();
            let group = topic.group("g").restart_backoff(Backoff::fixed(MS)).retry(Retry::immediately());
            // Three fail at first, and three after the panic at the 13.
            let make = fragile(how, &seen, |number| number < 3 || (4..7).contains(&number));
            let group = group.intensity(Intensity::new(10, MS * 1000)).run_with(make).await.unwrap();
            topic.publish_all(0..20).await.unwrap();
            topic.settled().await.unwrap();
            for n in 0..20 {
                assert_eq!(seen.attempts(n), if n == 13 { vec![1, 2] } else { vec![1] }, "of {n}, {how:?}");
            }
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.acked, stats.failures, stats.redeliveries, stats.consumers), (20, 1, 1, 1));
            assert_eq!((stats.state, stats.restarts), (GroupState::Running, 7), "{how:?}");
        });
    }
}

#[test]
fn a_group_whose_consumers_never_start_fails_after_its_intensity_and_keeps_its_messages() {
    for how in WAYS_TO_BREAK {
        every::seed(10, move |sim| async move {
            let sim = sim.without_slips();
            let (broker, topic) = open("numbers").await;
            topic.publish_all(0..20).await.unwrap();
            let seen = Seen::default();
            let tries: Arc<Mutex<Vec<Duration>>> = Arc::default();
            let (clock, noted, began) = (sim.clone(), tries.clone(), sim.now());
            let make = fragile(how, &seen, move |_| {
                noted.lock().unwrap().push(clock.now().since(began));
                true
            });
            let group = topic.group("g").restart_backoff(Backoff::exponential(MS * 10, MS * 20));
            let group = group.intensity(Intensity::new(3, MS * 1000)).run_with(make).await.unwrap();
            sim.sleep(MS * 5000).await;
            let tries = tries.lock().unwrap().clone();
            assert_eq!(tries, [0, 10, 30, 50].map(|ms| MS * ms), "{how:?}");
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.state, stats.entered, stats.backlog), (GroupState::Failed, 20, 20), "{how:?}");
            assert_eq!(seen.all(), []);
            // A failed group is not waited for.
            topic.settled().await.unwrap();
            let report = broker.shutdown().await;
            assert_eq!((report.lost(), report.timed_out), (20, false));
        });
    }
}

#[test]
fn what_a_broken_consumer_held_goes_to_the_others_at_once() {
    for how in WAYS_TO_BREAK {
        every::seed(40, move |sim| async move {
            let (_broker, topic) = open("numbers").await;
            let seen = Seen::default();
            // The third incarnation is the one after the panic. It breaks, and its backoff is a day.
            let make = fragile(how, &seen, |number| number == 2);
            let group = topic.group("g").consumers(2).retry(Retry::immediately());
            let group = group.restart_backoff(Backoff::fixed(MS * 86_400_000)).run_with(make).await.unwrap();
            let began = sim.now();
            topic.publish_all(0..1000).await.unwrap();
            topic.settled().await.unwrap();
            assert!(sim.now().since(began) < MS * 1000, "after {:?}, {how:?}", sim.now().since(began));
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.acked, stats.failures, stats.consumers), (1000, 1, 2));
            assert_eq!(seen.all().len(), 1001, "what was not started costs no attempt");
        });
    }
}

#[test]
fn a_consumer_whose_start_hangs_after_a_panic_holds_up_nobody_else() {
    struct Hangs {
        first: bool,
        seen: Seen,
    }
    impl Consumer<u64> for Hangs {
        async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
            self.seen.note(message);
            assert!(**message != 13 || message.attempt() > 1, "on purpose");
            Ok(Outcome::Ack)
        }
        async fn started(&mut self) -> Result<(), Fault> {
            if !self.first {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }
    every::seed(40, |sim| async move {
        let (_broker, topic) = open("numbers").await;
        let (seen, made) = (Seen::default(), AtomicU32::new(0));
        let noted = seen.clone();
        let make = move || Hangs { first: made.fetch_add(1, Ordering::Relaxed) < 2, seen: noted.clone() };
        let group = topic.group("g").consumers(2).retry(Retry::immediately()).run_with(make).await.unwrap();
        topic.publish_all(0..1000).await.unwrap();
        topic.settled().await.unwrap();
        assert!(sim.now().since(callboard::base::Moment::ZERO) < MS * 1000, "{:?}", sim.now());
        // A start that takes its time is no handling: nobody is stuck, whatever the ack timeout.
        sim.sleep(MS * 300_000).await;
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.in_flight, stats.stuck), (1000, 0, 0));
    });
}

#[test]
fn ten_thousand_panics_of_a_handler_count_nothing_toward_the_intensity() {
    every::seed(2, |_| async move {
        let (broker, topic) = open("numbers").await;
        let retry = Retry::immediately().max_attempts(u32::MAX);
        let group = topic.group("g").consumers(2).retry(retry).intensity(Intensity::new(0, MS * 60_000));
        let group = group
            .run(async |message| {
                assert!(message.attempt() > 1000, "on purpose");
                Ok(())
            })
            .await
            .unwrap();
        topic.publish_all(0..10).await.unwrap();
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.state, stats.acked), (GroupState::Running, 10));
        assert_eq!((stats.failures, stats.restarts, stats.redeliveries), (10_000, 10_000, 10_000));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

/// Panics when it is dropped, as often as it was told.
#[derive(Clone)]
struct Bomb(Arc<AtomicU32>);

impl Bomb {
    fn new(times: u32) -> Bomb {
        Bomb(Arc::new(AtomicU32::new(times)))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        let lit = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        // A second panic while one unwinds ends the process, and is nobody's to contain.
        if lit.is_ok() && !std::thread::panicking() {
            panic!("in a drop, on purpose");
        }
    }
}

#[test]
fn a_panic_in_the_drop_of_a_handlers_future_is_a_failed_delivery() {
    every::runtime(|| async {
        let (_broker, topic) = open("numbers").await;
        let seen = Seen::default();
        let group = topic.group("g").retry(Retry::immediately()).with((seen.clone(), Bomb::new(0)));
        let group = group
            .run(async |message, (seen, bomb): (Seen, Bomb)| {
                seen.note(&message);
                if *message == 7 && message.attempt() < 3 {
                    bomb.0.store(1, Ordering::Relaxed);
                }
                Ok(())
            })
            .await
            .unwrap();
        topic.publish_all(0..20).await.unwrap();
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!(seen.attempts(7), [1, 2, 3]);
        assert_eq!((stats.acked, stats.failures, stats.consumers), (20, 2, 1));
    });
}

#[test]
fn a_panic_in_the_drop_of_a_consumer_ends_nothing() {
    struct Mined {
        seen: Seen,
        _bomb: Bomb,
    }
    impl Consumer<u64> for Mined {
        async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
            self.seen.note(message);
            assert!(!(**message).is_multiple_of(5) || message.attempt() > 1, "on purpose");
            Ok(Outcome::Ack)
        }
    }
    every::runtime(|| async {
        let (broker, topic) = open("numbers").await;
        let (seen, bomb) = (Seen::default(), Bomb::new(u32::MAX));
        let (log, fuse) = (seen.clone(), bomb.clone());
        let make = move || Mined { seen: log.clone(), _bomb: fuse.clone() };
        let group = topic.group("g").retry(Retry::immediately()).run_with(make).await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.restarts, stats.consumers), (20, 4, 4, 1));
        // The factory itself holds a bomb, and so does the last instance.
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.group("numbers", "g").unwrap().stuck), (0, 0));
        bomb.0.store(0, Ordering::Relaxed);
    });
}

#[test]
fn a_panic_in_the_drop_of_a_payload_reaches_nobody() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<(u64, Bomb)>("bombs").open().await.unwrap();
        let handled = Arc::new(AtomicU64::new(0));
        let count = handled.clone();
        let group = topic.group("handlers").run_fn(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let group = group.await.unwrap();
        let mut stream = topic.group("stream").stream().await.unwrap();
        let bomb = Bomb::new(u32::MAX);
        for n in 0..100 {
            topic.publish((n, bomb.clone())).await.unwrap();
            let delivery = stream.next().await.unwrap();
            assert_eq!(delivery.0, n);
            // Here the test itself may hold the last handle; the panic ends in the batch.
            delivery.ack().unwrap();
        }
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.restarts), (100, 0, 0));
        assert_eq!(handled.load(Ordering::Relaxed), 100);
        assert_eq!(broker.shutdown().await.lost(), 0);
        bomb.0.store(0, Ordering::Relaxed);
    });
}

#[test]
fn a_consumer_is_built_again_at_once_and_not_when_the_next_message_comes() {
    every::seed(10, |sim| async move {
        let (_broker, topic) = open("numbers").await;
        let made = Arc::new(AtomicU32::new(0));
        let (count, seen) = (made.clone(), Seen::default());
        let make = move || {
            count.fetch_add(1, Ordering::Relaxed);
            Fragile { breaks: None, seen: seen.clone() }
        };
        topic.group("g").run_with(make).await.unwrap();
        topic.publish(13).await.unwrap();
        sim.settle().await;
        assert_eq!(made.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_failed_group_works_again_when_it_is_given_consumers_that_can() {
    for how in WAYS_TO_BREAK {
        every::seed(10, move |sim| async move {
            let (broker, topic) = open("numbers").await;
            let seen = Seen::default();
            let open = || topic.group("g").restart_backoff(Backoff::fixed(MS)).retry(Retry::immediately());
            let limited = || open().intensity(Intensity::new(2, MS * 1000));
            // The first one works, the second never does; what the first held or was about to get waits with it.
            let make = fragile(how, &seen, |number| number > 0);
            let group = limited().consumers(2).run_with(make).await.unwrap();
            sim.sleep(MS * 100).await;
            assert_eq!(group.stats().await.unwrap().state, GroupState::Failed);
            topic.publish_all(100..120).await.unwrap();
            sim.sleep(MS * 100).await;
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.acked, stats.backlog), (0, 20));
            let group = limited().run_with(fragile(how, &seen, |_| false)).await.unwrap();
            topic.settled().await.unwrap();
            let stats = balanced(group.stats().await.unwrap());
            assert_eq!((stats.state, stats.acked), (GroupState::Running, 20), "{how:?}");
            sim.sleep(MS * 100).await;
            let stats = group.stats().await.unwrap();
            assert_eq!(
                (stats.state, stats.consumers),
                (GroupState::Running, 2),
                "the one that never works is gone"
            );
            assert_eq!(broker.shutdown().await.lost(), 0);
        });
    }
}

#[test]
fn a_panic_in_the_drop_of_what_a_closure_owns_ends_nothing() {
    every::runtime(|| async {
        let (broker, topic) = open("numbers").await;
        let bomb = Bomb::new(u32::MAX);
        let owned = bomb.clone();
        let group = topic.group("g").run_fn(move |_| {
            let _ = &owned;
            Ok(())
        });
        group.await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        topic.settled().await.unwrap();
        let report = broker.shutdown().await;
        let group = report.group("numbers", "g").unwrap();
        assert_eq!((group.settled, group.stuck, report.timed_out), (20, 0, false));
        bomb.0.store(0, Ordering::Relaxed);
    });
}

#[test]
fn a_panic_in_the_drop_of_a_payload_that_nobody_read_ends_nothing() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<Bomb>("bombs").capacity(8).open().await.unwrap();
        let other = broker.topic::<u64>("numbers").open().await.unwrap();
        let handled = other.group("g").run_fn(|_| Ok(()));
        handled.await.unwrap();
        let bomb = Bomb::new(u32::MAX);
        for _ in 0..8 {
            topic.publish(bomb.clone()).await.unwrap();
        }
        other.publish_all(0..10).await.unwrap();
        let report = broker.shutdown_within(Duration::from_millis(1)).await;
        let unread: u64 = report.topics.iter().map(|topic| topic.unread).sum();
        assert_eq!(unread, 8, "{report:?}");
        bomb.0.store(0, Ordering::Relaxed);
    });
}
