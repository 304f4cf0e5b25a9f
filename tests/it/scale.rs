//! Can a group have more or fewer consumers while it runs, and is nothing lost or counted for it? (G6, G8, G9, G19)

use std::sync::Arc;

use callboard::broker::{ConsumerKind, ConsumerState, ErrorKind, GroupState, SteerError};
use callboard::prelude::*;
use callboard::supervise::{Backoff, Intensity};

use crate::every;
use crate::kit::{Valve, secs, until, valved, yield_now};
use crate::steer::topic;

#[test]
fn more_consumers_of_the_same_handler_share_the_work() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        topic.publish_all(0..4).await.unwrap();
        valve.next().await;
        group.set_consumers(4).await.unwrap();
        let mut others = vec![valve.next().await, valve.next().await, valve.next().await];
        others.sort_unstable();
        assert_eq!(others, [1, 2, 3], "all four at once");
        assert_eq!(group.stats().await.unwrap().consumers, 4);
        valve.open();
        topic.settled().await.unwrap();
    });
}

#[test]
fn fewer_end_gently_after_the_message_they_are_at() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        group.set_consumers(3).await.unwrap();
        topic.publish_all(0..20).await.unwrap();
        for _ in 0..3 {
            valve.next().await;
        }
        group.set_consumers(1).await.unwrap();
        let states = || async {
            let stats = group.consumer_stats().await.unwrap();
            stats.iter().filter(|consumer| consumer.state == ConsumerState::Leaving).count()
        };
        assert_eq!(states().await, 2);
        assert_eq!(group.stats().await.unwrap().consumers, 3, "until their end they are there");
        assert_eq!(valve.heard(), [0_u64; 0], "what they had not begun is not begun by them");
        valve.open();
        until(&group, |stats| stats.consumers == 1).await;
        assert_eq!(states().await, 0);
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.redeliveries, stats.failures, stats.restarts), (20, 0, 0, 0));
    });
}

#[test]
fn none_leaves_a_group_that_keeps_its_messages_and_nobody_waits_for() {
    every::runtime(|| async {
        let (_broker, topic) = topic(100).await;
        let group = topic.group("g").consumers(3).run_fn(|_| Ok(())).await.unwrap();
        group.set_consumers(0).await.unwrap();
        until(&group, |stats| stats.consumers == 0).await;
        topic.publish_all(0..5).await.unwrap();
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.state, stats.acked, stats.lag), (GroupState::Running, 0, 5));
        group.set_consumers(2).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 5);
    });
}

#[test]
fn streams_are_not_counted_and_do_not_tell_what_a_handler_is() {
    every::runtime(|| async {
        let (broker, topic) = topic(10).await;
        let stream = topic.group("g").stream().await.unwrap();
        let group = topic.find_group("g").unwrap();
        assert_eq!(group.set_consumers(1).await, Err(SteerError::NoHandler));
        group.set_consumers(0).await.unwrap();
        topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        group.set_consumers(2).await.unwrap();
        let kinds: Vec<_> =
            group.consumer_stats().await.unwrap().iter().map(|consumer| consumer.kind).collect();
        assert_eq!(kinds, [ConsumerKind::Stream, ConsumerKind::Handler, ConsumerKind::Handler]);
        let many = group.set_consumers(5000).await.unwrap_err();
        assert_eq!(many.to_string(), "the group is not changed: 5000 consumers are more than 4096");
        assert_eq!(many.kind(), ErrorKind::Invalid);
        assert_eq!(group.stats().await.unwrap().consumers, 3, "as before");
        drop(stream);
        broker.shutdown().await;
        assert_eq!(group.set_consumers(2).await, Err(SteerError::Closed));
    });
}

#[test]
fn scaling_is_idempotent_and_counts_no_one_who_is_leaving() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        topic.publish(0).await.unwrap();
        valve.next().await;
        group.set_consumers(0).await.unwrap();
        group.set_consumers(0).await.unwrap();
        group.set_consumers(1).await.unwrap();
        group.set_consumers(1).await.unwrap();
        assert_eq!(group.stats().await.unwrap().consumers, 2, "one leaves, one came");
        topic.publish(1).await.unwrap();
        assert_eq!(valve.next().await, 1, "the new one works");
        valve.open();
        until(&group, |stats| stats.consumers == 1 && stats.acked == 2).await;
    });
}

struct Broken;

impl Consumer<u64> for Broken {
    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        Ok(Outcome::Ack)
    }

    async fn started(&mut self) -> Result<(), Fault> {
        Err(Fault::new("never"))
    }
}

#[test]
fn those_that_could_not_be_built_go_first_and_a_failed_group_begins_anew() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let group = topic.group("g").intensity(Intensity::new(1, secs(60))).restart_backoff(Backoff::none());
        let group = group.consumers(2).run_with(|| Broken).await.unwrap();
        until(&group, |stats| stats.state == GroupState::Failed).await;
        topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        group.set_consumers(2).await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.state, stats.consumers), (GroupState::Running, 2));
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 1);
    });
}

#[test]
fn a_handlers_state_is_dropped_when_the_group_ends_though_its_consumers_went_before() {
    every::runtime(|| async {
        let (broker, topic) = topic(10).await;
        let state = Arc::new(());
        let open = topic.group("g").with(state.clone());
        let group = open.run(async |_, _| Ok(())).await.unwrap();
        group.set_consumers(0).await.unwrap();
        until(&group, |stats| stats.consumers == 0).await;
        assert!(Arc::strong_count(&state) > 1, "kept, for consumers to come");
        group.delete().await.unwrap();
        assert_eq!(Arc::strong_count(&state), 1);
        broker.shutdown().await;
    });
}

/// A state whose drop panics, the last handle of which the group has.
#[derive(Clone)]
struct Spiteful(#[expect(dead_code, reason = "is dropped")] Arc<PanicsInDrop>);

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in the drop of what a handler captured");
    }
}

/// G15.
#[test]
fn a_panic_in_the_drop_of_a_handlers_state_ends_no_group() {
    every::runtime(|| async {
        let (broker, topic) = topic(10).await;
        let open = topic.group("g").with(Spiteful(Arc::new(PanicsInDrop)));
        let group = open.run(async |_, _| Ok(())).await.unwrap();
        group.set_consumers(0).await.unwrap();
        until(&group, |stats| stats.consumers == 0).await;
        topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().acked, 1);
        broker.shutdown().await;
    });
}

#[test]
fn an_ephemeral_group_ends_with_its_last_handler_too() {
    every::runtime(|| async {
        let (_broker, topic) = topic(10).await;
        let group = topic.group("g").ephemeral().run_fn(|_| Ok(())).await.unwrap();
        group.set_consumers(0).await.unwrap();
        while topic.stats().await.unwrap().groups > 0 {
            yield_now().await;
        }
        assert!(topic.find_group("g").is_err());
    });
}
