//! Who may enter: the count of places and the line of waiting senders. Pure; the lock is around it.
//!
//! | who | may enter when |
//! |---|---|
//! | a newcomer that would wait | more places are free than senders wait |
//! | a newcomer that would not | a place is free and nobody waits |
//! | the front of the line | a place is free |
//! | anyone else in it | never; it becomes the front |
//!
//! So those who wait enter in the order in which they came, and no newcomer gets a place that one of them needs.
//! Why newcomers enter at all while others wait: those are woken and not polled yet. If they kept out everyone, each
//! sender could put in one message for each time that all of them are scheduled, and that would never end.

use std::collections::VecDeque;
use std::task::Waker;

use super::shared::trim;

/// A sender's place in the line. Later is larger, and none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
pub(super) struct Line {
    capacity: u64,
    /// Places ever taken, by messages and reservations, less those that were given back unused.
    taken: u64,
    /// In the order of their tickets. Without a waker: was told to come. Only the front is ever told.
    waiting: VecDeque<(Ticket, Option<Waker>)>,
    next: u64,
}

impl Line {
    pub(super) fn new(capacity: usize) -> Line {
        Line { capacity: capacity as u64, taken: 0, waiting: VecDeque::new(), next: 0 }
    }

    /// Tells whether the holder of `ticket` (`None`: a newcomer) may enter now, when `done` places were given back.
    #[inline]
    pub(super) fn admits(&self, ticket: Option<Ticket>, done: u64) -> bool {
        match ticket {
            None => self.spare(done) > 0,
            Some(_) => self.is_first(ticket) && self.free(done) > 0,
        }
    }

    /// Tells whether a place is free and nobody waits for one.
    pub(super) fn is_open(&self, done: u64) -> bool {
        self.waiting.is_empty() && self.free(done) > 0
    }

    /// Tells whether nobody is ahead of the holder of `ticket` (`None`: a newcomer).
    pub(super) fn is_first(&self, ticket: Option<Ticket>) -> bool {
        self.waiting.front().map(|(front, _)| *front) == ticket
    }

    /// Counts those in it.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Tells whether nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many places are left for newcomers once each one who waits has one.
    #[inline]
    pub(super) fn spare(&self, done: u64) -> u64 {
        self.free(done).saturating_sub(self.waiting.len() as u64)
    }

    /// Takes `places`, which are free.
    #[inline]
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
        self.waiting.push_back((ticket, Some(waker.clone())));
        ticket
    }

    /// Changes whom to wake for `ticket`; returns the replaced waker, to be dropped outside of the lock.
    pub(super) fn renew(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let (_, kept) = self.position(ticket).and_then(|at| self.waiting.get_mut(at))?;
        match kept {
            Some(kept) if kept.will_wake(waker) => None,
            kept => kept.replace(waker.clone()),
        }
    }

    /// Leaves the line; returns the waker, to be dropped outside of the lock.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = self.position(ticket)?;
        self.waiting.remove(at).and_then(|(_, waker)| waker)
    }

    /// Tells whether the front of the line waits for a word.
    pub(super) fn is_expectant(&self) -> bool {
        self.waiting.front().is_some_and(|(_, waker)| waker.is_some())
    }

    /// Whom to tell that it may enter: the front, if there is room and it was not told yet.
    pub(super) fn call_front(&mut self, done: u64) -> Option<Waker> {
        if self.free(done) == 0 {
            return None;
        }
        self.waiting.front_mut().and_then(|(_, waker)| waker.take())
    }

    /// Everyone who was not told yet, in order.
    pub(super) fn everyone(&self) -> Vec<Waker> {
        self.waiting.iter().filter_map(|(_, waker)| waker.clone()).collect()
    }

    /// Gives back memory that a long line took.
    pub(super) fn trim(&mut self) {
        trim(&mut self.waiting);
    }

    #[cfg(all(test, not(callboard_shuttle)))]
    pub(super) fn buffered(&self) -> usize {
        self.waiting.capacity()
    }

    /// Messages and reservations that hold a place.
    pub(super) fn held(&self, done: u64) -> u64 {
        debug_assert!(done <= self.taken, "only what was accepted is settled");
        self.taken.saturating_sub(done)
    }

    fn free(&self, done: u64) -> u64 {
        self.capacity.saturating_sub(self.held(done))
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }
}
