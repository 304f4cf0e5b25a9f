//! What is told of a log.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::log::error::Damage;

/// What a directory holds, as far as it can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The version of its format.
    pub format: u32,
    /// Tells it from other logs; `None` if no file says it any more.
    pub uuid: Option<[u8; 16]>,
    /// Whether a process has it open: then what is seen may be out of date, and damage may be none. `None`: that can't be told.
    pub locked: Option<bool>,
    /// The number of the first frame that is not in the checkpoint; `None` if that is damaged, and topics are put together
    /// from their segments and the journal.
    pub checkpoint_lsn: Option<u64>,
    /// The journal's files.
    pub slots: Vec<SlotInfo>,
    /// The number of the frame that will be written next: of the last one that can be applied, one more.
    pub lsn: u64,
    /// All frames with a smaller number are known to have been on the disk.
    pub durable: u64,
    /// It was closed in order, and nothing was written since.
    pub closed: bool,
    /// The end of the journal that was being written when its process ended: opening cuts it.
    pub torn: Option<TornTail>,
    /// What no log puts into its directory. It stays.
    pub strangers: Vec<PathBuf>,
    /// The topics, by their numbers. Past the damage at which replaying stopped nothing is counted.
    pub topics: Vec<TopicInfo>,
    /// Where replaying the journal had to stop: opening is refused.
    pub stopped: Option<Damage>,
    /// All that is damaged, as far as it was looked for.
    pub damage: Vec<Damage>,
}

/// A file of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotInfo {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its turn; `None` if its beginning is damaged, 0 if it had none yet.
    pub turn: Option<u64>,
    /// The number of its first frame.
    pub first_lsn: u64,
    /// Whole frames in it.
    pub frames: u64,
    /// Where the last of them ends.
    pub used: u64,
    /// Some of its frames are not in the checkpoint.
    pub needed: bool,
    /// It is the one that is written next.
    pub current: bool,
}

/// The end of a journal, which counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The file.
    pub file: PathBuf,
    /// Where it begins.
    pub at: u64,
    /// So many bytes opening makes empty.
    pub bytes: u64,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its number, which no other topic ever has.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// What whoever opened it says of it. See [`StoredTerms`](crate::broker::StoredTerms).
    pub about: Vec<u8>,
    /// It keeps what all groups have settled.
    pub keeps: bool,
    /// The first offset that is of use.
    pub floor: u64,
    /// One behind the last offset.
    pub next: u64,
    /// The milliseconds since 1970 of the last record.
    pub last_millis: u64,
    /// Dedup keys that are remembered.
    pub keys: u64,
    /// Its segments, the oldest first.
    pub segments: Vec<SegmentInfo>,
    /// Records that are in the journal and in no segment.
    pub journal_records: u64,
    /// Its groups, by their numbers.
    pub groups: Vec<GroupInfo>,
}

/// A segment of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// The file.
    pub file: PathBuf,
    /// Its first offset.
    pub base: u64,
    /// One behind its last offset.
    pub end: u64,
    /// So many bytes of it count.
    pub bytes: u64,
    /// Some of it is of use: if not, it will be deleted.
    pub needed: bool,
}

/// A group of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its number, which no other group of the topic ever has.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// It has settled all below.
    pub floor: u64,
    /// Records that it has not settled.
    pub lag: u64,
    /// Records of which something is noted: attempts that began, a time before which it is not handed out.
    pub notes: u64,
}

/// What a look at every byte found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// What there is. Its damage is complete.
    pub inspection: Inspection,
    /// Whole frames that are needed, in the journal and in segments.
    pub frames: u64,
    /// Their records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A record, as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpedRecord<'a> {
    /// Its offset.
    pub offset: u64,
    /// The milliseconds since 1970 of its id.
    pub millis: u64,
    /// The second part of an id that was given by name.
    pub seq: Option<u64>,
    /// What repeats of it are known by.
    pub key: Option<&'a [u8]>,
    /// The rest. See [`StoredMessage`](crate::broker::StoredMessage).
    pub body: &'a [u8],
}

