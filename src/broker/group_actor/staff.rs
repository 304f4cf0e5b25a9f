//! The group's consumers: how they join, are made anew, and go.

use std::sync::Arc;

use tracing::error;

use super::Life;
use crate::base::{Bug, Moment, planted};
use crate::broker::consumer::{ConsumerNews, ConsumerSeat, drop_quietly};
use crate::broker::workers::{ConsumerId, Credit};
use crate::broker::{DeliveryStream, GroupState};
use crate::mailbox::{Reply, mailbox};
use crate::supervise::{Allowance, RestartWindow};

/// Spawns the task of one handler.
type Spawn<T> = Arc<dyn Fn(ConsumerSeat<T>) + Send + Sync>;

/// How the group's handlers are made: as those that were added last.
///
/// Why it drops with care: the closure has the user's handler in it, and may be the last that has.
pub(super) struct Hire<T>(Option<Spawn<T>>);

impl<T> Default for Hire<T> {
    fn default() -> Hire<T> {
        Hire(None)
    }
}

impl<T> Drop for Hire<T> {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    pub(super) fn add_handlers(&mut self, count: u32, spawn: Spawn<T>, done: Reply<()>) {
        self.revive();
        self.hire = Hire(Some(spawn));
        self.hire(count);
        // Told first: whoever waits for quiet after opening the group must find it running.
        self.tell_topic();
        let _ = done.send(());
    }

    pub(super) fn add_stream(&mut self, port: Reply<DeliveryStream<T>>) {
        self.revive();
        let prefetch = self.actor.settings.prefetch;
        let (sender, receiver) = mailbox(prefetch as usize, ());
        let id = self.members.add_stream(sender);
        self.ledger.on_consumer(id, Credit::Pull { prefetch });
        self.ledger.on_ready(id, true);
        self.tell_topic();
        // If whoever asked for it is gone, it is dropped, here or there, and says so.
        drop(port.send(DeliveryStream::new(receiver, self.actor.own.clone(), self.window(id))));
    }

    /// Adds so many handlers, if it is known how they are made.
    pub(super) fn hire(&mut self, count: u32) {
        if let Some(spawn) = self.hire.0.clone() {
            (0..count).for_each(|_| self.add_handler(&*spawn));
        }
    }

    /// Whether it is known how handlers are made.
    pub(super) fn can_hire(&self) -> bool {
        self.hire.0.is_some()
    }

    pub(super) fn on_news(&mut self, id: ConsumerId, news: ConsumerNews, now: Moment) {
        match news {
            ConsumerNews::Ready | ConsumerNews::Here if self.members.is_leaving(id) => {}
            ConsumerNews::Ready => {
                self.failures_in_a_row = 0;
                self.ledger.on_ready(id, true);
            }
            ConsumerNews::Here => self.ledger.on_ready(id, true),
            ConsumerNews::Away => {
                self.ledger.on_ready(id, false);
                self.members.note(id);
            }
            ConsumerNews::Rebuilt => self.on_rebuilt(id),
            ConsumerNews::Broken(text) => self.on_broken(id, text, now),
            ConsumerNews::Ended => {
                let unasked = self.members.is_handler(id) && !self.members.is_leaving(id);
                self.remove(id);
                self.leave_if_empty();
                if unasked && self.stop.is_none() {
                    // Only a runtime that shuts down ends a handler's task unasked.
                    error!(target: "callboard::broker", group = %self.actor.name, "a consumer's task was dropped");
                }
            }
        }
    }

    /// No handler could be made: again after a backoff, or too often.
    fn on_broken(&mut self, id: ConsumerId, text: Arc<str>, now: Moment) {
        self.ledger.on_ready(id, false);
        if self.stop.is_some() || self.state == GroupState::Failed || self.members.is_leaving(id) {
            return self.members.give_up(id);
        }
        self.note_restart(id);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let exceeded = self.window.on_restart(now) == Allowance::Exceeded;
        let failed = exceeded && !planted(Bug::EndlessRestarts);
        self.show_broken(failed);
        if failed {
            self.actor.tell_failed(id, text);
            self.state = GroupState::Failed;
            return self.members.give_up(id);
        }
        let wait = self.actor.settings.backoff.delay(self.failures_in_a_row, self.actor.rt.random());
        self.actor.tell_broken(id, text, wait);
        self.members.rebuild_at(id, now + wait);
    }

    pub(super) fn note_restart(&mut self, id: ConsumerId) {
        self.restarts += 1;
        self.members.on_rebuilt(id);
    }

    /// A failed group begins anew when a consumer is added, without those that could not be built.
    pub(super) fn revive(&mut self) {
        if self.begin_anew() {
            self.members.dismiss().into_iter().for_each(|id| self.ledger.on_gone(id));
        }
    }

    /// Forgets that the group has failed; answers whether it had.
    pub(super) fn begin_anew(&mut self) -> bool {
        let failed = self.state == GroupState::Failed;
        if failed {
            self.state = GroupState::Running;
            self.failures_in_a_row = 0;
            self.window = RestartWindow::new(self.actor.settings.intensity);
        }
        failed
    }

    fn add_handler(&mut self, spawn: &(dyn Fn(ConsumerSeat<T>) + Send + Sync)) {
        let (id, receiver, progress) = self.members.add_handler();
        self.ledger.on_consumer(id, self.handler_credit());
        let own = self.actor.own.clone();
        let seat = ConsumerSeat::new(self.window(id), receiver, own, progress, self.actor.scope);
        spawn(seat);
    }

    fn remove(&mut self, id: ConsumerId) {
        self.members.remove(id);
        self.ledger.on_gone(id);
    }
}
