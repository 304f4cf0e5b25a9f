//! How a running group is steered, by its handle.

use std::error::Error;
use std::fmt;

use super::group_word::Steer;
use super::settings::Faults;
use super::{Closed, ErrorKind, Group, RateLimit};
use crate::mailbox::{Reply, reply};

/// Says why a group was not steered. It goes on as before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SteerError {
    /// Numbers that can't work, all of them listed.
    Settings {
        /// One sentence for each.
        faults: Vec<String>,
    },
    /// The group has only ever had streams, so that nobody knows what a handler of it is to do: open it with one, by
    /// [`GroupBuilder::run`](super::GroupBuilder::run).
    NoHandler,
    /// The broker is shut down, or the group or its topic was deleted.
    Closed,
}

impl SteerError {
    /// Tells what to do: [`ErrorKind::Closed`] or [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            SteerError::Closed => ErrorKind::Closed,
            SteerError::Settings { .. } | SteerError::NoHandler => ErrorKind::Invalid,
        }
    }
}

impl fmt::Display for SteerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SteerError::Settings { faults } => write!(f, "the group is not changed: {}", faults.join("; ")),
            SteerError::NoHandler => {
                f.write_str("the group is not changed: it never had a handler, only streams")
            }
            SteerError::Closed => f.write_str("the group is closed"),
        }
    }
}

impl Error for SteerError {}

impl From<Closed> for SteerError {
    fn from(_: Closed) -> SteerError {
        SteerError::Closed
    }
}

impl Group {
    /// Pauses the group: it hands out nothing until [`Group::resume`]. Answers once that is so.
    ///
    /// What consumers hold and have not begun is taken back, at no cost to it; what they are at goes on to its end, and
    /// is settled or retried as ever. A delivery that a stream has yielded can be acked. Messages that are given up still
    /// move to the dead letters. New messages are accepted and wait; once they fill the topic's capacity, publishers
    /// wait for this group, and [`TopicStats::blocked_by`](super::TopicStats::blocked_by) says
    /// [`Paused`](super::WhyBlocked::Paused).
    ///
    /// As soon as its consumers are through with what they are at, nobody waits for a paused group:
    /// [`Topic::settled`](super::Topic::settled), [`Group::drain`] and a shutdown treat it as one without consumers, and
    /// the shutdown's report counts what it has as lost. It stays paused whatever is done to it meanwhile: consumers
    /// that are added wait too. Pausing it twice is pausing it once.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down, or the group or its topic deleted.
    ///
    /// # Cancel safety
    /// Once polled, the group is paused even if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::GroupState;
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// let billing = orders.group("billing").run_fn(|_| Ok(())).await?;
    /// billing.pause().await?;
    /// orders.publish_all([1, 2, 3]).await?;
    /// let stats = billing.stats().await?;
    /// assert_eq!((stats.state, stats.lag, stats.acked), (GroupState::Paused, 3, 0));
    /// billing.resume().await?;
    /// billing.drain().await?;
    /// assert_eq!(billing.stats().await?.acked, 3);
    /// # Ok(()) }
    /// ```
    pub async fn pause(&self) -> Result<(), Closed> {
        self.steer(Steer::Pause).await
    }

    /// Lets a paused group go on. No effect on one that is not paused.
    ///
    /// # Errors
    /// As [`Group::pause`].
    ///
    /// # Cancel safety
    /// Once polled, the group goes on even if the future is dropped.
    pub async fn resume(&self) -> Result<(), Closed> {
        self.steer(Steer::Resume).await
    }

    /// Waits until this group has nothing left to do with what its topic accepted before the call.
    ///
    /// What comes later is not waited for, nor are other groups. As with [`Topic::settled`](super::Topic::settled), what
    /// the group can't settle now is not waited for: messages that are parked before a full dead-letter topic or kept
    /// back by a topic that is held, and all messages of a group that has failed or has no consumers. Of one that is
    /// paused, only what its consumers are at: so `pause`, then `drain`, waits until nothing of it runs. Retries that wait
    /// for their backoff are waited for, and so is all that a rate limit or an open breaker keeps back.
    ///
    /// A handler of this group that awaits it waits for itself, until its `ack_timeout`, and is then cancelled.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down, or the group or its topic deleted, before or meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn drain(&self) -> Result<(), Closed> {
        let (port, drained) = reply();
        self.port.ask_drain(port);
        drained.await.map_err(|_| Closed)
    }

    /// Sets how many handlers the group runs; at most 4,096. Answers once they are hired, or told to go.
    ///
    /// More are made as those before were: by the closure or factory of the last `run` of this group. Those that are too
    /// many, the least busy first, end gently: each goes on with the message it is at, and what it has not begun goes
    /// back to the group at no cost. Until its end it is counted in [`GroupStats::consumers`](super::GroupStats), and
    /// shown as [`Leaving`](super::ConsumerState::Leaving). Streams are no handlers, and are not counted here.
    ///
    /// With 0, and no stream, it is a group without consumers: its messages stay, and nobody waits for it. An ephemeral
    /// group ends with its last consumer, here too. A group that has failed begins anew with this many, without those
    /// that could not be built; one that is paused stays so.
    ///
    /// # Errors
    /// [`SteerError`]: more than 4,096, or there never was a handler, or the group is gone. Nothing is changed then.
    ///
    /// # Cancel safety
    /// Once polled, it is done even if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// let billing = orders.group("billing").consumers(2).run_fn(|_| Ok(())).await?;
    /// billing.set_consumers(8).await?;
    /// assert_eq!(billing.stats().await?.consumers, 8);
    /// # Ok(()) }
    /// ```
    pub async fn set_consumers(&self, consumers: u32) -> Result<(), SteerError> {
        self.steer(|port| Steer::Consumers(consumers, port)).await?
    }

    /// Lets a group that has failed try again, with the consumers it had. No effect on one that has not.
    ///
    /// Its consumers are built at once, and it may fail anew only after as many failures as when it was opened.
    ///
    /// # Errors
    /// As [`Group::pause`].
    ///
    /// # Cancel safety
    /// Once polled, it is done even if the future is dropped.
    pub async fn restart(&self) -> Result<(), Closed> {
        self.steer(Steer::Restart).await
    }

    /// Changes how many messages the group may begin in a time; `None` lifts the limit.
    ///
    /// What was saved up under the limit before is kept, as far as the new burst allows, so that setting it often lets
    /// through no more, and no less. Where there was none before, what consumers hold and have not begun is taken back, at
    /// no cost to it, and begins under the limit too. It holds for this group as long as it lives: opening the group again with settings named
    /// asks for those it was first opened with.
    ///
    /// # Errors
    /// [`SteerError`]: a limit that can't work, or the group is gone. Nothing is changed then.
    ///
    /// # Cancel safety
    /// Once polled, it is done even if the future is dropped.
    pub async fn set_rate_limit(&self, limit: Option<RateLimit>) -> Result<(), SteerError> {
        let mut faults = Faults::default();
        if let Some(limit) = &limit {
            limit.check(&mut faults);
        }
        if !faults.0.is_empty() {
            return Err(SteerError::Settings { faults: faults.0 });
        }
        Ok(self.steer(|port| Steer::Rate(limit, port)).await?)
    }

    async fn steer<R>(&self, word: impl FnOnce(Reply<R>) -> Steer) -> Result<R, Closed> {
        let (port, done) = reply();
        self.port.steer(word(port));
        done.await.map_err(|_| Closed)
    }
}
