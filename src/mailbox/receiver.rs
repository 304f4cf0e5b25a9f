//! The reading end.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::WeakSender;
use super::shared::{BUDGET, Locked, Parked, Phase, Shared, Stamp, trim};
use crate::base::drop_each;
use crate::base::sync::{MutexGuard, Ordering};

/// What a mailbox has for its reader.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<M, C> {
    /// A word of the framework. Always first.
    Control(C),
    /// A message. Its place is kept until [`Receiver::settle`].
    Message(M),
    /// No message will come any more: all were read, and the mailbox takes no others.
    Closed,
}

/// Reads a mailbox. Dropping it closes the mailbox and drops what was not read.
pub struct Receiver<M, C, S = ()> {
    shared: Arc<Shared<M, C, S>>,
    /// Messages taken out in one go and not handed on yet.
    burst: VecDeque<M>,
    /// Places given back so far; `shared.done` is a copy for the senders.
    done: u64,
    budget: u32,
}

impl<M, C, S> Receiver<M, C, S> {
    pub(super) fn new(shared: Arc<Shared<M, C, S>>) -> Receiver<M, C, S> {
        Receiver { shared, burst: VecDeque::new(), done: 0, budget: BUDGET }
    }

    /// Hands out the next control word or message, or sleeps.
    ///
    /// After [`BUDGET`] of them in a row it answers `Pending` once and wakes its own task.
    #[inline]
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<M, C>> {
        match self.at_hand() {
            Some(message) => Poll::Ready(Event::Message(message)),
            None => self.poll_lanes(cx),
        }
    }

    /// Hands out a message that was taken before with others; `None` if there is more to look at: [`poll_next`] does.
    ///
    /// [`poll_next`]: Receiver::poll_next
    #[inline]
    pub fn at_hand(&mut self) -> Option<M> {
        if self.budget == 0 || self.is_urgent() {
            return None;
        }
        let message = self.burst.pop_front()?;
        self.budget -= 1;
        Some(message)
    }

    /// As [`Receiver::poll_next`], when there is more to look at than the burst at hand.
    fn poll_lanes(&mut self, cx: &mut Context<'_>) -> Poll<Event<M, C>> {
        if self.makes_way(cx) {
            return Poll::Pending;
        }
        let mut locked = self.shared.lock();
        if let Some(word) = self.shared.next_control(&mut locked) {
            self.budget -= 1;
            return Poll::Ready(Event::Control(word));
        }
        if self.burst.is_empty() {
            std::mem::swap(&mut self.burst, &mut locked.queue);
        }
        if let Some(message) = self.burst.pop_front() {
            self.budget -= 1;
            return Poll::Ready(Event::Message(message));
        }
        if locked.phase != Phase::Open {
            return Poll::Ready(Event::Closed);
        }
        trim(&mut self.burst);
        self.budget = BUDGET;
        self.park(locked, cx, true)
    }

