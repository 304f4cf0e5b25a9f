//! What a publisher does while it stands in line: it keeps to its limit, and asks a topic that evicts for room.
//!
//! ```text
//!   publisher ──no room: joins the line, MakeRoom──▶ topic ──evicts its oldest──▶ groups: Evicted
//!       ▲                                              │
//!       └── a place, by the line; or: nothing to evict ┘
//! ```
//!
//! The topic evicts for everybody who stands in its line, so a place that was made need not be anyone's in particular.
//! The hook hears of each message in the topic's own task, before the place is anybody's: a publisher that asked may be gone.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::topic::TopicShared;
use super::topic_actor::TopicWord;
use super::{Message, Overflow};
use crate::base::sync::{AtomicBool, Ordering, fence};
use crate::mailbox::{Answer, reply};
use crate::runtime::Sleep;

/// A topic's answer to whoever asked for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is some, or will be.
    Made,
    /// Consumers hold all that there is.
    None,
}

/// What is called with each message that is evicted.
pub(crate) type EvictedFn<T> = std::sync::Arc<dyn Fn(Message<T>) + Send + Sync>;

/// Whether somebody lacks room in a topic that evicts, so that it is to be told when more can be evicted: a message that a
/// consumer had may come back to its group, and who waits in line without an answer, as a sink does, would not hear of it.
#[derive(Debug, Default)]
pub(crate) struct Lacks(AtomicBool);

impl Lacks {
    /// The topic is about to look what it can evict.
    ///
    /// Ordering: it sets this and then looks at the claims; a group lets go of its claim and then looks at this. With a
    /// fence between, one of them sees the other.
    pub(crate) fn set(&self, lacks: bool) {
        self.0.store(lacks, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// A group let go of a message that is not settled. Answers whether the topic is to be told.
    pub(crate) fn is_to_be_told(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// A wait for room.
#[derive(Default)]
pub(crate) struct Wait {
    /// Made when it is first needed: most publishes find room.
    limit: Option<Sleep>,
    room: Option<Answer<Room>>,
    asked: bool,
    refused: bool,
}

impl Wait {
    /// Whether the topic said that it can make no room.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether it has a limit, and waited.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// What ends a wait: the limit, if there is one, a drain, or a topic that can make no room.
    pub(crate) fn poll<T: Send + Sync + 'static>(
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
            self.hear(cx);
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
    pub(crate) fn end(&mut self) {
        *self = Wait::default();
    }

    /// Hears the topic's answer, if it is there.
    fn hear(&mut self, cx: &mut Context<'_>) {
        let Some(room) = &mut self.room else { return };
        let Poll::Ready(answer) = Pin::new(room).poll(cx) else { return };
        self.room = None;
        // An error: the topic is gone, and with it the line.
        self.refused = matches!(answer, Ok(Room::None));
    }
}
