//! The writer: makes commits of what waits, and answers for them.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use super::aside::Aside;
use super::change::Change;
use super::checkpoint::Checkpoint;
use super::error::LogError;
use super::frame::{Header, Kind, frame_len};
use super::gather::Gather;
use super::journal::{Journal, Position};
use super::layout::Uuid;
use super::owed::Owed;
use super::plan::{self, Plan};
use super::request::Request;
use super::shelf::Shelf;
use super::state::State;
use super::turnover::{Lock, Turned, Turnover};
use super::vfs::Vfs;
use crate::base::{Bug, planted};

/// The slots that the ring may have.
pub(crate) const SLOTS: usize = 4;
/// A turnover begins when fewer slots than this are free behind the one that begins: what is settled while it can wait
/// need not be moved.
const FREE_SLOTS: usize = 2;
/// So many bytes are written at once while somebody else waits.
const A_LITTLE: usize = 64 << 10;
/// So many bytes are not given back between commits.
const SCRATCH: usize = 1 << 20;

pub(crate) struct Writer {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) uuid: Uuid,
    pub(crate) roll_bytes: u64,
    pub(crate) journal: Journal,
    pub(crate) state: State,
    pub(crate) shelf: Arc<Shelf>,
    /// The number of the next frame; and all before this one are on the disk.
    pub(crate) lsn: u64,
    pub(crate) durable: u64,
    /// Where the frames begin that are not in the checkpoint.
    pub(crate) needed: Position,
    pub(crate) seeds: Seeds,
    pub(crate) poisoned: Option<Arc<str>>,
    /// What the last commit was collected in.
    pub(crate) scratch: Vec<u8>,
    pub(crate) owed: Owed,
    /// Nothing was written since the journal said that all is on the disk.
    pub(crate) sealed: bool,
    /// No turnover looked for files that nobody names since some may be there.
    pub(crate) unswept: bool,
    pub(crate) lock: Option<Lock>,
    pub(crate) aside: Aside,
}

/// Draws the seeds of slots (SplitMix64, Steele and others 2014).
#[derive(Debug)]
pub(crate) struct Seeds(pub(crate) u64);

impl Seeds {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn seed(&mut self) -> u32 {
        // Cutting is what is wanted: any 32 of its bits are as good.
        (self.next() >> 32) as u32
    }
}

impl Writer {
    /// Works off requests, in commits. Answers `false` once the log is closed.
    pub(crate) fn work_off(&mut self, mut queue: VecDeque<Request>) -> bool {
        // Since the last time there may be room again.
        self.owed.tried = false;
        while !queue.is_empty() {
            let room = usize::try_from(self.most_bytes()).unwrap_or(usize::MAX);
            let mut plan = plan::plan(&mut queue, &self.state, &mut self.owed, room);
            let (answers, closes) = (std::mem::take(&mut plan.answers), plan.closes);
            if let Err(error) = self.hear_aside(closes) {
                // What lacked space is tried again when there is none.
                self.poison_unless_full(error);
            }
            let result = self.carry_out(plan);
            if closes {
                // Whoever hears of it finds no file open, in whatever handles there still are; the lock goes last.
                self.journal.slots.clear();
                self.shelf.clear();
                self.lock = None;
            }
            answers.into_iter().for_each(|answer| answer(result.clone()));
            if planted(Bug::AnsweredUnsynced) {
                drop(self.sync().map_err(|error| self.poison_unless_full(error)));
            }
            if closes {
                return false;
            }
        }
        true
    }

    /// Whether to work these off is no more than to write a little where there is room: nobody waits for the disk then.
    pub(crate) fn is_a_little(&self, requests: &VecDeque<Request>) -> bool {
        let mut bytes = 0;
        let small = |request: &Request| match request {
            Request::AppendAll { parts, sync: false, .. } => {
                bytes += parts.iter().map(|(_, records)| frame_len(records.bytes().len())).sum::<usize>();
                true
            }
            Request::Trim { .. } => {
                bytes += frame_len(0);
                true
            }
            _ => false,
        };
        let all = requests.iter().all(small);
        // Twice: what joins others may grow.
        all && bytes <= A_LITTLE
            && self.journal.has_room(2 * bytes + frame_len(0))
            && !self.aside.is_through()
            && self.owed.is_empty()
    }

    fn carry_out(&mut self, plan: Plan) -> Result<(), LogError> {
        if let Some(why) = &self.poisoned {
            return Err(LogError::Poisoned { why: why.clone() });
        }
        let turns = plan.turns;
        let result = match self.commit(&plan) {
            // Why once more: what it settles may be what makes room for it.
            Err(error) if error.is_full() && self.settle(&plan) => self.commit(&plan),
            result => result,
        };
        match result {
            Ok(()) if turns => self.turn_over().map_err(|error| self.poison_unless_full(error)),
            Ok(()) => Ok(()),
            Err(error) => {
                let error = self.poison_unless_full(error);
                self.owed.keep(plan.steps);
                Err(error)
            }
        }
    }

