//! The server's streams in the process that it runs in: to publish to them, and to consume from them, without a socket.
//!
//! ```text
//!   clients ──sockets──▶ sessions ──┐
//!                                   ├──▶ commands, one world ──▶ log
//!   ServedStream, ServedConsumer ───┘
//! ```
//!
//! # The problem
//! Whoever embeds a server has consumers of its own: they are to see what clients publish, in groups beside those of the clients, and clients
//! are to see what it publishes. Through a socket it would need a client library, and a port, to talk to itself.
//!
//! # The parts
//! - **A visit** (`visit.rs`) is a client that comes without a connection, asks one thing, and goes. What it asks is a command as all others
//!   are, with the same limits, counts, errors and promises; it comes back as a [`Reply`] (`reply.rs`).
//! - **A stream** (`stream.rs`) is named, and published to. **A consumer** (`consumer.rs`) of one of its groups is a `futures` stream of
//!   deliveries (`delivery.rs`).
//!
//! # Rules
//! - Nothing is answered before what it tells of is in the log, as for every client.
//! - A delivery is settled by whoever holds it, and by nobody else: who has lost it, since it took too long, is told so.
//! - Dropped at any await, nothing is lost: what was handed over and is not in anybody's hands goes back to its group at once.

mod consumer;
mod delivery;
mod error;
mod reply;
mod stream;
mod visit;

pub use consumer::{ServedConsumer, ServedGroup};
pub use delivery::{ServedDelivery, StreamEntry};
pub use error::ServedError;
pub use reply::Reply;
pub use stream::ServedStream;
pub(super) use visit::Visit;
