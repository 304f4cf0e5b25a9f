//! The seat in which incarnations of an actor follow each other, on one mailbox.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tracing::{Instrument as _, debug, warn};

use super::desk::{Attended, Desk, Next, Stop, Word};
use super::here::Me;
use super::{Actor, Context, Core, Ended, Exit};
use crate::base::PanicText;
use crate::mailbox::{Receiver, WeakSender};

/// Owns what outlives an incarnation: the mailbox, and the actor's place in the system.
///
/// Invariant: the fields are dropped from top to bottom, whatever panics; so the end is told last.
pub(crate) struct Seat<M> {
    sender: WeakSender<M, Word<M>>,
    pub(super) desk: Desk<M>,
    farewell: Farewell,
}

/// How an incarnation ended, and how far it got.
#[derive(Debug)]
pub(crate) struct Lived {
    pub(crate) exit: Exit,
    /// Messages that somebody took back, or that were dropped, instead of being handled.
    pub(crate) unhandled: usize,
}

/// Tells everybody of the end when it is dropped.
struct Farewell {
    core: Arc<Core>,
    /// `Killed` unless told otherwise: a runtime that shuts down drops the task, and with it the seat, at any
    /// await. Whoever waits for the end must not wait for ever.
    exit: Exit,
    unhandled: usize,
}

impl<M: Send + 'static> Seat<M> {
    pub(crate) fn new(
        core: Arc<Core>,
        sender: WeakSender<M, Word<M>>,
        mailbox: Receiver<M, Word<M>>,
    ) -> Seat<M> {
        let desk = Desk::new(Me::of(&core), mailbox);
        Seat { sender, desk, farewell: Farewell { core, exit: Exit::Killed, unhandled: 0 } }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.farewell.core
    }

    /// Lives one incarnation: makes the actor, runs it, drops it. `on_started` runs once `started` succeeded.
    ///
    /// A panic anywhere in there ends the incarnation; the mailbox stays in the seat.
    pub(crate) async fn live<A: Actor<Message = M>>(
        &mut self,
        make: impl FnOnce() -> A,
        on_started: impl FnOnce(),
    ) -> Lived {
        let core = &self.farewell.core;
        let span = tracing::info_span!(target: "callboard::actor", "actor", name = %core.name);
        let context = Context::new(core.clone(), self.sender.clone());
        let life = incarnation(make, context, &mut self.desk, on_started).instrument(span);
        let exit = match AssertUnwindSafe(life).catch_unwind().await {
            Ok(exit) => exit,
            Err(payload) => Exit::Panicked(PanicText::of(payload).0),
        };
        // After a panic the message in hand is gone; its place must not be.
        let passed = self.desk.pass();
        let name = &self.farewell.core.name;
        match exit.is_failure() {
            true => warn!(target: "callboard::actor", actor = %name, %exit, "actor incarnation failed"),
            false => debug!(target: "callboard::actor", actor = %name, %exit, "actor incarnation ended"),
        }
        Lived { exit, unhandled: passed.unhandled }
    }

    /// Gives up the seat: closes the mailbox, hands back or counts what is left, and tells everybody.
    pub(crate) fn end(mut self, last: Lived) {
        self.farewell.exit = last.exit;
        self.farewell.unhandled = last.unhandled;
    }
}

impl<M> Drop for Seat<M> {
    fn drop(&mut self) {
        let cleared = self.desk.clear();
        let core = &self.farewell.core;
        self.farewell.unhandled += cleared.unhandled;
        core.system.forget(core);
        if cleared.dropped > 0 {
            let (name, dropped) = (&core.name, cleared.dropped);
            warn!(target: "callboard::actor", actor = %name, dropped, "actor ended with messages unhandled");
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let (name, unhandled) = (self.core.name.clone(), self.unhandled);
        self.core.life.end(Ended { name, exit: self.exit.clone(), unhandled });
    }
}

async fn incarnation<A: Actor>(
    make: impl FnOnce() -> A,
    mut context: Context<A::Message>,
    desk: &mut Desk<A::Message>,
    on_started: impl FnOnce(),
) -> Exit {
    let mut actor = make();
    match desk.attend(actor.started(&mut context)).await {
        Attended::Done(Ok(())) => on_started(),
        Attended::Done(Err(fault)) => return Exit::Failed(fault),
        Attended::Killed => return Exit::Killed,
    }
    let exit = handle_all(&mut actor, &mut context, desk).await;
    match exit {
        Exit::Killed => exit,
        exit => match desk.attend(actor.stopping(&mut context, &exit)).await {
            Attended::Done(()) => exit,
            Attended::Killed => Exit::Killed,
        },
    }
}

async fn handle_all<A: Actor>(
    actor: &mut A,
    context: &mut Context<A::Message>,
    desk: &mut Desk<A::Message>,
) -> Exit {
    loop {
        if let Some(stop) = context.stop.take() {
            desk.ask_to_stop(stop);
        }
        let message = match std::future::poll_fn(|cx| desk.poll_next(&mut context.sources, cx)).await {
            Next::Message(message) => message,
            Next::Stop(Stop::Kill) => return Exit::Killed,
            Next::Stop(_) => return Exit::Stopped,
            Next::Closed if desk.was_asked() => return Exit::Stopped,
            Next::Closed => return Exit::Abandoned,
        };
        let result = desk.attend(actor.handle(message, context)).await;
        desk.done();
        match result {
            Attended::Done(Ok(())) => {}
            Attended::Done(Err(fault)) => return Exit::Failed(fault),
            Attended::Killed => return Exit::Killed,
        }
    }
}
