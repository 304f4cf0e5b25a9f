//! How a durable topic goes on where it was left, and how its groups come to be known to the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Life;
use super::link::Link;
use super::replay::Replay;
use crate::base::{Bug, Name, planted};
use crate::broker::Start;
use crate::broker::bits::Bits;
use crate::broker::books::GroupId;
use crate::broker::group_word::{GroupWord, Handout};
use crate::broker::history::within;
use crate::broker::ledger::Slice;
use crate::broker::message::Batch;
use crate::broker::note::of_note;
use crate::broker::record::{Clocks, Known, Recovered};
use crate::broker::unread::Unread;
use crate::broker::weight::Weighed as _;
use crate::broker::witness::Sight;
use crate::log::{Done, Log, LogError, Marks, Ranges};
use crate::mailbox::Reply;

/// A batch, and what of it a group is handed.
pub(super) type Offered<T> = (Arc<Batch<T>>, Bits);

/// What a group is handed, what is given to it that can't be read, and from where on it is handed all that lies there.
pub(super) type Given<'a, T> = (&'a [Offered<T>], &'a [Arc<Unread>], u64);

impl<T: Send + Sync + 'static> Life<T> {
    /// Takes in what was there.
    pub(super) fn recover(&mut self) {
        let Some(recovered) = self.actor.recovered.take() else { return };
        let Recovered { next, runs, groups, unsure, unread, .. } = recovered;
        self.books.resume(next, groups.keys().copied());
        self.unsure = unsure;
        self.unread.recover(unread, &groups);
        // What a message weighs that can't be read nobody knows.
        let (mut held, mut weight) = (self.unread.count(), 0);
        for (base, items) in runs {
            let batch = Arc::new(Batch::recovered(
                &self.origin,
                base,
                items,
                base < unsure && !planted(Bug::UnmarkedRedelivery),
            ));
            let len = batch.len();
            let open = |known: &Known| known.open(base, len).without(others(&batch, &known.name));
            let all = Bits::range(0, len);
            let kept = match groups.is_empty() {
                true if self.history.is_some() => Bits::default(),
                true => batch.first_time(all),
                false => groups.values().fold(Bits::default(), |kept, known| kept.with(open(known))),
            };
            held += kept.count();
            weight += batch.weight(kept);
            if groups.is_empty() {
                self.ttls.add(&Slice::of(batch.clone(), base, kept));
            }
            let wants = |group| groups.get(&group).map(open).unwrap_or_default();
            self.books.on_recovered((base, batch.clone()), len, kept, wants);
        }
        self.actor.mailbox.preload(next, held, weight);
        self.actor.watched.show(|| Sight::Recovered { topic: &self.actor.name, next, held });
        if planted(Bug::ForgottenDormant) {
            groups.keys().for_each(|group| self.delete_from_log(*group));
        }
        self.dormant = groups;
    }

    /// Notes what those groups want of a batch that begin further on, and that nobody has opened.
    pub(super) fn note_dormant(&self, batch: &Arc<Batch<T>>, wanted: &mut Vec<(GroupId, Bits)>) {
        let all = Bits::range(0, batch.len());
        let ahead = self.dormant.iter().filter(|(_, known)| known.ahead > batch.base());
        for (group, known) in ahead {
            let open = Start::Offset(known.ahead).pick(batch, all);
            self.note_done(*group, batch.base(), all.without(open));
            wanted.push((*group, open));
        }
    }

    /// A group joins: one that was there before goes on with what it has still to settle; a new one picks.
    pub(super) fn add_group(&mut self, mut link: Link<T>, done: Reply<Result<(), LogError>>) {
        let (group, start) = (link.group, link.start);
        self.actor.watched.show(|| Sight::Joined { topic: &self.actor.name, group: &link.name });
        if let Some(known) = self.dormant.remove(&group) {
            if !planted(Bug::BackAtItsStart) {
                // It is where the log has it, whatever it is opened with.
                (link.start, link.latest) = (Start::Offset(known.ahead), false);
            }
            let (topic, name, ahead) = (&self.actor.name, &link.name, known.ahead);
            self.actor.watched.show(|| Sight::Resumed { topic, group: name, ahead });
            let clocks = Clocks::of(self.actor.watch.rt());
            let notes = known.notes.iter().map(|(offset, note)| (*offset, of_note(note, clocks)));
            drop(link.to.control(GroupWord::Remember(notes.collect())));
            if self.history.is_some() {
                // What of it was trimmed meanwhile it skips.
                let from = known.done.floor();
                link.replay = Replay::new(from, known.since, known.done, self.unsure);
            }
            for (batch, open) in self.books.open_of(group) {
                self.offer(&mut link, batch, open);
            }
            self.hand_unread(&mut link, self.unread_of(group));
            self.links.push(link);
            let _ = done.send(Ok(()));
            self.feed(group);
            return;
        }
        let first = self.first_in_history();
        // What is in the history comes from there.
        let handouts = self.books.on_group(group, |batch, _, kept| {
            batch.first_time(start.pick(batch, kept)).and(within(batch, 0, first))
        });
        let (from, unread) = (self.begins_at(start), self.pick_unread(group, start));
        self.show_begin(&link, (start, link.latest), false);
        if self.actor.store.is_some() {
            drop(link.to.control(GroupWord::Remember(BTreeMap::new())));
        }
        self.create_in_log(&link, (&handouts, &unread, from), done);
        for (batch, open) in handouts {
            self.offer(&mut link, batch, open);
        }
        self.hand_unread(&mut link, unread);
        // Why behind these: they are older, and what comes from here on waits for it.
        link.replay = Replay::new(from, self.books.next_offset(), Ranges::default(), 0);
        self.links.push(link);
        self.sweep(0);
        self.feed(group);
    }

    pub(super) fn offer(&self, link: &mut Link<T>, batch: Arc<Batch<T>>, open: Bits) {
        let (topic, group, base) = (&self.actor.name, &link.name, batch.base());
        self.actor.watched.show(|| Sight::Offered { topic, group, base, open });
        let first = batch.first_time(open);
        for at in open.without(first).iter() {
            let redrives = batch.again(at).map_or(1, |again| again.redrives);
            let handout = Handout { batch: batch.clone(), open: Bits::range(at, at + 1), redrives };
            link.hand(handout, self.actor.held);
        }
        link.hand(Handout { batch, open: first, redrives: 0 }, self.actor.held);
    }

    /// Lets the log know of a new group, and what it passes by of what is kept.
    fn create_in_log(&self, link: &Link<T>, what: Given<'_, T>, done: Reply<Result<(), LogError>>) {
        // One of that name may be at its end still: for the log there is one at a time.
        let same = self.links.iter().find(|other| other.name == link.name);
        same.iter().for_each(|old| self.delete_from_log(old.group));
        self.place_in_log(link, what, done, |log, topic, place, told| {
            log.create_group(topic, (link.group.0, link.name.to_string()), place, told);
        });
    }

    /// Lets the log know, by way of `tell`, where a group begins that is handed these, and then what lies from an offset on; and what it
    /// passes by behind that.
    pub(super) fn place_in_log(
        &self,
        link: &Link<T>,
        what: Given<'_, T>,
        done: Reply<Result<(), LogError>>,
        tell: impl FnOnce(&Log, u32, (u64, Vec<u8>), Done<()>),
    ) {
        let Some(store) = &self.actor.store else {
            let _ = done.send(Ok(()));
            return;
        };
        let (first, passed) = passed_by(what);
        let next = self.books.next_offset();
        let since = if self.history.is_some() { next } else { 0 };
        let about = Known::about(since, if link.latest { 0 } else { link.start.ahead(next) });
        let told = Done::new(move |placed| drop(done.send(placed)));
        tell(&store.keeper.disk.log, store.keeper.number, (first, about), told);
        store.keeper.mark(link.group, Marks { done: passed, notes: Vec::new() });
    }

    /// A group is gone, for good.
    pub(super) fn note_group_gone(&mut self, group: GroupId) {
        self.dormant.remove(&group);
        self.delete_from_log(group);
    }

    /// What lies from here on comes to new groups as history.
    pub(super) fn first_in_history(&self) -> u64 {
        self.history.as_ref().map_or(u64::MAX, |history| match self.actor.store {
            Some(_) => 0,
            None => history.retention.floor(),
        })
    }

    fn delete_from_log(&self, group: GroupId) {
        if let Some(store) = &self.actor.store {
            store.keeper.disk.log.delete_group(store.keeper.number, group.0, Done::unheard());
        }
    }
}

