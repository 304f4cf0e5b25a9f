//! What a group of a durable topic needs before it is opened: a dead-letter topic on the disk, and where it begins.

use super::GroupBuilder;
use crate::base::Name;
use crate::broker::dead_letter::Letters;
use crate::broker::door::Components;
use crate::broker::keep::Opening;
use crate::broker::settings::{Durable, TopicSettings};
use crate::broker::topic::TopicShared;
use crate::broker::{DeadLetter, OpenError};

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
        Ok(())
    }

    /// Finds where a group begins that is not open yet.
    async fn look_up_start(&mut self) -> Result<(), OpenError> {
        let topic = &self.topic.shared;
        if !topic.groups().open.contains_key(self.name.as_str()) {
            self.found = Some(topic.look_up(self.settings.start).await?);
        }
        Ok(())
    }
}
