//! Messages that leave a group without an outcome, by a limit that was asked for: each is counted for what it was (G5).
//!
//! | limit | what goes | when |
//! |---|---|---|
//! | the topic drops its oldest | what the topic says, which nobody holds | at once; or, if it is still on its way, as it comes in |
//! | the group's `max_lag` | the oldest that nobody holds, until no more are unsettled than that | as messages come in |
//! | the topic's `ttl` | what is past its time | when it is the oldest, and whenever it would be handed out |

use super::{BatchHandle, DeadReason, Effect, Ledger, Past, Slice};
use crate::base::Moment;
use crate::broker::bits::Bits;

impl<B: Clone + BatchHandle> Ledger<B> {
    /// The topic evicted these. Those that are not here are on their way, or went.
    pub(crate) fn on_evicted(&mut self, batch: &B, base: u64, which: Bits, effects: &mut Vec<Effect<B>>) {
        for index in which.iter() {
            let waited = self.queue.take_one(batch, base, index);
            if let Some((slice, past)) = waited {
                self.count_out(&slice, &past);
                self.counts.evicted += 1;
                effects.push(removed(&slice, &past));
            } else if let Some((slice, past)) = self.delayed.take(base + u64::from(index)) {
                self.counts.delayed -= 1;
                self.counts.evicted += 1;
                self.queue.on_done(&slice);
                effects.push(removed(&slice, &past));
            }
        }
    }

    /// The topic evicted messages that were parked here.
    pub(crate) fn on_parked_evicted(&mut self, slice: &Slice<B>, past: &Past, effects: &mut Vec<Effect<B>>) {
        self.counts.parked -= 1;
        self.counts.evicted += 1;
        effects.push(removed(slice, past));
    }

    /// Messages were evicted before they were here.
    pub(crate) fn on_evicted_before(&mut self, base: u64, which: Bits, effects: &mut Vec<Effect<B>>) {
        self.counts.entered += which.count();
        self.counts.evicted += which.count();
        effects.push(Effect::Removed { base, which });
    }

    /// Skips the oldest messages, as far as more are unsettled than the group may be behind.
    pub(crate) fn skip_ahead(&mut self, effects: &mut Vec<Effect<B>>) {
        let Some(most) = self.max_lag else { return };
        loop {
            let counts = self.counts;
            let waiting = counts.backlog + counts.ready - self.withheld;
            let lag = waiting + counts.in_flight + counts.delayed + counts.parked;
            let surplus = u16::try_from(lag.saturating_sub(most)).unwrap_or(u16::MAX);
            if surplus == 0 {
                return;
            }
            let Some((slice, past)) = self.queue.take_oldest(surplus) else { return };
            self.count_out(&slice, &past);
            self.counts.skipped += u64::from(slice.len());
            effects.push(removed(&slice, &past));
        }
    }

    /// When the oldest message is past its time.
    pub(crate) fn next_expiry(&self) -> Option<Moment> {
        let waiting = self.queue.oldest().and_then(|slice| slice.batch.expires(slice.from));
        let delayed = self.delayed.oldest().and_then(|slice| slice.batch.expires(slice.from));
        [waiting, delayed].into_iter().flatten().min()
    }

    /// Removes the oldest messages, as far as they are past their time.
    pub(crate) fn expire(&mut self, now: Moment, effects: &mut Vec<Effect<B>>) {
        let is_over = |slice: &Slice<B>| slice.batch.expires(slice.from).is_some_and(|at| at <= now);
        while self.queue.oldest().is_some_and(is_over)
            && let Some((slice, past)) = self.queue.take_oldest(1)
        {
            self.count_out(&slice, &past);
            self.expire_these(slice, past, effects);
        }
        while let Some(slice) = self.delayed.oldest().filter(|slice| is_over(slice))
            && let Some((slice, past)) = self.delayed.take(slice.first())
        {
            self.counts.delayed -= 1;
            self.queue.on_done(&slice);
            self.expire_these(slice, past, effects);
        }
    }

    /// Of what was taken from the queue to be handed out, what can be: neither evicted nor past its time.
    pub(super) fn still_wanted(
        &mut self,
        slice: Slice<B>,
        past: &Past,
        now: Moment,
        effects: &mut Vec<Effect<B>>,
    ) -> Slice<B> {
        let all = slice.bits();
        let over = slice.batch.expired(all, now);
        // What was redriven holds a place of its own, which nobody evicts.
        let wanted = all.without(over);
        let evicted = if past.redrives == 0 { slice.batch.claim(wanted) } else { Bits::default() };
        if over.is_empty() && evicted.is_empty() {
            return slice;
        }
        for index in over.iter() {
            let one = slice.part(index, index + 1);
            self.queue.on_done(&one);
            self.expire_these(one, past.clone(), effects);
        }
        if !evicted.is_empty() {
            let gone = Slice::of(slice.batch.clone(), slice.base, evicted);
            self.queue.on_done(&gone);
            self.counts.evicted += evicted.count();
            effects.push(removed(&gone, past));
        }
        Slice::of(slice.batch, slice.base, wanted.without(evicted))
    }

    fn expire_these(&mut self, slice: Slice<B>, past: Past, effects: &mut Vec<Effect<B>>) {
        if self.dead_letter_expired {
            self.counts.parked += 1;
            effects.push(Effect::Dead { slice, past, reason: DeadReason::Expired });
        } else {
            self.counts.expired += 1;
            effects.push(removed(&slice, &past));
        }
    }
}

/// A limit settled these. Which account the place belongs to depends on how they came.
fn removed<B: Clone>(slice: &Slice<B>, past: &Past) -> Effect<B> {
    match past.redrives {
        0 => Effect::Removed { base: slice.base, which: slice.bits() },
        _ => Effect::RemovedAgain { base: slice.base, at: slice.from },
    }
}
