//! Shows a process that is killed (`kill -9`) ten times while it publishes and bills. At last all orders that were
//! confirmed are there, each publisher's in their order, and those that were billed twice had said that this may be.
//!
//! ```text
//!   parent ── starts ──▶ child: 4 publishers ──▶ orders, on disk ──┬──▶ billing   2 consumers
//!          ◀── stdout ── "confirmed 2 17", "billed 2 17"           └──▶ audit     reads only after the last kill
//!          ── kill -9 ─▶ at any moment, again and again
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens, and its child tells its parent")]

mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};

use callboard::broker::Raw;
use callboard::prelude::*;

const KILLS: u64 = 10;
/// Tell a process that it is the child: where its orders are, and in which round it is.
const CHILD: [&str; 2] = ["SURVIVES_KILL_DIR", "SURVIVES_KILL_ROUND"];

fn main() -> ExitCode {
    match CHILD.map(|name| std::env::var(name).ok()) {
        [Some(dir), Some(round)] => shared::run(child(dir, round)),
        _ => shared::run(parent()),
    }
}

/// Publishes and bills until it is killed; after the last kill, bills and audits what is left.
async fn child(dir: String, round: String) -> Result<(), Fault> {
    let broker = Broker::builder().data_dir(dir).journal_file_bytes(1 << 20).open().await?;
    let orders = &broker.topic::<String>("orders").capacity(1_000_000).durable(Raw).open().await?;
    drop(orders.group("audit").stream().await?);
    let billing = orders.group("billing").consumers(2).run(async |order| {
        let again = order.maybe_redelivered() || order.attempt() > 1;
        println!("{} {}", if again { "again" } else { "billed" }, *order);
        Ok(())
    });
    billing.await?;
    if round.parse() == Ok(KILLS) {
        let audit = orders.group("audit").run(async |order| {
            println!("audited {}", *order);
            Ok(())
        });
        audit.await?;
        orders.settled().await?;
        broker.shutdown().await;
        return Ok(());
    }
    let publishers = (1..=4).map(async |publisher| -> Result<(), Fault> {
        for number in 0.. {
            let order = format!("{publisher} {round}{number:06}");
            orders.publish(order.clone()).await?; // answers once the disk has it
            println!("confirmed {order}");
        }
        Ok(())
    });
    futures::future::try_join_all(publishers).await.map(drop)
}

async fn parent() -> Result<(), Fault> {
    let dir = std::env::temp_dir().join(format!("callboard-survives-kill-{}", std::process::id()));
    let (mut confirmed, mut billed, mut audited) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut last, mut twice) = (BTreeMap::new(), 0);
    for round in 0..=KILLS {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(std::env::args().skip(1)).env(CHILD[0], &dir).env(CHILD[1], round.to_string());
        let mut child = child.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or(Fault::new("no stdout"))?).lines();
        let kill = (round < KILLS).then(|| fastrand::usize(..2_000));
        for (count, line) in lines.enumerate() {
            if Some(count) == kill {
                child.kill()?; // SIGKILL: what it was at, it is at no more
            }
            let line = line?;
            let (word, order) = line.split_once(' ').ok_or(Fault::new("half a line"))?;
            match word {
                "confirmed" => assert!(confirmed.insert(order.to_string()), "confirmed twice"),
                "billed" => assert!(billed.insert(order.to_string()), "billed twice, and not marked"),
                "again" => twice += u32::from(!billed.insert(order.to_string())),
                _ => {
                    let (publisher, number) = order.split_once(' ').ok_or(Fault::new("half an order"))?;
                    let number = Some(number.parse::<u64>()?);
                    assert!(last.insert(publisher.to_string(), number).flatten() < number, "out of order");
                    audited.insert(order.to_string());
                }
            }
        }
        assert_eq!(child.wait()?.success(), kill.is_none(), "only the last one ends by itself");
        println!("round {round:2}: {:6} confirmed so far, {:6} billed", confirmed.len(), billed.len());
    }
    assert!(confirmed.is_subset(&audited), "an order was confirmed and is not there");
    assert_eq!(billed, audited, "what is there is billed");
    std::fs::remove_dir_all(&dir)?;
    println!("all {} are there, in order; {twice} were billed twice, and marked", confirmed.len());
    Ok(())
}
