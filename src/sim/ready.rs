//! The tasks that can run, and which of them is next.

use std::collections::BTreeMap;

use super::rng::Rng;

/// Numbers a task, in the order of spawning. Never used twice in one simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId(pub(super) u64);

/// Names how the next task is picked among those that can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheduler {
    /// By lot, each step anew. The default: it mixes everything with everything.
    Random,
    /// By priorities that are drawn once for each task; at `depth - 1` drawn steps the running one falls behind all.
    ///
    /// A bug that needs `depth` events in a certain order is found with a chance that does not shrink with the number
    /// of tasks, where the lot would need luck at each step: a task can stay behind for as long as the others run.
    /// From Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of
    /// finding bugs", ASPLOS 2010.
    Pct {
        /// How many events the bug is made of; 1 to 3 are most bugs.
        depth: u32,
    },
}

impl Scheduler {
    /// Draws a scheduler from a seed: half of the seeds get the lot, the others priorities of depth 1, 2 or 3.
    pub fn drawn(seed: u64) -> Scheduler {
        let mut rng = Rng::new(seed, SCHEDULER);
        match rng.below(6) {
            0..3 => Scheduler::Random,
            other => Scheduler::Pct { depth: other as u32 - 2 },
        }
    }
}

/// The stream of a seed that its scheduler is drawn from.
const SCHEDULER: u64 = 4;
/// The mean number of steps between two changes of priority.
///
/// Why a number, where the paper measures a first run: a run of ours has no length that holds for the next seed, and
/// with gaps that are drawn afresh each time an early change is as likely as the paper makes it in a run of this length.
const GAP: usize = 400;
/// How often in a row a task is picked while others wait, before it falls behind them.
///
/// Why: one that wakes itself on and on waits for somebody, and by priorities alone he would never run. The paper's
/// threads block instead.
const PATIENCE: u32 = 200;
/// One pick in so many is by lot.
///
/// Why: two that wake each other on and on don't spin, and would keep all below them waiting for ever.
const BY_LOT: usize = 500;

/// Holds the tasks that can run and picks the next one.
///
/// A list and not a queue: the order of arrival means nothing, every ready task may be next.
#[derive(Debug)]
pub(super) struct Ready {
    list: Vec<TaskId>,
    order: Order,
}

#[derive(Debug)]
enum Order {
    ByLot,
    ByPriority(Priorities),
}

#[derive(Debug, Default)]
struct Priorities {
    /// Of each task that was ever ready; the higher comes first. Limit: the tasks of a run.
    of: BTreeMap<TaskId, u64>,
    /// Changes that are left.
    changes: u32,
    /// The priority of the next one that falls behind; each falls below those before.
    bottom: u64,
    last: Option<TaskId>,
    row: u32,
}

/// Drawn priorities are above this, those of tasks that fell behind below it.
const DRAWN: u64 = 1 << 32;

impl Default for Ready {
    fn default() -> Ready {
        Ready { list: Vec::new(), order: Order::ByLot }
    }
}

impl Ready {
    pub(super) fn set(&mut self, scheduler: Scheduler) {
        self.order = match scheduler {
            Scheduler::Random => Order::ByLot,
            Scheduler::Pct { depth } => Order::ByPriority(Priorities {
                changes: depth.saturating_sub(1),
                bottom: DRAWN,
                ..Priorities::default()
            }),
        };
    }

    pub(super) fn push(&mut self, task: TaskId) {
        self.list.push(task);
    }

    pub(super) fn remove(&mut self, task: TaskId) {
        self.list.retain(|ready| *ready != task);
    }

