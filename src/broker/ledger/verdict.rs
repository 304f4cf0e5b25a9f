//! What becomes of a message whose attempt did not end in an ack.

use std::time::Duration;

use super::{BatchHandle, Effect, Ledger, Past, Slice, settled};
use crate::base::{Bug, Moment, planted};
use crate::broker::DeadReason;
use crate::broker::outcome::Verdict;
use crate::supervise::Backoff;

/// The wait after an attempt that could not go on for want of room (G17).
///
/// Why not the group's backoff: that is for what fails, may be none, and then this would spin; or be an hour.
/// Why so short: a handler's publish has waited in line before it said so, and will again.
pub(super) const NO_ROOM: Backoff =
    Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1)).jitter(0.2);

impl<B: Clone + BatchHandle> Ledger<B> {
    /// One message whose handling began and did not end in an ack.
    pub(super) fn except(
        &mut self,
        slice: Slice<B>,
        mut past: Past,
        verdict: Verdict,
        now: Moment,
        random: u64,
        effects: &mut Vec<Effect<B>>,
    ) {
        past.attempts = past.attempts.saturating_add(u32::from(!planted(Bug::UnmarkedDuplicate)));
        let random = mixed(random, slice.first());
        if !matches!(verdict, Verdict::Ack | Verdict::Drop) {
            Self::let_go(&slice, &past);
        }
        match verdict {
            Verdict::Ack => {
                self.counts.acked += 1;
                self.queue.on_done(&slice);
                effects.push(settled(&slice, &past));
                Self::let_go(&slice, &past);
            }
            Verdict::Drop => {
                self.counts.dropped += 1;
                self.counts.acked += u64::from(planted(Bug::DriftingStats));
                self.queue.on_done(&slice);
                effects.push(settled(&slice, &past));
                Self::let_go(&slice, &past);
            }
            Verdict::Release => {
                self.note(&slice, &past, (None, None), effects);
                self.put_back(slice, past);
            }
            Verdict::Dead { reason } => self.bury(slice, past, DeadReason::Rejected(reason), effects),
            Verdict::Retry { error, after } => {
                self.counts.failures += 1;
                past.failures = past.failures.saturating_add(1);
                past.no_room = 0;
                past.error = Some(error);
                if past.failures >= self.retry.attempts() && !planted(Bug::UnboundedRetry) {
                    return self.bury(slice, past, DeadReason::TooManyAttempts, effects);
                }
                self.queue.on_failed(&slice);
                let wait = after.unwrap_or_else(|| self.retry.backoff().delay(past.failures, random));
                self.delay(slice, past, now, wait, effects);
            }
            Verdict::NoRoom { error } => {
                self.counts.no_room += 1;
                past.no_room = past.no_room.saturating_add(1);
                past.error = Some(error);
                let wait = NO_ROOM.delay(past.no_room, random);
                self.delay(slice, past, now, wait, effects);
            }
        }
    }

    fn delay(
        &mut self,
        slice: Slice<B>,
        past: Past,
        now: Moment,
        wait: Duration,
        effects: &mut Vec<Effect<B>>,
    ) {
        self.note(&slice, &past, (Some(now + wait), None), effects);
        if wait.is_zero() {
            return self.put_back(slice, past);
        }
        self.let_go = true;
        self.counts.delayed += 1;
        self.wait(&slice, &past);
        self.delayed.insert(now + wait, slice, past);
    }

    pub(super) fn bury(
        &mut self,
        slice: Slice<B>,
        past: Past,
        reason: DeadReason,
        effects: &mut Vec<Effect<B>>,
    ) {
        self.note(&slice, &past, (None, Some(&reason)), effects);
        self.let_go = true;
        self.counts.parked += 1;
        self.queue.on_done(&slice);
        effects.push(Effect::Dead { slice, past, reason });
    }
}

/// A random number for one message, made of the one for its report: what failed together must not come back together.
/// The backoff looks at the upper bits; the odd factor spreads neighbours over them.
pub(super) fn mixed(random: u64, offset: u64) -> u64 {
    random ^ offset.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
