//! Do stages hand on what they make, exactly where nothing crashes and at least once where something does, and does a
//! full stage hold up its input and never the broker? (G1, G6, G8, G16, G17, G18)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::{InvalidMessage, OpenError, Outgoing};
use callboard::prelude::*;
use callboard::sim::{self, Faults, Point};
use callboard::supervise::{Backoff, Intensity};
use futures::StreamExt as _;

use crate::every;
use crate::kit::{Valve, millis, secs, until, valved};

/// Counts how often each number came.
type Came = Arc<Mutex<BTreeMap<u64, u64>>>;

async fn collect(topic: &Topic<u64>) -> Came {
    let came = Came::default();
    let handle = async |n: Message<u64>, came: Came| {
        *came.lock().unwrap().entry(*n).or_default() += 1;
        Ok(())
    };
    topic.group("collect").consumers(2).with(came.clone()).run(handle).await.unwrap();
    came
}

async fn topic(broker: &Broker, name: &str, capacity: usize) -> Topic<u64> {
    broker.topic::<u64>(name).capacity(capacity).open().await.unwrap()
}

#[test]
fn a_stage_hands_on_none_one_or_many_and_acks_what_it_handed_on() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let (a, b) = (topic(&broker, "a", 4).await, topic(&broker, "b", 4).await);
        let came = collect(&b).await;
        let many =
            a.group("many").forward_to(&b).run(async |n| Ok((0..*n).collect::<Vec<_>>())).await.unwrap();
        a.group("one").forward_to(&b).run_fn(|n| Ok([100 + **n])).await.unwrap();
        let none = a.group("none").forward_to(&b).with(3);
        none.run(async |n, odd| Ok((*n == odd).then_some(200))).await.unwrap();
        a.publish_all(0..10).await.unwrap();
        broker.idle().await.unwrap();
        let want: BTreeMap<u64, u64> =
            (0..9).map(|n| (n, 9 - n)).chain((100..110).map(|n| (n, 1))).chain([(200, 1)]).collect();
        assert_eq!(*came.lock().unwrap(), want);
        assert_eq!(many.stats().await.unwrap().acked, 10);
        assert_eq!(many.forwards_to(), [b.name().clone()]);
        let topology = broker.topology().await.unwrap();
        assert_eq!(topology.group("a", "many").unwrap().forwards_to, [b.name().clone()]);
        assert!(topology.to_mermaid().contains("\"forwards\""), "{}", topology.to_mermaid());
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

#[test]
fn a_stage_that_is_opened_twice_adds_consumers_and_another_target() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let (a, b, c) =
            (topic(&broker, "a", 4).await, topic(&broker, "b", 4).await, topic(&broker, "c", 4).await);
        let group = a.group("g").forward_to(&b).run_fn(|n| Ok(Some(**n))).await.unwrap();
        a.group("g").forward_to(&c).run_fn(|n| Ok(Some(**n))).await.unwrap();
        assert_eq!(group.forwards_to(), [b.name().clone(), c.name().clone()]);
        assert_eq!(group.stats().await.unwrap().consumers, 2);
        broker.shutdown().await;
        let error = a.group("late").forward_to(&b).run_fn(|n| Ok(Some(**n))).await.unwrap_err();
        assert_eq!(error, OpenError::Closed);
    });
}

