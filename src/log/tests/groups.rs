//! Is what a group is done with, and has noted, what a naive set says: in any order, and however often the log is closed, killed
//! or turned in between? (G12)

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::crash::seeds;
use crate::log::hand::{DIR, Hand, small};
use crate::log::{Marks, Note};
use crate::sim::{CrashKind, SimDisk};

/// Messages that there are.
const MESSAGES: u64 = 60;

#[derive(Clone, Debug)]
enum Step {
    /// Runs in any order, that may lie over each other, and notes, also of what is done.
    Mark {
        runs: Vec<(u64, u64)>,
        notes: Vec<(u64, u32)>,
        heard: bool,
    },
    Seek(u64),
    Turn,
    Close,
    Kill,
    /// What was not confirmed may be lost: so all is, before.
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let run = (0..MESSAGES, 1..6_u64).prop_map(|(from, len)| (from, (from + len).min(MESSAGES)));
    let notes = vec((0..MESSAGES, 1..9_u32), 0..4);
    prop_oneof![
        12 => (vec(run, 0..4), notes, any::<bool>())
            .prop_map(|(runs, notes, heard)| Step::Mark { runs, notes, heard }),
        1 => (0..=MESSAGES).prop_map(Step::Seek),
        1 => Just(Step::Turn),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerCut),
    ]
}

#[derive(Default)]
struct Toy {
    done: BTreeSet<u64>,
    notes: BTreeMap<u64, u32>,
}

impl Toy {
    fn mark(&mut self, runs: &[(u64, u64)], notes: &[(u64, u32)]) {
        let before = self.done.clone();
        self.done.extend(runs.iter().flat_map(|(from, to)| *from..*to));
        self.notes.extend(notes.iter().copied().filter(|(at, _)| !before.contains(at)));
        self.notes.retain(|at, _| !self.done.contains(at));
    }

    fn floor(&self) -> u64 {
        (0..).find(|at| !self.done.contains(at)).unwrap()
    }
}

fn open(disk: &SimDisk) -> Hand {
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(disk.calls())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 120 * seeds(1) as u32, ..ProptestConfig::default() })]

    #[test]
    fn a_group_is_a_naive_set(steps in vec((0..2_usize, step()), 1..60)) {
        let mut disk = SimDisk::new(1);
        let mut log = open(&disk);
        let topic = log.topic("t").unwrap();
        let bodies = [&[0; 80][..]; MESSAGES as usize];
        log.append(topic, &bodies, true).unwrap();
        let groups = ["one", "two"].map(|name| log.group(topic, name, 0).unwrap());
        let (mut toys, mut floor) = ([Toy::default(), Toy::default()], 0);
        for (which, step) in steps {
            let (group, toy) = (groups[which], &mut toys[which]);
            match step {
                Step::Mark { runs, notes, heard } => {
                    toy.mark(&runs, &notes);
                    let note = |(at, attempts)| (at, Note { attempts, ..Note::default() });
                    let marks = Marks { done: runs, notes: notes.into_iter().map(note).collect() };
                    match heard {
                        true => log.mark(topic, group, marks).unwrap(),
                        false => log.mark_unheard(topic, group, marks),
                    }
                }
                Step::Seek(to) => {
                    *toy = Toy { done: (0..to).collect(), ..Toy::default() };
                    log.seek(topic, group, to).unwrap();
                }
                Step::Turn => log.turn().unwrap(),
                Step::Close => {
                    log.close().unwrap();
                    log = open(&disk);
                }
                Step::Kill => {
                    drop(log);
                    disk = disk.crash(CrashKind::KeepAll);
                    log = open(&disk);
                }
                Step::PowerCut => {
                    log.seal().unwrap();
                    drop(log);
                    disk = disk.crash(CrashKind::LoseAll);
                    log = open(&disk);
                }
            }
            let there = &log.writer.state.topics[&topic];
            for (group, toy) in groups.iter().zip(&toys) {
                let state = &there.groups[group];
                prop_assert_eq!(state.done.floor(), toy.floor());
                prop_assert!((0..MESSAGES).all(|at| state.done.contains(at) == toy.done.contains(&at)));
                let notes: Vec<_> = state.notes.iter().map(|(at, note)| (*at, note.attempts)).collect();
                prop_assert_eq!(notes, toy.notes.iter().map(|(at, note)| (*at, *note)).collect::<Vec<_>>());
            }
            // Redelivery is one thing and loss another: what is of use to a group is there.
            prop_assert!(there.floor >= floor, "a topic's floor never moves back");
            floor = there.floor;
            let read = log.read(topic).unwrap();
            prop_assert!((floor..MESSAGES).all(|at| read.contains_key(&at)));
        }
    }
}
