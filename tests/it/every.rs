//! Runs one test on every runtime, or on many seeds of the simulator.
//!
//! ```text
//!   every::runtime(|| async { .. })        tokio-2 (multi-thread, 2 workers), tokio-1 (current-thread),
//!                                          smol (its global executor), sim (20 seeds)
//!   every::seed(200, |sim| async move { .. })   the simulator only, for tests that state virtual times
//!   every::memory_and_disk(|| async { .. })     as `runtime`; then with the topics on disk, on tokio-1 and 5 seeds
//! ```
//! The body finds its runtime as a user's code does, by being run in it; so smol on a given executor, which can't
//! be found, has its tests in `src/runtime`. Each run has a time limit, so that a hang fails and says where.
//!
//! `CB_SEED=7` runs that seed alone, `CB_SEEDS=1000` that many, and `CB_RUNTIME=smol` one runtime alone. A failure
//! prints the line that runs it again.

use std::any::Any;
use std::fmt::Display;
use std::future::Future;
use std::ops::Range;
use std::panic::resume_unwind;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use callboard::runtime::{BoxFuture, Runtime, Smol, Tokio};
use callboard::sim::Sim;
use futures::channel::oneshot;
use tokio::runtime::Builder;

use crate::disk;

/// How many seeds a test of all runtimes gets.
const SEEDS: u64 = 20;
/// And so many on disk, if it is one of these too.
const DISK_SEEDS: u64 = 5;
/// How long one run may take, in real time. Some hundred times what a test should take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the test `body` on every runtime, a fresh future each time.
#[track_caller]
pub(crate) fn runtime<F>(body: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    each_runtime(&|| Box::pin(body()));
}

/// Runs the test `body` on every runtime; and then with its topics on disk, on one real runtime and on a few seeds.
#[track_caller]
pub(crate) fn memory_and_disk<F>(body: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let body = || -> BoxFuture { Box::pin(body()) };
    each_runtime(&body);
    each_on_disk(&body);
}

/// Runs the test `body` under the seeds from 0 to `seeds`, each on a simulator of its own.
///
/// A task that ends in a panic fails the test: the crate catches what users throw, so it was the crate's own.
#[track_caller]
pub(crate) fn seed<F>(seeds: u64, body: impl Fn(Sim) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    each_seed(seeds, &|sim| Box::pin(body(sim)));
}

/// Runs the test `body` on tokio beside three workers, on a thread of its own: for tests that block some of them.
#[track_caller]
pub(crate) fn threads(body: impl Future<Output = ()> + Send + 'static) {
    let body: BoxFuture = Box::pin(body);
    let run = move || {
        let tokio = Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        tokio.block_on(body);
        tokio.shutdown_timeout(Duration::from_secs(1));
    };
    report("tokio-3", "", watched(LIMIT, run));
}

/// Why boxed bodies: so that this and what is below is compiled once, and not for each of a thousand tests, as a third of all code was.
#[track_caller]
fn each_runtime(body: &dyn Fn() -> BoxFuture) {
    for (name, run) in REAL_RUNTIMES {
        if chosen_runtime(name) {
            let body = body();
            let end = watched(LIMIT, move || run(body));
            report(name, &format!("CB_RUNTIME={name}"), end);
        }
    }
    if chosen_runtime(SIM) {
        each_seed(SEEDS, &|_| body());
    }
}

#[track_caller]
fn each_on_disk(body: &dyn Fn() -> BoxFuture) {
    let (name, run) = ON_DISK;
    if chosen_runtime(name) {
        let body = body();
        let end = watched(LIMIT, move || disk::enter(|| run(body)));
        report(&format!("disk, {name}"), &format!("CB_RUNTIME={name}"), end);
    }
    if chosen_runtime(SIM) {
        for seed in chosen_seeds(DISK_SEEDS) {
            let (sim, body) = (Sim::new(seed), body());
            let end = watched(LIMIT, move || disk::enter(|| simulate(&sim, body)));
            report(&format!("disk, sim, seed {seed}"), &format!("CB_SEED={seed}"), end);
        }
    }
}

#[track_caller]
fn each_seed(seeds: u64, body: &dyn Fn(Sim) -> BoxFuture) {
    for seed in chosen_seeds(seeds) {
        let sim = Sim::new(seed);
        let body = body(sim.clone());
        let end = watched(LIMIT, move || simulate(&sim, body));
        report(&format!("sim, seed {seed}"), &format!("CB_SEED={seed}"), end);
    }
}

