//! Order by key: a queue for each key that has messages, of which one lease at a time has any.
//!
//! ```text
//!              push                     take                        on_done: the last of them
//!   (no lane) ─────▶ waiting, in turn ───────▶ busy: at a consumer, ─────────────────────────▶ (no lane)
//!                        ▲                     or delayed                │
//!                        └──────────── on_done, put_back ◀───────────────┘
//! ```
//!
//! A lane is busy from the moment it is taken until everything that was taken of it is done with or put back. So a
//! message that failed, and waits for its backoff, keeps its lane busy: what came behind it waits, and no other key
//! does (G10). A lane without messages is not kept.
//!
//! Lanes are served in turn, so that none is all that a group does. A lease takes what one batch has of its lane, and of
//! the lanes next in turn; of so many lanes only that each consumer that is ready gets some.

use std::collections::{BTreeMap, BTreeSet};

use super::waiting::Waiting;
use super::{Past, Slice};
use crate::base::{Bug, planted};
use crate::broker::KeyHash;
use crate::broker::bits::Bits;
use crate::broker::order::{BatchHandle, Order};

pub(super) struct Keys<B> {
    order: Order,
    max_parked: Option<u64>,
    /// Limit: one for each key of an unsettled message, of which there are as many as the topic's capacity.
    lanes: BTreeMap<KeyHash, Lane<B>>,
    /// Lanes that wait and are not busy, by their turn.
    in_turn: BTreeMap<u64, KeyHash>,
    next_turn: u64,
    /// Messages of the lanes in turn.
    available: u64,
    /// Lanes that wait for a message that failed.
    failed: usize,
    /// Lanes that may have more messages than `max_parked`. Limit: each is one of the above.
    surplus: BTreeSet<KeyHash>,
    /// Lanes that wait, by the offset of their oldest message; if that is asked for.
    by_age: Option<BTreeSet<(u64, KeyHash)>>,
}

struct Lane<B> {
    waiting: Waiting<B>,
    /// Messages that were taken and are neither done with nor put back.
    busy: u32,
    /// Present while it is in turn.
    turn: Option<u64>,
    /// The message that began before and is not done with; it comes before what was redriven, too, so there is but one.
    begun: Option<Begun>,
}

#[derive(Clone, Copy)]
struct Begun {
    offset: u64,
    failed: bool,
}

impl<B> Default for Lane<B> {
    fn default() -> Lane<B> {
        Lane { waiting: Waiting::default(), busy: 0, turn: None, begun: None }
    }
}

impl<B: Clone + BatchHandle> Keys<B> {
    /// `by_age`: it will be asked for the oldest message, which costs a little each time a lane changes.
    pub(super) fn new(order: Order, max_parked: Option<u32>, by_age: bool) -> Keys<B> {
        Keys {
            order,
            max_parked: max_parked.map(u64::from),
            lanes: BTreeMap::new(),
            in_turn: BTreeMap::new(),
            next_turn: 0,
            available: 0,
            failed: 0,
            surplus: BTreeSet::new(),
            by_age: by_age.then(BTreeSet::new),
        }
    }

    pub(super) fn available(&self) -> u64 {
        self.available
    }

    pub(super) fn has_before(&self, upto: u64) -> bool {
        self.lanes.values().any(|lane| lane.waiting.has_before(upto))
    }

    pub(super) fn counted(&self) -> u64 {
        self.lanes.values().map(|lane| lane.waiting.counted()).sum()
    }

    pub(super) fn count(&self) -> (usize, usize) {
        let keys = if self.order == Order::Keyed { self.lanes.len() } else { 0 };
        (keys, if keys > 0 { self.failed } else { 0 })
    }

    pub(super) fn push(&mut self, slice: Slice<B>) {
        for (key, run) in runs(self.order, &slice) {
            self.change(key, |lane| lane.waiting.push(run));
            self.mark_surplus(key);
        }
    }

