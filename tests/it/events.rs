//! Does whoever listens hear what a broker does, in order, and hold nobody up? (G2, G11, G14, G17, G18, G25)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard::base::Name;
use callboard::broker::{
    Breaker, BreakerState, DeadReason, Event, Events, GroupState, WhyBlocked, WhyDropped,
};
use callboard::prelude::*;
use callboard::supervise::{Backoff, Intensity};
use futures::{FutureExt as _, StreamExt as _};

use crate::every;
use crate::kit::{Valve, secs, stays_pending, until, valved};

/// All that is told until the stream ends.
async fn rest(events: Events) -> Vec<Event> {
    events.collect().await
}

/// What there is now.
fn heard(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
}

fn told(events: &[Event], is: impl Fn(&Event) -> bool) -> usize {
    events.iter().filter(|event| is(event)).count()
}

fn texts(events: &[Event]) -> Vec<String> {
    events.iter().map(ToString::to_string).collect()
}

#[test]
fn openings_deletions_and_the_steps_of_the_shutdown_are_told_in_order() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let mut events = broker.events();
        let orders = broker.topic::<u32>("orders").capacity(8).open().await.unwrap();
        broker.topic::<u32>("orders").open().await.unwrap();
        let billing = orders.group("billing").run_fn(|_| Ok(())).await.unwrap();
        orders.group("billing").run_fn(|_| Ok(())).await.unwrap();
        billing.delete().await.unwrap();
        orders.publish(7).await.unwrap();
        orders.delete().await.unwrap();
        let opened = [
            "topic orders opened, for 8 of u32",
            "topic orders.billing.dead opened, for 1024 of callboard::broker::dead_letter::DeadLetter",
            "group orders.billing opened",
            "group orders.billing deleted, 0 lost",
            "topic orders deleted, 1 lost",
        ];
        assert_eq!(texts(&heard(&mut events)), opened);
        let kept = broker.topic::<u32>("kept").open().await.unwrap();
        kept.publish_all([1, 2]).await.unwrap();
        broker.shutdown_within(secs(9)).await;
        let ended = rest(events).await;
        let (last, steps) = ended.split_last().unwrap();
        assert!(matches!(last, Event::BrokerStopped { lost: 2, timed_out: false, .. }), "{last:?}");
        let steps = texts(steps);
        assert_eq!(
            steps,
            [
                "topic kept opened, for 1024 of u32",
                "drain began, for at most 9s",
                "all topics are quiet",
                "topic kept stopped, 2 lost",
                "topic orders.billing.dead stopped, 0 lost"
            ]
        );
        assert_eq!(rest(broker.events()).await, [], "after the end nothing comes");
    });
}

/// G25
#[test]
fn restarts_dead_letters_and_drops_are_told_as_the_stats_count_them() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let events = broker.events();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let group = topic.group("g").consumers(3).retry(Retry::immediately().max_attempts(2));
        let group = group.run_outcome(async |n: Message<u64>| match *n % 5 {
            0 => panic!("on purpose"),
            1 => Outcome::Drop,
            2 => Outcome::DeadLetter("unwanted".into()),
            _ => Outcome::Ack,
        });
        let group = group.await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        broker.shutdown().await;
        let events = rest(events).await;
        assert_eq!(
            stats.restarts,
            told(&events, |event| matches!(event, Event::ConsumerRestarted { .. })) as u64
        );
        let dead = |wanted: &DeadReason| {
            told(&events, |event| matches!(event, Event::DeadLetter { reason, .. } if reason == wanted))
        };
        assert_eq!(
            (dead(&DeadReason::TooManyAttempts), dead(&DeadReason::Rejected("unwanted".into()))),
            (20, 20)
        );
        assert_eq!(stats.dead_lettered, 40);
        let dropped = events.iter().filter_map(|event| match event {
            Event::Dropped { why: WhyDropped::ByHandler, messages, group: Some(_), .. } => Some(*messages),
            _ => None,
        });
        assert_eq!((dropped.sum::<u64>(), stats.dropped), (20, 20));
    });
}

