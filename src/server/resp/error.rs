//! Why what a client sends is no request.

use std::fmt;

/// What is wrong with the bytes. The connection can't go on: where the next request begins is not known.
///
/// Shown, it is Redis's text, to be sent as an error with the code `ERR` before the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    /// The number of arguments is no number, or above the limit.
    InvalidCount,
    /// The length of an argument is no number, negative, above the limit, or not that of what follows.
    InvalidLength,
    /// Something else stands where an argument should begin.
    ExpectedBulk(u8),
    /// The line with the number of arguments does not end.
    TooBigCount,
    /// The line with the length of an argument does not end.
    TooBigLength,
    /// An inline request's line does not end.
    TooBigInline,
    /// A quote is not closed, or something other than a blank is behind one that is.
    UnbalancedQuotes,
    /// More arguments than a client may send that has not authenticated.
    GuestCount,
    /// A longer argument than a client may send that has not authenticated.
    GuestLength,
    /// All arguments together are above the limit.
    TooBigRequest,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        f.write_str(match self {
            ProtocolError::InvalidCount => "invalid multibulk length",
            ProtocolError::InvalidLength => "invalid bulk length",
            // Why escaped: it goes into logs, and into an error line that clients take for text.
            ProtocolError::ExpectedBulk(byte) if !matches!(byte, b' '..=b'~') => {
                return write!(f, "expected '$', got '\\x{byte:02x}'");
            }
            ProtocolError::ExpectedBulk(byte) => {
                return write!(f, "expected '$', got '{}'", char::from(*byte));
            }
            ProtocolError::TooBigCount => "too big mbulk count string",
            ProtocolError::TooBigLength => "too big bulk count string",
            ProtocolError::TooBigInline => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::GuestCount => "unauthenticated multibulk length",
            ProtocolError::GuestLength => "unauthenticated bulk length",
            ProtocolError::TooBigRequest => "too big request",
        })
    }
}

impl std::error::Error for ProtocolError {}
