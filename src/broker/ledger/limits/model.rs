//! The model: who holds which message, and what is done with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lot::{EVICTED, Handle, Lot};
use super::*;
use crate::broker::DeadReason;
use crate::broker::bits::Bits;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Messages: the key, and the own time in microseconds, or 0.
    Batch(Vec<(u64, u64)>),
    Work(usize, Vec<u8>),
    GiveBack(usize),
    TakeBack(usize, u16),
    Later(u64),
    /// Time passes before the alarm rings.
    Unnoticed(u64),
    /// The topic evicts one: other groups may hold the older ones, or be done with them.
    Evict(usize),
    /// The group hears of an eviction.
    Hear,
    DeadLettered(usize),
    Redrive(usize),
    /// Pauses, or goes on.
    Pause,
}

#[derive(Clone, Debug)]
pub(super) struct With {
    pub(super) order: Order,
    pub(super) ttl: Option<u64>,
    pub(super) max_lag: Option<u32>,
    pub(super) max_parked: Option<u32>,
    pub(super) dead_letter_expired: bool,
    pub(super) pull: bool,
}

/// A lease at a consumer that starts its messages one by one.
struct Held {
    batch: Handle,
    base: u64,
    left: Bits,
    at: u16,
    redriven: bool,
}

pub(super) struct Model {
    with: With,
    ledger: Ledger<Handle>,
    now: Moment,
    paused: bool,
    batches: BTreeMap<u64, Handle>,
    next: u64,
    held: BTreeMap<LeaseId, Held>,
    /// By lane, what began and is not done with.
    at_work: BTreeMap<u64, u64>,
    /// By lane, the latest that began for the first time, of those that were not redriven.
    last: BTreeMap<u64, u64>,
    /// Messages that are with the group.
    open: BTreeSet<u64>,
    evictions: VecDeque<u64>,
    parked: Vec<(Slice<Handle>, Past)>,
    letters: Vec<(Slice<Handle>, u16)>,
    redriven: BTreeSet<u64>,
    /// Messages that failed and are not done with.
    failed: BTreeSet<u64>,
}

const CONSUMERS: u32 = 2;

