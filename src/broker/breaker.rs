//! The breaker of a group: it hands out nothing for a while when all that comes of it is failures. Pure.
//!
//! | state | hands out | on a success | on a failure | on its alarm |
//! |---|---|---|---|---|
//! | closed | all | closed, counts from 0 | counts; at the limit: open | - |
//! | open | nothing | closed | - | half-open |
//! | half-open | one message, the probe | closed | of the probe: open, for longer | - |
//!
//! A probe that comes back without a verdict (not started, released, or without room) makes way for another.
//!
//! A success may come from an attempt that began before the breaker opened. It closes it all the same: failures were not
//! all there is.

use std::time::Duration;

use super::lease::LeaseId;
use super::outcome::Verdict;
use super::settings::Faults;
use crate::base::Moment;
use crate::supervise::Backoff;

/// Stops a group for a while whose failures are all it produces; for
/// [`GroupBuilder::breaker`](super::GroupBuilder::breaker).
///
/// After so many failed attempts, of whatever messages, without a success in between, the group hands out nothing for a
/// time. Then it hands out one message to see: if that succeeds, all goes on; if it fails, the group waits again, for
/// longer. A handler that has gone bad, or whose database is gone, so gives up few messages instead of all of them: with
/// the breaker open, at most one attempt in each pause is spent.
///
/// What is tried in the pauses is mostly the same message, the oldest that failed: for that one not to be given up, the
/// group's [`Retry`](super::Retry) must allow more attempts than an outage has pauses.
///
/// What consumers are at when it opens goes on to its end, so that before it opens each consumer may fail about as often
/// as all together should. A consumer is handed no more messages at a time than there may be failures: with a small
/// number, quick handlers are slower.
///
/// Errors, panics, deadlines, dropped deliveries and [`Outcome::DeadLetter`](super::Outcome::DeadLetter) are failures:
/// code that rejects everything is what a breaker is for. [`Outcome::NoRoom`](super::Outcome::NoRoom) and a release are
/// neither failure nor success. Everything else is a success.
///
/// # Examples
/// ```
/// use callboard::broker::Breaker;
/// use std::time::Duration;
///
/// // After 20 failures in a row: 5 s, then 10 s, 20 s.. up to a minute.
/// let breaker = Breaker::after(20).pause(Duration::from_secs(5));
/// assert_eq!(breaker.failures(), 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    failures: u32,
    backoff: Backoff,
}

/// Tells what a group's breaker is at, by [`GroupStats::breaker`](super::GroupStats::breaker).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BreakerStats {
    /// What it lets through.
    pub state: BreakerState,
    /// How often it opened, after a probe that failed too.
    pub opened: u64,
}

/// Tells what a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing, for a time.
    Open,
    /// One message at a time, until one succeeds or fails.
    HalfOpen,
}

impl Breaker {
    /// The longest pause, unless told otherwise.
    const LONGEST: Duration = Duration::from_secs(60);

    /// Opens after this many failed attempts without a success in between; at least 1. The pauses grow from 1 s to a
    /// minute unless told otherwise.
    pub const fn after(failures_in_a_row: u32) -> Breaker {
        let backoff = Backoff::exponential(Duration::from_secs(1), Breaker::LONGEST);
        Breaker { failures: failures_in_a_row, backoff }
    }

    /// Sets the first pause. Each one after a probe that failed is twice as long as the one before, up to a minute or, if
    /// that is longer, to `first`.
    pub const fn pause(self, first: Duration) -> Breaker {
        let longest = if first.as_nanos() > Breaker::LONGEST.as_nanos() { first } else { Breaker::LONGEST };
        self.backoff(Backoff::exponential(first, longest))
    }

    /// Sets how the pauses grow: by how often the breaker opened without a success in between.
    pub const fn backoff(self, backoff: Backoff) -> Breaker {
        Breaker { backoff, ..self }
    }

    /// Returns how many failures in a row open it.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if self.failures == 0 {
            faults.add("the breaker opens after 0 failures, so that nothing could be handled".to_string());
        }
        if self.backoff == Backoff::none() {
            faults.add("the breaker's pause is zero, so that it would never be open".to_string());
        }
        if let Err(invalid) = self.backoff.check() {
            invalid.faults().for_each(|fault| faults.add(format!("breaker: {fault}")));
        }
    }
}

