//! What a topic shows to whoever watches its books.

use super::Life;
use crate::broker::witness::{Bytes, Sight, TopicCounts};

impl<T: Send + Sync + 'static> Life<T> {
    /// Shows what the topic says of itself beside what it holds, if anybody watches.
    pub(super) fn show_books(&self) {
        self.actor.watched.show(|| {
            let (mailbox, capacity) = (&self.actor.mailbox, self.actor.settings.capacity as u64);
            let (held, waiting) = (mailbox.held(), mailbox.waiting() as u64);
            let limit = self.actor.settings.capacity_bytes.map_or(u64::MAX, |bytes| bytes as u64);
            let (load, waiting_load) = (mailbox.load(), mailbox.waiting_load());
            let said = |(unsettled, pinned, weight)| {
                let bytes = Bytes { limit, load, waiting: waiting_load, unsettled: weight };
                TopicCounts { capacity, held, waiting, unsettled, pinned, bytes }
            };
            let books = said((self.books.unsettled(), self.books.pinned(), self.books.load()));
            Sight::TopicBooks { topic: &self.actor.name, books, counted: said(self.books.counted()) }
        });
    }
}
