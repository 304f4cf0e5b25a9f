//! Is it seen when publishers wait for long, and who they wait for? (G17)

use std::time::Duration;

use callboard::broker::{Blocked, WhyBlocked};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::SinkExt as _;

use crate::every;
use crate::kit::{Valve, millis, poll_once, secs, stays_pending, valved};

struct Never;

impl Consumer<u64> for Never {
    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        Ok(Outcome::Ack)
    }

    async fn started(&mut self) -> Result<(), Fault> {
        Err(Fault::new("no connection"))
    }
}

/// Opens a topic with room for two, fills it, lets a publisher wait for 6 seconds, and asks what for.
async fn blocked_by<F: Future>(sim: &Sim, open: impl FnOnce(Topic<u64>) -> F) -> Option<Blocked> {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>("t").capacity(2).open().await.unwrap();
    topic.group("good").run_fn(|_| Ok(())).await.unwrap();
    let kept = open(topic.clone()).await;
    topic.publish_all([1, 2]).await.unwrap();
    sim.sleep(secs(60)).await;
    assert_eq!(topic.stats().await.unwrap().blocked_by, None, "nobody waits");
    let mut waiting = Box::pin(topic.publish(3));
    assert!(stays_pending(&mut waiting, 3).await);
    sim.sleep(millis(4900)).await;
    assert_eq!(topic.stats().await.unwrap().blocked_by, None, "not for long");
    sim.sleep(millis(200)).await;
    assert!(poll_once(&mut waiting).await.is_pending());
    let blocked = topic.stats().await.unwrap().blocked_by;
    drop(kept);
    blocked
}

#[test]
fn a_topic_says_which_group_keeps_publishers_waiting_and_why() {
    every::seed(5, |sim| async move {
        let by = |why| Some((Some("bad".to_string()), why));
        let said = |blocked: Option<Blocked>| {
            blocked.map(|blocked| (blocked.group.map(|group| group.to_string()), blocked.why))
        };
        let slow = async |topic: Topic<u64>| valved(&topic, "bad", &Valve::shut()).await;
        assert_eq!(said(blocked_by(&sim, slow).await), by(WhyBlocked::Slow));
        let deserted = async |topic: Topic<u64>| drop(topic.group("bad").stream().await.unwrap());
        assert_eq!(said(blocked_by(&sim, deserted).await), by(WhyBlocked::NoConsumer));
        let failed = async |topic: Topic<u64>| topic.group("bad").run_with(|| Never).await.unwrap();
        assert_eq!(said(blocked_by(&sim, failed).await), by(WhyBlocked::Failed));
        let full = async |topic: Topic<u64>| {
            let group = topic.group("bad").retry(Retry::none()).dead_letter_capacity(1);
            let group = group.run_fn(|_| Err(Fault::new("no"))).await.unwrap();
            topic.publish(0).await.unwrap();
            topic.settled().await.unwrap();
            group
        };
        assert_eq!(said(blocked_by(&sim, full).await), by(WhyBlocked::DeadLettersFull));
        let held = async |topic: Topic<u64>| topic.hold();
        assert_eq!(said(blocked_by(&sim, held).await), Some((None, WhyBlocked::Held)));
        // A group that stands still is named before one that is slow.
        let two = async |topic: Topic<u64>| {
            drop(topic.group("bad").stream().await.unwrap());
            valved(&topic, "slow", &Valve::shut()).await
        };
        assert_eq!(said(blocked_by(&sim, two).await), by(WhyBlocked::NoConsumer));
    });
}

