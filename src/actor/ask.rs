//! Questions and answers.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::Core;
use super::desk::Word;
use super::here::Me;
use super::sending::Sending;
use crate::mailbox::{Answer, NoReply, SendError, Sender};
use crate::runtime::Sleep;

/// Says why a question has no answer, and whether it was enqueued.
#[non_exhaustive]
pub enum AskError<M> {
    /// The actor had ended or was stopping. The question was not enqueued; here it is.
    Closed(M),
    /// The limit passed. The question was not enqueued if it is here; else the actor may still handle it.
    TimedOut(Option<M>),
    /// The question was enqueued, and dropped without an answer: the actor failed, was stopped, or chose so.
    NoReply,
    /// The actor asked itself from its own handler, and would have waited for ever: it answers nothing before that
    /// handler has returned. The question was not enqueued; here it is. Call a method of the state instead, or
    /// send the question and take the answer as a later message.
    Itself(M),
}

impl<M> AskError<M> {
    /// Tells whether the actor has, or had, the question: asking again may do its effect twice.
    pub fn was_enqueued(&self) -> bool {
        matches!(self, AskError::TimedOut(None) | AskError::NoReply)
    }

    /// Takes the question out, if it was not enqueued.
    pub fn into_question(self) -> Option<M> {
        match self {
            AskError::Closed(question) | AskError::Itself(question) => Some(question),
            AskError::TimedOut(question) => question,
            AskError::NoReply => None,
        }
    }
}

pub(super) async fn ask<M, R>(
    actor: &Arc<Core>,
    sender: &Sender<M, Word<M>>,
    question: M,
    answer: Answer<R>,
) -> Result<R, AskError<M>> {
    if Me::of(actor).is_here() {
        return Err(AskError::Itself(question));
    }
    let sent = Sending::new(sender.send(question), actor).await;
    sent.map_err(|SendError(question)| AskError::Closed(question))?;
    let answer = actor.system.rt().awaiting("for an answer of", &actor.name, answer);
    answer.await.map_err(|NoReply| AskError::NoReply)
}

pub(super) async fn ask_within<M, R>(
    actor: &Arc<Core>,
    sender: &Sender<M, Word<M>>,
    question: M,
    answer: Answer<R>,
    limit: Sleep,
) -> Result<R, AskError<M>> {
    if Me::of(actor).is_here() {
        return Err(AskError::Itself(question));
    }
    let mut limit = pin!(limit);
    let mut send = sender.send(question);
    let sent = std::future::poll_fn(|cx| {
        if let Poll::Ready(sent) = std::pin::Pin::new(&mut send).poll(cx) {
            return Poll::Ready(sent.map_err(|SendError(question)| AskError::Closed(question)));
        }
        actor.system.rt().waits(format_args!("for room in the mailbox of {}", actor.name));
        limit.as_mut().poll(cx).map(|()| Err(AskError::TimedOut(None)))
    })
    .await;
    match sent {
        Err(AskError::TimedOut(_)) => return Err(AskError::TimedOut(send.take_back())),
        other => other?,
    }
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(answer.map_err(|NoReply| AskError::NoReply));
        }
        actor.system.rt().waits(format_args!("for an answer of {}", actor.name));
        limit.as_mut().poll(cx).map(|()| Err(AskError::TimedOut(None)))
    })
    .await
}

impl<M> fmt::Debug for AskError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AskError::Closed(_) => "Closed(..)",
            AskError::TimedOut(Some(_)) => "TimedOut(not enqueued)",
            AskError::TimedOut(None) => "TimedOut(enqueued)",
            AskError::NoReply => "NoReply",
            AskError::Itself(_) => "Itself(..)",
        })
    }
}

impl<M> fmt::Display for AskError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AskError::Closed(_) => "the question was not enqueued: the actor has ended or is stopping",
            AskError::TimedOut(Some(_)) => "the question was not enqueued within the limit",
            AskError::TimedOut(None) => "the question was enqueued, but not answered within the limit",
            AskError::NoReply => "the question was enqueued, and dropped without an answer",
            AskError::Itself(_) => {
                "the question was not enqueued: an actor can't ask itself in its own handler"
            }
        })
    }
}

impl<M> Error for AskError<M> {}