/// G3, G25
#[test]
fn what_leaves_by_a_limit_is_told_with_the_limit_and_as_the_stats_count_it() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let events = broker.events();
        let full =
            broker.topic::<u64>("full").capacity(2).overflow(Overflow::DropOldest).open().await.unwrap();
        full.publish_all(0..5).await.unwrap();
        assert_eq!(full.stats().await.unwrap().evicted, 3);
        let newest =
            broker.topic::<u64>("newest").capacity(1).overflow(Overflow::DropNewest).open().await.unwrap();
        newest.publish(1).await.unwrap();
        newest.publish(2).await.unwrap_err();
        newest.publish_all(3..6).await.unwrap_err();
        // Of a stage, and of a schedule.
        let inputs = broker.topic::<u64>("inputs").open().await.unwrap();
        inputs.group("stage").forward_to(&newest).run_fn(|n| Ok([**n])).await.unwrap();
        inputs.publish(6).await.unwrap();
        inputs.settled().await.unwrap();
        let later = broker.topic::<u64>("later").delay_capacity(1).overflow(Overflow::DropNewest);
        let later = later.open().await.unwrap();
        later.publish_after(secs(3600), 1).await.unwrap();
        later.publish_after(secs(3600), 2).await.unwrap_err();
        let old = broker.topic::<u64>("old").ttl(secs(1)).open().await.unwrap();
        old.publish(1).await.unwrap();
        sim.sleep(secs(3)).await;
        let valve = Valve::shut();
        let group = old.group("g").prefetch(1).with(valve.clone());
        let group = group.run(async |n: Message<u64>, valve: Valve| {
            valve.pass(*n).await;
            Ok(())
        });
        let group = group.await.unwrap();
        old.publish_all([1, 2, 3]).await.unwrap();
        sim.sleep(secs(3)).await;
        valve.open();
        let behind = broker.topic::<u64>("behind").hold().open().await.unwrap();
        let lags = behind.group("g").max_lag(4).run_fn(|_| Ok(())).await.unwrap();
        behind.publish_all(0..10).await.unwrap();
        behind.release();
        broker.idle().await.unwrap();
        let (expired, skipped) = (group.stats().await.unwrap().expired, lags.stats().await.unwrap().skipped);
        broker.shutdown().await;
        let events = rest(events).await;
        let sum = |of: &str, by: Option<&str>, wanted: WhyDropped| {
            let dropped = events.iter().filter_map(|event| match event {
                Event::Dropped { topic, group, why, messages } if topic.as_str() == of && *why == wanted => {
                    assert_eq!(group.as_ref().map(Name::as_str), by);
                    Some(*messages)
                }
                _ => None,
            });
            dropped.sum::<u64>()
        };
        assert_eq!(sum("full", None, WhyDropped::Evicted), 3);
        assert_eq!([sum("newest", None, WhyDropped::Newest), sum("later", None, WhyDropped::Newest)], [5, 1]);
        let in_all = |of| events.iter().filter(|event| event.to_string().starts_with(of)).count();
        assert_eq!(in_all("old dropped 1: past their time"), 1, "there was no group");
        assert!(in_all("old.g dropped") >= 1 && expired == 2, "{expired}");
        assert!(skipped >= 1, "{skipped}");
        assert_eq!(sum("behind", Some("g"), WhyDropped::Skipped), skipped);
    });
}

struct Refuses;

impl Consumer<u64> for Refuses {
    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        Ok(Outcome::Ack)
    }

    async fn started(&mut self) -> Result<(), Fault> {
        Err(Fault::new("no connection"))
    }
}

/// G14
#[test]
fn a_consumer_that_can_not_be_built_and_the_failure_of_its_group_are_told_with_the_error() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let mut events = broker.events();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let group = topic.group("g").intensity(Intensity::new(2, secs(60)));
        let group = group.restart_backoff(Backoff::fixed(secs(1))).run_with(|| Refuses).await.unwrap();
        until(&group, |stats| stats.state == GroupState::Failed).await;
        sim.settle().await;
        let texts = texts(&heard(&mut events));
        assert_eq!(
            texts[3..],
            [
                "consumer 1 of t.g could not be built: no connection; again in 1s",
                "consumer 1 of t.g could not be built: no connection; again in 1s",
                "group t.g failed, its consumers can't be built: no connection",
            ]
        );
        assert_eq!(group.stats().await.unwrap().restarts, 3, "each of the three");
    });
}

/// G17
#[test]
fn publishers_that_are_blocked_and_free_again_are_told_once_each() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(1).open().await.unwrap();
        let valve = Valve::shut();
        valved(&topic, "g", &valve).await;
        topic.publish(1).await.unwrap();
        let mut events = broker.events();
        let mut waiting = Box::pin(topic.publish(2));
        assert!(stays_pending(&mut waiting, 3).await);
        sim.sleep(secs(20)).await;
        let by = topic.stats().await.unwrap().blocked_by.unwrap();
        assert_eq!((by.group.as_ref().map(Name::as_str), by.why), (Some("g"), WhyBlocked::Slow));
        let blocked = Event::PublishersBlocked { topic: topic.name().clone(), by };
        assert_eq!(heard(&mut events), [blocked]);
        valve.let_through(1);
        waiting.await.unwrap();
        sim.sleep(secs(20)).await;
        assert_eq!(heard(&mut events), [Event::PublishersUnblocked { topic: topic.name().clone() }]);
        valve.open();
    });
}

