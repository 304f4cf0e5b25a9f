//! What a group of a durable topic needs before it is opened: a dead-letter topic on the disk, and what nobody can read
//! any more moved there.

use std::sync::Arc;

use super::GroupBuilder;
use crate::base::Name;
use crate::broker::bits::Bits;
use crate::broker::books::GroupId;
use crate::broker::dead_letter::{Homes, Letters};
use crate::broker::door::Components;
use crate::broker::group_handle::GroupShared;
use crate::broker::group_word::GroupWord;
use crate::broker::keep::Opening;
use crate::broker::ledger::Past;
use crate::broker::registry::KnownHomes;
use crate::broker::settings::{Durable, TopicSettings};
use crate::broker::topic::TopicShared;
use crate::broker::unread::Unread;
use crate::broker::{DeadLetter, Event, OpenError, Start, StorageError};

impl<T: Send + Sync + 'static> GroupBuilder<T> {
    /// The topic that takes the group's dead letters.
    pub(super) fn target(&self, topic: &Name, group: &Name) -> Result<Name, OpenError> {
        match &self.settings.dead_letter_topic {
            Some(target) => Ok(Name::new(target)?),
            None => Ok(Name::new(&format!("{topic}.{group}.dead"))?),
        }
    }

    /// Sees to it that the dead letters of a durable topic are so too. What is wrong with names is found when it is opened.
    pub(super) async fn prepare(&mut self) -> Result<(), OpenError> {
        self.look_up_start().await?;
        let topic = &self.topic.shared;
        let (Some(durable), Some(disk)) = (&topic.settings.durable, &topic.core.disk) else { return Ok(()) };
        let name = Name::new(&self.name)?;
        let (target, registry) = (self.target(&topic.name, &name)?, topic.registry.upgrade());
        let registry = registry.ok_or(OpenError::Closed)?;
        if !registry.has(&target) {
            let codec = registry.letters();
            let durable = Durable { codec: Name::new(Letters::NAME)?, durability: durable.durability };
            let capacity = self.settings.dead_letter_capacity;
            let settings =
                TopicSettings { capacity, durable: Some(durable.clone()), ..TopicSettings::default() };
            let opening =
                Opening { codec: codec.clone(), durable: &durable, settings: &settings, weigher: None };
            let kept = opening.keep(disk, &topic.core.rt, &target).await?;
            let components = Components { codec: Some(codec), ..Components::default() };
            let mut new = false;
            let shared = registry.open(&target, None, || {
                new = true;
                TopicShared::start(target.clone(), settings.clone(), components, false, &registry, Some(kept))
            })?;
            if new {
                shared.core.teller.tell(shared.opened());
            }
        }
        let letters = registry.find::<DeadLetter>(&target)?;
        if letters.settings.durable.is_none() {
            let asked = Some(durable.durability);
            return Err(OpenError::OtherDurability { name: target, is: None, asked });
        }
        self.give_up_unread(&name, &letters, KnownHomes(Arc::downgrade(&registry))).await
    }

    /// Finds where a group begins that is not open yet.
    async fn look_up_start(&mut self) -> Result<(), OpenError> {
        let topic = &self.topic.shared;
        if !topic.groups().open.contains_key(self.name.as_str()) {
            self.found = Some(topic.look_up(self.settings.start).await?);
        }
        Ok(())
    }

    /// Makes dead letters of what the topic's codec can't read, and this group has to settle.
    ///
    /// Why before it is opened: what a new one passes by the log does not keep for it. Of a history it has them as it reads that.
    async fn give_up_unread(
        &mut self,
        group: &Name,
        letters: &Arc<TopicShared<DeadLetter>>,
        homes: KnownHomes,
    ) -> Result<(), OpenError> {
        let topic = self.topic.shared.clone();
        let Some(keeper) = topic.keeper.as_ref().filter(|_| !topic.unread.is_empty()) else { return Ok(()) };
        let Some(codec) = topic.settings.durable.as_ref().map(|durable| &durable.codec) else {
            return Ok(());
        };
        let whose = match &*topic.groups() {
            groups if groups.open.contains_key(group) => return Ok(()),
            groups => match groups.known.get(group) {
                Some(id) => Whose::Old(*id),
                None => Whose::New(groups.known.values().copied().collect()),
            },
        };
        if matches!(whose, Whose::New(_)) && topic.settings.retain.is_some() {
            return Ok(());
        }
        let start = self.found.unwrap_or(self.settings.start);
        let homes: Arc<dyn Homes> = Arc::new(homes);
        for unread in topic.unread.iter().filter(|unread| whose.has(unread, start)) {
            let Some(given) = unread.give(group, unread.groups.is_empty()) else { continue };
            let again = unread.again();
            let is_others = again.as_ref().is_some_and(|again| again.group != *group);
            if !is_others {
                let id = again.map_or(unread.id, |again| again.original);
                let (names, home) = ((&topic.name, group, codec), homes.home(&topic.name, group));
                let letter = unread.letter(names, Past::default(), homes.clone(), home);
                let item = letters.letter(letter).map_err(|why| StorageError::new(why.to_string()))?;
                let published = letters.publish_item(item).await;
                published.map_err(|error| StorageError::new(error.to_string()))?;
                self.buried += 1;
                let (topic, group, reason) = (topic.name.clone(), group.clone(), unread.reason());
                self.topic.shared.core.teller.tell(Event::DeadLetter {
                    topic,
                    group,
                    id,
                    reason,
                    attempts: 0,
                });
            }
            given.stays();
            if let Whose::Old(id) = &whose {
                keeper.done(*id, unread.id.offset(), Bits::range(0, 1));
            }
        }
        Ok(())
    }

    /// Lets the group count what it gave up before it was opened.
    pub(super) fn count_buried(&mut self, group: &GroupShared<T>) {
        match std::mem::take(&mut self.buried) {
            0 => {}
            buried => drop(group.sender.control(GroupWord::BuriedBefore(buried))),
        }
    }
}

/// A group that is to be opened, as the log knows it.
enum Whose {
    /// It was there.
    Old(GroupId),
    /// It was not; these were, and nobody has opened them since.
    New(Vec<GroupId>),
}

impl Whose {
    /// Whether a message is the group's; if it is new, of those that are kept.
    fn has(&self, unread: &Unread, start: Start) -> bool {
        match self {
            Whose::Old(id) => unread.groups.contains(id),
            Whose::New(dormant) => {
                let kept = unread.groups.is_empty() || unread.groups.iter().any(|id| dormant.contains(id));
                kept && unread.again().is_none() && start.takes(unread.id)
            }
        }
    }
}
