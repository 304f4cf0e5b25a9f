//! What goes into the ledger and what comes out of it: runs of messages, their past, reports, effects.

use std::sync::Arc;

use super::Remembered;
use crate::broker::DeadReason;
use crate::broker::bits::Bits;
use crate::broker::lease::LeaseId;
use crate::broker::outcome::Verdict;
use crate::broker::workers::ConsumerId;

/// Messages of one batch: those with the offsets `base + from .. base + to`, or some of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice<B> {
    pub(crate) batch: B,
    pub(crate) base: u64,
    pub(crate) from: u16,
    pub(crate) to: u16,
    /// Present if there are gaps: only these. Boxed since most have none. The first and the last one are always in it.
    pub(crate) picked: Option<Box<Bits>>,
}

impl<B: Clone> Slice<B> {
    /// The messages `from..to`.
    pub(crate) fn new(batch: B, base: u64, from: u16, to: u16) -> Slice<B> {
        Slice { batch, base, from, to, picked: None }
    }

    /// These messages.
    pub(crate) fn of(batch: B, base: u64, bits: Bits) -> Slice<B> {
        let (from, to) = (bits.first(0, 0).unwrap_or(0), bits.end());
        let picked = (bits != Bits::range(from, to)).then(|| Box::new(bits));
        Slice { batch, base, from, to, picked }
    }

    pub(crate) fn len(&self) -> u16 {
        match &self.picked {
            None => self.to - self.from,
            Some(bits) => u16::try_from(bits.count()).unwrap_or(u16::MAX),
        }
    }

    pub(crate) fn first(&self) -> u64 {
        self.base + u64::from(self.from)
    }

    pub(crate) fn bits(&self) -> Bits {
        self.picked.as_ref().map_or_else(|| Bits::range(self.from, self.to), |bits| **bits)
    }

    /// Those of them that are neighbours, run by run.
    pub(super) fn runs(&self) -> impl Iterator<Item = Slice<B>> {
        let (batch, base) = (self.batch.clone(), self.base);
        self.bits().runs().map(move |(from, to)| Slice::new(batch.clone(), base, from, to))
    }

    /// Whether `next` begins where this one ends.
    pub(super) fn touches(&self, next: &Slice<B>) -> bool {
        (self.base, self.to) == (next.base, next.from)
    }

    /// Those of them in `from..to`.
    pub(super) fn part(&self, from: u16, to: u16) -> Slice<B> {
        let batch = self.batch.clone();
        match &self.picked {
            // Why clamped: what lies outside of it is somebody else's, or gone. It may have lost its ends before.
            None => {
                let from = from.clamp(self.from, self.to);
                Slice::new(batch, self.base, from, to.clamp(from, self.to))
            }
            Some(bits) => Slice::of(batch, self.base, bits.and(Bits::range(from, to))),
        }
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
    Settled { base: u64, which: Bits },
    /// The group is done with one message of this batch that was redriven, and that holds a place of its own.
    SettledAgain { base: u64, at: u16 },
    /// A limit settled these messages: tell the topic.
    Removed { base: u64, which: Bits },
    /// A limit settled one message of this batch that was redriven.
    RemovedAgain { base: u64, at: u16 },
    /// Let this be remembered of a message.
    Noted { offset: u64, remembered: Box<Remembered> },
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
