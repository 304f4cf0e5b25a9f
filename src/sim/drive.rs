//! The loop that runs a simulation, and what is cleared away after it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::Result as Caught;

use super::ready::TaskId;
use super::scene::{self, Scene, catch_quietly};
use super::world::{Body, MAIN, Turn, waker};
use super::{Panicked, Sim, Stuck};

impl Sim {
    /// Runs `future`, and every task that it spawns, until `future` ends; then drops the tasks that are left.
    ///
    /// Inside, the simulator is the runtime that everything finds by default. A simulator can run again: the
    /// clock, the steps and the limits go on where they were.
    ///
    /// # Panics
    /// With a report that names the seed and the stuck tasks, if the future can't end (see [`Stuck`]); with the
    /// future's own panic, if it panics; and if this same simulator is already running.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use callboard::sim::Sim;
    ///
    /// let sim = Sim::new(7);
    /// let inside = sim.clone();
    /// let slept = sim.block_on(async move {
    ///     let start = inside.now();
    ///     inside.sleep(Duration::from_secs(3600)).await;
    ///     inside.now().since(start)
    /// });
    /// assert!(slept >= Duration::from_secs(3600));
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.try_block_on(future) {
            Ok(output) => output,
            // Not our bug, but a test must fail here, and on the line of its caller.
            Err(stuck) => panic!("{stuck}"),
        }
    }

    /// Runs `future` like [`Sim::block_on`], and answers with the report if it can't end.
    ///
    /// # Errors
    /// [`Stuck`] says why and names the tasks that were left. They and the future have been dropped.
    ///
    /// # Panics
    /// With the future's own panic; and if this same simulator is already running.
    ///
    /// # Examples
    /// ```
    /// use callboard::sim::{Sim, Why};
    ///
    /// let stuck = Sim::new(7).try_block_on(std::future::pending::<()>()).unwrap_err();
    /// assert_eq!(stuck.why, Why::Deadlock);
    /// assert_eq!(stuck.waiting, ["main"]);
    /// ```
    #[track_caller]
    pub fn try_block_on<F: Future>(&self, future: F) -> Result<F::Output, Stuck> {
        assert!(
            !std::mem::replace(&mut self.shared.world().running, true),
            "this simulator is already running: await the future instead, or make another simulator"
        );
        let _scene = Scene::enter(self);
        let mut main = Box::pin(future);
        let end = self.drive(main.as_mut());
        self.drop_quietly("main", main);
        self.drop_tasks();
        self.shared.world().running = false;
        match end {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(payload)) => resume_unwind(payload),
            Err(stuck) => Err(stuck),
        }
    }

    fn drive<F: Future>(&self, mut main: Pin<&mut F>) -> Result<Caught<F::Output>, Stuck> {
        let main_task = self.shared.world().add(MAIN.into(), |_| None);
        let main_waker = waker(&self.shared, main_task);
        let mut main_context = Context::from_waker(&main_waker);
        loop {
            // A statement of its own, so that the lock is free again before anything is polled or woken.
            let turn = self.shared.world().turn();
            match turn {
                Turn::Main => {
                    match catch_unwind(AssertUnwindSafe(|| main.as_mut().poll(&mut main_context))) {
                        Ok(Poll::Pending) => {}
                        Ok(Poll::Ready(output)) => return Ok(Ok(output)),
                        Err(payload) => return Ok(Err(payload)),
                    }
                }
                Turn::Task(task, body) => self.poll_task(task, body),
                Turn::Wake(wakers) => wakers.into_iter().for_each(|waker| waker.wake()),
                Turn::Stuck(stuck) => return Err(stuck),
            }
        }
    }

    fn poll_task(&self, task: TaskId, mut body: Body) {
        let polled = catch_quietly(|| body.future.as_mut().poll(&mut Context::from_waker(&body.waker)));
        if let Ok(Poll::Pending) = polled {
            let refused = self.shared.world().put_back(task, body);
            drop(refused);
            return;
        }
        let name = self.shared.world().finish(task);
        if let Err(panic) = polled {
            self.record(&name, panic, false);
        }
        self.drop_quietly(&name, body);
    }

    /// Drops what is left, one by one; a drop may spawn and wake, so until nothing is left.
    fn drop_tasks(&self) {
        loop {
            let left = self.shared.world().take_any();
            let Some((name, body)) = left else { break };
            self.drop_quietly(&name, body);
        }
        let wakers = self.shared.world().clear();
        drop(wakers);
    }

    pub(super) fn drop_quietly<T>(&self, name: &str, value: T) {
        if let Err(panic) = catch_quietly(|| drop(value)) {
            self.record(name, panic, true);
        }
    }

    fn record(&self, name: &str, panic: scene::Caught, in_drop: bool) {
        let scene::Caught { text, place } = panic;
        let panicked = Panicked { task: name.to_string(), text: text.to_string(), place, in_drop };
        self.shared.world().note_panic(panicked);
    }
}
