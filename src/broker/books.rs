//! The topic's books: which message which group has still to settle. Pure.
//!
//! A message holds its place in the topic's capacity until every group has settled it; groups settle in any
//! order, so each live batch has a set of bits per group. The place is free when the last bit of a message goes.
//!
//! Its payload goes with its batch. What is settled and still kept by neighbours counts as pinned; the topic makes
//! large batches only while that is less than the capacity. Then live and pinned payloads together are less than
//! three times the capacity (G2): what is pinned beyond the first capacity was alive when the large batches ended.
//! What dead letters and users pin is not in these books; the topic counts it by [`Origin`](super::message::Origin).
//!
//! A message that comes back from the dead letters holds a place of its own, for one group only: its first place is
//! free, or is other groups'. It is an account apart, since the first one may still be open. It keeps its old batch,
//! which is pinned if it was over; so it comes in only while that leaves less pinned than the capacity.
//!
//! Where messages have weights, a weight goes with its place. Each change says how many places it frees; what those bore
//! is asked for afterwards, by [`Books::take_freed`].

mod moved;
mod recovered;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::bits::Bits;
use super::message::BATCH;
use super::weight::Weighed;

/// Names a group within its topic; not used again before the topic's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(crate) u32);

/// The unsettled messages of a topic. `B` is the batch's handle.
pub(crate) struct Books<B> {
    live: BTreeMap<u64, Live<B>>,
    groups: Vec<Account>,
    /// Messages that came back, by batch and group. Limit: each holds a place.
    again: BTreeMap<(u64, GroupId), Again>,
    /// How many these are.
    redriven: u64,
    unsettled: u64,
    pinned: u64,
    /// What the messages that hold a place weigh.
    load: u64,
    /// What those weigh whose places were freed since it was asked.
    freed: u64,
    next_offset: u64,
    /// Empty lists of batches that are over, for those to come. Limit: [`SPARE`].
    spare: Vec<Vec<Bits>>,
}

const SPARE: usize = 8;

/// How many messages a group has still to settle.
struct Account {
    group: GroupId,
    open: u64,
    redriven: u64,
}

struct Again {
    /// Of the batch.
    len: u16,
    messages: u64,
    /// Those of them that weigh something. Limit: each holds a place.
    weights: Vec<(u16, u64)>,
}

impl Again {
    fn load(&self) -> u64 {
        self.weights.iter().map(|(_, weight)| weight).sum()
    }
}

struct Live<B> {
    batch: B,
    len: u16,
    /// Messages that hold a place.
    kept: Bits,
    /// What each group has still to settle, in the order of `Books::groups`.
    open: Vec<Bits>,
}

impl<B> Live<B> {
    /// So many groups have this message to settle.
    fn open_for(&self, index: u16) -> u32 {
        self.open.iter().map(|open| u32::from(open.has(index))).sum()
    }
}

impl<B: Clone + Weighed> Books<B> {
    pub(crate) fn new() -> Books<B> {
        Books {
            live: BTreeMap::new(),
            groups: Vec::new(),
            again: BTreeMap::new(),
            redriven: 0,
            unsettled: 0,
            pinned: 0,
            load: 0,
            freed: 0,
            next_offset: 0,
            spare: Vec::new(),
        }
    }

    pub(crate) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Messages that hold a place.
    pub(crate) fn unsettled(&self) -> u64 {
        self.unsettled + self.redriven
    }

    /// Messages that hold no place, and whose payloads are kept by others of their batches.
    pub(crate) fn pinned(&self) -> u64 {
        self.pinned
    }

    /// What the messages that hold a place weigh.
    pub(crate) fn load(&self) -> u64 {
        self.load
    }

    /// What those weigh whose places were freed since this was last asked.
    pub(crate) fn take_freed(&mut self) -> u64 {
        std::mem::take(&mut self.freed)
    }

