//! Why something was not done.

use std::error::Error;
use std::fmt;

use crate::server::keep::Unwritten;

/// Says that what was asked of the server, from within its process, was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServedError {
    /// The server has stopped, or stops; or somebody ended the wait by `CLIENT KILL`. Nothing was done, and it is no use to ask again.
    Closed,
    /// The server refused it, as it would refuse a client's command. Nothing was done.
    Refused {
        /// What a client would read, beginning with a code: `OOM` if there is no memory left, `MISCONF` if the disk is full, `WRONGTYPE` if
        /// the name is that of something else, `NOGROUP` if the group was destroyed.
        reply: String,
    },
    /// The disk did not take it, so that it has not happened. It can be asked again: there may be room by then.
    NotWritten,
    /// Nobody knows whether it was done. The disk failed: it is known once a server begins anew with the same directory, and this one can't
    /// write any more, see [`Serving::failure`](crate::server::Serving::failure). Or the disk was full, had room and was full again before the
    /// future was polled: what is in the stream tells.
    Unknown,
    /// The delivery is in other hands by now, or was settled by others: it was held for longer than
    /// [`ServedGroup::claim_after`](super::ServedGroup::claim_after), or somebody claimed it, or the group was destroyed. Nothing was done.
    Lost,
}

impl ServedError {
    pub(super) fn refused(why: impl Into<String>) -> ServedError {
        ServedError::Refused { reply: why.into() }
    }

    /// Of what could not be written down.
    pub(super) fn unwritten(why: &Unwritten) -> ServedError {
        if why.is_unsure() { ServedError::Unknown } else { ServedError::NotWritten }
    }

    /// Whether the same may be done a moment later.
    pub(super) fn passes(&self) -> bool {
        match self {
            ServedError::NotWritten => true,
            ServedError::Refused { reply } => reply.starts_with("MISCONF"),
            ServedError::Closed | ServedError::Unknown | ServedError::Lost => false,
        }
    }
}

impl fmt::Display for ServedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServedError::Closed => f.write_str("the server has stopped: nothing was done"),
            ServedError::Refused { reply } => write!(f, "the server refused it: {reply}"),
            ServedError::NotWritten => {
                f.write_str("the disk did not take it, so that it has not happened: it can be tried again")
            }
            ServedError::Unknown => f.write_str(
                "the disk failed, and nobody knows whether it was done: look for it once it works again",
            ),
            ServedError::Lost => f.write_str("the delivery is in other hands by now: nothing was done"),
        }
    }
}

impl Error for ServedError {}
