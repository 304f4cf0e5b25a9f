//! Letting go of entries without acknowledging them: nobody has them, and whoever claims next does.

use super::pending::MOST_COUNT;
use super::{Id, Stream};

/// What an entry that is released says of how often it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Blame {
    /// It was not tried: the consumer has to go, for example.
    Nobody,
    /// It was tried once more, in vain.
    Consumer,
    /// Nobody needs to try it again.
    Entry,
}

/// How entries are released.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Release {
    pub(in crate::server) blame: Blame,
    /// How often they count as handed over, whatever is to blame.
    pub(in crate::server) count: Option<u64>,
    /// Also what is not pending.
    pub(in crate::server) force: bool,
}

impl Stream {
    /// Takes pending entries out of whosever hands they are in; answers how many.
    pub(in crate::server) fn release(&mut self, group: &[u8], (release, ids): (Release, &[Id])) -> usize {
        let released = self.with_group(group, |stream, group| {
            let mut released = 0;
            for id in ids {
                let before = match group.pending.get(id) {
                    Some(pending) => pending.count(),
                    // It was never handed over.
                    None if release.force && stream.get(*id).is_some() => 0,
                    None => continue,
                };
                group.release(*id, release.count_of(before));
                released += 1;
            }
            released
        });
        released.unwrap_or(0)
    }
}

impl Release {
    fn count_of(self, before: u64) -> u64 {
        self.count.unwrap_or(match self.blame {
            Blame::Nobody => before.saturating_sub(1),
            Blame::Consumer => before,
            Blame::Entry => MOST_COUNT,
        })
    }
}
