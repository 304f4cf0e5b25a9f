//! Recovery: the streams as the log has them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;

use super::keeper::{ENTRIES, Keeper, Kept, NOTES, Now};
use super::note::{Note, Reader, What, take_entry};
use super::tracked::Place;
use crate::base::Moment;
use crate::log::{Done, Log, LogError, Ranges, State, Terms};
use crate::server::stream::{Change, Limits, Stream};

/// What was found in a log.
#[derive(Debug)]
pub(in crate::server) struct Recovered {
    pub(in crate::server) keeper: Keeper,
    pub(in crate::server) streams: Vec<(Place, Stream, Option<Moment>)>,
    /// The largest number that a stream had.
    pub(in crate::server) last: u64,
}

/// Says why a data directory can't be served from. Nothing in it was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// The log does not open, or can't be read.
    Log(LogError),
    /// The directory is a broker's: it has topics that no server made. Name another one.
    NotAServers {
        /// One of them.
        topic: String,
    },
    /// Something was written there that this version can't read: by a newer one, or by none.
    Unreadable {
        /// The topic of the log.
        topic: String,
        /// The offset in it.
        offset: u64,
    },
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataError::Log(error) => error.fmt(f),
            DataError::NotAServers { topic } => {
                write!(f, "it is no server's: topic '{topic}' is a broker's; name another directory")
            }
            DataError::Unreadable { topic, offset } => {
                write!(f, "'{topic}' has at offset {offset} what this version can't read")
            }
        }
    }
}

impl Error for DataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DataError::Log(error) => error.source(),
            _ => None,
        }
    }
}

impl From<LogError> for DataError {
    fn from(error: LogError) -> DataError {
        DataError::Log(error)
    }
}

/// What is noted of a stream that is there.
#[derive(Default)]
struct Found {
    place: Option<(u32, Place, Option<u64>)>,
    /// In order, each behind all entries below its offset.
    changes: Vec<(u64, Vec<Change>)>,
}

/// Reads the streams of a log, and goes on with it. Blocks.
pub(in crate::server) fn recover(
    log: Log,
    state: State,
    limits: Limits,
    now: Now,
) -> Result<Recovered, DataError> {
    if let Some(topic) = state.topics.values().find(|topic| !is_ours(&topic.name)) {
        return Err(DataError::NotAServers { topic: topic.name.clone() });
    }
    let (notes, next_topic) = match state.topic_named(NOTES) {
        Some(notes) => (notes, state.next_topic),
        None => {
            let notes = state.next_topic;
            let terms = Terms { keeps: true, ..Terms::default() };
            log.create_numbered(notes, NOTES.into(), terms, Done::unheard());
            (notes, notes + 1)
        }
    };
    let mut keeper = Keeper::new(log.clone(), notes, next_topic);
    let (found, last) = read_notes(&log, &mut keeper)?;
    // Why those too of which nothing is noted: as long as such a topic is there, its name is taken.
    let last = state.topics.values().filter_map(|topic| number_of(&topic.name)).fold(last, u64::max);
    let mut streams = Vec::new();
    for (number, found) in found {
        // What it is behind is trimmed: so it is gone by now, or will be whole.
        let Some((topic, place, ends)) = found.place else { continue };
        let (stream, trimmed) = read_stream(&log, (number, topic), found.changes, limits)?;
        let ends = ends.map(|millis| now.moment_at(millis));
        keeper.streams.insert(number, Kept { topic, place: place.clone(), ends, trimmed });
        streams.push((place, stream, ends));
    }
    // What was made for a stream that was never confirmed, or was not deleted any more with one that is gone.
    delete_unused(&log, &state, &keeper.topics(), next_topic);
    Ok(Recovered { keeper, streams, last })
}

/// Deletes the topics below a number that nobody uses.
pub(super) fn delete_unused(log: &Log, state: &State, used: &BTreeSet<u32>, below: u32) {
    let unused = state.topics.keys().filter(|topic| **topic < below && !used.contains(topic));
    unused.for_each(|topic| log.delete_topic(*topic, Done::unheard()));
}

