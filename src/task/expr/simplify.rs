//! Light simplification: sums and products are merged, rational coefficients folded, like terms and like factors collected.
//!
//! An expression becomes a sum of monomials, each an exact rational coefficient times powers of factors that are not looked into
//! any further. Nothing is multiplied out and no identity of functions is used, so that `(x-3)*cos(x)` stays as it is. Values are
//! kept wherever the expression is defined; the domain may grow (`x/x` is 1).

use super::{Expr, Factor, Function, Number, Term};
use crate::task::rational::{Rational, gcd};

/// A coefficient times powers of factors; no factors is the coefficient alone.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::task) struct Monomial {
    pub(in crate::task) coefficient: Rational,
    pub(in crate::task) factors: Vec<(Expr, Rational)>,
}

impl Expr {
    /// The same function in fewer words, such as `6*x+cos(x)` for `2*3*x^1+1*cos(x)-0`.
    pub fn simplified(&self) -> Self {
        join(&monomials(self))
    }

    /// The polynomial with these coefficients, the constant first.
    pub(in crate::task) fn polynomial(coefficients: &[Rational]) -> Self {
        let monomial = |(power, &coefficient): (usize, &Rational)| {
            let power = Rational::integer(power as i128);
            let factors = if power == Rational::ZERO { Vec::new() } else { vec![(Self::Variable, power)] };
            (coefficient != Rational::ZERO).then_some(Monomial { coefficient, factors })
        };
        join(&coefficients.iter().enumerate().filter_map(monomial).collect::<Vec<_>>())
    }

    fn from_integer(value: i128) -> Self {
        let size = value.unsigned_abs();
        let rounded = size as f64;
        let error = if size < 1 << 53 { 0.0 } else { rounded * f64::EPSILON };
        let number = Self::Number(Number { value: rounded, error, unit: 0.0, text: size.to_string() });
        if value < 0 { Self::negated(number) } else { number }
    }

    /// The fraction, without a decimal point.
    pub(in crate::task) fn from_rational(value: Rational) -> Self {
        let numerator = Self::from_integer(value.numerator());
        if value.is_integer() {
            return numerator;
        }
        Self::quotient(numerator, Self::from_integer(value.denominator()))
    }
}

impl Monomial {
    pub(in crate::task) fn constant(coefficient: Rational) -> Self {
        Self { coefficient, factors: Vec::new() }
    }

    pub(in crate::task) fn factor(base: Expr, exponent: Rational) -> Self {
        Self { coefficient: Rational::ONE, factors: vec![(base, exponent)] }
    }

    /// Whether it is a number alone.
    pub(in crate::task) fn is_constant(&self) -> bool {
        self.factors.is_empty()
    }

    /// Multiplies by `base^exponent`.
    fn push(&mut self, base: Expr, exponent: Rational) {
        if let Some(place) = self.factors.iter().position(|(known, _)| *known == base)
            && let Some(sum) = self.factors[place].1.apply('+', exponent)
        {
            self.factors[place].1 = sum;
            if sum == Rational::ZERO {
                self.factors.remove(place);
            }
        } else {
            self.factors.push((base, exponent));
        }
    }

    pub(in crate::task) fn multiply(&mut self, other: Self) {
        match self.coefficient.apply('*', other.coefficient) {
            Some(product) => self.coefficient = product,
            // Beyond 128 bits the number stays a factor of its own.
            None => self.push(Expr::from_rational(other.coefficient), Rational::ONE),
        }
        for (base, exponent) in other.factors {
            self.push(base, exponent);
        }
    }

    /// `self^exponent`, where that is the product of the powers of the parts: for whole exponents.
    pub(super) fn power(&self, exponent: Rational) -> Option<Self> {
        if !exponent.is_integer() {
            return None;
        }
        let coefficient = self.coefficient.power(exponent.numerator())?;
        let power = |(base, inner): &(Expr, Rational)| Some((base.clone(), inner.apply('*', exponent)?));
        Some(Self { coefficient, factors: self.factors.iter().map(power).collect::<Option<_>>()? })
    }

    /// Multiplies by the denominator of the coefficient, and gives it; `None` if that is beyond 128 bits.
    pub(super) fn take_denominator(&mut self) -> Option<Expr> {
        let denominator = self.coefficient.denominator();
        self.coefficient = self.coefficient.apply('*', Rational::integer(denominator))?;
        Some(Expr::from_integer(denominator))
    }

    /// Without its sign.
    fn unsigned(&self) -> Expr {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        let size = self.coefficient.numerator().abs();
        if self.coefficient.denominator() != 1 {
            below.push(Expr::from_integer(self.coefficient.denominator()));
        }
        let mut factors: Vec<_> = self.factors.iter().collect();
        factors.sort_by_key(|(base, _)| place(base));
        for (base, exponent) in factors {
            if exponent.numerator() < 0 {
                below.push(raised(base, exponent.apply('*', Rational::integer(-1)).unwrap_or(*exponent)));
            } else {
                above.push(raised(base, *exponent));
            }
        }
        if size != 1 || above.is_empty() {
            above.insert(0, Expr::from_integer(size));
        }
        let factor = |inverse| move |expr| Factor { inverse, expr };
        let denominator = match below.len() {
            0 => return product(above.into_iter().map(factor(false)).collect()),
            1 => below.swap_remove(0),
            _ => product(below.into_iter().map(factor(false)).collect()),
        };
        let numerator = above.into_iter().map(factor(false));
        product(numerator.chain([Factor { inverse: true, expr: denominator }]).collect())
    }
}

