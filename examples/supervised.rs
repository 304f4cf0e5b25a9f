//! Shows a worker that crashes on two of its nine jobs. Each time it is rebuilt after a pause, the audit that builds
//! on it is restarted with it, the archive that was there before is not, and every other job is done.
//!
//! ```text
//!   supervisor ─┬─ archive           stays up, and remembers
//!   (rest for   ├─ worker   ✗ 3 7    two restarts, after 50 and 100 ms; its mailbox stays
//!      one)     └─ audit             restarted with it (the panics' messages on stderr are part of the show)
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod shared;

use std::{process::ExitCode, time::Duration};

use callboard::base::Moment;
use callboard::prelude::*;
use callboard::supervise::Backoff;

const MS: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let mut tree = Supervisor::rest_for_one(&System::start()?).name("office");
    let archive = tree.child(ChildSpec::new("archive", Archive::default))?;
    let to = archive.clone();
    let worker = ChildSpec::new("worker", move || Worker(to.clone()));
    let worker = tree.child(worker.backoff(Backoff::exponential(50 * MS, 1000 * MS)))?;
    let audit = tree.child(ChildSpec::new("audit", Archive::default))?;

    // The addresses are good before the start, and across restarts: the jobs wait in the mailbox.
    for job in 1..=9 {
        worker.send(Work::Do(job)).await?;
    }
    let office = tree.start().await?;
    worker.ask(Work::Answer).await?;
    audit.ask(Note::Read).await?;

    let Archive(done, starts) = archive.ask(Note::Read).await?;
    println!("done: {done:?}");
    assert_eq!(done, [1, 2, 4, 5, 6, 8, 9], "only what it had in hand is gone");
    let [first, second, third] = starts[..] else { return Err(Fault::new("not three starts")) };
    let pauses = (second.since(first), third.since(second));
    println!("the worker was started again after {:.0?} and {:.0?}", pauses.0, pauses.1);
    assert!(pauses.0 >= 50 * MS && pauses.1 >= 100 * MS, "each pause is longer");
    let children = office.children().await;
    let restarts: Vec<_> = children.iter().map(|child| (child.name.as_str(), child.restarts)).collect();
    println!("restarts: {restarts:?}");
    assert_eq!(restarts, [("archive", 0), ("worker", 2), ("audit", 2)], "it, and those after it");
    assert_eq!(office.stop().await.unhandled, 0, "stopped in reverse order");
    Ok(())
}

/// Which jobs were done, and when a worker was started.
#[derive(Clone, Default)]
struct Archive(Vec<u32>, Vec<Moment>);

enum Note {
    Done(u32),
    Started(Moment),
    Read(Reply<Archive>),
}

impl Actor for Archive {
    type Message = Note;
    async fn handle(&mut self, note: Note, _: &mut Context<Note>) -> Result<(), Fault> {
        match note {
            Note::Done(job) => self.0.push(job),
            Note::Started(now) => self.1.push(now),
            Note::Read(reply) => drop(reply.send(self.clone())),
        }
        Ok(())
    }
}

struct Worker(Address<Note>);

enum Work {
    Do(u32),
    Answer(Reply<()>),
}

impl Actor for Worker {
    type Message = Work;
    async fn started(&mut self, context: &mut Context<Work>) -> Result<(), Fault> {
        Ok(self.0.send(Note::Started(context.now())).await?)
    }
    async fn handle(&mut self, work: Work, _: &mut Context<Work>) -> Result<(), Fault> {
        match work {
            Work::Do(job @ (3 | 7)) => panic!("job {job} is too hard"),
            Work::Do(job) => self.0.send(Note::Done(job)).await?,
            Work::Answer(reply) => drop(reply.send(())),
        }
        Ok(())
    }
}
