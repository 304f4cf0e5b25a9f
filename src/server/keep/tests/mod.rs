//! Is what a reply told there again, whatever happened to the disk and the process; and nothing else?

pub(in crate::server) mod crash;
mod full;
mod noise;
mod plain;
pub(in crate::server) mod view;
