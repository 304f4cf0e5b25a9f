//! Actors, topics and consumer groups for async Rust, on tokio or smol.

pub mod actor;
pub mod base;
pub mod broker;
#[doc(hidden)]
pub mod mailbox;
pub mod prelude;
pub mod runtime;
#[cfg(feature = "sim")]
pub mod sim;
pub mod supervise;
