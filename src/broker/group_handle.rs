//! A group that is open: its handle, and what starts it.

use std::fmt;
use std::sync::{Arc, Weak};

use super::books::GroupId;
use super::drain::Ending;
use super::dying::Dying;
use super::group_actor::{GroupActor, Leave};
use super::group_word::{GroupWord, Handout, Steer};
use super::redrive::{Boxed, GroupHome, Home};
use super::scope::Scope;
use super::settings::GroupSettings;
use super::topic::TopicShared;
use super::topic_actor::TopicWord;
use super::weight::Weigher;
use super::witness::Sight;
use super::{
    Closed, ConsumerStats, DeadLetter, DeleteError, GroupReport, GroupStats, RedriveAllError, SeekError,
    Start, Topic,
};
use crate::base::Name;
use crate::base::sync::{Mutex, Ordering, PoisonError};
use crate::log::LogError;
use crate::mailbox::{Answer, Reply, Sender, mailbox, reply};

/// Watches and steers a group. Dropping it ends nothing: a group lives until it or its topic is deleted, or its broker
/// is shut down. Of a group that is open, [`Topic::find_group`] has a handle.
#[derive(Clone)]
pub struct Group {
    pub(super) name: Name,
    pub(super) port: Arc<dyn GroupPort>,
}

pub(crate) struct GroupShared<T> {
    pub(crate) id: GroupId,
    pub(super) name: Name,
    pub(super) settings: GroupSettings,
    pub(super) sender: Sender<Handout<T>, GroupWord<T>>,
    pub(super) dead: Topic<DeadLetter>,
    /// What its dead letters know it by.
    pub(super) home: Arc<dyn Home>,
    pub(super) topic: Weak<TopicShared<T>>,
    pub(super) scope: Scope,
    /// The topics that its handlers publish to, as far as the broker knows. Limit: one for each opening.
    forwards_to: Mutex<Vec<Name>>,
    pub(super) ending: Mutex<Option<Ending<GroupReport>>>,
}

pub(super) trait GroupPort: Send + Sync {
    fn ask_stats(&self, port: Reply<GroupStats>);
    fn ask_consumers(&self, port: Reply<Vec<ConsumerStats>>);
    fn steer(&self, word: Steer);
    fn ask_drain(&self, port: Reply<()>);
    fn redrive_all(&self) -> Boxed<'_, Result<u64, RedriveAllError>>;
    fn forwards_to(&self) -> Vec<Name>;
    fn seek(&self, to: Start) -> Boxed<'_, Result<(), SeekError>>;
    fn delete(self: Arc<Self>) -> Result<Ending<GroupReport>, DeleteError>;
}

impl<T: Send + Sync + 'static> GroupPort for GroupShared<T> {
    fn ask_stats(&self, port: Reply<GroupStats>) {
        drop(self.sender.control(GroupWord::Stats(port)));
    }

    fn ask_consumers(&self, port: Reply<Vec<ConsumerStats>>) {
        drop(self.sender.control(GroupWord::ConsumerStats(port)));
    }

    fn steer(&self, word: Steer) {
        drop(self.sender.control(GroupWord::Steer(word)));
    }

    fn ask_drain(&self, reply: Reply<()>) {
        // `None`: the topic was deleted; the port is dropped, which says so.
        let Some(topic) = self.topic.upgrade() else { return };
        let upto = topic.sender.accepted();
        let word = Box::new(TopicWord::Drain { group: self.id, upto, reply });
        drop(topic.sender.control(TopicWord::Once { upto, word }));
    }

    fn redrive_all(&self) -> Boxed<'_, Result<u64, RedriveAllError>> {
        Box::pin(GroupShared::redrive_all(self))
    }

    fn forwards_to(&self) -> Vec<Name> {
        GroupShared::forwards_to(self)
    }

    fn seek(&self, to: Start) -> Boxed<'_, Result<(), SeekError>> {
        Box::pin(GroupShared::seek(self, to))
    }

    fn delete(self: Arc<Self>) -> Result<Ending<GroupReport>, DeleteError> {
        GroupShared::delete(&self)
    }
}

impl<T> GroupShared<T> {
    /// Its handlers publish to this topic.
    pub(super) fn note_forward(&self, topic: Option<&Name>) {
        let mut topics = self.forwards_to.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topic.filter(|topic| !topics.contains(topic)) {
            topics.push(topic.clone());
        }
    }

    /// The topics that its handlers publish to, as far as the broker knows.
    pub(crate) fn forwards_to(&self) -> Vec<Name> {
        self.forwards_to.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T: Send + Sync + 'static> GroupShared<T> {
    /// Stops the group, which was not handed `withheld` messages; `None` if it ended before.
    pub(super) async fn stop(&self, withheld: u64) -> Option<GroupReport> {
        let (port, report) = reply();
        drop(self.sender.control(GroupWord::Stop { kill: true, withheld, report: port }));
        report.await.ok()
    }

    /// Lets the group try once more to move what is parked, and waits until it did.
    pub(super) async fn nudge(&self) {
        let (port, nudged) = reply();
        drop(self.sender.control(GroupWord::Nudge(port)));
        // An error means that the group has ended.
        let _ = nudged.await;
    }
}

impl Group {
    /// Returns the group's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Lists the topics that its handlers publish to by [`forward_to`](super::GroupBuilder::forward_to).
    pub fn forwards_to(&self) -> Vec<Name> {
        self.port.forwards_to()
    }

    /// Takes a snapshot of the group's counts, which balance.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn stats(&self) -> Result<GroupStats, Closed> {
        let (port, stats) = reply();
        self.port.ask_stats(port);
        stats.await.map_err(|_| Closed)
    }

