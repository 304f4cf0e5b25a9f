//! Books that go on where those of an earlier process ended.

use super::{Account, Books, GroupId, Live};
use crate::broker::bits::Bits;
use crate::broker::weight::Weighed;

impl<B: Clone + Weighed> Books<B> {
    /// Begins at this offset, with a group that has nothing to settle yet.
    pub(crate) fn resume(&mut self, next_offset: u64, groups: impl IntoIterator<Item = GroupId>) {
        self.next_offset = next_offset;
        let account = |group| Account { group, open: 0, redriven: 0 };
        self.groups.extend(groups.into_iter().map(account));
    }

    /// A batch that was there before: so much of it is kept, and each group has those of it open that `wants` picks.
    pub(crate) fn on_recovered(
        &mut self,
        (base, batch): (u64, B),
        len: u16,
        kept: Bits,
        wants: impl Fn(GroupId) -> Bits,
    ) {
        let mut opens = Vec::new();
        self.load += batch.weight(kept);
        for account in &mut self.groups {
            let open = wants(account.group).and(kept);
            account.open += open.count();
            opens.push(open);
        }
        self.pinned += u64::from(len) - kept.count();
        self.unsettled += kept.count();
        self.live.insert(base, Live { batch, len, kept, open: opens });
    }

    /// What `group` has still to settle, batch by batch.
    pub(crate) fn open_of(&self, group: GroupId) -> Vec<(B, Bits)> {
        let Some(at) = self.position(group) else { return Vec::new() };
        let open = |live: &Live<B>| live.open.get(at).copied().unwrap_or_default();
        let some = self.live.values().filter(|live| !open(live).is_empty());
        some.map(|live| (live.batch.clone(), open(live))).collect()
    }
}
