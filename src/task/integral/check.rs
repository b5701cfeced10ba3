//! Judging an answer to either kind of integral.

use super::answer::Answer;
use super::definite::{definite, measure};
use super::indefinite::{NEEDED_POINTS, domain, indefinite, telling};
use super::outcome::{Outcome, SAFETY, USABLE_NOISE, distinct, value};
use super::problem::Question;
use super::quadrature;
use crate::task::expr::{Branch, Expr, Jet, coarse_points, hash};

/// Points that are tried for an interval in which quadrature converges.
const MAX_INTERVALS: usize = 64;
/// Half the width of such an interval, relative to its centre.
const HALF_WIDTH: f64 = 0.002;

/// Judges every side of an answer. Correct if all are and its decimals are those of its value; `None` if some sides are right and others
/// wrong, which is no answer but several.
pub(super) fn check_all(question: &Question, answer: &Answer) -> Option<Outcome> {
    let mut outcome = check(question, &answer.value);
    for side in &answer.equals {
        let other = check(question, side);
        match (&outcome, other) {
            (Outcome::Correct(_), Outcome::Wrong(_)) | (Outcome::Wrong(_), Outcome::Correct(_)) => {
                return None;
            }
            (Outcome::Correct(_), other) | (Outcome::Unverifiable(_), other @ Outcome::Wrong(_)) => {
                outcome = other
            }
            _ => {}
        }
    }
    if matches!(outcome, Outcome::Correct(_))
        && let Some(decimal) = answer.rounded.iter().find(|decimal| !decimal.is_about(&answer.value))
    {
        let (value, about) = distinct(answer.value.eval(0.0, Branch::Real).value, decimal.value);
        outcome = Outcome::Wrong(format!("the integral is {value}, not about {about}"));
    }
    Some(outcome)
}

/// Judges `answer` as the value of `question`. Some of the points are drawn by a hash of both.
pub(super) fn check(question: &Question, answer: &Expr) -> Outcome {
    match question.bounds_values() {
        Some((a, b)) => definite(question, a, b, answer),
        None => {
            let seed = hash([question.terse().as_str(), answer.to_string().as_str()]);
            indefinite(&question.integrand, answer, seed)
        }
    }
}

/// Whether a right answer to `question` could be confirmed: the integrand is real and finite at enough points and quadrature
/// converges.
pub(super) fn confirmable(question: &Question) -> Result<(), String> {
    let integrand = &question.integrand;
    if let Some((a, b)) = question.bounds_values() {
        return measure(question, a, b).map(|_| ());
    }
    let domain = domain(integrand);
    if telling(&domain) < NEEDED_POINTS {
        return Err("it is real and finite at too few points".into());
    }
    let around = |x: f64| {
        quadrature::integrate(
            |x| value(integrand, x),
            x - HALF_WIDTH * x.abs(),
            x + HALF_WIDTH * x.abs(),
            1e-11,
            8,
        )
    };
    let converges = |&(x, _): &(f64, Jet)| {
        around(x).is_some_and(|area| area.absolute > 0.0 && area.error <= 1e-8 * area.absolute)
    };
    match domain.iter().take(MAX_INTERVALS).any(converges) {
        true => Ok(()),
        false => Err("quadrature converges nowhere".into()),
    }
}

/// Whether two answers are the same, up to a constant if it is an antiderivative that is asked for, at every point where both are
/// defined. The integrand plays no part.
pub(super) fn same(question: &Question, one: &Expr, other: &Expr) -> bool {
    let agree = |a: f64, a_error: f64, b: f64, b_error: f64| {
        (a - b).abs() <= SAFETY * (a_error + b_error) + 1e-12 * a.abs().max(b.abs())
    };
    // Rounded numbers are votes for what they round.
    let read = |expr: &Expr| expr.widened().unwrap_or_else(|| expr.clone());
    let (one, other) = (read(one), read(other));
    if question.bounds.is_some() {
        let (one, other) = (one.eval(0.0, Branch::Real), other.eval(0.0, Branch::Real));
        return agree(one.value, one.value_error, other.value, other.value_error);
    }
    let mut common = 0;
    for x in coarse_points() {
        let (one, other) = (one.eval(x, Branch::Real), other.eval(x, Branch::Real));
        let known =
            |jet: &Jet| jet.is_defined() && jet.slope_error <= USABLE_NOISE * jet.slope.abs().max(1.0);
        if known(&one) && known(&other) {
            if !agree(one.slope, one.slope_error, other.slope, other.slope_error) {
                return false;
            }
            common += 1;
        }
    }
    common >= NEEDED_POINTS
}
