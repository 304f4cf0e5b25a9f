//! Does a group by key keep each key's order, hand out all that it may, and forget what is done? (G10)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::base::Moment;
use crate::broker::bits::Bits;
use crate::broker::lease::LeaseId;
use crate::broker::ledger::{Effect, Ledger, Report, Slice};
use crate::broker::order::{BatchHandle, Order};
use crate::broker::outcome::Verdict;
use crate::broker::workers::{ConsumerId, Credit};
use crate::broker::{DeadReason, GroupSettings, KeyHash, Retry};

/// A batch that knows its messages' keys.
#[derive(Clone, Debug, PartialEq)]
struct Keys(Arc<Vec<u64>>);

impl BatchHandle for Keys {
    fn key(&self, index: u16) -> KeyHash {
        KeyHash::from_number(self.0[usize::from(index)])
    }
}

/// A lease at a consumer that starts its messages one by one, as the consumers' tasks do.
struct Held {
    consumer: ConsumerId,
    batch: Keys,
    base: u64,
    left: Bits,
    at: u16,
}

struct Model {
    ledger: Ledger<Keys>,
    order: Order,
    now: Moment,
    next: u64,
    held: BTreeMap<LeaseId, Held>,
    keys: BTreeMap<u64, u64>,
    /// By key, what began and is not done with.
    at_work: BTreeMap<u64, u64>,
    /// By key, the latest that began for the first time.
    last: BTreeMap<u64, u64>,
    done: BTreeSet<u64>,
}

const CONSUMERS: u32 = 3;

impl Model {
    fn new(order: Order, max_parked: Option<u32>, credit: Credit) -> Model {
        let retry = Retry::fixed(Duration::from_millis(5)).max_attempts(3);
        let settings =
            GroupSettings { order, retry, max_parked_per_key: max_parked, ..GroupSettings::default() };
        let mut ledger = Ledger::new(&settings);
        for id in (0..CONSUMERS).map(ConsumerId) {
            ledger.on_consumer(id, credit);
            ledger.on_ready(id, true);
        }
        Model {
            ledger,
            order,
            now: Moment::ZERO,
            next: 0,
            held: BTreeMap::new(),
            keys: BTreeMap::new(),
            at_work: BTreeMap::new(),
            last: BTreeMap::new(),
            done: BTreeSet::new(),
        }
    }

    fn batch(&mut self, keys: Vec<u64>) {
        let (base, len) = (self.next, keys.len() as u16);
        let lane = |key: &u64| if self.order == Order::Exclusive { 0 } else { *key };
        self.keys.extend((base..).zip(keys.iter().map(lane)));
        self.next += u64::from(len);
        self.ledger.on_batch(Slice::new(Keys(Arc::new(keys)), base, 0, len));
        self.carry_out(Vec::new());
    }

