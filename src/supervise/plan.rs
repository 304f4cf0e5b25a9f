//! The supervisor's decisions, without its tasks and timers.

use super::child::{Child, ChildId, End, Phase};
use super::effect::{Effect, Escalation};
use super::{Allowance, Backoff, Intensity, Restart, RestartWindow, Strategy};
use crate::base::{Bug, Moment, planted};
use std::collections::{BTreeMap, BTreeSet};

/// Decides what a supervisor does: told what happened, it answers with [`Effect`]s.
///
/// | phase      | its turn     | `on_started` | `on_exit` | `on_exit`, doomed | `on_remove`  |
/// |------------|--------------|--------------|-----------|-------------------|--------------|
/// | `Waiting`  | → `Starting` |              |           |                   | Forget       |
/// | `Starting` |              | → `Running`  | A or B    | → `Waiting`       | → `Stopping` |
/// | `Running`  |              |              | B         | → `Waiting`       | → `Stopping` |
/// | `Stopping` |              |              | Forget    | → `Waiting`       |              |
/// | `Done`     |              |              |           |                   | Forget       |
///
/// To enter `Starting` is the effect Start, to enter `Stopping` is Stop. An empty cell: nothing changes.
/// - **Turns to start** come in order, to each after the one before is up and its own hold is over; under
///   one-for-one, once the first round is done, to each for itself. None comes while a child is doomed.
/// - **A**: the first start has failed. All children are doomed, then comes Escalate. A child that was added
///   to a running supervisor is forgotten instead, and that is all.
/// - **B**: its restart rule says Forget, or → `Done`, or a restart. A restart is counted; if it is one too
///   many, all are doomed, then comes Escalate. Else the strategy says who is hit: those that are up are
///   doomed, the others become `Waiting`, and all hold until the backoff of the child that failed is over.
/// - **The doomed** go to `Stopping` last first, each after the one before is down. One that ends by itself
///   while it waits for that is down as well, and is not counted: it is part of the restart under way.
/// - **Leaving** children (removed; or doomed, and never to be restarted) are forgotten when they are down.
/// - **A stuck child** counts as down; unless it was leaving, all others are doomed, then comes Escalate.
/// - **When the supervisor ends**, what comes down is `Done`; the last effect is Finished or Escalate.
///
/// Invariant: a child has one incarnation at most, from its Start to the `on_exit` that ends it. Events that
/// don't fit (`on_started` after Stop, an unknown id) change nothing. Starts and stops have no timeout here.
#[derive(Debug)]
pub(crate) struct Plan {
    strategy: Strategy,
    window: RestartWindow,
    stage: Stage,
    /// In start order. As many as the owner added.
    children: BTreeMap<ChildId, Child>,
    next_id: u64,
    /// Up or on the way, and has to come down before anything starts.
    doomed: BTreeSet<ChildId>,
    /// All that are `Waiting`.
    waiting: BTreeSet<ChildId>,
    /// All that are `Starting`.
    starting: BTreeSet<ChildId>,
    effects: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    /// The first start: in order whatever the strategy.
    Rising,
    Up,
    Ending(Option<Escalation>),
    Over,
}

impl Plan {
    pub(crate) fn new(strategy: Strategy, intensity: Intensity) -> Plan {
        Plan {
            strategy,
            window: RestartWindow::new(intensity),
            stage: Stage::New,
            children: BTreeMap::new(),
            next_id: 0,
            doomed: BTreeSet::new(),
            waiting: BTreeSet::new(),
            starting: BTreeSet::new(),
            effects: Vec::new(),
        }
    }

    /// Adds a child behind the others, or returns `None` if the supervisor is ending.
    ///
    /// After [`Plan::on_start`] the child is a guest: it starts with the next event, for which
    /// [`Plan::on_alarm`] will do, and if its first start fails, it is forgotten.
    pub(crate) fn add(&mut self, restart: Restart, backoff: Backoff) -> Option<ChildId> {
        if self.is_ending() {
            return None;
        }
        let id = ChildId(self.next_id);
        self.next_id += 1;
        let child = Child::new(restart, backoff, self.stage != Stage::New);
        self.children.insert(id, child);
        self.waiting.insert(id);
        Some(id)
    }

    /// Starts the supervisor: the first child, and then one after the other. Once only.
    #[must_use]
    pub(crate) fn on_start(&mut self, now: Moment) -> Vec<Effect> {
        if self.stage == Stage::New {
            self.stage = Stage::Rising;
        }
        self.proceed(now)
    }

