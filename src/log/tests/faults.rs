//! What a log does when calls of the file system fail, or the disk is full. (G1, G22)

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::crash::{Verdict, script};
use super::model::{Model, ask, held, of_use};
use crate::log::hand::{DIR, Hand, done, small};
use crate::log::{LogError, Marks, Note, Terms};
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

fn open(disk: &SimDisk) -> Hand {
    Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(9)).unwrap()
}

/// What a script came to on a disk that fails: the models after each step, and which of them was confirmed last.
struct Ran {
    models: Vec<Model>,
    confirmed: usize,
}

/// Asks for each step, refused ones left out of the model, until the log is poisoned.
fn run(log: &mut Hand, seed: u64) -> (Ran, Option<LogError>) {
    let mut ran = Ran { models: vec![Model::default()], confirmed: 0 };
    for step in script(seed, 60) {
        let before = ran.models.last().unwrap().clone();
        let mut model = before.clone();
        model.apply(&step);
        ran.models.push(model);
        match ask(log, &step) {
            Ok(()) if log.writer.poisoned.is_none() => {
                ran.confirmed = if step.is_confirmed() { ran.models.len() - 1 } else { ran.confirmed };
            }
            refused => return (ran, refused.err()),
        }
    }
    (ran, None)
}

/// What came of one call that failed.
enum Failed {
    /// No call failed: there are not so many of them.
    None,
    /// Nobody heard of it.
    Unheard,
    /// Somebody did, and all that was confirmed was found, so often.
    Kept(u64),
}

/// A call that fails in any way but for want of space is final; nothing that was confirmed is lost by it.
fn fails_once(seed: u64, call: DiskCall, nth: u64) -> Result<Failed, String> {
    let disk = SimDisk::new(seed);
    let mut log = open(&disk);
    disk.fail(DiskFault::nth(nth).of(call));
    let (ran, error) = run(&mut log, seed);
    let Some(error) = error else {
        let unheard = matches!(log.writer.aside.wait(), Some(Err(_))) || log.writer.poisoned.is_some();
        return Ok(if unheard { Failed::Unheard } else { Failed::None });
    };
    let what = format!("seed {seed}, {call:?} {nth}");
    // Poisoned: it failed beside the commits, and whoever comes next hears of it.
    if !matches!(error, LogError::Unknown { .. } | LogError::Poisoned { .. }) {
        return Err(format!("{what}: {error:?}"));
    }
    // Whatever comes now is refused, and touches the disk no more: nobody asks a disk again that has failed.
    let calls = disk.calls();
    for refused in [log.topic("late").map(drop), log.seal(), log.turn()] {
        if !matches!(refused, Err(LogError::Poisoned { .. })) || disk.calls() != calls {
            return Err(format!("{what}: the disk is asked again: {refused:?}"));
        }
    }
    drop(log);
    disk.heal();
    let mut kept = 0;
    for kind in [CrashKind::KeepAll, CrashKind::LoseAll, CrashKind::Random(nth)] {
        keeps(&disk.crash(kind), kind, &ran).map_err(|wrong| format!("{what}, {kind:?}: {wrong}"))?;
        kept += 1;
    }
    Ok(Failed::Kept(kept))
}

/// What was confirmed is there; and what was found is there from now on, whatever the failed call has made of it before.
fn keeps(disk: &SimDisk, kind: CrashKind, ran: &Ran) -> Verdict {
    let try_open = |disk: &SimDisk| {
        let opened = Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(9));
        opened.map_err(|error| error.to_string())
    };
    let words = |error: LogError| error.to_string();
    let found = held(&try_open(disk)?).map_err(words)?;
    if !ran.models[ran.confirmed..].iter().any(|model| of_use(model) == found) {
        let wanted = of_use(&ran.models[ran.confirmed]).brief();
        return Err(format!("\n found {}\nwanted {wanted}", found.brief()));
    }
    let disk = disk.crash(kind);
    let mut log = try_open(&disk)?;
    let topic = log.topic("later").map_err(words)?;
    log.append(topic, &[b"later"], true).map_err(words)?;
    drop(log);
    let mut all = held(&try_open(&disk.crash(CrashKind::LoseAll))?).map_err(words)?;
    match all.topics.remove("later").is_some() && all == found {
        true => Ok(()),
        false => Err("what was found is not there any more".into()),
    }
}

