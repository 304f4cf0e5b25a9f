//! Messages as they wait in their topic's mailbox, and how they get their ids there.

use std::sync::Arc;

use super::dedup::DedupKey;
use super::envelope::Again;
use super::extra::Extra;
use super::message::BATCH;
use super::record::{Confirm, Home, Record};
use super::tally::Tally;
use super::window::Window;
use super::{Dedup, Headers, KeyHash, MessageId, Published};
use crate::base::{Bug, Moment, planted};
use crate::mailbox::Stamp;
use crate::runtime::Rt;

/// A payload as it waits in its topic's mailbox.
pub(crate) struct Item<T> {
    millis: u64,
    /// Means nothing in a topic without keys.
    key: KeyHash,
    extra: Option<Box<Extra>>,
    value: T,
}

impl<T> Item<T> {
    pub(crate) fn new(value: T) -> Item<T> {
        Item::made(value, KeyHash::default(), None)
    }

    pub(crate) fn made(value: T, key: KeyHash, extra: Option<Box<Extra>>) -> Item<T> {
        Item { millis: 0, key, extra, value }
    }

    /// As it was when it was written to the disk, its time of acceptance included; with an id of its own, `extra` has that.
    pub(crate) fn read(millis: u64, value: T, key: KeyHash, extra: Option<Box<Extra>>) -> Item<T> {
        Item { millis, key, extra, value }
    }

    /// As if the mailbox had stamped it.
    #[cfg(test)]
    pub(crate) fn stamped(millis: u64, value: T) -> Item<T> {
        Item { millis, ..Item::new(value) }
    }

    pub(crate) fn into_value(self) -> T {
        self.value
    }

    /// What it weighs, in a topic that has a limit in bytes.
    #[inline]
    pub(crate) fn weight(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.weight)
    }

    /// When its own time is over, if it has one.
    pub(super) fn expires(&self) -> Option<Moment> {
        self.extra.as_ref()?.expires
    }

    /// Its id, at this offset.
    #[inline]
    pub(super) fn id_at(&self, offset: u64) -> MessageId {
        MessageId::at(offset, self.millis, self.seq())
    }

    /// The second part of an id of its own.
    #[inline]
    pub(crate) fn seq(&self) -> Option<u64> {
        Some(self.extra.as_ref()?.id?.1)
    }

    /// Of a message whose id the topic gave, to be given another one.
    pub(crate) fn without_id(mut self) -> Item<T> {
        if let Some(extra) = &mut self.extra {
            extra.id = None;
        }
        self
    }

    /// Why it was kept out, if its id was.
    pub(crate) fn take_behind(&mut self) -> Option<MessageId> {
        self.extra.as_mut()?.behind.take().map(|behind| *behind)
    }

    #[inline]
    pub(crate) fn dedup_key(&self) -> Option<&DedupKey> {
        self.extra.as_ref()?.dedup.as_ref()
    }
}

/// In a durable topic.
impl<T> Item<T> {
    pub(crate) fn millis(&self) -> u64 {
        self.millis
    }

    pub(super) fn key(&self) -> KeyHash {
        self.key
    }

    pub(super) fn value(&self) -> &T {
        &self.value
    }

    pub(super) fn headers(&self) -> &Headers {
        Extra::headers(self.extra.as_deref())
    }

    /// What it was before, if it came back from the dead letters.
    pub(crate) fn again(&self) -> Option<&Again> {
        self.extra.as_ref()?.again.as_deref()
    }

    pub(crate) fn take_record(&mut self) -> Record {
        let record = self.extra.as_mut().and_then(|extra| extra.record.take());
        record.map(|record| *record).unwrap_or_default()
    }

    /// Where it lies until it is stored, if it was delayed.
    pub(crate) fn home(&self) -> Option<Home> {
        self.extra.as_ref()?.record.as_ref()?.home
    }

    /// Of a message that was read from the disk.
    pub(crate) fn set_dedup(&mut self, key: DedupKey) {
        self.extra.get_or_insert_default().dedup = Some(key);
    }

