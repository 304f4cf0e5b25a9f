//! Is there a schedule of threads in which the lock and the atomics lose a message, a place or a wake-up?
//!
//! `.ci/explore` runs these and those of the other layers. What they cannot show is a load that sees an old value, as that of `expected` in
//! `Receiver::settle` may: here every thread sees each store at once. `tests/threads.rs` has that on real threads.
#![cfg(callboard_shuttle)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

use super::{Event, Receiver, Sender, Stamp, mailbox};
use crate::base::sync::explore;

/// Counts what is inside at the instant of each acceptance. Why `settled` is counted before it happens: the count may
/// then be too low, never too high.
#[derive(Clone)]
struct Bound {
    capacity: u64,
    settled: Arc<AtomicU64>,
}

impl Stamp<u64> for Bound {
    type Receipt = u64;
    fn stamp(&mut self, _message: &mut u64, sequence: u64, _first: bool) -> u64 {
        assert!(
            sequence + 1 - self.settled.load(Ordering::SeqCst) <= self.capacity,
            "more inside than there is room"
        );
        sequence
    }
}

type Tx = Sender<u64, u64, Bound>;
type Rx = Receiver<u64, u64, Bound>;

fn open(capacity: usize) -> (Tx, Rx, Bound) {
    let bound = Bound { capacity: capacity as u64, settled: Arc::new(AtomicU64::new(0)) };
    let (tx, rx) = mailbox(capacity, bound.clone());
    (tx, rx, bound)
}

/// Reads until the mailbox closes; between two messages, waits for nothing.
fn read_all(rx: &mut Rx, bound: &Bound) -> (Vec<u64>, Vec<u64>) {
    let (mut messages, mut words) = (Vec::new(), Vec::new());
    loop {
        match block_on(poll_fn(|cx| rx.poll_next(cx))) {
            Event::Control(word) => words.push(word),
            Event::Message(message) => {
                messages.push(message);
                bound.settled.fetch_add(1, Ordering::SeqCst);
                rx.settle(1);
            }
            Event::Closed => return (messages, words),
        }
    }
}

/// Polls `future` once, as a task would that is woken for another reason; then it is dropped.
fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn all_messages_arrive_in_each_senders_order() {
    for capacity in [1, 2] {
        explore(move || {
            let (tx, mut rx, bound) = open(capacity);
            let senders: Vec<_> = (0..3)
                .map(|sender| {
                    let tx = tx.clone();
                    thread::spawn(move || {
                        for number in 0..2 {
                            block_on(tx.send(sender * 10 + number)).unwrap();
                        }
                    })
                })
                .collect();
            drop(tx);
            let (mut messages, _) = read_all(&mut rx, &bound);
            assert!((0..3).all(|sender| {
                let own: Vec<_> = messages.iter().filter(|message| *message / 10 == sender).collect();
                own == [&(sender * 10), &(sender * 10 + 1)]
            }));
            messages.sort_unstable();
            assert_eq!(messages, [0, 1, 10, 11, 20, 21]);
            assert_eq!(rx.held(), 0);
            senders.into_iter().for_each(|sender| sender.join().unwrap());
        });
    }
}

