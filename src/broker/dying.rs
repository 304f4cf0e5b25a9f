//! What a group gave up, on its way to the dead-letter topic.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bits::Bits;
use super::events::Teller;
use super::ledger::{Past, Slice};
use super::message::{Batch, IdStamp, Item};
use super::record::NotStored;
use super::redrive::Home;
use super::registry::KnownHomes;
use super::topic::TopicShared;
use super::topic_actor::TopicWord;
use super::unread::Unread;
use super::witness::{Sight, Watched};
use super::{DeadLetter, DeadReason, Event, MessageId, Published, Topic};
use crate::base::{Bug, Name, planted};
use crate::mailbox::{Answer, SendError, SendSink, reply};
use crate::runtime::Sleep;

/// One message, as the group keeps it.
type Sole<T> = Slice<Arc<Batch<T>>>;

/// What a group gave up.
pub(crate) enum Gone<T> {
    Message(Sole<T>),
    /// What is on the disk of one that nobody can read.
    Bytes(Arc<Unread>),
}

type Dead<T> = (Gone<T>, Past, DeadReason);

type Letters = SendSink<Item<DeadLetter>, TopicWord<DeadLetter>, IdStamp>;

/// Messages that wait for room in the dead-letter topic, in the order in which they were given up.
pub(crate) struct Dying<T> {
    topic: Name,
    group: Name,
    /// Of the topic, if it is durable.
    codec: Option<Name>,
    dead: Topic<DeadLetter>,
    letters: Letters,
    home: Arc<dyn Home>,
    /// The first one that waits, as a letter. Made before there is room, which depends on what it weighs.
    next: Option<Item<DeadLetter>>,
    /// By the order in which they came. Limit: the topic's capacity, of which each still holds a place; and what a replay hands out
    /// before it waits.
    waiting: BTreeMap<u64, Dead<T>>,
    /// Where those are that were not redriven, by offset. Why: a topic that evicts its oldest asks for each of them.
    by_offset: BTreeMap<u64, u64>,
    number: u64,
    /// It was told that there is no room.
    told: bool,
    /// The dead-letter topic was asked to make some, for the turn that this has in its line.
    asked: bool,
    watched: Watched,
    teller: Arc<Teller>,
    /// Those that are in a durable topic and not on the disk yet, in order. Limit: each holds two places.
    unconfirmed: VecDeque<Unconfirmed<T>>,
    /// The disk, or the codec, refused one: until then no other is tried.
    pause: Option<Sleep>,
}

struct Unconfirmed<T> {
    number: u64,
    dead: Dead<T>,
    answer: Answer<Result<Published, NotStored>>,
}

/// How long nothing is tried after the disk refused a letter.
const PAUSE: Duration = Duration::from_secs(1);

