//! Where an expression changes its character: zeros, poles and extremes of the arguments of its functions, of its denominators,
//! bases and exponents. Kinks of `abs`, steps of `sign`, ends of domains, poles, and the middle of every peak `exp(-u^2)` and step
//! `tanh(u)` are among them, so that points on both sides of each see what fixed points miss.

use super::{Branch, Expr, Function};

/// Nodes of all watched expressions together, beyond which not all are looked at.
const MAX_WATCHED: usize = 6000;
/// Most places of one kind that are kept of one watched expression: those nearest to zero.
const MAX_OF_ONE: usize = 16;
/// Most places of all.
const MAX_PLACES: usize = 192;
/// Halvings of an interval; more than a double has digits, since half of them are spent on the exponent.
const HALVINGS: usize = 130;
/// How often a value must exceed its rounding error for its sign to be known.
const KNOWN_SIGN: f64 = 8.0;

/// Something whose sign changes are looked for.
struct Watch<'a> {
    expr: &'a Expr,
    /// The values that are special besides zero.
    levels: &'static [f64],
}

/// The places in `low < x < high`, in order, and whether all that the grid shows are among them.
pub(in crate::task) fn breakpoints(exprs: &[&Expr], low: f64, high: f64) -> (Vec<f64>, bool) {
    let mut watches = Vec::new();
    let mut room = MAX_WATCHED;
    let mut complete = true;
    for expr in exprs {
        complete &= collect(expr, &mut watches, &mut room);
    }
    let grid = grid(low, high);
    let mut places = vec![0.0];
    for watch in &watches {
        let jets: Vec<_> = grid.iter().map(|&x| (x, watch.expr.eval(x, Branch::Real))).collect();
        for &level in watch.levels {
            let value = |x: f64| {
                let jet = watch.expr.eval(x, Branch::Real);
                sign(jet.value - level, jet.value_error)
            };
            let signs = jets.iter().map(|(x, jet)| (*x, sign(jet.value - level, jet.value_error)));
            places.extend(changes(signs, value));
        }
        let slope = |x: f64| {
            let jet = watch.expr.eval(x, Branch::Real);
            sign(jet.slope, jet.slope_error)
        };
        places.extend(changes(jets.iter().map(|(x, jet)| (*x, sign(jet.slope, jet.slope_error))), slope));
    }
    places.retain(|&x| low < x && x < high);
    places.sort_by(f64::total_cmp);
    places.dedup_by(|a, b| (*a - *b).abs() <= 4.0 * f64::EPSILON * b.abs());
    complete &= places.len() <= MAX_PLACES;
    places.truncate(MAX_PLACES);
    (places, complete)
}

/// Adds what is to be watched in `expr`; false if there is no room for all.
fn collect<'a>(expr: &'a Expr, watches: &mut Vec<Watch<'a>>, room: &mut usize) -> bool {
    const ZERO: &[f64] = &[0.0];
    const UNIT: &[f64] = &[0.0, 1.0, -1.0];
    let mut complete = true;
    let mut watch = |expr: &'a Expr, levels: &'static [f64]| {
        if !expr.has_variable() || *expr == Expr::Variable && levels == ZERO {
            return;
        }
        if let Some(known) = watches.iter_mut().find(|known| known.expr == expr) {
            if known.levels.len() < levels.len() {
                known.levels = levels;
            }
            return;
        }
        match room.checked_sub(expr.size()) {
            Some(left) => {
                *room = left;
                watches.push(Watch { expr, levels });
            }
            None => complete = false,
        }
    };
    match expr {
        Expr::Number(_) | Expr::Variable | Expr::E | Expr::Pi => {}
        Expr::Sum(_) => {}
        Expr::Product(factors) => {
            factors.iter().filter(|factor| factor.inverse).for_each(|factor| watch(&factor.expr, ZERO));
        }
        Expr::Power(base, exponent) => {
            let small = exponent.eval(0.0, Branch::Real).value.abs() <= 16.0 && !exponent.has_variable();
            watch(base, if small { ZERO } else { UNIT });
            watch(exponent, ZERO);
        }
        Expr::Call(function, argument) => {
            use Function::{Acos, Acosh, Acoth, Acsc, Asec, Asech, Asin, Atanh, Cot, Csc, Sec, Tan};
            let inverse = matches!(function, Asin | Acos | Acosh | Atanh | Asec | Acsc | Asech | Acoth);
            watch(argument, if inverse { UNIT } else { ZERO });
            if matches!(function, Tan | Cot | Sec | Csc) {
                watch(expr, ZERO);
            }
        }
    }
    expr.parts().fold(complete, |all, part| all & collect(part, watches, room))
}

/// Points in order over forty decades of both signs, densest from 0.1 to 100; evenly in a finite interval besides.
fn grid(low: f64, high: f64) -> Vec<f64> {
    let mut sizes = Vec::new();
    let mut size = 1.1e-25;
    while size < 2e16 {
        sizes.push(size);
        // By multiplication, so that every platform has the same points.
        size *= if (0.05..130.0).contains(&size) { 1.137 } else { 7.3 };
    }
    let mut points: Vec<f64> = sizes.iter().flat_map(|&size| [size, -size]).collect();
    if low.is_finite() && high.is_finite() {
        points.extend((1..128).map(|i| low + (high - low) * (f64::from(i) + 0.137) / 128.5));
    }
    points.retain(|&x| low < x && x < high);
    points.sort_by(f64::total_cmp);
    points
}

/// The sign, if it is known: `None` for what is undefined or lost in rounding errors, `Some(0)` for an exact zero.
fn sign(value: f64, error: f64) -> Option<i8> {
    if value.is_nan() || error.is_nan() {
        None
    } else if value == 0.0 && error == 0.0 {
        Some(0)
    } else if value.abs() <= KNOWN_SIGN * error {
        None
    } else {
        Some(if value > 0.0 { 1 } else { -1 })
    }
}

