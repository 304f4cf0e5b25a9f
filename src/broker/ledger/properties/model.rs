//! The toy model: where each message is, by the state table alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::toy::{Place, Toy, known, present, said};
use super::*;
use crate::broker::ledger::verdict::{NO_ROOM, mixed};

struct ToyLease {
    consumer: ConsumerId,
    slice: Slice<Arc<u64>>,
    reported: u16,
}

pub(super) struct Model {
    ledger: Ledger<Arc<u64>>,
    retry: Retry,
    now: Moment,
    messages: BTreeMap<u64, Toy>,
    /// The group said that it is done with these.
    settled: BTreeSet<u64>,
    /// By batch, how often it said so of one that had come back.
    settled_again: BTreeMap<u64, u64>,
    leases: BTreeMap<LeaseId, ToyLease>,
    over: Vec<LeaseId>,
    used: BTreeSet<LeaseId>,
    /// Leases in a row of messages started before.
    retries: u32,
    dying: Vec<(Slice<Arc<u64>>, Past)>,
    letters: Vec<(Slice<Arc<u64>>, u16)>,
    /// Those that are here: whether they are ready, and their credit.
    consumers: BTreeMap<ConsumerId, (bool, Credit)>,
    next_consumer: u32,
    /// What each was through with, and how much of it failed.
    through: BTreeMap<ConsumerId, (u64, u64)>,
    batches: Vec<Arc<u64>>,
    next_offset: u64,
    refused: u64,
    failures: u64,
    no_room: u64,
    redeliveries: u64,
}

