//! Which streams there are, by number, and which of them something has happened to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::stream::Stream;

/// A database, and a key in it.
pub(in crate::server) type Place = (usize, Vec<u8>);

/// Follows streams that are to be written down, wherever they go.
#[derive(Debug, Default)]
pub(in crate::server) struct Tracked {
    on: bool,
    /// The number of the last stream.
    last: u64,
    places: BTreeMap<u64, Place>,
    /// Limit: what happens between two looks at it.
    touched: BTreeSet<u64>,
    /// About how many bytes of what happened to them are to be written.
    bytes: usize,
}

impl Tracked {
    /// Begins to, with streams that had such numbers before.
    pub(in crate::server) fn begin(&mut self, last: u64) {
        (self.on, self.last) = (true, last);
    }

    /// A stream is in a key now. One that is new gets a number.
    pub(in crate::server) fn put(&mut self, (db, key): (usize, &[u8]), stream: &mut Stream) {
        if !self.on {
            return;
        }
        if stream.number == 0 {
            self.last += 1;
            stream.number = self.last;
            stream.record(true);
        }
        self.places.insert(stream.number, (db, key.to_vec()));
        self.touched.insert(stream.number);
    }

    /// A stream is in no key any more.
    pub(in crate::server) fn take(&mut self, stream: &Stream) {
        if self.places.remove(&stream.number).is_some() {
            self.touched.insert(stream.number);
        }
    }

    /// Something happened to a stream, about so many bytes of it.
    pub(in crate::server) fn touch(&mut self, number: u64, bytes: usize) {
        if self.on && number > 0 {
            self.touched.insert(number);
            self.bytes += bytes;
        }
    }

    /// Where a stream is.
    pub(in crate::server) fn place(&self, number: u64) -> Option<&Place> {
        self.places.get(&number)
    }

    /// All of them.
    pub(in crate::server) fn places(&self) -> &BTreeMap<u64, Place> {
        &self.places
    }

    pub(in crate::server) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// About how many bytes are to be written, if anything happened.
    pub(in crate::server) fn untold(&self) -> Option<usize> {
        self.is_touched().then_some(self.bytes)
    }

    /// What something happened to since it was asked last.
    pub(in crate::server) fn take_touched(&mut self) -> BTreeSet<u64> {
        self.bytes = 0;
        std::mem::take(&mut self.touched)
    }
}
