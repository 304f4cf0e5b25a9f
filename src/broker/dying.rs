//! What a group gave up, on its way to the dead-letter topic.

use std::collections::BTreeMap;
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
    /// By the order in which they came. Limit: the topic's capacity, of which each still holds a place.
    waiting: BTreeMap<u64, (Sole<T>, Past, DeadReason)>,
    /// Where those are that were not redriven, by offset. Why: a topic that evicts its oldest asks for each of them.
    by_offset: BTreeMap<u64, u64>,
    number: u64,
    /// It was told that there is no room.
    told: bool,
    /// The dead-letter topic was asked to make some, for the turn that this has in its line.
    asked: bool,
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
        let letters = dead.shared.sender.sink();
        let (waiting, by_offset, number) = (BTreeMap::new(), BTreeMap::new(), 0);
        let (next, told, asked) = (None, false, false);
        Dying {
            topic,
            group,
            dead,
            letters,
            home,
            next,
            waiting,
            by_offset,
            number,
            told,
            asked,
            watched,
            teller,
        }
    }

    pub(crate) fn push(&mut self, slice: Sole<T>, past: Past, reason: DeadReason) {
        if past.redrives == 0 {
            self.by_offset.insert(slice.first(), self.number);
        }
        self.waiting.insert(self.number, (slice, past, reason));
        self.number += 1;
    }

    /// Takes those that wait, and were not redriven.
    pub(crate) fn take(&mut self, base: u64, which: Bits) -> Vec<(Sole<T>, Past)> {
        if self.by_offset.is_empty() {
            return Vec::new();
        }
        let first = self.waiting.first_key_value().map(|(number, _)| *number);
        let numbers = which.iter().filter_map(|at| self.by_offset.remove(&(base + u64::from(at))));
        let numbers: Vec<u64> = numbers.collect();
        if first.is_some_and(|first| numbers.contains(&first)) {
            self.next = None;
            // The next one may weigh something else, and then needs another place.
            if self.dead.shared.settings.capacity_bytes.is_some() {
                self.give_up();
            }
        }
        let taken = numbers.into_iter().filter_map(|number| self.waiting.remove(&number));
        let taken = taken.map(|(slice, past, _)| (slice, past)).collect();
        // Without one it would keep a place, or its turn, for nobody.
        if self.waiting.is_empty() {
            self.give_up();
        }
        taken
    }

    fn give_up(&mut self) {
        self.asked = false;
        self.letters.give_up();
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
        if let Err(SendError(letter)) = self.letters.fill(letter) {
            // The topic closed in between: it stays parked.
            self.next = Some(letter);
            return None;
        }
        let (_, (slice, past, reason)) = self.waiting.pop_first()?;
        if past.redrives == 0 {
            self.by_offset.remove(&slice.first());
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
        let (_, (slice, past, reason)) = self.waiting.first_key_value()?;
        let (batch, group, home) = (slice.batch.clone(), self.group.clone(), self.home.clone());
        let letter = DeadLetter::new(batch, slice.from, group, past.clone(), reason.clone(), home);
        Some(self.dead.shared.letter(letter))
    }

    fn poll_room(&mut self, weight: u64, cx: &mut Context<'_>) -> bool {
        let room = self.letters.poll_reserve(weight, cx);
        if room.is_pending() && !std::mem::replace(&mut self.told, true) {
            self.teller.tell(Event::Parked { topic: self.topic.clone(), group: self.group.clone() });
        }
        if room.is_pending() && !std::mem::replace(&mut self.asked, true) {
            // One that evicts its oldest makes room for whoever stands in its line, once it knows of that.
            drop(self.letters.control(TopicWord::MakeRoom(reply().0)));
        }
        let room = matches!(room, Poll::Ready(Ok(())));
        self.told &= !room;
        self.asked &= !room;
        room
    }
}
