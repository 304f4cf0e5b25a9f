//! Reads a durable topic's history from the log, as batches.

use std::ops::Range;
use std::sync::Arc;

use super::codec::Codec;
use super::disk::Keeper;
use super::message::{Batch, Origin};
use super::record::{Clocks, ReadItems};
use super::unread::Unread;
use crate::log::LogError;
use crate::runtime::Rt;

/// So many bytes are read at a time.
const MOST: usize = 256 << 10;

/// What was read.
pub(crate) struct Pages<T> {
    pub(crate) batches: Vec<Arc<Batch<T>>>,
    /// What the codec can't read.
    pub(crate) unread: Vec<Unread>,
    /// Where to go on.
    pub(crate) next: u64,
}

/// A durable topic's way to read what it keeps.
pub(crate) struct PageReader<T> {
    pub(crate) keeper: Keeper,
    pub(crate) codec: Arc<dyn Codec<T>>,
    pub(crate) rt: Rt,
    /// The topic's, in milliseconds.
    pub(crate) ttl: Option<u64>,
}

impl<T: Send + Sync + 'static> PageReader<T> {
    /// Reads from the beginning of a range on: something of it, or all. Blocks. `unsure`: what is before it may have been handed out
    /// by an earlier process.
    ///
    /// # Errors
    /// [`LogError`]: the disk refuses, or what is there is damaged.
    pub(crate) fn read(
        &self,
        origin: &Arc<Origin>,
        range: Range<u64>,
        unsure: u64,
    ) -> Result<Pages<T>, LogError> {
        let chunk = self.keeper.disk.log.read(self.keeper.number, range.start, MOST)?;
        let next = chunk.end().unwrap_or(range.end).min(range.end);
        let records = chunk.records().take_while(|(offset, _)| *offset < range.end);
        Ok(self.pages(origin, records, (next, unsure)))
    }

    /// Reads the end of a range. Blocks. The next offset is then that of the first message that was read.
    ///
    /// # Errors
    /// As [`PageReader::read`].
    pub(crate) fn read_back(&self, origin: &Arc<Origin>, range: Range<u64>) -> Result<Pages<T>, LogError> {
        let chunk = self.keeper.disk.log.read_back(self.keeper.number, range.end, MOST)?;
        let records = chunk.records().skip_while(|(offset, _)| *offset < range.start);
        let first = records.map(|(offset, _)| offset).next().unwrap_or(range.start);
        let records = chunk.records().skip_while(|(offset, _)| *offset < range.start);
        Ok(self.pages(origin, records, (first, 0)))
    }

    fn pages<'a>(
        &self,
        origin: &Arc<Origin>,
        records: impl Iterator<Item = (u64, crate::log::Record<'a>)>,
        (next, unsure): (u64, u64),
    ) -> Pages<T> {
        let clocks = Clocks::of(&self.rt);
        let read = ReadItems::read(records, &*self.codec, (clocks, self.ttl), unsure);
        let batch = |(base, items)| Arc::new(Batch::recovered(origin, base, items, base < unsure));
        Pages { batches: read.runs.into_iter().map(batch).collect(), unread: read.unread, next }
    }
}
