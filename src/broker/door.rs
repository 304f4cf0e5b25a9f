//! What a value must be to come in at a topic, and what it is given on the way. In the publisher's task.

use super::extra::Extra;
use super::key::{KeyFn, key_of};
use super::message::Item;
use super::room::EvictedFn;
use super::topic::TopicShared;
use super::{InvalidMessage, KeyHash};

/// What a topic calls in its publishers' tasks.
pub(crate) struct Components<T> {
    pub(crate) key: Option<KeyFn<T>>,
    pub(crate) on_evicted: Option<EvictedFn<T>>,
}

impl<T> Default for Components<T> {
    fn default() -> Components<T> {
        Components { key: None, on_evicted: None }
    }
}

/// A message that may come in, or its value and why it may not.
pub(super) type Checked<T> = Result<Item<T>, (T, InvalidMessage)>;

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// Makes a message of a value, or says why it can't be one.
    #[inline]
    pub(super) fn item(&self, value: T) -> Checked<T> {
        match &self.components.key {
            None => Ok(Item::new(value)),
            Some(_) => self.item_with(value, Extra::default()),
        }
    }

    /// Makes a message of a value and what it is to have beside it.
    pub(super) fn item_with(&self, value: T, extra: Extra) -> Checked<T> {
        match self.find_key(&value) {
            Ok(key) => Ok(Item::made(value, key, extra.boxed())),
            Err(why) => Err((value, why)),
        }
    }

    fn find_key(&self, value: &T) -> Result<KeyHash, InvalidMessage> {
        match &self.components.key {
            None => Ok(KeyHash::default()),
            Some(key) => key_of(key, value).ok_or(InvalidMessage::KeyPanicked),
        }
    }
}
