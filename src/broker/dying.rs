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
use super::{DeadLetter, DeadReason, Event};
use crate::base::{Bug, Name, planted};
use crate::mailbox::{SendSink, reply};

/// One message, as the group keeps it.
type Sole<T> = Slice<Arc<Batch<T>>>;

type Letters = SendSink<Item<DeadLetter>, TopicWord<DeadLetter>, IdStamp>;

/// Messages that wait for room in the dead-letter topic, in the order in which they were given up.
pub(crate) struct Dying<T> {
    topic: Name,
    group: Name,
    letters: Letters,
    home: Arc<dyn Home>,
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
        letters: Letters,
        home: Arc<dyn Home>,
        watched: Watched,
        teller: Arc<Teller>,
    ) -> Dying<T> {
        Dying { topic, group, letters, home, waiting: VecDeque::new(), told: false, watched, teller }
    }

    pub(crate) fn push(&mut self, slice: Sole<T>, past: Past, reason: DeadReason) {
        self.waiting.push_back((slice, past, reason));
    }

    /// Takes those that wait.
    pub(crate) fn take(&mut self, base: u64, which: Bits) -> Vec<(Sole<T>, Past)> {
        let is = |(slice, past, _): &(Sole<T>, Past, DeadReason)| {
            past.redrives == 0 && slice.base == base && which.has(slice.from)
        };
        let (taken, kept) = std::mem::take(&mut self.waiting).into_iter().partition(is);
        self.waiting = kept;
        let taken: VecDeque<_> = taken;
        taken.into_iter().map(|(slice, past, _)| (slice, past)).collect()
    }

    /// Messages that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Moves the next message, if there is one and room for it; else the task is woken when there is.
    pub(crate) fn poll_move(&mut self, cx: &mut Context<'_>) -> Option<(Sole<T>, Past)> {
        if self.waiting.is_empty() || !self.poll_room(cx) {
            return None;
        }
        let (slice, past, reason) = self.waiting.pop_front()?;
        let (batch, group, home) = (slice.batch.clone(), self.group.clone(), self.home.clone());
        let letter = DeadLetter::new(batch, slice.from, group, past.clone(), reason.clone(), home);
        if self.letters.fill(Item::new(letter)).is_err() {
            // The topic closed in between: it stays parked.
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

    fn poll_room(&mut self, cx: &mut Context<'_>) -> bool {
        let room = self.letters.poll_reserve(cx);
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
