//! Does a process find the simulated disk to be like the machine's own?

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::SimDisk;
use crate::log::{EntryKind, OpenMode, RealFs, Vfs};

/// A check, in an empty directory of its own.
type Check = fn(&dyn Vfs, &Path) -> io::Result<()>;

const CHECKS: [(&str, Check); 9] = [
    ("modes", files_open_as_asked),
    ("positions", positions_and_lengths_are_those_of_a_file),
    ("handles", handles_outlive_names),
    ("dirs", directories_are_made_listed_and_removed),
    ("renames", renames_replace_files),
    ("wrong", what_is_no_file_is_not_taken_for_one),
    ("missing", what_is_missing_is_not_found),
    ("syncs", what_is_there_can_be_synced),
    ("locks", one_has_a_lock),
];

#[test]
fn the_machines_own_disk_passes() {
    let top = std::env::temp_dir().join(format!("callboard-conformance-{}", std::process::id()));
    fs::create_dir_all(&top).unwrap();
    let outcomes = CHECKS.map(|(name, check)| {
        let dir = top.join(name);
        fs::create_dir(&dir).unwrap();
        (name, std::panic::catch_unwind(|| check(&RealFs, &dir)))
    });
    fs::remove_dir_all(&top).unwrap();
    outcomes.into_iter().for_each(|(name, outcome)| outcome.expect(name).expect(name));
}

