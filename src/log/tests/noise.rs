//! Does anything that a file may hold make the log panic, or take more memory than the file has bytes? (G21)
//!
//! Noise of any kind, what is whole but for a few bytes, and, which no disk does, frames that say what none would say with a checksum
//! that is right.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::*;

use super::crash::seeds;
use super::flips::{fill, nothing_moves};
use super::hooked::Hooked;
use crate::log::change::Change;
use crate::log::checkpoint::Checkpoint;
use crate::log::frame::{self, ALIGN, Frame, Header, Kind};
use crate::log::hand::{DIR, Hand, small};
use crate::log::journal::{SLOT_START, read_turn};
use crate::log::scan::Scan;
use crate::log::{LogError, OpenMode, Vfs, VfsFile, layout};
use crate::sim::SimDisk;

/// The most that is read at once from a small log: a piece of a file, not what a header asks for.
const MOST_READ: usize = 1 << 20;

struct WatchedFile {
    file: Box<dyn VfsFile>,
    most: Arc<AtomicUsize>,
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl VfsFile for WatchedFile {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.most.fetch_max(into.len(), Ordering::Relaxed);
        self.file.read_at(into, at)
    }
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.most.fetch_max(bytes.len(), Ordering::Relaxed);
        self.file.write_at(bytes, at)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

/// A disk that knows how much was asked of it at once: that has a place in memory before it is read.
fn watched(disk: &SimDisk, most: &Arc<AtomicUsize>) -> Hooked {
    let most = most.clone();
    Hooked::new(disk, move |disk, path, how| {
        let (file, most) = (disk.open(path, how)?, most.clone());
        Ok(Box::new(WatchedFile { file, most }))
    })
}

/// Opens what is there, and if it opens uses it: all that may come of that is an error.
fn live_with(disk: SimDisk) -> Result<(), LogError> {
    let most = Arc::new(AtomicUsize::new(0));
    let watched = watched(&disk, &most);
    let lived = use_it(Arc::new(watched));
    let most = most.load(Ordering::Relaxed);
    assert!(most <= MOST_READ, "{most} bytes at once");
    lived
}

fn use_it(vfs: Arc<dyn Vfs>) -> Result<(), LogError> {
    let mut log = Hand::open(vfs.clone(), Path::new(DIR), small(5))?;
    let topics: Vec<u32> = log.writer.state.topics.keys().copied().collect();
    for topic in topics {
        log.read(topic)?;
        log.append(topic, &[b"more"], true)?;
    }
    log.turn()?;
    log.close()?;
    Hand::open(vfs, Path::new(DIR), small(6)).map(drop)
}

/// A log with frames that are needed in three slots, and in segments.
static LOG: LazyLock<SimDisk> = LazyLock::new(|| {
    let disk = SimDisk::new(8);
    fill(&disk, 4);
    let mut log = Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(1)).unwrap();
    log.turn().unwrap();
    log.close().unwrap();
    nothing_moves(&disk, 0);
    fill(&disk, 6);
    disk.durable_copy()
});

fn files() -> Vec<PathBuf> {
    let files = LOG.files().into_iter().filter(|(_, len)| *len > 0);
    files.map(|(path, _)| path).collect()
}

/// What is done to a file, by numbers that are taken modulo what there is.
#[derive(Clone, Debug)]
enum Blow {
    Flip { at: usize, mask: u8 },
    Noise { at: usize, bytes: Vec<u8> },
    Zeros { at: usize, len: usize },
    Copy { from: usize, to: usize, len: usize },
    Length(usize),
}

impl Blow {
    fn any() -> impl Strategy<Value = Blow> {
        prop_oneof![
            (any::<usize>(), 1..=u8::MAX).prop_map(|(at, mask)| Blow::Flip { at, mask }),
            (any::<usize>(), vec(any::<u8>(), 1..100)).prop_map(|(at, bytes)| Blow::Noise { at, bytes }),
            (any::<usize>(), 0..3000_usize).prop_map(|(at, len)| Blow::Zeros { at, len }),
            (any::<usize>(), any::<usize>(), 0..3000_usize).prop_map(|(from, to, len)| Blow::Copy {
                from,
                to,
                len
            }),
            (0..40_000_usize).prop_map(Blow::Length),
            // A header that asks for much.
            (any::<usize>(), any::<u32>()).prop_map(|(at, len)| {
                let bytes = [&frame::MAGIC[..], &[1; 4], &len.to_le_bytes()].concat();
                Blow::Noise { at: at / ALIGN * ALIGN, bytes }
            }),
        ]
    }

