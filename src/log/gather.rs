//! What is written in one go: small pieces copied together, and large ones from where they are. Pure.

use super::frame::{self, Header, frame_len};

/// A body of so many bytes is not copied.
const LARGE: usize = 8 << 10;

/// Frames, one behind the other, on their way into a file.
pub(crate) struct Gather<'a> {
    /// All bytes but those of large bodies,
    small: Vec<u8>,
    /// each of which comes behind so many of the others.
    large: Vec<(usize, &'a [u8])>,
    len: usize,
}

impl<'a> Gather<'a> {
    /// Nothing yet; `small` is what it collects in, for what it has room for.
    pub(crate) fn new(mut small: Vec<u8>) -> Gather<'a> {
        small.clear();
        Gather { small, large: Vec::new(), len: 0 }
    }

    /// The bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a frame.
    pub(crate) fn push(&mut self, header: &Header, body: &[u8], seed: u32) {
        frame::push(&mut self.small, header, body, seed);
        self.len += frame_len(body.len());
    }

    /// Adds a frame whose body stays where it is, if it is large.
    pub(crate) fn push_lent(&mut self, header: &Header, body: &'a [u8], seed: u32) {
        if body.len() < LARGE {
            return self.push(header, body, seed);
        }
        frame::push_head(&mut self.small, header, body, seed);
        self.large.push((self.small.len(), body));
        frame::push_end(&mut self.small, body.len());
        self.len += frame_len(body.len());
    }

    /// The bytes, in pieces that are to be written one behind the other.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.large.iter().map(|(at, body)| (*at, *body)).chain([(self.small.len(), &[][..])]);
        let starts = [0].into_iter().chain(self.large.iter().map(|(at, _)| *at));
        let small = |from: usize, to: usize| self.small.get(from..to).unwrap_or_default();
        let pieces = starts.zip(ends).flat_map(move |(from, (to, body))| [small(from, to), body]);
        pieces.filter(|piece| !piece.is_empty())
    }

    /// What it collected in, to be used again.
    pub(crate) fn into_small(self) -> Vec<u8> {
        self.small
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::frame::Kind;

    proptest! {
        #[test]
        fn lent_or_copied_the_bytes_are_the_same(lens in proptest::collection::vec(0usize..3 * LARGE, 0..8), seed: u32) {
            let bodies: Vec<Vec<u8>> = lens.iter().map(|len| vec![*len as u8; *len]).collect();
            let (mut lent, mut copied) = (Gather::new(vec![1; 5]), Vec::new());
            for (lsn, body) in (0..).zip(&bodies) {
                let header = Header { lsn, ..Header::new(Kind::Data) };
                lent.push_lent(&header, body, seed);
                frame::push(&mut copied, &header, body, seed);
                prop_assert_eq!(lent.len(), copied.len());
            }
            prop_assert_eq!(lent.pieces().collect::<Vec<_>>().concat(), copied);
            let large = lens.iter().filter(|len| **len >= LARGE).count();
            prop_assert!(lent.pieces().count() >= large);
        }
    }
}
