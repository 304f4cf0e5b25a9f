//! Do places and weights stand on one line, so that no light message overtakes a heavy one that waits? (G2, G16, G17)

use std::task::Poll;

use super::kit::{Pulse, next};
use crate::mailbox::{Event, Receiver, Sender, Stamp, TrySendError, weighed_mailbox};

/// A message is its weight.
struct Scales;

impl Stamp<u64> for Scales {
    type Receipt = ();
    fn stamp(&mut self, _: &mut u64, _: u64, _: bool) {}
    fn weight(message: &u64) -> u64 {
        *message
    }
}

fn open(capacity: usize, limit: u64) -> (Sender<u64, (), Scales>, Receiver<u64, (), Scales>) {
    weighed_mailbox(capacity, limit, Scales)
}

fn settle_one(rx: &mut Receiver<u64, (), Scales>) -> u64 {
    let Some(Event::Message(message)) = next(rx) else { panic!("there is one") };
    rx.settle_weighed(1, message);
    message
}

#[test]
fn a_light_message_waits_behind_a_heavy_one_also_if_it_would_fit_or_weighs_nothing() {
    let (tx, mut rx) = open(9, 10);
    let [heavy, light] = [Pulse::new(), Pulse::new()];
    tx.try_send(6).unwrap();
    tx.try_send(2).unwrap();
    let mut waits = tx.send(8);
    assert!(heavy.poll(&mut waits).is_pending());
    for weight in [1, 0] {
        assert_eq!(tx.try_send(weight), Err(TrySendError::Full(weight)));
        assert!(light.poll(&mut tx.send(weight)).is_pending());
        assert!(tx.sink().poll_reserve(weight, &mut light.cx()).is_pending());
        assert_eq!(tx.sink().try_reserve(weight), Err(TrySendError::Full(())));
        assert!(light.poll(&mut tx.send_all(vec![weight])).is_pending());
    }
    assert_eq!(settle_one(&mut rx), 6);
    assert_eq!(heavy.wakes(), 1);
    assert_eq!(heavy.poll(&mut waits), Poll::Ready(Ok(())));
    assert_eq!((rx.load(), tx.try_send(0), tx.try_send(1)), (10, Ok(()), Err(TrySendError::Full(1))));
}

#[test]
fn whoever_is_in_front_is_told_when_both_its_place_and_its_weight_are_there() {
    let (tx, mut rx) = open(2, 10);
    let pulse = Pulse::new();
    tx.try_send(1).unwrap();
    tx.try_send(9).unwrap();
    let mut waits = tx.send(5);
    assert!(pulse.poll(&mut waits).is_pending());
    settle_one(&mut rx);
    assert_eq!(pulse.wakes(), 0, "a place alone is of no use");
    settle_one(&mut rx);
    assert_eq!(pulse.wakes(), 1);
    assert_eq!(pulse.poll(&mut waits), Poll::Ready(Ok(())));
}

#[test]
fn a_heavy_one_that_gives_up_lets_the_light_ones_in() {
    let (tx, mut rx) = open(9, 10);
    let [heavy, light] = [Pulse::new(), Pulse::new()];
    tx.try_send(5).unwrap();
    let mut gives_up = tx.send(8);
    assert!(heavy.poll(&mut gives_up).is_pending());
    let mut waits = tx.send(4);
    assert!(light.poll(&mut waits).is_pending());
    drop(gives_up);
    assert_eq!(light.wakes(), 1);
    assert_eq!(light.poll(&mut waits), Poll::Ready(Ok(())));
    assert_eq!((settle_one(&mut rx), settle_one(&mut rx), rx.load()), (5, 4, 0));
}

#[test]
fn a_place_that_is_given_up_gives_its_weight_back() {
    let (tx, mut rx) = open(9, 10);
    let pulse = Pulse::new();
    let mut sink = tx.sink();
    assert!(sink.poll_reserve(7, &mut pulse.cx()).is_ready());
    let mut waits = tx.send(4);
    assert!(pulse.poll(&mut waits).is_pending());
    assert_eq!(rx.load(), 7);
    sink.give_up();
    assert_eq!(pulse.poll(&mut waits), Poll::Ready(Ok(())));
    assert!(sink.poll_reserve(6, &mut pulse.cx()).is_ready());
    sink.fill(6).unwrap();
    assert_eq!((rx.load(), rx.waiting_load()), (10, 10));
    assert_eq!((rx.take_rest(), rx.load(), rx.held()), (vec![4, 6], 0, 0));
}

#[test]
fn as_many_at_once_come_in_as_weigh_no_more_than_there_is_room_for() {
    let (tx, mut rx) = open(9, 10);
    let pulse = Pulse::new();
    let mut all = tx.send_all(vec![4, 5, 3, 1, 2]);
    assert!(pulse.poll(&mut all).is_pending());
    assert_eq!((all.accepted(), rx.load()), (2, 9));
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)), "the third waits");
    settle_one(&mut rx);
    assert!(pulse.poll(&mut all).is_pending());
    assert_eq!((all.accepted(), rx.load()), (4, 9));
    settle_one(&mut rx);
    assert!(pulse.poll(&mut all).is_ready());
    assert_eq!([(); 3].map(|()| settle_one(&mut rx)), [3, 1, 2]);
}

#[test]
fn a_reader_that_makes_room_knows_what_the_first_in_line_lack_and_hears_when_the_next_one_lacks_some() {
    let (tx, mut rx) = open(3, 10);
    let reader = Pulse::new();
    tx.try_send(4).unwrap();
    tx.try_send(6).unwrap();
    let [first, second] = [next(&mut rx), next(&mut rx)];
    assert!(first.is_some() && second.is_some() && rx.poll_next(&mut reader.cx()).is_pending());
    let pulses = [Pulse::new(), Pulse::new(), Pulse::new()];
    let mut sends: Vec<_> = [3, 5, 1].map(|weight| tx.send(weight)).into();
    sends.iter_mut().zip(&pulses).for_each(|(send, pulse)| assert!(pulse.poll(send).is_pending()));
    assert_eq!(rx.lacking(), (2, 9));
    let within = [(0, 9), (0, 2), (1, 3), (1, 8), (9, 8), (2, 9)].map(|more| rx.lacking_within(more));
    assert_eq!(within, [(0, 3), (0, 0), (0, 3), (1, 8), (1, 8), (2, 9)]);
    assert!(rx.is_stuck() && reader.wakes() == 0);
    // Room for the first one alone.
    rx.settle_weighed(1, 4);
    assert!(!rx.is_stuck() && reader.wakes() == 0);
    drop(sends.remove(0));
    assert!(rx.is_stuck() && reader.wakes() == 1, "it left, and the next one has no room");
    assert!(rx.poll_next(&mut reader.cx()).is_pending());
    rx.settle_weighed(1, 6);
    assert_eq!(rx.lacking(), (0, 0));
    drop(sends);
    assert_eq!(reader.wakes(), 0, "nobody lacked anything");
}
