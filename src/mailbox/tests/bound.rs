//! Is the capacity kept at every instant, and used to the full? (G2)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use super::kit::{Pulse, block_on, comes_back, next, open};
use crate::mailbox::{Event, Stamp, TrySendError, mailbox};

const CAPACITIES: [usize; 7] = [1, 2, 7, 8, 16, 64, 1024];

#[test]
fn queued_and_unsettled_messages_never_exceed_the_capacity() {
    for capacity in CAPACITIES {
        let (tx, mut rx) = open(capacity);
        let senders = 2 * capacity as u32 + 3;
        let pulse = Pulse::new();
        let mut sends: Vec<_> = (0..senders).map(|message| Some(tx.send(message))).collect();
        let mut poll_all = || {
            for slot in &mut sends {
                // Why twice: the first poll may only make way for other tasks.
                for _ in 0..2 {
                    if slot.as_mut().is_some_and(|send| pulse.poll(send).is_ready()) {
                        *slot = None;
                    }
                }
            }
            sends.iter().filter(|slot| slot.is_none()).count() as u64
        };
        assert_eq!(poll_all(), capacity as u64);
        let mut taken = 0;
        while taken < senders {
            let event = next(&mut rx);
            if event.is_none() {
                continue; // It made way for other tasks.
            }
            assert_eq!(event, Some(Event::Message(taken)));
            taken += 1;
            let entered = poll_all();
            assert_eq!(rx.held(), entered - u64::from(taken - 1), "a taken message keeps its place");
            assert!(rx.held() <= capacity as u64);
            rx.settle(1);
            let wanted = (u64::from(taken) + capacity as u64).min(u64::from(senders));
            assert_eq!(poll_all(), wanted, "a settled message lets one in");
        }
        assert_eq!(rx.held(), 0);
    }
}

#[test]
fn try_send_fills_the_capacity_and_no_more() {
    for capacity in CAPACITIES {
        let (tx, mut rx) = open(capacity);
        for message in 0..capacity as u32 {
            tx.try_send(message).unwrap();
        }
        assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
        assert_eq!(next(&mut rx), Some(Event::Message(0)));
        assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)), "taken is not settled");
        rx.settle(1);
        assert_eq!(tx.try_send(9), Ok(()));
        assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
    }
}

#[test]
fn reserved_places_count() {
    for capacity in CAPACITIES {
        let (tx, rx) = open(capacity);
        let (pulse, mut sinks) = (Pulse::new(), Vec::new());
        for _ in 0..capacity {
            let mut sink = tx.sink();
            while sink.poll_reserve(0, &mut pulse.cx()).is_pending() {}
            sinks.push(sink);
        }
        assert_eq!((rx.held(), rx.waiting()), (capacity as u64, 0));
        assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
        assert!(pulse.poll(&mut tx.send(9)).is_pending());
        assert_eq!(sinks[0].fill(1), Ok(()));
        assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)), "filled, a place is still taken");
        sinks.pop();
        assert_eq!(tx.try_send(9).is_ok(), capacity > 1, "given back, it is not");
    }
}

#[test]
fn a_capacity_of_zero_counts_as_one() {
    let (tx, mut rx) = open(0);
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(next(&mut rx), Some(Event::Message(1)));
}

#[test]
fn the_largest_capacity_overflows_nothing() {
    let (tx, mut rx) = open(usize::MAX);
    let pulse = Pulse::new();
    assert_eq!(pulse.poll(&mut tx.send_all(vec![1, 2, 3])).map(|sent| sent.is_ok()), Poll::Ready(true));
    assert_eq!(next(&mut rx), Some(Event::Message(1)));
}

/// Sees each message at the instant it is accepted.
struct Watch {
    settled: Arc<AtomicU64>,
    most: Arc<AtomicU64>,
}

impl Stamp<u64> for Watch {
    type Receipt = u64;
    fn stamp(&mut self, _message: &mut u64, sequence: u64, _first: bool) -> u64 {
        let inside = sequence + 1 - self.settled.load(Ordering::SeqCst);
        self.most.fetch_max(inside, Ordering::SeqCst);
        sequence
    }
}

#[test]
fn senders_on_threads_never_exceed_the_capacity() {
    const SENDERS: u64 = 6;
    for capacity in CAPACITIES {
        comes_back(move || {
            let each = (capacity as u64 * 4).clamp(500, 2000);
            let (settled, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            let watch = Watch { settled: settled.clone(), most: most.clone() };
            let (tx, mut rx) = mailbox::<u64, (), _>(capacity, watch);
            std::thread::scope(|threads| {
                for sender in 0..SENDERS {
                    let tx = tx.clone();
                    threads.spawn(move || {
                        for number in 0..each {
                            let message = sender * each + number;
                            let sent = match (number % 3, sender % 2) {
                                (0, 0) => tx.try_send(message).map_err(TrySendError::into_inner),
                                _ => Err(message),
                            };
                            if let Err(message) = sent {
                                block_on(tx.send(message)).unwrap();
                            }
                        }
                    });
                }
                drop(tx);
                // Nothing is taken before it is full, so that the bound is put to the test.
                while most.load(Ordering::SeqCst) < capacity as u64 {
                    std::thread::yield_now();
                }
                let (mut count, mut last) = (0, [None; SENDERS as usize]);
                let handled = async {
                    loop {
                        match std::future::poll_fn(|cx| rx.poll_next(cx)).await {
                            Event::Message(message) => {
                                assert!(rx.held() <= capacity as u64);
                                let seen = &mut last[(message / each) as usize];
                                assert!(
                                    seen.is_none_or(|seen| seen < message),
                                    "each sender's order is kept"
                                );
                                *seen = Some(message);
                                count += 1;
                                // Why before: the watch may see more settled than there are, never fewer.
                                settled.store(count, Ordering::SeqCst);
                                rx.settle(1);
                            }
                            Event::Control(()) => {}
                            Event::Closed => break,
                        }
                    }
                };
                block_on(handled);
                assert_eq!(count, SENDERS * each, "nothing is lost");
            });
            let most = most.load(Ordering::SeqCst);
            assert!(most <= capacity as u64, "{most} inside a mailbox for {capacity}");
        });
    }
}
