//! What does a message cost on its way through a mailbox, and through a raw `async_channel::bounded`?
//!
//! The same number of tasks send, one receives. Both wait when full; the mailbox also counts a message that was
//! taken and not settled, the channel does not. At capacity 1 each message is a switch between two tasks, and there
//! is nothing to amortise.

use std::future::poll_fn;
use std::hint::black_box;

use callboard::mailbox::{Event, mailbox};

use super::Small;
use crate::bench::{Bench, Meter, Side, side};
use crate::place::{Here, PLACES};

pub fn run(bench: &mut Bench) {
    for capacity in [64, 1024, 1] {
        for producers in [1, 8] {
            let gate = format!("mailbox, capacity {capacity}, producers {producers}");
            let messages = if capacity == 1 { 40_000 } else { 200_000 };
            for place in PLACES {
                let times = if capacity == 1 { place.pick(1.2, 0.75) } else { place.pick(3.3, 2.5) };
                let ours = ours(capacity, producers, messages);
                bench.faster(&gate, place, times, &ours, &[raw(capacity, producers, messages)]);
            }
        }
    }
}

fn ours(capacity: usize, producers: usize, messages: usize) -> Side {
    side("mailbox", move |here: Here| async move {
        let (sender, mut receiver) = mailbox::<Small, (), ()>(capacity, ());
        let meter = Meter::start();
        let reader = here.spawn(async move {
            loop {
                match poll_fn(|cx| receiver.poll_next(cx)).await {
                    Event::Message(message) => {
                        black_box(message[0]);
                        receiver.settle(1);
                    }
                    Event::Control(()) => {}
                    Event::Closed => break,
                }
            }
        });
        for producer in 0..producers {
            let sender = sender.clone();
            here.spawn(async move {
                for number in 0..messages / producers {
                    sender.send([number as u64, producer as u64, 1, 2]).await.expect("a receiver");
                }
            })
            .detach();
        }
        drop(sender);
        reader.await;
        meter.per(messages)
    })
}

fn raw(capacity: usize, producers: usize, messages: usize) -> Side {
    side("async-channel", move |here: Here| async move {
        let (sender, receiver) = async_channel::bounded::<Small>(capacity);
        let meter = Meter::start();
        let reader = here.spawn(async move {
            while let Ok(message) = receiver.recv().await {
                black_box(message[0]);
            }
        });
        for producer in 0..producers {
            let sender = sender.clone();
            here.spawn(async move {
                for number in 0..messages / producers {
                    sender.send([number as u64, producer as u64, 1, 2]).await.expect("a receiver");
                }
            })
            .detach();
        }
        drop(sender);
        reader.await;
        meter.per(messages)
    })
}