#[test]
fn a_settled_message_lets_one_in_without_another_look_at_the_mailbox() {
    explore(|| {
        let (tx, mut rx, bound) = open(2);
        for message in 0..2 {
            tx.try_send(message).unwrap();
        }
        let senders: Vec<_> = (10..12)
            .map(|message| {
                let tx = tx.clone();
                thread::spawn(move || {
                    block_on(tx.send(message)).unwrap();
                })
            })
            .collect();
        for _ in 0..2 {
            let event = block_on(poll_fn(|cx| rx.poll_next(cx)));
            assert!(matches!(event, Event::Message(0 | 1)));
            bound.settled.fetch_add(1, Ordering::SeqCst);
            rx.settle(1);
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(rx.held(), 2);
    });
}

#[test]
fn a_dropped_send_never_takes_a_place_or_a_wake_up_with_it() {
    explore(|| {
        let (tx, mut rx, bound) = open(1);
        let quitter = {
            let tx = tx.clone();
            thread::spawn(move || {
                let mut accepted = 0;
                for message in 0..2 {
                    let mut send = tx.send(message);
                    if poll_once(&mut send).is_none() {
                        thread::yield_now();
                        accepted += u64::from(poll_once(&mut send).is_some());
                        drop(send);
                    } else {
                        accepted += 1;
                    }
                }
                accepted
            })
        };
        let stayers: Vec<_> = (10..12)
            .map(|message| {
                let tx = tx.clone();
                thread::spawn(move || block_on(tx.send(message)).unwrap())
            })
            .collect();
        drop(tx);
        let (messages, _) = read_all(&mut rx, &bound);
        assert!(messages.contains(&10) && messages.contains(&11));
        assert_eq!(messages.len() as u64, 2 + quitter.join().unwrap());
        assert_eq!(rx.held(), 0);
        for stayer in stayers {
            stayer.join().unwrap();
        }
    });
}

#[test]
fn closing_hands_back_exactly_what_is_not_read() {
    explore(|| {
        let (tx, mut rx, bound) = open(1);
        let senders: Vec<_> = (0..3)
            .map(|message| {
                let tx = tx.clone();
                thread::spawn(move || match block_on(tx.send(message)) {
                    Ok(_) => true,
                    Err(refused) => {
                        assert_eq!(refused.into_inner(), message);
                        false
                    }
                })
            })
            .collect();
        let closer = thread::spawn(move || tx.close());
        let (messages, _) = read_all(&mut rx, &bound);
        closer.join().unwrap();
        for (message, sender) in senders.into_iter().enumerate() {
            assert_eq!(sender.join().unwrap(), messages.contains(&(message as u64)));
        }
    });
}

#[test]
fn a_receiver_that_goes_leaves_nobody_waiting() {
    explore(|| {
        let (tx, mut rx, bound) = open(1);
        let senders: Vec<_> = (0..3)
            .map(|message| {
                let tx = tx.clone();
                thread::spawn(move || block_on(tx.send(message)).is_ok())
            })
            .collect();
        if let Poll::Ready(Event::Message(_)) = rx.poll_next(&mut Context::from_waker(Waker::noop())) {
            bound.settled.fetch_add(1, Ordering::SeqCst);
            rx.settle(1);
        }
        drop(rx);
        assert!(tx.control(1).is_err());
        let accepted = senders.into_iter().map(|sender| usize::from(sender.join().unwrap())).sum::<usize>();
        assert!(accepted <= 2, "one was settled, one may have been queued");
    });
}

#[test]
fn a_mailbox_closed_and_opened_again_forgets_nobody_in_its_line() {
    explore(|| {
        let (tx, mut rx, bound) = open(1);
        tx.try_send(0).unwrap();
        let senders: Vec<_> = (1..3)
            .map(|message| {
                let tx = tx.clone();
                thread::spawn(move || block_on(tx.send(message)).is_ok())
            })
            .collect();
        thread::yield_now();
        rx.close();
        rx.reopen();
        drop(tx);
        let (messages, _) = read_all(&mut rx, &bound);
        let accepted = senders.into_iter().map(|sender| usize::from(sender.join().unwrap())).sum::<usize>();
        assert_eq!(messages.len(), 1 + accepted);
    });
}

#[test]
fn an_upgrade_succeeds_before_the_last_sender_goes_or_never() {
    explore(|| {
        let (tx, mut rx, bound) = open(1);
        let weak = tx.downgrade();
        let upgrade = thread::spawn(move || {
            let sent = weak.upgrade().is_some_and(|strong| strong.try_send(1).is_ok());
            assert!(!sent || !weak.is_gone());
            sent
        });
        let last = thread::spawn(move || drop(tx));
        let (messages, _) = read_all(&mut rx, &bound);
        assert_eq!(messages.len(), usize::from(upgrade.join().unwrap()));
        last.join().unwrap();
    });
}

#[test]
fn control_wakes_a_receiver_that_waits_for_it_alone() {
    explore(|| {
        let (tx, mut rx, bound) = open(2);
        let writer = {
            let tx = tx.clone();
            thread::spawn(move || {
                block_on(tx.send(1)).unwrap();
                tx.control(7).unwrap();
                block_on(tx.send(2)).unwrap();
                block_on(tx.send(3)).unwrap();
                tx.control(8).unwrap();
            })
        };
        drop(tx);
        assert_eq!(block_on(poll_fn(|cx| rx.poll_control(cx))), 7);
        let (messages, words) = read_all(&mut rx, &bound);
        assert_eq!((messages, words), (vec![1, 2, 3], vec![8]));
        writer.join().unwrap();
    });
}

#[test]
fn a_handler_that_waits_holds_up_only_those_for_whom_there_is_no_room() {
    explore(|| {
        let (tx, mut rx, bound) = open(1);
        let senders: Vec<_> = (0..2)
            .map(|message| {
                let tx = tx.clone();
                thread::spawn(move || {
                    block_on(tx.send(message)).unwrap();
                    tx.control(message).unwrap();
                })
            })
            .collect();
        drop(tx);
        // Each word comes after its sender got in, and the mailbox has room for one at a time: settling must let
        // the second in while the receiver waits for control only.
        let mut words = Vec::new();
        for _ in 0..2 {
            let message = block_on(poll_fn(|cx| match rx.poll_next(cx) {
                Poll::Ready(Event::Control(word)) => {
                    words.push(word);
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Ready(Event::Message(message)) => Poll::Ready(message),
                Poll::Ready(Event::Closed) => panic!("a message is missing"),
                Poll::Pending => Poll::Pending,
            }));
            assert!(message < 2);
            bound.settled.fetch_add(1, Ordering::SeqCst);
            rx.settle(1);
            if words.is_empty() {
                words.push(block_on(poll_fn(|cx| rx.poll_control(cx))));
            }
        }
        words.extend(read_all(&mut rx, &bound).1);
        words.sort_unstable();
        assert_eq!(words, [0, 1]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn reserved_places_are_filled_or_come_back() {
    explore(|| {
        let (tx, mut rx, bound) = open(1);
        let giver = {
            let mut sink = tx.sink();
            thread::spawn(move || {
                block_on(poll_fn(|cx| sink.poll_reserve(0, cx))).unwrap();
                sink.give_up();
                block_on(poll_fn(|cx| sink.poll_reserve(0, cx))).unwrap();
            })
        };
        let filler = {
            let mut sink = tx.sink();
            thread::spawn(move || {
                block_on(poll_fn(|cx| sink.poll_reserve(0, cx))).unwrap();
                sink.fill(1).unwrap();
            })
        };
        let many = {
            let tx = tx.clone();
            thread::spawn(move || assert_eq!(block_on(tx.send_all(vec![2, 3])).unwrap().len(), 2))
        };
        drop(tx);
        let (mut messages, _) = read_all(&mut rx, &bound);
        messages.sort_unstable();
        assert_eq!((messages, rx.held()), (vec![1, 2, 3], 0));
        for thread in [giver, filler, many] {
            thread.join().unwrap();
        }
    });
}
