//! Trimming: how a stream is kept short.

use super::{Id, Refs, Stream};

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
    /// Whole nodes alone, unless groups have a say, and at most so many entries; 0 is no limit.
    pub(in crate::server) about: Option<usize>,
    pub(in crate::server) refs: Refs,
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
        let (mut gone, mut next) = (0, Some(Id::ZERO));
        while let Some((at, node)) = next.and_then(|from| self.nodes.range(from..).next()) {
            let (at, live) = (*at, node.live);
            let (all, some) = match trim.keep {
                Keep::Newest(most) => (self.len - live >= most, self.len > most),
                Keep::From(least) => {
                    let last = node.entries.last().map_or(Id::ZERO, |slot| slot.id);
                    let first = node.entries.iter().find(|slot| slot.fields.is_some());
                    (last < least, first.is_some_and(|first| first.id < least))
                }
            };
            let too_many = trim.about.is_some_and(|limit| limit > 0 && gone + live > limit);
            // Where groups have a say each entry is looked at, so that nodes are no reason to stop.
            let whole = trim.about.is_some() && trim.refs == Refs::Keep;
            if !some || too_many || !all && whole {
                break;
            }
            gone += match all && trim.refs == Refs::Keep {
                true => self.take_node(at),
                false => self.trim_node(at, trim),
            };
            if !all {
                break;
            }
            next = at.next();
        }
        gone
    }

    fn trim_node(&mut self, at: Id, trim: Trim) -> usize {
        let Some(node) = self.nodes.get(&at) else { return 0 };
        let live = node.entries.iter().filter(|slot| slot.fields.is_some()).map(|slot| slot.id);
        // Of what may be held it is not known which are so many.
        let most = match trim.keep {
            Keep::Newest(most) if trim.refs != Refs::Acked => self.len.saturating_sub(most),
            Keep::Newest(_) | Keep::From(_) => usize::MAX,
        };
        let (some, mut gone): (Vec<Id>, _) = (live.take(most).collect(), 0);
        for id in some {
            let is_kept = match trim.keep {
                Keep::Newest(most) => self.len <= most,
                Keep::From(least) => id >= least,
            };
            if is_kept {
                break;
            }
            gone += usize::from(self.let_go(id, trim.refs) && self.take_out(at, id));
        }
        gone
    }
}
