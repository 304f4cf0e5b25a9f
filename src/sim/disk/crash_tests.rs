//! Does a crash lose what it may lose, each of it now and then, and never more?

use std::collections::BTreeSet;
use std::path::Path;

use super::super::rng::Rng;
use super::{CrashKind, DiskCall, DiskFault, SimDisk};
use crate::log::{OpenMode, Vfs, VfsFile};

const SEEDS: u64 = 200;

fn path(path: &str) -> &Path {
    Path::new(path)
}

fn synced(disk: &SimDisk, at: &str, bytes: &[u8]) -> Box<dyn VfsFile> {
    let file = disk.open(path(at), OpenMode::CreateNew).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    file
}

/// Says what crashes leave of a file, for some hundred seeds; `None` if they leave none.
fn left(disk: &SimDisk, at: &str) -> Vec<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| disk.crash(CrashKind::Random(seed)).read_file(at).ok()).collect()
}

#[test]
fn a_name_is_lost_until_its_directory_was_synced() {
    let disk = SimDisk::new(1);
    disk.create_dir(path("/d")).unwrap();
    let _file = synced(&disk, "/d/f", b"data");
    disk.sync_dir(path("/d")).unwrap();
    let copy = disk.durable_copy();
    assert_eq!(copy.kind(path("/d")).unwrap(), None, "the directory's own name was not synced");
    disk.sync_dir(path("/")).unwrap();
    let _other = synced(&disk, "/d/g", b"data");

    let sure = left(&disk, "/d/f");
    assert!(sure.iter().all(|bytes| bytes.as_deref() == Some(b"data")));
    let unsure: BTreeSet<_> = left(&disk, "/d/g").into_iter().collect();
    assert_eq!(unsure, BTreeSet::from([None, Some(b"data".to_vec())]));
    assert_eq!(disk.crash(CrashKind::LoseAll).files(), [("/d/f".into(), 4)]);
}

#[test]
fn unsynced_writes_are_lost_kept_torn_and_out_of_order() {
    let disk = SimDisk::new(1);
    let file = synced(&disk, "/f", &[0; 4096]);
    disk.sync_dir(path("/")).unwrap();
    file.write_all_at(&[1; 1024], 0).unwrap();
    file.write_all_at(&[2; 1000], 1100).unwrap();

    let states = left(&disk, "/f").into_iter().map(Option::unwrap).collect::<BTreeSet<_>>();
    let part = |from: usize, to: usize| move |bytes: &&Vec<u8>| bytes[from..to].iter().all(|byte| *byte != 0);
    let first = part(0, 1024);
    let second = part(1100, 2100);
    assert!(states.iter().any(|bytes| first(&bytes) && second(&bytes)), "kept");
    assert!(states.iter().any(|bytes| bytes.iter().all(|byte| *byte == 0)), "lost");
    assert!(states.iter().any(|bytes| second(&bytes) && bytes[..1024] == [0; 1024]), "out of order");
    assert!(states.iter().any(|bytes| part(0, 512)(&bytes) && bytes[512..1024] == [0; 512]), "torn");
    assert!(states.iter().any(|bytes| part(512, 1024)(&bytes) && bytes[..512] == [0; 512]), "torn");
    let aligned = [(0, 512), (512, 1024), (1100, 1536), (1536, 2048), (2048, 2100)];
    for bytes in &states {
        assert_eq!(bytes.len(), 4096);
        assert!(bytes[1024..1100].iter().chain(&bytes[2100..]).all(|byte| *byte == 0));
        for (from, to) in aligned {
            assert!(bytes[from..to].windows(2).all(|pair| pair[0] == pair[1]), "a sector is whole");
        }
    }
}

#[test]
fn a_long_write_is_torn_at_its_front_at_its_end_and_all_over() {
    let disk = SimDisk::new(1);
    let file = synced(&disk, "/f", &[0; 100_000]);
    disk.sync_dir(path("/")).unwrap();
    file.write_all_at(&[1; 100_000], 0).unwrap();
    let mut seen = BTreeSet::new();
    for bytes in left(&disk, "/f").into_iter().flatten() {
        let edges = bytes.windows(2).filter(|pair| pair[0] != pair[1]).count();
        seen.insert((edges.min(2), bytes[0]));
    }
    assert_eq!(seen, BTreeSet::from([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]));
}

