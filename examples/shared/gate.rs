//! A place where tasks wait for each other, on any runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_channel::{Receiver, Sender};

/// Lets nobody through before a given number of tasks have come.
#[derive(Clone)]
pub(crate) struct Gate {
    awaited: Arc<AtomicUsize>,
    /// Nothing is ever sent: the gate opens when it is closed.
    open: (Sender<()>, Receiver<()>),
}

impl Gate {
    pub(crate) fn new(tasks: usize) -> Gate {
        Gate { awaited: Arc::new(AtomicUsize::new(tasks)), open: async_channel::bounded(1) }
    }

    /// Comes to the gate and waits until enough have come.
    pub(crate) async fn pass(&self) {
        if self.awaited.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.open.0.close();
        }
        // The only answer there is: closed.
        let _ = self.open.1.recv().await;
    }
}
