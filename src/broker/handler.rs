//! The shapes in which a user gives a handler, and the one shape in which a consumer runs it.

use std::future::Future;
use std::sync::Arc;

use super::outcome::Verdict;
use super::{Message, Outcome};
use crate::base::Fault;

/// Handles a group's messages one at a time, with a state of its own.
///
/// Each consumer of the group gets its own instance from the factory given to
/// [`GroupBuilder::run_with`](super::GroupBuilder::run_with). After a panic, a deadline or a kill the instance is
/// dropped and the factory makes the next one, so the state begins anew; what it shares with its surroundings
/// (an `Arc`, a pool) is up to the factory.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Default)]
/// struct Audit {
///     lines: u64,
/// }
///
/// impl Consumer<String> for Audit {
///     async fn handle(&mut self, line: &Message<String>) -> Result<Outcome, Fault> {
///         if line.is_empty() {
///             return Ok(Outcome::Drop);
///         }
///         self.lines += 1;
///         Ok(Outcome::Ack)
///     }
/// }
/// ```
pub trait Consumer<T>: Send + 'static {
    /// Handles one message; the [`Outcome`] decides what becomes of it.
    ///
    /// # Errors
    /// An error is [`Outcome::Retry`], or [`Outcome::NoRoom`] if it says so; the instance stays. A panic is a failed
    /// delivery too, and the instance is rebuilt.
    ///
    /// # Cancel safety
    /// Past the group's `ack_timeout` the future is dropped at an await, and the instance with it.
    fn handle(&mut self, message: &Message<T>) -> impl Future<Output = Result<Outcome, Fault>> + Send;

    /// Runs before the first message of each instance: the place to connect to something.
    ///
    /// # Errors
    /// An error (or a panic) counts against the group's restart intensity; the factory is called again after a
    /// backoff. Too many in a row and the group is `Failed`, its messages kept. While it runs there is no deadline, and
    /// nothing is held up but this consumer.
    fn started(&mut self) -> impl Future<Output = Result<(), Fault>> + Send {
        async { Ok(()) }
    }
}

/// What a consumer's task runs.
pub(crate) trait Handle<T>: Send + 'static {
    fn started(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;
    fn handle(&mut self, message: &Message<T>) -> impl Future<Output = Verdict> + Send;
}

impl<T: Send + Sync + 'static, C: Consumer<T>> Handle<T> for WithState<C> {
    fn started(&mut self) -> impl Future<Output = Result<(), Fault>> + Send {
        self.0.started()
    }

    async fn handle(&mut self, message: &Message<T>) -> Verdict {
        match self.0.handle(message).await {
            Ok(outcome) => outcome.into(),
            Err(fault) => Outcome::from(fault).into(),
        }
    }
}

/// A `Consumer`, as a consumer's task runs it.
pub(crate) struct WithState<C>(pub(crate) C);

/// An async closure, as a consumer's task runs it: it gets its own handle of each message.
pub(crate) struct Async<F>(pub(crate) Arc<F>);

impl<T, F, Fut, R> Handle<T> for Async<F>
where
    T: Send + Sync + 'static,
    F: Fn(Message<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: Into<Outcome>,
{
    async fn started(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn handle(&mut self, message: &Message<T>) -> Verdict {
        let outcome: Outcome = (self.0)(message.clone()).await.into();
        outcome.into()
    }
}

/// A sync closure, as a consumer's task runs it: it borrows each message.
pub(crate) struct Blocking<F>(pub(crate) Arc<F>);

impl<T, F, R> Handle<T> for Blocking<F>
where
    T: Send + Sync + 'static,
    F: Fn(&Message<T>) -> R + Send + Sync + 'static,
    R: Into<Outcome>,
{
    async fn started(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn handle(&mut self, message: &Message<T>) -> impl Future<Output = Verdict> + Send {
        let outcome: Outcome = (self.0)(message).into();
        std::future::ready(outcome.into())
    }
}
