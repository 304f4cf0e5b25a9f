//! What was seen in one run, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use super::shown::Shown;
use crate::base::{Moment, Name};
use crate::broker::{KeyHash, MessageId, Order, RateLimit, Report, Retain, Start};

/// One group of one topic, as a history numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) struct GroupKey(pub(in crate::sim) usize);

/// What is known of a group from its opening.
#[derive(Clone, Debug)]
pub(in crate::sim) struct GroupFacts {
    pub(in crate::sim) topic: Name,
    pub(in crate::sim) group: Name,
    pub(in crate::sim) consumers: u32,
    pub(in crate::sim) prefetch: u32,
    pub(in crate::sim) max_attempts: u32,
    pub(in crate::sim) ack_timeout: Duration,
    pub(in crate::sim) restarts: (u32, Duration),
    pub(in crate::sim) start: Start,
    pub(in crate::sim) order: Order,
    /// Whether its consumers are of equal speed and always ready, so that they get equal shares (P19).
    pub(in crate::sim) fair: bool,
    pub(in crate::sim) max_in_flight: Option<u32>,
    pub(in crate::sim) rate_limit: Option<RateLimit>,
}

/// Names how an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Acked: the group is done with the message.
    Acked,
    /// Settled by an [`Outcome::Drop`](crate::broker::Outcome::Drop).
    Dropped,
    /// Sent to the dead letters by its handler.
    Rejected,
    /// Failed: by an error, a panic, a nack, or a delivery that was dropped.
    Failed,
    /// Cut short at the group's `ack_timeout`.
    TimedOut,
    /// Could not go on for want of room; no failure.
    NoRoom,
    /// Given back at no cost.
    Released,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "the scenarios make all of them"))]
