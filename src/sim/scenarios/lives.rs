//! Processes that live one after the other with one disk: what they have in common, how each begins, and how it ends.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::retained::somewhere;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::base::{Fault, Name};
use crate::broker::{
    Broker, Codec, DeadLetter, Durability, Group, GroupBuilder, Message, PublishError, Retain, Retry, Start,
    StartError, Topic,
};
use crate::sim::check::{self, Ended, Life, Saga, What};
use crate::sim::{CrashKind, Scheduler, SimDisk, TestBroker};

/// In milliseconds.
const LONGEST_DELAY: usize = 80;

/// Numbers of various lengths, so that records are.
pub(super) struct Padded;

impl Codec<u64> for Padded {
    fn name(&self) -> &str {
        "padded/1"
    }

    fn encode(&self, number: &u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        into.extend(number.to_le_bytes());
        into.resize(8 + (*number % 5) as usize * 150, 7);
        Ok(())
    }

    fn decode(&self, bytes: &[u8], _: u32) -> Result<u64, Fault> {
        let (number, _) = bytes.split_first_chunk().ok_or_else(|| Fault::new("too short"))?;
        Ok(u64::from_le_bytes(*number))
    }
}

/// A topic as every process opens it.
#[derive(Clone)]
pub(super) struct TopicPlot {
    pub(super) name: &'static str,
    capacity: usize,
    /// Into so many keys.
    keys: Option<u64>,
    dedup: bool,
    interval: Option<Duration>,
    history: Option<Retain>,
    /// Its groups come late, and are moved.
    pub(super) moves: bool,
    groups: Vec<GroupPlot>,
}

#[derive(Clone)]
pub(super) struct GroupPlot {
    name: &'static str,
    consumers: u32,
    prefetch: usize,
    retry: Retry,
    timeout: Duration,
    order: usize,
    temper: Temper,
    /// Opened while the process works, to begin there.
    late: Option<Start>,
}

impl TopicPlot {
    pub(super) fn drawn(stage: &Stage, name: &'static str) -> TopicPlot {
        let capacity = stage.pick("capacity", &[2, 7, 30, 300]);
        let keys = [None, Some(1), Some(3), Some(20)][stage.below(4)];
        let (dedup, interval) = (stage.chance(2), [None, None, None, Some(millis(20))][stage.below(4)]);
        stage.draw(format_args!("{name}: keys {keys:?}, dedup {dedup}, interval {interval:?}"));
        let groups = ["g0", "g1", "g2"].into_iter().take(1 + stage.below(3));
        let groups = groups.map(|name| GroupPlot::drawn(stage, name, keys.is_some())).collect();
        TopicPlot { name, capacity, keys, dedup, interval, history: None, moves: false, groups }
    }

    /// Lets it keep a history, as a rule, with groups that come late.
    pub(super) fn with_history(mut self, stage: &Stage) -> TopicPlot {
        let limits = [None, Some(1), Some(30), Some(200)][stage.below(4)];
        let all = Retain::all();
        self.moves = true;
        self.history = (!stage.chance(5)).then(|| limits.map_or(all, |messages| all.messages(messages)));
        stage.draw(format_args!("{}: {:?}", self.name, self.history));
        for name in ["late0", "late1"].into_iter().take(stage.below(3)) {
            let start = somewhere(stage);
            stage.draw(format_args!("{name} from {start:?}"));
            let late = Some(start);
            self.groups.push(GroupPlot { late, ..GroupPlot::drawn(stage, name, self.keys.is_some()) });
        }
        self
    }

    pub(super) fn group_names(&self) -> Vec<&'static str> {
        self.groups.iter().map(|group| group.name).collect()
    }

    pub(super) fn late_groups(&self) -> impl Iterator<Item = &GroupPlot> {
        self.groups.iter().filter(|group| group.late.is_some())
    }

    async fn open(&self, stage: &Stage) -> Option<Topic<u64>> {
        let topic = stage.broker().topic::<u64>(self.name).capacity(self.capacity);
        let topic = match self.keys {
            Some(keys) => topic.key_by(move |value| value % keys),
            None => topic,
        };
        let topic = match self.history {
            Some(limits) => topic.retain(limits),
            None => topic,
        };
        let topic = if self.dedup { topic.dedup_by(|value| value.to_be_bytes()) } else { topic };
        let durability = self.interval.map_or(Durability::EveryPublish, Durability::Interval);
        let opened = topic.publish_timeout(millis(400)).durable(Padded).durability(durability).open().await;
        opened.map_err(|error| stage.draw(format_args!("{}: {error}", self.name))).ok()
    }
}

