//! How an actor is reached.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Sink;
use futures::channel::oneshot;

use super::ask::{ask, ask_within};
use super::desk::{Stop, Word};
use super::here::{Me, warn_of_deadlock};
use super::life::Until;
use super::sending::Sending;
use super::{AskError, Core, Ended, Recipient};
use crate::base::Name;
use crate::mailbox::{Reply, SendError, SendSink, Sender, TrySendError, WeakSender, reply};

/// Reaches one actor: sends it messages, asks it, stops it, waits for its end.
///
/// Cloning is cheap and makes another strong address; when the last one is dropped, the actor handles what it
/// has and ends. It stays valid across restarts by a supervisor.
pub struct Address<M> {
    sender: Sender<M, Word<M>>,
    core: Arc<Core>,
}

/// Reaches an actor without keeping it alive.
pub struct WeakAddress<M> {
    sender: WeakSender<M, Word<M>>,
    core: Arc<Core>,
}

impl<M: Send + 'static> Address<M> {
    pub(crate) fn new(sender: Sender<M, Word<M>>, core: Arc<Core>) -> Address<M> {
        Address { sender, core }
    }

    pub(super) fn sender(&self) -> &Sender<M, Word<M>> {
        &self.sender
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Returns the actor's name.
    pub fn name(&self) -> &Name {
        &self.core.name
    }

    /// Sends `message`, waiting in line while the mailbox is full.
    ///
    /// `Ok` says that it was accepted, not that it was handled: a stop or a crash can come between.
    ///
    /// # Errors
    /// [`SendError`] gives the message back if the actor has ended or is stopping.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves the line; the message was not accepted and goes with it.
    pub fn send(&self, message: M) -> impl Future<Output = Result<(), SendError<M>>> + Send + '_ {
        Sending::new(self.sender.send(message), &self.core)
    }

    /// Sends `message` if there is room and nobody waits for it.
    ///
    /// # Errors
    /// [`TrySendError`] says whether the mailbox was full or closed, and gives the message back.
    pub fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        self.sender.try_send(message)
    }

    /// Asks a question and waits for the answer: `make` puts the reply port into a message.
    ///
    /// It has no limit of its own; between actors use [`Address::ask_within`].
    ///
    /// # Errors
    /// [`AskError`] says whether the question was enqueued.
    ///
    /// # Cancel safety
    /// Dropping the future before the question was accepted takes it back; after that the actor still handles it
    /// and finds nobody waiting.
    ///
    /// # Examples
    /// See [`Actor`](super::Actor): `counter.ask(Count::Get).await?`.
    pub fn ask<R: Send + 'static>(
        &self,
        make: impl FnOnce(Reply<R>) -> M,
    ) -> impl Future<Output = Result<R, AskError<M>>> + Send + '_ {
        let (port, answer) = reply();
        ask(Me::of(&self.core), &self.sender, make(port), answer)
    }

    /// Asks a question, as [`Address::ask`], and waits at most `limit` for everything together.
    ///
    /// # Errors
    /// [`AskError::TimedOut`] says whether the question was enqueued, and gives it back if it was not.
    pub fn ask_within<R: Send + 'static>(
        &self,
        limit: Duration,
        make: impl FnOnce(Reply<R>) -> M,
    ) -> impl Future<Output = Result<R, AskError<M>>> + Send + '_ {
        let (port, answer) = reply();
        let rt = self.core.system.rt();
        let limit = rt.sleep_until(rt.now() + limit);
        ask_within(Me::of(&self.core), &self.sender, make(port), answer, limit)
    }

    /// Makes a `futures::Sink` that sends to this actor: it is ready when the mailbox has a place for it.
    ///
    /// Closing the sink ends nothing but the sink.
    pub fn sink(&self) -> AddressSink<M> {
        AddressSink { sink: self.sender.sink() }
    }

    /// Narrows this address to one kind of message, which is turned into the actor's own on the way.
    pub fn recipient<N>(&self) -> Recipient<N>
    where
        N: Send + 'static,
        M: From<N>,
    {
        Recipient::new(self.clone())
    }

    /// Stops the actor gracefully: it refuses new messages, handles what it accepted, and ends.
    ///
    /// Takes effect at once, whether or not the returned future is awaited; that tells how it ended. Of a
    /// supervised actor this ends the incarnation: whether another follows, on the same mailbox, is its
    /// supervisor's word.
    pub fn stop(&self) -> Ending {
        self.end_by(Word::Stop(Stop::Drain))
    }

    /// Kills the actor: its handler is dropped at its next await, what it accepted is not handled.
    ///
    /// A handler that never awaits can't be killed. Takes effect whether or not the future is awaited. To a
    /// supervisor a kill is a failure.
    pub fn kill(&self) -> Ending {
        self.end_by(Word::Stop(Stop::Kill))
    }

    /// Stops the actor after its current message and hands back, in order, what it accepted and did not handle.
    ///
    /// Of several callers the first gets the messages. An actor that has ended already hands back nothing.
    ///
    /// # Cancel safety
    /// The actor stops even if the future is dropped; the messages are then dropped with it.
    pub fn stop_now(&self) -> impl Future<Output = Vec<M>> + Send + use<M> {
        let (port, rest) = reply();
        let ending = self.end_by(Word::HandBack(port));
        async move {
            let rest = rest.await.unwrap_or_default();
            ending.await;
            rest
        }
    }

    /// Waits for the actor's end, without asking for it.
    ///
    /// Of a supervised actor this is the end for which no restart is planned.
    pub fn ended(&self) -> Ending {
        Ending::of(&self.core, Until::End)
    }

    /// Tells whether the actor refuses messages: it has ended or is stopping.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Counts the messages in the mailbox: those that wait, the one that is being handled, and the places that
    /// sinks keep.
    pub fn queued(&self) -> usize {
        usize::try_from(self.sender.held()).unwrap_or(usize::MAX)
    }

    /// Makes an address that does not keep the actor alive.
    pub fn downgrade(&self) -> WeakAddress<M> {
        WeakAddress { sender: self.sender.downgrade(), core: self.core.clone() }
    }

    fn end_by(&self, word: Word<M>) -> Ending {
        let ending = Ending::of(&self.core, Until::Incarnation);
        // Why in one step: a close that came late would hit the next incarnation, which nobody asked to stop.
        drop(self.sender.close_with(word));
        ending
    }
}