    pub(super) fn pick(&mut self, rng: &mut Rng) -> Option<TaskId> {
        match (self.list.len(), &mut self.order) {
            (0, _) => None,
            // Why no draw: a choice of one is none, and a draw would cost as much as the rest of the pick.
            (1, Order::ByLot) => self.list.pop(),
            (len, Order::ByLot) => Some(self.list.swap_remove(rng.below(len))),
            (_, Order::ByPriority(priorities)) => {
                let at = priorities.pick(&self.list, rng)?;
                Some(self.list.swap_remove(at))
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }
}

impl Priorities {
    /// Where in the list the next one is.
    fn pick(&mut self, ready: &[TaskId], rng: &mut Rng) -> Option<usize> {
        for task in ready {
            self.of.entry(*task).or_insert_with(|| DRAWN + (rng.draw() >> 1));
        }
        if ready.len() > 1 && rng.below(BY_LOT) == 0 {
            self.last = None;
            return Some(rng.below(ready.len()));
        }
        let (mut at, mut task) = self.highest(ready)?;
        let change = self.changes > 0 && rng.below(GAP) == 0;
        let spins = self.last == Some(task) && self.row >= PATIENCE && ready.len() > 1;
        if change || spins {
            self.changes -= u32::from(change);
            self.bottom -= 1;
            self.of.insert(task, self.bottom);
            (at, task) = self.highest(ready)?;
        }
        self.row = if self.last == Some(task) { self.row + 1 } else { 0 };
        self.last = Some(task);
        Some(at)
    }

    fn highest(&self, ready: &[TaskId]) -> Option<(usize, TaskId)> {
        let by_priority = |(_, task): &(usize, &TaskId)| self.of.get(task).copied();
        ready.iter().enumerate().max_by_key(by_priority).map(|(at, task)| (at, *task))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn order(seed: u64, scheduler: Scheduler) -> Vec<u64> {
        let mut ready = Ready::default();
        ready.set(scheduler);
        (0..4).for_each(|id| ready.push(TaskId(id)));
        let mut rng = Rng::new(seed, 0);
        std::iter::from_fn(|| ready.pick(&mut rng)).map(|id| id.0).collect()
    }

    #[test]
    fn every_order_comes_up_and_a_seed_gives_always_the_same() {
        for scheduler in [Scheduler::Random, Scheduler::Pct { depth: 1 }, Scheduler::Pct { depth: 3 }] {
            let orders: BTreeSet<Vec<u64>> = (0..500).map(|seed| order(seed, scheduler)).collect();
            assert_eq!(orders.len(), 4 * 3 * 2);
            assert!((0..500).all(|seed| order(seed, scheduler) == order(seed, scheduler)));
        }
    }

    #[test]
    fn a_removed_task_is_not_picked() {
        let mut ready = Ready::default();
        [1, 2, 3].into_iter().for_each(|id| ready.push(TaskId(id)));
        ready.remove(TaskId(2));
        let mut rng = Rng::new(0, 0);
        let picked: BTreeSet<TaskId> = std::iter::from_fn(|| ready.pick(&mut rng)).collect();
        assert_eq!(picked, BTreeSet::from([TaskId(1), TaskId(3)]));
    }

    /// Picks `picks` times from tasks that are all ready again at once.
    fn spinning(scheduler: Scheduler, seed: u64, picks: usize) -> Vec<u64> {
        let mut ready = Ready::default();
        ready.set(scheduler);
        (0..3).for_each(|id| ready.push(TaskId(id)));
        let mut rng = Rng::new(seed, 0);
        let mut picked = Vec::new();
        for _ in 0..picks {
            let task = ready.pick(&mut rng).unwrap();
            picked.push(task.0);
            ready.push(task);
        }
        picked
    }

    #[test]
    fn by_priority_one_task_goes_on_until_it_falls_behind_or_spins() {
        let row = |seed| {
            let picked = spinning(Scheduler::Pct { depth: 1 }, seed, 1000);
            picked.iter().take_while(|task| **task == picked[0]).count()
        };
        let rows: Vec<usize> = (0..100).map(row).collect();
        assert!(rows.iter().all(|row| *row <= 3 * PATIENCE as usize));
        assert!(
            rows.iter().filter(|row| **row == PATIENCE as usize + 1).count() > 40,
            "mostly until it spins"
        );
        let changed = |seed| {
            let picked = spinning(Scheduler::Pct { depth: 2 }, seed, 150);
            picked.iter().any(|task| *task != picked[0])
        };
        let changes = (0..200).filter(|seed| changed(*seed)).count();
        assert!((30..120).contains(&changes), "{changes}");
    }

    #[test]
    fn nobody_starves_beside_tasks_that_spin() {
        for seed in 0..50 {
            let picked: BTreeSet<u64> =
                spinning(Scheduler::Pct { depth: 3 }, seed, 1000).into_iter().collect();
            assert_eq!(picked.len(), 3);
        }
    }

    #[test]
    fn seeds_draw_the_lot_and_every_depth() {
        let count = |scheduler| (0..600).filter(|seed| Scheduler::drawn(*seed) == scheduler).count();
        assert!((240..360).contains(&count(Scheduler::Random)));
        for depth in 1..=3 {
            assert!((60..140).contains(&count(Scheduler::Pct { depth })), "{depth}");
        }
    }
}
