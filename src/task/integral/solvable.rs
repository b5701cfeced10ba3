//! Whether an integral can be answered at all, within a bounded amount of work.
//!
//! Two questions: could the verifier confirm a right answer (enough points, quadrature converges), and is there an answer in
//! the verifier's functions? The second is decided for sums of Laurent polynomials times exp, sin or cos of a polynomial, where
//! most unsolvable variants of a language model lie (`exp(x^2)`, `sin(x)/x`). By Liouville's theorem the integral of P e^q is
//! elementary exactly if R' + q' R = P has a Laurent polynomial R as its solution (Bronstein, *Symbolic Integration I*,
//! sec. 6.1); sin and cos are the imaginary and real part of e^(iq). Everything else passes: not knowing is no reason to refuse.

use std::collections::BTreeMap;

use super::check;
use super::problem::Question;
use crate::task::expr::{Branch, Expr, Function};

/// Largest power of x that is looked at.
const MAX_POWER: i32 = 32;
/// Most terms that are looked at.
const MAX_TERMS: usize = 64;
/// Coefficients below this share of the largest are rounding errors.
const ZERO: f64 = 1e-9;

/// Errors with the reason if no answer could be found or confirmed.
pub(super) fn solvable(question: &Question) -> Result<(), String> {
    check::confirmable(question)?;
    if question.bounds.is_some() {
        return Ok(());
    }
    let Some(terms) = terms(&question.integrand) else { return Ok(()) };
    // Terms of one exponent decide together: exp(x)/x - exp(x)/x^2 has an integral, its parts have none.
    let mut groups: Vec<(Exponent, Laurent)> = Vec::new();
    for term in terms {
        let (exponent, factor) = term.exponent.normalised();
        let laurent = term.laurent.scaled(factor);
        match groups.iter_mut().find(|(known, _)| known.close_to(&exponent)) {
            Some((_, sum)) => sum.add(&laurent),
            None => groups.push((exponent, laurent)),
        }
    }
    match groups.iter().all(|(exponent, laurent)| has_integral(exponent, laurent)) {
        true => Ok(()),
        false => Err("it has no antiderivative in elementary functions and erf".into()),
    }
}

/// A complex number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Complex(f64, f64);

impl Complex {
    const ONE: Self = Self(1.0, 0.0);
    const I: Self = Self(0.0, 1.0);

    fn times(self, other: Self) -> Self {
        Self(self.0 * other.0 - self.1 * other.1, self.0 * other.1 + self.1 * other.0)
    }

    fn over(self, other: Self) -> Self {
        let size = other.0 * other.0 + other.1 * other.1;
        self.times(Self(other.0 / size, -other.1 / size))
    }

    fn size(self) -> f64 {
        self.0.hypot(self.1)
    }
}

/// Powers of x, negative ones too, with their coefficients.
#[derive(Debug, Clone, PartialEq, Default)]
struct Laurent(BTreeMap<i32, Complex>);

impl Laurent {
    fn power(power: i32, coefficient: f64) -> Self {
        Self(BTreeMap::from([(power, Complex(coefficient, 0.0))]))
    }

    fn add(&mut self, other: &Self) {
        for (&power, &value) in &other.0 {
            let sum = self.0.entry(power).or_insert(Complex(0.0, 0.0));
            *sum = Complex(sum.0 + value.0, sum.1 + value.1);
        }
    }

    fn scaled(&self, factor: Complex) -> Self {
        Self(self.0.iter().map(|(&power, &value)| (power, value.times(factor))).collect())
    }

    /// The product; `None` if its powers are out of bounds.
    fn times(&self, other: &Self) -> Option<Self> {
        let mut product = Self::default();
        for (&p, &a) in &self.0 {
            for (&q, &b) in &other.0 {
                if (p + q).abs() > MAX_POWER {
                    return None;
                }
                product.add(&Self(BTreeMap::from([(p + q, a.times(b))])));
            }
        }
        Some(product)
    }

