//! Shows a backlog that is much larger than the memory it is given: a topic that spills takes it at the producer's speed, and gives
//! it back in order. `CB_BACKLOG_MB=4096` says how large it is to be, `CB_BYTES=100` how large a message is.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

#[path = "shared/measure.rs"]
mod measure;
mod shared;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callboard::broker::Raw;
use callboard::prelude::*;

use measure::{now, resident};

/// The backlog is measured in so many steps.
const STEPS: u64 = 8;

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let megabytes: u64 = std::env::var("CB_BACKLOG_MB").map_or(Ok(64), |text| text.parse())?;
    let bytes: usize = std::env::var("CB_BYTES").map_or(Ok(1000), |text| text.parse())?;
    let (bytes, per_mb) = (bytes.max(8), (1 << 20) / bytes.max(8) as u64);
    let rate = |messages: u64, time: Duration| messages as f64 / per_mb as f64 / time.as_secs_f64();
    let broker = Broker::start()?;
    let spill = Overflow::Spill { bytes: megabytes << 21 };
    // Four thousand messages are in memory, whatever comes.
    let lines = broker.topic::<Vec<u8>>("lines").capacity(4096).overflow(spill);
    let lines = lines.spill_to(std::env::temp_dir(), Raw).open().await?;
    let in_step = (megabytes * per_mb).div_ceil(STEPS);

    println!("   backlog       published       memory");
    // What a producer comes to while somebody reads, and there is no backlog.
    let brisk = broker.topic::<Vec<u8>>("brisk").capacity(4096).open().await?;
    let group = brisk.group("reader").run_fn(|_| Ok(())).await?;
    let began = now();
    for number in 0..in_step {
        brisk.publish(message(number, bytes)).await?;
    }
    group.drain().await?;
    println!("   none        {:8.0} MB/s   {:6} MB", rate(in_step, began.elapsed()), resident() >> 20);

    let mut next = 0;
    for _ in 0..STEPS {
        let began = now();
        for _ in 0..in_step {
            lines.publish(message(next, bytes)).await?;
            next += 1;
        }
        let backlog = lines.stats().await?.spilled / per_mb;
        println!("{backlog:7} MB   {:8.0} MB/s   {:6} MB", rate(in_step, began.elapsed()), resident() >> 20);
    }
    assert!(
        lines.stats().await?.spilled > next - 3 * 4096,
        "all of it but what memory has room for is on the disk"
    );

    // Somebody reads, while the producer goes on: in order, all of it.
    let (began, expected) = (now(), Arc::new(AtomicU64::new(0)));
    let next_one = expected.clone();
    let reader = lines.group("reader").run_fn(move |line| {
        let number = u64::from_le_bytes(line.get(..8).unwrap_or_default().try_into()?);
        let wanted = next_one.fetch_add(1, Ordering::Relaxed);
        if number == wanted { Ok(()) } else { Err(Fault::new(format!("{number} came in place of {wanted}"))) }
    });
    let reader = reader.await?;
    for _ in 0..in_step {
        lines.publish(message(next, bytes)).await?;
        next += 1;
    }
    reader.drain().await?;
    println!("   read back    {:8.0} MB/s   {:6} MB", rate(next, began.elapsed()), resident() >> 20);

    let report = broker.shutdown().await;
    assert_eq!((expected.load(Ordering::Relaxed), report.lost()), (next, 0));
    let failures = report.group("lines", "reader").map_or(0, |group| group.stats.failures);
    assert_eq!(failures, 0, "each came in its turn");
    println!("all {next} messages came, in order, and nothing is left on the disk");
    Ok(())
}

fn message(number: u64, bytes: usize) -> Vec<u8> {
    let mut bytes = vec![b'.'; bytes];
    bytes.splice(..8, number.to_le_bytes());
    bytes
}
