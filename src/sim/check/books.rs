//! Do the books balance, and agree with what is there? Do limits hold? Asked at each step, when an actor rests.

use crate::broker::GroupStats;
use crate::broker::{Counted, TopicCounts};

/// P23, and P7 as far as a group knows its limits: `most` is what its consumers may hold.
pub(in crate::sim) fn group_books(
    stats: &GroupStats,
    counted: Counted,
    most: u64,
) -> Option<(&'static str, String)> {
    let removed = stats.evicted + stats.skipped + stats.expired;
    let parts = stats.acked + stats.dropped + stats.dead_lettered + removed;
    let parts = parts + stats.backlog + stats.in_flight + stats.delayed + stats.parked;
    if parts != stats.entered {
        return Some(("P23", format!("{} entered and {parts} are accounted for: {stats:?}", stats.entered)));
    }
    let said = Counted {
        backlog: stats.backlog,
        in_flight: stats.in_flight,
        delayed: stats.delayed,
        parked: stats.parked,
    };
    if said != counted {
        return Some(("P23", format!("the books say {said:?}, and there are {counted:?}")));
    }
    if stats.in_flight > most {
        return Some(("P7", format!("{} are in flight and {most} may be", stats.in_flight)));
    }
    None
}

/// P23, P7, P8 and P16 of a topic at rest. `reserved`: sinks may hold places for what they have not sent yet. `most`: its
/// capacity, or with how much more it was opened.
pub(in crate::sim) fn topic_books(
    books: TopicCounts,
    counted: TopicCounts,
    reserved: bool,
    most: u64,
) -> Option<(&'static str, String)> {
    let TopicCounts { capacity: _, held, waiting, unsettled, pinned, bytes } = books;
    if books != counted {
        return Some(("P23", format!("the books say {books:?}, and there are {counted:?}")));
    }
    if held > most {
        return Some(("P7", format!("{held} places are taken of {most}")));
    }
    if bytes.load > bytes.limit {
        return Some(("P7", format!("{} bytes are taken of {}", bytes.load, bytes.limit)));
    }
    if unsettled + pinned >= 3 * most.max(1) {
        return Some(("P7", format!("{unsettled} payloads are alive and {pinned} pinned, of {most}")));
    }
    let used = unsettled + waiting;
    if used > held || (used < held && !reserved) {
        return Some(("P16", format!("{held} places are taken by {used} messages")));
    }
    let used = bytes.unsettled + bytes.waiting;
    if used > bytes.load || (used < bytes.load && !reserved) {
        return Some(("P16", format!("{} bytes are taken by messages of {used}", bytes.load)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Bytes, GroupState};

    fn stats() -> GroupStats {
        let mut stats = GroupStats::new(GroupState::Running, Default::default(), 2, 0, 0, (0, 0));
        (stats.entered, stats.acked, stats.dropped, stats.dead_lettered) = (21, 1, 2, 3);
        (stats.backlog, stats.in_flight, stats.delayed, stats.parked) = (4, 5, 6, 0);
        stats
    }

    #[test]
    fn a_group_whose_sums_or_parts_are_off_is_found() {
        let counted = Counted { backlog: 4, in_flight: 5, delayed: 6, parked: 0 };
        assert_eq!(group_books(&stats(), counted, 5), None);
        assert_eq!(group_books(&stats(), counted, 4).unwrap().0, "P7");
        assert_eq!(group_books(&stats(), Counted { delayed: 5, ..counted }, 5).unwrap().0, "P23");
        let mut drifting = stats();
        drifting.acked += 1;
        assert_eq!(group_books(&drifting, counted, 5).unwrap().0, "P23");
    }

    #[test]
    fn a_topic_beyond_its_limits_or_with_places_nobody_has_is_found() {
        let good = TopicCounts {
            capacity: 4,
            held: 4,
            waiting: 1,
            unsettled: 3,
            pinned: 8,
            bytes: Bytes::default(),
        };
        assert_eq!(topic_books(good, good, false, 4), None);
        let rule = |books, counted, reserved| topic_books(books, counted, reserved, 4).map(|(rule, _)| rule);
        assert_eq!(rule(good, TopicCounts { unsettled: 2, ..good }, false), Some("P23"));
        let over = TopicCounts { held: 5, waiting: 2, ..good };
        assert_eq!(rule(over, over, false), Some("P7"));
        let pinned = TopicCounts { pinned: 9, ..good };
        assert_eq!(rule(pinned, pinned, false), Some("P7"));
        let leaked = TopicCounts { waiting: 0, ..good };
        assert_eq!((rule(leaked, leaked, false), rule(leaked, leaked, true)), (Some("P16"), None));
        let bytes = Bytes { limit: 9, load: 9, waiting: 4, unsettled: 5 };
        let weighed = TopicCounts { bytes, ..good };
        assert_eq!(topic_books(weighed, weighed, false, 4), None);
        let over = TopicCounts { bytes: Bytes { limit: 8, ..bytes }, ..good };
        assert_eq!(rule(over, over, true), Some("P7"));
        let leaked = TopicCounts { bytes: Bytes { unsettled: 4, ..bytes }, ..good };
        assert_eq!((rule(leaked, leaked, false), rule(leaked, leaked, true)), (Some("P16"), None));
        let unheld = TopicCounts { held: 3, ..good };
        assert_eq!(rule(unheld, unheld, true), Some("P16"));
    }
}
