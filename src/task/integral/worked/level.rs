//! Random problems of each level, and the small steps down from them.
//!
//! Levels 1 to 8 are those of the embedded model (`models/tiny/README.md`); 9 and 10 go on to what an undergraduate meets.

use rand_pcg::Pcg64Mcg;

use super::Term;
use super::shape::Shape::{self, *};
use super::shape::Wave::{self, Cos, Cosh, Exp, Sin, Sinh};
use crate::random::{below, shuffle};
use crate::task::draw::{chance, pick, small};

/// The levels and what their problems are.
pub(in crate::task::integral) const LEVELS: &[(u32, &str)] = &[
    (1, "one power"),
    (2, "two or three powers"),
    (3, "one of sin, cos, exp, 1/x"),
    (4, "that and a power"),
    (5, "two of sin, cos, exp"),
    (6, "a product by parts"),
    (7, "a product and one term"),
    (8, "a product and two terms"),
    (9, "a substitution"),
    (10, "inverse functions, squares, quotients, repeated parts"),
];

/// The terms of a random problem of `level`, no two with the same shape. Small numbers are common and large ones rare, so that every
/// level has easier and harder problems. `None` for a level that there is not.
pub(super) fn draw(level: u32, rng: &mut Pcg64Mcg) -> Option<Vec<Term>> {
    let mut shapes = match level {
        1 => vec![power(rng)],
        2 => (0..if chance(rng, 30) { 3 } else { 2 }).map(|_| power(rng)).collect(),
        3 => vec![single(rng)],
        4 => vec![single(rng), power(rng)],
        5 => vec![simple(rng), simple(rng)],
        6 => vec![if chance(rng, 60) { shifted(rng) } else { parts(rng) }],
        7 => vec![parts(rng), if chance(rng, 40) { simple(rng) } else { power(rng) }],
        8 => vec![parts(rng), simple(rng), power(rng)],
        9 | 10 => {
            let first = if level == 9 { substitution(rng) } else { advanced(rng) };
            match below(rng, 10) {
                0 => vec![first, simple(rng)],
                1 | 2 => vec![first, power(rng)],
                _ => vec![first],
            }
        }
        _ => return None,
    };
    if shapes.iter().enumerate().any(|(place, shape)| shapes[..place].contains(shape)) {
        return draw(level, rng);
    }
    shuffle(rng, &mut shapes);
    let coefficient = |rng: &mut Pcg64Mcg, shape: &Shape| match shape {
        // Long by themselves, so mostly without.
        Power { .. } | Reciprocal { .. } | Simple { .. } | Parts { .. } => coefficient(rng),
        _ if chance(rng, 75) => 1,
        _ => coefficient(rng),
    };
    Some(shapes.into_iter().map(|shape| Term { coefficient: coefficient(rng, &shape), shape }).collect())
}

/// Sometimes one beyond the usual range, so that no number is unheard of.
fn size(rng: &mut Pcg64Mcg, usual: usize) -> i64 {
    let largest = if chance(rng, 12) { 3 * usual } else { usual };
    small(rng, largest)
}

fn signed(rng: &mut Pcg64Mcg, size: i64, negative: usize) -> i64 {
    if chance(rng, negative) { -size } else { size }
}

fn coefficient(rng: &mut Pcg64Mcg) -> i64 {
    let size = size(rng, 9);
    signed(rng, size, 25)
}

/// An additive constant other than zero.
fn shift(rng: &mut Pcg64Mcg) -> i64 {
    let size = size(rng, 9);
    signed(rng, size, 40)
}

fn power(rng: &mut Pcg64Mcg) -> Shape {
    Power { n: if chance(rng, 12) { 7 + below(rng, 6) as i64 } else { below(rng, 7) as i64 } }
}

fn rate(rng: &mut Pcg64Mcg, f: Wave) -> i64 {
    let size = size(rng, 6);
    signed(rng, size, if f == Exp { 20 } else { 0 })
}

fn simple(rng: &mut Pcg64Mcg) -> Shape {
    let f = pick(rng, &[Sin, Cos, Exp]);
    Simple { f, k: rate(rng, f) }
}

fn single(rng: &mut Pcg64Mcg) -> Shape {
    match below(rng, 100) {
        0..10 => Reciprocal { a: 0 },
        10..18 => Reciprocal { a: shift(rng) },
        _ => simple(rng),
    }
}

fn parts(rng: &mut Pcg64Mcg) -> Shape {
    let f = pick(rng, &[Sin, Cos, Exp]);
    Parts { n: 1, f, k: rate(rng, f) }
}

fn shifted(rng: &mut Pcg64Mcg) -> Shape {
    let f = pick(rng, &[Sin, Cos, Exp]);
    Shifted { a: shift(rng), f, k: rate(rng, f) }
}

