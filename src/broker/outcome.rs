//! How an attempt ended.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Fault;

/// Says what is to become of a message after its handler saw it.
///
/// `Result<(), Fault>` converts: `Ok` is [`Outcome::Ack`], `Err` is [`Outcome::Retry`] with the error's text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Handled: the group is done with it.
    Ack,
    /// Failed: deliver it again after the group's backoff. Counts as a failure; the text is kept for dead letters.
    Retry(String),
    /// Not now: deliver it again after this long. Counts as a failure.
    RetryAfter(Duration),
    /// Hopeless: move it to the dead-letter topic at once, for this reason.
    DeadLetter(String),
    /// Not wanted: settle it without handling. Counted as dropped, apart from acked.
    Drop,
}

impl From<Result<(), Fault>> for Outcome {
    fn from(result: Result<(), Fault>) -> Outcome {
        match result {
            Ok(()) => Outcome::Ack,
            Err(fault) => Outcome::Retry(fault.to_string()),
        }
    }
}

/// How an attempt ended, as the group's ledger hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ack,
    Drop,
    /// Failed with this text; again after the backoff, or after the given time.
    Retry {
        error: Arc<str>,
        after: Option<Duration>,
    },
    Dead {
        reason: Arc<str>,
    },
    /// Given back after its handling began: no failure.
    Release,
}

impl Verdict {
    pub(crate) fn failed(error: impl Into<Arc<str>>) -> Verdict {
        Verdict::Retry { error: error.into(), after: None }
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Ack => Verdict::Ack,
            Outcome::Drop => Verdict::Drop,
            Outcome::Retry(error) => Verdict::failed(error),
            Outcome::RetryAfter(after) => {
                Verdict::Retry { error: "retried later".into(), after: Some(after) }
            }
            Outcome::DeadLetter(reason) => Verdict::Dead { reason: reason.into() },
        }
    }
}
