//! What changed in a stream, as it is written down, and done again by whoever reads it.
//!
//! Entries are written by themselves, in the order in which they were added; their offsets count them from 0. All else is a change: what
//! a command *did*, not what it was told, so that it is done again alike whatever the clock says, and however nodes are cut. A
//! snapshot is the changes that make all there is of nothing but the entries, so that those before it are of no more use.

use std::sync::Arc;

use super::{Held, Id, Pending, Policy, Released, Stream};
use crate::base::varint::{Take, put_bytes, put_u64};
use crate::log::Ranges;

/// Something that happened to a stream, beside an entry that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Change {
    /// Nothing of what was before counts, but for entries.
    Anew,
    /// Entries are gone: from this offset to one behind the last.
    Gone(u64, u64),
    /// What the stream counts.
    Counts {
        last: Id,
        max_deleted: Id,
        added: u64,
    },
    Group {
        name: Arc<[u8]>,
        change: GroupChange,
    },
}

/// Something that happened to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum GroupChange {
    Made,
    Destroyed,
    /// How far it is.
    At {
        last: Id,
        read: Option<u64>,
    },
    /// A consumer is there, and asked for something then.
    Met {
        name: Arc<[u8]>,
        seen: u64,
    },
    /// A consumer went, with all that it was handed.
    SentAway {
        name: Arc<[u8]>,
    },
    /// These are in a consumer's hands, by order of ids.
    Given {
        held: Held,
        ids: Vec<Id>,
    },
    /// Nobody has these, in the order in which they were released.
    Released {
        count: u64,
        ids: Vec<Id>,
    },
    /// These are pending no more.
    TakenBack {
        ids: Vec<Id>,
    },
    /// What it does by itself.
    Told(Policy),
}

/// About so many ids are in one change: what is written in pieces is cut between changes.
const MOST_IDS: usize = 4096;

const ANEW: u64 = 0;
const GONE: u64 = 1;
const COUNTS: u64 = 2;
const MADE: u64 = 3;
const DESTROYED: u64 = 4;
const AT: u64 = 5;
const MET: u64 = 6;
const SENT_AWAY: u64 = 7;
const GIVEN: u64 = 8;
const TAKEN_BACK: u64 = 9;
const RELEASED: u64 = 10;
const TOLD: u64 = 11;

/// Adds a change to others; one that goes on where the last one ended becomes part of it.
pub(super) fn push(changes: &mut Vec<Change>, change: Change) {
    match (changes.last_mut(), change) {
        (Some(Change::Gone(_, end)), Change::Gone(from, to)) if *end == from => *end = to,
        (
            Some(Change::Group { name, change: GroupChange::Given { held, ids } }),
            Change::Group { name: other, change: GroupChange::Given { held: same, ids: more } },
        ) if *name == other && *held == same && ids.len() < MOST_IDS => ids.extend(more),
        (
            Some(Change::Group { name, change: GroupChange::Released { count, ids } }),
            Change::Group { name: other, change: GroupChange::Released { count: same, ids: more } },
        ) if *name == other && *count == same && ids.len() < MOST_IDS => ids.extend(more),
        (
            Some(Change::Group { name, change: GroupChange::TakenBack { ids } }),
            Change::Group { name: other, change: GroupChange::TakenBack { ids: more } },
        ) if *name == other && ids.len() < MOST_IDS => ids.extend(more),
        (_, change) => changes.push(change),
    }
}

impl Change {
    /// About how many bytes it takes, and rather more.
    fn bytes(&self) -> usize {
        const NUMBERS: usize = 32;
        NUMBERS
            + match self {
                Change::Anew | Change::Gone(..) | Change::Counts { .. } => 0,
                Change::Group { name, change } => name.len() + change.bytes(),
            }
    }

    /// Writes it behind what `out` has.
    pub(in crate::server) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Change::Anew => put_u64(out, ANEW),
            Change::Gone(from, to) => put_all(out, &[GONE, *from, *to]),
            Change::Counts { last, max_deleted, added } => {
                put_u64(out, COUNTS);
                put_id(out, *last);
                put_id(out, *max_deleted);
                put_u64(out, *added);
            }
            Change::Group { name, change } => change.encode(name, out),
        }
    }

    /// Reads one. `None`: it is none, or a newer version's.
    pub(in crate::server) fn take(take: &mut Take<'_>) -> Option<Change> {
        Some(match take.u64()? {
            ANEW => Change::Anew,
            GONE => Change::Gone(take.u64()?, take.u64()?),
            COUNTS => Change::Counts { last: id(take)?, max_deleted: id(take)?, added: take.u64()? },
            kind => {
                let name = take.sized()?.into();
                Change::Group { name, change: GroupChange::take(kind, take)? }
            }
        })
    }
}

