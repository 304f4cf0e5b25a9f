//! How many messages a group hands out in a time: a token bucket. Pure; time is an argument.
//!
//! A token is as many units as the interval has nanoseconds, and each nanosecond brings as many units as there are
//! messages in an interval. So everything is whole numbers, and however often one looks, nothing is lost or made by
//! rounding. What was not used is saved up to `burst` tokens. From that follows the one rule that matters: in any window
//! of length `d`, at most `burst + messages * d / interval` messages are handed out and kept.
//!
//! A message that comes back unbegun brings its token back; but only if there would have been room for it all the time,
//! had it not been handed out. Else it would have been lost above the burst, and now makes one too many. So the leases
//! whose tokens may come back, and the level, together never exceed the burst: as that fills up, the oldest tokens are
//! forgotten.
//!
//! A message may weigh several tokens. It goes when one is there, and takes all it weighs: what is missing is owed, and
//! the next one waits until that is paid. So none is too heavy to go, nobody looks at what is next, and a window sees at
//! most what the last message weighs more than the rule says.

use std::collections::BTreeMap;
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
/// Messages count, unless the group was told what each of them takes:
/// [`GroupBuilder::rate_by`](super::GroupBuilder::rate_by). Runtimes wake a task to the millisecond, and not earlier than asked: a burst
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
    /// least 1, so that no interval sees more than a tenth over its messages.
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
        for (what, number) in [("the rate limit", self.messages), ("the rate limit's burst", self.burst)] {
            if number == 0 {
                faults.add(format!("{what} is 0, so that nothing could go"));
            }
        }
        faults.time("the rate limit's interval", self.interval);
    }
}

/// The tokens of one group.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    /// Units at `at`; never more than those of the burst. Below zero after a message that took more than there was.
    level: i128,
    at: Moment,
    lent: Lent,
}

/// Leases, and how many tokens may come back of each. Invariant: with the level they are at most the burst. Limit: leases that are out.
#[derive(Clone, Debug, Default)]
struct Lent {
    tokens: BTreeMap<LeaseId, u64>,
    sum: u128,
}

impl Lent {
    fn remove(&mut self, lease: LeaseId) -> Option<u64> {
        let tokens = self.tokens.remove(&lease)?;
        self.sum -= u128::from(tokens);
        Some(tokens)
    }
}

impl Bucket {
    pub(crate) fn full(limit: RateLimit, now: Moment) -> Bucket {
        let mut bucket = Bucket { limit, level: 0, at: now, lent: Lent::default() };
        bucket.level = bucket.most();
        bucket
    }

    pub(crate) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// So many tokens are there now.
    pub(crate) fn tokens(&mut self, now: Moment) -> u64 {
        // Why no step back: a moment may be a little older than the one before, and its time was counted.
        if now > self.at {
            let brought = now.since(self.at).as_nanos().cast_signed() * i128::from(self.limit.messages);
            let brought = if planted(Bug::DoubleTokens) { 2 * brought } else { brought };
            self.level = (self.level + brought).min(self.most());
            self.at = now;
            self.forget_old();
        }
        u64::try_from((self.level / self.token()).max(0)).unwrap_or(u64::MAX)
    }

    /// A lease goes out and takes so many: more than there are, if it is the only one and weighs more.
    pub(crate) fn take(&mut self, lease: LeaseId, tokens: u64) {
        let tokens = if planted(Bug::Weightless) { 1 } else { tokens };
        self.level -= self.token() * i128::from(tokens);
        self.lent.tokens.insert(lease, tokens);
        self.lent.sum += u128::from(tokens);
        self.forget_old();
    }

    /// It came back unbegun.
    pub(crate) fn put_back(&mut self, lease: LeaseId) {
        if let Some(tokens) = self.lent.remove(lease) {
            self.level = (self.level + self.token() * i128::from(tokens)).min(self.most());
        }
    }

    /// It is over, and what it took is spent.
    pub(crate) fn on_over(&mut self, lease: LeaseId) {
        self.lent.remove(lease);
    }

    fn forget_old(&mut self) {
        let room = ((self.most() - self.level) / self.token()).cast_unsigned();
        while let Some(surplus) = self.lent.sum.checked_sub(room).filter(|surplus| *surplus > 0)
            && let Some(mut oldest) = self.lent.tokens.first_entry()
        {
            let tokens = oldest.get_mut();
            let forgotten = u64::try_from(surplus).unwrap_or(u64::MAX).min(*tokens);
            *tokens -= forgotten;
            if *tokens == 0 {
                oldest.remove();
            }
            self.lent.sum -= u128::from(forgotten);
        }
    }

    /// When the next token is there; `None` if one is.
    pub(crate) fn next_token(&self) -> Option<Moment> {
        let missing = u128::try_from(self.token() - self.level).ok().filter(|missing| *missing > 0)?;
        let nanos = missing.div_ceil(u128::from(self.limit.messages.max(1)));
        Some(self.at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Another limit from now on, with the tokens there are, or are owed, and those that may come back.
    ///
    /// Why parts of a token too: whoever sets a limit more often than tokens come would else get none.
    pub(crate) fn changed(mut self, limit: RateLimit, now: Moment) -> Bucket {
        self.tokens(now);
        let (tokens, part) = (self.level.div_euclid(self.token()), self.level.rem_euclid(self.token()));
        let mut bucket = Bucket::full(limit, self.at);
        let level = bucket.token() * tokens + bucket.token() * part / self.token();
        bucket.level = bucket.most().min(level);
        bucket.lent = self.lent;
        bucket.forget_old();
        bucket
    }

    /// The units of one token.
    fn token(&self) -> i128 {
        self.limit.interval.as_nanos().max(1).cast_signed()
    }

    fn most(&self) -> i128 {
        self.token() * i128::from(self.limit.burst)
    }
}

#[cfg(test)]
mod tests;
