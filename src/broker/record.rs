//! A message on its way to the disk, and back.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::bits::Bits;
use super::books::GroupId;
use super::codec::{Codec, decode, encode};
use super::envelope::{Again, Envelope};
use super::extra::Extra;
use super::message::{BATCH, Item};
use super::schedule::FoundDelayed;
use super::topic_actor::{Redriven, Store};
use super::unread::Unread;
use super::{DeadLetter, Headers, InvalidMessage, KeyHash, MessageId, PublishError, Published};
use crate::base::sync::AtomicBool;
use crate::base::varint::{Take, put_u64};
use crate::base::{Bug, Moment, Name, planted, whole_millis};
use crate::log::{Log, LogError, Note, TopicState};
use crate::mailbox::Reply;
use crate::runtime::Rt;

/// What a message of a durable topic has beside it until it is stored.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Its bytes, without what the topic gives it.
    pub(crate) bytes: Vec<u8>,
    /// Who waits to hear that it is stored. `None`: nobody does any more.
    pub(crate) confirm: Option<Confirm>,
    /// Present if it was delayed.
    pub(crate) home: Option<Home>,
}

/// Where a delayed message lies on the disk until it is stored in its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    /// A number of the log.
    pub(crate) schedule: u32,
    pub(crate) offset: u64,
}

impl Home {
    /// The one group of a schedule.
    pub(crate) const GROUP: u32 = 0;

    /// The offset, as a run.
    pub(crate) fn run(self) -> (u64, u64) {
        (self.offset, self.offset + 1)
    }
}

/// Hears that a message is stored, or gets it back.
pub(crate) type Confirm = Reply<Result<Published, NotStored>>;

/// A message that was not stored, on its way back.
#[derive(Debug)]
pub(crate) struct NotStored {
    /// The payload; of a message that was delayed, the message as it was.
    pub(crate) value: Box<dyn Any + Send>,
    pub(crate) why: WhyNot,
}

/// Says why a message was not stored.
#[derive(Debug)]
pub(crate) enum WhyNot {
    Log(LogError),
    /// It repeats nothing, and its id is not above this one.
    Id {
        above: MessageId,
    },
}

impl NotStored {
    /// The error that gives the payload back. `None` would be a payload of another type.
    pub(crate) fn into_error<T: 'static>(self) -> Option<PublishError<T>> {
        let NotStored { value, why } = self;
        let value = *value.downcast::<T>().ok()?;
        Some(match why {
            WhyNot::Id { above } => PublishError::Invalid(value, InvalidMessage::Id { above }),
            WhyNot::Log(LogError::Closed) => PublishError::Closed(value),
            WhyNot::Log(why @ LogError::Unknown { .. }) => PublishError::Unknown(value, why.into()),
            WhyNot::Log(why) => PublishError::NotStored(value, why.into()),
        })
    }
}

impl From<LogError> for WhyNot {
    fn from(why: LogError) -> WhyNot {
        WhyNot::Log(why)
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WhyNot::Log(why) => why.fmt(f),
            WhyNot::Id { above } => write!(f, "its id is not above {above}"),
        }
    }
}

/// Writes a message as it is to be on the disk.
pub(crate) fn to_bytes<T: 'static>(
    codec: &dyn Codec<T>,
    value: &T,
    key: Option<KeyHash>,
    headers: &Headers,
    (expires, due): (Option<u64>, Option<u64>),
) -> Result<Vec<u8>, InvalidMessage> {
    let mut payload = Vec::new();
    let version = encode(codec, value, &mut payload)?;
    let headers = Cow::Borrowed(headers);
    let envelope = Envelope { key, headers, expires, due, again: None, version, payload: &payload };
    let mut bytes = Vec::new();
    envelope.encode(&mut bytes);
    Ok(bytes)
}

