//! What is shown meanwhile.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::Work;
use crate::count::get;

/// A line on the terminal that is written over and over.
pub(crate) struct Progress {
    shown: Option<Instant>,
    began: Instant,
}

impl Progress {
    pub(crate) fn new(began: Instant) -> Progress {
        Progress { shown: io::stderr().is_terminal().then_some(began), began }
    }

    pub(crate) fn show(&mut self, work: &Work) {
        if self.shown.is_none_or(|shown| shown.elapsed() < Duration::from_millis(200)) {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "a terminal is a matter of the wall clock")]
        let now = Instant::now();
        self.shown = Some(now);
        let (lines, deliveries) = (get(&work.counts.audited), work.faults.deliveries());
        let seconds = now.duration_since(self.began).as_secs_f64();
        let _ = write!(io::stderr(), "\r\x1b[K{seconds:5.1} s  {lines} lines  {deliveries} deliveries");
    }

    pub(crate) fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
