//! Expressions of answers: several variables, exact where they can be.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::number::{Literal, Number, bounded, power};
use crate::task::expr::{Branch, Function, Jet};

/// Largest number whose factorial is taken.
const MAX_FACTORIAL: u32 = 300;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Literal(Literal),
    E,
    Pi,
    /// The imaginary unit.
    I,
    Variable(String),
    /// Terms with whether each is subtracted.
    Sum(Vec<(bool, Term)>),
    /// Factors with whether each divides.
    Product(Vec<(bool, Term)>),
    Power(Box<Term>, Box<Term>),
    /// Degree and radicand.
    Root(Box<Term>, Box<Term>),
    Call(Function, Box<Term>),
    /// Base and argument.
    Logarithm(Box<Term>, Box<Term>),
    Factorial(Box<Term>),
    /// `n!!`: every other factor of the factorial.
    DoubleFactorial(Box<Term>),
    Binomial(Box<Term>, Box<Term>),
    Floor(Box<Term>),
    Ceiling(Box<Term>),
    Percent(Box<Term>),
    Degrees(Box<Term>),
}

impl Term {
    /// A whole number.
    pub(super) fn whole(value: u32) -> Self {
        Self::Literal(Literal { value: BigRational::from_integer(value.into()), written: None })
    }

    /// The parts that it is made of.
    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::E | Self::Pi | Self::I | Self::Variable(_) => Vec::new(),
            Self::Sum(parts) | Self::Product(parts) => parts.iter().map(|(_, part)| part).collect(),
            Self::Power(a, b) | Self::Root(a, b) | Self::Logarithm(a, b) | Self::Binomial(a, b) => vec![a, b],
            Self::Call(_, a)
            | Self::Factorial(a)
            | Self::DoubleFactorial(a)
            | Self::Floor(a)
            | Self::Ceiling(a)
            | Self::Percent(a)
            | Self::Degrees(a) => vec![a],
        }
    }

    /// Adds the names of its variables to `names`, each once, in order.
    pub(super) fn variables<'a>(&'a self, names: &mut Vec<&'a str>) {
        if let Self::Variable(name) = self
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
        for part in self.parts() {
            part.variables(names);
        }
    }

    /// The number of its parts, with those of its parts.
    pub(super) fn size(&self) -> usize {
        1 + self.parts().into_iter().map(Self::size).sum::<usize>()
    }

    /// Whether a variable occurs.
    pub(super) fn has_variable(&self) -> bool {
        let mut names = Vec::new();
        self.variables(&mut names);
        !names.is_empty()
    }

    /// The fewest significant digits of the decimals with at least three that occur in it.
    pub(super) fn fewest_digits(&self) -> Option<u32> {
        let own = match self {
            Self::Literal(literal) => literal.written.as_ref().map(|written| written.digits),
            _ => None,
        };
        self.parts()
            .into_iter()
            .filter_map(Self::fewest_digits)
            .chain(own)
            .filter(|digits| *digits >= 3)
            .min()
    }

    /// Its value, with `value_of` for its variables. A decimal as written (with a sign or times a power of ten) keeps its digits.
    pub(super) fn value(&self, value_of: &dyn Fn(&str) -> BigRational) -> Number {
        let of = |term: &Self| term.value(value_of);
        match self {
            Self::Literal(literal) => {
                Number { written: literal.written.clone(), ..Number::exact(literal.value.clone()) }
            }
            Self::E => real(Jet::constant(std::f64::consts::E, f64::EPSILON)),
            Self::Pi => real(Jet::constant(std::f64::consts::PI, f64::EPSILON)),
            Self::I => Number {
                exact: None,
                real: Jet::constant(0.0, 0.0),
                imaginary: Jet::constant(1.0, 0.0),
                written: None,
            },
            Self::Variable(name) => Number::exact(value_of(name)),
            Self::Sum(terms) => match terms.as_slice() {
                [(true, term)] => of(term).times(&-BigRational::one()),
                [(false, term)] => of(term),
                _ => terms.iter().fold(Number::exact(BigRational::zero()), |sum, (negative, term)| {
                    let value = of(term);
                    add(&sum, &if *negative { value.times(&-BigRational::one()) } else { value })
                }),
            },
            Self::Product(factors) => {
                if let [(false, Self::Literal(literal)), (false, tens @ Self::Power(base, _))] =
                    factors.as_slice()
                    && **base == Self::whole(10)
                    && let Some(scale) = of(tens).exact
                {
                    return of(&Self::Literal(literal.clone())).times(&scale);
                }
                factors.iter().fold(Number::exact(BigRational::one()), |product, (inverse, factor)| {
                    let value = of(factor);
                    multiply(&product, &if *inverse { reciprocal(&value) } else { value })
                })
            }
            Self::Power(base, exponent) if **base == Self::E => exponential(&of(exponent)),
            Self::Power(base, exponent) => raise(&of(base), &of(exponent)),
            Self::Root(degree, radicand) => root(&of(degree), &of(radicand)),
            Self::Call(function, argument) => call(*function, &of(argument)),
            Self::Logarithm(base, argument) => {
                let log = |term: &Self| call(Function::Log, &of(term));
                multiply(&log(argument), &reciprocal(&log(base)))
            }
            Self::Factorial(argument) => whole(&of(argument))
                .filter(|n| *n <= MAX_FACTORIAL)
                .map_or_else(undefined, |n| exact((1..=n).map(BigInt::from).product())),
            Self::DoubleFactorial(argument) => whole(&of(argument))
                .filter(|n| *n <= MAX_FACTORIAL)
                .map_or_else(undefined, |n| exact((1..=n).rev().step_by(2).map(BigInt::from).product())),
            Self::Binomial(n, k) => match (whole(&of(n)), whole(&of(k))) {
                (Some(n), Some(k)) if n <= MAX_FACTORIAL => {
                    let value = (0..k.min(n)).fold(BigInt::one(), |value, i| value * (n - i) / (i + 1));
                    exact(if k > n { BigInt::zero() } else { value })
                }
                _ => undefined(),
            },
            Self::Floor(argument) => rounded(&of(argument), BigRational::floor),
            Self::Ceiling(argument) => rounded(&of(argument), BigRational::ceil),
            Self::Percent(argument) => of(argument).times(&BigRational::new(1.into(), 100.into())),
            Self::Degrees(argument) => {
                let half_turn = multiply(&of(argument), &of(&Self::Pi));
                multiply(&half_turn, &Number::exact(BigRational::new(1.into(), 180.into())))
            }
        }
    }

    /// The value of a term without variables.
    pub(super) fn constant(&self) -> Number {
        self.value(&|_| BigRational::zero())
    }
}

