//! Do the topic's books free each place once, when its last group has settled it? (G2, G4, G5, G25) Sets of numbers
//! play the bits, and a table of who has still to settle what plays the books.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// What the message at an offset weighs, where anything does.
fn weight_of(offset: u64) -> u64 {
    offset % 5
}

/// A batch is its base.
impl Weighed for u64 {
    fn weight(&self, which: Bits) -> u64 {
        which.iter().map(|at| weight_of(self + u64::from(at))).sum()
    }
}

impl Weighed for () {
    fn weight(&self, _: Bits) -> u64 {
        0
    }
}

impl Weighed for char {
    fn weight(&self, _: Bits) -> u64 {
        0
    }
}

fn set(bits: Bits) -> BTreeSet<u16> {
    bits.runs().flat_map(|(from, to)| from..to).collect()
}

fn bits(ranges: &[(u16, u16)]) -> (Bits, BTreeSet<u16>) {
    let all = Bits::range(0, BATCH as u16);
    let none_of = |open: Bits, (from, to): &(u16, u16)| open.without(Bits::range(*from, *to));
    let numbers = ranges.iter().flat_map(|(from, to)| *from..*to).collect();
    // The complement of the complement: a union.
    (all.without(ranges.iter().fold(all, none_of)), numbers)
}

fn ranges() -> impl Strategy<Value = Vec<(u16, u16)>> {
    prop::collection::vec((0..=BATCH as u16, 0..=BATCH as u16), 0..6)
}

proptest! {
    #[test]
    fn bits_are_a_set_of_numbers(mine in ranges(), theirs in ranges()) {
        let ((mine, a), (theirs, b)) = (bits(&mine), bits(&theirs));
        prop_assert_eq!(set(mine), a.clone());
        prop_assert_eq!(mine.count(), a.len() as u64);
        prop_assert_eq!(mine.is_empty(), a.is_empty());
        prop_assert_eq!(set(mine.and(theirs)), &a & &b);
        prop_assert_eq!(set(mine.without(theirs)), &a - &b);
        let runs: Vec<_> = mine.runs().collect();
        prop_assert!(runs.iter().all(|(from, to)| from < to));
        prop_assert!(runs.windows(2).all(|pair| pair[0].1 < pair[1].0), "runs are as long as can be");
    }
}

#[test]
fn a_range_that_ends_before_it_begins_or_behind_the_batch_is_cut() {
    assert!(Bits::range(9, 9).is_empty() && Bits::range(9, 3).is_empty());
    assert_eq!(Bits::range(250, u16::MAX), Bits::range(250, 256));
    assert_eq!(Bits::range(63, 65).runs().collect::<Vec<_>>(), [(63, 65)]);
    assert_eq!(Bits::range(0, 256).runs().collect::<Vec<_>>(), [(0, 256)]);
}

/// Who has still to settle each message that is kept.
#[derive(Default)]
struct Model {
    kept: BTreeMap<u64, BTreeSet<GroupId>>,
    groups: Vec<GroupId>,
    next_group: u32,
    batches: Vec<(u64, u16)>,
    /// By batch and group, the messages that came back.
    again: BTreeMap<(u64, GroupId), Vec<u16>>,
    next: u64,
    /// What came in weighed so much, those that came back counted again; and what went.
    came: u64,
    went: u64,
}

#[derive(Clone, Debug)]
enum Step {
    /// The groups of these numbers skip the batch's beginning.
    Batch {
        len: u16,
        skip: u16,
        who: u8,
    },
    /// Begins with this part of what there is.
    Group(u8),
    Settle {
        who: u8,
        batch: u8,
        from: u16,
        len: u16,
    },
    /// From this batch on.
    Sweep(u8),
    Redrive {
        who: u8,
        batch: u8,
    },
    SettleAgain {
        who: u8,
        batch: u8,
    },
    Moved {
        batch: u8,
        index: u16,
    },
    Gone {
        who: u8,
        keep: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..=BATCH as u16, 0..300_u16, 0..9_u8).prop_map(|(len, skip, who)| Step::Batch { len, skip, who }),
        1 => any::<u8>().prop_map(Step::Group),
        9 => (any::<u8>(), any::<u8>(), 0..=BATCH as u16, prop_oneof![1..9_u16, Just(256)])
            .prop_map(|(who, batch, from, len)| Step::Settle { who, batch, from, len }),
        1 => prop_oneof![Just(0), any::<u8>()].prop_map(Step::Sweep),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(who, batch)| Step::Redrive { who, batch }),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(who, batch)| Step::SettleAgain { who, batch }),
        1 => (any::<u8>(), 0..BATCH as u16).prop_map(|(batch, index)| Step::Moved { batch, index }),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(who, keep)| Step::Gone { who, keep }),
    ]
}

