//! What a supervisor has of one child.

use std::fmt;
use std::time::Duration;

use super::child::ChildId;
use super::words::{Event, Order, Request};
use super::{AddError, Backoff, RemoveError, Restart};
use crate::actor::{Ended, Exit, Stop, WeakAddress};
use crate::base::Name;
use crate::mailbox::{Reply, WeakSender};
use crate::runtime::BoxFuture;

/// A child that is to be added: what the supervisor keeps of it, and its task.
pub(super) struct Newcomer {
    pub(super) member: Member,
    pub(super) task: BoxFuture,
}

/// One child, as its supervisor sees it.
///
/// Dropped with the task still there (the supervisor was dropped by its runtime), it tells that task to end.
pub(super) struct Member {
    /// Given by the plan that takes it in.
    pub(super) id: Option<ChildId>,
    /// Unique among its siblings.
    pub(super) name: Name,
    /// With the names of the supervisors above.
    pub(super) full_name: Name,
    pub(super) restart: Restart,
    pub(super) backoff: Backoff,
    /// How long a stop may take before it becomes a kill. `None`: as long as it takes.
    pub(super) stop_timeout: Option<Duration>,
    reach: Box<dyn Reach>,
    /// How many incarnations there were.
    pub(super) incarnations: u64,
    /// What it was told of its next incarnation, while it has none.
    pub(super) prospect: Option<Prospect>,
    /// The last of them has begun and not ended, as far as is known.
    pub(super) alive: bool,
    /// How it was told to end, if it was.
    pub(super) stop: Option<Stop>,
    /// How the last incarnation ended.
    pub(super) last: Exit,
    /// Who added it to the running supervisor, and waits to hear that it is up.
    pub(super) adder: Option<Reply<Result<(), AddError>>>,
    /// Who wants it removed.
    pub(super) removers: Vec<Reply<Result<Ended, RemoveError>>>,
}

/// Whether another incarnation is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    Open,
    Resting,
}

/// The settings of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) restart: Restart,
    pub(super) backoff: Backoff,
    pub(super) stop_timeout: Option<Duration>,
}

impl Member {
    pub(super) fn new(name: Name, full_name: Name, terms: Terms, reach: impl Reach + 'static) -> Member {
        Member {
            id: None,
            name,
            full_name,
            restart: terms.restart,
            backoff: terms.backoff,
            stop_timeout: terms.stop_timeout,
            reach: Box::new(reach),
            incarnations: 0,
            prospect: Some(Prospect::Open),
            alive: false,
            stop: None,
            last: Exit::Stopped,
            adder: None,
            removers: Vec::new(),
        }
    }

    /// Starts the next incarnation.
    pub(super) fn start(&mut self, id: ChildId) {
        self.incarnations += 1;
        self.alive = true;
        self.prospect = None;
        self.stop = None;
        self.reach.order(Order::Start(id, self.incarnations));
    }

    /// Ends the incarnation that lives.
    pub(super) fn end(&mut self, stop: Stop) {
        self.stop = Some(stop);
        self.reach.end(self.incarnations, stop);
    }

    /// Says whether another incarnation will come, unless that was said or one lives.
    pub(super) fn foretell(&mut self, prospect: Prospect) {
        if !self.alive && self.prospect != Some(prospect) {
            self.prospect = Some(prospect);
            self.reach.order(if prospect == Prospect::Open { Order::Open } else { Order::Rest });
        }
    }

    /// Ends its task.
    pub(super) fn close(&self, id: ChildId) {
        self.reach.order(Order::Close(id));
    }

    /// Refuses messages to it at once, though it may never read an order.
    pub(super) fn seal(&self) {
        self.reach.seal();
    }

    /// Whether there may be code of users in its task that can't be killed.
    pub(super) fn may_stick(&self) -> bool {
        self.reach.may_stick()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.alive {
            self.reach.end(self.incarnations, Stop::Now);
        }
        if let Some(id) = self.id {
            self.reach.order(Order::Close(id));
        }
    }
}

/// How the task of a child is reached. Nothing here waits.
pub(super) trait Reach: Send {
    fn order(&self, order: Order);
    fn end(&self, incarnation: u64, stop: Stop);
    fn seal(&self);
    fn may_stick(&self) -> bool;
}

/// An actor.
pub(super) struct ActorReach<M> {
    pub(super) orders: async_channel::Sender<Order>,
    pub(super) address: WeakAddress<M>,
}

impl<M: Send + 'static> Reach for ActorReach<M> {
    fn order(&self, order: Order) {
        if matches!(order, Order::Open | Order::Start(..)) {
            // Why here: whoever is told of the restart next can send to it, though its task may not have run yet.
            self.address.open();
        }
        // A task that is gone needs no orders.
        self.orders.force_send(order).ok();
    }

    fn end(&self, incarnation: u64, stop: Stop) {
        self.address.end(incarnation, stop);
    }

    fn seal(&self) {
        self.address.close();
    }

    fn may_stick(&self) -> bool {
        true
    }
}

/// A supervisor. Its lane keeps the order of orders and ends, so an end needs no number: it is for the
/// incarnation that lives when it is read, and means nothing if none does.
pub(super) struct TreeReach(pub(super) WeakSender<Request, Event>);

impl Reach for TreeReach {
    fn order(&self, order: Order) {
        drop(self.0.control(Event::Order(order)));
    }

    fn end(&self, _incarnation: u64, stop: Stop) {
        drop(self.0.control(Event::End(stop)));
    }

    fn seal(&self) {
        self.0.close();
    }

    fn may_stick(&self) -> bool {
        false
    }
}

impl fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Newcomer({})", self.member.full_name)
    }
}
