//! The topic's actor: freezes what waits into batches, hands them to the groups, frees places as groups settle.

mod evict;
mod link;
mod recovered;
mod redrive;
mod replay;
mod retained;
mod seek;
mod show;
mod spilled;
mod stats;
mod store;
mod unread;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Event as Told;
use super::bits::Bits;
use super::blocked::Watch;
use super::books::{Books, GroupId};
use super::events::Teller;
use super::group_word::Handout;
use super::ledger::Slice;
use super::message::{BATCH, Batch, IdStamp, Item, Origin};
use super::pages::PageReader;
use super::record::{Known, Recovered};
use super::room::{EvictedFn, Lacks, Room};
use super::settings::{Overflow, TopicSettings};
use super::spill::Spiller;
use super::tally::Tally;
use super::ttls::Ttls;
use super::witness::{Sight, Watched};
use crate::base::{Bug, Name, planted};
use crate::mailbox::{Event, Receiver, Reply};
use crate::runtime::Clock;

pub(crate) use super::topic_word::{Quiet, TopicWord, Unread};
pub(crate) use link::GroupNews;
use link::Link;
pub(crate) use redrive::Redriven;
use redrive::Redriver;
pub(crate) use replay::PagesRead;
use retained::Retained;
use spilled::Spilled;
pub(crate) use spilled::{BlockRead, reserve};
use store::OnTheWay;
pub(crate) use store::Store;
use unread::Unreadable;

pub(crate) struct TopicActor<T> {
    pub(crate) name: Name,
    pub(crate) settings: TopicSettings,
    pub(crate) tally: Arc<Tally>,
    pub(crate) held: bool,
    pub(crate) watch: Watch,
    pub(crate) lacks: Arc<Lacks>,
    pub(crate) watched: Watched,
    pub(crate) teller: Arc<Teller>,
    pub(crate) on_evicted: Option<EvictedFn<T>>,
    pub(crate) mailbox: Receiver<Item<T>, TopicWord<T>, IdStamp>,
    /// Present if it is durable.
    pub(crate) store: Option<Store>,
    /// What was there when it was opened.
    pub(crate) recovered: Option<Recovered<T>>,
    /// Present if it spills.
    pub(crate) spiller: Option<Arc<Spiller<T>>>,
    /// Reads what is on disk, if it is.
    pub(crate) pages: Option<Arc<PageReader<T>>>,
}

struct Life<T> {
    actor: TopicActor<T>,
    books: Books<Arc<Batch<T>>>,
    links: Vec<Link<T>>,
    /// Those who wait for quiet. Limit: each is a future somewhere.
    waiting: Vec<Reply<Quiet>>,
    changes: u64,
    /// Those who wait to bring a message back. Limit: each is a future somewhere.
    redrivers: Vec<Redriver>,
    /// What is to be heard once so much is in the books. Limit: each comes from a future somewhere.
    later: Vec<(u64, TopicWord<T>)>,
    over: Option<Reply<Unread>>,
    origin: Arc<Origin>,
    /// Those who wait for room in a topic that evicts. Limit: each is a future somewhere, or twice as many were.
    askers: Vec<Reply<Room>>,
    /// So many of them are to be looked through for those who went away.
    many_askers: usize,
    evicted: u64,
    expired: u64,
    /// Of the messages that are kept while there is no group, those that are to be past their time.
    ttls: Ttls<Arc<Batch<T>>>,
    clock: Clock,
    /// The clock is set for what is past its time.
    expiry_set: bool,
    /// What each group wants of the batch at hand; empty in between, kept for its memory.
    wanted: Vec<(GroupId, Bits)>,
    on_the_way: OnTheWay<T>,
    /// Groups that the log has and nobody opened. Limit: they were opened before.
    dormant: BTreeMap<GroupId, Known>,
    unread: Unreadable,
    /// An earlier process may have handed out what is before this.
    unsure: u64,
    /// Present if what is settled stays.
    history: Option<Retained<T>>,
    /// Present if it spills: what was accepted and is not in the books.
    spilled: Option<Spilled<T>>,
    /// Messages that were spilled and can't be read.
    lost: u64,
}

