//! The sending end.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::entry::Entrant;
use super::line::Ticket;
use super::shared::{BUDGET, Locked, Phase, Shared, Stamp};
use super::{Send, SendAll, SendSink, TrySendError};
use crate::base::sync::{MutexGuard, Ordering};
use crate::base::{Bug, catch, planted};

/// Puts messages into a mailbox. Cloning makes another strong sender; the mailbox closes when the last one goes.
pub struct Sender<M, C, S = ()> {
    pub(super) shared: Arc<Shared<M, C, S>>,
}

/// A sender that does not keep the mailbox open.
pub struct WeakSender<M, C, S = ()> {
    shared: Arc<Shared<M, C, S>>,
}

/// Why a sender got no place.
#[derive(Debug)]
pub(super) struct NoEntry;

impl<M, C, S: Stamp<M>> Sender<M, C, S> {
    pub(super) fn first(shared: Arc<Shared<M, C, S>>) -> Sender<M, C, S> {
        Sender { shared }
    }

    /// Sends `message`, waiting in line while there is no room.
    ///
    /// # Errors
    /// `SendError` gives the message back if the mailbox is closed, before or during the wait.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves the line; the message was not accepted and goes with it.
    pub fn send(&self, message: M) -> Send<'_, M, C, S> {
        Send::new(self, message)
    }

    /// Sends `messages` in order, as many at a time as there is room for.
    pub fn send_all(&self, messages: Vec<M>) -> SendAll<'_, M, C, S> {
        SendAll::new(self, messages)
    }

    /// Sends `message` if there is room that nobody waits for.
    ///
    /// # Errors
    /// `TrySendError` gives the message back.
    pub fn try_send(&self, mut message: M) -> Result<S::Receipt, TrySendError<M>> {
        let mut locked = self.shared.lock();
        if locked.phase != Phase::Open {
            return Err(TrySendError::Closed(message));
        }
        if let Some(receipt) = locked.stamp.known(&message) {
            drop(locked);
            drop(catch(|| drop(message)));
            return Ok(receipt);
        }
        if locked.stamp.keeps_out(&mut message) {
            return Err(TrySendError::Closed(message));
        }
        let weight = S::weight(&message);
        if !locked.line.is_open(weight, self.shared.done()) {
            return Err(TrySendError::Full(message));
        }
        locked.line.take(weight);
        let (receipt, receiver) = locked.push(message);
        drop(locked);
        if let Some(waker) = receiver {
            waker.wake();
        }
        Ok(receipt)
    }

    /// Makes a `futures::Sink` of this sender.
    pub fn sink(&self) -> SendSink<M, C, S> {
        SendSink::new(self.clone())
    }

    /// Gets a place for `entrant`, or joins the line. On `Ready(Ok)` it entered under the lock, or is known.
    #[inline]
    pub(super) fn poll_place<E: Entrant<M, C, S>>(
        &self,
        slot: &mut Option<Ticket>,
        cx: &mut Context<'_>,
        entrant: &mut E,
    ) -> Poll<Result<E::Entered, NoEntry>> {
        let mut locked = self.shared.lock();
        let (weight, done) = (entrant.weight(), self.shared.done());
        if slot.is_none() && locked.admits_at_once(weight, done) {
            locked.row += 1;
            if let Some(known) = entrant.known(&mut locked) {
                return Poll::Ready(Ok(known));
            }
            if entrant.is_kept_out(&mut locked) {
                return Poll::Ready(Err(NoEntry));
            }
            locked.line.take(weight);
            return Poll::Ready(Ok(entrant.enter(&mut locked, done)));
        }
        self.poll_line(locked, slot, cx, entrant)
    }

    /// All that is not the short way: closed, time to make way for others, no room, or a turn that has come.
    #[cold]
    fn poll_line<E: Entrant<M, C, S>>(
        &self,
        mut locked: MutexGuard<'_, Locked<M, C, S>>,
        slot: &mut Option<Ticket>,
        cx: &mut Context<'_>,
        entrant: &mut E,
    ) -> Poll<Result<E::Entered, NoEntry>> {
        let shared = &*self.shared;
        if locked.phase != Phase::Open {
            let own = slot.take().and_then(|ticket| locked.line.leave(ticket));
            drop(locked);
            drop(own);
            return Poll::Ready(Err(NoEntry));
        }
        if slot.is_none() && locked.row >= BUDGET {
            locked.row = 0;
            drop(locked);
            // Why: neither executor would take this task off its thread while there is always room.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(known) = entrant.known(&mut locked) {
            locked.row += 1;
            let own = slot.take().and_then(|ticket| locked.line.leave(ticket));
            shared.invite_next(locked);
            drop(own);
            return Poll::Ready(Ok(known));
        }
        if entrant.is_kept_out(&mut locked) {
            let own = slot.take().and_then(|ticket| locked.line.leave(ticket));
            shared.invite_next(locked);
            drop(own);
            return Poll::Ready(Err(NoEntry));
        }
        let (weight, mut done) = (entrant.weight(), shared.done());
        if !locked.line.admits(*slot, weight, done) && locked.line.is_first(*slot) {
            done = shared.done_or_expected();
        }
        if !locked.line.admits(*slot, weight, done) {
            let replaced = match *slot {
                Some(ticket) => locked.line.renew(ticket, cx.waker()),
                None => {
                    *slot = Some(locked.line.join(cx.waker(), weight));
                    None
                }
            };
            drop(locked);
            drop(replaced);
            return Poll::Pending;
        }
        let own = slot.take().and_then(|ticket| locked.line.leave(ticket));
        locked.line.take(weight);
        let result = entrant.enter(&mut locked, done);
        shared.invite_next(locked);
        drop(own);
        Poll::Ready(Ok(result))
    }

    /// Leaves the line, if it is in it.
    #[inline]
    pub(super) fn abandon(&self, slot: &mut Option<Ticket>) {
        if let Some(ticket) = slot.take() {
            self.leave(ticket);
        }
    }

    #[cold]
    fn leave(&self, ticket: Ticket) {
        let mut locked = self.shared.lock();
        if planted(Bug::StaysInLine) {
            return;
        }
        let own = locked.line.leave(ticket);
        self.shared.invite_next(locked);
        drop(own);
    }
}

