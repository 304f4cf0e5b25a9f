//! What goes into the ledger and what comes out of it: runs of messages, their past, reports, effects.

use std::sync::Arc;

use crate::broker::DeadReason;
use crate::broker::lease::LeaseId;
use crate::broker::outcome::Verdict;
use crate::broker::workers::ConsumerId;

/// A run of messages of one batch: those with the offsets `base + from .. base + to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice<B> {
    pub(crate) batch: B,
    pub(crate) base: u64,
    pub(crate) from: u16,
    pub(crate) to: u16,
}

impl<B: Clone> Slice<B> {
    pub(crate) fn len(&self) -> u16 {
        self.to - self.from
    }

    pub(crate) fn first(&self) -> u64 {
        self.base + u64::from(self.from)
    }

    /// Whether `next` begins where this one ends.
    pub(super) fn touches(&self, next: &Slice<B>) -> bool {
        (self.base, self.to) == (next.base, next.from)
    }

    pub(super) fn part(&self, from: u16, to: u16) -> Slice<B> {
        Slice { batch: self.batch.clone(), base: self.base, from, to }
    }
}

/// What happened to a message before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// How often its handling began.
    pub(crate) attempts: u32,
    /// How often it failed; releases don't count.
    pub(crate) failures: u32,
    /// How often it came back from the dead letters. The counts above began anew each time.
    pub(crate) redrives: u16,
    /// How often in a row it could not go on for want of room further down.
    pub(crate) no_room: u32,
    pub(crate) error: Option<Arc<str>>,
}

impl Past {
    /// Whether the message is new to the group: never started, and not redriven.
    pub(super) fn is_blank(&self) -> bool {
        self.attempts == 0 && self.redrives == 0
    }
}

/// What the caller is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<B> {
    /// Hand these messages to this consumer.
    Lease { consumer: ConsumerId, id: LeaseId, slice: Slice<B>, past: Past },
    /// The group is done with these messages: tell the topic.
    Settled { base: u64, from: u16, to: u16 },
    /// The group is done with one message of this batch that was redriven, and that holds a place of its own.
    SettledAgain { base: u64, at: u16 },
    /// Move this one message to the dead-letter topic, then call `on_dead_lettered`.
    Dead { slice: Slice<B>, past: Past, reason: DeadReason },
}

/// A consumer's words on a lease: everything before `upto` is through, and all of it acked but the exceptions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) lease: LeaseId,
    pub(crate) upto: u16,
    /// In order of their index.
    pub(crate) exceptions: Vec<(u16, Verdict)>,
}