    pub(super) fn push_redriven(&mut self, slice: Slice<B>, past: Past) {
        let key = self.order.lane(&slice.batch, slice.from);
        self.change(key, |lane| lane.waiting.put_back(slice, past));
        self.mark_surplus(key);
    }

    pub(super) fn put_back(&mut self, slice: Slice<B>, past: Past) {
        for (key, run) in runs(self.order, &slice) {
            self.change(key, |lane| {
                lane.busy -= u32::from(run.len());
                if past.attempts > 0 {
                    lane.note_begun(run.first(), false);
                }
                lane.waiting.put_back(run, past.clone());
            });
            // Why here too: it may have been withdrawn from behind one that failed just now.
            self.mark_surplus(key);
        }
    }

    pub(super) fn on_done(&mut self, slice: &Slice<B>) {
        for (key, run) in runs(self.order, slice) {
            self.change(key, |lane| {
                lane.busy -= u32::from(run.len());
                lane.forget(&run);
            });
        }
    }

    pub(super) fn on_failed(&mut self, slice: &Slice<B>) {
        let key = self.order.lane(&slice.batch, slice.from);
        self.change(key, |lane| lane.note_begun(slice.first(), true));
        self.mark_surplus(key);
    }

    fn mark_surplus(&mut self, key: KeyHash) {
        let Some(most) = self.max_parked else { return };
        if self.lanes.get(&key).is_some_and(|lane| lane.behind() > most) {
            self.surplus.insert(key);
        }
    }

    pub(super) fn take_surplus(&mut self) -> Option<Slice<B>> {
        let most = self.max_parked?;
        while let Some(key) = self.surplus.first().copied() {
            let mut surplus = None;
            self.change(key, |lane| {
                if lane.behind() > most {
                    surplus = lane.waiting.take_last();
                }
            });
            if surplus.is_some() {
                return surplus;
            }
            self.surplus.remove(&key);
        }
        None
    }

    pub(super) fn take(&mut self, most: u16, consumers: u64) -> Option<(Slice<B>, Past)> {
        let mut lanes = (self.in_turn.len() as u64).div_ceil(consumers.max(1)).max(1);
        let mut taken: Option<(B, u64, Bits)> = None;
        let mut left = most;
        while left > 0
            && lanes > 0
            && let Some(key) = self.in_turn.first_key_value().map(|(_, key)| *key)
        {
            let first = taken.is_none();
            let mut again = None;
            let mut some = false;
            self.change(key, |lane| {
                if lane.waiting.has_again() {
                    let begun = lane.begun.map(|begun| begun.offset);
                    again = if first { lane.waiting.take_again(begun) } else { None };
                    lane.busy += u32::from(again.is_some());
                    return;
                }
                // What is taken together is of one batch.
                while left > 0
                    && taken.as_ref().is_none_or(|(_, base, _)| lane.waiting.first_batch() == Some(*base))
                    && let Some(run) = lane.waiting.take_fresh(left)
                {
                    let Slice { batch, base, from, to, .. } = run;
                    lane.busy += u32::from(to - from);
                    left -= to - from;
                    some = true;
                    let (_, _, bits) = taken.get_or_insert_with(|| (batch, base, Bits::default()));
                    *bits = bits.with(Bits::range(from, to));
                }
            });
            if again.is_some() {
                return again;
            }
            if !some {
                break;
            }
            lanes -= 1;
        }
        let (batch, base, bits) = taken?;
        Some((Slice::of(batch, base, bits), Past::default()))
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        Some(self.by_age.as_ref()?.first()?.0)
    }

    pub(super) fn take_oldest(&mut self, most: u16) -> Option<(Slice<B>, Past)> {
        let (_, key) = *self.by_age.as_ref()?.first()?;
        // Why one: what is next in its lane may be younger than what other lanes have.
        let most = if self.order == Order::Exclusive { most } else { 1 };
        let mut oldest = None;
        self.change(key, |lane| {
            oldest = lane.waiting.take_oldest(most);
            oldest.iter().for_each(|(slice, _)| lane.forget(slice));
        });
        oldest
    }

