//! Messages that were there when the topic was opened, and that its codec can't read: each holds its place until every group that has
//! it to settle has a dead letter of it, and is none of a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Life;
use super::link::Link;
use crate::broker::Start;
use crate::broker::bits::Bits;
use crate::broker::books::GroupId;
use crate::broker::group_word::GroupWord;
use crate::broker::record::Known;
use crate::broker::unread::Unread;
use crate::broker::witness::Sight;

/// Those that hold a place, by offset. Limit: they held one in the process before, or one among its delayed messages.
#[derive(Default)]
pub(super) struct Unreadable(BTreeMap<u64, Held>);

struct Held {
    unread: Arc<Unread>,
    /// The groups that have it to settle.
    open: BTreeSet<GroupId>,
}

impl Unreadable {
    /// Takes in what was there. What came back from the dead letters is its own group's alone.
    pub(super) fn recover(&mut self, all: Vec<Unread>, groups: &BTreeMap<GroupId, Known>) {
        for unread in all {
            let again = unread.again();
            let is_its = |known: &Known| again.as_ref().is_none_or(|again| again.group == known.name);
            let wants = |known: &Known| known.wants(unread.id.offset()) && is_its(known);
            let open: BTreeSet<GroupId> =
                groups.iter().filter(|(_, known)| wants(known)).map(|(group, _)| *group).collect();
            if !open.is_empty() || groups.is_empty() && again.is_none() {
                self.0.insert(unread.id.offset(), Held { unread: Arc::new(unread), open });
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The offset of the first one.
    pub(super) fn first(&self) -> Option<u64> {
        self.0.first_key_value().map(|(offset, _)| *offset)
    }

    /// The milliseconds of the oldest one, or of the oldest that this group has to settle.
    pub(super) fn oldest(&self, of: Option<GroupId>) -> Option<u64> {
        let is_its = |held: &&Held| of.is_none_or(|group| held.open.contains(&group));
        self.0.values().find(is_its).map(|held| held.unread.id.unix_millis())
    }

    /// What a group has to settle.
    fn of(&self, group: GroupId) -> Vec<Arc<Unread>> {
        let its = self.0.values().filter(|held| held.open.contains(&group));
        its.map(|held| held.unread.clone()).collect()
    }

    /// What a group picks that begins here.
    fn pick(&mut self, group: GroupId, start: Start) -> Vec<Arc<Unread>> {
        let takes = |held: &&mut Held| start.takes(held.unread.id) && held.unread.again().is_none();
        let picked = self.0.values_mut().filter(takes);
        picked.filter_map(|held| held.open.insert(group).then(|| held.unread.clone())).collect()
    }

    /// A group is done with one. Answers whether it had it; and whether it was the last that had.
    fn settle(&mut self, group: GroupId, offset: u64) -> (bool, bool) {
        let Some(held) = self.0.get_mut(&offset) else { return (false, false) };
        let had = held.open.remove(&group);
        let is_last = had && held.open.is_empty();
        if is_last {
            self.0.remove(&offset);
        }
        (had, is_last)
    }

    /// Lets go of what no group has to settle. Answers how many there were.
    fn sweep(&mut self) -> u64 {
        let before = self.count();
        self.0.retain(|_, held| !held.open.is_empty());
        before - self.count()
    }

    /// A group is gone; answers how many places that frees, if what it had is not kept for groups to come.
    pub(super) fn on_group_gone(&mut self, group: GroupId, keep: bool) -> u64 {
        let before = self.count();
        self.0.retain(|_, held| !held.open.remove(&group) || keep || !held.open.is_empty());
        before - self.count()
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    /// What a group that goes on has to settle of these.
    pub(super) fn unread_of(&self, group: GroupId) -> Vec<Arc<Unread>> {
        self.unread.of(group)
    }

    /// What a group that begins here is to settle of these. Of a history it has them as it reads that.
    pub(super) fn pick_unread(&mut self, group: GroupId, start: Start) -> Vec<Arc<Unread>> {
        if self.history.is_some() { Vec::new() } else { self.unread.pick(group, start) }
    }

    /// Hands them to their group, which gives them up.
    pub(super) fn hand_unread(&self, link: &mut Link<T>, all: Vec<Arc<Unread>>) {
        for unread in all {
            link.unread += 1;
            let (topic, group) = (&self.actor.name, &link.name);
            let (base, open) = (unread.id.offset(), Bits::range(0, 1));
            self.actor.watched.show(|| Sight::Offered { topic, group, base, open });
            drop(link.to.control(GroupWord::Unread(unread)));
        }
    }

    /// A group has settled these; answers those that are none of what can't be read.
    pub(super) fn settle_unread(&mut self, group: GroupId, base: u64, which: Bits) -> Bits {
        let (had, is_last) = self.unread.settle(group, base);
        if !had {
            return which;
        }
        if let Some(link) = self.links.iter_mut().find(|link| link.group == group) {
            link.unread -= 1;
        }
        self.give_back(is_last.into(), 0);
        Bits::default()
    }

    /// Lets go of what no group wants, as the books do.
    pub(super) fn sweep_unread(&mut self) {
        if !(self.links.is_empty() && self.dormant.is_empty()) {
            let freed = self.unread.sweep();
            self.give_back(freed, 0);
        }
    }
}
