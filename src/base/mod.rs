//! The words that every layer shares: names, moments, faults.
//!
//! Nothing here waits, reads a clock or does I/O, so everything above can be tested with plain values.
//! A word lives here when two layers need it; what one layer needs stays in that layer.

mod fault;
mod moment;
mod name;
mod panic;
#[cfg(feature = "serde")]
mod plain;
mod planted;
pub(crate) mod sync;
#[cfg_attr(not(test), expect(dead_code, reason = "used by the log to come"))]
pub(crate) mod varint;

pub use fault::Fault;
pub use moment::Moment;
pub(crate) use moment::whole_millis;
pub use name::{InvalidName, Name};
pub(crate) use panic::{PanicText, catch, drop_each};
#[cfg(feature = "serde")]
pub(crate) use plain::{millis, millis_if_any};
#[cfg(test)]
pub(crate) use planted::plant;
pub(crate) use planted::{Bug, planted};
