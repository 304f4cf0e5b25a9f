//! The bytes of a message on disk: what it carries beside its id, and its payload. Pure.
//!
//! `docs/record-format.md` has each byte. The log keeps them as they are and looks into none; what it must know itself, the
//! offset, the milliseconds of the id and the dedup key, is in fields of its own.
//!
//! Flags say which parts are there; a part that is not costs nothing, so that a message with none of them pays one byte.
//! A flag that isn't known is refused: its part would be taken for the payload's beginning.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use super::{Headers, KeyHash, MessageId};
use crate::base::Name;
use crate::base::varint::{Take, put_u64};
use parts::{put_headers, put_key};

pub(super) mod parts;

pub(super) use parts::{Reader, put_id, put_text};

/// A message of a topic, but for what the log has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    /// In a topic with keys.
    pub(crate) key: Option<KeyHash>,
    pub(crate) headers: Cow<'a, Headers>,
    /// The end of its own time, in milliseconds since 1970.
    pub(crate) expires: Option<u64>,
    /// Of a delayed message: when it is due, in milliseconds since 1970.
    pub(crate) due: Option<u64>,
    /// Of a message that was redriven: what it was before, and for whom it is.
    pub(crate) again: Option<Again>,
    /// The version of the payload's type, as its codec counts them; 0 if it doesn't.
    pub(crate) version: u32,
    /// As the topic's codec wrote it.
    pub(crate) payload: &'a [u8],
}

/// A message that came back from the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Again {
    /// The one group that it came back to.
    pub(crate) group: Name,
    /// The id that it was published with, which it has again.
    pub(crate) original: MessageId,
    /// How often it came back, with this time.
    pub(crate) redrives: u16,
}

/// Says why bytes are no message. Nothing was taken out of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvelopeError {
    /// A newer version wrote it, and these flags are of that.
    Newer { flags: u64 },
    /// It was not written so by any version: this part ends too early, or can't be one.
    Malformed { part: &'static str, at: usize },
}

/// Which parts are there. They follow in this order.
mod flag {
    pub(super) const KEY: u64 = 1;
    pub(super) const HEADERS: u64 = 1 << 1;
    pub(super) const EXPIRES: u64 = 1 << 2;
    pub(super) const DUE: u64 = 1 << 3;
    pub(super) const AGAIN: u64 = 1 << 4;
    pub(super) const VERSION: u64 = 1 << 5;
    pub(super) const SEQUENCE: u64 = 1 << 6;
    pub(super) const ALL: u64 = KEY | HEADERS | EXPIRES | DUE | AGAIN | VERSION | SEQUENCE;
}

impl<'a> Envelope<'a> {
    /// A message with nothing beside its payload.
    pub(crate) fn of(payload: &'a [u8]) -> Envelope<'a> {
        let headers = Cow::Owned(Headers::new());
        Envelope { key: None, headers, expires: None, due: None, again: None, version: 0, payload }
    }

    /// Writes it behind what `into` has already.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        // Most have no headers, and no other part is long.
        into.reserve(64 + self.headers.bytes() + self.payload.len());
        put_u64(into, self.flags());
        if let Some(key) = self.key {
            put_key(into, key);
        }
        if !self.headers.is_empty() {
            put_headers(into, &self.headers);
        }
        for millis in [self.expires, self.due].into_iter().flatten() {
            put_u64(into, millis);
        }
        if let Some(again) = &self.again {
            put_text(into, again.group.as_str());
            put_id(into, again.original);
            put_u64(into, again.redrives.into());
        }
        if self.version != 0 {
            put_u64(into, self.version.into());
        }
        if let Some(id) = self.named() {
            put_u64(into, id.sequence());
        }
        into.extend_from_slice(self.payload);
    }

    /// The id that it had before, if its publisher gave it that.
    fn named(&self) -> Option<MessageId> {
        self.again.as_ref().map(|again| again.original).filter(|id| id.is_named())
    }

    fn flags(&self) -> u64 {
        let parts = [
            (self.key.is_some(), flag::KEY),
            (!self.headers.is_empty(), flag::HEADERS),
            (self.expires.is_some(), flag::EXPIRES),
            (self.due.is_some(), flag::DUE),
            (self.again.is_some(), flag::AGAIN),
            (self.version != 0, flag::VERSION),
            (self.named().is_some(), flag::SEQUENCE),
        ];
        parts.into_iter().filter(|(there, _)| *there).map(|(_, flag)| flag).sum()
    }

    /// Reads what [`Envelope::encode`] wrote; all of `bytes` is one message.
    ///
    /// # Errors
    /// [`EnvelopeError`]: a newer version wrote them, or none did.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Envelope<'a>, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.flags(flag::ALL)?;
        let has = |flag: u64| flags & flag != 0;
        let key = reader.part(has(flag::KEY), "key", parts::key)?;
        let headers = reader.part(has(flag::HEADERS), "headers", parts::headers)?.unwrap_or_default();
        let expires = reader.part(has(flag::EXPIRES), "expires", Take::u64)?;
        let due = reader.part(has(flag::DUE), "due", Take::u64)?;
        let mut again = reader.part(has(flag::AGAIN), "again", again)?;
        let version = reader.part(has(flag::VERSION), "version", parts::version)?.unwrap_or_default();
        if let Some(seq) =
            reader.part(has(flag::SEQUENCE), "sequence", |take| sequence(take, again.as_ref()))?
            && let Some(again) = &mut again
        {
            again.original = again.original.named(seq);
        }
        let payload = reader.rest();
        Ok(Envelope { key, headers: Cow::Owned(headers), expires, due, again, version, payload })
    }
}

/// Of a message that has been here before, and another one than its offset.
fn sequence(take: &mut Take<'_>, again: Option<&Again>) -> Option<u64> {
    let offset = again?.original.offset();
    take.u64().filter(|seq| *seq != offset)
}

fn again(take: &mut Take<'_>) -> Option<Again> {
    Some(Again { group: parts::name(take)?, original: parts::id(take)?, redrives: parts::u16(take)? })
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvelopeError::Newer { flags } => {
                write!(f, "the message was written by a newer version of callboard (flags {flags:#x})")
            }
            EnvelopeError::Malformed { part, at } => {
                write!(f, "the message is malformed: its part `{part}`, at byte {at}")
            }
        }
    }
}

impl Error for EnvelopeError {}

#[cfg(test)]
pub(super) mod tests;
