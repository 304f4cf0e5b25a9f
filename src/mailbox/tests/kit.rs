//! What the tests share: wakers that count, a scheduler in one thread, a watchdog for deadlocks.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::mailbox::{Event, Receiver, Sender, Stamp, mailbox};

pub(super) type Tx = Sender<u32, &'static str>;
pub(super) type Rx = Receiver<u32, &'static str>;

pub(super) fn open(capacity: usize) -> (Tx, Rx) {
    mailbox(capacity, ())
}

/// A mailbox that is full of the messages from 0 on.
pub(super) fn full(capacity: usize) -> (Tx, Rx) {
    let (tx, rx) = open(capacity);
    for message in 0..capacity {
        tx.try_send(message as u32).unwrap();
    }
    (tx, rx)
}

/// Someone who polls, and counts how often he was woken.
pub(super) struct Pulse {
    count: Arc<Count>,
    waker: Waker,
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Pulse {
    pub(super) fn new() -> Pulse {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        Pulse { waker: Waker::from(count.clone()), count }
    }

    pub(super) fn cx(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    pub(super) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut self.cx())
    }

    /// Whether it was woken since `wakes` was asked last.
    pub(super) fn has_woken(&self) -> bool {
        self.count.0.load(Ordering::SeqCst) > 0
    }

    /// How often it was woken since it was asked last.
    pub(super) fn wakes(&self) -> usize {
        self.count.0.swap(0, Ordering::SeqCst)
    }
}

/// Hands out the next event, if there is one; does not settle it.
pub(super) fn next<M, C, S: Stamp<M>>(rx: &mut Receiver<M, C, S>) -> Option<Event<M, C>> {
    match rx.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(event) => Some(event),
        Poll::Pending => None,
    }
}

/// Takes and settles all messages there are, through the receiver's yields.
pub(super) fn drain<M, C, S: Stamp<M>>(rx: &mut Receiver<M, C, S>) -> Vec<M> {
    let (pulse, mut messages) = (Pulse::new(), Vec::new());
    loop {
        match rx.poll_next(&mut pulse.cx()) {
            Poll::Ready(Event::Message(message)) => messages.push(message),
            Poll::Ready(Event::Control(_)) => continue,
            Poll::Ready(Event::Closed) => return messages,
            Poll::Pending if pulse.wakes() == 0 => return messages,
            Poll::Pending => continue,
        }
        rx.settle(1);
    }
}

/// An actor's loop: hands each message to `handle`, then settles it; ends with the mailbox.
pub(super) async fn receive<M, C, S: Stamp<M>>(mut rx: Receiver<M, C, S>, mut handle: impl FnMut(M)) {
    loop {
        match poll_fn(|cx| rx.poll_next(cx)).await {
            Event::Message(message) => handle(message),
            Event::Control(_) => continue,
            Event::Closed => return,
        }
        rx.settle(1);
    }
}

/// Runs tasks in the order in which they were woken, as the executors do that have one queue.
#[derive(Default)]
pub(super) struct Tasks<'a> {
    tasks: Vec<Option<Pin<Box<dyn Future<Output = ()> + 'a>>>>,
    ready: Arc<Mutex<VecDeque<usize>>>,
}

struct Task {
    number: usize,
    ready: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap();
        if !ready.contains(&self.number) {
            ready.push_back(self.number);
        }
    }
}

impl<'a> Tasks<'a> {
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + 'a) {
        self.ready.lock().unwrap().push_back(self.tasks.len());
        self.tasks.push(Some(Box::pin(task)));
    }

    /// Polls the next ready task; false if none is ready.
    pub(super) fn step(&mut self) -> bool {
        let Some(number) = self.ready.lock().unwrap().pop_front() else { return false };
        let waker = Waker::from(Arc::new(Task { number, ready: self.ready.clone() }));
        let slot = &mut self.tasks[number];
        if let Some(task) = slot
            && task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            *slot = None;
        }
        true
    }

    /// Runs until no task is ready; then all must have ended.
    #[track_caller]
    pub(super) fn run(mut self) {
        while self.step() {}
        let stuck = self.tasks.iter().filter(|task| task.is_some()).count();
        assert_eq!(stuck, 0, "{stuck} tasks sleep, and nobody will wake them");
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs one future on this thread, which sleeps in between.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

/// Runs `test` on a thread of its own, and fails if it does not come back: it hangs.
#[track_caller]
pub(super) fn comes_back(test: impl FnOnce() + Send + 'static) {
    let (done, outcome) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().spawn(move || {
        test();
        done.send(()).ok();
    });
    // Why so long: two threads that spin for each other are slow while other programs have the cores.
    match outcome.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs"),
        _ => thread.unwrap().join().unwrap(),
    }
}
