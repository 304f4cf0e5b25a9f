//! Opening a group whose handler has a state.

use std::fmt;
use std::future::Future;

use super::{Group, GroupBuilder, Message, OpenError, Outcome};
use crate::base::Fault;

/// Opens a group whose handler gets a clone of a state with each message; made by [`GroupBuilder::with`].
#[must_use = "nothing is opened before `run`"]
pub struct GroupWith<T: Send + Sync + 'static, S> {
    pub(super) builder: GroupBuilder<T>,
    pub(super) state: S,
}

impl<T: Send + Sync + 'static, S: Clone + Send + Sync + 'static> GroupWith<T, S> {
    /// Opens the group as [`GroupBuilder::run`] does; the closure gets the message and a clone of the state.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run<F, Fut>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let GroupWith { builder, state } = self;
        builder.run(move |message| handler(message, state.clone())).await
    }

    /// Opens the group as [`GroupBuilder::run_outcome`] does; the closure gets a clone of the state too.
    ///
    /// # Errors
    /// As [`GroupBuilder::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run`].
    pub async fn run_outcome<F, Fut>(self, handler: F) -> Result<Group, OpenError>
    where
        F: Fn(Message<T>, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let GroupWith { builder, state } = self;
        builder.run_outcome(move |message| handler(message, state.clone())).await
    }
}

impl<T: Send + Sync + 'static, S> fmt::Debug for GroupWith<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.builder.fmt(f)
    }
}
