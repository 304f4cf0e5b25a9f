//! What a simulation says when it ends badly.

use std::error::Error;
use std::fmt;

use crate::base::Moment;

/// Tells why a simulation could not end, and who was left.
///
/// Its `Display` is the whole report, over several lines, with the seed that brings it about again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stuck {
    /// What stopped the simulation.
    pub why: Why,
    /// The seed: the same one stops at the same place again.
    pub seed: u64,
    /// The virtual time at which it stopped.
    pub at: Moment,
    /// How many polls it had made.
    pub steps: u64,
    /// The tasks that wait, by name, the oldest first; in brackets what for, where they said so. The future given to
    /// `block_on` is `main`.
    pub waiting: Vec<String>,
    /// The tasks that could run; none in a deadlock.
    pub ready: Vec<String>,
    /// The spawned tasks that had panicked: often the reason why the others wait.
    pub panics: Vec<Panicked>,
    /// The last things that happened, a line each, the oldest first.
    pub last: Box<[String]>,
}

/// Names what stopped a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// No task can run and no timer is set, but the main future is not done.
    Deadlock,
    /// The limit of polls is used up ([`Sim::max_steps`](super::Sim::max_steps)): something spins.
    TooManySteps,
    /// The next timer lies behind the limit of virtual time ([`Sim::max_time`](super::Sim::max_time)): something
    /// ticks on, but the end doesn't come.
    TooLate,
}

/// Tells how a spawned task panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panicked {
    /// The task's name.
    pub task: String,
    /// What the panic said.
    pub text: String,
    /// The file, line and column, if the panic hook of this crate was in place to see it.
    pub place: Option<String>,
    /// Whether it came from a `Drop`, after the task had ended or while the simulation was cleared away.
    pub in_drop: bool,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Deadlock => "is in a deadlock: no task can run and no timer is set",
            Why::TooManySteps => "has used up its limit of steps",
            Why::TooLate => "has used up its limit of virtual time",
        })
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task `{}` panicked", self.task)?;
        if self.in_drop {
            f.write_str(" in a drop")?;
        }
        if let Some(place) = &self.place {
            write!(f, " at {place}")?;
        }
        write!(f, ": {}", self.text)
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulation {}", self.why)?;
        write!(f, "\n  seed {}, at {:?}, after {} steps", self.seed, self.at, self.steps)?;
        for (what, tasks) in [("waiting", &self.waiting), ("ready", &self.ready)] {
            if !tasks.is_empty() {
                write!(f, "\n  {what}: {}", Short(tasks))?;
            }
        }
        self.panics.iter().take(SHOWN).try_for_each(|panic| write!(f, "\n  {panic}"))?;
        self.last.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl Error for Stuck {}

/// How many names or panics a report shows.
const SHOWN: usize = 20;

struct Short<'a>(&'a [String]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_seed_time_tasks_and_panics_and_stays_short() {
        let stuck = Stuck {
            why: Why::Deadlock,
            seed: 7,
            at: Moment::from_nanos(1_500_000),
            steps: 12,
            waiting: (0..22).map(|n| format!("t{n}")).collect(),
            ready: Vec::new(),
            panics: vec![Panicked {
                task: "writer".into(),
                text: "boom".into(),
                place: Some("x.rs:1:2".into()),
                in_drop: false,
            }],
            last: Box::new(["+1ms polled `t1`".into()]),
        };
        let lines: Vec<String> = stuck.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "the simulation is in a deadlock: no task can run and no timer is set");
        assert_eq!(lines[1], "  seed 7, at +1.5ms, after 12 steps");
        assert!(lines[2].starts_with("  waiting: t0, t1, "), "{}", lines[2]);
        assert!(lines[2].ends_with(", t19 and 2 more"), "{}", lines[2]);
        assert_eq!(lines[3], "  task `writer` panicked at x.rs:1:2: boom");
        assert_eq!(lines[4], "    +1ms polled `t1`");
    }
}
