//! What a dead letter carries: a message in memory, or one that was read from the disk and is still bytes.

use std::any::Any;
use std::sync::Arc;

use super::codec::{AnyCodec, Homes};
use crate::base::{Fault, Name};
use crate::broker::codec::{decode, encode};
use crate::broker::extra::Extra;
use crate::broker::message::{Batch, Item, Origin};
use crate::broker::settings::TopicSettings;
use crate::broker::{Headers, KeyHash, MessageId};

/// A message whose payload's type is forgotten.
pub(super) trait Payload: Send + Sync {
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn id(&self, index: u16) -> MessageId;
    fn topic(&self) -> &Name;
    fn key(&self, index: u16) -> Option<KeyHash>;
    fn headers(&self, index: u16) -> &Headers;

    /// If it is bytes.
    fn stored(&self) -> Option<&Stored> {
        None
    }

    /// Writes the payload as its topic's codec does; answers the version.
    fn write(&self, index: u16, codec: &AnyCodec, into: &mut Vec<u8>) -> Result<u32, Fault>;
}

impl<T: Send + Sync + 'static> Payload for Batch<T> {
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn id(&self, index: u16) -> MessageId {
        Batch::id(self, index)
    }

    fn topic(&self) -> &Name {
        Batch::topic(self)
    }

    fn key(&self, index: u16) -> Option<KeyHash> {
        Batch::key(self, index)
    }

    fn headers(&self, index: u16) -> &Headers {
        Batch::headers(self, index)
    }

    fn write(&self, index: u16, codec: &AnyCodec, into: &mut Vec<u8>) -> Result<u32, Fault> {
        let codec = codec.of::<T>().ok_or_else(|| Fault::new("the topic's codec is for another type"))?;
        encode(&**codec, self.value(index), into).map_err(|invalid| Fault::new(invalid.to_string()))
    }
}

/// A message as it was read from the disk.
pub(crate) struct Stored {
    pub(crate) topic: Name,
    pub(crate) id: MessageId,
    pub(crate) key: Option<KeyHash>,
    pub(crate) headers: Headers,
    /// The name of the codec that wrote it, and the version that it was written as.
    pub(crate) codec: Name,
    pub(crate) version: u32,
    pub(crate) payload: Box<[u8]>,
    /// Who knows the codec, once the topic is open.
    pub(crate) homes: Arc<dyn Homes>,
}

impl Stored {
    /// Reads the payload, each time anew. `None`: its topic isn't open here, has another codec, or it can't be read.
    pub(crate) fn item<T: 'static>(&self) -> Option<Item<T>> {
        let codec = self.homes.codec(&self.topic).filter(|codec| *codec.name() == self.codec)?;
        let value = decode(&**codec.of::<T>()?, &self.payload, self.version).ok()?;
        let id = self.id.is_named().then(|| self.id.parts());
        let extra = Extra { headers: self.headers.clone(), id, ..Extra::default() };
        Some(Item::read(self.id.unix_millis(), value, self.key.unwrap_or_default(), extra.boxed()))
    }

    /// As a batch of its own, for whoever looks at it: it is in no topic.
    pub(super) fn batch<T: 'static>(&self) -> Option<Batch<T>> {
        let settings = TopicSettings { keyed: self.key.is_some(), ..TopicSettings::default() };
        let origin = Origin::of(self.topic.clone(), &settings, Arc::default());
        Some(Batch::new(&origin, self.id.offset(), vec![self.item()?], None))
    }
}

impl Payload for Stored {
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn id(&self, _: u16) -> MessageId {
        self.id
    }

    fn topic(&self) -> &Name {
        &self.topic
    }

    fn key(&self, _: u16) -> Option<KeyHash> {
        self.key
    }

    fn headers(&self, _: u16) -> &Headers {
        &self.headers
    }

    fn stored(&self) -> Option<&Stored> {
        Some(self)
    }

    /// As it is: nobody needs to be able to read it for that.
    fn write(&self, _: u16, _: &AnyCodec, into: &mut Vec<u8>) -> Result<u32, Fault> {
        into.extend_from_slice(&self.payload);
        Ok(self.version)
    }
}
