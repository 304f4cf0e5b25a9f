//! The topics of a broker, by name, with their types forgotten.

use std::any::{Any, TypeId, type_name};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Weak};

use super::core::BrokerCore;
use super::dead_letter::{AnyCodec, Homes, Letters};
use super::drain::Ending;
use super::redrive::{Home, NamedHome};
use super::settings::TopicSettings;
use super::topic::TopicShared;
use super::topic_actor::Quiet;
use super::topology;
use super::{Closed, Codec, DeadLetter, DeleteError, OpenError, Report, TopicNode, TopicReport};
use crate::base::Name;
use crate::base::sync::{Mutex, MutexGuard, PoisonError};

/// The most topics of a broker.
const MOST_TOPICS: usize = 65_536;

type Boxed<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

pub(crate) struct Registry {
    pub(crate) core: Arc<BrokerCore>,
    inside: Mutex<Inside>,
    pub(super) ending: Mutex<Option<Ending<Report>>>,
    #[cfg(feature = "metrics")]
    pub(super) export: super::export::Export,
}

#[derive(Default)]
struct Inside {
    /// Limit: `MOST_TOPICS`.
    topics: BTreeMap<Name, Entry>,
    opened: u64,
    /// How often a topic was opened or deleted.
    changes: u64,
    dead_letters: Links,
    /// Topics that are being deleted. Limit: each was one of `topics`.
    leaving: Vec<(Name, Ending<TopicReport>)>,
}

/// From a topic, by its groups, to those that these send dead letters to. Limit: one per group.
type Links = BTreeMap<Name, BTreeMap<Name, Name>>;

struct Entry {
    order: u64,
    message: TypeId,
    message_name: &'static str,
    settings: TopicSettings,
    port: Arc<dyn TopicPort>,
}

/// A topic whose message type is forgotten.
pub(crate) trait TopicPort: Send + Sync {
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn rouse(&self);
    /// Asks at once for what it has to show; `None` if it ends before it answers.
    fn look(&self) -> topology::Boxed<Option<TopicNode>>;
    fn quiet(&self) -> Boxed<'_, Result<Quiet, Closed>>;
    /// Lets its groups try once more to move what is parked, and its schedule what is due, and waits until they did.
    fn nudge(&self) -> Boxed<'_, ()>;
    /// Stops it at once, then its groups.
    fn stop(&self) -> Boxed<'_, TopicReport>;
    /// What writes its messages, if it is durable.
    fn codec(&self) -> Option<AnyCodec>;
    /// Where the dead letters of a group that is open come from.
    fn home(&self, group: &Name) -> Option<Arc<dyn Home>>;
}

impl<T: Send + Sync + 'static> TopicPort for TopicShared<T> {
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn rouse(&self) {
        self.sender.rouse();
        if let Some((door, _)) = self.schedule.open() {
            door.rouse();
        }
    }

    fn look(&self) -> topology::Boxed<Option<TopicNode>> {
        TopicShared::look(self)
    }

    fn quiet(&self) -> Boxed<'_, Result<Quiet, Closed>> {
        Box::pin(TopicShared::quiet(self))
    }

    fn nudge(&self) -> Boxed<'_, ()> {
        Box::pin(async {
            let groups: Vec<_> = self.groups().open.values().cloned().collect();
            for group in groups {
                group.nudge().await;
            }
            self.when_moved().await;
        })
    }

    fn stop(&self) -> Boxed<'_, TopicReport> {
        let left = self.begin_stop();
        Box::pin(async {
            let report = self.end_stop(left).await;
            if self.keeper.is_some() { report.kept() } else { report }
        })
    }

    fn codec(&self) -> Option<AnyCodec> {
        AnyCodec::new(self.components.codec.clone()?).ok()
    }

    fn home(&self, group: &Name) -> Option<Arc<dyn Home>> {
        self.groups().open.get(group).map(|group| group.home.clone())
    }
}

/// What dead letters on the disk need to know. Weak, since a topic of the registry has it.
pub(crate) struct KnownHomes(pub(crate) Weak<Registry>);

