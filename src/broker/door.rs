//! What a value must be to come in at a topic, and what it is given on the way. In the publisher's task.

use std::sync::Arc;

use super::codec::Codec;
use super::dedup::{DedupFn, dedup_key_of};
use super::extra::Extra;
use super::follow;
use super::key::{KeyFn, key_of};
use super::message::Item;
use super::record::{self, Record};
use super::room::EvictedFn;
use super::settings::TopicSettings;
use super::spill::Spiller;
use super::topic::TopicShared;
use super::weight::{Weigher, weigh};
use super::{DeadLetter, InvalidMessage, KeyHash, TraceContext};
use crate::base::{Name, whole_millis};
use crate::log::Vfs;
use crate::runtime::Rt;

/// A codec, and a file system.
pub(crate) type SpillOn<T> = (Arc<dyn Codec<T>>, Arc<dyn Vfs>);

/// What a topic calls in its publishers' tasks.
pub(crate) struct Components<T> {
    pub(crate) key: Option<KeyFn<T>>,
    pub(crate) on_evicted: Option<EvictedFn<T>>,
    pub(crate) dedup: Option<DedupFn<T>>,
    pub(crate) weigher: Option<Weigher<T>>,
    /// Present if the topic is durable.
    pub(crate) codec: Option<Arc<dyn Codec<T>>>,
    /// Present if the topic spills: how, and on which file system.
    pub(crate) spill: Option<SpillOn<T>>,
}

impl<T> Default for Components<T> {
    fn default() -> Components<T> {
        Components { key: None, on_evicted: None, dedup: None, weigher: None, codec: None, spill: None }
    }
}

impl<T> Components<T> {
    /// What writes messages that the topic has no room for.
    pub(super) fn spiller(&self, topic: &Name, settings: &TopicSettings, rt: &Rt) -> Option<Arc<Spiller<T>>> {
        let ((codec, vfs), dir) = self.spill.as_ref().zip(settings.spill_dir.as_ref())?;
        let ttl = settings.ttl.map(whole_millis);
        Some(Arc::new(Spiller {
            vfs: vfs.clone(),
            dir: dir.clone(),
            topic: topic.clone(),
            codec: codec.clone(),
            rt: rt.clone(),
            keyed: settings.keyed,
            ttl,
        }))
    }
}

