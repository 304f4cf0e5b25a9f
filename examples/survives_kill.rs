//! Shows 20 processes, one after the other on one directory, that end by SIGKILL in the middle of publishing, and one that
//! ends as it should: all that was confirmed is there and in order, and what was settled does not come again.
//!
//! ```text
//!   this process ──starts──▶ publishers ──▶ topic orders, on disk ──▶ group billing
//!        ▲                       │ confirmed 17    kill -9               │ got 17, settled 17
//!        └──── what they say ────┴───────────────────────────────────────┘
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

#[path = "shared/again.rs"]
mod again;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use again::{again, kill};
use callboard::broker::Raw;
use callboard::prelude::*;
use futures::{StreamExt as _, future};

const KILLS: u64 = 20;

fn main() -> ExitCode {
    match (std::env::var("ORDERS_DIR"), std::env::var("ORDERS_LIFE")) {
        (Ok(dir), Ok(life)) => shared::run(async move { live(&dir, life.parse()?).await }),
        _ => shared::run(async { watch() }),
    }
}

/// One process. The last one publishes nothing, settles what is left, and shuts down.
async fn live(dir: &str, life: u64) -> Result<(), Fault> {
    let broker = Broker::builder().data_dir(dir).journal_file_bytes(1 << 20).open().await?;
    let orders = broker.topic::<String>("orders").durable(Raw).capacity(10_000).open().await?;
    let (confirmed, most) = (AtomicU64::new(0), fastrand::u64(50..500));
    let publish = async |publisher: u64| {
        for number in 0.. {
            let id = orders.publish(format!("{publisher} {life} {number}")).await?;
            println!("confirmed {} {publisher} {life} {number}", id.offset());
            if confirmed.fetch_add(1, Ordering::Relaxed) == most {
                kill()?;
            }
        }
        Ok::<(), Fault>(())
    };
    let publishing = async {
        match life {
            KILLS => orders.settled().await?,
            _ => drop(future::try_join_all((0..4).map(publish)).await?),
        }
        broker.shutdown().await;
        Ok(())
    };
    let got = orders.group("billing").stream().await?.inspect(|order| {
        let marked = order.attempt() > 1 || order.maybe_redelivered();
        println!("got {} {} {}", order.id().offset(), order.as_str(), u64::from(marked));
    });
    let settling = got.for_each_concurrent(64, async |order| {
        let offset = order.id().offset();
        if order.ack_durable().await.is_ok() {
            println!("settled {offset}"); // the disk has the ack
        }
    });
    future::join(publishing, settling).await.0
}

/// Starts the processes, and holds what they say against each other.
fn watch() -> Result<(), Fault> {
    let dir = std::env::temp_dir().join(format!("callboard-survives-kill-{}", std::process::id()));
    let (mut confirmed, mut got, mut settled) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for life in 0..=KILLS {
        let place = [("ORDERS_DIR", dir.display().to_string()), ("ORDERS_LIFE", life.to_string())];
        let (said, code) = again(&place)?;
        assert_eq!(code, (life == KILLS).then_some(0), "all were killed but for the last");
        let mut last = None;
        for (what, numbers) in said {
            match (what.as_str(), &numbers[..]) {
                ("confirmed", &[offset, ref order @ ..]) => drop(confirmed.insert(offset, order.to_vec())),
                ("settled", &[offset]) => drop(settled.insert(offset)),
                ("got", &[offset, ref order @ .., marked]) => {
                    assert!(last < Some(offset), "each process gets them in their order");
                    assert!(!settled.contains(&offset), "order {offset} was settled, and came again");
                    let before = got.insert(offset, order.to_vec());
                    assert!(before.is_none() || marked == 1, "order {offset} came again and didn't say so");
                    last = Some(offset);
                }
                _ => return Err(Fault::new(format!("who says {what}?"))),
            }
        }
    }
    std::fs::remove_dir_all(&dir)?;
    assert!(confirmed.iter().all(|(offset, order)| got.get(offset) == Some(order)), "some are missing");
    let of = |publisher| got.values().filter(move |order| order.first() == Some(&publisher));
    assert!((0..4).all(|publisher| of(publisher).is_sorted()), "each publisher's are in its order");
    println!("{KILLS} kills, {} orders confirmed: none is missing, all are in order", confirmed.len());
    Ok(())
}
