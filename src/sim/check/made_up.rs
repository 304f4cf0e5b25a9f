//! Histories that are made up, for the tests of the rules.

use std::time::Duration;

use super::history::GroupFacts;
use super::{End, Event, GroupKey, History, What};
use crate::base::{Moment, Name};
use crate::broker::{
    GroupReport, GroupState, GroupStats, Key as _, MessageId, Order, RateLimit, Report, Retain, Start,
    TopicReport,
};

/// Tells a history of the topic `t`, event by event.
#[derive(Clone, Default)]
pub(super) struct Story {
    groups: Vec<GroupFacts>,
    events: Vec<Event>,
    now: Moment,
}

pub(super) fn group(number: usize) -> GroupKey {
    GroupKey(number)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn id(offset: u64) -> MessageId {
    MessageId::new(0, offset)
}

impl Story {
    pub(super) fn of(groups: &[&str]) -> Story {
        groups.iter().fold(Story::default(), |story, group| story.open(group))
    }

    pub(super) fn open(mut self, group: &str) -> Story {
        self.groups.push(GroupFacts {
            topic: name("t"),
            group: name(group),
            consumers: 1,
            prefetch: 3,
            max_attempts: 2,
            ack_timeout: Duration::from_secs(30),
            restarts: (1, Duration::from_secs(1)),
            start: Start::Earliest,
            order: Order::Shared,
            fair: false,
            max_in_flight: None,
            rate_limit: None,
        });
        let key = self.key(group);
        self.and(What::Opened(key)).and(What::Joined(key))
    }

    pub(super) fn fair(mut self, group: &str, consumers: u32) -> Story {
        let key = self.key(group);
        (self.groups[key.0].fair, self.groups[key.0].consumers) = (true, consumers);
        self
    }

    pub(super) fn at_most(mut self, group: &str, messages: u32) -> Story {
        let key = self.key(group);
        self.groups[key.0].max_in_flight = Some(messages);
        self
    }

    pub(super) fn may_begin(self, group: &str, most: u64) -> Story {
        let key = self.key(group);
        self.and(What::MayBegin { group: key, most })
    }

    pub(super) fn handed(self, group: &str, lease: u64) -> Story {
        let key = self.key(group);
        self.and(What::Handed { group: key, lease, weight: 1 })
    }

    pub(super) fn handed_heavy(self, group: &str, lease: u64, weight: u64) -> Story {
        let key = self.key(group);
        self.and(What::Handed { group: key, lease, weight })
    }

    pub(super) fn returned(self, group: &str, lease: u64) -> Story {
        let key = self.key(group);
        self.and(What::Returned { group: key, lease })
    }

    pub(super) fn limited(self, group: &str, limit: RateLimit) -> Story {
        let key = self.key(group);
        self.and(What::Limited { group: key, limit: Some(limit) })
    }

    fn key(&self, group: &str) -> GroupKey {
        GroupKey(self.groups.iter().position(|facts| facts.group.as_str() == group).unwrap())
    }

    fn and(mut self, what: What) -> Story {
        self.events.push(Event { at: self.now, what });
        self
    }

    pub(super) fn wait(mut self, time: Duration) -> Story {
        self.now = self.now + time;
        self
    }

    pub(super) fn accepted(self, base: u64, len: u16) -> Story {
        self.and(What::Accepted { topic: name("t"), base, len, keys: Vec::new() })
    }

    pub(super) fn accepted_with_keys(self, base: u64, keys: &[&str]) -> Story {
        let (len, keys) = (keys.len() as u16, keys.iter().map(|key| key.key_hash()).collect());
        self.and(What::Accepted { topic: name("t"), base, len, keys })
    }

    pub(super) fn ordered(mut self, group: &str, order: Order) -> Story {
        let key = self.key(group);
        self.groups[key.0].order = order;
        self
    }

    pub(super) fn offered(self, group: &str, from: u64, to: u64) -> Story {
        let key = self.key(group);
        self.and(What::Offered { group: key, base: from, runs: vec![(0, (to - from) as u16)] })
    }

    pub(super) fn began(self, group: &str, consumer: u32, offset: u64, attempt: u32) -> Story {
        let key = self.key(group);
        self.and(What::Began { group: key, consumer, id: id(offset), attempt })
    }

    pub(super) fn ended(self, group: &str, consumer: u32, offset: u64, attempt: u32, how: End) -> Story {
        let key = self.key(group);
        self.and(What::Ended { group: key, consumer, id: id(offset), attempt, how })
    }

    pub(super) fn attempt(self, group: &str, offset: u64, attempt: u32, how: End) -> Story {
        self.began(group, 1, offset, attempt).ended(group, 1, offset, attempt, how)
    }

    pub(super) fn gone(self, group: &str, consumer: u32) -> Story {
        let key = self.key(group);
        self.and(What::Gone { group: key, consumer })
    }

    pub(super) fn broken(self, group: &str, failed: bool) -> Story {
        let key = self.key(group);
        self.and(What::Broken { group: key, failed })
    }

    pub(super) fn settled(self, group: &str, from: u64, to: u64) -> Story {
        let key = self.key(group);
        self.and(What::Settled { group: key, from, to })
    }

    pub(super) fn removed(self, group: &str, from: u64, to: u64) -> Story {
        let key = self.key(group);
        self.and(What::Removed { group: key, from, to })
    }

    pub(super) fn evicted(self, offset: u64) -> Story {
        self.and(What::Evicted { topic: name("t"), offset })
    }

    pub(super) fn dead(self, group: &str, offset: u64, attempts: u32) -> Story {
        let key = self.key(group);
        self.and(What::Dead { group: key, id: id(offset), attempts, too_many: true })
    }

    pub(super) fn placed(self, group: &str, start: Start, floor: Option<u64>) -> Story {
        let key = self.key(group);
        self.and(What::Placed { group: key, start, latest: false, floor, moved: false })
    }

    /// Moved to an offset; or to the end, which is there.
    pub(super) fn moved(self, group: &str, to: u64, latest: bool) -> Story {
        let key = self.key(group);
        let start = Start::Offset(to);
        self.lets_go(group).and(What::Placed { group: key, start, latest, floor: Some(0), moved: true })
    }

    pub(super) fn lets_go(self, group: &str) -> Story {
        let key = self.key(group);
        self.and(What::LetsGo(key))
    }

    /// Whoever moved it has the answer.
    pub(super) fn answered(self, group: &str) -> Story {
        let key = self.key(group);
        self.and(What::Sought(key))
    }

    pub(super) fn passed_by(self, group: &str, from: u64, to: u64) -> Story {
        let key = self.key(group);
        self.and(What::PassedBy { group: key, from, to, messages: to - from })
    }

    /// Within a limit of ten messages.
    pub(super) fn kept(self, floor: u64, held: u64) -> Story {
        let limits = Retain::all().messages(10);
        self.and(What::Kept { topic: name("t"), floor, held, limits })
    }

    pub(super) fn browsed(self, at: u64, back: bool, shown: &[u64]) -> Story {
        let story = self.and(What::Browses { topic: name("t"), browse: 0, at, back });
        let shown = shown.iter().map(|offset| Some(*offset)).chain([None]);
        shown.fold(story, |story, offset| story.and(What::Browsed { browse: 0, offset }))
    }

    pub(super) fn sought(self, group: &str) -> Story {
        let key = self.key(group);
        self.and(What::Seeks(key))
    }

    pub(super) fn quiet(self) -> Story {
        self.and(What::Quiet)
    }

    pub(super) fn left(self, group: &str) -> Story {
        let key = self.key(group);
        self.and(What::Left(key))
    }

    pub(super) fn redriven(self, group: &str, offset: u64) -> Story {
        let key = self.key(group);
        self.and(What::Redriven { group: key, offset })
    }

    pub(super) fn stalled(self, group: &str) -> Story {
        let key = self.key(group);
        self.and(What::Stalled(key))
    }

    pub(super) fn over(self, group: &str) -> Story {
        let key = self.key(group);
        self.and(What::Over(key))
    }

    pub(super) fn tried(self, value: u64) -> Story {
        self.and(What::Tried { topic: name("t"), value })
    }

    pub(super) fn confirmed(self, value: u64, offset: u64) -> Story {
        self.and(What::Confirmed { topic: name("t"), value, id: id(offset) })
    }

    pub(super) fn delayed(self, value: u64, number: u64) -> Story {
        self.and(What::Delayed { topic: name("t"), value, number })
    }

    pub(super) fn scheduled(self, number: u64, due: Moment) -> Story {
        self.and(What::Scheduled { topic: name("t"), number, due })
    }

    pub(super) fn moved_in(self, number: u64, due: Moment, offset: u64) -> Story {
        self.and(What::Moved { topic: name("t"), number, due, id: id(offset) })
    }

    pub(super) fn unscheduled(self, number: u64) -> Story {
        self.and(What::Unscheduled { topic: name("t"), number })
    }

    pub(super) fn handled(self, group: &str, offset: u64, value: u64) -> Story {
        let key = self.key(group);
        self.and(What::Handled { group: key, id: id(offset), value, attempt: 1, unsure: false })
    }

    /// The topic goes on here.
    pub(super) fn recovered(self, next: u64) -> Story {
        self.and(What::Recovered { topic: name("t"), next })
    }

    pub(super) fn handled_unsure(self, group: &str, offset: u64, value: u64) -> Story {
        let key = self.key(group);
        self.and(What::Handled { group: key, id: id(offset), value, attempt: 1, unsure: true })
    }

    pub(super) fn letter(self, group: &str, offset: u64) -> Story {
        self.and(What::Letter { topic: name("t"), group: name(group), id: id(offset) })
    }

    /// The history of a run that was not ended by a shutdown.
    pub(super) fn end(self) -> History {
        History { groups: self.groups, events: self.events, ..History::default() }
    }

    /// The history of a run that was: for each group, what it settled and what it lost.
    pub(super) fn report(self, groups: &[(&str, u64, u64)]) -> History {
        let groups = groups.iter().map(|(group, settled, lost)| {
            let mut stats = GroupStats::new(GroupState::Stopping, Default::default(), 0, 0, 0, (0, 0));
            (stats.entered, stats.acked, stats.backlog) = (settled + lost, *settled, *lost);
            GroupReport::new(name("t"), name(group), stats, 0)
        });
        let topics = vec![TopicReport {
            durable: false,
            topic: name("t"),
            accepted: 0,
            evicted: 0,
            expired: 0,
            dropped_newest: 0,
            repeated: 0,
            unread: 0,
            scheduled: 0,
            groups: groups.collect(),
        }];
        let report = Report { topics, timed_out: false, took: Duration::ZERO };
        History { report: Some(report), ..self.end() }
    }
}
