//! What a supervisor tells of itself and its children.

use std::error::Error;
use std::fmt;

use super::{Intensity, InvalidSetting};
use crate::actor::Exit;
use crate::base::{Fault, Name};

/// Reports the end of a supervisor: told after all its children have ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SupervisorEnded {
    /// The supervisor's name.
    pub name: Name,
    /// Why it ended: `Stopped`, or `Failed` with an [`Escalated`] as the fault.
    pub exit: Exit,
    /// The children, at any depth, that did not even end when they were killed. Their tasks are still there, and
    /// end at their next await if they ever come to one.
    pub stuck: Vec<Name>,
    /// How many accepted messages the children never handled. Zero after a stop in which none was killed.
    pub unhandled: usize,
}

impl SupervisorEnded {
    /// Says why it gave up, if it did.
    pub fn escalated(&self) -> Option<&Escalated> {
        match &self.exit {
            Exit::Failed(fault) => fault.source()?.downcast_ref(),
            _ => None,
        }
    }
}

/// Says why a supervisor gave up. It has stopped all its children before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Escalated {
    /// The supervisor.
    pub supervisor: Name,
    /// The child that was the reason.
    pub child: Name,
    /// What the child did.
    pub reason: Reason,
    /// How the child's last incarnation ended. If it is a supervisor that gave up itself, this says why.
    pub exit: Exit,
}

/// Says what a child did to make its supervisor give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Its restart would have been one more than this allows. Earlier ones may have been its siblings'.
    TooManyRestarts(Intensity),
    /// It failed when it was started for the first time, while the supervisor itself was starting.
    StartFailed,
    /// It had to be restarted, but its last incarnation did not even end when it was killed.
    Stuck,
}

impl From<Escalated> for Exit {
    fn from(escalated: Escalated) -> Exit {
        Exit::Failed(Fault::from(escalated))
    }
}

impl fmt::Display for Escalated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Escalated { supervisor, child, reason, exit } = self;
        write!(f, "supervisor {supervisor} gave up: its child {child} ")?;
        match reason {
            Reason::TooManyRestarts(Intensity { restarts, within }) => {
                write!(f, "needed more than the {restarts} restarts allowed in {within:?}; last exit: {exit}")
            }
            Reason::StartFailed => write!(f, "could not be started: {exit}"),
            Reason::Stuck => f.write_str("did not end when it was killed, so it can't be restarted"),
        }
    }
}

impl Error for Escalated {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.exit {
            Exit::Failed(fault) => fault.source().map(|error| error as &(dyn Error + 'static)),
            _ => None,
        }
    }
}

/// Says why a supervisor did not start. What had been started is stopped again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Some settings can't be used. Nothing was started.
    Invalid(InvalidSetting),
    /// A child failed to start, or failed too often while later ones were starting.
    Failed(Escalated),
    /// It was stopped, through a handle, before all children were up; or its runtime shut down.
    Stopped,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Invalid(error) => write!(f, "not started: {error}"),
            StartError::Failed(error) => write!(f, "not started: {error}"),
            StartError::Stopped => f.write_str("stopped before all children were up"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::Invalid(error) => Some(error),
            StartError::Failed(error) => Some(error),
            StartError::Stopped => None,
        }
    }
}

/// Says why a child was not added. It is not there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AddError {
    /// Some settings can't be used.
    Invalid(InvalidSetting),
    /// A sibling has the name.
    NameTaken(Name),
    /// The supervisor has ended or is ending.
    Closed,
    /// The child failed when it was started for the first time. The supervisor and its other children go on.
    StartFailed(Exit),
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddError::Invalid(error) => write!(f, "not added: {error}"),
            AddError::NameTaken(name) => write!(f, "not added: {name} is there already"),
            AddError::Closed => f.write_str("not added: the supervisor has ended or is ending"),
            AddError::StartFailed(exit) => write!(f, "not added: the first start failed: {exit}"),
        }
    }
}

impl Error for AddError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            AddError::Invalid(error) => Some(error),
            AddError::StartFailed(Exit::Failed(fault)) => {
                fault.source().map(|error| error as &(dyn Error + 'static))
            }
            _ => None,
        }
    }
}

impl From<InvalidSetting> for AddError {
    fn from(error: InvalidSetting) -> AddError {
        AddError::Invalid(error)
    }
}

/// Says why a child was not removed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveError {
    /// No child has the name.
    NotFound,
    /// It did not even end when it was killed. The supervisor has forgotten it; its task is still there.
    Stuck,
    /// The supervisor has ended, and with it the child.
    Closed,
}

impl fmt::Display for RemoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RemoveError::NotFound => "no child has this name",
            RemoveError::Stuck => "the child did not end when it was killed",
            RemoveError::Closed => "the supervisor has ended",
        })
    }
}

impl Error for RemoveError {}

/// Shows one child of a supervisor at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// The child's name within its supervisor.
    pub name: Name,
    /// What it does.
    pub state: ChildState,
    /// How often it was restarted: how many incarnations followed the first.
    pub restarts: u64,
}

/// Says what a supervised child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// It is down and will be started, when its turn or the end of its backoff has come.
    Waiting,
    /// Its `started` hook runs; or, if it is a supervisor, its own children start.
    Starting,
    /// It is up.
    Running,
    /// It was told to stop.
    Stopping,
    /// It ended normally and is not to be restarted, unless its siblings are.
    Done,
    /// It was killed and has not ended; nothing is started in its place.
    Stuck,
}
