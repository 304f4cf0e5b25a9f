//! How a group is found or opened, and what is told of it.

use std::sync::Arc;

use super::GroupBuilder;
use crate::base::Name;
use crate::broker::door::Components;
use crate::broker::group_handle::{GroupShared, start_group};
use crate::broker::settings::{GroupSettings, TopicSettings};
use crate::broker::topic::TopicShared;
use crate::broker::{DeadLetter, Event, OpenError, Topic};
use crate::log::LogError;
use crate::mailbox::Answer;

/// A group, and the topic's word that it knows of it.
pub(super) struct Opened<T> {
    pub(super) shared: Arc<GroupShared<T>>,
    pub(super) linked: Linked,
}

/// Waits until the topic hands its messages to a new group; at once for one that was there.
pub(super) struct Linked(Option<Answer<Result<(), LogError>>>);

impl Linked {
    pub(super) async fn wait(self) -> Result<(), OpenError> {
        match self.0 {
            Some(done) => Ok(done.await.map_err(|_| OpenError::Closed)??),
            None => Ok(()),
        }
    }
}

impl<T: Send + Sync + 'static> GroupBuilder<T> {
    /// Finds the group, or opens it.
    ///
    /// Why it does not await: dropping the future of whoever calls this must not leave a group without consumers.
    pub(super) fn open(&self) -> Result<Opened<T>, OpenError> {
        let mut told = Vec::new();
        let opened = self.open_locked(&mut told);
        // Why now: whoever is told may do anything, and nothing is locked any more.
        told.into_iter().for_each(|event| self.topic.shared.core.teller.tell(event));
        opened
    }

    /// Finds the group, or opens it and notes what is to be told.
    fn open_locked(&self, told: &mut Vec<Event>) -> Result<Opened<T>, OpenError> {
        let topic = self.topic.shared.clone();
        let name = Name::new(&self.name)?;
        self.settings.check(format!("{}.{name}", topic.name), topic.settings.keyed)?;
        // Why under the lock throughout: a shutdown takes the groups when it has closed the broker, so either it
        // finds this one or this finds it closed. The registry's lock is taken inside of it, never the other way.
        let mut groups = topic.groups();
        if !topic.core.is_open() || groups.closed {
            return Err(OpenError::Closed);
        }
        if let Some(found) = groups.open.get(&name) {
            let opened = self.check(&topic, found.clone())?;
            opened.shared.note_forward(self.forwards_to.as_ref());
            return Ok(opened);
        }
        let dead = self.open_dead_letters(&topic, &name, told)?;
        let (settings, weigher) = (self.settings.clone(), self.weigher.clone());
        let known = groups.known.remove(&name);
        let start = self.found.unwrap_or(settings.start);
        let (shared, done) = start_group(&topic, name.clone(), settings, dead, weigher, (known, start));
        shared.note_forward(self.forwards_to.as_ref());
        told.push(Event::GroupOpened { topic: topic.name.clone(), group: name.clone() });
        groups.open.insert(name, shared.clone());
        Ok(Opened { shared, linked: Linked(Some(done)) })
    }

    /// Whether the open group is what was asked for. The number of consumers may differ: they are added.
    fn check(&self, topic: &TopicShared<T>, found: Arc<GroupShared<T>>) -> Result<Opened<T>, OpenError> {
        let asked = GroupSettings { consumers: found.settings.consumers, ..self.settings.clone() };
        match self.unset || asked == found.settings {
            true => Ok(Opened { shared: found, linked: Linked(None) }),
            false => Err(OpenError::OtherSettings { name: format!("{}.{}", topic.name, found.name) }),
        }
    }

    fn open_dead_letters(
        &self,
        topic: &TopicShared<T>,
        name: &Name,
        told: &mut Vec<Event>,
    ) -> Result<Topic<DeadLetter>, OpenError> {
        let registry = topic.registry.upgrade().ok_or(OpenError::Closed)?;
        let target = self.target(&topic.name, name)?;
        let settings =
            TopicSettings { capacity: self.settings.dead_letter_capacity, ..TopicSettings::default() };
        let make = || {
            let made =
                TopicShared::start(target.clone(), settings, Components::default(), false, &registry, None);
            told.push(made.opened());
            made
        };
        let shared = registry.open_dead_letters(&topic.name, name, &target, make)?;
        Ok(Topic { shared })
    }
}
