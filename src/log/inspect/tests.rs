//! Is everything told of a log, whatever is wrong with it, and is nothing changed?

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::log::hand::{DIR, Hand, done, small};
use crate::log::{Note, Terms};
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

mod salvaging;

const TO: &str = "/data/saved";

fn vfs(disk: &SimDisk) -> Arc<dyn Vfs> {
    Arc::new(disk.clone())
}

fn dir() -> &'static Path {
    Path::new(DIR)
}

fn body(topic: u32, at: u64) -> Vec<u8> {
    format!("{topic}:{at} {}", "x".repeat(at as usize * 7 % 60)).into_bytes()
}

fn append(log: &mut Hand, topic: u32, from: u64, to: u64) {
    let all: Vec<Vec<u8>> = (from..to).map(|at| body(topic, at)).collect();
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    assert_eq!(log.append(topic, &all, true).unwrap(), from);
}

/// Orders, 0 to 39 in a segment and up to 59 in the journal; mails, up to 19 in the journal alone. Some are settled.
fn write(disk: &SimDisk) -> Hand {
    let mut log = Hand::open(vfs(disk), dir(), small(5)).unwrap();
    let terms = Terms { about: b"about".to_vec(), keeps: true, ..Terms::default() };
    let (orders, mails) = (log.topic_with("orders", terms).unwrap(), log.topic("mails").unwrap());
    let billing = log.group(orders, "billing", 0).unwrap();
    (0..10).for_each(|at| append(&mut log, orders, at * 4, at * 4 + 4));
    log.turn().unwrap();
    for at in 10..15 {
        append(&mut log, orders, at * 4, at * 4 + 4);
        append(&mut log, mails, (at - 10) * 4, (at - 10) * 4 + 4);
    }
    let mut marks = done(&[(0, 3), (5, 7), (50, 52)]);
    marks.notes.push((8, Note { attempts: 2, due: 7, more: Vec::new() }));
    log.mark(orders, billing, marks).unwrap();
    log.group(mails, "post", 2).unwrap();
    log
}

fn clean() -> SimDisk {
    let disk = SimDisk::new(1);
    write(&disk).close().unwrap();
    disk
}

fn bytes(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let of_log = |(path, _): &(PathBuf, u64)| path.starts_with(DIR);
    let read = |(path, _): (PathBuf, u64)| (path.clone(), disk.read_file(&path).unwrap());
    disk.files().into_iter().filter(of_log).map(read).collect()
}

/// All that can be asked of a log; and nothing of it is changed by that.
#[track_caller]
fn look(disk: &SimDisk) -> Verified {
    let (before, calls) = (bytes(disk), disk.calls());
    let inspection = inspect(&vfs(disk), dir()).unwrap();
    let verified = verify(&vfs(disk), dir(), &mut |_, _| ()).unwrap();
    let known: BTreeSet<_> =
        verified.inspection.damage.iter().map(|damage| (&damage.file, damage.at)).collect();
    assert!(inspection.damage.iter().all(|damage| known.contains(&(&damage.file, damage.at))));
    for topic in &inspection.topics {
        dump(&vfs(disk), dir(), &topic.name, .., &mut |_| ControlFlow::Continue(())).unwrap();
    }
    assert!(bytes(disk) == before, "something was changed");
    assert_eq!(disk.calls(), calls, "a call was made that changes something");
    verified
}

fn dumped(disk: &SimDisk, topic: &str, range: impl std::ops::RangeBounds<u64>) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    let damage = dump(&vfs(disk), dir(), topic, range, &mut |record| {
        all.push((record.offset, record.body.to_vec()));
        ControlFlow::Continue(())
    });
    assert_eq!(damage.unwrap(), []);
    all
}

fn segment_file() -> PathBuf {
    layout::segment(dir(), 0, 0)
}

#[test]
fn what_is_in_a_log_is_told() {
    let disk = clean();
    let Verified { inspection, records, .. } = look(&disk);
    assert_eq!((inspection.damage.as_slice(), &inspection.torn, inspection.closed), (&[][..], &None, true));
    assert_eq!((inspection.locked, inspection.strangers.len(), records), (Some(false), 0, 80));
    let [orders, mails] = &inspection.topics[..] else { panic!("{inspection:?}") };
    assert_eq!(
        (orders.name.as_str(), orders.about.as_slice(), orders.keeps),
        ("orders", &b"about"[..], true)
    );
    assert_eq!((orders.floor, orders.next, orders.journal_records), (0, 60, 20));
    let [segment] = &orders.segments[..] else { panic!("{orders:?}") };
    assert_eq!((segment.base, segment.end, segment.needed), (0, 40, true));
    assert_eq!(disk.read_file(&segment.file).unwrap().len() as u64, segment.bytes);
    let [billing] = &orders.groups[..] else { panic!("{orders:?}") };
    assert_eq!((billing.name.as_str(), billing.floor, billing.lag, billing.notes), ("billing", 3, 53, 1));
    assert_eq!((mails.floor, mails.next, mails.journal_records, mails.groups[0].lag), (0, 20, 20, 18));
    let current: Vec<_> = inspection.slots.iter().filter(|slot| slot.current).collect();
    assert!(current.len() == 1 && current[0].needed && current[0].used > 4096);
    assert!(inspection.lsn > inspection.checkpoint_lsn.unwrap() && inspection.durable + 1 >= inspection.lsn);
}

