//! What one listener has not heard yet. Pure.

use std::collections::VecDeque;

use crate::broker::Event;

/// Keeps the first events that find room, and counts the others at the places where they would have been.
#[derive(Debug)]
pub(super) struct Buffer {
    capacity: usize,
    /// Each with how many were missed right before it. Limit: `capacity`.
    kept: VecDeque<(u64, Event)>,
    /// Missed since the last one that was kept.
    missed: u64,
}

impl Buffer {
    pub(super) fn new(capacity: usize) -> Buffer {
        Buffer { capacity, kept: VecDeque::new(), missed: 0 }
    }

    pub(super) fn push(&mut self, event: Event) {
        if self.kept.len() < self.capacity {
            self.kept.push_back((std::mem::take(&mut self.missed), event));
        } else {
            self.missed = self.missed.saturating_add(1);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.missed == 0
    }

    /// The next one, or the count of those that were missed before it.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let missed = self.kept.front_mut().map_or(&mut self.missed, |(missed, _)| missed);
        match std::mem::take(missed) {
            0 => self.kept.pop_front().map(|(_, event)| event),
            events => Some(Event::Missed { events }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(number: u64) -> Event {
        Event::BrokerStopped { lost: number, timed_out: false, took: std::time::Duration::ZERO }
    }

    /// Where the next event stands that `heard` tells of.
    fn walk(heard: &Event, at: u64) -> u64 {
        match heard {
            Event::Missed { events } => at + events,
            Event::BrokerStopped { lost, .. } => {
                assert_eq!(*lost, at, "in order, and what is left out was told before");
                at + 1
            }
            other => panic!("nobody told {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn every_event_is_heard_or_counted_at_its_place(capacity in 0usize..5, pushes in proptest::collection::vec(0u64..4, 0..40)) {
            let mut buffer = Buffer::new(capacity);
            let (mut told, mut at, mut missed_last) = (0, 0, false);
            for burst in pushes {
                for _ in 0..burst {
                    buffer.push(event(told));
                    told += 1;
                }
                prop_assert!(buffer.kept.len() <= capacity);
                if let Some(heard) = buffer.pop() {
                    let missed = matches!(heard, Event::Missed { .. });
                    prop_assert!(!(missed && missed_last) || capacity == 0, "one count for a gap");
                    missed_last = missed;
                    at = walk(&heard, at);
                }
            }
            while let Some(heard) = buffer.pop() {
                at = walk(&heard, at);
            }
            prop_assert_eq!(at, told);
        }
    }

    #[test]
    fn a_gap_is_told_where_it_is() {
        let mut buffer = Buffer::new(2);
        (0..5).for_each(|number| buffer.push(event(number)));
        assert_eq!(buffer.pop(), Some(event(0)));
        buffer.push(event(5));
        buffer.push(event(6));
        let rest: Vec<Event> = std::iter::from_fn(|| buffer.pop()).collect();
        assert_eq!(rest, [event(1), Event::Missed { events: 3 }, event(5), Event::Missed { events: 1 }]);
    }
}
