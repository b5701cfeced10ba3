//! Where an antiderivative jumps though the integrand is continuous.
//!
//! An antiderivative is continuous where its integrand is, so a jump is a fault, and whoever is paid for derivatives alone could add
//! `sign(x-3)` to every answer. But computer algebra and textbooks write antiderivatives that jump: `2*atan(tan(x/2)/sqrt(3))/sqrt(3)`
//! for `1/(2+cos(x))` at odd multiples of pi, `-cos(x)*sign(sin(x))` for `abs(sin(x))`. The difference that is made here: a jump is
//! wrong if the terms that do not jump suffice for the integrand; it is taken where the integrand has a kink, or if it is the jump of
//! an inverse function; of any other nothing is said.

use super::outcome::{Outcome, SAFETY, shown};
use crate::task::expr::{Branch, Expr, Factor, Function, Term};

/// Distance from a place at which a jump is looked for, relative to its size or the gap to the next place.
const NEAR: f64 = 1e-9;
/// The largest such distance.
const MOST: f64 = 1e-6;
/// Most terms of which a combination is looked for.
const MAX_TERMS: usize = 12;
/// Residual of a combination, relative to the integrand, below which it equals the integrand.
const FITS: f64 = 1e-9;

/// The jumps of an answer.
pub(super) enum Jumps {
    None,
    /// There are some, and they are taken.
    Taken,
    Refused(Outcome),
}

/// Judges the jumps at `places`. `points` are some where derivative and integrand are known to agree.
pub(super) fn judge(integrand: &Expr, answer: &Expr, places: &[f64], points: &[f64]) -> Jumps {
    let mut found = Jumps::None;
    for (i, &place) in places.iter().enumerate() {
        let gap = |next: Option<&f64>| next.map_or(f64::INFINITY, |next| (next - place).abs());
        let before = i.checked_sub(1).and_then(|i| places.get(i));
        let room = gap(before).min(gap(places.get(i + 1))).min(place.abs().max(1e-3));
        let distance = (NEAR * place.abs().max(1e-3)).min(MOST).min(0.25 * room);
        // Where doubles lie too far apart for that, a step that does not move otherwise is still seen.
        let coarse = 1024.0 * f64::EPSILON * place.abs();
        let found_one = match distance > coarse {
            true => jumps(integrand, answer, place, distance),
            false => coarse < room && terms(answer).iter().any(|term| is_step(term, place, coarse)),
        };
        if !found_one {
            continue;
        }
        let distance = distance.max(coarse);
        let (moving, still): (Vec<Expr>, Vec<Expr>) =
            terms(answer).into_iter().partition(|term| steps(term, place, distance));
        if suffice(integrand, &still, points) {
            return Jumps::Refused(Outcome::Wrong(format!(
                "the answer jumps at x = {}, where the integrand is continuous",
                shown(place, 9)
            )));
        }
        if matches!(found, Jumps::None) {
            found = Jumps::Taken;
        }
        if !kink(integrand, place, distance) && !moving.iter().all(is_inverse_function) {
            found = Jumps::Refused(Outcome::Unverifiable(format!(
                "the answer jumps at x = {}, where the integrand is continuous",
                shown(place, 9)
            )));
        }
    }
    found
}

/// Whether `answer` jumps at `place` and the integrand is bounded there.
fn jumps(integrand: &Expr, answer: &Expr, place: f64, distance: f64) -> bool {
    let at = |factor: f64| integrand.eval(place + factor * distance, Branch::Real);
    let height = |factor: f64| at(factor).value;
    let (left, right) = (height(-1.0), height(1.0));
    let (near, far) = (left.abs().max(right.abs()), height(-64.0).abs().max(height(64.0).abs()));
    // At a pole of order k the integrand would grow by 64^k, and by 8 where it is integrable and yet unbounded.
    if near.is_nan() || near > 2.0 * far + f64::MIN_POSITIVE {
        return false;
    }
    let [from, to] = [-distance, distance].map(|offset| answer.eval(place + offset, Branch::Real));
    let rounding = SAFETY * (from.value_error + to.value_error);
    // A step that moves by nothing else is one, however small beside the other terms.
    if terms(answer).iter().any(|term| is_step(term, place, distance)) {
        return true;
    }
    // The area is that of two rectangles to within what the integrand changes.
    let area = distance * (left + right);
    let noise = at(-1.0).value_error + at(1.0).value_error;
    let change = (right - left).abs() + (near - far).abs() + SAFETY * noise + 1e-6 * near;
    let size = to.value - from.value - area;
    // A jump is the same at half the distance; what oscillates faster than doubles can follow is not.
    let [from, to] =
        [-0.43 * distance, 0.43 * distance].map(|offset| answer.eval(place + offset, Branch::Real));
    let [left, right] = [-0.43, 0.43].map(height);
    let closer = to.value - from.value - 0.43 * distance * (left + right);
    let granted = rounding + 4.0 * distance * change;
    size.abs() > granted && (size - closer).abs() <= granted + 1e-3 * size.abs()
}

