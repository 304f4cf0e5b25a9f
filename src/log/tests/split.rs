//! Does it matter which requests come to wait together? (G1, G20)
//!
//! What waits becomes commits, however it came: one request at a time, all at once, or in any groups between. Answers, what is there,
//! what can be read, and what is found when the log is opened again are the same; and a power cut leaves what some number of
//! requests had made, none of those that were confirmed left out.
//!
//! That asks of whoever writes what callers do anyhow: a topic is not named before its number was answered, and marks and floors are
//! of what was asked for before them. Describing is left out: it answers at once, with what is written by then.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRng, TestRunner};

use super::crash::{Verdict, seeds};
use super::requests::{Ask, Draw, Ear, Heard, ask, draw, records};
use crate::base::{Bug, plant};
use crate::log::hand::{DIR, Hand, small};
use crate::log::request::{Done, Request};
use crate::log::state::State;
use crate::log::{LogError, Marks, Terms};
use crate::sim::{CrashKind, SimDisk};

/// What matters of a state: not where in files it lies.
fn bare(state: &State) -> State {
    let mut state = State { slots: 0, closed: false, ..state.clone() };
    state.topics.values_mut().for_each(|topic| topic.segments.clear());
    state
}

/// All that can be read, by topic and offset: a record in words, for its bytes are in the log's hands.
type Read = BTreeMap<(u32, u64), String>;

fn read(log: &Hand) -> Result<Read, LogError> {
    let mut all = Read::new();
    for topic in log.writer.state.topics.keys() {
        let (mut from, next) = log.writer.shelf.bounds(*topic).ok_or(LogError::Missing)?;
        while from < next {
            let chunk = log.writer.shelf.read(*topic, from, 1 << 16)?;
            let records = chunk.records().filter(|(at, _)| *at >= from);
            all.extend(records.map(|(at, record)| ((*topic, at), format!("{record:?}"))));
            from = chunk.end().ok_or(LogError::Missing)?;
        }
    }
    Ok(all)
}

fn open(disk: &SimDisk) -> Hand {
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(3)).unwrap()
}

/// A log with two topics and a group in each.
fn begun(disk: &SimDisk) -> Hand {
    let mut log = open(disk);
    for name in ["one", "two"] {
        let terms = Terms { keeps: name == "two", most_keys: 5, key_millis: 100, ..Terms::default() };
        let topic = log.topic_with(name, terms).unwrap();
        log.group(topic, "first", 0).unwrap();
    }
    log
}

/// What came of the requests one by one.
struct Singly {
    asks: Vec<Ask>,
    /// The state before the first, and after each.
    states: Vec<State>,
    heard: BTreeMap<usize, Vec<Result<u64, String>>>,
    /// All that was ever to be read.
    read: Read,
}

fn singly(draws: &[Draw]) -> Singly {
    let (mut log, heard) = (begun(&SimDisk::new(1)), Heard::default());
    let mut all = Singly { asks: Vec::new(), states: Vec::new(), heard: BTreeMap::new(), read: Read::new() };
    all.states.push(bare(&log.writer.state));
    for (at, draw) in draws.iter().enumerate() {
        let ask = ask(draw, at, &log.writer.state);
        log.writer.work_off([(ask.make)(Ear(at, heard.clone()))].into());
        all.asks.push(ask);
        all.states.push(bare(&log.writer.state));
        all.read.extend(read(&log).unwrap());
    }
    all.heard = std::mem::take(&mut heard.lock().unwrap());
    all
}

/// Of what was read, what is of use by then.
fn of_use(read: &Read, state: &State) -> Read {
    let of = |topic| state.topics.get(&topic).map_or(0..0, |topic| topic.floor..topic.next);
    let read = read.iter().filter(|((topic, at), _)| of(*topic).contains(at));
    read.map(|(place, record)| (*place, record.clone())).collect()
}

fn same<T: PartialEq + fmt::Debug>(what: &str, one: &T, other: &T) -> Verdict {
    if one == other { Ok(()) } else { Err(format!("{what}:\n{one:?}\nand not\n{other:?}")) }
}