    /// What is unsettled, what is pinned and what is unsettled weighs, counted anew.
    pub(crate) fn counted(&self) -> (u64, u64, u64) {
        let kept: u64 = self.live.values().map(|live| live.kept.count()).sum();
        let all: u64 = self.live.values().map(|live| u64::from(live.len)).sum();
        let again: u64 = self.again.values().map(|again| again.messages).sum();
        let mut bases: Vec<u64> = self.again.keys().map(|(base, _)| *base).collect();
        bases.dedup();
        let pinned_again = bases.iter().filter(|base| !self.live.contains_key(base));
        let weights: u64 = self.live.values().map(|live| live.batch.weight(live.kept)).sum();
        let load = weights + self.again.values().map(Again::load).sum::<u64>();
        (kept + again, all - kept + pinned_again.map(|base| self.pinned_again(*base)).sum::<u64>(), load)
    }

    /// What `group` has still to settle.
    pub(crate) fn open(&self, group: GroupId) -> u64 {
        let account = self.groups.iter().find(|account| account.group == group);
        account.map_or(0, |account| account.open + account.redriven)
    }

    /// The batch at `base`, if some of it is kept.
    pub(crate) fn batch(&self, base: u64) -> Option<&B> {
        self.live.get(&base).map(|live| &live.batch)
    }

    /// The oldest message that is kept, those that came back left out.
    pub(crate) fn oldest(&self) -> Option<(&B, u16)> {
        let live = self.live.values().next()?;
        Some((&live.batch, live.kept.first(0, 0)?))
    }

    /// The oldest message that `group` has still to settle, those that came back left out.
    pub(crate) fn oldest_of(&self, group: GroupId) -> Option<(&B, u16)> {
        let at = self.position(group)?;
        self.live.values().find_map(|live| Some((&live.batch, live.open.get(at)?.first(0, 0)?)))
    }

    /// Whether `group` has still to settle the oldest messages that hold a place.
    pub(crate) fn holds_oldest(&self, group: GroupId) -> bool {
        let (oldest, again) = (self.live.first_key_value(), self.again.keys().next().map(|(base, _)| *base));
        match (oldest, again) {
            (Some((base, live)), again) if again.is_none_or(|again| *base < again) => {
                let open = self.position(group).and_then(|at| live.open.get(at));
                open.is_some_and(|open| !open.is_empty())
            }
            (_, Some(base)) => self.again.contains_key(&(base, group)),
            _ => false,
        }
    }

    /// A new batch of `len` messages. Each group has those open that `wants` picks.
    pub(crate) fn on_batch(&mut self, batch: B, len: u16, wants: impl Fn(GroupId) -> Bits) {
        let all = Bits::range(0, len);
        let mut opens = self.spare.pop().unwrap_or_default();
        self.load += batch.weight(all);
        for account in &mut self.groups {
            let open = wants(account.group).and(all);
            account.open += open.count();
            opens.push(open);
        }
        self.live.insert(self.next_offset, Live { batch, len, kept: all, open: opens });
        self.unsettled += u64::from(len);
        self.next_offset += u64::from(len);
    }

    /// Lets go of what no group wants or has still to settle, in the batches from the one at `base` on. Returns how
    /// many places that frees.
    ///
    /// Without a group, nothing: it waits for one.
    pub(crate) fn sweep(&mut self, base: u64) -> u64 {
        if self.groups.is_empty() {
            return 0;
        }
        let (mut next, mut freed) = (base, 0);
        while let Some((base, _)) = self.live.range(next..).next() {
            next = base + 1;
            freed += self.free(*base, Bits::range(0, BATCH as u16));
        }
        freed
    }

    /// A new group, for which those kept messages are open that `wants` picks from a batch. Returns them.
    pub(crate) fn on_group(
        &mut self,
        group: GroupId,
        wants: impl Fn(&B, u64, Bits) -> Bits,
    ) -> Vec<(B, Bits)> {
        let mut handout = Vec::new();
        let mut count = 0;
        for (base, live) in &mut self.live {
            let open = wants(&live.batch, *base, live.kept).and(live.kept);
            live.open.push(open);
            if !open.is_empty() {
                count += open.count();
                handout.push((live.batch.clone(), open));
            }
        }
        self.groups.push(Account { group, open: count, redriven: 0 });
        handout
    }

