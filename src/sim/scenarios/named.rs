//! Processes one after the other with one disk, whose publishers give ids, among others that don't: P28. Delayed messages, repeats, dead
//! letters that come back, a disk that refuses and a clock that jumps are among them.
//!
//! No witness follows them: what these rules ask is to be seen from outside, by whoever published and by whoever reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt as _;

use super::lives::Padded;
use super::stage::{Ended, Stage, millis};
use crate::base::Fault;
use crate::broker::{
    Broker, BrowseError, Dedup, Group, InvalidMessage, Message, MessageId, PublishError, Published, Retain,
    Retry, Start, Topic,
};
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

/// What a topic has: a place, the value there and its id.
type Shown = Vec<(u64, MessageId)>;

/// What its publishers know of a topic.
#[derive(Default)]
struct Book {
    /// By offset: the value and its id.
    confirmed: BTreeMap<u64, (u64, MessageId)>,
    next: u64,
    /// The greatest that anybody heard of.
    last: Option<MessageId>,
}

#[derive(Clone)]
struct Play(Arc<Inside>);

struct Inside {
    stage: Stage,
    disk: Mutex<SimDisk>,
    book: Mutex<Book>,
    capacity: usize,
    /// The disk refuses calls now and then.
    faulty: bool,
    /// One in so many of the ids is far ahead.
    far: usize,
}

pub(super) async fn run(stage: Stage) {
    drop(stage.leave());
    let (disk, capacity) = (SimDisk::new(stage.sim().seed()), stage.pick("capacity", &[1, 4, 30, 300]));
    let (faulty, far) = (stage.chance(2), stage.pick("far", &[10, 100, 10_000]));
    stage.draw(format_args!("faulty {faulty}"));
    if stage.chance(3) {
        stage.draw("the clock jumps");
        drop(stage.sim().clone().with_wall_jumps());
    }
    let (disk, book) = (Mutex::new(disk), Mutex::default());
    let play = Play(Arc::new(Inside { stage, disk, book, capacity, faulty, far }));
    for _ in 0..1 + play.0.stage.below(4) {
        play.one_life().await;
    }
    play.last_life().await;
}

impl Play {
    fn disk(&self) -> SimDisk {
        self.0.disk.lock().unwrap().clone()
    }

    fn is_wrong(&self, what: impl std::fmt::Display) {
        self.0.stage.is_wrong(format_args!("P28: {what}"));
    }

    async fn one_life(&self) {
        let (stage, disk) = (&self.0.stage, self.disk());
        let doomed = stage.below(3);
        if doomed == 0 {
            disk.stop_at(disk.calls() + 1 + stage.below(30) as u64);
        }
        let Some((broker, topic)) = self.open().await else { return self.crash() };
        self.look(&topic).await;
        let Some(group) = self.group(&topic).await else {
            drop((broker, topic));
            return self.crash();
        };
        let mut tasks: Vec<Ended> = Vec::new();
        for _ in 0..1 + stage.below(3) {
            let (play, topic, messages) = (self.clone(), topic.clone(), 5 + stage.below(30));
            tasks.push(stage.spawn("publisher", async move { play.publish(&topic, messages).await }));
        }
        let (play, of) = (self.clone(), topic.clone());
        tasks.push(stage.spawn("redriver", async move { play.redrive(&of, group).await }));
        if doomed == 1 {
            disk.stop_at(disk.calls() + 1 + stage.below(120) as u64);
        }
        if self.0.faulty {
            let fault = DiskFault::nth(1 + stage.below(60) as u64).of(DiskCall::Write);
            match stage.below(3) {
                0 => disk.fail(fault.with(std::io::ErrorKind::StorageFull)),
                1 => disk.set_free(stage.below(40_000) as u64),
                _ => {}
            }
        }
        let (limit, patience) = (stage.sim().now(), millis(stage.pick("patience", &[0, 5, 40, 400])));
        while !disk.is_stopped() && stage.sim().now() < limit + patience {
            stage.sim().sleep(millis(1)).await;
            if disk.free() == Some(0) && stage.chance(10) {
                disk.set_free(1 << 30);
            }
        }
        if stage.chance(3) && !disk.is_stopped() {
            broker.shutdown_within(millis(stage.pick("limit", &[0, 10, 30_000]))).await;
            stage.sim().settle().await;
        }
        drop((broker, topic, tasks));
        self.crash();
    }

