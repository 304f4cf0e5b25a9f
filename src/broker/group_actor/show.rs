//! What a witness is shown of a group.

use std::sync::Arc;

use super::super::lease::LeaseId;
use super::super::ledger::Effect;
use super::super::outcome::Verdict;
use super::super::witness::{At, Sight, Window};
use super::super::workers::ConsumerId;
use super::Life;
use crate::base::{Bug, planted};

impl<T: Send + Sync + 'static> Life<T> {
    /// A new consumer's window.
    pub(super) fn window(&self, consumer: ConsumerId) -> Arc<Window> {
        let (topic, group) = (self.actor.topic_name.clone(), self.actor.name.clone());
        let (watched, rt) = (self.actor.watched.clone(), self.actor.rt.clone());
        watched.show(|| Sight::Hired { topic: &topic, group: &group, consumer });
        Arc::new(Window { watched, rt, topic, group, consumer, order: self.actor.settings.order })
    }

    /// Says what the group waits with.
    pub(super) fn show_wait(&self) {
        self.actor.rt.waits(format_args!("with {}", self.ledger));
    }

    /// The bug of that name.
    pub(super) fn plant_settled(&mut self, lease: LeaseId) {
        if planted(Bug::SettledUnhandled)
            && let Some((slice, _)) = self.ledger.sole(lease)
        {
            self.effects.push(Effect::Settled { base: slice.base, which: slice.bits() });
        }
    }

    pub(super) fn show_broken(&self, failed: bool) {
        let (topic, group) = (&self.actor.topic_name, &self.actor.name);
        self.actor.watched.show(|| Sight::Broken { topic, group, failed });
    }

    pub(super) fn show_expired(&self, lease: LeaseId, consumer: ConsumerId, verdict: &Verdict) {
        if let Some((slice, past)) = self.ledger.sole(lease) {
            let (topic, group, id) = (&self.actor.topic_name, &self.actor.name, slice.batch.id(slice.from));
            let at = At { topic, group, consumer, id, attempt: past.attempts + 1 };
            self.actor.watched.show(|| Sight::Ended(at, verdict));
        }
    }

    /// Shows what the group says of itself beside what it holds, if anybody watches.
    pub(super) fn show_books(&self) {
        if self.actor.watched.is_watched() {
            let mut counted = self.ledger.counted();
            counted.parked = self.actor.dying.waiting();
            let (topic, group, stats) = (&self.actor.topic_name, &self.actor.name, &self.stats());
            self.actor.watched.show(|| Sight::GroupBooks { topic, group, stats, counted });
        }
    }
}
