//! Does the simulated disk fail when, and as, it is told to, and does a log's mistake show on it?

use std::io::{self, ErrorKind};
use std::path::Path;

use super::{CrashKind, DiskCall, DiskFault, SimDisk};
use crate::log::{OpenMode, Vfs, VfsFile};

fn path(path: &str) -> &Path {
    Path::new(path)
}

fn file(disk: &SimDisk, at: &str) -> Box<dyn VfsFile> {
    disk.open(path(at), OpenMode::CreateNew).unwrap()
}

#[track_caller]
fn fails<T: std::fmt::Debug>(outcome: io::Result<T>, kind: ErrorKind) {
    assert_eq!(outcome.unwrap_err().kind(), kind);
}

#[test]
fn the_nth_call_fails_once_or_from_there_on() {
    let disk = SimDisk::new(1);
    disk.fail(DiskFault::nth(2).of(DiskCall::Write));
    disk.fail(DiskFault::nth(5).with(ErrorKind::StorageFull).lasting());
    let a = file(&disk, "/a");
    a.write_at(b"1", 0).unwrap();
    fails(a.write_at(b"2", 0), ErrorKind::Other);
    a.write_at(b"3", 0).unwrap();
    fails(a.sync_data(), ErrorKind::StorageFull);
    fails(disk.sync_dir(path("/")), ErrorKind::StorageFull);
    assert_eq!(a.read_vec(0, 1).unwrap(), b"3");
    disk.heal();
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(disk.calls(), 7);

    disk.fail(DiskFault::nth(1).of(DiskCall::Read));
    disk.fail(DiskFault::nth(1).of(DiskCall::Look));
    disk.fail(DiskFault::nth(1).of(DiskCall::Open));
    fails(a.read_vec(0, 1), ErrorKind::Other);
    fails(a.len(), ErrorKind::Other);
    fails(disk.open(path("/a"), OpenMode::Read), ErrorKind::Other);
    assert_eq!((a.len().unwrap(), disk.calls()), (1, 7));
}

#[test]
fn every_call_that_changes_something_counts_and_can_fail() {
    type Call = fn(&SimDisk) -> io::Result<()>;
    let script: [(DiskCall, Call); 8] = [
        (DiskCall::CreateDir, |disk| disk.create_dir(path("/d"))),
        (DiskCall::Create, |disk| disk.open(path("/d/a"), OpenMode::Replace).map(drop)),
        (DiskCall::Write, |disk| disk.open(path("/d/a"), OpenMode::Write)?.write_at(b"12", 0).map(drop)),
        (DiskCall::SetLen, |disk| disk.open(path("/d/a"), OpenMode::Write)?.set_len(1)),
        (DiskCall::Sync, |disk| disk.open(path("/d/a"), OpenMode::Write)?.sync_data()),
        (DiskCall::Rename, |disk| disk.rename(path("/d/a"), path("/d/b"))),
        (DiskCall::SyncDir, |disk| disk.sync_dir(path("/d"))),
        (DiskCall::Remove, |disk| disk.remove_file(path("/d/b"))),
    ];
    for (broken, (kind, _)) in script.into_iter().enumerate() {
        for fault in [DiskFault::nth(1).of(kind), DiskFault::nth(broken as u64 + 1)] {
            let disk = SimDisk::new(1);
            disk.fail(fault);
            let done = script.iter().take_while(|(_, call)| call(&disk).is_ok()).count();
            assert_eq!((done, disk.calls()), (broken, broken as u64 + 1));
            script[broken].1(&disk).unwrap();
        }
        let disk = SimDisk::new(1);
        disk.stop_at(broken as u64 + 1);
        let done = script.iter().filter(|(_, call)| call(&disk).is_ok()).count();
        assert_eq!((done, disk.calls(), disk.is_stopped()), (broken, broken as u64 + 1, true));
    }
}

#[test]
fn a_write_that_fails_has_written_a_prefix() {
    let lens: std::collections::BTreeSet<usize> = (0..200)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            let a = file(&disk, "/a");
            if seed % 2 == 0 {
                disk.fail(DiskFault::nth(1))
            } else {
                disk.stop_at(2)
            }
            a.write_at(b"12345", 0).unwrap_err();
            let written = disk.read_file("/a").unwrap();
            assert!(b"12345".starts_with(&written));
            written.len()
        })
        .collect();
    assert_eq!(lens, (0..=5).collect());
}

#[test]
fn interrupted_and_short_calls_are_met_by_loops() {
    let disk = SimDisk::new(1);
    disk.interrupts(300);
    disk.short_calls(500);
    let a = file(&disk, "/a");
    let bytes: Vec<u8> = (0..20_000).map(|at| (at % 251) as u8).collect();
    for (piece, at) in bytes.chunks(100).zip((0..).step_by(100)) {
        a.write_all_at(piece, at).unwrap();
    }
    assert_eq!(a.read_vec(0, 30_000).unwrap(), bytes);
    assert!(disk.calls() > 400, "{}", disk.calls());
}

#[test]
fn the_dead_answer_nothing_and_hold_no_lock() {
    let disk = SimDisk::new(1);
    let a = file(&disk, "/a");
    let lock = disk.lock(path("/lock")).unwrap();
    let after = disk.clone().crash(CrashKind::KeepAll);
    let again = after.lock(path("/lock")).unwrap();
    fails(a.write_at(b"1", 0), ErrorKind::Other);
    fails(a.read_at(&mut [0], 0), ErrorKind::Other);
    fails(a.sync_data(), ErrorKind::Other);
    fails(a.len(), ErrorKind::Other);
    fails(disk.list(path("/")), ErrorKind::Other);
    fails(disk.lock(path("/lock")), ErrorKind::Other);
    drop((a, lock));
    fails(after.lock(path("/lock")), ErrorKind::WouldBlock);
    drop(again);
    assert_eq!((after.calls(), after.is_stopped(), disk.is_stopped()), (0, false, true));
}

