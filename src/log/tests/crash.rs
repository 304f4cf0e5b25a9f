//! Does a log that ends anywhere hold what it confirmed, and nothing that nobody asked for? (G1, G20)
//!
//! A script is drawn from a seed and asked of a log on a simulated disk, that ends in each call of it that changes
//! something: by a kill, or by a power cut that keeps nothing, or anything, of what was not synced. What is found then
//! must be what a naive model held after some step: none before the last one that was confirmed, none after the last
//! one that was begun.

use std::path::Path;
use std::sync::Arc;

use super::model::{Model, Step, ask, held, of_use};
use crate::log::LogError;
use crate::log::hand::{DIR, Hand, small};
use crate::sim::{CrashKind, SimDisk};

/// A small generator of its own, so that scripts stay the same whatever else changes.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// So many seeds are tried; `CB_SEEDS` asks for more.
pub(crate) fn seeds(default: u64) -> u64 {
    std::env::var("CB_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

/// A script that makes sense step by step.
pub(crate) fn script(seed: u64, steps: usize) -> Vec<Step> {
    let (mut dice, mut model, mut script) = (Dice(seed ^ 0x5eed), Model::default(), Vec::new());
    let mut names = 0;
    while script.len() < steps {
        let Some(step) = draw(&mut dice, &model, &mut names) else { continue };
        model.apply(&step);
        script.push(step);
    }
    script
}

fn draw(dice: &mut Dice, model: &Model, names: &mut u64) -> Option<Step> {
    let topics: Vec<&String> = model.topics.keys().collect();
    if topics.is_empty() || (topics.len() < 3 && dice.below(12) == 0) {
        *names += 1;
        return Some(Step::Topic { name: format!("topic-{names}"), keeps: dice.below(3) == 0 });
    }
    let topic = topics[dice.below(topics.len() as u64) as usize].clone();
    let there = &model.topics[&topic];
    let next = there.bodies.len() as u64;
    let groups: Vec<&String> = there.groups.keys().collect();
    let group = (!groups.is_empty()).then(|| groups[dice.below(groups.len() as u64) as usize].clone());
    match dice.below(40) {
        0 => Some(Step::DeleteTopic { name: topic }),
        1 => Some(Step::DeleteGroup { topic, name: group? }),
        2 => Some(Step::Seek { topic, group: group?, to: dice.below(next + 1) }),
        3 => Some(Step::Trim { topic, floor: dice.below(next + 1) }),
        4 => Some(Step::Seal),
        5 | 6 => Some(Step::Turn),
        7..=9 if groups.len() < 3 => {
            *names += 1;
            let start =
                if dice.below(2) == 0 { there.floor() } else { dice.below(next + 1).max(there.floor()) };
            Some(Step::Group { topic, name: format!("group-{names}"), start })
        }
        10..=22 => {
            let (group, from) = (group?, dice.below(next.max(1)));
            let run = (from, (from + 1 + dice.below(6)).min(next));
            let note = (dice.below(3) == 0 && next > 0).then(|| (dice.below(next), 1 + dice.below(5) as u32));
            Some(Step::Mark { topic, group, runs: vec![run], note, heard: dice.below(3) == 0 })
        }
        _ => {
            let bodies: Vec<Vec<u8>> = (0..1 + dice.below(4))
                .map(|at| {
                    let len = [3, 40, 300, 1500][dice.below(4) as usize];
                    let mut body = format!("{topic} {} {at} ", next).into_bytes();
                    body.resize(body.len() + len, b'x');
                    body
                })
                .collect();
            Some(Step::Append { topic, bodies, sync: dice.below(2) == 0 })
        }
    }
}

/// What came of a run that may have ended early.
struct Ran {
    /// The model after each step, the first one empty.
    models: Vec<Model>,
    confirmed: usize,
    begun: usize,
    ended: Option<LogError>,
}

impl Ran {
    fn from(model: Model) -> Ran {
        Ran { models: vec![model], confirmed: 0, begun: 0, ended: None }
    }

    /// What may be found: nothing before the last step that was confirmed, nothing behind the last that was begun.
    fn allowed(&self) -> &[Model] {
        &self.models[self.confirmed..=self.begun]
    }
}

/// What is wrong, in words: so that a test of the tests can see it.
pub(crate) type Verdict = Result<(), String>;

/// Asks for the steps, until one is refused.
fn run(disk: &SimDisk, script: &[Step], entropy: u64) -> Ran {
    let mut ran = Ran::from(Model::default());
    if let Ok(mut log) = open(disk, entropy) {
        go_on(&mut log, script, &mut ran);
    }
    ran
}

fn go_on(log: &mut Hand, script: &[Step], ran: &mut Ran) {
    for step in script {
        let mut model = ran.models.last().unwrap().clone();
        model.apply(step);
        ran.models.push(model);
        ran.begun += 1;
        let asked = ask(log, step);
        if asked.is_ok() && step.is_confirmed() {
            ran.confirmed = ran.begun;
        }
        // Of what nobody hears, the log alone knows that it failed.
        if asked.is_err() || log.writer.poisoned.is_some() {
            ran.ended = asked.err();
            return;
        }
    }
}

fn open(disk: &SimDisk, entropy: u64) -> Result<Hand, LogError> {
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(entropy))
}

/// Whether what is there is what the model held at some allowed moment; answers that.
fn check(log: &Hand, ran: &Ran, what: &str) -> Result<Model, String> {
    let found = held(log).map_err(|error| format!("{what}: {error}"))?;
    if ran.allowed().iter().any(|model| of_use(model) == found) {
        return Ok(found);
    }
    let wanted: Vec<String> = ran.allowed().iter().map(|model| of_use(model).brief()).collect();
    Err(format!(
        "{what}: {} steps confirmed, {} begun\n found {}\nwanted {}",
        ran.confirmed,
        ran.begun,
        found.brief(),
        wanted.join("\n    or ")
    ))
}

/// Opens what a crash left, looks, opens again, and goes on.
fn recover(disk: &SimDisk, ran: &Ran, what: &str) -> Verdict {
    let wrong = |when: &str, error: LogError| format!("{what}, {when}: {error}");
    let log = open(disk, 77).map_err(|error| wrong("opened", error))?;
    let found = check(&log, ran, what)?;
    drop(log);
    // Recovering was finished before anything else began: nothing of it can be lost any more.
    let disk = disk.crash(CrashKind::LoseAll);
    let mut log = open(&disk, 78).map_err(|error| wrong("again", error))?;
    if held(&log).map_err(|error| wrong("again", error))? != found {
        return Err(format!("{what}: recovering twice is not recovering once"));
    }
    let name = "after the crash";
    let many: Vec<Vec<u8>> = (0..30).map(|at| vec![at; 900]).collect();
    let topic = log.topic(name).map_err(|error| wrong("going on", error))?;
    for body in &many {
        log.append(topic, &[body], true).map_err(|error| wrong("going on", error))?;
    }
    drop(log);
    let disk = disk.crash(CrashKind::Random(3));
    let log = open(&disk, 79).map_err(|error| wrong("at last", error))?;
    let mut all = held(&log).map_err(|error| wrong("at last", error))?;
    let new = all.topics.remove(name).map(|topic| topic.bodies);
    match new == Some(many) && all == found {
        true => Ok(()),
        false => Err(format!("{what}: what is new is lost, or harms what was there")),
    }
}

/// Every call of a script, by every kind of end.
pub(crate) fn ends_in_any_call(seed: u64, steps: usize) -> Verdict {
    let script = script(seed, steps);
    let whole = SimDisk::new(seed);
    let ran = run(&whole, &script, seed);
    if ran.begun != script.len() || ran.ended.is_some() {
        return Err(format!("seed {seed}: something fails by itself: {:?}", ran.ended));
    }
    for call in 1..=whole.calls() {
        let disk = SimDisk::new(seed);
        disk.stop_at(call);
        let ran = run(&disk, &script, seed);
        for kind in [CrashKind::KeepAll, CrashKind::LoseAll, CrashKind::Random(seed), CrashKind::Random(call)]
        {
            recover(&disk.crash(kind), &ran, &format!("seed {seed}, call {call}, {kind:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_log_that_ends_in_any_call_holds_what_it_confirmed() {
    for seed in 0..seeds(1) {
        ends_in_any_call(seed, 45).unwrap_or_else(|what| panic!("{what}"));
    }
}

/// Every call of recoveries, after ends in some of the calls of a script.
pub(crate) fn ends_while_it_recovers(seed: u64, steps: usize) -> Verdict {
    let script = script(seed, steps);
    let whole = SimDisk::new(seed);
    run(&whole, &script, seed);
    for call in (1 + seed % 11..=whole.calls()).step_by(11) {
        let disk = SimDisk::new(seed);
        disk.stop_at(call);
        let ran = run(&disk, &script, seed);
        for kind in [CrashKind::KeepAll, CrashKind::LoseAll, CrashKind::Random(call)] {
            for nth in 1.. {
                // The same seed draws the same disk again.
                let left = disk.crash(kind);
                left.stop_at(nth);
                let what = format!("seed {seed}, call {call}, {kind:?}, call {nth} of recovering");
                match open(&left, nth).map(drop) {
                    Ok(()) => break,
                    Err(_) if left.is_stopped() => {}
                    Err(error) => return Err(format!("{what}: {error}")),
                }
                recover(&left.crash(CrashKind::Random(nth)), &ran, &what)?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_log_that_ends_while_it_recovers_holds_what_it_confirmed() {
    for seed in 0..seeds(1) {
        ends_while_it_recovers(seed, 45).unwrap_or_else(|what| panic!("{what}"));
    }
}

/// Power cuts at a random call of a long script, in which the ring turns often, one after the other.
pub(crate) fn ends_again_and_again(seed: u64) -> Verdict {
    let mut dice = Dice(seed);
    let mut disk = SimDisk::new(seed);
    let mut ran = Ran::from(Model::default());
    let script = script(seed, 400);
    let mut at = 0;
    while at < script.len() {
        let what = format!("seed {seed}, step {at}");
        disk.stop_at(1 + dice.below(400));
        match open(&disk, dice.below(1 << 30)) {
            Err(_) if disk.is_stopped() => {}
            Err(error) => return Err(format!("{what}: {error}")),
            Ok(mut log) => {
                // What the steps before left is one model now: nobody has to know which of them it was.
                let now = check(&log, &ran, &what)?;
                let same = ran.allowed().iter().rposition(|model| of_use(model) == now).unwrap();
                at -= ran.begun - ran.confirmed - same;
                ran = Ran::from(ran.allowed()[same].clone());
                go_on(&mut log, &script[at..], &mut ran);
                at += ran.begun;
                if let Some(error) = ran.ended.take().filter(|_| !disk.is_stopped()) {
                    return Err(format!("{what}: {error}"));
                }
            }
        }
        let kind = match dice.below(3) {
            0 => CrashKind::KeepAll,
            1 => CrashKind::LoseAll,
            _ => CrashKind::Random(dice.below(1 << 20)),
        };
        disk = disk.crash(kind);
    }
    recover(&disk, &ran, &format!("seed {seed}, the end"))
}

#[test]
fn a_log_that_ends_again_and_again_holds_what_it_confirmed() {
    for seed in 0..seeds(10) {
        ends_again_and_again(seed).unwrap_or_else(|what| panic!("{what}"));
    }
}
