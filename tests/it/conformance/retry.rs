//! Does a retry come no sooner than it was asked for, and does a message that is given up end in one place, once?
//! (G8, G11, G12)

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::base::Moment;
use callboard::broker::DeadReason;
use callboard::prelude::*;
use futures::{FutureExt as _, StreamExt as _};

use super::kit::{next, open, value};
use crate::every;
use crate::kit::{millis, secs};
use crate::seen::{Seen, balanced, some};

/// What the groups below wait before a retry, unless they are told otherwise.
const BACKOFF: Duration = millis(2);

/// Notes when messages were asked to come again and how much later, and which of them came too early.
#[derive(Clone, Default)]
struct Diary {
    asked: Arc<Mutex<BTreeMap<u64, (Moment, Duration)>>>,
    early: Arc<Mutex<Vec<String>>>,
}

impl Diary {
    /// Answers for how long a message is to stay away: every third one does, once.
    fn put_off(&self, message: &Message<u64>) -> Option<Duration> {
        let (rt, n) = (every::current(), **message);
        let came = rt.now();
        let mut asked = self.asked.lock().unwrap();
        if n % 3 == 0 && message.attempt() == 1 {
            let delay = if n % 2 == 0 { BACKOFF } else { Duration::from_micros(n % 40 * 100) };
            asked.insert(n, (rt.now(), delay));
            return Some(delay);
        }
        let (since, delay) = asked.remove(&n)?;
        let away = came.since(since);
        if away < delay {
            self.early.lock().unwrap().push(format!("{n} was away for {away:?}, and not for {delay:?}"));
        }
        None
    }

    fn check(&self) {
        assert_eq!(*self.early.lock().unwrap(), Vec::<String>::new());
        assert!(self.asked.lock().unwrap().is_empty(), "each came");
    }
}

#[test]
fn a_pulled_message_stays_away_for_as_long_as_it_was_asked_to() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let diary = Diary::default();
        let mut pullers = Vec::new();
        for _ in 0..2 {
            let mut stream =
                topic.group("g").retry(Retry::fixed(BACKOFF)).prefetch(1000).stream().await.unwrap();
            let diary = diary.clone();
            pullers.push(every::spawn("puller", async move {
                while let Some(delivery) = stream.next().await {
                    match diary.put_off(&delivery) {
                        Some(BACKOFF) => delivery.nack("later").unwrap(),
                        Some(delay) => delivery.nack_after(delay).unwrap(),
                        None => delivery.ack().unwrap(),
                    }
                }
            }));
        }
        topic.publish_all(0..some(4000)).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(broker.shutdown().await.lost(), 0);
        futures::future::join_all(pullers).await;
        diary.check();
    });
}

#[test]
fn a_handled_message_stays_away_for_as_long_as_it_was_asked_to() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let diary = Diary::default();
        let group = topic.group("g").retry(Retry::fixed(BACKOFF)).consumers(2).with(diary.clone());
        let handle = async |message: Message<u64>, diary: Diary| match diary.put_off(&message) {
            Some(delay) if delay == BACKOFF => Outcome::Retry("later".to_string()),
            Some(delay) => Outcome::RetryAfter(delay),
            None => Outcome::Ack,
        };
        group.run_outcome(handle).await.unwrap();
        topic.publish_all(0..some(4000)).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(broker.shutdown().await.lost(), 0);
        diary.check();
    });
}

/// The ways in which an attempt fails here: the message's number picks one.
async fn fail(message: Message<u64>, seen: Seen) -> Outcome {
    seen.note(&message);
    match *message % 4 {
        0 => Outcome::Retry("on purpose".to_string()),
        1 => Outcome::RetryAfter(millis(3)),
        2 => Err(Fault::new("on purpose")).into(),
        _ => panic!("on purpose"),
    }
}

