//! Entries that are handed to consumers, by reading or by claiming, and what becomes of those that are gone meanwhile.

use std::sync::Arc;

use super::policy::MOST_SPENT;
use super::{Entry, Id, Interval, Stream, StreamGroup};

/// An entry that was handed over, and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Pending {
    Held(Held),
    Released(Released),
}

/// A consumer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Held {
    pub(in crate::server) consumer: Arc<[u8]>,
    /// When, in milliseconds since 1970, it was handed over last.
    pub(in crate::server) delivered: u64,
    pub(in crate::server) count: u64,
}

/// Nobody has it: whoever claims it next does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Released {
    /// They are claimed in the order in which they were released.
    pub(in crate::server) turn: u64,
    pub(in crate::server) count: u64,
}

/// What has waited longest for somebody to claim it comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    Released(u64),
    Delivered(u64),
}

/// It counts how often an entry was handed over no further: the most that the protocol can say.
pub(in crate::server) const MOST_COUNT: u64 = i64::MAX.cast_unsigned();

impl Pending {
    /// Whose it is, if it is somebody's.
    pub(in crate::server) fn consumer(&self) -> Option<&Arc<[u8]>> {
        match self {
            Pending::Held(held) => Some(&held.consumer),
            Pending::Released(_) => None,
        }
    }

    /// When it was handed over last; what was released counts as if that had been at the beginning of time.
    pub(in crate::server) fn delivered(&self) -> u64 {
        match self {
            Pending::Held(held) => held.delivered,
            Pending::Released(_) => 0,
        }
    }

    /// How often it was handed over.
    pub(in crate::server) fn count(&self) -> u64 {
        match self {
            Pending::Held(held) => held.count,
            Pending::Released(released) => released.count,
        }
    }

    /// How many milliseconds ago it was handed over.
    pub(in crate::server) fn idle(&self, now: u64) -> u64 {
        now.saturating_sub(self.delivered())
    }

    /// Whether nobody has touched it for so many milliseconds, or has it at all.
    pub(in crate::server) fn is_left(&self, min_idle: u64, now: u64) -> bool {
        self.consumer().is_none() || self.idle(now) >= min_idle
    }

    pub(super) fn age(&self) -> Age {
        match self {
            Pending::Held(held) => Age::Delivered(held.delivered),
            Pending::Released(released) => Age::Released(released.turn),
        }
    }
}

/// One time more.
pub(in crate::server) fn once_more(count: u64) -> u64 {
    count.saturating_add(1).min(MOST_COUNT)
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

/// What may be claimed.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Claimable {
    /// Only what was handed over so many milliseconds ago, or more.
    pub(in crate::server) min_idle: u64,
    /// What was handed over so often is spent.
    pub(in crate::server) limit: Option<u64>,
    /// What is gone from the stream is pending no more. Else it stays, and is told of by claiming it by its id.
    pub(in crate::server) drops_gone: bool,
}

impl Claimable {
    fn is_spent(self, pending: &Pending) -> bool {
        self.limit.is_some_and(|limit| pending.count() >= limit)
    }
}

/// What a reader took over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct TakeOver {
    pub(in crate::server) taken: Vec<TakenOver>,
    /// It would be its, and is spent: nobody's, still pending.
    pub(in crate::server) spent: Vec<Id>,
    /// The consumer was.
    pub(in crate::server) made: bool,
}

/// What `XAUTOCLAIM` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct AutoClaim {
    /// Where to go on; zero: that was all.
    pub(in crate::server) next: Id,
    pub(in crate::server) claimed: Vec<Id>,
    /// Those that are gone from the stream, and are pending no more.
    pub(in crate::server) gone: Vec<Id>,
    /// Those that are spent, and pending still.
    pub(in crate::server) spent: Vec<Id>,
    pub(in crate::server) made: bool,
}

