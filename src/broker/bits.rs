//! Sets of indices into one batch.

use super::message::BATCH;

/// A set of indices into one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits([u64; BATCH / 64]);

impl Bits {
    /// The indices `from..to`.
    pub(crate) fn range(from: u16, to: u16) -> Bits {
        let mut bits = Bits::default();
        for (word, at) in bits.0.iter_mut().zip((0u16..).step_by(64)) {
            let (low, high) = (from.clamp(at, at + 64) - at, to.clamp(at, at + 64) - at);
            if low < high {
                let ones = if high - low == 64 { u64::MAX } else { (1 << (high - low)) - 1 };
                *word = ones << low;
            }
        }
        bits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; BATCH / 64]
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub(crate) fn without(self, other: Bits) -> Bits {
        self.zip(other, |mine, theirs| mine & !theirs)
    }

    pub(crate) fn and(self, other: Bits) -> Bits {
        self.zip(other, |mine, theirs| mine & theirs)
    }

    pub(crate) fn with(self, other: Bits) -> Bits {
        self.zip(other, |mine, theirs| mine | theirs)
    }

    fn zip(self, other: Bits, f: impl Fn(u64, u64) -> u64) -> Bits {
        let mut bits = self;
        for (mine, theirs) in bits.0.iter_mut().zip(other.0) {
            *mine = f(*mine, theirs);
        }
        bits
    }

    pub(crate) fn has(&self, index: u16) -> bool {
        self.first(index, 0) == Some(index)
    }

    pub(crate) fn insert(&mut self, index: u16) {
        if let Some(word) = self.0.get_mut(usize::from(index / 64)) {
            *word |= 1 << (index % 64);
        }
    }

    /// One more than the last index; 0 if there is none.
    pub(crate) fn end(&self) -> u16 {
        let ends = (0u16..).step_by(64).zip(self.0).filter(|(_, word)| *word != 0);
        ends.last().map_or(0, |(base, word)| base + 64 - u16::try_from(word.leading_zeros()).unwrap_or(64))
    }

    /// The indices, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u16> {
        self.runs().flat_map(|(from, to)| from..to)
    }

    /// The maximal runs of neighbouring indices, in order.
    pub(crate) fn runs(self) -> impl Iterator<Item = (u16, u16)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let from = self.first(at, 0)?;
            let to = self.first(from, u64::MAX).unwrap_or(BATCH as u16);
            at = to;
            Some((from, to))
        })
    }

    /// The first index from `at` on that is in the set; with all ones in `flip`, the first that is not.
    pub(crate) fn first(&self, at: u16, flip: u64) -> Option<u16> {
        self.0.iter().zip((0u16..).step_by(64)).find_map(|(word, base)| {
            let before = u32::from(at.saturating_sub(base));
            let rest = (word ^ flip) & u64::MAX.checked_shl(before).unwrap_or(0);
            let at = u16::try_from(rest.trailing_zeros()).unwrap_or(64);
            (rest != 0).then_some(base + at)
        })
    }
}
