//! Bugs that this crate's own tests plant in it, to see the checkers catch them.
//!
//! Outside of those tests [`planted`] is constantly false, and what asks it is compiled to nothing.

/// One bug, planted on the thread of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A handler past its deadline is given up without being ended.
    Zombie,
    /// A lease's id is that of its message, and a late ack is taken for one in time.
    NoFence,
    /// What is given back goes to the end of the backlog.
    RequeueAtTail,
    /// What a lost consumer had not started is forgotten.
    ForgottenInFlight,
    /// Now and then a message is confirmed and not kept.
    EarlyConfirm,
    /// Now and then a settled message's place is not given back.
    LeakedPlace,
    /// A dropped message counts as acked too.
    DriftingStats,
    /// A message is tried again for ever.
    UnboundedRetry,
    /// A place that comes free is not told to whoever waits.
    LostWakeUp,
    /// Batches stay large however much they pin.
    PinnedBatches,
    /// A topic hands out nothing to other groups while the first one is behind.
    Starvation,
    /// A second attempt calls itself the first.
    UnmarkedDuplicate,
    /// What is settled is not told to the topic at once, but forgotten if it was a retry.
    ForgottenSettled,
    /// Consumers that can't be built are built again for ever.
    EndlessRestarts,
    /// Shutting down does not wait for what is delayed.
    HastyDrain,
    /// Whoever is in the line and gives up stays in it.
    StaysInLine,
    /// One consumer gets all that it has room for, before the others.
    Unfair,
    /// A deadline is read off the wall clock.
    WallClock,
    /// A panic of a handler ends the task of its consumer.
    PanicEscapes,
    /// A consumer is handed more than its prefetch.
    TooMuchAtOnce,
    /// A dead letter is sent twice.
    TwoDeadLetters,
    /// A message that is not handled is settled.
    SettledUnhandled,
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub(crate) use hook::{plant, planted};

#[cfg(test)]
mod hook {
    use std::cell::Cell;

    use super::Bug;

    std::thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a bug on this thread until the guard is dropped; other threads have none.
    pub(crate) fn plant(bug: Bug) -> impl Drop {
        struct Dug;
        impl Drop for Dug {
            fn drop(&mut self) {
                PLANTED.set(None);
            }
        }
        PLANTED.set(Some(bug));
        Dug
    }
}
