//! Where expressions are compared: fixed points at several scales, irregular so that no formula is special at them, and points
//! drawn from a hash, which whoever writes an answer cannot avoid.

/// Centres of the coarse points.
const SCALES: [f64; 15] =
    [0.011, 0.05, 0.13, 0.31, 0.57, 0.83, 1.1, 1.7, 2.3, 3.1, 4.7, 7.9, 13.0, 29.0, 61.0];
/// Sizes far from those, for terms that matter only there.
const FAR: [f64; 10] = [1.3e-9, 2.9e-6, 4.1e-4, 130.0, 270.0, 710.0, 3.3e3, 4.7e4, 5.9e6, 8.3e9];
/// Fraction of the golden ratio: its multiples are spread evenly over [0, 1).
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// About sixty points of both signs with sizes from 0.01 to 80, evaluated first.
pub(in crate::task) fn coarse_points() -> impl Iterator<Item = f64> {
    (0..4 * SCALES.len()).map(|i| {
        let size = SCALES[i / 4] * (1.0 + 0.3 * (i as f64 * GOLDEN).fract());
        if i % 2 == 0 { size } else { -size }
    })
}

/// About a thousand points for narrow domains: evenly over [-12, 12], and of both signs over seven decades.
pub(in crate::task) fn dense_points() -> impl Iterator<Item = f64> {
    let even = (0..600).map(|i| -12.0 + 0.04 * (f64::from(i) + (f64::from(i) * GOLDEN).fract()));
    // Powers of 1.04 by multiplication, so that every platform has the same points.
    let sizes = std::iter::successors(Some(1.0e-4), |size| Some(size * 1.04)).take(440);
    let decades = sizes.flat_map(|size| [size, -1.013 * size]);
    even.chain(decades)
}

/// Fifty points of both signs, half as far to twice as far from zero as a scale, by a generator that starts at `seed`.
pub(in crate::task) fn drawn_points(mut seed: u64) -> impl Iterator<Item = f64> {
    SCALES.into_iter().chain(FAR).flat_map(|scale| [scale, -scale]).map(move |scale| {
        seed = mixed(seed);
        // The upper bits as a fraction in [0, 1).
        scale * (0.5 + 1.5 * (seed >> 11) as f64 / (1u64 << 53) as f64)
    })
}

/// A hash of texts (FNV-1a, 64 bits), the same on every platform.
pub(in crate::task) fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The next state of SplitMix64, as its output (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*).
fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_points_differ_with_the_texts_and_stay_the_same() {
        let points = |texts: [&str; 2]| drawn_points(hash(texts)).collect::<Vec<_>>();
        let one = points(["2*x", "x^2"]);
        assert_eq!(one, points(["2*x", "x^2"]));
        for other in [["2*x", "x^2+1"], ["2*xx", "^2"]] {
            assert!(points(other).iter().zip(&one).all(|(a, b)| a != b));
        }
        assert_eq!(one.len(), 50);
        assert!(one.iter().any(|x| x.abs() < 1e-8) && one.iter().any(|x| x.abs() > 1e9));
    }
}