/// From which offset on a group reads that is handed these, and then what lies from `from` on; and what it passes by behind that.
fn passed_by<T>((handouts, unread, from): Given<'_, T>) -> (u64, Vec<(u64, u64)>) {
    let of_batch = |(batch, open): &Offered<T>| {
        let base = batch.base();
        open.runs()
            .map(move |(start, end)| (base + u64::from(start), base + u64::from(end)))
            .collect::<Vec<_>>()
    };
    let mut runs: Vec<_> = handouts.iter().flat_map(of_batch).collect();
    runs.extend(unread.iter().map(|unread| (unread.id.offset(), unread.id.offset() + 1)));
    runs.sort_unstable();
    let (mut first, mut at, mut passed) = (from, None, Vec::new());
    for (start, end) in runs {
        match at {
            None => first = start,
            Some(at) => passed.push((at, start)),
        }
        at = Some(end);
    }
    passed.extend(at.map(|at| (at, from)));
    (first, passed)
}

/// Those of a batch that came back to another group than this.
fn others<T>(batch: &Batch<T>, group: &Name) -> Bits {
    let mut others = Bits::default();
    let is_other = |at: &u16| batch.again(*at).is_some_and(|again| again.group != *group);
    (0..batch.len()).filter(is_other).for_each(|at| others.insert(at));
    others
}
