//! The commands, by what they are about.

mod client;
mod connection;
mod hashes;
mod keys;
mod lists;
mod pubsub;
mod server;
mod sets;
mod streams;
mod strings;
mod table;
mod transaction;

pub(super) use streams::{claims_after, left_at, serve};
pub(super) use table::{all, find, is_container};