/// G8, G17: whether it waits, or is refused at once.
#[test]
fn a_full_stage_holds_its_input_at_no_cost_and_makes_no_duplicates() {
    for overflow in [Overflow::Wait { timeout: None }, Overflow::Reject] {
        every::seed(10, move |sim| async move {
            let broker = Broker::start().unwrap();
            let (a, b) = (topic(&broker, "a", 4).await, broker.topic::<u64>("b").capacity(3));
            let b = b.overflow(overflow).publish_timeout(millis(30)).open().await.unwrap();
            let valve = Valve::shut();
            valved(&b, "slow", &valve).await;
            let calls = Arc::new(AtomicU64::new(0));
            let group = a.group("g").retry(Retry::none()).forward_to(&b).with(calls.clone());
            let ten = async |n: Message<u64>, calls: Arc<AtomicU64>| {
                calls.fetch_add(1, Ordering::Relaxed);
                Ok((0..10).map(move |output| *n * 10 + output).collect::<Vec<_>>())
            };
            let group = group.run(ten).await.unwrap();
            a.publish_all([0, 1]).await.unwrap();
            let mut came = Vec::new();
            for _ in 0..20 {
                // So slow that each wait for room ends in vain first.
                sim.sleep(secs(3)).await;
                came.push(valve.next().await);
                valve.let_through(1);
            }
            broker.idle().await.unwrap();
            came.sort();
            assert_eq!(came, (0..20).collect::<Vec<_>>(), "each once");
            let stats = group.stats().await.unwrap();
            assert_eq!((stats.acked, stats.failures, stats.dead_lettered), (2, 0, 0));
            assert!(stats.no_room > 2, "{stats:?}");
            assert_eq!(calls.load(Ordering::Relaxed), 2, "what is kept needs no handler");
            assert_eq!(broker.shutdown().await.lost(), 0);
        });
    }
}

/// G16: what was accepted of a handling that is cut short is not published again.
#[test]
fn a_stage_past_its_deadline_goes_on_where_it_was() {
    every::seed(10, |sim| async move {
        let sim = sim.without_slips();
        let broker = Broker::start().unwrap();
        let (a, b) = (topic(&broker, "a", 4).await, topic(&broker, "b", 1192).await);
        let valve = Valve::shut();
        valved(&b, "slow", &valve).await;
        let group = a.group("g").ack_timeout(millis(100)).retry(Retry::immediately().max_attempts(1000));
        // So many that all of them could not be kept, were they not accepted.
        let group = group.forward_to(&b).run(async |_| Ok(0..1200)).await.unwrap();
        a.publish(0).await.unwrap();
        let mut came = Vec::new();
        for _ in 0..8 {
            // Within the wait for one place, and past the deadline in all.
            sim.sleep(millis(30)).await;
            came.push(valve.next().await);
            valve.let_through(1);
        }
        valve.open();
        while came.len() < 1200 {
            came.push(valve.next().await);
        }
        broker.idle().await.unwrap();
        assert!(came.into_iter().eq(0..1200));
        let stats = group.stats().await.unwrap();
        assert_eq!(stats.acked, 1);
        assert!(stats.failures > 0, "it was cut short: {stats:?}");
    });
}

/// G6, G8: the duplicate is the input's, and says so.
#[test]
fn a_crash_before_the_outputs_repeats_nothing_and_one_after_them_repeats_them() {
    sim::seeds(0..20, |broker| async move {
        let (a, b) = (topic(&broker, "a", 4).await, topic(&broker, "b", 4).await);
        let came = collect(&b).await;
        a.group("g")
            .retry(Retry::immediately())
            .forward_to(&b)
            .run(async |n| Ok([*n, 10 + *n]))
            .await
            .unwrap();
        broker.crash_next("a", "g", Point::BeforeHandler);
        a.publish(1).await.unwrap();
        broker.idle().await.unwrap();
        assert_eq!(*came.lock().unwrap(), BTreeMap::from([(1, 1), (11, 1)]));
        broker.crash_next("a", "g", Point::AfterHandler);
        a.publish(2).await.unwrap();
        broker.idle().await.unwrap();
        assert_eq!(*came.lock().unwrap(), BTreeMap::from([(1, 1), (11, 1), (2, 2), (12, 2)]));
    });
}

