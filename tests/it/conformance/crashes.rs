//! Does a crash cost the message it came from one attempt, and nothing at all its neighbours and the other consumers?
//! (G6, G8, G11, G14, G15)

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use callboard::broker::{DeadReason, GroupState};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::StreamExt as _;
use futures::channel::oneshot;

use super::kit::open;
use crate::every;
use crate::seen::{Gate, Seen, balanced, give_way};

/// One incarnation of a consumer, with a number of its own.
struct Numbered {
    number: u32,
    play: Play,
}

/// What all consumers share: message 0 crashes the one that has it, while each of the others is in the middle of a
/// message of its own.
#[derive(Clone)]
struct Play {
    /// Which incarnation handled which message, at which attempt.
    log: Arc<Mutex<Vec<(u32, u64, u32)>>>,
    held: Arc<AtomicU32>,
    gate: Gate,
}

const CONSUMERS: u32 = 4;

impl Consumer<u64> for Numbered {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        let play = &self.play;
        play.log.lock().unwrap().push((self.number, **message, message.attempt()));
        match (**message, message.attempt()) {
            (0, 1) => {
                while play.held.load(Ordering::SeqCst) < CONSUMERS - 1 {
                    give_way_to_time().await;
                }
                panic!("on purpose")
            }
            (0, _) => play.gate.open(),
            _ if play.held.fetch_add(1, Ordering::SeqCst) < CONSUMERS - 1 => play.gate.pass().await,
            _ => {}
        }
        Ok(Outcome::Ack)
    }
}

/// Lets others run; in the simulator, where time stands still while somebody is ready, time too.
async fn give_way_to_time() {
    match Sim::current() {
        Some(sim) => sim.sleep(std::time::Duration::from_millis(1)).await,
        None => give_way().await,
    }
}

#[test]
fn a_crash_costs_its_message_one_attempt_and_no_other_consumer_notices() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let play = Play { log: Arc::default(), held: Arc::default(), gate: Gate::new() };
        let (made, shared) = (Arc::new(AtomicU32::new(0)), play.clone());
        let count = made.clone();
        let make = move || Numbered { number: count.fetch_add(1, Ordering::SeqCst), play: shared.clone() };
        let group = topic.group("g").consumers(CONSUMERS).prefetch(8).retry(Retry::immediately());
        let group = group.run_with(make).await.unwrap();
        topic.publish_all(0..32).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(made.load(Ordering::SeqCst), CONSUMERS + 1, "one was built again");
        let log = play.log.lock().unwrap().clone();
        let of = |n| log.iter().filter(|(_, message, _)| *message == n).collect::<Vec<_>>();
        let [(crashed, _, 1), (rebuilt, _, 2)] = of(0)[..] else { panic!("{log:?}") };
        assert!(*crashed < CONSUMERS && *rebuilt == CONSUMERS, "all others were busy: {log:?}");
        for n in 1..32 {
            assert!(matches!(of(n)[..], [(by, _, 1)] if by != crashed), "of {n}: {log:?}");
        }
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.redeliveries, stats.restarts), (32, 1, 1, 1));
        assert_eq!((stats.consumers, stats.state), (CONSUMERS as usize, GroupState::Running));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

/// A task that a handler waits for, and that ends without an answer.
async fn dies() -> Result<u64, oneshot::Canceled> {
    let (answer, end) = oneshot::channel::<u64>();
    let task = async move {
        let _answer = answer;
        // A task of the simulator that panics fails the test: there it only ends.
        assert!(Sim::current().is_some(), "on purpose");
    };
    every::current().spawn("dies", Box::pin(task));
    end.await
}

/// Ends in the way that the message's number stands for.
async fn ends_badly(message: Message<u64>, broker: Broker) -> Result<(), Fault> {
    match *message {
        0 => panic!("a text"),
        1 => panic!("a text with {}", *message),
        2 => std::panic::panic_any(2_u8),
        3 => std::panic::resume_unwind(Box::new("thrown on")),
        4 => assert_eq!(*message, 5, "not equal"),
        5 => return Err(Fault::new("an error")),
        6 => return Err(std::io::Error::other("an error of a library").into()),
        7 => drop(broker.find_topic::<u64>("nowhere")?),
        8 => drop(broker.find_topic::<String>("numbers")?),
        9 => drop(dies().await?),
        10 => {
            give_way().await;
            panic!("after an await")
        }
        _ => {}
    }
    Ok(())
}

