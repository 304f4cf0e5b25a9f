//! The last things that happened in a run, for whoever reads of its end.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::base::Moment;

/// How many are kept.
const KEPT: usize = 50;

/// What happened at one step.
#[derive(Clone, Debug)]
pub(super) enum Happened {
    Spawned(Arc<str>),
    Polled(Arc<str>),
    Ended(Arc<str>),
    Panicked(Arc<str>),
    /// The clock moved, and so many timers fired.
    Fired(usize),
    /// The code under test said so.
    Noted(String),
}

/// Keeps the last [`KEPT`] events.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring(VecDeque<(Moment, Happened)>);

impl Ring {
    pub(super) fn push(&mut self, at: Moment, happened: Happened) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at, happened));
    }

    /// A line for each, the oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(at, happened)| format!("{at:?} {happened}")).collect()
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Happened::Spawned(task) => write!(f, "spawned `{task}`"),
            Happened::Polled(task) => write!(f, "polled `{task}`"),
            Happened::Ended(task) => write!(f, "`{task}` ended"),
            Happened::Panicked(task) => write!(f, "`{task}` panicked"),
            Happened::Fired(timers) => write!(f, "{timers} timers fired"),
            Happened::Noted(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept_in_order() {
        let mut ring = Ring::default();
        for number in 0..60 {
            ring.push(Moment::from_nanos(number), Happened::Noted(format!("event {number}")));
        }
        let lines = ring.lines();
        assert_eq!(lines.len(), KEPT);
        assert_eq!((&*lines[0], &*lines[49]), ("+10ns event 10", "+59ns event 59"));
    }
}