fn real(real: Jet) -> Number {
    Number { exact: None, real, imaginary: Jet::constant(0.0, 0.0), written: None }
}

fn exact(value: BigInt) -> Number {
    Number::exact(BigRational::from_integer(value))
}

fn undefined() -> Number {
    real(Jet::UNDEFINED)
}

fn is_real(number: &Number) -> bool {
    number.imaginary.value == 0.0 && number.imaginary.value_error == 0.0
}

/// An exact result, or the computed one.
fn either(exact: Option<BigRational>, real: Jet, imaginary: Jet) -> Number {
    match exact.and_then(bounded) {
        Some(value) => Number::exact(value),
        None => Number { exact: None, real, imaginary, written: None },
    }
}

fn add(a: &Number, b: &Number) -> Number {
    let exact = a.exact.as_ref().zip(b.exact.as_ref()).map(|(a, b)| a + b);
    either(exact, a.real + b.real, a.imaginary + b.imaginary)
}

pub(super) fn multiply(a: &Number, b: &Number) -> Number {
    let exact = a.exact.as_ref().zip(b.exact.as_ref()).map(|(a, b)| a * b);
    if is_real(a) && is_real(b) {
        return either(exact, a.real * b.real, Jet::constant(0.0, 0.0));
    }
    let real = a.real * b.real + -(a.imaginary * b.imaginary);
    either(exact, real, a.real * b.imaginary + a.imaginary * b.real)
}

