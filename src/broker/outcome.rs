//! How an attempt ended.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::{Dropped, NoRoom};
use crate::base::Fault;

/// Says what is to become of a message after its handler saw it.
///
/// `Result<(), Fault>` converts: `Ok` is [`Outcome::Ack`]. `Err` is [`Outcome::Retry`] with the error's text, or
/// [`Outcome::NoRoom`] or [`Outcome::Drop`] if the error says so: see [`NoRoom`] and [`Dropped`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Handled: the group is done with it.
    Ack,
    /// Failed: deliver it again after the group's backoff. Counts as a failure.
    ///
    /// The text, or its first 4,096 bytes, is kept for dead letters; so is every other text here.
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
    #[inline]
    fn from(result: Result<(), Fault>) -> Outcome {
        match result {
            Ok(()) => Outcome::Ack,
            Err(fault) => fault.into(),
        }
    }
}

impl From<Fault> for Outcome {
    #[cold]
    fn from(fault: Fault) -> Outcome {
        let text = fault.to_string();
        match () {
            () if says::<NoRoom>(&fault) => Outcome::NoRoom(text),
            () if says::<Dropped>(&fault) => {
                tracing::debug!(target: "callboard::broker", error = %text, "delivery dropped, as its output was");
                Outcome::Drop
            }
            () => Outcome::Retry(text),
        }
    }
}

/// How deep the search for a mark goes: an error that is its own source must not hold a consumer for ever.
const DEPTH: usize = 64;

/// Whether the mark `M` is among its sources.
fn says<M: Error + 'static>(fault: &Fault) -> bool {
    let mut next = fault.source().map(|error| error as &(dyn Error + 'static));
    for _ in 0..DEPTH {
        match next {
            Some(error) if error.is::<M>() => return true,
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

/// The error of an attempt that was cut short at its deadline.
pub(crate) const TIMED_OUT: &str = "not handled within the ack timeout";

impl Verdict {
    /// Whether the message is to be handed out again, unless it failed too often.
    pub(crate) fn comes_again(&self) -> bool {
        matches!(self, Verdict::Retry { .. } | Verdict::NoRoom { .. } | Verdict::Release)
    }

    pub(crate) fn failed(error: impl Into<Arc<str>>) -> Verdict {
        Verdict::Retry { error: kept(error.into()), after: None }
    }
}

impl From<Outcome> for Verdict {
    #[inline]
    fn from(outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Ack => Verdict::Ack,
            other => Verdict::not_acked(other),
        }
    }
}

impl Verdict {
    /// Why apart: the way of an ack is short only if this is not in it.
    #[cold]
    fn not_acked(outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Ack => Verdict::Ack,
            Outcome::Drop => Verdict::Drop,
            Outcome::Retry(error) => Verdict::failed(error),
            Outcome::RetryAfter(after) => {
                Verdict::Retry { error: "retried later".into(), after: Some(after) }
            }
            Outcome::NoRoom(error) => Verdict::NoRoom { error: kept(error.into()) },
            Outcome::DeadLetter(reason) => Verdict::Dead { reason: kept(reason.into()) },
        }
    }
}

/// The most bytes of a text that are kept with a message: some thousand messages may wait, each with its own (G2).
const MOST_TEXT: usize = 4096;

pub(super) fn kept(text: Arc<str>) -> Arc<str> {
    if text.len() <= MOST_TEXT {
        return text;
    }
    // A character has four bytes at most.
    let start = (0..=MOST_TEXT).rev().find_map(|end| text.get(..end));
    Arc::from(start.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G2, G11.
    #[test]
    fn of_a_long_text_the_beginning_is_kept() {
        for (text, len) in [("e".repeat(4096), 4096), ("e".repeat(4097), 4096), ("€".repeat(2000), 4095)] {
            let outcomes =
                [Outcome::Retry, Outcome::NoRoom, Outcome::DeadLetter].map(|says| says(text.clone()));
            for outcome in outcomes {
                let (Verdict::Retry { error: kept, .. }
                | Verdict::NoRoom { error: kept }
                | Verdict::Dead { reason: kept }) = Verdict::from(outcome)
                else {
                    panic!("a text")
                };
                assert!(kept.len() == len && text.starts_with(&*kept), "{}", kept.len());
            }
        }
        assert_eq!(Verdict::failed(""), Verdict::Retry { error: "".into(), after: None });
    }

    #[test]
    fn a_text_made_of_an_error_that_found_no_room_is_a_failure_and_the_error_is_none() {
        let error = || crate::broker::PublishError::Full(());
        assert_eq!(Outcome::from(Err(error().into())), Outcome::NoRoom(error().to_string()));
        let text = error().to_string();
        assert_eq!(Outcome::from(Err(Fault::new(text.clone()))), Outcome::Retry(text));
        assert_eq!(Outcome::from(Ok(())), Outcome::Ack);
        let dropped = crate::broker::PublishError::Dropped(());
        assert_eq!(Outcome::from(Err(dropped.into())), Outcome::Drop);
    }
}