    /// Hears that a child which was told to start is up.
    #[must_use]
    pub(crate) fn on_started(&mut self, id: ChildId, now: Moment) -> Vec<Effect> {
        if let Some(child) = self.children.get_mut(&id)
            && child.phase == Phase::Starting
        {
            child.phase = Phase::Running(now);
            child.proven = true;
            self.starting.remove(&id);
        }
        self.proceed(now)
    }

    /// Hears that an incarnation is over, asked for or not: its state is dropped.
    ///
    /// Before [`Plan::on_started`] a failure is a failed start, a normal end one that follows a good start.
    #[must_use]
    pub(crate) fn on_exit(&mut self, id: ChildId, end: End, now: Moment, random: u64) -> Vec<Effect> {
        self.came_down(id, end, now, random);
        self.proceed(now)
    }

    /// Hears that a child which was told to stop can't be ended, not even by force.
    ///
    /// It may come back to life at any time, so nothing may be started in its place: it counts as down, and if
    /// it was to be restarted, the supervisor gives up.
    #[must_use]
    pub(crate) fn on_stuck(&mut self, id: ChildId, now: Moment) -> Vec<Effect> {
        if let Some(child) = self.children.get(&id)
            && child.phase == Phase::Stopping
        {
            if !child.leaving && !self.is_ending() {
                self.end(Some(Escalation::Stuck(id)));
            }
            self.came_down(id, End::Failed, now, 0);
        }
        self.proceed(now)
    }

    /// Makes an ended plan new again: the same children, none of them started yet, nothing counted.
    ///
    /// For a supervisor that is restarted itself. A child that must never be restarted, and was up, is forgotten.
    #[must_use]
    pub(crate) fn renew(&mut self) -> Vec<Effect> {
        if self.stage != Stage::Over {
            return Vec::new();
        }
        self.window.clear();
        self.stage = Stage::New;
        for (id, child) in std::mem::take(&mut self.children) {
            if child.restart == Restart::Never && child.proven {
                self.forget(id);
            } else {
                self.children.insert(id, Child::new(child.restart, child.backoff, false));
                self.waiting.insert(id);
            }
        }
        std::mem::take(&mut self.effects)
    }

    /// Starts whatever a backoff held until `now`. Too early or for nothing does no harm.
    #[must_use]
    pub(crate) fn on_alarm(&mut self, now: Moment) -> Vec<Effect> {
        self.proceed(now)
    }

    /// Takes a child out for good: stops it if it is up (a doomed one in its turn), then forgets it.
    #[must_use]
    pub(crate) fn on_remove(&mut self, id: ChildId, now: Moment) -> Vec<Effect> {
        let ending = self.is_ending();
        if let Some(child) = self.children.get_mut(&id).filter(|_| !ending) {
            child.leaving = true;
            match child.phase {
                Phase::Waiting | Phase::Done => self.forget(id),
                Phase::Starting | Phase::Running(_) if !self.doomed.contains(&id) => self.stop(id, now),
                Phase::Starting | Phase::Running(_) | Phase::Stopping => {}
            }
        }
        self.proceed(now)
    }

    /// Stops all children, last first, one at a time; then comes [`Effect::Finished`].
    ///
    /// A supervisor that is already giving up goes on with that and escalates.
    #[must_use]
    pub(crate) fn on_shutdown(&mut self, now: Moment) -> Vec<Effect> {
        if !self.is_ending() {
            self.end(None);
        }
        self.proceed(now)
    }

    /// Returns when [`Plan::on_alarm`] is due next, if ever. Ask again after each event.
    pub(crate) fn next_alarm(&self) -> Option<Moment> {
        if !matches!(self.stage, Stage::Rising | Stage::Up) || !self.doomed.is_empty() {
            return None;
        }
        let hold = |id| self.children.get(id).map(|child| child.hold);
        if !self.in_order() {
            return self.waiting.iter().filter_map(hold).min();
        }
        self.waiting.first().filter(|_| self.starting.is_empty()).and_then(hold)
    }

    /// Returns before when a child that waits is not started, whatever its turn is.
    pub(crate) fn hold(&self, id: ChildId) -> Option<Moment> {
        self.children.get(&id).filter(|child| child.phase == Phase::Waiting).map(|child| child.hold)
    }

    pub(crate) fn strategy(&self) -> Strategy {
        self.strategy
    }

    pub(crate) fn intensity(&self) -> Intensity {
        self.window.intensity()
    }

    /// Returns where a child is, or `None` if it was forgotten.
    pub(crate) fn phase(&self, id: ChildId) -> Option<Phase> {
        self.children.get(&id).map(|child| child.phase)
    }

