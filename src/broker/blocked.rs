//! Publishers that wait for long: how a topic notices, and what it says of it (G17).
//!
//! Publishers stand in the line of the topic's mailbox, which has no timer, and the topic's actor is not told who
//! joins. So the first one who finds no room says so, once; from then on the actor looks every [`BLOCKED_AFTER`]
//! whether anybody still waits, and whether a place was freed since the last look. If none was, the topic is
//! blocked: it says so once, and is silent until a place is freed. No clock is read while places come free.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::base::sync::{AtomicBool, Ordering};
use crate::base::{Moment, Name};
use crate::runtime::{Clock, Rt};

/// How long publishers wait, without a place coming free, before the topic counts as blocked.
pub(crate) const BLOCKED_AFTER: Duration = Duration::from_secs(5);

/// Tells why publishers to a topic have been waiting for more than 5 seconds, without a place coming free.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Blocked {
    /// The group that has not settled the oldest message, unless the topic itself holds it back.
    pub group: Option<Name>,
    /// What keeps it from being settled.
    pub why: WhyBlocked,
}

/// Names what keeps the messages of a full topic from being settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WhyBlocked {
    /// The topic is held: release it.
    Held,
    /// No group was opened yet.
    NoGroup,
    /// The group has failed: its consumers could not be built.
    Failed,
    /// The group is to read history first, and that can't be read: look at its
    /// [`history_error`](super::GroupStats::history_error).
    HistoryUnreadable,
    /// The group is paused: resume it.
    Paused,
    /// The group has no consumer.
    NoConsumer,
    /// The group gave its messages up and the dead-letter topic is full: read that.
    DeadLettersFull,
    /// The group's breaker is open, since all it produces is failures: look at its handler.
    BreakerOpen,
    /// The group works, too slowly or waiting for something: look at its stats.
    Slow,
}

impl fmt::Display for WhyBlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WhyBlocked::Held => "the topic is held",
            WhyBlocked::NoGroup => "the topic has no group",
            WhyBlocked::Failed => "the group has failed",
            WhyBlocked::HistoryUnreadable => "the group can't read its history",
            WhyBlocked::Paused => "the group is paused",
            WhyBlocked::NoConsumer => "the group has no consumer",
            WhyBlocked::DeadLettersFull => "the dead-letter topic is full",
            WhyBlocked::BreakerOpen => "the group's breaker is open",
            WhyBlocked::Slow => "the group works, and settles nothing",
        })
    }
}

/// Whether the topic was told that somebody waits.
#[derive(Debug, Default)]
pub(crate) struct Waits(AtomicBool);

impl Waits {
    /// Somebody waits. Answers whether the topic is to be told. Ordering: a late view costs a word, or a look.
    pub(crate) fn raise(&self) -> bool {
        !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Relaxed)
    }
}

/// The topic's eye on its line.
pub(crate) struct Watch {
    rt: Rt,
    clock: Clock,
    waits: Arc<Waits>,
    look_at: Option<Moment>,
    freed: bool,
    blocked: bool,
}

impl Watch {
    pub(crate) fn new(rt: Rt, waits: Arc<Waits>) -> Watch {
        Watch { clock: rt.clock(), rt, waits, look_at: None, freed: false, blocked: false }
    }

    /// The topic's runtime.
    pub(crate) fn rt(&self) -> &Rt {
        &self.rt
    }

    /// Somebody waits.
    pub(crate) fn on_waits(&mut self) {
        if !self.blocked && self.look_at.is_none() {
            self.look_later(self.rt.now());
        }
    }

    /// A place was freed. Answers whether the topic was blocked until now.
    pub(crate) fn on_freed(&mut self) -> bool {
        self.freed = true;
        let was_blocked = std::mem::take(&mut self.blocked);
        if was_blocked {
            self.look_later(self.rt.now());
        }
        was_blocked
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Looks, if it is time. Answers whether the topic is blocked as of now.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, anyone_waits: impl Fn() -> bool) -> bool {
        while let Poll::Ready(now) = self.clock.poll_alarm(self.look_at, cx) {
            self.look_at = None;
            if !anyone_waits() {
                self.waits.0.store(false, Ordering::Relaxed);
                // Whoever joined before that store has told nobody; the lock behind this look orders the two.
                if anyone_waits() && self.waits.raise() {
                    self.look_later(now);
                }
            } else if self.freed {
                self.look_later(now);
            } else {
                self.blocked = true;
                return true;
            }
        }
        false
    }

    fn look_later(&mut self, now: Moment) {
        self.freed = false;
        self.look_at = Some(now + BLOCKED_AFTER);
    }
}
