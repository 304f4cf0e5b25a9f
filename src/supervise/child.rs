//! What a plan knows of one child.

use super::{Backoff, Restart};
use crate::base::Moment;

/// Names a child of one plan. Ids only grow, so that their order is the start order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChildId(pub(super) u64);

/// How an incarnation of a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It stopped by itself, or because somebody other than its supervisor asked it to.
    Normal,
    /// It could not be started, returned an error, panicked or was killed.
    Failed,
}

/// Where a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Down; it will be started when its turn and the end of its backoff have come.
    Waiting,
    /// Told to start.
    Starting,
    /// Up since then.
    Running(Moment),
    /// Told to stop.
    Stopping,
    /// Down; it ended normally and nobody wants it back, or the supervisor is ending.
    Done,
}

#[derive(Debug)]
pub(super) struct Child {
    pub(super) restart: Restart,
    pub(super) backoff: Backoff,
    pub(super) phase: Phase,
    /// No start before then.
    pub(super) hold: Moment,
    /// Ends in a row that led to a restart.
    pub(super) strikes: u32,
    /// Was up at least once.
    pub(super) proven: bool,
    /// Added to a running supervisor: if its first start fails, that is the adder's problem alone.
    pub(super) guest: bool,
    /// Forget it once it is down.
    pub(super) leaving: bool,
}

impl Child {
    pub(super) fn new(restart: Restart, backoff: Backoff, guest: bool) -> Child {
        Child {
            restart,
            backoff,
            phase: Phase::Waiting,
            hold: Moment::ZERO,
            strikes: 0,
            proven: false,
            guest,
            leaving: false,
        }
    }

    /// Whether there is an incarnation that only an exit ends.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running(_) | Phase::Stopping)
    }

    /// Forgets the strikes if the incarnation that is about to end ran long enough.
    pub(super) fn note_calm(&mut self, now: Moment) {
        if let Phase::Running(since) = self.phase
            && self.backoff.has_calmed(now.since(since))
        {
            self.strikes = 0;
        }
    }
}
