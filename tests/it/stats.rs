//! Do the counts say who has what, how far behind a group is, and since when? (G2, G9, G14, G17, G25)

use callboard::broker::{ConsumerKind, ConsumerState, ConsumerStats};
use callboard::prelude::*;
use callboard::supervise::{Backoff, Intensity};
use futures::StreamExt as _;

use crate::every;
use crate::kit::{Valve, millis, secs, stays_pending, until, valved, yield_now};
use crate::seen::{Seen, balanced};

async fn consumers(group: &Group, wanted: impl Fn(&[ConsumerStats]) -> bool) -> Vec<ConsumerStats> {
    loop {
        let stats = group.consumer_stats().await.unwrap();
        if wanted(&stats) {
            return stats;
        }
        match callboard::sim::Sim::current() {
            Some(sim) => sim.sleep(millis(1)).await,
            None => yield_now().await,
        }
    }
}

#[test]
fn the_lag_is_all_that_a_group_has_to_settle_handed_out_or_not() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").hold().open().await.unwrap();
        let valve = Valve::shut();
        let slow = valved(&topic, "slow", &valve).await;
        topic.publish_all(0..10).await.unwrap();
        let late = topic.group("late").start_at(Start::Latest).run_fn(|_| Ok(())).await.unwrap();
        let stats = balanced(slow.stats().await.unwrap());
        assert_eq!((stats.lag, stats.entered), (10, 0), "the topic is held");
        assert_eq!(late.stats().await.unwrap().lag, 0, "what was before is not for it");
        topic.publish(10).await.unwrap();
        assert_eq!(late.stats().await.unwrap().lag, 1);
        topic.release();
        valve.next().await;
        let stats = balanced(until(&slow, |stats| stats.entered == 11).await);
        assert_eq!((stats.lag, stats.unsettled(), stats.in_flight > 0), (11, 11, true));
        valve.let_through(3);
        let stats = balanced(until(&slow, |stats| stats.acked == 3).await);
        assert_eq!(stats.lag, 8);
        assert_eq!(until(&late, |stats| stats.lag == 0).await.acked, 1);
        valve.open();
        topic.settled().await.unwrap();
        assert_eq!(balanced(slow.stats().await.unwrap()).lag, 0);
    });
}

#[test]
fn the_oldest_message_grows_old_until_it_is_settled() {
    every::seed(20, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let mut stream = topic.group("g").ack_timeout(secs(600)).stream().await.unwrap();
        let group = topic.group("g").run_with(crate::redrive::Never::default).await.unwrap();
        assert_eq!((group.stats().await.unwrap().oldest, topic.stats().await.unwrap().oldest), (None, None));
        for wait in [20, 10, 0] {
            topic.publish(wait).await.unwrap();
            sim.settle().await;
            sim.sleep(secs(wait)).await;
        }
        for age in [30, 10, 0] {
            assert_eq!(group.stats().await.unwrap().oldest, Some(secs(age)));
            assert_eq!(topic.stats().await.unwrap().oldest, Some(secs(age)));
            stream.next().await.unwrap().ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!((group.stats().await.unwrap().oldest, topic.stats().await.unwrap().oldest), (None, None));
    });
}

#[test]
fn a_topic_tells_what_is_pinned_and_who_waits_in_line() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(4).open().await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        // All are put in at once, and so are one batch.
        topic.publish_all(0..4).await.unwrap();
        let held = stream.next().await.unwrap();
        let mut waiting = [Box::pin(topic.publish(4)), Box::pin(topic.publish(5))];
        for publish in &mut waiting {
            assert!(stays_pending(publish, 5).await);
        }
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.pinned, stats.waiting_publishers, stats.unsettled), (0, 2, 4));
        drop(waiting);
        assert_eq!(topic.stats().await.unwrap().waiting_publishers, 0);
        for _ in 0..3 {
            stream.next().await.unwrap().ack().unwrap();
        }
        while topic.stats().await.unwrap().unsettled > 1 {
            yield_now().await;
        }
        assert_eq!(topic.stats().await.unwrap().pinned, 3);
        held.ack().unwrap();
        topic.settled().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().pinned, 0);
    });
}

