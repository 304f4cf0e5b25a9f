//! Reading a topic without a group.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::{BoxStream, StreamExt as _, unfold};

use super::bits::Bits;
use super::disk::blocking;
use super::message::{Batch, Origin};
use super::pages::Pages;
use super::topic::TopicShared;
use super::topic_word::{Look, Seen, TopicWord};
use super::unread::Unread;
use super::{Message, MessageId, Start, StorageError, Topic};
use crate::log::LogError;
use crate::mailbox::reply;

/// Yields what a topic keeps, without being a group; made by [`Topic::browse`] and [`Topic::browse_backwards`].
///
/// It ends where the topic ended when it was polled first, or before the oldest message.
#[must_use = "streams do nothing unless polled"]
pub struct Browse<T>(BoxStream<'static, Result<Message<T>, BrowseError>>);

/// Says why a message could not be shown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BrowseError {
    /// The topic's codec can't read it. The next one can be asked for.
    Undecodable {
        /// Which message.
        id: MessageId,
        /// What the codec said.
        why: Arc<str>,
        /// The message as it is on the disk, which [`StoredMessage::decode`](super::StoredMessage::decode) reads.
        bytes: Arc<[u8]>,
    },
    /// The disk refuses, or what is there is damaged. It was the last.
    Storage(StorageError),
    /// The topic was deleted, or its broker shut down. It was the last.
    Closed,
}

impl<T: Send + Sync + 'static> Topic<T> {
    /// Reads what the topic keeps, from a position on, without a group: nothing is settled by it, and nothing waits for it.
    ///
    /// It shows what is kept when it comes by: with [`retain`](super::TopicBuilder::retain) the history, else what some group
    /// has still to settle; on disk a little more may be there. What is trimmed meanwhile is passed over. It ends with the last
    /// message that was accepted before it was polled first; [`Message::attempt`] is 0.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::{Retain, Start};
    /// use callboard::prelude::*;
    /// use futures::{StreamExt as _, TryStreamExt as _};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let prices = broker.topic::<u32>("prices").retain(Retain::all()).open().await?;
    /// prices.publish_all(1..=10).await?;
    /// let from_8: Vec<u32> = prices.browse(Start::Offset(8)).map_ok(|price| *price).try_collect().await?;
    /// assert_eq!(from_8, [9, 10]);
    /// let newest = prices.browse_backwards(Start::Latest).next().await.unwrap()?;
    /// assert_eq!(*newest, 10);
    /// # Ok(()) }
    /// ```
    pub fn browse(&self, from: Start) -> Browse<T> {
        Browse::new(self.shared.clone(), from, false)
    }

    /// Reads what the topic keeps before a position, the newest first; else as [`Topic::browse`].
    ///
    /// What [`Topic::browse`] shows from a position on, this leaves out: from [`Start::Latest`] it shows all, from
    /// [`Start::Earliest`] nothing.
    pub fn browse_backwards(&self, before: Start) -> Browse<T> {
        Browse::new(self.shared.clone(), before, true)
    }
}

/// Where a browse is.
struct Browser<T: Send + Sync + 'static> {
    topic: Arc<TopicShared<T>>,
    back: bool,
    start: Start,
    /// What is to come. `None`: it was not polled yet.
    range: Option<Range<u64>>,
    origin: Arc<Origin>,
    /// Read, and not yielded; the next one last.
    ready: Vec<Shown<T>>,
}

enum Shown<T> {
    Batch(Arc<Batch<T>>, Bits),
    Unread(Unread),
}

impl<T> Shown<T> {
    fn offset(&self) -> u64 {
        match self {
            Shown::Batch(batch, _) => batch.base(),
            Shown::Unread(unread) => unread.id.offset(),
        }
    }
}

impl<T: Send + Sync + 'static> Browse<T> {
    fn new(topic: Arc<TopicShared<T>>, start: Start, back: bool) -> Browse<T> {
        let origin = Origin::of(topic.name.clone(), &topic.settings, topic.tally.clone());
        let browser = Browser { topic, back, start, range: None, origin, ready: Vec::new() };
        let next = async |mut browser: Browser<T>| {
            let next = browser.next().await?;
            Some((next, browser))
        };
        Browse(
            unfold(browser, move |browser| {
                Box::pin(next(browser)) as Pin<Box<dyn Future<Output = _> + Send>>
            })
            .boxed(),
        )
    }
}

