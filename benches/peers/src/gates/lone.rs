//! What does a message cost that comes alone, from its publish until both groups have handled it?
//!
//! The publisher waits until the message was handled in both groups before it publishes the next: nothing can be
//! amortised. Ours goes publisher, topic, group, consumer, and the ack goes the way back. Theirs is one raw hop for
//! each group: an `async_channel` on whose other end a task sleeps. On both sides the handlers answer the publisher
//! through an `async_channel`, as the program would that has to know.
//!
//! For information, the way there alone: the answer comes by a bell that costs next to nothing.

use std::hint::black_box;
use std::sync::Arc;

use callboard::broker::{Broker, Message, Topic};

use super::{Payload, payload};
use crate::bell::Bell;
use crate::bench::{Bench, Meter, Side, side};
use crate::place::{Here, PLACES};

const MESSAGES: usize = 20_000;
const GROUPS: usize = 2;

pub fn run(bench: &mut Bench) {
    for place in PLACES {
        let gate = "lone publish to 2 groups, against raw hops";
        let most = place.pick(1.8, 2.0);
        bench.at_most(gate, place, Some(most), &ours(answers), &[by_hand(answers)]);
    }
    for place in PLACES {
        bench.at_most("lone publish, the way there alone", place, None, &ours(bell), &[by_hand(bell)]);
    }
}

/// How handlers tell the publisher that they are through with a message.
pub trait Told: Clone + Send + Sync + 'static {
    /// Called by each handler.
    fn tell(&self);
    /// Called by the publisher, before it publishes.
    fn begin(&self);
    /// Waits for all handlers.
    fn told(&self) -> impl Future<Output = ()> + Send;
}

impl Told for Bell {
    fn tell(&self) {
        self.ring();
    }

    fn begin(&self) {
        self.set(GROUPS);
    }

    async fn told(&self) {
        self.rung().await;
    }
}

#[derive(Clone)]
struct Answers(async_channel::Sender<()>, async_channel::Receiver<()>);

impl Told for Answers {
    fn tell(&self) {
        self.0.try_send(()).expect("room for all answers");
    }

    fn begin(&self) {}

    async fn told(&self) {
        for _ in 0..GROUPS {
            self.1.recv().await.expect("an answer");
        }
    }
}

fn answers() -> Answers {
    let (to, from) = async_channel::bounded(GROUPS);
    Answers(to, from)
}

pub fn bell() -> Bell {
    Bell::default()
}

/// Opens a topic with two groups of one consumer each.
pub async fn open(broker: &Broker, told: &impl Told) -> Topic<Payload> {
    let topic = broker.topic::<Payload>("events").open().await.expect("a topic");
    for group in ["one", "two"] {
        let told = told.clone();
        let handler = move |message: &Message<Payload>| {
            black_box(message[0]);
            told.tell();
            Ok(())
        };
        topic.group(group).run_fn(handler).await.expect("a group");
    }
    topic
}

fn ours<T: Told>(told: fn() -> T) -> Side {
    side("callboard", move |here: Here| async move {
        let (broker, told) = (here.broker(), told());
        let topic = open(&broker, &told).await;
        let meter = Meter::start();
        here.spawn(async move {
            for number in 0..MESSAGES {
                told.begin();
                topic.publish(payload(number)).await.expect("a topic");
                told.told().await;
            }
        })
        .await;
        meter.per(MESSAGES)
    })
}

fn by_hand<T: Told>(told: fn() -> T) -> Side {
    side("raw hops", move |here: Here| async move {
        let (told, mut to) = (told(), Vec::new());
        for _ in 0..GROUPS {
            let (sender, receiver) = async_channel::bounded::<Arc<Payload>>(64);
            let told = told.clone();
            to.push(sender);
            here.spawn(async move {
                while let Ok(message) = receiver.recv().await {
                    black_box(message[0]);
                    told.tell();
                }
            })
            .detach();
        }
        let meter = Meter::start();
        here.spawn(async move {
            for number in 0..MESSAGES {
                told.begin();
                let message = Arc::new(payload(number));
                for sender in &to {
                    sender.send(message.clone()).await.expect("a reader");
                }
                told.told().await;
            }
        })
        .await;
        meter.per(MESSAGES)
    })
}