impl GroupPlot {
    fn drawn(stage: &Stage, name: &'static str, keyed: bool) -> GroupPlot {
        // Why none of these: a thread that stands still has no clock that syncs in time.
        let temper = Temper { blocks: 0, ..Temper::drawn(stage) };
        GroupPlot {
            name,
            consumers: 1 + stage.below(3) as u32,
            prefetch: stage.pick("prefetch", &[1, 3, 16, 512]),
            retry: stage.retry(),
            timeout: millis(20 + stage.below(60) as u64),
            order: stage.below(if keyed { 3 } else { 2 }),
            temper,
            late: None,
        }
    }

    pub(super) async fn open(&self, stage: &Stage, topic: &Topic<u64>) -> Option<Group> {
        let group = topic.group(self.name).consumers(self.consumers).prefetch(self.prefetch as u32);
        let group: GroupBuilder<u64> = group.retry(self.retry).ack_timeout(self.timeout);
        let group = group.start_at(self.late.unwrap_or_default());
        let group = match self.order {
            0 => group,
            1 => group.exclusive(),
            _ => group.key_ordered(),
        };
        let (kept, of, temper) = (stage.clone(), self.name.to_owned(), self.temper);
        let group = group.run_with(move || Worker::new(&kept, &of, temper)).await;
        group.map_err(|error| stage.draw(format_args!("{}: {error}", self.name))).ok()
    }
}

/// One disk, and all that happened to it.
#[derive(Clone)]
pub(super) struct Lives(Arc<Inside>);

struct Inside {
    stage: Stage,
    topics: Vec<TopicPlot>,
    disk: Mutex<SimDisk>,
    lives: Mutex<Vec<Life>>,
    next: AtomicU64,
    /// What was tried and not confirmed, to be tried again where nothing comes twice.
    unheard: Mutex<BTreeSet<(&'static str, u64)>>,
    /// This process was told that the disk may not have what it wrote.
    poisoned: AtomicBool,
    /// The disk refuses calls now and then.
    faulty: AtomicBool,
}

impl Lives {
    pub(super) fn new(stage: &Stage, topics: Vec<TopicPlot>) -> Lives {
        let disk = SimDisk::new(stage.sim().seed());
        drop(stage.leave());
        // Why: by priorities a task may wait for as long as there is another one, and nothing is done in time.
        if topics.iter().any(|topic| topic.interval.is_some()) {
            drop(stage.sim().clone().scheduler(Scheduler::Random));
        }
        Lives(Arc::new(Inside {
            stage: stage.clone(),
            topics,
            disk: Mutex::new(disk),
            lives: Mutex::default(),
            next: AtomicU64::new(0),
            unheard: Mutex::default(),
            poisoned: AtomicBool::new(false),
            faulty: AtomicBool::new(false),
        }))
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.0.stage
    }

    pub(super) fn plots(&self) -> &[TopicPlot] {
        &self.0.topics
    }

    pub(super) fn disk(&self) -> SimDisk {
        self.0.disk.lock().unwrap().clone()
    }

    /// From now on calls of the disk may fail, until the calm.
    pub(super) fn set_faulty(&self) {
        self.0.faulty.store(true, Ordering::Relaxed);
    }

    /// Begins a process.
    pub(super) async fn begin(&self) -> Result<(), StartError> {
        let (stage, disk) = (&self.0.stage, self.disk());
        stage.watcher().notes().disk = Some(disk.clone());
        let (sim, watcher) = (stage.sim().clone(), stage.shared_watcher());
        let builder = Broker::builder().runtime(sim.clone()).witness(watcher.clone());
        let broker = builder.data_dir("/data").journal_file_bytes(16 << 10).on(disk).open().await?;
        stage.begin_anew(TestBroker::new(broker, sim, watcher));
        Ok(())
    }

    /// Opens all topics, and those groups that `wanted` draws, each with its clerk. `None`: the disk is gone.
    pub(super) async fn open(&self, all: bool) -> Option<Vec<Topic<u64>>> {
        let (stage, mut topics) = (&self.0.stage, Vec::new());
        for plot in &self.0.topics {
            let topic = plot.open(stage).await?;
            for group in &plot.groups {
                let skipped = group.late.is_some() && !all;
                if !skipped && (all || !stage.chance(4)) {
                    group.open(stage, &topic).await?;
                    if all || stage.chance(2) {
                        self.clerk(plot.name, group.name).await?;
                    }
                }
            }
            topics.push(topic);
        }
        Some(topics)
    }

