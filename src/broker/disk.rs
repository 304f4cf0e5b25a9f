//! A broker's data directory: the log, what it held when it was opened, and the clerk that tells it when to sync.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::{Stream as _, StreamExt as _};

use super::bits::Bits;
use super::books::GroupId;
use super::keep::About;
use super::record::Home;
use super::{Dedup, Durability, OpenError, StorageError};
use crate::base::Name;
use crate::base::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};
use crate::log::{Done, Found, Log, LogError, Marks, Note, Options, Terms, TopicState, Vfs};
use crate::mailbox::{Answer, Reply, reply};
use crate::runtime::Rt;

/// So long after the last write the log says that all is on the disk.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) struct Disk {
    pub(crate) log: Log,
    pub(crate) dir: PathBuf,
    pub(crate) found: Found,
    /// The topics that the log has. Limit: those that were created.
    stored: Mutex<BTreeMap<String, Stored>>,
    /// Whoever moves what can't be read of a schedule does so alone.
    pub(crate) gives_up: futures::lock::Mutex<()>,
    /// Not all of what an earlier process may have handed out could be written down as such.
    undoubted: Arc<AtomicBool>,
    writes: Arc<Writes>,
    /// Rouses the clerk, who goes with it.
    bell: async_channel::Sender<()>,
    clerk: Mutex<Option<Answer<()>>>,
}

/// A topic of the log.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) number: u32,
    /// As it was when the log was opened.
    pub(crate) state: Arc<TopicState>,
}

/// One topic's marks in the log: what its groups are done with, and what they remember of the rest.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    pub(crate) disk: Arc<Disk>,
    /// The topic's.
    pub(crate) number: u32,
}

impl Keeper {
    /// The first offset whose message has this id or a later one; `None` if none has. Blocks.
    pub(crate) fn find(&self, id: (u64, u64)) -> Result<Option<u64>, LogError> {
        let found = self.disk.log.find(self.number, id)?;
        let is_there = |found: &u64| self.disk.log.bounds(self.number).is_some_and(|(_, next)| *found < next);
        Ok(Some(found).filter(is_there))
    }

    /// A group is done with these.
    pub(crate) fn done(&self, group: GroupId, base: u64, which: Bits) {
        let runs = which.runs().map(|(from, to)| (base + u64::from(from), base + u64::from(to)));
        self.mark(group, Marks { done: runs.collect(), notes: Vec::new() });
    }

    /// This is to be known of a message that a group is not done with.
    pub(crate) fn note(&self, group: GroupId, offset: u64, note: Note) {
        self.mark(group, Marks { done: Vec::new(), notes: vec![(offset, note)] });
    }

    /// They go out with the next commit, and nobody waits for them: one that is lost is one more delivery.
    pub(crate) fn mark(&self, group: GroupId, marks: Marks) {
        self.disk.log.mark(self.number, group.0, marks, Done::unheard());
        self.disk.wrote(Durability::EveryPublish);
    }
}

/// What was written that the clerk looks after.
#[derive(Debug, Default)]
struct Writes {
    /// Ordering: of all three a late view makes the clerk look once more.
    count: AtomicU64,
    unsynced: AtomicBool,
    /// In nanoseconds; the shortest that was asked for.
    interval: AtomicU64,
}

/// How a directory is opened.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) slot_bytes: Option<u64>,
    /// The disk is simulated: the log is a task among others, since no thread is.
    pub(crate) simulated: bool,
}

