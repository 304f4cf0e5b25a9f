//! The server: topics and groups for other processes, over the protocol that Redis's clients speak.
//!
//! ```text
//!  client ──bytes──▶ [resp::Decoder] ──Request──▶ session, commands ──▶ broker: topics, groups
//!         ◀──bytes── [resp::Replies] ◀────────────────┘
//! ```
//!
//! # The problem
//! What runs inside one process can't be reached from another one, nor from another language. A protocol of our own would
//! need a client for each language; RESP has them all, its streams are topics with groups under other names, and a reply
//! to each request is a back-pressure that every client understands: what has no room yet is not answered yet.
//!
//! # The parts
//! - **The codec** (`resp/`): requests are read as they come in, replies are written, in RESP2 and in RESP3.
//! - **A session** (`session.rs`) is a connection: it reads, has each request executed, and writes. It reads no more while its
//!   client does not take what was written.
//! - **Commands** (`command.rs`, `commands/`) stand in tables, with what each needs; `execute.rs` looks at that before it runs one.
//! - **The world** (`world.rs`) is what sessions share, behind one lock that is held for a command, or for a transaction. No command
//!   blocks, or waits, in it.
//! - **Pub/Sub** (`pubsub.rs`) sends to whoever listens at the moment. What waits for a client is bounded; one that reads too slowly
//!   is sent away.
//! - **Streams** (`stream/`) are a model that answers at once; **clients that wait** (`waiting.rs`) are served in turn.
//! - **The process itself** (`within/`) is a client without a socket.
//! - **What is kept** (`keep/`) is written to a log, and no reply is sent before all that it may tell of is in there.
//!
//! # Rules
//! - The codec is pure: bytes in, requests out; replies in, bytes out. It has no socket, no clock and no runtime.
//! - Nothing that a client says is believed before it was held against a limit, and nothing is allocated for what it only
//!   announces.
//! - The server is a layer over the broker, and the broker knows nothing of it.

mod alarms;
mod builder;
mod client;
mod command;
mod commands;
mod config;
mod execute;
mod glob;
mod info;
mod keep;
mod keys;
mod notify;
mod pubsub;
mod resp;
mod scans;
mod serving;
mod session;
mod state;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod waiting;
mod watch;
mod within;
mod world;

pub(crate) use builder::REDIS_VERSION;
pub use builder::{ServeError, Server, ServerBuilder};
pub use keep::{DataError, Fsync};
pub use serving::{ServerReport, Serving};
pub use within::{
    Reply, ServedConsumer, ServedDelivery, ServedError, ServedGroup, ServedStream, StreamEntry,
};