    /// 1 / self, if it is a single power.
    fn recip(&self) -> Option<Self> {
        let mut powers = self.0.iter().filter(|(_, value)| value.size() != 0.0);
        match (powers.next(), powers.next()) {
            (Some((&power, &value)), None) => {
                Some(Self(BTreeMap::from([(-power, Complex::ONE.over(value))])))
            }
            _ => None,
        }
    }

    fn largest(&self) -> f64 {
        self.0.values().map(|value| value.size()).fold(0.0, f64::max)
    }

    /// Whether it is a polynomial.
    fn is_polynomial(&self) -> bool {
        self.0.iter().all(|(&power, value)| power >= 0 || value.size() == 0.0)
    }
}

/// exp(unit * polynomial): the unit is 1 for exp, i for sin and cos.
#[derive(Debug, Clone, PartialEq)]
struct Exponent {
    unit: Complex,
    polynomial: Laurent,
}

impl Exponent {
    fn none() -> Self {
        Self { unit: Complex::ONE, polynomial: Laurent::default() }
    }

    fn is_none(&self) -> bool {
        self.polynomial.0.values().all(|value| value.size() == 0.0)
    }

    /// Without its constant, which goes into a factor.
    fn normalised(&self) -> (Self, Complex) {
        let mut polynomial = self.polynomial.clone();
        let constant = polynomial.0.remove(&0).map_or(0.0, |value| value.0);
        let factor = match self.unit == Complex::I {
            true => Complex(constant.cos(), constant.sin()),
            false => Complex(constant.exp(), 0.0),
        };
        (Self { unit: self.unit, polynomial }, factor)
    }

    fn close_to(&self, other: &Self) -> bool {
        let mut difference = self.polynomial.scaled(Complex(-1.0, 0.0));
        difference.add(&other.polynomial);
        let empty = self.is_none() && other.is_none();
        empty
            || (self.unit == other.unit
                && difference.largest() <= ZERO * self.polynomial.largest().max(other.polynomial.largest()))
    }
}

/// laurent * exp(..), of which the real part counts.
struct Factored {
    laurent: Laurent,
    exponent: Exponent,
}

/// The expression as a sum of Laurent polynomials times exponentials; `None` if it is of another form.
fn terms(expr: &Expr) -> Option<Vec<Factored>> {
    let plain = |laurent| vec![Factored { laurent, exponent: Exponent::none() }];
    let found = match expr {
        Expr::Variable => plain(Laurent::power(1, 1.0)),
        expr if !expr.has_variable() => {
            let value = expr.eval(0.0, Branch::Real).value;
            plain(Laurent::power(0, Some(value).filter(|value| value.is_finite())?))
        }
        Expr::Sum(parts) => {
            let mut sum = Vec::new();
            for part in parts {
                let sign = if part.negative { -1.0 } else { 1.0 };
                sum.extend(
                    terms(&part.expr)?
                        .into_iter()
                        .map(|term| Factored { laurent: term.laurent.scaled(Complex(sign, 0.0)), ..term }),
                );
            }
            sum
        }
        Expr::Product(factors) => {
            let mut product = plain(Laurent::power(0, 1.0));
            for factor in factors {
                let next = terms(&factor.expr)?;
                let next = if factor.inverse { vec![reciprocal(next)?] } else { next };
                product = multiply(&product, &next)?;
            }
            product
        }
        Expr::Power(base, exponent) if **base == Expr::E => {
            exponential(exponent, Complex::ONE, Complex::ONE)?
        }
        Expr::Power(base, exponent) => {
            let power = (!exponent.has_variable()).then(|| exponent.eval(0.0, Branch::Real).value)?;
            if power.fract() != 0.0 || power.abs() > f64::from(MAX_POWER) {
                return None;
            }
            let base = terms(base)?;
            let base = if power < 0.0 { vec![reciprocal(base)?] } else { base };
            let mut product = plain(Laurent::power(0, 1.0));
            for _ in 0..power.abs() as u32 {
                product = multiply(&product, &base)?;
            }
            product
        }
        Expr::Call(Function::Exp, argument) => exponential(argument, Complex::ONE, Complex::ONE)?,
        Expr::Call(Function::Cos, argument) => exponential(argument, Complex::I, Complex::ONE)?,
        // sin q is the real part of -i e^(iq).
        Expr::Call(Function::Sin, argument) => exponential(argument, Complex::I, Complex(0.0, -1.0))?,
        _ => return None,
    };
    (found.len() <= MAX_TERMS).then_some(found)
}

