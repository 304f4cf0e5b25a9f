//! How long to wait before the next try.

use super::InvalidSetting;
use std::time::Duration;

/// Says how long to wait before something that failed is tried again: a child's restart, a message's retry.
///
/// It is plain data and arithmetic: it reads no clock and draws no random number, both are given to it. The
/// default is [`exponential`](Backoff::exponential) from 100 ms to 30 s with a [`jitter`](Backoff::jitter) of
/// 0.2: soon enough for a hiccup, slow enough for a database that is away for minutes.
///
/// # Examples
/// ```
/// use callboard::supervise::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(1));
/// let delays: Vec<u128> = (0..=6).map(|failures| backoff.delay(failures, 0).as_millis()).collect();
/// assert_eq!(delays, [0, 100, 200, 400, 800, 1000, 1000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    shape: Shape,
    jitter: f64,
    calm: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    None,
    Fixed(Duration),
    Exponential { first: Duration, cap: Duration },
}

impl Backoff {
    /// The longest time that any part of a backoff may be: a year. A longer one is a slip of units.
    pub const MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    const DEFAULT_FIRST: Duration = Duration::from_millis(100);
    const DEFAULT_CAP: Duration = Duration::from_secs(30);
    const DEFAULT_JITTER: f64 = 0.2;

    /// Makes a backoff that never waits: the next try comes at once.
    pub const fn none() -> Backoff {
        Backoff { shape: Shape::None, jitter: 0.0, calm: None }
    }

    /// Makes a backoff that waits `delay` after each failure.
    pub const fn fixed(delay: Duration) -> Backoff {
        Backoff { shape: Shape::Fixed(delay), jitter: 0.0, calm: None }
    }

    /// Makes a backoff that waits `first` after the first failure and twice as long after each further one in
    /// a row, up to `cap`.
    pub const fn exponential(first: Duration, cap: Duration) -> Backoff {
        Backoff { shape: Shape::Exponential { first, cap }, jitter: 0.0, calm: None }
    }

    /// Shortens each delay by a random part of it, `fraction` of it at most; 0 (off) to 1 (anything up to the
    /// whole delay). Off unless asked for, but part of the default backoff.
    ///
    /// It spreads out things that failed together, so that they don't come back together. It only ever
    /// shortens: so the cap stays the longest wait that anyone sees, and a deadline computed from it holds.
    /// The price is that with jitter a later delay can be shorter than an earlier one.
    pub const fn jitter(self, fraction: f64) -> Backoff {
        Backoff { jitter: fraction, ..self }
    }

    /// Sets how long a restarted child must run until its earlier failures are forgotten, so that its next
    /// failure counts as its first again.
    ///
    /// Unless set it is the longest delay of this backoff: what ran for that long has paid for the wait.
    /// Retries of a message don't use it, since a message's attempts are counted for as long as it lives.
    pub const fn reset_after(self, calm: Duration) -> Backoff {
        Backoff { calm: Some(calm), ..self }
    }

    /// Returns how long to wait after this many failures in a row; zero if nothing failed yet.
    ///
    /// `random` is any evenly distributed number; without jitter it has no effect. The answer is never longer
    /// than the cap or [`Backoff::MAX`], whatever the numbers are.
    pub fn delay(&self, failures_in_a_row: u32, random: u64) -> Duration {
        let Some(doublings) = failures_in_a_row.checked_sub(1) else {
            return Duration::ZERO;
        };
        let nanos = match self.shape {
            Shape::None => 0,
            Shape::Fixed(delay) => nanos(delay),
            // Why 64: a year is under 2^55 ns, so even this shift can't overflow, and it is above any cap.
            Shape::Exponential { first, cap } => (nanos(first) << doublings.min(64)).min(nanos(cap)),
        };
        // Both factors have 32 bits behind the point: 55 + 33 + 32 bits fit. A NaN becomes 0.
        let fraction = (self.jitter.clamp(0.0, 1.0) * (1_u64 << 32) as f64) as u128;
        let part = u128::from(random >> 32);
        let shorter = nanos - ((nanos * fraction * part) >> 64);
        Duration::from_nanos(u64::try_from(shorter).unwrap_or(u64::MAX))
    }

    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// [`InvalidSetting`] lists everything that is wrong: a zero where a time is needed, a cap below the
    /// first delay, a jitter that is not between 0 and 1, a time over [`Backoff::MAX`].
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let mut faults = Vec::new();
        let mut time = |what: &str, time: Duration| {
            if time.is_zero() {
                faults.push(format!("the backoff's {what} is zero"));
            } else if time > Backoff::MAX {
                faults.push(format!("the backoff's {what} of {time:?} is over {:?}", Backoff::MAX));
            }
        };
        match self.shape {
            Shape::None => {}
            Shape::Fixed(delay) => time("delay", delay),
            Shape::Exponential { first, cap } => {
                time("first delay", first);
                time("cap", cap);
            }
        }
        if let Some(calm) = self.calm {
            time("calm period", calm);
        }
        if let Shape::Exponential { first, cap } = self.shape
            && cap < first
        {
            faults.push(format!("the backoff's cap of {cap:?} is below its first delay of {first:?}"));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            faults.push(format!("the backoff's jitter of {} is not between 0 and 1", self.jitter));
        }
        InvalidSetting::unless_empty(faults)
    }

    /// Returns whether something that ran this long has outlived its earlier failures.
    pub(crate) fn has_calmed(&self, ran: Duration) -> bool {
        let longest = match self.shape {
            Shape::None => Duration::ZERO,
            Shape::Fixed(delay) => delay,
            Shape::Exponential { cap, .. } => cap,
        };
        ran >= self.calm.unwrap_or(longest)
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::exponential(Backoff::DEFAULT_FIRST, Backoff::DEFAULT_CAP).jitter(Backoff::DEFAULT_JITTER)
    }
}

/// Nanoseconds, at most a year of them: the arithmetic above stays far from its limits even if nobody
/// checked.
fn nanos(time: Duration) -> u128 {
    time.min(Backoff::MAX).as_nanos()
}

#[cfg(test)]
mod tests;
