//! The bounded queue that every actor reads: messages, a control lane, and a waiting line for senders.
//!
//! ```text
//!   Sender ──send().await──▶ ┌────────── one lock ──────────┐
//!   Sender ──try_send()────▶ │ queue     m m m m m          │ ──whole burst, one swap──▶ Receiver ──▶ handler
//!                            │ line      s s s   (no room)  │                               │
//!   framework ─control()───▶ │ control   c c                │ ──always first─────────▶      │
//!                            └──────────────────────────────┘                               │
//!                 room = capacity - (accepted - done)       done: one atomic ◀──settle(n)───┘
//! ```
//!
//! # The problem
//! A channel that moves messages one by one pays its fences, locks and wake-ups for each of them. An actor reads
//! everything itself, so it can take what is there in one go; what is left to pay is one lock for a message
//! going in. But taking must not mean "there is room again": a message that was taken and not yet handled still
//! takes up memory.
//!
//! # Rules
//! - **Places.** A message takes a place when it is accepted and gives it back when the receiver *settles* it,
//!   not when it is taken. So queued + taken + reserved never exceeds the capacity. The count of settled messages
//!   is one atomic that only the receiver writes, and a sender that sees no room reads it afresh: no place that
//!   is free is ever hidden from a sender.
//! - **The line.** A sender without room joins the line. Those in it enter strictly in turn, the front as soon as
//!   one place is free: each settled message lets one in. Whoever comes later gets a place only if more are free
//!   than senders wait, so nobody who waits ever loses one; else it joins behind. `try_send` overtakes nobody: it
//!   answers `Full` while anyone waits.
//!   Leaving the line (dropping the future) is exact: a `send` that did not answer `Ok` did not happen.
//! - **Weight.** Messages may weigh something, and what is inside then weighs at most a limit. That is a second gate on
//!   the same line: who waits for weight is overtaken by nobody who needs less, or none. Weight comes and goes with
//!   the place that bears it.
//! - **What is known** need not come in: a stamp may find, under the lock, that an accepted message stands for the one at
//!   the door. That one is answered for at once, also from within the line, and dropped.
//! - **Control** is a second queue under the same lock, served before messages, never waited for by those who
//!   write it. It carries the framework's words (stop, a child's exit, outcomes), and each writer bounds
//!   what it writes: one word per lease, child or watcher. Closing the message side loses neither lane.
//! - **Budget.** After [`BUDGET`] messages or control words in a row the receiver yields to its executor. So does
//!   whoever would put in one more after `BUDGET` that found room at once. No executor would make them.
//! - Nothing is woken and nothing is dropped while the lock is held: a waker or a message may own a `Sender`.
//!
//! # What it refuses
//! It has no timer (a deadline races the future) and several receivers can't share it (a group does that).
//! Why it is not a channel of `async-channel`, which the first design used for the line: see
//! `docs/decisions/0002-mailbox.md`.

mod entry;
mod error;
mod line;
mod receiver;
mod reopen;
mod reply;
mod send;
mod sender;
mod shared;
mod sink;

#[cfg(test)]
mod shuttle_tests;
#[cfg(test)]
mod tests;

pub use error::{SendError, TrySendError};
pub use receiver::{Event, Receiver};
pub use reply::{Answer, NoReply, Reply, reply};
pub use send::{Send, SendAll, SendAllError};
pub use sender::{Sender, WeakSender};
pub(crate) use shared::weighed_mailbox;
pub use shared::{BUDGET, Stamp, mailbox};
pub use sink::SendSink;
