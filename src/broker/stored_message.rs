//! A message, and a topic's terms, as they are on disk: for tools that read a log without its codecs.

use std::error::Error;
use std::fmt;

use super::envelope::{Again, Envelope, EnvelopeError};
use super::keep::About;
use super::{Durability, Headers, KeyHash, MessageId};
use crate::base::Name;

/// A message as it is on disk: what it carries, and its payload as bytes.
///
/// It is the body of a record that [`dump`](crate::log::inspect::dump) hands out of a log that a broker wrote.
///
/// # Examples
/// ```
/// use callboard::broker::StoredMessage;
///
/// let message = StoredMessage::decode(b"\x02\x01\x06Tenant\x04acmeanvil")?;
/// assert_eq!((message.headers.text("tenant"), message.payload), (Some("acme"), &b"anvil"[..]));
/// # Ok::<(), callboard::broker::NotAMessage>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredMessage<'a> {
    /// In a topic with keys: its key.
    pub key: Option<KeyHash>,
    /// Its headers.
    pub headers: Headers,
    /// The end of its own time to live, in milliseconds since 1970.
    pub expires_millis: Option<u64>,
    /// Of a delayed message: when it is due, in milliseconds since 1970.
    pub due_millis: Option<u64>,
    /// Of a message that came back from the dead letters: the group it is for, its first id, and how often it came back.
    pub redriven: Option<(Name, MessageId, u16)>,
    /// The version of its payload's type; 0 if the codec counts none.
    pub version: u32,
    /// What the topic's codec wrote.
    pub payload: &'a [u8],
}

/// What a topic was opened with, as it is on disk: what [`TopicInfo::about`](crate::log::inspect::TopicInfo::about) holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredTerms {
    /// The name of its codec.
    pub codec: String,
    /// Its messages have keys.
    pub keyed: bool,
    /// When its publishes answer.
    pub durability: Durability,
}

/// Says why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMessage(EnvelopeError);

impl<'a> StoredMessage<'a> {
    /// Reads the body of a record.
    ///
    /// # Errors
    /// [`NotAMessage`]: a newer version of callboard wrote it, or it was not a broker that did.
    pub fn decode(body: &'a [u8]) -> Result<StoredMessage<'a>, NotAMessage> {
        let envelope = Envelope::decode(body).map_err(NotAMessage)?;
        let again = |Again { group, original, redrives }| (group, original, redrives);
        Ok(StoredMessage {
            key: envelope.key,
            headers: envelope.headers.into_owned(),
            expires_millis: envelope.expires,
            due_millis: envelope.due,
            redriven: envelope.again.map(again),
            version: envelope.version,
            payload: envelope.payload,
        })
    }
}

impl StoredTerms {
    /// Reads what a broker says of a topic; `None` if it was none, or a newer one.
    pub fn decode(about: &[u8]) -> Option<StoredTerms> {
        let About { codec, keyed, durability, .. } = About::of(about)?;
        Some(StoredTerms { codec, keyed, durability })
    }
}

impl fmt::Display for NotAMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for NotAMessage {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::inspect::LOST;

    #[test]
    fn what_stands_in_for_a_lost_record_is_a_message_that_says_so() {
        let message = StoredMessage::decode(LOST).unwrap();
        assert_eq!(message.headers.get("callboard.lost"), Some(&[][..]));
        assert_eq!((message.headers.len(), message.payload, message.version), (1, &[][..], 0));
    }

    #[test]
    fn what_is_no_message_is_told() {
        assert!(StoredMessage::decode(&[0xff, 0x01]).unwrap_err().to_string().contains("newer"));
        assert!(StoredMessage::decode(&[]).is_err());
        assert_eq!(StoredTerms::decode(b"\x09"), None);
    }
}
