//! Messages that have a time of their own, by when it is over. Pure.
//!
//! A topic's own time is the same for all its messages, so the oldest is always the first that is past it. Beside that, a
//! message may be given a shorter one, and then is past it while older ones are not. Only those are kept here, so a topic
//! where nobody does that pays a look at a flag for each batch.

use std::collections::BTreeMap;

use super::ledger::Slice;
use super::order::BatchHandle;
use crate::base::Moment;

/// Messages with a time of their own, of those that somebody has waiting.
///
/// Limit: whoever adds one takes it out as it leaves, so there are no more of them than places.
pub(crate) struct Ttls<B>(BTreeMap<(Moment, u64), Timed<B>>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed<B> {
    pub(crate) batch: B,
    pub(crate) base: u64,
    pub(crate) index: u16,
}

impl<B> Default for Ttls<B> {
    fn default() -> Ttls<B> {
        Ttls(BTreeMap::new())
    }
}

impl<B: Clone + BatchHandle> Ttls<B> {
    /// These wait from now on; without effect on those that do already.
    #[inline]
    pub(crate) fn add(&mut self, slice: &Slice<B>) {
        if slice.batch.has_own_times() {
            self.each(slice, |this, key, one| _ = this.0.insert(key, one));
        }
    }

    /// These don't wait any more.
    #[inline]
    pub(crate) fn remove(&mut self, slice: &Slice<B>) {
        if !self.0.is_empty() && slice.batch.has_own_times() {
            self.each(slice, |this, key, _| _ = this.0.remove(&key));
        }
    }

    #[cold]
    fn each(&mut self, slice: &Slice<B>, change: impl Fn(&mut Ttls<B>, (Moment, u64), Timed<B>)) {
        let Slice { batch, base, .. } = slice;
        for index in slice.bits().iter() {
            if let Some(at) = batch.own_time(index) {
                let one = Timed { batch: batch.clone(), base: *base, index };
                change(self, (at, base + u64::from(index)), one);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// When the first one's time is over.
    pub(crate) fn first(&self) -> Option<Moment> {
        self.0.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes one out whose time is over.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<Timed<B>> {
        let first = self.0.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch whose messages have these times.
    #[derive(Clone, Debug, PartialEq)]
    struct Times(&'static [u64]);

    impl BatchHandle for Times {
        fn key(&self, _index: u16) -> crate::broker::KeyHash {
            crate::broker::KeyHash::default()
        }

        fn has_own_times(&self) -> bool {
            !self.0.is_empty()
        }

        fn own_time(&self, index: u16) -> Option<Moment> {
            self.0.get(usize::from(index)).filter(|at| **at > 0).map(|at| Moment::from_nanos(*at))
        }
    }

    #[test]
    fn the_first_whose_time_is_over_comes_first_and_what_left_does_not_come() {
        let (mut ttls, batch) = (Ttls::default(), Times(&[0, 30, 10, 20]));
        ttls.add(&Slice::new(batch.clone(), 100, 0, 4));
        ttls.add(&Slice::new(batch.clone(), 100, 2, 3));
        ttls.add(&Slice::new(Times(&[]), 104, 0, 4));
        ttls.remove(&Slice::new(batch, 100, 3, 4));
        assert_eq!(ttls.first(), Some(Moment::from_nanos(10)));
        assert_eq!(ttls.take_due(Moment::from_nanos(9)), None);
        let mut next = || ttls.take_due(Moment::from_nanos(30)).map(|one| one.base + u64::from(one.index));
        assert_eq!([next(), next(), next()], [Some(102), Some(101), None]);
    }
}
