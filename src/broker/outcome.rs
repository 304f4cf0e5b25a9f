//! How an attempt ended.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::NoRoom;
use crate::base::Fault;

/// Says what is to become of a message after its handler saw it.
///
/// `Result<(), Fault>` converts: `Ok` is [`Outcome::Ack`]. `Err` is [`Outcome::Retry`] with the error's text, or
/// [`Outcome::NoRoom`] if the error says so: see [`NoRoom`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Handled: the group is done with it.
    Ack,
    /// Failed: deliver it again after the group's backoff. Counts as a failure; the text is kept for dead letters.
    Retry(String),
    /// Not now: deliver it again after this long. Counts as a failure.
    RetryAfter(Duration),
    /// Not now, since something further down was full: deliver it again after a short wait. No failure.
    ///
    /// See [`NoRoom`] for the wait, and for the errors that become this.
    NoRoom(String),
    /// Hopeless: move it to the dead-letter topic at once, for this reason.
    DeadLetter(String),
    /// Not wanted: settle it without handling. Counted as dropped, apart from acked.
    Drop,
}

impl From<Result<(), Fault>> for Outcome {
    fn from(result: Result<(), Fault>) -> Outcome {
        match result {
            Ok(()) => Outcome::Ack,
            Err(fault) => fault.into(),
        }
    }
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Outcome {
        let text = fault.to_string();
        if says_no_room(&fault) { Outcome::NoRoom(text) } else { Outcome::Retry(text) }
    }
}

/// How deep the search for [`NoRoom`] goes: an error that is its own source must not hold a consumer for ever.
const DEPTH: usize = 64;

fn says_no_room(fault: &Fault) -> bool {
    let mut next = fault.source().map(|error| error as &(dyn Error + 'static));
    for _ in 0..DEPTH {
        match next {
            Some(error) if error.is::<NoRoom>() => return true,
            Some(error) => next = error.source(),
            None => break,
        }
    }
    false
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
    /// Could not go on for want of room, and said so with this text: again, after the wait of [`NoRoom`].
    NoRoom {
        error: Arc<str>,
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
            Outcome::NoRoom(error) => Verdict::NoRoom { error: error.into() },
            Outcome::DeadLetter(reason) => Verdict::Dead { reason: reason.into() },
        }
    }
}
