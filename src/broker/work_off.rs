//! How a handler works off a lease: the way of every message, so the one that is kept short.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tracing::{Instrument as _, Span};

use super::Message;
use super::bits::Bits;
use super::follow::{self, Followed, Following};
use super::handler::Handle;
use super::lease::{LeaseId, Progress, Slot};
use super::outcome::Verdict;
use super::witness::{Sight, Window};
use crate::base::catch;
use crate::mailbox::BUDGET;

/// Why the handler stopped to work off a lease.
pub(super) enum Halt {
    /// Nothing is left of it.
    Through,
    /// The last message was not acked.
    Exception(Verdict),
    /// It is time to let other tasks run.
    Pause,
    /// The handling of the current message was lost, and the handler is not to be used again.
    Lost(Verdict),
}

/// A lease as its handler sees it.
pub(super) struct Open<'a> {
    pub(super) progress: &'a Progress,
    pub(super) id: LeaseId,
    pub(super) slot: Slot,
    pub(super) picked: Option<&'a Bits>,
    pub(super) span: &'a Span,
    pub(super) window: &'a Window,
}

impl Open<'_> {
    /// Handles message after message. `message` is the first one that is not handled when this ends, however it
    /// does; or the one that is being handled.
    pub(super) async fn work_off<T: Send + Sync + 'static, H: Handle<T>>(
        self,
        handler: &mut H,
        message: &mut Message<T>,
        budget: &mut u32,
    ) -> Halt {
        let looked_at = is_traced() || self.window.watched.is_watched() || message.batch.may_be_traced();
        loop {
            if *budget == 0 {
                *budget = BUDGET;
                return Halt::Pause;
            }
            *budget -= 1;
            let Some(handling) = self.progress.begin(self.slot, self.id, self.picked) else {
                return Halt::Through;
            };
            message.index = handling.index();
            let verdict = match looked_at {
                false => Shielded::new(handler.handle(message)).await,
                true => self.handle_looked_at(handler, message).await,
            };
            message.index += 1;
            if !matches!(verdict, Verdict::Ack) {
                return Halt::Exception(verdict);
            }
        }
    }

    /// Handles one message under a span of its own, if that is asked for, in its trace, if it has one, and before a
    /// witness, if there is one.
    async fn handle_looked_at<T: Send + Sync + 'static, H: Handle<T>>(
        &self,
        handler: &mut H,
        message: &Message<T>,
    ) -> Verdict {
        let (at, watched) = (self.window.at(message), &self.window.watched);
        watched.show(|| Sight::Began(at));
        if let Some(trick) = watched.witness().and_then(|witness| witness.before(&at)) {
            trick.await;
        }
        let following = match message.batch.may_be_traced() {
            true => Following::begin(message.headers(), &self.window.rt),
            false => None,
        };
        let following = following.as_ref();
        let span = if is_traced() { delivery_span(self.span, message, following) } else { Span::none() };
        let handling = follow::within(following, || span.in_scope(|| handler.handle(message)));
        let verdict = Shielded::new(Followed::new(handling.instrument(span), following.cloned())).await;
        if let Some(trick) = watched.witness().and_then(|witness| witness.after(&at, &verdict)) {
            trick.await;
        }
        watched.show(|| Sight::Ended(at, &verdict));
        verdict
    }
}

fn is_traced() -> bool {
    tracing::enabled!(target: "callboard::broker", tracing::Level::TRACE)
}

pin_project_lite::pin_project! {
    /// A handling whose drop may panic in the middle of another panic, and ends nothing by that.
    struct Shielded<F> {
        #[pin]
        handling: Option<F>,
    }

    impl<F> PinnedDrop for Shielded<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut handling = this.project().handling;
            if handling.is_some() {
                drop(catch(|| handling.set(None)));
            }
        }
    }
}

impl<F> Shielded<F> {
    fn new(handling: F) -> Shielded<F> {
        Shielded { handling: Some(handling) }
    }
}

impl<F: Future> Future for Shielded<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut handling = self.project().handling;
        let Some(future) = handling.as_mut().as_pin_mut() else { return Poll::Pending };
        let output = std::task::ready!(future.poll(cx));
        handling.set(None);
        Poll::Ready(output)
    }
}

/// A lease of 256 ready messages must not keep other tasks waiting.
pub(super) async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Why not always: a span per message costs more than a quick handler; the lease's serves.
fn delivery_span<T>(lease: &Span, message: &Message<T>, following: Option<&Arc<Following>>) -> Span {
    let (id, attempt) = (message.id(), message.attempt());
    let Some(following) = following else {
        return tracing::trace_span!(target: "callboard::broker", parent: lease, "delivery", %id, attempt);
    };
    let (context, parent) = (following.context, following.parent);
    tracing::trace_span!(
        target: "callboard::broker",
        parent: lease,
        "delivery",
        %id,
        attempt,
        trace_id = %format_args!("{:032x}", context.trace_id()),
        span_id = %format_args!("{:016x}", context.span_id()),
        parent_id = %format_args!("{parent:016x}"),
    )
}
