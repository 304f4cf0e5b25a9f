//! Who may enter: the count of places, the weight they bear, and the line of waiting senders. Pure; the lock is around
//! it.
//!
//! | who | may enter when |
//! |---|---|
//! | a newcomer that would wait | more places are free than senders wait, and more weight than they want |
//! | a newcomer that would not | there is room for it and nobody waits |
//! | the front of the line | there is room for it: a place, and its weight |
//! | anyone else in it | never; it becomes the front |
//!
//! Places and weight are two gates on one line: a light message waits behind a heavy one that came before it.
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
    /// Present where weight is limited; else everything weighs nothing. Boxed, since each actor has a mailbox, and few
    /// have this.
    scales: Option<Box<Scales>>,
    /// In the order of their tickets. Only the front is ever told.
    waiting: VecDeque<Waits>,
    next: u64,
    /// The reader makes room for those in it, and knew last that they lack some.
    watched: bool,
}

/// The second gate.
#[derive(Debug)]
struct Scales {
    /// The most weight that may be inside.
    limit: u64,
    /// What is inside weighs so much.
    load: u64,
    /// What waits weighs so much.
    wanted: u64,
}

#[derive(Debug)]
struct Waits {
    ticket: Ticket,
    /// `None`: was told to come.
    waker: Option<Waker>,
    weight: u64,
}

impl Line {
    /// `limit`: the most weight that may be inside; `u64::MAX` is none.
    pub(super) fn new(capacity: usize, limit: u64) -> Line {
        let scales = (limit < u64::MAX).then(|| Box::new(Scales { limit, load: 0, wanted: 0 }));
        Line {
            capacity: capacity as u64,
            taken: 0,
            scales,
            waiting: VecDeque::new(),
            next: 0,
            watched: false,
        }
    }

    /// Tells whether the holder of `ticket` (`None`: a newcomer) may enter now with so much `weight`, when `done` places
    /// were given back.
    #[inline]
    pub(super) fn admits(&self, ticket: Option<Ticket>, weight: u64, done: u64) -> bool {
        match ticket {
            // Why also if it weighs nothing: it must not overtake one who waits for weight.
            None => self.spare(done) > 0 && self.bears_beside_those_who_wait(weight),
            Some(_) => self.is_first(ticket) && self.has_room(weight, done),
        }
    }

    /// Tells whether there is room for so much `weight` and nobody waits.
    pub(super) fn is_open(&self, weight: u64, done: u64) -> bool {
        self.waiting.is_empty() && self.has_room(weight, done)
    }

    /// Tells whether nobody is ahead of the holder of `ticket` (`None`: a newcomer).
    pub(super) fn is_first(&self, ticket: Option<Ticket>) -> bool {
        self.waiting.front().map(|front| front.ticket) == ticket
    }

    /// Counts those in it.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Tells whether nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The places, and the weight, that are to come free before all of those in it can enter. If there are such, whoever
    /// asked is told when the front changes and the next one has no room.
    pub(super) fn lacking(&mut self, done: u64) -> (u64, u64) {
        let places = (self.waiting.len() as u64).saturating_sub(self.free(done));
        let weight = self.scales.as_ref().map_or(0, |scales| scales.wanted.saturating_sub(scales.left()));
        self.watched = (places, weight) != (0, 0);
        (places, weight)
    }

    /// As [`Line::lacking`], of as many of the first in it as can enter if no more than so much comes free.
    pub(super) fn lacking_within(&self, done: u64, (places, weight): (u64, u64)) -> (u64, u64) {
        let (free, bears) = (self.free(done), self.scales.as_ref().map_or(u64::MAX, |scales| scales.left()));
        let (mut lacking, mut wanted) = ((0, 0), 0);
        for (number, waits) in (1_u64..).zip(&self.waiting) {
            wanted += waits.weight;
            let next = (number.saturating_sub(free), wanted.saturating_sub(bears));
            if next.0 > places || next.1 > weight {
                break;
            }
            lacking = next;
        }
        lacking
    }

    /// Tells whether the reader is to be told that the front has no room.
    pub(super) fn is_watched(&self) -> bool {
        self.watched
    }

