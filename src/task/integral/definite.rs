//! A definite integral: its value by own algebra where that is exact, else by quadrature whose own error decides.
//!
//! Quadrature sees nothing between its nodes, so it begins with intervals that get ever shorter towards both ends and towards every
//! place where a part of the integrand changes its character: kinks, poles, the middle of every peak. A part that none of them sees
//! vary, a pole that is not integrable, or an error that leaves the value open make the answer unverifiable.

use super::algebra::{Algebra, compare_constants, lost};
use super::outcome::{Outcome, SAFETY, SLACK, USABLE_NOISE, distinct, shown, value};
use super::problem::Question;
use super::{closed, exact, quadrature};
use crate::task::expr::{Branch, Expr, around, breakpoints};
use crate::task::integral::indefinite::unseen_part;

/// Intervals of equal length to begin with.
const PANELS: u32 = 24;
/// Ends of intervals around places to begin with, about.
const MAX_ENDS: usize = 320;
/// Most halvings.
const SPLITS: usize = 400;
/// Error of the quadrature that is aimed at, relative to the integral of the absolute value.
const AIM: f64 = 1e-14;
/// Error relative to the integral of the absolute value beyond which the quadrature has not converged.
const CONVERGED: f64 = 1e-7;
/// Error relative to the integral of the absolute value beyond which another way is tried.
const FINE: f64 = 1e-12;
/// Error relative to the value up to which a value is known.
const KNOWN: f64 = 1e-9;
/// Error up to which a value that may be zero is known.
const KNOWN_ZERO: f64 = 1e-10;
/// Growth over 64 times the distance from which on a pole is taken for one that is not integrable; at one of first order it is 64.
const POLE: f64 = 40.0;

/// The value of an integral.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    value: f64,
    /// Bound on its error.
    noise: f64,
    /// The integral of the absolute value.
    absolute: f64,
}

pub(super) fn definite(question: &Question, a: f64, b: f64, answer: &Expr) -> Outcome {
    if let Some(value) = exact::integral(question) {
        let size = value.to_f64();
        let measure = Measure { value: size, noise: 4.0 * f64::EPSILON * size.abs(), absolute: size.abs() };
        return match compare_constants(&Expr::from_rational(value), answer) {
            Algebra::Equal => Outcome::Correct(format!("the integral of the polynomial is {value}")),
            Algebra::Differs(by_algebra) => match judge(answer, measure) {
                wrong @ Outcome::Wrong(_) => wrong,
                _ => by_algebra,
            },
            Algebra::Unknown => judge(answer, measure),
        };
    }
    let measure = match measure(question, a, b) {
        Ok(measure) => measure,
        Err(reason) => return Outcome::Unverifiable(reason),
    };
    let closed = closed::integral(question).filter(|closed| {
        let closed = closed.eval(0.0, Branch::Real);
        (closed.value - measure.value).abs() <= 4.0 * measure.noise + SAFETY * closed.value_error
    });
    let by_algebra = closed.map(|value| compare_constants(&value, answer));
    match (judge(answer, measure), by_algebra) {
        (Outcome::Unverifiable(_) | Outcome::Correct(_), Some(Algebra::Equal)) => {
            Outcome::Correct(format!("the integral is {} by algebra", shown(measure.value, 12)))
        }
        (Outcome::Correct(_) | Outcome::Unverifiable(_), Some(Algebra::Differs(outcome))) => outcome,
        (Outcome::Correct(_), None) if answer.has_lost_part() => lost(),
        (outcome, _) => outcome,
    }
}

fn judge(answer: &Expr, Measure { value, noise, absolute }: Measure) -> Outcome {
    let number = answer.eval(0.0, Branch::Real);
    let rounding = SAFETY * number.value_error;
    let difference = (number.value - value).abs();
    // A number such as 1e20-1e20+5 is known to no more than its rounding error, and must not pass within it.
    if rounding > USABLE_NOISE * number.value.abs().max(value.abs()).max(absolute.min(1.0)) {
        return Outcome::Unverifiable("the answer is lost in rounding errors".to_owned());
    }
    if difference > noise + rounding && !rounds(answer, value, noise) {
        let (shown, given) = distinct(value, number.value);
        return match difference > 4.0 * noise {
            true => Outcome::Wrong(format!("the integral is {shown}, the answer is {given}")),
            false => Outcome::Unverifiable(format!("the integral is {value:e} to within {noise:.0e}")),
        };
    }
    let is_zero = number.value.abs() <= rounding && value.abs() <= noise;
    let known = noise <= KNOWN * value.abs() || is_zero && noise <= KNOWN_ZERO * absolute.min(1.0);
    match known {
        true => Outcome::Correct(format!(
            "the integral is {}",
            if is_zero { "0".to_owned() } else { shown(value, 12) }
        )),
        false => Outcome::Unverifiable(format!("the integral is {value:e} to within {noise:.0e}")),
    }
}

/// Whether decimals of the answer are a rounding of `value`, which is known to within `noise`.
fn rounds(answer: &Expr, value: f64, noise: f64) -> bool {
    let (Some(wide), number) = (answer.widened(), answer.eval(0.0, Branch::Real).value) else { return false };
    let wide = wide.eval(0.0, Branch::Real);
    (wide.value - value).abs() <= wide.value_error + noise
        && (number - value).abs() <= USABLE_NOISE * value.abs()
}

