//! What the writer is asked for, and the queue in which it waits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::change::{Marks, Terms};
use super::error::LogError;
use super::record::Records;
use super::state::State;
use crate::base::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};
use crate::base::{Bug, planted};

/// Hears what became of a request, once. Dropped unheard it says [`LogError::Closed`].
pub(crate) struct Done<T>(Option<Hear<T>>);

type Hear<T> = Box<dyn FnOnce(Result<T, LogError>) + Send>;

impl<T> Done<T> {
    pub(crate) fn new(hear: impl FnOnce(Result<T, LogError>) + Send + 'static) -> Done<T> {
        Done(Some(Box::new(hear)))
    }

    /// For what nobody waits for.
    pub(crate) fn unheard() -> Done<T> {
        Done(None)
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn tell(mut self, result: Result<T, LogError>) {
        if let Some(hear) = self.0.take() {
            hear(result);
        }
    }
}

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        if let Some(hear) = self.0.take() {
            hear(Err(LogError::Closed));
        }
    }
}

impl<T> fmt::Debug for Done<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done(..)")
    }
}

/// A group is done with these messages of a topic: if its commit is there, and else not.
#[derive(Debug)]
pub(crate) struct Settles {
    pub(crate) topic: u32,
    pub(crate) group: u32,
    /// Offsets, from the first to one behind the last.
    pub(crate) done: Vec<(u64, u64)>,
}

/// Appends that stand on each other: once one of them was refused, so are all behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain(Arc<AtomicBool>);

impl Chain {
    /// Whether one of them was refused.
    pub(crate) fn is_broken(&self) -> bool {
        // Ordering: whoever adds to it is told what became of that; this decides nothing but in the writer, which alone snaps it.
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn snap(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) enum Request {
    /// Answered with the offset of the first record; if `sync`, once it is on the disk, else once it is written.
    Append {
        topic: u32,
        records: Records,
        sync: bool,
        /// In the same commit.
        settles: Option<Settles>,
        done: Done<u64>,
    },
    /// To several topics, in one commit. Answered as [`Request::Append`] is.
    AppendAll {
        parts: Vec<(u32, Records)>,
        sync: bool,
        chain: Chain,
        done: Done<()>,
    },
    /// Unlike marks, it is not said again later if it is refused.
    Settle {
        settles: Settles,
        done: Done<()>,
    },
    /// Answered, if anybody hears it, once it is on the disk.
    Mark {
        topic: u32,
        group: u32,
        marks: Marks,
        done: Done<()>,
    },
    Trim {
        topic: u32,
        floor: u64,
    },
    /// `topic`: its number, if the caller has one that is larger than all before it.
    CreateTopic {
        topic: Option<u32>,
        name: String,
        terms: Terms,
        done: Done<u32>,
    },
    SetTerms {
        topic: u32,
        terms: Terms,
        done: Done<()>,
    },
    DeleteTopic {
        topic: u32,
        done: Done<()>,
    },
    /// Its number is the caller's, and larger than all before it.
    CreateGroup {
        topic: u32,
        group: u32,
        name: String,
        about: Vec<u8>,
        start: u64,
        done: Done<()>,
    },
    DeleteGroup {
        topic: u32,
        group: u32,
        done: Done<()>,
    },
    Seek {
        topic: u32,
        group: u32,
        to: u64,
        /// Empty: as before.
        about: Vec<u8>,
        done: Done<()>,
    },
    /// Answered at once, with what there is.
    Describe {
        done: Done<Box<State>>,
    },
    /// What was written is to be on the disk.
    Sync {
        done: Done<()>,
    },
    /// And the journal is to say so, so that nothing can be lost unseen.
    Seal {
        done: Done<()>,
    },
    /// What is of use is to move on, so that what is not goes.
    Turn {
        done: Done<()>,
    },
    Close {
        clean: bool,
        done: Done<()>,
    },
}

impl Request {
    /// Whether it is a commit of its own: what it says is of all before it, or it may fail where that did not.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Request::Seal { .. } | Request::Turn { .. } | Request::Close { .. })
    }
}

/// What waits for the writer.
///
/// Limit: what its callers hold: an append is of messages that have a place in their topic, marks are of such messages,
/// and all else is a future somewhere.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    closed: bool,
    writer: Option<Waker>,
}

impl Waiting {
    fn put(&mut self, request: Request) -> Result<(), Request> {
        if self.closed {
            return Err(request);
        }
        self.closed = matches!(request, Request::Close { .. });
        self.requests.push_back(request);
        Ok(())
    }
}

impl Queue {
    /// Puts in a request; hands it back if the log is closed.
    pub(crate) fn put(&self, request: Request) -> Result<(), Request> {
        let waker = {
            let mut waiting = self.lock();
            waiting.put(request)?;
            waiting.writer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// As [`Queue::put`], for one who wakes the writer later, or works it off.
    pub(crate) fn leave(&self, request: Request) -> Result<(), Request> {
        self.lock().put(request)
    }

    /// Tells the writer that something waits.
    pub(crate) fn wake(&self) {
        let waker = self.lock().writer.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until there is something to take.
    pub(crate) fn poll_some(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.lock();
        if waiting.requests.is_empty() {
            if planted(Bug::LateWaker) {
                drop(waiting);
                waiting = self.lock();
            }
            let old = waiting.writer.replace(cx.waker().clone());
            drop(waiting);
            drop(old);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Takes all that waits. Who takes holds the writer: so that what was put in first is worked off first.
    pub(crate) fn take(&self) -> VecDeque<Request> {
        std::mem::take(&mut self.lock().requests)
    }

    /// As [`Queue::take`], if all of it is as it should be.
    pub(crate) fn take_if(
        &self,
        is_so: impl FnOnce(&VecDeque<Request>) -> bool,
    ) -> Option<VecDeque<Request>> {
        let mut waiting = self.lock();
        is_so(&waiting.requests).then(|| std::mem::take(&mut waiting.requests))
    }

    /// Nothing gets in any more; answers what waits.
    pub(crate) fn close(&self) -> VecDeque<Request> {
        let mut waiting = self.lock();
        waiting.closed = true;
        std::mem::take(&mut waiting.requests)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
