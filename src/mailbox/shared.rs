//! What the two ends share.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use super::line::Line;
use super::{Receiver, Sender};
use crate::base::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, fence};
use crate::base::{Bug, planted};

/// How many messages in a row one end handles before it yields to its executor.
pub const BUDGET: u32 = 128;

/// Marks each message as it is accepted, under the lock, so that marks have the order of the queue.
///
/// `()` marks nothing. It must be quick, and must neither panic nor call back into the mailbox.
pub trait Stamp<M>: std::marker::Send + 'static {
    /// What `send` answers.
    type Receipt: std::marker::Send;

    /// Marks `message`, the `sequence`th one (from 0) to be accepted. `first` is true if the queue was empty.
    fn stamp(&mut self, message: &mut M, sequence: u64, first: bool) -> Self::Receipt;

    /// Answers for a message that need not come in, since one that was accepted stands for it. It is dropped then.
    #[inline]
    fn known(&mut self, _message: &M) -> Option<Self::Receipt> {
        None
    }

    /// Whether a message may not come in. It goes back as from a mailbox that is closed; why, the stamp leaves in it. Asked of what
    /// is sent by itself; not of many at a time, and not of a sink's.
    #[inline]
    fn keeps_out(&mut self, _message: &mut M) -> bool {
        false
    }

    /// What a message weighs, always the same. At most the mailbox's limit: more would wait for ever.
    #[inline]
    fn weight(_message: &M) -> u64 {
        0
    }
}

impl<M> Stamp<M> for () {
    type Receipt = ();
    fn stamp(&mut self, _message: &mut M, _sequence: u64, _first: bool) {}
}

/// Makes a mailbox with `capacity` places for messages `M` and a lane for control words `C`.
///
/// A capacity of 0 counts as 1; the layers above refuse it at their door. Memory is taken as messages come.
pub fn mailbox<M, C, S: Stamp<M>>(capacity: usize, stamp: S) -> (Sender<M, C, S>, Receiver<M, C, S>) {
    weighed_mailbox(capacity, u64::MAX, stamp)
}

/// As [`mailbox`]; what is in it, as its places are counted, weighs at most `limit`.
///
/// Weights come back with the places, by [`Receiver::settle_weighed`].
pub(crate) fn weighed_mailbox<M, C, S: Stamp<M>>(
    capacity: usize,
    limit: u64,
    stamp: S,
) -> (Sender<M, C, S>, Receiver<M, C, S>) {
    let shared = Arc::new(Shared {
        locked: Mutex::new(Locked {
            queue: VecDeque::new(),
            control: VecDeque::new(),
            line: Line::new(capacity.max(1), limit),
            accepted: 0,
            row: 0,
            stamp,
            receiver: None,
            phase: Phase::Open,
        }),
        done: AtomicU64::new(0),
        expected: AtomicBool::new(false),
        urgent: AtomicBool::new(false),
        senders: AtomicUsize::new(1),
    });
    (Sender::first(shared.clone()), Receiver::new(shared))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Takes no more messages; those accepted are still read.
    Closed,
    /// The receiver is gone, or reads what is there and goes: takes no more control words either.
    Gone,
}

pub(super) struct Locked<M, C, S> {
    pub(super) queue: VecDeque<M>,
    pub(super) control: VecDeque<C>,
    pub(super) line: Line,
    pub(super) accepted: u64,
    /// Messages that found room at once, since a sender last made way for the other tasks of its executor.
    pub(super) row: u32,
    pub(super) stamp: S,
    pub(super) receiver: Option<Parked>,
    pub(super) phase: Phase,
}

/// A receiver that sleeps, and what wakes it.
pub(super) struct Parked {
    pub(super) waker: Waker,
    /// False while it waits for a handler: a message that comes in meanwhile is no reason to poll that handler.
    pub(super) wants_messages: bool,
}

pub(super) struct Shared<M, C, S> {
    locked: Mutex<Locked<M, C, S>>,
    /// Places given back so far. Ordering: only the receiver writes it (Release), after it is through with the
    /// message; senders read it (Acquire) under the lock.
    pub(super) done: AtomicU64,
    /// The front of the line waits and was not told of a place yet. Ordering: written under the lock; the receiver
    /// reads it without, as a hint whether to take the lock. `Receiver::settle` says why a stale one does no harm.
    pub(super) expected: AtomicBool,
    /// The control lane has something. Ordering: as `expected`.
    pub(super) urgent: AtomicBool,
    /// Strong senders. At zero the mailbox takes no more messages.
    pub(super) senders: AtomicUsize,
}

