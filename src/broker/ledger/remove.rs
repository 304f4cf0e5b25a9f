//! Messages that leave a group without an outcome, by a limit that was asked for: each is counted for what it was (G5).
//!
//! | limit | what goes | when |
//! |---|---|---|
//! | the topic drops its oldest | what the topic says, which nobody holds | at once; or, if it is still on its way, as it comes in |
//! | the group's `max_lag` | the oldest that nobody holds and that is not parked, until no more are unsettled than that | as messages come in |
//! | the topic's `ttl`, or the message's own | what is past it | at that moment, or as it comes back from a consumer |

use super::{BatchHandle, DeadReason, Effect, Ledger, Past, Slice, mark_settled};
use crate::base::Moment;
use crate::broker::bits::Bits;
use crate::broker::ttls::Timed;

impl<B: Clone + BatchHandle> Ledger<B> {
    /// The topic evicted these. Those that are not here are on their way, or went.
    pub(crate) fn on_evicted(&mut self, batch: &B, base: u64, which: Bits, effects: &mut Vec<Effect<B>>) {
        for index in which.iter() {
            let waited = self.queue.take_one(batch, base, index);
            if let Some((slice, past)) = waited {
                self.count_out(&slice, &past);
                self.counts.evicted += 1;
                effects.push(removed(&slice, &past));
            } else if let Some((slice, past)) = self.take_delayed(base + u64::from(index)) {
                self.counts.evicted += 1;
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

    /// So many messages were skipped before they were here.
    pub(crate) fn on_skipped_before(&mut self, messages: u64) {
        self.counts.entered += messages;
        self.counts.skipped += messages;
    }

    /// Skips the oldest messages, as far as more are unsettled than the group may be behind.
    pub(crate) fn skip_ahead(&mut self, effects: &mut Vec<Effect<B>>) {
        let Some(most) = self.max_lag else { return };
        loop {
            let counts = self.counts;
            let waiting = counts.backlog + counts.ready - self.withheld;
            let lag = waiting + counts.in_flight + counts.delayed + counts.parked;
            let surplus = lag.saturating_sub(most);
            if surplus == 0 {
                return;
            }
            let Some((slice, past)) = self.take_oldest(surplus) else { return };
            self.counts.skipped += u64::from(slice.len());
            effects.push(removed(&slice, &past));
        }
    }

    /// Skips all that nobody holds and that is not parked, and forgets what it knew of messages that are to come.
    pub(crate) fn skip_all(&mut self, effects: &mut Vec<Effect<B>>) {
        while let Some((slice, past)) = self.take_any() {
            self.counts.skipped += u64::from(slice.len());
            effects.push(removed(&slice, &past));
        }
        if let Some(memory) = &mut self.memory {
            memory.clear();
        }
    }

    /// Takes some that nobody holds. Why not the oldest: a group by key need not know which those are.
    fn take_any(&mut self) -> Option<(Slice<B>, Past)> {
        if let Some(delayed) = self.delayed.oldest() {
            return self.take_delayed(delayed);
        }
        let (slice, past) = self.queue.take_any()?;
        self.count_out(&slice, &past);
        Some((slice, past))
    }

    /// Takes the oldest messages that nobody holds, up to `most`, as far as they are neighbours. Those that wait for their
    /// next attempt are among them: else what is new would be skipped for their sake.
    fn take_oldest(&mut self, most: u64) -> Option<(Slice<B>, Past)> {
        let (waiting, delayed) = (self.queue.oldest(), self.delayed.oldest());
        if let Some(delayed) = delayed.filter(|delayed| waiting.is_none_or(|waiting| *delayed < waiting)) {
            return self.take_delayed(delayed);
        }
        let before = delayed.map_or(u64::MAX, |delayed| delayed - waiting.unwrap_or(delayed));
        let (slice, past) = self.queue.take_oldest(u16::try_from(most.min(before)).unwrap_or(u16::MAX))?;
        self.count_out(&slice, &past);
        Some((slice, past))
    }

    /// These wait from now on, also for their time to be over. What was redriven has all the time in the world: whoever
    /// asked for it knew how old it was.
    pub(super) fn wait(&mut self, slice: &Slice<B>, past: &Past) {
        if past.redrives == 0 {
            self.ttls.add(slice);
        }
    }

    /// Takes a message out that waits for its next attempt; its lane goes on.
    fn take_delayed(&mut self, offset: u64) -> Option<(Slice<B>, Past)> {
        let (slice, past) = self.delayed.take(offset)?;
        self.counts.delayed -= 1;
        self.ttls.remove(&slice);
        self.queue.on_done(&slice);
        Some((slice, past))
    }

    /// Removes what is past its time.
    pub(super) fn expire(&mut self, now: Moment, effects: &mut Vec<Effect<B>>) {
        while let Some(Timed { batch, base, which }) = self.ttls.take_due(now) {
            let mut gone = Bits::default();
            for index in which.iter() {
                let waited = self.queue.take_one(&batch, base, index);
                waited.iter().for_each(|(slice, past)| self.count_out(slice, past));
                let Some((slice, past)) = waited.or_else(|| self.take_delayed(base + u64::from(index)))
                else {
                    continue;
                };
                if self.dead_letter_expired {
                    self.bury_expired(slice, past, effects);
                } else {
                    gone.insert(index);
                }
            }
            self.tell_expired(base, gone, effects);
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
        if !slice.batch.may_be_unwanted() {
            return slice;
        }
        let all = slice.bits();
        // What was redriven is past no time, and holds a place of its own, which nobody evicts.
        let over = if past.redrives == 0 { slice.batch.expired(all, now) } else { Bits::default() };
        let wanted = all.without(over);
        let evicted = if past.redrives == 0 { slice.batch.claim(wanted) } else { Bits::default() };
        if over.is_empty() && evicted.is_empty() {
            return slice;
        }
        if !over.is_empty() {
            let gone = Slice::of(slice.batch.clone(), slice.base, over);
            self.queue.on_done(&gone);
            if self.dead_letter_expired {
                let one = |at| slice.part(at, at + 1);
                over.iter().for_each(|at| self.bury_expired(one(at), past.clone(), effects));
            } else {
                self.tell_expired(slice.base, over, effects);
            }
        }
        if !evicted.is_empty() {
            let gone = Slice::of(slice.batch.clone(), slice.base, evicted);
            self.queue.on_done(&gone);
            self.counts.evicted += evicted.count();
            effects.push(removed(&gone, past));
        }
        Slice::of(slice.batch, slice.base, wanted.without(evicted))
    }

    fn bury_expired(&mut self, slice: Slice<B>, past: Past, effects: &mut Vec<Effect<B>>) {
        self.counts.parked += 1;
        effects.push(Effect::Dead { slice, past, reason: DeadReason::Expired });
    }

    /// These are past their time, which what was redriven never is.
    fn tell_expired(&mut self, base: u64, which: Bits, effects: &mut Vec<Effect<B>>) {
        if !which.is_empty() {
            self.counts.expired += which.count();
            effects.push(Effect::Removed { base, which });
        }
    }
}

/// A limit settled these. Which account the place belongs to depends on how they came.
fn removed<B: Clone + BatchHandle>(slice: &Slice<B>, past: &Past) -> Effect<B> {
    mark_settled(slice, past);
    match past.redrives {
        0 => Effect::Removed { base: slice.base, which: slice.bits() },
        _ => Effect::RemovedAgain { base: slice.base, at: slice.from },
    }
}