/// Answers the runtime that the test runs in, by the crate's own rule.
pub(crate) fn current() -> Arc<dyn Runtime> {
    match (Sim::current(), Tokio::current()) {
        (Some(sim), _) => Arc::new(sim),
        (None, Ok(tokio)) => Arc::new(tokio),
        (None, Err(_)) => Arc::new(Smol::global()),
    }
}

/// Starts a task on the runtime that the test runs in. The task runs whether or not its end is awaited.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    task: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let (done, end) = oneshot::channel();
    // Nobody may wait for the end any more: then the output is dropped.
    current().spawn(name, Box::pin(async move { drop(done.send(task.await)) }));
    let name = name.to_owned();
    async move { end.await.unwrap_or_else(|_| panic!("the task `{name}` panicked or was dropped")) }
}

type RunBody = fn(BoxFuture);

const REAL_RUNTIMES: [(&str, RunBody); 3] = [
    ("tokio-2", |body| on_tokio(Builder::new_multi_thread().worker_threads(2), body)),
    ("tokio-1", |body| on_tokio(&mut Builder::new_current_thread(), body)),
    ("smol", on_smol),
];

/// Where tests run with topics on disk. Why this one: all of it is on one thread, which knows that it is so.
const ON_DISK: (&str, RunBody) = ("tokio-1", |body| on_tokio(&mut Builder::new_current_thread(), body));

const SIM: &str = "sim";

fn on_tokio(builder: &mut Builder, body: BoxFuture) {
    let tokio = builder.enable_all().build().unwrap();
    // As a task, so that it runs on a worker where there are some.
    let end = tokio.block_on(tokio.spawn(body));
    tokio.shutdown_timeout(Duration::from_secs(1));
    if let Err(error) = end {
        resume_unwind(error.into_panic());
    }
}

#[expect(clippy::disallowed_methods, reason = "the body must run where smol's users run theirs")]
fn on_smol(body: BoxFuture) {
    smol::block_on(smol::spawn(body));
}

fn simulate(sim: &Sim, body: BoxFuture) {
    sim.block_on(body);
    let escaped: Vec<String> =
        sim.panics().iter().filter(|panic| !panic.in_drop).map(ToString::to_string).collect();
    assert!(escaped.is_empty(), "nobody caught this: {}", escaped.join("; "));
}

/// How a run ended: well, or with a text that says how not.
pub(crate) type End = Result<(), String>;

/// Runs `run` on a thread of its own. One that takes longer than `limit` is left behind.
pub(crate) fn watched(limit: Duration, run: impl FnOnce() + Send + 'static) -> End {
    let (done, end) = sync_channel(1);
    let runner = thread::Builder::new().name(test_name()).spawn(move || {
        run();
        // The watcher may have given up.
        let _ = done.send(());
    });
    match end.recv_timeout(limit) {
        Ok(()) => Ok(()),
        Err(RecvTimeoutError::Timeout) => Err(format!("still not done after {limit:?}")),
        Err(RecvTimeoutError::Disconnected) => Err(text_of(runner.unwrap().join().unwrap_err().as_ref())),
    }
}

#[track_caller]
fn report(whereabouts: &str, replay: &str, end: End) {
    if let Err(text) = end {
        let test = test_name();
        panic!("on {whereabouts}: {text}\n  again: {replay} cargo test --test it -- --exact {test}\n");
    }
}

/// Why not only an equality: a name that no runtime has would run nothing, and so pass.
fn chosen_runtime(name: &str) -> bool {
    let known = |chosen: &String| chosen == SIM || REAL_RUNTIMES.iter().any(|(name, _)| chosen == name);
    let default = if setting::<u64>("CB_SEED").is_some() { SIM } else { name };
    let chosen = setting("CB_RUNTIME").unwrap_or_else(|| default.to_owned());
    assert!(known(&chosen), "CB_RUNTIME={chosen}: no such runtime");
    chosen == name
}

fn chosen_seeds(default: u64) -> Range<u64> {
    match setting("CB_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("CB_SEEDS").unwrap_or(default),
    }
}

fn setting<T: FromStr<Err: Display>>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// Answers the test's name. It is the thread's, unless tests run one at a time, on the main thread.
fn test_name() -> String {
    let thread = thread::current();
    thread.name().filter(|name| *name != "main").unwrap_or("<this test>").to_owned()
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".into())
}