    pub(super) fn take_any(&mut self) -> Option<(Slice<B>, Past)> {
        let (key, _) = self.lanes.iter().find(|(_, lane)| !lane.waiting.is_empty())?;
        let mut some = None;
        self.change(*key, |lane| {
            some = lane.waiting.take_oldest(u16::MAX);
            some.iter().for_each(|(slice, _)| lane.forget(slice));
        });
        some
    }

    pub(super) fn take_one(&mut self, batch: &B, base: u64, index: u16) -> Option<(Slice<B>, Past)> {
        let mut one = None;
        self.change(self.order.lane(batch, index), |lane| {
            one = lane.waiting.take_one(base, index);
            one.iter().for_each(|(slice, _)| lane.forget(slice));
        });
        one
    }

    /// Changes a lane, and with it whether it is in turn, or there at all.
    fn change(&mut self, key: KeyHash, change: impl FnOnce(&mut Lane<B>)) {
        let lane = self.lanes.entry(key).or_default();
        if lane.turn.is_some() {
            self.available -= lane.waiting.len();
        }
        let before = if self.by_age.is_some() { lane.waiting.oldest() } else { None };
        let failed = lane.has_failed();
        change(lane);
        self.failed = self.failed + usize::from(lane.has_failed()) - usize::from(failed);
        if let Some(by_age) = &mut self.by_age {
            let after = lane.waiting.oldest();
            if before != after {
                before.map(|offset| by_age.remove(&(offset, key)));
                after.map(|offset| by_age.insert((offset, key)));
            }
        }
        let (waits, busy) = (!lane.waiting.is_empty(), lane.busy > 0);
        let kept = busy && !planted(Bug::KeyTwice);
        match lane.turn {
            Some(turn) if kept || !waits => {
                lane.turn = None;
                self.in_turn.remove(&turn);
            }
            None if waits && !kept => {
                lane.turn = Some(self.next_turn);
                self.in_turn.insert(self.next_turn, key);
                self.next_turn += 1;
            }
            _ => {}
        }
        if lane.turn.is_some() {
            self.available += lane.waiting.len();
        }
        if !waits && !busy {
            self.lanes.remove(&key);
        }
    }
}

impl<B: Clone> Lane<B> {
    fn has_failed(&self) -> bool {
        self.begun.is_some_and(|begun| begun.failed)
    }

    /// So many wait behind one that failed; none, if none did.
    fn behind(&self) -> u64 {
        let failed = self.begun.filter(|begun| begun.failed);
        let itself = |begun: Begun| u64::from(self.waiting.has_again_at(begun.offset));
        failed.map_or(0, |begun| self.waiting.len() - itself(begun))
    }

    /// This one began, is not done with, and perhaps failed.
    fn note_begun(&mut self, offset: u64, failed: bool) {
        let before = self.begun.is_some_and(|begun| begun.offset == offset && begun.failed);
        self.begun = Some(Begun { offset, failed: failed || before });
    }

    /// These are done with.
    fn forget(&mut self, slice: &Slice<B>) {
        let gone = slice.first()..slice.base + u64::from(slice.to);
        self.begun = self.begun.filter(|begun| !gone.contains(&begun.offset));
    }
}

/// The runs of neighbours that are of one lane.
fn runs<B: Clone + BatchHandle>(order: Order, slice: &Slice<B>) -> impl Iterator<Item = (KeyHash, Slice<B>)> {
    let mut rest = slice.bits();
    std::iter::from_fn(move || {
        let from = rest.first(0, 0)?;
        let key = order.lane(&slice.batch, from);
        let same = |to: &u16| rest.has(*to) && order.lane(&slice.batch, *to) == key;
        let to = (from + 1..=slice.to).find(|to| *to == slice.to || !same(to))?;
        rest = rest.without(Bits::range(from, to));
        Some((key, Slice::new(slice.batch.clone(), slice.base, from, to)))
    })
}

#[cfg(test)]
mod tests;