    /// Hands out the next control word, or all messages there are, up to `most` (0 counts as 1); or sleeps.
    ///
    /// Not to be mixed with [`Receiver::poll_next`], which may hold some messages back.
    pub fn poll_burst(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Event<Vec<M>, C>> {
        if self.makes_way(cx) {
            return Poll::Pending;
        }
        let mut locked = self.shared.lock();
        if let Some(word) = self.shared.next_control(&mut locked) {
            self.budget -= 1;
            return Poll::Ready(Event::Control(word));
        }
        if !locked.queue.is_empty() {
            let most = most.max(1);
            if locked.queue.len() <= most {
                // `burst` serves as the next queue, with room for as much as came this time.
                std::mem::swap(&mut self.burst, &mut locked.queue);
            } else {
                self.burst.extend(locked.queue.drain(..most));
            }
            drop(locked);
            let burst = std::mem::take(&mut self.burst);
            self.burst = VecDeque::with_capacity(burst.len());
            self.budget = self.budget.saturating_sub(u32::try_from(burst.len()).unwrap_or(BUDGET));
            return Poll::Ready(Event::Message(burst.into()));
        }
        if locked.phase != Phase::Open {
            return Poll::Ready(Event::Closed);
        }
        self.budget = BUDGET;
        self.park(locked, cx, true)
    }

    /// Hands out the next control word, or sleeps until there is one; messages don't wake it.
    ///
    /// For the time while a handler waits for something else. `Pending` means that there is no word: it never makes
    /// way for other tasks, since words come in limited number, and whoever ends takes them all.
    pub fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<C> {
        let mut locked = self.shared.lock();
        if let Some(word) = self.shared.next_control(&mut locked) {
            return Poll::Ready(word);
        }
        // Why the budget is full again: the handler gave way to others.
        self.budget = BUDGET;
        self.park(locked, cx, false)
    }

    /// Begins as if so many messages had been accepted before, of which so many still hold places and weigh so much.
    ///
    /// They may be more than the capacity: then nobody gets in before enough of them are settled.
    pub(crate) fn preload(&mut self, accepted: u64, held: u64, weight: u64) {
        let mut locked = self.shared.lock();
        locked.accepted += accepted;
        locked.line.preload(held, weight);
    }

    /// So many messages came in by another way, with places that were got for them, and count as accepted.
    pub(crate) fn own(&mut self, messages: u64) {
        self.shared.lock().accepted += messages;
    }

    /// So many of the messages that were accepted don't count as such, after all.
    pub(crate) fn disown(&mut self, messages: u64) {
        let mut locked = self.shared.lock();
        locked.accepted = locked.accepted.saturating_sub(messages);
    }

    /// Gives back the places of `messages` messages that were handed out.
    ///
    /// Whoever waits in line is told. The hint that says whether anybody does is read without a fence, so it may
    /// miss one who joined in the same instant; the next call of any method here finds them, and a handler that
    /// waits is followed by `poll_control`. Exact in all but the time one handler takes without waiting.
    pub fn settle(&mut self, messages: usize) {
        self.done += messages as u64;
        self.shared.done.store(self.done, Ordering::Release);
        if self.shared.expected.load(Ordering::Relaxed) {
            self.shared.invite(self.shared.lock());
        }
    }

    /// As [`Receiver::settle`], of messages that weigh so much together: places and weight come back in one step.
    pub fn settle_weighed(&mut self, messages: usize, weight: u64) {
        if weight == 0 {
            return self.settle(messages);
        }
        let mut locked = self.shared.lock();
        locked.line.unload(weight);
        self.done += messages as u64;
        self.shared.done.store(self.done, Ordering::Release);
        self.shared.invite(locked);
    }

    /// Tells whether senders wait in the line.
    pub fn anyone_waits(&self) -> bool {
        !self.shared.lock().line.is_empty()
    }

    /// The places, and the weight, that those who wait in the line lack together.
    ///
    /// For a reader that makes room for them: from now on it is woken, too, when the front of the line comes in or leaves
    /// and the next one has no room.
    pub fn lacking(&self) -> (u64, u64) {
        self.shared.lock().line.lacking(self.done)
    }

    /// As [`Receiver::lacking`], of as many of the first in the line as can come in if no more than so much comes free.
    pub(crate) fn lacking_within(&self, more: (u64, u64)) -> (u64, u64) {
        self.shared.lock().line.lacking_within(self.done, more)
    }

    /// Tells whether the front of the line has no room, and all that was accepted was handed out.
    pub(crate) fn is_stuck(&self) -> bool {
        let locked = self.shared.lock();
        self.burst.is_empty() && locked.queue.is_empty() && locked.line.is_stuck(self.done)
    }

    /// Counts the senders that wait in the line.
    pub fn waiters(&self) -> usize {
        self.shared.lock().line.len()
    }

    /// Refuses messages from now on; what was accepted is still handed out, then `Closed`.
    pub fn close(&self) {
        self.shared.close(Phase::Closed);
    }

    /// Refuses messages and control words from now on, for ever; what was accepted of either is still handed out.
    ///
    /// For a reader at its end: whoever was told that a word came in, said it to somebody who still hears it.
    pub(crate) fn close_for_good(&self) {
        self.shared.close(Phase::Gone);
    }

    /// Makes a sender that does not keep the mailbox open.
    pub fn sender(&self) -> WeakSender<M, C, S> {
        WeakSender::new(self.shared.clone())
    }

    /// Tells whether messages are refused.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().phase != Phase::Open
    }

