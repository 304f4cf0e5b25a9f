//! Children for tests of supervisors: they do what their messages say, and one log tells what happened to all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use callboard::actor::{Actor, Address, Context, Exit};
use callboard::base::Fault;
use callboard::mailbox::Reply;
use callboard::runtime::BoxFuture;
use callboard::supervise::{Backoff, ChildSpec};
use futures::channel::oneshot;

use crate::actor_probe::Log;

/// What a child is told to do.
pub(crate) enum Tell {
    Note(u32),
    Fail,
    Panic,
    /// Say that the handler was entered, and wait until the other end opens or is dropped.
    Hold(oneshot::Sender<()>, oneshot::Receiver<()>),
    /// Answer which incarnation this is.
    Which(Reply<u32>),
    /// Stop by its own decision.
    Leave,
}

type Make = Box<dyn FnMut(Unit) -> Unit + Send>;
type Hook = Box<dyn FnOnce() -> BoxFuture + Send>;

/// One incarnation of a child.
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) incarnation: u32,
    pub(crate) log: Log,
    pub(crate) start_fails: bool,
    pub(crate) start_panics: bool,
    pub(crate) stopping_panics: bool,
    pub(crate) drop_panics: bool,
    pub(crate) on_started: Option<Hook>,
    pub(crate) on_stopping: Option<Hook>,
    stage: Stage,
}

/// What all children of a test share. It fails the test if two incarnations of one child live at a time.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    pub(crate) log: Log,
    alive: Arc<Mutex<BTreeMap<String, u32>>>,
    overlaps: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage::default()
    }

    /// A child that is restarted at once.
    pub(crate) fn spec(&self, name: &str) -> ChildSpec<Unit> {
        self.spec_with(name, |unit| unit)
    }

    /// A child that is restarted at once, each incarnation prepared by `make`.
    pub(crate) fn spec_with(
        &self,
        name: &str,
        make: impl FnMut(Unit) -> Unit + Send + 'static,
    ) -> ChildSpec<Unit> {
        let (stage, own_name) = (self.clone(), name.to_owned());
        let (mut incarnation, mut make): (u32, Make) = (0, Box::new(make));
        let factory = move || {
            incarnation += 1;
            make(Unit::new(&stage, &own_name, incarnation))
        };
        ChildSpec::new(name, factory).backoff(Backoff::none())
    }

    /// Names of the children that are alive.
    pub(crate) fn alive(&self) -> Vec<String> {
        self.alive.lock().unwrap().keys().cloned().collect()
    }

    #[track_caller]
    pub(crate) fn assert_no_overlap(&self) {
        assert_eq!(*self.overlaps.lock().unwrap(), Vec::<String>::new(), "two incarnations at a time");
    }
}

impl Unit {
    fn new(stage: &Stage, name: &str, incarnation: u32) -> Unit {
        if stage.alive.lock().unwrap().insert(name.to_owned(), incarnation).is_some() {
            stage.overlaps.lock().unwrap().push(format!("{name} {incarnation}"));
        }
        Unit {
            name: name.to_owned(),
            incarnation,
            log: stage.log.clone(),
            start_fails: false,
            start_panics: false,
            stopping_panics: false,
            drop_panics: false,
            on_started: None,
            on_stopping: None,
            stage: stage.clone(),
        }
    }

    pub(crate) fn started(mut self, hook: impl FnOnce() -> BoxFuture + Send + 'static) -> Unit {
        self.on_started = Some(Box::new(hook));
        self
    }

    pub(crate) fn stopping(mut self, hook: impl FnOnce() -> BoxFuture + Send + 'static) -> Unit {
        self.on_stopping = Some(Box::new(hook));
        self
    }

    fn note(&self, what: &str) {
        self.log.add(format_args!("{} {what}", self.name));
    }
}

impl Actor for Unit {
    type Message = Tell;

    async fn started(&mut self, _: &mut Context<Tell>) -> Result<(), Fault> {
        if let Some(hook) = self.on_started.take() {
            hook().await;
        }
        assert!(!self.start_panics, "started panics");
        if self.start_fails {
            return Err(Fault::new("not today"));
        }
        self.note("up");
        Ok(())
    }

    async fn handle(&mut self, message: Tell, context: &mut Context<Tell>) -> Result<(), Fault> {
        match message {
            Tell::Note(n) => self.note(&n.to_string()),
            Tell::Fail => return Err(Fault::new("failed as told")),
            Tell::Panic => panic!("panicked as told"),
            Tell::Hold(entered, until) => {
                let _ = entered.send(());
                let _ = until.await;
            }
            Tell::Which(reply) => drop(reply.send(self.incarnation)),
            Tell::Leave => context.stop_now(),
        }
        Ok(())
    }

    async fn stopping(&mut self, _: &mut Context<Tell>, _: &Exit) {
        if let Some(hook) = self.on_stopping.take() {
            hook().await;
        }
        assert!(!self.stopping_panics, "stopping panics");
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.note("down");
        self.stage.alive.lock().unwrap().remove(&self.name);
        assert!(!self.drop_panics || std::thread::panicking(), "drop panics");
    }
}

/// Which incarnation of a child answers.
pub(crate) async fn which(child: &Address<Tell>) -> u32 {
    child.ask(Tell::Which).await.unwrap()
}

/// Lets a child fail, and waits until the next incarnation is up.
pub(crate) async fn crash(child: &Address<Tell>) {
    let before = which(child).await;
    child.send(Tell::Fail).await.unwrap();
    assert!(which(child).await > before);
}

/// Puts a child into a handler that waits. It goes on when the returned sender is used or dropped.
pub(crate) async fn hold(child: &Address<Tell>) -> oneshot::Sender<()> {
    let (entered, inside) = oneshot::channel();
    let (open, until) = oneshot::channel();
    child.send(Tell::Hold(entered, until)).await.unwrap();
    inside.await.unwrap();
    open
}

/// A hook that ends at once.
pub(crate) fn nothing() -> BoxFuture {
    Box::pin(async {})
}

/// A hook that never ends.
pub(crate) fn forever() -> BoxFuture {
    Box::pin(std::future::pending())
}
