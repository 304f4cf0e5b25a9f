//! Actors, topics and consumer groups for async Rust, on tokio or smol.

pub mod base;
pub mod runtime;
