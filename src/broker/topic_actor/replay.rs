//! Groups that read what was settled before they came: history is handed to them a window at a time, and then they are as all others.
//!
//! ```text
//!        floor            cursor          end                    next
//!  ... | trimmed |  settled | out |  to come  | live: in the books, and withheld until the cursor is at the end |
//! ```
//! A replay ends where the topic was when its group came: what is accepted since is in the books for the group, as it is for
//! others, and holds its place. What is replayed holds none. So the window bounds what of it is in memory, not the capacity.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::link::Link;
use super::{Life, Told, TopicWord};
use crate::base::{Bug, planted};
use crate::broker::bits::Bits;
use crate::broker::books::GroupId;
use crate::broker::group_word::{GroupWord, Handout};
use crate::broker::history::{end, within};
use crate::broker::message::Batch;
use crate::broker::pages::Pages;
use crate::broker::unread::Unread;
use crate::broker::witness::Sight;
use crate::log::{LogError, Marks, Ranges};

/// While so many messages of a replay are with its group, or as many as the topic's capacity, it is handed no more. On disk one read
/// more may be with it, see `Pages`.
const WINDOW: u64 = 4096;

/// What of its topic's history a group has still to read.
#[derive(Debug)]
pub(super) struct Replay {
    from: u64,
    cursor: u64,
    end: u64,
    /// An earlier process had settled these.
    done: Ranges,
    /// An earlier process may have handed out what is before this.
    unsure: u64,
    /// Handed out and not settled, by batch. Limit: the window, and a batch.
    out: BTreeMap<u64, Bits>,
    many: u64,
    /// A read of the disk is on its way.
    reads: bool,
    /// Why the last read did not succeed, if so.
    failed: Option<Arc<str>>,
}

/// What lets replays rest: the topic is held, or so many messages are with the group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    held: bool,
    window: u64,
}

impl Replay {
    /// `None` if there is nothing to replay.
    pub(super) fn new(from: u64, end: u64, done: Ranges, unsure: u64) -> Option<Replay> {
        let (out, many, reads, failed) = (BTreeMap::new(), 0, false, None);
        (from < end).then_some(Replay { from, cursor: from, end, done, unsure, out, many, reads, failed })
    }

    /// Others keep this, it is older than the history, and comes first.
    pub(super) fn is_behind<T>(&self, handout: &Handout<T>) -> bool {
        handout.redrives == 0 && handout.batch.base() + u64::from(handout.open.end()) <= self.from
    }

    /// All of it is with its group.
    pub(super) fn is_read(&self) -> bool {
        self.cursor >= self.end
    }

    /// What was not handed out is not to be.
    pub(super) fn cut_short(&mut self) {
        self.end = self.cursor;
    }

    /// It hands out nothing, whatever is to come of it, before something changes that is not up to the topic.
    pub(super) fn rests(&self, Rest { held, window }: Rest) -> bool {
        held || self.has_failed() || self.is_read() || self.many >= window
    }

    /// The disk could not be read.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Why not.
    pub(super) fn error(&self) -> Option<Arc<str>> {
        self.failed.clone()
    }

    fn is_over(&self) -> bool {
        self.is_read() && self.out.is_empty()
    }

    /// Messages that the group has still to settle of it.
    pub(super) fn lag(&self) -> u64 {
        let done = self.done.runs().map(|(from, to)| to.min(self.end).saturating_sub(from.max(self.cursor)));
        self.many + (self.end - self.cursor.min(self.end)).saturating_sub(done.sum())
    }

    /// Messages of it that are with its group.
    pub(super) fn out(&self) -> u64 {
        self.many
    }

    /// Takes a batch as handed out; answers what of it is the group's, and what it passes by: what came back to others.
    fn take<T>(&mut self, batch: &Arc<Batch<T>>) -> (Bits, Bits) {
        let mut left = within(batch, self.cursor, self.end);
        left.iter()
            .filter(|at| self.done.contains(batch.base() + u64::from(*at)))
            .for_each(|at| left = left.without(Bits::range(at, at + 1)));
        let open = batch.first_time(left);
        self.cursor = self.cursor.max(end(batch).min(self.end));
        if !open.is_empty() {
            self.many += open.count();
            self.out.insert(batch.base(), open);
        }
        (open, left.without(open))
    }

    /// Its group has settled these; answers those that are none of it.
    fn settle(&mut self, base: u64, which: Bits) -> Bits {
        let Some(open) = self.out.get_mut(&base) else { return which };
        let its = open.and(which);
        self.many -= its.count();
        *open = open.without(its);
        if open.is_empty() {
            self.out.remove(&base);
        }
        which.without(its)
    }

