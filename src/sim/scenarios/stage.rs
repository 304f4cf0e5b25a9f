//! What all scenarios use: dice, publishers whose answers are written down, and the calm at the end.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;

use crate::base::Name;
use crate::broker::{DeadLetter, Message, MessageId, PublishError, Retry, Scheduled, Topic};
use crate::runtime::Runtime as _;
use crate::sim::check::What;
use crate::sim::kit::{Run, Watcher};
use crate::sim::rng::Rng;
use crate::sim::{Faults, Sim, TestBroker};
use crate::supervise::Backoff;

/// The stream of a seed that scenarios draw from.
const SCENARIO: u64 = 3;
/// In so much virtual time everything must settle once faults are off.
const BUDGET: Duration = Duration::from_secs(600);

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Clone)]
pub(super) struct Stage(Arc<Inside>);

struct Inside {
    sim: Sim,
    watcher: Arc<Watcher>,
    rng: Mutex<Rng>,
    drawn: Mutex<Vec<String>>,
    wrong: Mutex<Vec<String>>,
    calm: AtomicBool,
    /// Present while the body runs.
    broker: Mutex<Option<TestBroker>>,
}

impl Stage {
    pub(super) fn new(run: &Run, seed: u64) -> Stage {
        run.watcher.notes().reserved = false;
        Stage(Arc::new(Inside {
            sim: run.sim.clone(),
            watcher: run.watcher.clone(),
            rng: Mutex::new(Rng::new(seed, SCENARIO)),
            drawn: Mutex::default(),
            wrong: Mutex::default(),
            calm: AtomicBool::new(false),
            broker: Mutex::default(),
        }))
    }

    pub(super) fn enter(&self, broker: TestBroker) {
        *self.0.broker.lock().unwrap() = Some(broker);
    }

    pub(super) fn sim(&self) -> &Sim {
        &self.0.sim
    }

    /// Milliseconds since 1970.
    pub(super) fn wall_millis(&self) -> u64 {
        let since = self.0.sim.wall_clock().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_millis() as u64
    }

    pub(super) fn watcher(&self) -> &Watcher {
        &self.0.watcher
    }

    pub(super) fn shared_watcher(&self) -> Arc<Watcher> {
        self.0.watcher.clone()
    }

    /// Ends every task but the scenario's own at once, as the end of a process does.
    pub(super) fn drop_everything(&self) {
        for _ in 0..2 {
            while let Some(task) = self.0.sim.tasks().first() {
                self.0.sim.kill(task);
            }
            drop(self.0.broker.lock().unwrap().take());
        }
    }

    /// The broker. Taken by the scenario that wants to hold the last handle.
    pub(super) fn broker(&self) -> TestBroker {
        self.0.broker.lock().unwrap().clone().unwrap()
    }

    /// Lets go of the stage's own handle of the broker.
    pub(super) fn leave(&self) -> TestBroker {
        self.0.broker.lock().unwrap().take().unwrap()
    }

    /// Draws a number below `end`.
    pub(super) fn below(&self, end: usize) -> usize {
        self.0.rng.lock().unwrap().below(end)
    }