impl<T: Send + Sync + 'static> Dying<T> {
    pub(crate) fn new(
        topic: &TopicShared<T>,
        group: Name,
        dead: Topic<DeadLetter>,
        home: Arc<dyn Home>,
    ) -> Dying<T> {
        let letters = dead.shared.sender.sink();
        let (waiting, by_offset, number) = (BTreeMap::new(), BTreeMap::new(), 0);
        let (next, told, asked) = (None, false, false);
        Dying {
            topic: topic.name.clone(),
            group,
            codec: topic.settings.durable.as_ref().map(|durable| durable.codec.clone()),
            dead,
            letters,
            home,
            next,
            waiting,
            by_offset,
            number,
            told,
            asked,
            watched: topic.core.watched.clone(),
            teller: topic.core.teller.clone(),
            unconfirmed: VecDeque::new(),
            pause: None,
        }
    }

    pub(crate) fn push(&mut self, gone: Gone<T>, past: Past, reason: DeadReason) {
        if let Some(offset) = evictable(&gone, &past) {
            self.by_offset.insert(offset, self.number);
        }
        self.waiting.insert(self.number, (gone, past, reason));
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
        let messages = taken.filter_map(|(gone, past, _)| match gone {
            Gone::Message(slice) => Some((slice, past)),
            Gone::Bytes(_) => None,
        });
        let taken = messages.collect();
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
        self.waiting.len() as u64 + self.unconfirmed.len() as u64
    }

    /// Those of them that are on their way to the disk, which will answer.
    pub(crate) fn on_their_way(&self) -> u64 {
        self.unconfirmed.len() as u64
    }

    /// Moves the next message, if there is one and room for it; else the task is woken when there is.
    pub(crate) fn poll_move(&mut self, cx: &mut Context<'_>) -> Option<(Gone<T>, Past)> {
        if let Some(confirmed) = self.poll_confirmed(cx) {
            return Some(confirmed);
        }
        loop {
            if self.pause.as_mut().is_some_and(|pause| Pin::new(pause).poll(cx).is_pending()) {
                return None;
            }
            self.pause = None;
            let mut letter = self.next.take().or_else(|| self.first())?;
            if !self.poll_room(letter.weight(), cx) {
                self.next = Some(letter);
                return None;
            }
            let is_heard = self.dead.shared.settings.durable.is_some() && !planted(Bug::SettledUnburied);
            let answer = is_heard.then(|| {
                let (confirm, answer) = reply();
                letter.set_confirm(confirm);
                answer
            });
            if let Err(SendError(letter)) = self.letters.fill(letter) {
                // The topic closed in between: it stays parked.
                self.next = Some(letter);
                return None;
            }
            let (number, dead) = self.waiting.pop_first()?;
            if let Some(offset) = evictable(&dead.0, &dead.1) {
                self.by_offset.remove(&offset);
            }
            let Some(answer) = answer else { return Some(self.moved(dead)) };
            self.unconfirmed.push_back(Unconfirmed { number, dead, answer });
            if let Some(confirmed) = self.poll_confirmed(cx) {
                return Some(confirmed);
            }
        }
    }

    /// The first one that is on its way to the disk, if it is there by now. One that was refused waits again.
    fn poll_confirmed(&mut self, cx: &mut Context<'_>) -> Option<(Gone<T>, Past)> {
        loop {
            let Poll::Ready(answer) = Pin::new(&mut self.unconfirmed.front_mut()?.answer).poll(cx) else {
                return None;
            };
            let Unconfirmed { number, dead, .. } = self.unconfirmed.pop_front()?;
            match answer {
                Ok(Ok(_)) => return Some(self.moved(dead)),
                // Also if the topic is gone: it stays parked.
                refused => {
                    if let Ok(Err(NotStored { why, .. })) = refused {
                        self.refused(&why);
                    }
                    if let Some(offset) = evictable(&dead.0, &dead.1) {
                        self.by_offset.insert(offset, number);
                    }
                    self.waiting.insert(number, dead);
                    // What was made of another one that waits is not the first any more.
                    self.next = None;
                }
            }
        }
    }

    fn refused(&mut self, why: &dyn std::fmt::Display) {
        let (topic, group) = (&self.topic, &self.group);
        tracing::warn!(target: "callboard::broker", %topic, %group, error = %why, "a dead letter was not stored: it stays parked");
        let rt = &self.dead.shared.core.rt;
        self.pause = Some(rt.sleep_until(rt.now() + PAUSE));
    }

    fn moved(&self, (gone, past, reason): Dead<T>) -> (Gone<T>, Past) {
        let (topic, group, id) = (&self.topic, &self.group, gone.id());
        let attempts = past.attempts;
        self.watched.show(|| Sight::Dead { topic, group, id, attempts, reason: &reason });
        let (topic, group) = (topic.clone(), group.clone());
        if !(planted(Bug::UntoldDeadLetter) && reason == DeadReason::TooManyAttempts) {
            self.teller.tell(Event::DeadLetter { topic, group, id, reason, attempts });
        }
        (gone, past)
    }

    /// Makes a letter of the first one that waits.
    fn first(&mut self) -> Option<Item<DeadLetter>> {
        let (_, (gone, past, reason)) = self.waiting.first_key_value()?;
        let (past, home) = (past.clone(), self.home.clone());
        let letter = match gone {
            Gone::Message(Slice { batch, from, .. }) => {
                DeadLetter::new(batch.clone(), *from, self.group.clone(), past, reason.clone(), home)
            }
            Gone::Bytes(unread) => {
                let homes = Arc::new(KnownHomes(self.dead.shared.registry.clone()));
                unread.letter((&self.topic, &self.group, self.codec.as_ref()?), past, homes, home)
            }
        };
        match self.dead.shared.letter(letter) {
            Ok(letter) => Some(letter),
            Err(why) => {
                self.refused(&why);
                None
            }
        }
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

impl<T> Gone<T> {
    fn id(&self) -> MessageId {
        match self {
            Gone::Message(slice) => slice.batch.id(slice.from),
            Gone::Bytes(unread) => unread.known_as(),
        }
    }
}

/// The offset of one that holds a place which its topic may want: not of one that was redriven, or is of the history.
fn evictable<T>(gone: &Gone<T>, past: &Past) -> Option<u64> {
    match gone {
        Gone::Message(slice) if past.redrives == 0 => Some(slice.first()),
        Gone::Message(_) | Gone::Bytes(_) => None,
    }
}
