//! What goes to the log together, and what of streams that is.

use super::keeper::{ENTRIES, Keeper, Kept, Now};
use super::note::{Writer, put_entry};
use super::tracked::Place;
use crate::base::Moment;
use crate::log::{Done, Record, Records, Terms};
use crate::server::keys::Keys;
use crate::server::stream::{Fields, Id, Stream};

/// A stream's topic is trimmed once so many of its entries are gone, or a part of those that are there.
const TRIM: u64 = 64;
/// A stream's topic is written anew once it has so many times the entries that are there, and so many more; unless these are too
/// large to be written while nobody else may do anything, in bytes.
const SPARSE: (u64, u64, usize) = (4, 4096, 64 << 20);

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

impl Keeper {
    /// Notes what happened to a stream that is there.
    pub(super) fn changed(
        &mut self,
        number: u64,
        (place, ends): (&Place, Option<Moment>),
        stream: &mut Stream,
        batch: &mut Batch,
        now: Now,
    ) {
        let (mut changes, fresh) = stream.take_changes();
        let before = batch.notes.bytes();
        let is_new = !self.streams.contains_key(&number);
        let topic = match self.streams.get_mut(&number) {
            Some(kept) => {
                if kept.place != *place || kept.ends != ends {
                    (kept.place, kept.ends) = (place.clone(), ends);
                    batch.notes.placed(number, kept.topic, place, now.millis_at(ends));
                }
                let gone = stream.floor().saturating_sub(kept.trimmed);
                if gone >= TRIM.max(stream.len() as u64 / 8) {
                    kept.trimmed = stream.floor();
                    batch.then.trims.push((kept.topic, kept.trimmed));
                    changes.push(stream.counts());
                }
                kept.topic
            }
            None => {
                let topic = self.next_topic;
                self.create(topic, format!("{ENTRIES}{number}"));
                batch.notes.placed(number, topic, place, now.millis_at(ends));
                let kept = Kept { topic, place: place.clone(), ends, trimmed: 0 };
                self.streams.insert(number, kept);
                topic
            }
        };
        batch.notes.changed(number, stream.next_offset(), &changes);
        batch.add(topic, &fresh, self.log.most_bytes());
        if self.is_sparse(number, stream) {
            return self.rewrite(number, stream, batch, now);
        }
        if is_new {
            let bytes = batch.notes.bytes() - before;
            self.upkeep.is_whole(number, self.next_note, bytes as u64);
        }
    }

    fn create(&mut self, topic: u32, name: String) {
        self.next_topic = topic + 1;
        let terms = Terms { keeps: true, ..Terms::default() };
        // Why unheard: what is written to it is refused if it is not there.
        self.log.create_numbered(topic, name, terms, Done::unheard());
    }

    /// Whether most of what its topic has is gone, from between what is there.
    fn is_sparse(&self, number: u64, stream: &Stream) -> bool {
        let trimmed = self.streams.get(&number).map_or(0, |kept| kept.trimmed);
        let has = stream.next_offset().saturating_sub(trimmed);
        has > SPARSE.0 * stream.len() as u64 + SPARSE.1 && stream.cost() < SPARSE.2
    }

    /// Moves what is there of a stream into a topic of its own, so that the old one goes with all that is gone.
    fn rewrite(&mut self, number: u64, stream: &mut Stream, batch: &mut Batch, now: Now) {
        let topic = self.next_topic;
        self.create(topic, format!("{ENTRIES}{number}.{topic}"));
        let Some(kept) = self.streams.get_mut(&number) else { return };
        batch.then.gone.push(std::mem::replace(&mut kept.topic, topic));
        kept.trimmed = 0;
        batch.add(topic, &stream.renumber(), self.log.most_bytes());
        self.note_whole(number, stream, batch, now);
    }

    pub(super) fn gone(&mut self, number: u64, batch: &mut Batch) {
        if let Some(kept) = self.streams.remove(&number) {
            self.upkeep.is_gone(number);
            batch.notes.gone(number);
            batch.then.gone.push(kept.topic);
        }
    }

    /// Notes all that a stream is, but for its entries.
    pub(super) fn whole(&mut self, number: u64, keys: &mut Keys, batch: &mut Batch, now: Now) {
        match keys.numbered(number) {
            Some((_, stream, _)) => self.note_whole(number, stream, batch, now),
            // Why: it would be due for ever.
            None => self.upkeep.is_gone(number),
        }
    }

    fn note_whole(&mut self, number: u64, stream: &Stream, batch: &mut Batch, now: Now) {
        // Why: it would be due for ever.
        let Some(kept) = self.streams.get(&number) else { return self.upkeep.is_gone(number) };
        let before = batch.notes.bytes();
        batch.notes.placed(number, kept.topic, &kept.place, now.millis_at(kept.ends));
        batch.notes.changed(number, stream.next_offset(), &stream.snapshot());
        self.upkeep.is_whole(number, self.next_note, (batch.notes.bytes() - before) as u64);
    }
}
