//! Do sinks, batches, receipts and replies keep the rules of the line?

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use futures::{Sink, SinkExt, StreamExt};

use super::kit::{Pulse, Tasks, comes_back, drain, full, next, open, receive};
use crate::mailbox::{Event, NoReply, SendError, Stamp, TrySendError, mailbox, reply};

#[test]
fn a_reserved_place_is_kept_until_it_is_filled() {
    let (tx, mut rx) = full(1);
    let pulse = Pulse::new();
    let (mut sink, mut send) = (tx.sink(), tx.send(11));
    assert!(sink.poll_reserve(0, &mut pulse.cx()).is_pending());
    assert!(pulse.poll(&mut send).is_pending());
    drain(&mut rx);
    assert_eq!(pulse.wakes(), 1);
    assert!(pulse.poll(&mut send).is_pending(), "the sink came first");
    assert_eq!(sink.poll_reserve(0, &mut pulse.cx()), Poll::Ready(Ok(())));
    assert_eq!(sink.poll_reserve(0, &mut pulse.cx()), Poll::Ready(Ok(())), "and keeps one place only");
    assert_eq!(rx.held(), 1);
    assert!(pulse.poll(&mut send).is_pending());
    assert_eq!(sink.fill(10), Ok(()));
    assert_eq!(sink.fill(12), Err(SendError(12)), "one place, one message");
    assert_eq!(drain(&mut rx), [10]);
    assert!(pulse.poll(&mut send).is_ready());
}

#[test]
fn a_reserved_place_that_goes_with_a_word_is_held_until_it_is_settled() {
    let (tx, mut rx) = open(1);
    let pulse = Pulse::new();
    let mut sink = tx.sink();
    assert_eq!(sink.hand_over("word"), Err("word"), "no place was got");
    assert_eq!(sink.try_reserve(0), Ok(()));
    assert_eq!(sink.hand_over("word"), Ok(()));
    assert_eq!(sink.hand_over("again"), Err("again"), "one place, one word");
    drop(sink);
    assert_eq!((rx.poll_next(&mut pulse.cx()), rx.held()), (Poll::Ready(Event::Control("word")), 1));
    let mut send = tx.send(10);
    assert!(pulse.poll(&mut send).is_pending());
    rx.settle(1);
    assert!(pulse.poll(&mut send).is_ready());
    let mut sink = tx.sink();
    drain(&mut rx);
    assert_eq!(sink.try_reserve(0), Ok(()));
    rx.close();
    assert_eq!(sink.hand_over("late"), Err("late"));
    drop(sink);
    assert_eq!(rx.held(), 0);
}

