//! Messages that are to be past their time, by when that is. Pure.
//!
//! A topic's time is the same for all messages of a batch, so they are kept together; one that was given a shorter time of
//! its own is kept apart too. Why not only a look at the oldest one: it may be one that has no time, as what was redriven.
//! A topic where nothing has a time pays a look at a flag for each batch.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::bits::Bits;
use super::ledger::Slice;
use super::order::BatchHandle;
use crate::base::Moment;

/// Messages with a time, of those that somebody has waiting.
///
/// Limit: whoever adds one takes it out as it leaves, so there are no more of them than places.
pub(crate) struct Ttls<B>(BTreeMap<Place, Timed<B>>);

/// Some of one batch whose time is over at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed<B> {
    pub(crate) batch: B,
    pub(crate) base: u64,
    pub(crate) which: Bits,
}

/// The moment, and where they begin. Their own times are before their batch's, so that no two are the same.
type Place = (Moment, u64);

impl<B> Default for Ttls<B> {
    fn default() -> Ttls<B> {
        Ttls(BTreeMap::new())
    }
}

impl<B: Clone + BatchHandle> Ttls<B> {
    /// These wait from now on; without effect on those that do already.
    #[inline]
    pub(crate) fn add(&mut self, slice: &Slice<B>) {
        let Slice { batch, base, .. } = slice;
        if has_times(batch) {
            self.each(slice, |this, place, which| {
                let new = || Timed { batch: batch.clone(), base: *base, which };
                let there = this.0.entry(place).or_insert_with(new);
                there.which = there.which.with(which);
            });
        }
    }

    /// These don't wait any more.
    #[inline]
    pub(crate) fn remove(&mut self, slice: &Slice<B>) {
        if !self.0.is_empty() && has_times(&slice.batch) {
            self.each(slice, |this, place, which| {
                if let Entry::Occupied(mut there) = this.0.entry(place) {
                    there.get_mut().which = there.get().which.without(which);
                    if there.get().which.is_empty() {
                        there.remove();
                    }
                }
            });
        }
    }

    #[cold]
    fn each(&mut self, slice: &Slice<B>, change: impl Fn(&mut Ttls<B>, Place, Bits)) {
        let (Slice { batch, base, .. }, which) = (slice, slice.bits());
        let expires = batch.expires();
        if let Some(at) = expires {
            change(self, (at, *base), which);
        }
        for index in which.iter().filter(|_| batch.has_own_times()) {
            if let Some(at) = batch.own_time(index).filter(|own| expires.is_none_or(|at| *own < at)) {
                change(self, (at, base + u64::from(index)), Bits::range(index, index + 1));
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

    /// Takes those out whose time is over, of one batch.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<Timed<B>> {
        let first = self.0.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

/// Whether some of its messages have a time; else none of them is kept here.
fn has_times(batch: &impl BatchHandle) -> bool {
    batch.expires().is_some() || batch.has_own_times()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch whose messages have these times, and all together one more, if it is not 0.
    #[derive(Clone, Debug, PartialEq)]
    struct Times(&'static [u64], u64);

    fn at(nanos: u64) -> Option<Moment> {
        (nanos > 0).then(|| Moment::from_nanos(nanos))
    }

    impl BatchHandle for Times {
        fn key(&self, _index: u16) -> crate::broker::KeyHash {
            crate::broker::KeyHash::default()
        }

        fn expires(&self) -> Option<Moment> {
            at(self.1)
        }

        fn has_own_times(&self) -> bool {
            !self.0.is_empty()
        }

        fn own_time(&self, index: u16) -> Option<Moment> {
            self.0.get(usize::from(index)).and_then(|nanos| at(*nanos))
        }
    }

    fn due(ttls: &mut Ttls<Times>) -> Vec<u64> {
        let due = |one: Timed<Times>| one.which.iter().map(move |at| one.base + u64::from(at));
        std::iter::from_fn(|| ttls.take_due(Moment::from_nanos(30))).flat_map(due).collect()
    }

    #[test]
    fn the_first_whose_time_is_over_comes_first_and_what_left_does_not_come() {
        let (mut ttls, batch) = (Ttls::default(), Times(&[0, 30, 10, 20], 0));
        ttls.add(&Slice::new(batch.clone(), 100, 0, 4));
        ttls.add(&Slice::new(batch.clone(), 100, 2, 3));
        ttls.add(&Slice::new(Times(&[], 0), 104, 0, 4));
        ttls.remove(&Slice::new(batch.clone(), 100, 3, 4));
        assert_eq!(ttls.first(), Some(Moment::from_nanos(10)));
        assert_eq!(ttls.take_due(Moment::from_nanos(9)), None);
        assert_eq!(due(&mut ttls), [102, 101]);
        assert!(ttls.0.is_empty());
    }

    #[test]
    fn those_of_a_batch_come_together_and_each_at_the_shorter_of_its_times() {
        let (mut ttls, batch) = (Ttls::default(), Times(&[20, 5, 0, 40, 0], 20));
        ttls.add(&Slice::new(batch.clone(), 100, 0, 5));
        ttls.remove(&Slice::new(batch.clone(), 100, 2, 3));
        assert_eq!(ttls.0.len(), 2);
        assert_eq!(due(&mut ttls), [101, 100, 101, 103, 104], "whoever takes it out takes it out everywhere");
        ttls.add(&Slice::new(batch.clone(), 100, 0, 5));
        ttls.remove(&Slice::new(batch.clone(), 100, 0, 3));
        ttls.remove(&Slice::new(batch.clone(), 100, 3, 5));
        assert!(ttls.0.is_empty());
    }
}
