//! The parts that messages and dead letters are written in: each has one form, and what has another is refused.

use std::str;

use super::EnvelopeError;
use crate::base::Name;
use crate::base::varint::{Take, put_bytes, put_u64};
use crate::broker::{Headers, KeyHash, MessageId};

pub(in crate::broker) fn put_key(into: &mut Vec<u8>, key: KeyHash) {
    into.extend_from_slice(&key.get().to_le_bytes());
}

pub(in crate::broker) fn put_text(into: &mut Vec<u8>, text: &str) {
    put_bytes(into, text.as_bytes());
}

pub(in crate::broker) fn put_id(into: &mut Vec<u8>, id: MessageId) {
    put_u64(into, id.unix_millis());
    put_u64(into, id.offset());
}

pub(in crate::broker) fn put_headers(into: &mut Vec<u8>, headers: &Headers) {
    put_u64(into, headers.len() as u64);
    for (name, value) in headers.iter() {
        put_text(into, name);
        put_bytes(into, value);
    }
}

pub(in crate::broker) fn key(take: &mut Take<'_>) -> Option<KeyHash> {
    take.array().map(|bytes| KeyHash::from_number(u64::from_le_bytes(bytes)))
}

pub(in crate::broker) fn id(take: &mut Take<'_>) -> Option<MessageId> {
    Some(MessageId::new(take.u64()?, take.u64()?))
}

pub(in crate::broker) fn text<'a>(take: &mut Take<'a>) -> Option<&'a str> {
    str::from_utf8(take.sized()?).ok()
}

pub(in crate::broker) fn name(take: &mut Take<'_>) -> Option<Name> {
    Name::new(text(take)?).ok()
}

/// There is at least one: an empty list is one that isn't there.
pub(in crate::broker) fn headers(take: &mut Take<'_>) -> Option<Headers> {
    let count = take.u64().filter(|count| *count > 0)?;
    let mut headers = Headers::new();
    // Each one that is read was there, and the list has limits of its own: a count that lies allocates nothing.
    for _ in 0..count {
        headers.append(text(take)?, take.sized()?).ok()?;
    }
    Some(headers)
}

pub(in crate::broker) fn u16(take: &mut Take<'_>) -> Option<u16> {
    take.u64()?.try_into().ok()
}

pub(in crate::broker) fn u32(take: &mut Take<'_>) -> Option<u32> {
    take.u64()?.try_into().ok()
}

/// It is at least 1: 0 is one that isn't there.
pub(in crate::broker) fn version(take: &mut Take<'_>) -> Option<u32> {
    u32(take).filter(|version| *version > 0)
}

/// Reads part after part, and knows where it is.
pub(in crate::broker) struct Reader<'a> {
    take: Take<'a>,
    len: usize,
}

impl<'a> Reader<'a> {
    pub(in crate::broker) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { take: Take::new(bytes), len: bytes.len() }
    }

    /// # Errors
    /// There are others than `known`.
    pub(in crate::broker) fn flags(&mut self, known: u64) -> Result<u64, EnvelopeError> {
        let flags = self.need("flags", Take::u64)?;
        if flags & !known == 0 { Ok(flags) } else { Err(EnvelopeError::Newer { flags }) }
    }

    /// Reads a part that is `there`, or not.
    pub(in crate::broker) fn part<T>(
        &mut self,
        there: bool,
        part: &'static str,
        read: impl FnOnce(&mut Take<'a>) -> Option<T>,
    ) -> Result<Option<T>, EnvelopeError> {
        if there { self.need(part, read).map(Some) } else { Ok(None) }
    }

    /// Reads a part that is always there.
    pub(in crate::broker) fn need<T>(
        &mut self,
        part: &'static str,
        read: impl FnOnce(&mut Take<'a>) -> Option<T>,
    ) -> Result<T, EnvelopeError> {
        let at = self.len - self.take.left();
        read(&mut self.take).ok_or(EnvelopeError::Malformed { part, at })
    }

    pub(in crate::broker) fn rest(mut self) -> &'a [u8] {
        self.take.rest()
    }
}
