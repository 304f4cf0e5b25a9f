//! What a group tells of itself.

use std::sync::Arc;
use std::time::Duration;

use super::{GroupActor, Life};
use crate::base::Name;
use crate::broker::workers::ConsumerId;
use crate::broker::{Event, WhyDropped};

impl<T: Send + Sync + 'static> Life<T> {
    /// A consumer lost its handler, and makes another one.
    pub(super) fn on_rebuilt(&mut self, consumer: ConsumerId) {
        self.note_restart(consumer);
        self.actor.tell_restarted(consumer);
    }

    /// It is to be paused, or to go on.
    pub(super) fn tell_paused(&self, paused: bool) {
        if paused != self.paused {
            let (topic, group) = self.actor.names();
            self.actor.teller.tell(match paused {
                true => Event::GroupPaused { topic, group },
                false => Event::GroupResumed { topic, group },
            });
        }
    }

    /// Tells what the ledger dropped since it was told last, by each cause that it counts apart. What the topic evicts it
    /// tells itself, once for all groups.
    ///
    /// Why before the effects are carried out: whoever finds the messages gone has been told of it.
    pub(super) fn tell_dropped(&mut self) {
        let counts = self.ledger.counts();
        let now = Dropped { by_handler: counts.dropped, skipped: counts.skipped, expired: counts.expired };
        if now != self.told_dropped {
            let before = std::mem::replace(&mut self.told_dropped, now);
            for (why, messages) in [
                (WhyDropped::ByHandler, now.by_handler - before.by_handler),
                (WhyDropped::Skipped, now.skipped - before.skipped),
                (WhyDropped::Expired, now.expired - before.expired),
            ] {
                let GroupActor { teller, topic_name, name, .. } = &self.actor;
                teller.dropped(topic_name, Some(name), why, messages);
            }
        }
    }
}

/// What was told of messages that left without being acked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    by_handler: u64,
    skipped: u64,
    expired: u64,
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

    pub(super) fn tell_opened(&self, pause: Duration) {
        let (topic, group) = self.names();
        self.teller.tell(Event::BreakerOpened { topic, group, pause });
    }

    pub(super) fn tell_closed(&self) {
        let (topic, group) = self.names();
        self.teller.tell(Event::BreakerClosed { topic, group });
    }

    pub(super) fn tell_stuck(&self, consumer: ConsumerId) {
        let ((topic, group), consumer) = (self.names(), consumer.0);
        self.teller.tell(Event::HandlerStuck { topic, group, consumer });
    }
}