#[test]
fn each_consumer_is_seen_with_what_it_has_and_did() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let valve = Valve::shut();
        let group = topic.group("g").retry(Retry::immediately()).with(valve.clone());
        let group = group.run(async |n: Message<u64>, valve: Valve| match n.attempt() {
            1 => Err(Fault::new("not at first")),
            2 => panic!("nor then"),
            _ => {
                valve.pass(*n).await;
                Ok(())
            }
        });
        let group = group.await.unwrap();
        topic.publish(7).await.unwrap();
        valve.next().await;
        let stats = consumers(&group, |all| all[0].rebuilt == 1).await;
        let [handler] = &stats[..] else { panic!("{stats:?}") };
        assert_eq!((handler.kind, handler.state), (ConsumerKind::Handler, ConsumerState::Ready));
        assert_eq!((handler.leases, handler.messages, handler.handled, handler.failures), (1, 1, 2, 2));
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish_all([8, 9]).await.unwrap();
        let held = stream.next().await.unwrap();
        let stats = consumers(&group, |all| all.iter().map(|one| one.messages).sum::<u32>() == 3).await;
        let [_, pulled] = &stats[..] else { panic!("{stats:?}") };
        assert_eq!(
            (pulled.kind, pulled.state, pulled.rebuilt),
            (ConsumerKind::Stream, ConsumerState::Ready, 0)
        );
        assert_eq!((pulled.leases, pulled.handled), (pulled.messages, 0));
        held.nack("no").unwrap();
        let stats = consumers(&group, |all| all[1].failures == 1).await;
        assert_eq!(stats[1].handled, 1);
        drop(stream);
        consumers(&group, |all| all.len() == 1).await;
        valve.open();
        topic.settled().await.unwrap();
        let (stats, of_group) = (group.consumer_stats().await.unwrap(), group.stats().await.unwrap());
        assert_eq!((stats[0].messages, stats[0].leases), (0, 0));
        assert_eq!((of_group.restarts, of_group.failures > stats[0].failures), (stats[0].rebuilt, true));
    });
}

struct Refuses;

impl Consumer<u64> for Refuses {
    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        Ok(Outcome::Ack)
    }

    async fn started(&mut self) -> Result<(), Fault> {
        Err(Fault::new("not today"))
    }
}

#[test]
fn consumers_that_can_not_be_made_say_so() {
    every::seed(10, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let group = topic.group("broken").intensity(Intensity::new(1, secs(60)));
        let group = group.restart_backoff(Backoff::fixed(secs(1))).run_with(|| Refuses).await.unwrap();
        let broken = consumers(&group, |all| all[0].state == ConsumerState::Broken).await;
        assert_eq!(broken[0].rebuilt, 1);
        sim.sleep(secs(2)).await;
        let given_up = consumers(&group, |all| all[0].state == ConsumerState::GivenUp).await;
        assert_eq!((given_up[0].rebuilt, given_up[0].messages), (2, 0));
        assert_eq!(group.stats().await.unwrap().restarts, 2);
        let starting = topic.group("starting").run_with(crate::redrive::Never::default).await.unwrap();
        assert_eq!(starting.consumer_stats().await.unwrap()[0].state, ConsumerState::Away);
    });
}

/// Whenever it is looked at: what consumers hold is what the group has in flight, and the sums are right.
#[test]
fn the_counts_of_consumers_add_up_at_any_moment() {
    every::seed(40, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(32).open().await.unwrap();
        let (seen, clock) = (Seen::default(), sim.clone());
        let group = topic.group("g").consumers(3).retry(Retry::immediately()).with((seen, clock));
        let group = group.run(async |message, (seen, sim): (Seen, callboard::sim::Sim)| {
            seen.note(&message);
            sim.sleep(millis(*message % 4)).await;
            assert!(*message % 7 != u64::from(message.attempt()), "on purpose");
            if *message % 5 == u64::from(message.attempt()) { Err(Fault::new("on purpose")) } else { Ok(()) }
        });
        let group = group.await.unwrap();
        for n in 0..200 {
            topic.publish(n).await.unwrap();
            let (before, one_by_one, after) = (
                group.stats().await.unwrap(),
                group.consumer_stats().await.unwrap(),
                balanced(group.stats().await.unwrap()),
            );
            let sum = |of: fn(&ConsumerStats) -> u64| one_by_one.iter().map(of).sum::<u64>();
            let through = |stats: &callboard::broker::GroupStats| stats.settled() + stats.failures;
            assert!((through(&before)..=through(&after)).contains(&sum(|one| one.handled)));
            assert!((before.failures..=after.failures).contains(&sum(|one| one.failures)));
            assert!((before.restarts..=after.restarts).contains(&sum(|one| one.rebuilt)));
            if before.in_flight == after.in_flight
                && through(&before) == through(&after)
                && before.entered == after.entered
            {
                assert_eq!(sum(|one| one.messages.into()), after.in_flight);
            }
        }
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 200);
    });
}