impl<M: Send + 'static> WeakAddress<M> {
    pub(crate) fn new(sender: WeakSender<M, Word<M>>, core: Arc<Core>) -> WeakAddress<M> {
        WeakAddress { sender, core }
    }

    /// Returns the actor's name.
    pub fn name(&self) -> &Name {
        &self.core.name
    }

    /// Makes a strong address, unless the last one is gone or the actor has ended.
    pub fn upgrade(&self) -> Option<Address<M>> {
        if self.sender.is_gone() || self.core.life.has_ended() {
            return None;
        }
        self.sender.upgrade().map(|sender| Address { sender, core: self.core.clone() })
    }

    /// Tells the incarnation with this number, and no other, to end.
    pub(crate) fn end(&self, incarnation: u64, stop: Stop) {
        drop(self.sender.control(Word::End(incarnation, stop)));
    }

    /// Refuses messages from now on.
    pub(crate) fn close(&self) {
        self.sender.close();
    }

    /// Takes messages again, for an incarnation that is to come.
    pub(crate) fn open(&self) {
        self.sender.reopen();
    }
}

/// Waits for the end of an actor; made by [`Address::stop`], [`Address::kill`] and [`Address::ended`].
///
/// Ready after the actor's last hook ran, its state was dropped and its mailbox was closed. Dropping it changes
/// nothing.
#[must_use = "the stop goes on without it; await it to know when the actor has ended"]
pub struct Ending {
    told: oneshot::Receiver<Ended>,
    core: Arc<Core>,
    warned: bool,
}

impl Ending {
    fn of(core: &Arc<Core>, until: Until) -> Ending {
        let (tell, told) = oneshot::channel();
        core.life.watch(until, Box::new(tell));
        Ending { told, core: core.clone(), warned: false }
    }
}

impl Future for Ending {
    type Output = Ended;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        match Pin::new(&mut this.told).poll(cx) {
            Poll::Ready(Ok(ended)) => Poll::Ready(ended),
            // Polled again after it was ready.
            Poll::Ready(Err(_)) => this.core.life.ended().map_or(Poll::Pending, Poll::Ready),
            Poll::Pending => {
                warn_of_deadlock(&this.core, &mut this.warned, "for its own end");
                Poll::Pending
            }
        }
    }
}

/// Sends to an actor through `futures::Sink`; made by [`Address::sink`].
pub struct AddressSink<M> {
    sink: SendSink<M, Word<M>>,
}

impl<M> Sink<M> for AddressSink<M> {
    /// The message, where there was one to give back.
    type Error = SendError<Option<M>>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.sink).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), Self::Error> {
        Pin::new(&mut self.sink).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.sink).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.sink).poll_close(cx)
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Address<M> {
        Address { sender: self.sender.clone(), core: self.core.clone() }
    }
}

impl<M> Clone for WeakAddress<M> {
    fn clone(&self) -> WeakAddress<M> {
        WeakAddress { sender: self.sender.clone(), core: self.core.clone() }
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.core.name)
    }
}

impl<M> fmt::Debug for WeakAddress<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeakAddress({})", self.core.name)
    }
}

impl<M> fmt::Debug for AddressSink<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sink.fmt(f)
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ending({})", self.core.name)
    }
}
