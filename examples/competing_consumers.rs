//! Shows who gets what: both groups of a topic see all orders, and inside a group each order goes to one consumer.
//!
//! ```text
//!            ┌──▶ group billing ──▶ 3 consumers share the orders
//!   orders ──┤
//!            └──▶ group audit ────▶ 1 consumer sees them all, in order
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

#[path = "shared/gate.rs"]
mod gate;
mod shared;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use callboard::prelude::*;
use gate::Gate;

const ORDERS: u32 = 24;

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let broker = Broker::start()?;
    // Held, so that no order moves before both groups are there. They would lose none either way.
    let orders = broker.topic::<u32>("orders").hold().open().await?;
    let book = Book::default();

    let (desk, number, gate) = (book.clone(), AtomicU32::new(1), Gate::new(3));
    let billing = move || {
        let name = format!("billing {}", number.fetch_add(1, Ordering::Relaxed));
        Clerk { name, book: desk.clone(), gate: Some(gate.clone()) }
    };
    orders.group("billing").consumers(3).run_with(billing).await?;
    let desk = book.clone();
    let audit = move || Clerk { name: "audit".to_string(), book: desk.clone(), gate: None };
    orders.group("audit").run_with(audit).await?;

    orders.publish_all(1..=ORDERS).await?;
    orders.release();
    orders.settled().await?;
    broker.shutdown().await;

    let book = book.entries();
    for (clerk, orders) in &book {
        println!("{clerk:9} handled {orders:?}");
    }

    // Fan-out: the other group took nothing away from this one.
    let all: Vec<u32> = (1..=ORDERS).collect();
    assert_eq!(
        book.get("audit"),
        Some(&all),
        "a group sees every order, and one consumer sees them in order"
    );
    // Load balancing: together the three have each order once.
    let (_, billed): (Vec<_>, Vec<_>) = book.into_iter().filter(|(clerk, _)| clerk != "audit").unzip();
    assert_eq!(billed.len(), 3, "each of the three gets a share");
    let mut billed = billed.concat();
    billed.sort_unstable();
    assert_eq!(billed, all, "inside a group each order goes to one consumer");
    println!("both groups saw {ORDERS} orders; billing shared them, each order went to one of the three");
    Ok(())
}

/// Who handled which orders, in their order.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<BTreeMap<String, Vec<u32>>>>);

impl Book {
    fn note(&self, clerk: &str, order: u32) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.entry(clerk.to_string()).or_default().push(order);
    }

    fn entries(&self) -> BTreeMap<String, Vec<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A consumer with a state of its own.
struct Clerk {
    name: String,
    book: Book,
    /// Where the clerk waits, with its first order, until the other clerks have one too.
    gate: Option<Gate>,
}

impl Consumer<u32> for Clerk {
    async fn handle(&mut self, order: &Message<u32>) -> Result<Outcome, Fault> {
        if let Some(gate) = self.gate.take() {
            gate.pass().await;
        }
        self.book.note(&self.name, **order);
        Ok(Outcome::Ack)
    }
}
