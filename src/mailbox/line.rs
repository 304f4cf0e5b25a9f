//! Who may enter: the count of places and the line of waiting senders. Pure; the lock is around it.
//!
//! | the line is | a newcomer | the front | anyone else in it |
//! |---|---|---|---|
//! | empty, room | enters | - | - |
//! | empty, no room | joins | - | - |
//! | not empty, room | joins | enters, and the next one is told | waits |
//! | not empty, no room | joins | waits | waits |

use std::collections::VecDeque;
use std::task::Waker;

/// A sender's place in the line. Later is larger, and none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
pub(super) struct Line {
    capacity: u64,
    /// Places ever taken, by messages and reservations, less those that were given back unused.
    taken: u64,
    /// In the order of their tickets.
    waiting: VecDeque<(Ticket, Waker)>,
    next: u64,
}

impl Line {
    pub(super) fn new(capacity: usize) -> Line {
        Line { capacity: capacity as u64, taken: 0, waiting: VecDeque::new(), next: 0 }
    }

    /// How many places the holder of `ticket` (`None`: a newcomer) may take now, when `done` were given back.
    pub(super) fn open_to(&self, ticket: Option<Ticket>, done: u64) -> u64 {
        if self.front() == ticket { self.open_now(done) } else { 0 }
    }

    pub(super) fn is_front(&self, ticket: Ticket) -> bool {
        self.front() == Some(ticket)
    }

    /// Takes `places`, which [`Line::open_to`] said are free.
    pub(super) fn take(&mut self, places: u64) {
        self.taken += places;
    }

    /// Gives back a place that was taken and not used.
    pub(super) fn give_back(&mut self) {
        self.taken -= 1;
    }

    /// Joins the end of the line.
    pub(super) fn join(&mut self, waker: &Waker) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.push_back((ticket, waker.clone()));
        ticket
    }

    /// Changes whom to wake for `ticket`; returns the replaced waker, to be dropped outside of the lock.
    pub(super) fn renew(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let (_, kept) = self.position(ticket).and_then(|at| self.waiting.get_mut(at))?;
        (!kept.will_wake(waker)).then(|| std::mem::replace(kept, waker.clone()))
    }

    /// Leaves the line; returns the waker, to be dropped outside of the lock.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = self.position(ticket)?;
        self.waiting.remove(at).map(|(_, waker)| waker)
    }

    /// Whom to tell that it may enter: the front, if there is room.
    pub(super) fn invited(&self, done: u64) -> Option<Waker> {
        let (front, waker) = self.waiting.front()?;
        (self.open_to(Some(*front), done) > 0).then(|| waker.clone())
    }

    /// How many places are free, whoever may take them.
    pub(super) fn open_now(&self, done: u64) -> u64 {
        // Invariant: done <= taken, since only what was accepted is settled.
        self.capacity.saturating_sub(self.taken - done)
    }

    /// Everyone in the line, in order; for closing.
    pub(super) fn everyone(&self) -> Vec<Waker> {
        self.waiting.iter().map(|(_, waker)| waker.clone()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Messages and reservations that hold a place.
    pub(super) fn held(&self, done: u64) -> u64 {
        self.taken - done
    }

    fn front(&self) -> Option<Ticket> {
        self.waiting.front().map(|(front, _)| *front)
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }
}
