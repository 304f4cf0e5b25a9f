//! What keeps a group from handing out all that it could: a number of messages, a rate, a breaker. Pure.
//!
//! ```text
//!   what the ledger has ──▶ room: the least that  max_in_flight, tokens, breaker  leave ──▶ dispatch
//! ```
//! A group that has none of them asks nothing here: no clock, no arithmetic.

use super::breaker::Fuse;
use super::lease::LeaseId;
use super::rate::Bucket;
use super::{BreakerStats, GroupSettings, RateLimit};
use crate::base::{Bug, Moment, planted};

/// No limit.
const NONE: u64 = u64::MAX;

/// How many messages may be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) all: u64,
    /// In one lease.
    pub(crate) each: u64,
}

impl Room {
    pub(crate) const UNLIMITED: Room = Room { all: NONE, each: NONE };
}

pub(crate) struct Gate {
    most: u64,
    bucket: Option<Bucket>,
    /// Messages take tokens by what they weigh.
    weighed: bool,
    fuse: Option<Fuse>,
    /// It left no room when last asked, for what was handed out then included.
    shut: bool,
}

impl Gate {
    pub(crate) fn new(settings: &GroupSettings, now: Moment) -> Gate {
        Gate {
            most: settings.max_in_flight.map_or(NONE, u64::from),
            bucket: settings.rate_limit.map(|limit| Bucket::full(limit, now)),
            weighed: settings.weighed,
            fuse: settings.breaker.map(Fuse::new),
            shut: false,
        }
    }

    /// So many messages may be handed out, where so many are in flight.
    #[inline]
    pub(crate) fn room(&mut self, in_flight: u64, now: Moment) -> Room {
        if self.most == NONE && self.bucket.is_none() && self.fuse.is_none() {
            return Room::UNLIMITED;
        }
        let most = self.most.saturating_add(u64::from(planted(Bug::OneTooMany)));
        let tokens = self.bucket.as_mut().map_or(NONE, |bucket| bucket.tokens(now));
        let tokens = if self.is_weighed() { tokens.min(1) } else { tokens };
        let (may, each) = self.fuse.as_ref().map_or((NONE, NONE), |fuse| (fuse.room(), fuse.lease()));
        let may = if planted(Bug::WideProbe) && may == 1 { NONE } else { may };
        Room { all: most.saturating_sub(in_flight).min(tokens).min(may), each }
    }

    /// Of the `room` there was, so much was handed out.
    #[inline]
    pub(crate) fn on_handed(&mut self, room: Room, messages: u64) {
        self.shut = messages >= room.all;
    }

    /// Whether what is handed out takes tokens by what it weighs: then one message at a time goes, since what it leaves is
    /// known only after it.
    pub(crate) fn is_weighed(&self) -> bool {
        self.weighed && self.bucket.is_some()
    }

    /// Whether it must hear of each lease.
    #[inline]
    pub(crate) fn hears_leases(&self) -> bool {
        self.bucket.is_some() || self.fuse.is_some()
    }

