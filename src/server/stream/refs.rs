//! What groups still hold of an entry, and deleting with regard to that.

use std::sync::Arc;

use super::{Id, Stream};

/// What is to become of what groups hold of an entry that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) enum Refs {
    /// It stays pending, where it is so.
    #[default]
    Keep,
    /// It is pending no more, in any group.
    Drop,
    /// The entry is deleted only if all groups were handed it, and none has it pending.
    Acked,
}

/// What became of an entry that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Deleted {
    /// There is none, or the group does not have it pending.
    Missing,
    Gone,
    /// Some group has not handed it out, or has it pending.
    Held,
}

impl Stream {
    /// Deletes an entry with regard to what groups hold of it.
    pub(in crate::server) fn delete_with(&mut self, id: Id, refs: Refs) -> Deleted {
        // Why before it is looked for: groups may hold what is gone.
        if !self.let_go(id, refs) {
            return Deleted::Held;
        }
        match self.delete(id) {
            true => Deleted::Gone,
            false => Deleted::Missing,
        }
    }

    /// Whether an entry may go with regard to what groups hold of it, which is dropped if it is to be.
    pub(super) fn let_go(&mut self, id: Id, refs: Refs) -> bool {
        match refs {
            Refs::Keep => true,
            Refs::Acked => !self.is_held(id),
            Refs::Drop => {
                self.drop_refs(id);
                true
            }
        }
    }

    /// Acknowledges what is pending in a group, and deletes the entry with regard to what the others hold of it.
    pub(in crate::server) fn ack_and_delete(&mut self, group: &[u8], id: Id, refs: Refs) -> Deleted {
        if self.ack(group, &[id]) == 0 {
            return Deleted::Missing;
        }
        match self.delete_with(id, refs) {
            Deleted::Held => Deleted::Held,
            // It may have been deleted while it was pending.
            Deleted::Missing | Deleted::Gone => Deleted::Gone,
        }
    }

    fn is_held(&self, id: Id) -> bool {
        self.groups.values().any(|group| group.last < id || group.pending.contains_key(&id))
    }

    fn drop_refs(&mut self, id: Id) {
        let holds: Vec<Arc<[u8]>> = self
            .groups
            .iter()
            .filter(|(_, group)| group.pending.contains_key(&id))
            .map(|(name, _)| name.clone())
            .collect();
        holds.iter().for_each(|group| _ = self.ack(group, &[id]));
    }
}