/// Where a factor stands in a product: constants, powers of `x`, sums, functions.
fn place(base: &Expr) -> u8 {
    match base {
        _ if !base.has_variable() => 0,
        Expr::Variable => 1,
        Expr::Sum(_) => 2,
        _ => 3,
    }
}

fn product(mut factors: Vec<Factor>) -> Expr {
    if factors.len() == 1 && !factors[0].inverse {
        factors.swap_remove(0).expr
    } else {
        Expr::Product(factors)
    }
}

/// `base^exponent` for an exponent above zero.
fn raised(base: &Expr, exponent: Rational) -> Expr {
    if exponent == Rational::ONE {
        base.clone()
    } else if Rational::reduced(1, 2) == Some(exponent) {
        Expr::Call(Function::Sqrt, Box::new(base.clone()))
    } else {
        Expr::Power(Box::new(base.clone()), Box::new(Expr::from_rational(exponent)))
    }
}

/// The sum of `monomials`.
pub(in crate::task) fn join(monomials: &[Monomial]) -> Expr {
    let term = |monomial: &Monomial| Term {
        negative: monomial.coefficient.numerator() < 0,
        expr: monomial.unsigned(),
    };
    let mut terms: Vec<_> = monomials.iter().map(term).collect();
    match terms.len() {
        0 => Expr::integer(0),
        1 if !terms[0].negative => terms.swap_remove(0).expr,
        _ => Expr::Sum(terms),
    }
}

/// `expr` as a sum of monomials that differ in their factors, none of them zero, in the order in which they are written.
pub(in crate::task) fn monomials(expr: &Expr) -> Vec<Monomial> {
    match expr {
        Expr::Number(number) => match number.text.parse::<u64>() {
            Ok(0) => Vec::new(),
            Ok(value) => vec![Monomial::constant(Rational::integer(value))],
            Err(_) => opaque(expr.clone()),
        },
        Expr::Variable | Expr::E | Expr::Pi => opaque(expr.clone()),
        Expr::Sum(terms) => {
            let mut sum = Vec::new();
            for term in terms {
                let sign = Rational::integer(if term.negative { -1 } else { 1 });
                for mut monomial in monomials(&term.expr) {
                    monomial.multiply(Monomial::constant(sign));
                    add(&mut sum, monomial);
                }
            }
            sum
        }
        Expr::Product(factors) => {
            let mut product = Monomial::constant(Rational::ONE);
            for factor in factors {
                let exponent = Rational::integer(if factor.inverse { -1 } else { 1 });
                match power(&factor.expr, exponent) {
                    Some(power) => product.multiply(power),
                    None => return Vec::new(),
                }
            }
            vec![product]
        }
        Expr::Power(base, exponent) if **base == Expr::E => {
            opaque(Expr::Call(Function::Exp, Box::new(exponent.simplified())))
        }
        Expr::Power(base, exponent) => {
            let exponent = monomials(exponent);
            match exponent.as_slice() {
                [] => vec![Monomial::constant(Rational::ONE)],
                [number] if number.factors.is_empty() => {
                    power(base, number.coefficient).into_iter().collect()
                }
                _ => opaque(Expr::Power(Box::new(base.simplified()), Box::new(join(&exponent)))),
            }
        }
        Expr::Call(Function::Sqrt, argument) => match Rational::reduced(1, 2) {
            Some(half) => power(argument, half).into_iter().collect(),
            None => opaque(expr.clone()),
        },
        Expr::Call(function, argument) => opaque(Expr::Call(*function, Box::new(argument.simplified()))),
    }
}

fn opaque(expr: Expr) -> Vec<Monomial> {
    vec![Monomial::factor(expr, Rational::ONE)]
}

/// Adds to the like term, if there is one.
pub(super) fn add(sum: &mut Vec<Monomial>, term: Monomial) {
    let alike = |known: &Monomial| {
        known.factors.len() == term.factors.len()
            && known.factors.iter().all(|factor| term.factors.contains(factor))
    };
    if let Some(place) = sum.iter().position(alike)
        && let Some(total) = sum[place].coefficient.apply('+', term.coefficient)
    {
        sum[place].coefficient = total;
        if total == Rational::ZERO {
            sum.remove(place);
        }
    } else {
        sum.push(term);
    }
}

