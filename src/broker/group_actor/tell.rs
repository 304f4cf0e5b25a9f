//! What a group tells of itself.

use std::sync::Arc;
use std::time::Duration;

use super::{GroupActor, Life};
use crate::base::Name;
use crate::broker::stats::Counts;
use crate::broker::workers::ConsumerId;
use crate::broker::{Event, WhyDropped};

impl<T: Send + Sync + 'static> Life<T> {
    /// A consumer lost its handler, and makes another one.
    pub(super) fn on_rebuilt(&mut self, consumer: ConsumerId) {
        self.note_restart(consumer);
        self.actor.tell_restarted(consumer);
    }
}

impl<T> GroupActor<T> {
    fn names(&self) -> (Name, Name) {
        (self.topic_name.clone(), self.name.clone())
    }

    fn tell_restarted(&self, consumer: ConsumerId) {
        let ((topic, group), consumer) = (self.names(), consumer.0);
        self.teller.tell(Event::ConsumerRestarted { topic, group, consumer });
    }

    pub(super) fn tell_broken(&self, consumer: ConsumerId, error: Arc<str>, wait: Duration) {
        let ((topic, group), consumer) = (self.names(), consumer.0);
        self.teller.tell(Event::ConsumerBroken { topic, group, consumer, error, wait });
    }

    pub(super) fn tell_failed(&self, consumer: ConsumerId, error: Arc<str>) {
        let ((topic, group), consumer) = (self.names(), consumer.0);
        self.teller.tell(Event::GroupFailed { topic, group, consumer, error });
    }

    pub(super) fn tell_stuck(&self, consumer: ConsumerId) {
        let ((topic, group), consumer) = (self.names(), consumer.0);
        self.teller.tell(Event::HandlerStuck { topic, group, consumer });
    }

    /// Tells what the ledger dropped between these counts, by each cause that it counts apart.
    pub(super) fn tell_dropped(&self, before: Counts, now: Counts) {
        let causes = [(WhyDropped::ByHandler, now.dropped - before.dropped)];
        for (why, messages) in causes {
            self.teller.dropped(&self.topic_name, Some(&self.name), why, messages);
        }
    }
}
