//! Is there a public future that may not be dropped after so many polls? All of them, by the list of public items. (G16)
//!
//! What exactly each one may have done by then is for `cancel.rs` and `actor_cancel.rs`; here, whatever was dropped,
//! everything around it goes on: no place is lost, nobody sleeps for ever, and what was accepted is settled.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use callboard::actor::Recipient;
use callboard::broker::RateLimit;
use callboard::prelude::*;
use callboard::sim::{Probe, Sim};
use callboard::supervise::ChildSpec;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};

use crate::every;
use crate::kit::{Valve, fill, poll_once, secs, valved};

/// After how many polls a future is dropped, at most. None needs more once what it waits for has happened.
const POLLS: usize = 6;

type Cut = Pin<Box<dyn Future<Output = ()> + Send>>;
type Make = fn(&World) -> Cut;

/// A topic that is full, an actor whose mailbox is, and a supervisor: each future has something to wait for.
struct World {
    broker: Broker,
    topic: Topic<u64>,
    group: Group,
    valve: Valve,
    system: System,
    actor: Address<Word>,
    tree: SupervisorHandle,
}

enum Word {
    Number,
    Ask(Reply<u64>),
    Wait(Valve),
}

impl From<u64> for Word {
    fn from(_: u64) -> Word {
        Word::Number
    }
}

#[derive(Default)]
struct Worker;

impl Actor for Worker {
    type Message = Word;

    async fn handle(&mut self, word: Word, _: &mut Context<Word>) -> Result<(), Fault> {
        match word {
            Word::Number => {}
            Word::Ask(reply) => drop(reply.send(7)),
            Word::Wait(valve) => valve.pass(0).await,
        }
        Ok(())
    }
}

const CAPACITY: usize = 2;

impl World {
    async fn new() -> World {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(CAPACITY).open().await.unwrap();
        let valve = Valve::shut();
        let group = valved(&topic, "g", &valve).await;
        assert_eq!(fill(&topic), CAPACITY as u64);
        let system = System::start().unwrap();
        let actor = system.actor("worker").unwrap().capacity(1).spawn(Worker).unwrap();
        actor.send(Word::Wait(valve.clone())).await.unwrap();
        let mut tree = Supervisor::one_for_one(&system);
        tree.child(ChildSpec::new("child", || Worker)).unwrap();
        let tree = tree.start().await.unwrap();
        World { broker, topic, group, valve, system, actor, tree }
    }

    /// Everything that is left goes on.
    async fn goes_on(self, sim: &Sim, what: &str) {
        self.valve.open();
        // A pause may have been begun, and lasts.
        let _ = self.group.resume().await;
        let limit = secs(300);
        let within = async |step: &str, future: Cut| {
            let mut limit = Box::pin(sim.sleep(limit));
            let ended = futures::future::select(future, &mut limit).await;
            assert!(matches!(ended, futures::future::Either::Left(_)), "after {what} was dropped: {step}");
        };
        // A group that was opened, and whose consumers may have gone with the future, is one like any other.
        let topic = self.topic.clone();
        if self.broker.find_topic::<u64>("t").is_ok() {
            topic.group("late").run_fn(|_| Ok(())).await.unwrap();
            within("what was accepted is settled", Box::pin(async move { topic.settled().await.unwrap() }))
                .await;
            self.topic.hold();
            sim.settle().await;
            assert_eq!(fill(&self.topic), CAPACITY as u64, "after {what} was dropped: places are free");
            self.topic.release();
        }
        if !self.actor.is_closed() {
            let actor = self.actor.clone();
            let ask = async move { assert_eq!(actor.ask(Word::Ask).await.unwrap(), 7) };
            within("an actor answers", Box::pin(ask)).await;
        }
        let tree = self.tree.clone();
        within("a supervisor stops", Box::pin(async move { drop(tree.stop().await) })).await;
        let broker = self.broker.clone();
        within("a broker shuts down", Box::pin(async move { drop(broker.shutdown().await) })).await;
    }
}

/// Makes a future that owns what it needs.
macro_rules! cut {
    ($world:ident: $($kept:ident),* => $future:expr) => {{
        $(let $kept = $world.$kept.clone();)*
        Box::pin(async move { _ = $future.await })
    }};
}

async fn ok(_: Message<u64>) -> Result<(), Fault> {
    Ok(())
}

struct Idle;

impl Consumer<u64> for Idle {
    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        Ok(Outcome::Ack)
    }
}

