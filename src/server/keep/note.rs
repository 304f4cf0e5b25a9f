//! What is written of streams beside their entries, and an entry as it is written. Pure.
//!
//! ```text
//!  record of `server`:    flags  note..           flags: 1 the first of what belongs together, 2 the last
//!  note:                  0                                    no more in this record, whatever comes
//!                         1  number  topic  db  key  ends      a stream is in this key; 0: it never ends, or a millisecond and one
//!                         2  number                            it is gone
//!                         3  number  offset  count  change..   this happened, behind the entries below the offset
//!  record of `stream.N`:  millis  seq  fields                  an entry
//! ```
//! Numbers are varints; a key has its length before it. A note that is too long for a record is cut into several, and several
//! records that belong together count once the last of them is there.

use super::tracked::Place;
use crate::base::varint::{Take, put_bytes, put_u64};
use crate::server::keys::DATABASES;
use crate::server::stream::{Change, Fields, Id};

const FIRST: u64 = 1;
const LAST: u64 = 2;

/// The rest of the record is of no use.
const NOTHING: u64 = 0;
const PLACED: u64 = 1;
const GONE: u64 = 2;
const CHANGED: u64 = 3;

/// Something that is written of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The stream's.
    pub(super) number: u64,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It is in this key, and its entries are in this topic of the log.
    Placed {
        topic: u32,
        place: Place,
        ends: Option<u64>,
    },
    Gone,
    /// These happened, behind all entries below an offset.
    Changed {
        offset: u64,
        changes: Vec<Change>,
    },
}

impl Note {
    fn take(take: &mut Take<'_>) -> Option<Note> {
        let (kind, number) = (take.u64()?, take.u64()?);
        let what = match kind {
            PLACED => {
                let topic = u32::try_from(take.u64()?).ok()?;
                let db = usize::try_from(take.u64()?).ok().filter(|db| *db < DATABASES)?;
                let (key, ends) = (take.sized()?.to_vec(), take.u64()?);
                What::Placed { topic, place: (db, key), ends: ends.checked_sub(1) }
            }
            GONE => What::Gone,
            CHANGED => {
                let (offset, count, mut changes) = (take.u64()?, take.u64()?, Vec::new());
                // Each that is read was there: a count that lies allocates nothing.
                for _ in 0..count {
                    changes.push(Change::take(take)?);
                }
                What::Changed { offset, changes }
            }
            _ => return None,
        };
        Some(Note { number, what })
    }
}

/// Writes notes into the bodies of records, of about `most` bytes each: all count, or none.
#[derive(Debug)]
pub(super) struct Writer {
    most: usize,
    done: Vec<Vec<u8>>,
    body: Vec<u8>,
}

impl Writer {
    /// A record that says nothing, in so many bytes.
    pub(super) fn nothing(bytes: usize) -> Vec<u8> {
        let mut record = vec![(FIRST | LAST) as u8];
        put_u64(&mut record, NOTHING);
        record.resize(bytes.max(record.len()), 0);
        record
    }

    pub(super) fn new(most: usize) -> Writer {
        Writer { most, done: Vec::new(), body: Vec::new() }
    }

    /// How many bytes there are by now.
    pub(super) fn bytes(&self) -> usize {
        self.done.iter().map(Vec::len).sum::<usize>() + self.body.len()
    }

    /// The bodies; none if nothing was noted.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.body.is_empty() {
            self.done.push(self.body);
        }
        let last = self.done.len().saturating_sub(1);
        for (at, body) in self.done.iter_mut().enumerate() {
            // Each has one byte of them.
            body.insert(0, if at == 0 { FIRST as u8 } else { 0 } | if at == last { LAST as u8 } else { 0 });
        }
        self.done
    }

    /// The stream is in this key now, and its entries are in this topic of the log.
    pub(super) fn placed(&mut self, number: u64, topic: u32, (db, key): &Place, ends: Option<u64>) {
        self.begin(PLACED, number);
        put_u64(&mut self.body, topic.into());
        put_u64(&mut self.body, *db as u64);
        put_bytes(&mut self.body, key);
        put_u64(&mut self.body, ends.map_or(0, |ends| ends.saturating_add(1)));
    }

    pub(super) fn gone(&mut self, number: u64) {
        self.begin(GONE, number);
    }

    /// These happened, behind all entries below an offset.
    pub(super) fn changed(&mut self, number: u64, offset: u64, changes: &[Change]) {
        let mut changes = changes.iter();
        while changes.len() > 0 {
            let (mut some, mut count) = (Vec::new(), 0);
            for change in changes.by_ref() {
                change.encode(&mut some);
                count += 1;
                if some.len() >= self.most {
                    break;
                }
            }
            self.begin(CHANGED, number);
            put_u64(&mut self.body, offset);
            put_u64(&mut self.body, count);
            self.body.extend_from_slice(&some);
        }
    }

    fn begin(&mut self, kind: u64, number: u64) {
        if self.body.len() >= self.most {
            self.done.push(std::mem::take(&mut self.body));
        }
        put_u64(&mut self.body, kind);
        put_u64(&mut self.body, number);
    }
}

/// Puts records together that belong together.
#[derive(Debug, Default)]
pub(super) struct Reader {
    notes: Vec<Note>,
    /// The offset of the first record of these; `None`: nothing has begun.
    first: Option<u64>,
}

impl Reader {
    /// Takes the next record; answers all the notes that belong together once this was the last, and the offset of the first.
    ///
    /// # Errors
    /// It is none, or a newer version's.
    pub(super) fn take(&mut self, offset: u64, body: &[u8]) -> Result<Option<(u64, Vec<Note>)>, NoRecord> {
        let mut take = Take::new(body);
        let flags = take.u64().filter(|flags| *flags <= FIRST | LAST).ok_or(NoRecord)?;
        if flags & FIRST > 0 {
            // What was begun before had no end: it does not count.
            self.notes.clear();
            self.first = Some(offset);
        }
        while !take.is_empty() {
            let mut ahead = take;
            if ahead.u64() == Some(NOTHING) {
                break;
            }
            self.notes.push(Note::take(&mut take).ok_or(NoRecord)?);
        }
        Ok(match (flags & LAST > 0, self.first) {
            (true, Some(first)) => {
                self.first = None;
                Some((first, std::mem::take(&mut self.notes)))
            }
            // Its beginning was trimmed, so that all of it is of no more use.
            (true, None) => {
                self.notes.clear();
                None
            }
            (false, _) => None,
        })
    }
}

/// Says that a record can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRecord;

/// Writes an entry.
pub(super) fn put_entry(out: &mut Vec<u8>, id: Id, fields: &Fields) {
    put_u64(out, id.millis);
    put_u64(out, id.seq);
    out.extend_from_slice(fields.bytes());
}

/// Reads an entry. `None`: it is none.
pub(super) fn take_entry(body: &[u8]) -> Option<(Id, Fields)> {
    let mut take = Take::new(body);
    let id = Id { millis: take.u64()?, seq: take.u64()? };
    Some((id, Fields::from_bytes(take.rest())?))
}
