//! Holds a log's writer by hand: each request is a commit of its own, made at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::log::open::{self, Found, Options};
use crate::log::request::{Done, Request};
use crate::log::writer::Writer;
use crate::log::{LogError, Marks, Record, Records, Terms, Vfs};

/// Where the log is, on a simulated disk.
pub(crate) const DIR: &str = "/data/log";

pub(crate) fn small(entropy: u64) -> Options {
    Options { slot_bytes: 16 << 10, roll_bytes: 8 << 10, entropy }
}

pub(crate) struct Hand {
    pub(crate) writer: Writer,
    pub(crate) found: Found,
}

type Heard<T> = Arc<Mutex<Option<Result<T, LogError>>>>;

fn ear<T: Send + 'static>() -> (Done<T>, Heard<T>) {
    let heard: Heard<T> = Arc::default();
    let tell = heard.clone();
    (Done::new(move |result| *tell.lock().unwrap() = Some(result)), heard)
}

impl Hand {
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: &Path, options: Options) -> Result<Hand, LogError> {
        let (writer, found) = open::open(vfs, dir, options)?;
        Ok(Hand { writer, found })
    }

    fn ask<T: Send + 'static>(&mut self, request: impl FnOnce(Done<T>) -> Request) -> Result<T, LogError> {
        let (done, heard) = ear();
        self.writer.work_off([request(done)].into());
        let result = heard.lock().unwrap().take();
        result.expect("each request is answered")
    }

    pub(crate) fn topic(&mut self, name: &str) -> Result<u32, LogError> {
        self.topic_with(name, Terms::default())
    }

    pub(crate) fn topic_with(&mut self, name: &str, terms: Terms) -> Result<u32, LogError> {
        self.ask(|done| Request::CreateTopic { topic: None, name: name.into(), terms, done })
    }

    pub(crate) fn group(&mut self, topic: u32, name: &str, start: u64) -> Result<u32, LogError> {
        let about = name.as_bytes().to_vec();
        let group = self.writer.state.topics.get(&topic).map_or(0, |topic| topic.next_group);
        self.ask(|done| Request::CreateGroup { topic, group, name: name.into(), about, start, done })?;
        Ok(group)
    }

    pub(crate) fn append(&mut self, topic: u32, bodies: &[&[u8]], sync: bool) -> Result<u64, LogError> {
        let records = records(bodies);
        self.ask(|done| Request::Append { topic, records, sync, settles: None, done })
    }

    pub(crate) fn mark(&mut self, topic: u32, group: u32, marks: Marks) -> Result<(), LogError> {
        self.ask(|done| Request::Mark { topic, group, marks, done })
    }

    pub(crate) fn mark_unheard(&mut self, topic: u32, group: u32, marks: Marks) {
        self.writer.work_off([Request::Mark { topic, group, marks, done: Done::unheard() }].into());
    }

    pub(crate) fn trim(&mut self, topic: u32, floor: u64) {
        self.writer.work_off([Request::Trim { topic, floor }].into());
    }

    pub(crate) fn seek(&mut self, topic: u32, group: u32, to: u64) -> Result<(), LogError> {
        self.ask(|done| Request::Seek { topic, group, to, about: Vec::new(), done })
    }

    pub(crate) fn delete_topic(&mut self, topic: u32) -> Result<(), LogError> {
        self.ask(|done| Request::DeleteTopic { topic, done })
    }

    pub(crate) fn delete_group(&mut self, topic: u32, group: u32) -> Result<(), LogError> {
        self.ask(|done| Request::DeleteGroup { topic, group, done })
    }

    pub(crate) fn seal(&mut self) -> Result<(), LogError> {
        self.ask(|done| Request::Seal { done })
    }

    pub(crate) fn turn(&mut self) -> Result<(), LogError> {
        self.ask(|done| Request::Turn { done })
    }

    pub(crate) fn close(mut self) -> Result<(), LogError> {
        self.ask(|done| Request::Close { clean: true, done })
    }

    /// All records of a topic that are of use.
    pub(crate) fn read(&self, topic: u32) -> Result<BTreeMap<u64, Vec<u8>>, LogError> {
        self.read_by(topic, 1 << 16)
    }

    pub(crate) fn read_by(&self, topic: u32, most: usize) -> Result<BTreeMap<u64, Vec<u8>>, LogError> {
        let (mut from, next) = self.writer.shelf.bounds(topic).ok_or(LogError::Missing)?;
        let mut all = BTreeMap::new();
        while from < next {
            let chunk = self.writer.shelf.read(topic, from, most)?;
            all.extend(chunk.records().map(|(at, record)| (at, record.body.to_vec())));
            let end = chunk.end().expect("there is something before the end");
            assert!(end > from, "a read goes on");
            from = end;
        }
        Ok(all)
    }
}

pub(crate) fn records(bodies: &[&[u8]]) -> Records {
    let mut records = Records::default();
    for body in bodies {
        records.push(&Record { millis: 1, seq: None, key: None, body });
    }
    records
}

pub(crate) fn done(runs: &[(u64, u64)]) -> Marks {
    Marks { done: runs.to_vec(), notes: Vec::new() }
}

/// A directory on the machine's disk that goes when this is dropped.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> TempDir {
        let dir = std::env::temp_dir().join(format!("callboard-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        TempDir(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
