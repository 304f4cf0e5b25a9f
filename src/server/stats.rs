//! What a server counts, for `INFO`.

use std::collections::BTreeMap;
use std::time::Duration;

/// Counts since the start, or since they were reset.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) connections: u64,
    pub(super) rejected: u64,
    pub(super) commands: u64,
    pub(super) errors: u64,
    pub(super) expired: u64,
    pub(super) evicted: u64,
    /// By command. Limit: the commands that there are.
    pub(super) by_command: BTreeMap<&'static str, CommandStats>,
    /// By code. Limit: [`Stats::MOST_CODES`].
    pub(super) by_code: BTreeMap<String, u64>,
}

/// What became of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CommandStats {
    pub(super) calls: u64,
    pub(super) took: Duration,
    /// Refused before they were begun.
    pub(super) rejected: u64,
    pub(super) failed: u64,
}

impl Stats {
    const MOST_CODES: usize = 128;

    pub(super) fn command(&mut self, name: &'static str) -> &mut CommandStats {
        self.by_command.entry(name).or_default()
    }

    /// A client was answered with an error.
    pub(super) fn on_error(&mut self, code: &str) {
        self.errors += 1;
        if let Some(count) = self.by_code.get_mut(code) {
            *count += 1;
        } else if self.by_code.len() < Stats::MOST_CODES {
            self.by_code.insert(code.to_string(), 1);
        }
    }

    /// Begins anew, but for who is connected.
    pub(super) fn reset(&mut self) {
        *self = Stats::default();
    }
}
