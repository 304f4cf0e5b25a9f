//! The keeper: hands to the log what happened to streams, and knows how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::batch::{Batch, Then, one_record};
use super::confirmed::{Barrier, Confirmed};
use super::note::Writer;
use super::recover::{DataError, Recovered, delete_unused, recover};
use super::tracked::Place;
use super::upkeep::Upkeep;
use crate::base::Moment;
use crate::log::{Chain, Done, Log, LogError, Records, State};
use crate::runtime::Rt;
use crate::server::keys::Keys;
use crate::server::stream::Limits;

/// The topic of what is noted.
pub(super) const NOTES: &str = "server";
/// Those of entries are named by this, and their streams' numbers.
pub(super) const ENTRIES: &str = "stream.";
/// So often it tries whether there is room again, and syncs what is not synced at once.
const EVERY: Duration = Duration::from_secs(1);
/// With so many bytes it tries that.
const TRY: usize = 64 << 10;
/// What a part of a commit takes beside its bytes, at most.
const PART: usize = 64;

/// When what a server writes is on the disk. Whenever that is, the end of its process loses nothing that it had replied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before it is replied to: a power cut loses nothing either. Clients that wait at the same time share one wait for the disk.
    #[default]
    Always,
    /// Within a second: a power cut may lose that much.
    EverySecond,
    /// When the system sees fit: a power cut may lose what it had not seen fit to write.
    Never,
}

/// What time it is: for what ends at some time, and as it is written down, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Now {
    pub(in crate::server) moment: Moment,
    pub(in crate::server) millis: u64,
}

#[derive(Debug)]
pub(in crate::server) struct Keeper {
    pub(super) log: Log,
    confirmed: Arc<Confirmed>,
    pub(super) notes: u32,
    /// The offset of the next record of notes.
    pub(super) next_note: u64,
    /// The number of the next topic.
    pub(super) next_topic: u32,
    pub(super) streams: BTreeMap<u64, Kept>,
    pub(super) upkeep: Upkeep,
    chain: Chain,
    written: Barrier,
    fsync: Fsync,
    /// Something is written that nobody synced. And when it was looked at last.
    unsynced: bool,
    looked: Moment,
    refuses: Option<Refusal>,
}

/// Why nothing is written.
#[derive(Debug)]
struct Refusal {
    why: String,
    /// Whether there is room again is being tried.
    tries: bool,
}

/// A stream, as it is in the log.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) topic: u32,
    pub(super) place: Place,
    pub(super) ends: Option<Moment>,
    /// The topic has no entries below this offset.
    pub(super) trimmed: u64,
}

impl Keeper {
    /// One that has written nothing yet.
    pub(super) fn new(log: Log, notes: u32, next_topic: u32) -> Keeper {
        Keeper {
            log,
            confirmed: Arc::default(),
            notes,
            next_note: 0,
            next_topic,
            streams: BTreeMap::new(),
            upkeep: Upkeep::default(),
            chain: Chain::default(),
            written: Barrier::default(),
            fsync: Fsync::default(),
            unsynced: false,
            looked: Moment::ZERO,
            refuses: None,
        }
    }

    pub(in crate::server) fn confirmed(&self) -> &Arc<Confirmed> {
        &self.confirmed
    }

    /// What was written last.
    #[cfg(test)]
    pub(in crate::server) fn written(&self) -> Barrier {
        self.written
    }

    pub(in crate::server) fn log(&self) -> &Log {
        &self.log
    }

    pub(in crate::server) fn set_fsync(&mut self, fsync: Fsync) {
        self.fsync = fsync;
    }

    /// What a reply waits for that tells of all that is there by now, `touched` or written.
    pub(in crate::server) fn barrier(&self, touched: bool) -> Barrier {
        if self.refuses.is_some() && !touched {
            // Memory is what was in the log when it went back. Whether there is room is tried since, and tells nobody of anything.
            return Barrier { sequence: 0, ..self.written };
        }
        // Why not as of the next write, when that is made: memory may have gone back before it.
        Barrier { sequence: self.written.sequence + u64::from(touched), ..self.written }
    }

    /// Whether so many bytes wait to be written that it is time to: the largest command that is whole in any case has room behind them.
    pub(in crate::server) fn is_due(&self, bytes: usize) -> bool {
        bytes > self.log.most_bytes() / 4
    }

    /// Why commands that write are refused, if they are.
    pub(in crate::server) fn refuses(&self) -> Option<&str> {
        self.refuses.as_ref().map(|refusal| refusal.why.as_str())
    }

    /// The most bytes that one entry, or one name, may have: so that what is noted of two of them together has room.
    pub(in crate::server) fn most_entry(&self) -> usize {
        self.log.most_bytes()
    }

