//! What examples that measure themselves share: the time on the wall, and the memory that they take.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "it says how long things took on the wall")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The bytes of memory that this process has, where the system says so.
pub(crate) fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
