//! A consumer that fails in every way that a handler can, until the calm.

use std::future::Future;
use std::pin::Pin;

use super::stage::{Stage, give_way, millis};
use crate::base::Fault;
use crate::broker::{Consumer, Message, Outcome};

/// How a worker fails, each in one of so many messages; 0: never.
#[derive(Clone, Copy, Default)]
pub(super) struct Temper {
    pub(super) errors: usize,
    pub(super) panics: usize,
    pub(super) hangs: usize,
    pub(super) blocks: usize,
    pub(super) rejects: usize,
    pub(super) drops: usize,
    pub(super) panics_in_drop: usize,
    pub(super) broken: usize,
}

impl Temper {
    /// Any of these, drawn.
    pub(super) fn drawn(stage: &Stage) -> Temper {
        let rate = || [0, 0, 40, 12, 5][stage.below(5)];
        let temper = Temper {
            errors: rate(),
            panics: rate(),
            hangs: rate() * 3,
            blocks: rate() * 6,
            rejects: rate() * 2,
            drops: rate() * 2,
            panics_in_drop: rate(),
            broken: 0,
        };
        let Temper { errors, panics, hangs, blocks, rejects, drops, panics_in_drop, .. } = temper;
        stage.draw(format_args!(
            "worker: error 1/{errors}, panic 1/{panics}, hang 1/{hangs}, block 1/{blocks}, reject 1/{rejects}, drop 1/{drops}, \
             panic in drop 1/{panics_in_drop}"
        ));
        temper
    }
}

pub(super) struct Worker {
    stage: Stage,
    group: String,
    temper: Temper,
}

impl Worker {
    pub(super) fn new(stage: &Stage, group: &str, temper: Temper) -> Worker {
        if temper.broken > 0 && !stage.is_calm() && stage.chance(temper.broken) {
            panic!("no worker can be made");
        }
        Worker { stage: stage.clone(), group: group.to_owned(), temper }
    }

    fn strikes(&self, one_in: usize) -> bool {
        one_in > 0 && !self.stage.is_calm() && self.stage.chance(one_in)
    }

    async fn work(&self) {
        match self.stage.below(5) {
            0 => self.stage.sim().sleep(millis(1 + self.stage.below(12) as u64)).await,
            1 => give_way().await,
            _ => {}
        }
    }
}

impl Consumer<u64> for Worker {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        let temper = self.temper;
        self.stage.saw(message, &self.group);
        self.work().await;
        if self.strikes(temper.panics) {
            panic!("inside of the handler");
        }
        if self.strikes(temper.blocks) {
            // The thread is gone for as long, and no other task runs; as with a handler that never awaits.
            self.stage.sim().suspend(millis(300));
        }
        if self.strikes(temper.hangs) {
            PanicsInDrop(self.strikes(temper.panics_in_drop)).await;
        }
        if self.strikes(temper.errors) {
            return Err(Fault::new("an error"));
        }
        if self.strikes(temper.errors) {
            return Ok(Outcome::RetryAfter(millis(self.stage.below(30) as u64)));
        }
        if self.strikes(temper.rejects) {
            return Ok(Outcome::DeadLetter("unwanted".to_owned()));
        }
        Ok(if self.strikes(temper.drops) { Outcome::Drop } else { Outcome::Ack })
    }

    async fn started(&mut self) -> Result<(), Fault> {
        if self.strikes(self.temper.broken) {
            return Err(Fault::new("not today"));
        }
        self.work().await;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.strikes(self.temper.panics_in_drop) {
            panic!("in the drop of a worker");
        }
    }
}

/// Never ends, and may panic when it is dropped.
struct PanicsInDrop(bool);

impl Future for PanicsInDrop {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        std::task::Poll::Pending
    }
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        assert!(!self.0 || std::thread::panicking(), "in the drop of a handling");
    }
}