    async fn clerk(&self, topic: &str, group: &str) -> Option<()> {
        let stage = &self.0.stage;
        let dead = stage.broker().topic::<DeadLetter>(&format!("{topic}.{group}.dead")).open().await.ok()?;
        let clerk = dead.group("clerk").prefetch(4).with(stage.clone());
        let clerk = clerk.run(async |letter: Message<DeadLetter>, stage: Stage| {
            let (topic, group, id) =
                (letter.original_topic().clone(), letter.group().clone(), letter.original_id());
            stage.note(What::Letter { topic, group, id });
            Ok(())
        });
        clerk.await.ok().map(drop)
    }

    /// Publishes so many messages to each topic, from tasks of the process.
    pub(super) fn publish(&self, topics: &[Topic<u64>], messages: u64) -> Vec<super::stage::Ended> {
        let mut tasks = Vec::new();
        for (plot, topic) in self.0.topics.iter().zip(topics) {
            for _ in 0..1 + self.0.stage.below(3) {
                let (lives, topic, plot) = (self.clone(), topic.clone(), plot.clone());
                tasks.push(self.0.stage.spawn("publisher", async move {
                    lives.again(&plot, &topic).await;
                    for _ in 0..messages {
                        let value = lives.0.next.fetch_add(1, Ordering::Relaxed);
                        lives.publish_one(&plot, &topic, value).await;
                        if lives.0.stage.chance(4) {
                            lives.0.stage.a_while(millis(20)).await;
                        }
                    }
                }));
            }
        }
        tasks
    }

    /// Publishes again what nobody heard of, as whoever has a key can.
    async fn again(&self, plot: &TopicPlot, topic: &Topic<u64>) {
        let unheard: Vec<_> = self.0.unheard.lock().unwrap().iter().copied().collect();
        for (_, value) in unheard.into_iter().filter(|(name, _)| plot.dedup && *name == plot.name) {
            self.publish_one(plot, topic, value).await;
        }
    }

    async fn publish_one(&self, plot: &TopicPlot, topic: &Topic<u64>, value: u64) {
        let stage = &self.0.stage;
        self.0.unheard.lock().unwrap().insert((plot.name, value));
        let poisoned = self.0.poisoned.load(Ordering::Relaxed);
        let tried = stage.try_out(topic.name(), value);
        let (heard, scheduled) = if stage.chance(5) {
            let answer = topic.publish_after(millis(stage.below(LONGEST_DELAY) as u64), value).await;
            let Some(answer) = self.heard(answer, poisoned) else { return };
            let scheduled = tried.delayed(answer);
            (scheduled.is_some(), scheduled)
        } else {
            let answer = topic.publish(value).await;
            // What repeats another one is confirmed by that.
            let Some(answer) = self.heard(answer, poisoned && !plot.dedup) else { return };
            (tried.answer(answer).is_some(), None)
        };
        if heard {
            self.0.unheard.lock().unwrap().remove(&(plot.name, value));
        }
        if let Some(scheduled) = scheduled.filter(|_| stage.chance(4)) {
            stage.a_while(millis(20)).await;
            stage.note(What::Withdrawn { topic: topic.name().clone(), value });
            if let Ok(other) = topic.cancel_scheduled(scheduled).await
                && other != value
            {
                stage.is_wrong(format_args!("P3: {value} was cancelled, and {other} came back"));
            }
        }
    }

    /// What a publish heard; `None`: its process has ended.
    fn heard<A: std::fmt::Debug>(
        &self,
        answer: Result<A, PublishError<u64>>,
        poisoned: bool,
    ) -> Option<Result<A, PublishError<u64>>> {
        if self.disk().is_stopped() {
            return None;
        }
        match &answer {
            Ok(what) if poisoned => {
                self.0.stage.is_wrong(format_args!("P22: {what:?} is confirmed by a log that had failed"));
            }
            Err(PublishError::Unknown(..)) => self.0.poisoned.store(true, Ordering::Relaxed),
            _ => {}
        }
        Some(answer)
    }

    /// Ends the process as drawn, with its machine or without.
    pub(super) fn kill(&self) {
        let stage = &self.0.stage;
        let (kind, ended) = match stage.below(3) {
            0 => (CrashKind::KeepAll, Ended::Killed),
            1 => (CrashKind::LoseAll, Ended::PowerCut),
            _ => (CrashKind::Random(stage.below(1 << 30) as u64), Ended::PowerCut),
        };
        stage.draw(format_args!("{kind:?} at {:?}", stage.sim().now()));
        let next = self.disk().crash(kind);
        stage.drop_everything();
        *self.0.disk.lock().unwrap() = next;
        self.write_down(ended);
    }