impl Model {
    /// Applies a step to both; how many places it frees must agree.
    fn step(&mut self, books: &mut Books<u64>, step: Step) {
        match step {
            Step::Batch { len, skip, who } => {
                let from = |group: GroupId| if group.0 < u32::from(who) { skip.min(len) } else { 0 };
                books.on_batch(self.next, len, |group| Bits::range(from(group), u16::MAX));
                for at in 0..len {
                    let open = self.groups.iter().copied().filter(|group| from(*group) <= at);
                    self.kept.insert(self.next + u64::from(at), open.collect());
                }
                self.batches.push((self.next, len));
                self.came += (self.next..self.next + u64::from(len)).map(weight_of).sum::<u64>();
                self.next += u64::from(len);
            }
            Step::Group(part) => {
                let (group, first) = (GroupId(self.next_group), self.next * u64::from(part) / 255);
                self.next_group += 1;
                self.groups.push(group);
                let handed = books.on_group(group, |batch, base, kept| {
                    assert_eq!(*batch, base);
                    let from = first.saturating_sub(base).min(256);
                    // Asks for more than is kept on purpose: what has left is not seen again.
                    assert!(!kept.is_empty());
                    Bits::range(from as u16, u16::MAX)
                });
                let handed: Vec<u64> = handed
                    .into_iter()
                    .flat_map(|(base, open)| set(open).into_iter().map(move |at| base + u64::from(at)))
                    .collect();
                let wanted: Vec<u64> = self.kept.range(first..).map(|(offset, _)| *offset).collect();
                assert_eq!(handed, wanted, "what is kept, in order");
                self.kept.range_mut(first..).for_each(|(_, open)| open.extend([group]));
            }
            Step::Settle { who, batch, from, len } => {
                if self.groups.is_empty() || self.batches.is_empty() {
                    return;
                }
                let group = self.groups[usize::from(who) % self.groups.len()];
                let (base, size) = self.batches[usize::from(batch) % self.batches.len()];
                let (from, to) = (from.min(size), (from + len).min(size));
                let range = base + u64::from(from)..base + u64::from(to);
                self.kept.range_mut(range.clone()).for_each(|(_, open)| open.retain(|other| *other != group));
                let freed = books.on_settled(group, base, Bits::range(from, to));
                assert_eq!(freed, self.free(|offset| range.contains(&offset)));
                assert_eq!(books.on_settled(group, base, Bits::range(from, to)), 0, "once");
            }
            Step::Sweep(batch) => {
                let from = self.batches.get(usize::from(batch)).map_or(0, |(base, _)| *base);
                let freed = books.sweep(from);
                let expected = if self.groups.is_empty() { 0 } else { self.free(|offset| offset >= from) };
                assert_eq!(freed, expected);
            }
            Step::Redrive { who, batch } => {
                if let Some((group, base, len)) = self.pick(who, batch) {
                    let pinned = books.pinned();
                    let admitted = books.admits_again(base, len, pinned + 3);
                    let there = self.again.entry((base, group)).or_default();
                    let index = (u16::from(who) + there.len() as u16) % len;
                    let weight = weight_of(base + u64::from(index));
                    assert!(books.on_redriven(group, base, len, (index, weight)));
                    assert_eq!(admitted, books.pinned() < pinned + 3, "it says what comes of it");
                    there.push(index);
                    self.came += weight;
                }
            }
            Step::SettleAgain { who, batch } => {
                if let Some((group, base, _)) = self.pick(who, batch) {
                    let there = self.again.get_mut(&(base, group)).filter(|there| !there.is_empty());
                    let index = there.map(|there| there.remove(usize::from(who) % there.len()));
                    let settled = books.on_settled_again(group, base, index.unwrap_or(0));
                    assert_eq!(settled, u64::from(index.is_some()));
                }
            }
            Step::Moved { batch, index } => {
                if let Some((base, len)) = self.batches.get(usize::from(batch)).copied() {
                    let index = index.min(len - 1);
                    let offset = base + u64::from(index);
                    let freed = books.let_go(base, Bits::range(index, index + 1));
                    assert_eq!(freed, self.free(|other| other == offset));
                }
            }
            Step::Gone { who, keep } => {
                if let Some(at) = usize::from(who).checked_rem(self.groups.len()) {
                    let group = self.groups.remove(at);
                    let had = |(_, open): (&u64, &BTreeSet<GroupId>)| open.contains(&group);
                    let had: BTreeSet<u64> =
                        self.kept.iter().filter(|entry| had(*entry)).map(|(offset, _)| *offset).collect();
                    self.kept.values_mut().for_each(|open| open.retain(|other| *other != group));
                    let mut expected = if keep { 0 } else { self.free(|offset| had.contains(&offset)) };
                    self.again.retain(|(_, whose), there| {
                        expected += if *whose == group { there.len() as u64 } else { 0 };
                        *whose != group
                    });
                    assert_eq!(books.on_group_gone(group, keep), expected);
                    assert_eq!((books.on_group_gone(group, keep), books.open(group)), (0, 0), "once");
                }
            }
        }
        self.check(books);
    }