async fn redrive_one(broker: Broker) {
    let topic = broker.topic::<u64>("other").open().await.unwrap();
    let mut stream = topic.group("g").stream().await.unwrap();
    topic.publish(1).await.unwrap();
    stream.next().await.unwrap().settle(Outcome::DeadLetter("later".into())).unwrap();
    let dead = broker.topic::<DeadLetter>("other.g.dead").open().await.unwrap();
    let letter = dead.group("clerk").stream().await.unwrap().next().await.unwrap();
    letter.redrive().await.unwrap();
}

/// Every public future, by its name in the list of public items; streams and sinks by what is awaited on them.
const FUTURES: &[(&str, Make)] = &[
    ("actor::address::Address::ask", |w| cut!(w: actor => actor.ask(Word::Ask))),
    ("actor::address::Address::ask_within", |w| cut!(w: actor => actor.ask_within(secs(9), Word::Ask))),
    ("actor::address::Address::send", |w| cut!(w: actor => actor.send(Word::Number))),
    ("actor::address::Address::stop_now", |w| cut!(w: actor => actor.stop_now())),
    ("actor::ending::Ending", |w| cut!(w: actor => actor.stop())),
    ("actor::recipient::Recipient::send", |w| {
        let recipient: Recipient<u64> = w.actor.recipient();
        Box::pin(async move { _ = recipient.send(7).await })
    }),
    ("an address as a sink", |w| cut!(w: actor => async move { actor.sink().send(Word::Number).await })),
    ("broker::data_dir::DataDirBuilder::open", |_| {
        let builder = Broker::builder().data_dir("/data").on(callboard::sim::SimDisk::new(1));
        Box::pin(async move { drop(builder.journal_file_bytes(16 << 10).open().await) })
    }),
    ("broker::dead_letter::DeadLetter::redrive", |w| cut!(w: broker => redrive_one(broker))),
    ("broker::group::GroupBuilder::run", |w| cut!(w: topic => topic.group("late").run(ok))),
    ("broker::group::GroupBuilder::run_fn", |w| cut!(w: topic => topic.group("late").run_fn(|_| Ok(())))),
    (
        "broker::group::GroupBuilder::run_outcome",
        |w| cut!(w: topic => topic.group("late").run_outcome(async |_| Outcome::Ack)),
    ),
    ("broker::group::GroupBuilder::run_with", |w| cut!(w: topic => topic.group("late").run_with(|| Idle))),
    ("broker::group::GroupBuilder::stream", |w| cut!(w: topic => topic.group("late").stream())),
    (
        "broker::group_with::GroupWith::run",
        |w| cut!(w: topic => topic.group("late").with(7).run(async |_, _| Ok(()))),
    ),
    (
        "broker::group_with::GroupWith::run_outcome",
        |w| cut!(w: topic => topic.group("late").with(7).run_outcome(async |_, _| Outcome::Ack)),
    ),
    (
        "broker::forward::Forward::run",
        |w| cut!(w: topic => topic.group("late").forward_to(&topic).run(async |_| Ok(None))),
    ),
    (
        "broker::forward::Forward::run_fn",
        |w| cut!(w: topic => topic.group("late").forward_to(&topic).run_fn(|_| Ok(None))),
    ),
    (
        "broker::forward::ForwardWith::run",
        |w| cut!(w: topic => topic.group("late").forward_to(&topic).with(7).run(async |_, _| Ok(None))),
    ),
    (
        "broker::forward::Forward::run_messages",
        |w| cut!(w: topic => topic.group("late").forward_to(&topic).run_messages(async |_| Ok(None))),
    ),
    (
        "broker::forward::ForwardWith::run_messages",
        |w| cut!(w: topic => topic.group("late").forward_to(&topic).with(7).run_messages(async |_, _| Ok(None))),
    ),
    ("broker::group::GroupBuilder::run_actor", |w| {
        let actor = w.actor.clone();
        let make = |_, reply: Reply<Result<(), Fault>>| {
            drop(reply.send(Ok(())));
            Word::Number
        };
        cut!(w: topic => topic.group("late").run_actor(actor, make))
    }),
    ("broker::topic::Topic::publish_after", |w| cut!(w: topic => topic.publish_after(secs(1), 1))),
    ("broker::topic::Topic::publish_at", |w| cut!(w: topic => topic.publish_at(0, 1))),
    ("broker::topic::Topic::cancel_scheduled", |w| {
        cut!(w: topic => async move {
            let one = topic.publish_after(secs(9), 1).await.unwrap();
            topic.cancel_scheduled(one).await
        })
    }),
    ("broker::group_handle::Group::consumer_stats", |w| cut!(w: group => group.consumer_stats())),
    ("broker::group_handle::Group::delete", |w| cut!(w: group => group.delete())),
    ("broker::group_handle::Group::redrive", |w| cut!(w: group => group.redrive())),
    ("broker::group_handle::Group::drain", |w| cut!(w: group => group.drain())),
    ("broker::group_handle::Group::pause", |w| cut!(w: group => group.pause())),
    ("broker::group_handle::Group::restart", |w| cut!(w: group => group.restart())),
    ("broker::group_handle::Group::resume", |w| cut!(w: group => group.resume())),
    ("broker::group_handle::Group::seek", |w| cut!(w: group => group.seek(Start::Offset(1)))),
    ("broker::group_handle::Group::set_consumers", |w| cut!(w: group => group.set_consumers(3))),
    ("broker::group_handle::Group::set_rate_limit", |w| {
        let limit = Some(RateLimit::per_second(9));
        cut!(w: group => group.set_rate_limit(limit))
    }),
    ("broker::group_handle::Group::stats", |w| cut!(w: group => group.stats())),
    ("a stream of deliveries", |w| {
        cut!(w: topic => async move {
            let mut stream = topic.group("late").stream().await.unwrap();
            stream.next().await
        })
    }),
    ("a browse", |w| cut!(w: topic => async move { topic.browse(Start::Earliest).next().await.is_some() })),
    ("a topic as a sink", |w| cut!(w: topic => async move { topic.sink().send(1).await })),
    ("broker::handle::Broker::idle", |w| cut!(w: broker => broker.idle())),
    (
        "broker::handle::Broker::stored_topics",
        |w| cut!(w: broker => async move { broker.stored_topics().await }),
    ),
    (
        "broker::handle::Broker::delete_stored_topic",
        |w| cut!(w: broker => async move { broker.delete_stored_topic("none").await }),
    ),
    ("broker::pull::Delivery::ack_durable", |w| {
        cut!(w: broker => async move {
            let topic = broker.topic::<u64>("other").open().await.unwrap();
            let mut stream = topic.group("g").stream().await.unwrap();
            topic.publish(1).await.unwrap();
            stream.next().await.unwrap().ack_durable().await
        })
    }),
    ("broker::handle::Broker::topology", |w| cut!(w: broker => broker.topology())),
    ("a stream of events", |w| {
        cut!(w: broker => async move {
            let mut events = broker.events();
            broker.topic::<u64>("other").open().await.unwrap();
            events.next().await;
            events.next().await
        })
    }),
    ("broker::handle::Broker::shutdown", |w| cut!(w: broker => broker.shutdown())),
    ("broker::handle::Broker::shutdown_within", |w| cut!(w: broker => broker.shutdown_within(secs(2)))),
    ("broker::topic::Topic::delete", |w| cut!(w: topic => topic.delete())),
    (
        "broker::message_builder::MessageBuilder::publish",
        |w| cut!(w: topic => topic.message(1).header("a", "b").publish()),
    ),
    (
        "broker::message_builder::MessageBuilder::publish_after",
        |w| cut!(w: topic => topic.message(1).ttl(secs(9)).publish_after(secs(1))),
    ),
    (
        "broker::message_builder::MessageBuilder::publish_at",
        |w| cut!(w: topic => topic.message(1).publish_at(0)),
    ),
    ("broker::topic::Topic::publish", |w| cut!(w: topic => topic.publish(1))),
    ("broker::topic::Topic::publish_all", |w| cut!(w: topic => topic.publish_all([1, 2, 3]))),
    ("broker::topic::Topic::settled", |w| cut!(w: topic => topic.settled())),
    ("broker::topic::Topic::stats", |w| cut!(w: topic => topic.stats())),
    ("broker::topic_builder::TopicBuilder::open", |w| cut!(w: broker => broker.topic::<u64>("other").open())),
    ("sim::handle::Sim::settle", |_| Box::pin(Sim::current().unwrap().settle())),
    ("sim::handle::Sim::sleep", |_| {
        let sim = Sim::current().unwrap();
        Box::pin(sim.sleep(secs(1)))
    }),
    ("sim::kit::probe::Probe::expect", |w| {
        let mut probe = Probe::<u64>::start(&w.system);
        Box::pin(async move { _ = probe.expect().await })
    }),
    ("sim::kit::probe::Probe::expect_within", |w| {
        let mut probe = Probe::<u64>::start(&w.system);
        Box::pin(async move { _ = probe.expect_within(secs(1)).await })
    }),
    ("sim::kit::probe::Probe::expect_nothing", |w| {
        let mut probe = Probe::<u64>::start(&w.system);
        Box::pin(async move { probe.expect_nothing(secs(1)).await })
    }),
    (
        "supervise::handle::SupervisorHandle::add",
        |w| cut!(w: tree => tree.add(ChildSpec::new("late", || Worker))),
    ),
    ("supervise::handle::SupervisorHandle::add_supervisor", |w| {
        let late = Supervisor::one_for_all(&w.system).name("late");
        cut!(w: tree => tree.add_supervisor(late))
    }),
    ("supervise::handle::SupervisorHandle::children", |w| cut!(w: tree => tree.children())),
    ("supervise::handle::SupervisorHandle::ended", |w| cut!(w: tree => tree.ended())),
    ("supervise::handle::SupervisorHandle::remove", |w| cut!(w: tree => tree.remove("child"))),
    ("supervise::handle::SupervisorHandle::stop", |w| cut!(w: tree => tree.stop())),
    ("supervise::supervisor::Supervisor::start", |w| {
        let mut tree = Supervisor::one_for_one(&w.system);
        tree.child(ChildSpec::new("other", || Worker)).unwrap();
        Box::pin(async move { _ = tree.start().await })
    }),
];

