//! How many bytes of the heap does an idle actor hold, and what a topic, a group and a consumer?
//!
//! Thousands are made and left alone until each has started; the runtime's own memory for a task is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callboard::actor::{Actor, Context};
use callboard::base::Fault;

use super::Payload;
use crate::allocator::Count;
use crate::bench::Bench;
use crate::place::{Here, PLACES, Place, give_way};
use crate::report::{Line, Target, Unit};

const MANY: usize = 2_000;

pub fn run(bench: &mut Bench) {
    for place in PLACES {
        note(bench, "bytes of an idle actor", place, Target::AtMost(800.0), |place| {
            place.run(&|here| Box::pin(actors(here, false)))
        });
    }
    for place in PLACES {
        note(bench, "bytes of an idle actor after a message", place, Target::None, |place| {
            place.run(&|here| Box::pin(actors(here, true)))
        });
    }
    for place in PLACES {
        note(bench, "bytes of a topic", place, Target::None, |place| {
            place.run(&|here| Box::pin(topics(here)))
        });
    }
    for place in PLACES {
        note(bench, "bytes of a group with its dead-letter topic", place, Target::None, |place| {
            place.run(&|here| Box::pin(groups(here)))
        });
    }
    for place in PLACES {
        note(bench, "bytes of a consumer", place, Target::None, |place| {
            place.run(&|here| Box::pin(consumers(here)))
        });
    }
}

fn note(bench: &mut Bench, gate: &str, place: Place, target: Target, bytes: impl Fn(Place) -> f64) {
    if bench.wants(gate, place) {
        // The less of two: what a runtime allocates once, for its own queues, is not the actors'.
        let value = bytes(place).min(bytes(place)).round();
        let detail = format!("the mean of {MANY}");
        bench.note(Line { gate: gate.to_string(), place, value, unit: Unit::Bytes, target, detail });
    }
}

fn mean(count: Count) -> f64 {
    count.bytes as f64 / MANY as f64
}

/// An actor with 64 bytes of state.
struct Idle {
    started: Arc<AtomicUsize>,
    state: [u64; 7],
}

impl Actor for Idle {
    type Message = [u64; 4];

    async fn started(&mut self, _: &mut Context<Self::Message>) -> Result<(), Fault> {
        self.started.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn handle(&mut self, message: Self::Message, _: &mut Context<Self::Message>) -> Result<(), Fault> {
        self.state[0] += message[0];
        self.started.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

async fn actors(here: Here, message: bool) -> f64 {
    let (system, started) = (here.system(), Arc::new(AtomicUsize::new(0)));
    let mut addresses = Vec::with_capacity(MANY);
    Count::start();
    addresses.extend((0..MANY).map(|_| system.spawn(Idle { started: started.clone(), state: [0; 7] })));
    until(&started, MANY).await;
    if message {
        for address in &addresses {
            address.send([1; 4]).await.expect("an actor");
        }
        until(&started, 2 * MANY).await;
    }
    mean(Count::stop())
}

/// Waits until it has counted to `number`, and then until those who counted sleep.
async fn until(counter: &AtomicUsize, number: usize) {
    while counter.load(Ordering::SeqCst) < number {
        give_way().await;
    }
    smol::Timer::after(std::time::Duration::from_millis(20)).await;
}

async fn topics(here: Here) -> f64 {
    let broker = here.broker();
    let mut topics = Vec::with_capacity(MANY);
    Count::start();
    for number in 0..MANY {
        topics.push(broker.topic::<Payload>(&format!("topic-{number}")).open().await.expect("a topic"));
    }
    smol::Timer::after(std::time::Duration::from_millis(20)).await;
    mean(Count::stop())
}

async fn groups(here: Here) -> f64 {
    let broker = here.broker();
    let mut topics = Vec::with_capacity(MANY);
    for number in 0..MANY {
        topics.push(broker.topic::<Payload>(&format!("topic-{number}")).open().await.expect("a topic"));
    }
    Count::start();
    for topic in &topics {
        topic.group("group").run_fn(|_| Ok(())).await.expect("a group");
    }
    smol::Timer::after(std::time::Duration::from_millis(20)).await;
    mean(Count::stop())
}

async fn consumers(here: Here) -> f64 {
    let broker = here.broker();
    let topic = broker.topic::<Payload>("topic").open().await.expect("a topic");
    topic.group("group").run_fn(|_| Ok(())).await.expect("a group");
    Count::start();
    topic.group("group").consumers(MANY as u32).run_fn(|_| Ok(())).await.expect("the same group");
    smol::Timer::after(std::time::Duration::from_millis(20)).await;
    mean(Count::stop())
}
