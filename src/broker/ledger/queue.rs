//! What a group hands out next: as it comes, or by lanes.

use super::keys::Keys;
use super::waiting::Waiting;
use super::{Past, RETRIES_IN_A_ROW, Slice};
use crate::broker::GroupSettings;
use crate::broker::order::{BatchHandle, Order};

pub(super) enum Queue<B> {
    Shared { waiting: Waiting<B>, retries_in_a_row: u32 },
    Lanes(Keys<B>),
}

impl<B: Clone + BatchHandle> Queue<B> {
    pub(super) fn new(settings: &GroupSettings) -> Queue<B> {
        match settings.order {
            Order::Shared => Queue::Shared { waiting: Waiting::default(), retries_in_a_row: 0 },
            Order::Keyed | Order::Exclusive => {
                let by_age = settings.max_lag.is_some();
                Queue::Lanes(Keys::new(settings.order, settings.max_parked_per_key, by_age))
            }
        }
    }

    /// So many messages could be handed out now.
    pub(super) fn available(&self) -> u64 {
        match self {
            Queue::Shared { waiting, .. } => waiting.len(),
            Queue::Lanes(keys) => keys.available(),
        }
    }

    /// Whether a message before this offset waits.
    pub(super) fn has_before(&self, upto: u64) -> bool {
        match self {
            Queue::Shared { waiting, .. } => waiting.has_before(upto),
            Queue::Lanes(keys) => keys.has_before(upto),
        }
    }

    /// Counts anew what waits.
    pub(super) fn counted(&self) -> u64 {
        match self {
            Queue::Shared { waiting, .. } => waiting.counted(),
            Queue::Lanes(keys) => keys.counted(),
        }
    }

    /// New messages, with higher offsets than all others.
    pub(super) fn push(&mut self, slice: Slice<B>) {
        match self {
            Queue::Shared { waiting, .. } => waiting.push(slice),
            Queue::Lanes(keys) => keys.push(slice),
        }
    }

    /// A message that came back from the dead letters.
    pub(super) fn push_redriven(&mut self, slice: Slice<B>, past: Past) {
        match self {
            Queue::Shared { waiting, .. } => waiting.put_back(slice, past),
            Queue::Lanes(keys) => keys.push_redriven(slice, past),
        }
    }

    /// Messages that were taken are to be handed out again.
    pub(super) fn put_back(&mut self, slice: Slice<B>, past: Past) {
        match self {
            // What is between them is gone for good: it was evicted, or past its time.
            Queue::Shared { waiting, .. } => slice.runs().for_each(|run| waiting.put_back(run, past.clone())),
            Queue::Lanes(keys) => keys.put_back(slice, past),
        }
    }

    /// Messages that were taken are done with, for good.
    pub(super) fn on_done(&mut self, slice: &Slice<B>) {
        if let Queue::Lanes(keys) = self {
            keys.on_done(slice);
        }
    }

    /// A message that was taken failed, and waits to be put back.
    pub(super) fn on_failed(&mut self, slice: &Slice<B>) {
        if let Queue::Lanes(keys) = self {
            keys.on_failed(slice);
        }
    }

    /// Takes a message that waits behind one that failed, with too many others.
    pub(super) fn take_surplus(&mut self) -> Option<Slice<B>> {
        match self {
            Queue::Shared { .. } => None,
            Queue::Lanes(keys) => keys.take_surplus(),
        }
    }

    /// Keys that have messages here, and how many of these keys wait for one that failed.
    pub(super) fn count_keys(&self) -> (usize, usize) {
        match self {
            Queue::Shared { .. } => (0, 0),
            Queue::Lanes(keys) => keys.count(),
        }
    }

    /// The oldest message that waits. In a group by key only as far as it was made to know; see [`Keys::new`].
    pub(super) fn oldest(&self) -> Option<u64> {
        match self {
            Queue::Shared { waiting, .. } => waiting.oldest(),
            Queue::Lanes(keys) => keys.oldest(),
        }
    }

    /// Takes the oldest messages that wait, up to `most`, as far as they are neighbours: they are done with.
    pub(super) fn take_oldest(&mut self, most: u16) -> Option<(Slice<B>, Past)> {
        match self {
            Queue::Shared { waiting, .. } => waiting.take_oldest(most),
            Queue::Lanes(keys) => keys.take_oldest(most),
        }
    }

    /// Takes some messages that wait, of one batch and lane: they are done with.
    pub(super) fn take_any(&mut self) -> Option<(Slice<B>, Past)> {
        match self {
            Queue::Shared { waiting, .. } => waiting.take_oldest(u16::MAX),
            Queue::Lanes(keys) => keys.take_any(),
        }
    }

    /// Takes one message, if it waits: it is done with.
    pub(super) fn take_one(&mut self, batch: &B, base: u64, index: u16) -> Option<(Slice<B>, Past)> {
        match self {
            Queue::Shared { waiting, .. } => waiting.take_one(base, index),
            Queue::Lanes(keys) => keys.take_one(batch, base, index),
        }
    }

    /// Takes what is handed out next, up to `most` messages, when `consumers` can take some.
    pub(super) fn take(&mut self, most: u16, consumers: u64) -> Option<(Slice<B>, Past)> {
        match self {
            Queue::Lanes(keys) => keys.take(most, consumers),
            Queue::Shared { waiting, retries_in_a_row } => {
                // What was started before comes first, and not for ever.
                let one_fresh = *retries_in_a_row >= RETRIES_IN_A_ROW && waiting.has_fresh();
                if !one_fresh && let Some(again) = waiting.take_again(None) {
                    *retries_in_a_row = retries_in_a_row.saturating_add(1);
                    return Some(again);
                }
                *retries_in_a_row = 0;
                Some((waiting.take_fresh(most)?, Past::default()))
            }
        }
    }
}
