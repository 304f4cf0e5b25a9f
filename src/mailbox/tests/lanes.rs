//! Does control come first, does nothing get lost between the lanes, and does no loop keep its executor to itself?

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::kit::{Pulse, Rx, Tasks, Tx, drain, full, next, open, receive};
use crate::mailbox::{BUDGET, Event, TrySendError};

#[test]
fn control_comes_first_also_in_the_middle_of_a_burst() {
    let (tx, mut rx) = full(4);
    tx.control("a").unwrap();
    tx.control("b").unwrap();
    assert_eq!(next(&mut rx), Some(Event::Control("a")));
    assert_eq!(next(&mut rx), Some(Event::Control("b")));
    assert_eq!(next(&mut rx), Some(Event::Message(0)));
    assert_eq!(next(&mut rx), Some(Event::Message(1)));
    tx.control("c").unwrap();
    assert_eq!(next(&mut rx), Some(Event::Control("c")));
    assert_eq!(next(&mut rx), Some(Event::Message(2)));
    assert_eq!(next(&mut rx), Some(Event::Message(3)));
    assert_eq!(next(&mut rx), None);
}

#[test]
fn control_takes_no_place_and_is_not_kept_out_by_a_full_queue() {
    let (tx, mut rx) = full(1);
    for _ in 0..100 {
        assert_eq!(tx.control("word"), Ok(()));
    }
    assert_eq!(rx.held(), 1);
    for _ in 0..100 {
        assert_eq!(next(&mut rx), Some(Event::Control("word")));
    }
    assert_eq!(next(&mut rx), Some(Event::Message(0)));
}

#[test]
fn a_receiver_that_waits_for_control_is_not_woken_by_messages() {
    let (tx, mut rx) = open(4);
    let pulse = Pulse::new();
    assert!(rx.poll_next(&mut pulse.cx()).is_pending());
    assert!(rx.poll_control(&mut pulse.cx()).is_pending());
    tx.try_send(1).unwrap();
    tx.try_send(2).unwrap();
    assert_eq!(pulse.wakes(), 0);
    assert!(rx.poll_control(&mut pulse.cx()).is_pending());
    tx.control("word").unwrap();
    assert_eq!(pulse.wakes(), 1);
    assert_eq!(rx.poll_control(&mut pulse.cx()), Poll::Ready("word"));
    assert_eq!(drain(&mut rx), [1, 2], "they are found when it asks for them");
}

#[test]
fn a_receiver_that_waits_for_messages_is_woken_by_the_first_of_either_lane() {
    let (tx, mut rx) = open(4);
    let pulse = Pulse::new();
    assert!(rx.poll_next(&mut pulse.cx()).is_pending());
    tx.try_send(1).unwrap();
    tx.try_send(2).unwrap();
    tx.control("word").unwrap();
    assert_eq!(pulse.wakes(), 1, "the others find it awake");
    assert_eq!(next(&mut rx), Some(Event::Control("word")));
    assert_eq!(drain(&mut rx), [1, 2]);
    assert!(rx.poll_next(&mut pulse.cx()).is_pending());
    tx.control("word").unwrap();
    assert_eq!(pulse.wakes(), 1);
}

#[test]
fn a_receiver_that_waits_for_control_lets_in_those_who_wait() {
    let (tx, mut rx) = full(1);
    let pulse = Pulse::new();
    let mut send = tx.send(10);
    assert!(matches!(next(&mut rx), Some(Event::Message(0))));
    assert!(pulse.poll(&mut send).is_pending());
    rx.settle(1);
    assert!(rx.poll_control(&mut Pulse::new().cx()).is_pending());
    assert_eq!(pulse.wakes(), 1);
    assert!(pulse.poll(&mut send).is_ready());
}

