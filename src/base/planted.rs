//! Bugs that this crate's own tests plant in it, to see the checkers catch them.
//!
//! Outside of those tests [`planted`] is constantly false, and what asks it is compiled to nothing.

/// One bug, planted on the thread of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A handler past its deadline is given up without being ended.
    Zombie,
    /// A lease's id is that of its first message, and a late ack is taken for one in time.
    NoFence,
    /// What is given back goes to the end of the backlog.
    RequeueAtTail,
    /// What a lost consumer had not started is forgotten.
    ForgottenInFlight,
    /// What a lost consumer had not started is settled.
    SettledUnhandled,
    /// A publish that would wait is confirmed, and its message dropped.
    EarlyConfirm,
    /// Of several places that come free at once, one is not given back.
    LeakedPlace,
    /// A dropped message counts as acked too.
    DriftingStats,
    /// A message is tried again for ever.
    UnboundedRetry,
    /// Half of the weight that comes free is not given back.
    LeakedWeight,
    /// A topic does not remember what it accepted.
    LateDedup,
    /// A dedup key is remembered though its message is not accepted yet, and may never be.
    KeyOfRefused,
    /// A place that comes free is not told to whoever waits.
    LostWakeUp,
    /// Batches stay large however much they pin.
    PinnedBatches,
    /// A topic hands nothing to other groups while the first one is behind.
    Starvation,
    /// An attempt that ended in a failure is not counted.
    UnmarkedDuplicate,
    /// Settled retries are not told to the topic.
    ForgottenSettled,
    /// A group whose consumers can't be built never fails.
    EndlessRestarts,
    /// A shutdown does not wait for what running groups have to do.
    HastyDrain,
    /// Whoever is in the line and gives up stays in it.
    StaysInLine,
    /// The first consumer gets all that it has room for, before the others.
    Unfair,
    /// One look is enough for a deadline.
    EarlyDeadline,
    /// A panic of a handler is not caught.
    PanicEscapes,
    /// A stream is handed more than its prefetch.
    TooMuchAtOnce,
    /// A supervisor restarts only who failed.
    WrongStrategy,
    /// A message that is given up for its attempts is not told of.
    UntoldDeadLetter,
    /// A handler is given a message of its batch's neighbour.
    WrongMessage,
    /// What is behind a message that failed, with the same key, is started all the same.
    Overtakes,
    /// A key that is at one consumer is handed to another too.
    KeyTwice,
    /// A topic evicts what a consumer holds.
    EvictsLeased,
    /// What was handed out and not begun stays with the consumers of a group that is paused, or whose breaker opened.
    DeafPause,
    /// Tokens of a rate limit come twice as fast.
    DoubleTokens,
    /// Whatever a message weighs, it takes one token of a rate limit.
    Weightless,
    /// A group may have one message more in flight than it may.
    OneTooMany,
    /// A breaker that is half open lets through as much as there is.
    WideProbe,
    /// A delayed message moves before its moment.
    EarlyMessage,
    /// A delayed message that is due is forgotten.
    ForgottenDelayed,
    /// A publish to a durable topic is confirmed before it is stored.
    UnstoredConfirm,
    /// A delayed message that has moved stays in its schedule on the disk.
    MovedTwice,
    /// What is in a schedule on the disk is not found again.
    ForgottenSchedule,
    /// A delayed message that was cancelled stays on the disk.
    ComesAnyway,
    /// What is given up is settled before its dead letter is stored.
    SettledUnburied,
    /// What was noted of a message that failed does not reach the disk.
    ForgottenNotes,
    /// A group that was there before has settled one message more than it had.
    DoneTooFar,
    /// The log forgets the groups of a topic that is opened again.
    ForgottenDormant,
    /// What an earlier process may have handed out is not marked.
    UnmarkedRedelivery,
    /// The journal is written and never synced.
    UnsyncedJournal,
    /// A slot of the journal is made, and its name not synced.
    NamelessSlot,
    /// A segment is made, and its name not synced.
    NamelessSegment,
    /// The log answers, and syncs then.
    AnsweredUnsynced,
    /// A checkpoint takes the place of the one before while what it names is not synced.
    CheckpointFirst,
    /// A slot of the journal is begun anew with the seed that it had.
    OldSeed,
    /// A sync that failed is not final.
    AsksAgain,
    /// A checkpoint takes the place of the one before, and its name is not synced.
    NamelessCheckpoint,
    /// A slot of the journal is begun while the one before is not synced.
    UnsyncedSlot,
    /// What is torn at the end of the journal stays there.
    TailStays,
    /// What is damaged in the journal is taken for its end.
    DamageIsTail,
    /// An append is answered with the offset of the first in its commit.
    OffsetOfCommit,
    /// A group is sent to an offset before what it had said by then.
    SeekFirst,
    /// What waits together becomes one commit, however large.
    OneCommit,
    /// The log's writer says how it is woken after it looked, and not while.
    LateWaker,
    /// Behind each batch of its history a topic passes by a message.
    SkippedPage,
    /// A batch of the history is handed to a late group twice.
    PageTwice,
    /// A limit takes of the history what a group has still to settle.
    TrimsUnsettled,
    /// What was trimmed before a group had read it is not counted.
    UncountedTrim,
    /// A group is moved while its consumers are at work.
    HastySeek,
    /// Where a group was moved to does not reach the disk.
    UnwrittenSeek,
    /// A group that was there before begins where it is opened to begin, and not where it is.
    BackAtItsStart,
    /// A browse passes by a message before each batch.
    BlindBrowse,
    /// A message may come in with an id that is not above all others.
    StaleId,
    /// What comes back from the dead letters is stored with the time of the clock, which nobody who gives ids knows of.
    BackAtItsTime,
    /// What was spilled comes back twice.
    BlockTwice,
    /// What was spilled is forgotten.
    ForgottenBlock,
    /// What was spilled first comes back second.
    SwappedBlocks,
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