impl Homes for KnownHomes {
    fn codec(&self, topic: &Name) -> Option<AnyCodec> {
        let registry = self.0.upgrade()?;
        let port = registry.lock().topics.get(topic)?.port.clone();
        port.codec()
    }

    fn home(&self, topic: &Name, group: &Name) -> Arc<dyn Home> {
        Arc::new(NamedHome { registry: self.0.clone(), topic: topic.clone(), group: group.clone() })
    }
}

impl Registry {
    pub(crate) fn new(core: Arc<BrokerCore>) -> Arc<Registry> {
        Arc::new(Registry {
            core,
            inside: Mutex::default(),
            ending: Mutex::default(),
            #[cfg(feature = "metrics")]
            export: super::export::Export::default(),
        })
    }

    /// Finds the topic, checking its type and, if there are any, the settings; or makes it.
    pub(crate) fn open<T: Send + Sync + 'static>(
        &self,
        name: &Name,
        settings: Option<&TopicSettings>,
        make: impl FnOnce() -> Arc<TopicShared<T>>,
    ) -> Result<Arc<TopicShared<T>>, OpenError> {
        let mut inside = self.lock();
        if !self.core.is_open() {
            return Err(OpenError::Closed);
        }
        inside.open(name, settings, make)
    }

    /// Finds or makes the topic `target` for dead letters of a group of `topic`, unless they would come back.
    pub(crate) fn open_dead_letters(
        &self,
        topic: &Name,
        group: &Name,
        target: &Name,
        make: impl FnOnce() -> Arc<TopicShared<DeadLetter>>,
    ) -> Result<Arc<TopicShared<DeadLetter>>, OpenError> {
        let mut inside = self.lock();
        if let Some(mut path) = path(&inside.dead_letters, target, topic) {
            path.insert(0, topic.clone());
            return Err(OpenError::DeadLetterCycle { path });
        }
        let opened = inside.open(target, None, make)?;
        inside.dead_letters.entry(topic.clone()).or_default().insert(group.clone(), target.clone());
        Ok(opened)
    }

    pub(crate) fn find<T: Send + Sync + 'static>(
        &self,
        name: &Name,
    ) -> Result<Arc<TopicShared<T>>, OpenError> {
        let inside = self.lock();
        if !self.core.is_open() {
            return Err(OpenError::Closed);
        }
        inside.topics.get(name).ok_or_else(|| OpenError::NotFound(name.clone()))?.typed(name)
    }

    /// Where the dead letters of a group that is open come from.
    pub(crate) fn home(&self, topic: &Name, group: &Name) -> Option<Arc<dyn Home>> {
        let port = self.lock().topics.get(topic)?.port.clone();
        port.home(group)
    }

    /// The codec of dead letters.
    pub(crate) fn letters(self: &Arc<Registry>) -> Arc<dyn Codec<DeadLetter>> {
        Arc::new(Letters { homes: Arc::new(KnownHomes(Arc::downgrade(self))) })
    }

    /// Whether a topic of that name is open.
    pub(crate) fn has(&self, name: &Name) -> bool {
        self.lock().topics.contains_key(name)
    }

    /// Forgets where a group that is deleted sent its dead letters.
    pub(crate) fn forget_dead_letters(&self, topic: &Name, group: &Name) {
        let mut inside = self.lock();
        if let Some(groups) = inside.dead_letters.get_mut(topic) {
            groups.remove(group);
            if groups.is_empty() {
                inside.dead_letters.remove(topic);
            }
        }
    }

    /// Takes a topic out, unless groups send their dead letters to it. `ending` begins its end.
    pub(crate) fn remove(
        &self,
        name: &Name,
        ending: impl FnOnce() -> Ending<TopicReport>,
    ) -> Result<Ending<TopicReport>, DeleteError> {
        let mut inside = self.lock();
        if !self.core.is_open() {
            return Err(DeleteError::Closed);
        }
        if let Some((topic, group)) = inside.who_sends_to(name) {
            return Err(DeleteError::InUse { topic, group });
        }
        let removed = inside.topics.remove(name);
        inside.dead_letters.remove(name);
        inside.changes += 1;
        let ending = ending();
        inside.leaving.push((name.clone(), ending.clone()));
        drop(inside);
        drop(removed);
        Ok(ending)
    }

    /// The end of a topic that was taken out is over.
    pub(crate) fn forget_ending(&self, ending: &Ending<TopicReport>) {
        self.lock().leaving.retain(|(_, other)| !other.ptr_eq(ending));
    }

    /// The topics that are being deleted.
    pub(crate) fn leaving(&self) -> Vec<Ending<TopicReport>> {
        self.lock().leaving.iter().map(|(_, ending)| ending.clone()).collect()
    }

    /// Counts how often a topic was opened or deleted.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.lock().topics.keys().cloned().collect()
    }

    /// The topics, in the order in which they were opened.
    pub(crate) fn ports(&self) -> Vec<Arc<dyn TopicPort>> {
        let inside = self.lock();
        let mut entries: Vec<&Entry> = inside.topics.values().collect();
        entries.sort_by_key(|entry| entry.order);
        entries.into_iter().map(|entry| entry.port.clone()).collect()
    }

    /// The topics, each with a number that no other ever has.
    pub(crate) fn numbered(&self) -> Vec<(u64, Arc<dyn TopicPort>)> {
        self.lock().topics.values().map(|entry| (entry.order, entry.port.clone())).collect()
    }

    /// Lets go of the topics.
    pub(crate) fn clear(&self) {
        let topics = std::mem::take(&mut self.lock().topics);
        drop(topics);
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn open<T: Send + Sync + 'static>(
        &mut self,
        name: &Name,
        settings: Option<&TopicSettings>,
        make: impl FnOnce() -> Arc<TopicShared<T>>,
    ) -> Result<Arc<TopicShared<T>>, OpenError> {
        if let Some(entry) = self.topics.get(name) {
            let found = entry.typed(name)?;
            return match settings.is_none_or(|settings| *settings == entry.settings) {
                true => Ok(found),
                false => Err(OpenError::OtherSettings { name: name.to_string() }),
            };
        }
        if self.topics.len() >= MOST_TOPICS {
            return Err(OpenError::TooManyTopics(MOST_TOPICS));
        }
        let topic = make();
        self.opened += 1;
        self.changes += 1;
        let entry = Entry {
            order: self.opened,
            message: TypeId::of::<T>(),
            message_name: type_name::<T>(),
            settings: topic.settings.clone(),
            port: topic.clone(),
        };
        self.topics.insert(name.clone(), entry);
        Ok(topic)
    }
}

