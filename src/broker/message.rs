//! Messages, and the batches in which they travel.

use std::fmt;
use std::mem::needs_drop;
use std::ops::Deref;
use std::sync::Arc;

use super::bits::Bits;
use super::claims::Claims;
use super::envelope::Again;
use super::ledger::Past;
use super::order::BatchHandle;
use super::settings::TopicSettings;
use super::tally::Tally;
use super::weight::Weighed;
use super::{Headers, KeyHash, MessageId, Overflow, TraceContext};
use crate::base::sync::{AtomicU64, Ordering};
use crate::base::{Bug, Moment, Name, catch, planted};

pub(crate) use super::item::{IdStamp, Item};

/// The most messages in one batch. A batch forms from what waits already; nothing is held back to fill one.
pub(crate) const BATCH: usize = 256;

/// What all batches of a topic share.
#[derive(Debug)]
pub(crate) struct Origin {
    topic: Name,
    /// That no other topic of this process ever has, whatever its name.
    number: u64,
    keyed: bool,
    /// Messages may be evicted.
    evicts: bool,
    weighed: bool,
    tally: Arc<Tally>,
    /// Counts the payloads that are in batches, wherever those are: with groups, in dead letters, in messages that
    /// somebody keeps. Ordering: a late view makes a batch larger or smaller than need be.
    alive: AtomicU64,
}

impl Origin {
    #[cfg(test)]
    pub(crate) fn new(topic: Name, settings: &TopicSettings) -> Arc<Origin> {
        Origin::of(topic, settings, Arc::default())
    }

    pub(crate) fn of(topic: Name, settings: &TopicSettings, tally: Arc<Tally>) -> Arc<Origin> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let (keyed, evicts) = (settings.keyed, settings.overflow == Overflow::DropOldest);
        let weighed = settings.capacity_bytes.is_some();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Origin { topic, number, keyed, evicts, weighed, tally, alive: AtomicU64::new(0) })
    }

    /// The payloads that are in batches.
    pub(crate) fn alive(&self) -> u64 {
        self.alive.load(Ordering::Relaxed)
    }
}

/// A run of messages, frozen: shared by all groups, dropped with the last of its messages.
pub(crate) struct Batch<T> {
    origin: Arc<Origin>,
    base: u64,
    items: Vec<Item<T>>,
    claims: Claims,
    expires: Option<Moment>,
    /// Some message has a time of its own.
    own_times: bool,
    /// A process that was killed may have handed out some of it.
    unclean: bool,
    /// Some message came back from the dead letters of a durable topic, and has the id that it had before.
    some_again: bool,
}

impl<T> Batch<T> {
    /// `expires`: its messages are past their time then.
    pub(crate) fn new(
        origin: &Arc<Origin>,
        base: u64,
        items: Vec<Item<T>>,
        expires: Option<Moment>,
    ) -> Batch<T> {
        origin.alive.fetch_add(items.len() as u64, Ordering::Relaxed);
        let claims = Claims::new(if origin.evicts { items.len() } else { 0 });
        let own_times = origin.tally.has_own_times() && items.iter().any(|item| item.expires().is_some());
        Batch {
            origin: origin.clone(),
            base,
            items,
            claims,
            expires,
            own_times,
            unclean: false,
            some_again: false,
        }
    }

