//! What happens to messages, words and those who wait when either end goes? (G16)

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::kit::{Pulse, Rx, Tx, comes_back, drain, full, next, open};
use crate::mailbox::{Event, Receiver, SendError, Sender, TrySendError, mailbox};

/// Closes a mailbox in which senders wait, in each of the ways there are.
fn close_with_senders_waiting(close: impl Fn(&Tx, Rx) -> Option<Rx>, read: &[u32]) {
    let (tx, rx) = full(2);
    let pulses: Vec<_> = (0..3).map(|_| Pulse::new()).collect();
    let mut sends: Vec<_> = (10..13).map(|message| tx.send(message)).collect();
    for (send, pulse) in sends.iter_mut().zip(&pulses) {
        assert!(pulse.poll(send).is_pending());
    }
    let rx = close(&tx, rx);
    assert!(tx.is_closed());
    for (number, (send, pulse)) in sends.iter_mut().zip(&pulses).enumerate() {
        assert!(pulse.has_woken());
        assert_eq!(pulse.poll(send), Poll::Ready(Err(SendError(10 + number as u32))));
    }
    assert_eq!(pulses[0].poll(&mut tx.send(20)), Poll::Ready(Err(SendError(20))));
    assert_eq!(tx.try_send(20), Err(TrySendError::Closed(20)));
    assert_eq!(tx.sink().try_reserve(0), Err(TrySendError::Closed(())));
    if let Some(mut rx) = rx {
        assert_eq!(drain(&mut rx), read);
        assert_eq!(next(&mut rx), Some(Event::Closed));
        assert_eq!(next(&mut rx), Some(Event::Closed), "and stays so");
        assert_eq!(rx.held(), 0);
    }
}

#[test]
fn closing_hands_each_waiting_sender_its_message_back_and_what_was_accepted_is_read() {
    close_with_senders_waiting(
        |tx, rx| {
            tx.close();
            tx.close();
            Some(rx)
        },
        &[0, 1],
    );
    close_with_senders_waiting(
        |tx, rx| {
            tx.downgrade().close();
            Some(rx)
        },
        &[0, 1],
    );
    close_with_senders_waiting(
        |_, rx| {
            rx.close();
            Some(rx)
        },
        &[0, 1],
    );
    close_with_senders_waiting(
        |_, mut rx| {
            assert_eq!(next(&mut rx), Some(Event::Message(0)));
            rx.close();
            rx.settle(1);
            Some(rx)
        },
        &[1],
    );
}

#[test]
fn a_dropped_receiver_hands_each_waiting_sender_its_message_back() {
    close_with_senders_waiting(
        |tx, rx| {
            assert!(!tx.downgrade().is_gone());
            drop(rx);
            assert!(tx.downgrade().is_gone());
            assert_eq!(tx.control("word"), Err("word"));
            None
        },
        &[],
    );
    close_with_senders_waiting(
        |_, rx| {
            rx.close();
            drop(rx);
            None
        },
        &[],
    );
}

#[test]
fn a_sender_that_was_told_to_come_gets_its_message_back_if_the_mailbox_closes_first() {
    let (tx, mut rx) = full(1);
    let pulse = Pulse::new();
    let mut send = tx.send(10);
    assert!(pulse.poll(&mut send).is_pending());
    drain(&mut rx);
    rx.close();
    assert_eq!(pulse.poll(&mut send), Poll::Ready(Err(SendError(10))));
    assert!(drain(&mut rx).is_empty());
}

#[test]
fn the_mailbox_closes_when_the_last_strong_sender_goes() {
    let (tx, mut rx) = full(2);
    let (weak, other, sink) = (tx.downgrade(), tx.clone(), tx.sink());
    let pulse = Pulse::new();
    for sender in [tx, other] {
        drop(sender);
        assert!(weak.upgrade().is_some_and(|sender| !sender.is_closed()));
    }
    assert_eq!(drain(&mut rx), [0, 1]);
    assert!(rx.poll_next(&mut pulse.cx()).is_pending(), "the sink keeps it open");
    drop(sink);
    assert_eq!(pulse.wakes(), 1);
    assert_eq!(rx.poll_next(&mut pulse.cx()), Poll::Ready(Event::Closed));
    assert!(weak.upgrade().is_none(), "it is not opened again");
    assert_eq!(weak.control("late"), Ok(()), "the receiver is still there");
    assert_eq!(next(&mut rx), Some(Event::Control("late")));
}

