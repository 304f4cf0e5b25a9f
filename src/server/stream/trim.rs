//! Trimming: how a stream is kept short.

use super::{Id, Stream};

/// How large nodes get; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Limits {
    pub(in crate::server) node_entries: usize,
    pub(in crate::server) node_bytes: usize,
}

/// What is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Trim {
    pub(in crate::server) keep: Keep,
    /// Whole nodes alone, and at most so many entries; 0 is no limit.
    pub(in crate::server) about: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Keep {
    /// So many of the newest.
    Newest(usize),
    /// Those with this id, and above.
    From(Id),
}

impl Stream {
    /// Takes out the oldest entries that are not to be kept; answers how many.
    pub(in crate::server) fn trim(&mut self, trim: Trim) -> usize {
        let mut gone = 0;
        while let Some((at, node)) = self.nodes.first_key_value() {
            let (at, live) = (*at, node.live);
            let (all, some) = match trim.keep {
                Keep::Newest(most) => (self.len - live >= most, self.len > most),
                Keep::From(least) => {
                    let last = node.entries.last().map_or(Id::ZERO, |slot| slot.id);
                    let first = node.entries.iter().find(|slot| slot.fields.is_some());
                    (last < least, first.is_some_and(|first| first.id < least))
                }
            };
            if trim.about.is_some_and(|limit| limit > 0 && gone + live > limit) {
                break;
            }
            if all && some {
                gone += self.take_node(at);
            } else if some && trim.about.is_none() {
                gone += self.trim_node(at, trim.keep);
                break;
            } else {
                break;
            }
        }
        gone
    }

    fn trim_node(&mut self, at: Id, keep: Keep) -> usize {
        let Some(node) = self.nodes.get(&at) else { return 0 };
        let live = node.entries.iter().filter(|slot| slot.fields.is_some()).map(|slot| slot.id);
        let out: Vec<Id> = match keep {
            Keep::Newest(most) => live.take(self.len.saturating_sub(most)).collect(),
            Keep::From(least) => live.take_while(|id| *id < least).collect(),
        };
        out.iter().filter(|id| self.take_out(at, **id)).count()
    }
}