/// Each call of a kind fails once; answers how many failures were heard of, and how often all was found.
pub(crate) fn fails_in_any_call(seed: u64, call: DiskCall) -> Result<(u64, u64), String> {
    let (mut heard, mut kept) = (0, 0);
    for nth in 1.. {
        match fails_once(seed, call, nth)? {
            Failed::None => break,
            Failed::Unheard => {}
            Failed::Kept(times) => (heard, kept) = (heard + 1, kept + times),
        }
    }
    Ok((heard, kept))
}

#[test]
fn a_failed_call_poisons_the_log_and_loses_nothing_that_was_confirmed() {
    let (mut unknown, mut kept) = (0, 0);
    let names = [DiskCall::SyncDir, DiskCall::Create, DiskCall::CreateDir, DiskCall::Rename];
    let data = (0..4).flat_map(|seed| [DiskCall::Write, DiskCall::Sync].map(|call| (seed, call)));
    for (seed, call) in data.chain(names.map(|call| (0, call))) {
        let found = fails_in_any_call(seed, call).unwrap_or_else(|what| panic!("{what}"));
        (unknown, kept) = (unknown + found.0, kept + found.1);
    }
    assert!(unknown > 100 && kept > 300, "{unknown} failures, {kept} recoveries");
}

/// A full disk refuses what finds no room, keeps all else, and goes on once there is some.
#[test]
fn a_full_disk_is_not_final() {
    for room in (0..40).map(|step| step * 3000) {
        let disk = SimDisk::new(1);
        let mut log = open(&disk);
        let keeps = Terms { keeps: true, ..Terms::default() };
        let (kept, passing) = (log.topic_with("kept", keeps).unwrap(), log.topic("passing").unwrap());
        let group = log.group(passing, "all", 0).unwrap();
        disk.set_free(room);
        let (mut bodies, mut passed, mut refused) = (Vec::new(), 0, 0);
        for at in 0..120_u32 {
            let body = [at.to_le_bytes().to_vec(), vec![7; 700]].concat();
            match log.append(kept, &[&body], true) {
                Ok(offset) => {
                    assert_eq!(offset, bodies.len() as u64, "what is refused leaves no gap");
                    bodies.push(body);
                }
                Err(error) => {
                    assert!(error.is_full(), "{room} bytes: {error:?}");
                    refused += 1;
                }
            }
            if log.append(passing, &[b"passing"], false).is_ok() {
                passed += 1;
                // Nobody waits for this, and it is not forgotten though the disk may be full just now.
                log.mark_unheard(passing, group, done(&[(0, passed)]));
            }
        }
        let all = |log: &Hand| log.read(kept).unwrap().into_values().collect::<Vec<_>>();
        assert_eq!(all(&log), bodies, "{room} bytes, {refused} refused: readers go on");
        disk.set_free(1 << 20);
        bodies.push(b"at last".to_vec());
        log.append(kept, &[b"at last"], true).unwrap();
        log.turn().unwrap();
        assert_eq!(log.writer.state.topics[&passing].groups[&group].done.floor(), passed);
        drop(log);
        let log = open(&disk.crash(CrashKind::LoseAll));
        assert_eq!(all(&log), bodies, "{room} bytes");
        assert_eq!(log.writer.state.topics[&passing].groups[&group].done.floor(), passed);
    }
}

