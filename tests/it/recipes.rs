//! Do the recipes of docs/recipes.md hold, and end, where their text says so beside the code? (G1, G3, G8, G11, G17, G18)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::base::Moment;
use callboard::broker::{Breaker, RateLimit};
use callboard::prelude::*;
use callboard::sim::{self, Sim};
use futures::StreamExt as _;

use crate::every;
use crate::kit::{secs, until};
use crate::seen::{Seen, balanced};

async fn failing(topic: &Topic<u64>, letters: usize) -> Group {
    let group = topic.group("g").retry(Retry::none()).dead_letter_capacity(letters);
    group.run(async |n| if n.redrives() > 0 { Ok(()) } else { Err(Fault::new("no")) }).await.unwrap()
}

/// G1
#[test]
fn relays_that_race_through_the_same_rows_take_each_once_and_in_order() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("events").capacity(4).open().await.unwrap();
        let seen = Seen::default();
        let reader = topic.group("g").with(seen.clone());
        reader
            .run(async |event, seen: Seen| {
                seen.note(&event);
                Ok(())
            })
            .await
            .unwrap();
        let relay = |from: u64| {
            let topic = topic.clone();
            every::spawn("relay", async move {
                for row in from..100 {
                    topic.message(row).dedup_key(row.to_be_bytes()).publish().await.unwrap();
                }
            })
        };
        let relays: Vec<_> = [0, 0, 0].map(relay).into();
        futures::future::join_all(relays).await;
        topic.settled().await.unwrap();
        assert_eq!(seen.values(), (0..100).collect::<Vec<_>>());
        assert_eq!(topic.stats().await.unwrap().repeated, 200);
    });
}

/// Answers each number, and publishes it if it has a topic.
struct Clerk(Option<Topic<u64>>);

type Asked = (u64, Reply<Result<u64, Fault>>);

impl Actor for Clerk {
    type Message = Asked;

    async fn handle(&mut self, (n, reply): Asked, _: &mut Context<Asked>) -> Result<(), Fault> {
        let published = match &self.0 {
            Some(topic) => topic.publish(n).await.map(|_| n).map_err(Fault::from),
            None => Ok(n),
        };
        drop(reply.send(published));
        Ok(())
    }
}

/// G18: an actor is no handler. What it publishes is refused as everybody's; what its group publishes for it is not.
#[test]
fn while_the_broker_drains_an_actors_answers_go_onward_and_its_own_publishes_do_not() {
    for (itself, lets_through) in [(false, 20), (true, 0)] {
        sim::seeds(0..20, move |broker| async move {
            let system = System::start().unwrap();
            let topic = broker.topic::<u64>("in").open().await.unwrap();
            let onward = broker.topic::<u64>("out").open().await.unwrap();
            let seen = Seen::default();
            let reader = onward.group("g").with(seen.clone());
            reader
                .run(async |n, seen: Seen| {
                    seen.note(&n);
                    Ok(())
                })
                .await
                .unwrap();
            let clerk = system.spawn(Clerk(itself.then(|| onward.clone())));
            let group = topic.group("g").retry(Retry::none()).forward_to(&onward);
            let ask = async |n: Message<u64>, (sim, clerk, onward): (Sim, Address<Asked>, bool)| {
                sim.sleep(secs(1)).await;
                let answer = clerk.ask(|reply| (*n, reply)).await?;
                answer.map(|n| onward.then_some(n))
            };
            group.with((broker.sim().clone(), clerk, !itself)).run(ask).await.unwrap();
            // No handler asks before the drain has begun.
            topic.publish_all(0..20).await.unwrap();
            let report = broker.shutdown().await;
            assert_eq!(seen.all().len(), lets_through);
            let of = report.group("in", "g").unwrap();
            assert_eq!(of.stats.acked, lets_through as u64, "{report:?}");
        });
    }
}

/// G3, G11
#[test]
fn letters_that_a_reader_holds_are_not_evicted_and_what_is_given_up_parks() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let dead = broker.topic::<DeadLetter>("t.g.dead").capacity(2).overflow(Overflow::DropOldest);
        let dead = dead.open().await.unwrap();
        let mut reader = dead.group("reader").stream().await.unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let group = failing(&topic, 1).await;
        topic.publish(0).await.unwrap();
        let first = reader.next().await.unwrap();
        topic.publish(1).await.unwrap();
        let second = reader.next().await.unwrap();
        let mut held = std::collections::VecDeque::from([first, second]);
        // One at a time: of two that come, one may make room for the other before the reader holds it.
        for n in [2, 3] {
            topic.publish(n).await.unwrap();
            until(&group, |stats| stats.parked == 1).await;
            assert_eq!(dead.stats().await.unwrap().evicted, 0);
            held.pop_front().unwrap().ack().unwrap();
            let letter = reader.next().await.unwrap();
            assert_eq!(letter.original_id().offset(), n);
            held.push_back(letter);
        }
        held.into_iter().for_each(|letter| letter.ack().unwrap());
        balanced(group.stats().await.unwrap());
    });
}

