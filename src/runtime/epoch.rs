//! The start of the clock that all real runtimes of a process share.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::base::Moment;

/// Set on first use, never changed: so a [`Moment`] means the same to every runtime of the process.
static EPOCH: OnceLock<Instant> = OnceLock::new();

#[expect(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
fn real_now() -> Instant {
    Instant::now()
}

fn epoch() -> Instant {
    *EPOCH.get_or_init(real_now)
}

/// Reads the machine's monotonic clock.
#[cfg(feature = "smol")]
pub(super) fn now() -> Moment {
    from_instant(real_now())
}

/// Converts an instant; one before the epoch counts as the epoch.
pub(super) fn from_instant(instant: Instant) -> Moment {
    Moment::ZERO + instant.saturating_duration_since(epoch())
}

/// Converts back. A moment that no `Instant` can hold is capped at 30 years from the clock's start.
pub(super) fn to_instant(moment: Moment) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let since = moment.since(Moment::ZERO).min(FAR);
    epoch().checked_add(since).unwrap_or_else(epoch)
}