impl Model {
    pub(super) fn new(retry: Retry) -> Model {
        Model {
            ledger: Ledger::new(&GroupSettings { retry, ..GroupSettings::default() }),
            retry,
            now: Moment::ZERO,
            messages: BTreeMap::new(),
            settled: BTreeSet::new(),
            settled_again: BTreeMap::new(),
            leases: BTreeMap::new(),
            over: Vec::new(),
            used: BTreeSet::new(),
            retries: 0,
            dying: Vec::new(),
            letters: Vec::new(),
            consumers: BTreeMap::new(),
            next_consumer: 0,
            through: BTreeMap::new(),
            batches: Vec::new(),
            next_offset: 0,
            refused: 0,
            failures: 0,
            no_room: 0,
            redeliveries: 0,
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        let mut effects = Vec::new();
        match step {
            Step::Batch { skip, len } => self.batch(skip, len),
            Step::Consumer { pull, prefetch } => {
                let credit = if pull { Credit::Pull { prefetch } } else { Credit::Handler { prefetch } };
                let id = ConsumerId(self.next_consumer);
                self.next_consumer += 1;
                self.consumers.insert(id, (false, credit));
                self.ledger.on_consumer(id, credit);
            }
            Step::Ready { who, ready } => {
                if let Some(id) = pick(&self.consumers, who) {
                    self.consumers.get_mut(&id).unwrap().0 = ready;
                    self.ledger.on_ready(id, ready);
                }
            }
            Step::Gone(who) => {
                if let Some(id) = pick(&self.consumers, who) {
                    self.consumers.remove(&id);
                    self.ledger.on_gone(id);
                }
            }
            Step::Dispatch => {
                self.ledger.dispatch(self.now, &mut effects);
                return self.check_dispatch(effects);
            }
            Step::Report { which, through, exceptions } => {
                if let Some(id) = pick(&self.leases, which) {
                    self.report(id, through, exceptions, &mut effects);
                }
            }
            Step::Sole { which, says } => {
                if let Some(id) = pick(&self.leases, which).filter(|id| self.leases[id].slice.len() == 1) {
                    self.verdict(id, self.leases[&id].slice.from, says);
                    assert!(self.ledger.on_sole(id, says.verdict(), self.now, 0, &mut effects));
                    self.end(id);
                }
            }
            Step::GiveBack(which) => {
                if let Some(id) = pick(&self.leases, which) {
                    self.give_back(id);
                }
            }
            Step::TakeBack { which, keep } => {
                if let Some(id) = pick(&self.leases, which) {
                    self.take_back(id, keep);
                }
            }
            Step::Later(ms) => {
                self.now = self.now + Duration::from_millis(ms);
                self.ledger.on_alarm(self.now, &mut effects);
                for toy in self.messages.values_mut() {
                    if matches!(toy.place, Place::Delayed(due) if due <= self.now) {
                        toy.place = Place::Ready;
                    }
                }
            }
            Step::DeadLettered(which) => {
                if !self.dying.is_empty() {
                    let (slice, past) = self.dying.remove(usize::from(which) % self.dying.len());
                    self.messages.get_mut(&slice.first()).unwrap().place = Place::Dead;
                    self.ledger.on_dead_lettered(&slice, &past, &mut effects);
                    self.letters.push((slice, past.redrives));
                }
            }
            Step::Redrive(which) => {
                if !self.letters.is_empty() {
                    let (slice, before) = self.letters.remove(usize::from(which) % self.letters.len());
                    let toy = self.messages.get_mut(&slice.first()).unwrap();
                    let (place, redrives) = (Place::Ready, before + 1);
                    assert_eq!((toy.place, toy.redrives), (Place::Dead, before));
                    *toy = Toy { place, attempts: 0, failures: 0, no_room: 0, redrives };
                    self.ledger.on_redriven(slice, redrives);
                }
            }
            Step::Stale(which) => self.stale(which, &mut effects),
        }
        self.hear(effects);
        self.check();
    }

    /// Acks, and sees to dead, whatever is left, then finds the ledger empty.
    pub(super) fn finish(&mut self) {
        for id in self.leases.keys().copied().collect::<Vec<_>>() {
            self.give_back(id);
        }
        for id in self.consumers.keys().copied().collect::<Vec<_>>() {
            assert_eq!(self.ledger.held(id), Some((0, 0)), "{id:?} gave everything back");
        }
        self.step(Step::Consumer { pull: true, prefetch: 7 });
        let last = self.consumers.len() as u16 - 1;
        self.step(Step::Ready { who: last, ready: true });
        self.letters.clear();
        while present(self.ledger.counts()) > 0 {
            self.step(Step::Later(300));
            self.step(Step::Dispatch);
            for id in self.leases.keys().copied().collect::<Vec<_>>() {
                let mut effects = Vec::new();
                self.report(id, u16::MAX, Vec::new(), &mut effects);
                self.hear(effects);
            }
            while !self.dying.is_empty() {
                self.step(Step::DeadLettered(0));
            }
            self.letters.clear();
        }
        assert!(self.ledger.leases.is_empty() && self.ledger.delayed.len() == 0);
        assert_eq!((self.ledger.queue.available(), self.ledger.queue.counted()), (0, 0));
        for id in self.consumers.keys() {
            assert_eq!(self.ledger.held(*id), Some((0, 0)), "{id:?} holds nothing");
        }
        for batch in &self.batches {
            assert_eq!(Arc::strong_count(batch), 1, "the payloads of batch {batch} are let go");
        }
    }

    fn batch(&mut self, skip: u16, len: u16) {
        let (base, to) = (self.next_offset, skip + len);
        let batch = Arc::new(base);
        self.batches.push(batch.clone());
        self.ledger.on_batch(Slice::new(batch, base, skip, to));
        for at in skip..to {
            let toy = Toy { place: Place::Backlog, attempts: 0, failures: 0, no_room: 0, redrives: 0 };
            self.messages.insert(base + u64::from(at), toy);
        }
        self.next_offset += u64::from(to);
    }

    fn report(
        &mut self,
        id: LeaseId,
        through: u16,
        gaps: Vec<(u16, Says)>,
        effects: &mut Vec<Effect<Arc<u64>>>,
    ) {
        let lease = &self.leases[&id];
        let (from, to) = (lease.reported, lease.slice.to);
        let upto = from.saturating_add(through).min(to);
        let (mut exceptions, mut at) = (Vec::new(), from);
        for (gap, says) in gaps {
            at += gap;
            if at <= upto {
                exceptions.push((at - 1, says));
            }
        }
        for index in from..upto {
            let says = exceptions.iter().find(|(at, _)| *at == index).map_or(Says::Ack, |(_, says)| *says);
            self.verdict(id, index, says);
        }
        let exceptions = exceptions.into_iter().map(|(at, says)| (at, says.verdict())).collect();
        assert!(self.ledger.on_report(Report { lease: id, upto, exceptions }, self.now, 0, effects));
        self.leases.get_mut(&id).unwrap().reported = upto;
        if upto == to {
            self.end(id);
        }
    }

    /// The message at `index` of a lease is through.
    fn verdict(&mut self, id: LeaseId, index: u16, says: Says) {
        let offset = self.leases[&id].slice.base + u64::from(index);
        let toy = self.messages.get_mut(&offset).unwrap();
        assert_eq!(toy.place, Place::Held(id));
        self.redeliveries += u64::from(toy.attempts > 0);
        toy.attempts += 1;
        let failed = matches!(says, Says::Fail | Says::FailFor(_));
        toy.failures += u32::from(failed);
        self.failures += u64::from(failed);
        let (handled, failures) = self.through.entry(self.leases[&id].consumer).or_default();
        (*handled, *failures) = (*handled + 1, *failures + u64::from(failed));
        let no_room = says == Says::NoRoom;
        self.no_room += u64::from(no_room);
        toy.no_room = if no_room {
            toy.no_room + 1
        } else if failed {
            0
        } else {
            toy.no_room
        };
        let random = mixed(0, offset);
        let wait = match says {
            Says::FailFor(ms) => Duration::from_millis(ms),
            Says::NoRoom => NO_ROOM.delay(toy.no_room, random),
            _ => self.retry.backoff().delay(toy.failures, random),
        };
        toy.place = match says {
            Says::Ack => Place::Acked,
            Says::Drop => Place::Dropped,
            Says::Dead => Place::Parked,
            Says::Release => Place::Ready,
            _ if failed && toy.failures == self.retry.attempts() => Place::Parked,
            _ if wait.is_zero() => Place::Ready,
            _ => Place::Delayed(self.now + wait),
        };
    }

    fn give_back(&mut self, id: LeaseId) {
        self.put_back(id, 0);
        assert!(self.ledger.on_give_back(id));
        self.end(id);
    }

    /// The group takes back all but the next `keep` messages.
    fn take_back(&mut self, id: LeaseId, keep: u16) {
        let end = self.leases[&id].reported.saturating_add(keep);
        self.put_back(id, keep);
        assert!(self.ledger.on_taken_back(id, end));
        let lease = self.leases.get_mut(&id).unwrap();
        lease.slice.to = lease.slice.to.min(end);
        if keep == 0 {
            self.end(id);
        }
    }

    fn put_back(&mut self, id: LeaseId, keep: u16) {
        let lease = &self.leases[&id];
        for index in lease.reported.saturating_add(keep)..lease.slice.to {
            let toy = self.messages.get_mut(&(lease.slice.base + u64::from(index))).unwrap();
            let is_new = toy.attempts == 0 && toy.redrives == 0;
            toy.place = if is_new { Place::Backlog } else { Place::Ready };
        }
    }

    /// Words on a lease that is over change nothing but the count of such words.
    fn stale(&mut self, which: u16, effects: &mut Vec<Effect<Arc<u64>>>) {
        if let Some(lease) = (!self.over.is_empty()).then(|| self.over[usize::from(which) % self.over.len()])
        {
            let report = Report { lease, upto: 3, exceptions: vec![(1, Verdict::Drop)] };
            assert!(!self.ledger.on_report(report, self.now, 0, effects));
            assert!(!self.ledger.on_give_back(lease) && !self.ledger.on_taken_back(lease, 1));
            assert!(!self.ledger.on_sole(lease, Verdict::Ack, self.now, 0, effects));
            assert!(effects.is_empty());
            self.refused += 2;
        }
    }

    fn end(&mut self, id: LeaseId) {
        self.leases.remove(&id);
        self.over.push(id);
    }

    /// What comes of a report: settled once, and dead letters with their history.
    fn hear(&mut self, effects: Vec<Effect<Arc<u64>>>) {
        for effect in effects {
            match effect {
                Effect::Noted { .. } => panic!("nothing is to be remembered"),
                Effect::Settled { base, which } => {
                    assert!(!which.is_empty());
                    for offset in which.iter().map(|at| base + u64::from(at)) {
                        assert!(self.settled.insert(offset), "{offset} is settled twice");
                    }
                }
                Effect::SettledAgain { base, .. } => *self.settled_again.entry(base).or_default() += 1,
                Effect::Dead { slice, past, reason } => {
                    let toy = self.messages[&slice.first()];
                    assert_eq!((slice.len(), toy.place), (1, Place::Parked));
                    assert_eq!(said(&past), known(&toy));
                    let too_many = reason == DeadReason::TooManyAttempts;
                    assert!(!too_many || toy.failures == self.retry.attempts());
                    self.dying.push((slice, past));
                }
                Effect::Removed { .. } | Effect::RemovedAgain { .. } => panic!("there is no limit"),
                Effect::Lease { .. } => panic!("only a dispatch hands out"),
            }
        }
    }

    /// Leases come in order, what was started before first and alone; no credit is exceeded, and none is left.
    fn check_dispatch(&mut self, effects: Vec<Effect<Arc<u64>>>) {
        let in_place = |place| self.messages.iter().filter(move |(_, toy)| toy.place == place);
        let offsets = |place| in_place(place).map(|(offset, _)| *offset).collect::<VecDeque<_>>();
        let (mut ready, mut backlog) = (offsets(Place::Ready), offsets(Place::Backlog));
        for effect in effects {
            let Effect::Lease { consumer, id, slice, past } = effect else { panic!("{effect:?}") };
            assert!(self.used.insert(id), "{id:?} is used twice");
            let is_retry = !(ready.is_empty() || self.retries == RETRIES_IN_A_ROW && !backlog.is_empty());
            self.retries = if is_retry { (self.retries + 1).min(RETRIES_IN_A_ROW) } else { 0 };
            let waiting = if is_retry { &mut ready } else { &mut backlog };
            for offset in slice.first()..slice.base + u64::from(slice.to) {
                assert_eq!(Some(offset), waiting.pop_front(), "the next message is handed out");
                let toy = self.messages.get_mut(&offset).unwrap();
                assert!(!is_retry || slice.len() == 1);
                assert_eq!(said(&past), known(toy));
                toy.place = Place::Held(id);
            }
            assert!(self.consumers[&consumer].0, "{consumer:?} is not ready");
            let reported = slice.from;
            self.leases.insert(id, ToyLease { consumer, slice, reported });
        }
        let waits = !(ready.is_empty() && backlog.is_empty());
        for (id, (ready, credit)) in &self.consumers {
            let (leases, messages) = self.held(*id);
            let idle = match *credit {
                Credit::Pull { prefetch } => {
                    assert!(leases == messages && messages <= prefetch, "{id:?} holds too much");
                    messages < prefetch
                }
                Credit::Handler { prefetch } => {
                    assert!(leases <= 2 && messages <= prefetch, "{id:?} holds too much");
                    leases == 0
                }
            };
            assert!(!(waits && *ready && idle), "{id:?} has nothing to do while messages wait");
        }
        self.check();
    }

    /// The leases and messages that a consumer holds.
    fn held(&self, id: ConsumerId) -> (u32, u32) {
        let leases = self.leases.values().filter(|lease| lease.consumer == id);
        leases.fold((0, 0), |(leases, messages), lease| {
            (leases + 1, messages + u32::from(lease.slice.to - lease.reported))
        })
    }

    fn check(&self) {
        let count = |is: fn(Place) -> bool| self.messages.values().filter(|toy| is(toy.place)).count() as u64;
        let redriven = self.messages.values().map(|toy| u64::from(toy.redrives)).sum();
        let expected = Counts {
            entered: self.messages.len() as u64 + redriven,
            redriven,
            acked: count(|place| place == Place::Acked),
            dropped: count(|place| place == Place::Dropped),
            dead: count(|place| place == Place::Dead) + redriven,
            evicted: 0,
            skipped: 0,
            expired: 0,
            failures: self.failures,
            no_room: self.no_room,
            redeliveries: self.redeliveries,
            refused_reports: self.refused,
            backlog: count(|place| place == Place::Backlog),
            ready: count(|place| place == Place::Ready),
            in_flight: count(|place| matches!(place, Place::Held(_))),
            delayed: count(|place| matches!(place, Place::Delayed(_))),
            parked: count(|place| place == Place::Parked),
        };
        assert_eq!(self.ledger.counts(), expected);
        let c = expected;
        assert_eq!(c.entered, c.acked + c.dropped + c.dead + present(c), "the books balance");
        let again: u64 = self.settled_again.values().sum();
        assert_eq!(self.settled.len() as u64 + again, c.acked + c.dropped + c.dead);
        for (offset, toy) in &self.messages {
            assert!(
                toy.redrives == 0 || self.settled.contains(offset),
                "its first place is not settled twice"
            );
        }
        for id in self.consumers.keys() {
            assert_eq!(self.ledger.held(*id), Some(self.held(*id)));
            let worker = self.ledger.worker(*id).unwrap();
            let through = self.through.get(id).copied().unwrap_or_default();
            assert_eq!(((worker.handled, worker.failures), worker.ready), (through, self.consumers[id].0));
        }
        let due = self.messages.values().filter_map(|toy| match toy.place {
            Place::Delayed(due) => Some(due),
            _ => None,
        });
        assert_eq!(self.ledger.next_alarm(), due.min());
    }
}

fn pick<K: Ord + Copy, V>(from: &BTreeMap<K, V>, which: u16) -> Option<K> {
    (!from.is_empty()).then(|| *from.keys().nth(usize::from(which) % from.len()).unwrap())
}
