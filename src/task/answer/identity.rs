//! Whether two expressions with variables are the same: by their values at points that nobody can foresee.
//!
//! The points are rational, so that rational functions are compared exactly (Schwartz, *J. ACM* 27, 1980: two polynomials that
//! differ agree at few points); other functions are compared within their rounding errors.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use sha2::{Digest, Sha256};

use super::Same;
use super::number::{Number, same};
use super::term::Term;

/// Points that are tried.
const POINTS: u32 = 24;
/// Points at which both must have a value.
const NEEDED: usize = 4;
/// Most variables of an expression that is compared.
const MAX_VARIABLES: usize = 8;

/// The value of a variable at a point: a fraction from -6 to 6 that depends on both expressions by a hash; every third point is positive
/// in all variables and every other third below one, where roots and logarithms live.
fn value(seed: &[u8], point: u32, name: &str) -> BigRational {
    let mut hash = Sha256::new();
    hash.update(seed);
    hash.update(point.to_le_bytes());
    hash.update(name.as_bytes());
    let bytes: [u8; 32] = hash.finalize().into();
    let number = |at: usize| i64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let denominator = 10_007 + number(0) % 89;
    let (low, high) = match point % 3 {
        0 => (1, 60_000),
        1 => (1, 10_000),
        _ => (-60_000, 60_000),
    };
    let wide = number(2) * 65_536 + number(4);
    BigRational::new(BigInt::from(low + wide % (high - low)), BigInt::from(denominator))
}

fn seed(terms: &[&Term]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for term in terms {
        hash.update(format!("{term:?}").as_bytes());
    }
    hash.finalize().to_vec()
}

/// The values of terms at the points.
fn sampled<'a>(terms: &'a [&'a Term]) -> Option<impl Iterator<Item = Vec<Number>> + 'a> {
    let mut names = Vec::new();
    for term in terms {
        term.variables(&mut names);
    }
    if names.len() > MAX_VARIABLES {
        return None;
    }
    let seed = seed(terms);
    Some((0..POINTS).map(move |point| {
        let at = |name: &str| value(&seed, point, name);
        terms.iter().map(|term| term.value(&at)).collect()
    }))
}

/// Whether two terms have the same value everywhere.
pub(super) fn identical(known: &Term, answer: &Term, tolerance: f64) -> Same {
    if known == answer {
        return Same::Yes;
    }
    let (mut agree, mut lost) = (0, 0);
    let terms = [known, answer];
    let Some(points) = sampled(&terms) else { return Same::Unknown };
    for values in points {
        let [a, b] = values.as_slice() else { continue };
        match (a.is_defined(), b.is_defined()) {
            (true, true) => match same(&undigited(a), &undigited(b), tolerance) {
                Same::Yes => agree += 1,
                Same::No => return renamed(known, answer),
                Same::Unknown => lost += 1,
            },
            (false, false) => {}
            _ => lost += 1,
        }
    }
    if agree >= NEEDED && lost * 4 <= agree { Same::Yes } else { Same::Unknown }
}

/// The number without the digits that it was written with: at a point, they mean nothing.
fn undigited(number: &Number) -> Number {
    Number { written: None, ..number.clone() }
}

/// Terms that differ may be the same with another name of their only variable: then nobody can tell.
fn renamed(known: &Term, answer: &Term) -> Same {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    known.variables(&mut a);
    answer.variables(&mut b);
    // A constant of integration that was left away.
    let constant = |names: &[&str]| names.contains(&"C");
    if constant(&a) != constant(&b) {
        let seed = seed(&[known, answer]);
        let equal = (0..POINTS).all(|point| {
            let at = |name: &str| if name == "C" { BigRational::zero() } else { value(&seed, point, name) };
            same(&undigited(&known.value(&at)), &undigited(&answer.value(&at)), 0.0) != Same::No
        });
        return if equal { Same::Unknown } else { Same::No };
    }
    let ([first], [second]) = (a.as_slice(), b.as_slice()) else { return Same::No };
    if first == second || matches!((known, answer), (Term::Variable(_), Term::Variable(_))) {
        return Same::No;
    }
    let seed = seed(&[known, answer]);
    let equal = (0..POINTS).all(|point| {
        let at = |_: &str| value(&seed, point, "x");
        let (a, b) = (known.value(&at), answer.value(&at));
        a.is_defined() == b.is_defined()
            && (!a.is_defined() || same(&undigited(&a), &undigited(&b), 0.0) == Same::Yes)
    });
    if equal { Same::Unknown } else { Same::No }
}

/// How two expressions are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ratio {
    /// One is the other times a positive constant.
    Positive,
    /// One is the other times a negative constant.
    Negative,
    /// Neither, and both are rational functions, so that this is certain.
    None,
    Unknown,
}

/// Whether the differences of two pairs of sides have a constant ratio: then the equations have the same solutions.
pub(super) fn ratio(a: (&Term, &Term), b: (&Term, &Term)) -> Ratio {
    let difference =
        |(left, right): (&Term, &Term)| Term::Sum(vec![(false, left.clone()), (true, right.clone())]);
    let (a, b) = (difference(a), difference(b));
    let mut found: Option<Number> = None;
    let (mut agree, mut exact) = (0, true);
    let terms = [&a, &b];
    let Some(points) = sampled(&terms) else { return Ratio::Unknown };
    for values in points {
        let [a, b] = values.as_slice() else { continue };
        if !a.is_defined() || !b.is_defined() {
            continue;
        }
        let quotient = match (&a.exact, &b.exact) {
            (Some(a), Some(b)) if !b.is_zero() => Number::exact(a / b),
            (Some(_), Some(_)) => continue,
            _ => {
                exact = false;
                let real = a.real * b.real.recip();
                Number {
                    exact: None,
                    real,
                    imaginary: crate::task::expr::Jet::constant(0.0, 0.0),
                    written: None,
                }
            }
        };
        let imaginary = a.imaginary.value != 0.0 || b.imaginary.value != 0.0;
        if imaginary || !quotient.is_defined() {
            continue;
        }
        match &found {
            None => found = Some(quotient),
            Some(first) => match same(first, &quotient, 0.0) {
                Same::Yes => agree += 1,
                Same::No if exact => return Ratio::None,
                _ => return Ratio::Unknown,
            },
        }
    }
    match found {
        Some(first) if agree + 1 >= NEEDED => {
            let negative = first.exact.map_or(first.real.value < 0.0, |value| value.is_negative());
            if negative { Ratio::Negative } else { Ratio::Positive }
        }
        _ => Ratio::Unknown,
    }
}