    /// This lease is being handed out, and weighs so much.
    pub(crate) fn on_lease(&mut self, lease: LeaseId, weight: u64) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(lease, weight);
        }
        if let Some(fuse) = &mut self.fuse {
            fuse.on_lease(lease);
        }
    }

    /// So many messages of this lease came back unstarted.
    pub(crate) fn on_given_back(&mut self, lease: LeaseId, messages: u64) {
        if let Some(bucket) = self.bucket.as_mut().filter(|_| messages > 0) {
            bucket.put_back(lease);
        }
        if let Some(fuse) = self.fuse.as_mut().filter(|_| messages > 0) {
            fuse.on_over(lease);
        }
    }

    /// This lease is over: its messages were begun, and what it took is spent.
    pub(crate) fn on_over(&mut self, lease: LeaseId) {
        if let Some(bucket) = &mut self.bucket {
            bucket.on_over(lease);
        }
    }

    /// The breaker, if there is one.
    pub(crate) fn fuse(&mut self) -> Option<&mut Fuse> {
        self.fuse.as_mut()
    }

    /// Whether messages wait here, not for a consumer.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut
    }

    pub(crate) fn is_open_breaker(&self) -> bool {
        self.fuse.as_ref().is_some_and(Fuse::is_open)
    }

    pub(crate) fn breaker(&self) -> Option<BreakerStats> {
        self.fuse.as_ref().map(Fuse::stats)
    }

    pub(crate) fn rate_limit(&self) -> Option<RateLimit> {
        self.bucket.as_ref().map(Bucket::limit)
    }

    /// From now on this limit holds; what the one before had saved up is kept, as far as the new burst allows.
    pub(crate) fn set_rate_limit(&mut self, limit: Option<RateLimit>, now: Moment) {
        self.bucket = limit.map(|limit| match self.bucket.take() {
            Some(bucket) => bucket.changed(limit, now),
            None => Bucket::full(limit, now),
        });
    }

    /// When a pause is over; or, if messages wait, when there is a token for the next one.
    pub(crate) fn next_alarm(&self, waits: bool) -> Option<Moment> {
        let token = self.bucket.as_ref().filter(|_| waits).and_then(Bucket::next_token);
        let pause = self.fuse.as_ref().and_then(Fuse::next_alarm);
        token.into_iter().chain(pause).min()
    }

    /// Time has passed. Answers whether a pause is over.
    pub(crate) fn on_alarm(&mut self, now: Moment) -> bool {
        self.fuse.as_mut().is_some_and(|fuse| fuse.on_alarm(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::broker::Breaker;
    use crate::broker::breaker::Tally;

    fn gate(change: impl FnOnce(&mut GroupSettings)) -> Gate {
        let mut settings = GroupSettings::default();
        change(&mut settings);
        Gate::new(&settings, Moment::ZERO)
    }

    #[test]
    fn the_narrowest_of_all_limits_is_the_room() {
        assert_eq!(gate(|_| ()).room(9, Moment::ZERO), Room::UNLIMITED);
        let mut all = gate(|settings| {
            settings.max_in_flight = Some(7);
            settings.rate_limit = Some(RateLimit::per_second(1).burst(4));
            settings.breaker = Some(Breaker::after(3));
        });
        let room = |gate: &mut Gate, in_flight| gate.room(in_flight, Moment::ZERO);
        assert_eq!(room(&mut all, 0), Room { all: 4, each: 3 });
        assert_eq!(room(&mut all, 5).all, 2);
        assert_eq!(room(&mut all, 9).all, 0);
        all.on_handed(Room { all: 4, each: 3 }, 4);
        (0..4).for_each(|lease| all.on_lease(LeaseId::new(lease), 1));
        assert!(all.is_shut());
        assert_eq!((room(&mut all, 4).all, all.next_alarm(false)), (0, None));
        assert_eq!(all.next_alarm(true), Some(Moment::ZERO + Duration::from_secs(1)), "for the next token");
        (0..3).for_each(|lease| all.on_given_back(LeaseId::new(lease), 1));
        all.on_given_back(LeaseId::new(3), 0);
        assert_eq!(room(&mut all, 1).all, 3);
        let failed = Tally { all: 2, last: 2 };
        all.fuse().unwrap().on_ends(LeaseId::new(1), failed.ends(false), Moment::ZERO, 0);
        assert_eq!(room(&mut all, 0), Room { all: 3, each: 1 }, "one more and it opens");
        all.fuse().unwrap().on_ends(LeaseId::new(2), failed.ends(false), Moment::ZERO, 0);
        assert_eq!(room(&mut all, 0).all, 0);
        assert!(all.is_open_breaker() && all.on_alarm(Moment::ZERO + Duration::from_secs(1)));
        assert_eq!(room(&mut all, 0).all, 1, "the probe");
    }

    #[test]
    fn a_limit_that_is_set_anew_brings_no_burst_of_its_own() {
        let mut gate = gate(|_| ());
        gate.set_rate_limit(Some(RateLimit::per_second(1).burst(5)), Moment::ZERO);
        let room = gate.room(0, Moment::ZERO);
        assert_eq!(room.all, 5);
        (0..4).for_each(|lease| gate.on_lease(LeaseId::new(lease), 1));
        gate.set_rate_limit(Some(RateLimit::per_second(1).burst(9)), Moment::ZERO);
        assert_eq!(gate.room(0, Moment::ZERO).all, 1);
        gate.set_rate_limit(None, Moment::ZERO);
        assert_eq!((gate.room(0, Moment::ZERO), gate.rate_limit()), (Room::UNLIMITED, None));
    }
}
