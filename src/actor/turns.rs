//! What lies between two incarnations on one seat; for a supervisor.
//!
//! | the seat is | a message | a stop through an address | the end is told to |
//! |---|---|---|---|
//! | living | waits or is handled | ends the incarnation | - |
//! | undecided, once that has ended | waits, or is refused after a stop | changes nothing | - |
//! | open: an incarnation will come | waits | changes nothing, and is told so | those who stopped it |
//! | resting: none is planned | is refused | finds it ended | everybody |

use std::task::Context as Task;

use super::seat::Lived;
use super::{Ended, Exit, Seat};

impl<M: Send + 'static> Seat<M> {
    /// Takes in what addresses say while no incarnation lives. `Some(last)` if the seat is open: then a stop is
    /// answered with the `last` end at once, since there is nothing to stop.
    pub(crate) fn poll_idle(&mut self, last: Option<&Lived>, cx: &mut Task<'_>) {
        self.desk.poll_idle(cx);
        if self.desk.asked().is_some() {
            let unhandled = self.desk.hand_back().unhandled;
            if let Some(last) = last {
                self.open(&Lived { exit: last.exit.clone(), unhandled });
            }
        }
    }

    /// Decides that another incarnation will come: takes messages again, and tells those who stopped the last one.
    pub(crate) fn open(&mut self, last: &Lived) {
        self.desk.reopen();
        self.core().life.revive();
        self.core().life.pass(&self.ended(last));
    }

    /// Begins that incarnation. Only what the supervisor says of this number ends it from now on.
    pub(crate) fn begin(&mut self, incarnation: u64, last: &Lived) {
        self.open(last);
        self.desk.begin(incarnation);
    }

    /// Decides that no other is planned: refuses messages, hands back or counts what is left, and tells everybody.
    pub(crate) fn rest(&mut self, last: &Lived) {
        let unhandled = last.unhandled + self.desk.clear().unhandled;
        self.core().life.end(self.ended(&Lived { exit: last.exit.clone(), unhandled }));
    }

    /// Drops the messages that wait, and counts them.
    pub(crate) fn empty(&mut self) -> usize {
        self.desk.empty().unhandled
    }

    /// Gives the seat up after `last`. Answers what [`Seat::end`] told, or [`Seat::rest`] before.
    pub(crate) fn vacate(self, last: Lived) -> Ended {
        let (core, exit) = (self.core().clone(), last.exit.clone());
        self.end(last);
        core.life.ended().unwrap_or_else(|| Ended { name: core.name.clone(), exit, unhandled: 0 })
    }

    fn ended(&self, last: &Lived) -> Ended {
        Ended { name: self.core().name.clone(), exit: last.exit.clone(), unhandled: last.unhandled }
    }
}

impl Lived {
    /// Stands for the time before the first incarnation.
    pub(crate) const NOT_YET: Lived = Lived { exit: Exit::Stopped, unhandled: 0 };
}
