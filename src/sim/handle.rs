//! The simulator as its users hold it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::scene;
use super::schedule::Slip;
use super::timer::{Settle, SimTimer};
use super::world::{Body, Shared, waker};
use super::{Panicked, Scheduler};
use crate::base::Moment;
use crate::runtime::{BoxFuture, Runtime, Timer};

/// Runs tasks on one thread, in an order and at a time that a seed decides.
///
/// It is a handle: clones are the same simulator, and give the code inside access to the clock, the spawning and
/// the books. As a [`Runtime`] it can be named in a builder; inside [`Sim::block_on`] it is found by default.
///
/// # Examples
/// ```
/// use callboard::sim::Sim;
///
/// // Two tasks race; a seed decides who wins, and always the same one.
/// fn winner(seed: u64) -> &'static str {
///     let sim = Sim::new(seed);
///     let (sender, first) = async_channel::bounded(2);
///     for name in ["ann", "bob"] {
///         let sender = sender.clone();
///         sim.spawn(name, async move { sender.send(name).await.unwrap() });
///     }
///     sim.block_on(async { first.recv().await.unwrap() })
/// }
/// assert!((0..100).all(|seed| winner(seed) == winner(seed)));
/// assert!((0..100).any(|seed| winner(seed) == "ann"));
/// assert!((0..100).any(|seed| winner(seed) == "bob"));
/// ```
#[derive(Clone)]
pub struct Sim {
    pub(super) shared: Arc<Shared>,
}

impl Sim {
    /// Makes a simulator for `seed`. Its clock stands at zero, its wall clock at the first second of 2024.
    pub fn new(seed: u64) -> Sim {
        Sim { shared: Arc::new(Shared::new(seed)) }
    }

    /// Returns the simulator that the calling code runs in, if it runs in one.
    pub fn current() -> Option<Sim> {
        scene::current()
    }

    /// Stops a run as stuck after `steps` polls, counted over all runs of this simulator. Default: 5 million.
    pub fn max_steps(self, steps: u64) -> Sim {
        self.shared.world().schedule.limits.steps = steps;
        self
    }

    /// Stops a run as stuck instead of moving the clock past `time`. Default: 24 hours.
    pub fn max_time(self, time: Duration) -> Sim {
        self.shared.world().schedule.limits.time = time;
        self
    }

    /// Moves the clock only when nothing can run, whatever the seed says.
    ///
    /// Then a test can state times to the nanosecond, and no time-out ever meets a task that is ready: a test
    /// that looks for races must not ask for it.
    pub fn without_slips(self) -> Sim {
        self.shared.world().schedule.slip = Slip::NEVER;
        self
    }

    /// Picks the next task as `scheduler` says, from now on. Default: [`Scheduler::Random`].
    pub fn scheduler(self, scheduler: Scheduler) -> Sim {
        self.shared.world().schedule.ready.set(scheduler);
        self
    }

    /// Lets the wall clock jump now and then: an hour on, an hour back, or to 1970. The monotonic clock never does.
    pub fn with_wall_jumps(self) -> Sim {
        self.shared.world().let_wall_clock_jump();
        self
    }

    /// Moves the clock on by `time` at once, as for a machine that was asleep. All timers due by then fire together.
    pub fn suspend(&self, time: Duration) {
        let due = self.shared.world().schedule.suspend(time);
        due.into_iter().for_each(std::task::Waker::wake);
    }

    /// Writes `text` down among the last events, and makes it part of the trace.
    ///
    /// The last 50 events are shown where a run ends badly.
    pub fn note(&self, text: impl fmt::Display) {
        let text = text.to_string();
        self.shared.world().note(text);
    }

    /// Starts `task` and lets it go, like [`Runtime::spawn`], without a box of the caller's.
    ///
    /// Outside of a run it starts with the next one.
    pub fn spawn(&self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let future: BoxFuture = Box::pin(task);
        let body = |task| Some(Body { future, waker: waker(&self.shared, task) });
        self.shared.world().add(name.into(), body);
    }

