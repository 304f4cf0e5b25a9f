//! What a consumer is handed.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::consumer::Seat;
use super::{Reply, ServedError};
use crate::broker::MessageId;
use crate::server::resp::Request;
use crate::server::stream::{Id, Policy};

/// An entry of a stream: its id, and its fields with their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    id: MessageId,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl StreamEntry {
    /// Returns its id: what `XADD` answered.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Returns the value of the first field of this name.
    pub fn field(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let named = self.fields.iter().find(|(field, _)| field == name.as_ref());
        named.map(|(_, value)| value.as_slice())
    }

    /// Returns all fields with their values, as they were published.
    pub fn fields(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.fields
    }

    /// Of an id, and fields and values in turn.
    pub(super) fn read(reply: &Reply) -> Option<StreamEntry> {
        let (id, parts) = (entry_id(reply.list()?.first()?)?, reply.list()?.get(1)?.list()?);
        let part = |part: &Reply| part.bytes().map(<[u8]>::to_vec);
        let fields = parts.chunks_exact(2).map(|pair| Some((part(pair.first()?)?, part(pair.get(1)?)?)));
        Some(StreamEntry { id, fields: fields.collect::<Option<_>>()? })
    }
}

/// Of an id as a client sees it.
pub(super) fn entry_id(reply: &Reply) -> Option<MessageId> {
    let id = Id::parse(reply.bytes()?, 0)?;
    Some(MessageId::from_parts(id.millis, id.seq))
}

/// One entry in the hands of one consumer, yielded by [`ServedConsumer`](super::ServedConsumer).
///
/// It is settled once, by a method that takes it. Dropped unsettled it failed: it comes again, with its attempt counted.
pub struct ServedDelivery {
    entry: StreamEntry,
    attempt: u64,
    seat: Arc<Seat>,
    settled: bool,
}

impl ServedDelivery {
    pub(super) fn new(entry: StreamEntry, attempt: u64, seat: Arc<Seat>) -> ServedDelivery {
        ServedDelivery { entry, attempt, seat, settled: false }
    }

    /// Returns how often it was handed over, this time included: 1 at first.
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Acks: the group is done with it, and it will not come again once this has answered.
    ///
    /// # Errors
    /// [`ServedError::Lost`]: somebody else has it by now. [`ServedError::Unknown`]: it may be acked. Any other: it is pending still, and comes
    /// again; where the disk is full, once it is [claimed](super::ServedGroup::claim_after).
    ///
    /// # Cancel safety
    /// Dropped before it was polled it drops the delivery; after that it is acked, unless the disk refuses that.
    pub async fn ack(self) -> Result<(), ServedError> {
        let (stream, group) = self.seat.names();
        let ack = Request::of([b"XACK", stream, group, self.entry.id.to_string().as_bytes()]);
        self.settle([ack]).await
    }

    /// Says that handling failed: it comes again at once, perhaps to another consumer, with its [attempt](ServedDelivery::attempt) counted.
    ///
    /// # Errors
    /// As of [`ServedDelivery::ack`].
    ///
    /// # Cancel safety
    /// Dropped before it was polled it drops the delivery, which is the same.
    pub async fn nack(self) -> Result<(), ServedError> {
        let nack = self.seat.nack("FAIL", self.entry.id);
        self.settle([nack]).await
    }

    /// Gives it back at no cost: it comes again at once, perhaps to another consumer, and this attempt is not counted.
    ///
    /// # Errors
    /// As of [`ServedDelivery::ack`].
    ///
    /// # Cancel safety
    /// Dropped before it was polled it drops the delivery, which counts as an attempt.
    pub async fn release(self) -> Result<(), ServedError> {
        let release = self.seat.nack("SILENT", self.entry.id);
        self.settle([release]).await
    }

    /// Gives it up: adds it to the stream `<stream>.<group>.dead`, with what is told of it in fields behind its own (`dead.reason`,
    /// `dead.id`, `dead.attempts`), and acks it. What could not be added is not acked; a kill between the two may leave both.
    ///
    /// # Errors
    /// As of [`ServedDelivery::ack`]; also if there is no memory left for it, and then it is pending still.
    ///
    /// # Cancel safety
    /// As of [`ServedDelivery::ack`].
    pub async fn dead_letter(self, reason: impl AsRef<[u8]>) -> Result<(), ServedError> {
        let (stream, group) = self.seat.names();
        let (dead, id) = (Policy::default().dead_letter_of(stream, group), self.entry.id.to_string());
        let attempts = self.attempt.to_string();
        let told: [(&[u8], &[u8]); 3] = [
            (b"dead.reason", reason.as_ref()),
            (b"dead.id", id.as_bytes()),
            (b"dead.attempts", attempts.as_bytes()),
        ];
        let own = self.entry.fields.iter().map(|(field, value)| (field.as_slice(), value.as_slice()));
        let fields = own.chain(told).flat_map(|(field, value)| [field, value]);
        let requests = [
            Request::of([&b"XADD"[..], &dead, b"*"].into_iter().chain(fields)),
            Request::of([b"XACK", stream, group, id.as_bytes()]),
        ];
        self.settle(requests).await
    }

    /// Begins the time anew after which others may claim it.
    ///
    /// # Errors
    /// [`ServedError::Lost`]: somebody else has it by now, or the entry was deleted from the stream, and its group is done with it.
    ///
    /// # Cancel safety
    /// Dropped at any time, the delivery is as it was, or extended.
    pub async fn extend(&self) -> Result<(), ServedError> {
        let extend = self.seat.extend(self.entry.id);
        let reply = self.seat.ask((self.entry.id, self.attempt), [extend]).await?;
        // Who claims what is gone from its stream lets go of it.
        if reply.list().is_some_and(<[Reply]>::is_empty) { Err(ServedError::Lost) } else { Ok(()) }
    }

    /// Returns the entry, and drops the delivery: it comes again.
    pub fn into_entry(mut self) -> StreamEntry {
        let empty = StreamEntry { id: self.entry.id, fields: Vec::new() };
        std::mem::replace(&mut self.entry, empty)
    }

    async fn settle(mut self, requests: impl IntoIterator<Item = Request>) -> Result<(), ServedError> {
        let mut visit = self.seat.visit()?;
        let said = visit.say(|world| self.seat.holds(world, (self.entry.id, self.attempt)), requests);
        let reply = match said {
            Ok(said) => {
                // Why before it is heard: what was given back may be in the hands of a consumer of this name already, for the same time.
                self.settled = !visit.is_refused();
                visit.hear(said).await
            }
            Err(error) => Err(error),
        };
        // Why also if it failed for good: who lost it must not let go of it for others.
        self.settled = matches!(reply, Ok(_) | Err(ServedError::Lost | ServedError::Closed));
        reply.map(drop)
    }
}

impl Deref for ServedDelivery {
    type Target = StreamEntry;

    fn deref(&self) -> &StreamEntry {
        &self.entry
    }
}

impl fmt::Debug for ServedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedDelivery")
            .field("id", &self.entry.id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Drop for ServedDelivery {
    fn drop(&mut self) {
        if !self.settled {
            self.seat.let_go("FAIL", &[(self.entry.id, self.attempt)]);
        }
    }
}
