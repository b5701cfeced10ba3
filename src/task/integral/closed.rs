//! Definite integrals in closed form: sums of powers, exponentials and what they are multiplied by most, with constant factors.
//!
//! Quadrature knows a value to some fifteen digits, and `exp(40)-1` and `exp(40)` have these in common. The closed form tells them apart.

use super::problem::Question;
use crate::task::expr::{Expr, Factor, Function, Monomial, Term, join};
use crate::task::rational::Rational;

/// Highest power beside an exponential.
const MAX_PARTS: i128 = 32;

/// The integral as an expression without `x`; `None` if it is beyond the few forms that are known here. Poles between the bounds are
/// the caller's to exclude.
pub(super) fn integral(question: &Question) -> Option<Expr> {
    let (a, b) = question.bounds.as_ref()?;
    let terms = question.integrand.products()?.iter().map(antiderivative).collect::<Option<Vec<_>>>()?;
    let sum = Expr::Sum(terms.into_iter().map(|expr| Term { negative: false, expr }).collect());
    let at = |bound: &Expr| sum.replaced(&|part| (*part == Expr::Variable).then(|| bound.clone()));
    Some(without_reciprocals(&at(b).difference(&at(a))?))
}

/// With `exp(-1000)` for `1/exp(1)^1000`, of which a part is too large for a double.
fn without_reciprocals(expr: &Expr) -> Expr {
    expr.replaced(&|part| {
        let Expr::Product(factors) = part else { return None };
        let flat = factors.iter().flat_map(|factor| match factor {
            Factor { inverse: true, expr: Expr::Product(inner) } => {
                inner.iter().map(|Factor { inverse, expr }| (!inverse, expr)).collect()
            }
            Factor { inverse, expr } => vec![(*inverse, expr)],
        });
        let upright = |(inverse, expr): (bool, &Expr)| {
            let exponent = match expr {
                Expr::Call(Function::Exp, exponent) => Some((**exponent).clone()),
                Expr::Power(base, power) => match &**base {
                    Expr::Call(Function::Exp, exponent) => {
                        Some(product([(**exponent).clone(), (**power).clone()]))
                    }
                    _ => None,
                },
                _ => None,
            };
            match exponent {
                Some(exponent) if inverse => {
                    let expr = Expr::Call(Function::Exp, Box::new(Expr::negated(exponent)));
                    Factor { inverse: false, expr }
                }
                _ => Factor { inverse, expr: expr.clone() },
            }
        };
        Some(Expr::Product(flat.map(upright).collect()))
    })
}

fn antiderivative(monomial: &Monomial) -> Option<Expr> {
    let mut constant = Monomial::constant(monomial.coefficient);
    let (mut power, mut rate, mut width, mut wave) = (Rational::ZERO, Rational::ZERO, Rational::ZERO, None);
    for (base, exponent) in &monomial.factors {
        match base {
            _ if !base.has_variable() => constant.multiply(Monomial::factor(base.clone(), *exponent)),
            Expr::Variable => power = *exponent,
            Expr::Call(Function::Exp, inner) if **inner == Expr::Variable => rate = *exponent,
            Expr::Call(Function::Exp, inner) if **inner == square() => width = *exponent,
            Expr::Call(Function::Sin | Function::Cos, _) if wave.is_none() && *exponent == Rational::ONE => {
                wave = Some(base);
            }
            _ => return None,
        }
    }
    let zero = Rational::ZERO;
    let found = match wave {
        Some(wave) if power == zero && width == zero => damped_wave(wave, rate)?,
        None if width == zero && rate == zero => power_of_x(power)?,
        None if width == zero => by_parts(power, rate)?,
        None if power == zero && rate == zero => bell(width)?,
        _ => return None,
    };
    Some(product([join(&[constant]), found]))
}

fn power_of_x(power: Rational) -> Option<Expr> {
    let above = power.apply('+', Rational::ONE)?;
    if above == Rational::ZERO {
        let size = Expr::Call(Function::Abs, Box::new(Expr::Variable));
        return Some(Expr::Call(Function::Log, Box::new(size)));
    }
    let raised = Expr::Power(Box::new(Expr::Variable), Box::new(Expr::from_rational(above)));
    Some(Expr::quotient(raised, Expr::from_rational(above)))
}

/// `x^n*exp(a*x)` by parts: `exp(a*x)` times the sum of `(-1)^k*n!/(n-k)!*x^(n-k)/a^(k+1)`.
fn by_parts(power: Rational, rate: Rational) -> Option<Expr> {
    let n = Some(power).filter(|n| n.is_integer()).map(Rational::numerator)?;
    let n = usize::try_from(n).ok().filter(|_| n <= MAX_PARTS)?;
    let mut coefficients = vec![Rational::ZERO; n + 1];
    let mut coefficient = Rational::ONE.apply('/', rate)?;
    for k in (0..=n).rev() {
        coefficients[k] = coefficient;
        coefficient = coefficient.apply('*', Rational::integer(-(k as i128)))?.apply('/', rate)?;
    }
    Some(product([Expr::polynomial(&coefficients), exp(rate)]))
}

