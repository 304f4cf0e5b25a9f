//! What a topic keeps beyond its need, and beyond its memory.

use std::path::Path;
use std::sync::Arc;

use super::TopicBuilder;
use crate::base::Name;
use crate::broker::disk::blocking;
use crate::broker::{Codec, OpenError, Retain};
use crate::log::{RealFs, Vfs};

impl<T: Send + Sync + 'static> TopicBuilder<T> {
    /// Keeps what all groups have settled as history, within limits. Default: it leaves the topic.
    ///
    /// History is for those who come later: a group that [starts](crate::broker::GroupBuilder::start_at) at an offset, an id or a time
    /// reads it before what is new, and [`Topic::browse`](crate::broker::Topic::browse) shows it. It takes no place in the topic's capacity, and no limit
    /// removes what a group has still to settle that was there when it was accepted. What a later group was to read and is
    /// trimmed before is counted as [`skipped`](crate::broker::GroupStats::skipped). With history, messages that come while there is no
    /// group hold no place either. Not together with [`Overflow::DropOldest`](crate::broker::Overflow::DropOldest).
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::{Retain, Start};
    /// use callboard::prelude::*;
    /// use futures::StreamExt as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let prices = broker.topic::<u32>("prices").capacity(2).retain(Retain::all().messages(100)).open().await?;
    /// prices.publish_all(1..=10).await?;
    /// let mut late = prices.group("late").start_at(Start::Offset(7)).stream().await?;
    /// for price in 8..=10 {
    ///     let delivery = late.next().await.unwrap();
    ///     assert_eq!(**delivery, price);
    ///     delivery.ack()?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn retain(mut self, retain: Retain) -> TopicBuilder<T> {
        self.settings.retain = Some(retain);
        self.unset = false;
        self
    }

    /// Says where a topic that [spills](crate::broker::Overflow::Spill) puts what it has no room for, and how it is written. Default: none.
    ///
    /// The directory must be there, and this process may write to it; several topics and processes may share one. A message that `codec` can't
    /// write stays in memory, and nothing behind it is spilled before it is taken. Of a topic that is open the codec stays as
    /// it is.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::{Overflow, Raw};
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let lines = broker.topic::<String>("lines").capacity(100).overflow(Overflow::Spill { bytes: 1 << 30 });
    /// let lines = lines.spill_to(std::env::temp_dir(), Raw).open().await?;
    /// // Nobody reads yet, and nobody waits.
    /// for n in 0..5_000 {
    ///     lines.publish(format!("line {n}")).await?;
    /// }
    /// let group = lines.group("reader").run_fn(|_| Ok(())).await?;
    /// group.drain().await?;
    /// assert_eq!(group.stats().await?.acked, 5_000);
    /// # Ok(()) }
    /// ```
    pub fn spill_to(self, dir: impl AsRef<Path>, codec: impl Codec<T>) -> TopicBuilder<T> {
        self.spill_on(dir, codec, RealFs)
    }

    /// As [`TopicBuilder::spill_to`], on a file system of your own: for tests, a [simulated one](crate::sim::SimDisk).
    pub fn spill_on(mut self, dir: impl AsRef<Path>, codec: impl Codec<T>, on: impl Vfs) -> TopicBuilder<T> {
        self.components.spill = Some((Arc::new(codec), Arc::new(on)));
        self.settings.spill_dir = Some(dir.as_ref().to_path_buf());
        self.unset = false;
        self
    }

    /// Whether it can spill where it is to.
    pub(super) async fn try_spill(&self, name: &Name) -> Result<(), OpenError> {
        let rt = &self.registry.core.rt;
        let Some(spiller) = self.components.spiller(name, &self.settings, rt) else { return Ok(()) };
        let tried = blocking(rt, "try to spill", move || spiller.try_out()).await;
        Ok(tried.ok_or(OpenError::Closed)??)
    }
}
