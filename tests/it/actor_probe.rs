//! An actor for tests: it does what its messages say and writes down what happens to it.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use callboard::actor::{Actor, Address, Context, Exit, System};
use callboard::base::Fault;
use callboard::mailbox::Reply;
use callboard::runtime::BoxFuture;
use futures::channel::oneshot;

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Display) {
        self.0.lock().unwrap().push(line.to_string());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    #[track_caller]
    pub(crate) fn is<const N: usize>(&self, lines: [&str; N]) {
        assert_eq!(self.lines(), lines);
    }
}

/// What the probe is told to do.
pub(crate) enum Do {
    /// Write down a number.
    Note(u32),
    /// Say that the handler was entered, and wait until the other end opens or is dropped.
    Hold(oneshot::Sender<()>, oneshot::Receiver<()>),
    Fail(&'static str),
    Panic(&'static str),
    /// Answer with the number.
    Echo(u32, Reply<u32>),
    /// Keep the reply port for as long as the state lives.
    Keep(Reply<u32>),
    /// Use the context.
    With(Act),
    /// Use the context, and wait.
    Run(Hook),
    /// Drop a value of somebody's.
    Carry(Box<dyn Send>),
}

pub(crate) type Act = Box<dyn FnOnce(&mut Context<Do>) + Send>;
pub(crate) type Hook = Box<dyn FnOnce(&mut Context<Do>) -> BoxFuture + Send>;

/// Does what it is told. Its hooks do nothing but write, unless they are given something to do.
pub(crate) struct Probe {
    pub(crate) log: Log,
    pub(crate) on_started: Option<Hook>,
    pub(crate) on_stopping: Option<Hook>,
    pub(crate) start_fails: bool,
    kept: Vec<Reply<u32>>,
    on_drop: Option<Box<dyn FnOnce() + Send>>,
}

impl Probe {
    pub(crate) fn new(log: &Log) -> Probe {
        let log = log.clone();
        Probe { log, on_started: None, on_stopping: None, start_fails: false, kept: vec![], on_drop: None }
    }

    pub(crate) fn started(
        mut self,
        hook: impl FnOnce(&mut Context<Do>) -> BoxFuture + Send + 'static,
    ) -> Probe {
        self.on_started = Some(Box::new(hook));
        self
    }

    pub(crate) fn stopping(
        mut self,
        hook: impl FnOnce(&mut Context<Do>) -> BoxFuture + Send + 'static,
    ) -> Probe {
        self.on_stopping = Some(Box::new(hook));
        self
    }

    pub(crate) fn on_drop(mut self, hook: impl FnOnce() + Send + 'static) -> Probe {
        self.on_drop = Some(Box::new(hook));
        self
    }

    /// Spawns it on the runtime that the test runs in.
    pub(crate) fn spawn(self) -> Address<Do> {
        System::start().unwrap().spawn(self)
    }

    /// Spawns it with a mailbox of `capacity`.
    pub(crate) fn spawn_with(self, capacity: usize) -> Address<Do> {
        System::start().unwrap().actor("probe").unwrap().capacity(capacity).spawn(self).unwrap()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.log.add("dropped");
        if let Some(hook) = self.on_drop.take() {
            hook();
        }
    }
}

impl Actor for Probe {
    type Message = Do;

    async fn started(&mut self, context: &mut Context<Do>) -> Result<(), Fault> {
        if let Some(hook) = self.on_started.take() {
            hook(context).await;
        }
        self.log.add("started");
        if self.start_fails { Err(Fault::new("not today")) } else { Ok(()) }
    }

    async fn handle(&mut self, message: Do, context: &mut Context<Do>) -> Result<(), Fault> {
        match message {
            Do::Note(n) => self.log.add(n),
            Do::Hold(entered, until) => {
                let _ = entered.send(());
                let _ = until.await;
            }
            Do::Fail(text) => return Err(Fault::new(text)),
            Do::Panic(text) => panic!("{text}"),
            Do::Echo(n, reply) => drop(reply.send(n)),
            Do::Keep(reply) => self.kept.push(reply),
            Do::With(f) => f(context),
            Do::Run(f) => f(context).await,
            Do::Carry(value) => drop(value),
        }
        Ok(())
    }

    async fn stopping(&mut self, context: &mut Context<Do>, exit: &Exit) {
        if let Some(hook) = self.on_stopping.take() {
            hook(context).await;
        }
        self.log.add(format_args!("stopping: {exit}"));
    }
}

/// Puts the actor into a handler that waits. It goes on when the returned sender is used or dropped.
pub(crate) async fn hold(address: &Address<Do>) -> oneshot::Sender<()> {
    let (entered, inside) = oneshot::channel();
    let (open, until) = oneshot::channel();
    address.send(Do::Hold(entered, until)).await.unwrap();
    inside.await.unwrap();
    open
}

/// Lets the actor run `f` with its context, and waits until it did.
pub(crate) async fn with<R: Send + 'static>(
    address: &Address<Do>,
    f: impl FnOnce(&mut Context<Do>) -> R + Send + 'static,
) -> R {
    let (done, end) = oneshot::channel();
    let f = move |context: &mut Context<Do>| drop(done.send(f(context)));
    address.send(Do::With(Box::new(f))).await.unwrap();
    end.await.unwrap()
}

/// Waits until the actor has handled everything that was sent before.
pub(crate) async fn caught_up(address: &Address<Do>) {
    assert_eq!(address.ask(|reply| Do::Echo(1, reply)).await.unwrap(), 1);
}

/// A value whose drop panics.
pub(crate) struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("boom");
    }
}

/// Polls `future` once, as the test's own task.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
