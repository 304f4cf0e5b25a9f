//! Shows an actor, and a topic with a group, on a runtime that is written here: two threads, a queue, an alarm clock.
//! Whatever runs futures will do, if it has these six methods; `--runtime` has no meaning here.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what happens")]

mod runtime;

use std::process::ExitCode;
use std::time::Duration;

use callboard::prelude::*;
use callboard::runtime::Runtime as _;

use runtime::Own;

const TICK: Duration = Duration::from_millis(5);

/// Counts five ticks of a timer, and says how long they took.
struct Metronome {
    ticks: u32,
    begun: callboard::base::Moment,
    done: Option<Reply<Duration>>,
}

enum Beat {
    Tick,
    Listen(Reply<Duration>),
}

impl Actor for Metronome {
    type Message = Beat;

    async fn started(&mut self, context: &mut Context<Beat>) -> Result<(), Fault> {
        self.begun = context.now();
        context.send_every(TICK, || Beat::Tick)?;
        Ok(())
    }

    async fn handle(&mut self, beat: Beat, context: &mut Context<Beat>) -> Result<(), Fault> {
        match beat {
            Beat::Tick => self.ticks += 1,
            Beat::Listen(done) => self.done = Some(done),
        }
        if self.ticks >= 5
            && let Some(done) = self.done.take()
        {
            let _ = done.send(context.now().since(self.begun));
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let own = Own::start(2);
    let (report, end) = std::sync::mpsc::sync_channel(1);
    let runtime = own.clone();
    own.spawn("main", Box::pin(async move { drop(report.send(example(runtime).await)) }));
    match end.recv() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&error.to_string()),
        Err(_) => fail("the main task panicked"),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn example(own: Own) -> Result<(), Fault> {
    let system = System::builder().runtime(own.clone()).start()?;
    let metronome = system.spawn(Metronome { ticks: 0, begun: own.now(), done: None });
    let asked = metronome.ask_within(Duration::from_secs(10), Beat::Listen).await;
    let took = asked.map_err(|error| Fault::new(error.to_string()))?;
    println!("five ticks of {TICK:?} took {took:?}");

    let broker = Broker::builder().runtime(own).start()?;
    let words = broker.topic::<&str>("words").open().await?;
    let shout = async |word: Message<&str>| {
        println!("{}!", word.to_uppercase());
        Ok(())
    };
    words.group("shout").run(shout).await?;
    for word in ["any", "runtime", "will", "do"] {
        words.publish(word).await?;
    }
    let report = broker.shutdown().await;
    let settled: u64 = report.topics.iter().flat_map(|topic| &topic.groups).map(|group| group.settled).sum();

    if took < 5 * TICK || settled != 4 {
        return Err(Fault::new(format!("the ticks came too fast, or {settled} words of 4 were heard")));
    }
    Ok(())
}
