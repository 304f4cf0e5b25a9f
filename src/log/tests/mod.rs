//! Does the log keep what it confirmed, whatever happens to the disk and the process?

pub(crate) mod hand;
mod plain;
