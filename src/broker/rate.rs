//! How many messages a group hands out in a time: a token bucket. Pure; time is an argument.
//!
//! A token is as many units as the interval has nanoseconds, and each nanosecond brings as many units as there are
//! messages in an interval. So everything is whole numbers, and however often one looks, nothing is lost or made by
//! rounding. What was not used is saved up to `burst` tokens. From that follows the one rule that matters: in any window
//! of length `d`, at most `burst + messages * d / interval` messages are handed out and kept.
//!
//! A message that comes back unbegun brings its token back; but only if there would have been room for it all the time,
//! had it not been handed out. Else it would have been lost above the burst, and now makes one too many. So the leases
//! whose tokens may come back, and the level, together never exceed the burst: as that fills up, the oldest are forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lease::LeaseId;
use super::settings::Faults;
use crate::base::{Bug, Moment, planted};

/// Bounds how many messages a group begins in a time; for [`GroupBuilder::rate_limit`](super::GroupBuilder::rate_limit).
///
/// Every attempt counts, retries too. In any window of length `d`, the group hands out at most
/// `burst + messages * d / interval` messages, and over a long time as many as the interval allows, if there are as
/// many. A handler is handed one message at a time, when it can begin at once. A stream may be handed up to `prefetch`
/// messages before it reads them, so that one that reads late reads those at once: give it a small prefetch.
///
/// Messages count, whatever they weigh. Runtimes wake a task to the millisecond, and not earlier than asked: a burst
/// smaller than what the limit allows in a few milliseconds lowers the rate.
///
/// # Examples
/// ```
/// use callboard::broker::RateLimit;
/// use std::time::Duration;
///
/// let gentle = RateLimit::per_second(50);
/// assert_eq!((gentle.messages(), gentle.interval(), gentle.burst_size()), (50, Duration::from_secs(1), 5));
/// let quota = RateLimit::new(1_000, Duration::from_secs(3600)).burst(1);
/// assert_eq!(quota.burst_size(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RateLimit {
    messages: u32,
    #[cfg_attr(feature = "serde", serde(rename = "interval_ms", serialize_with = "crate::base::millis"))]
    interval: Duration,
    burst: u32,
}

impl RateLimit {
    /// Allows `messages` in each second.
    pub const fn per_second(messages: u32) -> RateLimit {
        RateLimit::new(messages, Duration::from_secs(1))
    }

    /// Allows `messages` in each `interval`. Both must be above zero; the interval is at most a year.
    pub const fn new(messages: u32, interval: Duration) -> RateLimit {
        let tenth = messages / 10;
        RateLimit { messages, interval, burst: if tenth == 0 { 1 } else { tenth } }
    }

    /// Sets how many messages may go at once after a time without any. Default: a tenth of the interval's messages, at
    /// least 1, so that no interval sees more than a tenth over its messages. At most 16,777,216.
    ///
    /// With 1 they are spaced evenly.
    pub const fn burst(self, messages: u32) -> RateLimit {
        RateLimit { burst: messages, ..self }
    }

    /// Returns how many messages an interval allows.
    pub const fn messages(&self) -> u32 {
        self.messages
    }

    /// Returns the interval.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns how many messages may go at once.
    pub const fn burst_size(&self) -> u32 {
        self.burst
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        faults.messages("the rate limit", self.messages as usize);
        faults.messages("the rate limit's burst", self.burst as usize);
        faults.time("the rate limit's interval", self.interval);
    }
}

/// The tokens of one group.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    /// Units at `at`; never more than those of the burst.
    level: u128,
    at: Moment,
    /// Leases whose tokens may come back. Invariant: with the level they are at most the burst. Limit: the burst.
    lent: BTreeSet<LeaseId>,
}

impl Bucket {
    pub(crate) fn full(limit: RateLimit, now: Moment) -> Bucket {
        let mut bucket = Bucket { limit, level: 0, at: now, lent: BTreeSet::new() };
        bucket.level = bucket.most();
        bucket
    }

    pub(crate) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// So many messages may be handed out now.
    pub(crate) fn tokens(&mut self, now: Moment) -> u64 {
        // Why no step back: a moment may be a little older than the one before, and its time was counted.
        if now > self.at {
            let brought = now.since(self.at).as_nanos() * u128::from(self.limit.messages);
            let brought = if planted(Bug::DoubleTokens) { 2 * brought } else { brought };
            self.level = (self.level + brought).min(self.most());
            self.at = now;
            self.forget_old();
        }
        u64::try_from(self.level / self.token()).unwrap_or(u64::MAX)
    }

    /// So many were handed out.
    pub(crate) fn take(&mut self, messages: u64) {
        debug_assert!(
            self.token() * u128::from(messages) <= self.level,
            "only tokens that are there are taken"
        );
        self.level = self.level.saturating_sub(self.token() * u128::from(messages));
    }

    /// One of them is this.
    pub(crate) fn on_lease(&mut self, lease: LeaseId) {
        self.lent.insert(lease);
        self.forget_old();
    }

    /// It came back unbegun.
    pub(crate) fn put_back(&mut self, lease: LeaseId) {
        if self.lent.remove(&lease) {
            self.level = (self.level + self.token()).min(self.most());
        }
    }

    fn forget_old(&mut self) {
        let room = (self.most() - self.level) / self.token();
        while self.lent.len() as u128 > room {
            self.lent.pop_first();
        }
    }

    /// When the next token is there; `None` if one is.
    pub(crate) fn next_token(&self) -> Option<Moment> {
        let missing = self.token().checked_sub(self.level).filter(|missing| *missing > 0)?;
        let nanos = missing.div_ceil(u128::from(self.limit.messages.max(1)));
        Some(self.at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Another limit from now on, with the tokens there are.
    pub(crate) fn changed(mut self, limit: RateLimit, now: Moment) -> Bucket {
        let tokens = self.tokens(now);
        let mut bucket = Bucket::full(limit, self.at);
        bucket.level = bucket.most().min(bucket.token() * u128::from(tokens));
        bucket
    }

    /// The units of one token.
    fn token(&self) -> u128 {
        self.limit.interval.as_nanos().max(1)
    }

    fn most(&self) -> u128 {
        self.token() * u128::from(self.limit.burst)
    }
}

#[cfg(test)]
mod tests;
