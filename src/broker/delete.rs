//! How topics and groups are deleted, and what a topic knows of its groups.
//!
//! A name is free again at once, in the poll that begins a deletion. The rest takes as long as handlers take to see
//! that they are cancelled, and goes on in a task of its own, so that no dropped future leaves half a group behind:
//!
//! ```text
//!   group   off the list ─▶ topic forgets it, frees its places ─▶ stopped: handlers, streams ─▶ report
//!   topic   off the list, mailbox closed ─▶ topic counts what it has ─▶ its groups are stopped ─▶ report
//! ```
//!
//! Locks are taken in this order: a topic's groups, then an `ending` or the registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::channel::oneshot;

use super::books::GroupId;
use super::drain::Ending;
use super::group_handle::GroupShared;
use super::topic::TopicShared;
use super::topic_actor::{TopicWord, Unread};
use super::{DeleteError, Event, GroupReport, TopicReport};
use crate::base::Name;
use crate::base::sync::{MutexGuard, PoisonError};
use crate::mailbox::{Answer, reply};

/// The groups of a topic.
pub(crate) struct Groups<T> {
    /// Limit: one per group that was opened.
    pub(crate) open: BTreeMap<Name, Arc<GroupShared<T>>>,
    /// Those that are being deleted. Limit: each was one of `open`.
    leaving: Vec<(GroupId, Ending<GroupReport>)>,
    /// The topic is at its end, and takes no more.
    pub(crate) closed: bool,
    /// Those that the log has and nobody opened since. Limit: they were opened before.
    pub(crate) known: BTreeMap<Name, GroupId>,
}

/// What a topic and its schedule will say that they were left with.
pub(super) struct Left {
    unread: Answer<Unread>,
    scheduled: Option<Answer<u64>>,
}

impl<T> Default for Groups<T> {
    fn default() -> Groups<T> {
        Groups { open: BTreeMap::new(), leaving: Vec::new(), closed: false, known: BTreeMap::new() }
    }
}

impl<T> Groups<T> {
    pub(super) fn with_known(known: BTreeMap<Name, GroupId>) -> Groups<T> {
        Groups { known, ..Groups::default() }
    }

    /// Takes no more groups; answers those that are open, and the ends of those that are being deleted.
    fn close(&mut self) -> (Vec<Arc<GroupShared<T>>>, Vec<Ending<GroupReport>>) {
        self.closed = true;
        let open = std::mem::take(&mut self.open).into_values().collect();
        (open, self.leaving.iter().map(|(_, ending)| ending.clone()).collect())
    }
}

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// Begins to delete the topic, or joins the deletion that goes on.
    pub(super) fn delete(self: &Arc<Self>) -> Result<Ending<TopicReport>, DeleteError> {
        let mut groups = self.groups();
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ending) = &*ending {
            return Ok(ending.clone());
        }
        if groups.open.values().any(|group| group.scope.is_current()) {
            return Err(DeleteError::FromItsHandler);
        }
        let registry = self.registry.upgrade().ok_or(DeleteError::Closed)?;
        let begun = registry.remove(&self.name, || {
            let (tell, told) = oneshot::channel();
            let told = told.shared();
            let (topic, registry, own) = (self.clone(), registry.clone(), told.clone());
            // Why not in the task: whoever waits in line is to be sent away at once.
            let left = self.begin_stop();
            self.core.rt.spawn(&format!("delete {}", self.name), async move {
                let report = topic.end_stop(left).await;
                topic.delete_from_disk().await;
                let (name, lost) = (topic.name.clone(), report.lost());
                topic.core.teller.tell(Event::TopicDeleted { topic: name, lost });
                registry.forget_ending(&own);
                drop(tell.send(report));
            });
            told
        })?;
        groups.closed = true;
        *ending = Some(begun.clone());
        Ok(begun)
    }

    /// Tells the topic to end. From now on it accepts nothing.
    pub(super) fn begin_stop(&self) -> Left {
        let (port, unread) = reply();
        // Why in one step: nobody may come in behind the count of what was left.
        drop(self.sender.close_with(TopicWord::Stop(port)));
        Left { unread, scheduled: self.schedule.begin_stop() }
    }

    /// Waits for the topic's end, then stops its groups, the last opened first; consumers in the middle of a handler
    /// are killed.
    pub(super) async fn end_stop(&self, left: Left) -> TopicReport {
        let unread = left.unread.await.unwrap_or_default();
        // An error means, here too, that the runtime took it away.
        let scheduled = match left.scheduled {
            Some(scheduled) => scheduled.await.unwrap_or(0),
            None => 0,
        };
        let (mut groups, leaving) = self.groups().close();
        // Whoever deleted these gets their reports.
        for ending in leaving {
            let _ = ending.await;
        }
        // What the topic had for groups that leave and did not tell them of: their reports are without it.
        let left = unread.withheld.iter().filter(|(id, _)| groups.iter().all(|group| group.id != *id));
        let nobodys = unread.nobodys + left.map(|(_, withheld)| withheld).sum::<u64>();
        groups.sort_by_key(|group| std::cmp::Reverse(group.id));
        let mut reports = Vec::with_capacity(groups.len());
        for group in groups {
            let withheld = unread.withheld.iter().find(|(id, _)| *id == group.id).map_or(0, |(_, n)| *n);
            reports.extend(group.stop(withheld).await);
        }
        let [accepted, evicted, expired] = unread.counted;
        TopicReport {
            topic: self.name.clone(),
            accepted,
            evicted,
            expired,
            dropped_newest: self.tally.dropped_newest(),
            repeated: self.tally.repeated(),
            durable: false,
            unread: nobodys,
            scheduled,
            groups: reports,
        }
    }

    /// What it has on the disk goes too. If that fails it is there when the broker starts anew.
    async fn delete_from_disk(&self) {
        let Some(keeper) = &self.keeper else { return };
        if let Err(error) = keeper.disk.delete(&self.name).await {
            let topic = &self.name;
            tracing::error!(target: "callboard::broker", %topic, %error, "the topic was not deleted from the disk");
        }
    }

    /// Deletes the group with this id, unless that goes on already. For a group that ends by itself.
    pub(super) fn end_group(self: &Arc<Self>, name: &Name, id: GroupId) {
        let groups = self.groups();
        let group = groups.open.get(name).filter(|group| group.id == id).cloned();
        if let Some(group) = group {
            group.begin_delete(self, groups);
        }
    }

    /// Makes the topic forget the group; answers how many messages it kept from it.
    async fn remove_group(&self, group: GroupId) -> u64 {
        let (done, withheld) = reply();
        // Why not at once: what was accepted before was meant for this group too.
        let upto = self.sender.accepted();
        let word = Box::new(TopicWord::RemoveGroup { group, done });
        drop(self.sender.control(TopicWord::Once { upto, word }));
        // An error means that the topic is gone, and has let go of everything.
        withheld.await.unwrap_or(0)
    }
}