    pub(crate) fn set_record(&mut self, record: Record) {
        self.extra.get_or_insert_default().record = Some(Box::new(record));
    }

    /// Comes in behind the message with these milliseconds, and this sequence if its id was given, or came after one that was.
    ///
    /// # Errors
    /// What its own id is not above.
    pub(crate) fn come_after(&mut self, last: Option<(u64, Option<u64>)>) -> Result<(), MessageId> {
        let given = self.extra.as_ref().and_then(|extra| extra.id);
        match (given, last) {
            // Why the last of its millisecond: ids that are given are not between those of the topic's own.
            (Some(id), Some((millis, seq))) if is_behind(id, (millis, seq.unwrap_or(u64::MAX))) => {
                return Err(MessageId::from_parts(millis, seq.unwrap_or(u64::MAX)));
            }
            (Some((millis, _)), _) => self.millis = millis,
            (None, Some((millis, Some(seq)))) => {
                let id = next_id((millis, seq), self.millis);
                (self.millis, self.extra.get_or_insert_default().id) = (id.0, Some(id));
            }
            (None, Some((millis, None))) => self.millis = self.millis.max(millis),
            (None, None) => {}
        }
        Ok(())
    }

    /// Who waits to hear that it is stored.
    pub(crate) fn take_confirm(&mut self) -> Option<Confirm> {
        self.extra.as_mut()?.record.as_mut()?.confirm.take()
    }

    /// Lets somebody hear that it is stored.
    pub(crate) fn set_confirm(&mut self, confirm: Confirm) {
        if let Some(record) = self.extra.as_mut().and_then(|extra| extra.record.as_mut()) {
            record.confirm = Some(confirm);
        }
    }

    /// It is stored: its own time begins, and nothing is needed any more but what handlers see.
    pub(crate) fn accept(&mut self, rt: &Rt) {
        let Some(extra) = &mut self.extra else { return };
        (extra.dedup, extra.record) = (None, None);
        if let Some(ttl) = extra.ttl {
            extra.expires = Some(rt.now() + ttl);
        }
        if extra.is_empty() {
            self.extra = None;
        }
    }
}

/// Gives each message its id, under the lock of the topic's mailbox, and knows which keys were accepted of late.
///
/// Once a publisher has given an id, those that the topic gives go on from it: sequences count within a millisecond, as in
/// Redis's streams, since offsets say nothing about them any more.
pub(crate) struct IdStamp {
    rt: Rt,
    millis: u64,
    /// Some message has these milliseconds.
    begun: bool,
    /// The last id, where publishers give them.
    own: Option<(u64, u64)>,
    dedup: Dedup,
    /// Made with the first key.
    window: Option<Box<Window>>,
    tally: Arc<Tally>,
    /// The topic is durable: what is accepted here is not stored yet, and ids and what becomes of keys are decided then.
    stored: bool,
}

impl IdStamp {
    pub(crate) fn new(rt: Rt, dedup: Dedup, tally: Arc<Tally>) -> IdStamp {
        IdStamp { rt, millis: 0, begun: false, own: None, dedup, window: None, tally, stored: false }
    }

    /// For a durable topic, with its last id.
    pub(crate) fn stored(self, last: Option<MessageId>, named: bool) -> IdStamp {
        if named {
            self.tally.on_named();
        }
        // Where publishers give ids, those say nothing of the clock.
        let millis = last.filter(|_| !named).map_or(0, MessageId::unix_millis);
        IdStamp { millis, stored: true, ..self }
    }

    /// What an id that a publisher gives must be above.
    fn above(&self) -> Option<(u64, u64)> {
        // Why the last of its millisecond: as on disk, where which offset came last is known to the log alone.
        self.own.or_else(|| self.begun.then_some((self.millis, u64::MAX)))
    }

    #[cold]
    fn keep_out(&self, extra: &mut Extra, id: (u64, u64)) -> bool {
        let above = self.above().filter(|above| is_behind(id, *above));
        extra.behind = above.map(|(millis, seq)| Box::new(MessageId::from_parts(millis, seq)));
        above.is_some()
    }

