//! The group's actor: keeps the ledger, hands out leases, looks after the consumers.
//!
//! Everything it decides is in the ledger; here its effects are carried out. No code of a user runs in this task:
//! errors and panics arrive as texts, payloads are dropped with care (`Batch`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::books::{Bits, GroupId};
use super::consumer::{ConsumerNews, ConsumerSeat, ConsumerWord, FromConsumer};
use super::ledger::{ConsumerId, Credit, Effect, LeaseId, Ledger, Past, Report, Slice};
use super::lease::{Held, Lease, Progress};
use super::message::{Batch, IdStamp, Item};
use super::outcome::Verdict;
use super::scope::Scope;
use super::topic_actor::TopicWord;
use super::{DeadLetter, DeadReason, GroupReport, GroupSettings, GroupState, GroupStats};
use crate::base::{Moment, Name};
use crate::mailbox::{Event, Receiver, Reply, SendSink, Sender, WeakSender, mailbox};
use crate::runtime::{Clock, Rt};
use crate::supervise::{Allowance, RestartWindow};

/// A batch on its way to a group.
pub(crate) struct Handout<T> {
    pub(crate) batch: Arc<Batch<T>>,
    pub(crate) open: Bits,
}

/// What others say to a group.
pub(crate) enum GroupWord<T> {
    From(FromConsumer),
    /// Add handlers; the closure spawns the task of one.
    AddHandlers { count: u32, spawn: Arc<dyn Fn(ConsumerSeat<T>) + Send + Sync> },
    /// Add a pulled stream, whose end of the mailbox somebody else reads.
    AddStream { sender: Sender<Lease<T>, ConsumerWord>, id: Reply<ConsumerId> },
    Stats(Reply<GroupStats>),
    Stop { kill: bool, report: Reply<GroupReport> },
}

/// How long a stop waits for handlers that don't yield, before it reports them stuck.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Consumers' mailboxes count leases, of which the ledger gives a handler two at most.
const LEASES: usize = 4;

type Ours<T> = Sender<Lease<T>, ConsumerWord>;

pub(crate) struct GroupActor<T> {
    pub(crate) id: GroupId,
    pub(crate) name: Name,
    pub(crate) topic_name: Name,
    pub(crate) settings: GroupSettings,
    pub(crate) scope: Scope,
    pub(crate) rt: Rt,
    pub(crate) mailbox: Receiver<Handout<T>, GroupWord<T>>,
    pub(crate) own: WeakSender<Handout<T>, GroupWord<T>>,
    pub(crate) topic: WeakSender<Item<T>, TopicWord<T>, IdStamp>,
    pub(crate) dead_letters: SendSink<Item<DeadLetter>, TopicWord<DeadLetter>, IdStamp>,
}

/// The actor with everything it keeps while it lives.
pub(crate) struct Life<T> {
    actor: GroupActor<T>,
    ledger: Ledger<Arc<Batch<T>>>,
    effects: Vec<Effect<Arc<Batch<T>>>>,
    members: BTreeMap<ConsumerId, Member<T>>,
    next_member: u32,
    /// Pulled deliveries in flight, and what the last look saw of each. Limit: the streams' prefetch.
    pulled: BTreeMap<LeaseId, (Arc<Held>, Option<u64>)>,
    /// On the way to the dead-letter topic. Limit: the topic's capacity, which they still hold.
    dying: VecDeque<(Slice<Arc<Batch<T>>>, Past, DeadReason)>,
    parked_was_told: bool,
    window: RestartWindow,
    failures_in_a_row: u32,
    restarts: u64,
    state: GroupState,
    clock: Clock,
    look_at: Option<Moment>,
    stop: Option<Stopping>,
    told: (bool, u64),
}

struct Member<T> {
    mailbox: Ours<T>,
    /// Present for handlers.
    handler: Option<Handler<T>>,
}

struct Handler<T> {
    progress: Arc<Progress>,
    seen: Option<u64>,
    cancelled: Option<u64>,
    stuck: bool,
    rebuild_at: Option<Moment>,
    spawn: Arc<dyn Fn(ConsumerSeat<T>) + Send + Sync>,
}

struct Stopping {
    deadline: Moment,
    reports: Vec<Reply<GroupReport>>,
}

