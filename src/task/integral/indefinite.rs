//! An antiderivative: its exact derivative against the integrand, at points that a wrong answer cannot avoid.
//!
//! A derivative that agrees at many points proves nothing of what happens between them, so the points are chosen by what the
//! answer is made of: fixed ones of several scales, others drawn from a hash of problem and answer, and both sides of every place
//! where a part of either changes its character. Then every part of the answer must have been seen to vary, and the answer must be
//! continuous where the integrand is. What own algebra shows to be equal needs none of this but the last.

use super::algebra::{self, Algebra, MAX_DERIVED};
use super::jumps::{self, Jumps};
use super::outcome::{OPEN_END, Outcome, SAFETY, SLACK, USABLE_NOISE, distinct, shown, value};
use super::quadrature;
use crate::task::expr::{
    Branch, Expr, Function, Jet, around, breakpoints, coarse_points, dense_points, drawn_points,
};

/// Coarse points in the integrand's domain that make a search for a narrow one needless.
const BROAD_DOMAIN: usize = 16;
/// Common points without which nothing is said.
pub(super) const NEEDED_POINTS: usize = 4;
/// The share of the integrand's points at which the answer must be usable too, as a divisor. An answer that is real in a
/// speck only, `x+0*sqrt(0.0001-x^2)` for `cos(x)`, agrees there with more than its antiderivatives.
const NEEDED_SHARE: usize = 4;
/// Rounding error, relative to the integrand, below which a point is evidence; [`NEEDED_POINTS`] such points are needed, so that
/// noise which an answer brings along hides nothing.
const CLEAN_NOISE: f64 = 1e-10;
/// Values below this are not compared: factors on the way to them may have underflowed.
const TINY: f64 = 1e-100;
/// Most points around breakpoints.
const MAX_AROUND: usize = 700;
/// Width of a piece between breakpoints, relative to where it lies, below which it may be lost: rounding errors near a pole make some.
const NARROW: f64 = 1e-4;
/// Evaluated nodes that are spent on parts held still.
const FREEZE_WORK: usize = 1_500_000;
/// Intervals between points that are integrated.
const INTERVALS: usize = 12;

/// What one point says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Finding {
    /// Integrand or answer is undefined, or the integrand is zero or lost in rounding errors.
    Undefined,
    /// The answer is lost in rounding errors.
    Lost,
    /// With the rounding error relative to the integrand.
    Agrees(f64),
    /// But for the last digits of decimals; by how much it differs.
    Rounded(f64),
    /// By how much, relative to the larger one.
    Differs(f64),
}

/// Integrand and answer as they are compared.
struct Pair<'a> {
    integrand: &'a Expr,
    /// The answer with the real part of linear logarithms.
    answer: Expr,
    /// The answer with its decimals as rounded numbers ([`Expr::roundings`]), if it has any.
    rounded: Option<(Expr, Vec<Expr>)>,
    /// The median size of the integrand.
    typical: f64,
}

impl<'a> Pair<'a> {
    fn new(integrand: &'a Expr, answer: Expr, domain: &[(f64, Jet)]) -> Self {
        let mut sizes: Vec<f64> = domain.iter().map(|(_, f)| f.value.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let typical = sizes.get(sizes.len() / 2).copied().unwrap_or(0.0);
        let rounded = answer.roundings();
        Self { integrand, answer, rounded, typical }
    }

    fn compare(&self, x: f64) -> Finding {
        let (f, answer) = (self.integrand.eval(x, Branch::Real), self.answer.eval(x, Branch::Real));
        if !f.is_defined() || !answer.is_defined() {
            return Finding::Undefined;
        }
        let scale = f.value.abs().max(answer.slope.abs());
        let noise = f.value_error + answer.slope_error;
        if scale < TINY || noise > USABLE_NOISE * scale {
            // Where the integrand itself tells nothing there is nothing to lose.
            let telling = f.value.abs() >= TINY && f.value_error <= USABLE_NOISE * f.value.abs();
            return if telling { Finding::Lost } else { Finding::Undefined };
        }
        let difference = (answer.slope - f.value).abs();
        let granted = SAFETY * noise + SLACK * scale;
        if difference <= granted {
            return Finding::Agrees(noise / scale);
        }
        if self.is_rounding(x, f, difference, granted) {
            return Finding::Rounded(difference / scale);
        }
        Finding::Differs(difference / scale)
    }

    /// Whether the last digits of decimals explain the difference, and it is small beside the integrand around `x` or where that is
    /// of its usual size: far out, rounded coefficients of partial fractions cancel to more than the integrand.
    fn is_rounding(&self, x: f64, f: Jet, difference: f64, granted: f64) -> bool {
        let Some((middle, ends)) = &self.rounded else { return false };
        let slope = |expr: &Expr| expr.eval(x, Branch::Real).slope;
        let centre = slope(middle);
        let reach: f64 = ends.iter().map(|end| (slope(end) - centre).abs()).sum();
        let explained = (centre - f.value).abs() <= OPEN_END * reach + granted;
        let size = (f.value.abs() + (x * f.slope).abs()).max(self.typical);
        explained && difference <= USABLE_NOISE * size
    }
}

/// Points that were compared.
#[derive(Default)]
struct Tally {
    agreeing: Vec<f64>,
    /// Those of them that rounding errors hardly touch.
    clean: Vec<f64>,
    lost: Vec<f64>,
    /// Agreeing points that agree only up to rounded decimals, and the worst of them.
    rounded: Vec<f64>,
    coarsest: Option<(f64, f64)>,
    worst: Option<(f64, f64)>,
}

impl Tally {
    fn add(&mut self, x: f64, finding: Finding) {
        match finding {
            Finding::Undefined => {}
            Finding::Lost => self.lost.push(x),
            Finding::Agrees(noise) => {
                self.agreeing.push(x);
                if noise <= CLEAN_NOISE {
                    self.clean.push(x);
                }
            }
            Finding::Rounded(by) => {
                self.agreeing.push(x);
                self.clean.push(x);
                self.rounded.push(x);
                if self.coarsest.is_none_or(|(_, most)| by > most) {
                    self.coarsest = Some((x, by));
                }
            }
            Finding::Differs(by) => {
                if self.worst.is_none_or(|(_, most)| by > most) {
                    self.worst = Some((x, by));
                }
            }
        }
    }