/// Where the sign changes between neighbours, and the edges of what is defined, nearest to zero first.
fn changes(signs: impl Iterator<Item = (f64, Option<i8>)>, at: impl Fn(f64) -> Option<i8>) -> Vec<f64> {
    let mut brackets: Vec<(f64, f64, i8)> = Vec::new();
    let mut last: Option<(f64, i8)> = None;
    for (x, sign) in signs {
        let Some(sign) = sign else { continue };
        if sign == 0 {
            brackets.push((x, x, 0));
        } else if let Some((before, known)) = last
            && known == -sign
        {
            brackets.push((before, x, known));
        }
        if sign != 0 {
            last = Some((x, sign));
        }
    }
    brackets.sort_by(|a, b| a.0.abs().min(a.1.abs()).total_cmp(&b.0.abs().min(b.1.abs())));
    // An expression that is zero on a whole interval is zero at many points of the grid.
    brackets.truncate(MAX_OF_ONE);
    brackets.into_iter().map(|(a, b, sign)| bisect(a, b, sign, &at)).collect()
}

/// Halves `a < b`, of which `a` has the sign, until neighbouring doubles are reached.
fn bisect(mut a: f64, mut b: f64, sign: i8, at: &impl Fn(f64) -> Option<i8>) -> f64 {
    for _ in 0..HALVINGS {
        // By size while the ends are far apart, so that few steps bridge many decades.
        let middle = if a > 0.0 && b > 4.0 * a {
            a.sqrt() * b.sqrt()
        } else if b < 0.0 && a < 4.0 * b {
            -(a.abs().sqrt() * b.abs().sqrt())
        } else {
            0.5 * a + 0.5 * b
        };
        if middle <= a || middle >= b {
            break;
        }
        match at(middle) {
            Some(found) if found == sign => a = middle,
            Some(0) => return middle,
            Some(_) => b = middle,
            // Lost in rounding errors: as near as it gets.
            None => return middle,
        }
    }
    0.5 * a + 0.5 * b
}

/// Points on both sides of each of `places`, at distances from half the gap to the next place down to `steps` eighths of eighths of
/// it, none of them at a place. Ends that are not finite stand for the size of the place.
pub(in crate::task) fn around(places: &[f64], low: f64, high: f64, steps: usize) -> Vec<f64> {
    let mut points = Vec::new();
    for (i, &place) in places.iter().enumerate() {
        let before = i.checked_sub(1).map_or(low, |i| places[i]);
        let after = places.get(i + 1).copied().unwrap_or(high);
        for (side, next) in [(-1.0, before), (1.0, after)] {
            let gap = if next.is_finite() { (next - place).abs() } else { place.abs().max(1.0) };
            let smallest = 1024.0 * f64::EPSILON * place.abs();
            let mut distance = 0.4871 * gap;
            for _ in 0..steps {
                if distance <= smallest {
                    break;
                }
                points.push(place + side * distance);
                distance /= 8.0;
            }
        }
    }
    points
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::expr::{Grammar, parse};

    fn places(text: &str) -> Vec<f64> {
        let expr = parse(text, Grammar::Expression).unwrap();
        let (places, complete) = breakpoints(&[&expr], f64::NEG_INFINITY, f64::INFINITY);
        assert!(complete, "{text}");
        places
    }

    #[test]
    fn kinks_peaks_steps_and_poles_are_found() {
        for (text, expected) in [
            ("abs(x-79)", &[79.0][..]),
            ("sign(3*x+2)", &[-2.0 / 3.0]),
            ("exp(-(1000000*(x-0.3))^2)", &[0.3]),
            ("tanh(1000000000*(x-1.5))", &[1.5]),
            ("tanh(1000*(log(x)+50))", &[(-50f64).exp()]),
            ("1/(0.000000000001+(x-0.333)^2)", &[0.333]),
            ("(x/1000)^500", &[1000.0, -1000.0]),
            ("log(x^2-5)", &[5f64.sqrt(), -(5f64.sqrt())]),
            ("asin(2*x)", &[0.5, -0.5]),
            ("atan(tan(x/2))", &[std::f64::consts::PI, -std::f64::consts::PI]),
            ("abs(x-123456789)", &[123_456_789.0]),
            ("abs(sin(x))", &[std::f64::consts::PI, 2.0 * std::f64::consts::PI]),
        ] {
            let found = places(text);
            for &place in expected {
                assert!(
                    found.iter().any(|x| (x - place).abs() <= 1e-12 * place.abs()),
                    "{text}: {place} {found:?}"
                );
            }
        }
        assert_eq!(places("x^2+3*x"), [0.0]);
    }

    #[test]
    fn points_lie_on_both_sides_of_each() {
        let points = around(&[0.0, 2.0], f64::NEG_INFINITY, 3.0, 6);
        assert_eq!(points.len(), 24);
        for (low, high) in [(-1.0, -1e-6), (1e-6, 1.0), (1.0, 1.999_999), (2.000_001, 3.0)] {
            assert!(points.iter().any(|&x| low < x && x < high), "{low} {high} {points:?}");
        }
    }

    #[test]
    fn work_is_bounded() {
        let text = vec!["sin(sin(sin(sin(9*x))))"; 60].join("+");
        let _ = places(&text);
        let nested = (0..25).fold("x".to_owned(), |inner, i| format!("abs({inner}-{i})"));
        let _ = breakpoints(&[&parse(&nested, Grammar::Expression).unwrap()], -1.0, 1.0);
    }
}
