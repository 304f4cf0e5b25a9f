//! The futures of the sending end.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::entry::{Many, One};
use super::line::Ticket;
use super::shared::Stamp;
use super::{SendError, Sender};
use crate::base::{catch, drop_each};

/// Sends one message; made by [`Sender::send`]. Dropping it leaves the line: the message was not accepted.
#[must_use = "a future does nothing until it is awaited"]
pub struct Send<'a, M, C, S: Stamp<M>> {
    sender: &'a Sender<M, C, S>,
    message: Option<M>,
    slot: Option<Ticket>,
}

// Why: the message is moved out, never pinned.
impl<M, C, S: Stamp<M>> Unpin for Send<'_, M, C, S> {}

impl<'a, M, C, S: Stamp<M>> Send<'a, M, C, S> {
    pub(super) fn new(sender: &'a Sender<M, C, S>, message: M) -> Send<'a, M, C, S> {
        Send { sender, message: Some(message), slot: None }
    }

    /// Tells whether it stands in the line, since there was no room when it was polled.
    pub fn is_in_line(&self) -> bool {
        self.slot.is_some()
    }

    /// Leaves the line and takes the message back; `None` if it was accepted.
    pub fn take_back(&mut self) -> Option<M> {
        self.sender.abandon(&mut self.slot);
        self.message.take()
    }
}

impl<M, C, S: Stamp<M>> Future for Send<'_, M, C, S> {
    type Output = Result<S::Receipt, SendError<M>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.message.is_none() {
            // Polled after it was ready, or after the message was taken back: there is nothing to wait for.
            return Poll::Pending;
        }
        let entered = this.sender.poll_place(&mut this.slot, cx, &mut One(&mut this.message));
        match std::task::ready!(entered) {
            Ok(Some((receipt, receiver))) => {
                if let Some(known) = this.message.take() {
                    drop(catch(|| drop(known)));
                }
                if let Some(waker) = receiver {
                    waker.wake();
                }
                Poll::Ready(Ok(receipt))
            }
            Ok(None) => Poll::Pending,
            Err(_) => {
                this.message.take().map_or(Poll::Pending, |message| Poll::Ready(Err(SendError(message))))
            }
        }
    }
}

impl<M, C, S: Stamp<M>> Drop for Send<'_, M, C, S> {
    #[inline]
    fn drop(&mut self) {
        self.sender.abandon(&mut self.slot);
    }
}

impl<M, C, S: Stamp<M>> fmt::Debug for Send<'_, M, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// Sends many messages in order; made by [`Sender::send_all`].
///
/// # Cancel safety
/// Dropping it keeps what was accepted so far in the mailbox; the rest goes with it.
#[must_use = "a future does nothing until it is awaited"]
pub struct SendAll<'a, M, C, S: Stamp<M>> {
    sender: &'a Sender<M, C, S>,
    rest: std::vec::IntoIter<M>,
    receipts: Vec<S::Receipt>,
    slot: Option<Ticket>,
}

/// Says that the mailbox closed in the middle of a `send_all`: what was accepted, and what was not.
pub struct SendAllError<M, R> {
    /// The receipts of the messages that were accepted before, in order.
    pub accepted: Vec<R>,
    /// The messages that were not accepted, in order.
    pub rest: Vec<M>,
}

impl<M, C, S: Stamp<M>> Unpin for SendAll<'_, M, C, S> {}

impl<'a, M, C, S: Stamp<M>> SendAll<'a, M, C, S> {
    pub(super) fn new(sender: &'a Sender<M, C, S>, messages: Vec<M>) -> SendAll<'a, M, C, S> {
        let receipts = Vec::with_capacity(messages.len());
        SendAll { sender, rest: messages.into_iter(), receipts, slot: None }
    }

    /// Leaves the line; returns the receipts so far, and the messages that were not accepted.
    pub fn take_back(&mut self) -> (Vec<S::Receipt>, Vec<M>) {
        self.sender.abandon(&mut self.slot);
        (std::mem::take(&mut self.receipts), self.rest.by_ref().collect())
    }

    /// How many were accepted so far.
    pub fn accepted(&self) -> usize {
        self.receipts.len()
    }
}

impl<M, C, S: Stamp<M>> Future for SendAll<'_, M, C, S> {
    type Output = Result<Vec<S::Receipt>, SendAllError<M, S::Receipt>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        while !this.rest.as_slice().is_empty() {
            let mut known = Vec::new();
            let (rest, receipts) = (&mut this.rest, &mut this.receipts);
            let mut many = Many { rest, receipts, known: &mut known };
            let entered = this.sender.poll_place(&mut this.slot, cx, &mut many);
            drop(drop_each(known));
            match std::task::ready!(entered) {
                Ok(Some(receiver)) => receiver.wake(),
                Ok(None) => {}
                Err(_) => {
                    let accepted = std::mem::take(&mut this.receipts);
                    return Poll::Ready(Err(SendAllError { accepted, rest: this.rest.by_ref().collect() }));
                }
            }
        }
        Poll::Ready(Ok(std::mem::take(&mut this.receipts)))
    }
}

impl<M, C, S: Stamp<M>> Drop for SendAll<'_, M, C, S> {
    fn drop(&mut self) {
        self.sender.abandon(&mut self.slot);
    }
}

impl<M, C, S: Stamp<M>> fmt::Debug for SendAll<'_, M, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAll")
            .field("accepted", &self.receipts.len())
            .field("rest", &self.rest.len())
            .finish_non_exhaustive()
    }
}

impl<M, R> fmt::Debug for SendAllError<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendAllError({} accepted, {} not)", self.accepted.len(), self.rest.len())
    }
}

impl<M, R> fmt::Display for SendAllError<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, rest) = (self.accepted.len(), self.rest.len());
        write!(f, "the mailbox closed: {accepted} messages were accepted, {rest} were not")
    }
}

impl<M, R> Error for SendAllError<M, R> {}
