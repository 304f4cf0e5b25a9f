//! Moving a group to another place of its topic, by its handle.

use std::error::Error;
use std::fmt;

use super::disk::blocking;
use super::group_handle::GroupShared;
use super::group_word::{GroupWord, Steer};
use super::topic::TopicShared;
use super::{Closed, ErrorKind, Group, Overflow, Start, StorageError};
use crate::log::LogError;
use crate::mailbox::reply;

/// Says why a group was not moved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SeekError {
    /// Its topic [drops its oldest](Overflow::DropOldest), and gives nothing out twice. The group goes on as before.
    DropsOldest,
    /// The disk refused. Until it is sought again, or its topic opened anew, the group may be at either place.
    NotStored(StorageError),
    /// The broker is shut down, or the group or its topic was deleted.
    Closed,
}

impl Group {
    /// Moves the group: from now on it is handed what lies from a position on, as if it were new there.
    ///
    /// What it had still to settle it does without, unless that lies behind the position too: it is counted as
    /// [`skipped`](super::GroupStats::skipped), retries and redriven messages with it. Of what was settled before it is handed
    /// what its topic keeps: with [`retain`](super::TopicBuilder::retain) the history, else what other groups have still
    /// to settle. All attempts begin anew. With [`Start::Latest`] it passes by what was accepted before the call.
    ///
    /// Leases: what consumers hold and have not begun is taken back; what they are at goes on to its end, and its outcome
    /// counts, before the group moves. That takes up to twice the group's `ack_timeout`; and what waits for room in its dead-letter
    /// topic is waited for too. A paused group is moved, and stays paused.
    ///
    /// # Errors
    /// [`SeekError`] says why, and where the group is then.
    ///
    /// # Cancel safety
    /// Once polled, the group is moved even if the future is dropped; but for the time that it looks up an offset for
    /// [`Start::UnixMillis`], in a topic on disk.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::{Retain, Start};
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").retain(Retain::all()).open().await?;
    /// let billing = orders.group("billing").run_fn(|_| Ok(())).await?;
    /// orders.publish_all([1, 2, 3]).await?;
    /// billing.drain().await?;
    /// // There was a mistake in the bills: all of them once more.
    /// billing.seek(Start::Earliest).await?;
    /// billing.drain().await?;
    /// assert_eq!(billing.stats().await?.acked, 6);
    /// # Ok(()) }
    /// ```
    pub async fn seek(&self, to: Start) -> Result<(), SeekError> {
        self.port.seek(to).await
    }
}

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// Finds the offset for a time, if the topic has its history on the disk: else, and behind all that is there, the time itself goes
    /// on to decide. And the offset for an id, where those don't tell it.
    pub(super) async fn look_up(&self, start: Start) -> Result<Start, LogError> {
        let Some(id) = start.least_id(self.tally.is_named()) else { return Ok(start) };
        let is_time = matches!(start, Start::UnixMillis(_));
        let keeper = self.keeper.clone().filter(|_| self.settings.retain.is_some() || !is_time);
        let Some(keeper) = keeper else {
            // What is spilled can't be looked through: each batch of it is, as it comes back.
            return Ok(if is_time || self.settings.spill_dir.is_some() {
                start
            } else {
                Start::Offset(self.find(id, self.sender.accepted()).await?.unwrap_or_else(|end| end))
            });
        };
        let next = self.sender.accepted();
        let found = blocking(&self.core.rt, "find an id", move || keeper.find(id)).await;
        let behind = if is_time { start } else { Start::Offset(next) };
        Ok(found.unwrap_or(Err(LogError::Closed))?.map_or(behind, Start::Offset))
    }
}

impl<T: Send + Sync + 'static> GroupShared<T> {
    pub(super) async fn seek(&self, to: Start) -> Result<(), SeekError> {
        let topic = self.topic.upgrade().ok_or(SeekError::Closed)?;
        if topic.settings.overflow == Overflow::DropOldest {
            return Err(SeekError::DropsOldest);
        }
        let to = topic.look_up(to).await?;
        let to = to.begin(|| topic.sender.accepted());
        drop(topic);
        let (done, sought) = reply();
        drop(self.sender.control(GroupWord::Steer(Steer::Seek(to, done))));
        Ok(sought.await.map_err(|_| SeekError::Closed)??)
    }
}

impl SeekError {
    /// Tells what to do: [`ErrorKind::Closed`], [`ErrorKind::Invalid`] or [`ErrorKind::Storage`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            SeekError::Closed => ErrorKind::Closed,
            SeekError::DropsOldest => ErrorKind::Invalid,
            SeekError::NotStored(_) => ErrorKind::Storage,
        }
    }
}

impl From<LogError> for SeekError {
    fn from(error: LogError) -> SeekError {
        match error {
            LogError::Closed | LogError::Missing => SeekError::Closed,
            error => SeekError::NotStored(error.into()),
        }
    }
}

impl From<Closed> for SeekError {
    fn from(_: Closed) -> SeekError {
        SeekError::Closed
    }
}

impl fmt::Display for SeekError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeekError::DropsOldest => f.write_str(
                "the group was not moved: its topic drops its oldest, and keeps nothing for twice",
            ),
            SeekError::NotStored(error) => {
                write!(f, "the disk did not store where the group was moved to, so move it again: {error}")
            }
            SeekError::Closed => f.write_str("the group is closed"),
        }
    }
}

impl Error for SeekError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SeekError::NotStored(error) => Some(error),
            SeekError::DropsOldest | SeekError::Closed => None,
        }
    }
}
