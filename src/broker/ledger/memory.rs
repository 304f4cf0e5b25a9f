//! What a group of a durable topic remembers of messages over the end of its process, and lets be remembered.

use std::collections::BTreeMap;

use super::{BatchHandle, Effect, Ledger, Past, Slice};
use crate::base::Moment;
use crate::broker::DeadReason;

/// Of messages that were begun by an earlier process, and did not come up again since. Limit: they wait here or with the topic.
pub(super) type Memory = BTreeMap<u64, Remembered>;

/// What is remembered of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) past: Past,
    /// Not to be handled before.
    pub(crate) due: Option<Moment>,
    /// It was given up, for this reason.
    pub(crate) dead: Option<DeadReason>,
}

impl<B: Clone + BatchHandle> Ledger<B> {
    /// The topic is durable: what happens to messages is to be remembered, as this was.
    pub(crate) fn remember(&mut self, all: BTreeMap<u64, Remembered>) {
        self.memory.get_or_insert_default().extend(all);
    }

    /// Of new messages those that can go out together: up to the first of which something is remembered, or that one alone.
    /// What is left waits again. `None`: that first one is not to go out now.
    pub(super) fn recall(
        &mut self,
        slice: Slice<B>,
        past: Past,
        now: Moment,
        effects: &mut Vec<Effect<B>>,
    ) -> Option<(Slice<B>, Past)> {
        let memory = self.memory.as_mut().filter(|memory| !memory.is_empty() && past.is_blank());
        let Some(memory) = memory else { return Some((slice, past)) };
        let is_known = |at: &u16| memory.contains_key(&(slice.base + u64::from(*at)));
        let Some(at) = slice.bits().iter().find(is_known) else { return Some((slice, past)) };
        let end = if at == slice.from { at + 1 } else { at };
        let (first, rest) = (slice.part(slice.from, end), slice.part(end, slice.to));
        if rest.len() > 0 {
            self.put_back(rest, Past::default());
        }
        if at != slice.from {
            return Some((first, past));
        }
        let memory = self.memory.as_mut().and_then(|memory| memory.remove(&first.first()));
        let Remembered { past, due, dead } = memory.unwrap_or_default();
        if let Some(reason) = dead {
            self.bury(first, past, reason, effects);
            return None;
        }
        if let Some(due) = due.filter(|due| *due > now) {
            self.queue.on_failed(&first);
            self.counts.delayed += 1;
            self.wait(&first, &past);
            self.delayed.insert(due, first, past);
            return None;
        }
        Some((first, past))
    }

    /// Lets it be remembered what has become of a message, if anything is.
    pub(super) fn note(
        &self,
        slice: &Slice<B>,
        past: &Past,
        (due, dead): (Option<Moment>, Option<&DeadReason>),
        effects: &mut Vec<Effect<B>>,
    ) {
        if self.memory.is_some() && past.redrives == 0 {
            let remembered = Remembered { past: past.clone(), due, dead: dead.cloned() };
            effects.push(Effect::Noted { offset: slice.first(), remembered: Box::new(remembered) });
        }
    }
}