/// G6, G8
#[test]
fn a_crash_after_the_outputs_repeats_none_where_each_is_taken_once() {
    sim::seeds(0..20, |broker| async move {
        let (a, b) = (topic(&broker, "a", 4).await, topic(&broker, "b", 2).await);
        let came = collect(&b).await;
        let group = a.group("g").retry(Retry::immediately().max_attempts(1000)).consumers(2).forward_to(&b);
        group.exactly_once_per_input().run(async |n| Ok([*n, 100 + *n])).await.unwrap();
        broker.set_faults(Faults::some());
        a.publish_all(0..30).await.unwrap();
        broker.idle().await.unwrap();
        let want: BTreeMap<u64, u64> = (0..30).chain(100..130).map(|n| (n, 1)).collect();
        // The reader of the outputs crashes too, and is handed them again; the topic took them once.
        assert!(came.lock().unwrap().keys().eq(want.keys()));
        assert_eq!(b.stats().await.unwrap().accepted, 60);
    });
}

/// G3
#[test]
fn a_stage_before_a_topic_that_drops_the_newest_goes_on() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let a = topic(&broker, "a", 4).await;
        let b = broker.topic::<u64>("b").capacity(3).overflow(Overflow::DropNewest).open().await.unwrap();
        let group = a.group("g").forward_to(&b).run_fn(|n| Ok([**n, **n])).await.unwrap();
        a.publish_all(0..5).await.unwrap();
        a.settled().await.unwrap();
        let (stats, of_b) = (group.stats().await.unwrap(), b.stats().await.unwrap());
        assert_eq!((stats.acked, stats.no_room, of_b.accepted, of_b.dropped_newest), (5, 0, 3, 7));
    });
}

#[test]
fn of_outputs_of_which_one_is_invalid_none_is_published() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let a = topic(&broker, "a", 4).await;
        let b = broker.topic::<u64>("b").key_by(|n| 10 / *n).open().await.unwrap();
        a.group("g").retry(Retry::none()).forward_to(&b).run_fn(|n| Ok([1, **n])).await.unwrap();
        let dead = broker.find_topic::<DeadLetter>("a.g.dead").unwrap();
        let mut dead = dead.group("clerk").stream().await.unwrap();
        a.publish_all([0, 2]).await.unwrap();
        let letter = dead.next().await.unwrap();
        assert_eq!(letter.message::<u64>().map(|n| *n), Some(0));
        assert!(letter.error().unwrap().contains("key function"), "{:?}", letter.error());
        letter.ack().unwrap();
        broker.idle().await.unwrap();
        assert_eq!(b.stats().await.unwrap().accepted, 2);
        let why = InvalidMessage::KeyPanicked;
        assert!(
            matches!(b.publish(0).await, Err(callboard::broker::PublishError::Invalid(0, said)) if said == why)
        );
    });
}

#[test]
fn outputs_may_have_headers_times_and_dedup_keys_of_their_own() {
    every::seed(20, |sim| async move {
        let broker = Broker::start().unwrap();
        let (a, b) = (topic(&broker, "a", 9).await, topic(&broker, "b", 9).await);
        let stage = a.group("g").forward_to(&b).exactly_once_per_input().with("static");
        let make = async |n: Message<u64>, from: &'static str| {
            let made = Outgoing::new(*n).headers(n.headers().clone()).header("from", from);
            // Of both the first output has its own key, the second one is known by the stage's.
            Ok([made.dedup_key("the same"), Outgoing::from(10 + *n).ttl(secs(5))])
        };
        stage.run_messages(make).await.unwrap();
        a.message(1).header("tenant", "acme").publish().await.unwrap();
        a.publish(2).await.unwrap();
        a.settled().await.unwrap();
        let stats = b.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.repeated), (3, 1));
        sim.sleep(secs(6)).await;
        assert_eq!(b.stats().await.unwrap().expired, 2);
        let mut read = b.group("reader").stream().await.unwrap();
        let one = read.next().await.unwrap();
        assert_eq!(
            (**one, one.headers().text("tenant"), one.headers().text("from")),
            (1, Some("acme"), Some("static"))
        );
        one.ack().unwrap();

        let bad = a.group("bad").retry(Retry::none()).forward_to(&b);
        bad.run_messages(async |n| Ok([Outgoing::new(*n), Outgoing::new(0).header("no name?", "")]))
            .await
            .unwrap();
        a.publish(3).await.unwrap();
        a.settled().await.unwrap();
        let dead = broker.find_topic::<DeadLetter>("a.bad.dead").unwrap();
        let letter = dead.group("clerk").stream().await.unwrap().next().await.unwrap();
        assert!(letter.error().unwrap().contains("header"), "{:?}", letter.error());
    });
}

