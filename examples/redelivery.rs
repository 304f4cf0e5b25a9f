//! Shows m4, m3, m5: a consumer crashes while it holds m3, and meanwhile its neighbour handles m4. A group of one
//! consumer without retries keeps the order of publishing: there m4 is refused, and becomes a dead letter.
//!
//! ```text
//!   consumer A   m3 crash │ m3 again ──     handled: m4 m3 m5
//!   consumer B   m4 ──────│──────── m5      (the panic's message on stderr is part of the show)
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

#[path = "shared/gate.rs"]
mod gate;
mod shared;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use callboard::prelude::*;
use futures::StreamExt as _;
use gate::Gate;

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let broker = Broker::start()?;
    let orders = broker.topic::<u32>("orders").hold().open().await?;

    // The gates hold both consumers to one script; without them chance would play it, now and then.
    let (pair, m4_done, m3_done) = (Handled::default(), Gate::new(2), Gate::new(2));
    let shared = orders.group("pair").consumers(2).prefetch(1).retry(Retry::immediately());
    let shared = shared
        .with((pair.clone(), m4_done, m3_done))
        .run(async |order, (handled, m4_done, m3_done): (Handled, Gate, Gate)| {
            match (*order, order.attempt()) {
                (3, 1) => {
                    m4_done.pass().await;
                    panic!("crashed with m3 in hand");
                }
                (5, _) => m3_done.pass().await,
                _ => {}
            }
            handled.note(&order);
            match *order {
                3 => m3_done.pass().await,
                4 => m4_done.pass().await,
                _ => {}
            }
            Ok(())
        })
        .await?;

    let alone = Handled::default();
    let handled = alone.clone();
    let single = orders.group("alone").consumers(1).retry(Retry::none());
    single
        .run_fn(move |order| {
            let readable = **order != 4;
            readable.then(|| handled.note(order)).ok_or(Fault::new("m4 can't be read"))
        })
        .await?;

    orders.publish_all([3, 4, 5]).await?;
    orders.release();
    orders.settled().await?;
    println!("two consumers, with retries:   {}", pair.notes().join(", "));
    println!("one consumer, without retries: {}", alone.notes().join(", "));
    assert_eq!(pair.notes(), ["m4", "m3 (attempt 2)", "m5"], "m3 comes after what overtook it");
    assert_eq!(alone.notes(), ["m3", "m5"], "what one consumer handles, it handles in order");

    let dead = broker.find_topic::<DeadLetter>("orders.alone.dead")?;
    let mut dead = dead.group("reader").stream().await?;
    let letter = dead.next().await.ok_or(Fault::new("the dead letters ended"))?;
    let order = letter.message::<u32>().ok_or(Fault::new("the dead letter is no order"))?;
    println!("its dead letter:               m{}, {}", *order, letter.error().unwrap_or("for no reason"));
    assert_eq!(*order, 4, "what was given up is not lost");
    letter.ack()?;

    let stats = shared.stats().await?;
    assert_eq!((stats.redeliveries, stats.restarts), (1, 1), "one crash, one redelivery");
    assert_eq!(broker.shutdown().await.lost(), 0, "nothing is lost");
    Ok(())
}

/// What a group has handled, in its order.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<Vec<String>>>);

impl Handled {
    fn note(&self, order: &Message<u32>) {
        let again =
            if order.attempt() > 1 { format!(" (attempt {})", order.attempt()) } else { String::new() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("m{}{again}", **order));
    }

    fn notes(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