fn substitution(rng: &mut Pcg64Mcg) -> Shape {
    let trigonometric = pick(rng, &[Sin, Cos]);
    let hyperbolic = pick(rng, &[Sinh, Cosh]);
    match below(rng, 14) {
        0..3 => {
            let f = pick(rng, &[Sin, Cos, Exp, Exp]);
            Composed { n: 1 + small(rng, 4), f, k: rate(rng, f) }
        }
        3 => LinearPower { k: size(rng, 5), a: shift(rng), n: 1 + small(rng, 6) },
        4 => QuadraticPower { a: shift(rng), n: pick(rng, &[1, 2, 3, 4, 5, -2, -3]) },
        5 | 6 => PowerQuotient { n: 1 + small(rng, 4), a: shift(rng) },
        7 => OverRoot { a: shift(rng) },
        8 => TimesRoot { a: shift(rng) },
        9 => TrigonometricPower { f: trigonometric, n: small(rng, 6), k: small(rng, 5) },
        10 => LogarithmPower { n: small(rng, 6) },
        11 => ExponentialQuotient { k: rate(rng, Exp), a: shift(rng) },
        12 => ExponentialOf { f: trigonometric, k: small(rng, 5) },
        _ => Simple { f: hyperbolic, k: small(rng, 6) },
    }
}

fn advanced(rng: &mut Pcg64Mcg) -> Shape {
    let f = pick(rng, &[Sin, Cos, Exp]);
    let a = size(rng, 6);
    match below(rng, 17) {
        0 | 1 => Parts { n: 1 + small(rng, 3), f, k: rate(rng, f) },
        2 => TimesLogarithm { n: below(rng, 6) as i64 },
        3 | 4 => Damped { a: rate(rng, Exp), f: pick(rng, &[Sin, Cos]), b: small(rng, 6) },
        5 => InverseQuadratic { a },
        6 => InverseCircle { a },
        7 => InverseRoot { a },
        8 | 9 => Squared { f: pick(rng, &[Sin, Cos, Sinh, Cosh]), k: small(rng, 6) },
        10 => TangentSquared { k: small(rng, 6) },
        11 => Arctangent { k: small(rng, 6) },
        12 => LinearQuotient { b: shift(rng), a },
        13 => LongDivision { a },
        14 => Parts { n: small(rng, 2), f: pick(rng, &[Sinh, Cosh]), k: small(rng, 4) },
        15 => {
            let (a, b) = (if chance(rng, 30) { 0 } else { shift(rng) }, shift(rng));
            PartialFractions { a, b: if a == b { b + 1 } else { b } }
        }
        _ => {
            let b = small(rng, 5);
            TwoWaves { a: if a == b { a + 1 } else { a }, b }
        }
    }
}

/// The same problem a small step easier, as one draw: without a term, or with a simpler one. `None` if this draw gives nothing.
pub(super) fn step_down(terms: &[Term], rng: &mut Pcg64Mcg) -> Option<Vec<Term>> {
    let mut terms = terms.to_vec();
    let place = below(rng, terms.len());
    if terms.len() > 1 && chance(rng, 50) {
        terms.remove(place);
        return Some(terms);
    }
    let Term { coefficient, shape } = terms[place];
    if coefficient.abs() > 1 && terms.len() > 1 && chance(rng, 25) {
        terms[place].coefficient = smaller(rng, coefficient);
        return Some(terms);
    }
    let simpler = simpler(shape, rng);
    if simpler.is_empty() {
        return None;
    }
    let shape = pick(rng, &simpler);
    if terms.iter().any(|term| term.shape == shape) {
        return None;
    }
    terms[place].shape = shape;
    Some(terms)
}

/// A number nearer to 1 in size with the same sign, if there is one.
fn smaller(rng: &mut Pcg64Mcg, n: i64) -> i64 {
    if n.abs() <= 1 { n } else { n.signum() * (1 + below(rng, n.unsigned_abs() as usize - 1) as i64) }
}

