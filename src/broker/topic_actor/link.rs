//! A group, as its topic sees it.

use std::sync::Arc;

use crate::base::Name;
use crate::broker::bits::Bits;
use crate::broker::books::{Books, GroupId};
use crate::broker::group_word::{GroupWord, Handout};
use crate::broker::message::Batch;
use crate::broker::{Start, WhyBlocked};
use crate::mailbox::Sender;

pub(super) struct Link<T> {
    pub(super) group: GroupId,
    pub(super) name: Name,
    pub(super) to: Sender<Handout<T>, GroupWord<T>>,
    /// From where on it reads. [`Start::Earliest`] once that is passed.
    pub(super) start: Start,
    pub(super) running: bool,
    pub(super) failed: bool,
    pub(super) parked: u64,
    /// Not handed out while the topic is held. Limit: the topic's capacity.
    pub(super) withheld: Vec<Handout<T>>,
}

impl<T: Send + Sync + 'static> Link<T> {
    /// Which of these the group reads.
    pub(super) fn pick(&mut self, batch: &Batch<T>, all: Bits) -> Bits {
        let open = self.start.pick(batch, all);
        if open == all {
            self.start = Start::Earliest;
        }
        open
    }

    pub(super) fn hand(&mut self, handout: Handout<T>, held: bool) {
        if handout.open.is_empty() {
            return;
        }
        if held {
            self.withheld.push(handout);
        } else if let Err(error) = self.to.try_send(handout) {
            // Invariant: a handout has at least one unsettled message, and the group's mailbox has a place for as
            // many as the topic's capacity. So it is closed: the group was stopped and wants no more.
            debug_assert!(!error.is_full(), "a group's mailbox holds the whole capacity");
        }
    }

    pub(super) fn release(&mut self) {
        for handout in std::mem::take(&mut self.withheld) {
            self.hand(handout, false);
        }
    }

    /// A group that runs and has been handed all it has open, and has settled that, but for what is parked.
    pub(super) fn is_quiet(&self, books: &Books<Arc<Batch<T>>>) -> bool {
        !self.running || books.open(self.group) == self.withheld() + self.parked
    }

    /// Why it has not settled what it has.
    pub(super) fn why(&self, books: &Books<Arc<Batch<T>>>) -> WhyBlocked {
        match () {
            () if self.failed => WhyBlocked::Failed,
            () if !self.running => WhyBlocked::NoConsumer,
            () if books.open(self.group) == self.parked => WhyBlocked::DeadLettersFull,
            () => WhyBlocked::Slow,
        }
    }

    pub(super) fn withheld(&self) -> u64 {
        self.withheld.iter().map(|handout| handout.open.count()).sum()
    }
}
