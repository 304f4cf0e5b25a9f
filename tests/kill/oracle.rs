//! Holds what processes said, over all their lives, against what durable topics promise.

use std::collections::{BTreeMap, BTreeSet};

use crate::rounds::{ATTEMPTS, is_bad};

/// A message: its topic and its offset.
type Place = (String, u64);
/// What is in it: in which life, by which writer, and as his which.
type Text = [u32; 3];

#[derive(Default)]
pub(crate) struct Oracle {
    life: u32,
    texts: BTreeMap<Place, Text>,
    confirmed: BTreeSet<Place>,
    /// By group: in which life it was handed out last, and as which attempt.
    got: BTreeMap<(String, Place), (u32, u32)>,
    /// By group and topic: the latest that was handed out for the first time.
    latest: BTreeMap<(String, String), u64>,
    settled: BTreeSet<Place>,
    billed: BTreeSet<Place>,
    buried: BTreeSet<Place>,
    again: u32,
}

impl Oracle {
    /// A process begins.
    pub(crate) fn begin(&mut self, life: u32) {
        self.life = life;
    }

    /// It said this.
    pub(crate) fn hear(&mut self, line: &str) {
        let life = self.life;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["begins"] => {}
            ["confirmed", topic, offset, ref text @ ..] => {
                let place = self.place(topic, offset, text);
                assert!(self.confirmed.insert(place), "life {life}: two have this place: {line}");
            }
            ["got", topic, group, offset, one, two, three, attempt, maybe] => {
                let place = self.place(topic, offset, &[one, two, three]);
                self.on_got(group, place, attempt.parse().unwrap(), maybe == "true", line);
            }
            ["settled", topic, offset] => drop(self.settled.insert((topic.into(), offset.parse().unwrap()))),
            ["billed", topic, offset] => drop(self.billed.insert((topic.into(), offset.parse().unwrap()))),
            ["buried", topic, offset, one, two, three, attempts] => {
                let place = self.place(topic, offset, &[one, two, three]);
                assert_eq!(
                    attempts.parse::<u32>(),
                    Ok(ATTEMPTS),
                    "life {life}: buried too soon, or too late: {line}"
                );
                self.buried.insert(place);
            }
            _ => panic!("life {life}: who says {line:?}?"),
        }
    }

    /// G20: what is at a place never changes.
    fn place(&mut self, topic: &str, offset: &str, text: &[&str]) -> Place {
        let place = (topic.to_string(), offset.parse().unwrap());
        let text: Vec<u32> = text.iter().map(|number| number.parse().unwrap()).collect();
        let text: Text = text.try_into().unwrap();
        let before = *self.texts.entry(place.clone()).or_insert(text);
        assert_eq!(before, text, "life {}: another message at {place:?}", self.life);
        place
    }

    fn on_got(&mut self, group: &str, place: Place, attempt: u32, maybe: bool, line: &str) {
        let life = self.life;
        let settled = group == "audit" && self.settled.contains(&place);
        assert!(!settled, "life {life}: the disk had its ack, and it came again: {line}");
        assert!(attempt <= ATTEMPTS || group == "audit", "life {life}: too many attempts: {line}");
        match self.got.insert((group.to_string(), place.clone()), (life, attempt)) {
            // G8.
            Some((then, before)) if then == life => {
                assert!(attempt > before, "life {life}: again, and not so marked: {line}");
            }
            Some(_) => {
                assert!(attempt > 1 || maybe, "life {life}: again, and not so marked: {line}");
                self.again += 1;
            }
            // G10: what fails comes again later, so only the first time of each counts.
            None => {
                let (topic, offset) = place;
                let latest = self.latest.insert((group.to_string(), topic), offset);
                assert!(latest < Some(offset), "life {life}: behind {latest:?}, out of order: {line}");
            }
        }
    }

    /// After the last process has settled all that was left. Answers what there was, in words.
    pub(crate) fn check(&self) -> String {
        for place in &self.confirmed {
            let number = self.texts[place][2];
            for group in ["audit", "billing"] {
                assert!(
                    self.got.contains_key(&(group.to_string(), place.clone())),
                    "{group} never got {place:?}"
                );
            }
            let (billed, buried) = (self.billed.contains(place), self.buried.contains(place));
            assert_eq!((billed, buried), (!is_bad(number), is_bad(number)), "{place:?}, number {number}");
        }
        self.check_writers();
        let (all, again, buried) = (self.confirmed.len(), self.again, self.buried.len());
        let unconfirmed = self.texts.len() - all;
        assert!(all > 0 && buried > 0, "there was something to lose");
        format!(
            "{all} confirmed, {unconfirmed} more found, {buried} buried, {again} came again in a later life"
        )
    }

    /// What each writer sent is in its order, and without a gap before what it had confirmed.
    fn check_writers(&self) {
        let mut next: BTreeMap<(&str, u32, u32), u32> = BTreeMap::new();
        for ((topic, offset), [life, writer, number]) in &self.texts {
            let next = next.entry((topic, *life, *writer)).or_default();
            assert_eq!(number, next, "{topic} {offset}: life {life}, writer {writer}");
            *next += 1;
        }
    }
}

/// Each thing that may not be is caught.
#[test]
fn the_oracle_catches_what_is_planted() {
    let good = |life| {
        let message = |offset: u32, number: u32| {
            let text = format!("orders {offset} {life} 0 {number}");
            let got =
                |group, attempt| format!("got orders {group} {offset} {life} 0 {number} {attempt} false");
            let end =
                if is_bad(number) { format!("buried {text} 3") } else { format!("billed orders {offset}") };
            [
                format!("confirmed {text}"),
                got("audit", 1),
                got("billing", 1),
                format!("settled orders {offset}"),
                end,
            ]
        };
        (0..6).flat_map(|number| message(number, number)).collect::<Vec<String>>()
    };
    let caught = |change: &dyn Fn(&mut Vec<String>), later: &[&str]| {
        let mut said = good(0);
        change(&mut said);
        let run = || {
            let mut oracle = Oracle::default();
            said.iter().for_each(|line| oracle.hear(line));
            oracle.begin(1);
            later.iter().for_each(|line| oracle.hear(line));
            oracle.check()
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
            .err()
            .map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    };
    assert_eq!(caught(&|_| {}, &[]), None);
    assert_eq!(caught(&|_| {}, &["got orders billing 2 0 0 2 1 true"]), None);
    let lost = |said: &mut Vec<String>| said.retain(|line| !line.starts_with("got orders audit 3"));
    let unhandled = |said: &mut Vec<String>| said.retain(|line| line != "billed orders 4");
    let swapped = |said: &mut Vec<String>| said.swap(7, 12);
    for (bug, change, later) in [
        ("never got", &lost as &dyn Fn(&mut Vec<String>), &[][..]),
        ("number 4", &unhandled, &[]),
        ("out of order", &swapped, &[]),
        ("it came again", &|_| {}, &["got orders audit 2 0 0 2 2 true"]),
        ("not so marked", &|_| {}, &["got orders billing 2 0 0 2 1 false"]),
        ("too many attempts", &|_| {}, &["got orders billing 2 0 0 2 4 true"]),
        ("another message", &|_| {}, &["got orders billing 2 0 0 3 2 true"]),
        ("two have this place", &|_| {}, &["confirmed orders 2 0 0 2"]),
        ("life 1, writer 0", &|_| {}, &["got orders billing 6 1 0 1 1 true"]),
    ] {
        let said = caught(change, later).unwrap_or_else(|| panic!("not caught: {bug}"));
        assert!(said.contains(bug), "{bug}: {said}");
    }
}