#[test]
fn a_length_is_kept_without_its_data_or_lost_with_it() {
    let disk = SimDisk::new(1);
    let file = synced(&disk, "/f", b"start");
    disk.sync_dir(path("/")).unwrap();
    file.write_all_at(&[1; 2000], 5).unwrap();
    let lens: BTreeSet<_> =
        left(&disk, "/f").into_iter().flatten().map(|bytes| (bytes.len(), bytes.ends_with(&[0]))).collect();
    assert!(
        lens.is_superset(&BTreeSet::from([(5, false), (2005, false), (2005, true), (512, false)])),
        "{lens:?}"
    );

    let disk = disk.crash(CrashKind::KeepAll);
    let file = disk.open(path("/f"), OpenMode::Write).unwrap();
    file.sync_data().unwrap();
    file.set_len(3).unwrap();
    file.set_len(4000).unwrap();
    let lens: BTreeSet<_> = left(&disk, "/f").into_iter().flatten().map(|bytes| bytes.len()).collect();
    assert_eq!(lens, BTreeSet::from([3, 2005, 4000]));
    let disk = disk.crash(CrashKind::KeepAll);
    let file = disk.open(path("/f"), OpenMode::Write).unwrap();
    file.sync_data().unwrap();
    assert!(left(&disk, "/f").iter().all(|bytes| bytes.as_ref().unwrap().len() == 4000));
}

#[test]
fn a_rename_happens_or_does_not() {
    let disk = SimDisk::new(1);
    let _old = synced(&disk, "/checkpoint", b"old");
    disk.sync_dir(path("/")).unwrap();
    let _new = synced(&disk, "/tmp", b"new");
    disk.rename(path("/tmp"), path("/checkpoint")).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let after = disk.crash(CrashKind::Random(seed));
        let checkpoint = after.read_file("/checkpoint").expect("one of them is there");
        assert!(checkpoint != b"new" || after.read_file("/tmp").is_err(), "not by both names");
        seen.insert((checkpoint, after.read_file("/tmp").ok()));
    }
    let (old, new) = (b"old".to_vec(), b"new".to_vec());
    assert_eq!(seen, BTreeSet::from([(old.clone(), None), (old, Some(new.clone())), (new, None)]));
}

