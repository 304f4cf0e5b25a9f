//! Messages of a durable topic that nobody can read: they are given up as they come, and are never in the queue.

use super::{BatchHandle, Effect, Ledger, Past};
use crate::broker::bits::Bits;

impl<B: Clone + BatchHandle> Ledger<B> {
    /// One came: it is parked. Answers what is remembered of it.
    pub(crate) fn on_unread(&mut self, offset: u64) -> Past {
        self.counts.entered += 1;
        self.counts.parked += 1;
        let remembered = self.memory.as_mut().and_then(|memory| memory.remove(&offset));
        remembered.unwrap_or_default().past
    }

    /// The dead-letter topic took it.
    pub(crate) fn on_unread_buried(&mut self, offset: u64, effects: &mut Vec<Effect<B>>) {
        self.counts.parked -= 1;
        self.counts.dead += 1;
        effects.push(Effect::Settled { base: offset, which: Bits::range(0, 1) });
    }
}
