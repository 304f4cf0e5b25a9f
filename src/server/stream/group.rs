//! A group: how far it is, who is in it, and what they were handed and have not acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::GroupChange;
use super::pending::{Age, once_more};
use super::{Held, Id, Interval, Pending, Policy, Released, Stream};

/// What a pending entry costs, with its group, by id and by age, and its consumer.
const PENDING_COST: usize = 176;
/// What a group, or a consumer, costs beside its name.
pub(super) const NAME_COST: usize = 160;

/// A group of consumers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::server) struct StreamGroup {
    /// Of the last entry that it was handed.
    pub(in crate::server) last: Id,
    /// How many it was handed, as far as that is known.
    pub(in crate::server) read: Option<u64>,
    pub(super) pending: BTreeMap<Id, Pending>,
    /// The same, whatever has waited longest to be claimed first.
    by_age: BTreeSet<(Age, Id)>,
    /// The turn of the next one that is released.
    next_turn: u64,
    pub(super) consumers: BTreeMap<Arc<[u8]>, Consumer>,
    /// What it does by itself.
    pub(super) policy: Policy,
    /// About how many bytes of memory it takes, beside its name.
    cost: usize,
    /// What happened since its stream was told.
    changes: Vec<GroupChange>,
}

/// One that a group's entries are handed to.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::server) struct Consumer {
    pub(super) name: Arc<[u8]>,
    /// When it last asked for something, in milliseconds since 1970.
    pub(in crate::server) seen: u64,
    pub(super) pending: BTreeSet<Id>,
}

impl Consumer {
    pub(in crate::server) fn name(&self) -> &Arc<[u8]> {
        &self.name
    }

    pub(in crate::server) fn pending(&self) -> usize {
        self.pending.len()
    }
}

impl StreamGroup {
    pub(in crate::server) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// How many nobody has.
    pub(in crate::server) fn released(&self) -> usize {
        self.pending.len() - self.consumers.values().map(Consumer::pending).sum::<usize>()
    }

    /// What is pending, whatever has waited longest to be claimed first.
    pub(super) fn by_age(&self) -> impl Iterator<Item = (Id, &Pending)> {
        self.by_age.iter().filter_map(|(_, id)| Some((*id, self.pending.get(id)?)))
    }

    pub(in crate::server) fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.consumers.values()
    }

    pub(in crate::server) fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(name)
    }

    /// What is pending in an interval, of one consumer or of all.
    pub(in crate::server) fn pending_in<'a>(
        &'a self,
        of: Interval,
        whose: Option<&'a Consumer>,
    ) -> Box<dyn Iterator<Item = (Id, &'a Pending)> + 'a> {
        let Interval { from, to } = of;
        if from > to {
            return Box::new(std::iter::empty());
        }
        match whose {
            None => Box::new(self.pending.range(from..=to).map(|(id, pending)| (*id, pending))),
            Some(consumer) => {
                let ids = consumer.pending.range(from..=to);
                Box::new(ids.filter_map(|id| Some((*id, self.pending.get(id)?))))
            }
        }
    }

    /// The ids of the first and the last that is pending.
    pub(in crate::server) fn pending_ends(&self) -> Option<(Id, Id)> {
        Some((*self.pending.first_key_value()?.0, *self.pending.last_key_value()?.0))
    }

    /// Is asked by a consumer, which is made if there is none of that name; answers its name, and whether it was made.
    pub(super) fn meet(&mut self, name: &[u8], now: u64) -> (Arc<[u8]>, bool) {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.seen = now;
            return (consumer.name.clone(), false);
        }
        let name: Arc<[u8]> = name.into();
        let consumer = Consumer { name: name.clone(), seen: now, pending: BTreeSet::new() };
        self.consumers.insert(name.clone(), consumer);
        self.cost += name.len() + NAME_COST;
        self.changes.push(GroupChange::Met { name: name.clone(), seen: now });
        (name, true)
    }

    /// Puts an entry into the hands of a consumer, out of whosever they were.
    pub(super) fn give(&mut self, id: Id, held: Held) {
        self.take_back(id);
        if let Some(consumer) = self.consumers.get_mut(&held.consumer) {
            consumer.pending.insert(id);
            self.changes.push(GroupChange::Given { held: held.clone(), ids: vec![id] });
            self.put(id, Pending::Held(held));
        }
    }

    /// Lets nobody have an entry, so that whoever claims next has it, behind those that were released before.
    pub(super) fn release(&mut self, id: Id, count: u64) {
        self.take_out(id);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.changes.push(GroupChange::Released { count, ids: vec![id] });
        self.put(id, Pending::Released(Released { turn, count }));
    }

    /// What was pending is so no more.
    pub(super) fn take_back(&mut self, id: Id) -> bool {
        let was_pending = self.take_out(id).is_some();
        if was_pending {
            self.changes.push(GroupChange::TakenBack { ids: vec![id] });
        }
        was_pending
    }

    fn put(&mut self, id: Id, pending: Pending) {
        self.by_age.insert((pending.age(), id));
        self.pending.insert(id, pending);
        self.cost += PENDING_COST;
    }

    fn take_out(&mut self, id: Id) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.by_age.remove(&(pending.age(), id));
        self.cost -= PENDING_COST;
        if let Some(consumer) = pending.consumer().and_then(|name| self.consumers.get_mut(name)) {
            consumer.pending.remove(&id);
        }
        Some(pending)
    }

    /// Takes a consumer out, with all that it was handed; answers how many entries these were.
    fn send_away(&mut self, name: &[u8]) -> usize {
        let Some(consumer) = self.consumers.get(name) else { return 0 };
        let ids: Vec<Id> = consumer.pending.iter().copied().collect();
        ids.iter().for_each(|id| _ = self.take_back(*id));
        self.consumers.remove(name);
        self.cost -= name.len() + NAME_COST;
        self.changes.push(GroupChange::SentAway { name: name.into() });
        ids.len()
    }

    /// Is at an entry, and was handed so many.
    pub(super) fn go(&mut self, last: Id, read: Option<u64>) {
        if (self.last, self.read) != (last, read) {
            (self.last, self.read) = (last, read);
            self.changes.push(GroupChange::At { last, read });
        }
    }

    /// Is told what to do by itself.
    pub(super) fn tell(&mut self, policy: Policy) {
        self.cost = self.cost - self.policy.cost() + policy.cost();
        self.policy = policy.clone();
        self.changes.push(GroupChange::Told(policy));
    }

    /// Was handed once more what one of its consumers has.
    pub(super) fn again(&mut self, id: Id, now: u64) {
        if let Some(Pending::Held(held)) = self.pending.get_mut(&id) {
            self.by_age.remove(&(Age::Delivered(held.delivered), id));
            (held.delivered, held.count) = (now, once_more(held.count));
            self.by_age.insert((Age::Delivered(now), id));
            self.changes.push(GroupChange::Given { held: held.clone(), ids: vec![id] });
        }
    }

    pub(super) fn apply(&mut self, change: GroupChange) {
        match change {
            // Of the group itself: its stream has done it.
            GroupChange::Made | GroupChange::Destroyed => {}
            GroupChange::At { last, read } => self.go(last, read),
            GroupChange::Met { name, seen } => _ = self.meet(&name, seen),
            GroupChange::SentAway { name } => _ = self.send_away(&name),
            GroupChange::TakenBack { ids } => ids.iter().for_each(|id| _ = self.take_back(*id)),
            GroupChange::Given { held, ids } => {
                self.meet(&held.consumer, held.delivered);
                ids.iter().for_each(|id| self.give(*id, held.clone()));
            }
            GroupChange::Released { count, ids } => ids.iter().for_each(|id| self.release(*id, count)),
            GroupChange::Told(policy) => self.tell(policy),
        }
    }
}

