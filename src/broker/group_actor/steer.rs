//! How a running group is steered: paused, scaled, begun anew, drained.

use super::Life;
use crate::base::{Bug, Moment, planted};
use crate::broker::group_word::Steer;
use crate::broker::settings::MOST_CONSUMERS;
use crate::broker::topic_actor::{GroupNews, TopicWord};
use crate::broker::witness::Sight;
use crate::broker::workers::ConsumerId;
use crate::broker::{GroupState, SteerError};
use crate::mailbox::Reply;

/// Somebody waits until the group has nothing left to do of what came before.
pub(super) struct Drain {
    /// Messages before this offset.
    upto: u64,
    /// So many handouts were in the mailbox when it was asked for; messages before the offset may be among them.
    to_come: usize,
    reply: Reply<()>,
}

impl<T: Send + Sync + 'static> Life<T> {
    pub(super) fn steer(&mut self, word: Steer, now: Moment) {
        match word {
            // Dropped unanswered, as whatever is asked of a group that is over.
            _ if self.state == GroupState::Stopping => {}
            Steer::Pause(done) => {
                self.tell_paused(true);
                self.paused = true;
                self.take_back_all();
                self.tell_all(done);
            }
            Steer::Resume(done) => {
                self.tell_paused(false);
                self.paused = false;
                self.tell_all(done);
            }
            Steer::Seek(to, done) => self.begin_seek(to, done),
            Steer::Restart(done) => {
                if self.begin_anew() {
                    self.members.build_given_up();
                }
                self.tell_all(done);
            }
            Steer::Consumers(count, done) => {
                let scaled = self.scale(count);
                self.tell_topic();
                let _ = done.send(scaled);
            }
            Steer::Rate(limit, done) => {
                let is_first = self.gate.rate_limit().is_none();
                self.gate.set_rate_limit(limit, now);
                if is_first && limit.is_some() {
                    // What was handed out under no limit took no tokens, and a handler may have many: they begin under this one.
                    self.take_back_all();
                }
                let (topic, group) = (&self.actor.topic_name, &self.actor.name);
                self.actor.watched.show(|| Sight::Limited { topic, group, limit });
                let credit = self.handler_credit();
                self.members.ids().filter(|id| self.members.is_handler(*id)).for_each(|id| {
                    self.ledger.on_credit(id, credit);
                });
                let _ = done.send(());
            }
        }
    }

    /// Told first, the topic; so that whoever then waits for quiet finds it as it is.
    fn tell_all(&mut self, done: Reply<()>) {
        self.show_allowance();
        self.tell_topic();
        let _ = done.send(());
    }

    /// So many handlers from now on, those not counted that are going.
    fn scale(&mut self, count: u32) -> Result<(), SteerError> {
        if count > MOST_CONSUMERS {
            let fault = format!("{count} consumers are more than {MOST_CONSUMERS}");
            return Err(SteerError::Settings { faults: vec![fault] });
        }
        if count > 0 && !self.can_hire() {
            return Err(SteerError::NoHandler);
        }
        self.revive();
        let counts = |id| self.ledger.worker(id).map_or(0, |counts| counts.messages);
        let (there, surplus) = self.members.surplus(count as usize, counts);
        self.hire(count.saturating_sub(u32::try_from(there).unwrap_or(u32::MAX)));
        for id in surplus {
            self.take_back_from(id);
            self.ledger.on_ready(id, false);
            self.members.let_go(id);
        }
        Ok(())
    }

    /// Takes back all that is not started.
    pub(super) fn take_back_all(&mut self) {
        if planted(Bug::DeafPause) {
            return;
        }
        let all: Vec<_> = self.members.ids().collect();
        all.into_iter().for_each(|id| self.take_back_from(id));
    }

    /// Takes from a consumer what it has not started.
    pub(super) fn take_back_from(&mut self, consumer: ConsumerId) {
        let taken = self.members.take_back(consumer);
        if !taken.is_empty() {
            // Until it says that it is here: it may be at its message for long.
            self.ledger.on_ready(consumer, false);
        }
        for (lease, end) in taken {
            let before = self.ledger.counts().in_flight;
            self.ledger.on_taken_back(lease, end);
            self.note_back(lease, before);
        }
    }

    /// Whether it hands out what it has, as far as there is room.
    pub(super) fn hands_out(&self) -> bool {
        self.state == GroupState::Running && !self.paused && self.seeks.is_empty()
    }

    /// Tells the topic what it must know to say when it is quiet, and why it is not.
    pub(super) fn tell_topic(&mut self) {
        let counts = self.ledger.counts();
        // Why also while it is paused: what its consumers are at goes on to its end.
        let at_work = !self.paused || counts.in_flight > 0;
        let news = GroupNews {
            running: self.state == GroupState::Running && !self.members.is_empty() && at_work,
            failed: self.state == GroupState::Failed,
            paused: self.paused,
            breaker: self.gate.is_open_breaker(),
            // What is on its way to the disk is waited for.
            parked: counts.parked.saturating_sub(self.actor.dying.on_their_way()),
        };
        if self.told != news {
            self.told = news;
            let group = self.actor.id;
            drop(self.actor.topic.control(TopicWord::GroupNews { group, news }));
        }
    }

    pub(super) fn on_drain(&mut self, upto: u64, reply: Reply<()>) {
        // Why from here: what was handed to the group before this word lies in its mailbox, behind it.
        let to_come = self.actor.mailbox.waiting();
        self.drains.push(Drain { upto, to_come, reply });
    }

    /// A handout was taken in.
    pub(super) fn note_handout(&mut self) {
        self.drains.iter_mut().for_each(|drain| drain.to_come = drain.to_come.saturating_sub(1));
    }

    /// Answers those who wait for what is done by now.
    pub(super) fn answer_drains(&mut self) {
        if self.drains.is_empty() || self.state == GroupState::Stopping {
            return;
        }
        for drain in std::mem::take(&mut self.drains) {
            if self.has_before(&drain) {
                self.drains.push(drain);
            } else {
                let _ = drain.reply.send(());
            }
        }
        self.drains.retain(|drain| !drain.reply.is_abandoned());
    }

    fn has_before(&self, drain: &Drain) -> bool {
        // Why the mailbox too: handouts may go from it by other ways than this one.
        let to_come = drain.to_come > 0 && self.actor.mailbox.waiting() > 0;
        match self.paused {
            _ if self.state != GroupState::Running || self.members.is_empty() => false,
            true => self.ledger.is_at_before(drain.upto),
            false => to_come || self.ledger.has_before(drain.upto),
        }
    }
}
