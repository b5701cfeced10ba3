//! Blocks of 256 values with two levels of scales, with the bits of ggml's reference (`ggml-quants.c`, `quantize_row_q4_K_ref` and
//! `quantize_row_q6_K_ref`): scales that make the weighted squared error small are searched among a few. Sums are taken in its
//! order. A group whose scale is rounded away keeps the integers of its own.

use half::f16;

/// Values of a block.
const BLOCK: usize = 256;

/// Sizes below this are taken for zero.
const TINY: f32 = 1e-15;

/// The nearest whole number from `least` to `most`, even at halves.
fn nearest(value: f32, least: f32, most: f32) -> f32 {
    value.round_ties_even().clamp(least, most)
}

/// Adds a block of Q4_K; `false` if a scale is beyond f16.
pub(super) fn q4_k(block: &[f32; BLOCK], out: &mut Vec<u8>) -> bool {
    let groups = block.as_chunks::<32>().0;
    let mut fits = Vec::with_capacity(8);
    for group in groups {
        let square = group.iter().fold(0f32, |sum, value| sum + value * value);
        let mean = (square / 32.0).sqrt();
        fits.push(affine(group, &group.map(|value| mean + value.abs())));
    }
    let largest = |side: usize| fits.iter().fold(0f32, |most, (fit, _)| most.max(fit[side]));
    let [scale, min] = [largest(0), largest(1)];
    let share = |most: f32| if most > 0.0 { 63.0 / most } else { 0.0 };
    let [of_scale, of_min] = [share(scale), share(min)];
    let level = |value: f32| nearest(value, 0.0, 63.0) as u8;
    let levels = |(fit, _): &([f32; 2], [f32; 32])| [level(of_scale * fit[0]), level(of_min * fit[1])];
    let levels: Vec<[u8; 2]> = fits.iter().map(levels).collect();

    let halves = [scale / 63.0, min / 63.0].map(f16::from_f32);
    halves.iter().for_each(|half| out.extend(half.to_le_bytes()));
    // 6 bits each: those of the last four groups are split.
    let low = |side: usize| (0..4).map(move |j| (j, side));
    let first = low(0).chain(low(1)).map(|(j, side)| levels[j][side] | levels[j + 4][side] >> 4 << 6);
    out.extend(first);
    out.extend(levels[4..].iter().map(|[scale, min]| scale & 15 | (min & 15) << 4));

    let [d, least] = halves.map(f16::to_f32);
    let mut q = [0u8; BLOCK];
    for ((q, group), ([scale, min], (_, own))) in
        q.as_chunks_mut::<32>().0.iter_mut().zip(groups).zip(levels.iter().zip(&fits))
    {
        let (scale, min) = (d * f32::from(*scale), least * f32::from(*min));
        let integers =
            if scale == 0.0 { *own } else { group.map(|value| nearest((value + min) / scale, 0.0, 15.0)) };
        *q = integers.map(|q| q as u8);
    }
    for pair in q.as_chunks::<64>().0 {
        out.extend((0..32).map(|i| pair[i] | pair[i + 32] << 4));
    }
    halves.iter().all(|half| half.is_finite())
}

/// Scale and negated constant, of which `scale·q - constant` with q in 0..15 is near `values`: the straight fits of 21 roundings
/// are tried, and the constant is never below zero. With them the integers.
fn affine(values: &[f32; 32], weights: &[f32; 32]) -> ([f32; 2], [f32; 32]) {
    const STEPS: f32 = 15.0;
    let (mut low, mut high) = (values[0], values[0]);
    let (mut sum, mut sum_x) = (weights[0], weights[0] * values[0]);
    for (&value, &weight) in values.iter().zip(weights).skip(1) {
        (low, high) = (if value < low { value } else { low }, if value > high { value } else { high });
        sum += weight;
        sum_x += weight * value;
    }
    low = low.min(0.0);
    if high == low {
        return ([0.0, -low], [0.0; 32]);
    }
    let rounded = |factor: f32, low: f32| values.map(|value| nearest(factor * (value - low), 0.0, STEPS));
    let error = |q: &[f32; 32], scale: f32, min: f32| {
        (0..32).fold(0f32, |error, i| {
            let difference = scale * q[i] + min - values[i];
            error + weights[i] * (difference * difference)
        })
    };
    let factor = STEPS / (high - low);
    let (mut best, mut integers) = ([1.0 / factor, low], rounded(factor, low));
    let mut best_error = error(&integers, best[0], best[1]);
    for step in 0..=20u8 {
        // From the best constant so far.
        let low = best[1];
        let q = rounded((-1.0 + 0.1 * f32::from(step) + STEPS) / (high - low), low);
        let (mut sum_l, mut sum_l2, mut sum_xl) = (0f32, 0f32, 0f32);
        for i in 0..32 {
            sum_l += weights[i] * q[i];
            sum_l2 += weights[i] * q[i] * q[i];
            sum_xl += weights[i] * q[i] * values[i];
        }
        let determinant = sum * sum_l2 - sum_l * sum_l;
        if determinant > 0.0 {
            let mut fit = [
                (sum * sum_xl - sum_x * sum_l) / determinant,
                (sum_l2 * sum_x - sum_l * sum_xl) / determinant,
            ];
            if fit[1] > 0.0 {
                fit = [sum_xl / sum_l2, 0.0];
            }
            let error = error(&q, fit[0], fit[1]);
            if error < best_error {
                (best, integers, best_error) = (fit, q, error);
            }
        }
    }
    ([best[0], -best[1]], integers)
}

