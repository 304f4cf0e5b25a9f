//! Does the log keep what it confirmed, whatever happens to the disk and the process?

mod crash;
mod faults;
pub(crate) mod hand;
mod model;
mod plain;
