//! Metrics: the counts of a broker, given at intervals to whichever recorder the application installed.
//!
//! ```text
//!   books ──▶ stats ──▶ topology ──▶ totals ──▶ the recorder of the facade `metrics`
//!                 at each interval    never fall
//! ```
//!
//! Why not where things happen: a counter there costs each message a call through a pointer, and is a second set of
//! books, which may come to differ from the first. Here metrics are the stats, a moment old (G25), and publishing and
//! consuming cost the same with them as without.

mod names;
mod totals;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};

use super::registry::Registry;
use super::{Closed, Report};
use crate::base::catch;
use crate::base::sync::{Mutex, PoisonError};
use crate::runtime::Rt;
use names::publish;
use totals::Totals;

/// The shortest interval: a look asks every topic and group.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest one: a year. A longer one is a slip of units.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Says why a broker's metrics are not exported by this call. Nothing was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportError {
    /// The interval is not between 10 ms and a year: choose another one.
    Interval(Duration),
    /// They are exported already. That goes on, at the interval that it was begun with.
    Exporting,
    /// The broker was shut down.
    Closed,
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportError::Interval(every) => {
                write!(f, "an interval of {every:?} is not between {SHORTEST:?} and a year")
            }
            ExportError::Exporting => f.write_str("the metrics of this broker are exported already"),
            ExportError::Closed => f.write_str("the broker was shut down"),
        }
    }
}

impl Error for ExportError {}

/// The broker's place for the task that exports.
#[derive(Default)]
pub(super) struct Export(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Nobody,
    Runs(Running),
    Over,
}

struct Running {
    last: oneshot::Sender<Report>,
    over: oneshot::Receiver<()>,
}

impl Registry {
    pub(super) fn export_metrics(self: &Arc<Registry>, every: Duration) -> Result<(), ExportError> {
        if !(SHORTEST..=LONGEST).contains(&every) {
            return Err(ExportError::Interval(every));
        }
        let mut state = self.export.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Runs(_) => return Err(ExportError::Exporting),
            State::Over => return Err(ExportError::Closed),
            State::Nobody => {}
        }
        let ((last, end), (tell, over)) = (oneshot::channel(), oneshot::channel::<()>());
        *state = State::Runs(Running { last, over });
        drop(state);
        let (registry, rt) = (Arc::downgrade(self), self.core.rt.clone());
        self.core.rt.spawn("metrics", async move {
            run(registry, rt, every, end).await;
            drop(tell);
        });
        Ok(())
    }

    /// Lets the last numbers be exported, and waits for it.
    pub(super) async fn end_export(&self, report: &Report) {
        let state = {
            let mut state = self.export.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *state, State::Over)
        };
        if let State::Runs(Running { last, over }) = state {
            drop(last.send(report.clone()));
            // It is dropped without a word.
            let _ = over.await;
        }
    }
}

async fn run(registry: Weak<Registry>, rt: Rt, every: Duration, mut end: oneshot::Receiver<Report>) {
    let mut totals = Totals::default();
    if !recorded(names::describe) {
        return;
    }
    loop {
        // Why the end may come first: it must not wait for a topic that does not answer.
        let report = match before(&mut end, look(&registry)).await {
            Either::Left(report) => report,
            Either::Right(Some(Ok(topology))) => {
                if !recorded(|| publish(&mut totals, &topology)) {
                    return;
                }
                match before(&mut end, rt.sleep_until(rt.now() + every)).await {
                    Either::Left(report) => report,
                    Either::Right(()) => continue,
                }
            }
            // It is at its end: the report is on the way.
            Either::Right(Some(Err(Closed))) => (&mut end).await.ok(),
            Either::Right(None) => None,
        };
        if let Some(report) = report {
            recorded(|| names::publish_last(&mut totals, &report));
        }
        return;
    }
}

/// `None`: nobody has the broker any more.
async fn look(registry: &Weak<Registry>) -> Option<Result<super::Topology, Closed>> {
    let registry = registry.upgrade()?;
    Some(registry.topology().await)
}

/// Awaits `future`, unless the end comes first; `None` is an end without a report, as the broker went with its runtime.
async fn before<F: Future>(
    end: &mut oneshot::Receiver<Report>,
    future: F,
) -> Either<Option<Report>, F::Output> {
    match select(end, pin!(future)).await {
        Either::Left((report, _)) => Either::Left(report.ok()),
        Either::Right((output, _)) => Either::Right(output),
    }
}

/// Calls what belongs to the application. `false`: it panicked, and is not called again.
fn recorded(call: impl FnOnce()) -> bool {
    let called = catch(call);
    if let Err(text) = &called {
        tracing::error!(target: "callboard::broker", panic = %text, "a recorder of metrics panicked: no more are exported");
    }
    called.is_ok()
}

#[cfg(test)]
mod tests;
