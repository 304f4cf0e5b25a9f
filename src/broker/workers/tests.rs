//! Who is served, and with how much? A toy floor of consumers, each with its own pace, works off a ledger (G9).

use std::collections::VecDeque;

use super::super::lease::LeaseId;
use super::super::ledger::{Effect, Ledger, Report, Slice};
use super::super::order::BatchHandle;
use super::super::{GroupSettings, KeyHash, Retry};
use super::*;

const NS: Duration = Duration::from_nanos(1);
const US: Duration = Duration::from_micros(1);
const MS: Duration = Duration::from_millis(1);
/// From a report to the lease that it earns: the way to the group and back.
const HOP: Duration = Duration::from_micros(5);

/// In a group that is shared nobody asks.
impl BatchHandle for () {
    fn key(&self, _: u16) -> KeyHash {
        KeyHash::default()
    }
}

/// Consumers that work by the clock: each handles its leases in order, one message at a time.
struct Floor {
    ledger: Ledger<()>,
    now: Moment,
    hands: Vec<Hand>,
    next_offset: u64,
    largest: u16,
    turns: u64,
}

struct Hand {
    pace: Duration,
    /// A lease is a pulled delivery, settled by itself; a handler reports a lease at its end.
    leases: VecDeque<(LeaseId, u16, u16)>,
    /// When the first of its leases is through.
    through: Option<Moment>,
    handled: u64,
    /// Of those that are through at one instant, the one that waited longest is heard first.
    turn: u64,
}

impl Floor {
    fn of(paces: &[Duration], credit: Credit) -> Floor {
        let mut floor = Floor {
            ledger: Ledger::new(&GroupSettings { retry: Retry::none(), ..GroupSettings::default() }),
            now: Moment::ZERO,
            hands: Vec::new(),
            next_offset: 0,
            largest: 0,
            turns: 0,
        };
        paces.iter().for_each(|pace| floor.join(*pace, credit));
        floor
    }

    fn join(&mut self, pace: Duration, credit: Credit) {
        let id = ConsumerId(self.hands.len() as u32);
        self.ledger.on_consumer(id, credit);
        self.ledger.on_ready(id, true);
        self.hands.push(Hand { pace, leases: VecDeque::new(), through: None, handled: 0, turn: 0 });
    }

    fn publish(&mut self, messages: u64) {
        let mut left = messages;
        while left > 0 {
            let to = left.min(BATCH as u64) as u16;
            self.ledger.on_batch(Slice::new((), self.next_offset, 0, to));
            self.next_offset += u64::from(to);
            left -= u64::from(to);
        }
        self.dispatch();
    }

    fn dispatch(&mut self) {
        let mut effects = Vec::new();
        self.ledger.dispatch(self.now, &mut effects);
        for effect in effects {
            let Effect::Lease { consumer, id, slice, .. } = effect else { panic!("{effect:?}") };
            self.largest = self.largest.max(slice.len());
            let hand = &mut self.hands[consumer.0 as usize];
            hand.leases.push_back((id, slice.len(), slice.to));
            let first = slice.len();
            hand.through.get_or_insert(self.now + HOP + hand.pace * u32::from(first));
        }
    }

    /// Lets the consumer that is through first report. `false` if none has anything.
    fn turn(&mut self) -> bool {
        let next =
            self.hands.iter().enumerate().filter_map(|(at, hand)| Some((hand.through?, hand.turn, at)));
        let Some((through, _, at)) = next.min() else { return false };
        self.turns += 1;
        self.now = through;
        let hand = &mut self.hands[at];
        let (id, messages, upto) = hand.leases.pop_front().unwrap();
        hand.turn = self.turns;
        hand.handled += u64::from(messages);
        hand.through = hand.leases.front().map(|(_, len, _)| through + hand.pace * u32::from(*len));
        let report = Report { lease: id, upto, exceptions: Vec::new() };
        self.ledger.on_report(report, self.now, 0, &mut Vec::new());
        self.dispatch();
        true
    }

    fn run(&mut self) -> Vec<u64> {
        while self.turn() {}
        assert_eq!(self.ledger.counts().acked, self.next_offset, "all is handled");
        self.hands.iter().map(|hand| hand.handled).collect()
    }
}

#[track_caller]
fn shared_fairly(handled: &[u64], what: &str) {
    let mean = handled.iter().sum::<u64>() / handled.len() as u64;
    for share in handled {
        assert!(share * 2 >= mean && *share <= mean * 2, "{what}: {handled:?}");
    }
}

