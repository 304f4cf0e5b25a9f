//! What `benches/disk` measures the engine by: one writer, without its thread, one commit at a time. Not for others.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::aside::Aside;
use super::change::Terms;
use super::error::LogError;
use super::open::{self, Options};
use super::record::{Record, Records};
use super::request::{Done, Request};
use super::vfs::Vfs;
use super::writer::Writer;

/// A log whose commits are made in the caller's thread. Dropped it ends as if it was killed.
pub struct Engine(Writer);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine(..)")
    }
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Records.
    pub records: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<u64>,
}

impl Engine {
    /// Opens the log in a directory, or makes one.
    ///
    /// # Errors
    /// Those of the log.
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path) -> Result<Engine, LogError> {
        let (mut writer, _) = open::open(vfs, dir, Options::new(1))?;
        writer.aside = Aside::on_threads();
        Ok(Engine(writer))
    }

    /// Creates topics of these names, in one commit; answers with the number of the first.
    ///
    /// # Errors
    /// Those of the log.
    pub fn create(&mut self, names: impl IntoIterator<Item = String>) -> Result<u32, LogError> {
        let first = self.0.state.next_topic;
        self.all(|heard| {
            let create = |name| Request::CreateTopic {
                topic: None,
                name,
                terms: Terms::default(),
                done: heard.done(),
            };
            names.into_iter().map(create).collect()
        })?;
        Ok(first)
    }

    /// Appends to each of these topics so many records with this body, in one commit.
    ///
    /// # Errors
    /// Those of the log.
    pub fn commit(
        &mut self,
        topics: impl IntoIterator<Item = u32>,
        count: usize,
        body: &[u8],
        sync: bool,
    ) -> Result<(), LogError> {
        let append = |topic| {
            let mut records = Records::default();
            (0..count).for_each(|_| records.push(&Record { millis: 1, seq: None, key: None, body }));
            (topic, records)
        };
        self.all(|heard| {
            let appends = topics.into_iter().map(append);
            appends
                .map(|(topic, records)| Request::Append {
                    topic,
                    records,
                    sync,
                    settles: None,
                    done: heard.done(),
                })
                .collect()
        })
    }

    /// As [`Engine::commit`] of one topic, but each record comes with a request of its own, as from many callers.
    ///
    /// # Errors
    /// Those of the log.
    pub fn commit_singly(&mut self, topic: u32, count: usize, body: &[u8]) -> Result<(), LogError> {
        self.commit(std::iter::repeat_n(topic, count), 1, body, true)
    }

    /// Nothing of these topics is of use any more. It goes out with the next commit that is waited for.
    pub fn settle(&mut self, topics: impl IntoIterator<Item = u32>) {
        let next = |topic: &u32| self.0.state.topics.get(topic).map_or(0, |topic| topic.next);
        let trims = topics.into_iter().map(|topic| Request::Trim { topic, floor: next(&topic) });
        let trims: VecDeque<Request> = trims.collect();
        self.0.work_off(trims);
    }

    /// Frees the disk of what is of no more use.
    ///
    /// # Errors
    /// Those of the log.
    pub fn turn(&mut self) -> Result<(), LogError> {
        self.all(|heard| VecDeque::from([Request::Turn { done: heard.done() }]))
    }

    /// Closes it in order.
    ///
    /// # Errors
    /// Those of the log.
    pub fn close(mut self) -> Result<(), LogError> {
        self.all(|heard| VecDeque::from([Request::Close { clean: true, done: heard.done() }]))
    }

    /// Reads a topic's records from an offset on.
    ///
    /// # Errors
    /// Those of the log.
    pub fn read(&self, topic: u32, from: u64, most: usize) -> Result<Seen, LogError> {
        let chunk = self.0.shelf.read(topic, from, most)?;
        let count = |(records, bytes): (u64, u64), (_, record): (u64, Record<'_>)| {
            (records + 1, bytes + record.body.len() as u64)
        };
        let (records, bytes) = chunk.records().fold((0, 0), count);
        Ok(Seen { records, bytes, next: chunk.end() })
    }

    /// Works off requests, and answers with the first error that one of them heard.
    fn all(&mut self, requests: impl FnOnce(&Heard) -> VecDeque<Request>) -> Result<(), LogError> {
        let heard = Heard::default();
        self.0.work_off(requests(&heard));
        let error = heard.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map_or(Ok(()), Err)
    }
}

#[derive(Default)]
struct Heard(Arc<Mutex<Option<LogError>>>);

impl Heard {
    fn done<T>(&self) -> Done<T> {
        let first = self.0.clone();
        Done::new(move |result| {
            if let Err(error) = result {
                first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        })
    }
}
