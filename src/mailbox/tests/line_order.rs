//! Do those who wait enter in turn, and is a sender that leaves as if it had never come? (G16, G17)

use std::task::Poll;

use super::kit::{Pulse, drain, full, next, open};
use crate::mailbox::{Event, TrySendError};

/// All orders of four.
fn orders() -> Vec<[usize; 4]> {
    let mut orders = Vec::new();
    for code in 0..256usize {
        let order = [code & 3, (code >> 2) & 3, (code >> 4) & 3, code >> 6];
        if (0..4).all(|wanted| order.contains(&wanted)) {
            orders.push(order);
        }
    }
    assert_eq!(orders.len(), 24);
    orders
}

#[test]
fn waiting_senders_enter_in_the_order_in_which_they_came() {
    let (tx, mut rx) = full(1);
    let pulses: Vec<_> = (0..10).map(|_| Pulse::new()).collect();
    let mut sends: Vec<_> = (10..20).map(|message| tx.send(message)).collect();
    for (send, pulse) in sends.iter_mut().zip(&pulses) {
        assert!(pulse.poll(send).is_pending());
    }
    for front in 0..10 {
        assert!(matches!(next(&mut rx), Some(Event::Message(_))));
        rx.settle(1);
        for (number, pulse) in pulses.iter().enumerate() {
            assert_eq!(pulse.wakes(), usize::from(number == front), "one place, and only the front is told");
        }
        assert_eq!(pulses[front].poll(&mut sends[front]), Poll::Ready(Ok(())));
    }
    assert_eq!(drain(&mut rx), [19]);
}

#[test]
fn the_order_holds_when_many_places_free_at_once_and_the_waiting_are_polled_in_any_order() {
    for order in orders() {
        let (tx, mut rx) = full(4);
        let pulses: Vec<_> = (0..4).map(|_| Pulse::new()).collect();
        let mut sends: Vec<_> = (10..14).map(|message| Some(tx.send(message))).collect();
        for (send, pulse) in sends.iter_mut().zip(&pulses) {
            assert!(pulse.poll(send.as_mut().unwrap()).is_pending());
        }
        assert_eq!(drain(&mut rx), [0, 1, 2, 3]);
        let mut rounds = 0;
        while sends.iter().any(Option::is_some) {
            rounds += 1;
            assert!(rounds <= 4, "each round lets one in at least");
            for number in order {
                if sends[number].as_mut().is_some_and(|send| pulses[number].poll(send).is_ready()) {
                    sends[number] = None;
                }
            }
        }
        assert_eq!(drain(&mut rx), [10, 11, 12, 13], "polled as {order:?}");
    }
}

#[test]
fn those_who_are_woken_are_enough_to_let_everyone_in() {
    for order in orders() {
        let (tx, mut rx) = full(4);
        let pulses: Vec<_> = (0..4).map(|_| Pulse::new()).collect();
        let mut sends: Vec<_> = (10..14).map(|message| tx.send(message)).collect();
        for (send, pulse) in sends.iter_mut().zip(&pulses) {
            assert!(pulse.poll(send).is_pending());
        }
        drain(&mut rx);
        let mut entered = 0;
        while let Some(woken) = order.into_iter().find(|number| pulses[*number].wakes() > 0) {
            assert_eq!(pulses[woken].poll(&mut sends[woken]), Poll::Ready(Ok(())), "woken means admitted");
            entered += 1;
        }
        assert_eq!(entered, 4);
    }
}

#[test]
fn a_newcomer_gets_no_place_that_one_who_waits_needs() {
    let (tx, mut rx) = full(3);
    let (waiting, newcomer) = (Pulse::new(), Pulse::new());
    let mut sends = [tx.send(10), tx.send(11)];
    for send in &mut sends {
        assert!(waiting.poll(send).is_pending());
    }
    for free in 1..=2 {
        assert!(matches!(next(&mut rx), Some(Event::Message(_))));
        rx.settle(1);
        assert_eq!(tx.try_send(99), Err(TrySendError::Full(99)), "{free} free, two wait");
        assert!(newcomer.poll(&mut tx.send(99)).is_pending());
        assert!(tx.sink().poll_reserve(0, &mut newcomer.cx()).is_pending());
        assert_eq!(tx.sink().try_reserve(0), Err(TrySendError::Full(())));
        assert!(newcomer.poll(&mut tx.send_all(vec![99])).is_pending());
    }
    next(&mut rx);
    rx.settle(1);
    assert_eq!(tx.try_send(99), Err(TrySendError::Full(99)), "who does not wait overtakes nobody");
    assert_eq!(tx.sink().try_reserve(0), Err(TrySendError::Full(())));
    assert_eq!(
        newcomer.poll(&mut tx.send(20)),
        Poll::Ready(Ok(())),
        "three free, two wait: one is left over"
    );
    assert!(newcomer.poll(&mut tx.send(99)).is_pending());
    for send in &mut sends {
        assert_eq!(waiting.poll(send), Poll::Ready(Ok(())));
    }
    assert_eq!(drain(&mut rx), [20, 10, 11]);
}

#[test]
fn a_newcomer_that_finds_no_room_joins_behind() {
    let (tx, mut rx) = full(2);
    let pulse = Pulse::new();
    let (mut first, mut second, mut third) = (tx.send(10), tx.send(11), tx.send(12));
    assert!(pulse.poll(&mut first).is_pending());
    assert!(pulse.poll(&mut second).is_pending());
    drain(&mut rx);
    assert!(pulse.poll(&mut third).is_pending(), "two free, two wait");
    assert!(pulse.poll(&mut second).is_pending(), "it is not its turn");
    assert!(pulse.poll(&mut first).is_ready());
    assert!(pulse.poll(&mut third).is_pending());
    assert!(pulse.poll(&mut second).is_ready());
    assert_eq!(drain(&mut rx), [10, 11]);
    assert!(pulse.poll(&mut third).is_ready());
}

