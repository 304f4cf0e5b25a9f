//! The bytes of a dead letter on disk. Pure; `docs/record-format.md` has each of them.
//!
//! A letter is the payload of a message of a dead-letter topic. It ends with the message that was given up, in an
//! envelope of its own, so that what that had, and its payload as its own topic's codec wrote it, is as it was.

use std::sync::Arc;

use super::DeadReason;
use crate::base::Name;
use crate::base::varint::{Take, put_u64};
use crate::broker::MessageId;
use crate::broker::envelope::{Envelope, EnvelopeError, Reader, parts, put_id, put_text};

/// A message that a group gave up, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter<'a> {
    pub(crate) reason: DeadReason,
    pub(crate) attempts: u32,
    pub(crate) redrives: u16,
    /// What its last attempt said.
    pub(crate) error: Option<Arc<str>>,
    pub(crate) topic: Name,
    pub(crate) group: Name,
    pub(crate) id: MessageId,
    /// The name of its topic's codec.
    pub(crate) codec: Name,
    pub(crate) message: Envelope<'a>,
}

mod flag {
    pub(super) const ERROR: u64 = 1;
    pub(super) const SEQUENCE: u64 = 1 << 1;
}

/// What stands for the reason. One that is added takes a flag too, so that who doesn't know it says so.
mod reason {
    pub(super) const TOO_MANY_ATTEMPTS: u64 = 0;
    pub(super) const REJECTED: u64 = 1;
    pub(super) const KEY_FULL: u64 = 2;
    pub(super) const EXPIRED: u64 = 3;
    pub(super) const UNDECODABLE: u64 = 4;
}

impl<'a> Letter<'a> {
    /// Writes it behind what `into` has already.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let error = if self.error.is_some() { flag::ERROR } else { 0 };
        let sequence = if self.id.is_named() { flag::SEQUENCE } else { 0 };
        put_u64(into, error | sequence);
        put_reason(into, &self.reason);
        put_u64(into, self.attempts.into());
        put_u64(into, self.redrives.into());
        if let Some(error) = &self.error {
            put_text(into, error);
        }
        put_text(into, self.topic.as_str());
        put_text(into, self.group.as_str());
        put_id(into, self.id);
        if self.id.is_named() {
            put_u64(into, self.id.sequence());
        }
        put_text(into, self.codec.as_str());
        self.message.encode(into);
    }

    /// Reads what [`Letter::encode`] wrote; all of `bytes` is one letter.
    ///
    /// # Errors
    /// [`EnvelopeError`]: a newer version wrote them, or none did. In the message that was given up, the place counts from its
    /// beginning.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Letter<'a>, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.flags(flag::ERROR | flag::SEQUENCE)?;
        Ok(Letter {
            reason: reader.need("reason", take_reason)?,
            attempts: reader.need("attempts", parts::u32)?,
            redrives: reader.need("redrives", parts::u16)?,
            error: reader.part(flags & flag::ERROR != 0, "error", text)?,
            topic: reader.need("topic", parts::name)?,
            group: reader.need("group", parts::name)?,
            id: reader.need("id", |take| id(take, flags & flag::SEQUENCE != 0))?,
            codec: reader.need("codec", parts::name)?,
            message: Envelope::decode(reader.rest())?,
        })
    }
}

fn put_reason(into: &mut Vec<u8>, why: &DeadReason) {
    match why {
        DeadReason::TooManyAttempts => put_u64(into, reason::TOO_MANY_ATTEMPTS),
        DeadReason::KeyFull => put_u64(into, reason::KEY_FULL),
        DeadReason::Expired => put_u64(into, reason::EXPIRED),
        DeadReason::Rejected(text) => {
            put_u64(into, reason::REJECTED);
            put_text(into, text);
        }
        DeadReason::Undecodable(text) => {
            put_u64(into, reason::UNDECODABLE);
            put_text(into, text);
        }
    }
}

fn take_reason(take: &mut Take<'_>) -> Option<DeadReason> {
    Some(match take.u64()? {
        reason::TOO_MANY_ATTEMPTS => DeadReason::TooManyAttempts,
        reason::REJECTED => DeadReason::Rejected(text(take)?),
        reason::KEY_FULL => DeadReason::KeyFull,
        reason::EXPIRED => DeadReason::Expired,
        reason::UNDECODABLE => DeadReason::Undecodable(text(take)?),
        _ => return None,
    })
}

/// With a sequence behind it, if its publisher gave it: another one than its offset.
fn id(take: &mut Take<'_>, named: bool) -> Option<MessageId> {
    let id = parts::id(take)?;
    let seq = if named { take.u64().filter(|seq| *seq != id.offset())? } else { id.offset() };
    Some(id.named(seq))
}

fn text(take: &mut Take<'_>) -> Option<Arc<str>> {
    parts::text(take).map(Arc::from)
}