/// `exp(a*x)*sin(b*x)` is the derivative of `exp(a*x)*(a*sin(b*x)-b*cos(b*x))/(a^2+b^2)`, and `exp(a*x)*cos(b*x)` of
/// `exp(a*x)*(a*cos(b*x)+b*sin(b*x))/(a^2+b^2)`.
fn damped_wave(wave: &Expr, a: Rational) -> Option<Expr> {
    let Expr::Call(function, argument) = wave else { return None };
    let argument = argument.products()?;
    let [Monomial { coefficient: b, factors }] = argument.as_slice() else { return None };
    if !matches!(factors.as_slice(), [(Expr::Variable, Rational::ONE)]) {
        return None;
    }
    let (other, b_sign) = match function {
        Function::Sin => (Function::Cos, Rational::integer(-1)),
        _ => (Function::Sin, Rational::ONE),
    };
    let of = |function, factor: Rational| {
        let call = Expr::Call(function, Box::new(join(&argument)));
        Term { negative: false, expr: product([Expr::from_rational(factor), call]) }
    };
    let squares = a.power(2)?.apply('+', b.power(2)?)?;
    let sum = Expr::Sum(vec![of(*function, a), of(other, b.apply('*', b_sign)?)]);
    Some(Expr::quotient(product([exp(a), sum]), Expr::from_rational(squares)))
}

/// `exp(-s^2*x^2)` is the derivative of `sqrt(pi)/(2*s)*erf(s*x)`.
fn bell(width: Rational) -> Option<Expr> {
    let squared = width.apply('*', Rational::integer(-1)).filter(|width| width.numerator() > 0)?;
    let root = |n: i128| Some(n.isqrt()).filter(|root| root * root == n);
    let scale = match (root(squared.numerator()), root(squared.denominator())) {
        (Some(numerator), Some(denominator)) => {
            Expr::from_rational(Rational::reduced(numerator, denominator)?)
        }
        _ => Expr::Call(Function::Sqrt, Box::new(Expr::from_rational(squared))),
    };
    let erf = Expr::Call(Function::Erf, Box::new(product([scale.clone(), Expr::Variable])));
    let root_of_pi = Expr::Call(Function::Sqrt, Box::new(Expr::Pi));
    Some(Expr::quotient(product([root_of_pi, erf]), product([Expr::integer(2), scale])))
}

fn square() -> Expr {
    Expr::Power(Box::new(Expr::Variable), Box::new(Expr::integer(2)))
}

fn exp(rate: Rational) -> Expr {
    Expr::Call(Function::Exp, Box::new(product([Expr::from_rational(rate), Expr::Variable])))
}

fn product(factors: [Expr; 2]) -> Expr {
    Expr::Product(factors.map(|expr| Factor { inverse: false, expr }).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::expr::{Grammar, parse};

    #[test]
    fn closed_forms() {
        for (problem, value) in [
            ("integrate(exp(x),x,0,40)", "exp(40)-1"),
            ("integrate(2*e^(1-x/2),x,0,2)", "4*e-4"),
            ("integrate(x^2*exp(-x),x,0,30)", "2-962*exp(-30)"),
            ("integrate(exp(-x)*sin(2*x),x,0,9)", "2/5-exp(-9)*(sin(18)+2*cos(18))/5"),
            ("integrate(exp(x)*cos(x),x,0,9)", "exp(9)*(cos(9)+sin(9))/2-1/2"),
            ("integrate(exp(-4*x^2),x,0,6)", "sqrt(pi)/4*erf(12)"),
            ("integrate(sqrt(x)+1/x,x,1,4)", "14/3+log(4)"),
            ("integrate(x*exp(-x),x,0,1000)", "1-1001*exp(-1000)"),
        ] {
            let found = integral(&Question::read(problem).unwrap());
            let value = parse(value, Grammar::Expression).unwrap();
            let difference = found.clone().unwrap().difference(&value).unwrap().simplified();
            let number = difference.eval(0.0, crate::task::expr::Branch::Real);
            assert!(number.value.abs() <= 8.0 * number.value_error, "{problem}: {found:?}");
        }
        for problem in ["integrate(cosh(x),x,1,4)", "integrate(exp(x)/x,x,1,4)"] {
            assert_eq!(integral(&Question::read(problem).unwrap()), None, "{problem}");
        }
    }
}
