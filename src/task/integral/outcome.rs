//! What comes out of judging an answer, the bounds within which numbers agree, and how numbers that do not are shown.

use crate::task::expr::{Branch, Expr};

/// Largest rounding error of a point that is used, relative to the integrand there.
pub(super) const USABLE_NOISE: f64 = 1e-6;
/// How often the first-order rounding bound may be exceeded.
pub(super) const SAFETY: f64 = 8.0;
/// Agreement that is granted beyond rounding bounds, relative to the integrand.
pub(super) const SLACK: f64 = 1e-14;
/// The share of what a decimal's last digit may explain that it does: a whole unit is what no cutting takes away.
pub(super) const OPEN_END: f64 = 0.9975;

/// The outcome of a check, with its reason.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Correct(String),
    Wrong(String),
    Unverifiable(String),
}

/// The value at `x` with a bound on its rounding error and that of `x` itself, if it is real and finite. At a kink or step that is no
/// double the bound covers both sides.
pub(super) fn value(expr: &Expr, x: f64) -> Option<(f64, f64)> {
    let jet = expr.eval(x, Branch::Enclosed);
    let error = jet.value_error + f64::EPSILON * (x * jet.slope).abs();
    (jet.value.is_finite() && error.is_finite()).then_some((jet.value, error))
}

/// Two different numbers with as many digits as it takes to see that.
pub(super) fn distinct(one: f64, other: f64) -> (String, String) {
    for digits in [6, 9, 12] {
        let texts = [one, other].map(|number| shown(number, digits));
        if texts[0] != texts[1] {
            return texts.into();
        }
    }
    (format!("{one:e}"), format!("{other:e}"))
}

/// A number with that many significant digits, without an exponent where that is short.
pub(super) fn shown(number: f64, digits: usize) -> String {
    let size = if number == 0.0 { 0 } else { number.abs().log10().floor() as i32 };
    if (-4..9).contains(&size) {
        let decimals = usize::try_from(digits as i32 - 1 - size).unwrap_or(0);
        let text = format!("{number:.decimals$}");
        return match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        };
    }
    format!("{number:.*e}", digits - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_differ_are_shown() {
        for (one, other, texts) in [
            (5.0, 6.0, ("5", "6")),
            (5.999_637_1, 5.999_637_2, ("5.9996371", "5.9996372")),
            (0.5, 0.500_000_04, ("0.5", "0.50000004")),
            (1e-9, 0.0, ("1.00000e-9", "0")),
            (1.0, 1.0 + 4.0 * f64::EPSILON, ("1e0", "1.0000000000000009e0")),
        ] {
            assert_eq!(distinct(one, other), (texts.0.to_owned(), texts.1.to_owned()));
        }
    }
}