/// G3, G5: what is parked is held by nobody.
#[test]
fn a_topic_that_drops_its_oldest_drops_what_is_parked() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(3).overflow(Overflow::DropOldest).open().await.unwrap();
        let group = failing(&topic, 2).await;
        for n in 0..10 {
            topic.publish(n).await.unwrap();
            topic.settled().await.unwrap();
        }
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.dead_lettered, stats.parked, stats.evicted), (2, 3, 5));
    });
}

/// G11: each waits for the other, until a letter is settled.
#[test]
fn a_clerk_that_only_redrives_stands_still_where_both_topics_are_full() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(4).open().await.unwrap();
        let group = failing(&topic, 2).await;
        topic.publish_all(0..6).await.unwrap();
        topic.settled().await.unwrap();
        let dead = broker.topic::<DeadLetter>("t.g.dead").open().await.unwrap();
        let settles = Arc::new(AtomicU64::new(0));
        let clerk = dead.group("clerk").with(settles.clone());
        let clerk = clerk.run(async |letter, settles: Arc<AtomicU64>| match letter.redrive().await {
            Err(error) if settles.load(Ordering::Relaxed) == 0 => Err(error.into()),
            _ => Ok(()),
        });
        let clerk = clerk.await.unwrap();
        sim.sleep(secs(600)).await;
        let (stats, of_clerk) = (group.stats().await.unwrap(), clerk.stats().await.unwrap());
        assert_eq!((stats.redriven, stats.parked, of_clerk.acked, of_clerk.failures), (0, 4, 0, 0));
        settles.store(1, Ordering::Relaxed);
        broker.idle().await.unwrap();
        let (stats, of_clerk) = (balanced(group.stats().await.unwrap()), clerk.stats().await.unwrap());
        assert_eq!((stats.parked, stats.acked, of_clerk.acked), (0, stats.redriven, 6));
        assert!((1..6).contains(&stats.redriven), "some were settled, and the rest came back: {stats:?}");
    });
}

/// G11: so its attempts must last for longer than what it waits for.
#[test]
fn a_breaker_tries_the_same_message_in_each_pause() {
    sim::seeds(0..20, |broker| async move {
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let group = topic.group("g").consumers(4).rate_limit(RateLimit::new(10, secs(60)).burst(1));
        let group =
            group.breaker(Breaker::after(3).pause(secs(60))).retry(Retry::default().max_attempts(100));
        let outage = async |_: Message<u64>, sim: Sim| {
            let over = sim.now().since(Moment::ZERO) > secs(900);
            if over { Ok(()) } else { Err(Fault::new("the service is down")) }
        };
        group.with(broker.sim().clone()).run(outage).await.unwrap();
        topic.publish_all(0..40).await.unwrap();
        topic.settled().await.unwrap();
        let mut attempts = BTreeMap::<u64, u32>::new();
        for attempt in broker.attempts("t", "g") {
            *attempts.entry(attempt.id.offset()).or_default() += 1;
        }
        let tried_again: Vec<_> = attempts.iter().filter(|(_, attempts)| **attempts > 1).collect();
        assert!(tried_again.len() <= 3, "{tried_again:?}");
        assert!(attempts[&0] > 10, "{tried_again:?}");
    });
}

/// G8: by what its own topic said of it, too.
#[test]
fn a_message_can_be_another_ones_payload_with_all_it_has() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let onward = broker.topic::<Message<u64>>("onward").open().await.unwrap();
        let mut read = onward.group("g").stream().await.unwrap();
        topic.group("g").forward_to(&onward).run(async |n| Ok([n])).await.unwrap();
        let published = topic.message(7).header("tenant", "acme").publish().await.unwrap();
        let delivery = read.next().await.unwrap();
        let inner: &Message<u64> = &delivery;
        assert_eq!((**inner, inner.id(), inner.topic().as_str()), (7, published.id, "t"));
        assert_eq!(inner.headers().text("tenant"), Some("acme"));
        assert_eq!(delivery.topic().as_str(), "onward");
        delivery.ack().unwrap();
    });
}
