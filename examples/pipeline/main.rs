//! Shows lines become words and words become counts, while consumers crash, and that nothing is lost: its last line
//! is `verified: ...`, after a check against a plain count of the same input. `--help` says what it can be asked for.
//!
//! ```text
//!   FILE... ──▶ topic lines ─┬─▶ group parse ──forward_to──▶ topic words ──▶ group count, N consumers ──▶ counts
//!               (--overflow) │     acks a line once its words are in              (--slow)
//!                            ├─▶ group order, key_ordered ──▶ lines, those that begin alike in their order
//!                            └─▶ group audit ──▶ number of lines
//!
//!   dead letters: lines.parse.dead, lines.order.dead, lines.audit.dead, words.count.dead ──▶ losses
//!   evicted lines: on_evicted ──▶ losses
//! ```

mod args;
mod check;
mod count;
mod faults;
mod feed;
mod input;
mod line;
mod losses;
mod order;
#[path = "../shared/pause.rs"]
mod pause;
mod progress;
mod report;
#[path = "../shared/runtime.rs"]
mod runtime;
mod steps;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callboard::prelude::*;

use args::{Args, HELP};
use count::Counts;
use faults::Faults;
use line::{Line, Step};
use losses::Losses;
use order::Order;
use progress::Progress;
use report::Run;
use steps::Counter;

/// How long parse may take to be rid of a line's words, so that it holds the line until all are in. Cut short halfway,
/// a line could be given up, or evicted, of which some words are counted.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What the handlers of all groups share. It outlives every one of them.
struct Work {
    slow: Option<Duration>,
    faults: Faults,
    order: Order,
    counts: Counts,
    /// Effects that happened once more, since their delivery crashed after them.
    surplus: Counts,
    losses: Losses,
}

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let asked = Args::parse(args)
        .and_then(|args| args.map(|args| Ok(Args { files: input::check(args.files)?, ..args })).transpose());
    let (said, code) = match asked {
        Ok(None) => (HELP.to_string(), 0),
        Err(error) => return fail(&error, 2),
        Ok(Some(args)) => match args.runtime.block_on(pipeline(args)) {
            Ok(Ok(run)) => (run.report(), if run.differences().is_empty() { 0 } else { 1 }),
            Ok(Err(error)) | Err(error) => return fail(&error, 1),
        },
    };
    // Why not println: a reader that has seen enough, such as `head`, is no reason to panic.
    match writeln!(io::stdout(), "{said}") {
        Ok(()) => ExitCode::from(code),
        Err(error) => fail(&error.into(), 1),
    }
}

fn fail(error: &Fault, code: u8) -> ExitCode {
    let advice = if code == 2 { "\ntry --help" } else { "" };
    let _ = writeln!(io::stderr(), "error: {error}{advice}");
    ExitCode::from(code)
}

#[expect(clippy::disallowed_methods, reason = "the report says how long it took on the wall")]
async fn pipeline(args: Args) -> Result<Run, Fault> {
    Faults::quiet();
    let work = Arc::new(Work {
        slow: args.slow,
        faults: Faults::new(args.crash),
        order: Order::default(),
        counts: Counts::default(),
        surplus: Counts::default(),
        losses: Losses::default(),
    });

    let broker = Broker::start()?;
    let lines = open(&broker, &args, &work).await?;

    let began = Instant::now();
    let (pieces, reader) = input::start(args.files);
    let mut progress = Progress::new(began);
    let mut refused = 0;
    while let Ok(piece) = pieces.recv().await {
        refused += feed::publish(&lines, piece, &work).await?;
        progress.show(&work);
    }
    broker.idle().await?;
    let took = began.elapsed();
    progress.clear();

    let plain = reader.join().map_err(|_| Fault::new("the reading thread panicked"))??;
    let report = broker.shutdown().await;
    // With the topic goes its hook.
    drop(lines);
    let work = Arc::into_inner(work).ok_or(Fault::new("a handler outlived the shutdown"))?;
    Ok(Run { plain, work, report, refused, took })
}

/// Opens all topics and groups, of which the lines' topic is where everything begins.
async fn open(broker: &Broker, args: &Args, work: &Arc<Work>) -> Result<Topic<Line>, Fault> {
    let shared = work.clone();
    let lines = broker.topic::<Line>("lines").capacity(args.capacity).overflow(args.overflow);
    let lines = lines.on_evicted(move |line| shared.losses.evict(&line, &shared.faults));
    let lines = lines.key(|line| line.token()).open().await?;
    let words = broker.topic::<String>("words").capacity(4 * args.capacity).publish_timeout(PATIENCE);
    let words = words.open().await?;
    let retry = Retry::immediately().max_attempts(5);
    // What a consumer holds is not evicted. All of these together hold less than half of what there is room for.
    let held = (args.capacity / 16).clamp(1, 512) as u32;

    // A group's handler is a closure that has nothing to await...
    let shared = work.clone();
    let audit = lines.group("audit").retry(retry).prefetch(held);
    audit.run_fn(move |line| steps::audit(line, &shared)).await?;
    // ... the answers of which may go to the next topic...
    let shared = work.clone();
    let parse = lines.group("parse").consumers(2).retry(retry).prefetch(held).ack_timeout(2 * PATIENCE);
    parse.forward_to(&words).run_fn(move |line| steps::parse(line, &shared)).await?;
    // ... or an async closure with a state...
    let order = lines.group("order").consumers(4).retry(retry).prefetch(held).key_ordered();
    order.with(work.clone()).run(async |line, work| steps::order(&line, &work).await).await?;
    // ... or a consumer of a type of its own, built again from this factory after each crash.
    let shared = work.clone();
    let count = words.group("count").consumers(args.consumers).retry(retry);
    count.run_with(move || Counter { work: shared.clone() }).await?;

    for (step, topic, group) in Step::ALL {
        let letters = broker.find_topic::<DeadLetter>(&format!("{topic}.{group}.dead"))?;
        let work = work.clone();
        letters.group("reader").run_fn(move |letter| work.losses.bury(step, letter, &work.faults)).await?;
    }
    Ok(lines)
}