    /// Whether it shuts down or gives up, or has done so.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Ending(_) | Stage::Over)
    }

    /// Whether starts wait for one another.
    fn in_order(&self) -> bool {
        self.stage == Stage::Rising || self.strategy != Strategy::OneForOne
    }

    fn came_down(&mut self, id: ChildId, end: End, now: Moment, random: u64) {
        let Some(child) = self.children.get_mut(&id).filter(|child| child.is_alive()) else { return };
        let doomed = self.doomed.remove(&id);
        self.starting.remove(&id);
        let first_start_failed = !child.proven && end == End::Failed;
        child.proven |= child.phase == Phase::Starting && end == End::Normal;
        child.note_calm(now);
        child.phase = Phase::Done;
        if matches!(self.stage, Stage::Ending(_)) {
            return;
        }
        match (child.restart, end) {
            _ if child.leaving => self.forget(id),
            _ if doomed => self.wait(id),
            _ if first_start_failed && child.guest => self.forget(id),
            _ if first_start_failed => self.end(Some(Escalation::StartFailed(id))),
            (Restart::Never, _) => self.forget(id),
            (Restart::OnFailure, End::Normal) => {}
            (Restart::Always | Restart::OnFailure, _) => self.restart(id, now, random),
        }
    }

    fn restart(&mut self, id: ChildId, now: Moment, random: u64) {
        if self.window.on_restart(now) == Allowance::Exceeded {
            return self.end(Some(Escalation::TooManyRestarts(id)));
        }
        let Some(child) = self.children.get_mut(&id) else { return };
        child.strikes = child.strikes.saturating_add(1);
        let due = now + child.backoff.delay(child.strikes, random);
        let hit = match self.strategy {
            Strategy::OneForOne => id..=id,
            Strategy::RestForOne if planted(Bug::WrongStrategy) => id..=id,
            Strategy::RestForOne => id..=ChildId(u64::MAX),
            Strategy::OneForAll => ChildId(0)..=ChildId(u64::MAX),
        };
        for (&id, child) in self.children.range_mut(hit) {
            child.hold = child.hold.max(due);
            if child.is_alive() {
                child.leaving |= child.restart == Restart::Never;
                self.doomed.insert(id);
            } else {
                child.phase = Phase::Waiting;
                self.waiting.insert(id);
            }
        }
    }

    fn end(&mut self, why: Option<Escalation>) {
        self.stage = Stage::Ending(why);
        self.waiting.clear();
        for (&id, child) in &mut self.children {
            if child.is_alive() {
                self.doomed.insert(id);
            } else {
                child.phase = Phase::Done;
            }
        }
    }

    /// Does whatever is due: what is down comes up only when all that has to come down is down.
    fn proceed(&mut self, now: Moment) -> Vec<Effect> {
        if let Some(&last) = self.doomed.last() {
            if self.phase(last) != Some(Phase::Stopping) {
                self.stop(last, now);
            }
        } else if let Stage::Ending(why) = self.stage {
            self.stage = Stage::Over;
            self.effects.push(why.map_or(Effect::Finished, Effect::Escalate));
        } else if matches!(self.stage, Stage::Rising | Stage::Up) {
            while self.next_alarm().is_some_and(|due| due <= now) {
                self.start_next(now);
            }
            if self.stage == Stage::Rising && self.waiting.is_empty() && self.starting.is_empty() {
                self.stage = Stage::Up;
                self.effects.push(Effect::Ready);
            }
        }
        std::mem::take(&mut self.effects)
    }

    fn start_next(&mut self, now: Moment) {
        let is_due = |id: &&ChildId| self.children.get(id).is_some_and(|child| child.hold <= now);
        if let Some(&id) = self.waiting.iter().find(is_due)
            && let Some(child) = self.children.get_mut(&id)
        {
            child.phase = Phase::Starting;
            self.waiting.remove(&id);
            self.starting.insert(id);
            self.effects.push(Effect::Start(id));
        }
    }

    fn stop(&mut self, id: ChildId, now: Moment) {
        if let Some(child) = self.children.get_mut(&id) {
            child.note_calm(now);
            child.phase = Phase::Stopping;
            self.starting.remove(&id);
            self.effects.push(Effect::Stop(id));
        }
    }

    fn wait(&mut self, id: ChildId) {
        if let Some(child) = self.children.get_mut(&id) {
            child.phase = Phase::Waiting;
            self.waiting.insert(id);
        }
    }

    fn forget(&mut self, id: ChildId) {
        self.children.remove(&id);
        self.waiting.remove(&id);
        self.effects.push(Effect::Forget(id));
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
