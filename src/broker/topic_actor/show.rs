//! What a topic shows to whoever watches its books.

use super::Life;
use super::link::Link;
use crate::broker::Start;
use crate::broker::group_word::Handout;
use crate::broker::witness::{Bytes, Sight, TopicCounts};

impl<T: Send + Sync + 'static> Life<T> {
    /// Shows what the topic says of itself beside what it holds, if anybody watches.
    pub(super) fn show_books(&self) {
        self.actor.watched.show(|| {
            let (mailbox, settings) = (&self.actor.mailbox, &self.actor.settings);
            let held = mailbox.held();
            let (line, line_load) = self.held_in_line();
            let (on_the_way, their_load) = self.on_the_way.counted();
            // What comes back from the disk has its places whoever has those of the reserve, in bytes as much again.
            let (back, times) = if self.spilled.is_some() { (settings.capacity, 3) } else { (0, 1) };
            let capacity = (settings.places() + back) as u64;
            let limit = settings.capacity_bytes.map_or(u64::MAX, |bytes| times * bytes as u64);
            let (load, waiting_load) = (mailbox.load(), mailbox.waiting_load() + their_load + line_load);
            let unread = self.unread.count();
            let said = |waiting, (unsettled, pinned, weight)| {
                let unsettled = unsettled + unread;
                let bytes = Bytes { limit, load, waiting: waiting_load, unsettled: weight };
                TopicCounts { capacity, held, waiting: waiting as u64, unsettled, pinned, bytes }
            };
            let spilled = self.in_line().saturating_sub(line) as usize;
            let books = said(
                self.waiting() - spilled,
                (self.books.unsettled(), self.books.pinned(), self.books.load()),
            );
            let counted = said(mailbox.waiting() + on_the_way + line as usize, self.books.counted());
            Sight::TopicBooks { topic: &self.actor.name, books, counted }
        });
    }

    /// Shows where a group begins, by its place among the links.
    pub(super) fn show_placed(&self, at: usize, begin: (Start, bool), moved: bool) {
        if let Some(link) = self.links.get(at) {
            self.show_begin(link, begin, moved);
        }
    }

    pub(super) fn show_begin(&self, link: &Link<T>, (start, latest): (Start, bool), moved: bool) {
        let (topic, group) = (&self.actor.name, &link.name);
        self.actor.watched.show(|| {
            let floor = self.history.is_some().then(|| self.floor());
            Sight::Placed { topic, group, start, latest, floor, moved }
        });
    }

    /// Shows what a group that is moved was offered and not handed.
    pub(super) fn show_revoked(&self, at: usize, handouts: &[Handout<T>]) {
        let Some(link) = self.links.get(at) else { return };
        for handout in handouts {
            let (topic, group, base, which) =
                (&self.actor.name, &link.name, handout.batch.base(), handout.open);
            self.actor.watched.show(|| Sight::Revoked { topic, group, base, which });
        }
    }

    /// Shows from where on the topic keeps its messages, once the limits were applied.
    pub(super) fn show_kept(&self) {
        self.actor.watched.show(|| {
            let (topic, floor) = (&self.actor.name, self.floor());
            let held = self.history.as_ref().map_or(0, |history| history.pages.messages());
            let limits = self.actor.settings.retain.unwrap_or_default();
            Sight::Kept { topic, floor, held, limits }
        });
    }
}
