//! Seeded random numbers that are the same on every platform.
//!
//! Every purpose draws from its own stream ([`stream`]), so that drawing more for one never shifts another.

use rand::Rng;
use rand_pcg::Pcg64Mcg;

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The stream of `seed` for one purpose, named by a list of words (for example a tag and an index).
/// Different lists give unrelated streams.
pub fn stream(seed: u64, purpose: &[u64]) -> Pcg64Mcg {
    let (mut low, mut high) = (mix(seed), mix(!seed));
    for &word in purpose {
        low = mix(low ^ word);
        high = mix(high ^ word.rotate_left(32));
    }
    Pcg64Mcg::new(u128::from(low) | (u128::from(high) << 64))
}

/// A uniform integer in `0..n` (`n` > 0), by the high half of a 64 x 64 bit product; its bias is below n / 2^64.
pub fn below(rng: &mut Pcg64Mcg, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A uniform number in `[0, 1)` with 53 random bits.
pub fn uniform(rng: &mut Pcg64Mcg) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Puts `items` in random order (Fisher-Yates).
pub fn shuffle<T>(rng: &mut Pcg64Mcg, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last + 1));
    }
}

/// A random permutation of `0..n`.
pub fn permutation(rng: &mut Pcg64Mcg, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(rng, &mut order);
    order
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_and_by_purpose() {
        let first = |seed, purpose: &[u64]| stream(seed, purpose).next_u64();
        let draws = [
            first(0, &[]),
            first(1, &[]),
            first(0, &[0]),
            first(0, &[1]),
            first(0, &[0, 0]),
            first(0, &[1, 0]),
        ];
        let distinct: std::collections::BTreeSet<u64> = draws.into_iter().collect();
        assert_eq!(distinct.len(), draws.len());
        assert_eq!(first(5, &[6]), first(5, &[6]));
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = stream(3, &[]);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7)] += 1;
        }
        // Six standard deviations of a binomial with n = 70,000 and p = 1/7 are 556.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 556), "{counts:?}");
    }

    #[test]
    fn a_permutation_holds_everything_once() {
        let mut order = permutation(&mut stream(11, &[]), 1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
        assert_eq!(permutation(&mut stream(1, &[]), 0), Vec::<usize>::new());
    }
}