/// Shapes that are a step easier.
fn simpler(shape: Shape, rng: &mut Pcg64Mcg) -> Vec<Shape> {
    let mut less = |n: i64| smaller(rng, n);
    let mut steps = match shape {
        Power { n: 0 } => vec![],
        Power { n } => vec![Power { n: less(n + 1) - 1 }],
        Reciprocal { a: 0 } => vec![Power { n: 1 }, Power { n: 2 }],
        Reciprocal { .. } => vec![Reciprocal { a: 0 }],
        Simple { f: Sinh | Cosh, k } => vec![Simple { f: Exp, k }],
        Simple { f, k: -1 } => vec![Simple { f, k: 1 }, Power { n: 1 }],
        Simple { .. } => vec![Power { n: less(5) - 1 }],
        Parts { n: 1, f, k } => vec![Simple { f, k }, Simple { f, k }, Power { n: 1 }],
        Parts { n, f, k } => vec![Parts { n: n - 1, f, k }, Parts { n: 1, f, k }, Power { n }],
        Shifted { f, k, .. } => vec![Parts { n: 1, f, k }, Parts { n: 1, f, k }, Simple { f, k }],
        Composed { n: 2, f, k } => vec![Simple { f, k }, Parts { n: 1, f, k }],
        Composed { n, f, k } => vec![Composed { n: n - 1, f, k }, Composed { n: 2, f, k }, Simple { f, k }],
        LinearPower { k, a, n } => {
            vec![LinearPower { k: 1, a, n }, LinearPower { k, a, n: less(n).max(2) }, Power { n }]
        }
        QuadraticPower { a, n } if n < 0 => vec![PowerQuotient { n: 2, a }, Power { n: 1 }],
        QuadraticPower { a, n } => vec![QuadraticPower { a, n: less(n) }, Power { n: 2 * n + 1 }],
        PowerQuotient { n: 2, a } => vec![Reciprocal { a }, Reciprocal { a: 0 }],
        PowerQuotient { a, .. } => vec![PowerQuotient { n: 2, a }, Reciprocal { a }],
        OverRoot { a } => vec![PowerQuotient { n: 2, a }, Power { n: 1 }],
        TimesRoot { a } => vec![QuadraticPower { a, n: 1 }, OverRoot { a }],
        TrigonometricPower { f, n, k } => vec![TrigonometricPower { f, n: less(n), k }, Simple { f, k }],
        LogarithmPower { n } => vec![LogarithmPower { n: less(n) }, Reciprocal { a: 0 }],
        ExponentialQuotient { k, a } => vec![Simple { f: Exp, k }, ExponentialQuotient { k, a: less(a) }],
        ExponentialOf { f, k } => vec![Simple { f: Exp, k }, Simple { f, k }],
        TimesLogarithm { n: 0 } => vec![Reciprocal { a: 0 }, LogarithmPower { n: 1 }],
        TimesLogarithm { n } => vec![TimesLogarithm { n: n - 1 }, LogarithmPower { n: 1 }, Power { n }],
        Damped { a, f, b } => vec![Simple { f: Exp, k: a }, Simple { f, k: b }, Parts { n: 1, f, k: b }],
        InverseQuadratic { a } => vec![PowerQuotient { n: 2, a: a * a }, Reciprocal { a: a * a }],
        InverseCircle { .. } => vec![Power { n: 1 }, Reciprocal { a: 0 }],
        InverseRoot { a } => vec![OverRoot { a: a * a }, InverseQuadratic { a }],
        Squared { f, k } => match f {
            Sin | Cos => vec![Simple { f, k }, TrigonometricPower { f, n: 1, k }],
            _ => vec![Simple { f, k }, Simple { f: Exp, k }],
        },
        TangentSquared { k } => vec![Squared { f: Sin, k }, Simple { f: Sin, k }],
        Arctangent { .. } => vec![InverseQuadratic { a: 1 }, Power { n: 1 }],
        LinearQuotient { a, .. } => vec![InverseQuadratic { a }, PowerQuotient { n: 2, a: a * a }],
        LongDivision { a } => vec![InverseQuadratic { a }, PowerQuotient { n: 2, a: a * a }],
        PartialFractions { a, b } => vec![Reciprocal { a }, Reciprocal { a: b }],
        TwoWaves { a, b } => vec![Simple { f: Sin, k: a }, Simple { f: Cos, k: b }],
    };
    // The same with a smaller number inside.
    let rates = match shape {
        Simple { f, k } => Some(Simple { f, k: less(k) }),
        Parts { n, f, k } => Some(Parts { n, f, k: less(k) }),
        Shifted { a, f, k } => Some(Shifted { a, f, k: less(k) }),
        Composed { n, f, k } => Some(Composed { n, f, k: less(k) }),
        TrigonometricPower { f, n, k } => Some(TrigonometricPower { f, n, k: less(k) }),
        ExponentialOf { f, k } => Some(ExponentialOf { f, k: less(k) }),
        ExponentialQuotient { k, a } => Some(ExponentialQuotient { k: less(k), a }),
        Damped { a, f, b } => Some(Damped { a: less(a), f, b: less(b) }),
        Squared { f, k } => Some(Squared { f, k: less(k) }),
        TangentSquared { k } => Some(TangentSquared { k: less(k) }),
        Arctangent { k } => Some(Arctangent { k: less(k) }),
        InverseQuadratic { a } => Some(InverseQuadratic { a: less(a) }),
        InverseCircle { a } => Some(InverseCircle { a: less(a) }),
        InverseRoot { a } => Some(InverseRoot { a: less(a) }),
        LongDivision { a } => Some(LongDivision { a: less(a) }),
        _ => None,
    };
    steps.extend(rates);
    steps.retain(|&step| step != shape);
    steps
}
