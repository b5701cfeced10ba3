//! Random choices of the generators. They are made of whole numbers only, so that every platform draws the same.

use rand_pcg::Pcg64Mcg;

use crate::random::below;

/// Whether an event of `percent` in a hundred happens.
pub(super) fn chance(rng: &mut Pcg64Mcg, percent: usize) -> bool {
    below(rng, 100) < percent
}

/// One of `choices`, of which there is at least one.
pub(super) fn pick<T: Copy>(rng: &mut Pcg64Mcg, choices: &[T]) -> T {
    choices[below(rng, choices.len())]
}

/// An integer from 1 to `largest` (above 0): the smaller of two uniform ones, so that 1 is the likeliest.
pub(super) fn small(rng: &mut Pcg64Mcg, largest: usize) -> i64 {
    (1 + below(rng, largest).min(below(rng, largest))) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_common_and_large_ones_rare() {
        let mut rng = Pcg64Mcg::new(7);
        let mut counts = [0; 9];
        for _ in 0..8100 {
            counts[small(&mut rng, 9) as usize - 1] += 1;
        }
        // 2 (9 - n) + 1 of 81 chances are for n: 1700 for 1 and 100 for 9; five standard deviations are 180 and 50.
        assert!((1520..1880).contains(&counts[0]) && (50..150).contains(&counts[8]), "{counts:?}");
    }
}
