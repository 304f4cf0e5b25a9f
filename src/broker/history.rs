//! What a topic keeps of what is settled, and from where on. Pure.
//!
//! A topic that retains has all that it accepted from its floor on, settled or not; the floor rises as the limits say. What groups
//! have still to settle is in the topic's books beside that, whatever the floor.
//!
//! The limits are held by runs of messages, since a floor that is exact to the message would cost an entry for each: of count alone
//! no run is needed, and of bytes and age a run is at most a 256th of the limit.

use std::collections::VecDeque;
use std::ops::Range;

use super::Retain;
use super::bits::Bits;
use crate::base::whole_millis;

/// Decides from where on a topic is kept.
#[derive(Debug)]
pub(crate) struct Retention {
    limits: Retain,
    /// In order, the newest last. Limit: see above.
    runs: VecDeque<Run>,
    /// In all runs.
    bytes: u64,
    floor: u64,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// One behind its last message.
    end: u64,
    bytes: u64,
    /// Of its first message, and of its last.
    from_millis: u64,
    millis: u64,
}

/// A limit is held by so many runs.
const RUNS: u64 = 256;

impl Retention {
    /// For a topic that has what lies from `floor` on, and whose next message is `next`.
    pub(crate) fn new(limits: Retain, floor: u64, next: u64) -> Retention {
        Retention { limits, runs: VecDeque::new(), bytes: 0, floor, next }
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// No limit asks for bytes or times.
    pub(crate) fn is_by_count(&self) -> bool {
        self.limits.bytes.is_none() && self.limits.age.is_none()
    }

    /// The next messages, up to `end`, have so many bytes; the last one has these milliseconds.
    pub(crate) fn push(&mut self, end: u64, bytes: u64, millis: u64) {
        self.next = end;
        // Why: what came back has the time of its first life, and nothing before it is older for that.
        let millis = self.runs.back().map_or(millis, |run| millis.max(run.millis));
        if self.is_by_count() {
            return;
        }
        self.bytes += bytes;
        let most = self.limits.bytes.map_or(u64::MAX, |most| most / RUNS);
        let long = self.limits.age.map_or(u64::MAX, |age| whole_millis(age) / RUNS);
        match self.runs.back_mut() {
            Some(run) if run.bytes + bytes <= most && millis.saturating_sub(run.from_millis) <= long => {
                (run.end, run.bytes, run.millis) = (end, run.bytes + bytes, millis);
            }
            _ => self.runs.push_back(Run { end, bytes, from_millis: millis, millis }),
        }
    }

    /// Many at once, whose bytes are shared among them as if they were alike: so that a limit takes no more of them than it must.
    pub(crate) fn push_all(&mut self, messages: Range<u64>, bytes: u64, millis: u64) {
        let many = messages.end.saturating_sub(messages.start);
        let parts = many.clamp(1, RUNS);
        let share = |all: u64, part: u64| all / parts * part + all % parts * part / parts;
        for part in 1..=parts {
            let its = share(bytes, part) - share(bytes, part - 1);
            self.push(messages.start + share(many, part), its, millis);
        }
    }

    /// Raises the floor as the limits say, now that it is so many milliseconds since 1970.
    pub(crate) fn trim(&mut self, now: u64) -> u64 {
        if let Some(messages) = self.limits.messages {
            self.floor = self.floor.max(self.next.saturating_sub(messages));
        }
        let since = self.limits.age.map(|age| now.saturating_sub(whole_millis(age)));
        while let Some(run) = self.runs.front() {
            let too_many = self.limits.bytes.is_some_and(|most| self.bytes > most);
            let too_old = since.is_some_and(|since| run.millis < since);
            if !too_many && !too_old && run.end > self.floor {
                break;
            }
            self.floor = self.floor.max(run.end);
            self.bytes -= run.bytes;
            self.runs.pop_front();
        }
        self.floor
    }

    /// In which millisecond the next run is too old.
    pub(crate) fn due(&self) -> Option<u64> {
        let age = whole_millis(self.limits.age?);
        Some(self.runs.front()?.millis.saturating_add(age).saturating_add(1))
    }
}

/// A batch, as a history sees it.
pub(crate) trait Page: Clone {
    fn base(&self) -> u64;
    fn len(&self) -> u16;
    fn millis(&self, at: u16) -> u64;
}

/// The batches of a topic in memory, from the first one with something above the floor on.
#[derive(Debug)]
pub(crate) struct History<B> {
    /// In order, without gaps. Limit: what the topic retains, and a batch.
    pages: VecDeque<B>,
    /// What all of them hold.
    messages: u64,
}

impl<B> Default for History<B> {
    fn default() -> History<B> {
        History { pages: VecDeque::new(), messages: 0 }
    }
}

impl<B: Page> History<B> {
    pub(crate) fn push(&mut self, page: B) {
        self.messages += u64::from(page.len());
        self.pages.push_back(page);
    }

    /// Lets go of what lies below the floor.
    pub(crate) fn trim(&mut self, floor: u64) {
        while let Some(page) = self.pages.front().filter(|page| end(*page) <= floor) {
            self.messages -= u64::from(page.len());
            self.pages.pop_front();
        }
    }

    /// Messages in memory for its sake, or for others' too.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// The batch that has the offset `from`, or the first one behind it.
    pub(crate) fn at(&self, from: u64) -> Option<B> {
        let at = self.pages.partition_point(|page| end(page) <= from);
        self.pages.get(at).cloned()
    }

    /// The last batch that begins before `upto`.
    pub(crate) fn before(&self, upto: u64) -> Option<B> {
        let at = self.pages.partition_point(|page| page.base() < upto);
        self.pages.get(at.checked_sub(1)?).cloned()
    }

