//! Whether something lives, how it ended, and who wants to know.

use futures::channel::oneshot;

use crate::base::sync::{Mutex, MutexGuard, PoisonError};

/// Somebody who wants to know of an end, which `E` reports.
pub(crate) trait Watcher<E>: Send {
    /// Tells it. Called once, outside of all locks. It must not panic.
    fn tell(self: Box<Self>, ended: &E);
    /// Whether nobody listens any more, so that the entry can be dropped.
    fn is_gone(&self) -> bool;
}

/// Which end a watcher waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The end for which no restart is planned.
    End,
    /// The end of the incarnation that lives now, if one does, whatever comes after it.
    Incarnation,
}

/// The watchers that are kept before dead ones are looked for; doubled when that finds too few.
const SWEEP_AT: usize = 16;

type Watchers<E> = Vec<(Until, Box<dyn Watcher<E>>)>;

/// Knows whether something has ended, and tells those who watch it.
pub(crate) struct Life<E> {
    state: Mutex<State<E>>,
}

/// Why boxed: most actors are not watched, and an idle one should be small.
enum State<E> {
    /// `None` until somebody asks.
    Alive(Option<Box<Crowd<E>>>),
    Ended(Box<E>),
}

struct Crowd<E> {
    watchers: Watchers<E>,
    sweep_at: usize,
}

impl<E: Clone> Life<E> {
    /// Adds a watcher, or tells it at once if there is no life to wait for the end of.
    pub(crate) fn watch(&self, until: Until, watcher: Box<dyn Watcher<E>>) {
        let mut state = self.lock();
        match &mut *state {
            State::Alive(crowd) => {
                let new = || Box::new(Crowd { watchers: Vec::new(), sweep_at: SWEEP_AT });
                let Crowd { watchers, sweep_at } = &mut **crowd.get_or_insert_with(new);
                watchers.push((until, watcher));
                if watchers.len() < *sweep_at {
                    return;
                }
                // Limit: twice the watchers that live; each of those is an actor or a future somewhere.
                let gone: Watchers<E> = watchers.extract_if(.., |(_, watcher)| watcher.is_gone()).collect();
                *sweep_at = (watchers.len() * 2).max(SWEEP_AT);
                drop(state);
                drop(gone);
            }
            State::Ended(ended) => {
                let ended = E::clone(ended);
                drop(state);
                watcher.tell(&ended);
            }
        }
    }

    /// Tells those who waited for the end of the incarnation that is over; there may be another.
    pub(crate) fn pass(&self, ended: &E) {
        let told: Watchers<E> = match &mut *self.lock() {
            State::Alive(Some(crowd)) => {
                crowd.watchers.extract_if(.., |(until, _)| *until == Until::Incarnation).collect()
            }
            State::Alive(None) | State::Ended(_) => return,
        };
        told.into_iter().for_each(|(_, watcher)| watcher.tell(ended));
    }

    /// Records the end and tells everybody, in the order in which they asked. Of several ends the first counts.
    pub(crate) fn end(&self, ended: E) {
        let mut state = self.lock();
        if matches!(&*state, State::Ended(_)) {
            return;
        }
        let before = std::mem::replace(&mut *state, State::Ended(Box::new(ended.clone())));
        drop(state);
        if let State::Alive(Some(crowd)) = before {
            crowd.watchers.into_iter().for_each(|(_, watcher)| watcher.tell(&ended));
        }
    }

    /// Takes the end back: its supervisor starts it again, together with its siblings.
    pub(crate) fn revive(&self) {
        let mut state = self.lock();
        if matches!(&*state, State::Ended(_)) {
            let before = std::mem::replace(&mut *state, State::Alive(None));
            drop(state);
            drop(before);
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<E> {
        match &*self.lock() {
            State::Ended(ended) => Some(E::clone(ended)),
            State::Alive(_) => None,
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(&*self.lock(), State::Ended(_))
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Default for Life<E> {
    fn default() -> Life<E> {
        Life { state: Mutex::new(State::Alive(None)) }
    }
}

impl<E: Clone + Send> Watcher<E> for oneshot::Sender<E> {
    fn tell(self: Box<Self>, ended: &E) {
        drop(self.send(ended.clone()));
    }

    fn is_gone(&self) -> bool {
        self.is_canceled()
    }
}