    /// Waits until `delay` of virtual time has passed, counted from this call.
    ///
    /// # Cancel safety
    /// Dropping the future unsets its timer; nothing else.
    pub fn sleep(&self, delay: Duration) -> impl Future<Output = ()> + Send + use<> {
        let at = self.now() + delay;
        let mut timer = Box::pin(SimTimer::new(Arc::clone(&self.shared), at));
        std::future::poll_fn(move |cx| timer.as_mut().poll_expired(cx))
    }

    /// Waits until no other task can run, while the clock stands still.
    ///
    /// After it, everything that was caused so far has happened, but for what waits on a timer. When several
    /// settle, they end one after the other, and each only when what the one before did has come to rest.
    ///
    /// # Cancel safety
    /// Dropping the future only stops the waiting.
    ///
    /// # Examples
    /// ```
    /// use callboard::sim::Sim;
    ///
    /// let sim = Sim::new(7);
    /// let inside = sim.clone();
    /// let (sender, received) = async_channel::bounded(1);
    /// sim.block_on(async move {
    ///     inside.spawn("writer", async move { sender.send("done").await.unwrap() });
    ///     inside.settle().await;
    ///     assert_eq!(received.try_recv(), Ok("done"));
    /// });
    /// ```
    pub fn settle(&self) -> impl Future<Output = ()> + Send + use<> {
        Settle::new(Arc::clone(&self.shared))
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.shared.world().seed
    }

    /// Reads the virtual clock.
    pub fn now(&self) -> Moment {
        self.shared.world().schedule.now()
    }

    /// Sets the virtual wall clock; from there it runs on. The monotonic clock and the timers don't notice.
    pub fn set_wall_clock(&self, to: SystemTime) {
        self.shared.world().set_wall_clock(to);
    }

    /// Returns how many polls were made.
    pub fn steps(&self) -> u64 {
        self.shared.world().schedule.steps()
    }

    /// Returns a number that stands for the whole run: which task was polled when, beside how many ready ones.
    ///
    /// Two runs of the same code with the same seed give the same number, in any process; where they don't, the
    /// code draws on something that the simulator does not control.
    pub fn trace_hash(&self) -> u64 {
        self.shared.world().schedule.trace_hash()
    }

    /// Lists the spawned tasks that have not ended, by name, the oldest first.
    pub fn tasks(&self) -> Vec<String> {
        self.shared.world().task_names()
    }

    /// Drops the oldest task of that name, as if its thread had died between two polls. Answers whether there was one.
    ///
    /// A task can't kill itself: while it is polled it is not found.
    pub fn kill(&self, task: &str) -> bool {
        let found = self.shared.world().take_named(task);
        found.map(|body| self.drop_quietly(task, body)).is_some()
    }

    /// Returns the panics that ended spawned tasks so far, and those of their drops.
    pub fn panics(&self) -> Vec<Panicked> {
        self.shared.world().panics.clone()
    }
}

impl Runtime for Sim {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn spawn(&self, name: &str, task: BoxFuture) {
        Sim::spawn(self, name, task);
    }

    fn spawn_blocking(&self, name: &str, work: Box<dyn FnOnce() + Send + 'static>) {
        Sim::spawn(self, name, async move { work() });
    }

    fn timer(&self, at: Moment) -> Pin<Box<dyn Timer>> {
        Box::pin(SimTimer::new(Arc::clone(&self.shared), at))
    }

    fn now(&self) -> Moment {
        Sim::now(self)
    }

    fn wall_clock(&self) -> SystemTime {
        self.shared.world().wall_clock()
    }

    fn waits(&self, what: &dyn fmt::Display) {
        let what = what.to_string();
        self.shared.world().waits(what);
    }

    fn random(&self) -> u64 {
        self.shared.world().chance.draw()
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Why try: printing a simulator must not hang where the lock is held.
        match self.shared.try_world() {
            Some(world) => f.debug_tuple("Sim").field(&*world).finish(),
            None => f.write_str("Sim(..)"),
        }
    }
}