    fn strike(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len().max(1);
        let end = |at: usize, many: usize| (at + many).min(bytes.len());
        match self {
            Blow::Flip { at, mask } if !bytes.is_empty() => bytes[at % len] ^= mask,
            Blow::Flip { .. } => {}
            Blow::Noise { at, bytes: noise } => {
                let at = at % len;
                let to = end(at, noise.len());
                bytes[at..to].copy_from_slice(&noise[..to - at]);
            }
            Blow::Zeros { at, len: many } => {
                let to = end(at % len, *many);
                bytes[at % len..to].fill(0);
            }
            Blow::Copy { from, to, len: many } => {
                let (from, to) = (from / ALIGN * ALIGN % len, to / ALIGN * ALIGN % len);
                let many = (end(from, *many) - from).min(end(to, *many) - to);
                bytes.copy_within(from..from + many, to);
            }
            Blow::Length(len) => bytes.resize(*len, 0),
        }
    }
}

/// Where the frames of a file are, and their seed.
fn frames(path: &Path, bytes: &[u8]) -> (u32, Vec<usize>) {
    let uuid =
        Checkpoint::of(&LOG.read_file(layout::checkpoint(Path::new(DIR))).unwrap(), path).unwrap().uuid;
    let (seed, mut at) = match path.extension().and_then(|end| end.to_str()) {
        Some("j") => {
            let slot = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let file = LOG.open(path, OpenMode::Read).unwrap();
            (read_turn(&*file, path, slot, uuid).unwrap().seed, SLOT_START as usize)
        }
        Some("seg") => (crate::log::segment::seed(uuid), 0),
        _ => (0, 0),
    };
    let mut all = Vec::new();
    while let Ok(frame) = frame::read(&bytes[at..], seed) {
        all.push(at);
        at += frame.len;
    }
    (seed, all)
}

/// Puts another frame in the place of one, with a checksum that is right: its header and body as they were, but for some bytes.
fn forge(path: &Path, bytes: &mut [u8], which: usize, blows: &[(usize, u8)]) {
    let (seed, all) = frames(path, bytes);
    if all.is_empty() {
        return;
    }
    let at = all[which % all.len()];
    let len = frame::read(&bytes[at..], seed).unwrap().len;
    for (place, byte) in blows {
        // The length and the checksum stay: what has another length is no frame.
        bytes[at + 12 + place % (len - 12)] = *byte;
    }
    let sum = crc32c::crc32c_append(seed, &bytes[at + 8..at + len]);
    bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
}

/// Noise, or small numbers, that are lengths and counts of what is there more often.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..40), vec(0..4_u8, 0..12)]
}

