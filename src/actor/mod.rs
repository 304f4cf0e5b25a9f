//! Actors: a state, a mailbox, and one task that feeds the one from the other.
//!
//! ```text
//!   Address ──send──▶ mailbox ──▶ ┌─ task ────────────────────────────────┐
//!   Address ──ask───▶   (places)  │  catch_unwind( one incarnation:       │──▶ Ended { exit, unhandled }
//!   timers, streams ────────────▶ │     started, handle*, stopping, drop )│      to stop(), ended(), watchers
//!   stop, watch ─────control────▶ │  the mailbox and its Desk stay outside│
//!                                 └────────────────────────────────────────┘
//! ```
//!
//! # The problem
//! State that many tasks change wants a lock or an owner. An actor is the owner: it handles one message at a time
//! with `&mut self`, and may await in the middle. What then goes wrong in practice: messages lost when it stops
//! or restarts, "stopped" announced while the state is still alive, a new incarnation beside the old one, no
//! bound on the mailbox, a stop that waits behind a thousand messages. The rules below are the answers.
//!
//! # Rules
//! - **One message type per actor** (usually an enum). [`Address`] is typed by the message, not by the actor, so
//!   it already hides which actor is behind it; [`Recipient`] narrows it to one kind of message through `From`.
//!   Why not a handler per message: it takes a box per message (docs/decisions/0004-one-message-type.md).
//! - **The mailbox is bounded** and the sender waits. A question ([`Address::ask`]) waits for the answer too;
//!   between actors give it a limit ([`Address::ask_within`]), as two that ask each other wait for ever otherwise.
//!   An actor that asks itself is told so; one that waits for room in its own mailbox, or for its own end, is
//!   warned of in the log.
//! - **Control before data.** A stop, or the end of a watched actor, overtakes every message. It reaches the
//!   actor between two messages; a kill reaches it at the next await inside a handler. From the moment of the call
//!   the mailbox refuses messages.
//! - **Mailbox, timers and streams take turns**, and after 128 messages without a pause the actor lets other tasks
//!   of its runtime go first.
//! - **A panic or an error ends the incarnation, never the mailbox.** What happens next is the supervisor's word
//!   (layer `supervise`); without one the actor has ended. The message that was being handled is gone: an actor's
//!   messages are at most once. (Topics deliver again; that is the broker's work.)
//! - **Ended means ended**: [`Ended`] is told after the `stopping` hook ran, the state was dropped and the mailbox
//!   was closed, and it counts what was left unhandled. [`Address::stop_now`] hands those messages back.
//! - **The last address gone**, the actor handles what was accepted and ends as [`Exit::Abandoned`].
//! - Timers and streams belong to the incarnation: a restart begins without them, in `started`.
//!
//! # What it refuses
//! No clock is read, nothing is boxed and nothing is selected per message. There is no unbounded mailbox, no
//! untyped message, and no way to reach an actor's state but by a message.

mod address;
mod ask;
mod context;
mod core;
mod desk;
mod ending;
mod exit;
mod here;
mod life;
mod recipient;
mod seat;
mod sending;
#[cfg(test)]
mod shuttle_tests;
mod sources;
mod span;
mod spawn;
mod system;
#[cfg(test)]
mod tests;
mod traits;
mod turns;

pub use address::{Address, AddressSink, WeakAddress};
pub use ask::AskError;
pub use context::Context;
pub use ending::Ending;
pub use exit::{Ended, Exit};
pub use recipient::Recipient;
pub use sources::{SourceError, TimerId};
pub use spawn::{Spawn, SpawnError};
pub use system::{System, SystemBuilder};
pub use traits::Actor;

pub use crate::mailbox::{Reply, SendError, TrySendError};

pub(crate) use self::core::Core;
pub(crate) use desk::Stop;
pub(crate) use life::{Life, Until};
pub(crate) use seat::{Lived, Seat};