impl<M, C, S> Sender<M, C, S> {
    /// Says `word` on the control lane; it goes before all messages and takes no place.
    ///
    /// # Errors
    /// Gives the word back if the receiver is gone.
    pub fn control(&self, word: C) -> Result<(), C> {
        control(&self.shared, word)
    }

    /// Refuses messages from now on; those accepted are still read, and those who wait get theirs back.
    pub fn close(&self) {
        self.shared.close(Phase::Closed);
    }

    /// Says `word` on the control lane and refuses messages from now on, in one step: nobody sees the one without
    /// the other.
    ///
    /// # Errors
    /// Gives the word back if the receiver is gone.
    pub fn close_with(&self, word: C) -> Result<(), C> {
        let mut locked = self.shared.lock();
        if locked.phase == Phase::Gone {
            return Err(word);
        }
        locked.control.push_back(word);
        self.shared.urgent.store(true, Ordering::SeqCst);
        Shared::close_locked(locked, Phase::Closed);
        Ok(())
    }

    /// Wakes everyone in the line, so that they look again whether they still want in.
    pub fn rouse(&self) {
        let waiting = self.shared.lock().line.everyone();
        waiting.into_iter().for_each(std::task::Waker::wake);
    }

    /// Tells whether messages are refused.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().phase != Phase::Open
    }

    /// Counts the messages that the receiver has not taken over yet. Those it has still hold their places.
    pub fn queued(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// Counts the places that are taken: by messages that wait or are being handled, and by reservations.
    pub fn held(&self) -> u64 {
        self.shared.lock().line.held(self.shared.done())
    }

    /// Counts the messages ever accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// Makes a sender that does not keep the mailbox open.
    pub fn downgrade(&self) -> WeakSender<M, C, S> {
        WeakSender { shared: self.shared.clone() }
    }

    /// Tells whether both send into the same mailbox.
    pub fn same(&self, other: &Sender<M, C, S>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<M, C, S> WeakSender<M, C, S> {
    pub(super) fn new(shared: Arc<Shared<M, C, S>>) -> WeakSender<M, C, S> {
        WeakSender { shared }
    }

    /// Makes a strong sender, unless the last one is gone.
    pub fn upgrade(&self) -> Option<Sender<M, C, S>> {
        // Ordering: the count guards nothing but itself; zero is final, so it must not be left again.
        self.shared
            .senders
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n > 0).then_some(n + 1))
            .ok()
            .map(|_| Sender { shared: self.shared.clone() })
    }

    /// Says `word` on the control lane, as [`Sender::control`].
    ///
    /// # Errors
    /// Gives the word back if the receiver is gone.
    pub fn control(&self, word: C) -> Result<(), C> {
        control(&self.shared, word)
    }

    /// Refuses messages from now on, as [`Sender::close`].
    pub fn close(&self) {
        self.shared.close(Phase::Closed);
    }

    /// Accepts messages again, as [`Receiver::reopen`](super::Receiver::reopen).
    pub fn reopen(&self) {
        self.shared.reopen();
    }

    /// Tells whether the receiver is gone.
    pub fn is_gone(&self) -> bool {
        self.shared.lock().phase == Phase::Gone
    }
}

fn control<M, C, S>(shared: &Shared<M, C, S>, word: C) -> Result<(), C> {
    let locked = shared.lock();
    if locked.phase == Phase::Gone {
        return Err(word);
    }
    shared.say(locked, word);
    Ok(())
}

impl<M, C, S> Clone for Sender<M, C, S> {
    fn clone(&self) -> Sender<M, C, S> {
        self.shared.senders.fetch_add(1, Ordering::AcqRel);
        Sender { shared: self.shared.clone() }
    }
}

impl<M, C, S> Drop for Sender<M, C, S> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.close(Phase::Closed);
        }
    }
}

impl<M, C, S> Clone for WeakSender<M, C, S> {
    fn clone(&self) -> WeakSender<M, C, S> {
        WeakSender { shared: self.shared.clone() }
    }
}

impl<M, C, S> fmt::Debug for Sender<M, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl<M, C, S> fmt::Debug for WeakSender<M, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
