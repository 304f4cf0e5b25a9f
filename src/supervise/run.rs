//! The supervisor's task: hears, asks the plan, and does what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use futures::channel::oneshot;
use tracing::{debug, info};

use super::child::{ChildId, Phase};
use super::member::{Member, Newcomer, Prospect};
use super::office::Office;
use super::plan::Plan;
use super::words::{Boss, Event, Gone, Order, Request};
use super::{AddError, ChildInfo, ChildState, Intensity, RemoveError, Strategy};
use crate::actor::{Ended, Exit, Stop};
use crate::base::{Moment, Name, catch};
use crate::mailbox::{Event as Mail, Reply};
use crate::runtime::Clock;

/// How long a child may take to end once it was killed. It only has to come to its next await.
pub(super) const KILL_GRACE: Duration = Duration::from_secs(1);

/// Who waits for news of this supervisor.
pub(super) enum Above {
    /// Whoever called `start`.
    Nobody(Option<oneshot::Sender<()>>),
    /// Its own supervisor. It gave this id with its first order.
    Supervisor { boss: Boss, id: Option<ChildId> },
}

/// Where a supervisor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has no incarnation. Its own supervisor has not said yet whether there will be another.
    Undecided,
    /// It has none, and will have another.
    Open,
    /// It has none, and no other is planned.
    Resting,
    /// It has one: the plan runs.
    On,
    /// Its children are told to end for good.
    Closing,
}

/// A supervisor at work.
pub(super) struct Run {
    pub(super) office: Office,
    pub(super) above: Above,
    pub(super) plan: Plan,
    /// Limit: as many as the user added.
    pub(super) members: BTreeMap<ChildId, Member>,
    /// Told to end for good, and not through yet.
    pub(super) leaving: BTreeMap<ChildId, Member>,
    /// When patience with a child that was told to stop ends. Limit: one for each child.
    pub(super) deadlines: BTreeSet<(Moment, ChildId)>,
    pub(super) stage: Stage,
    /// How children are stopped, once somebody told the supervisor itself to end.
    pub(super) manner: Option<Stop>,
    /// How the last incarnation ended.
    pub(super) exit: Exit,
    /// Its own supervisor wants it to end for good, as soon as this incarnation has.
    pub(super) to_close: bool,
    /// Those that were given up, by the child that they are or are below of.
    pub(super) stuck: Vec<(ChildId, Name)>,
}

/// What woke the supervisor.
enum Woken {
    Event(Event),
    Request(Request),
    Alarm(Moment),
}

impl Run {
    pub(super) fn new(
        office: Office,
        above: Above,
        strategy: Strategy,
        intensity: Intensity,
        crew: Vec<Newcomer>,
    ) -> Run {
        let mut run = Run {
            office,
            above,
            plan: Plan::new(strategy, intensity),
            members: BTreeMap::new(),
            leaving: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            stage: Stage::Open,
            manner: None,
            exit: Exit::Stopped,
            to_close: false,
            stuck: Vec::new(),
        };
        for newcomer in crew {
            // A plan that is new takes all.
            let _ = run.take_in(newcomer);
        }
        run
    }

    /// Starts a supervisor that has none above it.
    pub(super) fn spawn(self) {
        let (rt, name) = (self.office.system.rt().clone(), self.office.name().clone());
        rt.spawn(name.as_str(), self.run());
    }

    /// Runs until it is to end for good and all its children have.
    pub(super) async fn run(mut self) {
        let mut clock = self.office.system.rt().clock();
        if let Above::Nobody(_) = self.above {
            self.on_order(Order::Start(ChildId(0), 1));
        }
        while self.stage != Stage::Closing || !self.leaving.is_empty() {
            match std::future::poll_fn(|cx| self.poll(&mut clock, cx)).await {
                Woken::Event(event) => self.on_event(event),
                Woken::Request(request) => self.on_request(request),
                Woken::Alarm(now) => self.on_alarm(now),
            }
        }
        self.end();
    }

