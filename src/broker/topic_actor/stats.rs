//! What a topic says of itself, and adds to what its groups say.

use std::sync::Arc;
use std::time::Duration;

use super::Life;
use super::link::Link;
use super::replay::Replay;
use super::spilled::Spilled;
use crate::broker::books::GroupId;
use crate::broker::message::Batch;
use crate::broker::{Blocked, GroupStats, TopicStats, WhyBlocked};

impl<T: Send + Sync + 'static> Life<T> {
    pub(super) fn stats(&self) -> TopicStats {
        let waiting = self.waiting() as u64;
        let (spilled, spilled_bytes) = self.spilled.as_ref().map(Spilled::counts).unwrap_or_default();
        TopicStats {
            accepted: self.books.next_offset() + waiting,
            unsettled: self.books.unsettled() + self.unread.count() + waiting,
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
            oldest: self.age(self.books.oldest(), self.unread.oldest(None)),
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
            let named = self.actor.tally.is_named();
            stats.lag = self.books.open(group) + link.start.among((self.books.next_offset(), waiting), named);
            stats.history_error = link.replay.as_ref().and_then(Replay::error);
            stats.lag += link.unread + link.replay.as_ref().map_or(0, Replay::lag);
            stats.oldest = self.age(self.books.oldest_of(group), self.unread.oldest(Some(group)));
        }
        stats
    }

    /// Who, and what, keeps publishers waiting; if they have waited for long.
    pub(super) fn blocked_by(&self) -> Option<Blocked> {
        if !self.actor.watch.is_blocked() {
            return None;
        }
        if self.actor.held {
            return Some(Blocked { group: None, why: WhyBlocked::Held });
        }
        let holds = |link: &&Link<T>| link.unread > 0 || self.books.holds_oldest(link.group);
        let holders = self.links.iter().filter(holds).map(|link| (link.why(&self.books), &link.name));
        // The gravest reason comes first.
        Some(match holders.min() {
            Some((why, group)) => Blocked { group: Some(group.clone()), why },
            None => Blocked { group: None, why: WhyBlocked::NoGroup },
        })
    }

    /// How long ago the older one came in, as far as its id tells: of a batch, and by its milliseconds.
    fn age(&self, first: Option<(&Arc<Batch<T>>, u16)>, other: Option<u64>) -> Option<Duration> {
        let first = first.map(|(batch, at)| batch.id(at).unix_millis());
        let now = self.actor.watch.rt().wall_millis();
        first.into_iter().chain(other).min().map(|millis| Duration::from_millis(now.saturating_sub(millis)))
    }
}
