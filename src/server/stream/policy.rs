//! What a group does by itself with what nobody acknowledges: nothing, unless it was told to. Pure.

use std::sync::Arc;

use super::group::NAME_COST;
use super::{Id, Stream, StreamGroup};

/// Default: nothing, as with Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Policy {
    /// Who reads what is new is handed first what was handed over so many milliseconds ago.
    pub(in crate::server) ack_timeout: Option<u64>,
    /// What was handed over so often is not claimed any more, but a dead letter.
    pub(in crate::server) max_deliveries: Option<u64>,
    /// The key of the stream that takes dead letters.
    pub(in crate::server) dead_letter: Option<Arc<[u8]>>,
}

impl Policy {
    /// The key of the stream that takes the dead letters of a group, of the stream in `key`.
    pub(in crate::server) fn dead_letter_of(&self, key: &[u8], group: &[u8]) -> Vec<u8> {
        match &self.dead_letter {
            Some(dead) => dead.to_vec(),
            None => [key, b".", group, b".dead"].concat(),
        }
    }

    pub(super) fn cost(&self) -> usize {
        self.dead_letter.as_ref().map_or(0, |key| key.len() + NAME_COST)
    }
}

/// So many entries become dead letters at a time: what a command did is one commit.
pub(super) const MOST_SPENT: usize = 256;

impl Stream {
    /// Tells a group what to do by itself; answers whether there is one.
    pub(in crate::server) fn set_policy(&mut self, group: &[u8], policy: Policy) -> bool {
        self.with_group(group, |_, group| group.tell(policy)).is_some()
    }
}

impl StreamGroup {
    /// How often a pending entry was handed over.
    pub(in crate::server) fn deliveries(&self, id: Id) -> Option<u64> {
        Some(self.pending.get(&id)?.count())
    }

    pub(in crate::server) fn policy(&self) -> &Policy {
        &self.policy
    }
}