fn exponential(argument: &Expr, unit: Complex, factor: Complex) -> Option<Vec<Factored>> {
    let mut polynomial = Laurent::default();
    for term in terms(argument)? {
        if !term.exponent.is_none() {
            return None;
        }
        polynomial.add(&term.laurent);
    }
    let laurent = Laurent(BTreeMap::from([(0, factor)]));
    polynomial.is_polynomial().then(|| vec![Factored { laurent, exponent: Exponent { unit, polynomial } }])
}

fn reciprocal(terms: Vec<Factored>) -> Option<Factored> {
    let [Factored { laurent, exponent }] = &terms[..] else { return None };
    // 1/sin q is not e^(-iq) times anything of this form.
    let real = exponent.unit == Complex::ONE;
    real.then_some(Factored {
        laurent: laurent.recip()?,
        exponent: Exponent {
            unit: exponent.unit,
            polynomial: exponent.polynomial.scaled(Complex(-1.0, 0.0)),
        },
    })
}

fn multiply(left: &[Factored], right: &[Factored]) -> Option<Vec<Factored>> {
    if left.len() * right.len() > MAX_TERMS {
        return None;
    }
    let mut product = Vec::new();
    for a in left {
        for b in right {
            let exponent = match (a.exponent.is_none(), b.exponent.is_none()) {
                (true, _) => b.exponent.clone(),
                (_, true) => a.exponent.clone(),
                // The real part of a product is the product of the real parts for real exponents only.
                _ if a.exponent.unit == Complex::ONE && b.exponent.unit == Complex::ONE => {
                    let mut polynomial = a.exponent.polynomial.clone();
                    polynomial.add(&b.exponent.polynomial);
                    Exponent { unit: Complex::ONE, polynomial }
                }
                _ => return None,
            };
            product.push(Factored { laurent: a.laurent.times(&b.laurent)?, exponent });
        }
    }
    Some(product)
}