/// What changes groups, and what they cost.
impl Stream {
    /// Makes a group; answers whether there was none of that name.
    pub(in crate::server) fn create_group(&mut self, name: &[u8], last: Id, read: Option<u64>) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        let name: Arc<[u8]> = name.into();
        self.cost += name.len() + NAME_COST;
        self.groups.insert(name.clone(), StreamGroup { last, read, ..StreamGroup::default() });
        self.note_group(&name, [GroupChange::Made, GroupChange::At { last, read }]);
        true
    }

    pub(in crate::server) fn destroy_group(&mut self, name: &[u8]) -> bool {
        let Some((name, group)) = self.groups.remove_entry(name) else { return false };
        self.cost -= name.len() + NAME_COST + group.cost;
        self.note_group(&name, [GroupChange::Destroyed]);
        true
    }

    /// Answers whether there was no such consumer.
    pub(in crate::server) fn create_consumer(&mut self, group: &[u8], name: &[u8], now: u64) -> bool {
        let create = |group: &mut StreamGroup| !group.consumers.contains_key(name) && group.meet(name, now).1;
        self.with_group(group, |_, group| create(group)).unwrap_or(false)
    }

    /// Takes a consumer out, with all that it was handed; answers how many entries these were.
    pub(in crate::server) fn delete_consumer(&mut self, group: &[u8], name: &[u8]) -> usize {
        self.with_group(group, |_, group| group.send_away(name)).unwrap_or(0)
    }

    /// Takes acknowledged entries from what is pending; answers how many were.
    pub(in crate::server) fn ack(&mut self, group: &[u8], ids: &[Id]) -> usize {
        self.with_group(group, |_, group| ids.iter().filter(|id| group.take_back(**id)).count()).unwrap_or(0)
    }

    /// Sets a group to a place; answers whether there is one.
    pub(in crate::server) fn set_group(&mut self, name: &[u8], last: Id, read: Option<u64>) -> bool {
        self.with_group(name, |_, group| group.go(last, read)).is_some()
    }

    /// Sets what it counts.
    pub(in crate::server) fn set_counts(&mut self, last: Id, added: u64, max_deleted: Id) {
        (self.last, self.added, self.max_deleted) = (last, added, max_deleted);
        self.note_counts();
    }

    /// Changes a group, and counts what that costs.
    pub(super) fn with_group<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&Stream, &mut StreamGroup) -> R,
    ) -> Option<R> {
        // Why taken out: what changes it looks at the entries too.
        let (name, mut group) = self.groups.remove_entry(name)?;
        let before = group.cost;
        let done = change(self, &mut group);
        self.cost = self.cost + group.cost - before;
        let changes = std::mem::take(&mut group.changes);
        self.note_group(&name, changes);
        self.groups.insert(name, group);
        Some(done)
    }
}