    /// A group is gone. Returns how many places that frees: those of messages that came back to it, and of those
    /// that were open for nobody else, unless these are to be kept for groups to come.
    pub(crate) fn on_group_gone(&mut self, group: GroupId, keep: bool) -> u64 {
        let Some(at) = self.position(group) else { return 0 };
        let mut freed = self.groups.remove(at).redriven;
        self.redriven -= freed;
        let again = self.again.keys().filter(|(_, whose)| *whose == group).map(|(base, _)| *base);
        for base in again.collect::<Vec<_>>() {
            let gone = self.change_again(base, |again| again.remove(&(base, group)));
            self.unload(gone.map_or(0, |again| again.load()));
        }
        for base in self.live.keys().copied().collect::<Vec<_>>() {
            let open = self.live.get_mut(&base).map(|live| live.open.remove(at)).unwrap_or_default();
            freed += if keep { 0 } else { self.free(base, open) };
        }
        freed
    }

    /// A group settled messages. Returns how many places that frees.
    pub(crate) fn on_settled(&mut self, group: GroupId, base: u64, settled: Bits) -> u64 {
        let Some(at) = self.position(group) else { return 0 };
        let Some(live) = self.live.get_mut(&base) else { return 0 };
        let (Some(open), Some(account)) = (live.open.get_mut(at), self.groups.get_mut(at)) else {
            return 0;
        };
        account.open -= open.and(settled).count();
        *open = open.without(settled);
        self.free(base, settled)
    }

    /// How many messages there are for which `can` says that their places come free, when so many groups have them to
    /// settle, what they weigh, and the batch of the first. Not counted on once they are so many, and weigh so much.
    pub(crate) fn evictable(
        &self,
        (places, weight): (u64, u64),
        can: impl Fn(&B, u16, u32) -> bool,
    ) -> ((u64, u64), u64) {
        let (mut count, mut load, mut first) = (0, 0, None);
        for (base, live) in &self.live {
            for at in live.kept.iter().filter(|at| can(&live.batch, *at, live.open_for(*at))) {
                first.get_or_insert(*base);
                count += 1;
                load += live.batch.weight(Bits::range(at, at + 1));
                if count >= places && load >= weight {
                    return ((count, load), first.unwrap_or(0));
                }
            }
        }
        ((count, load), first.unwrap_or(0))
    }

    /// Evicts the oldest message, from the batch at `from` on, for which `evict` says that it can be, when so many groups
    /// have it to settle, or says before that it is enough. Answers its batch and index, and those groups. Its place is
    /// free.
    pub(crate) fn evict_oldest(
        &mut self,
        from: u64,
        evict: impl Fn(&B, u16, u32) -> ControlFlow<bool>,
    ) -> Option<(B, u16, Vec<GroupId>)> {
        let batches = self.live.range(from..);
        let mut kept = batches.flat_map(|(base, live)| live.kept.iter().map(move |at| (*base, at, live)));
        let answer = kept.try_for_each(|(base, at, live)| {
            let evicted = evict(&live.batch, at, live.open_for(at));
            evicted.map_break(|evicted| evicted.then_some((base, at)))
        });
        let (base, index) = answer.break_value()??;
        let live = self.live.get_mut(&base)?;
        let (batch, one, mut groups) = (live.batch.clone(), Bits::range(index, index + 1), Vec::new());
        for (open, account) in live.open.iter_mut().zip(&mut self.groups) {
            if open.has(index) {
                *open = open.without(one);
                account.open -= 1;
                groups.push(account.group);
            }
        }
        self.free(base, one);
        Some((batch, index, groups))
    }

    /// These are not kept for groups to come: they went elsewhere, or are past their time. Returns how many places that
    /// frees.
    pub(crate) fn let_go(&mut self, base: u64, which: Bits) -> u64 {
        self.free(base, which)
    }

    /// The first batch that begins at the offset `from` or later, and what is kept of it.
    pub(crate) fn first_kept(&self, from: u64) -> Option<(B, Bits)> {
        let (_, live) = self.live.range(from..).next()?;
        Some((live.batch.clone(), live.kept))
    }

