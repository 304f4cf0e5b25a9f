//! Does a report say what each stuck task waits for? What do clocks that sleep or jump do to timers?

use std::future::Future;
use std::time::Duration;

use super::*;

/// What the report says of whom, in order.
fn waiting(body: impl Future<Output = ()>) -> Vec<String> {
    Sim::new(3).try_block_on(body).unwrap_err().waiting
}

#[test]
fn a_deadlock_tells_what_each_actor_waits_for() {
    use crate::actor::{Actor, Address, Context, System};
    use crate::base::Fault;
    use crate::mailbox::Reply;

    struct Polite(Option<Address<Ask>>);
    enum Ask {
        Meet(Address<Ask>),
        After(Reply<()>),
    }
    impl Actor for Polite {
        type Message = Ask;
        async fn handle(&mut self, ask: Ask, _: &mut Context<Ask>) -> Result<(), Fault> {
            match ask {
                Ask::Meet(other) => self.0 = Some(other),
                Ask::After(reply) => {
                    if let Some(other) = &self.0 {
                        other.ask(Ask::After).await?;
                    }
                    let _ = reply.send(());
                }
            }
            Ok(())
        }
    }
    let waiting = waiting(async {
        let system = System::start().unwrap();
        let [ann, bob] = ["ann", "bob"].map(|name| system.actor(name).unwrap().spawn(Polite(None)).unwrap());
        ann.send(Ask::Meet(bob.clone())).await.unwrap();
        bob.send(Ask::Meet(ann.clone())).await.unwrap();
        ann.ask(Ask::After).await.unwrap();
    });
    let expected =
        ["main (for an answer of ann)", "ann (for an answer of bob)", "bob (for an answer of ann)"];
    assert_eq!(waiting, expected);
}

#[test]
fn a_deadlock_tells_who_waits_for_room_and_who_is_in_a_handler() {
    use crate::broker::Broker;

    let never = waiting(async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u32>("t").capacity(1).open().await.unwrap();
        topic.publish(1).await.unwrap();
        topic.publish(2).await.unwrap();
    });
    assert_eq!(never, ["main (for room in topic t)", "topic t (for messages)"]);

    let limit = Duration::from_secs(24 * 3600);
    let stuck = waiting(async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u32>("t").open().await.unwrap();
        let group = topic.group("g").ack_timeout(limit * 2);
        group.run(async |_| std::future::pending().await).await.unwrap();
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
    });
    let expected = [
        "main (for the quiet of topic t)",
        "topic t (for messages)",
        "topic t.g.dead (for messages)",
        "group t.g (with 0 to hand out, 1 in flight, 0 delayed, 0 parked)",
        "consumer of t.g (for a handler of g)",
    ];
    assert_eq!(stuck, expected);
}

#[test]
fn a_machine_that_slept_costs_a_delivery_one_time_out_at_most() {
    use std::sync::atomic::{AtomicU32, Ordering};

    use crate::broker::{Broker, Retry};

    static CALLS: AtomicU32 = AtomicU32::new(0);
    for seed in 0..50 {
        let sim = Sim::new(seed);
        let inside = sim.clone();
        CALLS.store(0, Ordering::Relaxed);
        let failures = sim.block_on(async move {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u32>("t").open().await.unwrap();
            let group = topic.group("g").retry(Retry::immediately()).with(inside.clone());
            let group = group.run(async |_, sim: Sim| {
                CALLS.fetch_add(1, Ordering::Relaxed);
                sim.sleep(Duration::from_secs(1)).await;
                Ok(())
            });
            let group = group.await.unwrap();
            topic.publish(1).await.unwrap();
            inside.sleep(Duration::from_millis(500)).await;
            inside.suspend(Duration::from_secs(24 * 3600));
            topic.settled().await.unwrap();
            group.stats().await.unwrap().failures
        });
        assert!(failures <= 1 && CALLS.load(Ordering::Relaxed) <= 2, "seed {seed}: {failures}");
    }
}

#[test]
fn the_wall_clock_jumps_where_it_is_asked_to_and_the_monotonic_one_never() {
    let wall = |sim: Sim| {
        let inside = sim.clone();
        sim.block_on(async move {
            let mut seen = Vec::new();
            let mut before = inside.now();
            for _ in 0..400 {
                inside.sleep(Duration::from_millis(1)).await;
                assert!(inside.now() > before);
                before = inside.now();
                seen.push(crate::runtime::Runtime::wall_clock(&inside));
            }
            seen.windows(2).filter(|pair| pair[1] < pair[0]).count()
        })
    };
    assert_eq!(wall(Sim::new(7)), 0);
    assert!((0..20).all(|seed| wall(Sim::new(seed).with_wall_jumps()) > 0));
}
