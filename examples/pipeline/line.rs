//! The groups, and the line that they all get to see.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The groups, each with one kind of effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Parse,
    Order,
    Audit,
    Count,
}

impl Step {
    /// All of them, as (step, topic, group).
    pub(crate) const ALL: [(Step, &str, &str); 4] = [
        (Step::Parse, "lines", "parse"),
        (Step::Order, "lines", "order"),
        (Step::Audit, "lines", "audit"),
        (Step::Count, "words", "count"),
    ];
    /// Those that read the lines.
    pub(crate) const OF_LINES: [Step; 3] = [Step::Parse, Step::Order, Step::Audit];
}

/// A number for each of them.
#[derive(Default)]
pub(crate) struct PerStep([AtomicU64; 4]);

impl PerStep {
    pub(crate) fn of(&self, step: Step) -> &AtomicU64 {
        let [parse, order, audit, count] = &self.0;
        match step {
            Step::Parse => parse,
            Step::Order => order,
            Step::Audit => audit,
            Step::Count => count,
        }
    }
}

/// A line on its way.
///
/// Nobody gets a copy of it: the groups of a topic, its dead letters and its hook for what was evicted all see this one
/// value. So it can carry what else there is to know of it, for as long as anybody has it and no longer.
pub(crate) struct Line {
    text: String,
    /// A bit for each step that is done with it.
    closed: AtomicU8,
}

impl Line {
    pub(crate) fn new(text: String) -> Line {
        Line { text, closed: AtomicU8::new(0) }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The line's key in its topic: how it begins. Lines with nothing in them share one.
    pub(crate) fn token(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }

    /// Notes that `step` is done with it. Answers whether that was news.
    pub(crate) fn close(&self, step: Step) -> bool {
        let bit = 1 << step as u8;
        // Ordering: whatever else is said of the line is said under locks.
        self.closed.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }
}
