//! What goes to the log together. Pure.

use super::keeper::Now;
use super::note::{Writer, put_entry};
use crate::log::{Record, Records};
use crate::server::stream::{Fields, Id};

/// What goes to the log together.
pub(super) struct Batch {
    pub(super) notes: Writer,
    pub(super) entries: Vec<(u32, Records)>,
    pub(super) then: Then,
}

/// What is done once that is there: topics to be deleted, and to be trimmed.
#[derive(Default)]
pub(super) struct Then {
    pub(super) gone: Vec<u32>,
    pub(super) trims: Vec<(u32, u64)>,
}

impl Batch {
    pub(super) fn new(most: usize) -> Batch {
        Batch { notes: Writer::new(most), entries: Vec::new(), then: Then::default() }
    }

    /// Adds entries of a topic, in records of at most so many bytes together if they are several.
    pub(super) fn add(&mut self, topic: u32, entries: &[(Id, Fields)], most: usize) {
        let (mut records, mut body) = (Records::default(), Vec::new());
        for (id, fields) in entries {
            body.clear();
            put_entry(&mut body, *id, fields);
            if records.count() > 0 && records.bytes().len() + body.len() > most / 2 {
                self.entries.push((topic, std::mem::take(&mut records)));
            }
            records.push(&Record { millis: id.millis, seq: None, key: None, body: &body });
        }
        if records.count() > 0 {
            self.entries.push((topic, records));
        }
    }
}

/// One record, as of now.
pub(super) fn one_record(body: &[u8], now: Now) -> Records {
    let mut records = Records::default();
    records.push(&Record { millis: now.millis, seq: None, key: None, body });
    records
}
