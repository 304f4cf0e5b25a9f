//! What a plan tells its owner to do.

use super::child::ChildId;
#[cfg(doc)]
use super::{Intensity, plan::Plan};

/// What the owner of a [`Plan`] has to do now, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Start a new incarnation; answer with [`Plan::on_started`], or [`Plan::on_exit`] if that fails.
    Start(ChildId),
    /// End this incarnation, by force after the child's stop timeout; [`Plan::on_exit`] answers.
    Stop(ChildId),
    /// The child is down and the plan no longer knows it: drop its specification.
    Forget(ChildId),
    /// Every child is up for the first time: the supervisor has started.
    Ready,
    /// Shut down as asked. Every child is down, nothing follows.
    Finished,
    /// The supervisor has failed. Every child is down, nothing follows.
    Escalate(Escalation),
}

/// Why a supervisor gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escalation {
    /// This child's restart would have exceeded the [`Intensity`].
    TooManyRestarts(ChildId),
    /// This child failed when it was started for the first time, while the supervisor itself was starting.
    StartFailed(ChildId),
    /// This child had to come down and did not, not even by force.
    Stuck(ChildId),
}
