//! The codec of dead-letter topics, whose messages are of as many types as the topics that they come from have.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use super::DeadLetter;
use super::letter::Letter;
use super::payload::Stored;
use crate::base::{Fault, Name};
use crate::broker::codec::{Codec, codec_name};
use crate::broker::envelope::Envelope;
use crate::broker::ledger::Past;
use crate::broker::redrive::Home;

/// The codec of a topic on disk, its type forgotten.
#[derive(Clone)]
pub(crate) struct AnyCodec {
    name: Name,
    /// An `Arc<dyn Codec<T>>`.
    codec: Arc<dyn Any + Send + Sync>,
}

impl AnyCodec {
    /// # Errors
    /// A sentence: the codec's name can't be one.
    pub(crate) fn new<T: 'static>(codec: Arc<dyn Codec<T>>) -> Result<AnyCodec, String> {
        Ok(AnyCodec { name: codec_name(&*codec)?, codec: Arc::new(codec) })
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// `None`: it is for another type.
    pub(crate) fn of<T: 'static>(&self) -> Option<&Arc<dyn Codec<T>>> {
        self.codec.downcast_ref()
    }
}

/// What dead letters on disk need of the topics and groups that they come from, which may be opened later than they
/// are read, or never.
pub(crate) trait Homes: Send + Sync + 'static {
    /// The codec of the topic of that name, if it is open.
    fn codec(&self, topic: &Name) -> Option<AnyCodec>;

    /// The group that gave messages up, whether or not it is open yet.
    fn home(&self, topic: &Name, group: &Name) -> Arc<dyn Home>;
}

/// Writes dead letters, each with the codec of the topic that it comes from; reads them without one.
pub(crate) struct Letters {
    pub(crate) homes: Arc<dyn Homes>,
}

impl Letters {
    pub(crate) const NAME: &str = "callboard.dead/1";
}

impl Codec<DeadLetter> for Letters {
    fn name(&self) -> &str {
        Letters::NAME
    }

    fn encode(&self, letter: &DeadLetter, into: &mut Vec<u8>) -> Result<(), Fault> {
        let DeadLetter { payload, index, group, past, reason, .. } = letter;
        let (stored, topic) = (payload.stored(), payload.topic());
        let mut written = Vec::new();
        let (codec, version) = match stored {
            Some(stored) => (stored.codec.clone(), stored.version),
            None => {
                let codec = self.homes.codec(topic);
                let codec = codec.ok_or_else(|| Fault::new(format!("the topic {topic} has no codec")))?;
                let version = payload.write(*index, &codec, &mut written)?;
                (codec.name, version)
            }
        };
        let message = Envelope {
            key: payload.key(*index),
            headers: Cow::Borrowed(payload.headers(*index)),
            version,
            ..Envelope::of(stored.map_or(&written, |stored| &stored.payload))
        };
        let letter = Letter {
            reason: reason.clone(),
            attempts: past.attempts,
            redrives: past.redrives,
            error: past.error.clone(),
            topic: topic.clone(),
            group: group.clone(),
            id: payload.id(*index),
            codec,
            message,
        };
        letter.encode(into);
        Ok(())
    }

    fn decode(&self, bytes: &[u8], _: u32) -> Result<DeadLetter, Fault> {
        let Letter { reason, attempts, redrives, error, topic, group, id, codec, message } =
            Letter::decode(bytes)?;
        let home = self.homes.home(&topic, &group);
        let past = Past { attempts, redrives, error, ..Past::default() };
        let Envelope { key, headers, version, payload, .. } = message;
        let (headers, payload, homes) = (headers.into_owned(), payload.into(), self.homes.clone());
        let stored = Stored { topic, id, key, headers, codec, version, payload, homes };
        Ok(DeadLetter::stored(stored, group, past, reason, home))
    }
}
