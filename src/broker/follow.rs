//! Which trace the handler at work continues, and what it publishes with it.
//!
//! While the future of a handling is polled whose message has a trace context, its thread knows the context of the
//! handling's own span. Threads that know none, which is nearly all of them nearly always, tell so by one flag.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Headers, TraceContext};
use crate::runtime::Rt;

/// The span of one handling, in the trace of its message.
#[derive(Debug)]
pub(crate) struct Following {
    /// Of the handling.
    pub(crate) context: TraceContext,
    /// Of the span that published the message.
    pub(crate) parent: u64,
    /// Those of the message, for its `tracestate`.
    headers: Headers,
}

thread_local! {
    static IS_FOLLOWED: Cell<bool> = const { Cell::new(false) };
    static CURRENT: RefCell<Option<Arc<Following>>> = const { RefCell::new(None) };
}

/// Whether a trace is to be continued on this thread.
#[inline]
pub(crate) fn is_followed() -> bool {
    IS_FOLLOWED.get()
}

/// Adds what continues the trace to the headers of a message that is published on this thread, unless they have it.
#[cold]
pub(crate) fn continue_in(headers: &mut Headers) {
    if let Some(following) = CURRENT.with_borrow(Clone::clone) {
        following.continue_in(headers);
    }
}

impl Following {
    /// Begins the span of a handling, if its message has a context.
    pub(crate) fn begin(headers: &Headers, rt: &Rt) -> Option<Arc<Following>> {
        let message = TraceContext::of(headers)?;
        let (context, parent) = (message.child(rt.random()), message.span_id());
        Some(Arc::new(Following { context, parent, headers: headers.clone() }))
    }

    pub(crate) fn continue_in(&self, headers: &mut Headers) {
        self.context.add_to(headers, &self.headers);
    }

    fn enter<R>(self: &Arc<Following>, f: impl FnOnce() -> R) -> R {
        struct Leave(Option<Arc<Following>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                set(self.0.take());
            }
        }
        let _leave = Leave(set(Some(self.clone())));
        f()
    }
}

fn set(following: Option<Arc<Following>>) -> Option<Arc<Following>> {
    IS_FOLLOWED.set(following.is_some());
    CURRENT.replace(following)
}

/// Runs `f` as a part of the span, if there is one.
pub(crate) fn within<R>(following: Option<&Arc<Following>>, f: impl FnOnce() -> R) -> R {
    match following {
        Some(following) => following.enter(f),
        None => f(),
    }
}

pin_project_lite::pin_project! {
    /// A handling that is a span of its message's trace, if that has one.
    pub(crate) struct Followed<F> {
        #[pin]
        handling: F,
        following: Option<Arc<Following>>,
    }
}

impl<F> Followed<F> {
    pub(crate) fn new(handling: F, following: Option<Arc<Following>>) -> Followed<F> {
        Followed { handling, following }
    }
}

impl<F: Future> Future for Followed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        within(this.following.as_ref(), || this.handling.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Sim;

    #[test]
    fn a_span_ends_with_its_poll_even_by_a_panic_and_spans_nest() {
        let rt = Rt::new(Sim::new(1));
        let mut headers = Headers::new();
        assert!(Following::begin(&headers, &rt).is_none());
        TraceContext::new(1, 2, true).unwrap().add_to(&mut headers, &Headers::new());
        let outer = Following::begin(&headers, &rt).unwrap();
        let inner = Following::begin(&headers, &rt).unwrap();
        assert_ne!(outer.context.span_id(), inner.context.span_id());
        assert_eq!((outer.parent, outer.context.trace_id()), (2, 1));
        let current = || {
            let mut headers = Headers::new();
            continue_in(&mut headers);
            TraceContext::of(&headers)
        };
        outer.enter(|| {
            assert_eq!(current(), Some(outer.context));
            assert!(crate::base::catch(|| inner.enter(|| panic!("in a handler"))).is_err());
            assert!(is_followed() && current() == Some(outer.context));
        });
        assert!(!is_followed() && current().is_none());
    }
}
