//! Definite integrals that need no quadrature: polynomials over rational bounds, and odd functions over bounds that mirror each other.

use super::problem::Question;
use crate::task::expr::{Expr, Factor, Term, decimal};
use crate::task::rational::Rational;

/// Highest power that is multiplied out.
const MAX_DEGREE: usize = 64;

/// The exact value of an expression of whole numbers, sums, products, quotients and whole powers.
pub(super) fn rational(expr: &Expr) -> Option<Rational> {
    match polynomial(expr)?.as_slice() {
        [] => Some(Rational::ZERO),
        [constant] => Some(*constant),
        _ => None,
    }
}

/// The exact value of an integral over a polynomial; `None` if it is no such integral, or beyond 128 bits.
pub(super) fn integral(question: &Question) -> Option<Rational> {
    let (a, b) = question.bounds.as_ref()?;
    let (a, b) = (rational(a)?, rational(b)?);
    let mut sum = Rational::ZERO;
    let coefficients = polynomial(&question.integrand)?;
    for (power, &coefficient) in
        coefficients.iter().enumerate().filter(|(_, value)| **value != Rational::ZERO)
    {
        let n = i128::try_from(power + 1).ok()?;
        // Odd powers between mirrored bounds are zero, however large.
        let mirrored = n % 2 == 0 && a.apply('+', b) == Some(Rational::ZERO);
        let difference = if mirrored { Rational::ZERO } else { b.power(n)?.apply('-', a.power(n)?)? };
        let term = coefficient.apply('*', difference)?.apply('/', Rational::integer(n))?;
        sum = sum.apply('+', term)?;
    }
    Some(sum)
}

/// Whether the bounds mirror each other and the integrand changes its sign with that of `x` by its form.
pub(super) fn is_odd(question: &Question) -> bool {
    let mirrored = |(a, b): &(Expr, Expr)| {
        let sum = [a, b].map(|expr| Term { negative: false, expr: expr.clone() });
        Expr::Sum(sum.into()).simplified() == Expr::integer(0)
    };
    question.bounds.as_ref().is_some_and(mirrored) && signed(&question.integrand) == Some(true)
}

/// `expr` at `x = place + side*t` as an expression in `t`, with every polynomial in it multiplied out exactly, so that `1-x^2` becomes
/// `2*t-t^2` at 1 and keeps its digits there. `None` if `place` is not rational, or too much is beyond 128 bits.
pub(super) fn moved(expr: &Expr, place: &Expr, side: i32) -> Option<Expr> {
    let line = vec![rational(place)?, Rational::integer(side)];
    let failed = std::cell::Cell::new(false);
    let moved = expr.replaced(&|part| {
        let coefficients = polynomial(part)?;
        let moved = coefficients.iter().rev().try_fold(Vec::new(), |sum, &coefficient| {
            // Horner's rule; a zero coefficient must not make the first one vanish.
            let mut product = times(&sum, &line)?;
            product.resize(product.len().max(1), Rational::ZERO);
            product[0] = product[0].apply('+', coefficient)?;
            Some(product)
        });
        match moved {
            Some(moved) => Some(Expr::polynomial(&moved)),
            None => {
                failed.set(true);
                Some(part.clone())
            }
        }
    });
    (!failed.get()).then_some(moved)
}

/// Whether an expression is odd (true) or even (false) by its form.
fn signed(expr: &Expr) -> Option<bool> {
    use crate::task::expr::Function::{
        Abs, Asin, Asinh, Atan, Atanh, Cbrt, Cos, Cosh, Cot, Coth, Csc, Csch, Erf, Sec, Sech, Sign, Sin,
        Sinh, Tan, Tanh,
    };
    if !expr.has_variable() {
        return Some(false);
    }
    match expr {
        Expr::Variable => Some(true),
        Expr::Number(_) | Expr::E | Expr::Pi => Some(false),
        Expr::Sum(terms) => {
            let first = signed(&terms.first()?.expr)?;
            terms.iter().all(|term| signed(&term.expr) == Some(first)).then_some(first)
        }
        Expr::Product(factors) => {
            factors.iter().try_fold(false, |odd, Factor { expr, .. }| Some(odd ^ signed(expr)?))
        }
        Expr::Power(base, exponent) => {
            if !signed(base)? {
                return (!signed(exponent)?).then_some(false);
            }
            let exponent = rational(exponent).filter(|exponent| exponent.is_integer())?;
            Some(exponent.numerator() % 2 != 0)
        }
        Expr::Call(function, argument) => {
            let odd = signed(argument)?;
            match function {
                // Of an even argument everything is even.
                _ if !odd => Some(false),
                Sin | Tan | Csc | Cot | Asin | Atan | Sinh | Tanh | Csch | Coth | Asinh | Atanh | Cbrt
                | Sign | Erf => Some(true),
                Cos | Sec | Cosh | Sech | Abs => Some(false),
                _ => None,
            }
        }
    }
}