#[test]
fn what_was_appended_is_dumped() {
    let disk = clean();
    let orders = |from: u64, to: u64| (from..to).map(|at| (at, body(0, at))).collect::<Vec<_>>();
    assert_eq!(dumped(&disk, "orders", ..), orders(0, 60));
    assert_eq!(dumped(&disk, "orders", 37..=45), orders(37, 46));
    assert_eq!(dumped(&disk, "orders", 58..), orders(58, 60));
    assert_eq!(dumped(&disk, "orders", 60..), []);
    assert_eq!(dumped(&disk, "mails", 3..4), [(3, body(1, 3))]);
    let missing = dump(&vfs(&disk), dir(), "letters", .., &mut |_| ControlFlow::Continue(()));
    assert!(matches!(missing, Err(LogError::Missing)));
}

#[test]
fn a_log_that_is_open_is_looked_at_too() {
    let disk = SimDisk::new(1);
    let log = write(&disk);
    let found = look(&disk).inspection;
    assert_eq!((found.locked, found.closed, found.damage.len()), (Some(true), false, 0));
    let saved = salvage(&vfs(&disk), dir(), Path::new(TO), 1);
    assert!(matches!(saved, Err(LogError::Locked { .. })), "{saved:?}");
    drop(log);
    assert_eq!(look(&disk).inspection.locked, Some(false));
}

#[test]
fn what_is_no_log_is_left_alone() {
    let disk = SimDisk::new(1);
    disk.write_file("/data/other/notes", "mine").unwrap();
    let found = inspect(&vfs(&disk), Path::new("/data/other"));
    assert!(matches!(found, Err(LogError::NotALog { .. })), "{found:?}");
    let found = inspect(&vfs(&disk), Path::new("/nowhere"));
    assert!(matches!(found, Err(LogError::Io { .. })), "{found:?}");
    assert_eq!(disk.files().len(), 1);
}

#[test]
fn a_torn_tail_is_told_and_not_cut() {
    let disk = SimDisk::new(1);
    let log = write(&disk);
    let end = log.writer.journal.position().at;
    drop(log);
    let disk = disk.crash(CrashKind::KeepAll);
    let file = layout::slot_path(&layout::journal(dir()), 0);
    disk.flip(&file, end - 20, 4).unwrap();
    let found = look(&disk).inspection;
    let torn = found.torn.clone().unwrap();
    assert!(torn.file == file && torn.at < end && torn.at + torn.bytes >= end, "{torn:?}");
    assert_eq!(found.damage, []);
    assert!(found.topics[1].groups.is_empty(), "the commit with the group is torn");
    let opened = Hand::open(vfs(&disk), dir(), small(6)).unwrap();
    assert_eq!(opened.found.torn, Some((torn.file, torn.at, torn.bytes)), "opening cuts what was told");
}

#[test]
fn no_turn_of_a_new_log_has_the_seed_of_another() {
    let disk = SimDisk::new(1);
    let mut log = Hand::open(vfs(&disk), dir(), small(5)).unwrap();
    let topic = log.topic("orders").unwrap();
    let mut seeds = BTreeMap::new();
    for at in 0..1000 {
        append(&mut log, topic, at, at + 1);
        let turn = log.writer.journal.current().unwrap().turn;
        seeds.insert(turn.number, turn.seed);
    }
    let different: BTreeSet<_> = seeds.values().collect();
    assert!(seeds.len() > 8 && different.len() == seeds.len(), "{seeds:?}");
}