const CREDITS: [Credit; 6] = [
    Credit::Handler { prefetch: 512 },
    Credit::Handler { prefetch: 16 },
    Credit::Handler { prefetch: 1 },
    Credit::Pull { prefetch: 512 },
    Credit::Pull { prefetch: 16 },
    Credit::Pull { prefetch: 1 },
];
const PACES: [Duration; 5] = [Duration::ZERO, NS, US, Duration::from_micros(60), Duration::from_millis(7)];

#[test]
fn equals_get_equal_shares_of_a_large_backlog() {
    for credit in CREDITS {
        for pace in PACES {
            for count in [2, 7] {
                let mut floor = Floor::of(&vec![pace; count as usize], credit);
                floor.publish(1000 * count);
                shared_fairly(&floor.run(), &format!("{credit:?}, {pace:?}"));
            }
        }
    }
}

#[test]
fn equals_get_equal_shares_of_bursts_of_any_size() {
    for credit in CREDITS {
        for pace in [Duration::ZERO, US, 7 * MS] {
            for burst in [1, 2, 3, 4, 5, 10, 33, 100, 600] {
                let mut floor = Floor::of(&[pace; 3], credit);
                for _ in 0..3000 / burst {
                    floor.publish(burst);
                    while floor.turn() {}
                }
                shared_fairly(&floor.run(), &format!("{credit:?}, {pace:?}, bursts of {burst}"));
            }
        }
    }
}

/// A group may have 4,096 consumers; each gets its share, and finding the next one is no search.
#[test]
fn thousands_of_consumers_share_too() {
    let mut floor = Floor::of(&[], CREDITS[0]);
    (0..4096).for_each(|_| floor.join(US, Credit::Pull { prefetch: 16 }));
    floor.publish(4096 * 16 + 7);
    for id in 0..4096 {
        assert_eq!(floor.ledger.held(ConsumerId(id)), Some((16, 16)));
    }
    assert_eq!(floor.ledger.counts().backlog, 7);
}

#[test]
fn one_that_joins_late_gets_its_share_of_what_is_left() {
    for credit in CREDITS {
        let mut floor = Floor::of(&[60 * US; 2], credit);
        floor.publish(9000);
        while floor.ledger.counts().acked < 3000 && floor.turn() {}
        let before: Vec<u64> = floor.hands.iter().map(|hand| hand.handled).collect();
        floor.join(60 * US, credit);
        floor.dispatch();
        let after: Vec<u64> =
            floor.run().into_iter().zip(before.into_iter().chain([0])).map(|(a, b)| a - b).collect();
        shared_fairly(&after, &format!("{credit:?}"));
    }
}

#[test]
fn a_slow_consumer_gets_less_and_holds_up_only_what_it_holds() {
    for credit in CREDITS {
        let mut floor = Floor::of(&[10 * US, 10 * US, 5 * MS], credit);
        floor.publish(6000);
        let handled = floor.run();
        let most = match credit {
            Credit::Pull { prefetch } => u64::from(prefetch) + 10,
            Credit::Handler { .. } => 15,
        };
        assert!(handled[2] <= most, "{credit:?}: {handled:?}");
        shared_fairly(&handled[..2], &format!("{credit:?}"));
    }
}

#[test]
fn a_lease_is_one_message_at_first_and_then_as_many_as_the_pace_allows() {
    let cases =
        [(Duration::ZERO, 256), (NS, 256), (US, 250), (10 * US, 25), (60 * US, 4), (200 * US, 1), (MS, 1)];
    for (pace, size) in cases {
        let mut workers = Workers::default();
        workers.add(ConsumerId(0), CREDITS[0]);
        assert_eq!(workers.next(9999), None, "not ready yet");
        workers.set_ready(ConsumerId(0), true);
        assert_eq!(workers.next(9999), Some((ConsumerId(0), 1)), "its pace is not known");
        workers.on_lease(ConsumerId(0), 1);
        assert_eq!(workers.next(9999), None, "a second lease is for those whose pace is known");
        workers.on_report(ConsumerId(0), 1, true, Moment::ZERO, Moment::ZERO + pace);
        assert_eq!(workers.next(9999), Some((ConsumerId(0), size)), "{pace:?}");
        workers.on_lease(ConsumerId(0), size);
        assert_eq!(workers.next(9999).is_some(), pace < SLOW, "{pace:?}");
    }
}

