//! Multiplying out: products of sums become sums of products, decimals become fractions, and exponentials powers of one another.
//!
//! What is left of the difference of two expressions after that is small by itself and not by cancellation, so that a double shows
//! whether it is zero, however small it is beside the two ([`Expr::certain_sign`]).

use super::simplify::{Monomial, add, join};
use super::{Branch, Expr, Factor, Function, Number, Term};
use crate::task::rational::Rational;

/// Most monomials that are made on the way, all together; large ones count as several.
const MAX_WORK: usize = 4000;
/// Nodes of a monomial's factors that count as one monomial more.
const LARGE: usize = 16;
/// Highest whole power of a sum that is multiplied out.
const MAX_POWER: i128 = 32;
/// How often a value must exceed the bound on its rounding error for its sign to be beyond doubt.
const BEYOND_DOUBT: f64 = 1000.0;
/// How often it must for a value to be known from zero.
const KNOWN_SIGN: f64 = 8.0;

impl Expr {
    /// Multiplied out; `None` if that is too much work.
    pub(in crate::task) fn expanded(&self) -> Option<Self> {
        self.products().map(|products| join(&products))
    }

    /// The terms of [`Expr::expanded`].
    pub(in crate::task) fn products(&self) -> Option<Vec<Monomial>> {
        let mut work = MAX_WORK;
        expand(self, &mut work)
    }

    /// `self - other`, multiplied out.
    pub(in crate::task) fn difference(&self, other: &Self) -> Option<Self> {
        let term = |negative, expr: &Self| Term { negative, expr: expr.clone() };
        Self::Sum(vec![term(false, self), term(true, other)]).expanded()
    }

    /// The sign at `x`, if rounding errors leave no doubt of it.
    pub(in crate::task) fn certain_sign(&self, x: f64) -> Option<bool> {
        let jet = self.eval(x, Branch::Real);
        let known = jet.value.is_normal() && jet.value.abs() > BEYOND_DOUBT * jet.value_error;
        known.then_some(jet.value > 0.0)
    }

    /// Whether a constant part holds a term that is lost beside the others in a double, as `exp(-60)` in `9+exp(-60)`, or a whole number of more digits than a double has: the value says nothing of it.
    pub(in crate::task) fn has_lost_part(&self) -> bool {
        self.loses(false)
    }

    /// The same, or a function so near to its limit that its value does not show its argument, as that of `erf(6)` is.
    pub(in crate::task) fn has_lost_part_or_limit(&self) -> bool {
        self.loses(true)
    }

    fn loses(&self, limits: bool) -> bool {
        if limits
            && let Self::Call(Function::Erf | Function::Tanh | Function::Coth, argument) = self
            && !argument.has_variable()
        {
            let value = self.eval(0.0, Branch::Real).value;
            return (value.abs() - 1.0).abs() < LOST;
        }
        match self {
            Self::Number(number) => {
                let digits = number.text.split(['e', 'E']).next().unwrap_or_default();
                number.unit == 0.0 && digits.trim_matches(['0', '.']).len() > DOUBLE_DIGITS
            }
            Self::Sum(terms) => {
                let constants = terms.iter().filter(|term| !term.expr.has_variable());
                let values: Vec<_> = constants.map(|term| term.expr.eval(0.0, Branch::Real)).collect();
                let most = values.iter().fold(0.0f64, |most, jet| most.max(jet.value.abs()));
                // What is zero up to rounding errors, as sin(pi) is, is no part.
                let lost = values.iter().any(|jet| {
                    let size = jet.value.abs();
                    size > KNOWN_SIGN * jet.value_error && size < LOST * most
                });
                let underflows = terms.len() > 1 && terms.iter().any(|term| term.expr.underflows());
                lost || underflows || self.parts().any(|part| part.loses(limits))
            }
            _ => self.parts().any(|part| part.loses(limits)),
        }
    }

    /// Whether a constant is zero in a double for an exponential or a power that is too small, which is never zero.
    fn underflows(&self) -> bool {
        match self {
            _ if self.has_variable() => false,
            Self::Call(Function::Exp, _) | Self::Power(..) => {
                self.eval(0.0, Branch::Real).value.abs() < f64::MIN_POSITIVE
            }
            Self::Product(_) => self.parts().any(Self::underflows),
            _ => false,
        }
    }

    /// With every decimal that may be a rounded one replaced by the end of what it may round: half a unit of its last digit below, or a
    /// whole one above. How many there are comes with it.
    pub(in crate::task) fn with_decimals_at(&self, upper: bool) -> (Self, usize) {
        let count = std::cell::Cell::new(0);
        let shifted = self.replaced(&|expr| match expr {
            Self::Number(number) if number.unit > 0.0 => {
                count.set(count.get() + 1);
                let unit = last_digit(&number.text)?;
                let step = if upper { Some(unit) } else { unit.apply('/', Rational::integer(-2)) };
                Some(Self::from_rational(decimal(&number.text)?.apply('+', step?)?))
            }
            _ => None,
        });
        (shifted, count.get())
    }
}