    fn check(&mut self, books: &mut Books<u64>) {
        self.went += books.take_freed();
        let back = self
            .again
            .iter()
            .flat_map(|((base, _), there)| there.iter().map(move |at| base + u64::from(*at)));
        let load = self.kept.keys().copied().chain(back).map(weight_of).sum::<u64>();
        assert_eq!((books.load(), self.came), (load, self.went + load), "a weight goes with its place");
        let again: u64 = self.again.values().map(|there| there.len() as u64).sum();
        assert_eq!((books.unsettled(), books.next_offset()), (self.kept.len() as u64 + again, self.next));
        let mut pinned = 0;
        for (base, len) in &self.batches {
            let kept = self.kept.range(*base..base + u64::from(*len)).count() as u64;
            let of_batch = |(at, _): &(&(u64, GroupId), &Vec<u16>)| at.0 == *base;
            let again: u64 = self.again.iter().filter(of_batch).map(|(_, there)| there.len() as u64).sum();
            // Alive are all of a batch that is live or has one that came back; as many as can be hold a place.
            let places = if kept > 0 { kept } else { again };
            pinned += if places > 0 { u64::from(*len).saturating_sub(places) } else { 0 };
        }
        assert_eq!(books.pinned(), pinned);
        assert_eq!(books.counted(), (books.unsettled(), pinned, load));
        assert_eq!(books.oldest().map(|(base, at)| base + u64::from(at)), self.kept.keys().next().copied());
        let oldest_again = self.again.iter().find(|(_, there)| !there.is_empty()).map(|((base, _), _)| *base);
        for group in &self.groups {
            let open = self.kept.values().filter(|open| open.contains(group)).count() as u64;
            let mine = |(at, _): &(&(u64, GroupId), &Vec<u16>)| at.1 == *group;
            let again: u64 = self.again.iter().filter(mine).map(|(_, there)| there.len() as u64).sum();
            assert_eq!(books.open(*group), open + again);
            let oldest = self.kept.iter().find(|(_, open)| open.contains(group)).map(|(offset, _)| *offset);
            assert_eq!(books.oldest_of(*group).map(|(base, at)| base + u64::from(at)), oldest);
            if let Some(base) =
                oldest_again.filter(|base| self.kept.keys().next().is_none_or(|first| base <= first))
            {
                assert_eq!(
                    books.holds_oldest(*group),
                    self.again.get(&(base, *group)).is_some_and(|there| !there.is_empty())
                );
            }
        }
    }

    fn pick(&self, who: u8, batch: u8) -> Option<(GroupId, u64, u16)> {
        let group = self.groups.get(usize::from(who).checked_rem(self.groups.len())?)?;
        let (base, len) = self.batches.get(usize::from(batch).checked_rem(self.batches.len())?)?;
        Some((*group, *base, *len))
    }