impl<T: Send + Sync + 'static> Browser<T> {
    async fn next(&mut self) -> Option<Result<Message<T>, BrowseError>> {
        loop {
            if let Some(shown) = self.show() {
                return Some(shown);
            }
            let range = match &self.range {
                Some(range) => range.clone(),
                None => match self.bounds().await {
                    Ok(range) => self.range.insert(range).clone(),
                    Err(error) => return self.fail(error),
                },
            };
            if range.is_empty() {
                return None;
            }
            let more = match self.topic.pages.is_some() {
                true => self.read(range).await,
                false => self.ask(range).await,
            };
            if let Err(error) = more {
                return self.fail(error);
            }
        }
    }

    /// The last word.
    fn fail(&mut self, error: BrowseError) -> Option<Result<Message<T>, BrowseError>> {
        (self.range, self.ready) = (Some(0..0), Vec::new());
        Some(Err(error))
    }

    fn show(&mut self) -> Option<Result<Message<T>, BrowseError>> {
        let batch = match self.ready.last_mut()? {
            Shown::Batch(batch, left) => {
                let index = if self.back { left.end().checked_sub(1) } else { left.iter().next() };
                index
                    .inspect(|at| *left = left.without(Bits::range(*at, at + 1)))
                    .map(|at| (batch.clone(), at))
            }
            Shown::Unread(_) => None,
        };
        if let Some((batch, index)) = batch {
            return Some(Ok(Message { batch, index, redrives: 0, attempt: 0 }));
        }
        match self.ready.pop()? {
            Shown::Batch(..) => self.show(),
            Shown::Unread(Unread { id, bytes, why, .. }) => {
                Some(Err(BrowseError::Undecodable { id, why, bytes: bytes.into() }))
            }
        }
    }

    /// From where to where.
    async fn bounds(&mut self) -> Result<Range<u64>, BrowseError> {
        let next = self.topic.sender.accepted();
        let at = match (self.start, self.start.least_id(self.topic.tally.is_named())) {
            (_, Some(id)) => self.find(id, next).await?,
            (Start::Earliest, None) => 0,
            (Start::Latest | Start::UnixMillis(_), None) => next,
            (Start::Offset(offset), None) => offset.min(next),
            (Start::After(id), None) => id.offset().saturating_add(1).min(next),
        };
        Ok(if self.back { 0..at } else { at..next })
    }

    async fn find(&mut self, id: (u64, u64), next: u64) -> Result<u64, BrowseError> {
        if let Some(keeper) = self.topic.keeper.clone() {
            let find = move || keeper.disk.log.find(keeper.number, id);
            let found = blocking(&self.topic.core.rt, "find an id", find).await;
            return Ok(found.ok_or(BrowseError::Closed)??);
        }
        // What is behind all that is here is spilled, or to come, and not shown.
        let end = if self.back { None } else { Some(next) };
        let found = self.topic.find(id, next).await?;
        Ok(found.unwrap_or_else(|here| end.unwrap_or(here)))
    }

    /// Asks the topic for the nearest batch.
    async fn ask(&mut self, range: Range<u64>) -> Result<(), BrowseError> {
        let at = if self.back { range.end } else { range.start };
        // Of what comes later nothing is looked at, so it is not waited for.
        let seen = self.topic.peek(at, self.back, range.end).await?;
        let Some(Seen { batch, which }) = seen.filter(|seen| seen.batch.base() < range.end) else {
            self.range = Some(0..0);
            return Ok(());
        };
        let which = which.and(super::history::within(&batch, range.start, range.end));
        let (base, end) = (batch.base(), super::history::end(&batch));
        self.range = Some(if self.back { range.start..base } else { end..range.end.max(end) });
        self.ready.push(Shown::Batch(batch, which));
        Ok(())
    }

    /// Reads from the disk.
    async fn read(&mut self, range: Range<u64>) -> Result<(), BrowseError> {
        let Some(pages) = self.topic.pages.clone() else { return Ok(()) };
        let (origin, back, asked) = (self.origin.clone(), self.back, range.clone());
        let read = move || if back { pages.read_back(&origin, asked) } else { pages.read(&origin, asked, 0) };
        let read = blocking(&self.topic.core.rt, "browse", read).await.ok_or(BrowseError::Closed)??;
        let Pages { batches, unread, next } = read;
        self.range = Some(if back { range.start..next } else { next..range.end });
        let whole = |batch: Arc<Batch<T>>| {
            let which = super::history::within(&batch, range.start, range.end);
            Shown::Batch(batch, which)
        };
        self.ready.extend(batches.into_iter().map(whole).chain(unread.into_iter().map(Shown::Unread)));
        self.ready.sort_by_key(Shown::offset);
        if !back {
            self.ready.reverse();
        }
        Ok(())
    }
}

/// What the topic has in memory.
impl<T: Send + Sync + 'static> TopicShared<T> {
    /// The offset of the first message there, of those below `next`, that has this id or a later one; or else of the end.
    pub(super) async fn find(&self, id: (u64, u64), next: u64) -> Result<Result<u64, u64>, LogError> {
        let mut at = 0;
        while let Some(Seen { batch, which }) = self.peek(at, false, next).await? {
            if let Some(found) = which.iter().find(|index| batch.own_id(*index).parts() >= id) {
                return Ok(Ok((batch.base() + u64::from(found)).min(next)));
            }
            at = batch.base() + u64::from(batch.len());
        }
        // Why not `next`: what was spilled lies between.
        Ok(Err(if self.settings.spill_dir.is_some() { at } else { next }))
    }

    async fn peek(&self, at: u64, back: bool, next: u64) -> Result<Option<Seen<T>>, LogError> {
        let (answer, seen) = reply();
        let word = Box::new(TopicWord::Look(Look { at, back, answer }));
        drop(self.sender.control(TopicWord::Once { upto: next, word }));
        seen.await.map_err(|_| LogError::Closed)
    }
}

impl<T> Stream for Browse<T> {
    type Item = Result<Message<T>, BrowseError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl<T> fmt::Debug for Browse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browse").finish_non_exhaustive()
    }
}

impl From<LogError> for BrowseError {
    fn from(error: LogError) -> BrowseError {
        match error {
            LogError::Closed | LogError::Missing => BrowseError::Closed,
            error => BrowseError::Storage(error.into()),
        }
    }
}

impl fmt::Display for BrowseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrowseError::Undecodable { id, why, .. } => {
                write!(
                    f,
                    "the topic's codec can't read message {id}: {why}; it is where it was, and the next one can be read"
                )
            }
            BrowseError::Storage(error) => write!(f, "the topic can't be read on: {error}"),
            BrowseError::Closed => {
                f.write_str("the topic was deleted, or its broker shut down: open it again, and browse anew")
            }
        }
    }
}

impl Error for BrowseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BrowseError::Storage(error) => Some(error),
            BrowseError::Undecodable { .. } | BrowseError::Closed => None,
        }
    }
}
