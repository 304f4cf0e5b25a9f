//! A group, as its topic sees it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::replay::{Replay, Rest};
use crate::base::Name;
use crate::broker::bits::Bits;
use crate::broker::books::{Books, GroupId};
use crate::broker::group_word::{GroupWord, Handout};
use crate::broker::message::Batch;
use crate::broker::{Start, WhyBlocked};
use crate::mailbox::{Reply, SendSink, Sender, TrySendError};

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
    /// That is where the topic was when it came: what was accepted by then, and is not stored after all, does not count.
    pub(super) latest: bool,
    pub(super) news: GroupNews,
    /// Not handed out while the topic is held. Limit: the topic's capacity.
    pub(super) withheld: VecDeque<Handout<T>>,
    /// Handed out when the group's mailbox has a place: evicted messages fill it until the group looks. Limit: the topic's
    /// capacity, since what is evicted is taken out.
    pub(super) late: VecDeque<Handout<T>>,
    pub(super) door: SendSink<Handout<T>, GroupWord<T>>,
    /// What it has to read first of what is settled. What comes meanwhile is withheld.
    pub(super) replay: Option<Replay>,
    /// Messages that can't be read, and that it has not settled.
    pub(super) unread: u64,
    /// It is handed nothing until it is told where to begin anew.
    pub(super) halted: bool,
    /// Those who wait until it is done with all before an offset; from when it has all that. Limit: each is a future somewhere.
    pub(super) drains: Vec<(u64, Reply<()>)>,
}

impl<T: Send + Sync + 'static> Link<T> {
    pub(super) fn new(
        group: GroupId,
        name: Name,
        to: Sender<Handout<T>, GroupWord<T>>,
        start: Start,
    ) -> Link<T> {
        let (withheld, late, door) = (VecDeque::new(), VecDeque::new(), to.sink());
        let (replay, halted, drains) = (None, false, Vec::new());
        Link {
            group,
            name,
            to,
            start,
            latest: false,
            news: GroupNews::default(),
            withheld,
            late,
            door,
            replay,
            unread: 0,
            halted,
            drains,
        }
    }

    /// Which of these the group reads.
    pub(super) fn pick(&mut self, batch: &Batch<T>, all: Bits) -> Bits {
        let open = self.start.pick(batch, all);
        if open == all {
            self.start = Start::Earliest;
        }
        open
    }

    pub(super) fn hand(&mut self, handout: Handout<T>, held: bool) {
        let waits = |replay: &Replay| !replay.is_read() && !replay.is_behind(&handout);
        if held || self.halted || self.replay.as_ref().is_some_and(waits) {
            if !handout.open.is_empty() {
                self.withheld.push_back(handout);
            }
            return;
        }
        self.hand_now(handout);
    }

    /// Whatever of a replay is to come.
    pub(super) fn hand_now(&mut self, handout: Handout<T>) {
        if handout.open.is_empty() {
            return;
        }
        if !self.late.is_empty() {
            self.late.push_back(handout);
        } else if let Err(TrySendError::Full(handout)) = self.to.try_send(handout) {
            // Invariant: a handout had at least one unsettled message, and the group's mailbox has a place for as many
            // as the topic's capacity. So some of what is in it was evicted since. Closed, the group wants no more.
            self.late.push_back(handout);
        }
    }

    /// Hands out what is late, as far as there is room; else the task is woken when there is.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) {
        while !self.late.is_empty()
            && let Poll::Ready(room) = self.door.poll_reserve(0, cx)
        {
            match (room, self.late.pop_front()) {
                (Ok(()), Some(handout)) => drop(self.door.fill(handout)),
                _ => self.late.clear(),
            }
        }
    }

    /// The topic has evicted a message that the group had to settle.
    pub(super) fn evict(&mut self, batch: &Arc<Batch<T>>, index: u16) {
        let (base, which) = (batch.base(), Bits::range(index, index + 1));
        let found = strike(&mut self.withheld, base, index) || strike(&mut self.late, base, index);
        drop(self.to.control(match found {
            true => GroupWord::EvictedBefore { base, which },
            false => GroupWord::Evicted { batch: batch.clone(), which },
        }));
    }

    pub(super) fn release(&mut self) {
        if self.halted {
            return;
        }
        for handout in std::mem::take(&mut self.withheld) {
            self.hand(handout, false);
        }
    }

    /// A group that runs and has been handed all it has open, and has settled that, but for what is parked.
    pub(super) fn is_quiet(&self, books: &Books<Arc<Batch<T>>>, rest: Rest) -> bool {
        let out = self.replay.as_ref().map_or(0, Replay::out);
        !self.news.running
            || self.late.is_empty()
                && !self.halted
                && self.replay.as_ref().is_none_or(|replay| replay.rests(rest))
                && books.open(self.group) + self.unread + out == self.withheld() + self.news.parked
    }

    /// It has all that there is for it by now.
    pub(super) fn has_all(&self) -> bool {
        self.late.is_empty() && self.replay.as_ref().is_none_or(Replay::is_read)
    }

    /// Lets those who drain hear from the group.
    pub(super) fn pass_drains(&mut self) {
        for (upto, reply) in self.drains.drain(..) {
            // Dropped, if the group is gone.
            drop(self.to.control(GroupWord::Drain { upto, reply }));
        }
    }

    /// So many messages that were for it are gone.
    pub(super) fn skip(&self, messages: u64) {
        if messages > 0 {
            drop(self.to.control(GroupWord::Skipped(messages)));
        }
    }

    /// Why it has not settled what it has.
    pub(super) fn why(&self, books: &Books<Arc<Batch<T>>>) -> WhyBlocked {
        match () {
            () if self.news.failed => WhyBlocked::Failed,
            () if self.replay.as_ref().is_some_and(Replay::has_failed) => WhyBlocked::HistoryUnreadable,
            () if self.news.paused => WhyBlocked::Paused,
            () if !self.news.running => WhyBlocked::NoConsumer,
            () if books.open(self.group) + self.unread == self.news.parked => WhyBlocked::DeadLettersFull,
            () if self.news.breaker => WhyBlocked::BreakerOpen,
            () => WhyBlocked::Slow,
        }
    }

    pub(super) fn withheld(&self) -> u64 {
        self.withheld.iter().chain(&self.late).map(|handout| handout.open.count()).sum()
    }
}

/// Takes a message out of those that are to be handed out, by its first place; answers whether it was there.
fn strike<T>(handouts: &mut VecDeque<Handout<T>>, base: u64, index: u16) -> bool {
    // Why so far and no further: what is evicted is old, and but for what was redriven they are in order.
    let near = handouts.iter().take_while(|handout| handout.redrives > 0 || handout.batch.base() <= base);
    let has = |handout: &Handout<T>| {
        handout.redrives == 0 && handout.batch.base() == base && handout.open.has(index)
    };
    let Some(at) = near.into_iter().position(has) else { return false };
    let Some(handout) = handouts.get_mut(at) else { return false };
    handout.open = handout.open.without(Bits::range(index, index + 1));
    if handout.open.is_empty() {
        handouts.remove(at);
    }
    true
}
