//! The tasks that can run.

use super::rng::Rng;

/// Numbers a task, in the order of spawning. Never used twice in one simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId(pub(super) u64);

/// Holds the tasks that can run and picks the next one by lot.
///
/// A list and not a queue: the order of arrival means nothing, every ready task may be next.
#[derive(Debug, Default)]
pub(super) struct Ready(Vec<TaskId>);

impl Ready {
    pub(super) fn push(&mut self, task: TaskId) {
        self.0.push(task);
    }

    pub(super) fn remove(&mut self, task: TaskId) {
        self.0.retain(|ready| *ready != task);
    }

    pub(super) fn pick(&mut self, rng: &mut Rng) -> Option<TaskId> {
        match self.0.len() {
            0 => None,
            // Why no draw: a choice of one is none, and a draw would cost as much as the rest of the pick.
            1 => self.0.pop(),
            len => Some(self.0.swap_remove(rng.below(len))),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn order(seed: u64) -> Vec<u64> {
        let mut ready = Ready::default();
        (0..4).for_each(|id| ready.push(TaskId(id)));
        let mut rng = Rng::new(seed, 0);
        std::iter::from_fn(|| ready.pick(&mut rng)).map(|id| id.0).collect()
    }

    #[test]
    fn every_order_comes_up_and_a_seed_gives_always_the_same() {
        let orders: BTreeSet<Vec<u64>> = (0..500).map(order).collect();
        assert_eq!(orders.len(), 4 * 3 * 2);
        assert!((0..500).all(|seed| order(seed) == order(seed)));
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
}
