//! The kit's witness: writes down what the broker does, and strikes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::check::{self, End, Event, GroupKey, History, Violation, What};
use super::super::rng::Rng;
use super::faults::{Faults, Point, Strike};
use crate::base::{Moment, Name};
use crate::broker::DeadReason;
use crate::broker::GroupSettings;
use crate::broker::{At, Bits, Sight, TIMED_OUT, Verdict, Witness};
use crate::runtime::BoxFuture;
use crate::sim::{Sim, SimDisk};

/// The stream of a seed that faults are drawn from.
const FAULTS: u64 = 2;

/// Sees all that a broker does.
pub(in crate::sim) struct Watcher {
    sim: Sim,
    notes: Mutex<Notes>,
}

pub(in crate::sim) struct Notes {
    pub(in crate::sim) history: History,
    pub(in crate::sim) faults: Faults,
    /// Deliveries to crash: of which group, and where. Limit: as many as a test asks for.
    pub(in crate::sim) planned: VecDeque<(Name, Name, Point)>,
    /// Sinks may hold places for messages that they have not sent.
    pub(in crate::sim) reserved: bool,
    /// Groups that are opened while this is set have to share fairly (P19).
    pub(in crate::sim) fair: bool,
    /// Where the process's data is. Once that has ended, nothing is seen any more.
    pub(in crate::sim) disk: Option<SimDisk>,
    /// So many messages a topic began with: acks that were lost may have left it with more than fit in.
    recovered: BTreeMap<Name, u64>,
    rng: Rng,
}

impl Watcher {
    pub(in crate::sim) fn new(sim: &Sim) -> Arc<Watcher> {
        let notes = Notes {
            history: History::default(),
            faults: Faults::none(),
            planned: VecDeque::new(),
            reserved: true,
            fair: false,
            disk: None,
            recovered: BTreeMap::new(),
            rng: Rng::new(sim.seed(), FAULTS),
        };
        Arc::new(Watcher { sim: sim.clone(), notes: Mutex::new(notes) })
    }

    /// Why a poisoned lock is fine: a test that panics while it holds it ends with that panic anyway.
    pub(in crate::sim) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::sim) fn note(&self, what: What) {
        let at = self.sim.now();
        let mut notes = self.notes();
        if !notes.is_over() {
            notes.history.events.push(Event { at, what });
        }
    }

    fn strike(&self, strike: Strike, point: &'static str) -> BoxFuture {
        match strike {
            Strike::Panic => Box::pin(async move { panic!("crashed {point}, as planned") }),
            Strike::Hang => Box::pin(std::future::pending()),
            Strike::Pause(time) => Box::pin(self.sim.sleep(time)),
        }
    }
}

impl Witness for Watcher {
    fn see(&self, sight: Sight<'_>) {
        self.notes().see(sight, self.sim.now());
    }

    fn before(&self, at: &At<'_>) -> Option<BoxFuture> {
        let strike = self.notes().draw(at, Point::BeforeHandler)?;
        Some(self.strike(strike, "before the handler"))
    }

    fn after(&self, at: &At<'_>, _: &Verdict) -> Option<BoxFuture> {
        let strike = self.notes().draw(at, Point::AfterHandler)?;
        Some(self.strike(strike, "after the handler"))
    }
}

impl Notes {
    fn draw(&mut self, at: &At<'_>, point: Point) -> Option<Strike> {
        let meant = |(topic, group, when): &(Name, Name, Point)| {
            topic == at.topic && group == at.group && *when == point
        };
        if let Some(planned) = self.planned.iter().position(meant) {
            self.planned.remove(planned);
            return Some(Strike::Panic);
        }
        match point {
            Point::BeforeHandler => self.faults.before(&mut self.rng),
            Point::AfterHandler => self.faults.after(&mut self.rng),
        }
    }

    fn is_over(&self) -> bool {
        self.disk.as_ref().is_some_and(SimDisk::is_stopped)
    }

