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
//! | P6 | a group with one consumer begins first attempts in order | `order.rs` |
//! | P7 | places, prefetch and pinned payloads stay within their limits, at every step | `books.rs` |
//! | P8 | at rest, nobody waits while a place is free | `books.rs` |
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
//! | P22 | recovery: comes with the log | - |
//! | P23 | the books balance and agree with what is there, at every step | `books.rs` |
//! | P24 | the same seed gives the same run | the scenarios |
//!
//! The numbers are those of the rules; a violation says which one, and where.

mod attempts;
mod books;
mod ending;
mod groups;
mod history;
mod loss;
mod order;
mod restarts;
mod retry;

#[cfg(test)]
mod made_up;

#[cfg(test)]
pub(super) use self::restarts::{Step, strategy_is_kept};

use std::fmt;

pub(super) use self::books::{group_books, topic_books};
pub(super) use self::history::{Event, GroupFacts, GroupKey, History, How, What};

/// Tells which rule a run broke, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule: `P1` to `P24`.
    pub rule: &'static str,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// Collects what a rule finds.
pub(super) struct Finds<'a> {
    rule: &'static str,
    found: &'a mut Vec<Violation>,
}

impl Finds<'_> {
    pub(super) fn say(&mut self, text: impl fmt::Display) {
        self.found.push(Violation { rule: self.rule, text: text.to_string() });
    }
}

type Rule = fn(&History, &mut Finds<'_>);

/// The rules that read a whole history. Those of the books are applied at each step, where they are shown.
const RULES: [(&str, Rule); 15] = [
    ("P1", loss::nothing_is_lost),
    ("P2", loss::settled_is_handled),
    ("P3", loss::nothing_is_unexpected),
    ("P4", attempts::are_numbered),
    ("P5", attempts::are_counted_in_dead_letters),
    ("P6", order::of_a_single_consumer),
    ("P7", groups::prefetch_is_kept),
    ("P11", attempts::end_once),
    ("P12", retry::is_bounded),
    ("P13", restarts::intensity_is_kept),
    ("P15", ending::every_publish_is_answered),
    ("P17", ending::no_panic_escapes),
    ("P18", groups::are_isolated),
    ("P19", groups::are_fair),
    ("P20", attempts::are_not_timed_out_early),
];

/// P21 is checked with the attempts, whose open ones it needs.
pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut found = history.seen_wrong.clone();
    for (rule, holds) in RULES.iter().chain(&[("P21", attempts::never_overlap as Rule)]) {
        holds(history, &mut Finds { rule, found: &mut found });
    }
    found
}

/// Applies one rule, for its tests.
#[cfg(test)]
fn apply(rule: Rule, history: &History) -> Vec<String> {
    let mut found = Vec::new();
    rule(history, &mut Finds { rule: "P", found: &mut found });
    found.into_iter().map(|violation| violation.text).collect()
}