/// A message that comes back to one group of a durable topic, with a place that was got for it.
pub(crate) struct ComesBack<T> {
    pub(crate) group: GroupId,
    /// It says what it was before.
    pub(crate) item: Item<T>,
    /// Set as it comes in.
    pub(crate) mark: Arc<AtomicBool>,
    pub(crate) answer: Reply<Redriven>,
}

/// Makes a message of a letter, as it is to come back to its group. `None`: the codec can't.
pub(crate) fn item_again<T: Send + Sync + 'static>(
    codec: &dyn Codec<T>,
    letter: &DeadLetter,
    weight: impl Fn(&T, usize) -> u64,
) -> Option<Item<T>> {
    let (mut payload, key) = (Vec::new(), letter.original_key());
    let version = match letter.as_stored() {
        Some(stored) => {
            payload.extend_from_slice(&stored.payload);
            stored.version
        }
        None => encode(codec, &*letter.message::<T>()?, &mut payload).ok()?,
    };
    let value = decode(codec, &payload, version).ok()?;
    let headers = letter.original_headers();
    let redrives = u16::try_from(letter.original_redrives()).unwrap_or(u16::MAX).saturating_add(1);
    let again = Again { group: letter.group().clone(), original: letter.original_id(), redrives };
    let envelope = Envelope {
        key,
        headers: Cow::Borrowed(headers),
        expires: None,
        due: None,
        again: Some(again.clone()),
        version,
        payload: &payload,
    };
    let mut bytes = Vec::new();
    envelope.encode(&mut bytes);
    let extra = Extra {
        weight: weight(&value, headers.bytes()),
        headers: headers.clone(),
        again: Some(Box::new(again)),
        record: Some(Box::new(Record { bytes, ..Record::default() })),
        ..Extra::default()
    };
    let millis = letter.original_id().unix_millis();
    Some(Item::read(millis, value, key.unwrap_or_default(), extra.boxed()))
}

/// What a topic goes on with that was opened before, by an earlier process.
pub(crate) struct Recovered<T> {
    /// The offset of the next message, and the last id.
    pub(crate) next: u64,
    pub(crate) last: Option<MessageId>,
    /// Publishers give the ids.
    pub(crate) named: bool,
    /// Messages that some group has still to settle, or that wait for a group; in runs, each from its first offset.
    pub(crate) runs: Vec<(u64, Vec<Item<T>>)>,
    /// Those that the codec can't read.
    pub(crate) unread: Vec<Unread>,
    pub(crate) groups: BTreeMap<GroupId, Known>,
    /// A process before may have handed out any before this one.
    pub(crate) unsure: u64,
    /// Of a topic that retains: up to which offset there are so many bytes, and the milliseconds of the last of those.
    pub(crate) outline: Vec<(u64, u64, u64)>,
}

/// A durable topic's side of the log, and what was there.
pub(crate) struct Kept<T> {
    pub(crate) store: Store,
    pub(crate) recovered: Recovered<T>,
    pub(crate) next_group: u32,
    /// Present if it has a schedule.
    pub(crate) delayed: Option<FoundDelayed<T>>,
}

impl<T> Kept<T> {
    /// The groups that the log has.
    pub(crate) fn groups(&self) -> BTreeMap<Name, GroupId> {
        self.recovered.groups.iter().map(|(id, known)| (known.name.clone(), *id)).collect()
    }

    pub(crate) fn split(self) -> (Store, Recovered<T>) {
        (self.store, self.recovered)
    }
}

/// A group that the log has, and that may not have been opened since.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: Name,
    pub(crate) done: crate::log::Ranges,
    pub(crate) notes: BTreeMap<u64, Note>,
    /// What it has to settle below this is history, which it reads as such.
    pub(crate) since: u64,
    /// Of what is accepted it is handed what lies from here on.
    pub(crate) ahead: u64,
}

impl Known {
    /// What the log keeps of a group for us, to be known by the next process.
    pub(crate) fn about(since: u64, ahead: u64) -> Vec<u8> {
        let mut about = Vec::new();
        put_u64(&mut about, since);
        if ahead > 0 {
            put_u64(&mut about, ahead);
        }
        about
    }

