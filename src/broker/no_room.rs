//! What it means for a handler that its output found no room.

use std::error::Error;
use std::fmt;

use super::PublishError;

/// Marks an error that means "there was no room": it stands in the [`source`](Error::source) chain of each publish
/// error whose kind is [`ErrorKind::Full`](super::ErrorKind::Full).
///
/// A handler whose error has it somewhere in its chain did not fail. Its message is delivered again after a short
/// wait, which grows from 10 ms to 1 s with each time in a row; the attempt counts, a failure does not, so that
/// a slow reader further down never makes a message a dead letter. An error of your own joins in by naming this, or
/// an error that has it, as its source; a text made of the error does not.
///
/// # Examples
/// ```
/// use callboard::broker::NoRoom;
/// use callboard::prelude::*;
///
/// #[derive(Debug)]
/// struct PrinterBusy;
///
/// impl std::fmt::Display for PrinterBusy {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str("the printer is busy")
///     }
/// }
///
/// impl std::error::Error for PrinterBusy {
///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
///         Some(&NoRoom)
///     }
/// }
///
/// assert_eq!(Outcome::from(Err(PrinterBusy.into())), Outcome::NoRoom("the printer is busy".into()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoRoom;

/// Marks an error that means "it was dropped on purpose": it stands in the [`source`](Error::source) chain of each
/// publish error whose kind is [`ErrorKind::Dropped`](super::ErrorKind::Dropped).
///
/// A handler whose error has it somewhere in its chain passes the drop on: its own message is settled as by
/// [`Outcome::Drop`](super::Outcome::Drop), counted in [`GroupStats::dropped`](super::GroupStats::dropped), and the log
/// says so at the level debug. It is neither tried again, which would be for as long as the topic is full, nor a dead
/// letter. A handler that has more to do than to publish there wants to go on instead: see [`UnlessDropped`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped;

/// Takes a dropped message for no error, so that `?` goes on: for what is published to a topic that may drop it.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start()?;
/// let samples = broker.topic::<u32>("samples").capacity(1).overflow(Overflow::DropNewest).open().await?;
/// assert!(samples.publish(1).await.unless_dropped()?.is_some());
/// assert!(samples.publish(2).await.unless_dropped()?.is_none());
/// assert_eq!(samples.stats().await?.dropped_newest, 1);
/// # Ok(()) }
/// ```
pub trait UnlessDropped<R, T>: sealed::Sealed {
    /// Returns what was published, or `None` if the topic dropped it.
    ///
    /// # Errors
    /// Every other [`PublishError`].
    fn unless_dropped(self) -> Result<Option<R>, PublishError<T>>;
}

impl<R, T> UnlessDropped<R, T> for Result<R, PublishError<T>> {
    fn unless_dropped(self) -> Result<Option<R>, PublishError<T>> {
        match self {
            Err(PublishError::Dropped(_)) => Ok(None),
            other => other.map(Some),
        }
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no room")
    }
}

impl Error for NoRoom {}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was dropped on purpose")
    }
}

impl Error for Dropped {}

mod sealed {
    pub trait Sealed {}
    impl<R, T> Sealed for Result<R, super::PublishError<T>> {}
}