    fn see(&mut self, sight: Sight<'_>, at: Moment) {
        if self.is_over() {
            return;
        }
        let what = match sight {
            Sight::Opened { topic, group, settings } => self.open(topic, group, settings),
            Sight::Recovered { topic, next, held } => {
                self.recovered.insert(topic.clone(), held);
                Some(What::Recovered { topic: topic.clone(), next })
            }
            Sight::Joined { topic, group } => self.of(topic, group, What::Joined),
            Sight::Accepted { topic, base, len, keys } => {
                Some(What::Accepted { topic: topic.clone(), base, len, keys })
            }
            Sight::Scheduled { topic, number, due } => {
                Some(What::Scheduled { topic: topic.clone(), number, due })
            }
            Sight::Due { topic, number, due, id } => {
                Some(What::Moved { topic: topic.clone(), number, due, id })
            }
            Sight::Unscheduled { topic, number } => Some(What::Unscheduled { topic: topic.clone(), number }),
            Sight::Offered { topic, group, base, open } => {
                self.of(topic, group, |group| What::Offered { group, base, runs: open.runs().collect() })
            }
            Sight::Began(At { topic, group, consumer, id, attempt }) => {
                self.of(topic, group, |group| What::Began { group, consumer: consumer.0, id, attempt })
            }
            Sight::Ended(At { topic, group, consumer, id, attempt }, verdict) => {
                let how = how(verdict);
                self.of(topic, group, |group| What::Ended { group, consumer: consumer.0, id, attempt, how })
            }
            Sight::Hired { topic, group, consumer } => {
                self.of(topic, group, |group| What::Hired { group, consumer: consumer.0 })
            }
            Sight::Rebuilt { topic, group, consumer } => {
                self.of(topic, group, |group| What::Rebuilt { group, consumer: consumer.0 })
            }
            Sight::Broken { topic, group, failed } => {
                self.of(topic, group, |group| What::Broken { group, failed })
            }
            Sight::Gone { topic, group, consumer } => {
                self.of(topic, group, |group| What::Gone { group, consumer: consumer.0 })
            }
            Sight::Settled { topic, group, base, which } => {
                self.each_run(at, base, which, topic, group, |group, from, to| What::Settled {
                    group,
                    from,
                    to,
                })
            }
            Sight::Removed { topic, group, base, which } => {
                self.each_run(at, base, which, topic, group, |group, from, to| What::Removed {
                    group,
                    from,
                    to,
                })
            }
            Sight::Evicted { topic, base, at } => {
                Some(What::Evicted { topic: topic.clone(), offset: base + u64::from(at) })
            }
            Sight::Redriven { topic, group, base, at } => {
                self.of(topic, group, |group| What::Redriven { group, offset: base + u64::from(at) })
            }
            Sight::SettledAgain { topic, group, base, at } => {
                let from = base + u64::from(at);
                self.of(topic, group, |group| What::Settled { group, from, to: from + 1 })
            }
            Sight::Dead { topic, group, id, attempts, reason } => {
                let too_many = *reason == DeadReason::TooManyAttempts;
                self.of(topic, group, |group| What::Dead { group, id, attempts, too_many })
            }
            Sight::MayBegin { topic, group, most } => {
                self.of(topic, group, |group| What::MayBegin { group, most })
            }
            Sight::Handed { topic, group, lease, weight } => {
                self.of(topic, group, |group| What::Handed { group, lease: lease.number(), weight })
            }
            Sight::Returned { topic, group, lease } => {
                self.of(topic, group, |group| What::Returned { group, lease: lease.number() })
            }
            Sight::Limited { topic, group, limit } => {
                self.of(topic, group, |group| What::Limited { group, limit })
            }
            Sight::Placed { topic, group, start, latest, floor, moved } => {
                self.of(topic, group, |group| What::Placed { group, start, latest, floor, moved })
            }
            Sight::Resumed { topic, group, ahead } => {
                self.of(topic, group, |group| What::Resumed { group, ahead })
            }
            Sight::InLine { messages: 0, .. } => None,
            Sight::InLine { topic, base, messages } => {
                Some(What::InLine { topic: topic.clone(), base, messages })
            }
            Sight::Lost { topic, offset } => Some(What::Lost { topic: topic.clone(), offset }),
            Sight::LetsGo { topic, group } => self.of(topic, group, What::LetsGo),
            Sight::Revoked { topic, group, base, which } => {
                self.each_run(at, base, which, topic, group, |group, from, to| What::Revoked {
                    group,
                    from,
                    to,
                })
            }
            Sight::PassedBy { topic, group, from, to, messages } => {
                self.of(topic, group, |group| What::PassedBy { group, from, to, messages })
            }
            Sight::Kept { topic, floor, held, limits } => {
                Some(What::Kept { topic: topic.clone(), floor, held, limits })
            }
            Sight::Left { topic, group } => self.of(topic, group, What::Left),
            Sight::Over { topic, group } => self.of(topic, group, What::Over),
            Sight::GroupBooks { topic, group, stats, counted } => {
                let facts = self.history.key(topic.as_str(), group.as_str());
                let facts = facts.and_then(|key| self.history.groups.get(key.0));
                let most = facts.map_or(0, |facts| u64::from(facts.prefetch) * stats.consumers as u64);
                let together = facts.and_then(|facts| facts.max_in_flight).map_or(most, u64::from);
                let most = most.min(together);
                let wrong = check::group_books(stats, counted, most);
                self.wrong(wrong, format_args!("{topic}.{group}"));
                None
            }
            Sight::TopicBooks { topic, books, counted } => {
                let most = self.recovered.get(topic).copied().unwrap_or(0).max(books.capacity);
                let wrong = check::topic_books(books, counted, self.reserved, most);
                self.wrong(wrong, topic);
                None
            }
        };
        if let Some(what) = what {
            self.history.events.push(Event { at, what });
        }
    }

