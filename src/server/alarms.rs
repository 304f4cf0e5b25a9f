//! What a command waits for that waits for others: an answer, its time, or its client's end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::client::{Client, Doom};
use super::keep::Barrier;
use super::resp::{Protocol, Replies};
use super::serving::Shared;
use super::state::Waits;
use super::waiting::look;
use crate::base::Moment;
use crate::runtime::Sleep;

/// What to do when a command has waited.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// It has its answer, or gets none.
    GoOn,
    /// There may be something for it.
    Look,
}

/// When a command is to go on though nobody answered.
#[derive(Debug)]
pub(super) struct Alarms([(Option<Pin<Box<Sleep>>>, Next); 2]);

impl Alarms {
    pub(super) fn new(shared: &Shared, until: Option<Moment>, look: Option<Moment>) -> Alarms {
        let alarm = |at: Option<Moment>| at.map(|at| Box::pin(shared.rt().sleep_until(at)));
        Alarms([(alarm(until), Next::GoOn), (alarm(look), Next::Look)])
    }

    /// An error: its client is to go.
    pub(super) fn poll(&mut self, client: &Client, cx: &mut Context<'_>) -> Poll<Result<Next, Doom>> {
        if let Poll::Ready(doom) = client.poll_doom(cx) {
            return Poll::Ready(Err(doom));
        }
        if client.has_answer() {
            return Poll::Ready(Ok(Next::GoOn));
        }
        if client.take_nudge() {
            return Poll::Ready(Ok(Next::Look));
        }
        for (alarm, next) in &mut self.0 {
            if alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ok(*next));
            }
        }
        Poll::Pending
    }
}

impl Waits {
    /// Looks whether there is something by now for those who wait to claim. Answers when it is to look again.
    pub(super) fn look(self, shared: &Shared) -> Option<Moment> {
        let (rt, mut world) = (shared.rt(), shared.world());
        world.tidy(rt.now());
        let wait = look(&mut world, self.number, rt.wall_millis());
        // As behind a command: dead letters may be much.
        world.write_much(rt);
        Some(rt.now() + wait?)
    }

    /// Waits no more: writes what it is answered behind `out`. Answers what that tells of.
    pub(super) fn end(
        self,
        (shared, client): (&Shared, &Client),
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Option<Barrier> {
        // It was silent since it waited, which is over.
        client.shown().active = shared.rt().now();
        // Nobody answers any more once it is out.
        let left = shared.world().waiting.remove(self.number).is_some();
        match client.take_answer() {
            _ if self.silent => None,
            Some((answer, of)) => {
                out.extend_from_slice(&answer);
                of
            }
            None if left => {
                Replies::new(out, protocol).null_array();
                None
            }
            None => None,
        }
    }
}
