//! What a group gave up, on its way to the dead-letter topic.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::bits::Bits;
use super::events::Teller;
use super::ledger::{Past, Slice};
use super::message::{Batch, IdStamp, Item};
use super::redrive::Home;
use super::topic_actor::TopicWord;
use super::witness::{Sight, Watched};
use super::{DeadLetter, DeadReason, Event, Topic};
use crate::base::{Bug, Name, planted};
use crate::mailbox::{SendError, SendSink, reply};

/// One message, as the group keeps it.
type Sole<T> = Slice<Arc<Batch<T>>>;

type Letters = SendSink<Item<DeadLetter>, TopicWord<DeadLetter>, IdStamp>;

/// Messages that wait for room in the dead-letter topic, in the order in which they were given up.
pub(crate) struct Dying<T> {
    topic: Name,
    group: Name,
    dead: Topic<DeadLetter>,
    letters: Letters,
    home: Arc<dyn Home>,
    /// The first one that waits, as a letter. Made before there is room, which depends on what it weighs.
    next: Option<Item<DeadLetter>>,
    /// Limit: the topic's capacity, of which each still holds a place.
    waiting: VecDeque<(Sole<T>, Past, DeadReason)>,
    /// It was told that there is no room.
    told: bool,
    watched: Watched,
    teller: Arc<Teller>,
}

impl<T: Send + Sync + 'static> Dying<T> {
    pub(crate) fn new(
        topic: Name,
        group: Name,
        dead: Topic<DeadLetter>,
        home: Arc<dyn Home>,
        watched: Watched,
        teller: Arc<Teller>,
    ) -> Dying<T> {
        let (letters, waiting) = (dead.shared.sender.sink(), VecDeque::new());
        Dying { topic, group, dead, letters, home, next: None, waiting, told: false, watched, teller }
    }

    pub(crate) fn push(&mut self, slice: Sole<T>, past: Past, reason: DeadReason) {
        self.waiting.push_back((slice, past, reason));
    }

    /// Takes those that wait.
    pub(crate) fn take(&mut self, base: u64, which: Bits) -> Vec<(Sole<T>, Past)> {
        let is = |(slice, past, _): &(Sole<T>, Past, DeadReason)| {
            past.redrives == 0 && slice.base == base && which.has(slice.from)
        };
        let (mut taken, wanted) = (Vec::new(), which.count() as usize);
        // Why one by one: the oldest of all is mostly the first here, and the others need not be looked at.
        while taken.len() < wanted
            && let Some(at) = self.waiting.iter().position(is)
        {
            taken.extend(self.waiting.remove(at));
        }
        if !taken.is_empty() {
            // The first one may be another now, which weighs something else.
            self.next = None;
            self.letters.give_up();
        }
        taken.into_iter().map(|(slice, past, _)| (slice, past)).collect()
    }

    /// Messages that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Moves the next message, if there is one and room for it; else the task is woken when there is.
    pub(crate) fn poll_move(&mut self, cx: &mut Context<'_>) -> Option<(Sole<T>, Past)> {
        let letter = self.next.take().or_else(|| self.first())?;
        if !self.poll_room(letter.weight(), cx) {
            self.next = Some(letter);
            return None;
        }
        let (slice, past, reason) = self.waiting.pop_front()?;
        if let Err(SendError(letter)) = self.letters.fill(letter) {
            // The topic closed in between: it stays parked.
            self.next = Some(letter);
            self.waiting.push_front((slice, past, reason));
            return None;
        }
        let (topic, group, id) = (&self.topic, &self.group, slice.batch.id(slice.from));
        let attempts = past.attempts;
        self.watched.show(|| Sight::Dead { topic, group, id, attempts, reason: &reason });
        let (topic, group) = (topic.clone(), group.clone());
        if !(planted(Bug::UntoldDeadLetter) && reason == DeadReason::TooManyAttempts) {
            self.teller.tell(Event::DeadLetter { topic, group, id, reason, attempts });
        }
        Some((slice, past))
    }

    /// Makes a letter of the first one that waits.
    fn first(&self) -> Option<Item<DeadLetter>> {
        let (slice, past, reason) = self.waiting.front()?;
        let (batch, group, home) = (slice.batch.clone(), self.group.clone(), self.home.clone());
        let letter = DeadLetter::new(batch, slice.from, group, past.clone(), reason.clone(), home);
        Some(self.dead.shared.letter(letter))
    }

    fn poll_room(&mut self, weight: u64, cx: &mut Context<'_>) -> bool {
        let room = self.letters.poll_reserve(weight, cx);
        if room.is_pending() && !std::mem::replace(&mut self.told, true) {
            self.teller.tell(Event::Parked { topic: self.topic.clone(), group: self.group.clone() });
            // One that evicts its oldest makes room for whoever stands in its line, once it knows of that.
            drop(self.letters.control(TopicWord::MakeRoom(reply().0)));
        }
        let room = matches!(room, Poll::Ready(Ok(())));
        self.told &= !room;
        room
    }
}
