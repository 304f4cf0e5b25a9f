//! Does the log keep what it confirmed, whatever happens to the disk and the process?

mod beside;
pub(crate) mod crash;
mod faults;
mod fixtures;
mod flips;
mod groups;
#[cfg(feature = "server")]
mod helping;
mod hooked;
mod large;
mod model;
mod negative;
mod noise;
mod odd;
mod plain;
mod requests;
mod space;
mod split;
mod stale;
mod together;