/// What users implement, what is not theirs to drop, and what can't be had inside of this world.
const NOT_HERE: [(&str, &str); 20] = [
    ("actor::traits::Actor::handle", "implemented by users"),
    ("actor::traits::Actor::started", "implemented by users"),
    ("actor::traits::Actor::stopping", "implemented by users"),
    ("broker::handler::Consumer::handle", "implemented by users"),
    ("broker::handler::Consumer::started", "implemented by users"),
    ("server::builder::ServerBuilder::serve", "needs sockets: tests/server"),
    ("server::serving::Serving::command", "needs sockets: tests/server"),
    ("server::serving::Serving::failure", "needs sockets: tests/server"),
    ("server::serving::Serving::stop", "needs sockets: tests/server"),
    ("server::within::consumer::ServedGroup::consumer", "needs sockets: tests/server"),
    ("server::within::delivery::ServedDelivery::ack", "needs sockets: tests/server"),
    ("server::within::delivery::ServedDelivery::dead_letter", "needs sockets: tests/server"),
    ("server::within::delivery::ServedDelivery::extend", "needs sockets: tests/server"),
    ("server::within::delivery::ServedDelivery::nack", "needs sockets: tests/server"),
    ("server::within::delivery::ServedDelivery::release", "needs sockets: tests/server"),
    ("server::within::stream::ServedStream::browse", "needs sockets: tests/server"),
    ("server::within::stream::ServedStream::publish", "needs sockets: tests/server"),
    ("sim::handle::Sim::spawn", "takes a future, is none"),
    ("sim::kit::cut::cut", "is what drops the others"),
    ("sim::kit::test_broker::TestBroker::advance", "is `Sim::sleep`, then `Sim::settle`"),
];

