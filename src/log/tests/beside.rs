//! Do commits go on while what is of use moves to segments? Does nobody else get the directory before that is through?

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::hand::{DIR, Hand, records, small};
use crate::log::request::Done;
use crate::log::{EntryKind, Log, LogError, OpenMode, Terms, Vfs, VfsFile};
use crate::sim::{CrashKind, SimDisk};

/// A disk on which whoever begins a segment says so, and waits for a word to go on. Without anybody to give it, nobody waits.
#[derive(Debug)]
struct Gated {
    disk: SimDisk,
    says: Sender<()>,
    waits: Mutex<Receiver<()>>,
}

impl Vfs for Gated {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn VfsFile>> {
        if path.extension().is_some_and(|end| end == "seg") && how != OpenMode::Read {
            // A test that has seen enough hears of nothing more, and gives no word.
            let _ = self.says.send(());
            let _ = self.waits.lock().unwrap().recv();
        }
        self.disk.open(path, how)
    }
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.disk.kind(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn fmt::Debug + Send + Sync>> {
        self.disk.lock(path)
    }
}

struct Opened {
    log: Log,
    disk: SimDisk,
    topic: u32,
    begun: Receiver<()>,
    go_on: Option<Sender<()>>,
}

/// Asks a log that has a thread of its own, and waits for its answer.
fn ask<T: Send + 'static>(request: impl FnOnce(Done<T>)) -> Result<T, LogError> {
    let (tell, hear) = channel();
    request(Done::new(move |result| tell.send(result).unwrap()));
    hear.recv().expect("each request is answered")
}

impl Opened {
    fn new() -> Opened {
        let (disk, (says, begun), (go_on, waits)) = (SimDisk::new(1), channel(), channel());
        let gated = Gated { disk: disk.clone(), says, waits: Mutex::new(waits) };
        let (log, driver, ..) = Log::open(Arc::new(gated), Path::new(DIR), small(1)).unwrap();
        driver.spawn().unwrap();
        let keeps = Terms { keeps: true, ..Terms::default() };
        let topic = ask(|done| log.create_topic("kept".into(), keeps, done)).unwrap();
        Opened { log, disk, topic, begun, go_on: Some(go_on) }
    }

    /// Appends until a segment is begun: that is when the third of four slots is begun, of which each has room for eleven records.
    fn until_one_begins(&self) -> u64 {
        let many = 24;
        (0..many).for_each(|nth| self.append(nth).unwrap());
        self.begun.recv().unwrap();
        many
    }

    /// From now on nobody waits.
    fn goes_on(&mut self) {
        self.go_on = None;
    }

    fn append(&self, nth: u64) -> Result<(), LogError> {
        let body = [&nth.to_le_bytes()[..], &[7; 1000]].concat();
        let offset = ask(|done| self.log.append((self.topic, records(&[&body])), None, true, done))?;
        assert_eq!(offset, nth);
        Ok(())
    }
}

#[test]
fn commits_go_on_while_what_is_of_use_moves() {
    let opened = Opened::new();
    let many = opened.until_one_begins();
    // Nothing moves while these are confirmed: whoever moves waits for us.
    for nth in many..many + 10 {
        opened.append(nth).unwrap();
    }
    let found =
        Hand::open(Arc::new(opened.disk.crash(CrashKind::LoseAll)), Path::new(DIR), small(2)).unwrap();
    assert_eq!(found.read(opened.topic).unwrap().len() as u64, many + 10, "confirmed is confirmed");
}

#[test]
fn what_moves_beside_commits_is_there_once() {
    let mut opened = Opened::new();
    let many = opened.until_one_begins();
    opened.append(many).unwrap();
    opened.goes_on();
    (many + 1..200).for_each(|nth| opened.append(nth).unwrap());
    ask(|done| opened.log.close(true, done)).unwrap();
    let found = Hand::open(Arc::new(opened.disk), Path::new(DIR), small(3)).unwrap();
    let read = found.read(opened.topic).unwrap();
    assert!(
        read.iter()
            .map(|(at, body)| (*at, body[..8].to_vec()))
            .eq((0..200).map(|nth: u64| (nth, nth.to_le_bytes().to_vec())))
    );
}

#[test]
fn the_directory_is_free_once_what_moves_is_through() {
    let mut opened = Opened::new();
    opened.until_one_begins();
    let (tell, closed) = channel();
    opened.log.close(true, Done::new(move |result| tell.send(result).unwrap()));
    let disk = opened.disk.clone();
    let again = || Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(2));
    assert!(matches!(again(), Err(LogError::Locked { .. })), "somebody is at work in it");
    assert!(closed.try_recv().is_err(), "and so it is not closed");
    opened.goes_on();
    closed.recv().unwrap().unwrap();
    assert!(again().unwrap().found.clean);
}