/// Whether the integral of `laurent` e^`exponent` is one in elementary functions or erf.
fn has_integral(exponent: &Exponent, laurent: &Laurent) -> bool {
    let scale = laurent.largest();
    let derivative: Vec<(i32, Complex)> = exponent
        .polynomial
        .0
        .iter()
        .filter(|(power, value)| **power > 0 && value.size() > 0.0)
        .map(|(&power, &value)| (power - 1, value.times(Complex(f64::from(power), 0.0)).times(exponent.unit)))
        .collect();
    let Some(&(degree, leading)) = derivative.last() else { return true };
    if scale == 0.0 {
        return true;
    }
    // The antiderivative of exp(-x^2) is an erf, which answers may hold.
    if degree == 1 && leading.1 == 0.0 && leading.0 < 0.0 && laurent.is_polynomial() {
        return true;
    }
    let mut rest = laurent.clone();
    let lowest_power =
        laurent.0.iter().filter(|(_, v)| v.size() > ZERO * scale).map(|(&power, _)| power).min();
    let lowest = lowest_power.filter(|&power| power < 0).map_or(0, |power| power + 1);
    // From the highest power down: the leading term of q' R is all that can make it.
    while let Some((power, value)) = rest.0.pop_last() {
        if value.size() <= ZERO * scale {
            continue;
        }
        let place = power - degree;
        if place < lowest {
            return false;
        }
        let coefficient = value.over(leading);
        for &(p, factor) in derivative.iter().rev().skip(1) {
            rest.add(
                &Laurent(BTreeMap::from([(p + place, factor.times(coefficient))])).scaled(Complex(-1.0, 0.0)),
            );
        }
        rest.add(&Laurent(BTreeMap::from([(place - 1, coefficient.times(Complex(-f64::from(place), 0.0)))])));
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::outcome::Outcome;
    use super::*;

    fn verdict(problem: &str) -> Result<(), String> {
        solvable(&Question::read(problem).unwrap())
    }

    #[test]
    fn what_has_an_integral_passes() {
        for problem in [
            "x^2",
            "1/x",
            "x*exp(x)",
            "x*exp(x^2)",
            "x^3*exp(-x^2)",
            "exp(-x^2)",
            "x^5*exp(x^2)",
            "(2*x^2+1)*exp(x^2)",
            "exp(x)/x-exp(x)/x^2",
            "(x-1)*exp(x)/x^2",
            "x^2*sin(3*x)-cos(x+1)",
            "x*sin(x^2)",
            "sin(x)/x^2-cos(x)/x",
            "exp(x)*(sin(x)+1)",
            "log(x)",
            "sqrt(1+x^2)",
            "tan(x)",
            "1/(x^2+1)",
            "sin(x)^2",
            "exp(2*x)*exp(-x)*x",
            "1/exp(x)",
            "exp(1/x)/x^2",
            "sin(sin(x))",
            "x/0.5*e^x",
            "integrate(exp(x^2), x, 0, 1)",
            "acosh(x)/x",
        ] {
            assert_eq!(verdict(problem), Ok(()), "{problem}");
        }
    }

    #[test]
    fn what_has_none_does_not() {
        for problem in [
            "exp(x^2)",
            "x^2*exp(x^2)",
            "exp(x)/x",
            "exp(-x)/x^2",
            "sin(x)/x",
            "cos(2*x+1)/x",
            "sin(x^2)",
            "x^2*cos(x^2)",
            "exp(x^3)",
            "x*exp(x^3)",
            "e^(x^2)+x",
            "sin(x)+exp(x^2)",
            "exp(x)*exp(x^2)",
            "sin(x)/x+cos(x)/x",
            "exp(x)/x+exp(x)/x^2",
            "exp(x^2)/x",
            "1/(x*exp(x))",
        ] {
            assert!(verdict(problem).unwrap_err().contains("no antiderivative"), "{problem}");
        }
        for problem in ["integrate(1/x, x, -1, 1)", "integrate(1/x, x, 0, 1)"] {
            assert!(verdict(problem).is_err(), "{problem}");
        }
    }

    /// The method, held against the verifier: R e^q differentiated is always solvable, whatever R and q are.
    #[test]
    fn derivatives_are_solvable() {
        for (antiderivative, integrand) in [
            ("x^2*exp(x^3)", "2*x*exp(x^3)+3*x^4*exp(x^3)"),
            ("cos(x^2)/x", "-cos(x^2)/x^2-2*sin(x^2)"),
            ("(x^2-1)*sin(x^2)", "2*x*sin(x^2)+2*x*(x^2-1)*cos(x^2)"),
            ("exp(x^4)/x^2", "-2*exp(x^4)/x^3+4*x*exp(x^4)"),
        ] {
            let question = Question::read(integrand).unwrap();
            let answer =
                crate::task::expr::parse(antiderivative, crate::task::expr::Grammar::Antiderivative).unwrap();
            assert!(matches!(check::check(&question, &answer), Outcome::Correct(_)), "{integrand}");
            assert_eq!(verdict(integrand), Ok(()), "{integrand}");
        }
    }

    #[test]
    fn hostile_problems_take_bounded_work() {
        let long = format!("exp({}1)", "x*".repeat(300));
        let wide = format!("{}1", "(x+1)*".repeat(100));
        for problem in ["((((x+1)^30+1)^30)^30)^30*exp(x)", &long, &wide] {
            let _ = Question::read(problem).map(|question| solvable(&question));
        }
    }
}
