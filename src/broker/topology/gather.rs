//! How a topology is put together: everyone is asked first, then all answers are awaited.

use std::any::type_name;
use std::pin::Pin;

use super::{GroupNode, TopicNode, Topology};
use crate::broker::group_handle::GroupShared;
use crate::broker::group_word::GroupWord;
use crate::broker::registry::Registry;
use crate::broker::topic::TopicShared;
use crate::broker::topic_actor::TopicWord;
use crate::broker::{Closed, TopicStats};
use crate::mailbox::reply;

pub(crate) type Boxed<R> = Pin<Box<dyn Future<Output = R> + Send>>;

impl Registry {
    pub(crate) async fn topology(&self) -> Result<Topology, Closed> {
        if self.core.is_closed() {
            return Err(Closed);
        }
        let draining = self.core.is_draining();
        let asked: Vec<_> = self.numbered().into_iter().map(|(number, port)| (number, port.look())).collect();
        let mut topics = Vec::with_capacity(asked.len());
        for (number, look) in asked {
            topics.extend(look.await.map(|node| TopicNode { number, ..node }));
        }
        // Who was stopped meanwhile did not answer, and a part is not shown for the whole.
        if self.core.is_closed() {
            return Err(Closed);
        }
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(Topology { draining, topics })
    }
}

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// Asks at once, and answers a future of what is said; `None` if it ends before.
    pub(crate) fn look(&self) -> Boxed<Option<TopicNode>> {
        let groups: Vec<_> = self.groups().open.values().cloned().collect();
        // Why first: what moves meanwhile is then counted twice and not missed.
        let (scheduled, delay_capacity) = (self.scheduled(), self.settings.delay_capacity);
        let (port, stats) = reply();
        drop(self.sender.control(TopicWord::Stats(port)));
        let looks: Vec<_> = groups.iter().map(|group| look_at_group(group)).collect();
        let (topic, payload) = (self.name.clone(), type_name::<T>());
        Box::pin(async move {
            let stats = TopicStats { scheduled, delay_capacity, ..stats.await.ok()? };
            let mut groups = Vec::with_capacity(looks.len());
            for look in looks {
                groups.extend(look.await);
            }
            Some(TopicNode { topic, payload, stats, groups, number: 0 })
        })
    }
}

/// Asks a group at once, and answers a future of what it says; `None` if it ends before.
fn look_at_group<T: Send + Sync + 'static>(group: &GroupShared<T>) -> Boxed<Option<GroupNode>> {
    let ((port, stats), (ask, consumers)) = (reply(), reply());
    drop(group.sender.control(GroupWord::Stats(port)));
    drop(group.sender.control(GroupWord::ConsumerStats(ask)));
    let (name, number) = (group.name.clone(), group.id.0.into());
    let (dead_letters, forwards_to) = (group.dead.shared.name.clone(), group.forwards_to());
    Box::pin(async move {
        let (stats, consumers) = (stats.await.ok()?, consumers.await.ok()?);
        Some(GroupNode { group: name, stats, consumers, dead_letters, forwards_to, number })
    })
}
