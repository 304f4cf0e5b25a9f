//! Does the log keep what it confirmed, whatever happens to the disk and the process?

mod crash;
pub(crate) mod hand;
mod model;
mod plain;
