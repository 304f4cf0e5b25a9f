//! What the tests of the broker share: handlers that wait for leave, and futures polled by hand.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use callboard::broker::{GroupStats, PublishError, Report, Start};
use callboard::prelude::*;
use callboard::sim::Sim;

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Polls `future` once, with the waker of the test's own task.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Polls `future` once, whatever comes of it; answers a future of its output.
pub(crate) async fn begun<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    let first = poll_once(&mut future).await;
    async move {
        match first {
            Poll::Ready(output) => output,
            Poll::Pending => future.await,
        }
    }
}

/// Polls `future` `times` times, and lets others run in between; answers whether it is still pending.
pub(crate) async fn stays_pending<F: Future + Unpin>(future: &mut F, times: usize) -> bool {
    for _ in 0..times {
        if poll_once(future).await.is_ready() {
            return false;
        }
        yield_now().await;
    }
    true
}

/// Lets other tasks run first.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits until the group's counts are as `wanted`.
pub(crate) async fn until(group: &Group, wanted: impl Fn(&GroupStats) -> bool) -> GroupStats {
    loop {
        let stats = group.stats().await.unwrap();
        if wanted(&stats) {
            return stats;
        }
        // The simulator's clock stands still while somebody is ready.
        match Sim::current() {
            Some(sim) => sim.sleep(Duration::from_millis(1)).await,
            None => yield_now().await,
        }
    }
}

/// Where handlers say what they got, and then wait for leave to go on.
#[derive(Clone)]
pub(crate) struct Valve {
    said: (Sender<u64>, Receiver<u64>),
    leave: (Sender<()>, Receiver<()>),
}

impl Valve {
    pub(crate) fn shut() -> Valve {
        Valve { said: bounded(512), leave: bounded(512) }
    }

    /// In a handler: says `n`, and waits for leave.
    pub(crate) async fn pass(&self, n: u64) {
        self.said.0.send(n).await.unwrap();
        // An error means that the valve is open for good.
        let _ = self.leave.1.recv().await;
    }

    /// Waits until a handler comes, and answers what it says.
    pub(crate) async fn next(&self) -> u64 {
        self.said.1.recv().await.unwrap()
    }

    /// What handlers said and nobody heard yet.
    pub(crate) fn heard(&self) -> Vec<u64> {
        std::iter::from_fn(|| self.said.1.try_recv().ok()).collect()
    }

    /// Lets so many handlers through.
    pub(crate) fn let_through(&self, handlers: usize) {
        (0..handlers).for_each(|_| self.leave.0.try_send(()).unwrap());
    }

    pub(crate) fn open(&self) {
        self.leave.0.close();
    }
}

/// Opens a group whose handlers wait at the valve with each message, then ack it.
pub(crate) async fn valved(topic: &Topic<u64>, group: &str, valve: &Valve) -> Group {
    let group = topic.group(group).with(valve.clone());
    let handle = async |n: Message<u64>, valve: Valve| {
        valve.pass(*n).await;
        Ok(())
    };
    group.run(handle).await.unwrap()
}

/// The report's numbers balance: for each group, what it settled and what was lost is all that it ever had.
pub(crate) fn assert_balance(report: &Report) {
    for group in report.topics.iter().flat_map(|topic| &topic.groups) {
        assert_eq!(group.settled + group.lost, group.stats.entered, "{group:?}");
        assert_eq!(group.stats.settled() + group.stats.unsettled(), group.stats.entered, "{group:?}");
    }
}

/// What handlers saw, in order.
pub(crate) type Seen = Arc<Mutex<Vec<u64>>>;

/// A group that notes what it is handed.
pub(crate) async fn reads(topic: &Topic<u64>, name: &str, start: Start) -> (Group, Seen) {
    let seen = Seen::default();
    let group = topic.group(name).start_at(start).with(seen.clone());
    let group = group
        .run(async |n, seen| {
            seen.lock().unwrap().push(*n);
            Ok(())
        })
        .await
        .unwrap();
    (group, seen)
}

/// Three topics in a row, each handler publishing to the next; the last one counts.
pub(crate) async fn chain(broker: &Broker, capacity: usize) -> (Topic<u64>, Arc<AtomicU64>) {
    let sum = Arc::new(AtomicU64::new(0));
    let last = broker.topic::<u64>("c").capacity(capacity).open().await.unwrap();
    let add = async |n: Message<u64>, sum: Arc<AtomicU64>| {
        sum.fetch_add(*n, Ordering::Relaxed);
        Ok(())
    };
    last.group("add").consumers(2).with(sum.clone()).run(add).await.unwrap();
    let mut next = last;
    for name in ["b", "a"] {
        let topic = broker.topic::<u64>(name).capacity(capacity).open().await.unwrap();
        let twice = async |n: Message<u64>, next: Topic<u64>| {
            next.publish(*n).await?;
            next.publish(*n).await?;
            Ok(())
        };
        topic.group("twice").consumers(2).with(next).run(twice).await.unwrap();
        next = topic;
    }
    (next, sum)
}

/// Counts how often it was woken.
#[derive(Default)]
pub(crate) struct Woken(AtomicUsize);

impl Woken {
    pub(crate) fn waker() -> (Arc<Woken>, Waker) {
        let woken = Arc::new(Woken::default());
        (woken.clone(), woken.into())
    }

    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Fills a topic; answers how many messages there was room for.
pub(crate) fn fill(topic: &Topic<u64>) -> u64 {
    let mut taken = 0;
    loop {
        match topic.try_publish(1_000_000 + taken) {
            Ok(_) => taken += 1,
            Err(error) => {
                assert!(matches!(error, PublishError::Full(_)), "{error}");
                return taken;
            }
        }
    }
}
