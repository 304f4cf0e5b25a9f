//! The log: what durable topics are kept in. One directory, one journal for all topics, and a file of its own for what stays.
//!
//! ```text
//!   append, mark, create ──▶ [queue] ──▶ writer: one commit of all that waits ──▶ journal/0.j 1.j 2.j 3.j   (a ring)
//!            ▲                             │  one write, one fdatasync                  │
//!            └────── Done: offset ─────────┘                                            │ a slot is full
//!                                                                                       ▼
//!   read ◀── frames in memory, or ◀── topics/<id>/<offset>.seg ◀── checkpoint: what is still of use moves on,
//!                                                                   then `checkpoint` is replaced, then the slot is free
//! ```
//!
//! # The problem
//! To confirm a message is to wait for the disk to say that it has it, and a disk says so some thousand times a second.
//! So what waits is confirmed together, and together with all other topics: a file for each topic would cost a wait
//! each. And no file system adds to a file as cheaply as it writes over one that is there: so the journal's files are
//! written once in full and used in turn. What is settled before its turn comes is never written a second time.
//!
//! # The parts
//! - **Frames** (`frame.rs`) are all that is ever written: a header, a checksum, a body. `docs/log-format.md` has each byte.
//! - **The journal** (`journal.rs`) is a ring of slots, files of fixed size. A commit is a run of frames, the last one
//!   marked; it counts whole or not at all. Frames are numbered without gaps: their `lsn`.
//! - **The state** (`state.rs`) is pure: which topics and groups there are, what each group has settled, where a topic's
//!   data lies. It is what comes of applying all frames in turn; a **checkpoint** is the state as of one lsn, in one frame,
//!   in a file that is replaced by renaming.
//! - **Segments** (`segment.rs`) hold a topic's data once its slot is needed. How much of one is valid stands in the
//!   checkpoint: what lies behind was never counted, and is written over.
//! - **A turnover** (`turnover.rs`) fills them, from the journal as it was between two commits, and on a thread of its own
//!   (`aside.rs`): commits go on meanwhile, into the slots that are still free. They wait for it only when none is.
//! - **The writer** (`writer.rs`) is a thread (under the simulator: a task). It takes all that waits, and while it waits
//!   for the disk more comes: batches are as large as the disk is slow, without a timer.
//! - **The file system** is a trait ([`Vfs`]), so that a simulated one can lose, tear, reorder, fail and flip.
//!
//! # Rules
//! - Nothing is confirmed before the data, and the names of the files that it is in, are on the disk.
//! - **A failed fdatasync is final**: what it would have confirmed is unknown, nothing is confirmed after it, nobody tries
//!   again. The log is poisoned until it is opened anew. So is it by a write that failed for another reason than space.
//! - **A full disk is not final**: what finds no room is refused, and nothing of it is found later; what was confirmed
//!   stays, and once there is room it goes on. What is settled makes room: the place of the next checkpoint is held, and a checkpoint
//!   is all that it takes to let go of what nobody needs.
//! - **Recovery** replays the frames behind the checkpoint. At the first bad one it looks on: if any frame further on says
//!   that this one was on the disk, then the disk has lost it, and opening is refused, with file, position and lsn, and
//!   nothing is changed. If none says so, it is the tail that was being written when the lights went out: it is
//!   zeroed, on the disk, before anything new is written, and reported.
//! - **Stale frames never count**: the checksum of a journal frame is seeded by a number that its slot draws anew at each turn.
//! - Files are deleted whole, after the checkpoint that no longer names them is on the disk. What is not ours, or not
//!   understood, is never deleted: it is reported.
//! - No clock and no randomness in here: both are arguments. Nothing here knows of brokers, messages or groups' rules; a
//!   record's body, and the texts that topics and groups carry, are bytes.
//!
//! # What it refuses
//! It has no index by key, no transaction over several calls, and no compaction: topics are queues with history, not
//! tables. It does not replicate. It trusts the file system to keep what it has synced, and proves with checksums
//! whether it did; it can't tell that the very last commit, and nothing after it, was lost by a disk that had confirmed it.
//! To close that hole the log writes a frame that says so when it falls idle, and when it is closed.
//!
//! Sources: the shared journal is that of Apache BookKeeper, its recycled files those of PostgreSQL and raft-engine; that
//! a failed fsync must be final is PostgreSQL's lesson of 2018; telling a torn tail from a damaged middle is the bug that
//! others had (NATS 7549, fjall 311).

mod aside;
#[doc(hidden)]
pub mod bench;
mod change;
mod checkpoint;
mod error;
pub mod format;
mod frame;
mod gather;
#[cfg(test)]
pub(crate) mod hand;
pub mod inspect;
mod journal;
mod layout;
mod open;
mod owed;
mod plan;
mod ranges;
mod real_fs;
mod record;
mod replay;
mod request;
mod scan;
mod segment;
mod shelf;
mod state;
mod store;
mod turnover;
mod vfs;
mod writer;

#[cfg(test)]
mod shuttle_tests;
// The schedule explorer runs none of these, which are most of what it would build.
#[cfg(test)]
#[cfg(not(callboard_shuttle))]
pub(crate) mod tests;

pub use error::{Damage, LogError};
pub use real_fs::RealFs;
pub use vfs::{EntryKind, OpenMode, Vfs, VfsFile};

pub(crate) use change::{Marks, Note, Terms};
pub(crate) use open::{Found, Options};
pub(crate) use ranges::Ranges;
pub(crate) use record::{Record, Records};
#[cfg_attr(
    not(feature = "server"),
    expect(unused_imports, reason = "only the server appends to several topics")
)]
pub(crate) use request::Chain;
pub(crate) use request::{Done, Settles};
#[cfg_attr(
    not(feature = "server"),
    expect(unused_imports, reason = "only the server looks at all of it")
)]
pub(crate) use state::State;
pub(crate) use state::{GroupState, TopicState};
pub(crate) use store::Log;
