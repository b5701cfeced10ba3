//! What own algebra says of two expressions that doubles cannot tell apart.
//!
//! The difference is multiplied out and like terms are collected with exact fractions. If nothing is left, the two are equal. What is
//! left and has a sign beyond doubt is a difference, were it 1e-30 of either.

use super::outcome::Outcome;
use crate::task::expr::{Expr, Term};

/// Largest answer that is differentiated as an expression, in nodes; derivatives are of quadratic size.
pub(super) const MAX_DERIVED: usize = 200;

/// Points at which a difference must be beyond doubt.
const DOUBTLESS: usize = 2;

/// What is known without numerics.
pub(super) enum Algebra {
    Equal,
    Differs(Outcome),
    Unknown,
}

/// Compares the derivative of `answer` with `integrand`. `points` are some where both are defined.
pub(super) fn compare(integrand: &Expr, answer: &Expr, points: &[f64]) -> Algebra {
    if answer.size() > MAX_DERIVED {
        return Algebra::Unknown;
    }
    let derivative = |answer: &Expr| answer.plain_logarithms().derivative();
    if is_zero(&derivative(answer), integrand) {
        return Algebra::Equal;
    }
    let left = |answer: &Expr| derivative(answer).difference(integrand);
    if let Some(difference) = remains(answer, left, points) {
        return Algebra::Differs(Outcome::Wrong(format!(
            "the derivative of the answer differs from the integrand by {}",
            difference.to_string().chars().take(60).collect::<String>()
        )));
    }
    if left(answer) == Some(Expr::integer(0)) {
        return Algebra::Equal;
    }
    if answer.has_lost_part() || answer.simplified().has_lost_part() {
        return Algebra::Differs(Outcome::Unverifiable(
            "the answer holds a number of which a part is lost in double precision".to_owned(),
        ));
    }
    Algebra::Unknown
}

/// Compares the constants `answer` and `value`.
pub(super) fn compare_constants(value: &Expr, answer: &Expr) -> Algebra {
    let left = |answer: &Expr| answer.difference(value);
    if let Some(difference) = remains(answer, left, &[1.0, 2.0]) {
        return Algebra::Differs(Outcome::Wrong(format!(
            "the answer differs from the integral by {}",
            difference.to_string().chars().take(60).collect::<String>()
        )));
    }
    match left(answer) == Some(Expr::integer(0)) {
        true => Algebra::Equal,
        // The digits of a rounded decimal are all that it tells.
        false if is_rounded_decimal(answer) => Algebra::Unknown,
        false if answer.has_lost_part() || value.has_lost_part_or_limit() => Algebra::Differs(lost()),
        false => Algebra::Unknown,
    }
}

fn is_rounded_decimal(answer: &Expr) -> bool {
    match answer {
        Expr::Number(number) => number.unit > 0.0,
        Expr::Sum(terms) => matches!(terms.as_slice(), [Term { expr, .. }] if is_rounded_decimal(expr)),
        _ => false,
    }
}

/// Of an answer with a part that its value does not show.
pub(super) fn lost() -> Outcome {
    Outcome::Unverifiable("a part of the value is lost in double precision".to_owned())
}

/// What is certainly left of an answer by `left`, if something is. A decimal that may be a rounded one is judged by both ends of what it
/// may round, the upper one not included; nothing is said of several.
fn remains(answer: &Expr, left: impl Fn(&Expr) -> Option<Expr>, points: &[f64]) -> Option<Expr> {
    let (low, decimals) = answer.with_decimals_at(false);
    let low = left(&low)?;
    let signs = |expr: &Expr| -> Vec<(bool, f64)> {
        points.iter().filter_map(|&x| Some((expr.certain_sign(x)?, x))).take(DOUBTLESS).collect()
    };
    let certain = signs(&low);
    if certain.len() < DOUBTLESS || decimals > 1 {
        return None;
    }
    if decimals == 0 {
        return Some(low);
    }
    let high = left(&answer.with_decimals_at(true).0)?;
    let same = certain.iter().all(|&(sign, x)| high.certain_sign(x) == Some(sign));
    (same || high == Expr::integer(0)).then_some(low)
}

/// Whether the difference is zero by the rules of the simplifier alone.
fn is_zero(one: &Expr, other: &Expr) -> bool {
    let term = |negative, expr: Expr| Term { negative, expr };
    let difference = Expr::Sum(vec![term(false, one.clone()), term(true, other.simplified())]);
    difference.simplified() == Expr::integer(0)
}