    /// This one can't be decoded: whether it is the group's.
    fn wants(&self, offset: u64) -> bool {
        (self.cursor..self.end).contains(&offset) && !self.done.contains(offset)
    }

    /// It is with the group, which has it to settle as all others.
    fn take_unread(&mut self, offset: u64) {
        self.many += 1;
        self.out.insert(offset, Bits::range(0, 1));
    }
}

/// A window that was read from the disk, for a group.
pub(crate) struct PagesRead<T> {
    group: GroupId,
    from: u64,
    read: Result<Pages<T>, LogError>,
}

impl<T: Send + Sync + 'static> Life<T> {
    /// A group has settled these; answers those that are of no replay. A run of the disk may have some of both.
    pub(super) fn settle_replayed(&mut self, group: GroupId, base: u64, which: Bits) -> Bits {
        if self.history.is_none() {
            return which;
        }
        let link = self.links.iter_mut().find(|link| link.group == group);
        let Some(replay) = link.and_then(|link| link.replay.as_mut()) else { return which };
        let rest = replay.settle(base, which);
        if rest != which {
            self.feed(group);
        }
        rest
    }

    fn window(&self) -> u64 {
        WINDOW.min(self.actor.settings.capacity as u64)
    }

    pub(super) fn rest(&self) -> Rest {
        Rest { held: self.actor.held, window: self.window() }
    }

    /// Lets groups answer those who drain, once they have all, or can't be handed the rest for now.
    pub(super) fn pass_drains(&mut self) {
        let rest = self.rest();
        for link in self.links.iter_mut().filter(|link| !link.drains.is_empty()) {
            if link.has_all() || link.is_quiet(&self.books, rest) {
                link.pass_drains();
            }
        }
    }

    /// Tries again to read what could not be read.
    pub(super) fn feed_failed(&mut self) {
        let failed = self.links.iter().filter(|link| link.replay.as_ref().is_some_and(Replay::has_failed));
        let groups: Vec<GroupId> = failed.map(|link| link.group).collect();
        groups.into_iter().for_each(|group| self.feed(group));
    }

    /// Hands the group more of its replay, as far as its window is.
    pub(super) fn feed(&mut self, group: GroupId) {
        if self.actor.held {
            return;
        }
        let Some(at) = self.links.iter().position(|link| link.group == group) else { return };
        let window = self.window();
        loop {
            let floor = self.floor();
            let replay = self.links.get_mut(at).and_then(|link| link.replay.as_mut());
            let Some(replay) = replay.filter(|replay| replay.many < window && !replay.is_read()) else {
                break;
            };
            if replay.cursor < floor {
                self.skip(at, floor);
                continue;
            }
            if self.actor.store.is_some() {
                self.read_pages(at);
                break;
            }
            match self.history.as_ref().and_then(|history| history.pages.at(replay.cursor)) {
                Some(batch) => self.hand_replayed(at, batch),
                None => replay.cursor = replay.end,
            }
        }
        self.end_replay(at);
    }

    /// From which offset on the topic has its messages.
    pub(super) fn floor(&self) -> u64 {
        match &self.actor.store {
            Some(store) => store.keeper.disk.log.bounds(store.keeper.number).map_or(0, |(floor, _)| floor),
            None => self.history.as_ref().map_or(0, |history| history.retention.floor()),
        }
    }

    /// What lies before this is gone: the group does without.
    fn skip(&mut self, at: usize, upto: u64) {
        let Some(link) = self.links.get_mut(at) else { return };
        let Some(replay) = &mut link.replay else { return };
        let (from, upto) = (replay.cursor, upto.min(replay.end));
        let done = replay.done.runs().map(|(start, to)| to.min(upto).saturating_sub(start.max(from)));
        let gone = (upto - from).saturating_sub(done.sum());
        replay.cursor = upto;
        link.skip(if planted(Bug::UncountedTrim) { 0 } else { gone });
        let (group, topic) = (&link.name, &self.actor.name);
        self.actor.watched.show(|| Sight::PassedBy { topic, group, from, to: upto, messages: gone });
        tracing::warn!(target: "callboard::broker", %topic, %group, from, upto, "history was trimmed before a group had read it");
        if let Some(store) = &self.actor.store {
            store.keeper.mark(link.group, Marks { done: vec![(from, upto)], notes: Vec::new() });
        }
    }

    fn hand_replayed(&mut self, at: usize, batch: Arc<Batch<T>>) {
        let Some(link) = self.links.get_mut(at) else { return };
        let Some(replay) = &mut link.replay else { return };
        let (open, passed) = replay.take(&batch);
        if planted(Bug::SkippedPage) {
            replay.cursor = (replay.cursor + 1).min(replay.end);
        }
        if planted(Bug::PageTwice) && replay.many == open.count() {
            replay.cursor = batch.base();
        }
        let (topic, group, base) = (&self.actor.name, &link.name, batch.base());
        self.actor.watched.show(|| Sight::Offered { topic, group, base, open });
        link.hand_now(Handout { batch, open, redrives: 0 });
        let group = link.group;
        if !passed.is_empty() {
            self.note_done(group, base, passed);
        }
    }

    /// Begins to read the next pages from the disk.
    fn read_pages(&mut self, at: usize) {
        let Some(Link { group, replay: Some(replay), .. }) = self.links.get_mut(at) else { return };
        let Some(pages) = self.actor.pages.clone().filter(|_| !replay.reads) else { return };
        replay.reads = true;
        let (group, from, upto) = (*group, replay.cursor, replay.end);
        let (own, origin, unsure) = (self.actor.mailbox.sender(), self.origin.clone(), replay.unsure);
        let read = move || {
            let read = pages.read(&origin, from..upto, unsure);
            // An error: the topic has ended.
            drop(own.control(TopicWord::PagesRead(PagesRead { group, from, read })));
        };
        self.actor.watch.rt().spawn_blocking("read history", Box::new(read));
    }

    pub(super) fn on_pages(&mut self, PagesRead { group, from, read }: PagesRead<T>) {
        self.changes += 1;
        let Some(at) = self.links.iter().position(|link| link.group == group) else { return };
        let Some(Link { name, replay: Some(replay), .. }) = self.links.get_mut(at) else { return };
        // Not so if the group was moved meanwhile.
        if !replay.reads || replay.cursor != from {
            return;
        }
        replay.reads = false;
        if self.actor.held {
            // It is read again once the topic is released.
            return;
        }
        let (topic, cursor) = (self.actor.name.clone(), replay.cursor);
        let Pages { batches, unread, next } = match read {
            Ok(pages) => pages,
            Err(error) => {
                let error = Arc::<str>::from(error.to_string());
                if replay.failed.replace(error.clone()).is_none() {
                    let group = name.clone();
                    self.actor.teller.tell(Told::HistoryUnreadable { topic, group, error });
                }
                self.try_later();
                return;
            }
        };
        replay.failed = None;
        let floor = self.floor();
        if cursor < floor {
            self.skip(at, floor);
        }
        let wants =
            |unread: &Unread| self.replay_at(at).is_some_and(|replay| replay.wants(unread.id.offset()));
        let unread: Vec<Unread> = unread.into_iter().filter(wants).collect();
        for batch in batches {
            self.hand_replayed(at, batch);
        }
        unread.into_iter().for_each(|unread| self.give_up_unread(at, unread));
        if let Some(replay) = self.links.get_mut(at).and_then(|link| link.replay.as_mut()) {
            replay.cursor = replay.cursor.max(next.min(replay.end));
        }
        self.feed(group);
    }

    /// Lets the group have among its dead letters what can't be decoded. What came back to another one it passes by.
    fn give_up_unread(&mut self, at: usize, unread: Unread) {
        let Some(link) = self.links.get_mut(at) else { return };
        let Some(replay) = &mut link.replay else { return };
        let (group, base, open) = (link.group, unread.id.offset(), Bits::range(0, 1));
        if unread.again().is_some() {
            return self.note_done(group, base, open);
        }
        replay.take_unread(base);
        let (topic, name) = (&self.actor.name, &link.name);
        self.actor.watched.show(|| Sight::Offered { topic, group: name, base, open });
        drop(link.to.control(GroupWord::Unread(Arc::new(unread))));
    }

    fn replay_at(&self, at: usize) -> Option<&Replay> {
        self.links.get(at).and_then(|link| link.replay.as_ref())
    }

    /// Goes over to what is live, once all that was before is with the group.
    fn end_replay(&mut self, at: usize) {
        let held = self.actor.held;
        let Some(link) = self.links.get_mut(at) else { return };
        let Some(replay) = link.replay.as_mut().filter(|replay| replay.is_read()) else { return };
        if replay.is_over() {
            link.replay = None;
        }
        if !held {
            link.release();
        }
    }
}
