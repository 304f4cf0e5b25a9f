//! What a publisher does while it stands in line: it keeps to its limit, and asks a topic that evicts for room.
//!
//! ```text
//!   publisher ──no room: joins the line, MakeRoom──▶ topic ──evicts its oldest──▶ groups: Evicted
//!       ▲                                              │
//!       └── a place, by the line; or: nothing to evict ┘
//! ```
//!
//! The topic evicts for everybody who stands in its line, so a place that was made need not be anyone's in particular.
//! What was evicted comes with the answer, and the hook is called here, in the task of whoever asked.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::topic::TopicShared;
use super::topic_actor::TopicWord;
use super::{Message, Overflow};
use crate::base::catch;
use crate::mailbox::{Answer, reply};
use crate::runtime::Sleep;

/// A topic's answer to whoever asked for room.
pub(crate) enum Room<T> {
    /// There is some, or will be; these went for it.
    Made(Vec<Message<T>>),
    /// Consumers hold all that there is.
    None,
}

/// What is called with each message that is evicted.
pub(crate) type EvictedFn<T> = std::sync::Arc<dyn Fn(Message<T>) + Send + Sync>;

/// A wait for room.
pub(crate) struct Wait<T> {
    /// Made when it is first needed: most publishes find room.
    limit: Option<Sleep>,
    room: Option<Answer<Room<T>>>,
    asked: bool,
    refused: bool,
}

impl<T> Default for Wait<T> {
    fn default() -> Wait<T> {
        Wait { limit: None, room: None, asked: false, refused: false }
    }
}

impl<T: Send + Sync + 'static> Wait<T> {
    /// Whether the topic said that it can make no room.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether it has a limit, and waited.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// What ends a wait: the limit, if there is one, a drain, or a topic that can make no room.
    pub(crate) fn poll(
        &mut self,
        limit: Option<Duration>,
        topic: &TopicShared<T>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        // Why once more: a drain that began since has roused those who were in line by then, and this one joined later.
        if !topic.may_publish() {
            return Poll::Ready(());
        }
        if topic.settings.overflow == Overflow::DropOldest {
            if !std::mem::replace(&mut self.asked, true) {
                let (port, room) = reply();
                drop(topic.sender.control(TopicWord::MakeRoom(port)));
                self.room = Some(room);
            }
            self.hear(topic, cx);
            if self.refused {
                return Poll::Ready(());
            }
        } else if topic.waits.raise() {
            drop(topic.sender.control(TopicWord::Waits));
        }
        topic.core.rt.waits(format_args!("for room in topic {}", topic.name));
        let Some(limit) = limit else { return Poll::Pending };
        let rt = &topic.core.rt;
        Pin::new(self.limit.get_or_insert_with(|| rt.sleep_until(rt.now() + limit))).poll(cx)
    }

    /// The wait is over, and another one may begin.
    pub(crate) fn end(&mut self, topic: &TopicShared<T>, cx: &mut Context<'_>) {
        // Why now: the topic answers before it lets anyone in.
        self.hear(topic, cx);
        *self = Wait::default();
    }

    /// Hears the topic's answer, if it is there, and calls the hook.
    fn hear(&mut self, topic: &TopicShared<T>, cx: &mut Context<'_>) {
        let Some(room) = &mut self.room else { return };
        let Poll::Ready(answer) = Pin::new(room).poll(cx) else { return };
        self.room = None;
        match answer {
            Ok(Room::Made(evicted)) => {
                for message in evicted {
                    let hook = topic.components.on_evicted.as_ref();
                    if let Some(Err(text)) = hook.map(|hook| catch(|| hook(message))) {
                        tracing::error!(target: "callboard::broker", topic = %topic.name, panic = %text, "an eviction hook panicked");
                    }
                }
            }
            Ok(Room::None) => self.refused = true,
            // The topic is gone, and with it the line.
            Err(_) => {}
        }
    }
}
