//! The two things a task of the simulator can wait for: a moment, and quiet.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::timers::TimerId;
use super::world::Shared;
use crate::base::Moment;
use crate::runtime::Timer;

/// A timer of the virtual clock. It is set while somebody waits for it, and only then.
#[derive(Debug)]
pub(super) struct SimTimer {
    shared: Arc<Shared>,
    id: TimerId,
    at: Moment,
}

impl SimTimer {
    pub(super) fn new(shared: Arc<Shared>, at: Moment) -> SimTimer {
        let id = shared.world().new_timer();
        SimTimer { shared, id, at }
    }

    fn unset(&self) {
        let waker = self.shared.world().schedule.timers.unset(self.at, self.id);
        // Outside of the lock: whatever a foreign waker keeps alive may end here, and may own a timer.
        drop(waker);
    }
}

impl Timer for SimTimer {
    fn reset(mut self: Pin<&mut Self>, at: Moment) {
        self.unset();
        self.at = at;
    }

    fn poll_expired(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut world = self.shared.world();
        let expired = self.at <= world.schedule.now();
        let unused = if expired || self.at == Moment::MAX {
            Some(waker)
        } else {
            world.schedule.timers.set(self.at, self.id, waker)
        };
        drop(world);
        drop(unused);
        if expired { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.unset();
    }
}

/// Ends when nothing else can run.
pub(super) struct Settle {
    shared: Arc<Shared>,
    /// The number drawn at the first poll. It is in the world's list until it is served.
    ticket: Option<u64>,
}

impl Settle {
    pub(super) fn new(shared: Arc<Shared>) -> Settle {
        Settle { shared, ticket: None }
    }
}

impl Future for Settle {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let shared = Arc::clone(&self.shared);
        let mut world = shared.world();
        let ticket = match self.ticket {
            Some(ticket) if !world.waits_settled(ticket) => return Poll::Ready(()),
            Some(ticket) => ticket,
            None => *self.ticket.insert(world.new_id()),
        };
        let replaced = world.wait_settled(ticket, waker);
        drop(world);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = self.shared.world().stop_settling(ticket);
            drop(waker);
        }
    }
}
