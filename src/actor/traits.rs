//! What a user implements.

use std::future::Future;

use super::{Context, Exit};
use crate::base::Fault;

/// Handles messages one at a time, with a state of its own.
///
/// Implement the methods as plain `async fn`. A value that is not `Send`, kept across an await, is an error in
/// your `impl`, naming that value.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// struct Counter(i64);
///
/// enum Count {
///     Add(i64),
///     Get(Reply<i64>),
/// }
///
/// impl Actor for Counter {
///     type Message = Count;
///
///     async fn handle(&mut self, message: Count, _: &mut Context<Count>) -> Result<(), Fault> {
///         match message {
///             Count::Add(n) => self.0 += n,
///             Count::Get(reply) => drop(reply.send(self.0)),
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counter = System::start()?.spawn(Counter(0));
/// counter.send(Count::Add(2)).await?;
/// assert_eq!(counter.ask(Count::Get).await?, 2);
/// # Ok(()) }
/// ```
pub trait Actor: Sized + Send + 'static {
    /// What it is sent. An enum, as a rule; a question carries a [`Reply`](crate::mailbox::Reply).
    type Message: Send + 'static;

    /// Handles one message.
    ///
    /// # Errors
    /// An error (or a panic) ends this incarnation: a supervisor may start the next one, on the same mailbox.
    ///
    /// # Cancel safety
    /// A kill drops the future at an await; the state is dropped right after.
    fn handle(
        &mut self,
        message: Self::Message,
        context: &mut Context<Self::Message>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Runs before the first message of each incarnation: the place for timers, streams and connections.
    ///
    /// # Errors
    /// An error ends the incarnation before it handled anything; `stopping` is not called.
    fn started(
        &mut self,
        context: &mut Context<Self::Message>,
    ) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = context;
        async { Ok(()) }
    }

    /// Runs after the last message, unless the incarnation panicked or was killed. `exit` says why it ends.
    fn stopping(
        &mut self,
        context: &mut Context<Self::Message>,
        exit: &Exit,
    ) -> impl Future<Output = ()> + Send {
        let _ = (context, exit);
        async {}
    }
}
