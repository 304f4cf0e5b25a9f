//! What a message is called.

use std::cmp::Ordering;
use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Names one message of a topic: `<unix milliseconds>-<sequence>`.
///
/// Ids of a topic only grow. The milliseconds are those of the burst the message came in with, read from the wall
/// clock and never going back, so that a time is a position; the sequence is the message's offset: its number in its topic,
/// from 0, without gaps.
///
/// A message may be published with an [id of the publisher's own](super::MessageBuilder::id), above all that the topic has.
/// Then its sequence is not its offset; [`MessageId::offset`] still is, of each id that a broker answered. Ids are
/// equal, and in order, as their two parts are.
#[derive(Clone, Copy, Debug)]
pub struct MessageId {
    millis: u64,
    seq: u64,
    offset: u64,
}

impl MessageId {
    /// Makes an id of its two parts, to publish a message with it, or to say where a group begins.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::MessageId;
    ///
    /// let id = MessageId::from_parts(1_700_000_000_000, 5);
    /// assert_eq!(id.to_string(), "1700000000000-5");
    /// assert_eq!(id, "1700000000000-5".parse().unwrap());
    /// ```
    pub const fn from_parts(unix_millis: u64, sequence: u64) -> MessageId {
        MessageId { millis: unix_millis, seq: sequence, offset: sequence }
    }

    /// Of a message that the topic numbered.
    #[inline]
    pub(crate) fn new(millis: u64, offset: u64) -> MessageId {
        MessageId { millis, seq: offset, offset }
    }

    /// Of the message at this offset. `seq`: that of an id of its own.
    pub(crate) fn at(offset: u64, millis: u64, seq: Option<u64>) -> MessageId {
        MessageId { millis, seq: seq.unwrap_or(offset), offset }
    }

    /// Returns the message's number in its topic, from 0, without gaps.
    ///
    /// Of an id that was made of its parts, or read from text, it is the sequence: the number only where the topic gave the
    /// message its id.
    pub fn offset(self) -> u64 {
        self.offset
    }

    /// Returns the milliseconds since 1970: of a topic's own id, those that the message's burst was stamped with.
    pub fn unix_millis(self) -> u64 {
        self.millis
    }

    /// Returns the second part: of a topic's own id, the offset.
    pub fn sequence(self) -> u64 {
        self.seq
    }

    /// Whether its publisher gave it, as far as it tells.
    pub(crate) fn is_named(self) -> bool {
        self.seq != self.offset
    }

    /// With this sequence, at the same offset.
    pub(crate) fn named(self, seq: u64) -> MessageId {
        MessageId { seq, ..self }
    }

    /// Both parts.
    pub(crate) fn parts(self) -> (u64, u64) {
        (self.millis, self.seq)
    }
}

impl PartialEq for MessageId {
    fn eq(&self, other: &MessageId) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for MessageId {}

impl PartialOrd for MessageId {
    fn partial_cmp(&self, other: &MessageId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MessageId {
    fn cmp(&self, other: &MessageId) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl Hash for MessageId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
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
        write!(f, "{}-{}", self.millis, self.seq)
    }
}

/// Says that a text is not a [`MessageId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMessageId;

impl FromStr for MessageId {
    type Err = InvalidMessageId;
    fn from_str(text: &str) -> Result<MessageId, InvalidMessageId> {
        let (millis, sequence) = text.split_once('-').ok_or(InvalidMessageId)?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| InvalidMessageId),
            false => Err(InvalidMessageId),
        };
        Ok(MessageId::from_parts(number(millis)?, number(sequence)?))
    }
}

impl fmt::Display for InvalidMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message id reads <unix milliseconds>-<sequence>")
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
