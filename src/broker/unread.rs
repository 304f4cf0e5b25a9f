//! Messages on the disk that their topic's codec can't read: on their way to the dead letters, as the bytes that they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::books::GroupId;
use super::dead_letter::{Homes, Stored};
use super::envelope::{Again, Envelope};
use super::ledger::Past;
use super::redrive::Home;
use super::{DeadLetter, DeadReason, MessageId};
use crate::base::Name;
use crate::base::sync::{Mutex, PoisonError};

/// A message that can't be read.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) id: MessageId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) why: Arc<str>,
    /// Of one that was there when its topic was opened: those that have still to settle it.
    pub(crate) groups: Vec<GroupId>,
    /// Groups that were given it since. Limit: they are opened one by one.
    given: Mutex<BTreeSet<Name>>,
}

/// That a group is given one. Dropped before it [stays](Given::stays), it was not.
pub(crate) struct Given<'a> {
    unread: &'a Unread,
    group: Option<&'a Name>,
}

impl Unread {
    pub(crate) fn new(id: MessageId, bytes: Vec<u8>, why: Arc<str>) -> Unread {
        Unread { id, bytes, why, groups: Vec::new(), given: Mutex::default() }
    }

    /// What it was before, if it came back from the dead letters.
    pub(crate) fn again(&self) -> Option<Again> {
        Envelope::decode(&self.bytes).ok()?.again
    }

    pub(crate) fn reason(&self) -> DeadReason {
        DeadReason::Undecodable(self.why.clone())
    }

    /// Gives it to a group, unless that was given it before; and if it was `nobodys`, unless any was.
    pub(crate) fn give<'a>(&'a self, group: &'a Name, nobodys: bool) -> Option<Given<'a>> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let free = !nobodys || given.is_empty();
        (free && given.insert(group.clone())).then_some(Given { unread: self, group: Some(group) })
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

impl Given<'_> {
    pub(crate) fn stays(mut self) {
        self.group = None;
    }
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            self.unread.given.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
        }
    }
}