    pub(super) fn chance(&self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// Draws one of these, and writes down which.
    pub(super) fn pick<T: Copy + Display>(&self, what: &str, of: &[T]) -> T {
        let picked = of[self.below(of.len())];
        self.draw(format_args!("{what} {picked}"));
        picked
    }

    pub(super) fn draw(&self, what: impl Display) {
        self.0.drawn.lock().unwrap().push(what.to_string());
    }

    pub(super) fn drawn(&self) -> String {
        self.0.drawn.lock().unwrap().join(", ")
    }

    /// Says that a rule was broken.
    pub(super) fn is_wrong(&self, text: impl Display) {
        self.0.wrong.lock().unwrap().push(text.to_string());
    }

    pub(super) fn wrong(&self) -> Vec<String> {
        // A broker that the body left behind would keep the simulator alive.
        drop(self.0.broker.lock().unwrap().take());
        std::mem::take(&mut *self.0.wrong.lock().unwrap())
    }

    /// Lets faults strike, drawn.
    pub(super) fn storm(&self) {
        let faults = Faults::drawn(&mut self.0.rng.lock().unwrap(), millis(60));
        self.draw(format_args!("faults: {faults}"));
        self.broker().set_faults(faults);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.0.calm.load(Ordering::Relaxed)
    }

    /// Another process begins: things go wrong again.
    pub(super) fn begin_anew(&self, broker: TestBroker) {
        self.0.calm.store(false, Ordering::Relaxed);
        self.enter(broker);
    }

    /// From here on nothing goes wrong any more.
    pub(super) fn calm_down(&self) {
        self.0.calm.store(true, Ordering::Relaxed);
        self.0.watcher.notes().faults = Faults::none();
        self.note(What::Calm);
    }

    /// Faults off; then all that running groups have must settle (P10).
    pub(super) async fn calm(&self) {
        self.calm_down();
        let broker = self.broker();
        if self.within(BUDGET, broker.idle()).await.is_none() {
            self.is_wrong(format_args!("P10: not idle {BUDGET:?} after the last fault"));
        }
        self.note(What::Quiet);
    }

    pub(super) async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let (mut future, mut limit) = (std::pin::pin!(future), std::pin::pin!(self.0.sim.sleep(limit)));
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => limit.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    pub(super) fn note(&self, what: What) {
        self.0.watcher.note(what);
    }

    /// A handler saw this.
    pub(super) fn saw(&self, message: &Message<u64>, group: &str) {
        let key = self.0.watcher.notes().history.key(message.topic().as_str(), group);
        if let Some(group) = key {
            let (id, attempt, unsure) = (message.id(), message.attempt(), message.maybe_redelivered());
            self.note(What::Handled { group, id, value: **message, attempt, unsure });
        }
    }

    /// Waits a drawn time below `longest`, or not at all.
    pub(super) async fn a_while(&self, longest: Duration) {
        let nanos = self.below(longest.as_nanos() as usize);
        match self.below(3) {
            0 => {}
            1 => self.0.sim.sleep(Duration::from_nanos(nanos as u64)).await,
            _ => give_way().await,
        }
    }

    /// Publishes a value, and writes the answer down.
    pub(super) async fn publish(&self, topic: &Topic<u64>, value: u64) -> Option<MessageId> {
        let open = self.try_out(topic.name(), value);
        let answer = topic.publish(value).await;
        open.answer(answer)
    }

    /// Publishes a value for later, and writes the answer down.
    pub(super) async fn publish_after(
        &self,
        topic: &Topic<u64>,
        delay: Duration,
        value: u64,
    ) -> Option<Scheduled> {
        let open = self.try_out(topic.name(), value);
        let answer = topic.publish_after(delay, value).await;
        open.delayed(answer)
    }

    pub(super) fn try_out(&self, topic: &Name, value: u64) -> Tried {
        self.note(What::Tried { topic: topic.clone(), value });
        Tried { stage: self.clone(), topic: topic.clone(), value, open: true }
    }

    pub(super) fn spawn(&self, name: &str, task: impl Future<Output = ()> + Send + 'static) -> Ended {
        let (tell, told) = futures::channel::oneshot::channel();
        self.0.sim.spawn(name, async move {
            task.await;
            let _ = tell.send(());
        });
        told.map((|_| ()) as fn(_) -> ()).boxed()
    }

    pub(super) fn retry(&self) -> Retry {
        let attempts = self.pick("attempts", &[1, 2, 3, 6]);
        let backoff = match self.below(4) {
            0 => Backoff::none(),
            1 => Backoff::fixed(millis(7)),
            _ => Backoff::exponential(millis(2), millis(80)).jitter(0.5),
        };
        Retry::new(backoff).max_attempts(attempts)
    }

    /// Reads a dead-letter topic, so that nothing stays parked before it.
    pub(super) async fn clerk(&self, dead: &str) {
        let dead = self.broker().topic::<DeadLetter>(dead).open().await.unwrap();
        dead.group("clerk").prefetch(4).run(async |_| Ok(())).await.unwrap();
    }
}

pub(super) type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A publish that is tried, until it is answered or dropped.
pub(super) struct Tried {
    stage: Stage,
    topic: Name,
    value: u64,
    open: bool,
}

impl Tried {
    pub(super) fn answer<E>(mut self, answer: Result<MessageId, PublishError<E>>) -> Option<MessageId> {
        self.open = false;
        let (topic, value) = (self.topic.clone(), self.value);
        self.stage.note(match &answer {
            Ok(id) => What::Confirmed { topic, value, id: *id },
            Err(PublishError::Unknown(..)) => What::Cancelled { topic, value },
            Err(_) => What::Refused { topic, value },
        });
        answer.ok()
    }
}

impl Tried {
    pub(super) fn delayed<E>(mut self, answer: Result<Scheduled, PublishError<E>>) -> Option<Scheduled> {
        self.open = false;
        let (topic, value) = (self.topic.clone(), self.value);
        self.stage.note(match &answer {
            Ok(scheduled) => What::Delayed { topic, value, number: scheduled.number() },
            Err(PublishError::Unknown(..)) => What::Cancelled { topic, value },
            Err(_) => What::Refused { topic, value },
        });
        answer.ok()
    }
}

impl Drop for Tried {
    fn drop(&mut self) {
        if self.open {
            let (topic, value) = (self.topic.clone(), self.value);
            self.stage.note(What::Cancelled { topic, value });
        }
    }
}

/// Lets everything else that can run go first, once.
pub(super) async fn give_way() {
    let mut gave = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
