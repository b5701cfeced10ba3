//! Judging an answer: its exact derivative against the integrand, then its differences against quadrature.

use super::problem::Question;
use super::quadrature;
use crate::task::expr::{Branch, Expr, Jet, coarse_points, dense_points};

/// Coarse points in the integrand's domain that make a search for a narrow one needless.
const BROAD_DOMAIN: usize = 16;
/// Common points without which nothing is said.
const NEEDED_POINTS: usize = 4;
/// The share of the integrand's points at which the answer must be usable too, as a divisor. An answer that is real in a
/// speck only, `x+0*sqrt(0.0001-x^2)` for `cos(x)`, agrees there with more than its antiderivatives.
const NEEDED_SHARE: usize = 4;
/// Largest rounding error of a point that is used, relative to the integrand there. Also the largest error that could be overlooked,
/// up to [`SAFETY`], and then only in an answer that is numerically that poor at every point.
const USABLE_NOISE: f64 = 1e-6;
/// How often the first-order rounding bound may be exceeded.
const SAFETY: f64 = 8.0;
/// Agreement that is granted beyond rounding bounds, relative to the integrand.
const SLACK: f64 = 1e-12;
/// Intervals that are integrated, spread over the points.
const INTERVALS: usize = 6;
/// Points that are tried for an interval in which the answer's difference is not lost in rounding errors.
const MAX_INTERVALS: usize = 64;
/// Half the width of an interval, relative to its centre: short, so that few answers jump in it.
const HALF_WIDTH: f64 = 0.002;

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

/// Whether a right answer to `question` could be confirmed: the integrand is real and finite at enough points and quadrature
/// converges.
pub(super) fn confirmable(question: &Question) -> Result<(), String> {
    let integrand = &question.integrand;
    let value = |x: f64| Some(integrand.eval(x, Branch::Real).value).filter(|value| value.is_finite());
    if let Some((a, b)) = question.bounds_values() {
        let area = quadrature::integrate(value, a, b, 1e-12, 200);
        return match area.is_some_and(|area| area.error <= 1e-9 * area.absolute) {
            true => Ok(()),
            false => Err("the integral does not converge numerically".into()),
        };
    }
    let domain = domain(integrand);
    if telling(&domain) < NEEDED_POINTS {
        return Err("it is real and finite at too few points".into());
    }
    let around =
        |x: f64| quadrature::integrate(value, x - HALF_WIDTH * x.abs(), x + HALF_WIDTH * x.abs(), 1e-11, 8);
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
        (a - b).abs() <= SAFETY * (a_error + b_error) + SLACK * a.abs().max(b.abs())
    };
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

fn indefinite(integrand: &Expr, answer: &Expr) -> Outcome {
    let domain = domain(integrand);
    let telling = telling(&domain);
    let mut common = 0;
    // Off its real domain an answer may still be an antiderivative plus an imaginary constant: log(1-x) for x > 1.
    for branch in [Branch::Real, Branch::RealPart] {
        let mut points = Vec::new();
        for &(x, value) in &domain {
            let answer = answer.eval(x, branch);
            match compare(value, answer) {
                Some(true) => points.push(x),
                Some(false) => {
                    let (slope, value) = (answer.slope, value.value);
                    return Outcome::Wrong(format!(
                        "at x = {x:.4} the derivative of the answer is {slope:.6}, the integrand {value:.6}"
                    ));
                }
                None => {}
            }
        }
        common = common.max(points.len());
        if points.len() >= NEEDED_POINTS.max(telling / NEEDED_SHARE) {
            return confirm(integrand, answer, branch, &points);
        }
    }
    Outcome::Unverifiable(format!(
        "the answer is real, finite and not lost in rounding errors at only {common} of {telling} points where the integrand is"
    ))
}

/// The integrand where it is real and finite: at the coarse points, and at the dense ones if too few of those tell anything.
fn domain(integrand: &Expr) -> Vec<(f64, Jet)> {
    let defined = |x| Some((x, integrand.eval(x, Branch::Real))).filter(|(_, value)| value.is_defined());
    let mut points: Vec<_> = coarse_points().filter_map(defined).collect();
    if telling(&points) < BROAD_DOMAIN {
        points.extend(dense_points().filter_map(defined));
    }
    points
}

/// The number of points where the integrand is neither zero nor lost in rounding errors or underflow, as `exp(-x^2)` is from 26 on.
fn telling(points: &[(f64, Jet)]) -> usize {
    points.iter().filter(|(_, jet)| jet.value_error < USABLE_NOISE * jet.value.abs()).count()
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
/// need not all agree, but no more may differ than agree.
fn confirm(integrand: &Expr, answer: &Expr, branch: Branch, points: &[f64]) -> Outcome {
    let (mut agree, mut differ) = (0usize, 0usize);
    // Every k-th point from the first on, then from the second on and so forth: spread, and all of them if need be.
    let stride = points.len().div_ceil(INTERVALS);
    let spread = (0..stride).flat_map(|first| points.iter().skip(first).step_by(stride));
    for &x in spread.take(MAX_INTERVALS) {
        if agree + differ == INTERVALS {
            break;
        }
        let (a, b) = (x - HALF_WIDTH * x.abs(), x + HALF_WIDTH * x.abs());
        let (from, to) = (answer.eval(a, branch), answer.eval(b, branch));
        let rounding = SAFETY * (from.value_error + to.value_error);
        let value = |x: f64| Some(integrand.eval(x, Branch::Real).value).filter(|value| value.is_finite());
        let height = value(x).map_or(0.0, f64::abs);
        if rounding.is_nan() || rounding > USABLE_NOISE.sqrt() * height * (b - a) {
            continue;
        }
        let Some(area) = quadrature::integrate(value, a, b, 1e-11, 8) else { continue };
        let difference = (to.value - from.value - area.value).abs();
        let granted = rounding + 10.0 * area.error + 1e-8 * area.absolute;
        *(if difference <= granted { &mut agree } else { &mut differ }) += 1;
    }
    let points = points.len();
    if agree > 0 && agree >= differ {
        Outcome::Correct(format!(
            "the derivative equals the integrand at {points} points, quadrature agrees on {agree} intervals"
        ))
    } else {
        Outcome::Unverifiable(format!(
            "the derivative equals the integrand at {points} points, but quadrature agrees on {agree} intervals and differs on {differ}"
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
    // A number such as 1e20-1e20+5 is known to no more than its rounding error, and must not pass within it.
    if number.value_error > USABLE_NOISE * area.absolute {
        return Outcome::Unverifiable("the answer is lost in rounding errors".to_owned());
    }
    let noise = SAFETY * number.value_error + 10.0 * area.error + 1e-9 * area.absolute;
    if (number.value - area.value).abs() <= noise {
        Outcome::Correct(format!("quadrature gives {:.9}", area.value))
    } else {
        Outcome::Wrong(format!("quadrature gives {:.9}, the answer is {:.9}", area.value, number.value))
    }
}