#[test]
fn a_waiting_sender_is_woken_once_for_its_place() {
    let (tx, mut rx) = full(8);
    let pulse = Pulse::new();
    let mut send = tx.send(10);
    assert!(pulse.poll(&mut send).is_pending());
    assert_eq!(pulse.wakes(), 0, "joining the line is no reason to be polled again");
    assert_eq!(drain(&mut rx).len(), 8);
    assert_eq!(pulse.wakes(), 1);
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    let (tx, mut rx) = full(1);
    let (old, new) = (Pulse::new(), Pulse::new());
    let mut send = tx.send(10);
    assert!(old.poll(&mut send).is_pending());
    assert!(new.poll(&mut send).is_pending());
    drain(&mut rx);
    assert_eq!((old.wakes(), new.wakes()), (0, 1));
}

/// One sender is in the mailbox, `ahead` others wait before the victim and two behind it. The script goes on for
/// `steps` steps, then the victim is dropped, and everyone else must still get in, in order.
fn drop_after(steps: usize, ahead: usize) {
    let (tx, mut rx) = full(1);
    let victim_at = ahead;
    let pulses: Vec<_> = (0..ahead + 3).map(|_| Pulse::new()).collect();
    let mut sends: Vec<_> = (0..ahead + 3).map(|number| Some(tx.send(10 + number as u32))).collect();
    let (mut got, mut left, mut victim_is_in) = (Vec::new(), steps, false);
    let mut round = 0;
    while round < 100 {
        round += 1;
        for number in 0..sends.len() {
            if left == 0 {
                sends[victim_at] = None;
            } else {
                left -= 1;
            }
            // From the second round on, only the woken are polled, as an executor does.
            let ready = round == 1 || pulses[number].wakes() > 0;
            if ready && sends[number].as_mut().is_some_and(|send| pulses[number].poll(send).is_ready()) {
                sends[number] = None;
                victim_is_in |= number == victim_at;
            }
            assert!(rx.held() <= 1);
        }
        got.extend(drain(&mut rx));
    }
    let mut wanted: Vec<u32> = (0..ahead as u32 + 3).map(|number| 10 + number).collect();
    if !victim_is_in {
        wanted.remove(victim_at);
    }
    wanted.insert(0, 0);
    assert_eq!(got, wanted, "dropped after {steps} steps, {ahead} ahead");
    assert_eq!(rx.held(), 0, "no place is lost");
}

#[test]
fn a_send_dropped_at_any_poll_passes_its_place_and_its_wake_up_on() {
    for ahead in 0..3 {
        for steps in 0..60 {
            drop_after(steps, ahead);
        }
    }
}

#[test]
fn a_front_that_was_told_and_leaves_passes_its_place_on() {
    let (tx, mut rx) = full(1);
    let (first, second) = (Pulse::new(), Pulse::new());
    let (mut leaves, mut stays) = (tx.send(10), tx.send(11));
    assert!(first.poll(&mut leaves).is_pending());
    assert!(second.poll(&mut stays).is_pending());
    drain(&mut rx);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(leaves);
    assert_eq!(second.wakes(), 1);
    assert_eq!(second.poll(&mut stays), Poll::Ready(Ok(())));
    assert_eq!(drain(&mut rx), [11]);
}

#[test]
fn when_all_who_wait_leave_newcomers_enter_at_once() {
    let (tx, mut rx) = full(2);
    let pulse = Pulse::new();
    let mut sends: Vec<_> = (10..15).map(|message| tx.send(message)).collect();
    for send in &mut sends {
        assert!(pulse.poll(send).is_pending());
    }
    drain(&mut rx);
    drop(sends);
    assert_eq!(tx.try_send(20), Ok(()));
    assert_eq!(tx.try_send(21), Ok(()));
    assert_eq!(drain(&mut rx), [20, 21]);
}

#[test]
fn a_message_taken_back_was_not_accepted_and_its_send_waits_for_nothing() {
    let (tx, mut rx) = full(1);
    let (pulse, other) = (Pulse::new(), Pulse::new());
    let mut send = tx.send(10);
    assert!(pulse.poll(&mut send).is_pending());
    assert_eq!(send.take_back(), Some(10));
    assert_eq!(send.take_back(), None);
    assert!(pulse.poll(&mut send).is_pending(), "there is nothing to send");
    let mut next_one = tx.send(11);
    assert!(other.poll(&mut next_one).is_pending());
    drain(&mut rx);
    assert_eq!(other.poll(&mut next_one), Poll::Ready(Ok(())), "it took no place in the line");
}

#[test]
fn a_send_polled_after_its_end_takes_no_place() {
    let (tx, mut rx) = open(1);
    let pulse = Pulse::new();
    let mut send = tx.send(10);
    assert_eq!(pulse.poll(&mut send), Poll::Ready(Ok(())));
    assert_eq!(send.take_back(), None, "it was accepted");
    assert!(pulse.poll(&mut send).is_pending(), "with no room");
    drain(&mut rx);
    assert!(pulse.poll(&mut send).is_pending(), "with room");
    assert_eq!(rx.held(), 0);
    assert_eq!(tx.try_send(11), Ok(()), "nobody is in the line");
}
