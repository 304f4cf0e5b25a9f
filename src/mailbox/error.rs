//! What a refused send gives back.

use std::error::Error;
use std::fmt;

/// Says that the mailbox is closed and gives the message back. It was not accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<M>(pub M);

/// Says why a message was not accepted at once, and gives it back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<M> {
    /// There is no room, or senders that came earlier wait for it. Wait with `send`, or try later.
    Full(M),
    /// The receiver ended or refuses new messages. Trying again is of no use.
    Closed(M),
}

impl<M> SendError<M> {
    /// Takes the message out.
    pub fn into_inner(self) -> M {
        self.0
    }
}

impl<M> TrySendError<M> {
    /// Takes the message out.
    pub fn into_inner(self) -> M {
        match self {
            TrySendError::Full(message) | TrySendError::Closed(message) => message,
        }
    }

    /// Tells whether waiting would help.
    pub fn is_full(&self) -> bool {
        matches!(self, TrySendError::Full(_))
    }
}

// Why by hand: errors are shown and passed on without asking anything of the message.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not accepted: the mailbox is closed")
    }
}

impl<M> Error for SendError<M> {}

impl<M> fmt::Debug for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

impl<M> fmt::Display for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "not accepted: the mailbox is full",
            TrySendError::Closed(_) => "not accepted: the mailbox is closed",
        })
    }
}

impl<M> Error for TrySendError<M> {}