/// What is owed to a full disk holds nobody up: what must be a commit of its own is answered, and a log that closes does.
#[test]
fn a_full_disk_with_marks_that_nobody_waits_for_lets_the_log_seal_and_close() {
    let disk = SimDisk::new(2);
    let mut log = open(&disk);
    let topic = log.topic("t").unwrap();
    let group = log.group(topic, "all", 0).unwrap();
    let first = log.append(topic, &[&[1; 100][..]; 20], true).unwrap();
    disk.set_free(0);
    while log.append(topic, &[&[2; 300]], true).is_ok() {}
    // More notes than a slot has room for, most of them of messages that have others by now.
    let note = |attempts| Note { attempts, due: 0, more: vec![3; 500] };
    for attempts in 0..60 {
        let notes = (first..first + 20).map(|at| (at, note(attempts))).collect();
        log.mark_unheard(topic, group, Marks { done: vec![(first, first + 1)], notes });
    }
    // There is room for a frame that says nothing, as long as nothing needs to move.
    log.seal().unwrap();
    assert!(log.turn().unwrap_err().is_full());
    disk.set_free(1 << 20);
    log.seal().unwrap();
    let disk = disk.crash(CrashKind::LoseAll);
    let mut log = open(&disk);
    let there = log.writer.state.topics[&topic].groups[&group].clone();
    assert_eq!((there.done.floor(), there.notes.len()), (first + 1, 19));
    assert!(there.notes.values().all(|found| *found == note(59)), "the last note of each");
    disk.set_free(0);
    while log.append(topic, &[&[2; 300]], true).is_ok() {}
    log.mark_unheard(topic, group, Marks { done: vec![(0, 2)], notes: vec![(5, note(1)), (6, note(2))] });
    log.close().unwrap();
    let disk = disk.crash(CrashKind::KeepAll);
    disk.set_free(1 << 20);
    assert!(!open(&disk).found.clean, "not all that was told is there");
}

/// A log that was not closed is opened on a disk that has no room for one more file.
#[test]
fn a_full_disk_can_be_opened() {
    let disk = SimDisk::new(4);
    let mut log = open(&disk);
    let topic = log.topic("t").unwrap();
    disk.set_free(0);
    let mut many = 0;
    while log.append(topic, &[&[2; 300]], true).is_ok() {
        many += 1;
    }
    drop(log);
    for kind in [CrashKind::KeepAll, CrashKind::LoseAll] {
        let disk = disk.crash(kind);
        disk.set_free(0);
        assert_eq!(open(&disk).read(topic).unwrap().len(), many, "{kind:?}");
    }
}

/// The sync of a log's last word fails: the next process reads that word, and must not build on it as if it were on the disk.
#[test]
fn a_last_word_that_was_not_synced_is_written_again() {
    for seed in 0..8 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        let topic = log.topic("t").unwrap();
        log.append(topic, &[b"one"], true).unwrap();
        disk.fail(DiskFault::nth(1).of(DiskCall::Sync));
        assert!(matches!(log.close(), Err(LogError::Unknown { .. })));
        let disk = disk.crash(CrashKind::KeepAll);
        let mut log = open(&disk);
        assert!(log.found.clean, "seed {seed}: it reads the last word");
        log.append(topic, &[b"two"], true).unwrap();
        drop(log);
        let log = open(&disk.crash(CrashKind::LoseAll));
        assert_eq!(log.read(topic).unwrap().len(), 2, "seed {seed}");
    }
}

/// Each call lacks space once: the request is refused, or served, and the next ones are served.
#[test]
fn want_of_space_in_any_call_refuses_one_request_and_loses_nothing() {
    for nth in 1.. {
        let disk = SimDisk::new(3);
        let mut log = open(&disk);
        let keeps = Terms { keeps: true, ..Terms::default() };
        let topic = log.topic_with("kept", keeps).unwrap();
        disk.fail(DiskFault::nth(nth).of(DiskCall::Write).with(ErrorKind::StorageFull));
        let (mut bodies, mut refused) = (Vec::new(), 0);
        for at in 0..100_u32 {
            let body = [at.to_le_bytes().to_vec(), vec![1; 600]].concat();
            match log.append(topic, &[&body], true) {
                Ok(_) => bodies.push(body),
                Err(error) => {
                    assert!(error.is_full(), "write {nth}: {error:?}");
                    refused += 1;
                }
            }
        }
        assert!(refused <= 1, "write {nth}");
        let read: Vec<_> = log.read(topic).unwrap().into_values().collect();
        assert_eq!(read, bodies, "write {nth}");
        drop(log);
        let log = open(&disk.crash(CrashKind::LoseAll));
        assert_eq!(log.read(topic).unwrap().into_values().collect::<Vec<_>>(), bodies, "write {nth}");
        if nth > 250 {
            break;
        }
    }
}

