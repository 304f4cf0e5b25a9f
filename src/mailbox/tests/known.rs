//! Is a message that an accepted one stands for answered for at once, wherever it waits, and never let in? (G1, G16)

use std::sync::{Arc, Mutex};
use std::task::Poll;

use super::kit::{Pulse, drain, next};
use crate::mailbox::{Event, Receiver, Sender, Stamp, mailbox};

/// Remembers every number it accepted; a receipt says whether it was new.
#[derive(Default)]
struct Once(Vec<u32>);

/// A number that tells when it is dropped.
struct Noted(u32, Arc<Mutex<Vec<u32>>>, Option<Sender<Noted, (), Once>>);

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(sender) = &self.2 {
            // Whoever drops this under the lock hangs here.
            assert!(sender.queued() < 99);
        }
        self.1.lock().unwrap().push(self.0);
        assert!(self.0 != 13 || std::thread::panicking(), "in a drop");
    }
}

impl Stamp<Noted> for Once {
    type Receipt = bool;
    fn stamp(&mut self, message: &mut Noted, _: u64, _: bool) -> bool {
        self.0.push(message.0);
        true
    }
    fn known(&mut self, message: &Noted) -> Option<bool> {
        self.0.contains(&message.0).then_some(false)
    }
}

struct Bench {
    tx: Sender<Noted, (), Once>,
    rx: Receiver<Noted, (), Once>,
    dropped: Arc<Mutex<Vec<u32>>>,
}

impl Bench {
    fn new(capacity: usize) -> Bench {
        let (tx, rx) = mailbox(capacity, Once::default());
        Bench { tx, rx, dropped: Arc::default() }
    }

    fn message(&self, number: u32) -> Noted {
        Noted(number, self.dropped.clone(), Some(self.tx.clone()))
    }

    fn dropped(&self) -> Vec<u32> {
        std::mem::take(&mut self.dropped.lock().unwrap())
    }
}

#[test]
fn what_is_known_is_answered_for_in_a_full_mailbox_too_and_dropped_outside_of_the_lock() {
    let bench = Bench::new(1);
    let pulse = Pulse::new();
    assert_eq!(bench.tx.try_send(bench.message(13)).ok(), Some(true));
    assert_eq!(bench.tx.try_send(bench.message(13)).ok(), Some(false), "and a drop that panics ends nothing");
    let mut send = bench.tx.send(bench.message(13));
    assert!(matches!(pulse.poll(&mut send), Poll::Ready(Ok(false))));
    assert_eq!(bench.dropped(), [13, 13]);
    assert!(pulse.poll(&mut send).is_pending(), "it is over");
    assert!(bench.tx.try_send(bench.message(2)).is_err(), "no place was made or lost");
    assert_eq!(bench.rx.held(), 1);
    std::mem::forget(bench.rx);
}

#[test]
fn of_two_that_wait_in_line_one_comes_in_and_the_other_makes_way_for_those_behind() {
    let mut bench = Bench::new(1);
    let [first, second, third] = [Pulse::new(), Pulse::new(), Pulse::new()];
    bench.tx.try_send(bench.message(0)).ok().unwrap();
    let mut a = bench.tx.send(bench.message(7));
    let mut b = bench.tx.send(bench.message(7));
    let mut c = bench.tx.send(bench.message(8));
    assert!(
        first.poll(&mut a).is_pending()
            && second.poll(&mut b).is_pending()
            && third.poll(&mut c).is_pending()
    );
    drop(next(&mut bench.rx));
    bench.rx.settle(1);
    assert!(matches!(first.poll(&mut a), Poll::Ready(Ok(true))));
    // It stands at the front, without room; nobody need wake it for what it is to learn.
    assert!(matches!(second.poll(&mut b), Poll::Ready(Ok(false))));
    assert!(third.poll(&mut c).is_pending());
    drop(next(&mut bench.rx));
    bench.rx.settle(1);
    assert!(third.wakes() > 0 && matches!(third.poll(&mut c), Poll::Ready(Ok(true))));
}

#[test]
fn one_that_gives_up_in_line_leaves_nothing_that_is_known() {
    let mut bench = Bench::new(1);
    let pulse = Pulse::new();
    bench.tx.try_send(bench.message(0)).ok().unwrap();
    let mut gone = bench.tx.send(bench.message(7));
    assert!(pulse.poll(&mut gone).is_pending());
    drop(gone);
    drop(next(&mut bench.rx));
    bench.rx.settle(1);
    assert_eq!(bench.tx.try_send(bench.message(7)).ok(), Some(true));
}

#[test]
fn of_many_at_once_each_has_its_own_answer() {
    let mut bench = Bench::new(3);
    let pulse = Pulse::new();
    let numbers = [1, 1, 2, 1, 2, 3, 3];
    let mut all = bench.tx.send_all(numbers.map(|number| bench.message(number)).into());
    let Poll::Ready(Ok(receipts)) = pulse.poll(&mut all) else { panic!("there is room for three") };
    assert_eq!(receipts, [true, false, true, false, false, true, false]);
    let taken: Vec<u32> = drain(&mut bench.rx).iter().map(|message| message.0).collect();
    assert_eq!(taken, [1, 2, 3]);
}

#[test]
fn a_sink_that_sent_what_is_known_keeps_no_place() {
    let mut bench = Bench::new(2);
    let mut sink = bench.tx.sink();
    bench.tx.try_send(bench.message(1)).ok().unwrap();
    assert!(sink.try_reserve(0).is_ok());
    assert_eq!(sink.fill(bench.message(1)).ok(), Some(false));
    assert_eq!((bench.rx.held(), bench.dropped()), (1, vec![1]));
    assert!(sink.fill(bench.message(2)).is_err());
    assert!(matches!(next(&mut bench.rx), Some(Event::Message(Noted(1, ..)))));
}
