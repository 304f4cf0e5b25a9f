//! Shows two bugs that seeds find in a pipeline which passes every ordinary test, the seeds, and the pipeline mended.
//!
//! ```text
//!   payments ──▶ group "book", 2 consumers ──▶ read the balance, tell the journal, write the balance
//!                                                    └── another consumer reads here ──┘      └─ a crash here pays twice
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod shared;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callboard::prelude::*;
use callboard::sim::{self, Point, TestBroker};

const OPENING: u64 = 1_000;

/// What the pipeline works on: a balance, and which payments are in it.
#[derive(Clone, Default)]
struct Account(Arc<Mutex<(u64, BTreeSet<MessageId>)>>);

impl Account {
    fn open() -> Account {
        Account(Arc::new(Mutex::new((OPENING, BTreeSet::new()))))
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeSet<MessageId>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type State = (Account, Topic<u64>);

/// As it was first written. Each line is right, and the whole is not.
async fn careless(payment: Message<u64>, (account, journal): State) -> Result<(), Fault> {
    let balance = account.lock().0;
    journal.publish(*payment).await?;
    account.lock().0 = balance - *payment;
    Ok(())
}

/// Mended: the balance changes in one step, and a payment that comes again finds itself in it.
async fn careful(payment: Message<u64>, (account, journal): State) -> Result<(), Fault> {
    journal.publish(*payment).await?;
    let mut inside = account.lock();
    if inside.1.insert(payment.id()) {
        inside.0 -= *payment;
    }
    Ok(())
}

/// The test: whatever the order, and though one delivery crashes after its handler, the balance is exact.
async fn books_are_exact(broker: TestBroker, mended: bool, crash: bool) -> Result<(), Fault> {
    let journal = broker.topic::<u64>("journal").capacity(2).open().await?;
    journal.group("print").run(async |_| Ok(())).await?;
    let payments = broker.topic::<u64>("payments").open().await?;
    let (account, book) = (Account::open(), payments.group("book").consumers(2));
    let book = book.with((account.clone(), journal));
    let book = if mended { book.run(careful).await? } else { book.run(careless).await? };
    if crash {
        broker.crash_next("payments", "book", Point::AfterHandler);
    }
    payments.publish_all(1..=20).await?;
    broker.idle().await?;
    let (balance, expected) = (account.lock().0, OPENING - (1..=20).sum::<u64>());
    let stats = book.stats().await?;
    let told =
        Fault::new(format!("the balance is {balance}, not {expected}; {} came again", stats.redeliveries));
    if balance == expected { Ok(()) } else { Err(told) }
}

/// The first of 200 seeds under which the test fails, and how.
fn first_failure(mended: bool, crash: bool) -> Option<(u64, Fault)> {
    (0..200).find_map(|seed| {
        let end = sim::run(seed, |broker| books_are_exact(broker, mended, crash));
        end.err().map(|fault| (seed, fault))
    })
}

fn main() -> ExitCode {
    // The simulator is its own runtime, so on both this shows the same.
    shared::run(async {
        for (mended, crash) in [(false, false), (false, true), (true, false), (true, true)] {
            let (code, fault) =
                (if mended { "careful" } else { "careless" }, if crash { ", a crash" } else { "" });
            match first_failure(mended, crash) {
                Some((seed, error)) if !mended => println!("{code}{fault}: seed {seed}: {error}"),
                None if mended => println!("{code}{fault}: 200 seeds, and the books are exact"),
                Some((_, error)) => return Err(error),
                None => return Err(Fault::new("no seed found the bug")),
            }
        }
        Ok(())
    })
}
