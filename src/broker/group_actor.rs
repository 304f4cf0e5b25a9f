//! The group's actor: keeps the ledger, hands out leases, looks after the consumers.
//!
//! Everything it decides is in the ledger; here its effects are carried out. Hardly any code of a user runs in this task:
//! errors and panics arrive as texts, payloads are dropped with care (`Batch`), functions that weigh are caught.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tracing::debug;

use super::bits::Bits;
use super::books::GroupId;
use super::breaker::Tally;
use super::consumer::FromConsumer;
use super::disk::Keeper;
use super::dying::{Dying, Gone};
use super::events::Teller;
use super::gate::Gate;
use super::group_word::{GroupWord, Handout};
use super::ledger::{Effect, Ledger, Report};
use super::members::Members;
use super::message::{Batch, IdStamp, Item};
use super::outcome::{TIMED_OUT, Verdict};
use super::room::Lacks;
use super::scope::Scope;
use super::topic_actor::{GroupNews, TopicWord};
use super::weight::Weigher;
use super::witness::{Sight, Watched};
use super::{GroupSettings, GroupState, GroupStats};
use crate::base::{Bug, Moment, Name, planted};
use crate::mailbox::{Event, Receiver, Reply, WeakSender};
use crate::runtime::{Clock, Rt};
use crate::supervise::RestartWindow;

use ending::Stopping;
use seek::Seeking;
use staff::Hire;
use steer::Drain;
use tell::Dropped;

/// How long a consumer may keep what it has not started from one that has nothing to do (G9).
const PATIENCE: Duration = Duration::from_millis(5);

pub(crate) type Leave = Box<dyn Fn() + Send>;

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
    pub(crate) lacks: Arc<Lacks>,
    pub(crate) dying: Dying<T>,
    /// What a message takes of the rate limit, if not one.
    pub(crate) weigher: Option<Weigher<T>>,
    pub(crate) watched: Watched,
    pub(crate) teller: Arc<Teller>,
    /// Present if the topic is durable.
    pub(crate) keeper: Option<Keeper>,
    /// Present if the group ends with its last consumer: takes it off the topic's list, and deletes it.
    pub(crate) leave: Option<Leave>,
}

/// The actor with everything it keeps while it lives.
pub(crate) struct Life<T> {
    actor: GroupActor<T>,
    ledger: Ledger<Arc<Batch<T>>>,
    effects: Vec<Effect<Arc<Batch<T>>>>,
    members: Members<T>,
    window: RestartWindow,
    failures_in_a_row: u32,
    restarts: u64,
    state: GroupState,
    clock: Clock,
    look_at: Option<Moment>,
    share_at: Option<Moment>,
    /// There was nothing to share when last seen, and nothing was handed out since.
    shared: bool,
    stop: Option<Stopping>,
    /// Nothing is handed out until it is told to go on.
    paused: bool,
    gate: Gate,
    hire: Hire<T>,
    told: GroupNews,
    told_dropped: Dropped,
    /// Limit: each is a future somewhere.
    nudges: Vec<Reply<()>>,
    /// Limit: each is a future somewhere.
    drains: Vec<Drain>,
    /// Where it is to go, one after the other. Limit: each is a future somewhere, or was.
    seeks: VecDeque<Seeking>,
}

