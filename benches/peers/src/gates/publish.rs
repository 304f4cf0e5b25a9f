//! What does a publish cost, to two groups of four consumers, and what by hand?
//!
//! 64 bytes of payload, one publisher, capacity 1024. Ours acks each message in each group, keeps it until then, and
//! would deliver it again after a panic. By hand (twice, against each):
//! - two `async_channel`s with four readers each, the payload in an `Arc`; tuned as a careful hand would: the reader
//!   takes what is there before it waits, the sender gives way once before it waits. No acks, nothing kept.
//! - `tokio::sync::broadcast` to one forwarder for each group, and from there a channel to four readers. It loses
//!   messages when a reader lags, so the publisher gives way until there is room. No acks.

use std::hint::black_box;
use std::sync::Arc;

use async_channel::{Receiver, Sender, TrySendError, bounded};
use callboard::broker::{Broker, Topic};
use tokio::sync::broadcast;

use super::{Payload, payload};
use crate::bench::{Bench, Meter, Side, side};
use crate::place::{Here, PLACES, Task, give_way};

const MESSAGES: usize = 100_000;
const CAPACITY: usize = 1024;
const GROUPS: usize = 2;
const CONSUMERS: usize = 4;

pub fn run(bench: &mut Bench) {
    for place in PLACES {
        let gate = "publish to 2x4, against two channels";
        bench.faster(gate, place, place.pick(4.5, 4.0), &ours(), &[by_hand()]);
    }
    for place in PLACES {
        bench.faster("publish to 2x4, against broadcast", place, 8.0, &ours(), &[by_broadcast()]);
    }
}

/// Opens a topic with two groups of four consumers.
pub async fn open(broker: &Broker) -> Topic<Payload> {
    let topic = broker.topic::<Payload>("events").capacity(CAPACITY).open().await.expect("a topic");
    for group in ["one", "two"] {
        let consumers = topic.group(group).consumers(CONSUMERS as u32);
        consumers.run_fn(|message| Ok(_ = black_box(message[0]))).await.expect("a group");
    }
    topic
}

fn ours() -> Side {
    side("callboard", |here: Here| async move {
        let broker = here.broker();
        let topic = open(&broker).await;
        let meter = Meter::start();
        let publisher = topic.clone();
        here.spawn(async move {
            for number in 0..MESSAGES {
                publisher.publish(payload(number)).await.expect("a topic");
            }
        })
        .await;
        topic.settled().await.expect("a topic");
        let nanos = meter.per(MESSAGES);
        assert_eq!(broker.shutdown().await.lost(), 0);
        nanos
    })
}

type Shared = Arc<Payload>;

fn readers(here: &Here, from: Receiver<Shared>) -> Vec<Task<()>> {
    let reader = async |from: Receiver<Shared>| {
        while let Ok(message) = from.recv().await {
            black_box(message[0]);
            let mut burst = 0;
            while burst < 64
                && let Ok(message) = from.try_recv()
            {
                black_box(message[0]);
                burst += 1;
            }
        }
    };
    (0..CONSUMERS).map(|_| here.spawn(reader(from.clone()))).collect()
}

async fn send(to: &Sender<Shared>, message: Shared) {
    let message = match to.try_send(message) {
        Err(TrySendError::Full(message)) => message,
        sent => return sent.expect("readers"),
    };
    give_way().await;
    to.send(message).await.expect("readers");
}

fn by_hand() -> Side {
    side("by hand", |here: Here| async move {
        let channels = [(); GROUPS].map(|()| bounded::<Shared>(CAPACITY));
        let readers: Vec<_> = channels.iter().flat_map(|(_, from)| readers(&here, from.clone())).collect();
        let [one, two] = channels.map(|(to, _)| to);
        let meter = Meter::start();
        here.spawn(async move {
            for number in 0..MESSAGES {
                let message = Arc::new(payload(number));
                send(&one, message.clone()).await;
                send(&two, message).await;
            }
        })
        .await;
        for reader in readers {
            reader.await;
        }
        meter.per(MESSAGES)
    })
}

fn by_broadcast() -> Side {
    side("broadcast", |here: Here| async move {
        let (to, _) = broadcast::channel::<Shared>(CAPACITY);
        let mut tasks = Vec::new();
        for _ in 0..GROUPS {
            let (group, from) = bounded(CAPACITY);
            tasks.extend(readers(&here, from));
            let mut all = to.subscribe();
            tasks.push(here.spawn(async move {
                while let Ok(message) = all.recv().await {
                    send(&group, message).await;
                }
            }));
        }
        let meter = Meter::start();
        here.spawn(async move {
            for number in 0..MESSAGES {
                // Why in steps: `len` takes a lock.
                while number % 64 == 0 && to.len() > CAPACITY - 64 {
                    give_way().await;
                }
                to.send(Arc::new(payload(number))).expect("forwarders");
            }
        })
        .await;
        for task in tasks {
            task.await;
        }
        meter.per(MESSAGES)
    })
}
