//! How sessions wait until what they tell is in the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::base::sync::{Mutex, MutexGuard, PoisonError};
use crate::log::LogError;

/// What a reply depends on: all that was written before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) struct Barrier {
    /// Counts how often memory went back to what is in the log.
    pub(super) epoch: u64,
    /// Counts what was written since.
    pub(super) sequence: u64,
}

impl Barrier {
    /// What both depend on. What memory went back between is never there.
    pub(in crate::server) fn and(self, later: Barrier) -> Barrier {
        match self.epoch == later.epoch {
            true => self.max(later),
            false => Barrier { sequence: u64::MAX, ..self.min(later) },
        }
    }
}

/// How far the log has confirmed what was written.
#[derive(Debug, Default)]
pub(in crate::server) struct Confirmed(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    upto: Barrier,
    /// How far it was when memory went back last.
    before: Barrier,
    /// The log refused this, and what came behind it.
    failed: Option<(Barrier, Arc<LogError>)>,
    /// By what each waits for. Limit: one for each session, and each future within the process.
    waiting: BTreeMap<(Barrier, u64), Waker>,
    next: u64,
}

impl Confirmed {
    /// The log has, or has not, what was written. Tells whoever waits for that.
    pub(super) fn tell(&self, barrier: Barrier, result: Result<(), LogError>) {
        let woken = {
            let mut inner = self.lock();
            if barrier.epoch != inner.upto.epoch {
                return;
            }
            match result {
                // In the order in which it was written: what comes behind something that was refused is, too.
                Ok(()) => inner.upto = inner.upto.max(barrier),
                Err(error) => {
                    let first = inner.failed.as_ref().is_none_or(|(first, _)| barrier < *first);
                    if first {
                        inner.failed = Some((barrier, Arc::new(error)));
                    }
                }
            }
            match inner.failed {
                // Whoever waits for what was written before that waits on.
                Some(_) => std::mem::take(&mut inner.waiting),
                None => {
                    let upto = inner.upto;
                    let left = inner.waiting.split_off(&(upto, u64::MAX));
                    std::mem::replace(&mut inner.waiting, left)
                }
            }
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Memory is what is in the log once more. Answers the new epoch.
    pub(super) fn begin_anew(&self) -> u64 {
        let (epoch, woken) = {
            let mut inner = self.lock();
            inner.before = inner.upto;
            inner.upto = Barrier { epoch: inner.upto.epoch + 1, sequence: 0 };
            inner.failed = None;
            (inner.upto.epoch, std::mem::take(&mut inner.waiting))
        };
        woken.into_values().for_each(Waker::wake);
        epoch
    }

    /// Whether all is in the log that a barrier stands for.
    pub(in crate::server) fn has(&self, barrier: Barrier) -> bool {
        let upto = self.lock().upto;
        barrier.epoch == upto.epoch && barrier <= upto
    }

    /// What the log refused, if it did.
    pub(in crate::server) fn failed(&self) -> Option<Arc<LogError>> {
        self.lock().failed.as_ref().map(|(_, error)| error.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until all is in the log that a barrier stands for.
///
/// # Cancel safety
/// Nothing waits any more once it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Confirming<'a> {
    confirmed: &'a Confirmed,
    barrier: Barrier,
    number: Option<u64>,
}

impl Confirmed {
    pub(in crate::server) fn wait(&self, barrier: Barrier) -> Confirming<'_> {
        Confirming { confirmed: self, barrier, number: None }
    }
}

/// Says that what was written is not in the log.
#[derive(Clone, Debug)]
pub(in crate::server) struct Unwritten(pub(in crate::server) Option<Arc<LogError>>);

impl Unwritten {
    /// Whether it may be there all the same, once the log is opened anew.
    pub(in crate::server) fn is_unsure(&self) -> bool {
        matches!(self.0.as_deref(), Some(LogError::Unknown { .. } | LogError::Poisoned { .. }))
    }
}

impl Confirming<'_> {
    pub(in crate::server) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unwritten>> {
        let mut inner = self.confirmed.lock();
        let place = self.number.map(|number| (self.barrier, number));
        let old = place.and_then(|place| inner.waiting.remove(&place));
        if self.barrier.epoch < inner.upto.epoch {
            if self.barrier.epoch < inner.before.epoch {
                let why = "memory went back more than once before anybody asked".into();
                return Poll::Ready(Err(Unwritten(Some(Arc::new(LogError::Unknown { why })))));
            }
            let was_there = self.barrier <= inner.before;
            return Poll::Ready(if was_there { Ok(()) } else { Err(Unwritten(None)) });
        }
        if self.barrier <= inner.upto {
            return Poll::Ready(Ok(()));
        }
        if let Some((first, error)) = &inner.failed
            && *first <= self.barrier
        {
            return Poll::Ready(Err(Unwritten(Some(error.clone()))));
        }
        inner.next += 1;
        self.number = Some(inner.next);
        let place = (self.barrier, inner.next);
        inner.waiting.insert(place, cx.waker().clone());
        drop(inner);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Confirming<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let old = self.confirmed.lock().waiting.remove(&(self.barrier, number));
            drop(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(sequence: u64) -> Barrier {
        Barrier { epoch: 0, sequence }
    }

    #[test]
    fn whoever_waits_is_woken_once_its_turn_has_come_and_not_before() {
        let (confirmed, count) = (Confirmed::default(), Arc::new(Count::default()));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut waits = [1, 2, 3].map(|sequence| confirmed.wait(at(sequence)));
        for wait in &mut waits {
            // Asked twice, it still waits once.
            assert!(wait.poll(&mut cx).is_pending() && wait.poll(&mut cx).is_pending());
        }
        confirmed.tell(at(2), Ok(()));
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        let [one, two, three] = &mut waits;
        assert!(
            matches!(one.poll(&mut cx), Poll::Ready(Ok(())))
                && matches!(two.poll(&mut cx), Poll::Ready(Ok(())))
        );
        assert!(three.poll(&mut cx).is_pending());
        confirmed.tell(at(3), Err(LogError::Closed));
        assert!(matches!(three.poll(&mut cx), Poll::Ready(Err(Unwritten(Some(_))))));
        // What came through before is so still.
        assert!(matches!(confirmed.wait(at(2)).poll(&mut cx), Poll::Ready(Ok(()))));
        drop(waits);
        assert!(confirmed.lock().waiting.is_empty());
    }

    #[test]
    fn what_was_not_confirmed_before_memory_went_back_never_is() {
        let (confirmed, waker) = (Confirmed::default(), Waker::noop());
        let mut cx = Context::from_waker(waker);
        let mut wait = confirmed.wait(at(1));
        assert!(wait.poll(&mut cx).is_pending());
        confirmed.tell(at(1), Err(LogError::Closed));
        assert_eq!((confirmed.failed().is_some(), confirmed.begin_anew()), (true, 1));
        assert!(matches!(wait.poll(&mut cx), Poll::Ready(Err(Unwritten(None)))));
        // A late word of what was before changes nothing.
        confirmed.tell(at(9), Ok(()));
        let mut new = confirmed.wait(Barrier { epoch: 1, sequence: 1 });
        assert_eq!(at(1).and(Barrier { epoch: 1, sequence: 1 }), at(u64::MAX));
        assert!(confirmed.failed().is_none() && new.poll(&mut cx).is_pending());
        confirmed.tell(Barrier { epoch: 1, sequence: 1 }, Ok(()));
        assert!(matches!(new.poll(&mut cx), Poll::Ready(Ok(()))));
    }

    /// What is refused may be known before what was written earlier is confirmed.
    #[test]
    fn what_was_confirmed_stays_so_whatever_is_refused_behind_it() {
        let (confirmed, count) = (Confirmed::default(), Arc::new(Count::default()));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut waits = [1, 2].map(|sequence| confirmed.wait(at(sequence)));
        assert!(waits.iter_mut().all(|wait| wait.poll(&mut cx).is_pending()));
        confirmed.tell(at(2), Err(LogError::Closed));
        let [one, two] = &mut waits;
        assert!(one.poll(&mut cx).is_pending());
        assert!(matches!(two.poll(&mut cx), Poll::Ready(Err(Unwritten(Some(_))))));
        confirmed.tell(at(1), Ok(()));
        // It looks only once memory has gone back.
        assert_eq!((count.0.load(Ordering::Relaxed), confirmed.begin_anew()), (3, 1));
        assert!(matches!(one.poll(&mut cx), Poll::Ready(Ok(()))));
        assert!(matches!(confirmed.wait(at(2)).poll(&mut cx), Poll::Ready(Err(Unwritten(None)))));
        confirmed.begin_anew();
        let late = confirmed.wait(at(1)).poll(&mut cx);
        assert!(matches!(late, Poll::Ready(Err(error)) if error.is_unsure()));
    }
}
