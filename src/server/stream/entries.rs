//! A stream: its entries in order of their ids, and what counts of those that are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Change, Fields, GivenId, Id, Interval, Limits, StreamGroup};
use crate::log::Ranges;

/// What an entry costs beside its fields.
const ENTRY_COST: usize = 48;

/// A stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::server) struct Stream {
    /// By the id that each began with; that entry may be gone.
    pub(super) nodes: BTreeMap<Id, Node>,
    pub(super) len: usize,
    pub(in crate::server) last: Id,
    /// The greatest that `XDEL` took out.
    pub(in crate::server) max_deleted: Id,
    /// All that were ever added, as far as it is known.
    pub(in crate::server) added: u64,
    pub(in crate::server) groups: BTreeMap<Arc<[u8]>, StreamGroup>,
    pub(super) cost: usize,
    /// Of the next entry: they are counted from 0.
    pub(super) next_offset: u64,
    /// The offsets of those that are gone.
    pub(super) gone: Ranges,
    pub(super) recorded: bool,
    /// What it counts was changed otherwise than by an entry that was added.
    pub(super) counted: bool,
    /// By which it is known where it is written down; 0: it is not.
    pub(in crate::server) number: u64,
    /// What happened and was not taken. Limit: one command's, or one transaction's.
    pub(super) changes: Vec<Change>,
    /// Entries that were added meanwhile.
    pub(super) fresh: Vec<(Id, Fields)>,
    /// About how many bytes these, and the changes, take where they are written.
    pub(super) untold: usize,
}

/// Some entries in a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    /// The offset of the first one.
    pub(super) base: u64,
    /// Those that are gone are so as long as another one is here.
    pub(super) entries: Vec<Slot>,
    pub(super) live: usize,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) id: Id,
    pub(super) fields: Option<Fields>,
}

/// An entry that is there.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Entry<'a> {
    pub(in crate::server) id: Id,
    pub(in crate::server) fields: &'a Fields,
}

/// Why nothing can be added with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum NoId {
    /// There is none behind the last one.
    Exhausted,
    /// It is not above the last one.
    NotAbove,
}

impl Node {
    fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// Whether all its ids are below this one.
    fn is_below(&self, id: Id) -> bool {
        self.entries.last().is_none_or(|slot| slot.id < id)
    }
}

impl Slot {
    fn entry(&self) -> Option<Entry<'_>> {
        Some(Entry { id: self.id, fields: self.fields.as_ref()? })
    }
}

impl Stream {
    /// One whose entries below an offset are gone, and are not read again.
    pub(in crate::server) fn from_offset(offset: u64) -> Stream {
        Stream { next_offset: offset, gone: Ranges::below(offset), added: offset, ..Stream::default() }
    }

    pub(in crate::server) fn len(&self) -> usize {
        self.len
    }

    /// About how many bytes of memory it takes.
    pub(in crate::server) fn cost(&self) -> usize {
        self.cost
    }

    /// How many nodes there are.
    pub(in crate::server) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The id of an entry that is added now, in milliseconds since 1970.
    pub(in crate::server) fn next_id(&self, given: GivenId, now: u64) -> Result<Id, NoId> {
        if self.last == Id::MAX {
            return Err(NoId::Exhausted);
        }
        let id = match given {
            GivenId::Auto if now > self.last.millis => Id { millis: now, seq: 0 },
            GivenId::Auto => self.last.next().ok_or(NoId::Exhausted)?,
            GivenId::Millis(millis) if millis == self.last.millis => {
                Id { millis, seq: self.last.seq.checked_add(1).ok_or(NoId::NotAbove)? }
            }
            GivenId::Millis(millis) => Id { millis, seq: 0 },
            GivenId::Whole(id) => id,
        };
        if id > self.last { Ok(id) } else { Err(NoId::NotAbove) }
    }

    /// Adds an entry with an id that [`Stream::next_id`] gave.
    pub(in crate::server) fn add(&mut self, id: Id, fields: Fields, limits: Limits) {
        let len = fields.len();
        let full = |node: &Node| {
            let too_large = limits.node_bytes > 0 && node.bytes + len >= limits.node_bytes;
            too_large || (limits.node_entries > 0 && node.entries.len() >= limits.node_entries)
        };
        // Why not behind one that is gone with an id as large: where ids went back, those in a node would not be in order.
        let goes_on = |node: &Node| node.end() == self.next_offset && node.is_below(id);
        let at = match self.nodes.last_key_value() {
            Some((at, node)) if !full(node) && goes_on(node) => *at,
            _ => id,
        };
        if self.recorded {
            self.fresh.push((id, fields.clone()));
            self.untold += len + ENTRY_COST;
        }
        let base = self.next_offset;
        let node = self.nodes.entry(at).or_insert_with(|| Node { base, ..Node::default() });
        self.next_offset += 1;
        node.entries.push(Slot { id, fields: Some(fields) });
        (node.live, node.bytes) = (node.live + 1, node.bytes + len);
        (self.last, self.added, self.len) = (id, self.added + 1, self.len + 1);
        self.cost += len + ENTRY_COST;
    }

