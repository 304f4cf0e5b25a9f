//! Messages that wait to be handed out, in order.

use std::collections::{BTreeMap, VecDeque};

use super::{Past, Slice};
use crate::base::{Bug, planted};

/// Limit: the topic's capacity.
pub(super) struct Waiting<B> {
    /// Never started, by offset; as few slices as there are batches and gaps. Invariant: none of them has a gap, since
    /// they are cut and joined by their ends.
    fresh: VecDeque<Slice<B>>,
    /// Started before, or redriven, by offset; each alone.
    again: BTreeMap<u64, (Slice<B>, Past)>,
    fresh_messages: u64,
}

impl<B> Default for Waiting<B> {
    fn default() -> Waiting<B> {
        Waiting { fresh: VecDeque::new(), again: BTreeMap::new(), fresh_messages: 0 }
    }
}

impl<B: Clone> Waiting<B> {
    pub(super) fn len(&self) -> u64 {
        self.fresh_messages + self.again.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn has_fresh(&self) -> bool {
        self.fresh_messages > 0
    }

    pub(super) fn has_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// Whether the one with this offset is among those that were started before.
    pub(super) fn has_again_at(&self, offset: u64) -> bool {
        self.again.contains_key(&offset)
    }

    /// Whether there is one before this offset.
    pub(super) fn has_before(&self, upto: u64) -> bool {
        self.fresh.front().is_some_and(|slice| slice.first() < upto)
            || self.again.first_key_value().is_some_and(|(first, _)| *first < upto)
    }

    /// The runs that were never started.
    #[cfg(test)]
    pub(super) fn runs(&self) -> Vec<(u64, u16)> {
        self.fresh.iter().map(|slice| (slice.first(), slice.len())).collect()
    }

    /// Counts anew.
    pub(super) fn counted(&self) -> u64 {
        self.fresh.iter().map(|slice| u64::from(slice.len())).sum::<u64>() + self.again.len() as u64
    }

    /// New messages, with higher offsets than all others.
    pub(super) fn push(&mut self, slice: Slice<B>) {
        debug_assert!(slice.picked.is_none(), "it has no gap");
        self.fresh_messages += u64::from(slice.len());
        match self.fresh.back_mut().filter(|last| last.touches(&slice)) {
            Some(last) => last.to = slice.to,
            None => self.fresh.push_back(slice),
        }
    }

    /// Puts back what was handed out, or redriven, where its offset belongs.
    pub(super) fn put_back(&mut self, slice: Slice<B>, past: Past) {
        if past.is_blank() {
            self.put_back_fresh(slice);
        } else {
            let there = self.again.insert(slice.first(), (slice, past));
            debug_assert!(there.is_none(), "a message is in one place");
        }
    }

    /// Joins it with its neighbours.
    fn put_back_fresh(&mut self, mut rest: Slice<B>) {
        debug_assert!(rest.picked.is_none(), "it has no gap");
        self.fresh_messages += u64::from(rest.len());
        if planted(Bug::RequeueAtTail) {
            return self.fresh.push_back(rest);
        }
        let at = self.fresh.partition_point(|slice| slice.first() < rest.first());
        if let Some(next) = self.fresh.get(at).filter(|next| rest.touches(next)) {
            rest.to = next.to;
            self.fresh.remove(at);
        }
        let before = at.checked_sub(1).and_then(|at| self.fresh.get_mut(at));
        match before.filter(|before| before.touches(&rest)) {
            Some(before) => before.to = rest.to,
            None => self.fresh.insert(at, rest),
        }
    }

    /// Takes one that was started before or redriven: the one at the offset `before`, if it is there, or else the first.
    pub(super) fn take_again(&mut self, before: Option<u64>) -> Option<(Slice<B>, Past)> {
        let one = before.and_then(|offset| self.again.remove(&offset));
        one.or_else(|| self.again.pop_first().map(|(_, waiting)| waiting))
    }

    /// Takes the first ones that were never started, of one batch, up to `most`.
    pub(super) fn take_fresh(&mut self, most: u16) -> Option<Slice<B>> {
        let first = self.fresh.front_mut()?;
        let slice = if first.len() <= most {
            self.fresh.pop_front()?
        } else {
            let cut = first.from + most;
            let slice = first.part(first.from, cut);
            first.from = cut;
            slice
        };
        self.fresh_messages -= u64::from(slice.len());
        Some(slice)
    }

    /// The oldest one.
    pub(super) fn oldest(&self) -> Option<u64> {
        let (again, fresh) = (self.again.first_key_value(), self.fresh.front());
        let again = again.map(|(offset, _)| *offset);
        again.into_iter().chain(fresh.map(Slice::first)).min()
    }

    /// Takes the oldest ones, that came in together, up to `most`.
    pub(super) fn take_oldest(&mut self, most: u16) -> Option<(Slice<B>, Past)> {
        match self.again.contains_key(&self.oldest()?) {
            true => self.take_again(None),
            false => Some((self.take_fresh(most)?, Past::default())),
        }
    }

    /// Takes one.
    pub(super) fn take_one(&mut self, base: u64, index: u16) -> Option<(Slice<B>, Past)> {
        let offset = base + u64::from(index);
        if let Some(again) = self.again.remove(&offset) {
            return Some(again);
        }
        let at = self.fresh.partition_point(|slice| slice.first() <= offset).checked_sub(1)?;
        let slice = self.fresh.get_mut(at).filter(|slice| slice.base == base && index < slice.to)?;
        let one = slice.part(index, index + 1);
        let behind = slice.part(index + 1, slice.to);
        slice.to = index;
        if slice.len() == 0 {
            self.fresh.remove(at);
        }
        if behind.len() > 0 {
            let at = self.fresh.partition_point(|slice| slice.first() < offset);
            self.fresh.insert(at, behind);
        }
        self.fresh_messages -= 1;
        Some((one, Past::default()))
    }

    /// The batch of the first one that was never started.
    pub(super) fn first_batch(&self) -> Option<u64> {
        self.fresh.front().map(|slice| slice.base)
    }

    /// Takes the last one that was never started.
    pub(super) fn take_last(&mut self) -> Option<Slice<B>> {
        let last = self.fresh.back_mut()?;
        let slice = last.part(last.to - 1, last.to);
        last.to -= 1;
        if last.len() == 0 {
            self.fresh.pop_back();
        }
        self.fresh_messages -= 1;
        Some(slice)
    }
}