impl<T: Send + Sync + 'static> GroupShared<T> {
    /// Begins to delete the group, or joins the deletion that goes on.
    pub(super) fn delete(self: &Arc<Self>) -> Result<Ending<GroupReport>, DeleteError> {
        if let Some(ending) = self.ending() {
            return Ok(ending);
        }
        if self.scope.is_current() {
            return Err(DeleteError::FromItsHandler);
        }
        let topic = self.topic.upgrade().ok_or(DeleteError::Closed)?;
        let groups = topic.groups();
        if !topic.core.is_open() {
            return Err(DeleteError::Closed);
        }
        self.begin_delete(&topic, groups).ok_or(DeleteError::Closed)
    }

    /// `None`: the topic took the group along.
    fn begin_delete(
        self: &Arc<Self>,
        topic: &Arc<TopicShared<T>>,
        mut groups: MutexGuard<'_, Groups<T>>,
    ) -> Option<Ending<GroupReport>> {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if ending.is_some() || groups.closed {
            return ending.clone();
        }
        groups.open.remove(&self.name);
        if let Some(registry) = topic.registry.upgrade() {
            registry.forget_dead_letters(&topic.name, &self.name);
        }
        let (tell, told) = oneshot::channel();
        let (group, of) = (self.clone(), topic.clone());
        topic.core.rt.spawn(&format!("delete {}.{}", topic.name, self.name), async move {
            let withheld = of.remove_group(group.id).await;
            // `None`: the runtime goes away.
            let report = group.stop(withheld).await;
            of.groups().leaving.retain(|(other, _)| *other != group.id);
            if let Some(report) = report {
                let (topic, group, lost) = (of.name.clone(), group.name.clone(), report.lost);
                of.core.teller.tell(Event::GroupDeleted { topic, group, lost });
                drop(tell.send(report));
            }
        });
        let told = told.shared();
        groups.leaving.push((self.id, told.clone()));
        *ending = Some(told.clone());
        Some(told)
    }

    fn ending(&self) -> Option<Ending<GroupReport>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether it is being deleted, or was.
    pub(super) fn is_leaving(&self) -> bool {
        self.ending().is_some()
    }
}