impl<T: Send + Sync + 'static> GroupActor<T> {
    /// Runs the group until it is stopped.
    pub(crate) async fn run(self) {
        let (window, clock) = (RestartWindow::new(self.settings.intensity), self.rt.clock());
        let mut life = Life {
            ledger: Ledger::new(self.settings.retry),
            effects: Vec::new(),
            members: BTreeMap::new(),
            next_member: 0,
            pulled: BTreeMap::new(),
            dying: VecDeque::new(),
            parked_was_told: false,
            window,
            failures_in_a_row: 0,
            restarts: 0,
            state: GroupState::Running,
            clock,
            look_at: None,
            stop: None,
            told: (false, 0),
            actor: self,
        };
        std::future::poll_fn(|cx| life.poll(cx)).await;
        life.end();
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    /// Works off what there is. `Ready` when the group has stopped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while let Poll::Ready(now) = self.clock.poll_alarm(self.next_alarm(), cx) {
                self.on_alarm(now);
                self.carry_out(now);
            }
            self.poll_dead_letters(cx);
            if self.is_over() {
                return Poll::Ready(());
            }
            self.tell_topic();
            let event = std::task::ready!(self.actor.mailbox.poll_next(cx));
            let now = self.actor.rt.now();
            match event {
                Event::Control(word) => self.hear(word, now),
                Event::Message(handout) => {
                    self.actor.mailbox.settle(1);
                    for (from, to) in handout.open.runs() {
                        let (batch, base) = (handout.batch.clone(), handout.batch.base());
                        self.ledger.on_batch(Slice { batch, base, from, to });
                    }
                }
                // The topic is gone, by a runtime that shuts down: nothing comes any more, nobody listens.
                Event::Closed => return Poll::Ready(()),
            }
            self.carry_out(now);
        }
    }

    fn hear(&mut self, word: GroupWord<T>, now: Moment) {
        match word {
            GroupWord::From(FromConsumer::Report(report)) => self.on_report(report, now),
            GroupWord::From(FromConsumer::GiveBack(lease)) => {
                self.pulled.remove(&lease);
                self.ledger.on_give_back(lease, now);
            }
            GroupWord::From(FromConsumer::News(id, news)) => self.on_news(id, news, now),
            GroupWord::AddHandlers { count, spawn } => {
                for _ in 0..count {
                    self.add_handler(spawn.clone());
                }
            }
            GroupWord::AddStream { sender, id } => {
                let member = self.number();
                let prefetch = self.actor.settings.prefetch;
                self.ledger.on_consumer(member, Credit::Pull { prefetch });
                self.members.insert(member, Member { mailbox: sender, handler: None });
                match id.send(member) {
                    Ok(()) => self.ledger.on_ready(member, true),
                    // Whoever asked for the stream is gone.
                    Err(_) => self.remove(member),
                }
            }
            GroupWord::Stats(reply) => drop(reply.send(self.stats())),
            GroupWord::Stop { kill, report } => self.on_stop(kill, report, now),
        }
    }

    fn on_report(&mut self, report: Report, now: Moment) {
        self.pulled.remove(&report.lease);
        for (_, verdict) in &report.exceptions {
            if let Verdict::Retry { error, .. } = verdict {
                let (topic, group) = (&self.actor.topic_name, &self.actor.name);
                debug!(target: "callboard::broker", %topic, %group, %error, "delivery failed");
            }
        }
        let random = if report.exceptions.is_empty() { 0 } else { self.actor.rt.random() };
        self.ledger.on_report(report, now, random, &mut self.effects);
    }

    fn on_news(&mut self, id: ConsumerId, news: ConsumerNews, now: Moment) {
        match news {
            ConsumerNews::Ready => {
                self.failures_in_a_row = 0;
                self.ledger.on_ready(id, true);
            }
            ConsumerNews::Rebuilt => self.restarts += 1,
            ConsumerNews::Broken(text) => self.on_broken(id, &text, now),
            ConsumerNews::Ended => {
                let was_handler = self.members.get(&id).is_some_and(|member| member.handler.is_some());
                self.remove(id);
                if was_handler && self.stop.is_none() {
                    // Only a runtime that shuts down ends a handler's task unasked.
                    error!(target: "callboard::broker", group = %self.actor.name, "a consumer's task was dropped");
                }
            }
        }
    }

    /// No handler could be made: again after a backoff, or too often.
    fn on_broken(&mut self, id: ConsumerId, text: &str, now: Moment) {
        self.ledger.on_ready(id, false);
        let (topic, group) = (self.actor.topic_name.clone(), self.actor.name.clone());
        if self.stop.is_some() || self.state == GroupState::Failed {
            return;
        }
        self.restarts += 1;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        if self.window.on_restart(now) == Allowance::Exceeded {
            error!(target: "callboard::broker", %topic, %group, error = text, "group failed: its consumers can't be built");
            self.state = GroupState::Failed;
            for (id, member) in &mut self.members {
                self.ledger.on_ready(*id, false);
                if let Some(handler) = &mut member.handler {
                    handler.rebuild_at = None;
                }
            }
            return;
        }
        let wait = self.actor.settings.backoff.delay(self.failures_in_a_row, self.actor.rt.random());
        warn!(target: "callboard::broker", %topic, %group, error = text, ?wait, "consumer could not be built");
        if let Some(handler) = self.members.get_mut(&id).and_then(|member| member.handler.as_mut()) {
            handler.rebuild_at = Some(now + wait);
        }
    }

    fn on_stop(&mut self, kill: bool, report: Reply<GroupReport>, now: Moment) {
        self.state = GroupState::Stopping;
        let deadline = now + STOP_GRACE;
        self.stop.get_or_insert(Stopping { deadline, reports: Vec::new() }).reports.push(report);
        for (id, member) in &self.members {
            self.ledger.on_ready(*id, false);
            drop(member.mailbox.control(ConsumerWord::Stop { kill }));
        }
    }

    fn on_alarm(&mut self, now: Moment) {
        self.ledger.on_alarm(now);
        if self.look_at.is_some_and(|at| at <= now) {
            self.look(now);
            let busy = self.ledger.counts().in_flight > 0;
            self.look_at = busy.then(|| now + self.actor.settings.ack_timeout);
        }
        for member in self.members.values_mut() {
            let Some(handler) = &mut member.handler else { continue };
            if handler.rebuild_at.is_some_and(|at| at <= now) {
                handler.rebuild_at = None;
                drop(member.mailbox.control(ConsumerWord::Build));
            }
        }
        if self.stop.as_ref().is_some_and(|stop| stop.deadline <= now) {
            for handler in self.members.values_mut().filter_map(|member| member.handler.as_mut()) {
                handler.stuck = true;
            }
        }
    }

    /// Looks at what is in flight. What has not moved since the last look is past its deadline (G13).
    fn look(&mut self, now: Moment) {
        let group = &self.actor.name;
        for member in self.members.values_mut() {
            let Some(handler) = &mut member.handler else { continue };
            let busy = handler.progress.busy();
            let overdue = busy.filter(|_| busy == handler.seen);
            handler.stuck = overdue.is_some() && overdue == handler.cancelled;
            if handler.stuck {
                error!(target: "callboard::broker", %group, "handler stuck: cancelled past its deadline, and never yields");
            } else if let Some(number) = overdue {
                handler.cancelled = overdue;
                drop(member.mailbox.control(ConsumerWord::Cancel(number)));
            }
            handler.seen = busy;
        }
        let mut expired = Vec::new();
        for (lease, (held, seen)) in &mut self.pulled {
            let state = held.look();
            if let Some(state) = state.filter(|_| state == *seen)
                && held.expire(state)
            {
                expired.push(*lease);
            }
            *seen = state;
        }
        for lease in expired {
            self.pulled.remove(&lease);
            let verdict = Verdict::failed("no answer within the ack timeout");
            let random = self.actor.rt.random();
            self.ledger.on_sole(lease, verdict, now, random, &mut self.effects);
        }
    }

    /// Hands out what there is, and does what the ledger says.
    fn carry_out(&mut self, now: Moment) {
        if self.state == GroupState::Running {
            self.ledger.dispatch(now, &mut self.effects);
        }
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                self.apply(effect, now);
            }
        }
        if self.look_at.is_none() && self.ledger.counts().in_flight > 0 {
            self.look_at = Some(now + self.actor.settings.ack_timeout);
        }
    }

    fn apply(&mut self, effect: Effect<Arc<Batch<T>>>, now: Moment) {
        match effect {
            Effect::Settled { base, from, to } => {
                let group = self.actor.id;
                drop(self.actor.topic.control(TopicWord::Settled { group, base, from, to }));
            }
            Effect::Dead { slice, past, reason } => self.dying.push_back((slice, past, reason)),
            Effect::Lease { consumer, id, slice, past } => {
                let Some(member) = self.members.get(&consumer) else {
                    self.ledger.on_give_back(id, now);
                    return;
                };
                let held = member.handler.is_none().then(Arc::<Held>::default);
                let lease = Lease { id, batch: slice.batch, from: slice.from, to: slice.to, past, held: held.clone() };
                if member.mailbox.try_send(lease).is_err() {
                    // The consumer ended and its word is on the way.
                    self.ledger.on_ready(consumer, false);
                    self.ledger.on_give_back(id, now);
                } else if let Some(held) = held {
                    self.pulled.insert(id, (held, None));
                }
            }
        }
    }

    /// Moves what was given up to the dead-letter topic, as far as that has room.
    fn poll_dead_letters(&mut self, cx: &mut Context<'_>) {
        while !self.dying.is_empty() {
            let (topic, group) = (&self.actor.topic_name, &self.actor.name);
            match self.actor.dead_letters.poll_reserve(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return,
                Poll::Pending => {
                    if !std::mem::replace(&mut self.parked_was_told, true) {
                        warn!(target: "callboard::broker", %topic, %group, "parked: the dead-letter topic is full");
                    }
                    return;
                }
            }
            self.parked_was_told = false;
            let Some((slice, past, reason)) = self.dying.pop_front() else { return };
            let id = slice.batch.id(slice.from);
            info!(target: "callboard::broker", %topic, %group, %id, %reason, attempts = past.attempts, "dead letter");
            let (batch, group) = (slice.batch.clone(), group.clone());
            let letter = DeadLetter::new(batch, slice.from, group, past.attempts, reason.clone(), past.error.clone());
            match self.actor.dead_letters.fill(Item::new(letter)) {
                Ok(_) => self.ledger.on_dead_lettered(&slice, &mut self.effects),
                Err(_) => self.dying.push_front((slice, past, reason)),
            }
        }
        let now = self.actor.rt.now();
        self.carry_out(now);
    }

    fn next_alarm(&self) -> Option<Moment> {
        let rebuilds = self.members.values().filter_map(|member| member.handler.as_ref()?.rebuild_at);
        let stop = self.stop.as_ref().map(|stop| stop.deadline);
        rebuilds.chain(self.ledger.next_alarm()).chain(self.look_at).chain(stop).min()
    }

    fn is_over(&self) -> bool {
        self.stop.is_some()
            && self.members.values().all(|member| member.handler.as_ref().is_none_or(|handler| handler.stuck))
    }

    /// Tells the topic what it must know to say when it is quiet.
    fn tell_topic(&mut self) {
        let running = self.state == GroupState::Running && !self.members.is_empty();
        let parked = self.ledger.counts().parked;
        if self.told != (running, parked) {
            self.told = (running, parked);
            let group = self.actor.id;
            drop(self.actor.topic.control(TopicWord::GroupNews { group, running, parked }));
        }
    }

    fn add_handler(&mut self, spawn: Arc<dyn Fn(ConsumerSeat<T>) + Send + Sync>) {
        let id = self.number();
        let (sender, receiver) = mailbox(LEASES, ());
        let progress = Arc::<Progress>::default();
        let prefetch = self.actor.settings.prefetch;
        self.ledger.on_consumer(id, Credit::Handler { prefetch });
        let seat = ConsumerSeat::new(id, receiver, self.actor.own.clone(), progress.clone(), self.actor.scope);
        spawn(seat);
        let handler = Handler { progress, seen: None, cancelled: None, stuck: false, rebuild_at: None, spawn };
        self.members.insert(id, Member { mailbox: sender, handler: Some(handler) });
    }

    fn remove(&mut self, id: ConsumerId) {
        self.members.remove(&id);
        self.ledger.on_gone(id);
    }

    fn number(&mut self) -> ConsumerId {
        self.next_member += 1;
        ConsumerId(self.next_member)
    }

    fn stats(&self) -> GroupStats {
        let stuck = self.members.values().filter(|m| m.handler.as_ref().is_some_and(|h| h.stuck)).count();
        GroupStats::new(self.state, self.ledger.counts(), self.members.len(), self.restarts, stuck)
    }

    /// Tells everybody that the group is over, and what was left.
    fn end(mut self) {
        for (held, _) in self.pulled.values() {
            // A late ack finds its lease over.
            let _ = held.take_back() || held.look().is_some_and(|seen| held.expire(seen));
        }
        let stats = self.stats();
        let report = GroupReport::new(self.actor.topic_name.clone(), self.actor.name.clone(), stats);
        for reply in self.stop.take().into_iter().flat_map(|stop| stop.reports) {
            drop(reply.send(report.clone()));
        }
    }
}
