//! The one source of chance.

/// Draws numbers from a seed: splitmix64, whose streams for neighbouring seeds have nothing in common.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

/// 2^64 divided by the golden ratio, odd: adding it again and again visits every number once.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng {
    /// Starts the stream `stream` of `seed`; two streams of one seed don't disturb each other.
    pub(super) fn new(seed: u64, stream: u64) -> Rng {
        Rng(mix(seed.wrapping_add(mix(stream.wrapping_add(STRIDE)))))
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STRIDE);
        mix(self.0)
    }

    /// Draws a number below `end`, or 0 if `end` is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // Why a product instead of a remainder: no division, and the same bias of less than end / 2^64.
        let product = u128::from(self.draw()) * end as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }
}

/// Spreads every bit of `x` over the whole number, and takes no two numbers to the same one.
pub(super) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draws_are_those_of_splitmix64() {
        // The first three draws from state 1234567, as the algorithm's reference implementation gives them.
        let mut rng = Rng(1_234_567);
        assert_eq!(
            [rng.draw(), rng.draw(), rng.draw()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn every_number_below_the_end_is_drawn_about_as_often() {
        let mut rng = Rng::new(7, 0);
        let mut counts = [0_u32; 5];
        (0..10_000).for_each(|_| counts[rng.below(5)] += 1);
        assert!(counts.iter().all(|count| (1_800..2_200).contains(count)), "{counts:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn seeds_and_streams_that_are_neighbours_draw_apart() {
        let firsts: std::collections::BTreeSet<u64> =
            (0..100).flat_map(|seed| (0..3).map(move |stream| Rng::new(seed, stream).draw())).collect();
        assert_eq!(firsts.len(), 300);
    }
}
