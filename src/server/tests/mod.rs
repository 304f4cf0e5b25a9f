//! Commands without sockets, and sessions over a pipe in memory.

mod commands;
mod desk;
mod edges;
mod sessions;
mod streams;
mod waiting;