impl Model {
    pub(super) fn new(with: With) -> Model {
        let retry = Retry::fixed(Duration::from_micros(5)).max_attempts(3);
        let settings = GroupSettings {
            order: with.order,
            retry,
            max_parked_per_key: with.max_parked,
            max_lag: with.max_lag,
            dead_letter_expired: with.dead_letter_expired,
            ..GroupSettings::default()
        };
        let mut ledger = Ledger::new(&settings);
        for id in (0..CONSUMERS).map(ConsumerId) {
            let credit = match with.pull {
                true => Credit::Pull { prefetch: 3 },
                false => Credit::Handler { prefetch: 64 },
            };
            ledger.on_consumer(id, credit);
            ledger.on_ready(id, true);
        }
        Model {
            with,
            ledger,
            now: Moment::ZERO,
            paused: false,
            batches: BTreeMap::new(),
            next: 0,
            held: BTreeMap::new(),
            at_work: BTreeMap::new(),
            last: BTreeMap::new(),
            open: BTreeSet::new(),
            evictions: VecDeque::new(),
            parked: Vec::new(),
            letters: Vec::new(),
            redriven: BTreeSet::new(),
            failed: BTreeSet::new(),
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        let mut effects = Vec::new();
        match step {
            Step::Batch(messages) => self.batch(messages),
            Step::Work(which, says) => self.work(which, says, &mut effects),
            Step::GiveBack(which) => {
                if let Some(id) = self.pick(which) {
                    self.held.remove(&id);
                    assert!(self.ledger.on_give_back(id));
                }
            }
            Step::TakeBack(which, keep) => {
                if let Some(id) = self.pick(which) {
                    let held = self.held.get_mut(&id).unwrap();
                    let end = held.at + keep;
                    held.left = held.left.and(Bits::range(0, end));
                    if held.left.first(held.at, 0).is_none() {
                        self.held.remove(&id);
                    }
                    assert!(self.ledger.on_taken_back(id, end));
                }
            }
            Step::Later(us) => self.later(us, &mut effects),
            Step::Unnoticed(us) => self.now = self.now + Duration::from_micros(us),
            Step::Evict(which) => self.evict(which),
            Step::Hear => self.hear_eviction(&mut effects),
            Step::DeadLettered(which) => {
                if !self.parked.is_empty() {
                    let at = which % self.parked.len();
                    let (slice, past) = self.parked.remove(at);
                    self.ledger.on_dead_lettered(&slice, &past, &mut effects);
                    self.letters.push((slice, past.redrives));
                }
            }
            Step::Redrive(which) => {
                if !self.letters.is_empty() {
                    let at = which % self.letters.len();
                    let (slice, redrives) = self.letters.remove(at);
                    self.redriven.insert(slice.first());
                    assert!(self.open.insert(slice.first()), "what is redriven was done with");
                    self.ledger.on_redriven(slice, redrives + 1);
                }
            }
            Step::Pause => self.paused = !self.paused,
        }
        self.carry_out(effects);
    }

    fn batch(&mut self, messages: Vec<(u64, u64)>) {
        let at = |us: u64| self.now + Duration::from_micros(us);
        let (base, len) = (self.next, messages.len() as u16);
        let lot = Lot {
            keys: messages.iter().map(|(key, _)| *key).collect(),
            expires: self.with.ttl.map(at),
            own: messages.iter().map(|(_, own)| (*own > 0).then(|| at(*own))).collect(),
            claims: Mutex::new(vec![0; messages.len()]),
        };
        let batch = Handle(Arc::new(lot));
        self.batches.insert(base, batch.clone());
        self.open.extend(base..base + u64::from(len));
        self.next += u64::from(len);
        self.ledger.on_batch(Slice::new(batch, base, 0, len));
    }

    fn lane(&self, offset: u64) -> u64 {
        let (base, batch) = self.batches.range(..=offset).next_back().unwrap();
        match self.with.order {
            Order::Shared => u64::MAX - offset,
            Order::Keyed => batch.0.keys[(offset - base) as usize],
            Order::Exclusive => 0,
        }
    }

    /// A consumer works off some messages of a lease and then reports.
    fn work(&mut self, which: usize, says: Vec<u8>, effects: &mut Vec<Effect<Handle>>) {
        let Some(id) = self.pick(which) else { return };
        let mut exceptions = Vec::new();
        let mut upto = 0;
        for says in says {
            let held = &self.held[&id];
            let (base, redriven) = (held.base, held.redriven);
            let Some(index) = held.left.first(held.at, 0) else { break };
            let offset = base + u64::from(index);
            let lane = self.lane(offset);
            let other = self.at_work.insert(lane, offset);
            assert!(
                other.is_none_or(|other| other == offset),
                "{offset} began before {other:?} was done with"
            );
            if other.is_none() && !redriven && self.with.order != Order::Shared {
                let last = self.last.insert(lane, offset);
                assert!(last.is_none_or(|last| last <= offset), "{offset} began after {last:?}");
            }
            let verdict = match says {
                0 | 1 => Verdict::failed("no"),
                2 => Verdict::Release,
                3 => Verdict::Dead { reason: "hopeless".into() },
                4 => Verdict::Drop,
                5 => Verdict::NoRoom { error: "full".into() },
                6 => Verdict::Retry { error: "now".into(), after: Some(Duration::ZERO) },
                _ => Verdict::Ack,
            };
            let held = self.held.get_mut(&id).unwrap();
            held.at = index + 1;
            upto = held.at;
            if verdict.comes_again() {
                let behind = self.with.order.behind(&held.batch, index, held.left);
                held.left = held.left.without(behind);
            }
            if self.with.order == Order::Shared || !verdict.comes_again() {
                self.at_work.remove(&lane);
            }
            if let Verdict::Retry { .. } = verdict {
                self.failed.insert(offset);
            }
            if verdict != Verdict::Ack {
                exceptions.push((index, verdict));
            }
        }
        if self.held[&id].left.first(self.held[&id].at, 0).is_none() {
            self.held.remove(&id);
        }
        assert!(self.ledger.on_report(Report { lease: id, upto, exceptions }, self.now, 0, effects));
    }

    fn later(&mut self, us: u64, effects: &mut Vec<Effect<Handle>>) {
        self.now = self.now + Duration::from_micros(us);
        self.ledger.on_alarm(self.now, effects);
        let next = self.ledger.next_alarm();
        assert!(next.is_none_or(|next| next > self.now), "an alarm rings once: {next:?} at {:?}", self.now);
    }

    /// Evicts a message that nobody holds and that is with the group by its first place.
    fn evict(&mut self, which: usize) {
        let open: Vec<u64> = self.open.difference(&self.redriven).copied().collect();
        let Some(offset) = open.get(which % open.len().max(1)).copied() else { return };
        let (base, batch) = self.batches.range(..=offset).next_back().unwrap();
        let mut claims = batch.0.claims.lock().unwrap();
        let claims = &mut claims[(offset - base) as usize];
        if *claims == 0 {
            *claims = EVICTED;
            self.evictions.push_back(offset);
        }
    }

    fn hear_eviction(&mut self, effects: &mut Vec<Effect<Handle>>) {
        let Some(offset) = self.evictions.pop_front() else { return };
        let (base, batch) = self.batches.range(..=offset).next_back().unwrap();
        let at = (offset - base) as u16;
        let is = |(slice, past): &(Slice<Handle>, Past)| past.redrives == 0 && slice.first() == offset;
        if let Some(parked) = self.parked.iter().position(is) {
            let (slice, past) = self.parked.remove(parked);
            self.ledger.on_parked_evicted(&slice, &past, effects);
        }
        self.ledger.on_evicted(batch, *base, Bits::range(at, at + 1), effects);
    }

    fn pick(&self, which: usize) -> Option<LeaseId> {
        (!self.held.is_empty()).then(|| *self.held.keys().nth(which % self.held.len()).unwrap())
    }

    fn close(&mut self, offset: u64) {
        assert!(self.open.remove(&offset), "{offset} is settled twice");
        self.leave(offset);
    }

    /// It does not wait for a consumer any more.
    fn leave(&mut self, offset: u64) {
        self.failed.remove(&offset);
        let lane = self.lane(offset);
        if self.at_work.get(&lane) == Some(&offset) {
            self.at_work.remove(&lane);
        }
    }

    fn carry_out(&mut self, mut effects: Vec<Effect<Handle>>) {
        self.ledger.give_up_surplus(&mut effects);
        self.ledger.skip_ahead(&mut effects);
        if !self.paused {
            self.ledger.dispatch(self.now, &mut effects);
        }
        for effect in effects {
            match effect {
                Effect::Noted { .. } => panic!("nothing is to be remembered"),
                Effect::Lease { id, slice, past, .. } => self.lease(id, slice, &past),
                Effect::Settled { base, which } | Effect::Removed { base, which } => {
                    assert!(!which.is_empty());
                    which.iter().for_each(|at| self.close(base + u64::from(at)));
                }
                Effect::SettledAgain { base, at } | Effect::RemovedAgain { base, at } => {
                    assert!(self.redriven.remove(&(base + u64::from(at))), "it had come back");
                    self.close(base + u64::from(at));
                }
                Effect::Dead { slice, past, reason } => {
                    assert_eq!(slice.len(), 1);
                    let (offset, late) = (slice.first(), slice.batch.is_over(slice.from, self.now));
                    assert!(self.open.contains(&offset));
                    assert!(reason != DeadReason::Expired || late && past.redrives == 0);
                    self.leave(offset);
                    self.parked.push((slice, past));
                }
            }
        }
        self.check();
    }

    fn lease(&mut self, id: LeaseId, slice: Slice<Handle>, past: &Past) {
        let (base, left, at, redriven) = (slice.base, slice.bits(), slice.from, past.redrives > 0);
        assert!(!left.is_empty());
        for index in left.iter() {
            let offset = base + u64::from(index);
            assert!(self.open.contains(&offset), "{offset} is done with");
            assert!(redriven || !slice.batch.is_over(index, self.now), "{offset} is past its time");
            assert!(redriven || slice.batch.0.claims.lock().unwrap()[usize::from(index)] == 1);
            let lane = self.lane(offset);
            for held in self.held.values() {
                for at in held.left.without(Bits::range(0, held.at)).iter() {
                    assert!(self.lane(held.base + u64::from(at)) != lane, "{offset} is at two consumers");
                }
            }
        }
        self.held.insert(id, Held { batch: slice.batch, base, left, at, redriven });
    }

    fn check(&self) {
        let counts = self.ledger.counts();
        let Counts { backlog, ready, in_flight, delayed, parked, .. } = counts;
        let present = backlog + ready + in_flight + delayed + parked;
        let gone =
            counts.acked + counts.dropped + counts.dead + counts.evicted + counts.skipped + counts.expired;
        assert_eq!(counts.entered, gone + present, "{counts:?}");
        assert_eq!((present, parked), (self.open.len() as u64, self.parked.len() as u64));
        let counted = self.ledger.counted();
        assert_eq!(
            (counted.backlog, counted.in_flight, counted.delayed),
            (backlog + ready, in_flight, delayed)
        );
        let held = |held: &Held| held.left.without(Bits::range(0, held.at)).count();
        assert_eq!(in_flight, self.held.values().map(held).sum::<u64>());
        let lag = self.with.max_lag.is_some_and(|most| present > most.into());
        assert!(!lag || backlog + ready + delayed == 0, "it does not lag behind: {counts:?}");
        let (keys, failed) = self.ledger.keys();
        let failing: BTreeSet<u64> = self.failed.iter().map(|offset| self.lane(*offset)).collect();
        assert_eq!(failed, if self.with.order == Order::Keyed { failing.len() } else { 0 });
        let all_failed = failed == keys;
        let behind = self.with.max_parked.map(|most| u64::from(most) * keys as u64);
        assert!(!all_failed || behind.is_none_or(|most| backlog <= most), "too many wait behind: {counts:?}");
    }

    pub(super) fn finish(mut self) {
        self.paused = false;
        while !self.open.is_empty() {
            self.step(Step::Later(2_000_000));
            while !self.evictions.is_empty() {
                self.step(Step::Hear);
            }
            while !self.parked.is_empty() {
                self.step(Step::DeadLettered(0));
            }
            self.letters.clear();
            while !self.held.is_empty() {
                self.step(Step::Work(0, vec![9; 4]));
            }
        }
        while !self.evictions.is_empty() {
            self.step(Step::Hear);
        }
        self.letters.clear();
        assert_eq!((self.ledger.keys(), self.ledger.next_alarm()), ((0, 0), None));
        assert_eq!((self.ledger.queue.available(), self.ledger.has_before(u64::MAX)), (0, false));
        assert!(self.ledger.leases.is_empty());
        for batch in self.batches.values() {
            assert_eq!(Arc::strong_count(&batch.0), 1, "its payloads are let go");
            assert!(batch.0.claims.lock().unwrap().iter().all(|claims| matches!(*claims, 0 | EVICTED)));
        }
    }
}
