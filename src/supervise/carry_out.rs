//! The plan's effects, and what comes of them.

use std::collections::VecDeque;

use tracing::{debug, error, info, warn};

use super::child::{ChildId, End, Phase};
use super::effect::{Effect, Escalation};
use super::member::Prospect;
use super::run::{Above, KILL_GRACE, Run, Stage};
use super::words::Event;
use super::{Escalated, Reason, Strategy};
use crate::actor::{Exit, Stop};
use crate::base::{Moment, whole_millis};

impl Run {
    /// Does what the plan says, in its order, and what follows from that.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut effects: VecDeque<Effect> = effects.into();
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Start(id) => effects.extend(self.start(id)),
                Effect::Stop(id) => self.stop(id),
                Effect::Forget(id) => {
                    if let Some(child) = self.members.remove(&id) {
                        self.dismiss(id, child);
                    }
                }
                Effect::Ready => self.ready(),
                Effect::Finished => {
                    let killed = self.manner == Some(Stop::Kill);
                    effects.extend(self.finish(if killed { Exit::Killed } else { Exit::Stopped }));
                }
                Effect::Escalate(why) => {
                    let exit = self.escalate(why);
                    effects.extend(self.finish(exit));
                }
            }
        }
    }

    fn start(&mut self, id: ChildId) -> Vec<Effect> {
        let (now, random) = (self.now(), self.office.system.rt().random());
        let supervisor = self.office.name();
        let Some(child) = self.members.get_mut(&id) else { return Vec::new() };
        if child.alive {
            // It was given up as stuck in an earlier incarnation of this supervisor.
            error!(name: "child_still_stuck", target: "callboard::supervise", %supervisor, child = %child.name,
                "not started: its last incarnation was killed and has not ended");
            child.last = Exit::Killed;
            return self.plan.on_exit(id, End::Failed, now, random);
        }
        child.start(id);
        debug!(name: "child_starting", target: "callboard::supervise", %supervisor, child = %child.name,
            incarnation = child.incarnations, "starts a child");
        Vec::new()
    }

    fn stop(&mut self, id: ChildId) {
        let now = self.now();
        let Some(child) = self.members.get_mut(&id) else { return };
        // Why `Now` for a restart: what waits in the mailbox is for the next incarnation.
        let gently = if child.removers.is_empty() { Stop::Now } else { Stop::Drain };
        let manner = self.manner.unwrap_or(gently);
        let at_once = child.stop_timeout.is_some_and(|timeout| timeout.is_zero());
        if manner == Stop::Kill || at_once {
            self.kill(id, now);
            return;
        }
        child.end(manner);
        if let Some(timeout) = child.stop_timeout {
            self.deadlines.insert((now + timeout, id));
        }
    }

    fn kill(&mut self, id: ChildId, now: Moment) {
        let Some(child) = self.members.get_mut(&id) else { return };
        child.end(Stop::Kill);
        if child.may_stick() {
            self.deadlines.insert((now + KILL_GRACE, id));
        }
    }

    /// Kills whatever was told to stop and has not.
    pub(super) fn kill_those_that_stop(&mut self, now: Moment) {
        let stopping = |child: &super::member::Member| {
            child.alive && matches!(child.stop, Some(Stop::Drain | Stop::Now))
        };
        let slow: Vec<ChildId> =
            self.members.iter().filter(|(_, child)| stopping(child)).map(|(id, _)| *id).collect();
        for id in slow {
            self.deadlines.retain(|(_, other)| *other != id);
            self.kill(id, now);
        }
    }

    /// A child did not end in time: kills it, or gives it up if it was killed before.
    pub(super) fn lose_patience(&mut self, id: ChildId, now: Moment) {
        let supervisor = self.office.name();
        let Some(child) = self.members.get(&id) else { return };
        if child.stop != Some(Stop::Kill) {
            warn!(name: "child_killed", target: "callboard::supervise", %supervisor, child = %child.name,
                timeout = ?child.stop_timeout, "the child did not stop in time and is killed");
            self.kill(id, now);
            return;
        }
        error!(name: "child_stuck", target: "callboard::supervise", %supervisor, child = %child.name,
            "the child was killed and does not end: it never awaits");
        let effects = self.plan.on_stuck(id, now);
        self.carry_out(effects);
    }

    pub(super) fn on_started(&mut self, id: ChildId) {
        let Some(child) = self.members.get_mut(&id) else { return };
        debug!(name: "child_started", target: "callboard::supervise", supervisor = %self.office.name(),
            child = %child.name, "child is up");
        if let Some(adder) = child.adder.take() {
            drop(adder.send(Ok(())));
        }
        let effects = self.plan.on_started(id, self.now());
        self.carry_out(effects);
    }

    pub(super) fn on_exited(&mut self, id: ChildId, exit: Exit) {
        let (now, random) = (self.now(), self.office.system.rt().random());
        let Some(child) = self.members.get_mut(&id) else { return };
        let asked = child.stop.is_some();
        child.alive = false;
        child.last = exit.clone();
        self.deadlines.retain(|(_, other)| *other != id);
        let (supervisor, child) = (self.office.name().clone(), child.name.clone());
        match exit.is_failure() {
            true => {
                warn!(name: "child_failed", target: "callboard::supervise", %supervisor, %child, %exit, asked, "child failed")
            }
            false => {
                debug!(name: "child_ended", target: "callboard::supervise", %supervisor, %child, %exit, asked, "child ended")
            }
        }
        let end = if exit.is_failure() { End::Failed } else { End::Normal };
        let effects = self.plan.on_exit(id, end, now, random);
        self.carry_out(effects);
        self.foretell_after(id, now);
    }

    /// Tells the child that has ended, and siblings that are restarted with it, whether they will live again.
    fn foretell_after(&mut self, id: ChildId, now: Moment) {
        let alone = self.plan.strategy() == Strategy::OneForOne || self.stage != Stage::On;
        let hit = if alone { id..=id } else { ChildId(0)..=ChildId(u64::MAX) };
        for (&id, child) in self.members.range_mut(hit).filter(|(_, child)| !child.alive) {
            let prospect = match (self.stage, self.plan.phase(id)) {
                (Stage::On, _) if self.plan.is_ending() => continue,
                (Stage::On, Some(Phase::Waiting)) => Prospect::Open,
                (Stage::On, Some(Phase::Done)) => Prospect::Resting,
                // It was stuck when this supervisor's own incarnation ended, and came loose.
                (Stage::Open, _) => Prospect::Open,
                (Stage::Resting, _) => Prospect::Resting,
                _ => continue,
            };
            if let Some(hold) = self.plan.hold(id).filter(|_| child.prospect != Some(prospect)) {
                let delay_ms = whole_millis(hold.since(now));
                info!(name: "child_restarts", target: "callboard::supervise", supervisor = %self.office.ended.name,
                    child = %child.name, delay_ms, "child will be restarted");
            }
            child.foretell(prospect);
        }
    }

    fn ready(&mut self) {
        info!(name: "supervisor_started", target: "callboard::supervise", supervisor = %self.office.name(),
            children = self.members.len(), "all children are up");
        match &mut self.above {
            Above::Nobody(ready) => {
                if let Some(ready) = ready.take() {
                    // Whoever waited may have given up: then a stop is on its way.
                    ready.send(()).ok();
                }
            }
            Above::Supervisor { boss, id: Some(id) } => boss.tell(Event::Started(*id)),
            Above::Supervisor { id: None, .. } => {}
        }
    }

    fn escalate(&self, why: Escalation) -> Exit {
        let (id, reason) = match why {
            Escalation::TooManyRestarts(id) => (id, Reason::TooManyRestarts(self.plan.intensity())),
            Escalation::StartFailed(id) => (id, Reason::StartFailed),
            Escalation::Stuck(id) => (id, Reason::Stuck),
        };
        let supervisor = self.office.name().clone();
        let Some(child) = self.members.get(&id) else { return Exit::Killed };
        let (child, exit) = (child.name.clone(), child.last.clone());
        error!(name: "supervisor_gave_up", target: "callboard::supervise", %supervisor, %child, ?reason, %exit,
            "supervisor gives up and has stopped its children");
        Escalated { supervisor, child, reason, exit }.into()
    }

    /// The incarnation is over: all children are down, or stuck.
    fn finish(&mut self, exit: Exit) -> Vec<Effect> {
        self.exit = exit.clone();
        self.stage = Stage::Undecided;
        self.deadlines.clear();
        match &self.above {
            Above::Supervisor { boss, id } if !self.to_close => {
                if let Some(id) = id {
                    boss.tell(Event::Exited(*id, exit));
                }
            }
            _ => {
                self.close();
                return Vec::new();
            }
        }
        let mut effects = self.plan.renew();
        let unwanted = self.members.iter().filter(|(_, child)| !child.removers.is_empty());
        for id in unwanted.map(|(id, _)| *id).collect::<Vec<_>>() {
            effects.extend(self.plan.on_remove(id, self.now()));
        }
        effects
    }
}