    /// Lets the state know what is settled, though the journal had no room for it: so that a turnover moves no more than it must, and
    /// a full disk has some. It is said again once there is room, and means the same then. Answers whether something is of no more use.
    fn settle(&mut self, plan: &Plan) -> bool {
        let floors = |state: &State| state.topics.values().map(|topic| topic.floor).sum::<u64>();
        let (mut touched, before) = (BTreeSet::new(), floors(&self.state));
        let steps = plan.steps.iter().filter(|step| matches!(step, plan::Step::Other(_)));
        for change in steps.map(plan::Step::change).chain(self.owed.changes()) {
            if matches!(change, Change::Marks { .. } | Change::Trim { .. })
                && self.state.apply(&change).is_ok()
            {
                touched.extend(change.topic());
            }
        }
        self.shelf.follow(&self.state, touched);
        floors(&self.state) > before
    }

    fn most_bytes(&self) -> u64 {
        Journal::most_bytes(self.journal.slot_bytes())
    }

    /// Anything but want of space, and what was refused before it was tried, is final.
    fn poison_unless_full(&mut self, error: LogError) -> LogError {
        if error.is_full() || matches!(error, LogError::TooLarge { .. }) {
            return error;
        }
        let why: Arc<str> = match error {
            LogError::Unknown { why } => why,
            error => error.to_string().into(),
        };
        if !planted(Bug::AsksAgain) {
            self.poisoned = Some(why.clone());
        }
        LogError::Unknown { why }
    }

    fn commit(&mut self, plan: &Plan) -> Result<(), LogError> {
        if plan.seals && self.sealed && plan.steps.len() == 1 && !plan.closes {
            return Ok(());
        }
        let bytes = plan.steps.iter().map(|step| frame_len(step.change().to_frame().1.len())).sum();
        if bytes as u64 > self.most_bytes() {
            let most = usize::try_from(self.most_bytes()).unwrap_or(usize::MAX);
            return Err(LogError::TooLarge { bytes, most });
        }
        if bytes > 0 {
            self.make_room(bytes, plan.closes)?;
            if plan.seals {
                self.sync()?;
            }
            self.write(plan)
        } else if plan.sync {
            self.sync()
        } else {
            Ok(())
        }
    }

    /// Writes the frames, applies them, and waits for the disk if the plan asks for that.
    fn write(&mut self, plan: &Plan) -> Result<(), LogError> {
        let Some(slot) = self.journal.current().cloned() else { return Err(LogError::Closed) };
        let start = self.journal.position().at;
        let mut out = Gather::new(std::mem::take(&mut self.scratch));
        let mut pieces = Vec::new();
        for (at, step) in plan.steps.iter().enumerate() {
            let change = step.change();
            let (header, body) = change.to_frame();
            let (last, lsn) = (at + 1 == plan.steps.len(), self.lsn + at as u64);
            let header = Header { last, lsn, durable: self.durable, ..header };
            let from = start + out.len() as u64;
            match &body {
                Cow::Borrowed(body) => out.push_lent(&header, body, slot.turn.seed),
                Cow::Owned(body) => out.push(&header, body, slot.turn.seed),
            }
            if header.kind == Kind::Data {
                pieces.push((header.topic, slot.piece(&header, (from, frame_len(body.len())))));
            }
        }
        self.journal.write(&out)?;
        self.scratch = out.into_small();
        self.scratch.shrink_to(SCRATCH);
        self.lsn += plan.steps.len() as u64;
        let mut touched = BTreeSet::new();
        for step in &plan.steps {
            let change = step.change();
            if let Err(misfit) = self.state.apply(&change) {
                return Err(LogError::Unknown { why: format!("callboard bug: {}", misfit.0).into() });
            }
            // Its files go with the next turnover.
            self.unswept |= matches!(change, Change::TopicGone { .. });
            touched.extend(change.topic());
        }
        self.sealed = plan.seals;
        // Readers see only what counts; if it is to be on the disk, once it is.
        if plan.sync && !planted(Bug::AnsweredUnsynced) {
            self.sync()?;
        }
        pieces.into_iter().for_each(|(topic, piece)| self.shelf.add(topic, piece));
        self.shelf.follow(&self.state, touched);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.journal.sync().map_err(super::checkpoint::unsynced)?;
        self.durable = self.lsn;
        Ok(())
    }

