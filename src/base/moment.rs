//! A point on the monotonic clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Marks a point on a runtime's monotonic clock, in nanoseconds since the process first asked for the time.
///
/// It is a plain number so that pure code takes time as an argument, a test makes one up, and an atomic can
/// hold one. It says nothing about the wall clock: a jump of that moves no `Moment`. Arithmetic saturates: the
/// far future is [`Moment::MAX`] (584 years on), which no timer reaches.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

/// A time in whole milliseconds, as far as they are a number.
pub(crate) fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Moment {
    /// The start of the clock.
    pub const ZERO: Moment = Moment(0);
    /// Later than anything: a deadline that never comes.
    pub const MAX: Moment = Moment(u64::MAX);

    /// Makes the moment that lies `nanos` nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Moment {
        Moment(nanos)
    }

    /// Returns the nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns how long ago `earlier` was, or zero if it lies ahead.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, delay: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, delay: Duration) -> Moment {
        Moment(self.0.saturating_sub(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:?}", Duration::from_nanos(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Moment::ZERO - Duration::from_secs(1), Moment::ZERO);
        assert_eq!(Moment::MAX + Duration::from_secs(1), Moment::MAX);
        assert_eq!(Moment::ZERO + Duration::MAX, Moment::MAX);
        assert_eq!(Moment::ZERO.since(Moment::MAX), Duration::ZERO);
        assert_eq!((Moment::ZERO + Duration::from_millis(3)).since(Moment::ZERO), Duration::from_millis(3));
    }
}
