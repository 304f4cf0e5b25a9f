//! How far a group is, in entries: exact where that can be known, and else not told. As Redis 7.0 counts it.

use std::cmp::Ordering;

use super::{Id, Stream, StreamGroup};

impl Stream {
    /// Whether an entry may be missing from some id on, of those that were deleted.
    fn has_gaps_from(&self, id: Id) -> bool {
        let first = self.first().map(|entry| entry.id);
        self.max_deleted > Id::ZERO
            && id <= self.max_deleted
            && first.is_some_and(|first| first <= self.max_deleted)
    }

    /// How many entries were ever added up to an id, that one included; `None`: that can't be known any more.
    pub(in crate::server) fn count_to(&self, id: Id) -> Option<u64> {
        let first = match self.first() {
            _ if self.added == 0 => return Some(0),
            _ if id == self.last => return Some(self.added),
            _ if id > self.last => return None,
            None => return Some(self.added),
            Some(first) => first.id,
        };
        if self.max_deleted > Id::ZERO && self.max_deleted >= first {
            return None;
        }
        let gone = self.added.wrapping_sub(self.len as u64);
        match id.cmp(&first) {
            Ordering::Less => Some(gone),
            Ordering::Equal => Some(gone.wrapping_add(1)),
            Ordering::Greater => None,
        }
    }

    /// What a group has read once it was handed the entry with this id.
    pub(super) fn count_read(&self, before: Option<u64>, id: Id) -> Option<u64> {
        match before {
            Some(read) if !self.has_gaps_from(id) => Some(read + 1),
            before if self.added == 0 => before,
            _ => self.count_to(id),
        }
    }

    /// How many entries a group has still to be handed; `None`: that can't be known. Less than none, where it was told that it has read
    /// more than there ever were.
    pub(in crate::server) fn lag(&self, group: &StreamGroup) -> Option<i64> {
        if self.added == 0 {
            return Some(0);
        }
        let read = match group.read {
            Some(read) if !self.has_gaps_from(group.last) => Some(read),
            _ => self.count_to(group.last),
        };
        read.map(|read| self.added.wrapping_sub(read).cast_signed())
    }
}