impl<T: Send + Sync + 'static> TopicActor<T> {
    /// Runs the topic until it is stopped. What it goes on with it has taken in when this returns: nobody comes in before.
    pub(crate) fn run(self) -> impl Future<Output = ()> + Send + use<T> {
        let mut life = Life {
            origin: Origin::of(self.name.clone(), &self.settings, self.tally.clone()),
            askers: Vec::new(),
            many_askers: evict::MANY_ASKERS,
            evicted: 0,
            expired: 0,
            ttls: Ttls::default(),
            clock: self.watch.rt().clock(),
            spilled: match self.settings.overflow {
                Overflow::Spill { bytes } => Some(Spilled::new(bytes)),
                _ => None,
            },
            lost: 0,
            history: self.settings.retain.map(|retain| self.retained(retain)),
            expiry_set: false,
            actor: self,
            books: Books::new(),
            links: Vec::new(),
            waiting: Vec::new(),
            changes: 0,
            redrivers: Vec::new(),
            later: Vec::new(),
            over: None,
            wanted: Vec::new(),
            on_the_way: OnTheWay::default(),
            dormant: BTreeMap::new(),
            unread: Unreadable::default(),
            unsure: 0,
        };
        life.recover();
        async move {
            std::future::poll_fn(|cx| life.poll(cx)).await;
            life.end();
        }
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.actor.mailbox.poll_burst(cx, self.burst()) {
                Poll::Ready(Event::Message(items)) if self.actor.store.is_some() => self.store(items),
                Poll::Ready(Event::Message(items)) => self.take_in_or_spill(items),
                Poll::Ready(Event::Control(word)) => self.hear(word),
                // What is on its way to the disk has its answer before the end.
                Poll::Ready(Event::Closed) if !self.on_the_way.is_empty() => {
                    let word = std::task::ready!(self.actor.mailbox.poll_control(cx));
                    self.hear(word);
                }
                // It is stopped, or every handle is gone; the broker, which has one, is too.
                Poll::Ready(Event::Closed) => return Poll::Ready(()),
                Poll::Pending => {
                    // Only now is it certain that nothing waits in the mailbox.
                    self.make_room();
                    self.pump();
                    self.poll_late(cx);
                    self.pass_drains();
                    self.poll_expiry(cx);
                    self.poll_history(cx);
                    self.answer_if_quiet();
                    self.show_books();
                    self.watch(cx);
                    self.actor.watch.rt().waits(format_args!("for messages"));
                    return Poll::Pending;
                }
            }
            // What is on its way to the disk has its answer before the end.
            if self.over.is_some() && self.on_the_way.is_empty() {
                return Poll::Ready(());
            }
        }
    }

    /// Freezes messages into a batch, and hands it to the groups.
    fn take_in(&mut self, items: Vec<Item<T>>) {
        self.changes += 1;
        let expires = self.actor.settings.ttl.map(|ttl| self.actor.watch.rt().now() + ttl);
        let batch = Batch::new(&self.origin, self.books.next_offset(), items, expires);
        let batch = Arc::new(batch);
        let (len, all) = (batch.len(), Bits::range(0, batch.len()));
        let (topic, base) = (&self.actor.name, batch.base());
        let keys = || (0..len).filter_map(|at| batch.key(at)).collect();
        self.actor.watched.show(|| Sight::Accepted { topic, base, len, keys: keys() });
        if self.links.is_empty() {
            self.ttls.add(&Slice::new(batch.clone(), base, 0, len));
        }
        let mut some_skipped = false;
        let mut wanted = std::mem::take(&mut self.wanted);
        for link in &mut self.links {
            let open = link.pick(&batch, all);
            some_skipped |= open != all;
            if let Some(store) = self.actor.store.as_ref().filter(|_| open != all) {
                store.keeper.done(link.group, base, all.without(open));
            }
            self.actor.watched.show(|| Sight::Offered { topic, group: &link.name, base, open });
            wanted.push((link.group, open));
        }
        self.note_dormant(&batch, &mut wanted);
        some_skipped |= wanted.len() > self.links.len();
        let wants = |group| wanted.iter().find(|(id, _)| *id == group).map_or(all, |(_, open)| *open);
        self.books.on_batch(batch.clone(), len, wants);
        let behind = self.books.open(GroupId(0)) > 1;
        for (link, (_, open)) in self.links.iter_mut().zip(&wanted) {
            let starved = planted(Bug::Starvation) && link.group.0 > 0 && behind;
            let handout = Handout { batch: batch.clone(), open: *open, redrives: 0 };
            link.hand(handout, self.actor.held || starved);
        }
        wanted.clear();
        self.wanted = wanted;
        if some_skipped {
            self.sweep(batch.base());
        }
        self.keep_as_history(&batch);
        self.hear_what_is_due();
    }

    /// Lets go of what every group has skipped, from the batch at `from` on. Not while the topic is held: more groups may come.
    fn sweep(&mut self, from: u64) {
        if !self.actor.held {
            let freed = self.books.sweep(from);
            self.free(freed);
            self.sweep_unread();
        }
    }

    /// These places are free, and what the books say that they bore.
    fn free(&mut self, places: u64) {
        let weight = self.books.take_freed();
        self.give_back(places, weight);
    }

    fn give_back(&mut self, places: u64, weight: u64) {
        let places = places - u64::from(places > 1 && planted(Bug::LeakedPlace));
        let weight = if planted(Bug::LeakedWeight) { weight / 2 } else { weight };
        if places > 0 {
            if self.actor.watch.on_freed() {
                self.actor.teller.tell(Told::PublishersUnblocked { topic: self.actor.name.clone() });
            }
            self.actor.mailbox.settle_weighed(usize::try_from(places).unwrap_or(usize::MAX), weight);
            self.call_redrivers();
        }
    }

    fn hear(&mut self, word: TopicWord<T>) {
        match word {
            TopicWord::Stored(result) => self.on_stored(result),
            TopicWord::Settled { group, base, which } => {
                let which = self.settle_replayed(group, base, which);
                let which = self.settle_unread(group, base, which);
                self.hear_claims(base, which);
                let freed = self.books.on_settled(group, base, which);
                self.free(freed);
            }
            TopicWord::SettledAgain { group, base, at } => {
                let freed = self.settle_again(group, base, at);
                self.free(freed);
            }
            TopicWord::GroupNews { group, news } => {
                self.changes += 1;
                if let Some(link) = self.links.iter_mut().find(|link| link.group == group) {
                    link.news = news;
                }
            }
            TopicWord::AddGroup { group, name, to, start, done } => {
                self.changes += 1;
                // The groups look after it from now on.
                self.ttls.clear();
                let latest = start.latest;
                let link = Link { latest, ..Link::new(group, name, to, self.known_start(start)) };
                self.add_group(link, done);
            }
            TopicWord::RemoveGroup { group, done } => {
                self.changes += 1;
                let at = self.links.iter().position(|link| link.group == group);
                let link = at.map(|at| self.links.remove(at));
                if let Some(Link { name: group, .. }) = &link {
                    let topic = &self.actor.name;
                    self.actor.watched.show(|| Sight::Left { topic, group });
                }
                let freed = self.books.on_group_gone(group, self.actor.held);
                let unread = self.unread.on_group_gone(group, self.actor.held);
                self.free(freed + unread);
                if self.links.is_empty() && self.history.is_none() {
                    self.begin_expiry();
                }
                self.let_go_of_nobodys(0);
                self.note_group_gone(group);
                let _ = done.send(link.map_or(0, |link| link.withheld()));
            }
            TopicWord::Once { upto, word } => {
                self.later.push((upto, *word));
                self.hear_what_is_due();
            }
            TopicWord::Drain { group, upto, reply } => {
                // Dropped, if the group is gone.
                if let Some(link) = self.links.iter_mut().find(|link| link.group == group) {
                    link.drains.push((upto, reply));
                }
            }
            TopicWord::Hold(hold) => {
                self.changes += 1;
                self.actor.held = hold;
                if !hold {
                    self.links.iter_mut().for_each(Link::release);
                    self.sweep(0);
                    self.let_go_of_nobodys(0);
                    let replaying = self.links.iter().filter(|link| link.replay.is_some());
                    let groups: Vec<GroupId> = replaying.map(|link| link.group).collect();
                    groups.into_iter().for_each(|group| self.feed(group));
                }
            }
            TopicWord::Waits => self.actor.watch.on_waits(),
            TopicWord::WhenQuiet(reply) => {
                self.waiting.retain(|reply| !reply.is_abandoned());
                self.waiting.push(reply);
            }
            TopicWord::Stats(reply) => drop(reply.send(self.stats())),
            TopicWord::GroupStats { group, stats, reply } => {
                drop(reply.send(self.group_stats(group, *stats)))
            }
            TopicWord::Redrive { group, message, answer } => self.on_redrive(group, message, answer),
            TopicWord::ComesBack(back) => self.on_comes_back(*back),
            TopicWord::WhenRedrivable { base, len, answer } => {
                self.redrivers.push(Redriver { base, len, answer });
                self.call_redrivers();
            }
            TopicWord::Peek { from, answer } => drop(answer.send(self.books.first_kept(from))),
            TopicWord::Halt { group } => self.on_halt(group),
            TopicWord::Seek { group, start, done } => self.on_seek(group, start, done),
            TopicWord::BlockWritten(written) => self.on_block_written(written),
            TopicWord::BlockRead(read) => self.on_block_read(read),
            TopicWord::ReadAgain => self.on_read_again(),
            TopicWord::Look(look) => self.look(look),
            TopicWord::PagesRead(read) => self.on_pages(read),
            TopicWord::Moved { base, index } => self.on_moved(base, index),
            TopicWord::MakeRoom(_) if !self.evicts() => {}
            TopicWord::MakeRoom(asker) => self.on_asker(asker),
            TopicWord::Stop(reply) => self.over = Some(reply),
        }
    }

    /// A group has settled a message that had come back: to a durable topic it came as a new one. Answers how many places are free.
    fn settle_again(&mut self, group: GroupId, base: u64, at: u16) -> u64 {
        match self.actor.store {
            Some(_) => self.books.on_settled(group, base, Bits::range(at, at + 1)),
            None => self.books.on_settled_again(group, base, at),
        }
    }

    fn hear_what_is_due(&mut self) {
        let next = self.books.next_offset();
        // Of what is in the line nothing can be shown: whoever looks does not wait for it.
        let behind = next + self.in_line();
        let is_due = |(upto, word): &(u64, TopicWord<T>)| match word {
            TopicWord::Look(_) => *upto <= behind,
            _ => *upto <= next,
        };
        while let Some(at) = self.later.iter().position(is_due) {
            let (_, word) = self.later.remove(at);
            self.hear(word);
        }
    }

    /// Looks after those who wait for room. Last in a poll, so that its clock is set to what the words before said.
    fn watch(&mut self, cx: &mut Context<'_>) {
        let mailbox = &self.actor.mailbox;
        if self.actor.watch.poll(cx, || mailbox.anyone_waits())
            && let Some(by) = self.blocked_by()
        {
            self.actor.teller.tell(Told::PublishersBlocked { topic: self.actor.name.clone(), by });
        }
    }

    fn answer_if_quiet(&mut self) {
        // Why look whether something waits: a mailbox whose budget is spent is pending too.
        let rest = self.rest();
        if !self.waiting.is_empty()
            && self.links.iter().all(|link| link.is_quiet(&self.books, rest))
            && self.waiting() == 0
        {
            let parked = self.links.iter().map(|link| link.news.parked).sum();
            let quiet = Quiet { changes: self.changes, parked, due: None };
            for reply in self.waiting.drain(..) {
                let _ = reply.send(quiet);
            }
        }
    }

    /// Counts what was accepted and not handed on, for each group.
    fn end(mut self) {
        self.actor.mailbox.close();
        self.actor.held = true;
        // Why not heard: a group that was to leave after these is counted as one that is here; else they would be
        // counted for it and, once it is gone, as nobody's.
        self.later.clear();
        if self.actor.store.is_some() {
            self.refuse_rest();
        }
        let mut rest = self.actor.mailbox.take_rest().into_iter().peekable();
        let line = self.in_line();
        // Behind a line nothing gets in any more.
        let line = if line > 0 { line + rest.by_ref().count() as u64 } else { 0 };
        while rest.peek().is_some() {
            self.take_in(rest.by_ref().take(BATCH).collect());
        }
        let next = self.books.next_offset();
        let topic = &self.actor.name;
        self.actor.watched.show(|| Sight::InLine { topic, base: next, messages: line });
        let nobodys = if self.links.is_empty() { self.books.unsettled() + line } else { 0 };
        let left = |link: &Link<T>| {
            (link.group, link.withheld() + link.start.among((next, line), self.actor.tally.is_named()))
        };
        let withheld = self.links.iter().map(left).collect();
        let reply = self.over.take();
        let counted = [next + line, self.evicted, self.expired];
        // Why before the answer: whoever is told of the end must find the messages gone.
        drop(self);
        if let Some(reply) = reply {
            let _ = reply.send(Unread { counted, nobodys, withheld });
        }
    }
}

// The schedule explorer runs none of these, which are most of what it would build.
#[cfg(test)]
#[cfg(not(callboard_shuttle))]
mod tests;
