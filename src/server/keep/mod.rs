//! What keeps streams on the disk: what commands change is written to a log, and read again when a server begins.
//!
//! ```text
//!  command ──▶ keys ── touched streams ──▶ keeper ──▶ log:  stream.1   the entries of one stream
//!                                            │              stream.2   those of another
//!                                            │              server     all else that happened, to whichever stream
//!  reply ◀── session ◀── confirmed ◀─────────┘
//! ```
//!
//! # The problem
//! A reply is a promise: what it tells must be there after a crash, what it tells must not come twice. A client's next command
//! may depend on any reply, also on one that another client had. And a command, or a transaction, changes several streams at once:
//! all of it counts, or none.
//!
//! # The parts
//! - **Entries** are in a topic of the log for each stream, at their offsets: so that what is trimmed goes as files that are
//!   unlinked, and is never copied.
//! - **All else** is in one topic (`note.rs`): which streams there are and in which keys, what was deleted, what groups are at and hold; as
//!   what commands did. To keep that short, what a stream is *now* is written once more in place of how it came to be (`upkeep.rs`).
//! - **The keeper** (`keeper.rs`, `batch.rs`) turns what was touched into appends, all of a command's in one commit.
//! - **Confirmed** (`confirmed.rs`) is how sessions wait: no reply is sent before all that it may depend on is in the log.
//! - **Recovery** (`recover.rs`) makes the streams again from what is in the log.
//!
//! # Rules
//! - What is written is written under the world's lock, in the order in which it happened. Nobody waits for the disk under it.
//! - A reply waits for all that was written before it, whoever wrote that. So nobody has seen what is not confirmed: if the log refuses
//!   something, memory goes back to what is in the log, and no promise is broken. Until there is room again, commands
//!   that write are refused.
//! - Keys of other types are in memory only.
//! - The order of entries by their offsets is that of their ids; an offset is never used twice.
//! - A trim of a stream's topic comes behind a note of what the stream counts: what is gone can't be counted any more.

mod batch;
mod confirmed;
mod keeper;
mod note;
mod recover;
#[cfg(test)]
pub(super) mod tests;
mod tracked;
mod upkeep;

pub(super) use confirmed::{Barrier, Confirmed, Confirming, Unwritten};
pub use keeper::Fsync;
pub(super) use keeper::{Keeper, Now};
pub use recover::DataError;
pub(super) use recover::{Recovered, recover};
pub(super) use tracked::{Place, Tracked};