    /// The consumer starts the next message of a lease and is through with it, as `says` says.
    fn work(&mut self, which: usize, says: u8) {
        let Some(id) = self.pick(which) else { return };
        let held = self.held.get_mut(&id).unwrap();
        let Some(index) = held.left.first(held.at, 0) else { panic!("a lease that is over is kept") };
        let (offset, base) = (held.base + u64::from(index), held.base);
        let key = self.keys[&offset];
        let other = self.at_work.insert(key, offset);
        assert!(other.is_none_or(|other| other == offset), "{offset} began beside {other:?} of its key");
        if other.is_none() {
            let last = self.last.insert(key, offset);
            assert!(last.is_none_or(|last| last < offset), "{offset} began after {last:?} of its key");
        }
        let verdict = match says {
            0 => Verdict::failed("no"),
            1 => Verdict::Release,
            2 => Verdict::Dead { reason: "hopeless".into() },
            3 => Verdict::Drop,
            _ => Verdict::Ack,
        };
        held.at = index + 1;
        if verdict.comes_again() {
            let behind = self.order.behind(&held.batch, index, held.left);
            held.left = held.left.without(behind);
        } else {
            self.at_work.remove(&key);
        }
        let exceptions = if verdict == Verdict::Ack { Vec::new() } else { vec![(index, verdict)] };
        let over = held.left.first(held.at, 0).is_none();
        let mut effects = Vec::new();
        let report = Report { lease: id, upto: index + 1, exceptions };
        assert!(self.ledger.on_report(report, self.now, 0, &mut effects));
        if over {
            self.held.remove(&id);
        }
        for effect in &effects {
            match effect {
                Effect::Settled { which, base: of } => {
                    assert_eq!(*of, base);
                    which.iter().for_each(|at| assert!(self.done.insert(of + u64::from(at))));
                }
                Effect::Dead { slice, reason, .. } => {
                    // It failed too often, and the consumer does not know that.
                    if *reason == DeadReason::TooManyAttempts {
                        assert_eq!(self.at_work.remove(&self.keys[&slice.first()]), Some(slice.first()));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        self.carry_out(effects);
    }

    fn give_back(&mut self, which: usize) {
        if let Some(id) = self.pick(which) {
            self.held.remove(&id);
            assert!(self.ledger.on_give_back(id));
            self.carry_out(Vec::new());
        }
    }

    /// The group takes back all that is not started.
    fn take_back(&mut self, which: usize) {
        if let Some(id) = self.pick(which) {
            let at = self.held.remove(&id).unwrap().at;
            assert!(self.ledger.on_taken_back(id, at));
            self.carry_out(Vec::new());
        }
    }

    fn later(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        let mut effects = Vec::new();
        self.ledger.on_alarm(self.now, &mut effects);
        self.carry_out(effects);
    }

    fn pick(&self, which: usize) -> Option<LeaseId> {
        (!self.held.is_empty()).then(|| *self.held.keys().nth(which % self.held.len()).unwrap())
    }

    fn carry_out(&mut self, mut effects: Vec<Effect<Keys>>) {
        self.ledger.give_up_surplus(&mut effects);
        self.ledger.dispatch(self.now, &mut effects);
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Noted { .. } => panic!("nothing is to be remembered"),
                Effect::Lease { consumer, id, slice, .. } => {
                    let (base, left, at) = (slice.base, slice.bits(), slice.from);
                    let keys: BTreeSet<u64> =
                        left.iter().map(|at| self.keys[&(base + u64::from(at))]).collect();
                    for held in self.held.values() {
                        for at in held.left.without(Bits::range(0, held.at)).iter() {
                            let key = self.keys[&(held.base + u64::from(at))];
                            assert!(!keys.contains(&key), "key {key} is at two consumers");
                        }
                        assert!(self.order != Order::Exclusive || held.consumer == consumer);
                    }
                    self.held.insert(id, Held { consumer, batch: slice.batch, base, left, at });
                }
                Effect::Dead { slice, past, .. } => {
                    assert_eq!(slice.len(), 1);
                    self.ledger.on_dead_lettered(&slice, &past, &mut effects);
                }
                Effect::Settled { base, which } => {
                    self.done.extend(which.iter().map(|at| base + u64::from(at)))
                }
                Effect::Removed { .. } | Effect::RemovedAgain { .. } => panic!("there is no limit"),
                Effect::SettledAgain { .. } => panic!("nothing was redriven"),
            }
        }
        let counts = self.ledger.counts();
        let present = counts.backlog + counts.ready + counts.in_flight + counts.delayed + counts.parked;
        assert_eq!(counts.entered, counts.acked + counts.dropped + counts.dead + present, "{counts:?}");
        let counted = self.ledger.counted();
        assert_eq!((counted.backlog, counted.in_flight), (counts.backlog + counts.ready, counts.in_flight));
        // Who has nothing has nothing to get: each key with messages is at work or delayed.
        let idle = (0..CONSUMERS).any(|id| {
            self.ledger.worker(ConsumerId(id)).is_some_and(|worker| worker.ready && worker.messages == 0)
        });
        assert!(!idle || self.ledger.queue.available() == 0 || self.order == Order::Exclusive);
    }

    fn finish(mut self) {
        while self.done.len() < self.keys.len() {
            self.later(10);
            while !self.held.is_empty() {
                self.work(0, 9);
            }
        }
        assert_eq!(self.ledger.keys(), (0, 0), "no key is kept");
        assert_eq!(self.ledger.queue.available(), 0);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<u64>),
    Work(usize, u8),
    GiveBack(usize),
    TakeBack(usize),
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(0..6_u64, 1..30).prop_map(Step::Batch),
        14 => (any::<usize>(), 0..10_u8).prop_map(|(which, says)| Step::Work(which, says)),
        1 => any::<usize>().prop_map(Step::GiveBack),
        1 => any::<usize>().prop_map(Step::TakeBack),
        2 => (0..9_u64).prop_map(Step::Later),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn messages_of_a_key_begin_one_at_a_time_and_in_order_under_any_sequence_of_events(
        order in prop_oneof![3 => Just(Order::Keyed), 1 => Just(Order::Exclusive)],
        max_parked in prop::option::of(1..4_u32),
        pull in any::<bool>(),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let credit = if pull { Credit::Pull { prefetch: 2 } } else { Credit::Handler { prefetch: 64 } };
        let mut model = Model::new(order, max_parked.filter(|_| order == Order::Keyed), credit);
        for step in steps {
            match step {
                Step::Batch(keys) => model.batch(keys),
                Step::Work(which, says) => model.work(which, says),
                Step::GiveBack(which) => model.give_back(which),
                Step::TakeBack(which) => model.take_back(which),
                Step::Later(ms) => model.later(ms),
            }
        }
        model.finish();
    }
}

/// One consumer that has shown that it is quick, so that its leases are as large as can be.
fn quick(order: Order) -> Model {
    let mut model = Model::new(order, None, Credit::Handler { prefetch: 512 });
    (1..CONSUMERS).for_each(|id| model.ledger.on_ready(ConsumerId(id), false));
    model.batch(vec![77]);
    model.work(0, 9);
    model
}

#[test]
fn a_lease_carries_a_run_of_a_key_and_several_keys() {
    let mut model = quick(Order::Keyed);
    model.batch(vec![1, 2, 1, 3, 1]);
    let leases: Vec<_> = model.held.values().map(|held| held.left.iter().collect::<Vec<_>>()).collect();
    assert_eq!(leases, [[0, 1, 2, 3, 4]]);
}

#[test]
fn keys_are_shared_by_the_consumers_that_are_ready() {
    let mut model = quick(Order::Keyed);
    model.ledger.on_ready(ConsumerId(0), false);
    model.batch(vec![1, 2, 1, 3, 1, 4]);
    (0..2).for_each(|id| model.ledger.on_ready(ConsumerId(id), true));
    model.carry_out(Vec::new());
    let of = |id| model.held.values().filter(|held| held.consumer == ConsumerId(id)).count();
    assert_eq!((of(0), of(1)), (2, 1), "the first one, which is quick, does not get them all");
}

#[test]
fn a_failing_key_parks_alone() {
    let mut model = quick(Order::Keyed);
    model.batch(vec![1, 2, 1, 2, 1]);
    model.work(0, 0);
    while !model.held.is_empty() {
        model.work(0, 9);
    }
    assert_eq!(model.done.iter().copied().collect::<Vec<_>>(), [0, 2, 4], "the other key went on");
    assert_eq!(model.ledger.keys(), (1, 1));
    model.later(5);
    assert_eq!(model.ledger.counts().in_flight, 1, "what failed comes alone");
    model.work(0, 9);
    assert_eq!(model.ledger.keys(), (1, 0));
    model.finish();
}

#[test]
fn too_many_behind_a_message_that_failed_are_given_up_the_youngest_first() {
    let mut model = Model::new(Order::Keyed, Some(1), Credit::Handler { prefetch: 512 });
    model.batch(vec![1, 1, 1, 2]);
    model.work(0, 0);
    assert_eq!(model.ledger.counts().dead, 1);
    assert!(model.done.contains(&2) && !model.done.contains(&1));
    model.batch(vec![1, 2]);
    assert!(model.done.contains(&4), "and what comes then");
    model.later(5);
    while !model.held.is_empty() {
        model.work(0, 9);
    }
    model.batch(vec![1, 1, 1, 1]);
    assert_eq!(model.ledger.counts().dead, 2, "a key that recovered is as good as any");
    model.finish();
}

/// Found by the simulator. What was redriven began between two attempts of another, if it was the older one.
#[test]
fn what_was_redriven_does_not_begin_before_one_that_began_is_done_with() {
    for says in [0, 1] {
        let mut model = quick(Order::Keyed);
        model.batch(vec![1, 1, 1]);
        model.work(0, 2);
        assert_eq!(model.ledger.counts().dead, 1);
        // The first one is dead; the second one fails, or is released.
        model.work(0, says);
        let batch = Keys(Arc::new(vec![1, 1, 1]));
        model.ledger.on_ready(ConsumerId(0), false);
        assert!(says == 0 || model.ledger.on_give_back(model.pick(0).unwrap()));
        model.ledger.on_redriven(Slice::new(batch, 1, 0, 1), 1);
        let mut effects = Vec::new();
        model.ledger.on_alarm(Moment::ZERO + Duration::from_secs(1), &mut effects);
        model.ledger.on_ready(ConsumerId(0), true);
        model.ledger.dispatch(Moment::ZERO, &mut effects);
        let Some(Effect::Lease { slice, past, .. }) = effects.pop() else { panic!("{effects:?}") };
        assert_eq!((slice.first(), past.attempts, past.redrives), (2, 1, 0));
    }
}

/// Found by the model of all limits together. A consumer that panics tells of it at once; if its next handler then takes
/// long without giving way, the group may take the rest back before it hears more.
#[test]
fn of_a_lease_whose_rest_is_taken_back_nothing_is_acked_that_was_withdrawn_from_it() {
    let mut model = quick(Order::Keyed);
    model.batch(vec![1, 2, 1, 3, 3]);
    let lease = *model.held.keys().next().unwrap();
    model.work(0, 0);
    model.work(0, 0);
    let before = model.ledger.counts();
    assert_eq!((before.delayed, before.backlog, before.in_flight), (2, 1, 2));
    assert!(
        model.ledger.on_taken_back(lease, 4),
        "all but the first message of the third key, which goes on"
    );
    let mut effects = Vec::new();
    let report = Report { lease, upto: 4, exceptions: Vec::new() };
    assert!(model.ledger.on_report(report, Moment::ZERO, 0, &mut effects));
    assert_eq!(effects, [Effect::Settled { base: 1, which: Bits::range(3, 4) }]);
    let after = model.ledger.counts();
    assert_eq!((after.acked - before.acked, after.backlog, after.in_flight), (1, 2, 0));
}

/// A million keys over time, where that is quick: nothing is left of those that are done with.
#[test]
fn keys_that_are_done_with_leave_nothing() {
    let mut ledger = quick(Order::Keyed).ledger;
    let mut effects = Vec::new();
    let batches = if cfg!(debug_assertions) { 400 } else { 4_000 };
    for batch in 0..batches {
        let keys = Keys(Arc::new((0..250).map(|at| batch * 250 + at + 100).collect()));
        ledger.on_batch(Slice::new(keys, 1 + batch * 250, 0, 250));
        ledger.dispatch(Moment::ZERO, &mut effects);
        assert!(ledger.keys().0 == 250);
        while let Some(effect) = effects.pop() {
            if let Effect::Lease { id, slice, .. } = effect {
                let report = Report { lease: id, upto: slice.to, exceptions: Vec::new() };
                assert!(ledger.on_report(report, Moment::ZERO, 0, &mut effects));
            }
        }
        assert_eq!(ledger.keys(), (0, 0), "after {batch} batches");
    }
    assert_eq!(ledger.counts().acked, 1 + 250 * batches);
}