    /// The id of a message that has one of its own, or comes after one that had.
    fn name(&mut self, its: &mut Option<Box<Extra>>, offset: u64) -> MessageId {
        let given = its.as_ref().and_then(|extra| extra.id);
        let Some((millis, seq)) = given.or_else(|| self.own.map(|last| next_id(last, self.millis))) else {
            return MessageId::new(self.millis, offset);
        };
        if self.own.is_none() {
            self.tally.on_named();
        }
        (self.own, self.millis) = (Some((millis, seq)), self.millis.max(millis));
        its.get_or_insert_default().id = Some((millis, seq));
        MessageId::at(offset, millis, Some(seq))
    }

    #[cold]
    fn find(&mut self, key: &DedupKey) -> Option<Published> {
        if planted(Bug::LateDedup) {
            return None;
        }
        let now = self.rt.now();
        let found = self.window.as_mut().and_then(|window| window.find(&self.dedup, key, now));
        if planted(Bug::KeyOfRefused) && found.is_none() {
            let id = MessageId::new(self.millis, u64::MAX);
            self.window.get_or_insert_default().insert(&self.dedup, key.clone(), id, now);
        }
        let id = found?;
        self.tally.on_repeat();
        Some(Published { id, repeated: true })
    }

    #[cold]
    fn stamp_extra(&mut self, its: &mut Option<Box<Extra>>, offset: u64) -> MessageId {
        if self.stored {
            return MessageId::new(self.millis, offset);
        }
        let id = self.name(its, offset);
        self.accept(its, id);
        id
    }

    fn accept(&mut self, its: &mut Option<Box<Extra>>, id: MessageId) {
        let Some(extra) = its else { return };
        if let Some(ttl) = extra.ttl {
            extra.expires = Some(self.rt.now() + ttl);
        }
        if let Some(key) = extra.dedup.take() {
            if extra.is_empty() {
                *its = None;
            }
            let now = self.rt.now();
            self.window.get_or_insert_default().insert(&self.dedup, key, id, now);
        }
    }
}

fn is_behind(id: (u64, u64), last: (u64, u64)) -> bool {
    id <= last && !planted(Bug::StaleId)
}

/// The id behind `last` that a topic gives by itself, in this millisecond. There is always one, see [`InvalidMessage::Id`].
///
/// [`InvalidMessage::Id`]: super::InvalidMessage::Id
fn next_id(last: (u64, u64), millis: u64) -> (u64, u64) {
    match last.1.checked_add(1) {
        _ if millis > last.0 => (millis, 0),
        Some(seq) => (last.0, seq),
        None => (last.0.saturating_add(1), 0),
    }
}

impl<T: 'static> Stamp<Item<T>> for IdStamp {
    type Receipt = Published;

    /// Reads the clock for the first message of a burst and for each 256th after it.
    #[inline]
    fn stamp(&mut self, item: &mut Item<T>, offset: u64, first: bool) -> Published {
        if first || offset.is_multiple_of(BATCH as u64) {
            self.millis = self.millis.max(self.rt.wall_millis());
        }
        self.begun = true;
        let id = match item.extra.is_some() || self.own.is_some() {
            true => self.stamp_extra(&mut item.extra, offset),
            false => MessageId::new(self.millis, offset),
        };
        item.millis = id.unix_millis();
        Published { id, repeated: false }
    }

    #[inline]
    fn keeps_out(&mut self, item: &mut Item<T>) -> bool {
        match item.extra.as_mut().and_then(|extra| Some((extra.id?, extra))) {
            Some((id, extra)) if !self.stored => self.keep_out(extra, id),
            _ => false,
        }
    }

    #[inline]
    fn known(&mut self, item: &Item<T>) -> Option<Published> {
        if self.stored {
            return None;
        }
        self.find(item.dedup_key()?)
    }

    #[inline]
    fn weight(item: &Item<T>) -> u64 {
        item.weight()
    }
}
