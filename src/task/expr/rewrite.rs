//! Readings of an expression that differ from the written one: decimals as rounded numbers, logarithms by their real part.

use super::{Expr, Factor, Function, Number, Term};

/// Most decimals of many digits in one expression that may be rounded ones.
const MAX_DECIMALS: usize = 24;

impl Expr {
    /// With what `change` gives in place of a part, from the outermost on; parts that it leaves are looked into.
    pub(in crate::task) fn replaced(&self, change: &impl Fn(&Self) -> Option<Self>) -> Self {
        change(self).unwrap_or_else(|| self.with_parts(&|part| part.replaced(change)))
    }

    /// With what `change` gives in place of each of [`Expr::parts`].
    fn with_parts(&self, change: &impl Fn(&Self) -> Self) -> Self {
        match self {
            Self::Number(_) | Self::Variable | Self::E | Self::Pi => self.clone(),
            Self::Sum(terms) => {
                let term = |term: &Term| Term { expr: change(&term.expr), ..*term };
                Self::Sum(terms.iter().map(term).collect())
            }
            Self::Product(factors) => {
                let factor = |factor: &Factor| Factor { expr: change(&factor.expr), ..*factor };
                Self::Product(factors.iter().map(factor).collect())
            }
            Self::Power(base, exponent) => Self::Power(Box::new(change(base)), Box::new(change(exponent))),
            Self::Call(function, argument) => Self::Call(*function, Box::new(change(argument))),
        }
    }

    /// Decimals that may be rounded, read as intervals: from half a unit of the last digit below what is written to almost a whole one
    /// above, in size, so that rounded and cut numbers are both inside. What is a whole unit away was not cut. Every evaluation bounds
    /// their effect. `None` if there are none.
    pub fn widened(&self) -> Option<Self> {
        let found = std::cell::Cell::new(false);
        let widened = self.replaced(&|expr| match expr {
            Self::Number(number) if number.unit > 0.0 => {
                found.set(true);
                Some(Self::Number(Number {
                    value: number.value + 0.25 * number.unit,
                    error: number.error + 0.7475 * number.unit,
                    ..number.clone()
                }))
            }
            _ => None,
        });
        found.get().then_some(widened)
    }

    /// The middle of the intervals of [`Expr::widened`], and for each of up to `MAX_DECIMALS` decimals the same with that one at its end:
    /// what differs between them is what the last digit explains. `None` if there are none, or more.
    pub fn roundings(&self) -> Option<(Self, Vec<Self>)> {
        let with_end = |chosen: usize| {
            let count = std::cell::Cell::new(0);
            let shifted = self.replaced(&|expr| match expr {
                Self::Number(number) if number.unit > 0.0 => {
                    let steps = if count.replace(count.get() + 1) == chosen { 1.0 } else { 0.25 };
                    let value = number.value + steps * number.unit;
                    Some(Self::Number(Number { value, unit: 0.0, ..number.clone() }))
                }
                _ => None,
            });
            (shifted, count.get())
        };
        let (middle, count) = with_end(usize::MAX);
        (1..=MAX_DECIMALS).contains(&count).then(|| (middle, (0..count).map(|i| with_end(i).0).collect()))
    }

    /// With `log(u)` for every `log|u|`: the same derivative, in fewer places.
    pub fn plain_logarithms(&self) -> Self {
        self.replaced(&|expr| match expr {
            Self::Call(Function::Log, argument) => match &**argument {
                Self::Call(Function::Abs, inner) => {
                    Some(Self::Call(Function::Log, Box::new(inner.plain_logarithms())))
                }
                _ => None,
            },
            _ => None,
        })
    }

    /// With `log|u|` for `log(u)`, and likewise for `atanh` and `acoth`, where they are terms with constant factors. There, and only
    /// there, the imaginary part of the principal value is a constant wherever `u` has one sign, and so no part of the derivative.
    pub fn real_logarithms(&self) -> Self {
        match self {
            Self::Sum(_) => self.with_parts(&Self::real_logarithms),
            Self::Product(factors) => {
                let mut varying = factors.iter().filter(|factor| factor.expr.has_variable());
                if !matches!((varying.next(), varying.next()), (Some(Factor { inverse: false, .. }), None)) {
                    return self.clone();
                }
                self.with_parts(&Self::real_logarithms)
            }
            Self::Call(Function::Log, argument) if argument.has_variable() => log_abs((**argument).clone()),
            // atanh(u) = log((1+u)/(1-u))/2, and acoth(u) differs from it by a constant.
            Self::Call(Function::Atanh | Function::Acoth, argument) if argument.has_variable() => {
                let one_and = |negative| {
                    let one = Term { negative: false, expr: Self::integer(1) };
                    Self::Sum(vec![one, Term { negative, expr: (**argument).clone() }])
                };
                let half = Self::quotient(Self::integer(1), Self::integer(2));
                let log = log_abs(Self::quotient(one_and(false), one_and(true)));
                Self::Product([half, log].map(|expr| Factor { inverse: false, expr }).into())
            }
            _ => self.clone(),
        }
    }
}

fn log_abs(argument: Expr) -> Expr {
    Expr::Call(Function::Log, Box::new(Expr::Call(Function::Abs, Box::new(argument))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::expr::{Branch, Grammar, parse};

    fn expr(text: &str) -> Expr {
        parse(text, Grammar::Expression).unwrap()
    }

    #[test]
    fn decimals_of_many_digits_are_intervals() {
        assert!(expr("0.5*x+3.14159").widened().is_none());
        for (text, inside, value) in [
            ("0.33333333", true, 1.0 / 3.0),
            ("0.66666667", true, 2.0 / 3.0),
            ("0.66666666", true, 2.0 / 3.0),
            ("0.50000004", false, 0.5),
            ("0.50000001", false, 0.5),
            ("0.49999999", false, 0.5),
            ("3.1415927e2", true, 100.0 * std::f64::consts::PI),
            ("0.000012345678", true, 0.000_012_345_678_4),
        ] {
            let jet = expr(text).widened().unwrap().eval(0.0, Branch::Real);
            assert_eq!((jet.value - value).abs() <= jet.value_error, inside, "{text}");
        }
    }

    #[test]
    fn logarithms_are_real_where_they_are_linear() {
        for (text, x, value) in [
            ("x-2*log(-x)/3", 2.0f64, Some(2.0 - 2.0 * 2f64.ln() / 3.0)),
            ("atanh(x)", 3.0, Some(0.5 * 2f64.ln())),
            ("acoth(x)", 0.5, Some(0.5 * 3f64.ln())),
            ("log(log(x))", 0.5, Some(2f64.ln().ln())),
            ("x*log(-x)", 2.0, None),
            ("log(-x)^2", 2.0, None),
            ("1/log(-x)", 2.0, None),
            ("sin(log(-x))", 2.0, None),
            ("log(-x)*log(-x)", 2.0, None),
        ] {
            let real = expr(text).real_logarithms().eval(x, Branch::Real).value;
            match value {
                Some(value) => assert!((real - value).abs() < 1e-14, "{text}: {real}"),
                None => assert!(real.is_nan(), "{text}: {real}"),
            }
        }
        assert_eq!(expr("2*log(abs(x-1))+log(x)").plain_logarithms().to_string(), "2*log(x-1)+log(x)");
    }
}