    /// Wrong, at the point that differs most.
    fn wrong(&self, pair: &Pair<'_>) -> Option<Outcome> {
        let (x, _) = self.worst?;
        let (f, answer) =
            (pair.integrand.eval(x, Branch::Real).value, pair.answer.eval(x, Branch::Real).slope);
        let (slope, value) = distinct(answer, f);
        Some(Outcome::Wrong(format!(
            "at x = {} the derivative of the answer is {slope}, the integrand {value}",
            shown(x, 9)
        )))
    }
}

pub(super) fn indefinite(integrand: &Expr, answer: &Expr, seed: u64) -> Outcome {
    let domain = domain(integrand);
    let telling = telling(&domain);
    let pair = Pair::new(integrand, answer.real_logarithms(), &domain);
    let mut tally = Tally::default();
    for x in domain.iter().map(|&(x, _)| x).chain(drawn_points(seed)) {
        tally.add(x, pair.compare(x));
    }
    if let Some(wrong) = tally.wrong(&pair) {
        return wrong;
    }
    let common = domain.iter().filter(|(x, _)| tally.agreeing.contains(x)).count();
    if common < NEEDED_POINTS.max(telling / NEEDED_SHARE) {
        return imaginary(answer, &domain).unwrap_or_else(|| {
            Outcome::Unverifiable(format!(
                "the answer is real, finite and not lost in rounding errors at only {common} of {telling} points where the integrand is"
            ))
        });
    }
    // Parts that cancel, such as 0*log(x), restrict where the answer is real, and nothing that is judged beyond that.
    let pair = Pair::new(integrand, pair.answer.simplified(), &domain);
    let (places, complete) = breakpoints(&[integrand, &pair.answer], f64::NEG_INFINITY, f64::INFINITY);
    let equal = match algebra::compare(integrand, answer, &tally.agreeing) {
        Algebra::Equal => true,
        Algebra::Differs(outcome) => return outcome,
        Algebra::Unknown => false,
    };
    if !equal && let Err(outcome) = examine(&pair, &mut tally, &domain, &places, complete) {
        return outcome;
    }
    let beyond = |place: &f64| {
        // Not at the place itself, which may be a pole.
        let x = place + 1e-3 * place.abs().max(1.0);
        integrand.overflows(x) || pair.answer.overflows(x)
    };
    let settled = equal && !has_hidden_steps(answer);
    if !settled && let Some(place) = places.iter().find(|place| beyond(place)) {
        return Outcome::Unverifiable(format!(
            "at x = {} numbers are too large to judge the answer",
            shown(*place, 6)
        ));
    }
    match jumps::judge(integrand, &pair.answer, &places, &tally.clean) {
        Jumps::Refused(outcome) => outcome,
        Jumps::None => confirm(&pair, equal, false, &tally, &places),
        Jumps::Taken => confirm(&pair, equal, true, &tally, &places),
    }
}

/// Whether the answer may jump without a trace in its derivative: `sign(u)` does, and so does `acot(u)+atan(u)`, which is a constant on
/// either side of a zero of `u`. Any other part that jumps leaves its pole in the derivative, and by that in an equal integrand.
fn has_hidden_steps(answer: &Expr) -> bool {
    answer.any(&|part| matches!(part, Expr::Call(Function::Sign | Function::Acot, _)))
}

/// All that points can show besides the first ones.
fn examine(
    pair: &Pair<'_>,
    tally: &mut Tally,
    domain: &[(f64, Jet)],
    places: &[f64],
    complete: bool,
) -> Result<(), Outcome> {
    let steps = (MAX_AROUND / (2 * places.len().max(1))).clamp(2, 16);
    let near = around(places, f64::NEG_INFINITY, f64::INFINITY, steps);
    for x in
        domain.iter().map(|&(x, _)| x).filter(|x| !tally.agreeing.contains(x)).chain(near).collect::<Vec<_>>()
    {
        tally.add(x, pair.compare(x));
    }
    // A rounded factor shows almost everywhere. What shows in some place only is another term.
    let first = domain.iter().filter(|(x, _)| tally.agreeing.contains(x)).count();
    let rounded = domain.iter().filter(|(x, _)| tally.rounded.contains(x)).count();
    if 2 * rounded < first {
        tally.worst = tally.worst.or(tally.coarsest);
    }
    if let Some(wrong) = tally.wrong(pair) {
        return Err(wrong);
    }
    if !complete {
        return Err(Outcome::Unverifiable(
            "the answer has more kinks, poles and peaks than are looked at".to_owned(),
        ));
    }
    if tally.clean.len() < NEEDED_POINTS {
        return Err(Outcome::Unverifiable("the answer is lost in rounding errors".to_owned()));
    }
    if let Some((a, b)) = unseen_piece(tally, places) {
        return Err(Outcome::Unverifiable(format!(
            "between {} and {} the answer is lost in rounding errors",
            shown(a, 6),
            shown(b, 6)
        )));
    }
    let whole = |x: f64| {
        let (f, jet) = (pair.integrand.eval(x, Branch::Real), pair.answer.eval(x, Branch::Real));
        let scale = f.value.abs().max(jet.slope.abs());
        (jet, SAFETY * (f.value_error + jet.slope_error) + SLACK * scale)
    };
    match unseen_part(&pair.answer, whole, &tally.clean) {
        None => Ok(()),
        Some(fault) => Err(Outcome::Unverifiable(format!("the answer {fault}"))),
    }
}

/// The integrand where it is real and finite: at the coarse points, and at the dense ones if too few of those tell anything.
pub(super) fn domain(integrand: &Expr) -> Vec<(f64, Jet)> {
    let defined = |x| Some((x, integrand.eval(x, Branch::Real))).filter(|(_, value)| value.is_defined());
    let mut points: Vec<_> = coarse_points().filter_map(defined).collect();
    if telling(&points) < BROAD_DOMAIN {
        points.extend(dense_points().filter_map(defined));
    }
    points
}

/// The number of points where the integrand is neither zero nor lost in rounding errors or underflow, as `exp(-x^2)` is from 26 on.
pub(super) fn telling(points: &[(f64, Jet)]) -> usize {
    points.iter().filter(|(_, jet)| jet.value_error < USABLE_NOISE * jet.value.abs()).count()
}

/// Wrong if the answer has imaginary logarithms at every point of the domain and its derivative has them too, as that of
/// `x*log(-x)-x` for `log(x)`: more than a constant is imaginary.
fn imaginary(answer: &Expr, domain: &[(f64, Jet)]) -> Option<Outcome> {
    if answer.size() > MAX_DERIVED {
        return None;
    }
    let derivative = answer.derivative();
    let mut found = 0;
    for &(x, _) in domain {
        if answer.eval(x, Branch::Real).is_defined() || derivative.eval(x, Branch::Real).is_defined() {
            return None;
        }
        found += usize::from(answer.eval(x, Branch::RealPart).is_defined());
    }
    (found >= NEEDED_POINTS).then(|| {
        Outcome::Wrong(
            "the answer has imaginary logarithms wherever the integrand is real, and not only as a constant"
                .to_owned(),
        )
    })
}

/// A piece between neighbouring places in which points were lost and none agrees.
fn unseen_piece(tally: &Tally, places: &[f64]) -> Option<(f64, f64)> {
    let ends = [&[f64::NEG_INFINITY], places, &[f64::INFINITY]].concat();
    let wide = |a: f64, b: f64| b - a > NARROW * a.abs().min(b.abs());
    ends.windows(2).map(|ends| (ends[0], ends[1])).filter(|&(a, b)| wide(a, b)).find(|&(a, b)| {
        let inside = |x: &f64| a < *x && *x < b;
        tally.lost.iter().filter(|x| inside(x)).count() >= NEEDED_POINTS && !tally.agreeing.iter().any(inside)
    })
}

/// What is to be said against an expression of which a part could be held still without an effect at any of `points`, or was not
/// come to within a bounded amount of work. `whole` gives the value at a point with what is granted there. What may have a kink must be seen on both sides of it.
pub(super) fn unseen_part(expr: &Expr, whole: impl Fn(f64) -> (Jet, f64), points: &[f64]) -> Option<String> {
    let (size, mut work) = (expr.size(), 0);
    for part in 0..expr.moving_parts() {
        let mut name = None;
        // Whether the part is seen to vary on a side, for sides that exist.
        let mut sides = [None; 2];
        for &x in points {
            work += size;
            if work > FREEZE_WORK {
                break;
            }
            let (frozen, found) = expr.eval_frozen(x, part);
            name = name.or(found);
            let side = found.map_or(0, |part| usize::from(is_upper_side(part, x)));
            let (jet, granted) = whole(x);
            sides[side] = Some(sides[side] == Some(true) || (frozen.slope - jet.slope).abs() > 4.0 * granted);
            let kinked = found.is_some_and(|part| kink_argument(part).is_some());
            if sides.contains(&Some(true)) && (!kinked || sides == [Some(true); 2]) {
                break;
            }
        }
        if work > FREEZE_WORK {
            return Some("is too long to be examined part by part".to_owned());
        }
        if sides.contains(&Some(false)) || sides == [None; 2] {
            let part: String = name.map(ToString::to_string).unwrap_or_default().chars().take(60).collect();
            return Some(format!("has a part, `{part}`, that varies at none of the points that were tried"));
        }
    }
    None
}

/// The argument at whose zeros a part may have a kink, as `abs(u)` and `sqrt(u^2)` have.
fn kink_argument(part: &Expr) -> Option<(&Expr, bool)> {
    match part {
        Expr::Call(Function::Abs, argument) => Some((argument, true)),
        Expr::Call(Function::Sqrt | Function::Cbrt, argument) => Some((argument, false)),
        Expr::Power(base, exponent) if !exponent.has_variable() => {
            let exponent = exponent.eval(0.0, Branch::Real).value;
            (exponent.fract() != 0.0).then_some((base, false))
        }
        _ => None,
    }
}

/// On which side of a kink `x` lies: by the sign of the argument of `abs`, by that of the slope of a radicand.
fn is_upper_side(part: &Expr, x: f64) -> bool {
    kink_argument(part).is_some_and(|(argument, by_value)| {
        let jet = argument.eval(x, Branch::Real);
        if by_value { jet.value > 0.0 } else { jet.slope > 0.0 }
    })
}

/// The fundamental theorem between neighbouring points with no place in between. An answer whose jumps are taken may have more of
/// them than were looked for, so that not all intervals need agree, but no more may differ than agree.
fn confirm(pair: &Pair<'_>, equal: bool, jumps: bool, tally: &Tally, places: &[f64]) -> Outcome {
    let (mut agree, mut differ) = (0usize, 0usize);
    let mut points = tally.agreeing.clone();
    points.sort_by(f64::total_cmp);
    let gaps: Vec<(f64, f64)> = points
        .windows(2)
        .map(|ends| (ends[0], ends[1]))
        .filter(|&(a, b)| a < b && !places.iter().any(|place| (a..=b).contains(place)))
        .collect();
    // Every k-th gap from the first on, then from the second on and so forth: spread, and all of them if need be.
    let stride = gaps.len().div_ceil(INTERVALS).max(1);
    for &(a, b) in (0..stride).flat_map(|first| gaps.iter().skip(first).step_by(stride)) {
        if agree + differ == INTERVALS {
            break;
        }
        let (from, to) = (pair.answer.eval(a, Branch::Real), pair.answer.eval(b, Branch::Real));
        let Some(area) = quadrature::integrate(|x| value(pair.integrand, x), a, b, 1e-11, 8) else {
            continue;
        };
        let rounding = SAFETY * (from.value_error + to.value_error + area.rounding);
        if rounding.is_nan() || rounding > 1e-5 * area.absolute || area.error > 1e-7 * area.absolute {
            continue;
        }
        let difference = (to.value - from.value - area.value).abs();
        let decimals = match pair.rounded {
            Some(_) => USABLE_NOISE * (area.absolute + pair.typical * (b - a)),
            None => 1e-8 * area.absolute,
        };
        let granted = rounding + 10.0 * area.error + decimals;
        *(if difference <= granted { &mut agree } else { &mut differ }) += 1;
    }
    let shown = match equal {
        true => "the derivative equals the integrand by algebra".to_owned(),
        false => format!("the derivative equals the integrand at {} points", tally.agreeing.len()),
    };
    if agree > 0 && (differ == 0 || jumps && differ <= agree) {
        Outcome::Correct(format!("{shown}, quadrature agrees on {agree} intervals"))
    } else {
        Outcome::Unverifiable(format!(
            "{shown}, but quadrature agrees on {agree} intervals and differs on {differ}"
        ))
    }
}