#[test]
fn an_upgraded_sender_keeps_the_mailbox_open() {
    let (tx, mut rx) = open(1);
    let weak = tx.downgrade();
    let strong = weak.upgrade().unwrap();
    assert!(strong.same(&tx));
    assert!(!strong.same(&open(1).0));
    drop(tx);
    assert_eq!(strong.try_send(1), Ok(()));
    drop(strong);
    assert_eq!(drain(&mut rx), [1]);
    assert_eq!(next(&mut rx), Some(Event::Closed));
}

#[test]
fn words_said_after_closing_are_read_and_queued_messages_too() {
    let (tx, mut rx) = full(2);
    rx.close();
    assert_eq!(tx.control("a"), Ok(()));
    assert_eq!(next(&mut rx), Some(Event::Control("a")));
    assert_eq!(next(&mut rx), Some(Event::Message(0)));
    assert_eq!(tx.control("b"), Ok(()));
    assert_eq!(next(&mut rx), Some(Event::Control("b")));
    assert_eq!(next(&mut rx), Some(Event::Message(1)));
    assert_eq!(next(&mut rx), Some(Event::Closed));
    let pulse = Pulse::new();
    assert!(rx.poll_control(&mut pulse.cx()).is_pending());
    assert_eq!(tx.control("c"), Ok(()));
    assert_eq!(pulse.wakes(), 1, "a closed mailbox still wakes for control");
    assert_eq!(rx.poll_control(&mut pulse.cx()), Poll::Ready("c"));
}

#[test]
fn a_word_that_closes_is_read_first_and_wakes_everyone() {
    let (tx, mut rx) = full(1);
    let (pulse, rx_pulse) = (Pulse::new(), Pulse::new());
    let mut send = tx.send(10);
    assert!(pulse.poll(&mut send).is_pending());
    assert!(rx.poll_control(&mut rx_pulse.cx()).is_pending());
    assert_eq!(tx.close_with("a"), Ok(()));
    assert_eq!((pulse.wakes(), rx_pulse.wakes()), (1, 1));
    assert!(rx.is_closed() && tx.is_closed());
    assert!(rx.poll_next(&mut rx_pulse.cx()) == Poll::Ready(Event::Control("a")));
    assert!(rx.poll_control(&mut rx_pulse.cx()).is_pending());
    assert_eq!(tx.close_with("b"), Ok(()), "closed or not, the word is said");
    assert_eq!(rx_pulse.wakes(), 1);
    assert_eq!(next(&mut rx), Some(Event::Control("b")));
    assert_eq!(next(&mut rx), Some(Event::Message(0)), "what was accepted is read");
    assert_eq!(next(&mut rx), Some(Event::Closed));
    assert_eq!(pulse.poll(&mut send), Poll::Ready(Err(SendError(10))));
    drop(rx);
    assert_eq!(tx.close_with("c"), Err("c"));
}

#[test]
fn take_rest_gives_all_that_was_not_handed_out_and_frees_its_places() {
    let (tx, mut rx) = full(4);
    let pulse = Pulse::new();
    let mut send = tx.send(10);
    assert!(pulse.poll(&mut send).is_pending());
    assert_eq!(next(&mut rx), Some(Event::Message(0)));
    assert_eq!((rx.waiting(), rx.held()), (3, 4));
    assert_eq!(rx.take_rest(), [1, 2, 3], "the rest of the burst");
    assert_eq!((rx.waiting(), rx.held()), (0, 1), "the one being handled keeps its place");
    assert_eq!(pulse.wakes(), 1);
    assert!(pulse.poll(&mut send).is_ready());
    assert_eq!(tx.try_send(11), Ok(()));
    assert_eq!(rx.take_rest(), [10, 11], "what is queued");
    assert!(rx.take_rest().is_empty());
    rx.settle(1);
    assert_eq!(rx.held(), 0);
}

/// Sends to its own mailbox when it goes.
struct Talker(Option<Sender<Talker, ()>>);

