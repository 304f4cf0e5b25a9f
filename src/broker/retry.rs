//! How often, and how soon, a failed message is tried again.

use std::time::Duration;

use crate::supervise::{Backoff, InvalidSetting};

/// Says how a group tries again what failed: how long it waits, and after how many failures it gives up.
///
/// One value, so that retry and dead letter can't be put in the wrong order: after the last attempt the message
/// moves to the group's dead-letter topic. Default: 5 attempts, exponential from 100 ms to 30 s with a jitter
/// of 0.2.
///
/// Releasing a message, and a message that only waited in a dead consumer's queue, are no failures.
///
/// # Examples
/// ```
/// use callboard::broker::Retry;
/// use std::time::Duration;
///
/// let patient = Retry::exponential(Duration::from_millis(100), Duration::from_secs(30)).max_attempts(10);
/// let never = Retry::none();
/// assert_eq!((patient.attempts(), never.attempts()), (10, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    backoff: Backoff,
    attempts: u32,
}

impl Retry {
    /// The failures after which a message is dead-lettered, unless told otherwise.
    pub const ATTEMPTS: u32 = 5;

    /// Tries again by `backoff`.
    pub fn new(backoff: Backoff) -> Retry {
        Retry { backoff, attempts: Retry::ATTEMPTS }
    }

    /// Tries once: the first failure dead-letters the message.
    pub fn none() -> Retry {
        Retry::new(Backoff::none()).max_attempts(1)
    }

    /// Tries again at once.
    pub fn immediately() -> Retry {
        Retry::new(Backoff::none())
    }

    /// Tries again after `delay`.
    pub fn fixed(delay: Duration) -> Retry {
        Retry::new(Backoff::fixed(delay))
    }

    /// Tries again after `first`, then after twice as long each time, up to `cap`; with a jitter of 0.2.
    pub fn exponential(first: Duration, cap: Duration) -> Retry {
        Retry::new(Backoff::exponential(first, cap).jitter(0.2))
    }

    /// Sets how many failures dead-letter a message. Default: [`Retry::ATTEMPTS`]. 0 is refused by the group.
    pub fn max_attempts(self, attempts: u32) -> Retry {
        Retry { attempts, ..self }
    }

    /// Returns how many failures dead-letter a message.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the backoff.
    pub fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// Checks the numbers.
    pub(crate) fn check(&self) -> Result<(), InvalidSetting> {
        self.backoff.check()
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry::new(Backoff::default())
    }
}
