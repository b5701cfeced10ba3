//! Judging an answer: its exact derivative against the integrand, then its differences against quadrature.

use super::problem::Question;
use super::quadrature;
use crate::task::expr::{Branch, Expr, Jet, coarse_points, dense_points};

/// Common points that end the search.
const WANTED_POINTS: usize = 8;
/// Common points without which nothing is said.
const NEEDED_POINTS: usize = 4;
/// Largest rounding error of a point that is used, relative to the integrand there. Also the largest error that could be overlooked,
/// up to [`SAFETY`], and then only in an answer that is numerically that poor at every point.
const USABLE_NOISE: f64 = 1e-6;
/// How often the first-order rounding bound may be exceeded.
const SAFETY: f64 = 8.0;
/// Agreement that is granted beyond rounding bounds, relative to the integrand.
const SLACK: f64 = 1e-12;
/// Intervals that are integrated, spread over the points.
const INTERVALS: usize = 6;

/// The outcome of a check, with its reason.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Correct(String),
    Wrong(String),
    Unverifiable(String),
}

/// Judges `answer` as the value of `question`.
pub(super) fn check(question: &Question, answer: &Expr) -> Outcome {
    match question.bounds_values() {
        Some((a, b)) => definite(&question.integrand, a, b, answer),
        None => indefinite(&question.integrand, answer),
    }
}

fn indefinite(integrand: &Expr, answer: &Expr) -> Outcome {
    let mut points = Vec::new();
    // Off its real domain an answer may still be an antiderivative plus an imaginary constant: log(1-x) for x > 1.
    for branch in [Branch::Real, Branch::RealPart] {
        points.clear();
        for (i, x) in coarse_points().map(|x| (0, x)).chain(dense_points().map(|x| (1, x))) {
            if i == 1 && points.len() >= WANTED_POINTS {
                break;
            }
            match compare(integrand.eval(x, Branch::Real), answer.eval(x, branch)) {
                Some(true) => points.push(x),
                Some(false) => {
                    let (slope, value) =
                        (answer.eval(x, branch).slope, integrand.eval(x, Branch::Real).value);
                    return Outcome::Wrong(format!(
                        "at x = {x:.4} the derivative of the answer is {slope:.6}, the integrand {value:.6}"
                    ));
                }
                None => {}
            }
        }
        if points.len() >= NEEDED_POINTS {
            return confirm(integrand, answer, branch, &points);
        }
    }
    Outcome::Unverifiable(format!(
        "integrand and answer are both real and finite at {} of the points tried; {NEEDED_POINTS} are needed",
        points.len()
    ))
}

/// Whether the derivative in `answer` equals the value in `integrand`; `None` if one is undefined or lost in rounding errors.
fn compare(integrand: Jet, answer: Jet) -> Option<bool> {
    if !integrand.is_defined() || !answer.is_defined() {
        return None;
    }
    let scale = integrand.value.abs().max(answer.slope.abs());
    let noise = integrand.value_error + answer.slope_error;
    if scale == 0.0 || noise > USABLE_NOISE * scale {
        return None;
    }
    Some((answer.slope - integrand.value).abs() <= SAFETY * noise + SLACK * scale)
}

/// The fundamental theorem on short intervals around some of the points. An answer may jump by a constant in one of them, so they
/// need not all agree, but more must agree than not.
fn confirm(integrand: &Expr, answer: &Expr, branch: Branch, points: &[f64]) -> Outcome {
    let (mut agree, mut differ) = (0usize, 0usize);
    for &x in points.iter().step_by(points.len().div_ceil(INTERVALS).max(1)) {
        let (a, b) = (x - 0.03 * x.abs(), x + 0.03 * x.abs());
        let (from, to) = (answer.eval(a, branch), answer.eval(b, branch));
        if !from.is_defined() || !to.is_defined() {
            continue;
        }
        let value = |x: f64| Some(integrand.eval(x, Branch::Real).value).filter(|value| value.is_finite());
        let Some(area) = quadrature::integrate(value, a, b, 1e-11, 24) else { continue };
        let noise = SAFETY * (from.value_error + to.value_error) + 10.0 * area.error;
        if noise > 1e-3 * area.absolute {
            continue;
        }
        let difference = (to.value - from.value - area.value).abs();
        *(if difference <= noise + 1e-8 * area.absolute { &mut agree } else { &mut differ }) += 1;
    }
    if agree > differ {
        Outcome::Correct(format!(
            "the derivative equals the integrand at {} points, quadrature agrees on {agree} intervals",
            points.len()
        ))
    } else {
        Outcome::Unverifiable(format!(
            "the derivative equals the integrand at {} points, but quadrature agrees on {agree} and differs on {differ} intervals",
            points.len()
        ))
    }
}

fn definite(integrand: &Expr, a: f64, b: f64, answer: &Expr) -> Outcome {
    let number = answer.eval(0.0, Branch::Real);
    let value = |x: f64| Some(integrand.eval(x, Branch::Real).value).filter(|value| value.is_finite());
    let area = quadrature::integrate(value, a, b, 1e-12, 200);
    let Some(area) = area.filter(|area| area.error <= 1e-9 * area.absolute) else {
        return Outcome::Unverifiable("the integral does not converge numerically".to_owned());
    };
    let noise = SAFETY * number.value_error + 10.0 * area.error + 1e-9 * area.absolute;
    if (number.value - area.value).abs() <= noise {
        Outcome::Correct(format!("quadrature gives {:.9}", area.value))
    } else {
        Outcome::Wrong(format!("quadrature gives {:.9}, the answer is {:.9}", area.value, number.value))
    }
}
