//! RESP: requests that arrive in pieces, and replies in two versions of the protocol. Pure.
//!
//! ```text
//!  request   *2\r\n $4\r\nXLEN\r\n $6\r\norders\r\n      or, typed by hand:      XLEN "orders"\r\n
//!  reply     +OK\r\n   -ERR text\r\n   :42\r\n   $2\r\nhi\r\n   *2\r\n..      RESP3 also:   _\r\n   %1\r\n..   >3\r\n..
//! ```
//!
//! # The problem
//! A socket gives pieces that end anywhere. A decoder that starts anew with each piece reads a large request as often as
//! it has pieces: a client that sends it byte by byte buys the square of its length of our time. And a header of ten bytes
//! may announce half a gigabyte that never comes. Requests don't nest, so nothing here is recursive, and no depth of
//! brackets exhausts the stack.
//!
//! # The parts
//! - [`Decoder`] takes pieces and gives [`Request`]s. Each byte is taken once, whatever the pieces are. What it holds
//!   is what came, and at most an eighth more, 16 bytes for each argument, and a few kibibytes.
//! - [`Limits`]: how many arguments, how long, how much together; and less for whoever has not said who it is.
//! - [`ProtocolError`]: after one the connection can't go on, as nobody knows where the next request begins.
//! - [`Replies`] adds replies to a buffer. What RESP2 has no form for is written in the form that Redis gives it there.
//!
//! # Where it differs from Redis 7.0, whose texts and limits it has
//! - A bulk that `\r\n` does not follow, and a header whose `\r` has no `\n`, are refused. Redis takes any two bytes, and
//!   so reads the wrong requests, instead of none, from a client that counts wrong.
//! - What should be a `$` is refused at once and not when its line has ended.
//! - A line that is too long is so whatever the pieces are, and a zero byte in a line is a byte like others.
//! - A request has a million arguments at most, where Redis 7.0 takes two thousand millions.
//! - A request has a limit as a whole, and an error that says so; Redis closes the connection without a word.
#![cfg_attr(not(test), expect(dead_code, reason = "streams use the rest of it"))]

mod decoder;
mod double;
mod encode;
mod error;
mod inline;
mod limits;
mod number;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use decoder::Decoder;
pub(crate) use error::ProtocolError;
pub(crate) use limits::Limits;
pub(crate) use number::parse_i64;
pub(crate) use reply::{Aggregate, Protocol, Replies, Verbatim};
pub(crate) use request::Request;