impl GroupChange {
    fn bytes(&self) -> usize {
        const ID: usize = 8;
        match self {
            GroupChange::Made | GroupChange::Destroyed | GroupChange::At { .. } => 0,
            GroupChange::Met { name, .. } | GroupChange::SentAway { name } => name.len(),
            GroupChange::Given { held, ids } => held.consumer.len() + ID * ids.len(),
            GroupChange::Released { ids, .. } | GroupChange::TakenBack { ids } => ID * ids.len(),
            GroupChange::Told(policy) => policy.dead_letter.as_ref().map_or(0, |key| key.len()),
        }
    }

    fn encode(&self, group: &[u8], out: &mut Vec<u8>) {
        let kind = match self {
            GroupChange::Made => MADE,
            GroupChange::Destroyed => DESTROYED,
            GroupChange::At { .. } => AT,
            GroupChange::Met { .. } => MET,
            GroupChange::SentAway { .. } => SENT_AWAY,
            GroupChange::Given { .. } => GIVEN,
            GroupChange::TakenBack { .. } => TAKEN_BACK,
            GroupChange::Released { .. } => RELEASED,
            GroupChange::Told(_) => TOLD,
        };
        put_u64(out, kind);
        put_bytes(out, group);
        match self {
            GroupChange::Made | GroupChange::Destroyed => {}
            GroupChange::At { last, read } => {
                put_id(out, *last);
                put_all(out, &[read.is_some().into(), read.unwrap_or(0)]);
            }
            GroupChange::Met { name, seen } => {
                put_bytes(out, name);
                put_u64(out, *seen);
            }
            GroupChange::SentAway { name } => put_bytes(out, name),
            GroupChange::Given { held, ids } => {
                put_bytes(out, &held.consumer);
                put_all(out, &[held.delivered, held.count]);
                put_ids(out, ids);
            }
            GroupChange::Released { count, ids } => {
                put_u64(out, *count);
                put_ids(out, ids);
            }
            GroupChange::TakenBack { ids } => put_ids(out, ids),
            // None of them can be 0, or empty.
            GroupChange::Told(Policy { ack_timeout, max_deliveries, dead_letter }) => {
                put_all(out, &[ack_timeout.unwrap_or(0), max_deliveries.unwrap_or(0)]);
                put_bytes(out, dead_letter.as_deref().unwrap_or_default());
            }
        }
    }

    fn take(kind: u64, take: &mut Take<'_>) -> Option<GroupChange> {
        Some(match kind {
            MADE => GroupChange::Made,
            DESTROYED => GroupChange::Destroyed,
            AT => {
                let (last, known, read) = (id(take)?, take.u64()?, take.u64()?);
                GroupChange::At { last, read: (known == 1).then_some(read) }
            }
            MET => GroupChange::Met { name: take.sized()?.into(), seen: take.u64()? },
            SENT_AWAY => GroupChange::SentAway { name: take.sized()?.into() },
            GIVEN => {
                let consumer = take.sized()?.into();
                let held = Held { consumer, delivered: take.u64()?, count: take.u64()? };
                GroupChange::Given { held, ids: ids(take)? }
            }
            RELEASED => GroupChange::Released { count: take.u64()?, ids: ids(take)? },
            TAKEN_BACK => GroupChange::TakenBack { ids: ids(take)? },
            TOLD => {
                let [ack_timeout, max_deliveries] = [take.u64()?, take.u64()?].map(|n| (n > 0).then_some(n));
                let dead_letter = Some(take.sized()?).filter(|key| !key.is_empty()).map(Arc::from);
                GroupChange::Told(Policy { ack_timeout, max_deliveries, dead_letter })
            }
            _ => return None,
        })
    }
}

fn put_all(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| put_u64(out, *number));
}

fn put_id(out: &mut Vec<u8>, id: Id) {
    put_all(out, &[id.millis, id.seq]);
}

/// Each by how far its milliseconds are from those of the one before: most are near.
fn put_ids(out: &mut Vec<u8>, ids: &[Id]) {
    put_u64(out, ids.len() as u64);
    let mut before = 0_u64;
    for id in ids {
        put_all(out, &[id.millis.wrapping_sub(before), id.seq]);
        before = id.millis;
    }
}

fn id(take: &mut Take<'_>) -> Option<Id> {
    Some(Id { millis: take.u64()?, seq: take.u64()? })
}

fn ids(take: &mut Take<'_>) -> Option<Vec<Id>> {
    let (count, mut before, mut ids) = (take.u64()?, 0_u64, Vec::new());
    // Each one that is read was there: a count that lies allocates nothing.
    for _ in 0..count {
        let id = Id { millis: before.wrapping_add(take.u64()?), seq: take.u64()? };
        before = id.millis;
        ids.push(id);
    }
    Some(ids)
}