    /// Reads what [`Known::about`] wrote; or an earlier version, which wrote less.
    fn of_about(about: &[u8]) -> (u64, u64) {
        let mut take = Take::new(about);
        (take.u64().unwrap_or(0), take.u64().unwrap_or(0))
    }

    /// Whether it has still to settle a message that it was there for.
    pub(crate) fn wants(&self, offset: u64) -> bool {
        offset >= self.since && !self.done.contains(offset)
    }

    /// The first offset that it may want.
    fn from(&self) -> u64 {
        self.done.floor().max(self.since)
    }

    /// What it has still to settle of a run of so many messages.
    pub(crate) fn open(&self, base: u64, len: u16) -> Bits {
        let mut open = Bits::default();
        let wants = |offset| {
            let too_far = planted(Bug::DoneTooFar) && offset == self.done.floor();
            self.wants(offset) && !too_far
        };
        (0..len).filter(|at| wants(base + u64::from(*at))).for_each(|at| open.insert(at));
        open
    }
}

/// What the clocks say when a topic is read from the disk: what was written in wall time becomes the process's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    pub(crate) now: Moment,
    pub(crate) millis: u64,
}

impl Clocks {
    /// What they say now.
    pub(crate) fn of(rt: &Rt) -> Clocks {
        Clocks { now: rt.now(), millis: rt.wall_millis() }
    }

    /// How many milliseconds since 1970 a moment is, as far as the wall clock tells.
    pub(crate) fn unix_millis(&self, at: Moment) -> u64 {
        self.millis.saturating_add(whole_millis(at.since(self.now)))
    }

    /// When it is so many milliseconds since 1970, as far as the wall clock tells.
    pub(crate) fn moment(&self, millis: u64) -> Moment {
        self.now + Duration::from_millis(millis.saturating_sub(self.millis))
    }
}

/// What makes messages of records.
pub(crate) struct Reader<'a, T> {
    pub(crate) codec: &'a dyn Codec<T>,
    pub(crate) clocks: Clocks,
    /// Of the topic, in milliseconds.
    pub(crate) ttl: Option<u64>,
    pub(crate) weight: &'a dyn Fn(&T, usize) -> u64,
}

impl<T: 'static> Reader<'_, T> {
    /// The message of an envelope that was accepted in this millisecond, with the second part of its id if that was given; or why
    /// it can't be read.
    pub(crate) fn item(&self, millis: u64, seq: Option<u64>, bytes: &[u8]) -> Result<Item<T>, Arc<str>> {
        let envelope = Envelope::decode(bytes).map_err(|error| Arc::<str>::from(error.to_string()))?;
        let value = decode(self.codec, envelope.payload, envelope.version)?;
        // Of an id that was given the milliseconds don't say when it came in. What was written does, but for the few before a first one.
        let came = if seq.is_some() { self.clocks.millis } else { millis };
        let own = envelope.expires.into_iter().chain(self.ttl.map(|ttl| came.saturating_add(ttl)));
        let headers = envelope.headers.into_owned();
        let extra = Extra {
            weight: (self.weight)(&value, headers.bytes()),
            headers,
            id: seq.map(|seq| (millis, seq)),
            again: envelope.again.map(Box::new),
            expires: own.min().map(|millis| self.clocks.moment(millis)),
            ..Extra::default()
        };
        Ok(Item::read(millis, value, envelope.key.unwrap_or_default(), extra.boxed()))
    }
}