#[test]
fn a_rename_before_its_data_leaves_an_empty_file() {
    let disk = SimDisk::new(1);
    let file = disk.open(path("/tmp"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"new", 0).unwrap();
    disk.rename(path("/tmp"), path("/f")).unwrap();
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(disk.crash(CrashKind::LoseAll).files(), [("/f".into(), 0)]);
}

#[test]
fn changes_of_one_name_are_kept_in_their_order() {
    let disk = SimDisk::new(1);
    let _first = synced(&disk, "/a", b"1");
    disk.sync_dir(path("/")).unwrap();
    disk.rename(path("/a"), path("/b")).unwrap();
    let _second = synced(&disk, "/a", b"2");
    disk.remove_file(path("/b")).unwrap();
    let states: BTreeSet<_> = (0..SEEDS)
        .map(|seed| disk.crash(CrashKind::Random(seed)))
        .map(|after| (after.read_file("/a").ok(), after.read_file("/b").ok()))
        .collect();
    let [one, two] = [b"1", b"2"].map(|bytes| Some(bytes.to_vec()));
    // Why not more: what makes a second `/a`, or removes `/b`, builds on the rename.
    let may_be = [(one.clone(), None), (None, one.clone()), (two.clone(), one), (two, None), (None, None)];
    assert_eq!(states, BTreeSet::from(may_be));
}

#[test]
fn a_killed_process_loses_nothing_but_the_power_still_may() {
    let disk = SimDisk::new(1);
    let file = synced(&disk, "/f", b"old");
    disk.sync_dir(path("/")).unwrap();
    file.write_all_at(b"new", 0).unwrap();
    synced(&disk, "/g", b"");
    let killed = disk.crash(CrashKind::KeepAll);
    assert_eq!(killed.read_file("/f").unwrap(), b"new");
    assert_eq!(killed.files().len(), 2);
    let cut = killed.crash(CrashKind::LoseAll);
    assert_eq!((cut.read_file("/f").unwrap(), cut.files().len()), (b"old".to_vec(), 1));

    let killed = disk.crash(CrashKind::KeepAll);
    killed.open(path("/f"), OpenMode::Write).unwrap().sync_data().unwrap();
    killed.sync_dir(path("/")).unwrap();
    assert_eq!(killed.crash(CrashKind::LoseAll).files().len(), 2);
}

#[test]
fn a_failed_sync_is_not_made_good_by_the_next_one() {
    let disk = SimDisk::new(1);
    let file = synced(&disk, "/f", &[0; 2048]);
    disk.sync_dir(path("/")).unwrap();
    file.write_all_at(&[1; 1024], 0).unwrap();
    disk.fail(DiskFault::nth(1).of(DiskCall::Sync));
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!(file.read_vec(0, 1).unwrap(), [1], "it looks as if it were there");
    file.write_all_at(&[2; 1024], 1024).unwrap();
    file.sync_data().unwrap();

    let killed = disk.crash(CrashKind::KeepAll);
    assert_eq!(killed.read_file("/f").unwrap()[0], 1);
    killed.drop_caches();
    assert_eq!(killed.read_file("/f").unwrap()[0], 0);

    let least = disk.crash(CrashKind::LoseAll).read_file("/f").unwrap();
    assert_eq!((&least[..1024], &least[1024..]), (&[0; 1024][..], &[2; 1024][..]));
    let states: BTreeSet<_> = left(&disk, "/f").into_iter().flatten().collect();
    assert!(states.iter().all(|bytes| bytes[1024..] == [2; 1024]), "a synced one is never lost");
    assert!(states.len() > 2, "and what was not may be kept, or in part");
}

#[test]
fn a_failed_sync_of_names_is_not_made_good_by_the_next_one() {
    let disk = SimDisk::new(1);
    let _file = synced(&disk, "/f", b"");
    disk.fail(DiskFault::nth(1).of(DiskCall::SyncDir));
    disk.sync_dir(path("/")).unwrap_err();
    disk.sync_dir(path("/")).unwrap();
    let _other = synced(&disk, "/g", b"");
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(disk.crash(CrashKind::LoseAll).files(), [("/g".into(), 0)]);
    let states: BTreeSet<_> = left(&disk, "/f").into_iter().collect();
    assert_eq!(states.len(), 2);
}

#[test]
fn what_was_synced_is_never_lost_whatever_else_happened() {
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed, 0);
        let disk = SimDisk::new(seed);
        let files: Vec<_> = ["/a", "/b", "/c"].map(|name| (name, synced(&disk, name, b""))).into();
        disk.sync_dir(path("/")).unwrap();
        // A write is of a range of its own, so that what was synced of it can't be overwritten.
        let mut kept = Vec::new();
        let mut waiting = vec![Vec::new(); files.len()];
        for turn in 0..40_u64 {
            let pick = rng.below(files.len());
            let (name, file) = &files[pick];
            match rng.below(5) {
                0 => {
                    file.sync_data().unwrap();
                    kept.append(&mut waiting[pick]);
                }
                1 if rng.below(4) == 0 => {
                    disk.fail(DiskFault::nth(1).of(DiskCall::Sync));
                    file.sync_data().unwrap_err();
                    waiting[pick].clear();
                }
                2 => {
                    synced(&disk, &format!("/junk{turn}"), b"x");
                }
                _ => {
                    let bytes = vec![turn as u8 + 1; 1 + rng.below(1500)];
                    file.write_all_at(&bytes, turn * 1500).unwrap();
                    waiting[pick].push((*name, turn as usize * 1500, bytes));
                }
            }
        }
        let how = if seed % 10 == 0 { CrashKind::LoseAll } else { CrashKind::Random(seed) };
        let after = disk.crash(how);
        for (name, at, bytes) in kept {
            assert_eq!(after.read_file(name).unwrap()[at..at + bytes.len()], bytes, "seed {seed}, {name}");
        }
    }
}

#[test]
fn the_same_seed_leaves_the_same_disk() {
    let run = |seed| {
        let disk = SimDisk::new(seed);
        disk.short_calls(300);
        disk.interrupts(300);
        disk.fail(DiskFault::nth(30).of(DiskCall::Write));
        let file = disk.open(path("/f"), OpenMode::CreateNew).unwrap();
        for at in 0..40 {
            drop(file.write_all_at(&[at as u8; 700], at * 700));
        }
        let after = disk.crash(CrashKind::Random(seed));
        (disk.calls(), disk.read_file("/f").unwrap(), after.read_file("/f").ok())
    };
    assert!((0..20).all(|seed| run(seed) == run(seed)));
    let runs: BTreeSet<_> = (0..20).map(run).collect();
    assert!(runs.len() > 10);
}