impl Stream {
    /// Whether what happens is noted, for [`Stream::take_changes`].
    pub(in crate::server) fn record(&mut self, recorded: bool) {
        self.recorded = recorded;
    }

    /// What happened since, and the entries that were added: of the changes, each is behind all of these.
    pub(in crate::server) fn take_changes(&mut self) -> (Vec<Change>, Vec<(Id, super::Fields)>) {
        let mut changes = std::mem::take(&mut self.changes);
        // Why as they are by now: those of then are not behind entries that came later.
        if std::mem::take(&mut self.counted) {
            changes.push(self.counts());
        }
        self.untold = 0;
        (changes, std::mem::take(&mut self.fresh))
    }

    /// About how many bytes of what happened were not taken.
    pub(in crate::server) fn untold(&self) -> usize {
        self.untold
    }

    /// What it counts.
    pub(in crate::server) fn counts(&self) -> Change {
        let Stream { last, max_deleted, added, .. } = *self;
        Change::Counts { last, max_deleted, added }
    }

    /// The offset of the next entry.
    pub(in crate::server) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Counts the entries that are there from 0 on, as if no other had ever been there; answers them.
    pub(in crate::server) fn renumber(&mut self) -> Vec<(Id, super::Fields)> {
        let (mut entries, mut next) = (Vec::new(), 0);
        for node in self.nodes.values_mut() {
            node.entries.retain(|slot| slot.fields.is_some());
            node.base = next;
            next += node.entries.len() as u64;
            let live = node.entries.iter().filter_map(|slot| Some((slot.id, slot.fields.clone()?)));
            entries.extend(live);
        }
        (self.next_offset, self.gone) = (next, Ranges::default());
        entries
    }

    /// No entry below this offset is there any more.
    pub(in crate::server) fn floor(&self) -> u64 {
        self.gone.floor()
    }

    pub(super) fn note(&mut self, change: Change) {
        if self.recorded {
            self.untold += change.bytes();
            push(&mut self.changes, change);
        }
    }

    pub(super) fn note_group(&mut self, name: &Arc<[u8]>, changes: impl IntoIterator<Item = GroupChange>) {
        for change in changes {
            self.note(Change::Group { name: name.clone(), change });
        }
    }

    pub(super) fn note_counts(&mut self) {
        self.counted |= self.recorded;
    }

    /// All there is beside the entries.
    pub(in crate::server) fn snapshot(&self) -> Vec<Change> {
        let mut changes = vec![Change::Anew, self.counts()];
        let below = (self.floor() > 0).then(|| (0, self.floor()));
        changes.extend(below.into_iter().chain(self.gone.runs()).map(|(from, to)| Change::Gone(from, to)));
        for (name, group) in &self.groups {
            let of_group = |change| Change::Group { name: name.clone(), change };
            changes.push(of_group(GroupChange::Made));
            changes.push(of_group(GroupChange::At { last: group.last, read: group.read }));
            if group.policy != Policy::default() {
                changes.push(of_group(GroupChange::Told(group.policy.clone())));
            }
            for consumer in group.consumers.values() {
                let (name, seen) = (consumer.name.clone(), consumer.seen);
                changes.push(of_group(GroupChange::Met { name, seen }));
            }
            for (id, pending) in &group.pending {
                if let Pending::Held(held) = pending {
                    let (held, ids) = (held.clone(), vec![*id]);
                    push(&mut changes, of_group(GroupChange::Given { held, ids }));
                }
            }
            // Why by age: their order is that in which they were released.
            for (id, pending) in group.by_age() {
                if let Pending::Released(Released { count, .. }) = *pending {
                    push(&mut changes, of_group(GroupChange::Released { count, ids: vec![id] }));
                }
            }
        }
        changes
    }

    /// Does again what was noted.
    pub(in crate::server) fn apply(&mut self, change: Change) {
        match change {
            Change::Anew => {
                let names: Vec<Arc<[u8]>> = self.groups.keys().cloned().collect();
                names.iter().for_each(|name| _ = self.destroy_group(name));
            }
            Change::Gone(from, to) => self.take_out_run(from, to),
            Change::Counts { last, max_deleted, added } => {
                (self.last, self.max_deleted, self.added) = (last, max_deleted, added);
            }
            Change::Group { name, change: GroupChange::Made } => _ = self.create_group(&name, Id::ZERO, None),
            Change::Group { name, change: GroupChange::Destroyed } => _ = self.destroy_group(&name),
            Change::Group { name, change } => {
                self.with_group(&name, |_, group| group.apply(change));
            }
        }
    }
}