    fn free(&mut self, within: impl Fn(u64) -> bool) -> u64 {
        let before = self.kept.len();
        self.kept.retain(|offset, open| !(within(*offset) && open.is_empty()));
        (before - self.kept.len()) as u64
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_place_is_freed_once_when_every_group_has_settled_it(steps in prop::collection::vec(step(), 0..40)) {
        let (mut model, mut books) = (Model::default(), Books::new());
        for step in steps {
            model.step(&mut books, step);
        }
        model.step(&mut books, Step::Group(0));
        // What was kept when a group left, and is open for nobody.
        model.step(&mut books, Step::Sweep(0));
        for who in 0..model.groups.len() {
            for batch in 0..model.batches.len() {
                model.step(&mut books, Step::Settle { who: who as u8, batch: batch as u8, from: 0, len: 256 });
            }
        }
        for ((base, group), there) in std::mem::take(&mut model.again) {
            there.into_iter().for_each(|at| assert_eq!(books.on_settled_again(group, base, at), 1));
        }
        model.check(&mut books);
        prop_assert_eq!((books.unsettled(), books.pinned(), books.load()), (0, 0, 0));
        prop_assert!(books.live.is_empty(), "the payloads are let go");
    }
}

/// G2: however messages are settled, if large batches are made only while less is pinned than the capacity.
#[test]
fn payloads_that_are_alive_or_pinned_stay_below_three_times_the_capacity() {
    const CAPACITY: u64 = 1000;
    // In each of these ways the nth message is settled late, if ever.
    let late: [fn(u64) -> bool; 4] = [|n| n % 256 == 0, |n| n % 100 == 7, |n| n % 2 == 0, |n| n % 1000 < 3];
    for late in late {
        let mut books = Books::new();
        books.on_group(GroupId(0), |_: &(), _, kept| kept);
        let (mut most, mut in_batches) = (0, VecDeque::new());
        while books.next_offset() < 200_000 {
            let room = CAPACITY - books.unsettled();
            let burst = if books.pinned() < CAPACITY { BATCH as u64 } else { 1 };
            let (base, len) = (books.next_offset(), burst.min(room) as u16);
            if len > 0 {
                books.on_batch((), len, |_| Bits::range(0, len));
                in_batches.push_back((base, len));
            }
            // Full of what is late: the oldest batch is settled after all.
            if books.unsettled() == CAPACITY {
                let (base, len) = in_batches.pop_front().unwrap();
                books.on_settled(GroupId(0), base, Bits::range(0, len));
            }
            for at in (0..len).filter(|at| !late(base + u64::from(*at))) {
                books.on_settled(GroupId(0), base, Bits::range(at, at + 1));
            }
            most = most.max(books.unsettled() + books.pinned());
        }
        assert!((CAPACITY..3 * CAPACITY).contains(&most), "{most}");
    }
}

/// G2: what comes back keeps its old batch, if only while less is pinned than the capacity.
#[test]
fn payloads_stay_below_three_times_the_capacity_with_messages_that_come_back_and_stay() {
    const CAPACITY: u64 = 1000;
    let mut books = Books::new();
    books.on_group(GroupId(0), |_: &(), _, kept| kept);
    let (mut alive, mut letters, mut back) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
    let (mut most, mut waited) = (0, 0);
    while books.next_offset() < 100_000 {
        let burst = if books.pinned() < CAPACITY { BATCH as u64 } else { 1 };
        let (base, len) = (books.next_offset(), burst.min(CAPACITY - books.unsettled()) as u16);
        if len > 0 {
            books.on_batch((), len, |_| Bits::range(0, len));
            alive.push_back((base, len));
        }
        // Half of the capacity is being handled. Of the rest one message of each batch was given up; it comes back as
        // soon as it may, and is settled when nothing else can be.
        while alive.iter().map(|(_, len)| u64::from(*len)).sum::<u64>() > CAPACITY / 2 {
            let (base, len) = alive.pop_front().unwrap();
            books.on_settled(GroupId(0), base, Bits::range(0, len));
            letters.push_back((base, len));
        }
        while let Some((base, len)) = letters.front().copied().filter(|_| books.unsettled() < CAPACITY) {
            if !books.admits_again(base, len, CAPACITY) {
                waited += 1;
                break;
            }
            assert!(books.on_redriven(GroupId(0), base, len, (0, 0)));
            back.push_back(base);
            letters.pop_front();
        }
        most = most.max(books.unsettled() + books.pinned());
        if books.unsettled() == CAPACITY || letters.len() > 9 {
            assert_eq!(books.on_settled_again(GroupId(0), back.pop_front().unwrap(), 0), 1);
        }
    }
    assert!(waited > 0 && (CAPACITY..3 * CAPACITY).contains(&most), "{waited} {most}");
}

#[test]
fn without_a_group_everything_is_kept_for_the_first() {
    let mut books = Books::new();
    books.on_batch('a', 3, |_| Bits::default());
    assert_eq!((books.sweep(0), books.unsettled()), (0, 3));
    assert_eq!(books.on_group(GroupId(0), |_, _, kept| kept), [('a', Bits::range(0, 3))]);
}

#[test]
fn words_of_an_unknown_group_or_batch_free_nothing() {
    let mut books = Books::new();
    books.on_group(GroupId(0), |_: &char, _, kept| kept);
    books.on_batch('a', 3, |_| Bits::range(0, 3));
    assert_eq!(books.on_settled(GroupId(9), 0, Bits::range(0, 3)), 0);
    assert_eq!(books.on_settled(GroupId(0), 1, Bits::range(0, 3)), 0);
    assert!(!books.on_redriven(GroupId(9), 0, 3, (0, 0)));
    assert_eq!((books.on_settled_again(GroupId(0), 0, 0), books.let_go(7, Bits::range(0, 1))), (0, 0));
    assert_eq!((books.open(GroupId(9)), books.unsettled()), (0, 3));
    assert_eq!(books.on_settled(GroupId(0), 0, Bits::range(0, 3)), 3);
}
