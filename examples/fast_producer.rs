//! Shows four answers of a full topic to a producer that is ten times as fast as the consumer, side by side: what each of
//! them costs in memory, in messages and in the producer's time. The table is checked.
//!
//! ```text
//!   producer ──10 in a ms──▶ topic prices, 16 places ──▶ group screen, 1 in a ms
//!      ▲                        │      │
//!      └── waits, or is given ──┘      └──▶ evicted
//!          the price back
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

#[path = "shared/pause.rs"]
mod pause;
mod shared;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use callboard::broker::{GroupStats, PublishError, TopicStats};
use callboard::prelude::*;
use pause::pause;

const PRICES: u64 = 300;
const CAPACITY: u64 = 16;
const HANDLING: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    println!("{PRICES} prices   accepted  given back  evicted  handled  the last  most held  longest wait");
    let wait = produce("wait", Overflow::Wait { timeout: None }).await?;
    let reject = produce("reject", Overflow::Reject).await?;
    let newest = produce("drop newest", Overflow::DropNewest).await?;
    let oldest = produce("drop oldest", Overflow::DropOldest).await?;

    for Run { topic, group, given_back, most_held, .. } in [&wait, &reject, &newest, &oldest] {
        assert_eq!(topic.accepted + given_back, PRICES, "the producer knows of each price whether it is in");
        assert_eq!(topic.accepted, group.acked + group.evicted, "and what is in is handled, or evicted");
        assert_eq!(*most_held, CAPACITY, "the memory is what was asked for: all of it is used, and no more");
    }
    assert_eq!(wait.group.acked, PRICES, "who waits loses nothing");
    assert!(wait.longest_wait >= HANDLING / 2, "and is as slow as the consumer");
    assert!(reject.given_back > 0 && reject.topic.dropped_newest == 0, "here the producer drops the price");
    assert_eq!(newest.given_back, newest.topic.dropped_newest, "here the topic does, and counts it");
    assert!(oldest.given_back == 0 && oldest.group.evicted > 0, "here all get in, for a while");
    assert_eq!(oldest.last, PRICES, "and the consumer has the latest");
    Ok(())
}

/// How it went with one answer.
struct Run {
    topic: TopicStats,
    group: GroupStats,
    given_back: u64,
    /// The last price that was handled.
    last: u64,
    most_held: u64,
    longest_wait: Duration,
}

/// The same producer and the same consumer, whatever the answer is.
async fn produce(name: &str, answer: Overflow) -> Result<Run, Fault> {
    let broker = Broker::start()?;
    let prices = broker.topic::<u64>("prices").capacity(CAPACITY as usize).overflow(answer).open().await?;
    let shown = Arc::new(AtomicU64::new(0));
    // What a consumer holds can't be evicted, so this one holds the price that it is at and no other.
    let screen = prices.group("screen").prefetch(1).with(shown.clone());
    let screen = screen.run(async |price, shown| {
        pause(HANDLING).await;
        shown.store(*price, Ordering::Relaxed);
        Ok(())
    });
    let screen = screen.await?;

    let (mut given_back, mut most_held, mut longest_wait) = (0, 0, Duration::ZERO);
    for price in 1..=PRICES {
        let began = now();
        match prices.publish(price).await {
            Ok(_) => {}
            Err(PublishError::Full(_) | PublishError::Dropped(_)) => given_back += 1,
            Err(error) => return Err(error.into()),
        }
        longest_wait = longest_wait.max(began.elapsed());
        most_held = most_held.max(prices.stats().await?.unsettled);
        if price % 10 == 0 {
            pause(HANDLING).await;
        }
    }
    prices.settled().await?;

    let (topic, group, last) = (prices.stats().await?, screen.stats().await?, shown.load(Ordering::Relaxed));
    let (accepted, handled, evicted) = (topic.accepted, group.acked, group.evicted);
    let longest = format!("{longest_wait:.1?}");
    println!(
        "{name:<11} {accepted:>8} {given_back:>11} {evicted:>8} {handled:>8} {last:>9} {most_held:>10} {longest:>13}"
    );
    broker.shutdown().await;
    Ok(Run { topic, group, given_back, last, most_held, longest_wait })
}

#[expect(clippy::disallowed_methods, reason = "an example measures how long its own work took")]
fn now() -> Instant {
    Instant::now()
}