impl Drop for Talker {
    fn drop(&mut self) {
        if let Some(tx) = self.0.take() {
            tx.try_send(Talker(None)).ok();
            tx.control(()).ok();
            tx.close();
        }
    }
}

#[test]
fn messages_that_own_a_sender_are_dropped_without_a_deadlock() {
    comes_back(|| {
        let (tx, mut rx) = mailbox::<Talker, (), ()>(4, ());
        for _ in 0..4 {
            assert!(tx.try_send(Talker(Some(tx.clone()))).is_ok());
        }
        let pulse = Pulse::new();
        let mut waits = tx.send(Talker(Some(tx.clone())));
        assert!(pulse.poll(&mut waits).is_pending());
        drop(waits);
        assert!(tx.is_closed(), "it talked");
        assert!(matches!(next(&mut rx), Some(Event::Control(()))));
        assert!(matches!(next(&mut rx), Some(Event::Message(_))));
        drop(rx);
        assert!(tx.try_send(Talker(Some(tx.clone()))).is_err());
    });
    comes_back(|| {
        let (tx, rx) = mailbox::<Talker, (), ()>(2, ());
        assert!(tx.try_send(Talker(Some(tx.clone()))).is_ok());
        drop(rx);
    });
    comes_back(|| {
        let (tx, mut rx) = mailbox::<Talker, (), ()>(2, ());
        assert!(tx.try_send(Talker(Some(tx.clone()))).is_ok());
        drop(tx);
        drop(rx.take_rest());
    });
}

/// A waker that owns a sender, as the waker of a task does that owns one. It takes the lock when it is woken and
/// when it is dropped.
struct Busybody(Mutex<Option<Sender<u32, &'static str>>>);

impl Busybody {
    fn waker(tx: &Tx) -> Waker {
        Waker::from(Arc::new(Busybody(Mutex::new(Some(tx.clone())))))
    }
}

impl Wake for Busybody {
    fn wake(self: Arc<Self>) {
        if let Some(tx) = &*self.0.lock().unwrap() {
            tx.queued();
        }
    }
}

impl Drop for Busybody {
    fn drop(&mut self) {
        if let Some(tx) = self.0.get_mut().unwrap().take() {
            tx.queued();
        }
    }
}

#[test]
fn wakers_that_own_a_sender_are_replaced_woken_and_dropped_without_a_deadlock() {
    fn poll_with(tx: &Tx, send: &mut crate::mailbox::Send<'_, u32, &'static str, ()>) -> bool {
        std::pin::Pin::new(send).poll(&mut Context::from_waker(&Busybody::waker(tx))).is_ready()
    }
    fn park(tx: &Tx, rx: &mut Receiver<u32, &'static str>) {
        while rx.poll_control(&mut Context::from_waker(&Busybody::waker(tx))).is_ready() {}
        while let Poll::Ready(event) = rx.poll_next(&mut Context::from_waker(&Busybody::waker(tx))) {
            rx.settle(matches!(event, Event::Message(_)).into());
        }
    }
    comes_back(|| {
        let (tx, mut rx) = full(1);
        let (mut one, mut two) = (tx.send(10), tx.send(11));
        for _ in 0..2 {
            assert!(!poll_with(&tx, &mut one), "joined, then renewed");
            assert!(!poll_with(&tx, &mut two));
        }
        drop(two);
        assert_eq!(rx.take_rest(), [0]);
        assert!(poll_with(&tx, &mut one));
        park(&tx, &mut rx);
        park(&tx, &mut rx);
        assert_eq!(tx.try_send(12), Ok(()));
        park(&tx, &mut rx);
        let (mut three, mut four) = (tx.send(13), tx.send(14));
        poll_with(&tx, &mut three);
        poll_with(&tx, &mut four);
        tx.close();
        poll_with(&tx, &mut three);
        drop(four);
    });
    comes_back(|| {
        let (tx, mut rx) = full(1);
        let mut one = tx.send(10);
        assert!(!poll_with(&tx, &mut one));
        while rx.poll_control(&mut Context::from_waker(&Busybody::waker(&tx))).is_ready() {}
        drop(rx);
        assert!(poll_with(&tx, &mut one));
    });
}