fn is_ours(topic: &str) -> bool {
    topic == NOTES || number_of(topic).is_some()
}

/// The number of the stream whose entries a topic has, or had.
fn number_of(topic: &str) -> Option<u64> {
    let mut numbers = topic.strip_prefix(ENTRIES)?.split('.').map(|number| number.parse().ok());
    let stream = numbers.next()??;
    numbers.all(|number: Option<u64>| number.is_some()).then_some(stream)
}

/// Reads what is noted: the streams that are there, and the largest number that any had.
fn read_notes(log: &Log, keeper: &mut Keeper) -> Result<(BTreeMap<u64, Found>, u64), DataError> {
    let (mut found, mut last, mut reader) = (BTreeMap::<u64, Found>::new(), 0, Reader::default());
    let Some(bounds) = log.bounds(keeper.notes) else { return Ok((found, last)) };
    keeper.next_note = bounds.1;
    log.each_record(keeper.notes, bounds, |offset, record| {
        let unreadable = |_| DataError::Unreadable { topic: NOTES.into(), offset };
        keeper.upkeep.wrote(offset, record.body.len() as u64);
        let (first, notes) = reader.take(offset, record.body).map_err(unreadable)?.unwrap_or_default();
        for note in notes {
            last = last.max(note.number);
            apply(&mut found, keeper, (first, note));
        }
        Ok::<(), DataError>(())
    })?;
    Ok((found, last))
}

fn apply(found: &mut BTreeMap<u64, Found>, keeper: &mut Keeper, (first, note): (u64, Note)) {
    let Note { number, what } = note;
    match what {
        What::Placed { topic, place, ends } => {
            if !found.contains_key(&number) {
                keeper.upkeep.is_whole(number, first, 0);
            }
            found.entry(number).or_default().place = Some((topic, place, ends));
        }
        What::Gone => {
            found.remove(&number);
            keeper.upkeep.is_gone(number);
        }
        What::Changed { offset, changes } => {
            // Of one that is whole further on only.
            let Some(found) = found.get_mut(&number) else { return };
            if changes.first() == Some(&Change::Anew) {
                found.changes.clear();
                keeper.upkeep.is_whole(number, first, 0);
            }
            found.changes.push((offset, changes));
        }
    }
}

/// Makes a stream of its entries and of what happened to them; answers it, and its topic's first offset.
fn read_stream(
    log: &Log,
    (number, topic): (u64, u32),
    changes: Vec<(u64, Vec<Change>)>,
    limits: Limits,
) -> Result<(Stream, u64), DataError> {
    let (first, next) = log.bounds(topic).ok_or(LogError::Missing)?;
    let mut stream = Stream::from_offset(first);
    // What is gone in the end is never there: of ids that went back since, the order would not be one.
    let mut gone = Ranges::default();
    for change in changes.iter().flat_map(|(_, changes)| changes) {
        if let Change::Gone(from, to) = change {
            gone.insert(*from, *to);
        }
    }
    let mut changes = changes.into_iter().peekable();
    let mut catch_up = |stream: &mut Stream| {
        while let Some((_, changes)) = changes.next_if(|(offset, _)| *offset <= stream.next_offset()) {
            changes.into_iter().for_each(|change| stream.apply(change));
        }
    };
    log.each_record(topic, (first, next), |offset, record| {
        catch_up(&mut stream);
        let unreadable = || DataError::Unreadable { topic: format!("{ENTRIES}{number}"), offset };
        let (id, fields) = take_entry(record.body).ok_or_else(unreadable)?;
        // In a log there are no gaps.
        if offset != stream.next_offset() {
            return Err(unreadable());
        }
        match gone.contains(offset) {
            true => stream.pass_by(id, limits),
            false => stream.add(id, fields, limits),
        }
        Ok(())
    })?;
    catch_up(&mut stream);
    stream.number = number;
    stream.record(true);
    Ok((stream, first))
}
