//! Crashes on request, and the book in which they are kept.
//!
//! A delivery that crashed before its effect did nothing: the next one does it. A delivery that crashed after its
//! effect is delivered again, since nobody acked it, and its effect then happens twice. The book remembers each such
//! crash until it sees what came of it: a redelivery (a surplus), or an end without one, as a dead letter or evicted
//! (an effect that stands).
//!
//! The group `parse` is never in that book. It answers its words, and they are published once it has returned; so
//! wherever its handler crashes, that is before the effect.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::prelude::*;

use crate::args::Crash;
use crate::count::{get, lock};
use crate::line::{PerStep, Step};

pub(crate) struct Faults {
    crash: Crash,
    deliveries: AtomicU64,
    /// Of these, those to each group.
    to: PerStep,
    /// Deliveries that crashed after their effect, and of which nothing was heard since: their attempts.
    /// Limit: one for each message that is not settled.
    open: Mutex<BTreeMap<(Step, MessageId), u32>>,
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
        Faults { crash, deliveries: AtomicU64::new(0), to: PerStep::default(), open: Mutex::default() }
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
        self.to.of(step).fetch_add(1, Ordering::Relaxed);
        let (key, attempt) = ((step, message.id()), message.attempt());
        let again = attempt > 1 && self.close(key, attempt - 1);
        if let Crash::Before(every) = self.crash
            && number.is_multiple_of(every.get())
        {
            panic!("injected crash, before the effect");
        }
        Entered { faults: self, number, key, attempt, again }
    }

    /// Says whether the last attempt at a message that was given up had its effect.
    pub(crate) fn buried(&self, step: Step, letter: &DeadLetter) -> bool {
        self.close((step, letter.original_id()), letter.attempts())
    }

    /// Says whether the last attempt at a message that was evicted had its effect.
    pub(crate) fn evicted<T>(&self, step: Step, message: &Message<T>) -> bool {
        lock(&self.open).remove(&(step, message.id())).is_some()
    }

    /// Deliveries so far, in all groups.
    pub(crate) fn deliveries(&self) -> u64 {
        get(&self.deliveries)
    }

    /// Deliveries so far, in this one.
    pub(crate) fn deliveries_to(&self, step: Step) -> u64 {
        get(self.to.of(step))
    }

    /// Crashes after an effect that nothing followed, neither a redelivery nor an end. There should be none.
    pub(crate) fn unheard(&self) -> usize {
        lock(&self.open).len()
    }

    fn close(&self, key: (Step, MessageId), attempt: u32) -> bool {
        let mut open = lock(&self.open);
        open.get(&key) == Some(&attempt) && open.remove(&key).is_some()
    }
}

impl Entered<'_> {
    /// Every delivery goes by here last, all that its handler does being done.
    pub(crate) fn leave(self) {
        if let Crash::After(every) = self.faults.crash
            && self.number.is_multiple_of(every.get())
        {
            if self.key.0 == Step::Parse {
                panic!("injected crash, with the effect still to come");
            }
            lock(&self.faults.open).insert(self.key, self.attempt);
            panic!("injected crash, after the effect");
        }
    }
}