    /// An entry was added with this id, and is gone.
    pub(in crate::server) fn pass_by(&mut self, id: Id, limits: Limits) {
        // Why its slot: the offsets of a node's entries are counted.
        if let Some(mut last) = self.nodes.last_entry()
            && last.get().end() == self.next_offset
            && last.get().is_below(id)
            && (limits.node_entries == 0 || last.get().entries.len() < limits.node_entries)
        {
            last.get_mut().entries.push(Slot { id, fields: None });
        }
        self.gone.insert(self.next_offset, self.next_offset + 1);
        self.next_offset += 1;
        (self.last, self.added) = (id, self.added + 1);
    }

    pub(in crate::server) fn get(&self, id: Id) -> Option<Entry<'_>> {
        self.range(Interval { from: id, to: id }).next()
    }

    /// The entries of an interval, in order.
    pub(in crate::server) fn range(&self, of: Interval) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        let first = self.nodes.range(..=of.from).next_back().map_or(of.from, |(at, _)| *at);
        let nodes = if of.from <= of.to { Some(self.nodes.range(first..=of.to.max(first))) } else { None };
        nodes.into_iter().flatten().flat_map(move |(_, node)| {
            let from = node.entries.partition_point(|slot| slot.id < of.from);
            let to = node.entries.partition_point(|slot| slot.id <= of.to);
            node.entries.get(from..to).unwrap_or_default().iter().filter_map(Slot::entry)
        })
    }

    pub(in crate::server) fn first(&self) -> Option<Entry<'_>> {
        self.range(Interval { from: Id::ZERO, to: Id::MAX }).next()
    }

    pub(in crate::server) fn newest(&self) -> Option<Entry<'_>> {
        self.range(Interval { from: Id::ZERO, to: Id::MAX }).next_back()
    }

    /// Takes out an entry; answers whether it was there.
    pub(in crate::server) fn delete(&mut self, id: Id) -> bool {
        let Some(at) = self.nodes.range(..=id).next_back().map(|(at, _)| *at) else { return false };
        if !self.take_out(at, id) {
            return false;
        }
        self.max_deleted = self.max_deleted.max(id);
        self.note_counts();
        true
    }

    /// Takes an entry out of a node, and the node if that was the last one in it.
    pub(super) fn take_out(&mut self, at: Id, id: Id) -> bool {
        let Some(node) = self.nodes.get_mut(&at) else { return false };
        let found = node.entries.binary_search_by_key(&id, |slot| slot.id).ok();
        let taken = found.and_then(|at| Some((at, node.entries.get_mut(at)?.fields.take()?)));
        let Some((found, fields)) = taken else { return false };
        let offset = node.base + found as u64;
        node.live -= 1;
        if node.live == 0 {
            self.nodes.remove(&at);
        }
        self.forget(fields.len());
        self.lose(offset, offset + 1);
        true
    }

    /// Takes out a node; answers how many entries were in it.
    pub(super) fn take_node(&mut self, at: Id) -> usize {
        let Some(node) = self.nodes.remove(&at) else { return 0 };
        node.entries.iter().filter_map(Slot::entry).for_each(|entry| self.forget(entry.fields.len()));
        self.lose(node.base, node.base + node.entries.len() as u64);
        node.live
    }

    /// Takes out what is there between two offsets.
    pub(super) fn take_out_run(&mut self, from: u64, to: u64) {
        if self.gone.covers(from, to) {
            return;
        }
        let at: Vec<Id> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.base < to && from < node.end())
            .map(|(at, _)| *at)
            .collect();
        for at in at {
            let Some(node) = self.nodes.get(&at) else { continue };
            if from <= node.base && node.end() <= to {
                self.take_node(at);
                continue;
            }
            let inside =
                |offset: u64| usize::try_from(offset.saturating_sub(node.base)).unwrap_or(usize::MAX);
            let slots =
                node.entries.get(inside(from)..inside(to).min(node.entries.len())).unwrap_or_default();
            let ids: Vec<Id> = slots.iter().map(|slot| slot.id).collect();
            ids.iter().for_each(|id| _ = self.take_out(at, *id));
        }
        self.gone.insert(from, to);
    }

    /// Entries are gone, from an offset to one behind the last.
    fn lose(&mut self, from: u64, to: u64) {
        self.gone.insert(from, to);
        self.note(Change::Gone(from, to));
    }

    fn forget(&mut self, bytes: usize) {
        self.len -= 1;
        self.cost -= bytes + ENTRY_COST;
    }
}

#[cfg(test)]
mod tests;