/// A pending entry that a reader took over: for how long nobody had touched it, and how often it had been handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct TakenOver {
    pub(in crate::server) id: Id,
    pub(in crate::server) idle: u64,
    pub(in crate::server) count: u64,
}

/// So many that are gone are taken from what is pending at a time.
const MOST_GONE: usize = 1000;
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
                    group.give(id, Held { consumer, delivered: now, count: 1 });
                }
            }
            group.go(to, count);
            Some((Interval { from, to }, made))
        })?
    }

    /// Gives a consumer what others left lying for so long, or released, whatever has waited longest first.
    pub(in crate::server) fn take_over(
        &mut self,
        group: &[u8],
        (read, of): (Read<'_>, Claimable),
        now: u64,
    ) -> Option<TakeOver> {
        self.with_group(group, |stream, group| {
            let mut done = TakeOver::default();
            let mut gone = Vec::new();
            for (id, pending) in group.by_age().take_while(|(_, pending)| pending.is_left(of.min_idle, now)) {
                if stream.get(id).is_none() {
                    gone.extend(of.drops_gone.then_some(id));
                } else if of.is_spent(pending) {
                    done.spent.push(id);
                } else {
                    let (idle, count) = (pending.idle(now), pending.count());
                    done.taken.push(TakenOver { id, idle, count });
                }
                // Here, and not before the next one is looked for: that may be behind many that are gone.
                if done.taken.len() >= read.most || done.spent.len() == MOST_SPENT || gone.len() == MOST_GONE
                {
                    break;
                }
            }
            gone.iter().for_each(|id| _ = group.take_back(*id));
            if !done.taken.is_empty() {
                let (consumer, made) = group.meet(read.consumer, now);
                done.made = made;
                for TakenOver { id, count, .. } in &done.taken {
                    let consumer = consumer.clone();
                    group.give(*id, Held { consumer, delivered: now, count: once_more(*count) });
                }
            }
            done
        })
    }

    /// When the first of what is pending has been left lying for so long. `None`: nothing is pending that is still there.
    pub(in crate::server) fn left_at(&self, group: &[u8], min_idle: u64) -> Option<u64> {
        let mut pending = self.groups.get(group)?.by_age();
        let (_, first) = pending.find(|(id, _)| self.get(*id).is_some())?;
        Some(match first {
            Pending::Held(held) => held.delivered.saturating_add(min_idle),
            Pending::Released(_) => 0,
        })
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
                    Some(pending) => pending.is_left(claim.min_idle, now),
                    None => claim.force,
                };
                if wanted {
                    let before = pending.map_or(1, Pending::count);
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
        (claim, limit, from, most): (Claim<'_>, Option<u64>, Id, usize),
        now: u64,
    ) -> Option<AutoClaim> {
        self.with_group(group, |stream, group| {
            let mut done = AutoClaim::default();
            let of = Claimable { min_idle: claim.min_idle, limit, drops_gone: true };
            let (mut looked, mut left) = (most.saturating_mul(LOOKED_AT), most);
            let mut next = Some(from);
            while looked > 0
                && left > 0
                && done.spent.len() < MOST_SPENT
                && let Some((id, pending)) = next.and_then(|from| group.pending.range(from..).next())
            {
                let id = *id;
                (next, looked) = (id.next(), looked - 1);
                if stream.get(id).is_none() {
                    group.take_back(id);
                    done.gone.push(id);
                    left -= 1;
                } else if pending.is_left(of.min_idle, now) && of.is_spent(pending) {
                    done.spent.push(id);
                    left -= 1;
                } else if pending.is_left(of.min_idle, now) {
                    let before = pending.count();
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
    fn take(&self, group: &mut StreamGroup, (id, before): (Id, u64), now: u64) -> bool {
        let (consumer, made) = group.meet(self.consumer, now);
        let more = if self.quiet { before } else { once_more(before) };
        let (count, delivered) = (self.count.unwrap_or(more), self.delivered);
        group.give(id, Held { consumer, delivered, count });
        made
    }
}
