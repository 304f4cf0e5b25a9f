//! What the schedule of a durable topic has on the disk.
//!
//! ```text
//!   publish_after ──▶ append to "orders schedule" ──▶ agenda ──due──▶ append to "orders" and done in "orders schedule"
//!                                 ▲                      │                        (one commit)
//!                                 └──── lags behind ─────┘
//! ```
//! A schedule is a topic of the log of its own, which no broker opens, with one group that is done with what has left.
//! A message is in one of the two topics at every instant, and in no more than one: it moves in one commit. One that
//! waits long while others come and go would keep all of theirs on the disk, so what lags is written anew behind them.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Due, ScheduleActor, ScheduleWord};
use crate::base::{Bug, Moment, drop_each, planted};
use crate::broker::disk::Keeper;
use crate::broker::item::Item;
use crate::broker::record::{Confirm, Home, NotStored, Record as Stored};
use crate::broker::scheduled::CancelError;
use crate::broker::witness::Sight;
use crate::broker::{Durability, MessageId, Published, Scheduled};
use crate::log::{Done, LogError, Record, Records, Settles};
use crate::mailbox::{Answer, Reply};

/// So long after the disk refused what was due it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// What lags behind so many times what waits is written anew; but no less than so many messages.
const LAG: (u64, u64) = (4, 1024);

pub(crate) struct OnDisk<T> {
    /// The schedule's marks in the log, not the topic's.
    pub(crate) keeper: Keeper,
    pub(crate) durability: Durability,
    /// Appends that the log has not answered, in turn. Limit: each message has a place, and one is written anew.
    writing: VecDeque<Writing<T>>,
    /// What is in the topic, on its way into that one's log, in turn. Limit: each has a place.
    moving: VecDeque<Moving>,
    /// Those who cancel, in turn. Limit: each message had a place.
    cancelling: VecDeque<Cancelling<T>>,
    /// Where each message lies that waits or moves. Limit: each has a place.
    lying: BTreeMap<u64, Key>,
    /// One behind the last offset.
    next: u64,
    /// The one that is being written anew: until that is done it stays where it is.
    rewritten: Option<Key>,
    /// Nothing moves before: the disk refused the last one.
    stuck: Option<Moment>,
    /// Messages that the topic took along when it went away. The disk has them.
    pub(super) astray: u64,
}

/// A message's moment and number.
type Key = (Moment, u64);

enum Writing<T> {
    New(Due<T>, Option<Confirm>),
    /// With where it was.
    Anew(Key, u64),
}

struct Moving {
    key: Key,
    offset: u64,
    answer: Answer<Result<Published, NotStored>>,
}

struct Cancelling<T> {
    key: Key,
    item: Item<T>,
    answer: Reply<Result<T, CancelError>>,
}

impl<T> OnDisk<T> {
    /// `next`: one behind the last offset that is there.
    pub(crate) fn new(keeper: Keeper, durability: Durability, next: u64) -> OnDisk<T> {
        OnDisk {
            keeper,
            durability,
            writing: VecDeque::new(),
            moving: VecDeque::new(),
            cancelling: VecDeque::new(),
            lying: BTreeMap::new(),
            next,
            rewritten: None,
            stuck: None,
            astray: 0,
        }
    }

    /// Nothing is asked of the log, or of the topic, that was not answered.
    pub(super) fn is_idle(&self) -> bool {
        self.writing.is_empty() && self.moving.is_empty() && self.cancelling.is_empty()
    }

    /// Something is on its way into the topic's log.
    pub(super) fn is_moving(&self) -> bool {
        !self.moving.is_empty()
    }

    /// So is this one.
    pub(super) fn moves(&self, key: Key) -> bool {
        self.moving.iter().any(|moving| moving.key == key)
    }

    /// Until when what is due is to wait, if so.
    pub(super) fn stuck(&self, now: Moment) -> Option<Moment> {
        self.stuck.filter(|until| *until > now)
    }

    pub(super) fn is_rewritten(&self, key: Key) -> bool {
        self.rewritten == Some(key)
    }

