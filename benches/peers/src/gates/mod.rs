//! The gates, one file for each question.

mod allocations;
mod ask;
mod lone;
mod mailbox;
mod memory;
mod publish;
mod send;

use crate::bench::Bench;

/// A message of 32 bytes.
pub type Small = [u64; 4];
/// A payload of 64 bytes.
pub type Payload = [u64; 8];

pub fn run_all(bench: &mut Bench) {
    mailbox::run(bench);
    send::run(bench);
    ask::run(bench);
    publish::run(bench);
    lone::run(bench);
    allocations::run(bench);
    memory::run(bench);
}

/// A payload whose first word is `number`.
pub fn payload(number: usize) -> Payload {
    let mut payload = [7; 8];
    payload[0] = number as u64;
    payload
}
