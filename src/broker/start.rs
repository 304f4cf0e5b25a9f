//! Where a new group begins.

use super::MessageId;
use super::bits::Bits;
use super::message::Batch;

/// Says from where on a new group sees its topic's messages, among those that are still kept.
///
/// A message is kept until every group has settled it; what has left is not seen again. What no group wants leaves
/// at once, as soon as there is a group: hold the topic until all groups are open if a later one wants more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// Everything that is still kept. The default.
    #[default]
    Earliest,
    /// Only what is accepted after the group was opened.
    Latest,
    /// From this offset on, that one included.
    Offset(u64),
    /// From the message after this one. Where publishers [give ids](super::MessageBuilder::id): from the first whose id is greater,
    /// among those that are there; if there is none, as [`Start::Latest`].
    After(MessageId),
    /// From the first message that came in at this time, in milliseconds since 1970, or later.
    UnixMillis(u64),
}

/// Where a group begins, as its topic hears it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    pub(crate) start: Start,
    /// It is [`Start::Latest`], by what was accepted when that was asked for: as an offset.
    pub(crate) latest: bool,
}

impl Start {
    /// As a topic hears it that has accepted so many.
    pub(crate) fn begin(self, accepted: impl FnOnce() -> u64) -> Begin {
        match self {
            // What was accepted by now may still wait in the topic's mailbox.
            Start::Latest => Begin { start: Start::Offset(accepted()), latest: true },
            start => Begin { start, latest: false },
        }
    }

    /// Whether it picks the message with this id, of the topic's own, among those that are there.
    pub(crate) fn takes(self, id: MessageId) -> bool {
        match self {
            Start::Earliest => true,
            Start::Latest => false,
            Start::Offset(offset) => id.offset() >= offset,
            Start::After(after) => id.offset() > after.offset(),
            Start::UnixMillis(millis) => id.unix_millis() >= millis,
        }
    }

    /// Picks from what is kept of a batch.
    pub(crate) fn pick<T>(self, batch: &Batch<T>, kept: Bits) -> Bits {
        let len = batch.len();
        let first = match self {
            Start::Earliest => 0,
            Start::Latest => len,
            Start::Offset(offset) => index(batch, offset),
            // Where it was looked up it is an offset by now; not so in what is spilled.
            Start::After(id) if batch.is_named() => (0..len).find(|at| batch.own_id(*at) > id).unwrap_or(len),
            Start::After(id) => index(batch, id.offset().saturating_add(1)),
            // Ids only grow, so the wanted ones are at the end.
            Start::UnixMillis(millis) => {
                (0..len).find(|at| batch.id(*at).unix_millis() >= millis).unwrap_or(len)
            }
        };
        kept.and(Bits::range(first, len))
    }
}

/// In a topic whose messages have ids of their publishers'; and of times, in any.
impl Start {
    /// The least id that it picks, if it is one that says so.
    pub(crate) fn least_id(self, named: bool) -> Option<(u64, u64)> {
        match self {
            Start::UnixMillis(millis) => Some((millis, 0)),
            Start::After(id) if named => match id.parts() {
                // No message has the very last one.
                (u64::MAX, u64::MAX) => Some((u64::MAX, u64::MAX)),
                (millis, u64::MAX) => Some((millis + 1, 0)),
                (millis, seq) => Some((millis, seq + 1)),
            },
            _ => None,
        }
    }
}

impl Start {
    /// Behind a topic's next message: the offset of the first that it picks. Else 0.
    pub(crate) fn ahead(self, next: u64) -> u64 {
        match self {
            Start::Offset(offset) if offset > next => offset,
            Start::After(id) if id.offset() >= next => id.offset().saturating_add(1),
            _ => 0,
        }
    }

    /// How many of the messages from the offset `next` on, of which there are `waiting`, it picks: as far as offsets
    /// tell, which they do of no id in a topic where these are `named`.
    pub(crate) fn among(self, (next, waiting): (u64, u64), named: bool) -> u64 {
        let first = match self {
            Start::Offset(offset) => offset,
            Start::After(_) if named => next,
            Start::After(id) => id.offset().saturating_add(1),
            Start::Earliest | Start::Latest | Start::UnixMillis(_) => next,
        };
        (next + waiting).saturating_sub(first.max(next))
    }
}

/// The index in the batch of the first message with this offset or a later one.
fn index<T>(batch: &Batch<T>, offset: u64) -> u16 {
    u16::try_from(offset.saturating_sub(batch.base())).unwrap_or(u16::MAX).min(batch.len())
}

#[cfg(test)]
mod tests;