    /// Notes one event for each run of offsets.
    fn each_run(
        &mut self,
        at: Moment,
        base: u64,
        which: Bits,
        topic: &Name,
        group: &Name,
        what: impl Fn(GroupKey, u64, u64) -> What,
    ) -> Option<What> {
        for (from, to) in which.runs() {
            let (from, to) = (base + u64::from(from), base + u64::from(to));
            let what = self.of(topic, group, |group| what(group, from, to));
            self.history.events.extend(what.map(|what| Event { at, what }));
        }
        None
    }

    fn of(&self, topic: &Name, group: &Name, what: impl FnOnce(GroupKey) -> What) -> Option<What> {
        self.history.key(topic.as_str(), group.as_str()).map(what)
    }

    fn open(&mut self, topic: &Name, group: &Name, settings: &GroupSettings) -> Option<What> {
        let GroupSettings { consumers, prefetch, retry, ack_timeout, start, intensity, order, .. } = settings;
        let GroupSettings { max_in_flight, rate_limit, .. } = settings;
        self.history.groups.push(check::GroupFacts {
            topic: topic.clone(),
            group: group.clone(),
            consumers: *consumers,
            prefetch: *prefetch,
            max_attempts: retry.attempts(),
            ack_timeout: *ack_timeout,
            restarts: (intensity.restarts, intensity.within),
            start: *start,
            order: *order,
            fair: self.fair,
            max_in_flight: *max_in_flight,
            rate_limit: *rate_limit,
        });
        Some(What::Opened(GroupKey(self.history.groups.len() - 1)))
    }

    /// The first few are enough: a books' fault shows at each step from then on.
    fn wrong(&mut self, wrong: Option<(&'static str, String)>, of: impl std::fmt::Display) {
        if let Some((rule, text)) = wrong
            && self.history.seen_wrong.len() < 8
        {
            self.history.seen_wrong.push(Violation { rule, text: format!("{of}: {text}") });
        }
    }
}

fn how(verdict: &Verdict) -> End {
    match verdict {
        Verdict::Ack => End::Acked,
        Verdict::Drop => End::Dropped,
        Verdict::Dead { .. } => End::Rejected,
        Verdict::Retry { error, .. } if &**error == TIMED_OUT => End::TimedOut,
        Verdict::Retry { .. } => End::Failed,
        Verdict::NoRoom { .. } => End::NoRoom,
        Verdict::Release => End::Released,
    }
}
