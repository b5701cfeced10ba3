//! Where expressions are compared: fixed points at several scales, irregular so that no formula is special at them.

/// Centres of the coarse points.
const SCALES: [f64; 15] =
    [0.011, 0.05, 0.13, 0.31, 0.57, 0.83, 1.1, 1.7, 2.3, 3.1, 4.7, 7.9, 13.0, 29.0, 61.0];
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
