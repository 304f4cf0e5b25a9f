//! How fast and how large is callboard beside what else could be used? Ratios, each measured in one run.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- gates [FILTER] [--quick]
//! ```
//!
//! One line for each gate and runtime, with one number that counts:
//!
//! ```text
//! PASS|SHORT|INFO  <gate>  <runtime>  <ratio or number>  (<target>)  ours .. ns, theirs .. ns
//! ```
//!
//! `FILTER` keeps the lines whose gate or runtime contains it. `--quick` measures less than a minute in all, the
//! full run less than four. `SHORT` says that a target is missed; it is news, not a failure: the exit code is 0
//! unless the measuring itself can't be done. Why a target is missed, and by what: `docs/decisions/0007-speed.md`.
//!
//! # How it is measured
//! - **CPU time of the whole process**, user and system, so that a runtime that spins or wakes threads for nothing
//!   pays for it, and other programs on the machine don't count (but for the caches they empty).
//! - **Side by side.** Ours and theirs run in turns, each time on a new runtime, and the least of all turns counts:
//!   whatever else happens makes a turn longer, never shorter. Figures of two different runs don't compare.
//! - **The same work on both sides**: the same payload, the same handling (one word is read), the same end (all
//!   that was sent was handled), the same runtime: tokio with one and with two threads, smol's executor likewise.
//! - **Peers as a careful user takes them**: default features, bounded mailboxes where there are any, the cheapest
//!   way to send that waits when full. Their weaker promises (no acks, no redelivery) are named at each gate.
//! - Allocations are counted by an allocator of this program, switched on for that gate only.

mod allocator;
mod bell;
mod bench;
mod gates;
mod place;
mod report;

use std::process::ExitCode;

use bench::Bench;

const USAGE: &str = "usage: callboard-peers gates [FILTER] [--quick]";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().position(|argument| argument == "--quick").map(|at| arguments.remove(at));
    let filter = match arguments.as_slice() {
        [command] if command == "gates" => None,
        [command, filter] if command == "gates" && !filter.starts_with('-') => Some(filter.clone()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut bench = Bench::new(filter, quick.is_some());
    gates::run_all(&mut bench);
    bench.finish()
}