    /// Nothing goes wrong any more: all is there, and read.
    async fn last_life(&self) {
        let Some((broker, topic)) = self.open().await else { return };
        let shown = self.look(&topic).await;
        // Where the ids that were given and those that the topic gave are told apart by nothing but their order.
        let places = [0, shown.len() / 2, shown.len().saturating_sub(1)];
        for (number, (_, id)) in (0..).zip(places.iter().filter_map(|at| shown.get(*at))) {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let late = topic.group(&format!("late{number}")).start_at(from_text(*id)).with(seen.clone());
            let late = late.run(async |message: Message<u64>, seen: Arc<Mutex<Shown>>| {
                seen.lock().unwrap().push((*message, message.id()));
                Ok(())
            });
            let late = late.await.unwrap();
            if self.0.stage.within(millis(600_000), late.drain()).await.is_none() {
                self.is_wrong(format_args!("a group that begins behind {id} waits for ever"));
            }
            // What was delayed may have come in since.
            let (seen, wanted) = (seen.lock().unwrap(), firsts(&shown).filter(|(_, one)| one > id));
            let wanted: Shown = wanted.collect();
            if !seen.starts_with(&wanted) {
                self.is_wrong(format_args!("behind {id} a group was handed {seen:?}, and not {wanted:?}"));
            }
        }
        broker.shutdown().await;
        drop(topic);
        self.0.stage.drop_everything();
    }

    async fn open(&self) -> Option<(Broker, Topic<u64>)> {
        let (stage, disk) = (&self.0.stage, self.disk());
        let builder = Broker::builder().runtime(stage.sim().clone()).data_dir("/data");
        let opened = async {
            let broker = builder
                .journal_file_bytes(16 << 10)
                .on(disk.clone())
                .open()
                .await
                .map_err(|e| e.to_string())?;
            let topic = broker.topic::<u64>("t").capacity(self.0.capacity).publish_timeout(millis(400));
            let topic = topic.retain(Retain::all()).dedup(Dedup::within(millis(3_600_000))).durable(Padded);
            let topic = topic.open().await.map_err(|e| e.to_string())?;
            Ok::<_, String>((broker, topic))
        };
        match opened.await {
            Ok(opened) => Some(opened),
            Err(_) if disk.is_stopped() => None,
            Err(error) => {
                self.is_wrong(format_args!("the topic is refused: {error}"));
                None
            }
        }
    }

    /// Gives up what is divisible by three when it comes first.
    async fn group(&self, topic: &Topic<u64>) -> Option<Group> {
        let group = topic.group("g").consumers(2).retry(Retry::none()).run(async |value| {
            if *value % 3 == 0 && value.redrives() == 0 { Err(Fault::new("not yet")) } else { Ok(()) }
        });
        group.await.ok()
    }

    fn crash(&self) {
        let stage = &self.0.stage;
        let kind = match stage.below(3) {
            0 => CrashKind::KeepAll,
            1 => CrashKind::LoseAll,
            _ => CrashKind::Random(stage.below(1 << 30) as u64),
        };
        stage.draw(format_args!("{kind:?} at {:?}", stage.sim().now()));
        let next = self.disk().crash(kind);
        stage.drop_everything();
        next.heal();
        next.set_free(1 << 30);
        *self.0.disk.lock().unwrap() = next;
    }

    async fn publish(&self, topic: &Topic<u64>, messages: usize) {
        for _ in 0..messages {
            self.publish_one(topic).await;
            if self.0.stage.chance(4) {
                self.0.stage.a_while(millis(20)).await;
            }
        }
    }

    async fn publish_one(&self, topic: &Topic<u64>) {
        let stage = &self.0.stage;
        let value = {
            let mut book = self.0.book.lock().unwrap();
            book.next += 1;
            book.next - 1
        };
        let message = topic.message(value);
        if stage.chance(8) {
            let key = format!("{}", value / 4);
            let message = if stage.chance(2) { message.dedup_key(key) } else { message };
            // It has an id when it comes in, of which nobody hears.
            drop(message.publish_after(millis(stage.below(40) as u64)).await);
            return;
        }
        let given = (!stage.chance(3)).then(|| self.draw_id());
        let message = if let Some(id) = given { message.id(id) } else { message };
        let message = if stage.chance(3) { message.dedup_key(format!("{}", value / 4)) } else { message };
        let answer = message.publish().await;
        if !self.disk().is_stopped() {
            self.hear(value, given, answer);
        }
    }

    /// An id near the last one that anybody has heard of, often above it.
    fn draw_id(&self) -> MessageId {
        let stage = &self.0.stage;
        let last = self.0.book.lock().unwrap().last;
        let (now, some) = (stage.wall_millis(), stage.below(4) as u64);
        match last.map(|last| (last.unix_millis(), last.sequence())) {
            _ if stage.chance(self.0.far) => MessageId::from_parts(now + 10_000_000 + some, some),
            None if stage.chance(2) => MessageId::from_parts(some, some),
            None => MessageId::from_parts(now, some),
            Some((millis, seq)) => match stage.below(4) {
                0 => MessageId::from_parts(millis + some, some),
                1 => MessageId::from_parts(now, some),
                _ => MessageId::from_parts(millis, seq.saturating_add(some)),
            },
        }
    }

