//! Who publishes: a handler of this broker, or somebody outside.
//!
//! While a handler's future is polled, its thread knows so. A publish made there has one privilege and one duty:
//! it goes on while the broker drains (G18), and it must not wait for ever on a full topic, since the place it
//! waits for may hang on this very handler (G17). The duty holds towards other brokers too: a circle may lead
//! through them.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a publish from inside a handler must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Which broker the handler belongs to.
    pub(crate) broker: u64,
    /// Which group it belongs to, among those of all brokers.
    pub(crate) group: u64,
    /// The longest a publish may wait.
    pub(crate) limit: Duration,
}

thread_local! {
    static CURRENT: Cell<Option<Scope>> = const { Cell::new(None) };
}

impl Scope {
    /// Runs `f` inside of this scope. Scopes nest, as a handler may poll another broker's future.
    #[inline]
    pub(crate) fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        struct Leave(Option<Scope>);
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _leave = Leave(CURRENT.replace(Some(self)));
        f()
    }

    /// A scope for the handlers of a new group.
    pub(crate) fn of_group(broker: u64, limit: Duration) -> Scope {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Scope { broker, group: NEXT.fetch_add(1, Ordering::Relaxed), limit }
    }

    /// Whether a handler of this group is being polled on this thread.
    pub(crate) fn is_current(self) -> bool {
        Scope::current().is_some_and(|scope| scope.group == self.group)
    }

    /// The scope of the handler that is being polled on this thread, whichever broker it belongs to.
    pub(crate) fn current() -> Option<Scope> {
        CURRENT.get()
    }

    /// The scope of the handler that is being polled on this thread, if it is one of `broker`'s.
    pub(crate) fn of(broker: u64) -> Option<Scope> {
        Scope::current().filter(|scope| scope.broker == broker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_ends_with_its_poll_even_by_a_panic() {
        let scope = Scope { broker: 7, group: 1, limit: Duration::from_secs(1) };
        let other = Scope { broker: 8, group: 2, limit: Duration::ZERO };
        scope.enter(|| {
            assert_eq!(Scope::of(7), Some(scope));
            assert!(crate::base::catch(|| other.enter(|| panic!("in a handler"))).is_err());
            assert_eq!((Scope::of(7), Scope::of(8)), (Some(scope), None));
        });
        assert_eq!(Scope::of(7), None);
    }
}
