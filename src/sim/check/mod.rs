//! What must be true of every run: the contract as checkers over what a broker was seen to do.
//!
//! The broker shows what it does where it does it (`broker/witness.rs`); the kit writes that down as a [`History`],
//! and each rule here reads a history and says what is wrong with it. So a rule needs no broker: its own tests hand
//! it histories that are made up, a good one and a bad one. And a bug planted in the broker must be caught by the
//! rule that is meant for it (`sim/scenarios/planted.rs`).
//!
//! | | rule | in |
//! |---|---|---|
//! | P1 | what was confirmed is accepted; what was offered to a group is settled, or reported as left | `loss.rs` |
//! | P2 | what is settled was handled well, dropped by an outcome, or dead-lettered, before; and settled once | `loss.rs` |
//! | P3 | what is delivered was accepted and offered; ids grow without gaps, and one id is one value | `loss.rs` |
//! | P4 | the first attempt has number 1 and each later one is one more | `attempts.rs` |
//! | P5 | attempts count handlings that began, also in a dead letter | `attempts.rs` |
//! | P6 | a group with one consumer begins first attempts in order; an ordered group what waits for each other | `order.rs`, `lanes.rs` |
//! | P7 | places, bytes, prefetch and pinned payloads stay within their limits, at every step | `books.rs`, `groups.rs` |
//! | P7 | a group begins no more than `max_in_flight`, its rate limit, its breaker and a pause allow | `steering.rs` |
//! | P8 | a full topic takes nothing, and one with room keeps nobody waiting | the scenarios |
//! | P9 | no deadlock | the simulator |
//! | P10 | with faults off, everything settles within a time | the scenarios |
//! | P11 | an attempt ends once, and what ended can't be acked | `attempts.rs` |
//! | P12 | failures stay within `max_attempts`; then one dead letter, and nothing after it | `retry.rs` |
//! | P13 | a group fails exactly when its consumers can't be built more often than its intensity | `restarts.rs` |
//! | P14 | strategies touch whom they should, in their order | `restarts.rs` |
//! | P15 | at the end every publish has an answer, the report adds up, and no task is left | `ending.rs` |
//! | P16 | a dropped future leaves no place taken and nobody asleep | `books.rs`, the scenarios |
//! | P17 | no panic of a user ends a task of the crate | `ending.rs` |
//! | P18 | a group that stands still slows no other | `groups.rs` |
//! | P19 | consumers of equal speed get between half and twice the mean | `groups.rs` |
//! | P20 | a deadline never comes early, whatever the wall clock does | `attempts.rs` |
//! | P21 | no two attempts of one message in one group at a time | `attempts.rs` |
//! | P22 | what was confirmed is there for the next process, and what is done with is done | `recovery.rs` |
//! | P23 | the books balance and agree with what is there, at every step | `books.rs` |
//! | P24 | the same seed gives the same run | the scenarios |
//! | P25 | events tell what is done, each thing once, and the report counts the same | `told.rs` |
//! | P26 | a delayed message moves once, not before its moment and in the order of the moments; or is in the report | `delayed.rs` |
//! | P27 | what is kept is there for groups that begin in the past or are moved, and for those who browse | `kept.rs` |
//! | P28 | ids only grow, stay what they were confirmed as, and lead to their place | the scenarios |
//!
//! The numbers are those of the rules; a violation says which one, and where.

mod attempts;
mod books;
mod delayed;
mod ending;
mod groups;
mod history;
mod kept;
mod lanes;
mod loss;
mod order;
#[cfg(test)]
mod recovery;
mod restarts;
mod retry;
mod rules;
mod shown;
mod steering;
mod told;

#[cfg(test)]
mod made_up;

pub(super) use self::books::{group_books, topic_books};
pub use self::history::End;
pub(super) use self::history::{Event, GroupFacts, GroupKey, History, What};
#[cfg(test)]
pub(super) use self::recovery::{Ended, Life, Saga, what_was_confirmed_is_there};
#[cfg(test)]
pub(super) use self::restarts::{Step, strategy_is_kept};
use self::rules::Finds;
pub use self::rules::Violation;
#[cfg(test)]
use self::rules::apply;
pub(super) use self::rules::check;
