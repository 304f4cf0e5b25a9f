//! Streams: what is in a key of that type, with its groups. Pure; time is an argument.
//!
//! ```text
//!   XADD ──▶ entries, in nodes, by id ──▶ XRANGE, XREAD
//!                  │                                            group: last id, and what is pending: id, whose, when, how often
//!                  └──────── XREADGROUP > ───▶ consumer ── XACK ──▶ gone from what is pending
//! ```
//!
//! # The problem
//! A client asks by id, for whatever range; deletes what it likes; claims what another one has; writes counts and times as it
//! sees fit; all of that in transactions, and each answer is as of that instant. The broker's groups promise more and allow less: a
//! lease is fenced, its attempts count, its consumer is an actor. So this is the profile that Redis's clients expect, with their
//! words and numbers exactly (decision 0015).
//!
//! # Rules
//! - Ids only grow, whatever is deleted. Entries lie in nodes of at most so many, since approximate trims drop whole ones.
//! - An entry is what was added: its fields are in one piece of memory, shared with whoever reads it.
//! - What is pending is in three places: with its group in order of ids, which says whose it is, if it is anybody's; there in the order in
//!   which it may be claimed; and with its consumer. They change together.
//! - A group does nothing by itself, unless it was told to (`policy.rs`); and then only as somebody reads.
//! - What happens is noted as what it did (`change.rs`), where somebody writes it down; what was noted makes the same stream again.
//! - Costs are counted as they change, never anew.

mod change;
mod count;
mod entries;
mod fields;
mod group;
mod id;
mod pending;
mod policy;
mod refs;
mod release;
mod trim;

pub(super) use change::Change;
#[cfg(test)]
pub(super) use change::GroupChange;
pub(super) use entries::NoId;
pub(super) use entries::{Entry, Stream};
pub(super) use fields::Fields;
pub(super) use group::{Consumer, StreamGroup};
pub(super) use id::NoInterval;
pub(super) use id::{GivenId, Id, Interval};
pub(super) use pending::{Claim, Claimable, Held, Pending, Read, Released, TakeOver, TakenOver, once_more};
pub(super) use policy::Policy;
pub(super) use refs::{Deleted, Refs};
pub(super) use release::{Blame, Release};
pub(super) use trim::{Keep, Limits, Trim};