    /// The message that is to be written anew, if one lags too far behind.
    fn laggard(&self) -> Option<(u64, Key)> {
        let (times, least) = LAG;
        let (offset, key) = self.lying.first_key_value()?;
        let most = (times * self.lying.len() as u64).max(least);
        (self.rewritten.is_none() && self.next - offset > most).then_some((*offset, *key))
    }

    fn settles(&self, offset: u64) -> Settles {
        Settles { topic: self.keeper.number, group: Home::GROUP, done: vec![(offset, offset + 1)] }
    }

    fn home(&self, offset: u64) -> Home {
        Home { schedule: self.keeper.number, offset }
    }
}

impl<T: Send + Sync + 'static> ScheduleActor<T> {
    /// What was there when the topic was opened.
    pub(super) fn recover(&mut self, waiting: Vec<(Moment, Item<T>)>) {
        let Some(disk) = &mut self.disk else { return };
        self.mailbox.preload(waiting.len() as u64, waiting.len() as u64, 0);
        for (number, (at, item)) in (0..).zip(waiting) {
            if let Some(home) = item.home() {
                disk.lying.insert(home.offset, (at, number));
            }
            let topic = &self.topic;
            self.watched.show(|| Sight::Scheduled { topic, number, due: at });
            self.agenda.on_message(at, number, item);
        }
    }

    /// Begins to write a message down.
    pub(super) fn write(&mut self, mut due: Due<T>) {
        let Some(disk) = &mut self.disk else { return };
        let mut stored = due.item.take_record();
        let (confirm, mut records) = (stored.confirm.take(), Records::default());
        let key = due.item.dedup_key();
        let millis = self.rt.wall_millis();
        records.push(&Record { millis, seq: None, key: key.map(|key| &**key), body: &stored.bytes });
        due.item.set_record(stored);
        disk.writing.push_back(Writing::New(due, confirm));
        self.append(records, None);
    }

    fn append(&mut self, records: Records, settles: Option<Settles>) {
        let Some(disk) = &self.disk else { return };
        let own = self.mailbox.sender();
        // An error: the schedule has ended, and with it all who wait.
        let done = Done::new(move |result| drop(own.control(ScheduleWord::Written(result))));
        let sync = disk.durability == Durability::EveryPublish;
        disk.keeper.disk.log.append((disk.keeper.number, records), settles, sync, done);
        disk.keeper.disk.wrote(disk.durability);
    }

    /// The log has answered for the oldest append.
    pub(super) fn on_written(&mut self, result: Result<u64, LogError>) {
        let Some(disk) = &mut self.disk else { return };
        let grows = result.is_ok();
        if let Ok(offset) = &result {
            disk.next = offset + 1;
        }
        match (disk.writing.pop_front(), result) {
            (Some(Writing::New(mut due, confirm)), Ok(offset)) => {
                let record = due.item.take_record();
                due.item.set_record(Stored { home: Some(disk.home(offset)), ..record });
                disk.lying.insert(offset, (due.at, due.number));
                self.put_in(due);
                // Its id comes later, in the topic.
                let published = Published { id: MessageId::new(0, offset), repeated: false };
                confirm.map(|confirm| confirm.send(Ok(published)));
            }
            (Some(Writing::New(due, confirm)), Err(why)) => {
                self.agenda.on_refused(due.number);
                self.mailbox.settle(1);
                let value = Box::new(due.into_value());
                confirm.map(|confirm| confirm.send(Err(NotStored { value, why: why.into() })));
            }
            (Some(Writing::Anew(key, old)), result) => self.on_rewritten(key, old, result.ok()),
            (None, _) => {}
        }
        // Why not after a refusal: it would be refused at once again, and again. Nor at the end, which nobody is to wait for.
        if grows && self.over.is_none() {
            self.rewrite();
        }
    }

    /// Begins to write the message anew that lags behind, if one does.
    fn rewrite(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        let Some((offset, key)) = disk.laggard() else { return };
        // `None`: it is just leaving.
        let Some(item) = self.agenda.get_mut(key) else { return };
        let (stored, mut records) = (item.take_record(), Records::default());
        let dedup = item.dedup_key();
        let millis = self.rt.wall_millis();
        records.push(&Record { millis, seq: None, key: dedup.map(|key| &**key), body: &stored.bytes });
        item.set_record(stored);
        disk.rewritten = Some(key);
        disk.writing.push_back(Writing::Anew(key, offset));
        let settles = disk.settles(offset);
        self.append(records, Some(settles));
    }

    fn on_rewritten(&mut self, key: Key, old: u64, offset: Option<u64>) {
        let Some(disk) = &mut self.disk else { return };
        disk.rewritten = None;
        if let (Some(offset), Some(item)) = (offset, self.agenda.get_mut(key)) {
            disk.lying.remove(&old);
            disk.lying.insert(offset, key);
            let record = item.take_record();
            item.set_record(Stored { home: Some(disk.home(offset)), ..record });
        }
        self.cancel_if_asked(key.1);
    }

    /// Cancels a message of which it was not known yet where it would be.
    fn cancel_if_asked(&mut self, number: u64) {
        if let Some((at, answer)) = self.asked.remove(&number) {
            self.cancel(at, number, answer);
        }
    }

    /// A message was cancelled: it is gone once the disk knows.
    pub(super) fn strike_out(&mut self, key: Key, item: Item<T>, answer: Reply<Result<T, CancelError>>) {
        let (Some(disk), Some(home)) = (&mut self.disk, item.home()) else { return };
        let offset = if planted(Bug::ComesAnyway) { u64::MAX - 1 } else { home.offset };
        disk.cancelling.push_back(Cancelling { key, item, answer });
        let own = self.mailbox.sender();
        let done = Done::new(move |result| drop(own.control(ScheduleWord::StruckOut(result))));
        disk.keeper.disk.log.settle(disk.settles(offset), done);
        disk.keeper.disk.wrote(disk.durability);
    }

    /// The log has answered for the oldest that was cancelled.
    pub(super) fn on_struck_out(&mut self, result: Result<(), LogError>) {
        let Some(disk) = &mut self.disk else { return };
        let Some(Cancelling { key, item, answer }) = disk.cancelling.pop_front() else { return };
        match result {
            Ok(()) => {
                item.home().map(|home| disk.lying.remove(&home.offset));
                self.on_cancelled(key.1, item, answer);
            }
            Err(error) => {
                self.agenda.put_back(key, item);
                let scheduled = Scheduled { of: self.id, number: key.1, due: key.0 };
                drop(answer.send(Err(CancelError::NotStored(scheduled, error.into()))));
            }
        }
    }

    /// A message is in the topic, on its way into that one's log.
    pub(super) fn begin_move(&mut self, key: Key, offset: u64, answer: Answer<Result<Published, NotStored>>) {
        if let Some(disk) = &mut self.disk {
            disk.moving.push_back(Moving { key, offset, answer });
        }
    }

    /// Lets go of what the topic has stored, and takes back what it did not. Answers whether there was any.
    pub(super) fn end_moves(&mut self, cx: &mut Context<'_>) -> bool {
        let mut some = false;
        while let Some(disk) = &mut self.disk
            && let Some(moving) = disk.moving.front_mut()
            && let Poll::Ready(answer) = Pin::new(&mut moving.answer).poll(cx)
            && let Some(Moving { key, offset, .. }) = disk.moving.pop_front()
        {
            some = true;
            match answer {
                Ok(Ok(Published { id, .. })) => {
                    disk.lying.remove(&offset);
                    self.on_moved(key, id);
                    self.cancel_if_asked(key.1);
                }
                Ok(Err(NotStored { value, why })) => {
                    disk.stuck = Some(self.rt.now() + TRY_AGAIN);
                    let topic = &self.topic;
                    tracing::warn!(target: "callboard::broker", %topic, error = %why, "what is due waits for the disk");
                    match value.downcast::<Item<T>>() {
                        Ok(item) => self.agenda.put_back(key, *item),
                        Err(other) => drop(drop_each([other])),
                    }
                    self.cancel_if_asked(key.1);
                }
                // The topic's task was taken away by its runtime.
                Err(_) => {
                    disk.astray += 1;
                    self.asked.remove(&key.1);
                }
            }
        }
        some
    }
}
