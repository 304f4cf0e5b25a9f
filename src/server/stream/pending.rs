//! Entries that are handed to consumers, by reading or by claiming, and what becomes of those that are gone meanwhile.

use std::sync::Arc;

use super::{Entry, Id, Interval, Stream};

/// An entry that a consumer was handed, and did not acknowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Pending {
    pub(in crate::server) consumer: Arc<[u8]>,
    /// When, in milliseconds since 1970, it was handed over last.
    pub(in crate::server) delivered: u64,
    pub(in crate::server) count: u64,
}

impl Pending {
    /// How many milliseconds ago it was handed over.
    pub(in crate::server) fn idle(&self, now: u64) -> u64 {
        now.saturating_sub(self.delivered)
    }
}

/// What a consumer reads.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Read<'a> {
    pub(in crate::server) consumer: &'a [u8],
    /// At most so many.
    pub(in crate::server) most: usize,
    /// They are taken for acknowledged at once.
    pub(in crate::server) no_ack: bool,
}

/// How entries change hands.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Claim<'a> {
    pub(in crate::server) consumer: &'a [u8],
    /// Only what was handed over so many milliseconds ago, or more.
    pub(in crate::server) min_idle: u64,
    /// When they count as handed over.
    pub(in crate::server) delivered: u64,
    /// How often they count as handed over; else once more than before, unless `quiet`.
    pub(in crate::server) count: Option<u64>,
    pub(in crate::server) quiet: bool,
    /// Also what is not pending.
    pub(in crate::server) force: bool,
}

/// What `XAUTOCLAIM` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct AutoClaim {
    /// Where to go on; zero: that was all.
    pub(in crate::server) next: Id,
    pub(in crate::server) claimed: Vec<Id>,
    /// Those that are gone from the stream, and are pending no more.
    pub(in crate::server) gone: Vec<Id>,
    pub(in crate::server) made: bool,
}

/// So many are looked at for each that is wanted.
const LOOKED_AT: usize = 10;

impl Stream {
    /// Hands a consumer what its group has not been handed yet; answers the interval, and whether the consumer was made. `None`: there is
    /// no such group, or nothing new.
    pub(in crate::server) fn read_new(
        &mut self,
        group: &[u8],
        read: Read<'_>,
        now: u64,
    ) -> Option<(Interval, bool)> {
        self.with_group(group, |stream, group| {
            let from = group.last.next()?;
            stream.range(Interval { from, to: Id::MAX }).next()?;
            let (consumer, made) = group.meet(read.consumer, now);
            let (mut to, mut count) = (from, group.read);
            for Entry { id, .. } in stream.range(Interval { from, to: Id::MAX }).take(read.most) {
                (to, count) = (id, stream.count_read(count, id));
                if !read.no_ack {
                    let consumer = consumer.clone();
                    group.give(id, &consumer.clone(), Pending { consumer, delivered: now, count: 1 });
                }
            }
            group.go(to, count);
            Some((Interval { from, to }, made))
        })?
    }

    /// Hands a consumer once more what it has and did not acknowledge, behind an id; answers which these are, and whether it was made.
    pub(in crate::server) fn read_again(
        &mut self,
        group: &[u8],
        (read, behind): (Read<'_>, Id),
        now: u64,
    ) -> Option<(Vec<Id>, bool)> {
        self.with_group(group, |stream, group| {
            let (name, made) = group.meet(read.consumer, now);
            let Some(from) = behind.next() else { return (Vec::new(), made) };
            let consumer = group.consumers.get(&name);
            let ids = consumer.into_iter().flat_map(|consumer| consumer.pending.range(from..));
            let ids: Vec<Id> = ids.take(read.most).copied().collect();
            for id in &ids {
                // What is gone was not handed over.
                if stream.get(*id).is_some() {
                    group.again(*id, now);
                }
            }
            (ids, made)
        })
    }

    /// Gives a consumer pending entries of others; answers those that it has now, and whether it was made.
    pub(in crate::server) fn claim(
        &mut self,
        group: &[u8],
        (claim, ids): (Claim<'_>, &[Id]),
        now: u64,
    ) -> Option<(Vec<Id>, bool)> {
        self.with_group(group, |stream, group| {
            let (mut claimed, mut made) = (Vec::new(), false);
            for id in ids {
                if stream.get(*id).is_none() {
                    group.take_back(*id);
                    continue;
                }
                let pending = group.pending.get(id);
                let wanted = match pending {
                    Some(pending) => pending.idle(now) >= claim.min_idle,
                    None => claim.force,
                };
                if wanted {
                    let before = pending.map_or(1, |pending| pending.count);
                    made |= claim.take(group, (*id, before), now);
                    claimed.push(*id);
                }
            }
            (claimed, made)
        })
    }

    /// Gives a consumer the first pending entries that others left lying, from an id on.
    pub(in crate::server) fn auto_claim(
        &mut self,
        group: &[u8],
        (claim, from, most): (Claim<'_>, Id, usize),
        now: u64,
    ) -> Option<AutoClaim> {
        self.with_group(group, |stream, group| {
            let mut done = AutoClaim::default();
            let (mut looked, mut left) = (most.saturating_mul(LOOKED_AT), most);
            let mut next = Some(from);
            while looked > 0
                && left > 0
                && let Some((id, pending)) = next.and_then(|from| group.pending.range(from..).next())
            {
                let id = *id;
                (next, looked) = (id.next(), looked - 1);
                if stream.get(id).is_none() {
                    group.take_back(id);
                    done.gone.push(id);
                    left -= 1;
                } else if pending.idle(now) >= claim.min_idle {
                    let before = pending.count;
                    done.made |= claim.take(group, (id, before), now);
                    done.claimed.push(id);
                    left -= 1;
                }
            }
            let behind = next.and_then(|from| group.pending.range(from..).next());
            done.next = behind.map_or(Id::ZERO, |(id, _)| *id);
            done
        })
    }
}

impl Claim<'_> {
    fn take(&self, group: &mut super::StreamGroup, (id, before): (Id, u64), now: u64) -> bool {
        let (consumer, made) = group.meet(self.consumer, now);
        let more = if self.quiet { before } else { before.saturating_add(1) };
        let (count, delivered) = (self.count.unwrap_or(more), self.delivered);
        group.give(id, &consumer.clone(), Pending { consumer, delivered, count });
        made
    }
}
