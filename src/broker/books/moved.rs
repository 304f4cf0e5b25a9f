//! Groups that begin anew in books that go on, and what is shown of the books to those who only look.

use super::{Books, GroupId, Live};
use crate::broker::bits::Bits;
use crate::broker::weight::Weighed;

impl<B: Clone + Weighed> Books<B> {
    /// A group begins anew: it has those open that `wants` picks from what is kept, and nothing else. Returns these, and how many
    /// places are free.
    pub(crate) fn on_seek(
        &mut self,
        group: GroupId,
        wants: impl Fn(&B, u64, Bits) -> Bits,
    ) -> (Vec<(B, Bits)>, u64) {
        let Some(at) = self.position(group) else { return (Vec::new(), 0) };
        let (mut handout, mut count, mut left) = (Vec::new(), 0, Vec::new());
        for (base, live) in &mut self.live {
            let open = wants(&live.batch, *base, live.kept).and(live.kept);
            let Some(its) = live.open.get_mut(at) else { continue };
            left.push((*base, its.without(open)));
            *its = open;
            if !open.is_empty() {
                count += open.count();
                handout.push((live.batch.clone(), open));
            }
        }
        if let Some(account) = self.groups.get_mut(at) {
            account.open = count;
        }
        let freed = left.into_iter().map(|(base, left)| self.free(base, left)).sum();
        (handout, freed)
    }

    /// The batch that has the offset `at`, or the first one behind it, and what is kept of it.
    pub(crate) fn kept_at(&self, at: u64) -> Option<(B, Bits)> {
        let has = |(base, live): &(&u64, &Live<B>)| **base + u64::from(live.len) > at;
        let before = self.live.range(..=at).next_back().filter(has);
        let (_, live) = before.or_else(|| self.live.range(at..).next())?;
        Some((live.batch.clone(), live.kept))
    }

    /// The last batch that begins before `upto`, and what is kept of it.
    pub(crate) fn kept_before(&self, upto: u64) -> Option<(B, Bits)> {
        let (_, live) = self.live.range(..upto).next_back()?;
        Some((live.batch.clone(), live.kept))
    }
}