impl Disk {
    pub(crate) async fn open(rt: &Rt, place: Place) -> Result<Arc<Disk>, LogError> {
        let Place { vfs, dir, slot_bytes, simulated } = place;
        let mut options = Options::new(rt.random());
        options.slot_bytes = slot_bytes.unwrap_or(options.slot_bytes);
        let path = dir.clone();
        let opened = blocking(rt, "open the log", move || Log::open(vfs, &path, options));
        let (log, driver, state, found) = opened.await.ok_or(LogError::Closed)??;
        if simulated {
            rt.spawn("log", driver.run())
        } else {
            driver.spawn()?
        }
        // Why: what is handed out need not be written, and whoever is killed then did not end in order.
        if found.clean && !found.created {
            let (done, begun) = answered();
            log.seal(done);
            match begun.await.unwrap_or(Err(LogError::Closed)) {
                Err(error) if !error.is_full() => return Err(error),
                _ => {}
            }
        }
        let mut topics = state.topics;
        let undoubted = Arc::<AtomicBool>::default();
        if !found.clean {
            doubt(&log, &mut topics, &undoubted);
        }
        let stored = topics
            .into_iter()
            .map(|(number, state)| (state.name.clone(), Stored { number, state: Arc::new(state) }));
        let (bell, rings) = async_channel::bounded(1);
        let writes = Arc::<Writes>::default();
        let (end, clerk) = reply();
        rt.spawn("log clerk", attend(rt.clone(), log.clone(), writes.clone(), rings, end));
        let (stored, clerk) = (Mutex::new(stored.collect()), Mutex::new(Some(clerk)));
        let gives_up = futures::lock::Mutex::default();
        Ok(Arc::new(Disk { log, dir, found, stored, gives_up, undoubted, writes, bell, clerk }))
    }

    /// A topic that the log has.
    pub(crate) fn find(&self, name: &str) -> Option<Stored> {
        self.lock().get(name).cloned()
    }

