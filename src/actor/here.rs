//! Which actor's code the thread runs now, so that an actor that waits for itself can be told.

use std::cell::Cell;
use std::sync::Arc;

use tracing::warn;

use super::Core;

thread_local! {
    /// The actor whose handler is being polled; 0 outside of handlers.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Stands for an actor. It is the address of the actor's core, which no living actor shares with another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Me(usize);

impl Me {
    pub(super) fn of(core: &Arc<Core>) -> Me {
        Me(Arc::as_ptr(core).addr())
    }

    /// Whether the calling code runs inside of a handler or a hook of this actor.
    pub(super) fn is_here(self) -> bool {
        HERE.get() == self.0
    }

    /// Runs `f` as this actor's code.
    pub(super) fn run<R>(self, f: impl FnOnce() -> R) -> R {
        let _back = Back(HERE.replace(self.0));
        f()
    }
}

/// Says, once for each wait, that an actor waits for itself: a kill is the only way out.
pub(super) fn warn_of_deadlock(core: &Arc<Core>, warned: &mut bool, wait: &'static str) {
    if !*warned && Me::of(core).is_here() {
        *warned = true;
        warn!(target: "callboard::actor", actor = %core.name, wait, "an actor waits for itself in its own handler");
    }
}

/// Sets what was before: a handler may poll another actor's, and may panic.
struct Back(usize);

impl Drop for Back {
    fn drop(&mut self) {
        HERE.set(self.0);
    }
}
