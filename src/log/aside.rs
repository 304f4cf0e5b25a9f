//! A turnover beside the commits: it reads what is written, and what is moved is settled or read meanwhile.
//!
//! With threads it has one of its own. Without, where a simulated disk is all that may block, it runs between two commits: between the
//! moment of which it tells and that are commits, and between that and when the writer hears of it are more.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::error::LogError;
use super::turnover::{Turned, Turnover};
use crate::base::sync::{Mutex, PoisonError};

/// At most one turnover.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    threads: bool,
    running: Option<Running>,
}

#[derive(Debug)]
enum Running {
    Waits(Box<Turnover>),
    Thread(JoinHandle<Result<Turned, LogError>>),
    Done(Result<Turned, LogError>),
}

impl Aside {
    /// With threads, where what blocks one of them does not block the others.
    pub(crate) fn on_threads() -> Aside {
        Aside { threads: true, running: None }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether what came of one is there to be taken.
    pub(crate) fn is_through(&self) -> bool {
        match &self.running {
            Some(Running::Thread(thread)) => thread.is_finished(),
            running => running.is_some(),
        }
    }

    /// Begins one. There must be none.
    pub(crate) fn start(&mut self, turnover: Turnover) {
        let turnover = Box::new(turnover);
        self.running = Some(match self.threads {
            true => Running::start(turnover),
            false => Running::Waits(turnover),
        });
    }

    /// What came of it, if it is through.
    pub(crate) fn poll(&mut self) -> Option<Result<Turned, LogError>> {
        match self.running.take()? {
            Running::Thread(thread) if !thread.is_finished() => {
                self.running = Some(Running::Thread(thread));
                None
            }
            Running::Waits(turnover) => {
                self.running = Some(Running::Done(turnover.run()));
                None
            }
            through => Some(through.finish()),
        }
    }

    /// Waits until nobody is at work any more, and begins nothing: nobody asks a disk again that has failed.
    pub(crate) fn end(&mut self) {
        if let Some(Running::Thread(thread)) = self.running.take() {
            drop(thread.join());
        }
    }

    /// What came of it, once it is through.
    pub(crate) fn wait(&mut self) -> Option<Result<Turned, LogError>> {
        self.running.take().map(Running::finish)
    }
}

impl Running {
    fn start(turnover: Box<Turnover>) -> Running {
        let cell = Arc::new(Mutex::new(Some(turnover)));
        let theirs = cell.clone();
        let thread = thread::Builder::new().name("callboard-log-turnover".into());
        match thread.spawn(move || run(take(&theirs))) {
            Ok(thread) => Running::Thread(thread),
            // Without a thread it runs here, as well as it can.
            Err(_) => take(&cell).map_or_else(|| Running::Done(run(None)), Running::Waits),
        }
    }

    fn finish(self) -> Result<Turned, LogError> {
        match self {
            Running::Waits(turnover) => turnover.run(),
            Running::Done(done) => done,
            Running::Thread(thread) => thread.join().unwrap_or_else(|_| run(None)),
        }
    }
}

fn take(cell: &Mutex<Option<Box<Turnover>>>) -> Option<Box<Turnover>> {
    cell.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn run(turnover: Option<Box<Turnover>>) -> Result<Turned, LogError> {
    let lost = LogError::Unknown { why: "callboard bug: a turnover panicked".into() };
    turnover.map_or(Err(lost), |turnover| turnover.run())
}
