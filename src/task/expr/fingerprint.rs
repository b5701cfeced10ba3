//! Semantic identity of expressions by their values at fixed points.

use std::fmt::Write;

use super::{Branch, Expr, Jet, coarse_points, dense_points};

/// Points a fingerprint is taken at, inside the domain or not; sizes where rounding errors of elementary functions stay small.
/// They have all the digits of a double, so that no short polynomial has a value that ends in a 5 where it is rounded.
const POINTS: [f64; 8] = [
    0.731_894_223_417_305_1,
    -0.731_894_223_417_305_1,
    1.269_437_708_153_962_3,
    -1.269_437_708_153_962_3,
    0.312_760_951_884_231_7,
    -0.312_760_951_884_231_7,
    2.185_309_174_492_638_8,
    -2.185_309_174_492_638_8,
];
/// Values in the domain that a fingerprint needs; with fewer, it is taken in the domain that a search finds.
const ENOUGH: usize = 3;
/// Largest relative rounding error of a value that still counts as known.
const KNOWN: f64 = 1e-10;

/// A text that is equal for expressions that are equal as real functions, however they are written: their values at fixed
/// points, to nine digits, with `_` out of the domain. It depends on no platform: results of the libraries differ in the sixteenth
/// digit. `None` if the expression is real and finite at too few points to tell, or zero everywhere.
pub fn fingerprint(expr: &Expr) -> Option<String> {
    let fixed: Vec<_> = POINTS.iter().map(|&x| known_value(expr, x)).collect();
    if fixed.iter().flatten().count() >= ENOUGH {
        return describe(&fixed);
    }
    // A narrow or distant domain, such as that of acosh(x/9): the first points found in it.
    let found: Vec<_> = coarse_points()
        .chain(dense_points())
        .filter_map(|x| Some((x, known_value(expr, x)?)))
        .take(6)
        .collect();
    if found.len() < ENOUGH {
        return None;
    }
    let at = found.iter().map(|(x, _)| format!("{x:.4e}")).collect::<Vec<_>>().join(",");
    let values: Vec<_> = found.into_iter().map(|(_, value)| Some(value)).collect();
    describe(&values).map(|text| format!("{at}:{text}"))
}

fn describe(values: &[Option<f64>]) -> Option<String> {
    if values.iter().flatten().all(|&value| value == 0.0) {
        return None;
    }
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a string cannot fail.
        let _ = match value {
            Some(value) => write!(text, "{value:.8e}"),
            None => write!(text, "_"),
        };
    }
    Some(text)
}

/// The value at `x`, if it is real, finite and not lost in rounding errors; what is zero within them is zero.
fn known_value(expr: &Expr, x: f64) -> Option<f64> {
    let Jet { value, value_error, .. } = expr.eval(x, Branch::Real);
    if !value.is_finite() || value.abs() > 1e280 {
        None
    } else if value.abs() <= 16.0 * value_error {
        (value_error < 1e-9).then_some(0.0)
    } else {
        (value_error <= KNOWN * value.abs()).then_some(value)
    }
}

/// Whether `left = k * right` for a constant `k` other than zero, at every point where both can be evaluated
/// (four at least).
pub fn proportional(left: &Expr, right: &Expr) -> bool {
    let mut ratio: Option<f64> = None;
    let mut common = 0;
    for x in coarse_points().chain(dense_points()) {
        let (Some(left), Some(right)) = (known_value(left, x), known_value(right, x)) else { continue };
        if left == 0.0 && right == 0.0 {
            continue;
        }
        if left == 0.0 || right == 0.0 {
            return false;
        }
        match ratio {
            None => ratio = Some(left / right),
            Some(ratio) if (left / right - ratio).abs() > 1e-8 * ratio.abs() => return false,
            Some(_) => {}
        }
        common += 1;
        if common >= 24 {
            break;
        }
    }
    common >= 4
}
