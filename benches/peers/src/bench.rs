//! Measures pairs in turns and keeps the books of a run.

use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::place::{Here, Place};
use crate::report::{Line, Target, Unit};

/// One side of a comparison: a name, and what runs. It answers nanoseconds of CPU time per item.
pub struct Side {
    name: &'static str,
    run: Box<Job>,
}

type Job = dyn Fn(Here) -> Pin<Box<dyn Future<Output = f64>>>;

/// Makes a side of an async function that measures itself with a [`Meter`].
pub fn side<F: Future<Output = f64> + 'static>(
    name: &'static str,
    run: impl Fn(Here) -> F + 'static,
) -> Side {
    Side { name, run: Box::new(move |here| Box::pin(run(here))) }
}

/// CPU time of the process from a start on.
pub struct Meter(ProcessTime);

impl Meter {
    pub fn start() -> Meter {
        Meter(ProcessTime::now())
    }

    /// Nanoseconds since the start for each of `items`.
    pub fn per(self, items: usize) -> f64 {
        self.0.elapsed().as_nanos() as f64 / items as f64
    }
}

/// What a comparison found: the least of all turns, for ours and for the fastest of theirs.
struct Found {
    ours: f64,
    theirs: f64,
    fastest: &'static str,
}

/// A run: which gates are wanted, and how it went.
pub struct Bench {
    filter: Option<String>,
    quick: bool,
    started: Instant,
    passed: usize,
    short: Vec<String>,
    printed: usize,
}

/// The fewest turns for each side.
const TURNS: usize = 5;

impl Bench {
    pub fn new(filter: Option<String>, quick: bool) -> Bench {
        Bench { filter, quick, started: Instant::now(), passed: 0, short: Vec::new(), printed: 0 }
    }

    pub fn wants(&self, gate: &str, place: Place) -> bool {
        self.filter.as_ref().is_none_or(|filter| format!("{gate} {place}").contains(filter.as_str()))
    }

    /// Ours must be at least `times` as fast as the fastest of theirs.
    pub fn faster(&mut self, gate: &str, place: Place, times: f64, ours: &Side, theirs: &[Side]) {
        if self.wants(gate, place) {
            let found = self.measure(place, ours, theirs);
            self.print(gate, place, found.theirs / found.ours, Target::AtLeast(times), &found);
        }
    }

    /// Ours may take at most `times` as long as the fastest of theirs.
    pub fn at_most(&mut self, gate: &str, place: Place, times: Option<f64>, ours: &Side, theirs: &[Side]) {
        if self.wants(gate, place) {
            let found = self.measure(place, ours, theirs);
            let target = times.map_or(Target::None, Target::AtMost);
            self.print(gate, place, found.ours / found.theirs, target, &found);
        }
    }

    fn print(&mut self, gate: &str, place: Place, value: f64, target: Target, found: &Found) {
        let Found { ours, theirs, fastest } = found;
        let detail = format!("ours {ours:.1} ns, {fastest} {theirs:.1} ns");
        self.note(Line { gate: gate.to_string(), place, value, unit: Unit::Times, target, detail });
    }

    /// Prints a line and counts it.
    pub fn note(&mut self, line: Line) {
        // Why not `println!`: whoever reads may have read enough.
        let _ = writeln!(std::io::stdout(), "{line}");
        self.printed += 1;
        if line.is_short() {
            self.short.push(format!("{} {}", line.gate, line.place));
        } else if !matches!(line.target, Target::None) {
            self.passed += 1;
        }
    }

    fn measure(&self, place: Place, ours: &Side, theirs: &[Side]) -> Found {
        let time = Duration::from_millis(if self.quick { 500 } else { 2500 });
        let sides: Vec<&Side> = std::iter::once(ours).chain(theirs).collect();
        let mut least = vec![f64::MAX; sides.len()];
        let (begin, mut turns) = (Instant::now(), 0);
        while turns < TURNS || begin.elapsed() < time {
            for (side, least) in sides.iter().zip(&mut least) {
                *least = least.min(place.run(&*side.run));
            }
            turns += 1;
        }
        let (fastest, theirs) =
            sides.iter().zip(&least).skip(1).fold(("nobody", f64::MAX), |best, (side, at)| {
                if *at < best.1 { (side.name, *at) } else { best }
            });
        Found { ours: least[0], theirs, fastest }
    }

    /// Prints the summary.
    pub fn finish(self) -> ExitCode {
        if self.printed == 0 {
            eprintln!("no gate's name or runtime contains {:?}", self.filter.unwrap_or_default());
            return ExitCode::from(2);
        }
        let (passed, short, took) = (self.passed, self.short.len(), self.started.elapsed().as_secs());
        let _ = writeln!(std::io::stdout(), "\n{passed} passed, {short} short, {took} s");
        ExitCode::SUCCESS
    }
}