/// Whether a term is constant on both sides of `place`, and another constant on each.
fn is_step(term: &Expr, place: f64, distance: f64) -> bool {
    term.has_variable() && term.moving_parts() == 0 && steps(term, place, distance)
}

/// Whether one term has different values on both sides of `place`, by more than its derivative explains.
fn steps(term: &Expr, place: f64, distance: f64) -> bool {
    let (left, right) =
        (term.eval(place - distance, Branch::Real), term.eval(place + distance, Branch::Real));
    let slope = left.slope.abs().max(right.slope.abs());
    let difference = (right.value - left.value).abs();
    difference.is_nan()
        || difference > SAFETY * (left.value_error + right.value_error) + 16.0 * distance * slope
}

/// Whether the derivative of the integrand is another one on either side.
fn kink(integrand: &Expr, place: f64, distance: f64) -> bool {
    let side = |sign: f64| integrand.eval(place + sign * distance, Branch::Real).slope;
    let (left, right) = (side(-1.0), side(1.0));
    (right - left).abs() > 1e-3 * left.abs().max(right.abs())
}

/// The terms of a sum, with constant factors multiplied out.
fn terms(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::Sum(parts) => parts
            .iter()
            .flat_map(|part| terms(&part.expr).into_iter().map(move |term| (part.negative, term)))
            .map(|(negative, term)| if negative { Expr::negated(term) } else { term })
            .collect(),
        Expr::Product(factors) => {
            let varying: Vec<usize> =
                (0..factors.len()).filter(|&i| factors[i].expr.has_variable()).collect();
            match *varying.as_slice() {
                [place] if !factors[place].inverse => terms(&factors[place].expr)
                    .into_iter()
                    .map(|term| {
                        let mut factors = factors.clone();
                        factors[place].expr = term;
                        Expr::Product(factors)
                    })
                    .collect(),
                _ => vec![expr.clone()],
            }
        }
        _ => vec![expr.clone()],
    }
}

/// Whether a term is an inverse trigonometric function with constant factors.
fn is_inverse_function(term: &Expr) -> bool {
    use Function::{Acos, Acot, Acsc, Asec, Asin, Atan};
    match term {
        Expr::Call(function, _) => matches!(function, Asin | Acos | Atan | Asec | Acsc | Acot),
        Expr::Sum(parts) => matches!(parts.as_slice(), [Term { expr, .. }] if is_inverse_function(expr)),
        Expr::Product(factors) => factors
            .iter()
            .all(|Factor { inverse, expr }| !expr.has_variable() || (!inverse && is_inverse_function(expr))),
        _ => false,
    }
}

/// Whether a combination of the derivatives of `terms` is the integrand: least squares at `points` by modified Gram-Schmidt
/// (Golub and Van Loan, *Matrix Computations*, sec. 5.2.8).
fn suffice(integrand: &Expr, terms: &[Expr], points: &[f64]) -> bool {
    let terms: Vec<_> = terms.iter().filter(|term| term.has_variable()).take(MAX_TERMS).collect();
    let stride = points.len().div_ceil(4 * MAX_TERMS).max(1);
    let mut columns = vec![Vec::new(); terms.len()];
    let mut rest = Vec::new();
    for &x in points.iter().step_by(stride) {
        let f = integrand.eval(x, Branch::Real).value;
        let slopes: Vec<_> = terms.iter().map(|term| term.eval(x, Branch::Real).slope / f).collect();
        // A row per point, relative to the integrand there.
        if f != 0.0 && slopes.iter().all(|slope| slope.is_finite()) {
            rest.push(1.0);
            columns.iter_mut().zip(slopes).for_each(|(column, slope)| column.push(slope));
        }
    }
    if rest.len() <= terms.len() {
        return false;
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let subtract = |from: &mut [f64], factor: f64, column: &[f64]| {
        from.iter_mut().zip(column).for_each(|(value, part)| *value -= factor * part);
    };
    for i in 0..columns.len() {
        let mut column = std::mem::take(&mut columns[i]);
        let before = dot(&column, &column).sqrt();
        for known in &columns[..i] {
            let factor = dot(known, &column);
            subtract(&mut column, factor, known);
        }
        let length = dot(&column, &column).sqrt();
        // A term that depends on the others adds nothing.
        if length > 1e-10 * before {
            column.iter_mut().for_each(|value| *value /= length);
            let factor = dot(&column, &rest);
            subtract(&mut rest, factor, &column);
        } else {
            column.iter_mut().for_each(|value| *value = 0.0);
        }
        columns[i] = column;
    }
    rest.iter().all(|value| value.abs() <= FITS)
}