/// Adds a block of Q6_K; `false` if its scale is beyond f16.
pub(super) fn q6_k(block: &[f32; BLOCK], out: &mut Vec<u8>) -> bool {
    let groups = block.as_chunks::<16>().0;
    let fits: Vec<(f32, [f32; 16])> = groups.iter().map(search).collect();
    let most =
        fits.iter().fold(0f32, |most, &(scale, _)| if scale.abs() > most.abs() { scale } else { most });
    if !fits.iter().all(|(scale, _)| scale.is_finite()) {
        return false;
    }
    if most.abs() < TINY {
        out.extend([0; 210]);
        return true;
    }
    let factor = -128.0 / most;
    let d = f16::from_f32(1.0 / factor);
    let levels: Vec<i8> =
        fits.iter().map(|(scale, _)| nearest(factor * scale, -128.0, 127.0) as i8).collect();
    let mut q = [0u8; BLOCK];
    for ((q, group), (level, (_, own))) in
        q.as_chunks_mut::<16>().0.iter_mut().zip(groups).zip(levels.iter().zip(&fits))
    {
        let step = d.to_f32() * f32::from(*level);
        let integers = if step == 0.0 { *own } else { group.map(|value| nearest(value / step, -32.0, 31.0)) };
        *q = integers.map(|q| (q + 32.0) as u8);
    }
    let halves = q.as_chunks::<128>().0;
    for half in halves {
        out.extend((0..64).map(|i| half[i] & 15 | (half[i + 64] & 15) << 4));
    }
    for half in halves {
        let upper = |i: usize, part: usize| half[i + 32 * part] >> 4 << (2 * part);
        out.extend((0..32).map(|i| upper(i, 0) | upper(i, 1) | upper(i, 2) | upper(i, 3)));
    }
    out.extend(levels.iter().map(|&level| level as u8));
    out.extend(d.to_le_bytes());
    d.is_finite()
}

/// The rounding of `values` with a scale that makes `scale·q`, q in -32..31, near them, and that scale: of 19 roundings the best.
fn search(values: &[f32; 16]) -> (f32, [f32; 16]) {
    let most = values.iter().fold(0f32, |most, &value| if value.abs() > most.abs() { value } else { most });
    if most.abs() < TINY {
        return (0.0, [-32.0; 16]);
    }
    let sums = |factor: f32| {
        let q = values.map(|value| nearest(factor * value, -32.0, 31.0));
        let (mut sum_lx, mut sum_l2) = (0f32, 0f32);
        for (&value, &q) in values.iter().zip(&q) {
            let weight = value * value;
            sum_lx += weight * value * q;
            sum_l2 += weight * q * q;
        }
        (q, sum_lx, sum_l2)
    };
    let (mut best, sum_lx, sum_l2) = sums(-32.0 / most);
    let mut scale = if sum_l2 != 0.0 { sum_lx / sum_l2 } else { 0.0 };
    let mut gain = scale * sum_lx;
    for step in (-9i8..=9).filter(|&step| step != 0) {
        let (q, sum_lx, sum_l2) = sums(-(32.0 + 0.1 * f32::from(step)) / most);
        if sum_l2 > 0.0 && sum_lx * sum_lx > gain * sum_l2 {
            (best, scale) = (q, sum_lx / sum_l2);
            gain = scale * sum_lx;
        }
    }
    (scale, best)
}