    /// Whether a message of this batch may come back, if no more than `limit` payloads are to be pinned.
    pub(crate) fn admits_again(&self, base: u64, len: u16, limit: u64) -> bool {
        let is_there = self.live.contains_key(&base) || self.again_of(base).next().is_some();
        let more = if is_there { 0 } else { u64::from(len).saturating_sub(1) };
        more == 0 || self.pinned + more < limit
    }

    /// The message at `index` of this batch, of `len` messages, comes back to `group`, and holds a place that bears its
    /// `weight`. `false`: there is no such group.
    pub(crate) fn on_redriven(
        &mut self,
        group: GroupId,
        base: u64,
        len: u16,
        (index, weight): (u16, u64),
    ) -> bool {
        let Some(account) = self.groups.iter_mut().find(|account| account.group == group) else {
            return false;
        };
        account.redriven += 1;
        self.redriven += 1;
        self.load += weight;
        self.change_again(base, |again| {
            let new = || Again { len, messages: 0, weights: Vec::new() };
            let there = again.entry((base, group)).or_insert_with(new);
            there.messages += 1;
            there.weights.extend((weight > 0).then_some((index, weight)));
        });
        true
    }

    /// A group settled the message at `index` of this batch, that had come back. Returns how many places that frees.
    pub(crate) fn on_settled_again(&mut self, group: GroupId, base: u64, index: u16) -> u64 {
        let account = self.groups.iter_mut().find(|account| account.group == group);
        let (Some(account), true) = (account, self.again.contains_key(&(base, group))) else { return 0 };
        account.redriven -= 1;
        self.redriven -= 1;
        let weight = self.change_again(base, |again| {
            let there = again.get_mut(&(base, group))?;
            there.messages -= 1;
            let at = there.weights.iter().position(|(other, _)| *other == index);
            let weight = at.map(|at| there.weights.swap_remove(at).1);
            if there.messages == 0 {
                again.remove(&(base, group));
            }
            weight
        });
        self.unload(weight.unwrap_or(0));
        1
    }

    /// Changes who has messages of a batch again, and what that pins.
    fn change_again<R>(
        &mut self,
        base: u64,
        change: impl FnOnce(&mut BTreeMap<(u64, GroupId), Again>) -> R,
    ) -> R {
        let before = self.pinned_again(base);
        let changed = change(&mut self.again);
        if !self.live.contains_key(&base) {
            self.pinned = self.pinned + self.pinned_again(base) - before;
        }
        changed
    }

    /// So much weight goes, with the places that bore it.
    fn unload(&mut self, weight: u64) {
        self.load -= weight;
        self.freed += weight;
    }

    /// What messages that came back pin of a batch that is over: all of it but themselves.
    fn pinned_again(&self, base: u64) -> u64 {
        let sum = |(_, sum), again: &Again| (u64::from(again.len), sum + again.messages);
        let (len, messages) = self.again_of(base).fold((0, 0), sum);
        len.saturating_sub(messages)
    }

    fn again_of(&self, base: u64) -> impl Iterator<Item = &Again> {
        self.again.range((base, GroupId(0))..=(base, GroupId(u32::MAX))).map(|(_, again)| again)
    }

    fn position(&self, group: GroupId) -> Option<usize> {
        self.groups.iter().position(|account| account.group == group)
    }

    /// Frees those of `candidates` that are open for no group.
    fn free(&mut self, base: u64, candidates: Bits) -> u64 {
        let Some(live) = self.live.get_mut(&base) else { return 0 };
        let done = live.open.iter().fold(candidates.and(live.kept), |done, open| done.without(*open));
        live.kept = live.kept.without(done);
        let weight = live.batch.weight(done);
        self.pinned += done.count();
        if live.kept.is_empty()
            && let Some(mut live) = self.live.remove(&base)
        {
            self.pinned -= u64::from(live.len);
            self.pinned += if self.again.is_empty() { 0 } else { self.pinned_again(base) };
            if self.spare.len() < SPARE {
                live.open.clear();
                self.spare.push(live.open);
            }
        }
        self.unsettled -= done.count();
        self.unload(weight);
        done.count()
    }
}

#[cfg(test)]
mod tests;
