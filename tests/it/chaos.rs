//! Under random failures of every kind, is each message handled by one consumer at a time, again until it is well,
//! with exact attempts, and are the books right at any moment? (G6, G7, G8, G25)

#![expect(clippy::indexing_slicing, reason = "an index out of bounds fails the test, as it should")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::DeliveryStream;
use callboard::prelude::*;
use callboard::runtime::Runtime as _;
use callboard::sim::Sim;
use callboard::supervise::{Backoff, Intensity};
use futures::StreamExt as _;

use crate::every;
use crate::seen::{balanced, give_way, some};

const MESSAGES: u64 = 120;
const LIMIT: Duration = Duration::from_millis(40);
/// More than any message fails: each attempt ends well with a chance of more than a half.
const ATTEMPTS: u32 = 200;

/// What is known of one message.
#[derive(Default)]
struct Track {
    /// Somebody is handling it.
    going: AtomicBool,
    begun: AtomicU32,
    done: AtomicU32,
}

/// One handling, until it is dropped.
struct Handling<'a>(&'a Track);

impl<'a> Handling<'a> {
    fn begin(track: &'a Track, attempt: u32) -> Handling<'a> {
        assert!(!track.going.swap(true, Ordering::SeqCst), "two handlings at once");
        let before = track.begun.fetch_add(1, Ordering::SeqCst);
        assert_eq!(attempt, before + 1, "the attempt's number");
        Handling(track)
    }
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.0.going.store(false, Ordering::SeqCst);
    }
}

/// A world in which things go wrong by the simulator's dice.
#[derive(Clone)]
struct World {
    sim: Sim,
    tracks: Arc<Vec<Track>>,
    /// Asserts in handlers are caught like any panic, so they are noted here too.
    wrong: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new(sim: &Sim) -> World {
        let tracks = (0..MESSAGES).map(|_| Track::default()).collect();
        World { sim: sim.clone(), tracks: Arc::new(tracks), wrong: Arc::default() }
    }

    fn dice(&self, sides: u64) -> u64 {
        self.sim.random() % sides
    }

    fn begin(&self, message: &Message<u64>) -> Handling<'_> {
        let track = &self.tracks[**message as usize];
        let begun = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Handling::begin(track, message.attempt())
        }));
        begun.unwrap_or_else(|_| {
            let text = format!("message {} attempt {}", **message, message.attempt());
            self.wrong.lock().unwrap().push(text);
            Handling(track)
        })
    }

    fn well(&self, message: &Message<u64>) {
        self.tracks[**message as usize].done.fetch_add(1, Ordering::SeqCst);
    }
}

struct Shaky(World);