/// A breaker at work.
#[derive(Clone, Debug)]
pub(crate) struct Fuse {
    breaker: Breaker,
    state: State,
    in_a_row: u32,
    /// How often it opened since the last success.
    openings: u32,
    opened: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Moment },
    HalfOpen { probe: Option<LeaseId> },
}

/// The failures of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(super) all: u32,
    /// Those behind which no attempt of the report succeeded.
    pub(super) last: u32,
}

impl Tally {
    /// One attempt that failed.
    pub(crate) const ONE: Tally = Tally { all: 1, last: 1 };

    /// Counts the failures of a report on the messages before `upto`.
    pub(crate) fn of(upto: u16, exceptions: &[(u16, Verdict)]) -> Tally {
        let all = exceptions.iter().filter(|(_, verdict)| is_failure(verdict)).count();
        let (mut last, mut next) = (0, upto);
        for (index, verdict) in exceptions.iter().rev() {
            let acked_between = index + 1 < next;
            if acked_between || matches!(verdict, Verdict::Ack | Verdict::Drop) {
                break;
            }
            last += u32::from(is_failure(verdict));
            next = *index;
        }
        Tally { all: u32::try_from(all).unwrap_or(u32::MAX), last }
    }

    pub(crate) fn any(self) -> bool {
        self.all > 0
    }

    /// With this it is known whether any attempt of the report succeeded.
    pub(crate) fn ends(self, success: bool) -> Ends {
        Ends { success, failures: if success { self.last } else { self.all } }
    }
}

fn is_failure(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Retry { .. } | Verdict::Dead { .. })
}

/// What a report says to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Whether an attempt succeeded.
    pub(crate) success: bool,
    /// How many failed after the last that succeeded, or at all if none did.
    pub(crate) failures: u32,
}

impl Fuse {
    pub(crate) fn new(breaker: Breaker) -> Fuse {
        Fuse { breaker, state: State::Closed, in_a_row: 0, openings: 0, opened: 0 }
    }

    /// So many messages may be handed out.
    pub(crate) fn room(&self) -> u64 {
        match self.state {
            State::Closed => u64::MAX,
            State::Open { .. } | State::HalfOpen { probe: Some(_) } => 0,
            State::HalfOpen { probe: None } => 1,
        }
    }

    /// So many messages one lease may have: if all of them fail, the breaker opens, and not later.
    ///
    /// Why: a consumer works off its lease before the group hears much of it, however it goes.
    pub(crate) fn lease(&self) -> u64 {
        u64::from(self.breaker.failures.saturating_sub(self.in_a_row).max(1))
    }

    /// This lease is being handed out.
    pub(crate) fn on_lease(&mut self, lease: LeaseId) {
        if let State::HalfOpen { probe: probe @ None } = &mut self.state {
            *probe = Some(lease);
        }
    }

    /// This lease is over, without a verdict that says something.
    pub(crate) fn on_over(&mut self, lease: LeaseId) {
        if self.state == (State::HalfOpen { probe: Some(lease) }) {
            self.state = State::HalfOpen { probe: None };
        }
    }

    /// Attempts of this lease have ended. Answers whether the breaker opened.
    pub(crate) fn on_ends(&mut self, lease: LeaseId, ends: Ends, now: Moment, random: u64) -> bool {
        if ends.success {
            (self.state, self.in_a_row, self.openings) = (State::Closed, 0, 0);
        }
        self.in_a_row = self.in_a_row.saturating_add(ends.failures);
        let opens = match self.state {
            State::Closed => self.in_a_row >= self.breaker.failures,
            State::Open { .. } => false,
            State::HalfOpen { probe } => probe == Some(lease) && ends.failures > 0,
        };
        if opens {
            self.openings = self.openings.saturating_add(1);
            self.opened += 1;
            self.state = State::Open { until: now + self.breaker.backoff.delay(self.openings, random) };
        } else {
            self.on_over(lease);
        }
        opens
    }

    /// When the pause is over.
    pub(crate) fn next_alarm(&self) -> Option<Moment> {
        if let State::Open { until } = self.state { Some(until) } else { None }
    }

    /// Time has passed. Answers whether the pause is over with that.
    pub(crate) fn on_alarm(&mut self, now: Moment) -> bool {
        let over = self.next_alarm().is_some_and(|until| until <= now);
        if over {
            self.state = State::HalfOpen { probe: None };
        }
        over
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    pub(crate) fn stats(&self) -> BreakerStats {
        let state = match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        };
        BreakerStats { state, opened: self.opened }
    }
}

#[cfg(test)]
mod tests;