#[test]
fn after_its_last_attempt_a_message_is_once_among_the_dead_and_nowhere_else() {
    const MOST: u32 = 4;
    every::seed(20, |sim| async move {
        let (broker, topic) = open().await;
        let dead = broker.topic::<DeadLetter>("numbers.g.dead").open().await.unwrap();
        let mut letters = dead.group("clerk").stream().await.unwrap();
        let retry = Retry::exponential(millis(10), secs(1)).max_attempts(MOST);
        let (seen, open) = (Seen::default(), || topic.group("g").retry(retry).consumers(2));
        let group = open().with(seen.clone()).run_outcome(fail).await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        topic.settled().await.unwrap();
        let mut values = Vec::new();
        for _ in 0..20 {
            let letter = letters.next().await.unwrap();
            assert_eq!((letter.attempts(), letter.attempt()), (MOST, 1));
            assert_eq!(letter.reason(), &DeadReason::TooManyAttempts);
            values.push(*letter.message::<u64>().unwrap());
            letter.ack().unwrap();
        }
        values.sort_unstable();
        assert_eq!(values, (0..20).collect::<Vec<_>>());
        // Whoever comes later, and however late, gets none of it.
        let mut late = topic.group("g").stream().await.unwrap();
        sim.sleep(secs(3600)).await;
        assert!(late.next().now_or_never().is_none() && letters.next().now_or_never().is_none());
        (0..20).for_each(|n| assert_eq!(seen.attempts(n), [1, 2, 3, 4], "of {n}"));
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.dead_lettered, stats.failures, stats.redeliveries), (20, 80, 60));
        assert_eq!(dead.stats().await.unwrap().accepted, 20);
        assert_eq!((topic.stats().await.unwrap().unsettled, dead.stats().await.unwrap().unsettled), (0, 0));
    });
}

#[test]
fn a_cap_leads_to_dead_letters_though_nobody_named_them_and_they_wait_for_a_reader() {
    every::runtime(|| async {
        let (broker, topic) = open().await;
        let group = topic.group("g").retry(Retry::immediately().max_attempts(2));
        let group = group.run_fn(|_| Err(Fault::new("on purpose"))).await.unwrap();
        topic.publish_all(0..10).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(balanced(group.stats().await.unwrap()).dead_lettered, 10);
        let dead = broker.find_topic::<DeadLetter>("numbers.g.dead").unwrap();
        assert_eq!(dead.stats().await.unwrap().unsettled, 10, "nobody has read them");
        let mut letters = dead.group("late").stream().await.unwrap();
        for _ in 0..10 {
            letters.next().await.unwrap().ack().unwrap();
        }
        dead.settled().await.unwrap();
        assert_eq!(dead.stats().await.unwrap().unsettled, 0);
    });
}

#[test]
fn a_dead_letter_that_dies_too_leads_back_to_the_message_it_carries() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let group = topic.group("g").retry(Retry::none());
        group.run_fn(|_| Err(Fault::new("the first"))).await.unwrap();
        let dead = broker.find_topic::<DeadLetter>("numbers.g.dead").unwrap();
        let clerk = dead.group("clerk").retry(Retry::none());
        clerk.run_fn(|_| Err(Fault::new("the second"))).await.unwrap();
        let id = topic.publish(7).await.unwrap();
        let deader = broker.find_topic::<DeadLetter>("numbers.g.dead.clerk.dead").unwrap();
        let letter = deader.group("last").stream().await.unwrap().next().await.unwrap();
        assert_eq!((letter.error(), letter.original_topic()), (Some("the second"), dead.name()));
        let first = letter.message::<DeadLetter>().unwrap();
        assert_eq!((first.error(), first.original_topic()), (Some("the first"), topic.name()));
        assert_eq!((first.original_id(), *first.message::<u64>().unwrap()), (id, 7));
    });
}

#[test]
fn what_is_given_back_is_never_given_up() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let mut stream = topic.group("g").retry(Retry::none()).stream().await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        for attempt in 1..=50 {
            let mut held = Vec::new();
            for _ in 0..3 {
                held.push(next(&mut stream).await);
            }
            held.sort_by_key(|delivery| ***delivery);
            for (n, delivery) in (0..).zip(held) {
                assert_eq!(value(&delivery), (n, attempt));
                if attempt < 50 { delivery.release().unwrap() } else { delivery.ack().unwrap() }
            }
        }
        topic.settled().await.unwrap();
        let report = broker.shutdown().await;
        let stats = balanced(report.group("numbers", "g").unwrap().stats.clone());
        assert_eq!((stats.acked, stats.failures, stats.dead_lettered), (3, 0, 0));
    });
}
