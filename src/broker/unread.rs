//! Messages on the disk that their topic's codec can't read: on their way to the dead letters, as the bytes that they are.

use std::sync::Arc;

use super::dead_letter::{Homes, Stored};
use super::envelope::{Again, Envelope};
use super::ledger::Past;
use super::redrive::Home;
use super::{DeadLetter, DeadReason, MessageId};
use crate::base::Name;

/// A message that can't be read.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) id: MessageId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) why: Arc<str>,
}

impl Unread {
    pub(crate) fn new(id: MessageId, bytes: Vec<u8>, why: Arc<str>) -> Unread {
        Unread { id, bytes, why }
    }

    /// What it was before, if it came back from the dead letters.
    pub(crate) fn again(&self) -> Option<Again> {
        Envelope::decode(&self.bytes).ok()?.again
    }

    /// The id that it has for people: if it came back, that of its first life.
    pub(crate) fn known_as(&self) -> MessageId {
        self.again().map_or(self.id, |again| again.original)
    }

    pub(crate) fn reason(&self) -> DeadReason {
        DeadReason::Undecodable(self.why.clone())
    }

    /// Makes a letter of it. `codec`: the name of its topic's.
    pub(crate) fn letter(
        &self,
        (topic, group, codec): (&Name, &Name, &Name),
        mut past: Past,
        homes: Arc<dyn Homes>,
        home: Arc<dyn Home>,
    ) -> DeadLetter {
        let envelope = Envelope::decode(&self.bytes).unwrap_or_else(|_| Envelope::of(&self.bytes));
        let Envelope { key, headers, version, payload, again, .. } = envelope;
        past.redrives = again.as_ref().map_or(0, |again| again.redrives);
        let stored = Stored {
            topic: topic.clone(),
            id: again.map_or(self.id, |again| again.original),
            key,
            headers: headers.into_owned(),
            codec: codec.clone(),
            version,
            payload: payload.into(),
            homes,
        };
        DeadLetter::stored(stored, group.clone(), past, self.reason(), home)
    }
}