    /// Finds a topic, or creates it.
    ///
    /// # Cancel safety
    /// A topic that was being created is found by the next one who asks.
    pub(crate) async fn claim(self: &Arc<Disk>, name: &str, terms: Terms) -> Result<Stored, LogError> {
        loop {
            if let Some(stored) = self.find(name) {
                return Ok(stored);
            }
            match self.create(name, &terms).await {
                Ok(_) => {}
                // Somebody else creates it, and hears of that once it is on the disk.
                Err(LogError::Exists) => {
                    let (done, there) = answered();
                    self.log.sync(done);
                    there.await.unwrap_or(Err(LogError::Closed))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn create(self: &Arc<Disk>, name: &str, terms: &Terms) -> Result<u32, LogError> {
        let (done, created) = answered();
        let (disk, text, own) = (Arc::downgrade(self), name.to_string(), terms.clone());
        // Why in here: so it is known before anybody else hears that it exists.
        let note = Done::new(move |result: Result<u32, LogError>| {
            if let (Ok(number), Some(disk)) = (&result, disk.upgrade()) {
                let state = TopicState { name: text.clone(), terms: own, ..TopicState::default() };
                disk.lock().insert(text, Stored { number: *number, state: Arc::new(state) });
            }
            done.tell(result);
        });
        self.log.create_topic(name.to_string(), terms.clone(), note);
        created.await.unwrap_or(Err(LogError::Closed))
    }

    /// Finds a topic's schedule, or makes it: a topic beside it in the log, with one group, and a name that no other has.
    pub(crate) async fn claim_schedule(self: &Arc<Disk>, topic: &Name) -> Result<Keeper, LogError> {
        // What the topic is holds for its schedule too; so that a tool can read it.
        let about = self.find(topic.as_str()).map(|stored| stored.state.terms.about.clone());
        let terms = Terms { about: about.unwrap_or_default(), ..Terms::default() };
        let stored = self.claim(&schedule_of(topic), terms).await?;
        while !self.has_schedule_group(&stored).await? {
            let (done, created) = answered();
            self.log.create_group(stored.number, (Home::GROUP, "schedule".into()), (0, Vec::new()), done);
            match created.await.unwrap_or(Err(LogError::Closed)) {
                Ok(()) => break,
                // Somebody else is at it, and may fail.
                Err(LogError::Exists) => {
                    let (done, there) = answered();
                    self.log.sync(done);
                    there.await.unwrap_or(Err(LogError::Closed))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Keeper { disk: self.clone(), number: stored.number })
    }

    /// A process that ended between the two may have left a schedule without its group.
    async fn has_schedule_group(&self, stored: &Stored) -> Result<bool, LogError> {
        if stored.state.groups.contains_key(&Home::GROUP) {
            return Ok(true);
        }
        let (done, state) = answered();
        self.log.describe(done);
        let state = state.await.unwrap_or(Err(LogError::Closed))?;
        Ok(state.topics.get(&stored.number).is_some_and(|topic| topic.groups.contains_key(&Home::GROUP)))
    }

    /// A message that was delayed was moved into a topic that is not open: to this offset, in this millisecond.
    pub(crate) fn note_moved(&self, name: &Name, (at, millis): (u64, u64), (from, to): (u64, u64)) {
        let mut stored = self.lock();
        if let Some(topic) = stored.get_mut(name.as_str()) {
            let topic = Arc::make_mut(&mut topic.state);
            (topic.next, topic.millis) = (at + 1, millis);
        }
        if let Some(schedule) = stored.get_mut(&schedule_of(name)) {
            let schedule = Arc::make_mut(&mut schedule.state);
            schedule.groups.entry(Home::GROUP).or_default().done.insert(from, to);
        }
    }

    /// A topic's schedule, if the log has one.
    pub(crate) fn find_schedule(&self, topic: &Name) -> Option<Stored> {
        self.find(&schedule_of(topic))
    }

    /// Deletes a topic, and all that is on the disk of it.
    pub(crate) async fn delete(&self, name: &Name) -> Result<(), LogError> {
        // Why in this order: a topic of that name that comes later must not get what was delayed for this one. Why both before
        // either is awaited: whoever drops this has deleted both.
        let begun = [schedule_of(name), name.to_string()].map(|name| self.begin_delete(name));
        let mut result = Ok(());
        for Deleting { name, stored, deleted } in begun.into_iter().flatten() {
            let deleted = deleted.await.unwrap_or(Err(LogError::Closed));
            if deleted.is_err() {
                self.lock().insert(name, stored);
            }
            result = result.and(deleted);
        }
        result
    }

    fn begin_delete(&self, name: String) -> Option<Deleting> {
        let stored = self.lock().remove(&name)?;
        let (done, deleted) = answered();
        self.log.delete_topic(stored.number, done);
        Some(Deleting { name, stored, deleted })
    }

    /// The most bytes that a message may have.
    pub(crate) fn most_bytes(&self) -> usize {
        // What a record has beside its body: numbers, and the longest dedup key.
        self.log.most_bytes().saturating_sub(Dedup::MOST_KEY + 64)
    }

    /// Something was written.
    pub(crate) fn wrote(&self, durability: Durability) {
        if let Durability::Interval(within) = durability {
            let nanos = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
            let shorter = |old| (old == 0 || nanos < old).then_some(nanos);
            let _ = self.writes.interval.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter);
            self.writes.unsynced.store(true, Ordering::Release);
        }
        self.writes.count.fetch_add(1, Ordering::Release);
        let _ = self.bell.try_send(());
    }

    /// Closes the log, and says so if it fails.
    ///
    /// `clean`: all that was begun has ended, and the log has it.
    pub(crate) async fn end(&self, clean: bool) {
        if let Err(error) = self.close(clean).await {
            let dir = self.dir.display();
            tracing::error!(target: "callboard::broker", %dir, %error, "the data directory was not closed in order");
        }
    }

    /// Closes the log. Once it answers, another one may open the directory.
    async fn close(&self, clean: bool) -> Result<(), LogError> {
        self.bell.close();
        let clerk = self.clerk.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(clerk) = clerk {
            // An error: it has ended.
            let _ = clerk.await;
        }
        let (done, closed) = answered();
        // Ordering: what it was set by has been answered for, by the same log.
        self.log.close(clean && !self.undoubted.load(Ordering::Relaxed), done);
        closed.await.unwrap_or(Err(LogError::Closed))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A topic of the log that is being deleted.
struct Deleting {
    name: String,
    stored: Stored,
    deleted: Answer<Result<(), LogError>>,
}

/// The name of a topic's schedule. No topic has one with a space.
fn schedule_of(topic: &Name) -> String {
    format!("{topic} schedule")
}

/// The process before did not end in order: it may have handed out whatever is there, also to groups that are opened again
/// by a later process only. So it is written down.
fn doubt(log: &Log, topics: &mut BTreeMap<u32, TopicState>, failed: &Arc<AtomicBool>) {
    for (number, state) in topics {
        let Some(about) = About::of(&state.terms.about) else { continue };
        state.terms.about = About { unsure: state.next, ..about }.to_bytes();
        let failed = failed.clone();
        let note = Done::new(move |result: Result<(), LogError>| {
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
        });
        log.set_terms(*number, state.terms.clone(), note);
    }
}

/// Syncs what is to be on the disk within a time, and seals the log when nothing was written for a while.
async fn attend(rt: Rt, log: Log, writes: Arc<Writes>, rings: async_channel::Receiver<()>, _end: Reply<()>) {
    let mut rings = std::pin::pin!(rings);
    while rings.next().await.is_some() {
        let mut idle = Duration::ZERO;
        let mut seen = writes.count.load(Ordering::Acquire);
        while idle < IDLE {
            let mut tick = writes.tick();
            let mut alarm = rt.sleep_until(rt.now() + tick);
            let ended = std::future::poll_fn(|cx| {
                loop {
                    match rings.as_mut().poll_next(cx) {
                        // What was just written may have to be on the disk sooner than all before it.
                        Poll::Ready(Some(())) if writes.tick() < tick => {
                            tick = writes.tick();
                            alarm = rt.sleep_until(rt.now() + tick);
                        }
                        Poll::Ready(Some(())) => {}
                        Poll::Ready(None) => return Poll::Ready(true),
                        Poll::Pending => return Pin::new(&mut alarm).poll(cx).map(|()| false),
                    }
                }
            });
            if ended.await {
                return;
            }
            if writes.unsynced.swap(false, Ordering::AcqRel) {
                log.sync(Done::unheard());
            }
            let count = writes.count.load(Ordering::Acquire);
            idle = if count == seen { idle + tick } else { Duration::ZERO };
            seen = count;
        }
        log.seal(Done::unheard());
    }
}

impl Writes {
    /// So often it is looked after.
    fn tick(&self) -> Duration {
        match Duration::from_nanos(self.interval.load(Ordering::Relaxed)) {
            Duration::ZERO => IDLE,
            interval => interval.min(IDLE),
        }
    }
}

/// A request's end, and the answer to it.
pub(crate) fn answered<T: Send + 'static>() -> (Done<T>, Answer<Result<T, LogError>>) {
    let (port, answer) = reply();
    (Done::new(move |result| drop(port.send(result))), answer)
}

/// Runs what blocks where it may; `None` if the runtime went away.
pub(crate) async fn blocking<R: Send + 'static>(
    rt: &Rt,
    name: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> Option<R> {
    let (port, answer) = reply();
    rt.spawn_blocking(name, Box::new(move || drop(port.send(work()))));
    answer.await.ok()
}

impl From<LogError> for StorageError {
    fn from(error: LogError) -> StorageError {
        StorageError::new(error)
    }
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> OpenError {
        match error {
            LogError::Closed => OpenError::Closed,
            error => OpenError::Storage(error.into()),
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Place {
    pub(crate) fn real(dir: &Path) -> Place {
        let vfs = Arc::new(crate::log::RealFs);
        Place { vfs, dir: dir.to_path_buf(), slot_bytes: None, simulated: false }
    }
}