    fn poll(&mut self, clock: &mut Clock, cx: &mut Task<'_>) -> Poll<Woken> {
        let mail = match self.office.mailbox.poll_next(cx) {
            // Why asked again: a closed mailbox has no messages to wait for, but still a control lane.
            Poll::Ready(Mail::Closed) => self.office.mailbox.poll_control(cx).map(Mail::Control),
            other => other,
        };
        match mail {
            Poll::Ready(Mail::Control(event)) => return Poll::Ready(Woken::Event(event)),
            Poll::Ready(Mail::Message(request)) => {
                self.office.mailbox.settle(1);
                return Poll::Ready(Woken::Request(request));
            }
            Poll::Ready(Mail::Closed) | Poll::Pending => {}
        }
        let patience = self.deadlines.first().map(|(at, _)| *at);
        let next = self.plan.next_alarm().into_iter().chain(patience).min();
        clock.poll_alarm(next, cx).map(Woken::Alarm)
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Started(id) => self.on_started(id),
            Event::Exited(id, exit) => self.on_exited(id, exit),
            Event::Gone(id, gone) => self.on_gone(id, gone),
            Event::Order(order) => self.on_order(order),
            Event::End(stop) => self.shut_down(stop),
            // A supervisor that is not up has nothing to stop. Who asks while that is undecided is told with the
            // others.
            Event::Stop if self.stage == Stage::Open => self.office.life.pass(&self.report()),
            Event::Stop => self.shut_down(Stop::Drain),
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Start(id, _) => {
                if let Above::Supervisor { id: own, .. } = &mut self.above {
                    *own = Some(id);
                }
                self.foretell(Prospect::Open);
                self.open();
                self.stage = Stage::On;
                self.manner = None;
                debug!(name: "supervisor_starting", target: "callboard::supervise", supervisor = %self.office.name(),
                    children = self.members.len(), "starts its children");
                let effects = self.plan.on_start(self.now());
                self.carry_out(effects);
            }
            Order::Open => {
                self.foretell(Prospect::Open);
                self.open();
            }
            Order::Rest => {
                self.stage = Stage::Resting;
                self.office.mailbox.close();
                self.foretell(Prospect::Resting);
                self.office.life.end(self.report());
            }
            Order::Close(id) => {
                if let Above::Supervisor { id: own, .. } = &mut self.above {
                    *own = Some(id);
                }
                self.to_close = true;
                match self.stage {
                    Stage::On => self.shut_down(Stop::Now),
                    _ => self.close(),
                }
            }
        }
    }

    fn foretell(&mut self, prospect: Prospect) {
        self.members.values_mut().for_each(|child| child.foretell(prospect));
    }

    /// Takes requests again, and tells those who stopped the last incarnation that it is over.
    fn open(&mut self) {
        self.stage = Stage::Open;
        self.office.mailbox.reopen();
        self.office.life.revive();
        self.office.life.pass(&self.report());
    }

    /// Ends this incarnation, if there is one: stops the children, in this manner.
    fn shut_down(&mut self, stop: Stop) {
        if self.stage != Stage::On {
            return;
        }
        self.manner = self.manner.max(Some(stop));
        let now = self.now();
        if stop == Stop::Kill {
            self.kill_those_that_stop(now);
        }
        let effects = self.plan.on_shutdown(now);
        self.carry_out(effects);
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Add(newcomer, reply) => self.on_add(newcomer, reply),
            Request::Remove(name, reply) => self.on_remove(&name, reply),
            Request::Children(reply) => {
                let children = self.members.iter().map(|(id, child)| self.show(*id, child)).collect();
                drop(reply.send(children));
            }
        }
    }

    fn on_add(&mut self, newcomer: Newcomer, reply: Reply<Result<(), AddError>>) {
        let name = &newcomer.member.name;
        let refused = if self.members.values().chain(self.leaving.values()).any(|child| child.name == *name) {
            Err(AddError::NameTaken(name.clone()))
        } else if matches!(self.stage, Stage::Resting | Stage::Closing) || self.plan.is_ending() {
            Err(AddError::Closed)
        } else {
            Ok(())
        };
        if refused.is_err() {
            // Why caught: what the factory owns is the user's, and its drop may panic.
            drop(catch(move || drop(newcomer)));
            drop(reply.send(refused));
            return;
        }
        if let Some(id) = self.take_in(newcomer)
            && let Some(child) = self.members.get_mut(&id)
        {
            child.adder = Some(reply);
        }
        let effects = self.plan.on_alarm(self.now());
        self.carry_out(effects);
    }

    fn on_remove(&mut self, name: &str, reply: Reply<Result<Ended, RemoveError>>) {
        let mut all = self.members.iter_mut().chain(&mut self.leaving);
        let Some((&id, child)) = all.find(|(_, child)| child.name.as_str() == name) else {
            drop(reply.send(Err(RemoveError::NotFound)));
            return;
        };
        child.removers.push(reply);
        let effects = self.plan.on_remove(id, self.now());
        self.carry_out(effects);
    }

    /// Makes a child known to the plan, and starts its task, which waits for orders.
    fn take_in(&mut self, newcomer: Newcomer) -> Option<ChildId> {
        let Newcomer { mut member, task } = newcomer;
        let id = self.plan.add(member.restart, member.backoff)?;
        member.id = Some(id);
        let full_name = member.full_name.clone();
        self.members.insert(id, member);
        let rt = self.office.system.rt();
        rt.spawn(full_name.as_str(), task);
        Some(id)
    }

    fn on_alarm(&mut self, now: Moment) {
        while let Some(&(due, id)) = self.deadlines.first()
            && due <= now
        {
            self.deadlines.pop_first();
            self.lose_patience(id, now);
        }
        let effects = self.plan.on_alarm(now);
        self.carry_out(effects);
    }

    fn on_gone(&mut self, id: ChildId, gone: Gone) {
        self.stuck.retain(|(stuck, _)| *stuck != id);
        self.stuck.extend(gone.stuck.into_iter().map(|name| (id, name)));
        self.office.ended.unhandled += gone.ended.unhandled;
        let Some(mut child) = self.leaving.remove(&id) else { return };
        child.alive = false;
        if let Some(adder) = child.adder.take() {
            let exit = child.last.clone();
            let error = if exit.is_failure() { AddError::StartFailed(exit) } else { AddError::Closed };
            drop(adder.send(Err(error)));
        }
        for remover in child.removers.drain(..) {
            drop(remover.send(Ok(gone.ended.clone())));
        }
    }

    /// Ends all children for good. They are down, but for those that are stuck.
    pub(super) fn close(&mut self) {
        self.stage = Stage::Closing;
        self.office.mailbox.close();
        self.deadlines.clear();
        for (id, child) in std::mem::take(&mut self.members) {
            self.dismiss(id, child);
        }
    }

    /// Ends one child for good. It is down, or stuck.
    pub(super) fn dismiss(&mut self, id: ChildId, mut child: Member) {
        child.close(id);
        if !child.alive {
            self.leaving.insert(id, child);
            return;
        }
        child.seal();
        self.stuck.push((id, child.full_name.clone()));
        for remover in child.removers.drain(..) {
            drop(remover.send(Err(RemoveError::Stuck)));
        }
    }

    /// Everything below has ended: says so.
    fn end(mut self) {
        for request in self.office.mailbox.take_rest() {
            // Why caught: it may hold a factory, which is the user's.
            drop(catch(move || drop(request)));
        }
        self.office.ended = self.report();
        let ended = &self.office.ended;
        info!(name: "supervisor_ended", target: "callboard::supervise", supervisor = %ended.name, exit = %ended.exit,
            stuck = ended.stuck.len(), unhandled = ended.unhandled, "supervisor ended");
        let news = ended.clone();
        let Run { office, above, .. } = self;
        drop(office);
        if let Above::Supervisor { boss, id: Some(id) } = above {
            let ended = Ended { name: news.name, exit: news.exit, unhandled: news.unhandled };
            boss.tell(Event::Gone(id, Gone { ended, stuck: news.stuck }));
        }
    }

    /// How it would have ended if it ended now.
    fn report(&self) -> super::SupervisorEnded {
        let mut report = self.office.ended.clone();
        report.exit = self.exit.clone();
        let alive = self.members.values().filter(|child| child.alive && self.stage != Stage::On);
        let stuck = self.stuck.iter().map(|(_, name)| name).chain(alive.map(|child| &child.full_name));
        report.stuck = stuck.cloned().collect();
        report
    }

    fn show(&self, id: ChildId, child: &Member) -> ChildInfo {
        let state = match self.plan.phase(id) {
            Some(Phase::Stopping) => ChildState::Stopping,
            Some(Phase::Starting) => ChildState::Starting,
            Some(Phase::Running(_)) => ChildState::Running,
            _ if child.alive => ChildState::Stuck,
            Some(Phase::Waiting) => ChildState::Waiting,
            Some(Phase::Done) | None => ChildState::Done,
        };
        ChildInfo { name: child.name.clone(), state, restarts: child.incarnations.saturating_sub(1) }
    }

    pub(super) fn now(&self) -> Moment {
        self.office.system.rt().now()
    }
}
