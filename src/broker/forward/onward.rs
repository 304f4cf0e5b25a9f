//! What a stage's handlers made, on its way to the next topic.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use crate::base::sync::{Mutex, MutexGuard, PoisonError};
use crate::base::{Fault, drop_each};
use crate::broker::door::Checked;
use crate::broker::message::{IdStamp, Item};
use crate::broker::outcome::Verdict;
use crate::broker::publish::Wait;
use crate::broker::scope::Scope;
use crate::broker::topic_actor::TopicWord;
use crate::broker::{InvalidMessage, Message, Outcome, Outgoing, Overflow, PublishError, Topic};
use crate::mailbox::{SendAll, TrySendError};
use crate::runtime::Sleep;

/// The most outputs that one group keeps for the next attempts of their messages.
const MOST_KEPT: usize = 1024;

/// The way to the next topic, of all consumers of a group.
pub(super) struct Onward<U: Send + Sync + 'static> {
    topic: Topic<U>,
    /// The group's name, if each output is to be taken once.
    once: Option<String>,
    /// By the offsets of their messages: the outputs that found no room. Limit: `MOST_KEPT` outputs.
    kept: Mutex<Kept<U>>,
}

struct Kept<U> {
    rests: BTreeMap<u64, Vec<Item<U>>>,
    outputs: usize,
}

impl<U: Send + Sync + 'static> Onward<U> {
    /// `once`: the group's name, if each output is to be taken once.
    pub(super) fn new(topic: Topic<U>, once: Option<String>) -> Onward<U> {
        Onward { topic, once, kept: Mutex::new(Kept { rests: BTreeMap::new(), outputs: 0 }) }
    }

    /// Makes messages of all outputs, or of none.
    pub(super) fn items<T>(
        &self,
        message: &Message<T>,
        outputs: impl IntoIterator<Item: Into<Outgoing<U>>>,
    ) -> Result<Vec<Item<U>>, Fault> {
        let item = |(number, output): (u64, _)| self.item(message, number, output).map_err(|(_, why)| why);
        let items: Result<Vec<_>, InvalidMessage> = (0..).zip(outputs).map(item).collect();
        Ok(items.map_err(|why| PublishError::Invalid((), why))?)
    }

    fn item<T>(&self, message: &Message<T>, number: u64, output: impl Into<Outgoing<U>>) -> Checked<U> {
        let output = output.into();
        let Some(group) = self.once.as_ref().filter(|_| output.extra.dedup.is_none()) else {
            return output.check(&self.topic.shared);
        };
        // Why not the topic's name: one of another broker has it too, or one that was deleted and opened again, whose ids may
        // even have the same time.
        let key = format!("{}\0{group}\0{}\0{number}", message.batch.number(), message.id().offset());
        output.dedup_key(key).check(&self.topic.shared)
    }

    pub(super) async fn publish(&self, offset: u64, outputs: Result<Vec<Item<U>>, Fault>) -> Verdict {
        let items = match outputs {
            Ok(items) => items,
            Err(fault) => return Outcome::from(fault).into(),
        };
        if items.is_empty() {
            return Verdict::Ack;
        }
        let shared = &self.topic.shared;
        let limit = match shared.wait() {
            Wait::Not => return self.try_publish(offset, items),
            wait => wait.limit(),
        };
        // Why all together too: many outputs, each in time, would take longer than the handling may, which is a failure. Not
        // for what is too much to be kept, as that would begin anew for ever.
        let whole = if items.len() <= MOST_KEPT { Scope::current().map(|scope| scope.limit) } else { None };
        let send = shared.sender.send_all(items);
        let mut sending = Sending { onward: self, offset, send, done: false };
        let sent = self.within(whole, shared.poll_send_all(&mut sending.send, limit)).await;
        let error = match sent {
            Some(Ok(_)) => {
                sending.done = true;
                return Verdict::Ack;
            }
            Some(Err(_)) => PublishError::Closed(()),
            None if shared.may_publish() => PublishError::TimedOut(()),
            None => PublishError::Closed(()),
        };
        failed(error)
    }

    /// Awaits `sent`, or `None` once so much time has passed while it waited.
    async fn within<R>(&self, whole: Option<Duration>, sent: impl Future<Output = Option<R>>) -> Option<R> {
        let (rt, mut timer, mut sent) = (&self.topic.shared.core.rt, None::<Sleep>, pin!(sent));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(sent) = sent.as_mut().poll(cx) {
                return Poll::Ready(sent);
            }
            let Some(whole) = whole else { return Poll::Pending };
            let timer = timer.get_or_insert_with(|| rt.sleep_until(rt.now() + whole));
            Pin::new(timer).poll(cx).map(|()| None)
        })
        .await
    }

    /// Where nobody waits.
    fn try_publish(&self, offset: u64, items: Vec<Item<U>>) -> Verdict {
        let shared = &self.topic.shared;
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            let tried = match shared.may_publish() {
                true => shared.sender.try_send(item),
                false => Err(TrySendError::Closed(item)),
            };
            match tried {
                Ok(_) => {}
                // Dropped, as the topic says, and counted there.
                Err(TrySendError::Full(item)) if shared.settings.overflow == Overflow::DropNewest => {
                    shared.drop_newest(1);
                    drop(drop_each([item]));
                }
                Err(TrySendError::Full(item)) => {
                    self.keep(offset, std::iter::once(item).chain(items).collect());
                    return failed(PublishError::Full(()));
                }
                Err(TrySendError::Closed(_)) => return failed(PublishError::Closed(())),
            }
        }
        Verdict::Ack
    }

    /// What is left of an earlier attempt.
    pub(super) fn kept(&self, offset: u64) -> Option<Vec<Item<U>>> {
        let mut kept = self.lock();
        let rest = kept.rests.remove(&offset)?;
        kept.outputs -= rest.len();
        Some(rest)
    }

    /// Keeps what is left for the next attempt. What would be too much goes, of the oldest message first: that one's
    /// handler is called again.
    fn keep(&self, offset: u64, rest: Vec<Item<U>>) {
        let mut gone = Vec::new();
        let mut kept = self.lock();
        kept.outputs += rest.len();
        if let Some(other) = kept.rests.insert(offset, rest) {
            // Of another letter of the same message, if both were redriven.
            kept.outputs -= other.len();
            gone.push(other);
        }
        while kept.outputs > MOST_KEPT
            && let Some((_, oldest)) = kept.rests.pop_first()
        {
            kept.outputs -= oldest.len();
            gone.push(oldest);
        }
        drop(kept);
        drop(drop_each(gone.into_iter().flatten()));
    }

    fn lock(&self) -> MutexGuard<'_, Kept<U>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: PublishError<()>) -> Verdict {
    Outcome::from(Fault::from(error)).into()
}

/// Outputs on their way. Dropped in the middle, by a deadline or for want of room, it keeps what was not accepted.
struct Sending<'a, U: Send + Sync + 'static> {
    onward: &'a Onward<U>,
    offset: u64,
    send: SendAll<'a, Item<U>, TopicWord<U>, IdStamp>,
    done: bool,
}

impl<U: Send + Sync + 'static> Drop for Sending<'_, U> {
    fn drop(&mut self) {
        if !self.done {
            let (_, rest) = self.send.take_back();
            if !rest.is_empty() {
                self.onward.keep(self.offset, rest);
            }
        }
    }
}