/// Runs `task` beside another one that is always ready. Returns the most that `since` reached between its turns.
fn most_between_turns<'a>(since: &'a Cell<u32>, others: impl IntoIterator<Item = BoxFuture<'a>>) -> u32 {
    let most = Cell::new(0);
    let mut tasks = Tasks::default();
    for task in others {
        tasks.spawn(task);
    }
    tasks.spawn(async {
        let mut turns = 0;
        poll_fn(|cx| {
            most.set(most.get().max(since.replace(0)));
            turns += 1;
            cx.waker().wake_by_ref();
            if turns < 40 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    });
    tasks.run();
    most.get()
}

type BoxFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn add(since: &Cell<u32>, count: u32) {
    since.set(since.get() + count);
}

#[test]
fn an_always_ready_receiver_lets_another_task_run_within_the_budget() {
    let (tx, rx) = full(1000);
    drop(tx);
    let since = Cell::new(0);
    assert_eq!(
        most_between_turns(&since, [Box::pin(receive(rx, |_| add(&since, 1))) as BoxFuture<'_>]),
        BUDGET
    );
}

#[test]
fn a_flood_of_control_words_lets_another_task_run_within_the_budget() {
    let flood = |waits_for: fn(&mut Rx, &mut Context<'_>) -> Poll<()>| {
        let (tx, mut rx) = open(1);
        for _ in 0..1000 {
            tx.control("word").unwrap();
        }
        let since = Cell::new(0);
        let reader = async {
            for _ in 0..1000 {
                poll_fn(|cx| waits_for(&mut rx, cx)).await;
                add(&since, 1);
            }
        };
        most_between_turns(&since, [Box::pin(reader) as BoxFuture<'_>])
    };
    assert_eq!(flood(|rx, cx| rx.poll_next(cx).map(drop)), BUDGET);
    assert_eq!(flood(|rx, cx| rx.poll_burst(cx, 9).map(drop)), BUDGET);
}

#[test]
fn waiting_for_control_hands_out_all_words_before_it_sleeps() {
    let (tx, mut rx) = full(200);
    let pulse = Pulse::new();
    for _ in 0..BUDGET {
        assert!(matches!(next(&mut rx), Some(Event::Message(_))));
    }
    for _ in 0..300 {
        tx.control("word").unwrap();
    }
    for _ in 0..300 {
        assert_eq!(rx.poll_control(&mut pulse.cx()), Poll::Ready("word"));
    }
    assert!(rx.poll_control(&mut pulse.cx()).is_pending());
    assert_eq!(pulse.wakes(), 0);
}

#[test]
fn a_receiver_of_bursts_lets_another_task_run_within_the_budget() {
    let (tx, mut rx) = full(1000);
    drop(tx);
    let since = Cell::new(0);
    let reader = async {
        while let Event::Message(burst) = poll_fn(|cx| rx.poll_burst(cx, 32)).await {
            add(&since, burst.len() as u32);
        }
    };
    assert_eq!(most_between_turns(&since, [Box::pin(reader) as BoxFuture<'_>]), BUDGET);
}

#[test]
fn an_always_ready_sender_lets_another_task_run_within_the_budget() {
    let sends = |send: fn(&Tx, u32) -> BoxFuture<'_>, each: u32| {
        let (tx, rx) = open(2000);
        let since = Cell::new(0);
        let sender = async {
            for _ in 0..1000 / each {
                send(&tx, each).await;
                add(&since, each);
            }
        };
        let most = most_between_turns(&since, [Box::pin(sender) as BoxFuture<'_>]);
        drop(rx);
        most
    };
    assert_eq!(sends(|tx, _| Box::pin(async { tx.send(1).await.unwrap() }), 1), BUDGET);
    let by_clones = sends(|tx, _| Box::pin(async { tx.clone().send(1).await.unwrap() }), 1);
    assert_eq!(by_clones, BUDGET);
    let three_at_a_time =
        sends(|tx, each| Box::pin(async move { drop(tx.send_all(vec![1; each as usize]).await) }), 3);
    assert!(three_at_a_time <= BUDGET + 2, "{three_at_a_time}, counted when all three are in");
    let by_reserving = sends(
        |tx, _| {
            Box::pin(async {
                let mut sink = tx.sink();
                poll_fn(|cx| sink.poll_reserve(0, cx)).await.unwrap();
                sink.fill(1).unwrap();
            })
        },
        1,
    );
    assert_eq!(by_reserving, BUDGET);
}

#[test]
fn one_long_send_all_lets_another_task_run_within_the_budget() {
    let (tx, mut rx) = open(2000);
    let (since, pulse) = (Cell::new(0), Pulse::new());
    let sender = async { drop(tx.send_all((0..1000).collect()).await) };
    let counter = async {
        // Why a second task: the first has no place to count at. It sees what came in since its last turn.
        let mut seen = 0;
        poll_fn(|cx| {
            let accepted = tx.accepted() as u32;
            add(&since, accepted - seen);
            seen = accepted;
            cx.waker().wake_by_ref();
            if seen < 1000 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    };
    let most = most_between_turns(&since, [Box::pin(sender) as BoxFuture<'_>, Box::pin(counter)]);
    assert_eq!(most, BUDGET);
    assert!(rx.poll_next(&mut pulse.cx()).is_ready());
}

#[test]
fn senders_that_lack_room_share_it_evenly() {
    let (tx, rx) = open(64);
    let counts: Vec<_> = (0..8).map(|_| Cell::new(0u32)).collect();
    let first = Cell::new(None);
    let mut tasks = Tasks::default();
    tasks.spawn(receive(rx, drop));
    for count in &counts {
        let (tx, counts, first) = (tx.clone(), &counts, &first);
        tasks.spawn(async move {
            for message in 0..4000 {
                tx.send(message).await.unwrap();
                add(count, 1);
            }
            if first.get().is_none() {
                first.set(counts.iter().map(Cell::get).min());
            }
        });
    }
    drop(tx);
    tasks.run();
    assert!(first.get() > Some(2000), "when one had sent 4000, another had sent {:?}", first.get());
}

#[test]
fn bursts_hold_what_there_is_up_to_a_limit() {
    let (tx, mut rx) = full(5);
    let pulse = Pulse::new();
    let mut burst = |most| rx.poll_burst(&mut pulse.cx(), most);
    assert_eq!(burst(0), Poll::Ready(Event::Message(vec![0])), "0 counts as 1");
    assert_eq!(burst(2), Poll::Ready(Event::Message(vec![1, 2])));
    tx.control("word").unwrap();
    assert_eq!(burst(9), Poll::Ready(Event::Control("word")));
    assert_eq!(burst(9), Poll::Ready(Event::Message(vec![3, 4])));
    assert_eq!(burst(9), Poll::Pending);
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)), "nothing is settled yet");
    rx.settle(5);
    tx.try_send(6).unwrap();
    assert_eq!(pulse.wakes(), 1);
    tx.close();
    assert_eq!(rx.poll_burst(&mut pulse.cx(), 9), Poll::Ready(Event::Message(vec![6])));
    assert_eq!(rx.poll_burst(&mut pulse.cx(), 9), Poll::Ready(Event::Closed));
}

#[test]
fn an_idle_mailbox_gives_back_the_memory_of_a_burst() {
    let (tx, mut rx) = open(10_000);
    for round in 0..3 {
        for message in 0..5000 {
            tx.try_send(message).unwrap();
            tx.control("word").unwrap();
        }
        next(&mut rx);
        assert!(rx.buffered() >= 5000);
        assert_eq!(drain(&mut rx).len(), 5000);
        assert!(rx.buffered() <= 4 * 64, "{} entries after burst {round}", rx.buffered());
    }
}

#[test]
fn a_line_that_has_gone_gives_back_its_memory() {
    let (tx, mut rx) = full(1);
    let pulse = Pulse::new();
    let mut sends: Vec<_> = (0..1000).map(|message| tx.send(message)).collect();
    for send in &mut sends {
        assert!(pulse.poll(send).is_pending());
    }
    assert!(rx.buffered() >= 1000);
    drop(sends);
    drain(&mut rx);
    assert!(rx.buffered() <= 4 * 64);
}
