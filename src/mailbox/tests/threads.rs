//! Does anyone sleep for ever, when senders and the receiver race on real threads? Above all where the receiver
//! reads without a fence whether anyone waits, which the schedule explorer cannot show: it runs one instruction at
//! a time, and every thread sees each store at once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::kit::{block_on, comes_back};
use crate::mailbox::{Event, mailbox};

/// Senders wait for nearly every message, the receiver sleeps after nearly every one.
#[test]
fn nobody_sleeps_for_ever_when_settling_races_with_joining_the_line() {
    const SENDERS: u64 = 3;
    const EACH: u64 = 10_000;
    for capacity in [1, 2, 5] {
        comes_back(move || {
            let (tx, mut rx) = mailbox::<u64, (), ()>(capacity, ());
            let mut count = 0u64;
            std::thread::scope(|threads| {
                for _ in 0..SENDERS {
                    let tx = tx.clone();
                    threads.spawn(move || {
                        for message in 0..EACH {
                            block_on(tx.send(message)).unwrap();
                        }
                    });
                }
                drop(tx);
                block_on(async {
                    while let Event::Message(_) = poll_fn(|cx| rx.poll_next(cx)).await {
                        count += 1;
                        rx.settle(1);
                        // A handler that waits for something for a while.
                        let mut polls = count % 3;
                        poll_fn(|cx| {
                            assert!(rx.poll_control(cx).is_pending());
                            polls = polls.saturating_sub(1);
                            cx.waker().wake_by_ref();
                            if polls == 0 { Poll::Ready(()) } else { Poll::Pending }
                        })
                        .await;
                    }
                });
            });
            assert_eq!(count, SENDERS * EACH);
            assert_eq!(rx.held(), 0);
        });
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// As `block_on`, but spins where that sleeps, so that two threads meet within nanoseconds.
fn spin_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut spins = 0u32;
        while !flag.0.swap(false, Ordering::Acquire) {
            spins += 1;
            // Why: with one core to run on, the other thread needs it.
            if spins.is_multiple_of(200) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

/// The sender finds the mailbox full and asks to be told just as the receiver settles and looks whether to tell.
/// The answer may be stale, so the receiver looks again before it sleeps. Without that second look, this hangs within
/// some 100,000 messages in a release build; a debug build is too slow to meet the instant often.
#[test]
fn a_stale_answer_to_whether_anyone_waits_does_no_harm() {
    const MESSAGES: u64 = 10_000;
    comes_back(|| {
        let (tx, mut rx) = mailbox::<u64, (), ()>(1, ());
        std::thread::scope(|threads| {
            threads.spawn(move || {
                for message in 0..MESSAGES {
                    spin_on(tx.send(message)).unwrap();
                }
            });
            let mut read = 0;
            while let Event::Message(message) = spin_on(poll_fn(|cx| rx.poll_next(cx))) {
                // Handlers of all lengths, so that the two meet at every distance.
                for _ in 0..message % 61 {
                    std::hint::black_box(message);
                }
                rx.settle(1);
                read += 1;
            }
            assert_eq!(read, MESSAGES);
        });
    });
}

/// Sends are dropped at all instants; what was not accepted is not there, and no place is lost.
#[test]
fn dropped_sends_race_with_the_receiver_and_lose_nothing() {
    comes_back(|| {
        let (tx, mut rx) = mailbox::<u64, (), ()>(2, ());
        let (mut accepted, mut seen) = (0, 0);
        std::thread::scope(|threads| {
            let senders: Vec<_> = (0..3u64)
                .map(|sender| {
                    let tx = tx.clone();
                    threads.spawn(move || {
                        let mut accepted = 0;
                        for message in 0..20_000 {
                            let mut polls: u64 = (message + sender) % 4;
                            let mut send = tx.send(message);
                            let sent = block_on(poll_fn(|cx| {
                                polls = polls.saturating_sub(1);
                                match std::pin::Pin::new(&mut send).poll(cx) {
                                    Poll::Pending if polls == 0 => Poll::Ready(send.take_back().is_none()),
                                    Poll::Pending => {
                                        cx.waker().wake_by_ref();
                                        Poll::Pending
                                    }
                                    Poll::Ready(sent) => Poll::Ready(sent.is_ok()),
                                }
                            }));
                            accepted += u64::from(sent);
                        }
                        accepted
                    })
                })
                .collect();
            drop(tx);
            block_on(async {
                while let Event::Message(_) = poll_fn(|cx| rx.poll_next(cx)).await {
                    seen += 1;
                    rx.settle(1);
                }
            });
            accepted = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        });
        assert_eq!(seen, accepted);
        assert_eq!(rx.held(), 0);
    });
}

/// Either an upgrade comes before the last sender goes, and then its message is read, or it fails.
#[test]
fn an_upgrade_races_with_the_last_sender() {
    comes_back(|| {
        for _ in 0..2000 {
            let (tx, mut rx) = mailbox::<u64, (), ()>(1, ());
            let (weak, go) = (tx.downgrade(), AtomicBool::new(false));
            let sent = std::thread::scope(|threads| {
                let upgrade = threads.spawn(|| {
                    while !go.load(Ordering::SeqCst) {
                        std::hint::spin_loop();
                    }
                    weak.upgrade().is_some_and(|strong| strong.try_send(1).is_ok())
                });
                go.store(true, Ordering::SeqCst);
                drop(tx);
                upgrade.join().unwrap()
            });
            let mut read = false;
            block_on(async {
                while let Event::Message(_) = poll_fn(|cx| rx.poll_next(cx)).await {
                    read = true;
                }
            });
            assert_eq!(read, sent);
        }
    });
}
