//! Redriving: dead letters go back to the group that gave them up.
//!
//! ```text
//!   letter ──place──▶ [topic mailbox] ──Redrive, on the control lane──▶ topic ──Handout──▶ group
//! ```
//!
//! A message that comes back gets a place of the topic's capacity first, by the line in which publishers wait. Its
//! word then goes to the topic, which alone decides: it marks the letter as it takes the message in. So a letter
//! brings its message back once, and a future that is dropped in between has lost nothing.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use super::bits::Bits;
use super::books::GroupId;
use super::group_handle::GroupShared;
use super::group_word::{GroupWord, Handout};
use super::message::{Batch, IdStamp, Item};
use super::publish::Wait;
use super::record::ComesBack;
use super::registry::Registry;
use super::room;
use super::topic::TopicShared;
use super::topic_actor::{Redriven, TopicWord};
use super::{Closed, DeadLetter, RedriveAllError, RedriveError};
use crate::base::Name;
use crate::mailbox::{SendSink, TrySendError, WeakSender, reply};

pub(super) type Boxed<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

/// Where a dead letter came from, with its type forgotten.
pub(crate) trait Home: Send + Sync {
    /// Brings the letter's message back; answers whether this call did it.
    fn bring_back<'a>(&'a self, letter: &'a DeadLetter) -> Boxed<'a, Result<bool, RedriveError>>;

    /// Whether it is known by these names only: of a letter that was read from the disk.
    fn is_named(&self, topic: &Name, group: &Name) -> bool {
        let _ = (topic, group);
        false
    }
}

/// The group of a letter that was read from the disk, which may not be open.
pub(crate) struct NamedHome {
    pub(crate) registry: Weak<Registry>,
    pub(crate) topic: Name,
    pub(crate) group: Name,
}

impl Home for NamedHome {
    fn bring_back<'a>(&'a self, letter: &'a DeadLetter) -> Boxed<'a, Result<bool, RedriveError>> {
        Box::pin(async {
            let registry = self.registry.upgrade().ok_or(RedriveError::Closed)?;
            let home = registry.home(&self.topic, &self.group).ok_or(RedriveError::GroupGone)?;
            home.bring_back(letter).await
        })
    }

    fn is_named(&self, topic: &Name, group: &Name) -> bool {
        (&self.topic, &self.group) == (topic, group)
    }
}

/// A group, as its dead letters know it. Why by this and not by its name: a group that was deleted and opened again
/// is another one.
pub(crate) struct GroupHome<T> {
    pub(crate) topic: Weak<TopicShared<T>>,
    pub(crate) group: GroupId,
    pub(crate) door: WeakSender<Handout<T>, GroupWord<T>>,
}

impl<T: Send + Sync + 'static> Home for GroupHome<T> {
    fn bring_back<'a>(&'a self, letter: &'a DeadLetter) -> Boxed<'a, Result<bool, RedriveError>> {
        Box::pin(async {
            let topic = self.topic.upgrade().ok_or(RedriveError::Closed)?;
            if topic.keeper.is_some() {
                return self.bring_back_stored(letter, &topic).await;
            }
            let mut entry = Entry { sink: topic.sender.sink(), topic: &topic, wait: room::Wait::default() };
            loop {
                if letter.is_redriven() {
                    return Ok(false);
                }
                if self.door.is_gone() {
                    return Err(closed(&topic));
                }
                let Some(message) = letter.way_back::<T>() else { return Err(RedriveError::GroupGone) };
                let weight = message.weight();
                poll_fn(|cx| entry.poll_place(weight, cx)).await?;
                let (base, len) = (message.batch.base(), message.batch.len());
                let (port, answer) = reply();
                let word = TopicWord::Redrive { group: self.group, message, answer: port };
                entry.sink.hand_over(word).map_err(|_| closed(&topic))?;
                match answer.await.map_err(|_| closed(&topic))? {
                    Redriven::Now => return Ok(true),
                    Redriven::Before => return Ok(false),
                    Redriven::NoGroup => return Err(closed(&topic)),
                    Redriven::NotStored => return Err(RedriveError::NotStored),
                    Redriven::Later => entry.wait_for_less_pinned(base, len).await?,
                }
            }
        })
    }
}