/// Says where the integrand is not real, if it is so at one of `places`.
fn unreal(integrand: &Expr, places: &[f64]) -> Option<String> {
    let place = places.iter().find(|&&place| !integrand.eval(place, Branch::Real).is_defined())?;
    // The convention of computer algebra, in which a cube root of -8 is complex.
    let root = match integrand.to_string().contains("/3)") {
        true => ": x^(1/3) is real for x >= 0 alone, the root that is real everywhere is cbrt(x)",
        false => "",
    };
    Some(format!("the integrand has no real value at x = {}, for one{root}", shown(*place, 3)))
}

/// The value by quadrature, or by its oddness, if it exists and can be told; the reason if not.
pub(super) fn measure(question: &Question, a: f64, b: f64) -> Result<Measure, String> {
    let integrand = question.integrand.simplified();
    let (low, high) = (a.min(b), a.max(b));
    if low == high || integrand == Expr::integer(0) {
        return Ok(Measure { value: 0.0, noise: 0.0, absolute: 0.0 });
    }
    let (places, complete) = breakpoints(&[&integrand], low, high);
    if !complete {
        return Err("the integrand has more kinks, poles and peaks than are looked at".to_owned());
    }
    if let Some(pole) = [&[low], places.as_slice(), &[high]]
        .concat()
        .into_iter()
        .find(|&place| is_pole(&question.integrand, place, low, high))
    {
        return Err(format!("the integrand has a pole at x = {pole}"));
    }
    let ends = ends(&places, low, high);
    let seen = |x: f64| {
        let jet = integrand.eval(x, Branch::Real);
        (jet, SAFETY * jet.slope_error + SLACK * jet.slope.abs())
    };
    let middles: Vec<f64> = ends.windows(2).map(|ends| 0.6 * ends[0] + 0.4 * ends[1]).collect();
    let unreal = || unreal(&integrand, &middles);
    if let Some(fault) = unseen_part(&integrand, seen, &middles) {
        return Err(unreal().unwrap_or_else(|| format!("the integrand {fault}")));
    }
    let mut area = quadrature::integrate_pieces(|x| value(&integrand, x), &ends, AIM, SPLITS);
    let noise = |area: quadrature::Estimate| area.error + area.rounding;
    if area.is_none_or(|area| noise(area) > FINE * area.absolute)
        && let Some(other) = from_both_ends(question, &integrand, &places)
        && area.is_none_or(|area| noise(other) < noise(area))
    {
        area = Some(other);
    }
    let area = area
        .filter(|area| area.error <= CONVERGED * area.absolute)
        .ok_or_else(|| unreal().unwrap_or_else(|| "the integral does not converge numerically".to_owned()))?;
    if exact::is_odd(question) {
        return Ok(Measure { value: 0.0, noise: 0.0, absolute: area.absolute });
    }
    let sign = if a <= b { 1.0 } else { -1.0 };
    Ok(Measure {
        value: sign * area.value,
        noise: area.error + area.rounding + 16.0 * f64::EPSILON * area.absolute,
        absolute: area.absolute,
    })
}

/// The integral in two halves, each as a function of the distance to its bound, which keeps the digits of `1-x` near 1.
fn from_both_ends(question: &Question, integrand: &Expr, places: &[f64]) -> Option<quadrature::Estimate> {
    let (a, b) = question.bounds.as_ref()?;
    let (from, to) = question.bounds_values()?;
    let ((low_bound, low), (high_bound, high)) =
        if from <= to { ((a, from), (b, to)) } else { ((b, to), (a, from)) };
    let middle = 0.5 * (low + high);
    let half = |bound: &Expr, side: i32| {
        let moved = exact::moved(integrand, bound, side)?;
        let distance = |x: f64| if side > 0 { x - low } else { high - x };
        let inside: Vec<f64> =
            places.iter().map(|&x| distance(x)).filter(|t| (0.0..middle - low).contains(t)).collect();
        let mut places = inside;
        places.sort_by(f64::total_cmp);
        let ends = ends(&places, 0.0, middle - low);
        quadrature::integrate_pieces(|t| value(&moved, t), &ends, AIM, SPLITS)
    };
    let (left, right) = (half(low_bound, 1)?, half(high_bound, -1)?);
    Some(quadrature::Estimate {
        value: left.value + right.value,
        error: left.error + right.error,
        rounding: left.rounding + right.rounding,
        absolute: left.absolute + right.absolute,
    })
}

/// Ends of intervals: evenly, and ever closer to each place and to both bounds.
fn ends(places: &[f64], low: f64, high: f64) -> Vec<f64> {
    let all = [&[low], places, &[high]].concat();
    let steps = (MAX_ENDS / (2 * all.len())).clamp(2, 14);
    let mut ends = around(&all, f64::NEG_INFINITY, f64::INFINITY, steps);
    ends.extend((1..PANELS).map(|i| low + (high - low) * f64::from(i) / f64::from(PANELS)));
    ends.extend(places);
    ends.retain(|&x| low < x && x < high);
    ends.extend([low, high]);
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    ends
}

/// Whether the integrand grows towards `place`, from a side that lies between the bounds, as it does at a pole.
fn is_pole(integrand: &Expr, place: f64, low: f64, high: f64) -> bool {
    let distance = (1e-12 * place.abs()).max(1e-15 * (high - low));
    [-1.0, 1.0].into_iter().any(|side| {
        let height = |factor: f64| integrand.eval(place + side * factor * distance, Branch::Real).value.abs();
        let inside = (low..=high).contains(&(place + side * 64.0 * distance));
        // Twice, so that a single zero is not taken for growth.
        inside && height(1.0) > POLE * height(64.0) && height(8.0) > POLE * height(512.0)
    })
}