fn reciprocal(a: &Number) -> Number {
    if let Some(value) = &a.exact {
        return if value.is_zero() { undefined() } else { Number::exact(value.recip()) };
    }
    if is_real(a) {
        return real(a.real.recip());
    }
    let norm = (a.real * a.real + a.imaginary * a.imaginary).recip();
    Number { exact: None, real: a.real * norm, imaginary: -(a.imaginary * norm), written: None }
}

fn raise(base: &Number, exponent: &Number) -> Number {
    if let (Some(a), Some(n)) = (&base.exact, &exponent.exact) {
        if let Some(value) = power(a, n) {
            return Number::exact(value);
        }
        if a.is_negative() && *n.denom() == BigInt::from(2) {
            return root(&exact(2.into()), &raise(base, &exact(n.numer().clone())));
        }
    }
    if !is_real(exponent) {
        return undefined();
    }
    if is_real(base) {
        return real(base.real.pow(exponent.real));
    }
    match exponent.exact.as_ref().filter(|n| n.is_integer()).and_then(ToPrimitive::to_i32) {
        Some(n) if n.unsigned_abs() <= 64 => {
            let product = (0..n.unsigned_abs()).fold(exact(1.into()), |product, _| multiply(&product, base));
            if n < 0 { reciprocal(&product) } else { product }
        }
        _ => undefined(),
    }
}

/// The principal square root, also of a negative number; roots of odd degree are real.
fn root(degree: &Number, radicand: &Number) -> Number {
    let Some(degree) = degree.exact.as_ref().filter(|n| n.is_integer() && n.is_positive()) else {
        return undefined();
    };
    if !is_real(radicand) || radicand.real.value.is_nan() && radicand.exact.is_none() {
        return undefined();
    }
    let negative = match &radicand.exact {
        Some(value) => value.is_negative(),
        None => radicand.real.value < 0.0,
    };
    let size = if negative { radicand.times(&-BigRational::one()) } else { radicand.clone() };
    let value = raise(&size, &Number::exact(degree.recip()));
    match (negative, degree.numer() % 2_u32 == BigInt::one()) {
        (false, _) => value,
        (true, true) => value.times(&-BigRational::one()),
        (true, false) if *degree == BigRational::from_integer(2.into()) => {
            Number { exact: None, real: Jet::constant(0.0, 0.0), imaginary: value.real, written: None }
        }
        (true, false) => undefined(),
    }
}

/// Euler's formula for a complex exponent.
fn exponential(exponent: &Number) -> Number {
    let size = exponent.real.exp();
    if is_real(exponent) {
        return if exponent.exact.as_ref().is_some_and(Zero::is_zero) { exact(1.into()) } else { real(size) };
    }
    let turn = |function: Function| size * function.eval(exponent.imaginary, Branch::Real);
    Number { exact: None, real: turn(Function::Cos), imaginary: turn(Function::Sin), written: None }
}

fn call(function: Function, argument: &Number) -> Number {
    if let (Function::Abs, Some(value)) = (function, &argument.exact) {
        return Number::exact(value.abs());
    }
    match function {
        Function::Sqrt => return root(&exact(2.into()), argument),
        Function::Cbrt => return root(&exact(3.into()), argument),
        Function::Exp => return exponential(argument),
        Function::Abs if !is_real(argument) => {
            let square = argument.real * argument.real + argument.imaginary * argument.imaginary;
            return real(Function::Sqrt.eval(square, Branch::Real));
        }
        _ => {}
    }
    if !is_real(argument) || !argument.real.is_defined() {
        return undefined();
    }
    real(function.eval(argument.real, Branch::Real))
}

/// A number from 0 on that is whole and small.
fn whole(number: &Number) -> Option<u32> {
    number.exact.as_ref().filter(|value| value.is_integer()).and_then(ToPrimitive::to_u32)
}

fn rounded(number: &Number, how: fn(&BigRational) -> BigRational) -> Number {
    if let Some(value) = &number.exact {
        return Number::exact(how(value));
    }
    let (low, high) = (
        number.real.value - 8.0 * number.real.value_error,
        number.real.value + 8.0 * number.real.value_error,
    );
    let ends = [low, high].map(|end| BigRational::from_float(end).map(|end| how(&end)));
    match (is_real(number), ends) {
        (true, [Some(low), Some(high)]) if low == high => Number::exact(low),
        _ => undefined(),
    }
}
