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
//! # What stands
//! The codec (`resp/`): requests are read as they come in, replies are written, in RESP2 and in RESP3. The rest, sessions
//! and commands, is being built.
//!
//! # Rules
//! - The codec is pure: bytes in, requests out; replies in, bytes out. It has no socket, no clock and no runtime.
//! - Nothing that a client says is believed before it was held against a limit, and nothing is allocated for what it only
//!   announces.
//! - The server is a layer over the broker, and the broker knows nothing of it.

pub(crate) mod resp;
