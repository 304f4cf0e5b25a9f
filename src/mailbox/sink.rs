//! A mailbox as a `futures::Sink`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Sink;

use super::entry::Place;
use super::line::Ticket;
use super::shared::{Phase, Stamp};
use super::{SendError, Sender, TrySendError};
use crate::base::catch;

/// Feeds a mailbox through `futures::Sink`: `poll_ready` waits in line for a place and keeps it.
///
/// The place that `poll_ready` got is kept until `start_send` fills it or the sink is dropped or closed.
/// Flushing is immediate: what was sent is accepted. Closing gives the place back and never closes the mailbox.
/// As a `futures::Sink` it is for messages without weight; others name theirs to [`SendSink::poll_reserve`].
pub struct SendSink<M, C, S: Stamp<M> = ()> {
    sender: Sender<M, C, S>,
    slot: Option<Ticket>,
    /// The weight that the place it has may bear.
    reserved: Option<u64>,
}

impl<M, C, S: Stamp<M>> Unpin for SendSink<M, C, S> {}

impl<M, C, S: Stamp<M>> SendSink<M, C, S> {
    pub(super) fn new(sender: Sender<M, C, S>) -> SendSink<M, C, S> {
        SendSink { sender, slot: None, reserved: None }
    }

    /// Waits for a place that bears so much `weight`; the same in each call until it is filled or given up. `Err` means
    /// that the mailbox is closed.
    pub fn poll_reserve(&mut self, weight: u64, cx: &mut Context<'_>) -> Poll<Result<(), SendError<()>>> {
        if self.reserved.is_none() {
            let entered = self.sender.poll_place(&mut self.slot, cx, &mut Place { weight });
            std::task::ready!(entered).map_err(|_| SendError(()))?;
            self.reserved = Some(weight);
        }
        Poll::Ready(Ok(()))
    }

    /// Gets a place if there is one that nobody waits for, or if it is this sink's turn.
    ///
    /// # Errors
    /// `Full` or `Closed`.
    pub fn try_reserve(&mut self, weight: u64) -> Result<(), TrySendError<()>> {
        if self.reserved.is_some() {
            return Ok(());
        }
        let shared = &self.sender.shared;
        let mut locked = shared.lock();
        if locked.phase != Phase::Open {
            return Err(TrySendError::Closed(()));
        }
        let admitted = match self.slot {
            Some(_) => locked.line.admits(self.slot, weight, shared.done()),
            None => locked.line.is_open(weight, shared.done()),
        };
        if !admitted {
            return Err(TrySendError::Full(()));
        }
        let own = self.slot.take().and_then(|ticket| locked.line.leave(ticket));
        locked.line.take(weight);
        self.reserved = Some(weight);
        shared.invite_next(locked);
        drop(own);
        Ok(())
    }

    /// Tells whether it stands in the line, since there was no room when it asked.
    pub(crate) fn is_in_line(&self) -> bool {
        self.slot.is_some()
    }

    /// Tells whether the front of the line has no room.
    pub(crate) fn is_stuck(&self) -> bool {
        let shared = &self.sender.shared;
        shared.lock().line.is_stuck(shared.done())
    }

    /// Fills the place that [`SendSink::poll_reserve`] got.
    ///
    /// # Errors
    /// Gives the message back if the mailbox closed meanwhile, or if no place was got before.
    pub fn fill(&mut self, message: M) -> Result<S::Receipt, SendError<M>> {
        let shared = &self.sender.shared;
        let mut locked = shared.lock();
        let (Some(weight), Phase::Open) = (self.reserved, locked.phase) else {
            return Err(SendError(message));
        };
        self.reserved = None;
        if let Some(receipt) = locked.stamp.known(&message) {
            locked.line.give_back(weight);
            shared.invite_next(locked);
            drop(catch(|| drop(message)));
            return Ok(receipt);
        }
        debug_assert_eq!(weight, S::weight(&message), "a place bears what it was got for");
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
        if self.reserved.is_none() || locked.phase != Phase::Open {
            return Err(word);
        }
        self.reserved = None;
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
        if let Some(weight) = self.reserved.take() {
            let mut locked = self.sender.shared.lock();
            locked.line.give_back(weight);
            self.sender.shared.invite_next(locked);
        }
    }
}

impl<M, C, S: Stamp<M>> Sink<M> for SendSink<M, C, S> {
    type Error = SendError<Option<M>>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_reserve(0, cx).map_err(|_| SendError(None))
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
