//! What a topic says of itself, and adds to what its groups say.

use std::time::Duration;

use super::Life;
use super::replay::Replay;
use super::spilled::Spilled;
use crate::broker::books::GroupId;
use crate::broker::message::Batch;
use crate::broker::{GroupStats, TopicStats};

impl<T: Send + Sync + 'static> Life<T> {
    pub(super) fn stats(&self) -> TopicStats {
        let waiting = self.waiting() as u64;
        let (spilled, spilled_bytes) = self.spilled.as_ref().map(Spilled::counts).unwrap_or_default();
        TopicStats {
            accepted: self.books.next_offset() + waiting,
            unsettled: self.books.unsettled() + waiting,
            capacity: self.actor.settings.capacity,
            bytes: self.actor.mailbox.load(),
            capacity_bytes: self.actor.settings.capacity_bytes,
            dropped_newest: self.actor.tally.dropped_newest(),
            repeated: self.actor.tally.repeated(),
            pinned: self.books.pinned(),
            evicted: self.evicted,
            spilled,
            spilled_bytes,
            spill_lost: self.lost,
            expired: self.expired,
            oldest: self.books.oldest().map(|(batch, at)| self.age(batch, at)),
            waiting_publishers: self.actor.mailbox.waiters(),
            scheduled: 0,
            delay_capacity: 0,
            groups: self.links.len(),
            held: self.actor.held,
            blocked_by: self.blocked_by(),
        }
    }

    pub(super) fn group_stats(&self, group: GroupId, mut stats: GroupStats) -> GroupStats {
        if let Some(link) = self.links.iter().find(|link| link.group == group) {
            let waiting = self.waiting() as u64;
            stats.lag = self.books.open(group) + link.start.among(self.books.next_offset(), waiting);
            stats.lag += link.replay.as_ref().map_or(0, Replay::lag);
            stats.oldest = self.books.oldest_of(group).map(|(batch, at)| self.age(batch, at));
        }
        stats
    }

    /// How long ago a message came in, as far as its id tells.
    fn age(&self, batch: &Batch<T>, at: u16) -> Duration {
        let now = self.actor.watch.rt().wall_millis();
        Duration::from_millis(now.saturating_sub(batch.id(at).unix_millis()))
    }
}
