//! Keys that clients watch, so that a transaction is not run once somebody has changed one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::sync::{AtomicBool, Ordering};

/// A key, and the set of keys that it is in.
type Place = (usize, Vec<u8>);

/// Who watches which keys.
#[derive(Debug, Default)]
pub(super) struct Watched(BTreeMap<Place, Vec<Arc<AtomicBool>>>);

/// What one client watches.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// One of them was changed. Ordering: written and read under the world's lock.
    changed: Arc<AtomicBool>,
    /// Limit: [`Watch::MOST`].
    places: BTreeSet<Place>,
}

impl Watch {
    /// The most keys of one client.
    pub(super) const MOST: usize = 100_000;

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }
}

impl Watched {
    pub(super) fn add(&mut self, watch: &mut Watch, db: usize, key: &[u8]) {
        let place = (db, key.to_vec());
        if watch.places.insert(place.clone()) {
            self.0.entry(place).or_default().push(watch.changed.clone());
        }
    }

    /// The client watches nothing any more.
    pub(super) fn leave(&mut self, watch: &mut Watch) {
        let Watch { changed, places } = std::mem::take(watch);
        for place in places {
            if let Some(watchers) = self.0.get_mut(&place) {
                watchers.retain(|other| !Arc::ptr_eq(other, &changed));
                if watchers.is_empty() {
                    self.0.remove(&place);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A key was changed.
    pub(super) fn mark(&self, db: usize, key: &[u8]) {
        if !self.is_empty() {
            let watchers = self.0.get(&(db, key.to_vec()));
            watchers.into_iter().flatten().for_each(|changed| changed.store(true, Ordering::Relaxed));
        }
    }

    /// All keys may have been.
    pub(super) fn mark_all(&self) {
        self.0.values().flatten().for_each(|changed| changed.store(true, Ordering::Relaxed));
    }
}
