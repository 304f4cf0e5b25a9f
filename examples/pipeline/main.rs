//! Shows lines become words and words become counts, while consumers crash, and that nothing is lost: its last line
//! is `verified: ...`, after a check against a plain count of the same input. `--help` says what it can be asked for.
//!
//! ```text
//!   FILE... ──▶ topic lines ──┬──▶ group parse ──▶ topic words ──▶ group count, N consumers ──▶ counts
//!                             │        └─ dead letters ─▶ lines.parse.dead     └─▶ words.count.dead
//!                             └──▶ group audit ──▶ number of lines
//!                                      └─ dead letters ─▶ lines.audit.dead
//! ```

mod args;
mod count;
mod faults;
mod input;
mod report;
#[path = "../shared/runtime.rs"]
mod runtime;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callboard::broker::ErrorKind;
use callboard::prelude::*;

use args::{Args, HELP};
use count::{Counts, words};
use faults::{Faults, Step};
use report::{Letters, Run};

/// What the handlers of all groups share. It outlives every one of them.
struct Work {
    faults: Faults,
    counts: Counts,
    /// Effects that happened once more, since their delivery crashed after them.
    surplus: Counts,
    letters: Letters,
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
        faults: Faults::new(args.crash),
        counts: Counts::default(),
        surplus: Counts::default(),
        letters: Letters::default(),
    });

    let broker = Broker::start()?;
    let lines = broker.topic::<String>("lines").capacity(4096).open().await?;
    let words = broker.topic::<String>("words").capacity(16 * 1024).open().await?;
    let retry = Retry::immediately().max_attempts(5);

    // A group's handler is an async closure with a state...
    let parse = lines.group("parse").consumers(2).retry(retry).with((words.clone(), work.clone()));
    parse.run(async |line, (words, work)| parse_line(&line, &words, &work).await).await?;
    // ... or a consumer of a type of its own, built again from this factory after each crash...
    let shared = work.clone();
    let count = words.group("count").consumers(args.consumers).retry(retry);
    count.run_with(move || Counter { work: shared.clone() }).await?;
    // ... or a closure that has nothing to await.
    let shared = work.clone();
    let audit = lines.group("audit").retry(retry);
    audit.run_fn(move |line| audit_line(line, &shared)).await?;

    for (step, topic) in [
        (Step::Parse, "lines.parse.dead"),
        (Step::Count, "words.count.dead"),
        (Step::Audit, "lines.audit.dead"),
    ] {
        let (letters, work) = (broker.find_topic::<DeadLetter>(topic)?, work.clone());
        letters.group("reader").run_fn(move |letter| bury(step, letter, &work)).await?;
    }

    let began = Instant::now();
    let (pieces, reader) = input::start(args.files);
    let mut progress = Progress::new(began);
    while let Ok(piece) = pieces.recv().await {
        // Waits while the topic is full, so however long the input is, only this much of it is in memory.
        lines.publish_all(piece).await?;
        progress.show(&work);
    }
    broker.idle().await?;
    let took = began.elapsed();
    progress.clear();

    let plain = reader.join().map_err(|_| Fault::new("the reading thread panicked"))??;
    let report = broker.shutdown().await;
    let work = Arc::into_inner(work).ok_or(Fault::new("a handler outlived the shutdown"))?;
    Ok(Run { plain, work, report, took })
}

/// Publishes the words of a line.
async fn parse_line(line: &Message<String>, topic: &Topic<String>, work: &Work) -> Result<(), Fault> {
    let entered = work.faults.enter(Step::Parse, line);
    let mut rest: Vec<String> = words(line).collect();
    if entered.again {
        rest.iter().for_each(|word| work.surplus.add_word(word));
    }
    // From inside a handler a publish waits only so long for room. Failing here would publish the first words of the
    // line twice, so it asks again for the rest.
    while let Err(error) = topic.publish_all(rest).await {
        if error.kind != ErrorKind::Full {
            return Err(error.into());
        }
        rest = error.rest;
    }
    entered.leave();
    Ok(())
}

/// Counts words. What it counts is not its own: that would be gone with the first crash.
struct Counter {
    work: Arc<Work>,
}

impl Consumer<String> for Counter {
    async fn handle(&mut self, word: &Message<String>) -> Result<Outcome, Fault> {
        let entered = self.work.faults.enter(Step::Count, word);
        if entered.again {
            self.work.surplus.add_word(word);
        }
        self.work.counts.add_word(word);
        entered.leave();
        Ok(Outcome::Ack)
    }
}

/// Counts lines.
fn audit_line(line: &Message<String>, work: &Work) -> Result<(), Fault> {
    let entered = work.faults.enter(Step::Audit, line);
    if entered.again {
        work.surplus.add_line();
    }
    work.counts.add_line();
    entered.leave();
    Ok(())
}

/// Notes a dead letter, and what is not in the counts because of it.
fn bury(step: Step, letter: &DeadLetter, work: &Work) -> Result<(), Fault> {
    let text = letter.message::<String>().ok_or(Fault::new("a dead letter that is no text"))?;
    let had_its_effect = work.faults.buried(step, letter);
    work.letters.add(step, letter, &text, had_its_effect);
    Ok(())
}

/// A line on the terminal that is written over and over.
struct Progress {
    shown: Option<Instant>,
    began: Instant,
}

impl Progress {
    fn new(began: Instant) -> Progress {
        Progress { shown: io::stderr().is_terminal().then_some(began), began }
    }

    fn show(&mut self, work: &Work) {
        if self.shown.is_none_or(|shown| shown.elapsed() < Duration::from_millis(200)) {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "a terminal is a matter of the wall clock")]
        let now = Instant::now();
        self.shown = Some(now);
        let (lines, deliveries) = (work.counts.lines(), work.faults.deliveries());
        let seconds = now.duration_since(self.began).as_secs_f64();
        let _ = write!(io::stderr(), "\r\x1b[K{seconds:5.1} s  {lines} lines  {deliveries} deliveries");
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
