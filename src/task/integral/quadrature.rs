//! Adaptive Gauss-Kronrod quadrature (7 and 15 points; nodes and weights as in QUADPACK's `qk15`).

/// Kronrod nodes on [0, 1], outermost first; every second one, from the second on, is a Gauss node.
const NODES: [f64; 8] = [
    0.991_455_371_120_812_6,
    0.949_107_912_342_758_5,
    0.864_864_423_359_769_1,
    0.741_531_185_599_394_4,
    0.586_087_235_467_691_1,
    0.405_845_151_377_397_2,
    0.207_784_955_007_898_47,
    0.0,
];
const KRONROD: [f64; 8] = [
    0.022_935_322_010_529_224,
    0.063_092_092_629_978_55,
    0.104_790_010_322_250_18,
    0.140_653_259_715_525_92,
    0.169_004_726_639_267_9,
    0.190_350_578_064_785_4,
    0.204_432_940_075_298_9,
    0.209_482_141_084_727_82,
];
/// Weights of the Gauss nodes.
const GAUSS: [f64; 4] =
    [0.129_484_966_168_869_7, 0.279_705_391_489_276_64, 0.381_830_050_505_118_9, 0.417_959_183_673_469_4];

/// An integral with bounds on its error.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Estimate {
    pub(super) value: f64,
    /// Difference between the two rules, summed over the intervals.
    pub(super) error: f64,
    /// Rounding errors of the values, integrated.
    pub(super) rounding: f64,
    /// The integral of the absolute value.
    pub(super) absolute: f64,
}

/// A function's value with a bound on its rounding error; `None` where it is undefined.
type Value = Option<(f64, f64)>;

/// Integrates `f` from `a` to `b`: [`integrate_pieces`] with a single piece.
pub(super) fn integrate(
    f: impl Fn(f64) -> Value,
    a: f64,
    b: f64,
    tolerance: f64,
    splits: usize,
) -> Option<Estimate> {
    integrate_pieces(f, &[a, b], tolerance, splits)
}

/// Integrates `f` over the intervals between neighbouring `ends`, halving the worst one until the error is below `tolerance` times
/// the integral of `|f|`, or below rounding errors, at most `splits` times. `None` if `f` is undefined at a node.
pub(super) fn integrate_pieces(
    f: impl Fn(f64) -> Value,
    ends: &[f64],
    tolerance: f64,
    splits: usize,
) -> Option<Estimate> {
    let piece = |ends: &[f64]| Some((ends[0], ends[1], rule(&f, ends[0], ends[1])?));
    let mut parts = ends.windows(2).map(piece).collect::<Option<Vec<_>>>()?;
    for _ in 0..splits {
        let total = total(&parts);
        if total.error <= (tolerance * total.absolute).max(0.1 * total.rounding) {
            break;
        }
        let worst = (0..parts.len()).max_by(|&i, &j| parts[i].2.error.total_cmp(&parts[j].2.error))?;
        let (a, b, _) = parts.swap_remove(worst);
        let middle = 0.5 * (a + b);
        parts.push((a, middle, rule(&f, a, middle)?));
        parts.push((middle, b, rule(&f, middle, b)?));
    }
    Some(total(&parts))
}

fn total(parts: &[(f64, f64, Estimate)]) -> Estimate {
    parts.iter().fold(Estimate::default(), |sum, (_, _, part)| Estimate {
        value: sum.value + part.value,
        error: sum.error + part.error,
        rounding: sum.rounding + part.rounding,
        absolute: sum.absolute + part.absolute,
    })
}

fn rule(f: &impl Fn(f64) -> Value, a: f64, b: f64) -> Option<Estimate> {
    let (centre, half) = (0.5 * (a + b), 0.5 * (b - a));
    let (mut gauss, mut kronrod, mut absolute, mut rounding) = (0.0, 0.0, 0.0, 0.0);
    // Where an interval is hardly longer than the distance of doubles, a node may not fall on its end.
    let f = |x: f64| {
        f(if x <= a {
            a.next_up()
        } else if x >= b {
            b.next_down()
        } else {
            x
        })
    };
    // Nor so near to it that a kink there cannot be told from the node.
    let inside = 64.0 * f64::EPSILON * a.abs().max(b.abs());
    let f = |x: f64| f(x).or_else(|| f(if x < centre { x + inside } else { x - inside }));
    for (i, &node) in NODES.iter().enumerate() {
        let mut values = [f(centre - half * node)?, f(centre + half * node)?];
        if node == 0.0 {
            values[1] = (0.0, 0.0);
        }
        let sum = values[0].0 + values[1].0;
        kronrod += KRONROD[i] * sum;
        absolute += KRONROD[i] * (values[0].0.abs() + values[1].0.abs());
        rounding += KRONROD[i] * (values[0].1 + values[1].1);
        if i % 2 == 1 {
            gauss += GAUSS[i / 2] * sum;
        }
    }
    let estimate = Estimate {
        value: half * kronrod,
        error: (half * (kronrod - gauss)).abs(),
        rounding: half.abs() * (rounding + 4.0 * f64::EPSILON * absolute),
        absolute: half.abs() * absolute,
    };
    estimate.value.is_finite().then_some(estimate)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn integrals_with_known_values() {
        let exact = integrate(|x| Some((x.powi(20), 0.0)), 0.0, 1.0, 0.0, 0).unwrap();
        assert!((exact.value - 1.0 / 21.0).abs() < 1e-15, "{exact:?}");
        let sine = integrate(|x| Some((x.sin(), 0.0)), 0.0, 40.0, 1e-13, 60).unwrap();
        assert!((sine.value - (1.0 - 40f64.cos())).abs() < 1e-11, "{sine:?}");
        let kink = integrate(|x| Some(((x - 0.3).abs(), 0.0)), -1.0, 1.0, 1e-12, 60).unwrap();
        assert!((kink.value - (1.3 * 1.3 + 0.7 * 0.7) / 2.0).abs() < 1e-11, "{kink:?}");
        assert!(integrate(|x| (x > 0.0).then(|| (x.ln(), 0.0)), -1.0, 1.0, 1e-9, 10).is_none());
    }
}
