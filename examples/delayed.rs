//! Shows many reminders that are scheduled, some of them cancelled, and that each comes once, at its time, beside work that
//! is due now. `CB_MESSAGES=1000000` says how many there are.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

#[path = "shared/measure.rs"]
mod measure;
mod shared;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callboard::prelude::*;

use measure::{now, resident};

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let messages: u64 = std::env::var("CB_MESSAGES").map_or(Ok(50_000), |text| text.parse())?;
    let broker = Broker::start()?;
    let reminders = broker.topic::<u64>("reminders").delay_capacity(2 * messages as usize).open().await?;
    let came = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let tally = came.clone();
    reminders
        .group("bell")
        .run_fn(move |number| {
            tally.0.fetch_add(1, Ordering::Relaxed);
            tally.1.fetch_add(**number, Ordering::Relaxed);
            Ok(())
        })
        .await?;

    let (began, before) = (now(), resident());
    for number in 0..messages {
        // In another order than they are due in, over a second that begins in an hour.
        let ahead = Duration::from_secs(3600) + Duration::from_micros(number * 7919 % 1_000_003);
        let reminder = reminders.publish_after(ahead, number).await?;
        // What is not needed any more can be taken back, by what stands for it.
        if number % 1000 == 999 {
            assert_eq!(reminders.cancel_scheduled(reminder).await?, number);
        }
    }
    let (took, bytes) = (began.elapsed(), resident().saturating_sub(before) / messages);
    let stats = reminders.stats().await?;
    println!("{} reminders wait, scheduled in {took:.2?}, at some {bytes} bytes each", stats.scheduled);
    assert_eq!(stats.scheduled, messages - messages / 1000);

    // They hold no place of what is due now.
    reminders.publish(messages).await?;
    reminders.settled().await?;
    assert_eq!(came.0.load(Ordering::Relaxed), 1);

    // All for one moment, once they are all scheduled.
    let (began, due) = (now(), Duration::from_micros(50_000 + 3 * messages));
    for number in 0..messages {
        reminders.publish_after(due.saturating_sub(began.elapsed()), number).await?;
    }
    let early = came.0.load(Ordering::Relaxed) - 1;
    while came.0.load(Ordering::Relaxed) <= messages {
        // Comes behind those that are due before it.
        reminders.publish_after(Duration::from_millis(1), 0).await?;
        reminders.settled().await?;
    }
    let took = began.elapsed().saturating_sub(due);
    println!(
        "{messages} more, {early} of them before the last was scheduled, had come {took:.2?} after they were due"
    );

    let report = broker.shutdown().await;
    let lost = report.topics.iter().map(|topic| topic.scheduled).sum::<u64>();
    println!("{lost} were not due and are reported as lost");
    assert!(lost >= messages - messages / 1000);
    assert!(came.1.load(Ordering::Relaxed) >= messages * (messages - 1) / 2 + messages);
    Ok(())
}
