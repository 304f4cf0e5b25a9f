//! Numbers in as few bytes as they need, and a reader of bytes that were written so.
//!
//! A number is in LEB128: seven bits to a byte, the lowest first, and the high bit of each byte but the last one. Each
//! number has one form: one with bytes that it does not need is refused, so that what is read and written again
//! is the same bytes.

/// The most bytes of a number.
pub(crate) const MOST_BYTES: usize = 10;

/// Writes a number.
pub(crate) fn put_u64(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Writes bytes with their length before them.
pub(crate) fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// Returns how many bytes [`put_u64`] writes.
pub(crate) fn len_u64(number: u64) -> usize {
    let bits = u64::BITS - number.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

/// Reads from the front of bytes, of which it copies none. What is refused takes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Take<'a> {
        Take { rest: bytes }
    }

    /// Takes a number. `None`: the bytes end in it, it is not in its one form, or it has more than 64 bits.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for (at, byte) in self.rest.iter().take(MOST_BYTES).enumerate() {
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * at as u32;
            // Why: ten times seven is more than 64. Only the lowest bit of the tenth byte has a place.
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte of nothing could have been left out.
                if *byte == 0 && at > 0 {
                    return None;
                }
                self.rest = self.rest.get(at + 1..)?;
                return Some(number);
            }
        }
        None
    }

    /// Takes a byte.
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Takes so many bytes. `None`: there are not so many.
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes `N` bytes, for a number of fixed size.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    /// Takes bytes that have their length before them, as [`put_bytes`] writes them. `None`: one of both is not there.
    pub(crate) fn sized(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = usize::try_from(ahead.u64()?).ok()?;
        let taken = ahead.bytes(len)?;
        *self = ahead;
        Some(taken)
    }

    /// Takes all that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Returns how many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_u64(&mut bytes, number);
        bytes
    }

    #[test]
    fn a_number_has_the_bytes_it_always_had() {
        let table: [(u64, &[u8]); 7] = [
            (0, &[0]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (1 << 63, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ];
        for (number, bytes) in table {
            assert_eq!(written(number), bytes, "{number}");
        }
    }

    #[test]
    fn what_is_not_the_one_form_of_a_number_is_refused_and_takes_nothing() {
        let mut eleven = vec![0x80; 10];
        eleven.push(1);
        let mut high = vec![0xff; 9];
        high.push(0x02);
        let table: [&[u8]; 8] = [
            &[],
            &[0x80],
            &[0x80, 0x00],
            &[0x81, 0x80, 0x00],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03],
            &eleven,
            &high,
        ];
        for bytes in table {
            let mut take = Take::new(bytes);
            assert_eq!((take.u64(), take.left()), (None, bytes.len()), "{bytes:02x?}");
        }
    }

    #[test]
    fn no_length_is_believed_that_is_not_there() {
        for bytes in [&[3, 1, 2][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 7]] {
            let mut take = Take::new(bytes);
            assert_eq!((take.sized(), take.left()), (None, bytes.len()));
            assert_eq!((take.bytes(usize::MAX), take.left()), (None, bytes.len()));
            assert_eq!((take.array::<12>(), take.left()), (None, bytes.len()));
        }
        let mut take = Take::new(&[2, 7, 8, 9, 10, 11]);
        assert_eq!(
            (take.sized(), take.u8(), take.array(), take.is_empty()),
            (Some(&[7, 8][..]), Some(9), Some([10]), false)
        );
        assert_eq!((take.rest(), take.rest(), take.u8(), take.is_empty()), (&[11][..], &[][..], None, true));
    }

    proptest! {
        #[test]
        fn a_number_reads_back_and_no_other_bytes_do(number in any::<u64>(), bits in 0..64_u32, more: Vec<u8>) {
            let number = number >> bits;
            let mut bytes = written(number);
            prop_assert_eq!(bytes.len(), len_u64(number));
            bytes.extend_from_slice(&more);
            let mut take = Take::new(&bytes);
            prop_assert_eq!((take.u64(), take.rest()), (Some(number), &more[..]));
        }

        #[test]
        fn what_is_read_is_written_as_the_same_bytes(bytes: Vec<u8>) {
            let mut take = Take::new(&bytes);
            if let Some(number) = take.u64() {
                let used = bytes.len() - take.left();
                prop_assert_eq!(written(number), &bytes[..used]);
            }
            let mut take = Take::new(&bytes);
            if let Some(taken) = take.sized() {
                let mut again = Vec::new();
                put_bytes(&mut again, taken);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - take.left()]);
            }
        }
    }
}
