//! Opening a mailbox again that was closed.

use super::shared::{Phase, Shared};
use crate::base::sync::Ordering;

impl<M, C, S> Shared<M, C, S> {
    /// Accepts messages again, unless the receiver or all senders are gone.
    ///
    /// A sender that waited in line when it closed, and did not look since, may get its message back or go on
    /// waiting; it must not be forgotten.
    pub(super) fn reopen(&self) {
        let mut locked = self.lock();
        // Ordering: a last sender that goes just now closes after this, under the lock; one that is gone stays gone.
        if locked.phase == Phase::Closed && self.senders.load(Ordering::Acquire) > 0 {
            locked.phase = Phase::Open;
        }
        self.invite(locked);
    }
}

#[cfg(test)]
#[cfg(not(callboard_shuttle))]
mod tests {

    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use crate::mailbox::{Event, TrySendError, mailbox};

    #[test]
    fn a_mailbox_that_was_closed_takes_messages_again() {
        let (sender, mut receiver) = mailbox::<u8, (), ()>(2, ());
        let mut cx = Context::from_waker(Waker::noop());
        sender.try_send(1).unwrap();
        receiver.close();
        assert_eq!(sender.try_send(2), Err(TrySendError::Closed(2)));
        receiver.reopen();
        sender.try_send(3).unwrap();
        assert_eq!(receiver.poll_next(&mut cx), Poll::Ready(Event::Message(1)));
        assert_eq!(receiver.poll_next(&mut cx), Poll::Ready(Event::Message(3)));
        assert_eq!(receiver.poll_next(&mut cx), Poll::Pending, "and is not closed");
        drop(receiver);
        assert!(sender.is_closed(), "a receiver that is gone stays gone");
    }

    #[test]
    fn a_mailbox_without_senders_stays_closed() {
        let (sender, mut receiver) = mailbox::<u8, (), ()>(2, ());
        sender.try_send(1).unwrap();
        drop(sender);
        receiver.reopen();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(receiver.poll_next(&mut cx), Poll::Ready(Event::Message(1)));
        assert_eq!(receiver.poll_next(&mut cx), Poll::Ready(Event::Closed));
    }

    #[test]
    fn a_sender_that_slept_while_it_was_closed_is_not_forgotten() {
        let (sender, mut receiver) = mailbox::<u8, (), ()>(1, ());
        let mut cx = Context::from_waker(Waker::noop());
        sender.try_send(1).unwrap();
        let mut waiting = pin!(sender.send(2));
        assert!((0..3).all(|_| waiting.as_mut().poll(&mut cx).is_pending()));
        receiver.close();
        receiver.reopen();
        assert_eq!(receiver.poll_next(&mut cx), Poll::Ready(Event::Message(1)));
        receiver.settle(1);
        let ends = (0..3).any(|_| waiting.as_mut().poll(&mut cx).is_ready());
        assert!(ends, "accepted or refused, but not left to wait");
        assert!(sender.try_send(3).is_ok() || sender.queued() == 1);
    }
}
