//! Starting a broker on a data directory.

use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, Place};
use super::{Broker, BrokerBuilder, StartError};
use crate::log::Vfs;
use crate::runtime::Rt;

/// Starts a [`Broker`] that keeps its durable topics in a directory; made by [`BrokerBuilder::data_dir`].
#[derive(Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct DataDirBuilder {
    broker: BrokerBuilder,
    place: Place,
}

impl DataDirBuilder {
    pub(super) fn new(broker: BrokerBuilder, dir: &Path) -> DataDirBuilder {
        DataDirBuilder { broker, place: Place::real(dir) }
    }

    /// Sets the size of each of the journal's up to four files, for a directory that is new. Default: 64 MiB.
    ///
    /// They are written in full before they are used, the first one when the directory is made. 16 KiB to 2 GiB, in pages of
    /// 4 KiB. A message may have a quarter of it. Of a directory that is there it stays as it is.
    pub fn journal_file_bytes(mut self, bytes: u64) -> DataDirBuilder {
        self.place.slot_bytes = Some(bytes);
        self
    }

    /// Keeps the data on another file system than the machine's: a simulated one, for tests, as `sim::SimDisk` is.
    ///
    /// The log is then a task of the broker's runtime and no thread of its own, so that a simulated run is the same each time.
    pub fn on(mut self, disk: impl Vfs) -> DataDirBuilder {
        (self.place.vfs, self.place.simulated) = (Arc::new(disk), true);
        self
    }

    /// Opens the directory, or makes it, and starts the broker. What is there is recovered first.
    ///
    /// The end of the journal that was being written when the process or the machine ended is cut, and a warning says so.
    ///
    /// # Errors
    /// [`StartError`]: there is no runtime; somebody else has the directory open; it has something else in it; the disk
    /// refuses; or what is there is damaged, which is never passed over in silence.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the directory as it is, or new and empty. It may be locked until what was begun has ended.
    pub async fn open(self) -> Result<Broker, StartError> {
        let rt = Rt::chosen(self.broker.rt.clone())?;
        let disk = Disk::open(&rt, self.place).await?;
        let (dir, found) = (disk.dir.display(), &disk.found);
        tracing::info!(target: "callboard::broker", %dir, created = found.created, clean = found.clean, "data directory opened");
        if let Some((file, at, bytes)) = &found.torn {
            let file = file.display();
            tracing::warn!(target: "callboard::broker", %file, at, bytes, "the end of the journal was cut");
        }
        for stranger in &found.strangers {
            let path = stranger.display();
            tracing::warn!(target: "callboard::broker", %path, "not of the log, and left alone");
        }
        Ok(self.broker.start_on(rt, Some(disk)))
    }
}
