//! The error of settings that can't be used.

use std::error::Error;
use std::fmt;

/// Says that settings can't be used, and lists every fault found in them, not only the first.
///
/// Nothing was created and nothing was changed: correct the settings and try again.
///
/// # Examples
/// ```
/// use callboard::supervise::Backoff;
/// use std::time::Duration;
///
/// let error = Backoff::exponential(Duration::ZERO, Duration::from_secs(1)).jitter(1.5).check().unwrap_err();
/// assert_eq!(error.faults().count(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    faults: Vec<String>,
}

impl InvalidSetting {
    /// Returns the faults, in the order in which they were found.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.faults.iter().map(String::as_str)
    }

    /// Turns a list of faults into a result: no fault is `Ok`.
    pub(crate) fn unless_empty(faults: Vec<String>) -> Result<(), InvalidSetting> {
        if faults.is_empty() { Ok(()) } else { Err(InvalidSetting { faults }) }
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("; "))
    }
}

impl Error for InvalidSetting {}