/// G11
#[test]
fn a_full_dead_letter_topic_and_a_redrive_are_told() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let group = topic.group("g").retry(Retry::none()).dead_letter_capacity(1);
        let group = group.run(async |_| Err(Fault::new("no"))).await.unwrap();
        let mut events = broker.events();
        topic.publish_all([1, 2]).await.unwrap();
        until(&group, |stats| stats.parked == 1).await;
        sim.settle().await;
        let parked = texts(&heard(&mut events));
        assert!(parked[0].contains("gave up") && parked[0].contains("after 1 attempts"), "{parked:?}");
        assert_eq!(parked[1..], ["t.g parks what it gives up: its dead-letter topic is full"]);
        let back = group.redrive().await.unwrap();
        sim.settle().await;
        let redriven =
            told(&heard(&mut events), |event| matches!(event, Event::Redriven { redrives: 1, .. }));
        assert_eq!((redriven as u64, back), (back, 1));
    });
}

/// G11
#[test]
fn a_group_that_is_paused_and_a_breaker_that_opens_and_closes_are_told_once_each() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let works = Arc::new(AtomicBool::new(false));
        let group = topic.group("h").breaker(Breaker::after(3).pause(secs(5)));
        let group = group.retry(Retry::immediately().max_attempts(100)).with(works.clone());
        let group = group.run(async |_, works: Arc<AtomicBool>| match works.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Fault::new("no")),
        });
        let group = group.await.unwrap();
        let mut events = broker.events();
        group.pause().await.unwrap();
        group.pause().await.unwrap();
        group.resume().await.unwrap();
        group.resume().await.unwrap();
        assert_eq!(texts(&heard(&mut events)), ["group t.h paused", "group t.h resumed"]);
        topic.publish(1).await.unwrap();
        while told(&heard(&mut events), |event| matches!(event, Event::BreakerOpened { .. })) == 0 {
            sim.sleep(secs(1)).await;
        }
        works.store(true, Ordering::Relaxed);
        until(&group, |stats| stats.acked == 1).await;
        sim.settle().await;
        let closed = told(&heard(&mut events), |event| matches!(event, Event::BreakerClosed { .. }));
        assert_eq!((closed, group.stats().await.unwrap().breaker.unwrap().state), (1, BreakerState::Closed));
    });
}

/// G2
#[test]
fn a_listener_that_does_not_listen_holds_nobody_up_and_hears_how_much_it_missed() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let (mut deaf, counts, all) =
            (broker.events_with_capacity(3), broker.events_with_capacity(0), broker.events());
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        topic.group("g").retry(Retry::none()).run(async |_| Err(Fault::new("no"))).await.unwrap();
        topic.publish_all(0..100).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(texts(&[deaf.next().await.unwrap()]), ["topic t opened, for 1024 of u64"]);
        broker.shutdown().await;
        let all = rest(all).await;
        let rest_of_deaf = rest(deaf).await;
        // What it kept, the gap, what found room again, and the gap at the end.
        assert_eq!(rest_of_deaf[..2], all[1..3]);
        let mut at = 3;
        for event in &rest_of_deaf[2..] {
            match event {
                Event::Missed { events } => at += *events as usize,
                event => {
                    assert_eq!(*event, all[at]);
                    at += 1;
                }
            }
        }
        assert_eq!(at, all.len(), "{rest_of_deaf:?}");
        assert_eq!(rest(counts).await, [Event::Missed { events: all.len() as u64 }]);
    });
}

#[test]
fn streams_come_and_go_and_each_hears_what_is_told_while_it_is_there() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let mut first = broker.events();
        broker.topic::<u64>("a").open().await.unwrap();
        let second = broker.events();
        broker.topic::<u64>("b").open().await.unwrap();
        assert_eq!(heard(&mut first).len(), 2);
        drop(first);
        broker.topic::<u64>("c").open().await.unwrap();
        drop(broker);
        // The last handle is gone: the stream does not keep the broker alive.
        let names = |event: &Event| match event {
            Event::TopicOpened { topic, .. } => Some(topic.to_string()),
            _ => None,
        };
        let heard = rest(second).await;
        assert_eq!(heard.iter().filter_map(names).collect::<Vec<_>>(), ["b", "c"]);
        assert!(matches!(heard.last(), Some(Event::BrokerStopped { .. })));
    });
}

#[test]
fn a_listener_in_a_task_of_its_own_is_woken_by_each_event() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let mut events = broker.events_with_capacity(1);
        let (say, said) = async_channel::bounded(8);
        let listens = every::spawn("listens", async move {
            while let Some(event) = events.next().await {
                say.send(event).await.unwrap();
            }
        });
        for name in ["a", "b"] {
            broker.topic::<u64>(name).open().await.unwrap();
            let event = said.recv().await.unwrap();
            assert!(matches!(event, Event::TopicOpened { topic, .. } if topic.as_str() == name));
        }
        broker.shutdown().await;
        listens.await;
    });
}
