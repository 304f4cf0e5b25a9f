//! Crashes on request, and the book in which they are kept.
//!
//! A delivery that crashed before its effect did nothing: the next one does it. A delivery that crashed after its
//! effect is delivered again, since nobody acked it, and its effect then happens twice. The book remembers each such
//! crash until it sees what came of it: a redelivery (a surplus) or a dead letter (an effect that stands).

use std::collections::BTreeMap;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::prelude::*;

use crate::args::Crash;
use crate::count::lock;

pub(crate) struct Faults {
    crash: Crash,
    deliveries: AtomicU64,
    /// Deliveries that crashed after their effect, and of which nothing was heard since: their attempts.
    /// Limit: one for each message that is not settled.
    open: Mutex<BTreeMap<(Step, MessageId), u32>>,
}

/// The groups, each with one kind of effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Parse,
    Count,
    Audit,
}

/// One delivery, from its entry on.
pub(crate) struct Entered<'a> {
    faults: &'a Faults,
    number: u64,
    key: (Step, MessageId),
    attempt: u32,
    /// The attempt before this one had its effect already.
    pub(crate) again: bool,
}

impl Faults {
    pub(crate) fn new(crash: Crash) -> Faults {
        Faults { crash, deliveries: AtomicU64::new(0), open: Mutex::default() }
    }

    /// Keeps the panics made here off the terminal; all others are shown as ever.
    pub(crate) fn quiet() {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !panic.payload().downcast_ref::<&str>().is_some_and(|text| text.starts_with("injected crash"))
            {
                shown(panic);
            }
        }));
    }

    /// Every delivery comes by here first.
    pub(crate) fn enter<T>(&self, step: Step, message: &Message<T>) -> Entered<'_> {
        let number = self.deliveries.fetch_add(1, Ordering::Relaxed) + 1;
        let (key, attempt) = ((step, message.id()), message.attempt());
        let again = attempt > 1 && self.close(key, attempt - 1);
        if let Crash::Before(every) = self.crash
            && number.is_multiple_of(every.get())
        {
            panic!("injected crash, before the effect");
        }
        Entered { faults: self, number, key, attempt, again }
    }

    /// Says whether the message's last attempt had its effect.
    pub(crate) fn buried(&self, step: Step, letter: &DeadLetter) -> bool {
        self.close((step, letter.original_id()), letter.attempts())
    }

    /// Deliveries so far, in all groups.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Crashes after an effect that neither a redelivery nor a dead letter followed. There should be none.
    pub(crate) fn unheard(&self) -> usize {
        lock(&self.open).len()
    }

    fn close(&self, key: (Step, MessageId), attempt: u32) -> bool {
        let mut open = lock(&self.open);
        open.get(&key) == Some(&attempt) && open.remove(&key).is_some()
    }
}

impl Entered<'_> {
    /// Every delivery goes by here last, its effect done.
    pub(crate) fn leave(self) {
        if let Crash::After(every) = self.faults.crash
            && self.number.is_multiple_of(every.get())
        {
            lock(&self.faults.open).insert(self.key, self.attempt);
            panic!("injected crash, after the effect");
        }
    }
}