#[test]
fn a_place_that_is_given_up_goes_to_the_next_in_line() {
    let ways: [fn(crate::mailbox::SendSink<u32, &'static str>); 3] = [
        drop,
        |mut sink| {
            sink.give_up();
            sink.give_up();
        },
        |mut sink| {
            let pulse = Pulse::new();
            assert_eq!(Pin::new(&mut sink).poll_close(&mut pulse.cx()), Poll::Ready(Ok(())));
        },
    ];
    for give_up in ways {
        let (tx, mut rx) = open(1);
        let pulse = Pulse::new();
        let mut sink = tx.sink();
        assert_eq!(sink.try_reserve(0), Ok(()));
        assert_eq!(sink.try_reserve(0), Ok(()), "it has one already");
        let mut send = tx.send(10);
        assert!(pulse.poll(&mut send).is_pending());
        give_up(sink);
        assert_eq!(pulse.wakes(), 1);
        assert!(pulse.poll(&mut send).is_ready());
        assert!(!tx.is_closed(), "closing a sink closes no mailbox");
        assert_eq!(drain(&mut rx), [10]);
        assert_eq!(rx.held(), 0);
    }
}

#[test]
fn a_sink_that_waits_and_gives_up_leaves_the_line() {
    let (tx, mut rx) = full(1);
    let (leaves, stays) = (Pulse::new(), Pulse::new());
    let (mut sink, mut send) = (tx.sink(), tx.send(10));
    assert!(sink.poll_reserve(0, &mut leaves.cx()).is_pending());
    assert!(stays.poll(&mut send).is_pending());
    sink.give_up();
    drain(&mut rx);
    assert_eq!((leaves.wakes(), stays.wakes()), (0, 1));
    assert!(stays.poll(&mut send).is_ready());
}

#[test]
fn a_waiting_sink_may_try_for_the_place_that_is_its_turn() {
    let (tx, mut rx) = full(2);
    let pulse = Pulse::new();
    let (mut first, mut second) = (tx.sink(), tx.sink());
    assert!(first.poll_reserve(0, &mut pulse.cx()).is_pending());
    assert!(second.poll_reserve(0, &mut pulse.cx()).is_pending());
    drain(&mut rx);
    assert_eq!(second.try_reserve(0), Err(TrySendError::Full(())));
    assert_eq!(first.try_reserve(0), Ok(()));
    assert_eq!(second.try_reserve(0), Ok(()));
    assert_eq!(rx.held(), 2);
    drop((first, second));
    assert_eq!(tx.try_send(1), Ok(()), "nobody is left in the line");
    assert_eq!(tx.try_send(2), Ok(()));
}

#[test]
fn a_reserved_place_is_of_no_use_once_the_mailbox_is_closed() {
    let (tx, rx) = open(1);
    let mut sink = tx.sink();
    assert_eq!(sink.try_reserve(0), Ok(()));
    tx.close();
    assert_eq!(sink.fill(10), Err(SendError(10)));
    assert_eq!(rx.held(), 1);
    drop(sink);
    assert_eq!(rx.held(), 0);
    let pulse = Pulse::new();
    assert_eq!(tx.sink().poll_reserve(0, &mut pulse.cx()), Poll::Ready(Err(SendError(()))));
    assert_eq!(Pin::new(&mut tx.sink()).poll_ready(&mut pulse.cx()), Poll::Ready(Err(SendError(None))));
    assert_eq!(Pin::new(&mut tx.sink()).start_send(11), Err(SendError(Some(11))));
}

#[test]
fn a_stream_is_forwarded_in_order_through_a_small_mailbox() {
    let (tx, rx) = open(2);
    let mut got = Vec::new();
    let mut tasks = Tasks::default();
    tasks.spawn(async move {
        let mut sink = tx.sink();
        sink.send_all(&mut futures::stream::iter(0..300).map(Ok)).await.unwrap();
        sink.close().await.unwrap();
        assert!(!tx.is_closed());
        futures::stream::iter(300..310).map(Ok).forward(tx.sink()).await.unwrap();
    });
    tasks.spawn(receive(rx, |message| got.push(message)));
    tasks.run();
    assert_eq!(got, (0..310).collect::<Vec<_>>());
}

#[test]
fn many_messages_enter_in_order_across_a_full_mailbox() {
    for capacity in [1, 3, 64, 500, 1000] {
        let (tx, rx) = open(capacity);
        let mut got = Vec::new();
        let mut tasks = Tasks::default();
        tasks.spawn(async move {
            let mut send_all = tx.send_all((0..1000).collect());
            assert_eq!(send_all.accepted(), 0);
            assert_eq!((&mut send_all).await.unwrap().len(), 1000);
        });
        tasks.spawn(receive(rx, |message| got.push(message)));
        tasks.run();
        assert_eq!(got, (0..1000).collect::<Vec<_>>());
    }
}

#[test]
fn many_messages_leave_a_place_for_each_one_who_waits() {
    let (tx, mut rx) = full(4);
    let (many_pulse, pulse) = (Pulse::new(), Pulse::new());
    let mut many = tx.send_all((10..20).collect());
    let (mut second, mut third) = (tx.send(50), tx.send(51));
    assert!(many_pulse.poll(&mut many).is_pending());
    assert!(pulse.poll(&mut second).is_pending());
    assert!(pulse.poll(&mut third).is_pending());
    assert_eq!(drain(&mut rx), [0, 1, 2, 3]);
    assert!(many_pulse.poll(&mut many).is_pending());
    assert_eq!(many.accepted(), 2, "four free, two others wait");
    assert!(pulse.poll(&mut second).is_ready());
    assert!(pulse.poll(&mut third).is_ready());
    assert_eq!(drain(&mut rx), [10, 11, 50, 51]);
    drop(many);
    assert_eq!(rx.held(), 0);
    assert!(drain(&mut rx).is_empty());
}

#[test]
fn a_dropped_send_all_keeps_what_was_accepted_and_a_closed_one_tells_both_parts() {
    let (tx, mut rx) = open(2);
    let (pulse, other) = (Pulse::new(), Pulse::new());
    let mut many = tx.send_all(vec![1, 2, 3, 4]);
    assert!(pulse.poll(&mut many).is_pending());
    let mut behind = tx.send(9);
    assert!(other.poll(&mut behind).is_pending());
    drop(many);
    assert_eq!(drain(&mut rx), [1, 2]);
    assert!(other.poll(&mut behind).is_ready());

    let mut many = tx.send_all(vec![5, 6, 7]);
    assert!(pulse.poll(&mut many).is_pending());
    tx.close();
    let Poll::Ready(Err(error)) = pulse.poll(&mut many) else { panic!("it is closed") };
    assert_eq!((error.accepted.len(), &*error.rest), (1, &[6, 7][..]));
    assert_eq!(error.to_string(), "the mailbox closed: 1 messages were accepted, 2 were not");
    assert_eq!(drain(&mut rx), [9, 5]);
}

#[test]
fn an_empty_send_all_is_ready_at_once() {
    let (tx, _rx) = full(1);
    let pulse = Pulse::new();
    assert_eq!(pulse.poll(&mut tx.send_all(vec![])).map(|sent| sent.unwrap().len()), Poll::Ready(0));
}

/// Writes into each message its place in the queue.
struct Number;

impl Stamp<(u64, bool)> for Number {
    type Receipt = u64;
    fn stamp(&mut self, message: &mut (u64, bool), sequence: u64, first: bool) -> u64 {
        *message = (sequence, first);
        sequence
    }
}

#[test]
fn receipts_are_dense_and_in_the_order_of_the_queue() {
    let (tx, mut rx) = mailbox::<_, (), _>(8, Number);
    let pulse = Pulse::new();
    let new = || (99, false);
    assert_eq!(tx.try_send(new()), Ok(0));
    assert_eq!(pulse.poll(&mut tx.send(new())), Poll::Ready(Ok(1)));
    assert_eq!(pulse.poll(&mut tx.send_all(vec![new(), new()])).map(Result::unwrap), Poll::Ready(vec![2, 3]));
    let mut sink = tx.sink();
    assert_eq!(sink.try_reserve(0), Ok(()));
    assert_eq!(tx.try_send(new()), Ok(4), "marked when accepted, not when reserved");
    assert_eq!(sink.fill(new()), Ok(5));
    drop(tx.send(new()));
    assert_eq!(drain(&mut rx), [(0, true), (1, false), (2, false), (3, false), (4, false), (5, false)]);
    assert_eq!(tx.try_send(new()), Ok(6));
    assert_eq!(drain(&mut rx), [(6, true)], "it found the queue empty");
    assert_eq!(tx.accepted(), 7);
}

#[test]
fn receipts_from_many_threads_have_the_order_of_the_queue() {
    comes_back(|| {
        let (tx, mut rx) = mailbox::<_, (), _>(8, Number);
        let sum = Arc::new(AtomicU64::new(0));
        std::thread::scope(|threads| {
            for _ in 0..4 {
                let (tx, sum) = (tx.clone(), sum.clone());
                threads.spawn(move || {
                    for _ in 0..500 {
                        let receipt = super::kit::block_on(tx.send((99, false))).unwrap();
                        sum.fetch_add(receipt, Ordering::Relaxed);
                    }
                });
            }
            drop(tx);
            let mut wanted = 0;
            let handled = async {
                while let Event::Message((number, _)) = std::future::poll_fn(|cx| rx.poll_next(cx)).await {
                    assert_eq!(number, wanted);
                    wanted += 1;
                    rx.settle(1);
                }
            };
            super::kit::block_on(handled);
            assert_eq!(wanted, 2000);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 1999 * 1000, "each sender got the mark of its message");
    });
}

#[test]
fn errors_say_what_happened_and_give_the_message_back() {
    let (tx, mut rx) = full(1);
    let error = tx.try_send(10).unwrap_err();
    assert!(error.is_full());
    assert_eq!(error.to_string(), "not accepted: the mailbox is full");
    assert_eq!(error.into_inner(), 10);
    rx.close();
    let error = tx.try_send(10).unwrap_err();
    assert!(!error.is_full());
    assert_eq!(error.to_string(), "not accepted: the mailbox is closed");
    let error = SendError(10);
    assert_eq!(error.to_string(), "not accepted: the mailbox is closed");
    assert_eq!(error.into_inner(), 10);
    assert!(next(&mut rx).is_some());
}

#[test]
fn a_reply_answers_its_question_or_says_that_it_will_not() {
    let pulse = Pulse::new();
    let (port, mut answer) = reply();
    assert!(pulse.poll(&mut answer).is_pending());
    assert!(!port.is_abandoned());
    assert_eq!(port.send(7), Ok(()));
    assert_eq!(pulse.wakes(), 1);
    assert_eq!(pulse.poll(&mut answer), Poll::Ready(Ok(7)));

    let (port, mut answer) = reply::<u32>();
    assert!(pulse.poll(&mut answer).is_pending());
    drop(port);
    assert_eq!(pulse.wakes(), 1);
    assert_eq!(pulse.poll(&mut answer), Poll::Ready(Err(NoReply)));

    let (port, answer) = reply();
    drop(answer);
    assert!(port.is_abandoned());
    assert_eq!(port.send(7), Err(7));
}
