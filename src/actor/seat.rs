//! The seat in which incarnations of an actor follow each other, on one mailbox.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tracing::{debug, warn};

use super::desk::{Attended, Desk, Stop, Word};
use super::here::Me;
use super::span::InSpan;
use super::{Actor, Context, Core, Ended, Exit};
use crate::base::{PanicText, catch};
use crate::mailbox::Receiver;

/// Owns what outlives an incarnation: the mailbox, and the actor's place in the system.
///
/// Invariant: the fields are dropped from top to bottom, whatever panics; so the end is told last.
pub(crate) struct Seat<M> {
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
    /// await. Whoever waits for the end must not wait for ever. Boxed, since it is empty for as long as it lives.
    exit: Option<Box<Exit>>,
    unhandled: usize,
}

impl<M: Send + 'static> Seat<M> {
    pub(crate) fn new(core: Arc<Core>, mailbox: Receiver<M, Word<M>>) -> Seat<M> {
        let desk = Desk::new(Me::of(&core), mailbox);
        Seat { desk, farewell: Farewell { core, exit: None, unhandled: 0 } }
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
        on_started: impl FnOnce() + Send,
    ) -> Lived {
        match catch(make) {
            Ok(actor) => self.live_as(&mut Some(actor), on_started).await,
            Err(text) => self.lived(Exit::Panicked(text.0)),
        }
    }

    /// Lives one incarnation: runs the actor and drops it. As [`Seat::live`], for an actor that has a place.
    ///
    /// Why by reference: a future that is given a value holds it twice, and each future around it once more. An
    /// idle actor is small because there is one future, and it holds references.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub(super) fn live_as<A: Actor<Message = M>>(
        &mut self,
        actor: &mut Option<A>,
        on_started: impl FnOnce() + Send,
    ) -> impl Future<Output = Lived> + Send {
        async move {
            let mut context = Context::new(self.farewell.core.clone(), self.desk.sender());
            let ran = {
                let (desk, context, actor) = (&mut self.desk, &mut context, &mut *actor);
                let life = async move {
                    // Without an actor there is no life; every caller has one.
                    let Some(actor) = actor else { return Exit::Stopped };
                    match desk.attend(actor.started(context)).await {
                        Attended::Done(Ok(())) => on_started(),
                        Attended::Done(Err(fault)) => return Exit::Failed(fault),
                        Attended::Killed => return Exit::Killed,
                    }
                    let exit = loop {
                        if let Some(stop) = context.stop.take() {
                            desk.ask_to_stop(stop);
                        }
                        // Why in one expression: an answer with a name would be kept beside its message.
                        let message = match poll_fn(|cx| desk.poll_next(&mut context.sources, cx)).await {
                            Some(message) => message,
                            None => match desk.asked() {
                                Some(Stop::Kill) => return Exit::Killed,
                                Some(_) => break Exit::Stopped,
                                None => break Exit::Abandoned,
                            },
                        };
                        let result = desk.attend(actor.handle(message, context)).await;
                        desk.done();
                        match result {
                            Attended::Done(Ok(())) => {}
                            Attended::Done(Err(fault)) => break Exit::Failed(fault),
                            Attended::Killed => return Exit::Killed,
                        }
                    };
                    match desk.attend(actor.stopping(context, &exit)).await {
                        Attended::Done(()) => exit,
                        Attended::Killed => Exit::Killed,
                    }
                };
                AssertUnwindSafe(InSpan::new(&self.farewell.core.name, life)).catch_unwind().await
            };
            // Why apart from the handler's panic and from each other: a panic while another unwinds ends the process.
            let dropped = catch(|| *actor = None).and(context.sources.clear());
            self.lived(match (ran, dropped) {
                (Err(payload), _) => Exit::Panicked(PanicText::of(payload).0),
                (Ok(_), Err(text)) => Exit::Panicked(text.0),
                (Ok(exit), Ok(())) => exit,
            })
        }
    }

    fn lived(&mut self, exit: Exit) -> Lived {
        // After a panic the message in hand is gone; its place must not be.
        let passed = self.desk.pass();
        let name = &self.farewell.core.name;
        match exit.is_failure() {
            true => warn!(target: "callboard::actor", actor = %name, %exit, "actor incarnation failed"),
            false => debug!(target: "callboard::actor", actor = %name, %exit, "actor incarnation ended"),
        }
        Lived { exit, unhandled: passed.unhandled }
    }

    /// Says how the actor ended. When the seat is dropped, it closes the mailbox, hands back or counts what is left,
    /// and tells everybody.
    pub(super) fn end_as(&mut self, last: Lived) {
        self.farewell.exit = Some(Box::new(last.exit));
        self.farewell.unhandled = last.unhandled;
    }

    /// Gives up the seat: closes the mailbox, hands back or counts what is left, and tells everybody.
    pub(crate) fn end(mut self, last: Lived) {
        self.end_as(last);
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
        let exit = self.exit.take().map_or(Exit::Killed, |exit| *exit);
        self.core.life.end(Ended { name: self.core.name.clone(), exit, unhandled: self.unhandled });
    }
}