/// Digits of a number that a double has to spare.
const DOUBLE_DIGITS: usize = 14;
/// Size beside the other terms of a constant below which a term is lost.
const LOST: f64 = 1e-13;

/// A number as it is written, `0.25`, `3` or `1.5e-7`; `None` beyond 128 bits.
pub(in crate::task) fn decimal(text: &str) -> Option<Rational> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    scaled(digits, exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?)
}

/// One unit of the last digit of a decimal.
fn last_digit(text: &str) -> Option<Rational> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    scaled(1, exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction).ok()?)?)
}

fn scaled(digits: i128, exponent: i32) -> Option<Rational> {
    let power = 10i128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 {
        Rational::reduced(digits, power)
    } else {
        Some(Rational::reduced(digits.checked_mul(power)?, 1)?)
    }
}

fn expand(expr: &Expr, work: &mut usize) -> Option<Vec<Monomial>> {
    *work = work.checked_sub(1)?;
    Some(match expr {
        // What may be rounded is not meant as it is written.
        Expr::Number(Number { text, unit, .. }) if *unit == 0.0 => match decimal(text) {
            Some(value) if value == Rational::ZERO => Vec::new(),
            Some(value) => vec![Monomial::constant(value)],
            None => vec![Monomial::factor(expr.clone(), Rational::ONE)],
        },
        Expr::E => exponential(&[Monomial::constant(Rational::ONE)])?,
        Expr::Number(_) | Expr::Variable | Expr::Pi => {
            vec![Monomial::factor(expr.clone(), Rational::ONE)]
        }
        Expr::Sum(terms) => {
            let mut sum = Vec::new();
            for term in terms {
                let sign = Monomial::constant(Rational::integer(if term.negative { -1 } else { 1 }));
                for mut monomial in expand(&term.expr, work)? {
                    monomial.multiply(sign.clone());
                    add(&mut sum, monomial);
                }
            }
            sum
        }
        Expr::Product(factors) => {
            let mut product = vec![Monomial::constant(Rational::ONE)];
            for Factor { inverse, expr } in factors {
                let part = expand(expr, work)?;
                let part = if *inverse { raise(&part, Rational::integer(-1), work)? } else { part };
                product = times(&product, &part, work)?;
            }
            product
        }
        Expr::Power(base, exponent) => {
            let inner = expand(exponent, work)?;
            if **base == Expr::E {
                return exponential(&inner);
            }
            let base = expand(base, work)?;
            match inner.as_slice() {
                [] => vec![Monomial::constant(Rational::ONE)],
                [number] if number.is_constant() => raise(&base, number.coefficient, work)?,
                _ => vec![Monomial::factor(
                    Expr::Power(Box::new(join(&base)), Box::new(join(&inner))),
                    Rational::ONE,
                )],
            }
        }
        Expr::Call(Function::Exp, argument) => exponential(&expand(argument, work)?)?,
        Expr::Call(Function::Sqrt, argument) => {
            raise(&expand(argument, work)?, Rational::reduced(1, 2)?, work)?
        }
        Expr::Call(function, argument) => {
            let argument = expand(argument, work)?;
            known_value(*function, &argument).unwrap_or_else(|| {
                let call = |argument: &[Monomial]| {
                    let call = Expr::Call(*function, Box::new(join(argument)));
                    Monomial::factor(call, Rational::ONE)
                };
                match argument.as_slice() {
                    [single] if *function == Function::Erf && single.coefficient.numerator() < 0 => {
                        let minus = Monomial::constant(Rational::integer(-1));
                        let mut positive = single.clone();
                        positive.multiply(minus.clone());
                        let mut product = call(&[positive]);
                        product.multiply(minus);
                        vec![product]
                    }
                    _ => vec![call(&argument)],
                }
            })
        }
    })
}

/// A function at 0, the size of a fraction, the logarithm of 1.
fn known_value(function: Function, argument: &[Monomial]) -> Option<Vec<Monomial>> {
    use Function::{
        Abs, Asin, Asinh, Atan, Atanh, Cbrt, Cos, Cosh, Erf, Log, Sec, Sech, Sign, Sin, Sinh, Tan, Tanh,
    };
    let number = match argument {
        [] => Rational::ZERO,
        [single] if single.is_constant() => single.coefficient,
        _ => return None,
    };
    let zero = number == Rational::ZERO;
    match function {
        Abs if !zero => Some(vec![Monomial::constant(Rational::reduced(
            number.numerator().checked_abs()?,
            number.denominator(),
        )?)]),
        Log if number == Rational::ONE => Some(Vec::new()),
        Abs | Asin | Asinh | Atan | Atanh | Cbrt | Erf | Sign | Sin | Sinh | Tan | Tanh if zero => {
            Some(Vec::new())
        }
        Cos | Cosh | Sec | Sech if zero => Some(vec![Monomial::constant(Rational::ONE)]),
        _ => None,
    }
}

