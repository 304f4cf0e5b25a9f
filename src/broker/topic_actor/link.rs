//! A group, as its topic sees it.

use std::sync::Arc;

use crate::base::Name;
use crate::broker::bits::Bits;
use crate::broker::books::{Books, GroupId};
use crate::broker::group_word::{GroupWord, Handout};
use crate::broker::message::Batch;
use crate::broker::{Start, WhyBlocked};
use crate::mailbox::Sender;

/// What a group tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupNews {
    /// It has something to do with what it has, if it has any.
    pub(crate) running: bool,
    pub(crate) failed: bool,
    pub(crate) paused: bool,
    /// Its breaker is not closed.
    pub(crate) breaker: bool,
    /// So many of its messages wait for a dead-letter topic.
    pub(crate) parked: u64,
}

pub(super) struct Link<T> {
    pub(super) group: GroupId,
    pub(super) name: Name,
    pub(super) to: Sender<Handout<T>, GroupWord<T>>,
    /// From where on it reads. [`Start::Earliest`] once that is passed.
    pub(super) start: Start,
    pub(super) news: GroupNews,
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
        !self.news.running || books.open(self.group) == self.withheld() + self.news.parked
    }

    /// Why it has not settled what it has.
    pub(super) fn why(&self, books: &Books<Arc<Batch<T>>>) -> WhyBlocked {
        match () {
            () if self.news.failed => WhyBlocked::Failed,
            () if self.news.paused => WhyBlocked::Paused,
            () if !self.news.running => WhyBlocked::NoConsumer,
            () if books.open(self.group) == self.news.parked => WhyBlocked::DeadLettersFull,
            () if self.news.breaker => WhyBlocked::BreakerOpen,
            () => WhyBlocked::Slow,
        }
    }

    pub(super) fn withheld(&self) -> u64 {
        self.withheld.iter().map(|handout| handout.open.count()).sum()
    }
}
