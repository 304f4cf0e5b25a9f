//! Tells one task that so many things happened; costs the same on both sides of a comparison, and little.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures::task::AtomicWaker;

#[derive(Clone, Default)]
pub struct Bell(Arc<Inside>);

#[derive(Default)]
struct Inside {
    missing: AtomicUsize,
    sleeper: AtomicWaker,
}

impl Bell {
    /// From now on, [`Bell::rung`] waits for so many rings.
    pub fn set(&self, rings: usize) {
        self.0.missing.store(rings, Ordering::SeqCst);
    }

    pub fn ring(&self) {
        if self.0.missing.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.sleeper.wake();
        }
    }

    pub async fn rung(&self) {
        std::future::poll_fn(|cx| {
            if self.0.missing.load(Ordering::SeqCst) == 0 {
                return Poll::Ready(());
            }
            self.0.sleeper.register(cx.waker());
            if self.0.missing.load(Ordering::SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
