//! Is what version 1 wrote still written so, and read?
//!
//! `fixtures/v1` has the files of a small log, as hexadecimal digits, those of the journal without the zeros at
//! its end. `CB_BLESS=1` writes
//! them, which is to be done for a new version only, in a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::hand::{DIR, Hand, done, small};
use crate::log::{Note, Terms};
use crate::sim::SimDisk;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/log/tests/fixtures/v1")
}

/// One of everything that there is.
fn write(disk: &SimDisk) {
    let mut log = Hand::open(Arc::new(disk.clone()), Path::new(DIR), small(1)).unwrap();
    let terms = Terms { about: b"about".to_vec(), keeps: true, most_keys: 10, key_millis: 1000 };
    let (kept, other) = (log.topic_with("kept", terms).unwrap(), log.topic("other").unwrap());
    let group = log.group(kept, "all", 0).unwrap();
    log.append(kept, &[b"one", b"two", b"three"], true).unwrap();
    log.append(other, &[b"other"], true).unwrap();
    log.turn().unwrap();
    let mut marks = done(&[(1, 2)]);
    marks.notes.push((2, Note { attempts: 3, due: 7, more: b"more".to_vec() }));
    log.mark(kept, group, marks).unwrap();
    log.append(kept, &[b"four"], true).unwrap();
    let gone = log.group(kept, "gone", 1).unwrap();
    log.seek(kept, gone, 2).unwrap();
    log.delete_group(kept, gone).unwrap();
    log.trim(kept, 1);
    log.delete_topic(other).unwrap();
    log.close().unwrap();
}

fn files(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.strip_prefix(DIR).unwrap().to_str().unwrap().replace('/', "_");
    let file = |(path, _): &(PathBuf, u64)| (name(path), disk.read_file(path).unwrap());
    disk.files().iter().map(file).filter(|(name, _)| name != "LOCK" && name != "checkpoint.new").collect()
}

fn to_hex(name: &str, bytes: &[u8]) -> String {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let end = if name.ends_with(".j") { used } else { bytes.len() };
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes[..end].chunks(60).map(line).collect()
}

fn of_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_log_is_written_as_version_1_wrote_it() {
    let disk = SimDisk::new(1);
    write(&disk);
    for (name, bytes) in files(&disk) {
        let path = folder().join(format!("{name}.hex"));
        if std::env::var_os("CB_BLESS").is_some() {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&path, to_hex(&name, &bytes)).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(known == to_hex(&name, &bytes), "{name} is not what version 1 wrote");
    }
}

#[test]
fn what_version_1_wrote_is_read() {
    let disk = SimDisk::new(1);
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut bytes = of_hex(&std::fs::read_to_string(&path).unwrap());
        if name.ends_with(".j") {
            bytes.resize(16 << 10, 0);
        }
        let mut at = PathBuf::from(DIR);
        at.extend(name.split('_'));
        disk.write_file(&at, bytes).unwrap();
    }
    let log = Hand::open(Arc::new(disk), Path::new(DIR), small(2)).unwrap();
    assert!(log.found.clean && log.found.torn.is_none(), "{:?}", log.found);
    let state = &log.writer.state;
    assert_eq!(state.topics.keys().copied().collect::<Vec<_>>(), [0]);
    let topic = &state.topics[&0];
    assert_eq!(
        (topic.name.as_str(), topic.next, topic.floor, topic.terms.about.as_slice()),
        ("kept", 4, 1, b"about".as_slice())
    );
    let group = &topic.groups[&0];
    assert_eq!((group.name.as_str(), group.done.floor(), group.done.contains(1)), ("all", 0, true));
    assert_eq!(group.notes[&2], Note { attempts: 3, due: 7, more: b"more".to_vec() });
    let read = log.read(0).unwrap();
    assert_eq!(
        read.into_values().collect::<Vec<_>>(),
        [b"two".to_vec(), b"three".to_vec(), b"four".to_vec()]
    );
}