    /// One that was read from the disk. `unclean`: some of it may have been handed out before.
    pub(crate) fn recovered(origin: &Arc<Origin>, base: u64, items: Vec<Item<T>>, unclean: bool) -> Batch<T> {
        if items.iter().any(|item| item.expires().is_some()) {
            origin.tally.on_own_time();
        }
        let mut batch = Batch::new(origin, base, items, None);
        batch.some_again = batch.items.iter().any(|item| item.again().is_some());
        batch.unclean = unclean;
        batch
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// At most [`BATCH`], so it fits.
    pub(crate) fn len(&self) -> u16 {
        u16::try_from(self.items.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn topic(&self) -> &Name {
        &self.origin.topic
    }

    /// The topic's number, see [`Origin`].
    pub(crate) fn number(&self) -> u64 {
        self.origin.number
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key of a message, if the topic's messages have keys.
    pub(crate) fn key(&self, index: u16) -> Option<KeyHash> {
        let item = self.items.get(usize::from(index)).filter(|_| self.origin.keyed);
        item.map(Item::key)
    }

    /// Whether publishers give the topic's messages ids.
    pub(crate) fn is_named(&self) -> bool {
        self.origin.tally.is_named()
    }

    /// Whether some message of the topic has, or had, a trace context.
    pub(crate) fn may_be_traced(&self) -> bool {
        self.origin.tally.is_traced()
    }

    pub(crate) fn headers(&self, index: u16) -> &Headers {
        self.items.get(usize::from(index)).map_or(Headers::none(), Item::headers)
    }

    /// Why a message of a durable topic is here again, if it is.
    pub(crate) fn again(&self, index: u16) -> Option<&Again> {
        if !self.some_again {
            return None;
        }
        self.items.get(usize::from(index)).and_then(Item::again)
    }

    /// Those of them that are here for the first time.
    pub(crate) fn first_time(&self, which: Bits) -> Bits {
        let mut first = which;
        if self.some_again {
            let again = which.iter().filter(|at| self.again(*at).is_some());
            again.for_each(|at| first = first.without(Bits::range(at, at + 1)));
        }
        first
    }

    pub(crate) fn id(&self, index: u16) -> MessageId {
        self.again(index).map_or_else(|| self.own_id(index), |again| again.original)
    }

    /// That of the place where it lies.
    pub(crate) fn own_id(&self, index: u16) -> MessageId {
        let offset = self.base + u64::from(index);
        self.items.get(usize::from(index)).map_or(MessageId::new(0, offset), |item| item.id_at(offset))
    }

    pub(crate) fn value(&self, index: u16) -> &T {
        let index = if planted(Bug::WrongMessage) && self.items.len() > 1 { 0 } else { index };
        match self.items.get(usize::from(index)) {
            Some(item) => item.value(),
            None => panic!("callboard bug: a lease points behind its batch"),
        }
    }
}

impl<T> BatchHandle for Arc<Batch<T>> {
    fn key(&self, index: u16) -> KeyHash {
        Batch::key(self, index).unwrap_or_default()
    }

    #[inline]
    fn may_be_unwanted(&self) -> bool {
        self.own_times || self.expires.is_some() || self.origin.evicts
    }

    #[inline]
    fn claim(&self, which: Bits) -> Bits {
        self.claims.claim(which)
    }

    #[inline]
    fn let_go(&self, which: Bits) {
        self.claims.let_go(which);
    }

    #[inline]
    fn settle(&self, which: Bits) {
        self.claims.settle(which);
    }

    #[inline]
    fn expires(&self) -> Option<Moment> {
        self.expires
    }

    #[inline]
    fn has_own_times(&self) -> bool {
        self.own_times
    }

    fn own_time(&self, index: u16) -> Option<Moment> {
        self.items.get(usize::from(index)).and_then(Item::expires)
    }

    #[inline]
    fn expired(&self, which: Bits, now: Moment) -> Bits {
        if self.expires.is_some_and(|at| at <= now) {
            return which;
        }
        let mut over = Bits::default();
        if self.own_times {
            let is_over = |index: &u16| self.own_time(*index).is_some_and(|at| at <= now);
            which.iter().filter(is_over).for_each(|index| over.insert(index));
        }
        over
    }
}

impl<T> Weighed for Arc<Batch<T>> {
    fn weight(&self, which: Bits) -> u64 {
        if !self.origin.weighed {
            return 0;
        }
        let weight = |at| self.items.get(usize::from(at)).map_or(0, Item::weight);
        which.iter().map(weight).sum()
    }
}

impl<T> Drop for Batch<T> {
    /// Drops the payloads one by one, so that one that panics takes no other with it, and no actor (G15).
    fn drop(&mut self) {
        self.origin.alive.fetch_sub(self.items.len() as u64, Ordering::Relaxed);
        if !needs_drop::<T>() {
            return;
        }
        for value in self.items.drain(..).map(Item::into_value) {
            if let Err(text) = catch(move || drop(value)) {
                tracing::error!(target: "callboard::broker", topic = %self.origin.topic, panic = %text, "a payload's drop panicked");
            }
        }
    }
}

/// Hands a message to a handler: dereferences to the payload, and knows its id and its attempt.
///
/// It is a cheap handle (cloning shares the payload) and carries no ack: what the handler returns decides.
/// Keeping it keeps the payload's whole batch, at most 256 payloads, in memory.
pub struct Message<T> {
    pub(crate) batch: Arc<Batch<T>>,
    pub(crate) index: u16,
    /// Why so small: it fits where a handle had room to spare, and moves with each message.
    pub(crate) redrives: u16,
    pub(crate) attempt: u32,
}

impl<T> Message<T> {
    /// A message whose next handling begins.
    #[inline]
    pub(crate) fn on_loan(batch: Arc<Batch<T>>, index: u16, past: &Past) -> Message<T> {
        Message { batch, index, redrives: past.redrives, attempt: past.attempts.saturating_add(1) }
    }

    /// Returns the message's id, the one that `publish` answered.
    pub fn id(&self) -> MessageId {
        self.batch.id(self.index)
    }

    /// Returns which handling of the message by this group this is: 1 on the first, and on the first after a redrive.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns whether an earlier process may have handed it to this group without living to note it: of a durable topic,
    /// all that was there when the topic was opened, unless the process before shut its broker down.
    ///
    /// Then [`Message::attempt`] counts the attempts that are known; there may have been one more.
    pub fn maybe_redelivered(&self) -> bool {
        self.batch.unclean
    }

    /// Returns how often the message came back to this group from its dead letters, see [`DeadLetter::redrive`].
    ///
    /// It is 0 unless somebody redrove it; each redrive begins the attempts anew.
    ///
    /// [`DeadLetter::redrive`]: super::DeadLetter::redrive
    pub fn redrives(&self) -> u32 {
        self.redrives.into()
    }

    /// Returns the hash of the message's key, if its topic was opened with [`TopicBuilder::key`].
    ///
    /// [`TopicBuilder::key`]: super::TopicBuilder::key
    pub fn key(&self) -> Option<KeyHash> {
        Batch::key(&self.batch, self.index)
    }

    /// Returns the headers that the message was published with; an empty list if it has none.
    pub fn headers(&self) -> &Headers {
        self.batch.headers(self.index)
    }

    /// Returns the trace that the message belongs to, if a header says so.
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::of(self.headers())
    }

    /// Returns the name of the topic the message was published to.
    pub fn topic(&self) -> &Name {
        self.batch.topic()
    }
}

impl<T> Deref for Message<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.batch.value(self.index)
    }
}

impl<T> Clone for Message<T> {
    fn clone(&self) -> Message<T> {
        Message { batch: self.batch.clone(), ..*self }
    }
}

impl<T: fmt::Debug> fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &format_args!("{}", self.id()))
            .field("attempt", &self.attempt)
            .field("payload", &**self)
            .finish()
    }
}

#[cfg(test)]
mod tests;