/// Reads from the log what a topic goes on with. Blocks.
pub(crate) fn recover<T: 'static>(
    log: &Log,
    (number, state): (u32, &TopicState),
    codec: &dyn Codec<T>,
    (clocks, ttl): (Clocks, Option<u64>),
    (unsure, retains): (u64, bool),
    weight: &dyn Fn(&T, usize) -> u64,
) -> Result<Recovered<T>, LogError> {
    let reader = Reader { codec, clocks, ttl, weight };
    let known = |(id, group): (&u32, &crate::log::GroupState)| {
        let name = Name::new(&group.name).ok()?;
        let (since, ahead) = Known::of_about(&group.about);
        let since = if retains { since } else { 0 };
        let (done, notes) = (group.done.clone(), group.notes.clone());
        Some((GroupId(*id), Known { name, done, notes, since, ahead }))
    };
    let groups: BTreeMap<GroupId, Known> = state.groups.iter().filter_map(known).collect();
    let next = state.next;
    let last = (next > 0).then(|| MessageId::at(next - 1, state.millis, state.seq));
    let named = state.seq.is_some();
    let outline = if retains { outline(log, number, state)? } else { Vec::new() };
    // Why not over where a group's history ends: it reads that in runs of its own, and tells runs by their first offsets.
    let ends = groups.values().map(|known| known.since).chain([unsure]).collect();
    let mut items = ReadItems::new(ends);
    let from = match groups.values().map(Known::from).min() {
        Some(floor) => state.floor.max(floor),
        None if retains => next,
        None => state.floor,
    };
    log.each_record(number, (from, next), |offset, record| {
        if groups.is_empty() || groups.values().any(|group| group.wants(offset)) {
            items.add(offset, record, &reader);
        }
        Ok::<(), LogError>(())
    })?;
    let ReadItems { runs, unread, .. } = items;
    Ok(Recovered { next, last, named, runs, unread, groups, unsure, outline })
}

/// Where a topic's data lies, as its history counts it: up to which offset so many bytes, and the milliseconds of the last.
fn outline(log: &Log, number: u32, state: &TopicState) -> Result<Vec<(u64, u64, u64)>, LogError> {
    let places = log.outline(number);
    let mut outline = Vec::with_capacity(places.len());
    for (at, (_, end, bytes)) in places.iter().enumerate() {
        // By what follows: no record of this one came later than that.
        let millis = match places.get(at + 1) {
            Some((base, ..)) => log.read(number, *base, 1)?.records().next().map(|(_, record)| record.millis),
            None => None,
        };
        outline.push((*end, *bytes, millis.unwrap_or(state.millis)));
    }
    Ok(outline)
}

/// Messages that were read from the disk.
pub(crate) struct ReadItems<T> {
    /// In runs, each from its first offset.
    pub(crate) runs: Vec<(u64, Vec<Item<T>>)>,
    pub(crate) unread: Vec<Unread>,
    /// No run goes over any of these offsets.
    ends: BTreeSet<u64>,
}

impl<T: 'static> ReadItems<T> {
    fn new(ends: BTreeSet<u64>) -> ReadItems<T> {
        ReadItems { runs: Vec::new(), unread: Vec::new(), ends }
    }

    /// Makes messages of records.
    pub(crate) fn read<'a>(
        records: impl Iterator<Item = (u64, crate::log::Record<'a>)>,
        codec: &dyn Codec<T>,
        (clocks, ttl): (Clocks, Option<u64>),
        unsure: u64,
    ) -> ReadItems<T> {
        let mut items = ReadItems::new(BTreeSet::from([unsure]));
        let reader = Reader { codec, clocks, ttl, weight: &|_, _| 0 };
        records.for_each(|(offset, record)| items.add(offset, &record, &reader));
        items
    }

    fn add(&mut self, offset: u64, record: &crate::log::Record<'_>, reader: &Reader<'_, T>) {
        let item = match reader.item(record.millis, record.seq, record.body) {
            Ok(item) => item,
            Err(why) => {
                let id = MessageId::at(offset, record.millis, record.seq);
                return self.unread.push(Unread::new(id, record.body.to_vec(), why));
            }
        };
        match self.runs.last_mut() {
            Some((base, run))
                if run.len() < BATCH
                    && *base + run.len() as u64 == offset
                    && !self.ends.contains(&offset) =>
            {
                run.push(item)
            }
            _ => self.runs.push((offset, vec![item])),
        }
    }
}
