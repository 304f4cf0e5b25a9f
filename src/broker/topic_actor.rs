//! The topic's actor: freezes what waits into batches, hands them to the groups, frees places as groups settle.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::books::{Bits, Books, GroupId};
use super::group_actor::{GroupWord, Handout};
use super::message::{BATCH, Batch, IdStamp, Item};
use super::{Start, TopicStats};
use crate::base::Name;
use crate::mailbox::{Event, Receiver, Reply, Sender};

/// What others say to a topic.
pub(crate) enum TopicWord<T> {
    /// A group is done with these messages.
    Settled {
        group: GroupId,
        base: u64,
        from: u16,
        to: u16,
    },
    /// A group can, or can't, work; and so many of its messages wait for a dead-letter topic.
    GroupNews {
        group: GroupId,
        running: bool,
        parked: u64,
    },
    AddGroup {
        group: GroupId,
        to: Sender<Handout<T>, GroupWord<T>>,
        start: Start,
        done: Reply<()>,
    },
    Hold(bool),
    /// Answer, with the number of messages ever accepted, when no running group has anything left to do.
    WhenQuiet(Reply<u64>),
    Stats(Reply<TopicStats>),
    /// End. Answers how many messages were not handed to any group.
    Stop(Reply<u64>),
}

pub(crate) struct TopicActor<T> {
    pub(crate) name: Name,
    pub(crate) capacity: usize,
    pub(crate) held: bool,
    pub(crate) mailbox: Receiver<Item<T>, TopicWord<T>, IdStamp>,
}

struct Life<T> {
    actor: TopicActor<T>,
    books: Books<Arc<Batch<T>>>,
    links: Vec<Link<T>>,
    /// Those who wait for quiet. Limit: each is a future somewhere.
    waiting: Vec<Reply<u64>>,
    over: Option<Reply<u64>>,
}

/// A group, as its topic sees it.
struct Link<T> {
    group: GroupId,
    to: Sender<Handout<T>, GroupWord<T>>,
    running: bool,
    parked: u64,
    /// Not handed out while the topic is held. Limit: the topic's capacity.
    withheld: Vec<Handout<T>>,
}

impl<T: Send + Sync + 'static> TopicActor<T> {
    /// Runs the topic until it is stopped.
    pub(crate) async fn run(self) {
        let mut life =
            Life { actor: self, books: Books::new(), links: Vec::new(), waiting: Vec::new(), over: None };
        std::future::poll_fn(|cx| life.poll(cx)).await;
        life.end();
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.actor.mailbox.poll_burst(cx, BATCH) {
                Poll::Ready(Event::Message(items)) => self.on_burst(items),
                Poll::Ready(Event::Control(word)) => self.hear(word),
                // Every handle is gone; the broker, which has one, is too.
                Poll::Ready(Event::Closed) => return Poll::Ready(()),
                Poll::Pending => {
                    // Only now is it certain that nothing waits in the mailbox.
                    self.answer_if_quiet();
                    return Poll::Pending;
                }
            }
            if self.over.is_some() {
                return Poll::Ready(());
            }
        }
    }

    fn on_burst(&mut self, items: Vec<Item<T>>) {
        let batch = Arc::new(Batch::new(self.actor.name.clone(), self.books.next_offset(), items));
        let len = batch.len();
        self.books.on_batch(batch.clone(), len);
        let open = Bits::range(0, len);
        for link in &mut self.links {
            link.hand(Handout { batch: batch.clone(), open }, self.actor.held);
        }
    }

    fn hear(&mut self, word: TopicWord<T>) {
        match word {
            TopicWord::Settled { group, base, from, to } => {
                let freed = self.books.on_settled(group, base, from, to);
                if freed > 0 {
                    self.actor.mailbox.settle(usize::try_from(freed).unwrap_or(usize::MAX));
                }
            }
            TopicWord::GroupNews { group, running, parked } => {
                if let Some(link) = self.links.iter_mut().find(|link| link.group == group) {
                    (link.running, link.parked) = (running, parked);
                }
            }
            TopicWord::AddGroup { group, to, start, done } => {
                let mut link = Link { group, to, running: false, parked: 0, withheld: Vec::new() };
                let handouts = self.books.on_group(group, |batch, _, kept| start.pick(batch, kept));
                for (batch, open) in handouts {
                    link.hand(Handout { batch, open }, self.actor.held);
                }
                self.links.push(link);
                let _ = done.send(());
            }
            TopicWord::Hold(hold) => {
                self.actor.held = hold;
                if !hold {
                    self.links.iter_mut().for_each(Link::release);
                }
            }
            TopicWord::WhenQuiet(reply) => {
                self.waiting.retain(|reply| !reply.is_abandoned());
                self.waiting.push(reply);
            }
            TopicWord::Stats(reply) => drop(reply.send(TopicStats {
                accepted: self.books.next_offset() + self.actor.mailbox.waiting() as u64,
                unsettled: self.books.unsettled() + self.actor.mailbox.waiting() as u64,
                capacity: self.actor.capacity,
                groups: self.links.len(),
                held: self.actor.held,
            })),
            TopicWord::Stop(reply) => self.over = Some(reply),
        }
    }

    fn answer_if_quiet(&mut self) {
        if !self.waiting.is_empty() && self.links.iter().all(|link| link.is_quiet(&self.books)) {
            let accepted = self.books.next_offset();
            for reply in self.waiting.drain(..) {
                let _ = reply.send(accepted);
            }
        }
    }

    fn end(mut self) {
        self.actor.mailbox.close();
        let left = self.actor.mailbox.take_rest().len() as u64;
        // Without any group, everything that is kept was never handed to one.
        let unread = if self.links.is_empty() { left + self.books.unsettled() } else { left };
        if let Some(reply) = self.over.take() {
            let _ = reply.send(unread);
        }
    }
}

impl<T: Send + Sync + 'static> Link<T> {
    fn hand(&mut self, handout: Handout<T>, held: bool) {
        if held {
            self.withheld.push(handout);
        } else if let Err(error) = self.to.try_send(handout) {
            // Invariant: a handout has at least one unsettled message, and the group's mailbox has a place for as
            // many as the topic's capacity. So it is closed: the group was stopped and wants no more.
            debug_assert!(!error.is_full(), "a group's mailbox holds the whole capacity");
        }
    }

    fn release(&mut self) {
        for handout in std::mem::take(&mut self.withheld) {
            self.hand(handout, false);
        }
    }

    /// A group that runs and has been handed all it has open, and has settled that, but for what is parked.
    fn is_quiet(&self, books: &Books<Arc<Batch<T>>>) -> bool {
        let withheld: u64 = self.withheld.iter().map(|handout| handout.open.count()).sum();
        !self.running || books.open(self.group) == withheld + self.parked
    }
}
