//! What a group of a durable topic needs before it is opened: a dead-letter topic on the disk, and what nobody can read
//! any more moved there.

use std::sync::Arc;

use super::GroupBuilder;
use crate::base::Name;
use crate::broker::bits::Bits;
use crate::broker::books::GroupId;
use crate::broker::dead_letter::{Letters, Stored};
use crate::broker::door::Components;
use crate::broker::envelope::Envelope;
use crate::broker::keep::Opening;
use crate::broker::ledger::Past;
use crate::broker::record::Unread;
use crate::broker::registry::KnownHomes;
use crate::broker::settings::{Durable, TopicSettings};
use crate::broker::topic::TopicShared;
use crate::broker::{DeadLetter, DeadReason, OpenError, StorageError};

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

    /// Makes dead letters of what the topic's codec can't read.
    async fn give_up_unread(
        &self,
        group: &Name,
        letters: &Arc<TopicShared<DeadLetter>>,
        homes: KnownHomes,
    ) -> Result<(), OpenError> {
        let topic = &self.topic.shared;
        let Some(keeper) = topic.keeper.as_ref().filter(|_| !topic.unread.is_empty()) else { return Ok(()) };
        let Some(id) = topic.groups().known.get(group).copied() else { return Ok(()) };
        let homes: Arc<dyn crate::broker::dead_letter::Homes> = Arc::new(homes);
        for unread in topic.unread.iter().filter(|unread| unread.groups.contains(&id)) {
            let Some(stored) = self.stored(unread, &homes) else { continue };
            let reason = DeadReason::Undecodable(unread.why.clone());
            let home = homes.home(&topic.name, group);
            let letter = DeadLetter::stored(stored, group.clone(), Past::default(), reason, home);
            let item = letters.letter(letter);
            let item = item.map_err(|why| StorageError::new(why.to_string()))?;
            let published = letters.publish_item(item).await;
            published.map_err(|error| StorageError::new(error.to_string()))?;
            keeper.done(GroupId(id.0), unread.id.offset(), Bits::range(0, 1));
        }
        Ok(())
    }

    fn stored(&self, unread: &Unread, homes: &Arc<dyn crate::broker::dead_letter::Homes>) -> Option<Stored> {
        let topic = &self.topic.shared;
        let envelope = Envelope::decode(&unread.bytes).unwrap_or_else(|_| Envelope::of(&unread.bytes));
        let Envelope { key, headers, version, payload, .. } = envelope;
        Some(Stored {
            topic: topic.name.clone(),
            id: unread.id,
            key,
            headers: headers.into_owned(),
            codec: topic.settings.durable.as_ref()?.codec.clone(),
            version,
            payload: payload.into(),
            homes: homes.clone(),
        })
    }
}