    /// Ends the process; all that it wrote is there.
    pub(super) fn cut_short(&self) {
        let next = self.disk().crash(CrashKind::KeepAll);
        self.0.stage.drop_everything();
        *self.0.disk.lock().unwrap() = next;
        self.write_down(Ended::Killed);
    }

    /// Ends the process in order.
    pub(super) async fn shut_down(&self, limit: Duration) {
        let stage = &self.0.stage;
        let report = stage.broker().shutdown_within(limit).await;
        // Whoever publishes hears of it.
        stage.sim().settle().await;
        if self.disk().is_stopped() {
            return self.kill();
        }
        stage.draw(format_args!("shut down in {limit:?} at {:?}", stage.sim().now()));
        stage.watcher().notes().history.report = Some(report);
        let next = self.disk().crash(CrashKind::KeepAll);
        stage.drop_everything();
        *self.0.disk.lock().unwrap() = next;
        // A disk that refuses the last word makes it an end like any other.
        let ended = if self.0.faulty.load(Ordering::Relaxed) { Ended::Killed } else { Ended::ShutDown };
        self.write_down(ended);
    }

    fn write_down(&self, ended: Ended) {
        let mut notes = self.0.stage.watcher().notes();
        notes.disk = None;
        self.0.poisoned.store(false, Ordering::Relaxed);
        let (history, at) = (std::mem::take(&mut notes.history), self.0.stage.sim().now());
        self.0.lives.lock().unwrap().push(Life { history, ended, at });
    }

    /// Holds what was seen against the rules.
    pub(super) fn check(&self, drained: bool) {
        let (stage, topics) = (&self.0.stage, &self.0.topics);
        let name = |plot: &TopicPlot| Name::new(plot.name).unwrap();
        // What could not be synced in time is lost with the power, however long ago that was.
        let faulty = self.0.faulty.load(Ordering::Relaxed);
        let within = |interval| if faulty { Duration::from_secs(3600) } else { interval };
        let saga = Saga {
            lives: std::mem::take(&mut *self.0.lives.lock().unwrap()),
            intervals: topics.iter().filter_map(|plot| Some((name(plot), within(plot.interval?)))).collect(),
            drained,
        };
        let mut wrong: Vec<String> =
            check::what_was_confirmed_is_there(&saga).iter().map(ToString::to_string).collect();
        for (number, life) in saga.lives.iter().enumerate() {
            let found = check::check(&life.history).into_iter();
            wrong.extend(found.map(|found| format!("{}: process {number}: {}", found.rule, found.text)));
        }
        if !wrong.is_empty() {
            // The rest follows from these, and what came before is to be seen too.
            wrong.truncate(6);
            let mut tails = String::new();
            for (number, life) in saga.lives.iter().enumerate() {
                let tail = life.history.tail(crate::sim::kit::setting("CB_EVENTS").unwrap_or(30) as usize);
                tails += &format!("  process {number}, {:?} at {:?}:\n{tail}", life.ended, life.at);
            }
            wrong.push(tails);
        }
        wrong.iter().for_each(|text| stage.is_wrong(text));
    }

    /// The last process has everything, and nothing goes wrong: it settles all that is left.
    pub(super) async fn settle_all(&self) -> bool {
        let stage = &self.0.stage;
        if let Err(error) = self.begin().await {
            stage.is_wrong(format_args!("P22: the directory is refused: {error}"));
            return false;
        }
        stage.calm_down();
        let Some(topics) = self.open(true).await else {
            stage.is_wrong("P22: a topic or a group can't be opened again");
            return false;
        };
        for (plot, topic) in self.0.topics.iter().zip(&topics) {
            self.again(plot, topic).await;
        }
        stage.sim().sleep(millis(LONGEST_DELAY as u64 + 1)).await;
        stage.calm().await;
        self.move_all(&topics).await;
        if self.plots().iter().any(|plot| plot.moves) {
            stage.sim().settle().await;
            stage.calm().await;
        }
        for topic in &topics {
            let stats = topic.stats().await.unwrap();
            if stats.unsettled > 0 {
                stage.is_wrong(format_args!("P10: in the end {} has {stats:?}", topic.name()));
            }
        }
        drop(topics);
        self.shut_down(Duration::from_secs(30)).await;
        true
    }
}
