//! Shows a group paused, scaled, slowed down and stopped by its breaker, all while messages come in; none is lost.
//!
//! ```text
//!   mails ──▶ group sender ──▶ consumers: 1, then 4
//!                 ▲
//!                 pause, resume, set_consumers, set_rate_limit, drain
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod shared;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use callboard::broker::{Breaker, GroupStats, RateLimit};
use callboard::prelude::*;

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let broker = Broker::start()?;
    let mails = broker.topic::<u32>("mails").open().await?;
    let server = Server::default();
    let sender = mails
        .group("sender")
        .retry(Retry::immediately().max_attempts(1_000))
        .breaker(Breaker::after(10).pause(Duration::from_millis(5)))
        .with(server.clone());
    let sender = sender.run(async |_mail, server: Server| server.send()).await?;

    sender.pause().await?;
    mails.publish_all(0..100).await?;
    mails.settled().await?; // nobody waits for a paused group
    show("paused, 100 mails came in", &sender.stats().await?);
    assert_eq!(sender.stats().await?.acked, 0);

    sender.set_consumers(4).await?;
    sender.resume().await?;
    sender.drain().await?; // all that came in before this call
    show("resumed, with 4 consumers", &sender.stats().await?);
    assert_eq!((sender.stats().await?.acked, sender.stats().await?.consumers), (100, 4));

    sender.set_rate_limit(Some(RateLimit::per_second(1_000).burst(10))).await?;
    let began = now();
    mails.publish_all(100..160).await?;
    sender.drain().await?;
    let took = began.elapsed();
    println!("{:>28}: 60 mails took {} ms", "1,000 in a second", took.as_millis());
    assert!(took >= Duration::from_millis(45), "10 at once, 50 at a millisecond each");
    sender.set_rate_limit(None).await?;

    server.down.store(true, Ordering::Relaxed);
    mails.publish_all(160..200).await?;
    while sender.stats().await?.breaker.is_none_or(|breaker| breaker.opened < 2) {}
    show("the mail server is down", &sender.stats().await?);
    server.down.store(false, Ordering::Relaxed);
    sender.drain().await?; // an open breaker is waited for
    show("and up again", &sender.stats().await?);

    let report = broker.shutdown().await;
    assert_eq!((report.lost(), report.timed_out), (0, false));
    let stats = &report.group("mails", "sender").ok_or(Fault::new("no report"))?.stats;
    assert_eq!((stats.acked, stats.dead_lettered), (200, 0));
    println!("all 200 mails were sent, none was given up");
    Ok(())
}

fn show(what: &str, stats: &GroupStats) {
    let breaker = stats.breaker.map_or(0, |breaker| breaker.opened);
    println!(
        "{what:>28}: {:?}, {} sent, {} wait, breaker opened {breaker} times",
        stats.state, stats.acked, stats.lag
    );
}

/// A mail server, which may be down.
#[derive(Clone, Default)]
struct Server {
    down: Arc<AtomicBool>,
}

impl Server {
    fn send(&self) -> Result<(), Fault> {
        if self.down.load(Ordering::Relaxed) { Err(Fault::new("the mail server is down")) } else { Ok(()) }
    }
}

#[expect(clippy::disallowed_methods, reason = "an example measures how long its own work took")]
fn now() -> Instant {
    Instant::now()
}