/// A message that may come in, or its value and why it may not.
pub(super) type Checked<T> = Result<Item<T>, (T, InvalidMessage)>;

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// Whether a value makes a message as it is: there is nothing to find out, or to add.
    #[inline]
    pub(super) fn takes_as_is(&self) -> bool {
        let Components { key, dedup, weigher, codec, .. } = &self.components;
        key.is_none() && dedup.is_none() && weigher.is_none() && codec.is_none() && !follow::is_followed()
    }

    /// Makes a message of a value, or says why it can't be one.
    #[inline]
    pub(super) fn item(&self, value: T) -> Checked<T> {
        if self.takes_as_is() { Ok(Item::new(value)) } else { self.item_with(value, Extra::default()) }
    }

    /// Makes a message of a value and what it is to have beside it.
    pub(super) fn item_with(&self, value: T, extra: Extra) -> Checked<T> {
        self.check(value, extra, None)
    }

    /// As [`TopicShared::item_with`], of a message that is to come in at that time, in milliseconds since 1970.
    pub(super) fn item_due(&self, value: T, extra: Extra, due: u64) -> Checked<T> {
        self.check(value, extra, Some(due))
    }

    fn check(&self, value: T, mut extra: Extra, due: Option<u64>) -> Checked<T> {
        match self.complete(&value, &mut extra, due) {
            Ok(key) => Ok(self.made(value, key, extra)),
            Err(why) => Err((value, why)),
        }
    }

    fn made(&self, value: T, key: KeyHash, extra: Extra) -> Item<T> {
        if TraceContext::of(&extra.headers).is_some() {
            self.tally.on_traced();
        }
        if extra.ttl.is_some() {
            self.tally.on_own_time();
        }
        Item::made(value, key, extra.boxed())
    }

    /// Adds to `extra` what the topic finds itself; answers the key.
    fn complete(&self, value: &T, extra: &mut Extra, due: Option<u64>) -> Result<KeyHash, InvalidMessage> {
        if let (Some(dedup), None) = (&self.components.dedup, &extra.dedup) {
            extra.dedup = Some(dedup_key_of(dedup, value)?);
        }
        extra.weight = self.weigh(value, extra.headers.bytes())?;
        // Why after: a message that fits must not be too large for what its publisher did not ask for.
        if follow::is_followed() {
            follow::continue_in(&mut extra.headers);
        }
        let key = self.find_key(value)?;
        if let Some(codec) = &self.components.codec {
            extra.record = Some(self.write(&**codec, value, key, (extra, due))?);
        }
        Ok(key)
    }

    /// Writes it as it is to be on the disk.
    fn write(
        &self,
        codec: &dyn Codec<T>,
        value: &T,
        key: KeyHash,
        (extra, due): (&Extra, Option<u64>),
    ) -> Result<Box<Record>, InvalidMessage> {
        let comes = || due.unwrap_or_else(|| self.core.rt.wall_millis());
        // Why the topic's too, once ids are given: they don't say when their messages came in.
        let of_topic = self.settings.ttl.filter(|_| extra.id.is_some() || self.tally.is_named());
        let ttl = extra.ttl.into_iter().chain(of_topic).min();
        let expires = ttl.map(|ttl| comes().saturating_add(whole_millis(ttl)));
        let key = self.settings.keyed.then_some(key);
        let bytes = record::to_bytes(codec, value, key, &extra.headers, (expires, due))?;
        let limit = self.core.disk.as_ref().map_or(usize::MAX, |disk| disk.most_bytes());
        match bytes.len() > limit {
            true => Err(InvalidMessage::TooLarge { bytes: bytes.len(), limit }),
            false => Ok(Box::new(Record { bytes, ..Record::default() })),
        }
    }

    /// The message of a letter, as it is to come back. `None`: the codec can't read or write it.
    pub(super) fn item_again(&self, letter: &DeadLetter) -> Option<Item<T>> {
        let all = self.settings.capacity_bytes.unwrap_or(0) as u64;
        let weight = |value: &T, headers| self.weigh(value, headers).unwrap_or(all);
        record::item_again(&**self.components.codec.as_ref()?, letter, weight)
    }

    fn find_key(&self, value: &T) -> Result<KeyHash, InvalidMessage> {
        match &self.components.key {
            None => Ok(KeyHash::default()),
            Some(key) => key_of(key, value).ok_or(InvalidMessage::KeyPanicked),
        }
    }

    fn weigh(&self, value: &T, headers: usize) -> Result<u64, InvalidMessage> {
        match (&self.components.weigher, self.settings.capacity_bytes) {
            (Some(weigher), Some(limit)) => weigh(weigher, value, headers, limit),
            _ => Ok(0),
        }
    }
}

impl TopicShared<DeadLetter> {
    /// Makes a message of a dead letter, in the trace of the one that it carries. It is refused by nothing: one that is too
    /// large for the topic, or can't be weighed, counts as all that the topic may hold, and so comes in alone.
    ///
    /// # Errors
    /// On disk: it can't be written, for this reason.
    pub(super) fn letter(&self, letter: DeadLetter) -> Result<Item<DeadLetter>, InvalidMessage> {
        let all = self.settings.capacity_bytes.unwrap_or(0) as u64;
        let weight = self.weigh(&letter, 0).unwrap_or(all);
        let key = self.find_key(&letter).unwrap_or_default();
        let (mut extra, original) = (Extra { weight, ..Extra::default() }, letter.original_headers());
        if let Some(context) = TraceContext::of(original) {
            context.add_to(&mut extra.headers, original);
        }
        if let Some(codec) = &self.components.codec {
            extra.record = Some(self.write(&**codec, &letter, key, (&extra, None))?);
        }
        Ok(self.made(letter, key, extra))
    }
}