#[test]
fn interrupted_and_short_calls_change_nothing() {
    let disk = SimDisk::new(5);
    disk.interrupts(100);
    disk.short_calls(200);
    let mut log = open(&disk);
    let (ran, error) = run(&mut log, 5);
    assert!(error.is_none(), "{error:?}");
    let whole = of_use(ran.models.last().unwrap());
    assert_eq!(held(&log).unwrap(), whole);
    drop(log);
    let after = disk.crash(CrashKind::KeepAll);
    assert_eq!(held(&open(&after)).unwrap(), whole);
}

/// Requests that wait together: each is answered for itself, and a seal covers all before it.
#[test]
fn requests_that_wait_together_are_answered_each_for_itself() {
    use crate::log::hand::records;
    use crate::log::request::{Done, Request};
    let disk = SimDisk::new(6);
    let mut log = open(&disk);
    let topic = log.topic("t").unwrap();
    let said = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = |name: &'static str| {
        let said = said.clone();
        move |ok: bool| said.lock().unwrap().push((name, ok))
    };
    let [append, empty, seal] = ["append", "empty", "seal"].map(tell);
    let bodies = records(&[b"one"]);
    log.writer.work_off(
        [
            Request::Append {
                topic,
                records: bodies,
                sync: false,
                settles: None,
                done: Done::new(move |done| append(done.is_ok())),
            },
            Request::Append {
                topic,
                records: records(&[]),
                sync: true,
                settles: None,
                done: Done::new(move |done| empty(done.is_ok())),
            },
            Request::Seal { done: Done::new(move |done| seal(done.is_ok())) },
        ]
        .into(),
    );
    assert_eq!(*said.lock().unwrap(), [("empty", false), ("append", true), ("seal", true)]);
    // The frame that seals says that the one before it is on the disk: so if that is damaged, it is missed.
    let mut damaged = disk.read_file(Path::new(DIR).join("journal/0.j")).unwrap();
    let at = damaged.windows(3).position(|bytes| bytes == b"one").unwrap();
    damaged[at] ^= 1;
    let after = disk.crash(CrashKind::KeepAll);
    after.write_file(Path::new(DIR).join("journal/0.j"), damaged).unwrap();
    let opened = Hand::open(Arc::new(after), Path::new(DIR), small(3)).map(drop);
    assert!(matches!(opened, Err(LogError::Corrupt(_))), "{opened:?}");
}

/// G21: a frame that is damaged before the one that announces the next slot; what is in that slot is not forgotten.
#[test]
fn damage_before_a_slot_is_announced_is_refused() {
    let disk = SimDisk::new(7);
    let mut log = open(&disk);
    let topic = log.topic("t").unwrap();
    while log.writer.journal.position().turn < 2 {
        // Written and not synced: no frame says that the one before it is on the disk, but the slot that follows.
        log.append(topic, &[&[5; 300]], false).unwrap();
    }
    log.close().unwrap();
    let first = Path::new(DIR).join("journal/0.j");
    let bytes = disk.read_file(&first).unwrap();
    let body = bytes.windows(8).position(|bytes| bytes == [5; 8]).unwrap() as u64;
    let after = disk.crash(CrashKind::KeepAll);
    after.flip(&first, body, 1).unwrap();
    let opened = Hand::open(Arc::new(after), Path::new(DIR), small(3)).map(drop);
    assert!(matches!(opened, Err(LogError::Corrupt(_))), "{opened:?}");
}
