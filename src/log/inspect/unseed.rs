//! CRC-32C backwards: the seed under which a frame's checksum is right. Pure.
//!
//! A checksum's register is shuffled by each byte in a way that can be undone, so from the sum and the bytes follows what
//! it began with. A slot whose first page is damaged has lost its seed: if two of its frames agree on one, that is it. And
//! of a frame that is damaged it makes one that can be taken apart: its header is what it claims to be, without proof.

/// The polynomial of CRC-32C, reflected.
const POLY: u32 = 0x82f6_3b78;
const TABLE: [u32; 256] = table();
const BACK: [u8; 256] = back();

#[expect(
    clippy::indexing_slicing,
    reason = "it runs when it is compiled, where going over the edge is an error"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut value, mut bit) = (at as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLY } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

/// Which entry of the table has this highest byte: each has one of its own.
#[expect(
    clippy::indexing_slicing,
    reason = "it runs when it is compiled, where going over the edge is an error"
)]
const fn back() -> [u8; 256] {
    let mut back = [0; 256];
    let mut at = 0;
    while at < 256 {
        back[(TABLE[at] >> 24) as usize] = at as u8;
        at += 1;
    }
    back
}

/// The seed with which the checksum of `bytes` is `sum`.
pub(crate) fn seed_of(bytes: &[u8], sum: u32) -> u32 {
    let mut register = !sum;
    for byte in bytes.iter().rev() {
        let index = BACK.get((register >> 24) as usize).copied().unwrap_or(0);
        let entry = TABLE.get(usize::from(index)).copied().unwrap_or(0);
        register = ((register ^ entry) << 8) | u32::from(index ^ byte);
    }
    !register
}

#[cfg(test)]
mod tests {
    use crc32c::crc32c_append;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_seed_follows_from_the_sum(seed: u32, bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(seed_of(&bytes, crc32c_append(seed, &bytes)), seed);
        }
    }
}
