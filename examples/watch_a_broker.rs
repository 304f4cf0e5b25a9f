//! Shows what a broker tells of itself: its events, one a line, while a consumer panics and two orders are given up; then
//! the broker as a Mermaid flowchart, with its numbers; then the steps of its shutdown. The printout is checked.
//!
//! ```text
//!   orders ─▶ billing (2 consumers)  panics at 3, gives up 5 and 6  ─▶ orders.billing.dead
//!          └▶ audit   (1 consumer)   (the panic's message on stderr is part of the show)
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod shared;

use std::process::ExitCode;

use callboard::broker::Event;
use callboard::prelude::*;
use futures::StreamExt as _;

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let broker = Broker::start()?;
    // From here on everything is heard. What is told waits in a buffer of its own, and never holds the broker up.
    let mut events = broker.events();

    let orders = broker.topic::<u32>("orders").capacity(100).open().await?;
    let billing = orders.group("billing").consumers(2).retry(Retry::immediately().max_attempts(2));
    let billing = billing.run_outcome(async |order| match (*order, order.attempt()) {
        (3, 1) => panic!("the printer is on fire"),
        (5, _) => Outcome::Retry("no such customer".into()),
        (6, _) => Outcome::DeadLetter("unreadable".into()),
        _ => Outcome::Ack,
    });
    billing.await?;
    orders.group("audit").run(async |_| Ok(())).await?;

    orders.publish_all(1..=9).await?;
    orders.settled().await?;
    let topology = broker.topology().await?;
    let report = broker.shutdown().await;

    // The stream ends when the broker has stopped, so this loop does.
    let (mut restarts, mut dead) = (0, 0);
    println!("what happened:");
    while let Some(event) = events.next().await {
        println!("  {event}");
        match event {
            Event::ConsumerRestarted { .. } => restarts += 1,
            Event::DeadLetter { .. } => dead += 1,
            Event::Missed { events } => return Err(Fault::new(format!("{events} events were missed"))),
            _ => {}
        }
    }
    println!("\nhow it stood before the shutdown, for https://mermaid.live:\n{}", topology.to_mermaid());

    let stats = &topology.group("orders", "billing").ok_or(Fault::new("there is no billing"))?.stats;
    let of = report.group("orders", "billing").ok_or(Fault::new("there is no report on billing"))?;
    assert_eq!((restarts, dead), (1, 2), "one panic, two orders given up");
    assert_eq!((stats.restarts, stats.dead_lettered), (restarts, dead), "the topology counts what was told");
    assert_eq!((of.stats.restarts, of.stats.dead_lettered), (restarts, dead), "and so does the report");
    assert_eq!((stats.acked, topology.topics.len()), (7, 3), "the dead-letter topics are topics too");
    Ok(())
}