#[test]
fn the_list_of_futures_is_that_of_the_public_items() {
    let listed = include_str!("../public_api.txt").lines().filter_map(|line| {
        let (name, shape) = line.split_once(": ")?;
        // What a function answers; a bound on what it takes makes no future of it.
        let answer = shape.split_once("where").map_or(shape, |(before, _)| before);
        let answers = answer.rsplit_once("-> ").is_some_and(|(_, answer)| answer.contains("Future<"));
        let is = shape.starts_with("async fn") || shape == "impl Future" || answers;
        (is && !name.starts_with("runtime::")).then_some(name)
    });
    let listed: BTreeSet<&str> = listed.collect();
    let here: BTreeSet<&str> =
        FUTURES.iter().map(|(name, _)| *name).filter(|name| name.contains("::")).collect();
    let known: BTreeSet<&str> = here.iter().copied().chain(NOT_HERE.map(|(name, _)| name)).collect();
    let forgotten: Vec<_> = listed.difference(&known).collect();
    assert!(forgotten.is_empty(), "public futures that this file does not drop: {forgotten:?}");
    let unknown: Vec<_> = here.difference(&listed).collect();
    assert!(unknown.is_empty(), "these are no public futures any more: {unknown:?}");
}

#[test]
fn whatever_future_is_dropped_after_however_many_polls_the_rest_goes_on() {
    every::seed(4, |sim| async move {
        for (name, make) in FUTURES {
            for polls in 0..=POLLS {
                let world = World::new().await;
                let mut future = make(&world).fuse();
                for poll in 0..polls {
                    if poll == POLLS / 2 {
                        // What it waits for happens now.
                        world.valve.open();
                    }
                    if poll_once(&mut future).await.is_ready() {
                        break;
                    }
                    sim.sleep(Duration::from_millis(1)).await;
                }
                drop(future);
                world.goes_on(&sim, &format!("{name}, after {polls} polls,")).await;
            }
        }
    });
}
