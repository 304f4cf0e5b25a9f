//! The list of rules, and how they are applied.

use std::fmt;

use super::{
    History, attempts, delayed, ending, groups, kept, lanes, loss, order, restarts, retry, steering, told,
};

/// Tells which rule a run broke, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule: `P1` to `P28`.
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
const RULES: [(&str, Rule); 23] = [
    ("P1", loss::nothing_is_lost),
    ("P1", delayed::is_moved_or_reported),
    ("P2", loss::settled_is_handled),
    ("P3", loss::nothing_is_unexpected),
    ("P4", attempts::are_numbered),
    ("P5", attempts::are_counted_in_dead_letters),
    ("P6", order::of_a_single_consumer),
    ("P6", lanes::is_kept),
    ("P7", groups::prefetch_is_kept),
    ("P7", steering::max_in_flight_is_kept),
    ("P7", steering::nothing_begins_unasked),
    ("P7", steering::rates_are_kept),
    ("P11", attempts::end_once),
    ("P12", retry::is_bounded),
    ("P13", restarts::intensity_is_kept),
    ("P15", ending::every_publish_is_answered),
    ("P17", ending::no_panic_escapes),
    ("P18", groups::are_isolated),
    ("P19", groups::are_fair),
    ("P20", attempts::are_not_timed_out_early),
    ("P25", told::what_is_done),
    ("P26", delayed::keeps_its_time),
    ("P27", kept::is_there_for_all),
];

/// P21 is checked with the attempts, whose open ones it needs.
pub(in crate::sim) fn check(history: &History) -> Vec<Violation> {
    let mut found = history.seen_wrong.clone();
    for (rule, holds) in RULES.iter().chain(&[("P21", attempts::never_overlap as Rule)]) {
        holds(history, &mut Finds { rule, found: &mut found });
    }
    found
}

/// Applies one rule, for its tests.
#[cfg(test)]
pub(super) fn apply(rule: Rule, history: &History) -> Vec<String> {
    let mut found = Vec::new();
    rule(history, &mut Finds { rule: "P", found: &mut found });
    found.into_iter().map(|violation| violation.text).collect()
}