impl<T: Send + Sync + 'static> GroupActor<T> {
    /// Runs the group until it is stopped.
    pub(crate) async fn run(self) {
        let (window, clock) = (RestartWindow::new(self.settings.intensity), self.rt.clock());
        let mut life = Life {
            ledger: Ledger::new(&self.settings),
            effects: Vec::new(),
            members: Members::default(),
            window,
            failures_in_a_row: 0,
            restarts: 0,
            state: GroupState::Running,
            clock,
            look_at: None,
            share_at: None,
            shared: false,
            stop: None,
            paused: false,
            gate: Gate::new(&self.settings, self.rt.now()),
            hire: Hire::default(),
            told: GroupNews::default(),
            told_dropped: Dropped::default(),
            nudges: Vec::new(),
            drains: Vec::new(),
            seeks: VecDeque::new(),
            actor: self,
        };
        std::future::poll_fn(|cx| life.poll(cx)).await;
        life.end();
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    /// Works off what there is. `Ready` when the group has stopped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Why one for all: what a poll works off is bounded by the mailbox's budget, and a clock costs as much as a
        // lease. A moment that is a little early makes nothing late that was not late before.
        let mut read = None;
        loop {
            // Why again after it: each of the two may give the other something to do.
            if self.poll_dead_letters(cx) {
                continue;
            }
            for nudged in self.nudges.drain(..) {
                let _ = nudged.send(());
            }
            if self.go_on_seeking() {
                continue;
            }
            self.answer_drains();
            if self.is_over() {
                return Poll::Ready(());
            }
            self.tell_topic();
            let Poll::Ready(event) = self.actor.mailbox.poll_next(cx) else {
                self.show_books();
                self.show_wait();
                // Why last: the mailbox lets it come to this after at most its budget of events.
                let now = std::task::ready!(self.clock.poll_alarm_at(self.next_alarm(), read, cx));
                self.on_alarm(now);
                self.carry_out(now);
                read = Some(now);
                continue;
            };
            // Why anew: the word may be younger than what was read, and the wait it begins would end too early.
            if matches!(&event, Event::Control(word) if word.begins_a_wait()) {
                read = None;
            }
            let now = *read.get_or_insert_with(|| self.actor.rt.now());
            match event {
                Event::Control(word) => self.hear(word, now),
                Event::Message(handout) => {
                    self.actor.mailbox.settle(1);
                    self.take_in(handout);
                    self.note_handout();
                    self.note_seek();
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
                self.members.forget(lease);
                self.plant_settled(lease);
                self.on_give_back(lease);
            }
            GroupWord::From(FromConsumer::News(id, news)) => self.on_news(id, news, now),
            // Dropped unanswered: whoever asks opens another group, or hears that all is closed.
            GroupWord::AddHandlers { .. } | GroupWord::AddStream(_) if self.state == GroupState::Stopping => {
            }
            GroupWord::AddHandlers { count, spawn, done } => self.add_handlers(count, spawn, done),
            GroupWord::AddStream(port) => self.add_stream(port),
            GroupWord::Evicted { batch, which } => self.on_evicted(&batch, which),
            GroupWord::EvictedBefore { base, which } => {
                self.ledger.on_evicted_before(base, which, &mut self.effects);
            }
            GroupWord::Skipped(messages) => self.ledger.on_skipped_before(messages),
            GroupWord::Unread(unread) => self.on_unread(unread),
            GroupWord::Remember(all) => self.ledger.remember(all),
            GroupWord::WhenKept(port) => self.tell_kept(port),
            GroupWord::Halted => self.on_stopped(),
            GroupWord::Nudge(port) => self.nudges.push(port),
            GroupWord::Steer(word) => self.steer(word, now),
            GroupWord::Drain { upto, reply } => self.on_drain(upto, reply),
            GroupWord::Stats(reply) => self.tell_stats(reply),
            GroupWord::ConsumerStats(reply) => {
                let counts = |id| self.ledger.worker(id).unwrap_or_default();
                drop(reply.send(self.members.stats(counts)));
            }
            GroupWord::Stop { kill, withheld, report } => {
                self.ledger.on_withheld(withheld);
                self.on_stop(kill, report, now);
            }
        }
    }

    fn on_report(&mut self, report: Report, now: Moment) {
        self.members.forget(report.lease);
        for (_, verdict) in &report.exceptions {
            let (topic, group) = (&self.actor.topic_name, &self.actor.name);
            if let Verdict::Retry { error, .. } = verdict {
                debug!(target: "callboard::broker", %topic, %group, %error, "delivery failed");
            } else if let Verdict::NoRoom { error } = verdict {
                debug!(target: "callboard::broker", %topic, %group, %error, "delivery found no room");
            }
        }
        let random = if report.exceptions.is_empty() { 0 } else { self.actor.rt.random() };
        let heard = self.gate.fuse().is_some().then(|| Tally::of(report.upto, &report.exceptions));
        let (lease, well) = (report.lease, self.good_ends());
        let known = self.ledger.on_report(report, now, random, &mut self.effects);
        // Where a rate counts, a lease is one message.
        self.gate.on_over(lease);
        if let Some(tally) = heard.filter(|_| known) {
            self.on_ends(lease, tally, well, now);
        }
    }

    fn on_alarm(&mut self, now: Moment) {
        self.ledger.on_alarm(now, &mut self.effects);
        if self.gate.on_alarm(now) {
            self.show_allowance();
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look(now);
            let busy = self.ledger.counts().in_flight > 0;
            // Why anew: what began just before this look must have its whole time until the next one.
            self.look_at = busy.then(|| self.actor.rt.now() + self.actor.settings.ack_timeout);
        }
        self.members.rebuild(now);
        if self.share_at.is_some_and(|at| at <= now) {
            self.share(now);
        }
        self.look_at_stop(now);
    }

    /// Takes back what is past its deadline.
    fn look(&mut self, now: Moment) {
        for (lease, by) in self.members.look(|consumer| self.actor.tell_stuck(consumer)) {
            let verdict = Verdict::failed(TIMED_OUT);
            self.show_expired(lease, by, &verdict);
            let random = self.actor.rt.random();
            let well = self.good_ends();
            self.gate.on_over(lease);
            if self.ledger.on_sole(lease, verdict, now, random, &mut self.effects) {
                self.on_ends(lease, Tally::ONE, well, now);
            }
        }
    }

    /// Hands out what there is, and does what the ledger says.
    fn carry_out(&mut self, now: Moment) {
        self.ledger.give_up_surplus(&mut self.effects);
        self.ledger.skip_ahead(&mut self.effects);
        if self.hands_out() {
            self.hand_out(now);
        }
        self.tell_dropped();
        while !self.effects.is_empty() {
            let mut effects = std::mem::take(&mut self.effects);
            effects.drain(..).for_each(|effect| self.apply(effect));
            // Why back: applying makes no effects, as a rule, and the buffer serves again.
            if self.effects.is_empty() {
                self.effects = effects;
            }
        }
        if self.share_at.is_none() && !self.shared && self.is_uneven() {
            self.share_at = Some(now + PATIENCE);
        }
        if self.look_at.is_none() && self.ledger.counts().in_flight > 0 {
            self.look_at = Some(now + self.actor.settings.ack_timeout);
        }
        if self.ledger.has_let_go() {
            self.tell_let_go();
        }
    }

    fn apply(&mut self, effect: Effect<Arc<Batch<T>>>) {
        match effect {
            Effect::Settled { .. } if planted(Bug::ForgottenSettled) && self.ledger.counts().failures > 3 => {
            }
            Effect::Settled { base, which } => {
                let (topic, group) = (&self.actor.topic_name, &self.actor.name);
                self.actor.watched.show(|| Sight::Settled { topic, group, base, which });
                self.keep_done(base, which);
                let group = self.actor.id;
                drop(self.actor.topic.control(TopicWord::Settled { group, base, which }));
            }
            Effect::SettledAgain { base, at } => {
                let (topic, group) = (&self.actor.topic_name, &self.actor.name);
                self.actor.watched.show(|| Sight::SettledAgain { topic, group, base, at });
                self.keep_done(base, Bits::range(at, at + 1));
                let group = self.actor.id;
                drop(self.actor.topic.control(TopicWord::SettledAgain { group, base, at }));
            }
            Effect::Removed { base, which } => self.tell_removed(base, which),
            Effect::RemovedAgain { base, at } => self.tell_removed_again(base, at),
            Effect::Noted { offset, remembered } => self.tell_note(offset, *remembered),
            Effect::Dead { slice, past, reason } => {
                self.actor.dying.push(Gone::Message(slice), past, reason);
            }
            Effect::Lease { consumer, id, slice, past } => {
                self.shared = false;
                if !self.members.hand(consumer, id, slice, past) {
                    // The consumer ended and its word is on the way.
                    self.ledger.on_ready(consumer, false);
                    self.on_give_back(id);
                }
            }
        }
    }

    /// Moves what was given up to the dead-letter topic, as far as that has room. Answers whether it moved any.
    fn poll_dead_letters(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some((gone, past)) = self.actor.dying.poll_move(cx) {
            match gone {
                Gone::Message(slice) => self.ledger.on_dead_lettered(&slice, &past, &mut self.effects),
                Gone::Bytes(unread) => self.ledger.on_unread_buried(unread.id.offset(), &mut self.effects),
            }
            moved = true;
        }
        if moved {
            let now = self.actor.rt.now();
            self.carry_out(now);
        }
        moved
    }

    fn next_alarm(&self) -> Option<Moment> {
        let stop = self.stop_deadline();
        let (rebuild, retry, room) =
            (self.members.next_rebuild(), self.ledger.next_alarm(), self.next_room());
        [rebuild, retry, room, self.look_at, self.share_at, stop].into_iter().flatten().min()
    }

    /// Answers by way of the topic, which adds what it knows. What this group has settled by now it hears before.
    fn tell_stats(&self, reply: Reply<GroupStats>) {
        let (group, stats) = (self.actor.id, Box::new(self.stats()));
        if let Err(TopicWord::GroupStats { stats, reply, .. }) =
            self.actor.topic.control(TopicWord::GroupStats { group, stats, reply })
        {
            drop(reply.send(*stats));
        }
    }

    fn stats(&self) -> GroupStats {
        let state = if self.hands_out() || self.state != GroupState::Running {
            self.state
        } else {
            GroupState::Paused
        };
        let (ledger, members) = (&self.ledger, &self.members);
        let (counts, keys) = (ledger.counts(), ledger.keys());
        let stats = GroupStats::new(state, counts, members.len(), self.restarts, members.stuck(), keys);
        GroupStats { breaker: self.gate.breaker(), rate_limit: self.gate.rate_limit(), ..stats }
    }
}

mod ending;
mod hand_out;
mod removed;
mod seek;
mod show;
mod staff;
mod steer;
mod tell;
