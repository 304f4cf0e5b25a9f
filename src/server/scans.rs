//! Where those who scan the keys are: a cursor is a number, and stands for the name of the last key that was given.
//!
//! Why not how many keys were passed, which needs no memory: whoever takes out what he is given, as most do who scan, would
//! miss as many of the next ones, and each call would count all keys before it.

use std::collections::BTreeMap;

/// Where scans go on.
#[derive(Debug, Default)]
pub(super) struct Scans {
    /// Limits: [`Scans::MOST`], [`Scans::MOST_BYTES`]; the oldest ones go first.
    places: BTreeMap<u64, Place>,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Place {
    behind: Vec<u8>,
    /// The cursor by which this one was come to. It is kept, since who got no answer asks again.
    before: Option<u64>,
}

impl Scans {
    /// The most cursors; a scan that goes on has two.
    const MOST: usize = 4096;
    /// The most bytes of names.
    const MOST_BYTES: usize = 16 << 20;

    /// The key behind which a scan goes on. `None`: there is no such cursor, or none any more.
    pub(super) fn behind(&self, cursor: u64) -> Option<&[u8]> {
        Some(&self.places.get(&cursor)?.behind)
    }

    /// The cursor by which a scan goes on behind a key; 0 begins one.
    pub(super) fn go_on(&mut self, cursor: u64, behind: &[u8]) -> u64 {
        let passed = self.places.get_mut(&cursor).and_then(|place| place.before.take());
        passed.into_iter().for_each(|passed| self.forget(passed));
        let before = Some(cursor).filter(|cursor| self.places.contains_key(cursor));
        self.last += 1;
        self.bytes += behind.len();
        self.places.insert(self.last, Place { behind: behind.to_vec(), before });
        while self.places.len() > 1
            && (self.places.len() > Scans::MOST || self.bytes > Scans::MOST_BYTES)
            && let Some((oldest, _)) = self.places.first_key_value()
        {
            self.forget(*oldest);
        }
        self.last
    }

    fn forget(&mut self, cursor: u64) {
        if let Some(place) = self.places.remove(&cursor) {
            self.bytes -= place.behind.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_goes_on_and_holds_two_places() {
        let mut scans = Scans::default();
        let (mut cursor, other) = (0, scans.go_on(0, b"other"));
        for key in 0..1000_u32 {
            let next = scans.go_on(cursor, &key.to_be_bytes());
            assert_eq!(scans.behind(next), Some(&key.to_be_bytes()[..]));
            // Who asks again gets the same.
            assert_eq!(scans.behind(cursor).is_some(), cursor > 0);
            cursor = next;
        }
        assert_eq!(
            (scans.places.len(), scans.behind(other), scans.behind(0)),
            (3, Some(&b"other"[..]), None)
        );
    }

    #[test]
    fn scans_that_were_left_take_no_more_than_they_may() {
        let mut scans = Scans::default();
        (0..3 * Scans::MOST).for_each(|_| _ = scans.go_on(0, b"key"));
        assert_eq!((scans.places.len(), scans.bytes), (Scans::MOST, 3 * Scans::MOST));
        let cursor = scans.go_on(0, &vec![0; 2 * Scans::MOST_BYTES]);
        assert_eq!((scans.places.len(), scans.behind(cursor).is_some()), (1, true));
    }
}
