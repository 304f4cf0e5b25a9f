//! What all handles of one actor share beside its mailbox: its name, its system, and how it ended.

use std::fmt;
use std::sync::Arc;

use super::life::Life;
use super::{Ended, System};
use crate::base::Name;

pub(crate) struct Core {
    pub(crate) name: Name,
    pub(crate) system: System,
    pub(crate) life: Life<Ended>,
}

impl Core {
    pub(crate) fn new(name: Name, system: System) -> Arc<Core> {
        Arc::new(Core { name, system, life: Life::default() })
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.life.ended();
        f.debug_struct("Core").field("name", &self.name).field("ended", &ended).finish_non_exhaustive()
    }
}
