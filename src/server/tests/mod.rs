//! Commands without sockets, and sessions over a pipe in memory.

mod commands;
pub(super) mod desk;
mod edges;
mod fuzz;
mod kept;
mod later;
mod policy;
mod refused;
mod sessions;
mod streams;
mod waiting;
mod within;