fn header() -> impl Strategy<Value = Header> {
    let numbers = prop_oneof![0..10_u64, any::<u64>(), Just(u64::MAX)];
    let kinds = (1..=15_u8).prop_map(|kind| {
        let mut out = Vec::new();
        frame::push(&mut out, &Header::new(Kind::Data), &[], 0);
        out[12] = kind;
        let sum = crc32c::crc32c(&out[8..]);
        out[4..8].copy_from_slice(&sum.to_le_bytes());
        frame::read(&out, 0).unwrap().header.kind
    });
    let small = || prop_oneof![0..4_u32, any::<u32>(), Just(u32::MAX)];
    (kinds, any::<bool>(), small(), small(), numbers).prop_map(|(kind, keys, topic, count, offset)| Header {
        keys,
        topic,
        count,
        offset,
        ..Header::new(kind)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300 * seeds(1) as u32, ..ProptestConfig::default() })]

    /// What is read as a change is written as the same bytes, and the state takes it or says that it does not fit.
    #[test]
    fn any_body_is_a_change_or_none(all in vec((header(), body()), 1..20)) {
        let mut state = Hand::open(Arc::new(LOG.durable_copy()), Path::new(DIR), small(1)).unwrap().writer.state;
        for (header, body) in all {
            let Some(change) = Change::of(&Frame { header, body: &body, len: 0 }) else { continue };
            let (again, bytes) = change.to_frame();
            prop_assert_eq!((again.kind, &bytes[..]), (header.kind, &body[..]));
            let _ = state.apply(&change);
        }
    }

    #[test]
    fn a_scan_of_noise_ends_and_asks_for_no_more_than_there_is(
        mut bytes in vec(any::<u8>(), 0..5000),
        heads in vec((any::<usize>(), any::<u32>()), 0..5),
        seed: u32,
        end in prop_oneof![0..6000_u64, Just(1_u64 << 31)],
    ) {
        for (at, len) in heads {
            let at = at / ALIGN * ALIGN % bytes.len().max(1);
            let head = [&frame::MAGIC[..], &[1; 4], &len.to_le_bytes()].concat();
            bytes.splice(at..(at + head.len()).min(bytes.len()), head);
        }
        let (disk, most) = (SimDisk::new(1), Arc::new(AtomicUsize::new(0)));
        disk.write_file("/noise", bytes).unwrap();
        let watched = watched(&disk, &most);
        let file = watched.open(Path::new("/noise"), OpenMode::Read).unwrap();
        let len = file.len().unwrap();
        let mut scan = Scan::new(&*file, 0, end.min(len));
        while scan.find().unwrap() {
            prop_assert!(scan.frame(seed).unwrap().is_err());
            scan.skip(ALIGN);
            scan.keep();
        }
        prop_assert!(most.load(Ordering::Relaxed) <= 6000);
    }

    #[test]
    fn a_checkpoint_of_noise_is_refused(body in vec(any::<u8>(), 0..200), lsn: u64) {
        let path = layout::checkpoint(Path::new(DIR));
        prop_assert!(Checkpoint::of(&body, &path).is_err());
        let mut bytes = Vec::new();
        let body = [&layout::FORMAT.to_le_bytes()[..], &body].concat();
        frame::push(&mut bytes, &Header { lsn, ..Header::new(Kind::Checkpoint) }, &body, 0);
        let disk = LOG.durable_copy();
        if Checkpoint::of(&bytes, &path).is_ok() {
            disk.write_file(&path, bytes).unwrap();
            let _ = live_with(disk);
        }
    }

    #[test]
    fn a_log_that_was_struck_is_opened_or_refused(blows in vec((any::<usize>(), Blow::any()), 1..5)) {
        let (disk, files) = (LOG.durable_copy(), files());
        for (file, blow) in blows {
            let path = &files[file % files.len()];
            let mut bytes = disk.read_file(path).unwrap();
            blow.strike(&mut bytes);
            disk.write_file(path, bytes).unwrap();
        }
        let _ = live_with(disk);
    }

    #[test]
    fn frames_that_say_what_none_would_say_are_refused_or_do_no_harm(
        file: usize,
        which: usize,
        blows in vec((any::<usize>(), prop_oneof![Just(0_u8), Just(0xff), any::<u8>()]), 1..12),
    ) {
        let (disk, files) = (LOG.durable_copy(), files());
        let path = &files[file % files.len()];
        let mut bytes = disk.read_file(path).unwrap();
        forge(path, &mut bytes, which, &blows);
        disk.write_file(path, bytes).unwrap();
        let _ = live_with(disk);
    }
}

#[test]
fn the_log_that_is_struck_is_whole_before() {
    live_with(LOG.durable_copy()).unwrap();
    assert!(files().len() >= 7, "{:?}", files());
    let log = Hand::open(Arc::new(LOG.durable_copy()), Path::new(DIR), small(1)).unwrap();
    assert_eq!(
        (log.writer.needed.turn, log.writer.journal.position().turn),
        (4, 6),
        "three slots are needed"
    );
}

/// What is left of an old turn may lie anywhere, in a record too: so whoever writes records can put a header there.
#[test]
fn a_header_behind_a_full_slot_asks_for_no_memory() {
    let disk = LOG.durable_copy();
    let log = Hand::open(Arc::new(disk.durable_copy()), Path::new(DIR), small(1)).unwrap();
    let full = log.writer.journal.slots.iter().find(|slot| slot.turn.number == 5).unwrap();
    let mut bytes = disk.read_file(&full.path).unwrap();
    let (_, all) = frames(&full.path, &bytes);
    let last = all[all.len() - 1];
    let end = last + frame::read(&bytes[last..], full.turn.seed).unwrap().len;
    bytes[end..end + 12].copy_from_slice(&[&frame::MAGIC[..], &[1; 4], &u32::MAX.to_le_bytes()].concat());
    disk.write_file(&full.path, bytes).unwrap();
    live_with(disk).unwrap();
}
