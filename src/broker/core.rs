//! What everything of one broker shares: its number, its runtime, and whether it is open.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::disk::Disk;
use super::events::Teller;
use super::witness::Watched;
use crate::base::sync::{AtomicU8, Ordering};
use crate::runtime::Rt;

#[derive(Debug)]
pub(crate) struct BrokerCore {
    /// Tells brokers of one process apart, see `scope`.
    pub(crate) id: u64,
    pub(crate) rt: Rt,
    pub(crate) watched: Watched,
    pub(crate) teller: Arc<Teller>,
    /// Present if there is a data directory.
    pub(crate) disk: Option<Arc<Disk>>,
    phase: AtomicU8,
}

const OPEN: u8 = 0;
const DRAINING: u8 = 1;
const CLOSED: u8 = 2;

impl BrokerCore {
    pub(crate) fn new(rt: Rt, watched: Watched, disk: Option<Arc<Disk>>) -> Arc<BrokerCore> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (id, phase) = (NEXT.fetch_add(1, Ordering::Relaxed), AtomicU8::new(OPEN));
        Arc::new(BrokerCore { id, rt, watched, teller: Teller::new(), disk, phase })
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.phase.load(Ordering::Acquire) == OPEN
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase.load(Ordering::Acquire) == CLOSED
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase.load(Ordering::Acquire) == DRAINING
    }

    /// Begins the drain; `false` if it, or the end, began before.
    pub(crate) fn drain(&self) -> bool {
        self.phase.compare_exchange(OPEN, DRAINING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Nothing is accepted any more. `false` if it was so before.
    pub(crate) fn close(&self) -> bool {
        self.phase.swap(CLOSED, Ordering::AcqRel) != CLOSED
    }
}