    /// Accepts messages again after a close, for the next incarnation of what reads them.
    pub fn reopen(&self) {
        self.shared.reopen();
    }

    /// Takes everything that was accepted and not handed out, in order. Their places are given back.
    pub fn take_rest(&mut self) -> Vec<M>
    where
        S: Stamp<M>,
    {
        let mut rest: Vec<M> = std::mem::take(&mut self.burst).into();
        let mut locked = self.shared.lock();
        let queued = std::mem::take(&mut locked.queue);
        drop(locked);
        rest.extend(queued);
        self.settle_weighed(rest.len(), rest.iter().map(S::weight).sum());
        rest
    }

    /// Counts what was accepted and not handed out.
    pub fn waiting(&self) -> usize {
        self.burst.len() + self.shared.lock().queue.len()
    }

    /// What was accepted and not handed out weighs so much.
    pub fn waiting_load(&self) -> u64
    where
        S: Stamp<M>,
    {
        self.burst.iter().chain(&self.shared.lock().queue).map(S::weight).sum()
    }

    /// What the taken places bear weighs so much; 0 where weight has no limit.
    pub fn load(&self) -> u64 {
        self.shared.lock().line.load()
    }

    /// Counts the places that are taken: by messages that wait, are being handled, or are not settled.
    pub fn held(&self) -> u64 {
        self.shared.lock().line.held(self.done)
    }

    /// How many entries the buffers have memory for.
    #[cfg(all(test, not(callboard_shuttle)))]
    pub(super) fn buffered(&self) -> usize {
        let locked = self.shared.lock();
        let lanes = self.burst.capacity() + locked.queue.capacity() + locked.control.capacity();
        lanes + locked.line.buffered()
    }

    /// Tells whether it is time to let other tasks run; wakes its own then, to go on after them.
    fn makes_way(&mut self, cx: &Context<'_>) -> bool {
        let spent = self.budget == 0;
        if spent {
            self.budget = BUDGET;
            cx.waker().wake_by_ref();
        }
        spent
    }

    fn is_urgent(&self) -> bool {
        self.shared.urgent.load(Ordering::Relaxed)
    }

    fn park<T>(
        &self,
        mut locked: MutexGuard<'_, Locked<M, C, S>>,
        cx: &Context<'_>,
        wants_messages: bool,
    ) -> Poll<T> {
        let replaced = match &mut locked.receiver {
            Some(parked) if parked.waker.will_wake(cx.waker()) => {
                parked.wants_messages = wants_messages;
                None
            }
            slot => slot.replace(Parked { waker: cx.waker().clone(), wants_messages }),
        };
        trim(&mut locked.queue);
        trim(&mut locked.control);
        locked.line.trim();
        // A sender that joined while a stale hint was read is told here.
        self.shared.invite(locked);
        drop(replaced);
        Poll::Pending
    }
}

impl<M, C, S> Shared<M, C, S> {
    fn next_control(&self, locked: &mut Locked<M, C, S>) -> Option<C> {
        let word = locked.control.pop_front();
        if locked.control.is_empty() {
            self.urgent.store(false, Ordering::SeqCst);
        }
        word
    }
}

impl<M, C, S> Drop for Receiver<M, C, S> {
    fn drop(&mut self) {
        self.shared.close(Phase::Gone);
        let mut locked = self.shared.lock();
        let (queue, control) = (std::mem::take(&mut locked.queue), std::mem::take(&mut locked.control));
        drop(locked);
        // Whoever counts what is left, or hands it back, has taken it before.
        drop(drop_each(std::mem::take(&mut self.burst).into_iter().chain(queue)));
        drop(drop_each(control));
    }
}

impl<M, C, S> fmt::Debug for Receiver<M, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("burst", &self.burst.len()).field("shared", &self.shared).finish()
    }
}