#[test]
fn a_lease_never_takes_more_than_a_share_and_a_share_is_never_nothing() {
    let mut workers = four(Duration::from_micros(20));
    for (backlog, size) in [(0, 1), (1, 1), (4, 1), (5, 2), (40, 10), (100, 12), (u64::MAX, 12)] {
        assert_eq!(workers.next(backlog).map(|(_, size)| size), Some(size), "of {backlog}");
    }
    (1..4).for_each(|id| workers.set_ready(ConsumerId(id), false));
    assert_eq!(workers.next(11), Some((ConsumerId(0), 11)), "who can't work has no share");
}

#[test]
fn a_share_is_worth_its_way() {
    for (nanos, backlog, size) in
        [(0, 1, 1), (0, 200, 64), (0, 9999, 256), (1000, 40, 20), (1000, 200, 50), (20_001, 8, 2)]
    {
        let workers = four(Duration::from_nanos(nanos));
        assert_eq!(workers.next(backlog).map(|(_, size)| size), Some(size), "{nanos} ns, of {backlog}");
    }
}

/// Four consumers that take so long for each message.
fn four(pace: Duration) -> Workers {
    let mut workers = Workers::default();
    for id in 0..4 {
        workers.add(ConsumerId(id), CREDITS[0]);
        workers.set_ready(ConsumerId(id), true);
        workers.on_lease(ConsumerId(id), 1);
        workers.on_report(ConsumerId(id), 1, true, Moment::ZERO, Moment::ZERO + pace);
    }
    workers
}

#[test]
fn a_lease_leaves_room_for_a_second_one_within_the_prefetch() {
    for (prefetch, leases) in
        [(1, vec![1]), (2, vec![1, 1]), (3, vec![1, 1]), (7, vec![3, 3]), (512, vec![256, 256])]
    {
        let mut workers = Workers::default();
        let id = ConsumerId(0);
        workers.add(id, Credit::Handler { prefetch });
        workers.set_ready(id, true);
        workers.on_lease(id, 1);
        workers.on_report(id, 1, true, Moment::ZERO, Moment::ZERO);
        let mut found = Vec::new();
        while let Some((_, size)) = workers.next(9999) {
            found.push(size);
            workers.on_lease(id, size);
        }
        assert_eq!(found, leases, "prefetch {prefetch}");
    }
}

#[test]
fn one_hiccup_does_not_make_a_fast_consumer_slow_for_good() {
    let mut workers = Workers::default();
    let id = ConsumerId(0);
    workers.add(id, CREDITS[0]);
    workers.set_ready(id, true);
    let (mut now, mut leases) = (Moment::ZERO + Duration::from_secs(30), 0);
    workers.on_lease(id, 1);
    workers.on_report(id, 1, true, Moment::ZERO, now);
    while let Some((_, size @ ..200)) = workers.next(9999) {
        workers.on_lease(id, size);
        let since = now;
        now = now + US * u32::from(size);
        workers.on_report(id, size, true, since, now);
        leases += 1;
    }
    assert!(leases < 70, "{leases} leases after a hiccup of 30 s");
}

/// Of two leases in hand, the second one's time begins when the first is through.
#[test]
fn the_wait_behind_another_lease_is_not_counted_as_work() {
    let mut workers = Workers::default();
    let id = ConsumerId(0);
    workers.add(id, CREDITS[0]);
    workers.set_ready(id, true);
    let at = |us| Moment::ZERO + us * US;
    workers.on_lease(id, 10);
    workers.on_lease(id, 10);
    workers.on_report(id, 10, true, at(0), at(100));
    workers.on_report(id, 10, true, at(0), at(200));
    assert_eq!(workers.list[&id].pace, Some(10 * US));
}

#[test]
fn words_of_one_that_is_gone_are_past_change() {
    let mut workers = Workers::default();
    for id in 0..2 {
        workers.add(ConsumerId(id), CREDITS[0]);
        workers.set_ready(ConsumerId(id), true);
        workers.on_lease(ConsumerId(id), 1);
    }
    workers.remove(ConsumerId(0));
    workers.on_report(ConsumerId(0), 1, true, Moment::ZERO, Moment::ZERO);
    workers.on_give_back(ConsumerId(0), 1, true);
    workers.set_ready(ConsumerId(0), true);
    assert_eq!((workers.next(9), workers.counts(ConsumerId(0))), (None, None));
    workers.on_report(ConsumerId(1), 1, true, Moment::ZERO, Moment::ZERO);
    assert_eq!(workers.next(9), Some((ConsumerId(1), 9)), "the only one there has no sharers");
}
