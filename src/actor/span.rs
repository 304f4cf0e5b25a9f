//! The span in which an actor's code runs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Span;

use crate::base::Name;

pin_project! {
    /// Polls a future inside of an actor's span.
    ///
    /// Why not tracing's `Instrumented`: it holds the span, of 40 bytes, in every actor, whether anybody listens
    /// or not.
    pub(super) struct InSpan<F> {
        span: Option<Box<Span>>,
        #[pin]
        future: F,
    }
}

impl<F> InSpan<F> {
    pub(super) fn new(actor: &Name, future: F) -> InSpan<F> {
        let span = tracing::info_span!(target: "callboard::actor", "actor", name = %actor);
        InSpan { span: (!span.is_disabled()).then(|| Box::new(span)), future }
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.as_ref().map(|span| span.enter());
        this.future.poll(cx)
    }
}