#[test]
fn all_that_is_damaged_is_told_and_not_only_the_first() {
    let disk = clean();
    let slot = layout::slot_path(&layout::journal(dir()), 0);
    let frames = Survey::of(&vfs(&disk), dir()).unwrap();
    let later: Vec<_> = frames.later().map(|(_, found)| *found).collect();
    for found in [later[1], later[4]] {
        disk.flip(&slot, found.at + 60, 1).unwrap();
    }
    disk.flip(segment_file(), 700, 1).unwrap();
    disk.write_file(dir().join("notes.txt"), "mine").unwrap();
    let found = look(&disk).inspection;
    let places: Vec<_> = found.damage.iter().map(|damage| (damage.file.clone(), damage.lsn)).collect();
    let lsn = |at: usize| Some(later[at].header.lsn);
    assert_eq!(places, [(slot.clone(), lsn(1)), (slot, lsn(4)), (segment_file(), None)]);
    assert_eq!(found.stopped.as_ref().and_then(|damage| damage.lsn), lsn(1));
    assert_eq!(found.topics.iter().map(|topic| topic.next).collect::<Vec<_>>(), [44, 0], "as far as it went");
    assert_eq!(found.strangers, [dir().join("notes.txt")]);
    disk.remove(segment_file()).unwrap();
    assert!(look(&disk).inspection.damage.iter().any(|damage| damage.what == "a segment is missing"));
    disk.flip(layout::checkpoint(dir()), 70, 1).unwrap();
    let found = look(&disk).inspection;
    assert!(found.checkpoint_lsn.is_none() && found.damage[0].file == layout::checkpoint(dir()));
    disk.remove(layout::checkpoint(dir())).unwrap();
    let names: Vec<_> = look(&disk).inspection.topics.into_iter().map(|topic| topic.name).collect();
    assert_eq!(names, ["orders", "mails"]);
}

#[test]
fn what_the_disk_cannot_read_is_damage_and_the_rest_is_told() {
    let mut segments = 0;
    for nth in 1.. {
        let disk = clean();
        // Once for what was asked for, and once for the page that is asked for then.
        for nth in [nth, nth + 1] {
            disk.fail(DiskFault::nth(nth).of(DiskCall::Read));
        }
        let found = verify(&vfs(&disk), dir(), &mut |_, _| ()).unwrap();
        let damage = found.inspection.damage;
        if damage.is_empty() {
            break;
        }
        assert!(damage.iter().any(|damage| damage.what == "the disk can't read it"), "{damage:?}");
        if damage.iter().all(|damage| damage.file == segment_file()) {
            segments += 1;
            assert_eq!(found.records, 80, "the journal has them still");
        }
    }
    assert!(segments > 0);
}

/// A topic's records.
type Records = BTreeMap<u64, Vec<u8>>;

/// What opening finds, and all that can be read then.
fn opened(disk: &SimDisk, at: &str) -> Result<(State, Vec<Records>), LogError> {
    let log = Hand::open(vfs(disk), Path::new(at), small(9))?;
    let read = log.writer.state.topics.keys().map(|topic| log.read(*topic)).collect::<Result<_, _>>()?;
    Ok((log.writer.state.clone(), read))
}

/// Each byte that may matter, and some of those that don't.
fn places(disk: &SimDisk) -> Vec<(PathBuf, u64)> {
    let used: BTreeMap<_, _> =
        look(disk).inspection.slots.into_iter().map(|slot| (slot.file, slot.used)).collect();
    let matters = |path: &PathBuf, at: u64| match used.get(path) {
        Some(used) => at < 80 || (4096..*used + 64).contains(&at),
        None => true,
    };
    let each = |(path, bytes): (PathBuf, Vec<u8>)| {
        let all = (0..bytes.len() as u64).map(move |at| (path.clone(), at));
        all.filter(|(path, at)| matters(path, *at) || at % 251 == 0).collect::<Vec<_>>()
    };
    bytes(&disk.durable_copy()).into_iter().flat_map(each).collect()
}

#[test]
fn each_flipped_byte_is_found_or_of_no_use() {
    let disk = clean();
    let whole = opened(&disk.durable_copy(), DIR).unwrap();
    let (mut found, mut unseen) = (0, 0);
    for (count, (path, at)) in places(&disk).into_iter().enumerate() {
        let flipped = disk.durable_copy();
        flipped.flip(&path, at, 1 << (count % 8)).unwrap();
        let verified = verify(&vfs(&flipped), dir(), &mut |_, _| ()).unwrap();
        let inspection = verified.inspection;
        if !inspection.damage.is_empty() || inspection.torn.is_some() {
            found += 1;
            continue;
        }
        unseen += 1;
        let opened = opened(&flipped, DIR).unwrap_or_else(|error| panic!("{path:?} {at}: {error}"));
        assert!(opened == whole, "{path:?} {at} matters, and was not seen");
    }
    assert!(found > 3000 && unseen > 100, "{found} found, {unseen} of no use");
}
