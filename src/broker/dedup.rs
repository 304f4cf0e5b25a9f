//! How long a topic remembers what it accepted, to take each thing once.

use std::sync::Arc;
use std::time::Duration;

use super::InvalidMessage;
use crate::base::catch;

/// Sets how long, and how many, dedup keys a topic remembers. Default: 2 minutes and 65,536 keys.
///
/// A message that has a key is accepted once: while the topic remembers the key, a publish with an equal one answers
/// with the first one's id, says that it is a repeat, and drops its own payload. That is decided in the same step as the
/// acceptance, so of several that race one is accepted. A publish that is refused or dropped leaves nothing behind, and
/// whatever becomes of the accepted message later (acked, dropped, a dead letter), its key stays for its time.
///
/// A topic that was not told uses the default for messages that name a key themselves, by
/// [`MessageBuilder::dedup_key`](super::MessageBuilder::dedup_key). The keys are kept in memory, whole, as they come: at
/// most so many, each of up to [`Dedup::MOST_KEY`] bytes. They end with the process, as the messages do.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use callboard::broker::Dedup;
/// use callboard::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start()?;
/// let hour = Dedup::within(Duration::from_secs(3600)).at_most(10_000);
/// let orders = broker.topic::<u32>("orders").dedup(hour).dedup_by(|order| order.to_be_bytes()).open().await?;
/// let first = orders.publish(17).await?;
/// let again = orders.message(17).publish().await?;
/// assert!(again.repeated && again.id == first);
/// assert_eq!(orders.stats().await?.accepted, 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    time: Duration,
    keys: usize,
}

impl Dedup {
    /// The most bytes of a key.
    pub const MOST_KEY: usize = 1024;

    /// Remembers a key for so long from its acceptance on; repeats don't prolong that. At most a year.
    pub fn within(time: Duration) -> Dedup {
        Dedup { time, keys: 65_536 }
    }

    /// Remembers at most so many keys: a newer one takes the oldest one's place. At most 16,777,216.
    pub fn at_most(mut self, keys: usize) -> Dedup {
        self.keys = keys;
        self
    }

    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys
    }
}

impl Default for Dedup {
    fn default() -> Dedup {
        Dedup::within(Duration::from_secs(120))
    }
}

/// Why so: it is kept twice, and made before any lock is taken.
pub(crate) type DedupKey = Arc<[u8]>;

/// What a topic finds its messages' dedup keys with.
pub(crate) type DedupFn<T> = Arc<dyn Fn(&T) -> Result<DedupKey, InvalidMessage> + Send + Sync>;

pub(crate) fn dedup_key(key: &[u8]) -> Result<DedupKey, InvalidMessage> {
    match key.len() {
        1..=Dedup::MOST_KEY => Ok(Arc::from(key)),
        bytes => Err(InvalidMessage::DedupKey { bytes }),
    }
}

/// The dedup key of a value. If the function panics, the log says so.
pub(crate) fn dedup_key_of<T>(key: &DedupFn<T>, value: &T) -> Result<DedupKey, InvalidMessage> {
    catch(|| key(value)).unwrap_or_else(|text| {
        tracing::error!(target: "callboard::broker", panic = %text, "a dedup key function panicked");
        Err(InvalidMessage::DedupKeyPanicked)
    })
}
