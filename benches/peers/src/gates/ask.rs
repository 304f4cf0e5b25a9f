//! What does a question to an actor cost, and one through tokio's mpsc with a oneshot for the answer?
//!
//! One task asks, waits for the answer and asks again: two switches between tasks for each. tokio's channels run on
//! smol too. Theirs has no panics caught, no stop, no name, no check for an actor that asks itself.

use std::hint::black_box;

use callboard::actor::{Actor, Context};
use callboard::base::Fault;
use callboard::mailbox::Reply;
use tokio::sync::{mpsc, oneshot};

use crate::bench::{Bench, Meter, Side, side};
use crate::place::{Here, PLACES};

const QUESTIONS: usize = 50_000;

pub fn run(bench: &mut Bench) {
    for place in PLACES {
        bench.faster("ask, against mpsc + oneshot", place, place.pick(0.8, 0.7), &ours(), &[theirs()]);
    }
}

pub struct Counter(pub u64);

pub enum Count {
    Add(u64, Reply<u64>),
}

impl Actor for Counter {
    type Message = Count;
    async fn handle(&mut self, message: Count, _: &mut Context<Count>) -> Result<(), Fault> {
        let Count::Add(number, reply) = message;
        self.0 += black_box(number);
        let _ = reply.send(self.0);
        Ok(())
    }
}

fn ours() -> Side {
    side("callboard", |here: Here| async move {
        let address = here.system().spawn(Counter(0));
        let meter = Meter::start();
        here.spawn(async move {
            for number in 0..QUESTIONS as u64 {
                black_box(address.ask(|reply| Count::Add(number, reply)).await.expect("an answer"));
            }
        })
        .await;
        meter.per(QUESTIONS)
    })
}

fn theirs() -> Side {
    side("mpsc + oneshot", |here: Here| async move {
        let (sender, mut receiver) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(64);
        let counter = here.spawn(async move {
            let mut sum = 0;
            while let Some((number, reply)) = receiver.recv().await {
                sum += black_box(number);
                let _ = reply.send(sum);
            }
        });
        let meter = Meter::start();
        here.spawn(async move {
            for number in 0..QUESTIONS as u64 {
                let (reply, answer) = oneshot::channel();
                sender.send((number, reply)).await.expect("a counter");
                black_box(answer.await.expect("an answer"));
            }
        })
        .await;
        let nanos = meter.per(QUESTIONS);
        counter.await;
        nanos
    })
}
