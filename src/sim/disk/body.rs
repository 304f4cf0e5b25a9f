//! What a file holds: now, durably, and in between.

use super::super::rng::Rng;
use super::space::Extents;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The chance of a change to survive is one of these, in sixteenths, drawn for each file anew: with a single one, a long
/// run of changes would never survive but for one, nor be lost but for one.
const CHANCES: [usize; 7] = [0, 1, 4, 8, 12, 15, 16];
const SURE: usize = 16;

/// One in so many writes that don't survive is lost without a trace; the others are torn.
const LOST: usize = 3;

/// A file's bytes.
///
/// Invariant: the changes, applied in order to what is durable, give what is there now.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    now: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
    pub(super) extents: Extents,
}

#[derive(Clone, Debug)]
struct Change {
    what: What,
    fate: Fate,
}

#[derive(Clone, Debug)]
enum What {
    Write { at: usize, bytes: Vec<u8> },
    SetLen(usize),
}

/// ```text
///   Dirty ── sync ──▶ Synced        Dirty ── failed sync ──▶ Doubtful
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The next sync makes it durable.
    Dirty,
    /// It is durable, and stands here because one before it is doubtful.
    Synced,
    /// A sync of it has failed: none that comes after makes it durable.
    Doubtful,
}

impl Body {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        lay(&mut self.now, at, bytes);
        self.extents.add(at as u64, (at + bytes.len()) as u64);
        self.change(What::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        if len == self.now.len() {
            return;
        }
        fit(&mut self.now, len);
        self.extents.cut(len as u64);
        self.change(What::SetLen(len));
    }

    pub(super) fn sync(&mut self) {
        self.turn_dirty_ones_into(Fate::Synced);
        let sure = self.changes.iter().take_while(|change| change.fate == Fate::Synced).count();
        self.changes.drain(..sure).for_each(|change| change.what.apply(&mut self.durable));
    }

    pub(super) fn fail_sync(&mut self) {
        self.turn_dirty_ones_into(Fate::Doubtful);
    }

    /// Changes what is there, durably at once.
    pub(super) fn edit<E>(&mut self, change: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        change(&mut self.now)?;
        let len = self.now.len() as u64;
        self.extents.cut(len);
        self.extents.add(0, len);
        self.changes.clear();
        self.durable.clone_from(&self.now);
        Ok(())
    }

    /// Reads anew from the disk what was lost by a failed sync.
    pub(super) fn drop_caches(&mut self) {
        self.changes.retain(|change| change.fate != Fate::Doubtful);
        let mut now = self.durable.clone();
        self.changes.iter().for_each(|change| change.what.apply(&mut now));
        self.extents.cut(now.len() as u64);
        self.now = now;
    }

    /// Answers the file after a power cut that kept nothing more than it had to.
    pub(super) fn least(&self) -> Body {
        self.cut(|_, _| {})
    }

    /// Answers the file after a power cut that kept what the seed says.
    pub(super) fn some(&self, rng: &mut Rng) -> Body {
        let chance = chance(rng);
        self.cut(|bytes, what| {
            if survives(chance, rng) {
                what.apply(bytes);
            } else if rng.below(LOST) != 0 {
                what.tear(bytes, rng);
            }
        })
    }

    fn cut(&self, mut unsure: impl FnMut(&mut Vec<u8>, &What)) -> Body {
        let mut bytes = self.durable.clone();
        for change in &self.changes {
            match change.fate {
                Fate::Synced => change.what.apply(&mut bytes),
                Fate::Dirty | Fate::Doubtful => unsure(&mut bytes, &change.what),
            }
        }
        let mut extents = self.extents.clone();
        extents.cut(bytes.len() as u64);
        Body { now: bytes.clone(), durable: bytes, changes: Vec::new(), extents }
    }

    fn change(&mut self, what: What) {
        self.changes.push(Change { what, fate: Fate::Dirty });
    }

    fn turn_dirty_ones_into(&mut self, fate: Fate) {
        let dirty = self.changes.iter_mut().filter(|change| change.fate == Fate::Dirty);
        dirty.for_each(|change| change.fate = fate);
    }
}

/// Draws how likely changes are to survive, in sixteenths.
pub(super) fn chance(rng: &mut Rng) -> usize {
    CHANCES.get(rng.below(CHANCES.len())).copied().unwrap_or_default()
}

/// Says whether one does.
pub(super) fn survives(chance: usize, rng: &mut Rng) -> bool {
    rng.below(SURE) < chance
}

impl What {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            What::Write { at, bytes: written } => lay(bytes, *at, written),
            What::SetLen(len) => fit(bytes, *len),
        }
    }

    /// Keeps some sectors of a write, and perhaps the length that it gave the file.
    fn tear(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        let What::Write { at, bytes: written } = self else { return };
        let mut keeps = tear(at % SECTOR + written.len(), rng);
        let mut rest = written.as_slice();
        let mut at = *at;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            if keeps(rng) {
                lay(bytes, at, piece);
            }
            (rest, at) = (after, at + piece.len());
        }
        if bytes.len() < at && rng.below(2) == 0 {
            fit(bytes, at);
        }
    }
}

/// Draws a way to tear so many bytes, and answers a function that says of one sector after the other whether it is kept.
///
/// Why three ways: of a long write, sectors drawn one by one are never all of its front, or all of its end.
fn tear(len: usize, rng: &mut Rng) -> impl FnMut(&mut Rng) -> bool + use<> {
    let (way, chance) = (rng.below(3), chance(rng));
    let middle = rng.below(len.div_ceil(SECTOR) + 1);
    let mut sector = 0;
    move |rng| {
        sector += 1;
        match way {
            0 => sector <= middle,
            1 => sector > middle,
            _ => survives(chance, rng),
        }
    }
}

fn lay(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    let len = bytes.len().max(at);
    fit(bytes, len);
    let (over, behind) = written.split_at(written.len().min(len - at));
    if let Some(place) = bytes.get_mut(at..at + over.len()) {
        place.copy_from_slice(over);
    }
    bytes.extend_from_slice(behind);
}

/// Cuts bytes, or lets them grow with zeros.
///
/// Why not `resize`: without optimization it sets byte after byte, and tests run so.
fn fit(bytes: &mut Vec<u8>, len: usize) {
    bytes.truncate(len);
    bytes.extend_from_slice(&vec![0; len - bytes.len()]);
}
