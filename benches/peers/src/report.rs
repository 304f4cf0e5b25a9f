//! One line for each number.

use std::fmt;

use crate::place::Place;

/// What a number is held against.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing: it is for information.
    None,
}

/// What the number counts.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Times,
    Allocations,
    Bytes,
}

/// A gate at one place, measured.
#[derive(Debug)]
pub struct Line {
    pub gate: String,
    pub place: Place,
    pub value: f64,
    pub unit: Unit,
    pub target: Target,
    /// What was measured on either side.
    pub detail: String,
}

impl Target {
    fn allows(self, value: f64) -> bool {
        match self {
            Target::AtLeast(least) => value >= least,
            Target::AtMost(most) => value <= most,
            Target::None => true,
        }
    }
}

impl Line {
    /// Whether the target is missed.
    pub fn is_short(&self) -> bool {
        !self.target.allows(self.value)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.target {
            Target::None => "INFO",
            _ if self.is_short() => "SHORT",
            _ => "PASS",
        };
        let number = |value: f64| match self.unit {
            Unit::Times => format!("{value:.2}x"),
            Unit::Allocations => format!("{value:.3}"),
            Unit::Bytes => format!("{value:.0} B"),
        };
        let target = match self.target {
            Target::AtLeast(least) => format!("(target >= {})", number(least)),
            Target::AtMost(most) => format!("(target <= {})", number(most)),
            Target::None => String::new(),
        };
        let Line { gate, place, value, detail, .. } = self;
        write!(f, "{verdict:5}  {gate:48}  {place:7}  {:>9}  {target:18}  {detail}", number(*value))
    }
}
