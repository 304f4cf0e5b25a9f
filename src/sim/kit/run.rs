//! One run, from the seed to the verdict; and many.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};

use super::super::check::{self, History, Violation};
use super::watcher::Watcher;
use super::{Faults, TestBroker};
use crate::broker::Broker;
use crate::sim::{Scheduler, Sim, Stuck};

/// Runs `body` with a broker in a simulator of `seed`, which draws its scheduler too, shuts the broker down, checks the run, and gives `body`'s output.
///
/// Inside, the simulator is the runtime that everything finds by default. The same seed gives the same run.
///
/// # Panics
/// With `body`'s panic, with a [`Stuck`](super::super::Stuck) report if it can't end, and if callboard broke one of
/// its own guarantees.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
/// use callboard::sim::{self, Faults};
///
/// let handled = sim::run(7, |broker| async move {
///     broker.set_faults(Faults::some());
///     let orders = broker.topic::<u32>("orders").open().await.unwrap();
///     let billing = orders.group("billing").consumers(4).run(async |_| Ok(())).await.unwrap();
///     orders.publish_all(0..100).await.unwrap();
///     orders.settled().await.unwrap();
///     billing.stats().await.unwrap().acked
/// });
/// assert_eq!(handled, 100);
/// ```
#[track_caller]
pub fn run<F, Fut>(seed: u64, body: F) -> Fut::Output
where
    F: FnOnce(TestBroker) -> Fut,
    Fut: Future,
{
    let run = Run::new(Sim::new(seed).scheduler(Scheduler::drawn(seed)));
    let output = match catch_unwind(AssertUnwindSafe(|| run.play(body))) {
        Ok(Ok(output)) => output,
        Ok(Err(stuck)) => panic!("{stuck}\n{}", run.tell(NOTHING)),
        Err(panic) => {
            say(&run.tell(NOTHING));
            resume_unwind(panic)
        }
    };
    let broken = run.check();
    assert!(
        broken.is_empty(),
        "callboard broke its contract, which is a bug of its own:\n{}",
        run.tell(&broken)
    );
    output
}

/// Runs `body` under each of `seeds`, as [`run`] does, and says how to see a failure again.
///
/// With `CB_SEED=7` in the environment it runs that seed alone, with `CB_SEEDS=1000` so many from the first one on.
///
/// # Panics
/// As [`run`], at the first seed that fails, after a line on standard error that runs it again.
///
/// # Examples
/// ```
/// use callboard::sim;
///
/// sim::seeds(0..50, |broker| async move {
///     let words = broker.topic::<String>("words").capacity(1).open().await.unwrap();
///     let group = words.group("count").consumers(2).run(async |_| Ok(())).await.unwrap();
///     words.publish_all(["a", "rose", "is"].map(String::from)).await.unwrap();
///     words.settled().await.unwrap();
///     assert_eq!(group.stats().await.unwrap().acked, 3);
/// });
/// ```
#[track_caller]
pub fn seeds<F, Fut>(seeds: Range<u64>, body: F)
where
    F: Fn(TestBroker) -> Fut,
    Fut: Future<Output = ()>,
{
    for seed in chosen(seeds) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed, &body))) {
            let thread = std::thread::current();
            let test = thread.name().filter(|name| *name != "main").unwrap_or("<this test>");
            say(&format!("  again: CB_SEED={seed} cargo test -- --exact {test}"));
            resume_unwind(panic);
        }
    }
}

/// The seeds that the environment asks for, or else `seeds`.
fn chosen(seeds: Range<u64>) -> Range<u64> {
    match (setting("CB_SEED"), setting("CB_SEEDS")) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, Some(count)) => seeds.start..seeds.start.saturating_add(count),
        (None, None) => seeds,
    }
}

/// A number in the environment.
pub(in crate::sim) fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(error) => panic!("{name}={text}: {error}"),
    }
}

#[expect(clippy::print_stderr, reason = "a test's failure is told where panics are printed")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// One run and what was seen of it.
pub(in crate::sim) struct Run {
    pub(in crate::sim) sim: Sim,
    pub(in crate::sim) watcher: Arc<Watcher>,
}

impl Run {
    pub(in crate::sim) fn new(sim: Sim) -> Run {
        Run { watcher: Watcher::new(&sim), sim }
    }

    /// Runs `body`, then ends its broker in calm.
    pub(in crate::sim) fn play<F, Fut>(&self, body: F) -> Result<Fut::Output, Stuck>
    where
        F: FnOnce(TestBroker) -> Fut,
        Fut: Future,
    {
        let (sim, watcher) = (self.sim.clone(), self.watcher.clone());
        let output = self.sim.try_block_on(async move {
            let builder = Broker::builder().runtime(sim.clone()).witness(watcher.clone());
            let broker = match builder.start() {
                Ok(broker) => broker,
                Err(error) => panic!("callboard bug: {error}, and it was named"),
            };
            // Not polled before the end, so that it wakes nobody and changes no schedule.
            let mut events = broker.events_with_capacity(TOLD);
            let test = TestBroker::new(broker.clone(), sim.clone(), watcher.clone());
            let output = body(test.clone()).await;
            test.set_faults(Faults::none());
            let report = broker.shutdown().await;
            drop((test, broker));
            sim.settle().await;
            let told = std::iter::from_fn(|| events.next().now_or_never().flatten()).collect();
            let mut notes = watcher.notes();
            notes.history.told = Some(told);
            notes.history.report = Some(report);
            notes.history.left = sim.tasks().into_iter().filter(|task| is_ours(task)).collect();
            output
        });
        let escaped = self.sim.panics().into_iter().filter(|panic| !panic.in_drop && is_ours(&panic.task));
        self.watcher.notes().history.escaped = escaped.map(|panic| panic.to_string()).collect();
        output
    }

    /// What is wrong with it.
    pub(in crate::sim) fn check(&self) -> Vec<Violation> {
        check::check(&self.watcher.notes().history)
    }

    /// What was wrong, and what came before.
    pub(in crate::sim) fn tell(&self, wrong: &[impl fmt::Display]) -> String {
        let notes = self.watcher.notes();
        let mut text = format!("  seed {}, {} steps\n", self.sim.seed(), self.sim.steps());
        for wrong in wrong.iter().take(SHOWN) {
            text += &format!("  {wrong}\n");
        }
        let tail = setting("CB_EVENTS").and_then(|count| usize::try_from(count).ok()).unwrap_or(TAIL);
        text + "  the last events:\n" + &History::tail(&notes.history, tail)
    }
}

const NOTHING: &[Violation] = &[];
/// How many events of a run are kept: more than any has.
const TOLD: usize = 1 << 20;
/// How many faults and events are shown; of events as many as `CB_EVENTS` says.
const SHOWN: usize = 10;
const TAIL: usize = 50;

/// Whether a task is one of a broker's own.
fn is_ours(task: &str) -> bool {
    ["topic ", "schedule ", "group ", "consumer "].iter().any(|kind| task.starts_with(kind))
}
