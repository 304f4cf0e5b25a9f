//! A mailbox as a `futures::Sink`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Sink;

use super::line::Ticket;
use super::shared::{Phase, Stamp};
use super::{SendError, Sender, TrySendError};

/// Feeds a mailbox through `futures::Sink`: `poll_ready` waits in line for a place and keeps it.
///
/// The place that `poll_ready` got is kept until `start_send` fills it or the sink is dropped or closed.
/// Flushing is immediate: what was sent is accepted. Closing gives the place back and never closes the mailbox.
pub struct SendSink<M, C, S: Stamp<M> = ()> {
    sender: Sender<M, C, S>,
    slot: Option<Ticket>,
    reserved: bool,
}

impl<M, C, S: Stamp<M>> Unpin for SendSink<M, C, S> {}

impl<M, C, S: Stamp<M>> SendSink<M, C, S> {
    pub(super) fn new(sender: Sender<M, C, S>) -> SendSink<M, C, S> {
        SendSink { sender, slot: None, reserved: false }
    }

    /// Waits for a place. `Err` means that the mailbox is closed.
    pub fn poll_reserve(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<()>>> {
        if !self.reserved {
            let entered = std::task::ready!(self.sender.poll_place(&mut self.slot, cx, |_| ()));
            entered.map_err(|_| SendError(()))?;
            self.reserved = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Gets a place if there is one that nobody waits for, or if it is this sink's turn.
    ///
    /// # Errors
    /// `Full` or `Closed`.
    pub fn try_reserve(&mut self) -> Result<(), TrySendError<()>> {
        if self.reserved {
            return Ok(());
        }
        let shared = &self.sender.shared;
        let mut locked = shared.lock();
        if locked.phase != Phase::Open {
            return Err(TrySendError::Closed(()));
        }
        let admitted = match self.slot {
            Some(_) => locked.line.admits(self.slot, shared.done()),
            None => locked.line.is_open(shared.done()),
        };
        if !admitted {
            return Err(TrySendError::Full(()));
        }
        let own = self.slot.take().and_then(|ticket| locked.line.leave(ticket));
        locked.line.take(1);
        self.reserved = true;
        shared.invite(locked);
        drop(own);
        Ok(())
    }

    /// Fills the place that [`SendSink::poll_reserve`] got.
    ///
    /// # Errors
    /// Gives the message back if the mailbox closed meanwhile, or if no place was got before.
    pub fn fill(&mut self, message: M) -> Result<S::Receipt, SendError<M>> {
        let shared = &self.sender.shared;
        let mut locked = shared.lock();
        if !self.reserved || locked.phase != Phase::Open {
            return Err(SendError(message));
        }
        self.reserved = false;
        let (receipt, receiver) = locked.push(message);
        drop(locked);
        if let Some(waker) = receiver {
            waker.wake();
        }
        Ok(receipt)
    }

    /// Hands the place over with a word on the control lane, in one step: whoever hears it settles the place.
    ///
    /// # Errors
    /// Gives the word back if the mailbox closed meanwhile, or if no place was got before.
    pub fn hand_over(&mut self, word: C) -> Result<(), C> {
        let shared = &self.sender.shared;
        let locked = shared.lock();
        if !self.reserved || locked.phase != Phase::Open {
            return Err(word);
        }
        self.reserved = false;
        shared.say(locked, word);
        Ok(())
    }

    /// Says `word` on the control lane, as [`Sender::control`].
    ///
    /// # Errors
    /// Gives the word back if the receiver is gone.
    pub fn control(&self, word: C) -> Result<(), C> {
        self.sender.control(word)
    }

    /// Gives back a place that is not wanted any more, and leaves the line.
    pub fn give_up(&mut self) {
        self.sender.abandon(&mut self.slot);
        if std::mem::take(&mut self.reserved) {
            let mut locked = self.sender.shared.lock();
            locked.line.give_back();
            self.sender.shared.invite(locked);
        }
    }
}

impl<M, C, S: Stamp<M>> Sink<M> for SendSink<M, C, S> {
    type Error = SendError<Option<M>>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_reserve(cx).map_err(|_| SendError(None))
    }

    fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), Self::Error> {
        self.fill(message).map(drop).map_err(|SendError(message)| SendError(Some(message)))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.give_up();
        Poll::Ready(Ok(()))
    }
}

impl<M, C, S: Stamp<M>> Drop for SendSink<M, C, S> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<M, C, S: Stamp<M>> fmt::Debug for SendSink<M, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSink").field("reserved", &self.reserved).finish_non_exhaustive()
    }
}
