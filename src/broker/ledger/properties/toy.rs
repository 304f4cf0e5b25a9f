//! What the toy model is made of: the steps, and what is known of one message.

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Batch { skip: u16, len: u16 },
    Consumer { pull: bool, prefetch: u32 },
    Ready { who: u16, ready: bool },
    Gone(u16),
    Dispatch,
    Report { which: u16, through: u16, exceptions: Vec<(u16, Says)> },
    Sole { which: u16, says: Says },
    GiveBack(u16),
    TakeBack { which: u16, keep: u16 },
    Later(u64),
    DeadLettered(u16),
    Redrive(u16),
    Stale(u16),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Backlog,
    Ready,
    Held(LeaseId),
    Delayed(Moment),
    Parked,
    Acked,
    Dropped,
    Dead,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Toy {
    pub(super) place: Place,
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) no_room: u32,
    pub(super) redrives: u16,
}

pub(super) fn present(c: Counts) -> u64 {
    c.backlog + c.ready + c.in_flight + c.delayed + c.parked
}

pub(super) fn said(past: &Past) -> (u32, u32, u16) {
    (past.attempts, past.failures, past.redrives)
}

pub(super) fn known(toy: &Toy) -> (u32, u32, u16) {
    (toy.attempts, toy.failures, toy.redrives)
}
