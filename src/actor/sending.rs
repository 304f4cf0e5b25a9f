//! The future of a send to an actor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Core;
use super::desk::Word;
use super::here::warn_of_deadlock;
use crate::mailbox::{Send, SendError};

/// A mailbox's send, and a warning if an actor waits in line for a place that it holds itself.
pub(super) struct Sending<'a, M> {
    send: Send<'a, M, Word<M>, ()>,
    core: &'a Arc<Core>,
    warned: bool,
}

impl<'a, M> Sending<'a, M> {
    pub(super) fn new(send: Send<'a, M, Word<M>, ()>, core: &'a Arc<Core>) -> Sending<'a, M> {
        Sending { send, core, warned: false }
    }
}

impl<M> Future for Sending<'_, M> {
    type Output = Result<(), SendError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let sent = Pin::new(&mut this.send).poll(cx);
        if sent.is_pending() && this.send.is_in_line() {
            this.core.system.rt().waits(format_args!("for room in the mailbox of {}", this.core.name));
            warn_of_deadlock(this.core, &mut this.warned, "for room in its mailbox");
        }
        sent
    }
}