/// Asks for the same, cut into what waits together before each request of which `cut` says so.
fn together(singly: &Singly, cut: impl Fn(usize) -> bool) -> Verdict {
    let (disk, heard) = (SimDisk::new(2), Heard::default());
    let mut log = begun(&disk);
    let mut waiting = VecDeque::new();
    let mut confirmed = 0;
    for (at, ask) in singly.asks.iter().enumerate() {
        // Its number is not known before it is answered.
        let is_new = ask.topic.is_some_and(|topic| topic >= log.writer.state.next_topic);
        if is_new || cut(at) {
            log.writer.work_off(std::mem::take(&mut waiting));
            same("the state", &bare(&log.writer.state), &singly.states[at])?;
        }
        waiting.push_back((ask.make)(Ear(at, heard.clone())));
        let answer = singly.heard.get(&at).and_then(|all| all.first());
        confirmed = if ask.confirms && answer.is_some_and(Result::is_ok) { at + 1 } else { confirmed };
    }
    log.writer.work_off(waiting);
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    same("the answers", &heard, &singly.heard)?;
    for (at, ask) in singly.asks.iter().enumerate() {
        same("how often it was answered", &heard.get(&at).map_or(0, Vec::len), &usize::from(ask.heard))?;
    }
    let state = &singly.states[singly.asks.len()];
    let holds = |log: &Hand, state: &State| {
        same("the state", &bare(&log.writer.state), state)?;
        let read = of_use(&read(log).map_err(|error| error.to_string())?, state);
        same("what is read", &read, &of_use(&singly.read, state))
    };
    holds(&log, state)?;
    drop(log);
    holds(&open(&disk.crash(CrashKind::KeepAll)), state).map_err(|wrong| format!("after a kill, {wrong}"))?;
    let log = open(&disk.crash(CrashKind::LoseAll));
    let found = bare(&log.writer.state);
    match singly.states.iter().skip(confirmed).any(|state| *state == found) {
        true => holds(&log, &found).map_err(|wrong| format!("after a power cut, {wrong}")),
        false => Err(format!("after a power cut, {found:?}, and {confirmed} were confirmed")),
    }
}

/// In any groups, and all at once.
fn splits((draws, cuts): (Vec<Draw>, Vec<bool>)) -> Verdict {
    let singly = singly(&draws);
    let too_large = |heard: &Vec<Result<u64, String>>| {
        heard.iter().any(|heard| heard.as_ref().is_err_and(|why| why.starts_with("a record of")))
    };
    if singly.heard.values().any(too_large) {
        return Err("one alone is too large".into());
    }
    together(&singly, |at| cuts[at % cuts.len()])?;
    together(&singly, |_| false)
}

fn sequence() -> impl Strategy<Value = (Vec<Draw>, Vec<bool>)> {
    (vec(draw(), 1..70), vec(proptest::bool::weighted(0.2), 1..70))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200 * seeds(1) as u32, ..ProptestConfig::default() })]

    #[test]
    fn it_does_not_matter_which_requests_wait_together(all in sequence()) {
        splits(all).map_err(TestCaseError::fail)?;
    }
}

/// None of them is large, and there are more than a slot has room for.
#[test]
fn a_crowd_of_small_requests_is_more_than_one_commit() {
    let (mut log, heard) = (begun(&SimDisk::new(1)), Heard::default());
    let crowd = |of: &dyn Fn(u32, Ear) -> Request| {
        (0..400).map(|at| of(at, Ear(at as usize, heard.clone()))).collect::<VecDeque<_>>()
    };
    let topic = |at: u32, ear: Ear| {
        let (name, terms) = (at.to_string(), Terms { keeps: true, ..Terms::default() });
        Request::CreateTopic { topic: None, name, terms, done: ear.done() }
    };
    let append = |at: u32, ear: Ear| Request::Append {
        topic: at + 2,
        records: records(1, &[0, 0], false),
        sync: true,
        settles: None,
        done: ear.done(),
    };
    let trim = |at: u32, _: Ear| Request::Trim { topic: at + 2, floor: 1 };
    let group = |at: u32, ear: Ear| {
        let (topic, name, about) = (at + 2, String::new(), Vec::new());
        Request::CreateGroup { topic, group: 0, name, about, start: 0, done: ear.unit() }
    };
    let mark = |at: u32, _: Ear| {
        let (topic, marks) = (at + 2, Marks { done: vec![(0, 1)], notes: Vec::new() });
        Request::Mark { topic, group: 0, marks, done: Done::unheard() }
    };
    let crowds: [&dyn Fn(u32, Ear) -> Request; 5] = [&topic, &append, &trim, &group, &mark];
    for requests in crowds.map(crowd) {
        log.writer.work_off(requests);
    }
    for (at, heard) in &*heard.lock().unwrap() {
        assert!(heard.len() == 3 && heard.iter().all(Result::is_ok), "{at}: {heard:?}");
    }
    for topic in log.writer.state.topics.values().skip(2) {
        assert_eq!((topic.next, topic.floor, topic.groups[&0].done.floor()), (2, 1, 1), "{}", topic.name);
    }
}

/// Whoever makes commits otherwise than asked is seen.
#[test]
fn each_planted_bug_of_commits_is_found() {
    for bug in [Bug::OffsetOfCommit, Bug::SeekFirst, Bug::OneCommit] {
        let _planted = plant(bug);
        let config = ProptestConfig {
            failure_persistence: None,
            cases: 300,
            max_shrink_iters: 0,
            ..ProptestConfig::default()
        };
        let rng = TestRng::deterministic_rng(config.rng_algorithm);
        let found = TestRunner::new_with_rng(config, rng)
            .run(&sequence(), |all| splits(all).map_err(TestCaseError::fail));
        assert!(found.is_err(), "{bug:?} is not found");
    }
}