/// What a copy of a monomial costs beside the monomial itself: nothing for a few short factors.
fn weight(monomial: &Monomial) -> usize {
    monomial.factors.iter().map(|(expr, _)| expr.size()).sum::<usize>() / LARGE
}

fn times(left: &[Monomial], right: &[Monomial], work: &mut usize) -> Option<Vec<Monomial>> {
    let all = |monomials: &[Monomial]| -> usize { monomials.iter().map(weight).sum() };
    let copied = all(left) * right.len() + left.len() * all(right);
    *work = work.checked_sub(left.len() * right.len() + copied)?;
    let mut product = Vec::new();
    for a in left {
        for b in right {
            let mut monomial = a.clone();
            monomial.multiply(b.clone());
            add(&mut product, monomial);
        }
    }
    Some(product)
}

/// A power of a sum: multiplied out for small whole exponents, else a factor with the content and the order of the sum as they are.
fn raise(base: &[Monomial], exponent: Rational, work: &mut usize) -> Option<Vec<Monomial>> {
    let whole = exponent.is_integer().then(|| exponent.numerator());
    match (base, whole) {
        ([], _) if exponent.numerator() > 0 => Some(Vec::new()),
        ([], _) => None,
        ([_, _, ..], Some(n)) if (1..=MAX_POWER).contains(&n) => {
            let mut product = vec![Monomial::constant(Rational::ONE)];
            for _ in 0..n {
                product = times(&product, base, work)?;
            }
            Some(product)
        }
        ([single], _) => match single.power(exponent) {
            Some(power) => Some(vec![power]),
            None if single.coefficient == Rational::ONE
                && matches!(single.factors.as_slice(), [(_, Rational::ONE)]) =>
            {
                Some(vec![Monomial::factor(single.factors[0].0.clone(), exponent)])
            }
            None => Some(vec![Monomial::factor(join(base), exponent)]),
        },
        // A power below zero or a broken one: `(1+x)^-2` and `(x+1)^(1/2)` have one order of terms.
        _ => {
            let mut sorted = base.to_vec();
            sorted.sort_by_cached_key(|monomial| join(std::slice::from_ref(monomial)).to_string());
            Some(vec![Monomial::factor(join(&sorted), exponent)])
        }
    }
}

/// `exp` of a sum as a product of powers: `exp(x)^3*exp(1)` for `exp(3*x+1)`.
fn exponential(exponent: &[Monomial]) -> Option<Vec<Monomial>> {
    let mut product = Monomial::constant(Rational::ONE);
    for monomial in exponent {
        let mut unit = monomial.clone();
        let power = std::mem::replace(&mut unit.coefficient, Rational::ONE);
        let base = Expr::Call(Function::Exp, Box::new(join(&[unit])));
        product.multiply(Monomial::factor(base, power));
    }
    Some(vec![product])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::expr::{Grammar, parse};

    fn expr(text: &str) -> Expr {
        parse(text, Grammar::Expression).unwrap()
    }

    #[test]
    fn equal_forms_leave_nothing() {
        for (one, other) in [
            ("(x+1)^2", "1+2*x+x*x"),
            ("exp(x)*(x-1)+exp(x)", "x*e^x"),
            ("exp(2*x)*exp(x+1)", "e*exp(3*x)"),
            ("0.5*x*2", "x"),
            ("1.5e-1*x", "3*x/20"),
            ("exp(40)*(1-exp(-40))", "e^40-1"),
            ("1/sqrt(1+x^2)", "(x^2+1)^(-1/2)"),
            ("sqrt(pi)*sqrt(pi)", "pi"),
        ] {
            assert_eq!(expr(one).difference(&expr(other)).unwrap(), Expr::integer(0), "{one} {other}");
        }
        for (one, other) in
            [("x*(1+10^(-25))", "x"), ("x+x^2/10^30", "x"), ("exp(40)", "exp(40)-1"), ("9+exp(-60)", "9")]
        {
            let difference = expr(one).difference(&expr(other)).unwrap();
            assert!(difference.certain_sign(1.5).is_some(), "{one} {other}: {difference}");
        }
        assert_eq!(expr("sin(x)^2+cos(x)^2").difference(&expr("1")).unwrap().certain_sign(1.0), None);
        assert!(expr("(x+sin(x)+cos(x)+exp(x)+log(x)+1)^30").expanded().is_none(), "too much work");
    }

    #[test]
    fn lost_parts_are_seen() {
        for (text, lost) in [
            ("9+exp(-60)", true),
            ("sqrt(pi)/2*erf(6)", false),
            ("x*(1+10^(-15))", true),
            ("tanh(1)+exp(-3)", false),
            ("x^2/10^20+x", false),
            ("5+0*2", false),
        ] {
            assert_eq!(expr(text).has_lost_part(), lost, "{text}");
        }
        assert!(expr("sqrt(pi)/2*erf(6)").has_lost_part_or_limit());
    }
}
