//! A runtime of one's own, of `std` alone: worker threads that share a queue of tasks, and an alarm clock.

#![expect(clippy::unwrap_used, reason = "no code that can panic runs under these locks")]

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use callboard::base::Moment;
use callboard::runtime::{BoxFuture, Runtime, Timer};

const HOUR: Duration = Duration::from_secs(3600);

/// A handle; its threads run until the program ends.
#[derive(Clone)]
pub(crate) struct Own(Arc<Shared>);

struct Shared {
    /// The tasks that can run. Limit: each is in it once.
    ready: Mutex<VecDeque<Arc<Task>>>,
    more: Condvar,
    /// Whom to wake when.
    alarms: Mutex<BTreeMap<(Moment, u64), Waker>>,
    changed: Condvar,
    timers: AtomicU64,
    start: Instant,
}

struct Task {
    future: Mutex<Option<BoxFuture>>,
    is_ready: AtomicBool,
    home: Arc<Shared>,
}

impl Own {
    #[expect(
        clippy::disallowed_methods,
        reason = "a runtime is where threads are started and clocks are read"
    )]
    pub(crate) fn start(workers: usize) -> Own {
        let shared = Arc::new(Shared {
            ready: Mutex::default(),
            more: Condvar::new(),
            alarms: Mutex::default(),
            changed: Condvar::new(),
            timers: AtomicU64::new(0),
            start: Instant::now(),
        });
        for _ in 0..workers {
            let shared = shared.clone();
            thread::spawn(move || shared.work());
        }
        let clock = shared.clone();
        thread::spawn(move || clock.ring());
        Own(shared)
    }
}

impl Shared {
    /// What each worker does: take a task, poll it.
    fn work(&self) -> ! {
        loop {
            let mut ready = self.ready.lock().unwrap();
            let task = loop {
                match ready.pop_front() {
                    Some(task) => break task,
                    None => ready = self.more.wait(ready).unwrap(),
                }
            };
            drop(ready);
            // In this order: a wake-up that comes during the poll makes the task ready again.
            task.is_ready.store(false, Ordering::Release);
            let mut future = task.future.lock().unwrap();
            let Some(running) = future.as_mut() else { continue };
            let waker = Waker::from(task.clone());
            let poll = || running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            // A panic ends the task, not the worker.
            if catch_unwind(AssertUnwindSafe(poll)).unwrap_or(true) {
                drop(catch_unwind(AssertUnwindSafe(|| *future = None)));
            }
        }
    }

    /// What the alarm clock does: wake whoever is due, sleep until the next one is.
    fn ring(&self) -> ! {
        let mut alarms = self.alarms.lock().unwrap();
        loop {
            let now = self.now();
            let later = alarms.split_off(&(now + Duration::from_nanos(1), 0));
            let due = std::mem::replace(&mut *alarms, later);
            if !due.is_empty() {
                // Without the lock: whoever is woken may set a timer.
                drop(alarms);
                due.into_values().for_each(Waker::wake);
                alarms = self.alarms.lock().unwrap();
                continue;
            }
            let pause = alarms.keys().next().map_or(Duration::MAX, |(at, _)| at.since(now));
            alarms = self.changed.wait_timeout(alarms, pause.min(HOUR)).unwrap().0;
        }
    }

    fn now(&self) -> Moment {
        Moment::ZERO + self.start.elapsed()
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::AcqRel) {
            let home = self.home.clone();
            home.ready.lock().unwrap().push_back(self);
            home.more.notify_one();
        }
    }
}

impl Runtime for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn spawn(&self, _name: &str, task: BoxFuture) {
        let future = Mutex::new(Some(task));
        Arc::new(Task { future, is_ready: AtomicBool::new(false), home: self.0.clone() }).wake();
    }

    #[expect(clippy::disallowed_methods, reason = "a runtime is where threads are started")]
    fn spawn_blocking(&self, _name: &str, work: Box<dyn FnOnce() + Send + 'static>) {
        thread::spawn(work);
    }

    fn timer(&self, at: Moment) -> Pin<Box<dyn Timer>> {
        let id = self.0.timers.fetch_add(1, Ordering::Relaxed);
        Box::pin(OwnTimer { home: self.0.clone(), at, id })
    }

    fn now(&self) -> Moment {
        self.0.now()
    }

    #[expect(clippy::disallowed_methods, reason = "a runtime is where clocks are read")]
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

struct OwnTimer {
    home: Arc<Shared>,
    at: Moment,
    id: u64,
}

impl Timer for OwnTimer {
    fn reset(mut self: Pin<&mut Self>, at: Moment) {
        self.home.alarms.lock().unwrap().remove(&(self.at, self.id));
        self.at = at;
    }

    fn poll_expired(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.home.now() >= self.at {
            return Poll::Ready(());
        }
        self.home.alarms.lock().unwrap().insert((self.at, self.id), cx.waker().clone());
        self.home.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for OwnTimer {
    fn drop(&mut self) {
        self.home.alarms.lock().unwrap().remove(&(self.at, self.id));
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own(..)")
    }
}

impl fmt::Debug for OwnTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnTimer({:?})", self.at)
    }
}
