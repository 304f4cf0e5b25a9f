//! How an actor is reached.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Sink;
use futures::future::join;

use super::ask::{ask, ask_within};
use super::desk::{Stop, Word};
use super::life::Until;
use super::sending::Sending;
use super::{AskError, Core, Ending, Recipient};
use crate::base::Name;
use crate::mailbox::{Reply, SendError, SendSink, Sender, TrySendError, WeakSender, reply};

/// Reaches one actor: sends it messages, asks it, stops it, waits for its end.
///
/// Cloning is cheap and makes another strong address; when the last one is dropped, the actor handles what it
/// has and ends. It stays valid across restarts by a supervisor.
///
/// An actor that waits, in its own handler, for itself (for room in its own mailbox, or for its own end) waits for
/// ever, and can only be killed: a warning is logged. It may `try_send` to itself, and asking itself is refused.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// struct Printer;
///
/// impl Actor for Printer {
///     type Message = &'static str;
///     async fn handle(&mut self, page: &'static str, _: &mut Context<&'static str>) -> Result<(), Fault> {
///         println!("{page}");
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let printer = System::start()?.spawn(Printer);
/// printer.send("one").await?; // waits while the mailbox is full
/// printer.try_send("two")?; // does not
/// let ended = printer.stop().await; // prints both, then ends
/// assert_eq!(ended.unhandled, 0);
/// assert_eq!(printer.send("three").await.unwrap_err().into_inner(), "three");
/// # Ok(()) }
/// ```
pub struct Address<M> {
    sender: Sender<M, Word<M>>,
    core: Arc<Core>,
}

/// Reaches an actor without keeping it alive; made by [`Address::downgrade`].
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
    /// `Ok` says that it was accepted, not that it was handled: a stop or a crash can come between. Messages of one
    /// sender are handled in the order in which they were sent.
    ///
    /// # Errors
    /// [`SendError`] gives the message back if the actor has ended or is stopping.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves the line; the message was not accepted and goes with it. One that is
    /// kept and not polled keeps its turn, and with it everyone behind.
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
    /// [`AskError`] says whether the question was enqueued. An actor that asks itself gets the question back.
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
        ask(&self.core, &self.sender, make(port), answer)
    }

    /// Asks a question, as [`Address::ask`], and waits at most `limit` for everything together.
    ///
    /// The limit counts from this call. It costs a timer; [`Duration::MAX`] is no limit.
    ///
    /// # Errors
    /// As [`Address::ask`], and [`AskError::TimedOut`], which says whether the question was enqueued, and gives it
    /// back if it was not.
    ///
    /// # Cancel safety
    /// As [`Address::ask`].
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use callboard::actor::AskError;
    /// use callboard::prelude::*;
    ///
    /// /// Keeps every question, and answers none.
    /// struct Sphinx(Vec<Reply<u32>>);
    ///
    /// impl Actor for Sphinx {
    ///     type Message = Reply<u32>;
    ///     async fn handle(&mut self, asked: Reply<u32>, _: &mut Context<Reply<u32>>) -> Result<(), Fault> {
    ///         self.0.push(asked);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sphinx = System::start()?.spawn(Sphinx(Vec::new()));
    /// let error = sphinx.ask_within(Duration::from_millis(5), |reply| reply).await.unwrap_err();
    /// assert!(matches!(error, AskError::TimedOut(None)), "the sphinx has the question");
    /// # Ok(()) }
    /// ```
    pub fn ask_within<R: Send + 'static>(
        &self,
        limit: Duration,
        make: impl FnOnce(Reply<R>) -> M,
    ) -> impl Future<Output = Result<R, AskError<M>>> + Send + '_ {
        let (port, answer) = reply();
        let rt = self.core.system.rt();
        let limit = rt.sleep_until(rt.now() + limit);
        ask_within(&self.core, &self.sender, make(port), answer, limit)
    }

    /// Makes a `futures::Sink` that sends to this actor: it is ready when the mailbox has a place for it.
    ///
    /// A sink is a strong address. Closing it ends nothing but the sink.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use futures::{StreamExt as _, stream};
    ///
    /// struct Sum(u64);
    ///
    /// impl Actor for Sum {
    ///     type Message = u64;
    ///     async fn handle(&mut self, n: u64, _: &mut Context<u64>) -> Result<(), Fault> {
    ///         self.0 += n;
    ///         Ok(())
    ///     }
    ///     async fn stopping(&mut self, _: &mut Context<u64>, _: &Exit) {
    ///         assert_eq!(self.0, 5050);
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sum = System::start()?.spawn(Sum(0));
    /// // Goes no faster than the actor: at most a mailbox full of numbers is on the way.
    /// stream::iter(1..=100).map(Ok).forward(sum.sink()).await?;
    /// assert!(!sum.stop().await.exit.is_failure());
    /// # Ok(()) }
    /// ```
    pub fn sink(&self) -> AddressSink<M> {
        AddressSink { sink: self.sender.sink() }
    }

    /// Narrows this address to one kind of message, which is turned into the actor's own on the way.
    ///
    /// [`Recipient`] has an example.
    pub fn recipient<N>(&self) -> Recipient<N>
    where
        N: Send + 'static,
        M: From<N>,
    {
        Recipient::new(self.clone())
    }

    /// Stops the actor gracefully: it refuses new messages, handles what it accepted, and ends.
    ///
    /// Takes effect at once, whether or not the returned future is awaited; that tells how it ended. It waits for the
    /// handler that runs now, however long that takes. Of a
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
    /// Takes effect at once, whether or not the returned future is awaited. It is ready when the actor has ended, as
    /// with [`Address::stop`]. Of several callers the first that still waits gets the messages. An actor that has
    /// ended already hands back nothing.
    ///
    /// # Cancel safety
    /// The actor stops even if the future is dropped; the messages are then dropped with it.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// struct Clerk;
    ///
    /// impl Actor for Clerk {
    ///     type Message = &'static str;
    ///     async fn handle(&mut self, _: &'static str, _: &mut Context<&'static str>) -> Result<(), Fault> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = System::start()?.spawn(Clerk);
    /// clerk.try_send("a letter")?;
    /// clerk.try_send("a parcel")?;
    /// // Nothing was awaited so far: on this runtime, of one thread, the clerk had no time for them.
    /// assert_eq!(clerk.stop_now().await, ["a letter", "a parcel"]);
    /// assert_eq!(clerk.ended().await.unhandled, 2);
    /// # Ok(()) }
    /// ```
    pub fn stop_now(&self) -> impl Future<Output = Vec<M>> + Send + use<M> {
        let (port, rest) = reply();
        let ending = self.end_by(Word::HandBack(port));
        async move {
            // Why together: an actor that waits here for itself is warned by the second.
            join(rest, ending).await.0.unwrap_or_default()
        }
    }

    /// Waits for the actor's end, without asking for it.
    ///
    /// Of a supervised actor this is the end for which no restart is planned.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
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

/// Sends to an actor through `futures::Sink`; made by [`Address::sink`].
///
/// Once it was ready it has a place in the mailbox, and keeps it until it is used, or the sink is closed or dropped. A
/// flush has nothing to do: what was sent is accepted.
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