    /// Writes what happened to streams since; answers what a reply waits for that tells of it.
    pub(in crate::server) fn write(&mut self, keys: &mut Keys, now: Now) -> Barrier {
        let barrier = self.leave(keys, now);
        self.log.wake();
        barrier
    }

    /// As [`Keeper::write`], for one who helps the log, or wakes it, once the world is unlocked.
    pub(in crate::server) fn leave(&mut self, keys: &mut Keys, now: Now) -> Barrier {
        if keys.tracked().is_touched() && self.refuses.is_none() {
            let touched = keys.tracked().take_touched();
            self.write_some(keys, touched, BTreeSet::new(), now);
        }
        self.written
    }

    /// Writes all streams whole, so that what they came from can go. While nothing is written, not that either.
    pub(in crate::server) fn write_whole(&mut self, keys: &mut Keys, now: Now) {
        if self.refuses.is_some() {
            return;
        }
        let (touched, all) =
            (keys.tracked().take_touched(), keys.tracked().places().keys().copied().collect());
        self.write_some(keys, touched, all, now);
        self.log.wake();
    }

    fn write_some(&mut self, keys: &mut Keys, touched: BTreeSet<u64>, whole: BTreeSet<u64>, now: Now) {
        let mut batch = Batch::new(self.log.most_bytes() / 4);
        for number in touched {
            match keys.numbered(number) {
                Some((place, stream, ends)) => self.changed(number, (place, ends), stream, &mut batch, now),
                None => self.gone(number, &mut batch),
            }
        }
        for number in whole {
            self.whole(number, keys, &mut batch, now);
        }
        // Twice what there is to say is enough to get on, and not so much that anybody waits for it.
        let most = batch.notes.bytes() * 2 + (64 << 10);
        while batch.notes.bytes() < most
            && let Some(number) = self.upkeep.due(self.next_note)
        {
            self.whole(number, keys, &mut batch, now);
        }
        self.hand_over(batch, now);
    }

    /// Hands it to the log: in one commit, unless it is more than one may have.
    fn hand_over(&mut self, batch: Batch, now: Now) {
        let Batch { notes, entries, mut then } = batch;
        let mut parts = entries;
        for body in notes.finish() {
            self.upkeep.wrote(self.next_note, body.len() as u64);
            self.next_note += 1;
            parts.push((self.notes, one_record(&body, now)));
        }
        if parts.is_empty() {
            return;
        }
        let floor = self.upkeep.floor(self.next_note);
        if self.upkeep.trim(floor) {
            then.trims.push((self.notes, floor));
        }
        self.written.sequence += 1;
        // Of the four that a commit has room for.
        let (most, mut some, mut bytes) = (self.log.most_bytes() * 3, Vec::new(), 0);
        for part in parts {
            let len = part.1.bytes().len() + PART;
            if bytes + len > most && !some.is_empty() {
                self.append(std::mem::take(&mut some), None);
                bytes = 0;
            }
            bytes += len;
            some.push(part);
        }
        self.append(some, Some(then));
    }

    /// Appends some of what is written together. `then`: it is the last, and this is done once it is there.
    fn append(&mut self, parts: Vec<(u32, Records)>, then: Option<Then>) {
        self.unsynced = true;
        let (written, confirmed, log) = (self.written, self.confirmed.clone(), self.log.clone());
        let done = Done::new(move |result: Result<(), LogError>| {
            let Some(Then { gone, trims }) = then else {
                // What is behind it is there only if it is.
                return if result.is_err() {
                    confirmed.tell(written, result)
                };
            };
            if result.is_ok() {
                // Why not before: what is refused has not happened, and what it trims is still of use.
                trims.into_iter().for_each(|(topic, floor)| log.trim(topic, floor));
                gone.into_iter().for_each(|topic| log.delete_topic(topic, Done::unheard()));
            }
            confirmed.tell(written, result);
        });
        self.log.append_all(parts, self.fsync == Fsync::Always, self.chain.clone(), done);
    }

