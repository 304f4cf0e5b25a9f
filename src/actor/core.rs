//! What all handles of one actor share beside its mailbox: its name, its system, and how it ended.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Ended, System};
use crate::base::Name;

/// Somebody who wants to know of an end.
pub(crate) trait Watcher: Send {
    /// Tells it. Called once, outside of all locks. It must not panic.
    fn tell(self: Box<Self>, ended: &Ended);
    /// Whether nobody listens any more, so that the entry can be dropped.
    fn is_gone(&self) -> bool;
}

/// The watchers that are kept before dead ones are looked for; doubled when that finds too few.
const SWEEP_AT: usize = 16;

pub(crate) struct Core {
    pub(crate) name: Name,
    pub(crate) system: System,
    life: Mutex<Life>,
}

enum Life {
    Alive { watchers: Vec<Box<dyn Watcher>>, sweep_at: usize },
    Ended(Ended),
}

impl Core {
    pub(crate) fn new(name: Name, system: System) -> Arc<Core> {
        let life = Life::Alive { watchers: Vec::new(), sweep_at: SWEEP_AT };
        Arc::new(Core { name, system, life: Mutex::new(life) })
    }

    /// Adds a watcher, or tells it at once if the actor has ended.
    pub(crate) fn watch(&self, watcher: Box<dyn Watcher>) {
        let mut life = self.lock();
        match &mut *life {
            Life::Alive { watchers, sweep_at } => {
                watchers.push(watcher);
                if watchers.len() < *sweep_at {
                    return;
                }
                // Limit: twice the watchers that live; each of those is an actor or a future somewhere.
                let gone: Vec<_> = watchers.extract_if(.., |watcher| watcher.is_gone()).collect();
                *sweep_at = (watchers.len() * 2).max(SWEEP_AT);
                drop(life);
                drop(gone);
            }
            Life::Ended(ended) => {
                let ended = ended.clone();
                drop(life);
                watcher.tell(&ended);
            }
        }
    }

    /// Records the end and tells everybody, in the order in which they asked.
    pub(crate) fn end(&self, ended: Ended) {
        let before = std::mem::replace(&mut *self.lock(), Life::Ended(ended.clone()));
        if let Life::Alive { watchers, .. } = before {
            watchers.into_iter().for_each(|watcher| watcher.tell(&ended));
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        match &*self.lock() {
            Life::Ended(ended) => Some(ended.clone()),
            Life::Alive { .. } => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("name", &self.name).field("ended", &self.ended()).finish_non_exhaustive()
    }
}
