//! What a topic shows to whoever watches its books.

use super::Life;
use crate::broker::witness::{Bytes, Sight, TopicCounts};

impl<T: Send + Sync + 'static> Life<T> {
    /// Shows what the topic says of itself beside what it holds, if anybody watches.
    pub(super) fn show_books(&self) {
        self.actor.watched.show(|| {
            let (mailbox, capacity) = (&self.actor.mailbox, self.actor.settings.places() as u64);
            let held = mailbox.held();
            let line = usize::try_from(self.in_line()).unwrap_or(usize::MAX);
            let (on_the_way, their_load) = self.on_the_way.counted();
            let limit = self.actor.settings.capacity_bytes.map_or(u64::MAX, |bytes| bytes as u64);
            let (load, waiting_load) = (mailbox.load(), mailbox.waiting_load() + their_load);
            let said = |waiting, (unsettled, pinned, weight)| {
                let bytes = Bytes { limit, load, waiting: waiting_load, unsettled: weight };
                TopicCounts { capacity, held, waiting: waiting as u64, unsettled, pinned, bytes }
            };
            let books =
                said(self.waiting(), (self.books.unsettled(), self.books.pinned(), self.books.load()));
            let counted = said(mailbox.waiting() + on_the_way + line, self.books.counted());
            Sight::TopicBooks { topic: &self.actor.name, books, counted }
        });
    }
}