    fn hear(&self, value: u64, given: Option<MessageId>, answer: Result<Published, PublishError<u64>>) {
        let mut book = self.0.book.lock().unwrap();
        match answer {
            Ok(Published { id, repeated, .. }) => {
                book.last = book.last.max(Some(id));
                let known = book.confirmed.get(&id.offset()).copied();
                let other = known.is_some_and(|(there, its)| its != id || there != value && !repeated);
                if other || !repeated && given.is_some_and(|given| given != id) {
                    let offset = id.offset();
                    self.is_wrong(format_args!(
                        "{value} of {given:?} is {id} at {offset}, where {known:?} is"
                    ));
                }
                if !repeated {
                    book.confirmed.insert(id.offset(), (value, id));
                }
            }
            Err(PublishError::Invalid(_, InvalidMessage::Id { above })) => {
                if given.is_none_or(|given| given > above) {
                    self.is_wrong(format_args!("{given:?} is refused, as it is not above {above}"));
                }
            }
            Err(_) => {}
        }
    }

    /// Brings dead letters back now and then, and looks whether all are where they were.
    async fn redrive(&self, topic: &Topic<u64>, group: Group) {
        let stage = &self.0.stage;
        for _ in 0..1 + stage.below(6) {
            stage.a_while(millis(30)).await;
            let _ = stage.within(millis(100), group.redrive()).await;
            if stage.chance(2) {
                self.look(topic).await;
            }
        }
    }

    /// Whether all that was confirmed is there, in order, and is found by its ids; answers what is there.
    async fn look(&self, topic: &Topic<u64>) -> Shown {
        let confirmed = self.0.book.lock().unwrap().confirmed.clone();
        let Some(shown) = self.browse(topic, Start::Earliest).await else { return Vec::new() };
        let firsts: Shown = firsts(&shown).collect();
        if let Some(pair) = firsts.windows(2).find(|pair| pair[0].1 >= pair[1].1) {
            self.is_wrong(format_args!("ids go back: {pair:?}"));
        }
        for (offset, wanted) in &confirmed {
            match shown.get(*offset as usize) {
                Some(there) if there == wanted => {}
                there => {
                    self.is_wrong(format_args!("{wanted:?} was confirmed at {offset}, where {there:?} is"))
                }
            }
        }
        for _ in 0..3.min(shown.len()) {
            let (_, id) = shown[self.0.stage.below(shown.len())];
            let named = firsts.iter().any(|(_, id)| id.sequence() != id.offset());
            // Between two, where the topic knows of ids.
            let id = if named {
                MessageId::from_parts(id.unix_millis(), id.sequence() + self.0.stage.below(3) as u64)
            } else {
                id
            };
            let is_first = |place: usize| shown[place].1.offset() == place as u64;
            let mut places = (0..shown.len()).filter(|place| is_first(*place));
            let at = places.find(|place| shown[*place].1 > id).unwrap_or(shown.len());
            // What came back right before it is of no id, and may be among it.
            let least = (0..at).rfind(|place| is_first(*place)).map_or(0, |before| before + 1);
            let Some(found) = self.browse(topic, from_text(id)).await else { return Vec::new() };
            if !(least..=at).any(|from| found.starts_with(&shown[from..])) {
                let first = found.first();
                self.is_wrong(format_args!("{at} is the first behind {id}, and {first:?} was found"));
            }
        }
        shown
    }

    async fn browse(&self, topic: &Topic<u64>, start: Start) -> Option<Shown> {
        let shown = topic.browse(start).map_ok(|message| (*message, message.id())).try_collect().await;
        match shown {
            Ok(shown) => Some(shown),
            // A process that ends in order ends this too.
            Err(BrowseError::Closed) => None,
            Err(_) if self.0.faulty || self.disk().is_stopped() => None,
            Err(error) => {
                self.is_wrong(format_args!("it can't be browsed: {error}"));
                None
            }
        }
    }
}

/// Those that are where they came in first; not what came back, which has the id that it had.
fn firsts(shown: &Shown) -> impl Iterator<Item = (u64, MessageId)> + Clone {
    (0..).zip(shown).filter(|(place, (_, id))| id.offset() == *place).map(|(_, shown)| *shown)
}

/// As whoever wrote the id down: it tells of no offset.
fn from_text(id: MessageId) -> Start {
    Start::After(id.to_string().parse().unwrap())
}
