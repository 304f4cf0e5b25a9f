//! What few messages have beside their payload, so that the others pay no more than an empty pointer.

use std::time::Duration;

use super::dedup::DedupKey;
use super::envelope::Again;
use super::record::Record;
use super::{Headers, MessageId};
use crate::base::Moment;

/// Beside a payload, behind one pointer: whoever needs none of it allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) headers: Headers,
    /// Until it is accepted; then the topic has it.
    pub(crate) dedup: Option<DedupKey>,
    /// Its bytes, in a topic that has a limit in bytes; else 0.
    pub(crate) weight: u64,
    /// How long it is of use once it is accepted, if it says so itself.
    pub(crate) ttl: Option<Duration>,
    /// When that is over: known as it is accepted.
    pub(crate) expires: Option<Moment>,
    /// Its id, in a topic where publishers give them: its milliseconds and its sequence. One that was given is here from the start.
    pub(crate) id: Option<(u64, u64)>,
    /// Why it may not come in with its id: that must be above this one.
    pub(crate) behind: Option<Box<MessageId>>,
    /// It came back from the dead letters, in a durable topic. Boxed, since few do.
    pub(crate) again: Option<Box<Again>>,
    /// Until it is stored, in a durable topic. Boxed, since no other has it.
    pub(crate) record: Option<Box<Record>>,
}

impl Extra {
    /// Puts it where an item keeps it, if there is anything in it.
    pub(crate) fn boxed(self) -> Option<Box<Extra>> {
        if self.is_empty() { None } else { Some(Box::new(self)) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let bare = self.headers.is_empty() && self.dedup.is_none() && self.weight == 0;
        let named = self.id.is_some() || self.behind.is_some();
        bare && !named
            && self.ttl.is_none()
            && self.expires.is_none()
            && self.record.is_none()
            && self.again.is_none()
    }

    pub(crate) fn headers(this: Option<&Extra>) -> &Headers {
        this.map_or(Headers::none(), |extra| &extra.headers)
    }
}