#[test]
fn a_full_disk_takes_what_fits_and_what_is_written_over() {
    let disk = SimDisk::new(1);
    let a = file(&disk, "/a");
    a.write_all_at(&[1; 100], 0).unwrap();
    disk.set_free(50);
    assert_eq!(a.write_at(&[2; 100], 90).unwrap(), 60);
    fails(a.write_at(&[2; 1], 150), ErrorKind::StorageFull);
    a.write_all_at(&[3; 150], 0).unwrap();
    a.set_len(1000).unwrap();
    fails(a.write_at(&[4; 1], 999), ErrorKind::StorageFull);
    a.set_len(120).unwrap();
    assert_eq!(disk.free(), Some(30));

    let b = file(&disk, "/b");
    b.write_all_at(&[5; 30], 0).unwrap();
    disk.remove_file(path("/a")).unwrap();
    assert_eq!(disk.free(), Some(0), "it is open");
    drop(a);
    assert_eq!(disk.free(), Some(120));
    disk.sync_dir(path("/")).unwrap();
    b.sync_data().unwrap();
    b.write_all_at(&[6; 10], 30).unwrap();
    assert_eq!(disk.durable_copy().free(), Some(120));
    assert_eq!(SimDisk::new(1).free(), None);
}

#[test]
fn what_is_tampered_with_is_so_for_good() {
    let disk = SimDisk::new(1);
    disk.write_file("/d/e/a", b"12345").unwrap();
    disk.open(path("/d/e/a"), OpenMode::Write).unwrap().write_all_at(b"X", 0).unwrap();
    disk.flip("/d/e/a", 4, 1).unwrap();
    fails(disk.flip("/d/e/a", 5, 1), ErrorKind::InvalidInput);
    disk.write_file("/d/b", *b"123").unwrap();
    disk.truncate("/d/b", 2).unwrap();
    disk.write_file("/d/c", b"").unwrap();
    disk.plant_other("/d/x").unwrap();
    fails(disk.plant_other("/d/x"), ErrorKind::AlreadyExists);
    disk.remove("/d/c").unwrap();
    fails(disk.remove("/d/c"), ErrorKind::NotFound);
    fails(disk.remove("/d"), ErrorKind::IsADirectory);
    fails(disk.read_file("/d"), ErrorKind::IsADirectory);
    fails(disk.write_file("/d/b/f", b""), ErrorKind::NotADirectory);
    assert_eq!(disk.calls(), 1);

    let after = disk.crash(CrashKind::LoseAll);
    assert_eq!(after.files(), [("/d/b".into(), 2), ("/d/e/a".into(), 5)]);
    assert_eq!(after.read_file("d/e/a").unwrap(), b"X2344");
    assert_eq!(after.list(path("/d")).unwrap().len(), 3);
    assert!(format!("{after:?}").contains("calls: 0"));
}

/// How a toy log, which confirms records one by one, goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    NoSync,
    NoNames,
    SyncsAgain,
}

/// Writes records of 700 bytes to a file each, and answers how many it has confirmed.
fn toy_log(disk: &SimDisk, mistake: Mistake) -> usize {
    let one = |record: u8| -> io::Result<()> {
        let file = disk.open(path(&format!("/d/{record}")), OpenMode::CreateNew)?;
        file.write_all_at(&[record; 700], 0)?;
        match file.sync_data() {
            _ if mistake == Mistake::NoSync => {}
            Err(_) if mistake == Mistake::SyncsAgain => file.sync_data()?,
            done => done?,
        }
        if mistake == Mistake::NoNames { Ok(()) } else { disk.sync_dir(path("/d")) }
    };
    if disk.create_dir(path("/d")).and_then(|()| disk.sync_dir(path("/"))).is_err() {
        return 0;
    }
    (1..=5).take_while(|record| one(*record).is_ok()).count()
}

/// Counts the crashes after which a confirmed record is not there.
fn losses(mistake: Mistake) -> usize {
    let whole = SimDisk::new(0);
    assert_eq!(toy_log(&whole, mistake), 5);
    let mut lost = 0;
    for seed in 0..10 {
        for nth in 1..=whole.calls() + 1 {
            for fault in [None, Some(DiskFault::nth(nth)), Some(DiskFault::nth(nth).lasting())] {
                let disk = SimDisk::new(seed);
                match fault {
                    Some(fault) => disk.fail(fault),
                    None => disk.stop_at(nth),
                }
                let confirmed = toy_log(&disk, mistake) as u8;
                for how in [CrashKind::KeepAll, CrashKind::LoseAll, CrashKind::Random(seed)] {
                    let after = disk.crash(how);
                    let kept = |record| {
                        after.read_file(format!("/d/{record}")).is_ok_and(|bytes| bytes == [record; 700])
                    };
                    lost += usize::from(!(1..=confirmed).all(kept));
                }
            }
        }
    }
    lost
}

#[test]
fn a_logs_mistakes_show_and_only_they_do() {
    assert_eq!(losses(Mistake::None), 0);
    for mistake in [Mistake::NoSync, Mistake::NoNames, Mistake::SyncsAgain] {
        assert!(losses(mistake) > 10, "{mistake:?}");
    }
}