    /// Sees to it that a commit of so many bytes has room in the current slot.
    fn make_room(&mut self, bytes: usize, closes: bool) -> Result<(), LogError> {
        // What announces a new slot must have room too.
        let with_slot = bytes + frame_len(0);
        if self.journal.has_room(with_slot) {
            return Ok(());
        }
        if self.journal.free(self.needed.turn) == 0 {
            self.free_slot()?;
        }
        // Before one is used: so that nobody misses it unseen.
        if self.journal.slots.len() > self.state.slots as usize {
            self.announce_slots()?;
        }
        if !planted(Bug::UnsyncedSlot) {
            self.sync()?;
        }
        let seed = self.seeds.seed();
        if !self.journal.next_turn(self.needed.turn, self.lsn, seed)? {
            return Err(LogError::Unknown { why: "callboard bug: a turnover freed no slot".into() });
        }
        let free = self.journal.free(self.needed.turn) + SLOTS.saturating_sub(self.journal.slots.len());
        // The last word comes behind all that goes on, see `hear_aside`.
        if free < FREE_SLOTS && !self.aside.is_running() && !closes {
            let turnover = self.turnover()?;
            self.aside.start(turnover);
        }
        Ok(())
    }

    /// Makes one more slot. If there may be no more, or there is no room for one, then what is of use moves on: of what is settled
    /// by now that is nothing.
    fn free_slot(&mut self) -> Result<(), LogError> {
        let slots = self.journal.slots.len();
        if slots < SLOTS {
            match self.journal.add_slot() {
                // Of a single one, which is being written, none comes free.
                Err(error) if error.is_full() && slots > 1 => {}
                added => return added,
            }
        }
        self.finish_aside()?;
        if self.journal.free(self.needed.turn) > 0 { Ok(()) } else { self.turn_over() }
    }

    /// Says in the journal how many slots there are.
    fn announce_slots(&mut self) -> Result<(), LogError> {
        let slots = u32::try_from(self.journal.slots.len()).unwrap_or(u32::MAX);
        let plan = Plan { steps: vec![plan::Step::Other(Change::Slot { slots })], ..Plan::default() };
        self.write(&plan)
    }

    /// Hears what came of the turnover that goes on, if it is through; or waits for it, if the log closes.
    ///
    /// Why before the last word: a log that has one is opened without its checkpoint being written again, and so that must be on the disk.
    fn hear_aside(&mut self, closes: bool) -> Result<(), LogError> {
        match (closes, self.poisoned.is_some()) {
            (true, false) => self.finish_aside(),
            (false, false) => self.aside.poll().map_or(Ok(()), |turned| self.turned(turned)),
            (true, true) => {
                // Why: the directory is not free as long as somebody is at work in it.
                self.aside.end();
                Ok(())
            }
            (false, true) => Ok(()),
        }
    }

    /// Waits for the turnover that goes on, if one does. That it lacked space is no error: it is tried again when there is none.
    fn finish_aside(&mut self) -> Result<(), LogError> {
        match self.aside.wait().map(|turned| self.turned(turned)) {
            Some(Err(error)) if !error.is_full() => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves on what is of use, and waits for that.
    fn turn_over(&mut self) -> Result<(), LogError> {
        self.finish_aside()?;
        let turned = self.turnover()?.run();
        self.turned(turned)
    }

    /// What moves on what is of use by now.
    fn turnover(&mut self) -> Result<Turnover, LogError> {
        // Why: the checkpoint names the turn that is being written, and that must not be lost where the checkpoint is not.
        self.sync()?;
        let next = self.journal.position();
        let state = State { closed: false, ..self.state.clone() };
        let (uuid, slot_bytes, lsn) = (self.uuid, self.journal.slot_bytes(), self.lsn);
        let mut slots = self.journal.slots.clone();
        slots.retain(|slot| (self.needed.turn..=next.turn).contains(&slot.turn.number));
        slots.sort_by_key(|slot| slot.turn.number);
        Ok(Turnover {
            vfs: self.vfs.clone(),
            dir: self.dir.clone(),
            roll_bytes: self.roll_bytes,
            checkpoint: Checkpoint { uuid, slot_bytes, lsn, next, state },
            from: self.needed,
            slots,
            room: self.journal.room.clone(),
            sweep: std::mem::take(&mut self.unswept),
            lock: self.lock.clone(),
        })
    }

    /// What was of use has moved on, or not.
    fn turned(&mut self, turned: Result<Turned, LogError>) -> Result<(), LogError> {
        // Why, if it failed: what there was to sweep is still there.
        let turned = turned.inspect_err(|_| self.unswept = true)?;
        self.needed = turned.next;
        for (number, segments) in turned.segments {
            if let Some(topic) = self.state.topics.get_mut(&number) {
                topic.segments = segments;
            }
        }
        self.shelf.follow(&self.state, self.state.topics.keys().copied());
        Ok(())
    }
}
