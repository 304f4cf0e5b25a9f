//! What a supervisor, its children's tasks and its handles say to each other.
//!
//! ```text
//!   handle ──Request, bounded──▶┐                 ┌──Order, one place, the latest counts──▶ task of a child
//!   handle ──Stop──────────────▶├─ mailbox of the │
//!   child ──Started, Exited────▶│   supervisor ───┤──End(incarnation), its control lane───▶ incarnation
//!   its own supervisor ─Order──▶┘                 └──Order, End, as for any child─────────▶ a supervisor below
//! ```

use std::fmt;

use super::child::ChildId;
use super::member::Newcomer;
use super::{AddError, ChildInfo, RemoveError};
use crate::actor::{Ended, Exit, Stop};
use crate::base::Name;
use crate::mailbox::{Reply, WeakSender};

/// Where a child has to go. Each order is complete, so a later one replaces one that was not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Live the incarnation with this number, the first being 1. Answers: `Started`, then `Exited`.
    Start(ChildId, u64),
    /// Another incarnation will come: take messages.
    Open,
    /// None is planned: refuse messages. It may come all the same, when siblings are restarted.
    Rest,
    /// None will ever come: end. Answer: `Gone`.
    Close(ChildId),
}

/// What a supervisor hears on its control lane.
#[derive(Debug)]
pub(super) enum Event {
    /// A child is up.
    Started(ChildId),
    /// An incarnation of a child is over, its state dropped.
    Exited(ChildId, Exit),
    /// The task of a child is through.
    Gone(ChildId, Gone),
    /// From the supervisor's own supervisor.
    Order(Order),
    /// From the same: end this incarnation.
    End(Stop),
    /// From a handle: end this incarnation.
    Stop,
}

/// What is left of a child.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) ended: Ended,
    /// Those below it that could not be ended.
    pub(super) stuck: Vec<Name>,
}

/// What a handle asks for. Refused, and dropped, by a supervisor that has ended.
pub(super) enum Request {
    Add(Newcomer, Reply<Result<(), AddError>>),
    Remove(String, Reply<Result<Ended, RemoveError>>),
    Children(Reply<Vec<ChildInfo>>),
}

/// How a child's task reaches its supervisor.
#[derive(Clone)]
pub(super) struct Boss(pub(super) WeakSender<Request, Event>);

impl Boss {
    /// Never waits. A supervisor that is gone needs no news.
    pub(super) fn tell(&self, event: Event) {
        drop(self.0.control(event));
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Request::Add(..) => "Add(..)",
            Request::Remove(..) => "Remove(..)",
            Request::Children(..) => "Children(..)",
        })
    }
}
