//! Is what a reply told there again, whatever happened to the disk and the process; and nothing else?

mod crash;
mod full;
mod noise;
mod plain;
mod view;