    /// Looks after what nobody asks for: syncs, goes back to what is in the log if that refused something, tries whether
    /// there is room again.
    ///
    /// Answers whether memory went back.
    ///
    /// # Errors
    /// The log is of no more use.
    pub(in crate::server) fn tick(
        &mut self,
        keys: &mut Keys,
        limits: Limits,
        now: Now,
    ) -> Result<bool, DataError> {
        if let Some(error) = self.confirmed.failed() {
            self.go_back(keys, limits, &error, now)?;
            return Ok(true);
        }
        self.write(keys, now);
        if now.moment.since(self.looked) < EVERY {
            return Ok(false);
        }
        self.looked = now.moment;
        let tries = self.log.most_bytes().min(TRY);
        match &mut self.refuses {
            // Nothing failed: there was room.
            Some(refusal) if refusal.tries => {
                tracing::info!(target: "callboard::server", "there is room on the disk again");
                self.refuses = None;
                self.upkeep.wrote(self.next_note - 1, tries as u64);
                self.sweep();
            }
            Some(refusal) => {
                refusal.tries = true;
                // As large as what is written at a time may well be.
                let nothing = Writer::nothing(tries);
                self.written.sequence += 1;
                self.append(vec![(self.notes, one_record(&nothing, now))], Some(Then::default()));
                self.log.wake();
                self.next_note += 1;
            }
            None if self.fsync == Fsync::EverySecond && self.unsynced => {
                self.unsynced = false;
                self.log.sync(Done::unheard());
            }
            None => {}
        }
        Ok(false)
    }

    /// All that it uses.
    pub(super) fn topics(&self) -> BTreeSet<u32> {
        self.streams.values().map(|kept| kept.topic).chain([self.notes]).collect()
    }

    /// Deletes what should have been, and had no room for that.
    fn sweep(&self) {
        let (log, below, used) = (self.log.clone(), self.next_topic, self.topics());
        self.log.describe(Done::new(move |state: Result<Box<State>, LogError>| {
            // Why not heard of: where there is no answer there is nothing to delete from.
            state.into_iter().for_each(|state| delete_unused(&log, &state, &used, below));
        }));
    }

    /// The log refused something: nothing of that has happened, then, and nothing that came behind it.
    fn go_back(
        &mut self,
        keys: &mut Keys,
        limits: Limits,
        error: &LogError,
        now: Now,
    ) -> Result<(), DataError> {
        if matches!(error, LogError::Unknown { .. } | LogError::Poisoned { .. } | LogError::Closed) {
            return Err(DataError::Log(error.clone()));
        }
        let why = error.to_string();
        if self.refuses.as_ref().is_some_and(|refusal| refusal.tries) {
            // There was no room, and nothing else was tried.
            self.next_note = self.log.bounds(self.notes).map_or(0, |(_, next)| next);
        } else {
            tracing::error!(target: "callboard::server", %why, "streams can't be written: commands that do are refused until they can");
            self.reload(keys, limits, now)?;
        }
        self.chain = Chain::default();
        self.written = Barrier { epoch: self.confirmed.begin_anew(), sequence: 0 };
        (self.refuses, self.looked) = (Some(Refusal { why, tries: false }), now.moment);
        Ok(())
    }

    /// Forgets all streams, and reads again what the log has. Blocks.
    pub(in crate::server) fn reload(
        &mut self,
        keys: &mut Keys,
        limits: Limits,
        now: Now,
    ) -> Result<(), DataError> {
        // Why one after the other: what is described is what was there before all that waits with it.
        wait(|done| self.log.sync(done))?;
        let state = *wait::<Box<State>>(|done| self.log.describe(done))?;
        let Recovered { keeper, streams, last } = recover(self.log.clone(), state, limits, now)?;
        let Keeper { notes, next_note, next_topic, streams: kept, upkeep, .. } = keeper;
        (self.notes, self.next_note, self.next_topic) = (notes, next_note, next_topic);
        (self.streams, self.upkeep) = (kept, upkeep);
        keys.replace_streams(streams, last);
        Ok(())
    }
}

/// Asks, and blocks until it is answered.
fn wait<T: Send + 'static>(ask: impl FnOnce(Done<T>)) -> Result<T, DataError> {
    let (tell, heard) = std::sync::mpsc::sync_channel(1);
    // Why unheard: nobody but this one waits, and it does.
    ask(Done::new(move |result| drop(tell.send(result))));
    heard.recv().unwrap_or(Err(LogError::Closed)).map_err(DataError::Log)
}

impl Now {
    pub(in crate::server) fn of(rt: &Rt) -> Now {
        Now { moment: rt.now(), millis: rt.wall_millis() }
    }

    /// When something ends, in milliseconds since 1970.
    pub(super) fn millis_at(self, ends: Option<Moment>) -> Option<u64> {
        let left = ends?.since(self.moment).as_millis();
        Some(self.millis.saturating_add(u64::try_from(left).unwrap_or(u64::MAX)))
    }

    /// The moment of some millisecond since 1970; of one that is over, now.
    pub(super) fn moment_at(self, millis: u64) -> Moment {
        self.moment + Duration::from_millis(millis.saturating_sub(self.millis))
    }
}