/// One topic into two, and two into one.
#[test]
fn stages_part_and_meet_again() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let a = topic(&broker, "a", 2).await;
        let (left, right) = (topic(&broker, "left", 1).await, topic(&broker, "right", 3).await);
        let end = topic(&broker, "end", 2).await;
        let came = collect(&end).await;
        a.group("to_left").forward_to(&left).run(async |n| Ok(Some(*n))).await.unwrap();
        a.group("to_right").consumers(2).forward_to(&right).run(async |n| Ok(Some(*n + 1000))).await.unwrap();
        left.group("on").forward_to(&end).run_fn(|n| Ok([**n, **n])).await.unwrap();
        right.group("on").forward_to(&end).run_fn(|n| Ok([**n])).await.unwrap();
        a.publish_all(0..100).await.unwrap();
        // As the broker's own, in a drain.
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
        let want: BTreeMap<u64, u64> = (0..100).map(|n| (n, 2)).chain((1000..1100).map(|n| (n, 1))).collect();
        assert_eq!(*came.lock().unwrap(), want);
    });
}

/// G17: each message makes two, for ever.
#[test]
fn a_circle_that_grows_ends_in_waits_for_room_and_holds_up_nothing_else() {
    every::seed(5, |sim| async move {
        let broker = Broker::start().unwrap();
        let short = |name| broker.topic::<u64>(name).capacity(3).publish_timeout(millis(20)).open();
        let (a, b, out) =
            (short("a").await.unwrap(), short("b").await.unwrap(), topic(&broker, "out", 8).await);
        let came = collect(&out).await;
        let there = a.group("there").forward_to(&b).run(async |n| Ok([*n, *n])).await.unwrap();
        let back = b.group("back").forward_to(&a).run(async |n| Ok([*n])).await.unwrap();
        a.group("aside").forward_to(&out).run(async |_| Ok(None)).await.unwrap();
        a.publish(1).await.unwrap();
        sim.sleep(secs(60)).await;
        let (there, back) = (there.stats().await.unwrap(), back.stats().await.unwrap());
        assert_eq!((there.failures, back.failures, there.dead_lettered), (0, 0, 0));
        assert!(there.no_room + back.no_room > 10, "{there:?} {back:?}");
        out.publish(7).await.unwrap();
        out.settled().await.unwrap();
        assert_eq!(came.lock().unwrap().get(&7), Some(&1));
        let report = broker.shutdown_within(secs(1)).await;
        assert!(report.timed_out && report.lost() > 0);
    });
}

/// G1, G6
#[test]
fn three_stages_lose_nothing_whatever_crashes() {
    sim::seeds(0..20, |broker| async move {
        let topics =
            [topic(&broker, "a", 2).await, topic(&broker, "b", 1).await, topic(&broker, "c", 3).await];
        let came = collect(&topics[2]).await;
        for at in 0..2 {
            let retry = Retry::fixed(millis(2)).max_attempts(1000);
            let group = topics[at].group("on").consumers(2).retry(retry).ack_timeout(millis(200));
            group.forward_to(&topics[at + 1]).run(async |n| Ok([*n * 2, *n * 2 + 1])).await.unwrap();
        }
        broker.set_faults(Faults::some());
        topics[0].publish_all(0..25).await.unwrap();
        broker.idle().await.unwrap();
        let came = came.lock().unwrap().clone();
        assert!(came.keys().copied().eq(0..100), "{came:?}");
    });
}

