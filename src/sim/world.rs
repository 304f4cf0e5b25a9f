//! Everything that the simulator knows, behind one lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Wake, Waker};
use std::time::{Duration, SystemTime};

use super::ready::TaskId;
use super::ring::{Happened, Ring};
use super::rng::Rng;
use super::schedule::{Next, Schedule};
use super::stuck::{Panicked, Stuck, Why};
use super::timers::TimerId;
use crate::base::Moment;
use crate::runtime::BoxFuture;

/// The streams of a seed: which task comes next, and what the code under test draws.
const ORDER: u64 = 0;
const CHANCE: u64 = 1;
const WALL: u64 = 5;
/// One step in so many is a jump of each kind.
const JUMPS: usize = 200;
const HOUR: Duration = Duration::from_secs(3600);
/// The wall clock's start: the first second of 2024, in seconds since 1970.
const WALL_START: Duration = Duration::from_secs(1_704_067_200);

/// How many reasons to wait are kept for a task.
const REASONS: usize = 4;

/// The name of the main future.
pub(super) const MAIN: &str = "main";

/// Guards the [`World`], shared by the handles, the timers and the wakers.
///
/// Why a lock, where one thread runs everything: wakers and handles are `Send`, and a real thread may hold one.
/// Invariant: under the lock no foreign code runs: no poll, no wake, no clone or drop of a waker or of a future.
#[derive(Debug)]
pub(super) struct Shared(Mutex<World>);