    /// How many places are left for newcomers once each one who waits has one.
    #[inline]
    fn spare(&self, done: u64) -> u64 {
        self.free(done).saturating_sub(self.waiting.len() as u64)
    }

    /// Takes a place for so much `weight`; there is room.
    #[inline]
    pub(super) fn take(&mut self, weight: u64) {
        self.taken += 1;
        if let Some(scales) = &mut self.scales {
            scales.load += weight;
        }
    }

    /// So many places are taken from the start, by what weighs so much.
    pub(super) fn preload(&mut self, places: u64, weight: u64) {
        self.taken += places;
        if let Some(scales) = &mut self.scales {
            scales.load += weight;
        }
    }

    /// Gives back a place that was taken for so much `weight` and not used.
    pub(super) fn give_back(&mut self, weight: u64) {
        self.taken -= 1;
        self.unload(weight);
    }

    /// So much `weight` is settled, with the places that bore it.
    pub(super) fn unload(&mut self, weight: u64) {
        if let Some(scales) = &mut self.scales {
            debug_assert!(weight <= scales.load, "only what came in goes");
            scales.load = scales.load.saturating_sub(weight);
        }
    }

    /// What is inside weighs so much.
    pub(super) fn load(&self) -> u64 {
        self.scales.as_ref().map_or(0, |scales| scales.load)
    }

    /// Joins the end of the line, to wait for a place and so much `weight`.
    pub(super) fn join(&mut self, waker: &Waker, weight: u64) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        if let Some(scales) = &mut self.scales {
            scales.wanted += weight;
        }
        self.waiting.push_back(Waits { ticket, waker: Some(waker.clone()), weight });
        ticket
    }

    /// Changes whom to wake for `ticket`; returns the replaced waker, to be dropped outside of the lock.
    pub(super) fn renew(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let waits = self.position(ticket).and_then(|at| self.waiting.get_mut(at))?;
        match &mut waits.waker {
            Some(kept) if kept.will_wake(waker) => None,
            kept => kept.replace(waker.clone()),
        }
    }

    /// Leaves the line; returns the waker, to be dropped outside of the lock.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = self.position(ticket)?;
        let gone = self.waiting.remove(at)?;
        if let Some(scales) = &mut self.scales {
            scales.wanted -= gone.weight;
        }
        gone.waker
    }

    /// Tells whether the front of the line waits for a word.
    pub(super) fn is_expectant(&self) -> bool {
        self.waiting.front().is_some_and(|front| front.waker.is_some())
    }

    /// Whom to tell that it may enter: the front, if there is room and it was not told yet.
    pub(super) fn call_front(&mut self, done: u64) -> Option<Waker> {
        let wanted = self.waiting.front()?.weight;
        if !self.has_room(wanted, done) {
            return None;
        }
        self.waiting.front_mut().and_then(|front| front.waker.take())
    }

    /// Everyone who was not told yet, in order.
    pub(super) fn everyone(&self) -> Vec<Waker> {
        self.waiting.iter().filter_map(|waits| waits.waker.clone()).collect()
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

    fn has_room(&self, weight: u64, done: u64) -> bool {
        self.free(done) > 0 && self.bears(weight)
    }

    /// Tells whether the front of the line has no room.
    pub(super) fn is_stuck(&self, done: u64) -> bool {
        self.waiting.front().is_some_and(|front| !self.has_room(front.weight, done))
    }

    /// Tells whether so much more may be inside.
    #[inline]
    fn bears(&self, weight: u64) -> bool {
        self.scales.as_ref().is_none_or(|scales| weight <= scales.left())
    }

    #[inline]
    fn bears_beside_those_who_wait(&self, weight: u64) -> bool {
        let scales = self.scales.as_deref();
        scales.is_none_or(|scales| scales.wanted.saturating_add(weight) <= scales.left())
    }

    fn free(&self, done: u64) -> u64 {
        self.capacity.saturating_sub(self.held(done))
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waits| waits.ticket).ok()
    }
}

impl Scales {
    fn left(&self) -> u64 {
        self.limit.saturating_sub(self.load)
    }
}