    /// The first offset of which this holds, as it does of all behind it; if there is one.
    pub(crate) fn find(&self, is_there: impl Fn(&B, u16) -> bool) -> Option<u64> {
        let earlier = |page: &B| page.len().checked_sub(1).is_some_and(|last| !is_there(page, last));
        let page = self.pages.get(self.pages.partition_point(earlier))?;
        let at = (0..page.len()).find(|at| is_there(page, *at))?;
        Some(page.base() + u64::from(at))
    }
}

/// One behind a batch's last offset.
pub(crate) fn end(page: &impl Page) -> u64 {
    page.base() + u64::from(page.len())
}

/// Those of a batch that lie within these offsets.
pub(crate) fn within(page: &impl Page, from: u64, to: u64) -> Bits {
    let index = |offset: u64| {
        let at = offset.saturating_sub(page.base()).min(u64::from(page.len()));
        u16::try_from(at).unwrap_or(page.len())
    };
    Bits::range(index(from), index(to))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Made(u64, Vec<u64>);

    impl Page for Made {
        fn base(&self) -> u64 {
            self.0
        }
        fn len(&self) -> u16 {
            self.1.len() as u16
        }
        fn millis(&self, at: u16) -> u64 {
            self.1[usize::from(at)]
        }
    }

    proptest! {
        /// Of all that came, the newest stay, as many as each limit allows; of bytes and age up to a 256th more goes or stays.
        #[test]
        fn what_is_kept_is_the_newest_that_the_limits_allow(
            came in proptest::collection::vec((0_u64..600, 0_u64..40), 1..400),
            messages in proptest::option::of(1_u64..300),
            bytes in proptest::option::of(1_u64..60_000),
            age in proptest::option::of(1_u64..4_000),
        ) {
            let limits = Retain { messages, bytes, age: age.map(Duration::from_millis) };
            let (mut retention, mut now) = (Retention::new(limits, 0, 0), 1_000_000);
            for (at, (size, later)) in (1..).zip(&came) {
                now += later;
                retention.push(at, *size, now);
                let before = retention.floor();
                let floor = retention.trim(now);
                prop_assert!(floor >= before && floor <= at);
                let kept = &came[floor as usize..at as usize];
                let sum: u64 = kept.iter().map(|(size, _)| size).sum();
                prop_assert!(messages.is_none_or(|most| kept.len() as u64 <= most));
                prop_assert!(bytes.is_none_or(|most| sum <= most));
                let millis = |at: u64| 1_000_000 + came[..=at as usize].iter().map(|(_, later)| later).sum::<u64>();
                if let Some(last) = floor.checked_sub(1) {
                    // What went last had to go, but for the rest of its run.
                    let by_count = messages.is_some_and(|most| at - last > most);
                    let by_age = age.is_some_and(|age| now - millis(last) > age);
                    let with = sum + came[last as usize].0;
                    let by_bytes = bytes.is_some_and(|most| with > most || with + most / RUNS > most);
                    prop_assert!(by_count || by_age || by_bytes || before == floor, "{floor} of {at}");
                }
                if let Some(age) = age {
                    let grain = age / RUNS;
                    let old = (floor..at).find(|at| now - millis(*at) <= age + grain);
                    prop_assert!(old.is_none_or(|first| first == floor), "too old ones stay");
                }
            }
            if let Some(due) = retention.due() {
                let floor = retention.floor();
                prop_assert_eq!(retention.trim(due - 1), floor);
                prop_assert!(retention.trim(due) > floor, "what is due goes");
            }
        }
    }

    #[test]
    fn what_was_there_before_goes_in_pieces_too() {
        let mut retention = Retention::new(Retain::all().bytes(1000), 0, 900);
        retention.push_all(0..900, 900, 5);
        assert_eq!(retention.trim(5), 0);
        retention.push(901, 200, 5);
        assert!((100..=110).contains(&retention.trim(5)), "{retention:?}");
    }

    #[test]
    fn what_comes_back_makes_nothing_older() {
        let age = Retain::all().age(Duration::from_secs(1000));
        let mut retention = Retention::new(age, 0, 0);
        retention.push(1, 0, 2_000_000);
        retention.push(2, 0, 5);
        assert_eq!(retention.trim(2_000_000), 0);
        assert_eq!(retention.due(), Some(3_000_001));
    }

    #[test]
    fn pages_are_found_by_offset_and_by_time() {
        let mut history = History::default();
        history.push(Made(5, vec![10, 10, 12]));
        history.push(Made(8, vec![12, 20]));
        assert_eq!((history.messages(), history.at(0).map(|page| page.0)), (5, Some(5)));
        let base = |page: Option<Made>| page.map(|page| page.0);
        assert_eq!(
            [0, 5, 7, 8, 9, 10].map(|from| base(history.at(from))),
            [5, 5, 5, 8, 8, 0].map(|base| (base > 0).then_some(base))
        );
        assert_eq!(
            [5, 6, 8, 9, 99].map(|upto| base(history.before(upto))),
            [0, 5, 5, 8, 8].map(|base| (base > 0).then_some(base))
        );
        assert_eq!(
            [0, 10, 11, 13, 21].map(|millis| history.find(|page, at| page.millis(at) >= millis)),
            [Some(5), Some(5), Some(7), Some(9), None]
        );
        assert_eq!(within(&Made(5, vec![1; 3]), 6, 99), Bits::range(1, 3));
        history.trim(7);
        assert_eq!(
            (history.messages(), history.at(0).map(|page| page.0)),
            (5, Some(5)),
            "a batch goes as a whole"
        );
        history.trim(8);
        assert_eq!((history.messages(), history.at(0).map(|page| page.0)), (2, Some(8)));
    }
}
