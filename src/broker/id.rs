//! What a message is called.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// Names one message of a topic: `<unix milliseconds>-<offset>`.
///
/// Ids of a topic only grow. The milliseconds are those of the burst the message came in with, read from the wall
/// clock and never going back, so that a time is a position; the offset is the message's number in its topic,
/// from 0, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    // Why this order: ids compare by offset as they compare by time, and the derive compares fields in order.
    millis: u64,
    offset: u64,
}

impl MessageId {
    #[inline]
    pub(crate) fn new(millis: u64, offset: u64) -> MessageId {
        MessageId { millis, offset }
    }

    /// Returns the message's number in its topic, from 0, without gaps.
    pub fn offset(self) -> u64 {
        self.offset
    }

    /// Returns the milliseconds since 1970 that the message's burst was stamped with.
    pub fn unix_millis(self) -> u64 {
        self.millis
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.offset)
    }
}

/// Says that a text is not a [`MessageId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMessageId;

impl FromStr for MessageId {
    type Err = InvalidMessageId;
    fn from_str(text: &str) -> Result<MessageId, InvalidMessageId> {
        let (millis, offset) = text.split_once('-').ok_or(InvalidMessageId)?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| InvalidMessageId),
            false => Err(InvalidMessageId),
        };
        Ok(MessageId { millis: number(millis)?, offset: number(offset)? })
    }
}

impl fmt::Display for InvalidMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message id reads <unix milliseconds>-<offset>")
    }
}

impl Error for InvalidMessageId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_is_written() {
        let id = MessageId::new(1_700_000_000_000, 42);
        assert_eq!(id.to_string(), "1700000000000-42");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "-", "1", "1-", "-1", "+1-2", "1-2-3", "1-x", "18446744073709551616-0"] {
            assert_eq!(bad.parse::<MessageId>(), Err(InvalidMessageId), "{bad:?}");
        }
    }
}
