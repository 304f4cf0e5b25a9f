//! Waiting for an actor's end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::oneshot;

use super::here::warn_of_deadlock;
use super::life::Until;
use super::{Core, Ended};

/// Waits for the end of an actor; made by [`Address::stop`](super::Address::stop),
/// [`Address::kill`](super::Address::kill) and [`Address::ended`](super::Address::ended).
///
/// Ready after the actor's last hook ran, its state was dropped and its mailbox was closed. All those of an actor that
/// nobody supervises answer the same, whenever they were made.
///
/// # Cancel safety
/// Dropping it changes nothing: a stop or a kill goes on.
#[must_use = "the stop goes on without it; await it to know when the actor has ended"]
pub struct Ending {
    told: oneshot::Receiver<Ended>,
    core: Arc<Core>,
    warned: bool,
}

impl Ending {
    pub(super) fn of(core: &Arc<Core>, until: Until) -> Ending {
        let (tell, told) = oneshot::channel();
        core.life.watch(until, Box::new(tell));
        Ending { told, core: core.clone(), warned: false }
    }
}

impl Future for Ending {
    type Output = Ended;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        match Pin::new(&mut this.told).poll(cx) {
            Poll::Ready(Ok(ended)) => Poll::Ready(ended),
            // Polled again after it was ready.
            Poll::Ready(Err(_)) => this.core.life.ended().map_or(Poll::Pending, Poll::Ready),
            Poll::Pending => {
                warn_of_deadlock(&this.core, &mut this.warned, "for its own end");
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ending({})", self.core.name)
    }
}