#[test]
fn the_simulated_disk_passes() {
    for (name, check) in CHECKS {
        for top in ["/a", "a", "/a/b c"] {
            let disk = SimDisk::new(1);
            disk.make_dir(top).unwrap();
            check(&disk, Path::new(top)).expect(name);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_something_else_on_both() {
    let top = std::env::temp_dir().join(format!("callboard-link-{}", std::process::id()));
    fs::create_dir(&top).unwrap();
    std::os::unix::fs::symlink("nowhere", top.join("x")).unwrap();
    let outcome = std::panic::catch_unwind(|| a_link_is_neither(&RealFs, &top.join("x")));
    fs::remove_dir_all(&top).unwrap();
    outcome.unwrap().unwrap();

    let disk = SimDisk::new(1);
    disk.plant_other("/a/x").unwrap();
    a_link_is_neither(&disk, Path::new("/a/x")).unwrap();
}

#[cfg(unix)]
fn a_link_is_neither(vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
    assert_eq!(vfs.kind(path)?, Some(EntryKind::Other));
    assert_eq!(vfs.list(path.parent().unwrap())?, [path]);
    fails(vfs.open(path, OpenMode::Read), ErrorKind::NotFound);
    fails(vfs.open(path, OpenMode::Write), ErrorKind::NotFound);
    fails(vfs.open(path, OpenMode::CreateNew), ErrorKind::AlreadyExists);
    fails(vfs.remove_dir(path), ErrorKind::NotADirectory);
    let moved = path.with_file_name("y");
    vfs.rename(path, &moved)?;
    assert_eq!(vfs.kind(&moved)?, Some(EntryKind::Other));
    vfs.remove_file(&moved)?;
    assert_eq!(vfs.kind(&moved)?, None);
    Ok(())
}

fn files_open_as_asked(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let path = dir.join("f");
    fails(vfs.open(&path, OpenMode::Read), ErrorKind::NotFound);
    fails(vfs.open(&path, OpenMode::Write), ErrorKind::NotFound);
    let made = vfs.open(&path, OpenMode::CreateNew)?;
    made.write_all_at(b"12345", 0)?;
    fails(vfs.open(&path, OpenMode::CreateNew), ErrorKind::AlreadyExists);

    let reader = vfs.open(&path, OpenMode::Read)?;
    assert_eq!(reader.read_vec(0, 10)?, b"12345");
    assert!(reader.write_at(b"x", 0).is_err());
    assert!(reader.set_len(1).is_err());
    reader.sync_data()?;
    vfs.open(&path, OpenMode::Write)?.write_all_at(b"X", 0)?;
    assert_eq!(reader.read_vec(0, 10)?, b"X2345");

    let emptied = vfs.open(&path, OpenMode::Replace)?;
    assert_eq!((emptied.len()?, reader.len()?, made.len()?), (0, 0, 0));
    vfs.open(&dir.join("g"), OpenMode::Replace)?.write_all_at(b"new", 0)?;
    assert_eq!(read(vfs, &dir.join("g"))?, b"new");
    Ok(())
}

fn positions_and_lengths_are_those_of_a_file(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let file = vfs.open(&dir.join("f"), OpenMode::CreateNew)?;
    assert_eq!((file.len()?, file.read_vec(0, 9)?), (0, vec![]));
    file.write_all_at(b"xyz", 5)?;
    assert_eq!(file.read_vec(0, 9)?, b"\0\0\0\0\0xyz");
    assert_eq!(file.read_vec(7, 9)?, b"z");
    assert_eq!(file.read_at(&mut [0; 4], 8)?, 0);
    assert_eq!(file.read_at(&mut [0; 4], 1 << 40)?, 0);
    assert_eq!(file.read_at(&mut [], 0)?, 0);
    assert_eq!(file.write_at(&[], 100)?, 0);
    assert_eq!(file.len()?, 8);
    file.set_len(6)?;
    assert_eq!(file.read_vec(0, 9)?, b"\0\0\0\0\0x");
    file.set_len(9)?;
    assert_eq!(file.read_vec(0, 99)?, b"\0\0\0\0\0x\0\0\0");
    file.write_all_at(b"ab", 4)?;
    assert_eq!(file.read_vec(3, 4)?, b"\0ab\0");
    Ok(())
}

fn handles_outlive_names(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let (a, b) = (dir.join("a"), dir.join("b"));
    write(vfs, &a, b"first")?;
    let file = vfs.open(&a, OpenMode::Write)?;
    vfs.remove_file(&a)?;
    assert_eq!(vfs.kind(&a)?, None);
    write(vfs, &a, b"second")?;
    file.write_all_at(b"F", 0)?;
    assert_eq!((file.read_vec(0, 9)?, read(vfs, &a)?), (b"First".to_vec(), b"second".to_vec()));

    let file = vfs.open(&a, OpenMode::Write)?;
    vfs.rename(&a, &b)?;
    file.write_all_at(b"S", 0)?;
    file.sync_data()?;
    assert_eq!(read(vfs, &b)?, b"Second");
    Ok(())
}

fn directories_are_made_listed_and_removed(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let sub = dir.join("sub");
    assert_eq!(vfs.list(dir)?, Vec::<PathBuf>::new());
    vfs.create_dir(&sub)?;
    vfs.create_dir(&sub)?;
    for name in ["b", "a", "a.b", "B", "0"] {
        write(vfs, &sub.join(name), b"")?;
    }
    assert_eq!(vfs.list(&sub)?, ["0", "B", "a", "a.b", "b"].map(|name| sub.join(name)));
    assert_eq!((vfs.kind(&sub)?, vfs.kind(&sub.join("a"))?), (Some(EntryKind::Dir), Some(EntryKind::File)));
    fails(vfs.remove_dir(&sub), ErrorKind::DirectoryNotEmpty);
    for path in vfs.list(&sub)? {
        vfs.remove_file(&path)?;
    }
    vfs.remove_dir(&sub)?;
    assert_eq!(vfs.kind(&sub)?, None);
    fails(vfs.list(&sub), ErrorKind::NotFound);
    Ok(())
}

fn renames_replace_files(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let (a, b, sub) = (dir.join("a"), dir.join("b"), dir.join("sub"));
    write(vfs, &a, b"new")?;
    write(vfs, &b, b"old")?;
    vfs.rename(&a, &b)?;
    assert_eq!((read(vfs, &b)?, vfs.kind(&a)?), (b"new".to_vec(), None));
    vfs.rename(&b, &b)?;
    vfs.create_dir(&sub)?;
    fails(vfs.rename(&b, &sub), ErrorKind::IsADirectory);
    fails(vfs.rename(&sub, &b), ErrorKind::NotADirectory);
    fails(vfs.rename(&sub, &sub.join("in")), ErrorKind::InvalidInput);
    vfs.rename(&b, &sub.join("c"))?;
    assert_eq!(vfs.list(dir)?, std::slice::from_ref(&sub));
    vfs.rename(&sub, &a)?;
    assert_eq!(read(vfs, &a.join("c"))?, b"new");
    vfs.create_dir(&sub)?;
    fails(vfs.rename(&sub, &a), ErrorKind::DirectoryNotEmpty);
    vfs.rename(&a, &sub)?;
    assert_eq!(vfs.list(&sub)?, [sub.join("c")]);
    Ok(())
}

fn what_is_no_file_is_not_taken_for_one(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let (file, sub) = (dir.join("file"), dir.join("sub"));
    write(vfs, &file, b"")?;
    vfs.create_dir(&sub)?;
    fails(vfs.open(&sub, OpenMode::Write), ErrorKind::IsADirectory);
    fails(vfs.open(&sub, OpenMode::Replace), ErrorKind::IsADirectory);
    fails(vfs.open(&sub, OpenMode::CreateNew), ErrorKind::AlreadyExists);
    fails(vfs.remove_file(&sub), ErrorKind::IsADirectory);
    fails(vfs.remove_dir(&file), ErrorKind::NotADirectory);
    fails(vfs.create_dir(&file), ErrorKind::AlreadyExists);
    fails(vfs.list(&file), ErrorKind::NotADirectory);
    let under = file.join("under");
    fails(vfs.kind(&under), ErrorKind::NotADirectory);
    fails(vfs.open(&under, OpenMode::Read), ErrorKind::NotADirectory);
    fails(vfs.open(&under, OpenMode::CreateNew), ErrorKind::NotADirectory);
    fails(vfs.create_dir(&under), ErrorKind::NotADirectory);
    Ok(())
}

fn what_is_missing_is_not_found(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let (none, below, file) = (dir.join("none"), dir.join("none/below"), dir.join("file"));
    write(vfs, &file, b"")?;
    fails(vfs.open(&below, OpenMode::CreateNew), ErrorKind::NotFound);
    fails(vfs.open(&below, OpenMode::Replace), ErrorKind::NotFound);
    fails(vfs.create_dir(&below), ErrorKind::NotFound);
    fails(vfs.remove_file(&none), ErrorKind::NotFound);
    fails(vfs.remove_dir(&none), ErrorKind::NotFound);
    fails(vfs.rename(&none, &file), ErrorKind::NotFound);
    fails(vfs.rename(&file, &below), ErrorKind::NotFound);
    fails(vfs.list(&none), ErrorKind::NotFound);
    fails(vfs.lock(&below), ErrorKind::NotFound);
    fails(vfs.open(Path::new(""), OpenMode::Read), ErrorKind::NotFound);
    assert_eq!((vfs.kind(&none)?, vfs.kind(&below)?), (None, None));
    Ok(())
}

fn what_is_there_can_be_synced(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    write(vfs, &dir.join("f"), b"")?;
    vfs.open(&dir.join("f"), OpenMode::Write)?.sync_data()?;
    vfs.sync_dir(dir)?;
    if cfg!(unix) {
        fails(vfs.sync_dir(&dir.join("none")), ErrorKind::NotFound);
    }
    Ok(())
}

fn one_has_a_lock(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let path = dir.join("lock");
    let lock = vfs.lock(&path)?;
    assert_eq!(vfs.kind(&path)?, Some(EntryKind::File));
    fails(vfs.lock(&path), ErrorKind::WouldBlock);
    let other = vfs.lock(&dir.join("other"))?;
    drop(lock);
    let lock = vfs.lock(&path)?;
    vfs.remove_file(&path)?;
    drop((lock, other));

    write(vfs, &path, b"content")?;
    drop(vfs.lock(&path)?);
    assert_eq!(read(vfs, &path)?, b"content");
    Ok(())
}

fn write(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    vfs.open(path, OpenMode::CreateNew)?.write_all_at(bytes, 0)
}

fn read(vfs: &dyn Vfs, path: &Path) -> io::Result<Vec<u8>> {
    vfs.open(path, OpenMode::Read)?.read_vec(0, 100)
}

#[track_caller]
fn fails<T: std::fmt::Debug>(outcome: io::Result<T>, kind: ErrorKind) {
    assert_eq!(outcome.unwrap_err().kind(), kind);
}