impl<M, C, S> Shared<M, C, S> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Locked<M, C, S>> {
        // Why a poisoned lock is fine: under it are only moves of plain values, no user code.
        self.locked.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Tells the front of the line that it may enter, if it may. Called whenever a place or the front changed.
    pub(super) fn invite(&self, mut locked: MutexGuard<'_, Locked<M, C, S>>) {
        let expectant = locked.line.is_expectant();
        let called = if expectant { locked.line.call_front(self.done_or_expected()) } else { None };
        // Why false once the front is told: it enters or leaves by itself, and either calls this again.
        self.expected.store(expectant && called.is_none(), Ordering::Relaxed);
        drop(locked);
        if let Some(waker) = called.filter(|_| !planted(Bug::LostWakeUp)) {
            waker.wake();
        }
    }

    /// As [`Shared::invite`], since somebody came in or left; a reader that makes room is told if the next one has none.
    pub(super) fn invite_next(&self, mut locked: MutexGuard<'_, Locked<M, C, S>>) {
        let stuck = locked.line.is_watched() && locked.line.is_stuck(self.done());
        let reader = if stuck { locked.receiver.take() } else { None };
        self.invite(locked);
        if let Some(parked) = reader {
            parked.waker.wake();
        }
    }

    /// Asks the receiver to tell of the next place, then reads how many it gave back. Under the lock.
    pub(super) fn done_or_expected(&self) -> u64 {
        // Ordering: the receiver stores `done`, then reads `expected`. Here it is the other way round, with a fence
        // between, so that a place which it frees in this instant is seen by one of us.
        self.expected.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.done()
    }

    /// Puts a word on the control lane.
    pub(super) fn say(&self, mut locked: MutexGuard<'_, Locked<M, C, S>>, word: C) {
        locked.control.push_back(word);
        self.urgent.store(true, Ordering::SeqCst);
        let parked = locked.receiver.take();
        drop(locked);
        if let Some(parked) = parked {
            parked.waker.wake();
        }
    }

    /// Refuses messages from now on (`phase` says how finally); everyone in the line gets theirs back.
    pub(super) fn close(&self, phase: Phase) {
        let locked = self.lock();
        if locked.phase != Phase::Gone && locked.phase != phase {
            Self::close_locked(locked, phase);
        }
    }

    /// As [`Shared::close`], and wakes the receiver in any case: there is something on the control lane.
    pub(super) fn close_locked(mut locked: MutexGuard<'_, Locked<M, C, S>>, phase: Phase) {
        locked.phase = phase;
        let waiting = locked.line.everyone();
        let receiver = locked.receiver.take();
        drop(locked);
        if let Some(parked) = receiver {
            parked.waker.wake();
        }
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<M, C, S> Locked<M, C, S> {
    /// Tells whether a newcomer with so much `weight` may enter and need not make way first.
    #[inline]
    pub(super) fn admits_at_once(&self, weight: u64, done: u64) -> bool {
        self.phase == Phase::Open && self.row < BUDGET && self.line.admits(None, weight, done)
    }

    /// Accepts a message whose place is taken. Returns whom to wake once the lock is let go.
    #[inline]
    pub(super) fn push(&mut self, message: M) -> (S::Receipt, Option<Waker>)
    where
        S: Stamp<M>,
    {
        let first = self.queue.is_empty();
        self.queue.push_back(message);
        // Why only now: what was just written in part can't be read in one piece yet, so a stamp before the move costs the
        // move 3 ns.
        let Some(message) = self.queue.back_mut() else {
            unreachable!("callboard bug: a message that was pushed is gone")
        };
        let receipt = self.stamp.stamp(message, self.accepted, first);
        self.accepted += 1;
        let wakes = self.receiver.as_ref().is_some_and(|parked| parked.wants_messages);
        (receipt, if wakes { self.receiver.take().map(|parked| parked.waker) } else { None })
    }
}

/// The largest buffer, in entries, that an idle mailbox keeps.
const KEPT: usize = 64;

/// Gives back what an empty buffer has beyond [`KEPT`]. Why not one in use: the next entry would make it grow again.
pub(super) fn trim<T>(buffer: &mut VecDeque<T>) {
    if buffer.is_empty() {
        buffer.shrink_to(KEPT);
    }
}

impl<M, C, S> fmt::Debug for Shared<M, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locked = self.lock();
        f.debug_struct("Mailbox")
            .field("queued", &locked.queue.len())
            .field("held", &locked.line.held(self.done()))
            .field("load", &locked.line.load())
            .field("control", &locked.control.len())
            .field("phase", &locked.phase)
            .finish_non_exhaustive()
    }
}