impl Shared {
    pub(super) fn new(seed: u64) -> Shared {
        Shared(Mutex::new(World::new(seed)))
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers `None` while somebody holds the lock, for code that may itself run under it: the panic hook.
    pub(super) fn try_world(&self) -> Option<MutexGuard<'_, World>> {
        match self.0.try_lock() {
            Ok(world) => Some(world),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Wakes one task, from any thread.
struct TaskWaker {
    task: TaskId,
    shared: Arc<Shared>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.world().wake(self.task);
    }
}

pub(super) fn waker(shared: &Arc<Shared>, task: TaskId) -> Waker {
    Waker::from(Arc::new(TaskWaker { task, shared: Arc::clone(shared) }))
}

/// What the driving thread does next.
pub(super) enum Turn {
    /// Poll the main future.
    Main,
    /// Poll this task, then give it back ([`World::put_back`]) or finish it.
    Task(TaskId, Body),
    /// Wake these.
    Wake(Vec<Waker>),
    /// Give up.
    Stuck(Stuck),
}

/// A spawned task's future, and the waker that is made once for it.
pub(super) struct Body {
    pub(super) future: BoxFuture,
    pub(super) waker: Waker,
}

struct Task {
    name: Arc<str>,
    queued: bool,
    /// `None` for the main future, and for a task while it is polled: then it is in the driver's hands.
    body: Option<Body>,
    /// What its last poll said it waits for, the innermost first. Limit: [`REASONS`].
    waits: Vec<String>,
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) schedule: Schedule<Waker>,
    pub(super) chance: Rng,
    pub(super) panics: Vec<Panicked>,
    pub(super) running: bool,
    tasks: BTreeMap<TaskId, Task>,
    /// Those who wait until nothing else can run, by the number they drew.
    settlers: BTreeMap<u64, Waker>,
    /// Whether the last turn woke one of them.
    served: bool,
    wall: (Moment, SystemTime),
    /// Present if the wall clock jumps by itself.
    wall_jumps: Option<Rng>,
    ring: Ring,
    /// The task that is being polled.
    current: Option<TaskId>,
    /// Every step so far, if somebody asked for it: the trace up to there, and who was polled.
    log: Option<Vec<(u64, Arc<str>)>>,
    ids: u64,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            seed,
            schedule: Schedule::new(Rng::new(seed, ORDER)),
            chance: Rng::new(seed, CHANCE),
            panics: Vec::new(),
            running: false,
            tasks: BTreeMap::new(),
            settlers: BTreeMap::new(),
            served: false,
            wall: (Moment::ZERO, SystemTime::UNIX_EPOCH + WALL_START),
            wall_jumps: None,
            ring: Ring::default(),
            current: None,
            log: None,
            ids: 0,
        }
    }

    /// Adds a task, ready to run; `body` makes its future and waker from its id, or nothing for the main one.
    pub(super) fn add(&mut self, name: Arc<str>, body: impl FnOnce(TaskId) -> Option<Body>) -> TaskId {
        let task = TaskId(self.new_id());
        self.ring.push(self.schedule.now(), Happened::Spawned(name.clone()));
        self.tasks.insert(task, Task { name, queued: true, body: body(task), waits: Vec::new() });
        self.schedule.ready.push(task);
        task
    }

    pub(super) fn wake(&mut self, task: TaskId) {
        if let Some(entry) = self.tasks.get_mut(&task)
            && !entry.queued
        {
            entry.queued = true;
            self.schedule.ready.push(task);
        }
    }

    pub(super) fn turn(&mut self) -> Turn {
        self.jump_wall_clock();
        // Time also stands still until the one just served has run, or he would find it moved.
        let served = std::mem::take(&mut self.served) && !self.schedule.ready.is_empty();
        match self.schedule.decide(served || !self.settlers.is_empty()) {
            Next::Poll(task) => self.take(task),
            Next::Fire(wakers) => {
                self.ring.push(self.schedule.now(), Happened::Fired(wakers.len()));
                Turn::Wake(wakers)
            }
            Next::Idle => match self.settlers.pop_first() {
                // Why one at a time: what the first one then does is not settled yet for the second.
                Some((_, waker)) => {
                    self.served = true;
                    Turn::Wake(vec![waker])
                }
                None => Turn::Stuck(self.stuck(Why::Deadlock)),
            },
            Next::TooManySteps => Turn::Stuck(self.stuck(Why::TooManySteps)),
            Next::TooLate => Turn::Stuck(self.stuck(Why::TooLate)),
        }
    }

    /// Takes a polled task back. Hands it out again if it is gone, to be dropped outside of the lock.
    pub(super) fn put_back(&mut self, task: TaskId, body: Body) -> Option<Body> {
        match self.tasks.get_mut(&task) {
            Some(entry) => entry.body.replace(body),
            None => Some(body),
        }
    }

    /// Forgets a task that has ended, and answers its name.
    pub(super) fn finish(&mut self, task: TaskId) -> Arc<str> {
        match self.tasks.remove(&task) {
            Some(entry) => {
                if entry.queued {
                    self.schedule.ready.remove(task);
                }
                self.ring.push(self.schedule.now(), Happened::Ended(entry.name.clone()));
                entry.name
            }
            None => "?".into(),
        }
    }

    /// The spawned tasks that are there, the oldest first.
    pub(super) fn task_names(&self) -> Vec<String> {
        let spawned = self.tasks.values().filter(|task| &*task.name != MAIN);
        spawned.map(|task| task.name.to_string()).collect()
    }

    /// Takes out the oldest task of that name that is not being polled, to be dropped outside of the lock.
    pub(super) fn take_named(&mut self, name: &str) -> Option<Body> {
        let is = |task: &Task| &*task.name == name && task.body.is_some();
        let id = self.tasks.iter().find(|(_, task)| is(task)).map(|(id, _)| *id)?;
        let body = self.tasks.get_mut(&id).and_then(|task| task.body.take());
        self.finish(id);
        body
    }

    /// Takes out the oldest task that is left, to be dropped outside of the lock.
    pub(super) fn take_any(&mut self) -> Option<(Arc<str>, Option<Body>)> {
        let (_, task) = self.tasks.pop_first()?;
        Some((task.name, task.body))
    }

    /// Forgets what is ready and who waits, once no task is left. Answers wakers to be dropped outside.
    pub(super) fn clear(&mut self) -> Vec<Waker> {
        self.schedule.ready.clear();
        let settlers = std::mem::take(&mut self.settlers).into_values();
        self.schedule.timers.take_due(Moment::MAX).into_iter().chain(settlers).collect()
    }

    pub(super) fn wait_settled(&mut self, ticket: u64, waker: Waker) -> Option<Waker> {
        self.settlers.insert(ticket, waker)
    }

    pub(super) fn waits_settled(&self, ticket: u64) -> bool {
        self.settlers.contains_key(&ticket)
    }

    pub(super) fn stop_settling(&mut self, ticket: u64) -> Option<Waker> {
        self.settlers.remove(&ticket)
    }

    pub(super) fn new_timer(&mut self) -> TimerId {
        TimerId(self.new_id())
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(super) fn wall_clock(&self) -> SystemTime {
        let (set_at, to) = self.wall;
        to.checked_add(self.schedule.now().since(set_at)).unwrap_or(to)
    }

    pub(super) fn set_wall_clock(&mut self, to: SystemTime) {
        self.wall = (self.schedule.now(), to);
    }

    fn take(&mut self, task: TaskId) -> Turn {
        // Invariant: a task that is gone is not in the ready list, see `finish`.
        let Some(entry) = self.tasks.get_mut(&task) else { return Turn::Wake(Vec::new()) };
        entry.queued = false;
        entry.waits.clear();
        self.current = Some(task);
        self.ring.push(self.schedule.now(), Happened::Polled(entry.name.clone()));
        if let Some(log) = &mut self.log {
            log.push((self.schedule.trace_hash(), entry.name.clone()));
        }
        match entry.body.take() {
            Some(body) => Turn::Task(task, body),
            None => Turn::Main,
        }
    }

    fn stuck(&self, why: Why) -> Stuck {
        let named = |queued: bool| {
            let tasks = self.tasks.values().filter(|task| task.queued == queued);
            tasks.map(Task::told).collect()
        };
        Stuck {
            why,
            seed: self.seed,
            at: self.schedule.now(),
            steps: self.schedule.steps(),
            waiting: named(false),
            ready: named(true),
            panics: self.panics.clone(),
            last: self.ring.lines().into(),
        }
    }
}