/// What was salvaged of a log, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// What the new log has.
    pub topics: Vec<SalvagedTopic>,
    /// All that is not in it, and was in the old one, or may have been.
    pub given_up: Vec<GivenUp>,
    /// What of the old one is damaged, as far as it was needed.
    pub damage: Vec<Damage>,
    /// The old one's end that was being written: it counted for nothing, and is not in the new one.
    pub torn: Option<TornTail>,
}

/// A topic of a log that was salvaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedTopic {
    /// Its number, as it was.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// The first offset in the new log.
    pub floor: u64,
    /// One behind the last offset.
    pub next: u64,
    /// Records that were copied, each with the offset that it had.
    pub records: u64,
    /// Records that stand in for such as are lost, see [`LOST`](super::LOST).
    pub fillers: u64,
}

/// Something that salvaging could not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GivenUp {
    /// Records: of this topic, with these offsets.
    Records {
        /// The topic's name.
        topic: String,
        /// From the first to one behind the last.
        offsets: Range<u64>,
    },
    /// Frames of the journal, in which records may have been, and what groups have settled, and that topics and groups began
    /// or ended. What of these a group had settled it gets again.
    Frames {
        /// From the number of the first to one behind that of the last.
        lsns: Range<u64>,
        /// The file, and the bytes of it; `None` if they are in no file: one is lost, or was taken for later frames.
        place: Option<(PathBuf, Range<u64>)>,
    },
    /// A stretch of a segment.
    Bytes {
        /// The file.
        file: PathBuf,
        /// From the first byte to one behind the last.
        bytes: Range<u64>,
    },
    /// The checkpoint: groups of which the journal says nothing are lost, and what others had settled before its first frame.
    Checkpoint {
        /// The file.
        file: PathBuf,
        /// The number of the journal's first frame.
        known_from: Option<u64>,
    },
    /// A topic's name, and what it was opened with. Its records are under this name.
    TopicName {
        /// Its number.
        number: u32,
        /// What it is called in the new log.
        now: String,
    },
    /// A group's name.
    GroupName {
        /// Its topic.
        topic: String,
        /// Its number.
        number: u32,
        /// What it is called in the new log.
        now: String,
    },
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GivenUp::Records { topic, offsets } if offsets.end - offsets.start == 1 => {
                write!(f, "the record {} of {topic}", offsets.start)
            }
            GivenUp::Records { topic, offsets } => {
                let (many, last) = (offsets.end - offsets.start, offsets.end.saturating_sub(1));
                write!(f, "{many} records of {topic}: {} to {last}", offsets.start)
            }
            GivenUp::Frames { lsns, place } => {
                let last = lsns.end.saturating_sub(1);
                match lsns.start == last {
                    true => write!(f, "the journal's frame {last}")?,
                    false => write!(f, "the journal's frames {} to {last}", lsns.start)?,
                }
                match place {
                    Some((file, bytes)) => {
                        write!(f, ", bytes {} to {} of {}", bytes.start, bytes.end, file.display())
                    }
                    None => f.write_str(", which are in no file"),
                }
            }
            GivenUp::Bytes { file, bytes } => {
                write!(f, "bytes {} to {} of {}", bytes.start, bytes.end, file.display())
            }
            GivenUp::Checkpoint { known_from: Some(lsn), .. } => {
                write!(
                    f,
                    "what groups had settled before lsn {lsn}, and groups of which nothing is said since"
                )
            }
            GivenUp::Checkpoint { known_from: None, .. } => {
                f.write_str("all groups, and what they had settled")
            }
            GivenUp::TopicName { number, now } => {
                write!(f, "the name of topic {number}, which is {now} now, and its codec")
            }
            GivenUp::GroupName { topic, number, now } => {
                write!(f, "the name of group {number} of {topic}, which is {now} now")
            }
        }
    }
}