const WAYS_TO_END: u64 = 11;

#[test]
fn whatever_ends_a_handler_is_told_by_its_dead_letter_and_its_neighbours_are_acked() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let dead = broker.topic::<DeadLetter>("numbers.g.dead").open().await.unwrap();
        let mut letters = dead.group("clerk").stream().await.unwrap();
        let group = topic.group("g").retry(Retry::none()).with(broker.clone());
        let group = group.run(ends_badly).await.unwrap();
        // Each of them between two that are fine.
        let messages = (0..WAYS_TO_END).flat_map(|n| [100 + n, n, 200 + n]);
        topic.publish_all(messages).await.unwrap();
        let mut told = Vec::new();
        for _ in 0..WAYS_TO_END {
            let letter = letters.next().await.unwrap();
            assert_eq!((letter.attempts(), letter.reason()), (1, &DeadReason::TooManyAttempts));
            told.push((*letter.message::<u64>().unwrap(), letter.error().unwrap().to_string()));
            letter.ack().unwrap();
        }
        told.sort();
        let texts: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts[4].lines().next(), Some("panicked: assertion `left == right` failed: not equal"));
        assert_eq!(
            [&texts[..4], &texts[5..]].concat(),
            [
                "panicked: a text",
                "panicked: a text with 1",
                "panicked: a panic whose payload is not a text",
                "panicked: thrown on",
                "an error",
                "an error of a library",
                "there is no topic nowhere",
                "not opened: the messages of topic numbers are u64, not alloc::string::String",
                "oneshot canceled",
                "panicked: after an await",
            ]
        );
        topic.settled().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.dead_lettered), (2 * WAYS_TO_END, WAYS_TO_END));
        assert_eq!((stats.restarts, stats.consumers, stats.state), (6, 1, GroupState::Running));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn a_clerk_who_crashes_over_a_dead_letter_gets_it_again_and_may_send_it_back_mended() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let seen = Seen::default();
        let log = seen.clone();
        let handle = move |n: &Message<u64>| {
            log.note(n);
            if **n < 100 { Err(Fault::new("too small")) } else { Ok(()) }
        };
        let group = topic.group("g").retry(Retry::none()).run_fn(handle).await.unwrap();
        let dead = broker.find_topic::<DeadLetter>("numbers.g.dead").unwrap();
        let clerk = dead.group("clerk").retry(Retry::immediately()).with(topic.clone());
        let mend = async |letter: Message<DeadLetter>, topic: Topic<u64>| {
            assert!(letter.attempt() > 1, "on purpose");
            topic.publish(*letter.message::<u64>().unwrap() + 100).await?;
            Ok(())
        };
        let clerk = clerk.run(mend).await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        broker.idle().await.unwrap();
        assert_eq!(seen.sorted(), (0..20).chain(100..120).collect::<Vec<_>>());
        assert!(seen.all().iter().all(|(_, attempt)| *attempt == 1), "a mended one is a new message");
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.acked, stats.dead_lettered), (20, 20));
        let stats = balanced(clerk.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.restarts), (20, 20, 20));
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn a_group_that_crashes_at_every_message_does_not_disturb_one_that_does_not() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let (seen, sum) = (Seen::default(), Arc::new(AtomicU64::new(0)));
        let (log, total) = (seen.clone(), sum.clone());
        let crashes = move |n: &Message<u64>| {
            log.note(n);
            assert!(n.attempt() > 2, "on purpose");
            Ok(())
        };
        let group = topic.group("crashes").consumers(2).retry(Retry::immediately());
        let crashing = group.run_fn(crashes).await.unwrap();
        let adds = move |n: &Message<u64>| {
            total.fetch_add(**n, Ordering::Relaxed);
            Ok(())
        };
        let steady = topic.group("steady").run_fn(adds).await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        (0..100).for_each(|n| assert_eq!(seen.attempts(n), [1, 2, 3], "of {n}"));
        let stats = balanced(crashing.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.restarts), (100, 200, 200));
        let stats = balanced(steady.stats().await.unwrap());
        assert_eq!((stats.acked, stats.failures, stats.restarts, stats.redeliveries), (100, 0, 0, 0));
        assert_eq!(sum.load(Ordering::Relaxed), 4950);
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}