impl World {
    /// The task that is polled waits, and says for what.
    pub(super) fn waits(&mut self, what: String) {
        if let Some(task) = self.current.and_then(|task| self.tasks.get_mut(&task))
            && task.waits.len() < REASONS
            // A poll may try again, and wait for the same.
            && task.waits.last() != Some(&what)
        {
            task.waits.push(what);
        }
    }

    pub(super) fn note(&mut self, text: String) {
        self.schedule.note(&text);
        self.ring.push(self.schedule.now(), Happened::Noted(text));
    }

    pub(super) fn note_panic(&mut self, panic: Panicked) {
        self.ring.push(self.schedule.now(), Happened::Panicked(panic.task.as_str().into()));
        self.panics.push(panic);
    }

    pub(super) fn last_events(&self) -> Vec<String> {
        self.ring.lines()
    }

    pub(super) fn keep_log(&mut self) {
        self.log = Some(Vec::new());
    }

    pub(super) fn take_log(&mut self) -> Vec<(u64, Arc<str>)> {
        self.log.take().unwrap_or_default()
    }

    pub(super) fn let_wall_clock_jump(&mut self) {
        self.wall_jumps = Some(Rng::new(self.seed, WALL));
    }

    /// Now and then the wall clock is set: an hour on, an hour back, or to where it began.
    fn jump_wall_clock(&mut self) {
        let Some(rng) = &mut self.wall_jumps else { return };
        let to = match rng.below(JUMPS) {
            0 => self.wall_clock().checked_add(HOUR),
            1 => self.wall_clock().checked_sub(HOUR),
            2 => Some(SystemTime::UNIX_EPOCH),
            _ => None,
        };
        if let Some(to) = to {
            self.set_wall_clock(to);
        }
    }
}

impl Task {
    /// Its name, and what it waits for.
    fn told(&self) -> String {
        match self.waits.is_empty() {
            true => self.name.to_string(),
            false => format!("{} ({})", self.name, self.waits.join(", in ")),
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.tasks.values().map(|task| &*task.name).collect();
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now", &self.schedule.now())
            .field("steps", &self.schedule.steps())
            .field("tasks", &names)
            .finish_non_exhaustive()
    }
}
