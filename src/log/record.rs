//! Records: the messages of a data frame, one behind the other. Pure.
//!
//! ```text
//!  flags  millis since the frame's  [seq]  [key len, key]  body len  body        numbers are varints
//! ```

use crate::base::varint::{Take, len_u64, put_bytes, put_u64};

const SEQ: u64 = 1;
const KEY: u64 = 2;
/// What the numbers of a record have at most.
const MOST_NUMBERS: usize = 5 * 10;
/// Records of so many bytes are a frame of their own.
const FRAME: usize = 32 << 10;

/// One message, as the log knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Milliseconds since 1970, not less than those of the record before it.
    pub(crate) millis: u64,
    /// The second part of an id that was given by name; else it is the offset.
    pub(crate) seq: Option<u64>,
    /// What repeats are known by.
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
}

/// Records on their way into the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    count: u32,
    first: u64,
    last: u64,
    keys: bool,
}

impl Records {
    /// Adds one. Milliseconds that go back are taken for those of the record before.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        if self.count == 0 {
            self.first = record.millis;
        }
        self.last = self.last.max(record.millis).max(self.first);
        self.count += 1;
        self.keys |= record.key.is_some();
        let out = &mut self.bytes;
        let flags = if record.seq.is_some() { SEQ } else { 0 } | if record.key.is_some() { KEY } else { 0 };
        // Why at once: growing by and by copies what is large twice.
        out.reserve(record.body.len() + record.key.map_or(0, <[u8]>::len) + MOST_NUMBERS);
        put_u64(out, flags);
        put_u64(out, self.last - self.first);
        if let Some(seq) = record.seq {
            put_u64(out, seq);
        }
        if let Some(key) = record.key {
            put_bytes(out, key);
        }
        put_bytes(out, record.body);
    }

    /// Whether `other` may go into a frame with these: many small ones are one frame, and large ones are not copied for that.
    pub(crate) fn joins(&self, other: &Records) -> bool {
        self.bytes.len() + other.bytes.len() <= FRAME
    }

    /// Adds those of `other` behind these.
    pub(crate) fn append(&mut self, other: Records) {
        if self.count == 0 {
            *self = other;
            return;
        }
        for record in other.iter() {
            self.push(&record);
        }
    }

    /// How many bytes more others have at most behind these than by themselves: their milliseconds count from the first's.
    pub(crate) fn growth(&self, other: &Records) -> usize {
        let most = self.last.max(other.last).saturating_sub(self.first);
        (len_u64(most) - 1) * other.count as usize
    }

    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter::new(&self.bytes, self.first, self.count)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn first_millis(&self) -> u64 {
        self.first
    }

    /// Whether some record has a dedup key.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys
    }
}

/// The records of a data frame's body. Ends early, with [`Iter::is_whole`] false, at what is none.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    take: Take<'a>,
    millis: u64,
    left: u32,
    broken: bool,
}

impl<'a> Iter<'a> {
    pub(crate) fn new(body: &'a [u8], millis: u64, count: u32) -> Iter<'a> {
        Iter { take: Take::new(body), millis, left: count, broken: false }
    }

    /// Whether all that there should be was there, and nothing else.
    pub(crate) fn is_whole(&self) -> bool {
        self.left == 0 && !self.broken && self.take.is_empty()
    }

    /// Whether the bytes end here, behind a whole record or before the first.
    pub(crate) fn is_at_end(&self) -> bool {
        !self.broken && self.take.is_empty()
    }

    fn read(&mut self) -> Option<Record<'a>> {
        let flags = self.take.u64().filter(|flags| *flags <= SEQ | KEY)?;
        let millis = self.millis.checked_add(self.take.u64()?)?;
        let seq = if flags & SEQ != 0 { Some(self.take.u64()?) } else { None };
        let key = if flags & KEY != 0 { Some(self.take.sized()?) } else { None };
        Some(Record { millis, seq, key, body: self.take.sized()? })
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Record<'a>;
    fn next(&mut self) -> Option<Record<'a>> {
        if self.left == 0 || self.broken {
            return None;
        }
        self.left -= 1;
        let record = self.read();
        self.broken = record.is_none();
        record
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_are_written_as_they_always_were() {
        let mut records = Records::default();
        records.push(&Record { millis: 1000, seq: None, key: None, body: b"ab" });
        records.push(&Record { millis: 1300, seq: Some(5), key: Some(b"k"), body: b"" });
        assert_eq!(records.bytes(), [0, 0, 2, b'a', b'b', 3, 0xac, 2, 5, 1, b'k', 0]);
    }

    #[test]
    fn a_clock_that_goes_back_stands_still_here() {
        let mut records = Records::default();
        for millis in [10, 5, 12] {
            records.push(&Record { millis, seq: None, key: None, body: b"" });
        }
        assert_eq!(records.iter().map(|record| record.millis).collect::<Vec<_>>(), [10, 10, 12]);
    }

    type Parts = (u64, Option<u64>, Option<Vec<u8>>, Vec<u8>);

    fn part() -> impl Strategy<Value = Parts> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
        (0..1u64 << 50, any::<Option<u64>>(), proptest::option::of(bytes()), bytes())
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_read(mut parts in proptest::collection::vec(part(), 0..20), cut in 0usize..20) {
            parts.sort();
            let record = |(millis, seq, key, body): &Parts| -> Record<'static> {
                let leak = |bytes: &[u8]| &*bytes.to_vec().leak();
                Record { millis: *millis, seq: *seq, key: key.as_deref().map(leak), body: leak(body) }
            };
            let all: Vec<Record<'_>> = parts.iter().map(record).collect();
            let [mut records, mut rest] = [Records::default(), Records::default()];
            let cut = cut.min(all.len());
            all[..cut].iter().for_each(|record| records.push(record));
            all[cut..].iter().for_each(|record| rest.push(record));
            let most = records.bytes().len() + rest.bytes().len() + records.growth(&rest);
            records.append(rest);
            prop_assert_eq!(records.count() as usize, all.len());
            prop_assert!(records.bytes().len() <= most);
            let mut iter = records.iter();
            prop_assert_eq!(iter.by_ref().collect::<Vec<_>>(), all);
            prop_assert!(iter.is_whole());
            for len in 0..records.bytes().len() {
                let mut cut = Iter::new(&records.bytes()[..len], records.first_millis(), records.count());
                let _ = cut.by_ref().count();
                prop_assert!(!cut.is_whole());
            }
        }

        #[test]
        fn noise_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..100), count: u32) {
            let _ = Iter::new(&bytes, 7, count).count();
        }
    }
}
