//! Actors, topics and consumer groups for async Rust, on tokio or smol.

pub mod base;
#[doc(hidden)]
pub mod mailbox;
pub mod runtime;