    /// Takes a snapshot of what each consumer has and did, in the order in which they joined.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down, or the group or its topic deleted.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::ConsumerState;
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// let group = orders.group("billing").consumers(2).run_fn(|_| Ok(())).await?;
    /// orders.publish_all(0..100).await?;
    /// orders.settled().await?;
    /// let consumers = group.consumer_stats().await?;
    /// assert_eq!(consumers.iter().map(|consumer| consumer.handled).sum::<u64>(), 100);
    /// assert!(consumers.iter().all(|consumer| consumer.state == ConsumerState::Ready));
    /// # Ok(()) }
    /// ```
    pub async fn consumer_stats(&self) -> Result<Vec<ConsumerStats>, Closed> {
        let (port, stats) = reply();
        self.port.ask_consumers(port);
        stats.await.map_err(|_| Closed)
    }

    /// Brings back all dead letters of this group that its dead-letter topic keeps when this is called, in the order
    /// in which they were given up; answers how many. Each comes in as by [`DeadLetter::redrive`].
    ///
    /// While the dead-letter topic has no group, the letters leave it as they are brought back. Groups that it has
    /// are not disturbed: what they have not settled stays there for them, and
    /// [`is_redriven`](DeadLetter::is_redriven) says that it went back. A letter that all groups there have settled
    /// is gone. Letters of other groups, in a topic that several share, stay as they are; so do those of a group of
    /// this name that was deleted. Messages that are parked before a full dead-letter topic are no letters yet: call
    /// it again for what moved up.
    ///
    /// # Errors
    /// [`RedriveAllError`]: how many were brought back before, and why the next one was not. It and the rest are
    /// where they were.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what was brought back stays so, the rest is where it was.
    pub async fn redrive(&self) -> Result<u64, RedriveAllError> {
        self.port.redrive_all().await
    }

    /// Deletes the group with its messages, and reports what was dropped with it.
    ///
    /// At once the name is free and the group is handed nothing more. Handlers are cancelled at their next await,
    /// streams end, and later acks are refused with [`AckError::Closed`](super::AckError::Closed). What it had not
    /// settled holds no place in the topic any more, unless another group has it to settle; other groups notice
    /// nothing. While the topic is held, what was not handed out is kept for groups to come. Its dead-letter topic
    /// stays, with what is in it, and its letters can't be redriven any more. A group of that name that is opened
    /// afterwards is another one, with settings of its own.
    ///
    /// A second call, on any handle of this group, gets the first one's report.
    ///
    /// # Errors
    /// [`DeleteError`]; nothing was deleted: this was called in a handler of the group, the broker is shut down or
    /// draining, or the group went with its topic.
    ///
    /// # Cancel safety
    /// Once polled, the deletion goes on even if the future is dropped.
    pub async fn delete(&self) -> Result<GroupReport, DeleteError> {
        let ending = self.port.clone().delete()?;
        ending.await.map_err(|_| DeleteError::Closed)
    }
}

pub(super) fn start_group<T: Send + Sync + 'static>(
    topic: &Arc<TopicShared<T>>,
    name: Name,
    settings: GroupSettings,
    dead: Topic<DeadLetter>,
    weigher: Option<Weigher<T>>,
    (known, start): (Option<GroupId>, Start),
) -> (Arc<GroupShared<T>>, Answer<Result<(), LogError>>) {
    let id = known.unwrap_or_else(|| GroupId(topic.next_group.fetch_add(1, Ordering::Relaxed)));
    let (sender, receiver) = mailbox(topic.settings.capacity, ());
    let scope = Scope::of_group(topic.core.id, settings.ack_timeout / 2);
    let home: Arc<dyn Home> =
        Arc::new(GroupHome { topic: Arc::downgrade(topic), group: id, door: sender.downgrade() });
    let leave = settings.ephemeral.then(|| leave(topic, &name, id));
    let actor = GroupActor {
        id,
        leave,
        weigher,
        keeper: topic.keeper.clone(),
        name: name.clone(),
        topic_name: topic.name.clone(),
        settings: settings.clone(),
        scope,
        rt: topic.core.rt.clone(),
        mailbox: receiver,
        own: sender.downgrade(),
        topic: topic.sender.downgrade(),
        lacks: topic.lacks.clone(),
        watched: topic.core.watched.clone(),
        teller: topic.core.teller.clone(),
        dying: Dying::new(topic, name.clone(), dead.clone(), home.clone()),
    };
    topic.core.watched.show(|| Sight::Opened { topic: &topic.name, group: &name, settings: &settings });
    topic.core.rt.spawn(&format!("group {}.{name}", topic.name), actor.run());
    let (port, done) = reply();
    let start = start.begin(|| topic.sender.accepted());
    let word = TopicWord::AddGroup { group: id, name: name.clone(), to: sender.clone(), start, done: port };
    drop(topic.sender.control(word));
    let (topic, ending, forwards_to) = (Arc::downgrade(topic), Mutex::default(), Mutex::default());
    let shared = GroupShared { id, name, settings, sender, dead, home, topic, scope, forwards_to, ending };
    (Arc::new(shared), done)
}

/// What an ephemeral group does when its last consumer is gone.
fn leave<T: Send + Sync + 'static>(topic: &Arc<TopicShared<T>>, name: &Name, id: GroupId) -> Leave {
    let (topic, name) = (Arc::downgrade(topic), name.clone());
    Box::new(move || {
        if let Some(topic) = topic.upgrade() {
            topic.end_group(&name, id);
        }
    })
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({})", self.name)
    }
}