impl Inside {
    /// A group whose dead letters go to `target`.
    fn who_sends_to(&self, target: &Name) -> Option<(Name, Name)> {
        let sends = |(topic, groups): (&Name, &BTreeMap<Name, Name>)| {
            let (group, _) = groups.iter().find(|(_, to)| *to == target)?;
            Some((topic.clone(), group.clone()))
        };
        self.dead_letters.iter().find_map(sends)
    }
}

impl Entry {
    fn typed<T: Send + Sync + 'static>(&self, name: &Name) -> Result<Arc<TopicShared<T>>, OpenError> {
        let wrong =
            || OpenError::WrongType { name: name.clone(), is: self.message_name, asked: type_name::<T>() };
        if self.message != TypeId::of::<T>() {
            return Err(wrong());
        }
        self.port.clone().any().downcast().map_err(|_| wrong())
    }
}

/// A way from `from` to `to` along the links, both included.
fn path(links: &Links, from: &Name, to: &Name) -> Option<Vec<Name>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![from.clone()]];
    while let Some(way) = ways.pop() {
        let Some(last) = way.last() else { continue };
        if last == to {
            return Some(way);
        }
        if seen.insert(last.clone()) {
            for next in links.get(last).into_iter().flat_map(BTreeMap::values) {
                ways.push(way.iter().cloned().chain([next.clone()]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
