//! A whole run in one number.

use super::rng::mix;

/// Folds what happened into a number: equal runs have equal numbers, and a different order another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace(u64);

impl Trace {
    pub(super) fn new() -> Trace {
        Trace(1)
    }

    pub(super) fn note(&mut self, event: u64) {
        // Why the rotation: without it, an event equal to the trace so far would forget all before it.
        self.0 = mix(self.0.rotate_left(5).wrapping_add(1) ^ mix(event));
    }

    pub(super) fn hash(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(events: &[u64]) -> u64 {
        let mut trace = Trace::new();
        events.iter().for_each(|event| trace.note(*event));
        trace.hash()
    }

    #[test]
    fn a_trace_tells_order_count_and_content() {
        assert_eq!(of(&[1, 2, 3]), of(&[1, 2, 3]));
        let others: [&[u64]; 5] = [&[1, 3, 2], &[1, 2], &[0, 1, 2, 3], &[1, 2, 3, 0], &[1, 2, 4]];
        for other in others {
            assert_ne!(of(&[1, 2, 3]), of(other), "{other:?}");
        }
    }
}