#[test]
fn a_topic_without_a_group_says_so_and_is_free_again_when_one_comes() {
    every::seed(5, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(1).open().await.unwrap();
        topic.publish(1).await.unwrap();
        let mut waiting = Box::pin(topic.publish(2));
        assert!(stays_pending(&mut waiting, 3).await);
        sim.sleep(secs(6)).await;
        let blocked = topic.stats().await.unwrap().blocked_by.unwrap();
        assert_eq!((blocked.group, blocked.why), (None, WhyBlocked::NoGroup));
        let valve = Valve::shut();
        valved(&topic, "g", &valve).await;
        valve.let_through(1);
        waiting.await.unwrap();
        assert_eq!(topic.stats().await.unwrap().blocked_by, None);
        // And blocked again, for the next one that waits in vain.
        let mut waiting = Box::pin(topic.publish(3));
        assert!(stays_pending(&mut waiting, 3).await);
        sim.sleep(secs(11)).await;
        assert_eq!(topic.stats().await.unwrap().blocked_by.unwrap().why, WhyBlocked::Slow);
        drop(waiting);
        valve.open();
        topic.settled().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().blocked_by, None);
    });
}

#[test]
fn a_line_that_moves_is_not_blocked() {
    every::seed(5, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(1).open().await.unwrap();
        let valve = Valve::shut();
        valved(&topic, "g", &valve).await;
        let publisher = topic.clone();
        let all = every::spawn("publisher", async move { publisher.publish_all(0..10).await });
        for _ in 0..10 {
            sim.sleep(secs(3)).await;
            assert_eq!(topic.stats().await.unwrap().blocked_by, None);
            valve.let_through(1);
        }
        all.await.unwrap();
        topic.settled().await.unwrap();
    });
}

/// How a message comes to wait for a topic that drops its oldest, which consumers hold.
#[derive(Clone, Copy)]
enum By {
    Sink,
    Delay,
}

/// Makes the message 2 wait while the message 1 is handled; answers the topic and its group.
async fn waits_behind_one(sim: &Sim, broker: &Broker, by: By, takes: Duration) -> (Topic<u64>, Group) {
    let open = broker.topic::<u64>("t").capacity(1).overflow(Overflow::DropOldest);
    let topic = open.open().await.unwrap();
    let group = topic.group("g").ack_timeout(secs(1000)).retry(Retry::fixed(secs(1)).max_attempts(u32::MAX));
    let handle = async |n: Message<u64>, (sim, takes): (Sim, Duration)| {
        if *n == 1 {
            sim.sleep(takes).await;
            return Err(Fault::new("as ever"));
        }
        Ok(())
    };
    let group = group.with((sim.clone(), takes)).run(handle).await.unwrap();
    topic.publish(1).await.unwrap();
    sim.sleep(millis(50)).await;
    match by {
        By::Sink => {
            let mut sink = topic.sink();
            drop(every::spawn("sink", async move { sink.send(2).await.unwrap() }));
        }
        By::Delay => drop(topic.publish_after(millis(1), 2).await.unwrap()),
    }
    (topic, group)
}

/// G17: who is told that there is nothing to evict, and waits all the same, is seen.
#[test]
fn what_waits_for_a_topic_whose_oldest_is_held_is_seen() {
    for by in [By::Sink, By::Delay] {
        every::seed(10, move |sim| async move {
            let sim = sim.without_slips();
            let broker = Broker::start().unwrap();
            let (topic, _) = waits_behind_one(&sim, &broker, by, secs(100)).await;
            sim.sleep(secs(7)).await;
            let blocked = topic.stats().await.unwrap().blocked_by.unwrap();
            assert_eq!((blocked.group.unwrap().as_str(), blocked.why), ("g", WhyBlocked::Slow));
        });
    }
}

/// G3: the oldest is held one time in ten, and in its backoff else.
#[test]
fn what_waits_for_a_topic_whose_oldest_was_held_comes_in_later() {
    for by in [By::Sink, By::Delay] {
        every::seed(10, move |sim| async move {
            let sim = sim.without_slips();
            let broker = Broker::start().unwrap();
            let (topic, group) = waits_behind_one(&sim, &broker, by, millis(100)).await;
            sim.sleep(secs(7)).await;
            assert_eq!((topic.stats().await.unwrap().evicted, group.stats().await.unwrap().acked), (1, 1));
        });
    }
}
