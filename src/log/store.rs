//! The log as its callers hold it: requests go in, answers come back, what is there can be read.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::aside::Aside;
use super::change::{Marks, Terms};
use super::error::LogError;
use super::journal::Journal;
use super::open::{self, Found, Options};
use super::record::{Record, Records};
use super::request::{Chain, Done, Queue, Request, Settles};
use super::shelf::{Chunk, Shelf};
use super::state::State;
use super::vfs::Vfs;
use super::writer::Writer;
use crate::base::sync::{Mutex, PoisonError};

/// So much is read at a time, where all is.
const CHUNK: usize = 1 << 20;

/// A handle to an open log. Once the last one is gone, what was asked for is done, and the log closes.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Arc<Queue>,
    shelf: Arc<Shelf>,
    most_bytes: usize,
    /// The driver's, while there is one.
    writer: Weak<Mutex<Writer>>,
}

/// Does the log's work: on a thread of its own, or as a task where nothing may block but the simulated disk.
pub(crate) struct Driver {
    queue: Arc<Queue>,
    writer: Arc<Mutex<Writer>>,
}

impl Log {
    /// Opens the log in a directory, or makes one. Blocks. The state is what it holds by now.
    pub(crate) fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: Options,
    ) -> Result<(Log, Driver, State, Found), LogError> {
        let (writer, found) = open::open(vfs, dir, options)?;
        let (queue, state) = (Arc::new(Queue::default()), writer.state.clone());
        let most = Journal::most_bytes(writer.journal.slot_bytes()) / 4;
        let most_bytes = usize::try_from(most).unwrap_or(usize::MAX);
        let shelf = writer.shelf.clone();
        let writer = Arc::new(Mutex::new(writer));
        let shared = Shared { queue: queue.clone(), shelf, most_bytes, writer: Arc::downgrade(&writer) };
        Ok((Log(Arc::new(shared)), Driver { queue, writer }, state, found))
    }

    /// The most bytes that the records of one append may have.
    pub(crate) fn most_bytes(&self) -> usize {
        self.0.most_bytes
    }

    /// Appends records to a topic, and answers with the first one's offset: if `sync`, once they are on the disk.
    ///
    /// `settles`: a group is done with what these take the place of. Both are there, or neither is.
    pub(crate) fn append(
        &self,
        (topic, records): (u32, Records),
        settles: Option<Settles>,
        sync: bool,
        done: Done<u64>,
    ) {
        let bytes = records.bytes().len();
        if bytes > self.0.most_bytes {
            return done.tell(Err(LogError::TooLarge { bytes, most: self.0.most_bytes }));
        }
        self.ask(Request::Append { topic, records, sync, settles, done });
    }

    /// Appends records to several topics in one commit: all are there, or none. If one was refused of those that `chain` holds together,
    /// all that come behind it are, too.
    ///
    /// It waits until something else is asked for, or somebody [wakes](Log::wake) the log, or [helps](Log::help) it.
    #[cfg_attr(not(feature = "server"), expect(dead_code, reason = "only the server appends so"))]
    pub(crate) fn append_all(&self, parts: Vec<(u32, Records)>, sync: bool, chain: Chain, done: Done<()>) {
        // Why its size is not looked at: what is too large is refused in its turn. And a request that comes too late answers for itself.
        drop(self.0.queue.leave(Request::AppendAll { parts, sync, chain, done }));
    }

    /// Tells the log that something waits.
    pub(crate) fn wake(&self) {
        self.0.queue.wake();
    }

    /// Does what waits in the caller's thread, if that is no more than to write a little where there is room: to hand it to another
    /// thread, and to be woken by that, takes longer. If it is more, or another is at it, then the log is told.
    #[cfg_attr(not(feature = "server"), expect(dead_code, reason = "only the server leaves something"))]
    pub(crate) fn help(&self) {
        if !self.try_to_help() {
            self.wake();
        }
    }

    fn try_to_help(&self) -> bool {
        let Some(writer) = self.0.writer.upgrade() else { return false };
        let Ok(mut writer) = writer.try_lock() else { return false };
        let Some(requests) = self.0.queue.take_if(|requests| writer.is_a_little(requests)) else {
            return false;
        };
        writer.work_off(requests)
    }

    /// A group is done with these, once that is on the disk: what is refused has not happened, unlike a mark.
    pub(crate) fn settle(&self, settles: Settles, done: Done<()>) {
        self.ask(Request::Settle { settles, done });
    }

    /// Tells what a group has settled, and what is to be known of the rest. If `done` is heard it is on the disk then.
    pub(crate) fn mark(&self, topic: u32, group: u32, marks: Marks, done: Done<()>) {
        self.ask(Request::Mark { topic, group, marks, done });
    }

    /// Nothing of a topic below an offset is of use.
    pub(crate) fn trim(&self, topic: u32, floor: u64) {
        self.ask(Request::Trim { topic, floor });
    }

    pub(crate) fn create_topic(&self, name: String, terms: Terms, done: Done<u32>) {
        self.ask(Request::CreateTopic { topic: None, name, terms, done });
    }

    /// As [`Log::create_topic`], with a number that is larger than those of all topics before it.
    #[cfg_attr(not(feature = "server"), expect(dead_code, reason = "only the server numbers its topics"))]
    pub(crate) fn create_numbered(&self, topic: u32, name: String, terms: Terms, done: Done<u32>) {
        self.ask(Request::CreateTopic { topic: Some(topic), name, terms, done });
    }

    pub(crate) fn set_terms(&self, topic: u32, terms: Terms, done: Done<()>) {
        self.ask(Request::SetTerms { topic, terms, done });
    }

    pub(crate) fn delete_topic(&self, topic: u32, done: Done<()>) {
        self.ask(Request::DeleteTopic { topic, done });
    }

    /// A group begins, done with all below `start`. Its number is larger than that of any group that its topic had.
    ///
    /// `about`: what the log keeps of it for its caller.
    pub(crate) fn create_group(
        &self,
        topic: u32,
        (group, name): (u32, String),
        (start, about): (u64, Vec<u8>),
        done: Done<()>,
    ) {
        self.ask(Request::CreateGroup { topic, group, name, about, start, done });
    }

    pub(crate) fn delete_group(&self, topic: u32, group: u32, done: Done<()>) {
        self.ask(Request::DeleteGroup { topic, group, done });
    }

    /// Answers with what there is by now.
    pub(crate) fn describe(&self, done: Done<Box<State>>) {
        self.ask(Request::Describe { done });
    }

    /// Answers when all that was asked for before is on the disk.
    pub(crate) fn sync(&self, done: Done<()>) {
        self.ask(Request::Sync { done });
    }

    /// As [`Log::sync`], and makes the journal prove it: whatever of it is lost later is missed.
    pub(crate) fn seal(&self, done: Done<()>) {
        self.ask(Request::Seal { done });
    }

    /// Closes the log, behind all that was asked for before. Once it answers, the directory is free.
    ///
    /// `clean`: whoever opens it may count on what it says; nothing had happened that it was not told.
    pub(crate) fn close(&self, clean: bool, done: Done<()>) {
        self.ask(Request::Close { clean, done });
    }

    /// Reads a topic's records from an offset on, or from the first there is. Blocks.
    pub(crate) fn read(&self, topic: u32, from: u64, most: usize) -> Result<Chunk, LogError> {
        self.0.shelf.read(topic, from, most)
    }

    /// Hands a topic's records from an offset on to `take`, in order, until one is behind the last or `take` fails. Blocks.
    pub(crate) fn each_record<E: From<LogError>>(
        &self,
        topic: u32,
        (mut from, end): (u64, u64),
        mut take: impl FnMut(u64, &Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while from < end {
            let chunk = self.read(topic, from, CHUNK)?;
            chunk.records().try_for_each(|(offset, record)| take(offset, &record))?;
            from = chunk.end().unwrap_or(end);
        }
        Ok(())
    }

    /// Reads a topic's last records before an offset. Blocks.
    pub(crate) fn read_back(&self, topic: u32, upto: u64, most: usize) -> Result<Chunk, LogError> {
        self.0.shelf.read_back(topic, upto, most)
    }

    /// The first offset of a topic whose record has this id, of milliseconds and a sequence, or a later one. Blocks.
    pub(crate) fn find(&self, topic: u32, id: (u64, u64)) -> Result<u64, LogError> {
        self.0.shelf.find(topic, id)
    }

    /// The first offset that a topic has, and the next one.
    pub(crate) fn bounds(&self, topic: u32) -> Option<(u64, u64)> {
        self.0.shelf.bounds(topic)
    }

    /// Where a topic's data lies: offsets from the first to one behind the last, and bytes; in order.
    pub(crate) fn outline(&self, topic: u32) -> Vec<(u64, u64, u64)> {
        self.0.shelf.outline(topic)
    }

    /// A group begins anew at an offset; `about` as in [`Log::create_group`], or as it was if it is empty.
    pub(crate) fn seek(&self, topic: u32, group: u32, (to, about): (u64, Vec<u8>), done: Done<()>) {
        self.ask(Request::Seek { topic, group, to, about, done });
    }

    /// A request that comes too late answers for itself, when it is dropped.
    fn ask(&self, request: Request) {
        drop(self.0.queue.put(request));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.queue.put(Request::Close { clean: false, done: Done::unheard() }));
    }
}

impl Driver {
    /// Works until the log is closed. Its calls to the file system block.
    pub(crate) async fn run(self) {
        loop {
            std::future::poll_fn(|cx| self.queue.poll_some(cx)).await;
            // Another who helped has panicked: then it ends, as by a panic of its own.
            let Ok(mut writer) = self.writer.lock() else { break };
            if !writer.work_off(self.queue.take()) {
                break;
            }
        }
    }

    /// Runs on a thread of its own.
    pub(crate) fn spawn(self) -> Result<(), LogError> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).aside = Aside::on_threads();
        let thread = thread::Builder::new().name("callboard-log".into());
        let spawned = thread.spawn(move || block_on(self.run()));
        spawned.map(drop).map_err(|error| LogError::io("spawn a thread", Path::new(""), error))
    }
}

impl Drop for Driver {
    /// However it ends, by a panic too: what waits is told, and nobody waits later for what will not come.
    fn drop(&mut self) {
        drop(self.queue.close());
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut cx, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