/// `base^exponent` for an exponent other than zero; `None` for a power of zero that is zero.
fn power(base: &Expr, exponent: Rational) -> Option<Monomial> {
    let parts = monomials(base);
    Some(match parts.as_slice() {
        [] if exponent.numerator() > 0 => return None,
        [part] => match part.power(exponent) {
            Some(power) => power,
            None if part.coefficient == Rational::ONE
                && matches!(part.factors.as_slice(), [(_, Rational::ONE)]) =>
            {
                Monomial::factor(part.factors[0].0.clone(), exponent)
            }
            // sqrt(x^2) is not x, and sqrt(4*x) may stay.
            None => Monomial::factor(join(&parts), exponent),
        },
        _ => Monomial::factor(join(&parts), exponent),
    })
}

/// The largest number that divides every coefficient a whole number of times, such as 3/2 of `3*x/2+6`; `None` for zero.
pub(in crate::task) fn content(monomials: &[Monomial]) -> Option<Rational> {
    let (mut numerator, mut denominator) = (0, 1u128);
    for Monomial { coefficient, .. } in monomials {
        numerator = gcd(numerator, coefficient.numerator().unsigned_abs());
        let other = coefficient.denominator().unsigned_abs();
        denominator = (denominator / gcd(denominator, other)).checked_mul(other)?;
    }
    let content = Rational::reduced(i128::try_from(numerator).ok()?, i128::try_from(denominator).ok()?)?;
    (content != Rational::ZERO).then_some(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::expr::{Branch, Grammar, parse};
    use proptest::prelude::*;

    fn simple(text: &str) -> String {
        parse(text, Grammar::Expression).unwrap().simplified().to_string()
    }

    #[test]
    fn as_people_write_it() {
        for (text, expected) in [
            ("2*3*x^1+1*cos(x)-0", "6*x+cos(x)"),
            ("x+x-2*x", "0"),
            ("3*x-x*5", "-2*x"),
            ("(1/2)*(2/3)*x^2", "x^2/3"),
            ("x*6/4", "3*x/2"),
            ("exp(x^2)*2*x", "2*x*exp(x^2)"),
            ("sin(x)*x*sin(x)", "x*sin(x)^2"),
            ("(x-3)*cos(x)*1", "(x-3)*cos(x)"),
            ("1/x", "1/x"),
            ("-(1/(2*x))", "-1/(2*x)"),
            ("x^-3*2", "2/x^3"),
            ("(2*x)^3", "8*x^3"),
            ("sqrt(x^2+1)^3", "(x^2+1)^(3/2)"),
            ("x/sqrt(1+x^2)/2", "x/(2*sqrt(1+x^2))"),
            ("sqrt(x^2)", "sqrt(x^2)"),
            ("e^(2*x)*e^x", "exp(2*x)*exp(x)"),
            ("x^pi*2^x", "x^pi*2^x"),
            ("0.5*x*2", "2*0.5*x"),
            ("exp(-1*x)", "exp(-x)"),
            ("x^0+x^1", "1+x"),
        ] {
            assert_eq!(simple(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_too_large_or_undefined_is_left() {
        for text in ["1/0", "0^(-1)", "x/(x-x)", "99999999999999999999*x"] {
            let _ = simple(text);
        }
        let large = ["18446744073709551615"; 5].join("*");
        let value = parse(&simple(&large), Grammar::Expression).unwrap().eval(0.0, Branch::Real).value;
        assert!((value / (u64::MAX as f64).powi(5) - 1.0).abs() < 1e-12);
        let simplified = parse("1/(x-x)", Grammar::Expression).unwrap().simplified();
        assert!(!simplified.eval(1.0, Branch::Real).is_defined(), "{simplified}");
    }

    #[test]
    fn the_content_divides_all() {
        let of =
            |text| content(&monomials(&parse(text, Grammar::Expression).unwrap())).map(|c| c.to_string());
        assert_eq!(of("3*x/2+6").as_deref(), Some("3/2"));
        assert_eq!(of("-4*x").as_deref(), Some("4"));
        assert_eq!(of("x-x"), None);
    }

    /// Texts of small expressions over everything that is merged.
    fn expressions() -> impl Strategy<Value = String> {
        let leaf =
            prop_oneof![Just("x".to_owned()), (0..7u32).prop_map(|n| n.to_string()), Just("0.5".to_owned())];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}+{b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}-{b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})*({b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a})/({b}))")),
                (inner.clone(), -2..4i32).prop_map(|(a, n)| format!("(({a})^({n}))")),
                inner.clone().prop_map(|a| format!("sqrt({a})")),
                inner.prop_map(|a| format!("sin({a})")),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_are_kept(text in expressions(), x in prop_oneof![-3.0..-0.1, 0.1..3.0f64]) {
            let expr = parse(&text, Grammar::Expression).unwrap();
            let (before, after) = (expr.eval(x, Branch::Real), expr.simplified().eval(x, Branch::Real));
            let bound = 16.0 * (before.value_error + after.value_error) + 1e-12 * before.value.abs();
            if before.is_defined() && bound < 1e-3 {
                prop_assert!((before.value - after.value).abs() <= bound, "{text}: {before:?} {after:?}");
            }
        }
    }
}
