//! Reply ports: one answer to one question.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::oneshot;

/// Answers one question: travels inside a message and carries the answer back.
///
/// Dropping it unanswered tells the asker so at once; it never waits in vain.
pub struct Reply<R>(oneshot::Sender<R>);

/// Waits for the answer to one question. Dropping it is not an error for the one who answers.
pub struct Answer<R>(oneshot::Receiver<R>);

/// Says that the question was dropped without an answer: the handler failed, or chose not to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReply;

/// Makes a reply port and the future of its answer.
pub fn reply<R>() -> (Reply<R>, Answer<R>) {
    let (sender, receiver) = oneshot::channel();
    (Reply(sender), Answer(receiver))
}

impl<R> Reply<R> {
    /// Sends the answer.
    ///
    /// # Errors
    /// Gives the answer back if nobody waits for it any more.
    pub fn send(self, answer: R) -> Result<(), R> {
        self.0.send(answer)
    }

    /// Tells whether the asker has stopped waiting, so that a costly answer can be spared.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_canceled()
    }
}

impl<R> Future for Answer<R> {
    type Output = Result<R, NoReply>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.map_err(|_| NoReply))
    }
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply(..)")
    }
}

impl<R> fmt::Debug for Answer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the question was dropped without an answer")
    }
}

impl Error for NoReply {}
