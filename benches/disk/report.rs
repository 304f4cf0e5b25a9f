//! One line for each number.

use std::fmt;

#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// It is for information.
    None,
}

/// Says what was measured: its value as text, the ratio or number that is held against the target, and of what that is one.
pub fn line(name: impl fmt::Display, value: impl fmt::Display, number: f64, target: Target, of: &str) {
    let (verdict, target) = match target {
        Target::AtLeast(least) => (if number >= least { "PASS" } else { "SHORT" }, format!(">= {least}")),
        Target::AtMost(most) => (if number <= most { "PASS" } else { "SHORT" }, format!("<= {most}")),
        Target::None => ("INFO", String::new()),
    };
    println!("{verdict:5}  {name:52}  {value:>22}  {number:>8.2}  {target:>8}  {of}");
}

/// What could not be measured here, and why.
pub fn skipped(name: &str, why: &str) {
    println!("SKIP   {name:52}  {why}");
}

/// A rate, to three figures.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e6 => format!("{:.2} M/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1} k/s", rate / 1e3),
        rate => format!("{rate:.0} /s"),
    }
}

pub fn bytes_rate(per_second: f64) -> String {
    format!("{:.2} GB/s", per_second / 1e9)
}