/// An actor that adds up what it is asked to.
struct Adder {
    sum: Arc<AtomicU64>,
}

type Add = (Message<u64>, Reply<Result<(), Fault>>);

impl Actor for Adder {
    type Message = Add;

    async fn handle(&mut self, (n, reply): Add, _: &mut Context<Add>) -> Result<(), Fault> {
        if n.attempt() == 1 && *n % 2 == 0 {
            panic!("in an actor that has a message");
        }
        if *n % 5 == 3 && n.attempt() < 3 {
            drop(reply.send(Err(Fault::new("not yet"))));
            return Ok(());
        }
        self.sum.fetch_add(*n, Ordering::SeqCst);
        drop(reply.send(Ok(())));
        Ok(())
    }
}

/// G6: what an actor had when it crashed comes again, to its next incarnation.
#[test]
fn an_actor_is_a_consumer_whose_answers_ack() {
    every::runtime(|| async {
        let (broker, system) = (Broker::start().unwrap(), System::start().unwrap());
        let a = topic(&broker, "a", 4).await;
        let sum = Arc::new(AtomicU64::new(0));
        let often = Intensity::new(100, secs(1));
        let mut tree = Supervisor::one_for_one(&system).intensity(often);
        let shared = sum.clone();
        let child = ChildSpec::new("adder", move || Adder { sum: shared.clone() });
        let child = child.backoff(Backoff::none());
        let adder = tree.child(child).unwrap();
        let tree = tree.start().await.unwrap();
        let group = a.group("g").retry(Retry::immediately().max_attempts(10));
        let group = group.run_actor(adder, |n, reply| (n, reply)).await.unwrap();
        a.publish_all(0..20).await.unwrap();
        a.settled().await.unwrap();
        assert_eq!(sum.load(Ordering::SeqCst), (0..20).sum::<u64>());
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.dead_lettered), (20, 0));
        assert!(stats.failures >= 10, "{stats:?}");
        broker.shutdown().await;
        tree.stop().await;
    });
}

/// G17
#[test]
fn a_full_mailbox_of_an_actor_is_no_failure_and_an_actor_that_ended_is_one() {
    every::seed(5, |sim| async move {
        let (broker, system) = (Broker::start().unwrap(), System::start().unwrap());
        let a = topic(&broker, "a", 4).await;
        let adder = system.actor("adder").unwrap().capacity(1);
        let adder = adder.spawn(Slow).unwrap();
        let group = a.group("g").consumers(3).ack_timeout(secs(4)).retry(Retry::fixed(secs(1)));
        let group = group.run_actor(adder.clone(), |n, reply| (n, reply)).await.unwrap();
        a.publish_all(0..3).await.unwrap();
        until(&group, |stats| stats.no_room > 0).await;
        adder.kill().await;
        sim.sleep(secs(30)).await;
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.dead_lettered, stats.acked), (3, 0));
    });
}

/// Keeps a message for an hour.
struct Slow;

impl Actor for Slow {
    type Message = Add;

    async fn handle(&mut self, _: Add, context: &mut Context<Add>) -> Result<(), Fault> {
        let _ = context;
        std::future::pending().await
    }
}

/// An actor's stream of messages feeds a topic.
#[test]
fn an_actor_publishes_and_a_stream_feeds_a_topic() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let (a, b) = (topic(&broker, "a", 2).await, topic(&broker, "b", 2).await);
        let came = collect(&b).await;
        a.group("g").forward_to(&b).run(async |n| Ok(Some(*n))).await.unwrap();
        futures::stream::iter(0..50).map(Ok).forward(a.sink()).await.unwrap();
        assert_eq!(broker.shutdown_within(Duration::from_secs(30)).await.lost(), 0);
        assert_eq!(came.lock().unwrap().len(), 50);
    });
}