impl Consumer<u64> for Shaky {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        let world = &self.0;
        let _handling = world.begin(message);
        match world.dice(20) {
            0 => panic!("at once"),
            1 => {
                world.sim.sleep(LIMIT / 7).await;
                panic!("after a while")
            }
            2 => std::future::pending::<()>().await,
            3 => return Err(Fault::new("an error")),
            4 => return Ok(Outcome::RetryAfter(LIMIT / 3)),
            5 => world.sim.sleep(LIMIT / 2).await,
            6 => give_way().await,
            _ => {}
        }
        world.well(message);
        Ok(Outcome::Ack)
    }

    async fn started(&mut self) -> Result<(), Fault> {
        match self.0.dice(12) {
            0 => Err(Fault::new("no start")),
            1 => panic!("no start"),
            2 => {
                self.0.sim.sleep(LIMIT / 4).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Shaky {
    fn drop(&mut self) {
        assert!(self.0.dice(10) > 0 || std::thread::panicking(), "in the drop");
    }
}

/// Pulls, and treats deliveries as badly as it may, until the world's messages are all handled.
async fn pull(world: World, mut stream: DeliveryStream<u64>) {
    let mut kept = Vec::new();
    while let Some(delivery) = stream.next().await {
        // A delivery that is kept too long may come to another meanwhile; so none is noted as being handled.
        let track = &world.tracks[**delivery as usize];
        let before = track.begun.fetch_add(1, Ordering::SeqCst);
        if delivery.attempt() != before + 1 {
            let text = format!("pulled {} attempt {}, not {}", **delivery, delivery.attempt(), before + 1);
            world.wrong.lock().unwrap().push(text);
        }
        match world.dice(10) {
            0 => drop(delivery),
            1 => delivery.release().unwrap(),
            2 => delivery.nack("no").unwrap(),
            3 => kept.push(delivery),
            4 => {
                world.sim.sleep(LIMIT / 3).await;
                kept.clear();
                if delivery.ack().is_ok() {
                    track.done.fetch_add(1, Ordering::SeqCst);
                }
            }
            5 => {
                world.sim.sleep(LIMIT * 3).await;
                if delivery.ack().is_ok() {
                    track.done.fetch_add(1, Ordering::SeqCst);
                }
            }
            _ => {
                delivery.ack().unwrap();
                track.done.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

async fn look_at_the_books(sim: Sim, group: Group) {
    while let Ok(stats) = group.stats().await {
        let stats = balanced(stats);
        assert!(stats.acked <= MESSAGES, "{stats:?}");
        sim.sleep(Duration::from_micros(sim.random() % 20_000)).await;
    }
}

fn check(world: &World) {
    assert_eq!(*world.wrong.lock().unwrap(), Vec::<String>::new());
    for (n, track) in world.tracks.iter().enumerate() {
        assert_eq!(track.done.load(Ordering::SeqCst), 1, "message {n} is handled well once");
    }
}

#[test]
fn handlers_that_fail_in_every_way_never_hold_a_message_together_and_lose_none() {
    every::seed(150, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("numbers").capacity(50).open().await.unwrap();
        let world = World::new(&sim);
        let retry = Retry::new(Backoff::exponential(LIMIT / 50, LIMIT).jitter(0.5)).max_attempts(ATTEMPTS);
        let group = topic.group("g").consumers(3).prefetch(16).ack_timeout(LIMIT).retry(retry);
        let group =
            group.restart_backoff(Backoff::fixed(LIMIT / 10)).intensity(Intensity::new(10_000, LIMIT));
        let kept = world.clone();
        let group = group.run_with(move || Shaky(kept.clone())).await.unwrap();
        let books = every::spawn("books", look_at_the_books(sim.clone(), group.clone()));
        for n in 0..MESSAGES {
            topic.publish(n).await.unwrap();
        }
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        check(&world);
        let begun: u32 = world.tracks.iter().map(|track| track.begun.load(Ordering::SeqCst)).sum();
        assert_eq!(stats.acked, MESSAGES);
        assert_eq!(stats.failures, u64::from(begun) - MESSAGES);
        assert_eq!(stats.redeliveries, u64::from(begun) - MESSAGES);
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
        books.await;
    });
}

#[test]
fn handlers_and_pullers_together_settle_each_message_once() {
    every::seed(150, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("numbers").capacity(50).open().await.unwrap();
        let world = World::new(&sim);
        let retry = Retry::new(Backoff::exponential(LIMIT / 50, LIMIT).jitter(0.5)).max_attempts(ATTEMPTS);
        let open = || topic.group("g").prefetch(8).ack_timeout(LIMIT).retry(retry);
        for _ in 0..2 {
            let stream = open().stream().await.unwrap();
            drop(every::spawn("puller", pull(world.clone(), stream)));
        }
        // One that comes and goes.
        let (other, clock) = (topic.clone(), world.clone());
        drop(every::spawn("guest", async move {
            loop {
                let Ok(mut stream) = other.group("g").stream().await else { break };
                clock.sim.sleep(Duration::from_micros(clock.dice(30_000))).await;
                for _ in 0..clock.dice(4) {
                    use futures::FutureExt as _;
                    let Some(Some(delivery)) = stream.next().now_or_never() else { break };
                    clock.tracks[**delivery as usize].begun.fetch_add(1, Ordering::SeqCst);
                    drop(delivery);
                }
                drop(stream);
                clock.sim.sleep(Duration::from_micros(clock.dice(30_000))).await;
            }
        }));
        let kept = world.clone();
        let group = topic.group("g").run_with(move || Quiet(kept.clone())).await.unwrap();
        let books = every::spawn("books", look_at_the_books(sim.clone(), group.clone()));
        for n in 0..MESSAGES {
            topic.publish(n).await.unwrap();
        }
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        check(&world);
        assert_eq!((stats.acked, stats.in_flight, stats.dead_lettered), (MESSAGES, 0, 0));
        let begun: u32 = world.tracks.iter().map(|track| track.begun.load(Ordering::SeqCst)).sum();
        assert_eq!(stats.redeliveries, u64::from(begun) - MESSAGES);
        broker.shutdown().await;
        books.await;
    });
}

/// A handler beside pullers: what they keep too long may be handled by it, so it checks attempts only.
struct Quiet(World);

impl Consumer<u64> for Quiet {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        let world = &self.0;
        let track = &world.tracks[**message as usize];
        let before = track.begun.fetch_add(1, Ordering::SeqCst);
        if message.attempt() != before + 1 {
            world.wrong.lock().unwrap().push(format!("{} attempt {}", **message, message.attempt()));
        }
        match world.dice(6) {
            0 => panic!("at once"),
            1 => std::future::pending::<()>().await,
            2 => world.sim.sleep(LIMIT / 2).await,
            _ => {}
        }
        world.well(message);
        Ok(Outcome::Ack)
    }
}

#[test]
fn on_real_threads_no_message_is_held_by_two_and_none_is_lost() {
    every::runtime(|| async {
        let messages = some(3000);
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("numbers").capacity(64).open().await.unwrap();
        let tracks: Arc<Vec<Track>> = Arc::new((0..messages).map(|_| Track::default()).collect());
        let wrong: Arc<AtomicU32> = Arc::default();
        let group = topic.group("g").consumers(4).retry(Retry::immediately().max_attempts(ATTEMPTS));
        let group = group.with((tracks.clone(), wrong.clone()));
        type State = (Arc<Vec<Track>>, Arc<AtomicU32>);
        let handle = async |message: Message<u64>, (tracks, wrong): State| {
            let track = &tracks[*message as usize];
            let handling = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Handling::begin(track, message.attempt())
            }));
            if handling.is_err() {
                wrong.fetch_add(1, Ordering::SeqCst);
            }
            match (*message + u64::from(message.attempt()) * 7) % 11 {
                0 => panic!("at once"),
                1 => {
                    give_way().await;
                    panic!("after a while")
                }
                2 => return Err(Fault::new("an error")),
                3 | 4 => give_way().await,
                _ => {}
            }
            track.done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let group = group.run(handle).await.unwrap();
        for n in 0..messages {
            topic.publish(n).await.unwrap();
            if n % 100 == 0 {
                balanced(group.stats().await.unwrap());
            }
        }
        topic.settled().await.unwrap();
        assert_eq!(wrong.load(Ordering::SeqCst), 0);
        assert!(tracks.iter().all(|track| track.done.load(Ordering::SeqCst) == 1));
        let begun: u32 = tracks.iter().map(|track| track.begun.load(Ordering::SeqCst)).sum();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.redeliveries), (messages, u64::from(begun) - messages));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn what_is_taken_back_from_a_busy_thread_is_handled_once() {
    every::threads(async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("numbers").capacity(4000).hold().open().await.unwrap();
        let tracks: Arc<Vec<Track>> = Arc::new((0..4000).map(|_| Track::default()).collect());
        let kept = tracks.clone();
        let rt = every::current();
        let group = topic.group("g").consumers(4).run_fn(move |message: &Message<u64>| {
            let _handling = Handling::begin(&kept[**message as usize], message.attempt());
            // Most are quick, so that leases are large; some take longer than a lease may be kept from an idle one.
            if **message % 500 == 250 {
                let until = rt.now() + Duration::from_millis(15);
                while rt.now() < until {
                    std::hint::spin_loop();
                }
            }
            Ok(())
        });
        let group = group.await.unwrap();
        topic.publish_all(0..4000).await.unwrap();
        topic.release();
        topic.settled().await.unwrap();
        assert!(tracks.iter().all(|track| track.begun.load(Ordering::SeqCst) == 1));
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.redeliveries, stats.refused), (4000, 0, 0, 0));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}