impl<T: Send + Sync + 'static> GroupHome<T> {
    /// Brings it back to a durable topic, where it is stored anew: what the log had of it may be gone.
    async fn bring_back_stored(
        &self,
        letter: &DeadLetter,
        topic: &TopicShared<T>,
    ) -> Result<bool, RedriveError> {
        if letter.is_redriven() {
            return Ok(false);
        }
        if self.door.is_gone() {
            return Err(closed(topic));
        }
        let item = topic.item_again(letter).ok_or(RedriveError::Undecodable)?;
        let mut entry = Entry { sink: topic.sender.sink(), topic, wait: room::Wait::default() };
        let weight = item.weight();
        poll_fn(|cx| entry.poll_place(weight, cx)).await?;
        let (answer, said) = reply();
        let back = ComesBack { group: self.group, item, mark: letter.mark(), answer };
        entry.sink.hand_over(TopicWord::ComesBack(Box::new(back))).map_err(|_| closed(topic))?;
        match said.await.map_err(|_| closed(topic))? {
            Redriven::Now => Ok(true),
            Redriven::Before => Ok(false),
            Redriven::NoGroup => Err(closed(topic)),
            Redriven::Later | Redriven::NotStored => Err(RedriveError::NotStored),
        }
    }
}

/// While the broker is there, a topic is closed only if it was deleted, with its groups.
fn closed<T>(topic: &TopicShared<T>) -> RedriveError {
    if topic.core.is_closed() { RedriveError::Closed } else { RedriveError::GroupGone }
}

/// A message on its way in at its topic, by the rules of a publish.
struct Entry<'a, T: Send + Sync + 'static> {
    topic: &'a TopicShared<T>,
    sink: SendSink<Item<T>, TopicWord<T>, IdStamp>,
    wait: room::Wait,
}

impl<T: Send + Sync + 'static> Entry<'_, T> {
    fn poll_place(&mut self, weight: u64, cx: &mut Context<'_>) -> Poll<Result<(), RedriveError>> {
        if !self.topic.may_publish() {
            return Poll::Ready(Err(RedriveError::Closed));
        }
        if let Wait::Not = self.topic.wait() {
            return Poll::Ready(self.sink.try_reserve(weight).map_err(|error| match error {
                TrySendError::Full(()) => RedriveError::Full,
                TrySendError::Closed(()) => closed(self.topic),
            }));
        }
        match self.sink.poll_reserve(weight, cx) {
            Poll::Ready(place) => Poll::Ready(place.map_err(|_| closed(self.topic))),
            Poll::Pending => self.poll_limit(cx).map(Err),
        }
    }

    async fn wait_for_less_pinned(&mut self, base: u64, len: u16) -> Result<(), RedriveError> {
        if let Wait::Not = self.topic.wait() {
            return Err(RedriveError::Full);
        }
        let (port, mut answer) = reply();
        drop(self.topic.sender.control(TopicWord::WhenRedrivable { base, len, answer: port }));
        poll_fn(|cx| match Pin::new(&mut answer).poll(cx) {
            Poll::Ready(called) => Poll::Ready(called.map_err(|_| closed(self.topic))),
            Poll::Pending => self.poll_limit(cx).map(Err),
        })
        .await
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<RedriveError> {
        ready!(self.wait.poll(self.topic.wait().limit(), self.topic, cx));
        Poll::Ready(if self.topic.may_publish() { RedriveError::Full } else { RedriveError::Closed })
    }
}

impl<T: Send + Sync + 'static> GroupShared<T> {
    /// Brings all letters back that this group has in its dead-letter topic by now.
    ///
    /// Cancel safety: a letter leaves its topic in the same poll in which it is known to be back. One that came back
    /// and is still there, since this was dropped just then, is marked, and leaves the next time.
    pub(super) async fn redrive_all(&self) -> Result<u64, RedriveAllError> {
        let dead = &*self.dead.shared;
        let topic =
            self.topic.upgrade().ok_or(RedriveAllError { redriven: 0, error: RedriveError::Closed })?;
        let topic = topic.name.clone();
        let upto = dead.sender.accepted();
        let (mut from, mut redriven) = (0, 0);
        let failed = |redriven| move |error: RedriveError| RedriveAllError { redriven, error };
        while from < upto {
            let kept = dead.first_kept(from, upto).await;
            let Some((batch, kept)) = kept.map_err(|Closed| failed(redriven)(RedriveError::Closed))? else {
                break;
            };
            from = batch.base() + u64::from(batch.len());
            for index in kept.runs().flat_map(|(from, to)| from..to) {
                let letter = batch.value(index);
                if letter.is_from(&self.home, &topic, &self.name) && batch.base() + u64::from(index) < upto {
                    redriven += u64::from(letter.redrive_once().await.map_err(failed(redriven))?);
                    drop(dead.sender.control(TopicWord::Moved { base: batch.base(), index }));
                }
            }
        }
        Ok(redriven)
    }
}

impl TopicShared<DeadLetter> {
    async fn first_kept(
        &self,
        from: u64,
        upto: u64,
    ) -> Result<Option<(Arc<Batch<DeadLetter>>, Bits)>, Closed> {
        let (answer, kept) = reply();
        let word = Box::new(TopicWord::Peek { from, answer });
        drop(self.sender.control(TopicWord::Once { upto, word }));
        kept.await.map_err(|_| Closed)
    }
}
