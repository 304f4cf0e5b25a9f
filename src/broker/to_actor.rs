//! An actor as a group's consumer: each message becomes a question to it, and its answer the outcome.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::handler::Handle;
use super::outcome::Verdict;
use super::scope::Scope;
use super::{Group, GroupBuilder, Message, NoRoom, OpenError, Outcome};
use crate::actor::Address;
use crate::base::Fault;
use crate::mailbox::{Reply, reply};
use crate::runtime::Sleep;

impl<T: Send + Sync + 'static> GroupBuilder<T> {
    /// Opens the group with an actor as its consumer: `make` puts each message, and a reply port, into a message of the
    /// actor's.
    ///
    /// What the actor answers is the outcome: a `Result<(), Fault>` as from a handler, or an [`Outcome`]. A port that is
    /// dropped unanswered is a failed attempt: the actor failed, was stopped, or chose so. So a message that an actor had
    /// when it crashed is delivered again, to the next incarnation if there is a supervisor. While the actor's mailbox
    /// is full this waits half of the group's `ack_timeout`; then the message is tried again, without a failure.
    ///
    /// A question that is not answered within the `ack_timeout` has failed. The actor may still have it, and then
    /// handles the message twice: [`Reply::is_abandoned`] tells it that nobody waits. The actor gets as many messages at
    /// a time as the group has consumers, one by default.
    ///
    /// The actor is no handler of the broker: while that drains, what the actor publishes itself is refused, as everybody's
    /// is. Wait for [`Broker::idle`](super::Broker::idle) before a shutdown, or ask the actor in a group that publishes
    /// its answers, by [`GroupBuilder::forward_to`].
    ///
    /// The group keeps the address: the actor ends when it is stopped, or some time after the group is deleted.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// struct Ledger {
    ///     total: u64,
    ///     totals: Topic<u64>, // an actor publishes as everybody does
    /// }
    ///
    /// enum Entry {
    ///     Book(Message<u64>, Reply<Result<(), Fault>>),
    /// }
    ///
    /// impl Actor for Ledger {
    ///     type Message = Entry;
    ///     async fn handle(&mut self, entry: Entry, _: &mut Context<Entry>) -> Result<(), Fault> {
    ///         let Entry::Book(amount, booked) = entry;
    ///         self.total += *amount;
    ///         self.totals.publish(self.total).await?;
    ///         let _ = booked.send(Ok(()));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (broker, system) = (Broker::start()?, System::start()?);
    /// let amounts = broker.topic::<u64>("amounts").open().await?;
    /// let totals = broker.topic::<u64>("totals").open().await?;
    /// let ledger = system.spawn(Ledger { total: 0, totals: totals.clone() });
    /// let group = amounts.group("ledger").run_actor(ledger, Entry::Book).await?;
    /// amounts.publish_all([1, 2, 3]).await?;
    /// amounts.settled().await?;
    /// assert_eq!((group.stats().await?.acked, totals.stats().await?.accepted), (3, 3));
    /// # Ok(()) }
    /// ```
    pub async fn run_actor<M, R>(
        self,
        actor: Address<M>,
        make: impl Fn(Message<T>, Reply<R>) -> M + Send + Sync + 'static,
    ) -> Result<Group, OpenError>
    where
        M: Send + 'static,
        R: Into<Outcome> + Send + 'static,
    {
        let make = Arc::new(make);
        self.start(move || Asking { actor: actor.clone(), make: make.clone(), answer: PhantomData }).await
    }
}

/// A consumer that hands each message to an actor.
struct Asking<M, F, R> {
    actor: Address<M>,
    make: Arc<F>,
    answer: Answered<R>,
}

/// The type of the answers. Why a function: it is `Send` whatever they are.
type Answered<R> = PhantomData<fn() -> R>;

/// The actor's mailbox was full for as long as this may wait.
#[derive(Debug)]
struct MailboxFull;

impl fmt::Display for MailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the actor's mailbox stayed full")
    }
}

impl Error for MailboxFull {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&NoRoom)
    }
}

impl<T, M, F, R> Handle<T> for Asking<M, F, R>
where
    T: Send + Sync + 'static,
    M: Send + 'static,
    F: Fn(Message<T>, Reply<R>) -> M + Send + Sync + 'static,
    R: Into<Outcome> + Send + 'static,
{
    async fn started(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn handle(&mut self, message: &Message<T>) -> Verdict {
        let (port, answer) = reply();
        let outcome = match self.send((self.make)(message.clone(), port)).await {
            Err(fault) => fault.into(),
            Ok(()) => match answer.await {
                Ok(answer) => answer.into(),
                Err(_) => Outcome::Retry("the actor dropped the message without an answer".to_owned()),
            },
        };
        outcome.into()
    }
}

impl<M: Send + 'static, F, R> Asking<M, F, R> {
    async fn send(&self, message: M) -> Result<(), Fault> {
        let (mut send, mut timer) = (pin!(self.actor.send(message)), None::<Sleep>);
        let rt = self.actor.core().system.rt();
        std::future::poll_fn(|cx| {
            if let Poll::Ready(sent) = send.as_mut().poll(cx) {
                // Why only the text: the message need not be what an error may be.
                return Poll::Ready(sent.map_err(|_| Fault::new("the actor has ended or is stopping")));
            }
            let Some(limit) = Scope::current().map(|scope| scope.limit) else { return Poll::Pending };
            let timer = timer.get_or_insert_with(|| rt.sleep_until(rt.now() + limit));
            pin!(timer).poll(cx).map(|()| Err(MailboxFull.into()))
        })
        .await
    }
}