pub(in crate::sim) enum What {
    Opened(GroupKey),
    /// From here on the topic offers it what comes.
    Joined(GroupKey),
    Accepted {
        topic: Name,
        base: u64,
        len: u16,
        /// Empty if the topic has none.
        keys: Vec<KeyHash>,
    },
    /// A topic's schedule has a delayed message, by its number.
    Scheduled {
        topic: Name,
        number: u64,
        due: Moment,
    },
    /// It is in the topic.
    Moved {
        topic: Name,
        number: u64,
        due: Moment,
        id: MessageId,
    },
    /// It was cancelled.
    Unscheduled {
        topic: Name,
        number: u64,
    },
    Offered {
        group: GroupKey,
        base: u64,
        runs: Vec<(u16, u16)>,
    },
    Began {
        group: GroupKey,
        consumer: u32,
        id: MessageId,
        attempt: u32,
    },
    Ended {
        group: GroupKey,
        consumer: u32,
        id: MessageId,
        attempt: u32,
        how: End,
    },
    Hired {
        group: GroupKey,
        consumer: u32,
    },
    Rebuilt {
        group: GroupKey,
        consumer: u32,
    },
    Broken {
        group: GroupKey,
        failed: bool,
    },
    Gone {
        group: GroupKey,
        consumer: u32,
    },
    Settled {
        group: GroupKey,
        from: u64,
        to: u64,
    },
    /// A topic evicted a message, or let it go since it was past its time and nobody was there.
    Evicted {
        topic: Name,
        offset: u64,
    },
    /// A limit settles these messages.
    Removed {
        group: GroupKey,
        from: u64,
        to: u64,
    },
    Dead {
        group: GroupKey,
        id: MessageId,
        attempts: u32,
        too_many: bool,
    },
    /// A dead letter's message is back: its attempts and failures begin anew, and it is settled once more.
    Redriven {
        group: GroupKey,
        offset: u64,
    },
    /// From here on so many attempts of the group may begin, until it says otherwise.
    MayBegin {
        group: GroupKey,
        most: u64,
    },
    /// A message that weighs so much was handed out under a limit on the rate.
    Handed {
        group: GroupKey,
        lease: u64,
        weight: u64,
    },
    /// It was not begun, and came back.
    Returned {
        group: GroupKey,
        lease: u64,
    },
    /// From here on this limit on its rate holds.
    Limited {
        group: GroupKey,
        limit: Option<RateLimit>,
    },
    /// A group begins here, new or moved: all attempts begin anew.
    Placed {
        group: GroupKey,
        start: Start,
        /// It was to begin with what came next.
        latest: bool,
        /// Of its topic's history, if that has one.
        floor: Option<u64>,
        moved: bool,
    },
    /// A group that was there before goes on; of what is accepted it is offered what lies from here on.
    Resumed {
        group: GroupKey,
        ahead: u64,
    },
    /// A topic that spills has ended with these in its line, that it had accepted.
    InLine {
        topic: Name,
        base: u64,
        messages: u64,
    },
    /// What was spilled can't be read: this message is lost, and counted as such.
    Lost {
        topic: Name,
        offset: u64,
    },
    /// A group that is moved does without all that it has, until it is placed anew.
    LetsGo(GroupKey),
    /// What a group was offered is not for it any more, or is offered anew.
    Revoked {
        group: GroupKey,
        from: u64,
        to: u64,
    },
    /// So many of these, all that the group had not settled, were gone before it was offered them.
    PassedBy {
        group: GroupKey,
        from: u64,
        to: u64,
        messages: u64,
    },
    /// A topic keeps what lies from the floor on; so many messages in memory.
    Kept {
        topic: Name,
        floor: u64,
        held: u64,
        limits: Retain,
    },
    /// Whoever moves a group asks for it, and hears that it is done.
    Seeks(GroupKey),
    Sought(GroupKey),
    /// A browse of a topic begins, with what lies from this offset on, or before it.
    Browses {
        topic: Name,
        browse: u64,
        at: u64,
        back: bool,
    },
    /// It showed this message; or there is no more.
    Browsed {
        browse: u64,
        offset: Option<u64>,
    },
    /// From here on the group is offered nothing: it is being deleted.
    Left(GroupKey),
    Over(GroupKey),
    /// A publisher's side: it tries, and is answered or dropped.
    Tried {
        topic: Name,
        value: u64,
    },
    Confirmed {
        topic: Name,
        value: u64,
        id: MessageId,
    },
    /// What was to be published later waits in the schedule.
    Delayed {
        topic: Name,
        value: u64,
        number: u64,
    },
    /// What was delayed is to be given back: from here on it may be, whether that is heard or not.
    Withdrawn {
        topic: Name,
        value: u64,
    },
    Refused {
        topic: Name,
        value: u64,
    },
    Cancelled {
        topic: Name,
        value: u64,
    },
    /// A handler's side: it saw this value.
    Handled {
        group: GroupKey,
        id: MessageId,
        value: u64,
        attempt: u32,
        /// It may be one more: an earlier process may have begun it.
        unsure: bool,
    },
    /// A durable topic goes on here: what is before was accepted by an earlier process.
    Recovered {
        topic: Name,
        next: u64,
    },
    /// Whoever reads the dead letters of a group has this one.
    Letter {
        topic: Name,
        group: Name,
        id: MessageId,
    },
    /// From here on no fault strikes.
    Calm,
    /// From here on this group's handlers stand still.
    Stalled(GroupKey),
    /// The task of a topic or a group was killed: what it had is gone, as with its runtime.
    Killed,
    /// Everything that running groups had to do is done, while nobody published.
    Quiet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Event {
    pub(in crate::sim) at: Moment,
    pub(in crate::sim) what: What,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(in crate::sim) struct History {
    pub(in crate::sim) groups: Vec<GroupFacts>,
    pub(in crate::sim) events: Vec<Event>,
    /// What rules that look at each step have found.
    pub(in crate::sim) seen_wrong: Vec<Violation>,
    /// What the broker told of itself, if somebody listened from its beginning to its end.
    pub(in crate::sim) told: Option<Vec<crate::broker::Event>>,
    /// What the broker said at its end.
    pub(in crate::sim) report: Option<Report>,
    /// Tasks that were left when it had ended, and panics that ended tasks.
    pub(in crate::sim) left: Vec<String>,
    pub(in crate::sim) escaped: Vec<String>,
}

/// How often a message was offered to a group, and settled by it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offers {
    pub(super) offered: u32,
    pub(super) settled: u32,
}

impl History {
    /// The key of a group: the last one opened by these names.
    pub(in crate::sim) fn key(&self, topic: &str, group: &str) -> Option<GroupKey> {
        let is = |facts: &GroupFacts| facts.topic.as_str() == topic && facts.group.as_str() == group;
        self.groups.iter().rposition(is).map(GroupKey)
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = (GroupKey, &GroupFacts)> {
        self.groups.iter().enumerate().map(|(at, facts)| (GroupKey(at), facts))
    }

    pub(super) fn name(&self, key: GroupKey) -> String {
        self.groups.get(key.0).map_or("?".to_owned(), |facts| format!("{}.{}", facts.topic, facts.group))
    }

    pub(super) fn whats(&self) -> impl Iterator<Item = &What> {
        self.events.iter().map(|event| &event.what)
    }

    /// For each message offered to a group: how often, and how often it was settled. More than once if the group was moved.
    pub(super) fn offered(&self) -> BTreeMap<(GroupKey, u64), Offers> {
        let mut offered: BTreeMap<_, Offers> = BTreeMap::new();
        for what in self.whats() {
            match what {
                What::Offered { group, base, runs } => {
                    for at in runs.iter().flat_map(|(from, to)| *from..*to) {
                        offered.entry((*group, base + u64::from(at))).or_default().offered += 1;
                    }
                }
                What::Revoked { group, from, to } => {
                    for offset in *from..*to {
                        let offers = offered.entry((*group, offset)).or_default();
                        offers.offered = offers.offered.saturating_sub(1);
                    }
                }
                What::Settled { group, from, to } => {
                    for offset in *from..*to {
                        offered.entry((*group, offset)).or_default().settled += 1;
                    }
                }
                _ => {}
            }
        }
        offered
    }

    /// How many messages each group did without, that were gone before it was offered them.
    pub(super) fn passed_by(&self) -> BTreeMap<GroupKey, u64> {
        let mut passed_by = BTreeMap::new();
        for what in self.whats() {
            if let What::PassedBy { group, messages, .. } = what {
                *passed_by.entry(*group).or_default() += messages;
            }
        }
        passed_by
    }

    /// How many messages topics had in their lines at their ends, which groups that begin at the first would have been given.
    pub(super) fn in_line(&self) -> BTreeMap<&Name, u64> {
        let in_line = self.whats().filter_map(|what| match what {
            What::InLine { topic, messages, .. } => Some((topic, *messages)),
            _ => None,
        });
        in_line.collect()
    }

    /// Where topics went on that were there before.
    pub(super) fn recovered(&self) -> BTreeMap<&Name, u64> {
        let recovered = self.whats().filter_map(|what| match what {
            What::Recovered { topic, next } => Some((topic, *next)),
            _ => None,
        });
        recovered.collect()
    }

    /// Says which messages were there before, so that an earlier process may have begun them.
    pub(super) fn is_old(&self) -> impl Fn(GroupKey, u64) -> bool + use<'_> {
        let recovered = self.recovered();
        move |group, offset| {
            let next = self.groups.get(group.0).and_then(|facts| recovered.get(&facts.topic));
            next.is_some_and(|next| offset < *next)
        }
    }

    /// How often each message came back from the dead letters.
    pub(super) fn redriven(&self) -> BTreeMap<(GroupKey, u64), u32> {
        let mut redriven = BTreeMap::new();
        for what in self.whats() {
            if let What::Redriven { group, offset } = what {
                *redriven.entry((*group, *offset)).or_insert(0) += 1;
            }
        }
        redriven
    }

    /// The last events, a line each.
    pub(in crate::sim) fn tail(&self, count: usize) -> String {
        let first = self.events.len().saturating_sub(count);
        let lines = self.events.iter().skip(first).map(|event| {
            let Event { at, what } = event;
            format!("    {at:?} {}\n", Shown(self, what))
        });
        lines.collect()
    }
}
