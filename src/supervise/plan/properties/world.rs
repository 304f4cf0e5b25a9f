//! The toy world: children that know only what the effects told them, and check each effect against that.

use super::super::*;
use std::time::Duration;

const RESTARTS: u32 = 2;
const WITHIN: Duration = Duration::from_millis(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toy {
    Down,
    Starting,
    Up,
    Stopping,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Started(u64),
    Exit(u64, End),
    /// An exit of the last child that was told to stop: makes progress likely.
    StopDone,
    /// The last child that was told to stop can't be ended.
    Stuck,
    /// The last child that was told to start is up.
    StartDone,
    Alarm,
    Sleep(u64),
    Add(Restart),
    Remove(u64),
    Shutdown,
}

pub(super) struct World {
    strategy: Strategy,
    plan: Plan,
    now: Moment,
    random: u64,
    pub(super) toys: BTreeMap<ChildId, (Toy, Restart)>,
    removed: BTreeSet<ChildId>,
    /// Never ended, for all that is known.
    stuck: BTreeSet<ChildId>,
    starts: Vec<(ChildId, Moment)>,
    /// Ends of children that were not told to stop.
    unasked: Vec<Moment>,
    pub(super) ready: bool,
    pub(super) shutdown: bool,
    pub(super) over: bool,
}

impl World {
    pub(super) fn new(strategy: Strategy, children: &[Restart]) -> World {
        let plan = Plan::new(strategy, Intensity::new(RESTARTS, WITHIN));
        let mut world = World {
            strategy,
            plan,
            now: Moment::ZERO,
            random: 1,
            toys: BTreeMap::new(),
            removed: BTreeSet::new(),
            stuck: BTreeSet::new(),
            starts: Vec::new(),
            unasked: Vec::new(),
            ready: false,
            shutdown: false,
            over: false,
        };
        for restart in children {
            world.add(*restart);
        }
        let effects = world.plan.on_start(world.now);
        world.check(&effects);
        world
    }

    fn add(&mut self, restart: Restart) {
        let ms = Duration::from_millis(1);
        let backoffs =
            [Backoff::none(), Backoff::fixed(7 * ms), Backoff::exponential(ms, 40 * ms).jitter(0.5)];
        let added = self.plan.add(restart, backoffs[self.toys.len() % 3]);
        assert!(added.is_some() || self.shutdown || self.is_ending());
        if let Some(id) = added {
            self.toys.insert(id, (Toy::Down, restart));
        }
    }

    fn is_ending(&self) -> bool {
        self.over || matches!(self.plan.stage, Stage::Ending(_))
    }

    pub(super) fn step(&mut self, step: Step) {
        let now = self.now;
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let last =
            |world: &World, toy| world.toys.iter().rev().find(|(_, it)| it.0 == toy).map(|(id, _)| id.0);
        let effects = match step {
            Step::Started(n) => self.started(n),
            Step::Exit(n, end) => self.exited(n, end),
            Step::StopDone => last(self, Toy::Stopping).map_or(vec![], |n| self.exited(n, End::Normal)),
            Step::Stuck => last(self, Toy::Stopping).map_or(vec![], |n| self.is_stuck(n)),
            Step::StartDone => last(self, Toy::Starting).map_or(vec![], |n| self.started(n)),
            Step::Alarm => {
                self.now = self.plan.next_alarm().unwrap_or(now).max(now);
                let due = self.plan.next_alarm().is_some();
                let effects = self.plan.on_alarm(self.now);
                assert_eq!(
                    due,
                    !effects.is_empty(),
                    "an alarm is asked for if and only if it does something"
                );
                effects
            }
            Step::Sleep(ms) => {
                self.now = now + Duration::from_millis(ms);
                vec![]
            }
            Step::Add(restart) => {
                self.add(restart);
                self.plan.on_alarm(now)
            }
            Step::Remove(n) => {
                self.removed.insert(ChildId(n));
                self.plan.on_remove(ChildId(n), now)
            }
            Step::Shutdown => {
                self.shutdown = true;
                self.plan.on_shutdown(now)
            }
        };
        self.check(&effects);
    }

    fn started(&mut self, n: u64) -> Vec<Effect> {
        if let Some((toy @ Toy::Starting, _)) = self.toys.get_mut(&ChildId(n)) {
            *toy = Toy::Up;
        }
        self.plan.on_started(ChildId(n), self.now)
    }

    fn exited(&mut self, n: u64, end: End) -> Vec<Effect> {
        if let Some((toy, _)) = self.toys.get_mut(&ChildId(n)) {
            if matches!(*toy, Toy::Starting | Toy::Up) {
                self.unasked.push(self.now);
            }
            *toy = Toy::Down;
        }
        self.plan.on_exit(ChildId(n), end, self.now, self.random)
    }

    fn is_stuck(&mut self, n: u64) -> Vec<Effect> {
        self.stuck.insert(ChildId(n));
        if let Some((toy, _)) = self.toys.get_mut(&ChildId(n)) {
            *toy = Toy::Down;
        }
        let effects = self.plan.on_stuck(ChildId(n), self.now);
        assert!(
            self.plan.is_ending() || effects.contains(&Effect::Forget(ChildId(n))),
            "it goes on beside {n}"
        );
        effects
    }

    fn check(&mut self, effects: &[Effect]) {
        for effect in effects {
            assert!(!self.over, "{effect:?} after the end");
            match *effect {
                Effect::Start(id) => self.check_start(id),
                Effect::Stop(id) => self.check_stop(id),
                Effect::Forget(id) => {
                    let (toy, _) = self.toys.remove(&id).expect("a forgotten child was known");
                    assert_eq!(toy, Toy::Down, "{id:?} was up when it was forgotten");
                }
                Effect::Ready => {
                    assert!(!self.ready, "ready once");
                    self.ready = true;
                    assert!(self.toys.values().all(|(toy, _)| *toy != Toy::Starting));
                }
                Effect::Finished | Effect::Escalate(_) => {
                    assert!(self.toys.values().all(|(toy, _)| *toy == Toy::Down), "a child outlives the end");
                    assert!(*effect != Effect::Finished || self.shutdown, "finished without a shutdown");
                    self.over = true;
                    if matches!(effect, Effect::Escalate(Escalation::TooManyRestarts(_))) {
                        assert!(self.had_too_many(), "given up too early");
                    }
                }
            }
        }
        for (id, (toy, _)) in &self.toys {
            let agreed = match self.plan.phase(*id).expect("a child not forgotten is known") {
                Phase::Waiting | Phase::Done => Toy::Down,
                Phase::Starting => Toy::Starting,
                Phase::Running(_) => Toy::Up,
                Phase::Stopping => Toy::Stopping,
            };
            assert_eq!(agreed, *toy, "{id:?}");
        }
        let waiting = |id: &ChildId| self.plan.phase(*id) == Some(Phase::Waiting);
        assert!(self.plan.waiting.iter().all(waiting));
        assert_eq!(self.plan.waiting.len(), self.toys.keys().filter(|id| waiting(id)).count());
    }

    fn check_start(&mut self, id: ChildId) {
        assert!(!self.shutdown, "a start after the shutdown");
        if self.strategy != Strategy::OneForOne || !self.ready {
            for (other, (toy, restart)) in &self.toys {
                assert_ne!(*toy, Toy::Starting, "{other:?} is starting as well");
                let may_rest = *restart == Restart::OnFailure || self.removed.contains(other);
                assert!(*other >= id || *toy == Toy::Up || may_rest, "{id:?} before {other:?} is up");
                assert!(*toy != Toy::Stopping || self.removed.contains(other), "{other:?} is still stopping");
            }
        }
        let (toy, restart) = self.toys.get_mut(&id).expect("a started child is known");
        assert_eq!(*toy, Toy::Down, "two incarnations of {id:?}");
        assert!(!self.stuck.contains(&id), "{id:?} is started beside one that is stuck");
        *toy = Toy::Starting;
        let before = self.starts.iter().filter(|(other, _)| *other == id).count();
        assert!(before == 0 || *restart != Restart::Never, "{id:?} must never be restarted");
        self.starts.push((id, self.now));
        self.check_intensity();
    }

    /// Between two starts of one child lies at least one counted restart, so starts bound restarts from
    /// below.
    fn check_intensity(&self) {
        let mut restarts: BTreeMap<ChildId, u32> = BTreeMap::new();
        for (id, at) in &self.starts {
            if self.now.since(*at) <= WITHIN {
                *restarts.entry(*id).and_modify(|count| *count += 1).or_insert(0) += 0;
            }
        }
        let counted = match self.strategy {
            Strategy::OneForOne => restarts.values().sum(),
            Strategy::RestForOne | Strategy::OneForAll => restarts.values().max().copied().unwrap_or(0),
        };
        assert!(counted <= RESTARTS, "{counted} restarts in {WITHIN:?}");
    }

    fn had_too_many(&self) -> bool {
        let enough = RESTARTS as usize + 1;
        self.unasked.windows(enough).any(|some| some[enough - 1].since(some[0]) <= WITHIN)
    }

    fn check_stop(&mut self, id: ChildId) {
        for (other, (toy, _)) in &self.toys {
            if !self.removed.contains(&id) {
                assert!(*other <= id || *toy == Toy::Down, "{id:?} is stopped before {other:?}");
                let busy = *toy == Toy::Stopping && !self.removed.contains(other);
                assert!(!busy, "{other:?} is still stopping");
            }
        }
        let mut earlier = self.toys.range(..id).map(|(_, (toy, _))| *toy);
        match self.strategy {
            _ if self.removed.contains(&id) || self.shutdown || self.is_ending() => {}
            Strategy::OneForOne => panic!("{id:?} has no share in any restart"),
            Strategy::RestForOne if self.removed.is_empty() => {
                assert!(earlier.any(|toy| toy == Toy::Down), "no child before {id:?} is down");
            }
            Strategy::RestForOne | Strategy::OneForAll => {}
        }
        let (toy, _) = self.toys.get_mut(&id).expect("a stopped child is known");
        assert!(matches!(toy, Toy::Starting | Toy::Up), "{id:?} is {toy:?} and told to stop");
        *toy = Toy::Stopping;
    }

    /// Lets every start succeed and every stop end, until nothing is under way.
    pub(super) fn settle(&mut self) {
        for _ in 0..1_000 {
            let busy = |toy: Toy| self.toys.values().any(|it| it.0 == toy);
            let step = if busy(Toy::Stopping) {
                Step::StopDone
            } else if busy(Toy::Starting) {
                Step::StartDone
            } else if self.plan.next_alarm().is_some() {
                Step::Alarm
            } else {
                return;
            };
            self.step(step);
        }
        panic!("it never settles: {:?}", self.plan);
    }
}