/// Coefficients by power, without zeros at the end.
fn polynomial(expr: &Expr) -> Option<Vec<Rational>> {
    let mut found = match expr {
        Expr::Number(number) => vec![decimal(&number.text)?],
        Expr::Variable => vec![Rational::ZERO, Rational::ONE],
        Expr::E | Expr::Pi | Expr::Call(..) => return None,
        Expr::Sum(terms) => {
            let mut sum = Vec::new();
            for term in terms {
                let operator = if term.negative { '-' } else { '+' };
                let part = polynomial(&term.expr)?;
                sum.resize(sum.len().max(part.len()), Rational::ZERO);
                for (total, &value) in sum.iter_mut().zip(&part) {
                    *total = total.apply(operator, value)?;
                }
            }
            sum
        }
        Expr::Product(factors) => {
            let mut product = vec![Rational::ONE];
            for factor in factors {
                let part = polynomial(&factor.expr)?;
                product = match (factor.inverse, part.as_slice()) {
                    (false, _) => times(&product, &part)?,
                    (true, &[divisor]) => {
                        product.iter().map(|value| value.apply('/', divisor)).collect::<Option<_>>()?
                    }
                    _ => return None,
                };
            }
            product
        }
        Expr::Power(base, exponent) => {
            let exponent = rational(exponent).filter(|exponent| exponent.is_integer())?.numerator();
            let base = polynomial(base)?;
            match base.as_slice() {
                [] if exponent <= 0 => return None,
                [constant] => vec![constant.power(exponent)?],
                _ => {
                    let n = usize::try_from(exponent).ok().filter(|&n| n <= MAX_DEGREE)?;
                    let mut product = vec![Rational::ONE];
                    for _ in 0..n {
                        product = times(&product, &base)?;
                    }
                    product
                }
            }
        }
    };
    while found.last() == Some(&Rational::ZERO) {
        found.pop();
    }
    Some(found)
}

fn times(left: &[Rational], right: &[Rational]) -> Option<Vec<Rational>> {
    if left.is_empty() || right.is_empty() {
        return Some(Vec::new());
    }
    let length = left.len() + right.len() - 1;
    if length > MAX_DEGREE + 1 {
        return None;
    }
    let mut product = vec![Rational::ZERO; length];
    for (i, &a) in left.iter().enumerate() {
        for (j, &b) in right.iter().enumerate() {
            product[i + j] = product[i + j].apply('+', a.apply('*', b)?)?;
        }
    }
    Some(product)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn of(problem: &str) -> Option<String> {
        integral(&Question::read(problem).unwrap()).map(|value| value.to_string())
    }

    #[test]
    fn polynomials_are_integrated_exactly() {
        for (problem, value) in [
            ("integrate(x^3,x,-1000,1000)", Some("0")),
            ("integrate(x^3+1,x,-1000,1000)", Some("2000")),
            ("integrate(x^19+8,x,-1900,1900)", Some("30400")),
            ("integrate((x-1)^2/2,x,0,1)", Some("1/6")),
            ("integrate(0.25*x,x,1/2,2)", Some("15/32")),
            ("integrate(2^3*x-x*8,x,0,1)", Some("0")),
            ("integrate(7,x,2,-1)", Some("-21")),
            ("integrate((x+1)^100,x,0,1)", None),
            ("integrate(x^60,x,0,1000)", None),
            ("integrate(1/x,x,1,2)", None),
            ("integrate(x,x,0,pi)", None),
        ] {
            assert_eq!(of(problem).as_deref(), value, "{problem}");
        }
    }

    #[test]
    fn odd_functions_are_told_by_their_form() {
        let odd = |text: &str| is_odd(&Question::read(text).unwrap());
        for f in
            ["x*exp(x^2)", "sinh(x)", "x^7-sin(x)/2", "tan(x)/(1+x^2)", "x*abs(x)", "1/x", "sin(x)^3*cos(x)"]
        {
            assert!(odd(&format!("integrate({f},x,-1,1)")), "{f}");
        }
        for f in ["x^2", "x+1", "exp(x)", "x^x", "log(x)", "x*sqrt(x)", "x^(1/3)"] {
            assert!(!odd(&format!("integrate({f},x,-1,1)")), "{f}");
        }
        let exact =
            |text: &str| moved(&Question::read(text).unwrap().integrand, &Expr::integer(1), -1).unwrap();
        assert_eq!(exact("1/sqrt(1-x^2)").simplified().to_string(), "1/sqrt(2*x-x^2)");
        assert_eq!(exact("exp(3*x-3)+log(x)*sin(pi)").simplified().to_string(), "exp(-3*x)+sin(pi)*log(1-x)");
        assert!(odd("integrate(sin(x),x,-2*pi,2*pi)"));
        assert!(!odd("integrate(x,x,-1,2)"));
    }
}
